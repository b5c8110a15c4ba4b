//! Draws pass chi-square over a skewed tree and over duplicates, and draws without rejection do not.

use super::*;
use crate::index::key;
use crate::sample::testing::uniform;

const ROWS: u64 = 3_000;

/// Long keys and short ones, many rows of one key, leaves half full and full: fan-outs differ by far.
fn skewed() -> Tree {
    let mut tree = Tree::new();
    let mut insert = |row: u64| {
        let long = vec![b'x'; if row < 1_000 { 300 } else { 3 }];
        let name = if row < 2_000 { [&row.to_be_bytes()[..], &long].concat() } else { b"the same".to_vec() };
        tree.insert(&key::of_bytes(&name), row).unwrap();
    };
    (0..ROWS).map(|i| i * 1_999 % ROWS).for_each(&mut insert);
    (5_000..5_400).for_each(|row| drop(tree.insert(b"gone", row)));
    (5_000..5_400).for_each(|row| assert!(tree.remove(b"gone", row)));
    tree.check().unwrap();
    assert!(tree.height() >= 3 && tree.len() == ROWS);
    tree
}

fn counts(draw: impl FnMut() -> u64) -> Vec<u64> {
    let mut counts = vec![0; ROWS as usize];
    std::iter::repeat_with(draw).take(60_000).for_each(|row| counts[row as usize] += 1);
    counts
}

#[test]
fn draws_from_a_skewed_tree_are_uniform() {
    let tree = skewed();
    let mut draws = Draws::new(1);
    uniform(&counts(|| draws.by_rank(&tree).unwrap().row)).expect("by rank");
    assert_eq!((draws.accepted(), draws.rejected()), (60_000, 0));
    let mut restored = Draws::from_bytes(&draws.to_bytes()).unwrap();
    assert_eq!(restored.by_rank(&tree).unwrap(), draws.clone().by_rank(&tree).unwrap());
    assert!(Draws::from_bytes(&draws.to_bytes()[..30]).is_err());
    uniform(&counts(|| draws.by_rejection(&tree).unwrap().row)).expect("by rejection");
    assert_eq!(draws.accepted(), 120_000);
    assert!(draws.rejected() > 60_000, "{} rejected", draws.rejected());
}

/// A canary: the walk accepts whatever it comes to.
#[test]
fn acceptance_without_rejection_is_caught() {
    let (tree, mut random) = (skewed(), Generator::new(2));
    let walk = || {
        let mut page = tree.page(tree.root);
        while !page.is_leaf() {
            page = tree.page(page.child(random.below(page.len() as u64) as usize).page);
        }
        page.entry(random.below(page.len() as u64) as usize).1
    };
    uniform(&counts(walk)).expect_err("rows of long keys are likelier");
}

#[test]
fn draws_from_selections_and_buckets_are_uniform() {
    let tree = skewed();
    let mut draws = Draws::new(3);
    let ranks = tree.ranks(std::ops::Bound::Unbounded, std::ops::Bound::Excluded(&key::of_bytes(&60u64.to_be_bytes())));
    assert_eq!(ranks, 0..60);
    let mut counts = vec![0; 60];
    (0..6_000).for_each(|_| counts[draws.of_ranks(&tree, ranks.clone()).unwrap().row as usize] += 1);
    uniform(&counts).expect("of a range");
    let mut counts = vec![0; 10];
    (0..2_000).for_each(|_| {
        counts[draws.of_selection(&tree, |entry| entry.row % 300 == 0).unwrap().row as usize / 300] += 1;
    });
    uniform(&counts).expect("of a condition");
    let (sizes, mut counts) = ([3, 0, 1, 7], vec![vec![0; 3], vec![], vec![0], vec![0; 7]]);
    for _ in 0..11_000 {
        let (bucket, place) = draws.of_buckets(&sizes).unwrap();
        counts[bucket][place as usize] += 1;
    }
    uniform(&counts.concat()).expect("of a hash file");
}

/// Keys 0 to 5, of which the left tree has k + 1 rows and the right 6 − k.
#[test]
fn draws_from_a_join_are_uniform_and_without_rejection_not() {
    let (mut left, mut right) = (Tree::new(), Tree::new());
    for key in 0..6u64 {
        (0..=key).for_each(|row| drop(left.insert(&key::of_i64(key as i64), 10 * key + row)));
        (key..6).for_each(|row| drop(right.insert(&key::of_i64(key as i64), 10 * key + row)));
    }
    let most = most_of_a_key(&right);
    assert_eq!(most, 6);
    let mut draws = Draws::new(4);
    let mut count = |draw: &mut dyn FnMut(&mut Draws) -> (u64, u64)| {
        let mut counts = std::collections::BTreeMap::new();
        (0..11_200).for_each(|_| *counts.entry(draw(&mut draws)).or_insert(0u64) += 1);
        assert_eq!(counts.len(), 56);
        uniform(&counts.into_values().collect::<Vec<_>>())
    };
    let rows = |(left, right): (Entry<'_>, Entry<'_>)| (left.row, right.row);
    count(&mut |draws| rows(draws.of_join(&left, &right, most).unwrap())).expect("uniform");
    let accept_all = &mut |draws: &mut Draws| {
        let entry = draws.by_rank(&left).unwrap();
        let partners = right.rank(entry.key, 0)..right.rank_through(entry.key);
        (entry.row, draws.of_ranks(&right, partners).unwrap().row)
    };
    count(accept_all).expect_err("rare keys are likelier");
    let refused = (0..100).find_map(|_| draws.of_join(&left, &right, 2).err());
    assert_eq!(refused.map(|error| error.code()), Some("E304"), "some key has more rows than 2");
}

#[test]
fn nothing_can_be_drawn_from_nothing() {
    let (tree, mut draws) = (Tree::new(), Draws::new(1));
    assert_eq!(draws.by_rank(&tree).map_err(|e| e.code()), Err("E304"));
    assert!(draws.by_rejection(&tree).is_err() && draws.of_selection(&tree, |_| true).is_err());
    assert!(draws.of_buckets(&[0, 0]).is_err() && draws.of_buckets(&[]).is_err());
    assert!(draws.of_join(&tree, &tree, 1).is_err() && draws.of_ranks(&tree, 0..5).is_err());
}
