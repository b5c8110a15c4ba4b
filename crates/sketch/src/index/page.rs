//! One page of a B+-tree: cells that grow from its end, and the order of them at its beginning.
//!
//! `docs/internals/index-pages.md` draws the layout.

use std::cmp::Ordering;

use fleuve_base::Result;

use crate::stored::wrong;

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;

/// Bytes of the longest key: seven of the longest cells fit a page, so that halves of a page always have room for one.
pub const KEY_BYTES_MAX: usize = 512;

/// Bytes before the slots.
const HEADER: usize = 16;

const LEAF: u8 = 1;
const INNER: u8 = 2;

/// A page of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    bytes: Box<[u8; PAGE_BYTES]>,
}

/// What an inner page knows of a child; nothing (0, 0) in a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Child {
    /// Its number.
    pub page: u32,
    /// The rows below it.
    pub rows: u64,
}

impl Page {
    /// A page without entries.
    pub fn new(is_leaf: bool) -> Self {
        let mut page = Page { bytes: Box::new([0; PAGE_BYTES]) };
        page.bytes[0] = if is_leaf { LEAF } else { INNER };
        page.put_u16(4, PAGE_BYTES);
        page
    }

    /// The page as it is stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..]
    }

    /// Whether its entries are keys of rows, not children.
    #[inline]
    pub fn is_leaf(&self) -> bool {
        self.bytes[0] == LEAF
    }

    /// The number of entries or children.
    #[inline]
    pub fn len(&self) -> usize {
        self.u16(2)
    }

    /// Where the lowest cell begins.
    fn heap(&self) -> usize {
        self.u16(4)
    }

    /// Bytes of removed cells above that.
    fn holes(&self) -> usize {
        self.u16(6)
    }

    /// Bytes of slots and cells.
    pub fn used(&self) -> usize {
        2 * self.len() + PAGE_BYTES - self.heap() - self.holes()
    }

    /// Bytes that slots and cells may take.
    pub const CAPACITY: usize = PAGE_BYTES - HEADER;

    #[inline]
    fn u16(&self, at: usize) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]))
    }

    fn put_u16(&mut self, at: usize, value: usize) {
        self.bytes[at..at + 2].copy_from_slice(&(value as u16).to_le_bytes());
    }

    #[inline]
    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().expect("a range of 8 bytes"))
    }

    /// Where the cell of a slot begins.
    #[inline]
    fn cell(&self, slot: usize) -> usize {
        self.u16(HEADER + 2 * slot)
    }

    /// Bytes of a cell before the length of its key.
    #[inline]
    fn prefix(&self) -> usize {
        if self.is_leaf() { 0 } else { 12 }
    }

    fn cell_bytes(&self, key: &[u8]) -> usize {
        self.prefix() + 2 + key.len() + 8
    }

    /// The key and the row of a slot; in an inner page, the least that its child may hold.
    #[inline]
    pub fn entry(&self, slot: usize) -> (&[u8], u64) {
        let at = self.cell(slot) + self.prefix();
        let end = at + 2 + self.u16(at);
        (&self.bytes[at + 2..end], self.u64(end))
    }

    /// The child of a slot of an inner page.
    #[inline]
    pub fn child(&self, slot: usize) -> Child {
        if self.is_leaf() {
            return Child::default();
        }
        let at = self.cell(slot);
        let page = u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("a range of 4 bytes"));
        Child { page, rows: self.u64(at + 4) }
    }

    /// Sets how many rows a child has.
    pub fn set_rows(&mut self, slot: usize, rows: u64) {
        let at = self.cell(slot) + 4;
        self.bytes[at..at + 8].copy_from_slice(&rows.to_le_bytes());
    }

    /// The rows of this page or below it.
    pub fn rows(&self) -> u64 {
        if self.is_leaf() { self.len() as u64 } else { (0..self.len()).map(|slot| self.child(slot).rows).sum() }
    }

    /// The slot of an entry, or where it would be.
    pub fn search(&self, key: &[u8], row: u64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            let (own_key, own_row) = self.entry(middle);
            match own_key.cmp(key).then(own_row.cmp(&row)) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// The slot of the child that an entry belongs to.
    pub fn child_slot(&self, key: &[u8], row: u64) -> usize {
        self.search(key, row).unwrap_or_else(|place| place.saturating_sub(1))
    }

    /// Inserts a cell before `slot`; false, and nothing done, where there is no room.
    pub fn insert(&mut self, slot: usize, child: Child, key: &[u8], row: u64) -> bool {
        let bytes = self.cell_bytes(key);
        if self.used() + bytes + 2 > Self::CAPACITY {
            return false;
        }
        if self.heap() < HEADER + 2 * self.len() + 2 + bytes {
            self.compact();
        }
        let (length, start) = (self.len(), self.heap() - bytes);
        let mut at = start;
        let mut put = |part: &[u8]| {
            self.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        if bytes > 2 + key.len() + 8 {
            put(&child.page.to_le_bytes());
            put(&child.rows.to_le_bytes());
        }
        put(&(key.len() as u16).to_le_bytes());
        put(key);
        put(&row.to_le_bytes());
        let slots = HEADER + 2 * slot..HEADER + 2 * length;
        self.bytes.copy_within(slots, HEADER + 2 * slot + 2);
        self.put_u16(HEADER + 2 * slot, start);
        self.put_u16(2, length + 1);
        self.put_u16(4, start);
        true
    }

    /// Removes the cell of a slot.
    pub fn remove(&mut self, slot: usize) {
        let bytes = self.cell_bytes(self.entry(slot).0);
        let length = self.len();
        self.bytes.copy_within(HEADER + 2 * slot + 2..HEADER + 2 * length, HEADER + 2 * slot);
        self.put_u16(2, length - 1);
        self.put_u16(6, self.holes() + bytes);
    }

    fn compact(&mut self) {
        let mut fresh = Page::new(self.is_leaf());
        fresh.append(self, 0);
        *self = fresh;
    }

    /// Appends the other page's cells from a slot on, which must fit.
    pub fn append(&mut self, other: &Page, from: usize) {
        for slot in from..other.len() {
            let (key, row) = other.entry(slot);
            let fits = self.insert(self.len(), other.child(slot), key, row);
            assert!(fits, "cells of one page, or of two that were measured, fit one");
        }
    }

    /// Moves the cells from a slot on to a new page.
    pub fn split_off(&mut self, slot: usize) -> Page {
        let mut right = Page::new(self.is_leaf());
        right.append(self, slot);
        while self.len() > slot {
            self.remove(self.len() - 1);
        }
        right
    }

    /// The slot from which on the cells take half of the bytes in use.
    pub fn middle(&self) -> usize {
        let (half, mut bytes) = (self.used() / 2, 0);
        let slot = (0..self.len()).find(|slot| {
            bytes += 2 + self.cell_bytes(self.entry(*slot).0);
            bytes >= half
        });
        slot.unwrap_or(0) + 1
    }

    /// A page from stored bytes: every cell is looked at, none believed.
    pub fn from_stored(bytes: &[u8]) -> Result<Page> {
        let raw: &[u8; PAGE_BYTES] = bytes.try_into().map_err(|_| wrong("has a page of another size"))?;
        let stored = Page { bytes: Box::new(*raw) };
        let sound = matches!(raw[0], LEAF | INNER) && stored.len() <= Self::CAPACITY / 2;
        if !sound || (0..stored.len()).any(|slot| !stored.is_cell(slot)) {
            return Err(wrong("has a damaged page"));
        }
        let mut page = Page::new(stored.is_leaf());
        for slot in 0..stored.len() {
            let (key, row) = stored.entry(slot);
            if !page.insert(slot, stored.child(slot), key, row) {
                return Err(wrong("has a page with more than fits"));
            }
        }
        Ok(page)
    }

    /// Whether the slot's cell lies within the page.
    fn is_cell(&self, slot: usize) -> bool {
        let at = self.cell(slot) + self.prefix();
        at + 2 <= PAGE_BYTES && self.u16(at) <= KEY_BYTES_MAX && at + 2 + self.u16(at) + 8 <= PAGE_BYTES
    }
}
