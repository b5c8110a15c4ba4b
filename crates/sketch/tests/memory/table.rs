//! Every summary with the most memory that it may hold, and a stream to feed it. Shared by the test, with a million items, and the example
//! `sketch_memory`, with as many as one likes.
//!
//! What is measured is what the allocator gave and did not get back, not what a summary says of itself; it is looked at after every batch,
//! and the most counts.

#![allow(clippy::unwrap_used, reason = "a failure fails a test")]

use fleuve_sketch::distinct::{AmsF0, Bjkst, Hll, Theta};
use fleuve_sketch::frequency::{CountMin, CountSketch, SpaceSaving};
use fleuve_sketch::membership::{Bloom, Cuckoo};
use fleuve_sketch::moment::AmsF2;
use fleuve_sketch::quantile::{Kll, TDigest};
use fleuve_sketch::random::Generator;
use fleuve_sketch::sample::{Chain, Method, Priority, Reservoir, Weighted, WeightedMethod};
use fleuve_sketch::statistics::{Moments, Pairs, Running};
use fleuve_sketch::window::ExponentialHistogram;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Items of a batch, as in Arrow.
const BATCH: usize = 8192;
/// Room for the hash functions and constants that a summary has, beside what grows.
const SHAPE: usize = 1024;

/// A summary under test.
pub struct Kind {
    /// What it is, with its parameters.
    pub name: &'static str,
    /// The most bytes that its documentation lets it hold, worked out from the parameters.
    pub most: usize,
    /// How many times slower than HyperLogLog it is, about: what the test divides the number of items by.
    pub slower: u64,
    /// Feeds so many items and gives the most bytes held.
    pub run: fn(u64) -> usize,
}

/// Feeds random items to a summary.
fn feed<S>(items: u64, new: impl Fn() -> S, mut add: impl FnMut(&mut S, &[i64])) -> usize {
    let mut random = Generator::new(1);
    let mut batch = vec![0i64; BATCH];
    let region = Region::new(ALLOCATOR);
    let mut summary = new();
    let mut most = 0;
    let mut left = items as usize;
    while left > 0 {
        let batch = &mut batch[..left.min(BATCH)];
        batch.iter_mut().for_each(|item| *item = random.next_u64() as i64);
        add(&mut summary, batch);
        let change = region.change();
        most = most.max(change.bytes_allocated - change.bytes_deallocated);
        left -= batch.len();
    }
    drop(summary);
    most + size_of::<S>()
}

/// The same for floats.
fn feed_floats<S>(items: u64, new: impl Fn() -> S, mut add: impl FnMut(&mut S, &[f64])) -> usize {
    let mut floats = Vec::with_capacity(BATCH);
    feed(items, new, |summary, batch| {
        floats.clear();
        floats.extend(batch.iter().map(|item| *item as f64));
        add(summary, &floats);
    })
}

/// A table of a power of two places that is at most three quarters full, of so many entries of 8 bytes.
const fn table(entries: usize) -> usize {
    (entries * 4 / 3).next_power_of_two() * 8
}

/// All summaries.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "AMS_F0, one copy",
        most: SHAPE + 17,
        slower: 2,
        run: |n| feed(n, || AmsF0::new(1, None).unwrap(), |s, b| s.update_all(b)),
    },
    Kind {
        name: "AMS_F0, confidence 0.95",
        most: SHAPE + 17 * 820,
        slower: 1000,
        run: |n| feed(n, || AmsF0::new(1, Some(0.95)).unwrap(), |s, b| s.update_all(b)),
    },
    Kind {
        name: "BJKST, error 0.05",
        most: SHAPE + table(25_600),
        slower: 2,
        run: |n| feed(n, || Bjkst::new(1, 0.05, None).unwrap(), |s, b| s.update_all(b)),
    },
    Kind {
        name: "BJKST, error 0.05, confidence 0.95",
        most: SHAPE + 5 * table(25_600),
        slower: 8,
        run: |n| feed(n, || Bjkst::new(1, 0.05, Some(0.95)).unwrap(), |s, b| s.update_all(b)),
    },
    Kind {
        name: "HyperLogLog, precision 12",
        most: SHAPE + (1 << 12),
        slower: 1,
        run: |n| feed(n, || Hll::new(12).unwrap(), |s, b| s.update_all(b)),
    },
    Kind {
        name: "HyperLogLog, precision 14",
        most: SHAPE + (1 << 14),
        slower: 1,
        run: |n| feed(n, || Hll::new(14).unwrap(), |s, b| s.update_all(b)),
    },
    Kind {
        name: "Theta, k = 4,096",
        most: SHAPE + 2 * 4096 * 8,
        slower: 1,
        run: |n| feed(n, || Theta::new(12).unwrap(), |s, b| s.update_all(b)),
    },
    Kind {
        name: "AMS_F2, error 0.1, confidence 0.95",
        most: SHAPE + 3 * 1600 * 8 + 3 * 27 * 60 + 3 * 27 * 32,
        slower: 400,
        run: |n| feed(n, || AmsF2::new(1, 0.1, 0.95).unwrap(), |s, b| s.update_all(b)),
    },
    Kind {
        name: "count-min, error 0.01, confidence 0.99",
        most: SHAPE + 5 * 272 * 8,
        slower: 10,
        run: |n| feed(n, || CountMin::new(0.01, 0.99).unwrap(), |s, b| s.update_all(b).unwrap()),
    },
    Kind {
        name: "count sketch, error 0.1, confidence 0.99",
        most: SHAPE + 7 * 800 * 8,
        slower: 20,
        run: |n| feed(n, || CountSketch::new(1, 0.1, 0.99).unwrap(), |s, b| s.update_all(b)),
    },
    Kind {
        name: "Space-Saving, k = 1,024",
        most: SHAPE + 1024 * 60,
        slower: 20,
        run: |n| feed(n, || SpaceSaving::<i64>::new(1024).unwrap(), |s, b| s.update_all(b)),
    },
    Kind {
        name: "KLL, k = 200",
        most: SHAPE + (2 * (3 * 200 + 8 * 30) + 32 * 30) * 8,
        slower: 15,
        run: |n| feed_floats(n, || Kll::<f64>::new(200, 1).unwrap(), |s, b| s.update_all(b)),
    },
    Kind {
        name: "t-digest, k = 100",
        most: SHAPE + 210 * 16 + 4 * 210 * 8,
        slower: 15,
        run: |n| feed_floats(n, || TDigest::new(100).unwrap(), |s, b| s.update_all(b)),
    },
    Kind {
        name: "Bloom, 10 million items, 1 %",
        most: SHAPE + 12_000_000,
        slower: 10,
        run: |n| feed(n, || Bloom::new(1, 10_000_000, 0.01).unwrap(), |s, b| s.insert_i64s(b)),
    },
    Kind {
        name: "cuckoo, the last 10 million items",
        most: SHAPE + (1 << 22) * 4 * 2,
        slower: 20,
        run: |n| {
            // The same items once more, to take them out again.
            let new = || (Cuckoo::new(1, 10_000_000).unwrap(), Generator::new(1));
            let mut come = 0;
            feed(n, new, |(filter, gone), batch| {
                for item in batch {
                    filter.insert(item).unwrap();
                    come += 1;
                    assert!(come <= 9_999_999 || filter.remove(&(gone.next_u64() as i64)));
                }
            })
        },
    },
    Kind {
        name: "exponential histogram, 1 million in the window, error 0.01",
        most: SHAPE + 2 * 52 * 15 * 8 + 15 * 32,
        slower: 40,
        run: |n| {
            let new = || (0, ExponentialHistogram::new(1_000_000, 0.01).unwrap());
            feed(n, new, |(time, histogram), batch| {
                for _ in batch {
                    *time += 1;
                    histogram.add(*time, 1).unwrap();
                }
            })
        },
    },
    Kind {
        name: "reservoir, 10,000 rows",
        most: SHAPE + 16_384 * 8,
        slower: 4,
        run: |n| feed(n, || Reservoir::new(10_000, Method::L, 1).unwrap(), |s, b| s.offer_slice(b)),
    },
    Kind {
        name: "weighted sample, 10,000 rows",
        most: SHAPE + 16_384 * 24,
        slower: 20,
        run: |n| {
            let new = || Weighted::new(10_000, WeightedMethod::ExpJ, 1).unwrap();
            feed(n, new, |s, b| b.iter().for_each(|item| s.offer(*item, (*item & 7) as f64 + 1.0).unwrap()))
        },
    },
    Kind {
        name: "chain sample, 100 of a window of 100,000",
        most: SHAPE + 100 * 512,
        slower: 4,
        run: |n| feed(n, || Chain::new(100, 100_000, 1).unwrap(), |s, b| s.offer_slice(b)),
    },
    Kind {
        name: "priority sample, 1,000 of a window of 100,000",
        most: SHAPE + 1000 * 512,
        slower: 50,
        run: |n| {
            feed(
                n,
                || (0, Priority::new(1_000, 100_000, 1).unwrap()),
                |(time, sample), batch| {
                    for item in batch {
                        *time += 1;
                        sample.offer(*time, *item);
                    }
                },
            )
        },
    },
    Kind {
        name: "moments, exact",
        most: 4 * SHAPE,
        slower: 20,
        run: |n| feed_floats(n, Moments::default, |s, b| s.add_slice(b)),
    },
    Kind {
        name: "pairs, exact",
        most: 4 * SHAPE,
        slower: 20,
        run: |n| feed_floats(n, Pairs::default, |s, b| s.add_slices(b, b)),
    },
    Kind {
        name: "moments, floating",
        most: SHAPE,
        slower: 5,
        run: |n| feed_floats(n, Running::default, |s, b| b.iter().for_each(|item| s.add(*item))),
    },
];
