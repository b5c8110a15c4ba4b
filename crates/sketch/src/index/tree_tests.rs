//! The tree against an ordered set, its stored form, and hostile bytes.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use proptest::prelude::*;

use super::*;
use crate::index::Entry;

fn key(number: u64, long: bool) -> Vec<u8> {
    [&number.to_be_bytes()[6..], &vec![b'-'; if long { 300 } else { (number % 9) as usize }]].concat()
}

/// Pages as someone keeps them who is told only which have changed.
#[derive(Default)]
struct Pages(HashMap<u32, Vec<u8>>);

impl Pages {
    fn store(&mut self, tree: &mut Tree) {
        for page in tree.changed() {
            self.0.insert(*page, tree.page_bytes(*page).unwrap().to_vec());
        }
        tree.clear_changed();
        assert!(tree.changed().is_empty());
    }
}

/// The stored form of a tree after its pages have been read and written anew, which leaves no holes in them.
fn restored_bytes(tree: &Tree) -> Vec<u8> {
    Tree::from_bytes(&tree.to_bytes()).unwrap().to_bytes()
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
        let (mut pages, phases) = (Pages::default(), steps.len() / 2);
        for (i, (number, row, step)) in steps.into_iter().enumerate() {
            let key = key(number, long && number % 5 == 0);
            if i % 300 == 7 {
                pages.store(&mut tree);
            }
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
        pages.store(&mut tree);
        let again = Tree::from_pages(&tree.header(), |page| pages.0.get(&page).map(Vec::as_slice)).unwrap();
        prop_assert_eq!(again.to_bytes(), restored_bytes(&tree));
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

#[test]
fn a_page_that_is_missing_or_old_is_found_out() {
    let mut tree = Tree::new();
    (0..600u64).for_each(|row| drop(tree.insert(&key(row, false), row)));
    let mut pages = Pages::default();
    pages.store(&mut tree);
    let restore = |pages: &Pages, header: &[u8]| {
        Tree::from_pages(header, |page| pages.0.get(&page).map(Vec::as_slice)).map(|tree| tree.len())
    };
    let old = tree.header();
    assert_eq!(restore(&pages, &old).unwrap(), 600);
    tree.insert(b"one more", 600).unwrap();
    assert!(restore(&pages, &tree.header()).is_err(), "the header is newer than the pages");
    let changed = tree.changed().len();
    assert!((1..=3).contains(&changed), "an insertion changes the path to its leaf: {changed}");
    pages.store(&mut tree);
    assert!(restore(&pages, &old).is_err(), "the pages are newer than the header");
    assert_eq!(restore(&pages, &tree.header()).unwrap(), 601);
    pages.0.remove(&1);
    assert!(restore(&pages, &tree.header()).is_err(), "a page is missing");
}
