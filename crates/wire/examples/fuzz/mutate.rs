//! Changing a valid input a little.

use fleuve_wire::Source;

/// Changes of one input at most; most have fewer.
const CHANGES_MAX: usize = 6;

/// Bytes of a piece that is removed, doubled or taken from elsewhere.
const PIECE_BYTES_MAX: usize = 32;

/// Numbers that lengths, counts and varints go wrong at.
const EDGES: [u32; 10] = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_fff0, u32::MAX];

/// An input of the corpus with some changes, or now and then without any.
pub fn mutated(corpus: &[Vec<u8>], source: &mut Source) -> Vec<u8> {
    let mut input = corpus[source.below(corpus.len())].clone();
    for _ in 0..source.below(CHANGES_MAX + 1) {
        change(&mut input, corpus, source);
    }
    input
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], source: &mut Source) {
    if input.is_empty() {
        input.push(source.i8() as u8);
        return;
    }
    let at = source.below(input.len());
    let piece = at..(at + 1 + source.below(PIECE_BYTES_MAX)).min(input.len());
    match source.below(9) {
        0 => input[at] ^= 1 << source.below(8),
        1 => input[at] = source.i8() as u8,
        2 => input[at] = EDGES[source.below(5)] as u8,
        3 => overwrite(input, at, &(EDGES[source.below(EDGES.len())] as u16).to_be_bytes()),
        4 => overwrite(input, at, &EDGES[source.below(EDGES.len())].to_be_bytes()),
        5 => input.truncate(at),
        6 => drop(input.drain(piece)),
        7 => {
            let double = input[piece].to_vec();
            input.splice(at..at, double);
        }
        _ => {
            let other = &corpus[source.below(corpus.len())];
            let from = source.below(other.len().max(1)).min(other.len());
            let to = (from + 1 + source.below(PIECE_BYTES_MAX)).min(other.len());
            input.splice(at..at, other[from..to].iter().copied());
        }
    }
}

fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    let end = (at + bytes.len()).min(input.len());
    input[at..end].copy_from_slice(&bytes[..end - at]);
}
