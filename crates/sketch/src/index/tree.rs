//! Inserting into the B+-tree, removing from it, ranks, and its stored form.
//!
//! D. Comer (1979), "The ubiquitous B-tree"; with counts of rows below each child (D. E. Knuth 1973, *The Art of Computer
//! Programming* 3, section 6.2.3). Pages are split by bytes, and at the end where rows come in order, so that they stay
//! full; they are merged when three quarters are empty.

use fleuve_base::{Error, ErrorKind, Result};

use super::page::{Child, KEY_BYTES_MAX, PAGE_BYTES, Page};
use super::tree_stored::Changed;
use crate::stored::wrong;

/// The most pages of a tree: 1 TiB.
pub(super) const PAGES_MAX: usize = 1 << 28;

/// The most levels of a tree; each inner page but the root has several children when it is split.
pub(super) const HEIGHT_MAX: usize = 40;

/// A set of pairs (key, row number), in order.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(super) pages: Vec<Page>,
    pub(super) free: Vec<u32>,
    pub(super) root: u32,
    /// Levels of pages; 1 where the root is a leaf.
    pub(super) height: usize,
    pub(super) rows: u64,
    pub(super) changes: u64,
    /// The most entries that any leaf, and the most children that any inner page, has ever had.
    pub(super) widest: [usize; 2],
    /// The pages that are not as they are stored.
    pub(super) changed: Changed,
}

impl Default for Tree {
    fn default() -> Self {
        Tree::new()
    }
}

impl Tree {
    /// Without rows.
    pub fn new() -> Self {
        let mut tree = Tree {
            pages: vec![Page::new(true)],
            free: vec![],
            root: 0,
            height: 1,
            rows: 0,
            changes: 0,
            widest: [0; 2],
            changed: Changed::default(),
        };
        tree.changed.note(0);
        tree
    }

    /// The number of pairs.
    pub fn len(&self) -> u64 {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Levels of pages; 1 where the root is a leaf.
    pub fn height(&self) -> usize {
        self.height
    }

    /// How often the tree was changed: who holds ranks can see whether they are still right.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Bytes of the pages in memory.
    pub fn bytes(&self) -> usize {
        self.pages.len() * (PAGE_BYTES + size_of::<Page>())
    }

    #[inline]
    pub(super) fn page(&self, page: u32) -> &Page {
        &self.pages[page as usize]
    }

    /// A page that is about to be changed.
    fn page_mut(&mut self, page: u32) -> &mut Page {
        self.changed.note(page);
        &mut self.pages[page as usize]
    }

    /// The most entries of a leaf, or children of an inner page.
    pub(super) fn widest(&self, is_leaf: bool) -> usize {
        self.widest[usize::from(!is_leaf)]
    }

    /// The inner pages down to the leaf that a pair belongs to, with the slots that lead there; and the leaf.
    fn path(&self, key: &[u8], row: u64) -> (Vec<(u32, usize)>, u32) {
        let (mut path, mut at) = (Vec::with_capacity(self.height), self.root);
        while !self.page(at).is_leaf() {
            let slot = self.page(at).child_slot(key, row);
            path.push((at, slot));
            at = self.page(at).child(slot).page;
        }
        (path, at)
    }

    /// Whether it has a pair.
    pub fn contains(&self, key: &[u8], row: u64) -> bool {
        let (_, leaf) = self.path(key, row);
        self.page(leaf).search(key, row).is_ok()
    }

    /// Inserts a pair; false if it is there already.
    ///
    /// # Errors
    /// E432, if the key is longer than [`KEY_BYTES_MAX`]; E904, if the tree is full.
    pub fn insert(&mut self, key: &[u8], row: u64) -> Result<bool> {
        if key.len() > KEY_BYTES_MAX {
            let message = format!("a key of an index has {} bytes, more than {KEY_BYTES_MAX}", key.len());
            return Err(Error::input("E432", message));
        }
        if self.pages.len() + HEIGHT_MAX >= PAGES_MAX || self.height + 1 >= HEIGHT_MAX {
            return Err(Error::new(ErrorKind::Limit, "E904", "an index is full"));
        }
        let (path, leaf) = self.path(key, row);
        let Err(slot) = self.page(leaf).search(key, row) else { return Ok(false) };
        for (page, slot) in &path {
            let rows = self.page(*page).child(*slot).rows;
            self.page_mut(*page).set_rows(*slot, rows + 1);
        }
        self.rows += 1;
        self.changes += 1;
        self.insert_cell(path, leaf, slot, (Child::default(), key, row));
        Ok(true)
    }

    /// Inserts a cell into a page, and splits it and those above it where there is no room.
    fn insert_cell(&mut self, mut path: Vec<(u32, usize)>, page: u32, slot: usize, cell: (Child, &[u8], u64)) {
        let (child, key, row) = cell;
        let left = self.page_mut(page);
        if left.insert(slot, child, key, row) {
            let (is_leaf, length) = (left.is_leaf(), left.len());
            self.note_width(is_leaf, length);
            return;
        }
        let at_end = slot == left.len();
        let last = path.iter().all(|(page, slot)| slot + 1 == self.pages[*page as usize].len());
        let left = self.page_mut(page);
        let middle = if at_end && last { left.len() } else { left.middle() };
        let mut right = left.split_off(middle);
        let is_right = slot > middle || right.len() == 0;
        let fits =
            if is_right { right.insert(slot - middle, child, key, row) } else { left.insert(slot, child, key, row) };
        assert!(fits, "half a page has room for a cell");
        let (left_rows, right_rows) = (left.rows(), right.rows());
        let (is_leaf, length) = (left.is_leaf(), left.len().max(right.len()));
        self.note_width(is_leaf, length);
        let (low, low_row) = right.entry(0);
        let low = low.to_vec();
        let right = Child { page: self.allocate(right), rows: right_rows };
        if path.is_empty() {
            self.grow(page, left_rows);
            path.push((self.root, 0));
        }
        let (parent, slot) = path.pop().expect("a root was put above where there was none");
        self.page_mut(parent).set_rows(slot, left_rows);
        self.insert_cell(path, parent, slot + 1, (right, &low, low_row));
    }

    fn note_width(&mut self, is_leaf: bool, length: usize) {
        let widest = &mut self.widest[usize::from(!is_leaf)];
        *widest = length.max(*widest);
    }

    /// Puts a root above the old one.
    fn grow(&mut self, page: u32, rows: u64) {
        let mut root = Page::new(false);
        root.insert(0, Child { page, rows }, &[], 0);
        self.root = self.allocate(root);
        self.height += 1;
    }

    fn allocate(&mut self, page: Page) -> u32 {
        match self.free.pop() {
            Some(free) => {
                *self.page_mut(free) = page;
                free
            }
            None => {
                self.pages.push(page);
                self.changed.note(self.pages.len() as u32 - 1);
                self.pages.len() as u32 - 1
            }
        }
    }

    /// Removes a pair; false if it is not there.
    pub fn remove(&mut self, key: &[u8], row: u64) -> bool {
        let (path, leaf) = self.path(key, row);
        let Ok(slot) = self.page(leaf).search(key, row) else { return false };
        self.page_mut(leaf).remove(slot);
        for (page, slot) in &path {
            let rows = self.page(*page).child(*slot).rows;
            self.page_mut(*page).set_rows(*slot, rows - 1);
        }
        self.rows -= 1;
        self.changes += 1;
        let mut page = leaf;
        for (parent, slot) in path.into_iter().rev() {
            if self.page(page).used() < Page::CAPACITY / 4 {
                self.merge(parent, slot);
            }
            page = parent;
        }
        while !self.page(self.root).is_leaf() && self.page(self.root).len() == 1 {
            let child = self.page(self.root).child(0).page;
            self.free.push(self.root);
            self.root = child;
            self.height -= 1;
        }
        true
    }

    /// Merges a child with the one before or after it, if they fit one page.
    fn merge(&mut self, parent: u32, slot: usize) {
        for left in [slot.checked_sub(1), Some(slot)].into_iter().flatten() {
            let above = self.page(parent);
            if left + 1 >= above.len() {
                continue;
            }
            let (one, two) = (above.child(left), above.child(left + 1));
            if self.page(one.page).used() + self.page(two.page).used() > Page::CAPACITY {
                continue;
            }
            let right = std::mem::replace(self.page_mut(two.page), Page::new(true));
            let merged = self.page_mut(one.page);
            merged.append(&right, 0);
            let (is_leaf, length) = (merged.is_leaf(), merged.len());
            self.note_width(is_leaf, length);
            self.free.push(two.page);
            self.page_mut(parent).set_rows(left, one.rows + two.rows);
            self.page_mut(parent).remove(left + 1);
            return;
        }
    }

    /// The number of pairs before this one, whether it is there or not.
    pub fn rank(&self, key: &[u8], row: u64) -> u64 {
        let (path, leaf) = self.path(key, row);
        let before = |(page, slot): (u32, usize)| (0..slot).map(|slot| self.page(page).child(slot).rows).sum::<u64>();
        let own = self.page(leaf).search(key, row).unwrap_or_else(|place| place);
        path.into_iter().map(before).sum::<u64>() + own as u64
    }

    /// The number of pairs whose key is at most this one.
    pub fn rank_through(&self, key: &[u8]) -> u64 {
        self.rank(key, u64::MAX) + u64::from(self.contains(key, u64::MAX))
    }

    /// The leaf and the slot of the pair of this rank, which must be below [`Tree::len`].
    #[inline]
    pub(super) fn locate(&self, mut rank: u64) -> (u32, usize) {
        let mut at = self.root;
        loop {
            let page = self.page(at);
            if page.is_leaf() {
                return (at, rank as usize);
            }
            let mut slot = 0;
            let mut child = page.child(slot);
            while rank >= child.rows {
                rank -= child.rows;
                slot += 1;
                child = page.child(slot);
            }
            at = child.page;
        }
    }

    /// That pages form a tree of this height with these rows, in order, each page once.
    pub(super) fn check(&self) -> Result<()> {
        let mut met = vec![false; self.pages.len()];
        for page in &self.free {
            meet(&mut met, *page)?;
        }
        if self.check_below(self.root, self.height, None, None, &mut met)? != self.rows || met.contains(&false) {
            return Err(wrong("of an index has lost rows or pages"));
        }
        Ok(())
    }

    /// Checks a page at `level` (1 for leaves) whose entries are at least `low` and below `high`; its rows.
    fn check_below(
        &self,
        page: u32,
        level: usize,
        low: Option<(&[u8], u64)>,
        high: Option<(&[u8], u64)>,
        met: &mut [bool],
    ) -> Result<u64> {
        meet(met, page)?;
        let page = self.page(page);
        let entries: Vec<_> = (0..page.len()).map(|slot| page.entry(slot)).collect();
        // The least key of an inner page's first child is not looked at.
        let looked_at = &entries[usize::from(!page.is_leaf()).min(entries.len())..];
        let in_order = looked_at.is_sorted_by(|a, b| a < b)
            && looked_at.first().is_none_or(|first| low.is_none_or(|low| low <= *first))
            && looked_at.last().is_none_or(|last| high.is_none_or(|high| *last < high));
        let sized = page.len() <= self.widest(page.is_leaf()) && (page.is_leaf() || !entries.is_empty());
        if page.is_leaf() != (level == 1) || !in_order || !sized {
            return Err(wrong("of an index is not in order"));
        }
        let mut rows = if page.is_leaf() { page.len() as u64 } else { 0 };
        for slot in 0..if page.is_leaf() { 0 } else { page.len() } {
            let (child, low) = (page.child(slot), if slot == 0 { low } else { Some(entries[slot]) });
            let next = entries.get(slot + 1).copied().or(high);
            if self.check_below(child.page, level - 1, low, next, met)? != child.rows {
                return Err(wrong("of an index counts its rows wrong"));
            }
            rows += child.rows;
        }
        Ok(rows)
    }
}

/// Notes that a page was met, for the first time.
fn meet(met: &mut [bool], page: u32) -> Result<()> {
    match met.get_mut(page as usize) {
        Some(met) if !*met => {
            *met = true;
            Ok(())
        }
        _ => Err(wrong("of an index uses a page twice, or one that it has not")),
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
