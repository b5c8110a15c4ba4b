//! Cutting a stream into frames, however it arrives.

use fleuve_wire::limits::{FRAME_BYTES_MAX, FRAME_BYTES_MAX_UNAUTHENTICATED};
use fleuve_wire::{DecodeErrorKind, FrameReader, Source};

use crate::allocator::allocated_bytes;

/// A frame of this many bytes, which tell its number.
fn frame(number: usize, bytes: usize) -> Vec<u8> {
    let length = i32::try_from(bytes).expect("short");
    [&length.to_be_bytes()[..], &vec![number as u8; bytes]].concat()
}

/// Reads as a socket would: no more than the spare room, in pieces of any size.
fn feed(frames: &mut FrameReader, stream: &mut &[u8], bytes_max: usize) {
    let buffer = frames.spare();
    let room = buffer.capacity() - buffer.len();
    assert!(room > 0, "a socket with no room would look closed");
    let bytes = stream.len().min(room).min(bytes_max);
    buffer.extend_from_slice(&stream[..bytes]);
    *stream = &stream[bytes..];
}

#[test]
fn frames_come_out_as_they_went_in() {
    for seed in 0..50 {
        let mut source = Source::new(seed);
        let sizes: Vec<usize> = (0..60)
            .map(|_| match source.below(8) {
                0 => 0,
                1 => 20_000 + source.below(200_000),
                _ => source.below(300),
            })
            .collect();
        let stream: Vec<u8> = sizes.iter().enumerate().flat_map(|(number, &bytes)| frame(number, bytes)).collect();
        let mut rest = &stream[..];
        let mut frames = FrameReader::with_limit(FRAME_BYTES_MAX);
        let mut received = vec![];
        while received.len() < sizes.len() {
            let bytes_max = [1, 3, 1_000, 100_000][source.below(4)];
            feed(&mut frames, &mut rest, bytes_max);
            while let Some(frame) = frames.next_frame().expect("frames within the limit") {
                received.push(frame);
            }
        }
        for (number, (frame, &bytes)) in received.iter().zip(&sizes).enumerate() {
            assert_eq!(frame.len(), bytes);
            assert!(frame.iter().all(|&byte| byte == number as u8));
        }
        assert_eq!((rest.len(), frames.buffered_bytes()), (0, 0));
    }
}

#[test]
fn wrong_lengths_end_the_stream() {
    let length = |frames: &mut FrameReader, length: i32| {
        frames.spare().extend_from_slice(&length.to_be_bytes());
        frames.next_frame().map_err(|error| error.kind)
    };
    let over = FRAME_BYTES_MAX_UNAUTHENTICATED as i32 + 1;
    for wrong in [-1, i32::MIN, i32::MAX, over] {
        assert_eq!(length(&mut FrameReader::new(), wrong), Err(DecodeErrorKind::WrongFrameLength));
    }
    assert_eq!(length(&mut FrameReader::new(), over - 1), Ok(None));
    let mut authenticated = FrameReader::new();
    authenticated.set_limit(FRAME_BYTES_MAX);
    assert_eq!(length(&mut authenticated, over), Ok(None));
    assert_eq!(length(&mut FrameReader::with_limit(FRAME_BYTES_MAX), FRAME_BYTES_MAX as i32), Ok(None));
}

#[test]
fn a_claimed_length_reserves_nothing() {
    let mut frames = FrameReader::with_limit(FRAME_BYTES_MAX);
    let before = allocated_bytes();
    frames.spare().extend_from_slice(&(FRAME_BYTES_MAX as i32).to_be_bytes());
    for _ in 0..100 {
        assert_eq!(frames.next_frame(), Ok(None));
        frames.spare().extend_from_slice(&[0; 10]);
    }
    let allocated = allocated_bytes() - before;
    assert!(allocated < 16 << 10, "{allocated} bytes for 1,004");
}

#[test]
fn memory_grows_with_what_arrives() {
    let stream = frame(1, 8 << 20);
    let mut rest = &stream[..];
    let mut frames = FrameReader::with_limit(FRAME_BYTES_MAX);
    while !rest.is_empty() {
        feed(&mut frames, &mut rest, 64 << 10);
        let (capacity, arrived) = (frames.spare().capacity(), frames.buffered_bytes());
        assert!(capacity <= 2 * arrived + (16 << 10), "{capacity} bytes for {arrived}");
    }
    assert_eq!(frames.next_frame().expect("within the limit").map(|frame| frame.len()), Some(8 << 20));
}

#[test]
fn a_frame_that_came_alone_owns_its_memory() {
    let mut frames = FrameReader::new();
    frames.spare().extend_from_slice(&frame(1, 100));
    let alone = frames.next_frame().expect("within the limit").expect("all of it is there");
    assert!(alone.try_into_mut().is_ok());
    frames.shrink();
    assert_eq!(frames.buffered_bytes(), 0);
}
