//! Random numbers by place: the same for a seed, a column and a row, in whatever order they are asked for.

/// The numbers of one cell.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, row: u64) -> Self {
        Random(seed ^ row.wrapping_mul(0xD1B5_4A32_D192_ED03))
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `min` to `max`, both included.
    pub(super) fn between(&mut self, min: i128, max: i128) -> i128 {
        let span = max.saturating_sub(min).max(0).unsigned_abs().saturating_add(1);
        let wide = u128::from(self.next()) << 64 | u128::from(self.next());
        min + (wide % span) as i128
    }

    /// A number from 0 to 1, 1 excluded.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
