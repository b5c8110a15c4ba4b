//! Nexmark: the events of an auction site, persons, auctions and bids as 1 : 3 : 46.
//!
//! The field's common benchmark (Tucker, Tufte, Papadimos and Maier, "NEXMark – A Benchmark for Queries over Data
//! Streams", 2002), after the generator of nexmark-flink. Every event has random numbers of its own, seeded by
//! (seed, number): any range can be made again, and events out of order are a permutation of those in order.
//!
//! ```
//! use fleuve_connect::nexmark::{EventOptions, write_json};
//!
//! let mut lines = Vec::new();
//! write_json(100, &EventOptions::default(), &mut lines).expect("a Vec takes everything");
//! assert!(lines.starts_with(b"{\"event_type\":0,\"person\":{\"id\":1000,"));
//! ```

mod generator;
mod random;
mod source;
mod timestamp;

pub use generator::Generator;
pub(crate) use source::NexmarkSource;

use std::io::{self, Write};

/// Events of which one is a person, three are auctions and the rest are bids.
const EVENTS_PER_PERSON: i64 = 50;
const PERSONS: i64 = 1;
const AUCTIONS: i64 = 3;

const FIRST_PERSON_ID: i64 = 1000;
const FIRST_AUCTION_ID: i64 = 1000;
const FIRST_CATEGORY_ID: i64 = 10;

/// Of so many successive sellers, auctions or bidders one is hot.
const HOT_RATIO: i64 = 100;

/// Auctions that are open at a time, and persons who are active.
const IN_FLIGHT_AUCTIONS: i64 = 100;
const ACTIVE_PERSONS: i64 = 1000;

/// What decides the events.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventOptions {
    /// Seed of all random numbers.
    pub seed: u64,
    /// Events in a second of event time.
    pub rate: f64,
    /// Event time of event 0, in ms since 1970 (UTC).
    pub base_ms: i64,
    /// Events are shuffled inside groups of so many; 1 keeps them in order.
    pub group: u64,
}

impl Default for EventOptions {
    fn default() -> Self {
        EventOptions { seed: 42, rate: 10_000.0, base_ms: 1_436_918_400_000, group: 1 }
    }
}

/// Bytes that are made before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// Writes the first `events` events as JSON lines.
pub fn write_json(events: u64, options: &EventOptions, out: &mut impl Write) -> io::Result<()> {
    let mut generator = Generator::new(options, Some(events));
    let mut lines = Vec::with_capacity(WRITE_BYTES + (WRITE_BYTES >> 3));
    for place in 0..events {
        generator.write_event(place, &mut lines);
        if lines.len() >= WRITE_BYTES {
            out.write_all(&lines)?;
            lines.clear();
        }
    }
    out.write_all(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn digest(lines: &[u8]) -> String {
        Sha256::digest(lines).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn lines(events: u64, options: &EventOptions) -> Vec<u8> {
        let mut lines = Vec::new();
        write_json(events, options, &mut lines).expect("a Vec takes everything");
        lines
    }

    #[test]
    fn the_sparse_set_has_its_published_bytes() {
        let sparse = lines(200_000, &EventOptions { rate: 2.0, ..EventOptions::default() });
        assert_eq!(digest(&sparse), "1681fd7b8ddddc3f1050ef7df30b78d6b697d58c18119fecb3e330ced8d4015f");
    }

    #[test]
    fn disorder_is_a_permutation() {
        let options = EventOptions { rate: 100.0, ..EventOptions::default() };
        let ordered = lines(10_007, &options);
        let shuffled = lines(10_007, &EventOptions { group: 100, ..options });
        assert_ne!(ordered, shuffled);
        let sorted = |lines: &[u8]| {
            let mut lines: Vec<Vec<u8>> = lines.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&ordered), sorted(&shuffled));
    }

    #[test]
    fn a_range_made_alone_is_the_same() {
        let options = EventOptions::default();
        let (mut generator, mut alone) = (Generator::new(&options, None), Vec::new());
        (500..600).for_each(|place| generator.write_event(place, &mut alone));
        assert!(lines(600, &options).ends_with(&alone));
    }
}
