//! A segment's file name, and what it says about the batches in it.
//!
//! ```text
//! 00000000000000000042.log              dense: every offset from 42 up to the next segment's base is there
//! 00000000000000000042-97-5120-3.log    compacted: what is left of the offsets 42 to 96, in 5120 bytes, by compaction 3
//! 00000000000000000042-97-5120-3p.log   the same, but keys may still occur more than once
//! ```
//!
//! The name is the only mark that a segment is compacted: a rename makes it so, whole or not at all. A compacted
//! segment replaces all of an older compaction, and all dense ones, that begin in its range.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fleuve_record::{Attributes, BatchHeader};

/// Which offsets a segment covers, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentName {
    pub(crate) base_offset: u64,
    pub(crate) compacted: Option<Compacted>,
}

/// What the name of a compacted segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compacted {
    /// The next segment's base.
    pub(crate) end_offset: u64,
    /// Length of the file.
    pub(crate) bytes: u64,
    /// Number of the compaction; a later one has a greater number.
    pub(crate) generation: u64,
    /// Whether all keys were looked at.
    pub(crate) complete: bool,
}

impl SegmentName {
    /// Of a dense segment.
    pub(crate) fn dense(base_offset: u64) -> Self {
        SegmentName { base_offset, compacted: None }
    }

    /// From a file's name; `None` if it is no segment's.
    pub(crate) fn parse(file_name: &str) -> Option<Self> {
        let stem = file_name.strip_suffix(".log")?;
        let Some((base, rest)) = stem.split_once('-') else { return Some(Self::dense(stem.parse().ok()?)) };
        let mut fields = rest.splitn(3, '-');
        let (end_offset, bytes) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let generation = fields.next()?;
        let complete = !generation.ends_with('p');
        let generation = generation.trim_end_matches('p').parse().ok()?;
        let compacted = Some(Compacted { end_offset, bytes, generation, complete });
        Some(SegmentName { base_offset: base.parse().ok()?, compacted })
    }

    pub(crate) fn path(&self, directory: &Path) -> PathBuf {
        let base = self.base_offset;
        directory.join(match self.compacted {
            None => format!("{base:020}.log"),
            Some(Compacted { end_offset, bytes, generation, complete }) => {
                format!("{base:020}-{end_offset}-{bytes}-{generation}{}.log", if complete { "" } else { "p" })
            }
        })
    }

    /// Why this batch cannot follow in a segment of this name where `expected` is the next offset, beyond the
    /// header's own rules: the leader epoch, which no checksum covers, is 0, and offsets are dense; in compacted
    /// segments they rise, and the base offset, which no checksum covers either, fits its check.
    pub(crate) fn check(&self, header: &BatchHeader, expected: u64) -> Result<(), String> {
        let (base, before) = (header.base_offset as u64, expected.wrapping_sub(1));
        if header.leader_epoch != 0 {
            return Err(format!("a record batch has the leader epoch {} instead of 0", header.leader_epoch));
        }
        let (records, offsets) = (i64::from(header.record_count), i64::from(header.last_offset_delta) + 1);
        let check = header.attributes.0 & Attributes::OFFSET_CHECK;
        let Some(compacted) = self.compacted else {
            return match () {
                () if base != expected => Err(format!("offset {before} is followed by {base}")),
                () if records != offsets => Err(format!("a record batch has {records} records for {offsets} offsets")),
                () => Ok(()),
            };
        };
        if base < expected || header.next_offset() as u64 > compacted.end_offset {
            return Err(format!("offset {before} is followed by {base} in a segment up to {}", compacted.end_offset));
        }
        if check != Attributes::check_of(header.base_offset) {
            return Err(format!("a record batch has the offset {base}, which does not fit its check"));
        }
        if !(1..=offsets).contains(&records) {
            return Err(format!("a record batch has {records} records for {offsets} offsets"));
        }
        Ok(())
    }
}

/// Sorts out the segments that hold, by offset, and those that a compaction has replaced (crash point C12).
pub(crate) fn sort_out(mut names: Vec<SegmentName>) -> (Vec<SegmentName>, Vec<SegmentName>) {
    names.sort_by_key(|name| std::cmp::Reverse(name.compacted.map_or(0, |compacted| compacted.generation)));
    let mut ranges = BTreeMap::new();
    let (mut live, mut replaced) = (Vec::new(), Vec::new());
    for name in names {
        let before = ranges.range(..=name.base_offset).next_back();
        if before.is_some_and(|(_, end): (&u64, &u64)| name.base_offset < *end) {
            replaced.push(name);
            continue;
        }
        ranges.extend(name.compacted.map(|compacted| (name.base_offset, compacted.end_offset)));
        live.push(name);
    }
    live.sort_by_key(|name| name.base_offset);
    (live, replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compacted(base_offset: u64, end_offset: u64, generation: u64, complete: bool) -> SegmentName {
        SegmentName { base_offset, compacted: Some(Compacted { end_offset, bytes: 7, generation, complete }) }
    }

    #[test]
    fn names_round_trip_and_others_are_none() {
        for name in [SegmentName::dense(3), compacted(0, 9, 1, true), compacted(1 << 60, u64::MAX, 12, false)] {
            let path = name.path(Path::new("/d"));
            assert_eq!(SegmentName::parse(path.file_name().unwrap().to_str().unwrap()), Some(name));
        }
        for other in ["x.log", "1.index", "1-2.log", "1-2-3.log", "1-2-3-x.log", "1-2-3-4.log.tmp", "1-2-3-4-5.log"] {
            assert_eq!(SegmentName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_later_compaction_replaces_what_begins_in_its_range() {
        let old = [SegmentName::dense(0), SegmentName::dense(5), compacted(0, 5, 1, true), compacted(5, 9, 2, true)];
        let all = [&old[..], &[compacted(0, 9, 3, false), SegmentName::dense(9)]].concat();
        let (live, replaced) = sort_out(all);
        assert_eq!(live, [compacted(0, 9, 3, false), SegmentName::dense(9)]);
        assert_eq!(replaced.len(), old.len());
        assert_eq!(sort_out(old.to_vec()).0, [compacted(0, 5, 1, true), compacted(5, 9, 2, true)]);
    }
}
