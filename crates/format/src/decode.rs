//! What every decoder of a text format offers.

use arrow::datatypes::SchemaRef;
use fleuve_base::Result;

use crate::assembly::Decoded;

/// A decoder: bytes go in, batches come out. It does no IO and knows no file.
///
/// After an error of `decode` or `push_record` a decoder may still be flushed, but which rows of the last input it
/// holds is not defined.
pub trait Decode: Send {
    /// The schema of its batches.
    fn schema(&self) -> SchemaRef;

    /// Where the next byte stands, for error places: a path (empty for none), the line's number (from 1) and
    /// the position of its first byte.
    fn seek(&mut self, origin: &str, line: u64, position: u64);

    /// Decodes whole lines; only the last may lack its newline. Feed some 64 KiB to 1 MiB at a time: much less
    /// costs speed, and the rows of a call become one batch at most as large as the caller lets it grow.
    fn decode(&mut self, lines: &[u8]) -> Result<()>;

    /// Decodes one record (of a topic, say), which counts as one line. Records are gathered and decoded in
    /// blocks, so an error may be reported by a later call, for the record that its line number names.
    fn push_record(&mut self, value: &[u8]) -> Result<()>;

    /// Decodes records as [`Decode::push_record`] does, from where they lie in `block`: each from its first position up to
    /// its second. A decoder that can reads them without copying, if each is followed by a zero byte, as values without
    /// headers are in Kafka's batches.
    fn decode_records(&mut self, block: &[u8], records: &[(u32, u32)]) -> Result<()> {
        records.iter().try_for_each(|(start, end)| self.push_record(&block[*start as usize..*end as usize]))
    }

    /// Rows that the next flush gives, at least approximately: records that are still gathered count as rows.
    fn rows(&self) -> usize;

    /// Takes all rows.
    fn flush(&mut self) -> Result<Decoded>;
}
