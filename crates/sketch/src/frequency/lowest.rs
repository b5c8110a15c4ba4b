//! Which of many counters is the lowest, where hardly any look at it: a heap that learns of a count only when it comes to the top.
//!
//! Counts only grow, so a heap with counts of the past has a lower bound for each counter. The top is the lowest counter once its
//! count is up to date; if it is not, it takes its place anew. Each such step pays for an addition that cost the heap nothing.

/// Counters and the counts that they had when they were last looked at; the lowest is the first.
#[derive(Debug, Clone, Default)]
pub(super) struct Lowest {
    heap: Vec<(u64, u32)>,
}

impl Lowest {
    /// Whether it knows no counters.
    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Knows counters 0, 1, 2 … by their counts. `below` orders counters of the same count.
    pub(super) fn fill(&mut self, counts: impl Iterator<Item = u64>, below: impl Fn(u32, u32) -> bool) {
        self.heap = counts.zip(0..).collect();
        (0..self.heap.len() / 2).rev().for_each(|at| self.sink(at, &below));
    }

    /// The lowest counter, where `count` tells what a counter counts now; none if there is none.
    #[inline]
    pub(super) fn find(&mut self, count: impl Fn(u32) -> u64, below: impl Fn(u32, u32) -> bool) -> Option<u32> {
        loop {
            let (known, counter) = *self.heap.first()?;
            let now = count(counter);
            if now == known {
                return Some(counter);
            }
            self.heap[0].0 = now;
            self.sink(0, &below);
        }
    }

    /// Moves an entry down to where none below it is lower.
    #[inline]
    fn sink(&mut self, mut at: usize, below: &impl Fn(u32, u32) -> bool) {
        let lower = |a: (u64, u32), b: (u64, u32)| a.0 < b.0 || (a.0 == b.0 && below(a.1, b.1));
        let entry = self.heap[at];
        loop {
            let left = 2 * at + 1;
            let Some(mut child) = self.heap.get(left).copied() else { break };
            let mut place = left;
            if let Some(right) = self.heap.get(left + 1).copied().filter(|right| lower(*right, child)) {
                (child, place) = (right, left + 1);
            }
            if !lower(child, entry) {
                break;
            }
            self.heap[at] = child;
            at = place;
        }
        self.heap[at] = entry;
    }

    /// How many bytes it holds beside itself.
    pub(super) fn bytes(&self) -> usize {
        self.heap.capacity() * size_of::<(u64, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::Lowest;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_the_lowest(mut counts in prop::collection::vec(0u64..5, 1..40), steps in prop::collection::vec((0usize..40, 0u64..4), 0..200)) {
            let mut lowest = Lowest::default();
            prop_assert_eq!(lowest.find(|_| 0, |a, b| a < b), None);
            lowest.fill(counts.iter().copied(), |a, b| a < b);
            for (counter, weight) in steps {
                let counter = counter % counts.len();
                counts[counter] += weight;
                let found = lowest.find(|counter| counts[counter as usize], |a, b| a < b).expect("there are counters");
                let expected = counts.iter().zip(0u32..).min().expect("there are counters").1;
                prop_assert_eq!(found, expected);
            }
        }
    }
}
