//! Groups arrive at the rates that were set, small ones as early as large ones, each in random order.

use super::*;
use crate::index::key;
use crate::online::{Method, Rows};
use crate::sample::testing::{coverage, uniform};

const SIZES: [u64; 4] = [100_000, 40, 5_000, 20_000];

fn tree(sizes: &[u64]) -> Tree {
    let mut tree = Tree::new();
    for (group, size) in sizes.iter().enumerate() {
        (0..*size).for_each(|row| assert!(tree.insert(&key::of_i64(group as i64), row).unwrap()));
    }
    tree
}

/// The rows that each group is given of the next ones.
fn serve(stride: &mut Stride, tree: &Tree, rows: usize) -> Vec<u64> {
    let mut counts = vec![0; SIZES.len()];
    for _ in 0..rows {
        match stride.next(tree).unwrap() {
            Some(served) => counts[served.group] += 1,
            None => break,
        }
    }
    counts
}

/// Whether groups arrive at their rates, up to one row each.
fn at_rates(counts: &[u64], rates: &[f64]) -> Result<(), String> {
    let (rows, sum) = (counts.iter().sum::<u64>() as f64, rates.iter().sum::<f64>());
    let off = counts.iter().zip(rates).any(|(count, rate)| (*count as f64 - rows * rate / sum).abs() > 2.0);
    if off { Err(format!("{counts:?} at rates {rates:?}")) } else { Ok(()) }
}

#[test]
fn groups_arrive_at_the_rates_that_are_set_while_it_runs() {
    let tree = tree(&SIZES);
    let mut stride = Stride::new(&tree, 100, 1);
    let found: Vec<usize> = (0..4).map(|_| stride.next(&tree).unwrap().unwrap().group).collect();
    assert_eq!(found, [0, 1, 2, 3]);
    at_rates(&serve(&mut stride, &tree, 100), &[1.0, 1.0, 1.0, 1.0]).unwrap();
    assert!(stride.found_all());
    stride.set_rate(&key::of_i64(2), 3.0).unwrap();
    stride.set_rate(&key::of_i64(1), 0.0).unwrap();
    stride.set_rate(&key::of_i64(0), 0.5).unwrap();
    let counts = serve(&mut stride, &tree, 4_500);
    at_rates(&counts, &[0.5, 0.0, 3.0, 1.0]).unwrap();
    at_rates(&counts, &[0.5, 0.0, 3.1, 1.0]).expect_err("another rate is noticed");
    stride.set_rate(&key::of_i64(1), 2.0).unwrap();
    stride.stop(&key::of_i64(3)).unwrap();
    at_rates(&serve(&mut stride, &tree, 33), &[0.5, 2.0, 3.0, 0.0]).unwrap();
    let counts = serve(&mut stride, &tree, usize::MAX);
    assert!(stride.is_finished() && counts[3] == 0);
    let scopes: Vec<u64> = (0..4).map(|group| stride.scope(group).unwrap().seen).collect();
    assert_eq!(scopes[..3], SIZES[..3]);
    assert_eq!(stride.next(&tree).unwrap(), None);
}

#[test]
fn rows_of_a_group_come_once_each_and_in_random_order() {
    let tree = tree(&[30, 7]);
    let mut firsts = vec![0; 30];
    for seed in 0..3_000 {
        let mut stride = Stride::new(&tree, 2, seed);
        let mut rows = [vec![], vec![]];
        while let Some(served) = stride.next(&tree).unwrap() {
            rows[served.group].push(served.entry.row);
        }
        firsts[rows[0][0] as usize] += 1;
        rows.iter_mut().for_each(|rows| rows.sort_unstable());
        assert!(rows[0].iter().copied().eq(0..30) && rows[1].iter().copied().eq(0..7));
    }
    uniform(&firsts).expect("uniform");
}

/// Each group's interval covers its own truth after a third of the smallest group.
#[test]
fn estimates_of_groups_cover() {
    let tree = tree(&[120, 3_000]);
    for group in 0..2 {
        let truth = if group == 0 { 59.5 } else { 1_499.5 };
        let covers = |seed| {
            let (mut stride, mut rows) = (Stride::new(&tree, 2, seed), [Rows::default(), Rows::default()]);
            for _ in 0..80 {
                let served = stride.next(&tree).unwrap().unwrap();
                rows[served.group].add(served.entry.row as f64);
            }
            let scope = stride.scope(group).unwrap();
            rows[group].average(scope, Method::LargeSample { confidence: 0.9 }).unwrap().covers(truth)
        };
        coverage(0.9, true, covers).expect("covers");
    }
}

#[test]
fn wrong_requests_are_refused() {
    let mut tree = tree(&[3, 3, 3]);
    let mut stride = Stride::new(&tree, 2, 1);
    stride.next(&tree).unwrap();
    for rate in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(stride.set_rate(&key::of_i64(0), rate).map_err(|e| e.code()), Err("E304"));
    }
    assert_eq!(stride.set_rate(&key::of_i64(2), 1.0).map_err(|e| e.code()), Err("E304"));
    assert_eq!(stride.stop(b"no such").map_err(|e| e.code()), Err("E304"));
    stride.next(&tree).unwrap();
    assert_eq!(stride.next(&tree).map_err(|e| e.code()), Err("E904"));
    tree.insert(b"new", 1).unwrap();
    assert_eq!(stride.next(&tree).map_err(|e| e.kind()), Err(ErrorKind::Conflict));
    let empty = Tree::new();
    let mut stride = Stride::new(&empty, 2, 1);
    assert!(stride.next(&empty).unwrap().is_none() && stride.is_finished());
}
