//! The tree against an ordered set, its stored form, and hostile bytes.

use std::collections::BTreeSet;
use std::ops::Bound;

use proptest::prelude::*;

use super::*;
use crate::index::Entry;

fn key(number: u64, long: bool) -> Vec<u8> {
    [&number.to_be_bytes()[6..], &vec![b'-'; if long { 300 } else { (number % 9) as usize }]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn does_what_a_set_does(
        steps in prop::collection::vec((0u64..400, 0u64..4, 0u8..3), 1..2_500),
        long in any::<bool>(),
        seek in 0u64..400,
    ) {
        let (mut tree, mut set) = (Tree::new(), BTreeSet::new());
        let phases = steps.len() / 2;
        for (i, (number, row, step)) in steps.into_iter().enumerate() {
            let key = key(number, long && number % 5 == 0);
            // First rows come, then they go.
            if (step == 0) == (i < phases) {
                prop_assert_eq!(tree.remove(&key, row), set.remove(&(key, row)));
            } else {
                prop_assert_eq!(tree.insert(&key, row).unwrap(), set.insert((key, row)));
            }
        }
        tree.check().unwrap();
        let model: Vec<_> = set.iter().map(|(key, row)| Entry { key, row: *row }).collect();
        prop_assert_eq!(tree.entries(0..u64::MAX).collect::<Vec<_>>(), model.clone());
        prop_assert!(tree.entries(0..tree.len()).rev().eq(model.iter().rev().copied()));
        let seek = key(seek, false);
        let below = model.iter().filter(|entry| *entry.key < seek[..]).count() as u64;
        let through = model.iter().filter(|entry| *entry.key <= seek[..]).count() as u64;
        prop_assert_eq!((tree.rank(&seek, 0), tree.rank_through(&seek)), (below, through));
        prop_assert_eq!(tree.first_after(&seek), model.get(through as usize).copied());
        prop_assert_eq!(tree.ranks(Bound::Included(&seek), Bound::Included(&seek)), below..through);
        let restored = Tree::from_bytes(&tree.to_bytes()).unwrap();
        prop_assert!(restored.entries(0..tree.len()).eq(model.iter().copied()));
    }
}

#[test]
fn rows_in_order_leave_full_pages_and_none_leave_one() {
    let mut tree = Tree::new();
    (0..50_000u64).for_each(|row| assert!(tree.insert(&row.to_be_bytes(), row).unwrap()));
    tree.check().unwrap();
    let pages = 50_000.0 / (Page::CAPACITY as f64 / 20.0);
    assert!((tree.pages.len() as f64) < 1.02 * pages + 3.0, "{} pages, where {pages} would do", tree.pages.len());
    assert_eq!(tree.kth(33_333).map(|entry| entry.row), Some(33_333));
    (0..50_000u64).for_each(|row| assert!(tree.remove(&row.to_be_bytes(), row)));
    tree.check().unwrap();
    assert_eq!((tree.len(), tree.height(), tree.kth(0)), (0, 1, None));
    assert!(!tree.remove(b"x", 1) && tree.insert(b"x", 1).unwrap());
}

#[test]
fn keys_have_a_limit() {
    let mut tree = Tree::new();
    (0..100).for_each(|row| assert!(tree.insert(&[7; KEY_BYTES_MAX], row).unwrap()));
    tree.check().unwrap();
    assert_eq!(tree.insert(&[7; KEY_BYTES_MAX + 1], 1).map_err(|e| e.code()), Err("E432"));
}

#[test]
fn hostile_bytes_do_no_harm() {
    let mut tree = Tree::new();
    (0..600u64).for_each(|row| drop(tree.insert(&key(row, false), row)));
    let bytes = tree.to_bytes();
    let mut random = crate::random::Generator::new(1);
    let mut refused = 0;
    for round in 0..1_500 {
        let mut damaged = bytes.clone();
        let at = if round % 3 == 0 { random.below(80) } else { random.below(bytes.len() as u64) } as usize;
        damaged[at] ^= 1 << random.below(8);
        match Tree::from_bytes(&damaged) {
            Ok(mut tree) => {
                tree.insert(b"k", 7).unwrap();
                tree.entries(0..u64::MAX).for_each(drop);
                tree.remove(&key(3, false), 3);
            }
            Err(_) => refused += 1,
        }
        assert!(Tree::from_bytes(&bytes[..at]).is_err());
    }
    assert!(refused > 500, "{refused} refused");
}
