//! The index of a block of text: where plain text stops and where lines end, as bit masks.

use crate::simd::{self, Out, STEP, Stops};

/// Two bits for every byte of a block, made in one vectorised pass.
///
/// A sentinel bit stands after the last byte in both masks, so that a search always ends.
#[derive(Debug, Default)]
pub(crate) struct Index {
    stops: Vec<u64>,
    newlines: Vec<u64>,
    /// Bytes that are not ASCII.
    high: Vec<u64>,
    ascii: bool,
}

/// Where a line or a record begins in its block, and where it ends.
pub(crate) type Extent = (u32, u32);

/// Words that a search looks at besides the first.
const WORDS_AHEAD: usize = 2;

impl Index {
    /// Indexes `block`, whose length must stay below 4 GiB.
    pub(crate) fn build(&mut self, block: &[u8], set: Stops) {
        let (steps, tail) = block.as_chunks::<STEP>();
        let whole = steps.len();
        for mask in [&mut self.stops, &mut self.newlines, &mut self.high] {
            mask.resize(whole + 1, 0);
        }
        // The padding of the last step counts as plain text; the sentinel lies over it.
        let mut last = [b'~'; STEP];
        last[..tail.len()].copy_from_slice(tail);
        let (stops, newlines, high) = (&mut self.stops, &mut self.newlines, &mut self.high);
        let (of_stops, of_newlines, of_high) =
            (stops.split_at_mut(whole), newlines.split_at_mut(whole), high.split_at_mut(whole));
        let ascii = simd::classify(steps, set, Out { stops: of_stops.0, newlines: of_newlines.0, high: of_high.0 });
        let out = Out { stops: of_stops.1, newlines: of_newlines.1, high: of_high.1 };
        self.ascii = ascii & simd::classify_portable(&[last], set, out);
        let sentinel = 1 << tail.len();
        for mask in [stops, newlines] {
            mask[whole] = mask[whole] & (sentinel - 1) | sentinel;
            // More words, so that a search may look at several at once wherever it begins.
            mask.extend([1; WORDS_AHEAD]);
        }
    }

    /// Whether all bytes are ASCII (and so no UTF-8 needs to be validated).
    pub(crate) fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// The first stop at or after `position`, or the block's length.
    #[inline]
    pub(crate) fn next_stop(&self, position: usize) -> usize {
        next(&self.stops, position)
    }

    /// The first newline at or after `position`, or the block's length.
    #[inline]
    pub(crate) fn next_newline(&self, position: usize) -> usize {
        next(&self.newlines, position)
    }
}

/// The first set bit at or after `position`. The next 128 bits are searched without a branch: how long a value is
/// cannot be predicted, and a wrong prediction costs more than the search.
#[inline]
fn next(mask: &[u64], position: usize) -> usize {
    let (word, bit) = (position / 64, position % 64);
    let words = &mask[word..word + 1 + WORDS_AHEAD];
    let near = words[0] >> bit | (words[1] << 1) << (63 - bit);
    let far = words[1] >> bit | (words[2] << 1) << (63 - bit);
    if near | far == 0 {
        return next_far(mask, word + 1);
    }
    let beyond = if near == 0 { far.trailing_zeros() } else { 0 };
    position + (near.trailing_zeros() + beyond) as usize
}

/// The search goes on word by word; the sentinel ends it.
#[cold]
fn next_far(mask: &[u64], from: usize) -> usize {
    let skipped = mask[from..].iter().take_while(|word| **word == 0).count();
    let word = from + skipped;
    word * 64 + mask[word].trailing_zeros() as usize
}

impl Index {
    /// Where each line of the first `length` bytes begins, and where it ends, not counting its newline.
    pub(crate) fn lines(&self, length: usize, lines: &mut Vec<Extent>) {
        lines.clear();
        let mut start = 0;
        for (at, word) in self.newlines.iter().enumerate() {
            let mut newlines = *word;
            while newlines != 0 {
                let end = (at * 64) as u32 + newlines.trailing_zeros();
                lines.push((start, end));
                start = end + 1;
                newlines &= newlines - 1;
            }
        }
        // What follows the last newline is no line unless there is something; the sentinels are none at all.
        while lines.last().is_some_and(|(start, _)| *start as usize >= length) {
            lines.pop();
        }
    }

    /// As [`Index::build`] for a block of records with other bytes between them, which count for nothing. False if a
    /// newline stands within a record: it would end a line.
    pub(crate) fn build_records(&mut self, block: &[u8], set: Stops, records: &[Extent]) -> bool {
        self.build(block, set);
        let (mut newlines, mut high) = (0, 0);
        for (start, end) in records {
            newlines |= any_within(&self.newlines, *start as usize, *end as usize);
            high |= any_within(&self.high, *start as usize, *end as usize);
        }
        self.ascii = high == 0;
        newlines == 0
    }
}

/// Not zero if a bit is set from `start` on and before `end`, which is greater.
#[inline]
fn any_within(mask: &[u64], start: usize, end: usize) -> u64 {
    let (first, last) = (start / 64, (end - 1) / 64);
    let (from_start, to_end) = (u64::MAX << (start % 64), u64::MAX >> (63 - (end - 1) % 64));
    match &mask[first..=last] {
        [] => 0,
        [only] => only & from_start & to_end,
        [first, between @ .., last] => {
            let between = between.iter().fold(0, |any, word| any | word);
            first & from_start | between | last & to_end
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_within_are_found(words in proptest::collection::vec(prop_oneof![3 => Just(0), 1 => any::<u64>()], 4), start in 0usize..256, end in 1usize..257) {
            prop_assume!(start < end);
            let plainly = (start..end).any(|at| words[at / 64] >> (at % 64) & 1 == 1);
            prop_assert_eq!(any_within(&words, start, end) != 0, plainly);
        }

        #[test]
        fn finds_what_a_plain_search_finds(block in proptest::collection::vec(prop_oneof![8 => Just(b'a'), 1 => Just(b'"'), 1 => Just(b'\n')], 0..300)) {
            let mut index = Index::default();
            index.build(&block, Stops::JSON);
            prop_assert!(index.is_ascii());
            for from in 0..=block.len() {
                let stop = block[from..].iter().position(|b| *b != b'a').map_or(block.len(), |at| from + at);
                let newline = block[from..].iter().position(|b| *b == b'\n').map_or(block.len(), |at| from + at);
                prop_assert_eq!(index.next_stop(from), stop);
                prop_assert_eq!(index.next_newline(from), newline);
            }
            let mut lines = vec![];
            index.lines(block.len(), &mut lines);
            let found: Vec<_> = lines.iter().map(|(start, end)| &block[*start as usize..*end as usize]).collect();
            let mut split: Vec<_> = block.split(|byte| *byte == b'\n').collect();
            // What follows the last newline is no line unless there is something.
            split.pop_if(|line| line.is_empty());
            prop_assert_eq!(found, split);
        }
    }
}
