//! The centroids of a t-digest, and how they are put together: one scan over all of them in order.
//!
//! Dunning 2021, "The t-digest: efficient estimates of distributions", with the scale function k₂ and the rounding of Apache
//! DataSketches, so that the same items give the same bytes there and here.

use crate::hash::{Work, on_wide_vectors};

/// A cluster of neighbouring items: their mean, and how many they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Centroid {
    pub(super) mean: f64,
    pub(super) weight: u64,
}

impl Centroid {
    /// Takes in another. The step begins at the heavier one, so that it is at most half the way and is not rounded away.
    #[inline(always)]
    fn add(&mut self, other: Centroid) {
        let (own, more) = (self.weight as f64, other.weight as f64);
        let (start, end, part) = if own >= more {
            (self.mean, other.mean, more / (own + more))
        } else {
            (other.mean, self.mean, own / (own + more))
        };
        self.weight += other.weight;
        self.mean = if start.is_sign_positive() == end.is_sign_positive() {
            (end - start).mul_add(part, start)
        } else if 1.0 - part == 1.0 {
            // The difference may overflow, its half does not.
            (end * 0.5 - start * 0.5).mul_add(2.0 * part, start)
        } else {
            start * (1.0 - part) + end * part
        };
    }
}

/// How much a centroid may weigh at a place among all items: k₂ of Dunning and Ertl 2019, by its slope.
struct Limit {
    total: f64,
    normalizer: f64,
}

impl Limit {
    fn new(k: u16, total: u64) -> Self {
        let (compression, total) = (2.0 * f64::from(k), total as f64);
        Limit { total, normalizer: compression / (4.0 * (total / compression).ln() + 24.0) }
    }

    /// The limit, as a share of all items, where so many lie below.
    #[inline(always)]
    fn at(&self, below: f64) -> f64 {
        let q = below / self.total;
        q * (1.0 - q) / self.normalizer
    }
}

/// Puts together neighbours, `total` items in all, as far as a digest of this k lets them; the first and the last stay alone.
/// With `reverse` the scan begins at the greatest, so that neither side is preferred in the long run.
pub(super) fn compress(centroids: &mut Vec<Centroid>, k: u16, total: u64, reverse: bool) {
    // So few items are within no limit.
    if total > u64::from(k) / 2 {
        if reverse {
            centroids.reverse();
        }
        on_wide_vectors(Scan { centroids, limit: Limit::new(k, total) });
        if reverse {
            centroids.reverse();
        }
    }
}

/// The scan, compiled for machines that multiply and add at once: elsewhere every step is a call.
struct Scan<'a> {
    centroids: &'a mut Vec<Centroid>,
    limit: Limit,
}

impl Work for Scan<'_> {
    #[inline(always)]
    fn run(self) {
        let Scan { centroids, limit } = self;
        let count = centroids.len();
        let Some(mut open) = centroids.first().copied() else { return };
        let (mut closed, mut below, mut at_start) = (0, 0.0, limit.at(0.0));
        for next in 1..count {
            let centroid = centroids[next];
            let weight = open.weight as f64 + centroid.weight as f64;
            let most = limit.total * at_start.min(limit.at(below + weight));
            if next > 1 && next + 1 < count && weight <= most {
                open.add(centroid);
            } else {
                below += open.weight as f64;
                at_start = limit.at(below);
                centroids[closed] = open;
                closed += 1;
                open = centroid;
            }
        }
        centroids[closed] = open;
        centroids.truncate(closed + 1);
    }
}

/// Merges items, as [`key`] has them, into centroids, both in order; an item comes before centroids of the same mean.
pub(super) fn with_items(keys: &[i64], centroids: &[Centroid]) -> Vec<Centroid> {
    let alone = |key: &i64| Centroid { mean: number(*key), weight: 1 };
    let mut merged = Vec::with_capacity(keys.len() + centroids.len());
    let mut rest = keys;
    for centroid in centroids {
        let mean = key(centroid.mean);
        let before = rest.iter().take_while(|key| **key <= mean).count();
        let (taken, others) = rest.split_at(before);
        merged.extend(taken.iter().map(alone));
        merged.push(*centroid);
        rest = others;
    }
    merged.extend(rest.iter().map(alone));
    merged
}

/// A number as an integer of the same order, which is quicker to compare: below the sign, greater bits are a greater number, and with
/// the sign set a smaller one.
#[inline(always)]
pub(super) fn key(number: f64) -> i64 {
    turn(number.to_bits() as i64)
}

/// The number of a key.
#[inline(always)]
pub(super) fn number(key: i64) -> f64 {
    f64::from_bits(turn(key) as u64)
}

#[inline(always)]
fn turn(bits: i64) -> i64 {
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}
