//! How far off the distinct counters are, for how many bytes: the figures of the guide's table and picture.
//!
//! `cargo run --release -p fleuve-sketch --example distinct_errors [WORD]` prints a line for each counter whose name contains the word and
//! each number of distinct items: counter, items, trials, bytes held, and the median and the 95th percentile of the relative error,
//! with tabs between. Every trial has items and hash functions of its own.

use fleuve_sketch::distinct::{AmsF0, Bjkst, Hll, Theta};
use fleuve_sketch::random::Generator;
use hashbrown::HashSet;

const BATCH: usize = 8192;

/// Distinct items, and how many trials there are with so many.
const ITEMS: [(u64, u64); 3] = [(1_000, 200), (100_000, 100), (10_000_000, 20)];

/// Feeds a stream of so many items, by a seed, and gives what is counted and the bytes held.
type Trial = Box<dyn Fn(u64, u64) -> (f64, usize)>;

/// Feeds random numbers: among ten million of 64 bits, two are the same with probability 3·10⁻⁶.
fn feed(items: u64, seed: u64, mut add: impl FnMut(&[i64])) {
    let mut random = Generator::new(seed);
    let mut batch = Vec::with_capacity(BATCH);
    let mut left = items as usize;
    while left > 0 {
        batch.clear();
        batch.extend((0..left.min(BATCH)).map(|_| random.next_u64() as i64));
        add(&batch);
        left -= batch.len();
    }
}

fn ams(confidence: Option<f64>) -> (String, Trial) {
    let name = confidence.map_or("AMS_F0, one copy".to_owned(), |c| format!("AMS_F0, confidence {c}"));
    let trial = move |items: u64, seed: u64| {
        let mut summary = AmsF0::new(!seed, confidence).expect("valid");
        feed(items, seed, |batch| summary.update_all(batch));
        (summary.estimate().value, summary.bytes())
    };
    (name, Box::new(trial))
}

fn bjkst(error: f64) -> (String, Trial) {
    let trial = move |items: u64, seed: u64| {
        let mut summary = Bjkst::new(!seed, error, None).expect("valid");
        feed(items, seed, |batch| summary.update_all(batch));
        (summary.estimate().value, summary.bytes())
    };
    (format!("BJKST, error {error}"), Box::new(trial))
}

fn hll(precision: u8) -> (String, Trial) {
    let trial = move |items: u64, seed: u64| {
        let mut summary = Hll::new(precision).expect("valid");
        feed(items, seed, |batch| summary.update_all(batch));
        (summary.estimate().value, summary.bytes())
    };
    (format!("HyperLogLog, precision {precision}"), Box::new(trial))
}

fn theta(lg_k: u8) -> (String, Trial) {
    let trial = move |items: u64, seed: u64| {
        let mut summary = Theta::new(lg_k).expect("valid");
        feed(items, seed, |batch| summary.update_all(batch));
        (summary.set().estimate().value, summary.bytes())
    };
    (format!("Theta, k = {}", 1 << lg_k), Box::new(trial))
}

fn exact() -> (String, Trial) {
    let trial = |items: u64, seed: u64| {
        let mut set: HashSet<i64, foldhash::fast::FixedState> = HashSet::default();
        feed(items, seed, |batch| set.extend(batch));
        (set.len() as f64, size_of_val(&set) + set.allocation_size())
    };
    ("exact set".to_owned(), Box::new(trial))
}

/// The value below which a share of the sorted values lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((share * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1]
}

fn main() {
    let word = std::env::args().nth(1).unwrap_or_default();
    let mut counters = vec![ams(None), ams(Some(0.7)), ams(Some(0.95))];
    counters.extend([0.2, 0.1, 0.05, 0.02].map(bjkst));
    counters.extend([8, 10, 12, 14, 16].map(hll));
    counters.extend([8, 10, 12, 14].map(theta));
    counters.push(exact());
    for (name, trial) in counters.iter().filter(|(name, _)| name.contains(&word)) {
        for (items, trials) in ITEMS {
            // Hundreds of hash functions take minutes for each trial with so many.
            if name.ends_with("confidence 0.95") && items > 1_000_000 {
                continue;
            }
            // An exact set is right every time.
            let trials = if name == "exact set" { 1 } else { trials };
            let runs: Vec<(f64, usize)> = (1..=trials).map(|seed| trial(items, seed)).collect();
            let mut errors: Vec<f64> = runs.iter().map(|(count, _)| (count / items as f64 - 1.0).abs()).collect();
            errors.sort_unstable_by(f64::total_cmp);
            let bytes = runs.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
            let (median, most) = (quantile(&errors, 0.5), quantile(&errors, 0.95));
            println!("{name}\t{items}\t{trials}\t{bytes}\t{median:.5}\t{most:.5}");
        }
    }
}
