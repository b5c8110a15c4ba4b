//! The stream summary: counters in order of their counts, where adding 1 takes constant time.
//!
//! Metwally, Agrawal and El Abbadi 2005, "Efficient computation of frequent and top-k elements in data streams": counters of
//! the same count hang in one bucket, and the buckets are a list in ascending order.

/// No counter or bucket.
const NONE: u32 = u32::MAX;

/// A counter's place in the list of its bucket.
#[derive(Debug, Clone, Copy)]
struct Link {
    bucket: u32,
    before: u32,
    after: u32,
}

/// All counters of one count.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    count: u64,
    first: u32,
    below: u32,
    above: u32,
}

/// Counters 0, 1, 2 … and their counts.
#[derive(Debug, Clone)]
pub(super) struct StreamSummary {
    links: Vec<Link>,
    buckets: Vec<Bucket>,
    free: Vec<u32>,
    lowest: u32,
}

impl Default for StreamSummary {
    fn default() -> Self {
        StreamSummary { links: Vec::new(), buckets: Vec::new(), free: Vec::new(), lowest: NONE }
    }
}

impl StreamSummary {
    /// The count of a counter.
    pub(super) fn count(&self, counter: usize) -> u64 {
        self.buckets[self.links[counter].bucket as usize].count
    }

    /// A counter with the lowest count, if there is one.
    pub(super) fn lowest(&self) -> Option<usize> {
        (self.lowest != NONE).then(|| self.buckets[self.lowest as usize].first as usize)
    }

    /// Adds a counter with this count; its number is the next one.
    pub(super) fn push(&mut self, count: u64) {
        let counter = self.links.len() as u32;
        self.links.push(Link { bucket: NONE, before: NONE, after: NONE });
        let below = self.find_below(NONE, count);
        self.hang(counter, below, count);
    }

    /// Adds to the count of a counter.
    pub(super) fn add(&mut self, counter: usize, weight: u64) {
        let bucket = self.links[counter].bucket;
        let Bucket { count, above, .. } = self.buckets[bucket as usize];
        let count = count.saturating_add(weight);
        let alone = self.links[counter].before == NONE && self.links[counter].after == NONE;
        if alone && (above == NONE || self.buckets[above as usize].count > count) {
            self.buckets[bucket as usize].count = count;
            return;
        }
        let below = self.find_below(bucket, count);
        self.unhang(counter as u32);
        // Only if the counter was alone is its bucket gone, and then the one below took its place.
        let below = if alone && below == bucket { self.buckets[bucket as usize].below } else { below };
        self.hang(counter as u32, below, count);
    }

    /// The last bucket whose count is below this one, looking upwards from a bucket, or from the bottom.
    fn find_below(&self, from: u32, count: u64) -> u32 {
        let (mut below, mut next) = match from {
            NONE => (NONE, self.lowest),
            from => (from, self.buckets[from as usize].above),
        };
        while next != NONE && self.buckets[next as usize].count < count {
            (below, next) = (next, self.buckets[next as usize].above);
        }
        below
    }

    /// Hangs a counter into the bucket of this count, which lies right above `below` or has to be made there.
    fn hang(&mut self, counter: u32, below: u32, count: u64) {
        let above = if below == NONE { self.lowest } else { self.buckets[below as usize].above };
        let bucket = match above {
            above if above != NONE && self.buckets[above as usize].count == count => above,
            above => self.make_bucket(count, below, above),
        };
        let first = self.buckets[bucket as usize].first;
        if first != NONE {
            self.links[first as usize].before = counter;
        }
        self.links[counter as usize] = Link { bucket, before: NONE, after: first };
        self.buckets[bucket as usize].first = counter;
    }

    fn make_bucket(&mut self, count: u64, below: u32, above: u32) -> u32 {
        let made = Bucket { count, first: NONE, below, above };
        let bucket = match self.free.pop() {
            Some(bucket) => {
                self.buckets[bucket as usize] = made;
                bucket
            }
            None => {
                self.buckets.push(made);
                self.buckets.len() as u32 - 1
            }
        };
        self.join(below, bucket);
        self.join(bucket, above);
        bucket
    }

    /// Makes two buckets neighbours; either may be none.
    fn join(&mut self, below: u32, above: u32) {
        match below {
            NONE => self.lowest = above,
            below => self.buckets[below as usize].above = above,
        }
        if above != NONE {
            self.buckets[above as usize].below = below;
        }
    }

    /// Takes a counter from its bucket, and the bucket away if it is empty.
    fn unhang(&mut self, counter: u32) {
        let Link { bucket, before, after } = self.links[counter as usize];
        match before {
            NONE => self.buckets[bucket as usize].first = after,
            before => self.links[before as usize].after = after,
        }
        if after != NONE {
            self.links[after as usize].before = before;
        }
        if self.buckets[bucket as usize].first == NONE {
            let Bucket { below, above, .. } = self.buckets[bucket as usize];
            self.join(below, above);
            self.free.push(bucket);
        }
    }

    /// How many bytes it holds beside itself.
    pub(super) fn bytes(&self) -> usize {
        self.links.capacity() * size_of::<Link>()
            + self.buckets.capacity() * size_of::<Bucket>()
            + self.free.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::StreamSummary;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_and_finds_the_lowest(steps in prop::collection::vec((0usize..12, 1u64..5), 1..200)) {
            let (mut summary, mut model) = (StreamSummary::default(), Vec::new());
            prop_assert_eq!(summary.lowest(), None);
            for (counter, weight) in steps {
                if counter < model.len() {
                    summary.add(counter, weight);
                    model[counter] += weight;
                } else {
                    summary.push(weight);
                    model.push(weight);
                }
                let lowest = summary.lowest().expect("there is a counter");
                prop_assert_eq!(model[lowest], *model.iter().min().unwrap());
                let counts: Vec<u64> = (0..model.len()).map(|counter| summary.count(counter)).collect();
                prop_assert_eq!(&counts, &model);
            }
        }
    }
}
