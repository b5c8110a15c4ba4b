//! What each summary costs: nanoseconds an item and bytes of state, beside what other crates need for the same.
//!
//! `cargo run --release -p fleuve-sketch --example sketch_cost [WORD]` prints a row for each summary whose name contains the word.

use fleuve_sketch::distinct::{AmsF0, Bjkst, Hll, Theta};
use fleuve_sketch::frequency::{CountMin, CountSketch, SpaceSaving};
use fleuve_sketch::membership::{Bloom, Cuckoo};
use fleuve_sketch::moment::AmsF2;
use fleuve_sketch::quantile::{Kll, TDigest};
use fleuve_sketch::random::Generator;
use fleuve_sketch::window::ExponentialHistogram;
use hyperloglogplus::HyperLogLog as _;
use std::hint::black_box;
use std::time::Instant;

/// How many items a batch has, as in Arrow.
const BATCH: usize = 8192;

/// A table of what was measured.
struct Table {
    word: String,
}

impl Table {
    /// Measures one summary: makes it, feeds it, and asks for its bytes; the best of three runs.
    fn row<S>(
        &self,
        name: &str,
        items: &[i64],
        new: impl Fn() -> S,
        add: impl Fn(&mut S, &[i64]),
        bytes: impl Fn(&S) -> usize,
    ) {
        if !name.contains(&self.word) {
            return;
        }
        let runs = (0..3).map(|_| {
            let mut summary = new();
            let start = Instant::now();
            items.chunks(BATCH).for_each(|batch| add(black_box(&mut summary), black_box(batch)));
            let nanos = start.elapsed().as_nanos() as f64 / items.len() as f64;
            (nanos, bytes(&summary))
        });
        let (nanos, bytes) = runs.min_by(|a, b| a.0.total_cmp(&b.0)).expect("three runs");
        println!("{name:<44} {nanos:>10.2} ns {:>10.1} M/s {bytes:>10} bytes", 1000.0 / nanos);
    }
}

fn main() {
    let table = Table { word: std::env::args().nth(1).unwrap_or_default() };
    let mut random = Generator::new(1);
    let many: Vec<i64> = (0..16 << 20).map(|_| random.next_u64() as i64).collect();
    let some = &many[..1 << 20];
    distinct(&table, &many, some);
    theta(&table, &many);
    moments(&table, some);
    let skewed: Vec<i64> = (0..1 << 20).map(|_| (random.unit_positive().powi(-2) as i64).min(1 << 40)).collect();
    frequencies(&table, &skewed);
    quantiles(&table, &many[..4 << 20]);
    membership(&table, some);
    windows(&table, some);
}

fn distinct(table: &Table, many: &[i64], some: &[i64]) {
    table.row("AMS_F0 one copy", many, || AmsF0::new(1, None).expect("valid"), |s, b| s.update_all(b), AmsF0::bytes);
    let some_less = &some[..1 << 16];
    table.row(
        "AMS_F0 95 %",
        some_less,
        || AmsF0::new(1, Some(0.95)).expect("valid"),
        |s, b| s.update_all(b),
        AmsF0::bytes,
    );
    for (name, error, confidence) in
        [("BJKST 5 %", 0.05, None), ("BJKST 2 %", 0.02, None), ("BJKST 5 %, 95 %", 0.05, Some(0.95))]
    {
        table.row(
            name,
            many,
            || Bjkst::new(1, error, confidence).expect("valid"),
            |s, b| s.update_all(b),
            Bjkst::bytes,
        );
    }
    for precision in [12, 14] {
        let name = format!("HLL precision {precision}");
        table.row(&name, many, || Hll::new(precision).expect("valid"), |s, b| s.update_all(b), Hll::bytes);
        let theirs = || datasketches::hll::HllSketch::new(precision, datasketches::hll::HllType::Hll8).expect("valid");
        let name = format!("  datasketches HLL {precision}");
        table.row(&name, many, theirs, |s, b| b.iter().for_each(|x| s.update(*x)), |s| s.estimated_size());
        let theirs = || {
            hyperloglogplus::HyperLogLogPlus::<i64, _>::new(precision, std::hash::RandomState::new()).expect("valid")
        };
        let name = format!("  hyperloglogplus HLL {precision}");
        table.row(&name, some, theirs, |s, b| b.iter().for_each(|x| s.insert(x)), |_| 6 * (1 << precision) / 8);
    }
}

fn theta(table: &Table, many: &[i64]) {
    table.row("Theta 4096", many, || Theta::new(12).expect("valid"), |s, b| s.update_all(b), Theta::bytes);
    let theirs = || datasketches::theta::ThetaSketchBuilder::default().build().expect("valid");
    table.row(
        "  datasketches Theta 4096",
        many,
        theirs,
        |s, b| b.iter().for_each(|x| s.update(*x)),
        |s| s.estimated_size(),
    );
}

fn moments(table: &Table, some: &[i64]) {
    let some = &some[..1 << 17];
    table.row(
        "AMS_F2 10 %, 95 %",
        some,
        || AmsF2::new(1, 0.1, 0.95).expect("valid"),
        |s, b| s.update_all(b),
        AmsF2::bytes,
    );
}

fn frequencies(table: &Table, skewed: &[i64]) {
    let counts = || CountMin::new(0.01, 0.99).expect("valid");
    table.row("count-min 5 × 272", skewed, counts, |s, b| s.update_all(b).expect("few items"), CountMin::bytes);
    let theirs = || datasketches::countmin::CountMinSketch::<i64>::new(5, 272).expect("valid");
    table.row(
        "  datasketches count-min",
        skewed,
        theirs,
        |s, b| b.iter().for_each(|x| s.update(*x)),
        |s| s.estimated_size(),
    );
    let theirs = || probably::frequency::CountMinSketch64::<i64>::new(272, 0.99, 0.01).expect("valid");
    table.row("  probably count-min", skewed, theirs, |s, b| b.iter().for_each(|x| s.increment(x)), |_| 0);
    let counts = || CountSketch::new(1, 0.1, 0.99).expect("valid");
    table.row("count sketch 5 × 800", skewed, counts, |s, b| s.update_all(b), CountSketch::bytes);
    let top = || SpaceSaving::<i64>::new(1024).expect("valid");
    table.row("Space-Saving 1024", skewed, top, |s, b| s.update_all(b), SpaceSaving::bytes);
    let theirs = || datasketches::frequencies::FrequentItemsSketch::<i64>::new(2048).expect("valid");
    table.row("  datasketches frequent items, 1536", skewed, theirs, |s, b| b.iter().for_each(|x| s.update(*x)), |_| 0);
}

fn quantiles(table: &Table, many: &[i64]) {
    let floats = |items: &[i64]| items.iter().map(|x| *x as f64).collect::<Vec<_>>();
    let kll = || Kll::<f64>::new(200, 1).expect("valid");
    table.row("KLL 200", many, kll, |s, b| s.update_all(&floats(b)), Kll::bytes);
    let theirs = || datasketches::kll::KllSketch::new(200).expect("valid");
    let float = |x: i64| datasketches::kll::KllFloat::<f64>::new(x as f64).expect("no NaN");
    table.row(
        "  datasketches KLL 200",
        many,
        theirs,
        |s, b| b.iter().for_each(|x| s.update(float(*x))),
        |s| s.num_retained() * 8,
    );
    table.row(
        "t-digest 100",
        many,
        || TDigest::new(100).expect("valid"),
        |s, b| s.update_all(&floats(b)),
        TDigest::bytes,
    );
    let theirs = || tdigest::TDigest::new_with_size(200);
    table.row("  tdigest 200", many, theirs, |s, b| s.extend_values(floats(b)), |s| s.max_size() * 16);
}

fn membership(table: &Table, some: &[i64]) {
    let count = some.len() as u64;
    table.row("Bloom 1 %", some, || Bloom::new(1, count, 0.01).expect("valid"), |s, b| s.insert_i64s(b), Bloom::bytes);
    let theirs = || probably::membership::BloomBuilder::new(count).with_fpr(0.01).finish().expect("valid");
    table.row("  probably Bloom 1 %", some, theirs, |s, b| b.iter().for_each(|x| s.insert(x)), |_| 0);
    table.row(
        "cuckoo",
        some,
        || Cuckoo::new(1, count).expect("valid"),
        |s, b| s.insert_all(b).expect("room"),
        Cuckoo::bytes,
    );
    let theirs = || probably::membership::CuckooFilter::<std::hash::DefaultHasher>::with_capacity(some.len() * 10 / 9);
    table.row("  probably cuckoo", some, theirs, |s, b| b.iter().for_each(|x| drop(s.add(x))), |s| s.memory_usage());
}

fn windows(table: &Table, some: &[i64]) {
    let add = |s: &mut (i64, ExponentialHistogram), b: &[i64]| {
        b.iter().for_each(|_| {
            s.0 += 1;
            s.1.add(s.0, 1).expect("in order");
        });
    };
    let new = || (0, ExponentialHistogram::new(100_000, 0.01).expect("valid"));
    table.row("exponential histogram 1 %", some, new, add, |s| s.1.bytes());
}
