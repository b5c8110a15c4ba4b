//! Prints what a draw, an insert and an item cost: nanoseconds, and bytes of state.
//!
//! `cargo run --release -p fleuve-sketch --example sketch_draws`

use std::hint::black_box;
use std::time::Instant;

use fleuve_sketch::index::{Shuffle, Tree, key, olken::Draws};
use fleuve_sketch::online::Rows;
use fleuve_sketch::random::Generator;
use fleuve_sketch::sample::{Bernoulli, Chain, Method, Priority, Reservoir, Weighted, WeightedMethod};
use fleuve_sketch::statistics::{Moments, Pairs, Running};

const ITEMS: usize = 1_000_000;

fn main() {
    let mut random = Generator::new(1);
    let values: Vec<f64> = (0..ITEMS).map(|_| (random.unit() * 1e6).round() / 100.0).collect();
    statistics(&values);
    samples(&values);
    index(&mut random);
}

/// Runs and prints one row.
fn measure<S>(name: &str, items: usize, bytes: impl Fn(&S) -> usize, mut state: S, mut run: impl FnMut(&mut S)) -> S {
    let start = Instant::now();
    run(&mut state);
    let ns = start.elapsed().as_nanos() as f64 / items as f64;
    println!("{name:40} {ns:9.2} ns  {:>12} bytes", bytes(&state));
    black_box(state)
}

fn statistics(values: &[f64]) {
    let n = values.len();
    measure("moments, exact, an item", n, Moments::bytes, Moments::default(), |m| m.add_slice(values));
    measure("pairs, exact, an item", n, Pairs::bytes, Pairs::default(), |p| p.add_slices(values, &values[1..]));
    measure("moments, floating, an item", n, size_of_val, Running::default(), |r| {
        values.iter().for_each(|v| r.add(*v))
    });
    measure("online rows, an item", n, size_of_val, Rows::default(), |r| values.iter().for_each(|v| r.add(*v)));
}

fn samples(values: &[f64]) {
    let (n, rows) = (values.len(), 10_000);
    for method in [Method::R, Method::L] {
        let sample = Reservoir::new(rows, method, 1).expect("a sample of some rows");
        measure(
            &format!("reservoir {method:?}, an item"),
            n,
            |s| s.to_bytes().len(),
            sample,
            |s| s.offer_slice(values),
        );
    }
    for method in [WeightedMethod::Res, WeightedMethod::ExpJ] {
        let sample = Weighted::new(rows, method, 1).expect("a sample of some rows");
        let offer = |s: &mut Weighted<f64>| {
            values.iter().for_each(|v| s.offer(*v, *v + 1.0).expect("weights are positive"));
        };
        measure(&format!("weighted {method:?}, an item"), n, |s| s.to_bytes().len(), sample, offer);
    }
    let sample = Bernoulli::new(0.01, 1).expect("a probability");
    measure("bernoulli 1 %, an item", n, |s| s.to_bytes().len(), sample, |s| drop(black_box(s.select(n))));
    let sample = Chain::new(100, 100_000, 1).expect("a sample of some rows");
    measure("chain, 100 of 100,000, an item", n, |s| s.to_bytes().len(), sample, |s| s.offer_slice(values));
    let sample = Priority::new(1_000, 100_000, 1).expect("a sample of some rows");
    let offer = |s: &mut Priority<f64>| values.iter().enumerate().for_each(|(i, v)| s.offer(i as i64, *v));
    measure("priority, 1,000 of 100,000, an item", n, |s| s.to_bytes().len(), sample, offer);
}

fn index(random: &mut Generator) {
    let keys: Vec<Vec<u8>> = (0..ITEMS).map(|_| key::of_i64(random.next_u64() as i64)).collect();
    let insert = |tree: &mut Tree| {
        for (row, key) in keys.iter().enumerate() {
            tree.insert(key, row as u64).expect("short keys");
        }
    };
    let tree = measure("index, an insert of a random key", ITEMS, Tree::bytes, Tree::new(), insert);
    let mut sum = 0;
    let draws = measure(
        "olken by rank, a draw",
        ITEMS,
        |_| 0,
        Draws::new(1),
        |draws| {
            (0..ITEMS).for_each(|_| sum += draws.by_rank(&tree).expect("rows").row);
        },
    );
    let draws = measure(
        "olken by rejection, a draw",
        ITEMS,
        |_| 0,
        draws,
        |draws| {
            (0..ITEMS).for_each(|_| sum += draws.by_rejection(&tree).expect("rows").row);
        },
    );
    println!("{:40} {:9.2}", "rejections a draw by rejection", draws.rejected() as f64 / ITEMS as f64);
    measure(
        "olken without replacement, a draw",
        ITEMS,
        |_| 0,
        Shuffle::new(0..tree.len(), 1),
        |order| {
            order.for_each(|rank| sum += tree.kth(rank).map_or(0, |entry| entry.row));
        },
    );
    measure(
        "index, a row in order",
        ITEMS,
        |_| 0,
        tree,
        |tree| {
            tree.entries(0..tree.len()).for_each(|entry| sum += entry.row);
        },
    );
    black_box(sum);
}
