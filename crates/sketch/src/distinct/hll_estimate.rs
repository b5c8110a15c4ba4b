//! The number of distinct items from HyperLogLog's registers.
//!
//! Ertl 2017, "New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6: the raw estimator with its corrections
//! for small and large numbers worked out, so that no table of measured biases is needed as in HyperLogLog++. It depends on the
//! registers alone, and hence on no order; that is why the more exact HIP estimator, which needs the history, is not used.

/// The largest value of a register, q + 1 in the paper.
pub(super) const REGISTER_MAX: u8 = 63;

/// The number of distinct items that left these registers.
pub(super) fn estimate(registers: &[u8]) -> f64 {
    let mut counts = [0u64; REGISTER_MAX as usize + 1];
    registers.iter().for_each(|register| counts[usize::from((*register).min(REGISTER_MAX))] += 1);
    let m = registers.len() as f64;
    let mut z = m * tau(1.0 - counts[usize::from(REGISTER_MAX)] as f64 / m);
    for count in counts[1..usize::from(REGISTER_MAX)].iter().rev() {
        z = 0.5 * (z + *count as f64);
    }
    z += m * sigma(counts[0] as f64 / m);
    m * m / (2.0 * std::f64::consts::LN_2 * z)
}

/// The correction for registers that are still 0.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// The correction for registers that can grow no more.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::estimate;

    #[test]
    fn nothing_is_zero_and_everything_is_infinite() {
        assert_eq!(estimate(&[0; 16]), 0.0);
        assert_eq!(estimate(&[63; 16]), f64::INFINITY);
        assert!((estimate(&[0, 1, 0, 0]) - 1.0).abs() < 0.2);
    }
}
