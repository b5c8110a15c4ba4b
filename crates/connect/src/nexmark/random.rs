//! The generator's random numbers: each event has a sequence of its own, so any event can be made alone.

use super::HOT_RATIO;

/// SplitMix64 (Steele, Lea and Flood, 2014), seeded by the stream's seed and the event's number.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, id: u64) -> Self {
        let mut random = Random(seed ^ id.wrapping_mul(0xD1B5_4A32_D192_ED03));
        random.next();
        random
    }

    #[inline]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound` − 1; 0 for a bound of 1.
    #[inline]
    pub(super) fn below(&mut self, bound: i64) -> i64 {
        ((u128::from(self.next() >> 32) * bound as u128) >> 32) as i64
    }

    /// One of several things.
    #[inline]
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as i64) as usize]
    }

    /// Whether this is one of the `ratio − 1` cases in `ratio`.
    #[inline]
    pub(super) fn mostly(&mut self, ratio: i64) -> bool {
        self.below(ratio) > 0
    }

    #[inline]
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A price in cents: from 1 to 1,000,000 dollars, all magnitudes alike.
    #[inline]
    pub(super) fn price(&mut self) -> i64 {
        (10f64.powf(self.fraction() * 6.0) * 100.0).round() as i64
    }

    /// Lower-case letters with a `special` character among them, 3 to `length_max` − 1 long. Blanks at the ends are
    /// cut, and nothing becomes empty.
    pub(super) fn text(&mut self, length_max: i64, special: u8, out: &mut Vec<u8>) {
        let start = out.len();
        for _ in 0..3 + self.below(length_max - 3) {
            let byte = if self.below(13) == 0 { special } else { b'a' + self.below(26) as u8 };
            out.push(byte);
        }
        if special == b' ' {
            trim(out, start);
        }
    }
}

/// Cuts blanks off both ends of what stands from `start` on.
fn trim(out: &mut Vec<u8>, start: usize) {
    let trimmed = out[start..].trim_ascii();
    let (skip, length) = (out[start..].len() - out[start..].trim_ascii_start().len(), trimmed.len());
    out.copy_within(start + skip..start + skip + length, start);
    out.truncate(start + length);
    if length == 0 {
        out.push(b'x');
    }
}

/// The hottest id at or below `id`: all ids of a block of [`HOT_RATIO`] share it.
#[inline]
pub(super) fn hottest(id: i64) -> i64 {
    (id / HOT_RATIO) * HOT_RATIO
}
