//! The stored forms of the tree: all of it in one piece, or a header and its pages one by one.

use fleuve_base::Result;

use super::Tree;
use super::page::{PAGE_BYTES, Page};
use super::tree::{HEIGHT_MAX, PAGES_MAX};
use crate::stored::{Reader, Stored, write_items, wrong};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'I', 1);

/// The pages that have changed, each once.
#[derive(Debug, Clone, Default)]
pub(super) struct Changed {
    pages: Vec<u32>,
    is_noted: Vec<bool>,
}

impl Changed {
    /// Notes that a page was changed.
    #[inline]
    pub fn note(&mut self, page: u32) {
        if self.is_noted.len() <= page as usize {
            self.is_noted.resize(page as usize + 1, false);
        }
        if !std::mem::replace(&mut self.is_noted[page as usize], true) {
            self.pages.push(page);
        }
    }

    fn clear(&mut self) {
        self.pages.iter().for_each(|page| self.is_noted[*page as usize] = false);
        self.pages.clear();
    }
}

impl Tree {
    /// The numbers of the pages that have changed since the list was last cleared (at first, all have), in no order. They
    /// and the header as it is now turn what was stored of the tree then into what it is.
    pub fn changed(&self) -> &[u32] {
        &self.changed.pages
    }

    /// Notes that all pages are stored as they are.
    pub fn clear_changed(&mut self) {
        self.changed.clear();
    }

    /// A page as it is stored.
    pub fn page_bytes(&self, page: u32) -> Option<&[u8]> {
        self.pages.get(page as usize).map(Page::bytes)
    }

    /// The stored form without the pages, whose number stands at its end.
    pub fn header(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1];
        [self.rows, self.height as u64].iter().for_each(|number| number.write(&mut out));
        self.widest.iter().for_each(|width| (*width as u64).write(&mut out));
        self.root.write(&mut out);
        write_items(self.free.iter(), &mut out);
        (self.pages.len() as u64).write(&mut out);
        out
    }

    /// The stored form: all pages.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.header();
        self.pages.iter().for_each(|page| out.extend_from_slice(page.bytes()));
        out
    }

    /// What [`Tree::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not a tree: order, counts and the shape are checked.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let (mut tree, count) = Tree::of_header(&mut from)?;
        let pages = (0..count).map(|_| Page::from_stored(from.take(PAGE_BYTES)?));
        tree.pages = pages.collect::<Result<_>>()?;
        from.finish()?;
        tree.check()?;
        Ok(tree)
    }

    /// The tree of a header and the pages that belong to it, by number.
    ///
    /// # Errors
    /// Corrupt, if a page is missing, or they are not a tree: order, counts and the shape are checked.
    pub fn from_pages<'a>(header: &[u8], page: impl Fn(u32) -> Option<&'a [u8]>) -> Result<Self> {
        let mut from = Reader::new(header, KIND.0, KIND.1)?;
        let (mut tree, count) = Tree::of_header(&mut from)?;
        from.finish()?;
        let stored = |number| page(number).ok_or_else(|| wrong("of an index lacks a page"));
        let pages = (0..count as u32).map(|number| Page::from_stored(stored(number)?));
        tree.pages = pages.collect::<Result<_>>()?;
        tree.check()?;
        Ok(tree)
    }

    /// A tree whose pages are still to come, and their number.
    fn of_header(from: &mut Reader<'_>) -> Result<(Self, usize)> {
        let (rows, height) = (u64::read(from)?, u64::read(from)? as usize);
        let widest = [u64::read(from)? as usize, u64::read(from)? as usize];
        let root = u32::read(from)?;
        let free: Vec<u32> = from.items(PAGES_MAX)?;
        let count = u64::read(from)? as usize;
        if count > PAGES_MAX {
            return Err(wrong("of an index counts too many pages"));
        }
        if !(1..=HEIGHT_MAX).contains(&height) {
            return Err(wrong("of an index has too many levels"));
        }
        let (pages, changed) = (vec![], Changed::default());
        Ok((Tree { pages, free, root, height, rows, changes: 0, widest, changed }, count))
    }
}
