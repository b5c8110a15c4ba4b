//! Made-up messages, for tests and the fuzzer: every value comes from a seed.

use bytes::Bytes;
use fleuve_base::Stored;

use crate::Uuid;

/// What can be made up.
pub trait Arbitrary: Sized {
    /// A value that has nothing but defaults in the fields that `version` lacks.
    fn arbitrary(source: &mut Source, version: i16) -> Self;
}

/// A seeded stream of values that favour the edges: zero, minus one, the largest, empty, null.
#[derive(Debug, Clone)]
pub struct Source {
    state: u64,
    /// Array elements that may still be made, so that nested arrays stay small.
    elements_left: usize,
    array_length_max: usize,
}

impl Source {
    /// The stream of this seed, for small messages.
    pub fn new(seed: u64) -> Self {
        Source { state: seed, elements_left: 40, array_length_max: 4 }
    }

    /// The stream of this seed, for messages of up to some megabytes.
    pub fn large(seed: u64) -> Self {
        Source { state: seed, elements_left: 100_000, array_length_max: 100 }
    }

    /// The next number (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() % bound as u64) as usize
    }

    /// A number of which a half are at an edge.
    pub fn i64(&mut self) -> i64 {
        match self.below(8) {
            0 => 0,
            1 => -1,
            2 => i64::MAX,
            3 => i64::MIN,
            _ => self.next_u64() as i64,
        }
    }

    /// As [`Source::i64`], cut off.
    pub fn i32(&mut self) -> i32 {
        self.i64() as i32
    }

    /// As [`Source::i64`], cut off.
    pub fn u32(&mut self) -> u32 {
        self.i64() as u32
    }

    /// As [`Source::i64`], cut off.
    pub fn i16(&mut self) -> i16 {
        self.i64() as i16
    }

    /// As [`Source::i64`], cut off.
    pub fn u16(&mut self) -> u16 {
        self.i64() as u16
    }

    /// As [`Source::i64`], cut off.
    pub fn i8(&mut self) -> i8 {
        self.i64() as i8
    }

    /// Either.
    pub fn bool(&mut self) -> bool {
        self.below(2) == 0
    }

    /// A finite number.
    pub fn f64(&mut self) -> f64 {
        self.i32().into()
    }

    /// Sometimes none.
    pub fn uuid(&mut self) -> Uuid {
        match self.below(4) {
            0 => Uuid::NIL,
            _ => Uuid::from_u128(u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())),
        }
    }

    /// Mostly short, also empty, not only ASCII, sometimes longer than a varint byte can tell.
    pub fn string(&mut self) -> String {
        let length = match self.below(16) {
            0..4 => 0,
            4 => 130 + self.below(300),
            _ => 1 + self.below(12),
        };
        let alphabet = ['a', 'Z', '0', '.', '-', 'é', '流', '\0'];
        (0..length).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }

    /// Mostly short, sometimes long enough to become a chunk of their own.
    pub fn bytes(&mut self) -> Bytes {
        let length = match self.below(16) {
            0..4 => 0,
            4 => 1_000 + self.below(2_000),
            _ => 1 + self.below(40),
        };
        (0..length).map(|_| self.next_u64() as u8).collect()
    }

    /// As [`Source::bytes`], in memory.
    pub fn stored(&mut self) -> Stored {
        self.bytes().into()
    }

    /// Few elements, and none once the message has many.
    pub fn array<T>(&mut self, mut element: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let length = self.below(self.array_length_max + 1).min(self.elements_left);
        self.elements_left -= length;
        (0..length).map(|_| element(self)).collect()
    }

    /// A value, or sometimes null where that is allowed.
    pub fn nullable<T>(&mut self, allowed: bool, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if allowed && self.below(4) == 0 { None } else { Some(value(self)) }
    }
}
