//! Text chunks to batches.

use std::sync::Arc;

use fleuve_base::limits::BATCH_ROWS;
use fleuve_base::{Place, Result};
use fleuve_flow::source::{Chunk, Decoded, Decoder};
use fleuve_format::Decode;

use super::cut::Cut;
use super::files::LineCounter;
use super::listing::FileEntry;
use super::{Kind, METADATA, Shape};
use crate::decode::{Assemble, Constants, Extras, add_counts, push_batches};

/// Bytes of JSON lines that are decoded at a time.
const PIECE_BYTES: usize = 256 << 10;

/// A byte-order mark, which some editors put at the front of a text.
const MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) struct LineDecoder {
    shape: Arc<Shape>,
    rows: Box<dyn Decode>,
    assemble: Assemble,
    lines: LineCounter,
    cut: Cut,
    header: bool,
    /// Position of the chunk's first record.
    first: u64,
}

impl LineDecoder {
    pub(super) fn new(shape: Arc<Shape>) -> Result<Self> {
        let layout = &shape.layout;
        let options = layout.options();
        Ok(LineDecoder {
            rows: layout.decoder(Extras::default())?,
            assemble: Assemble::new(options.table(), layout.scan(), METADATA)?,
            lines: LineCounter::default(),
            cut: if let Kind::Lines(cut) = shape.kind { cut } else { Cut::Newline },
            header: layout.format() == "csv" && options.flag("csv.header"),
            first: 0,
            shape,
        })
    }

    /// Bytes at a file's front that are no row: a byte-order mark and a header.
    fn preamble(&self, text: &[u8]) -> usize {
        let mark = if text.starts_with(MARK) { MARK.len() } else { 0 };
        let header = if self.header { self.cut.first_record(&text[mark..]).unwrap_or(text.len() - mark) } else { 0 };
        mark + header
    }

    /// The next piece to decode. Quoted text is not cut again.
    fn piece<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        if self.cut != Cut::Newline || text.len() <= PIECE_BYTES {
            return text;
        }
        match self.cut.whole_records(&text[..PIECE_BYTES]) {
            0 => &text[..self.cut.first_record(text).unwrap_or(text.len())],
            whole => &text[..whole],
        }
    }

    fn flush(&mut self, item: u32, file: &FileEntry, decoded: &mut Decoded) -> Result<()> {
        let mut block = self.rows.flush()?;
        add_counts(&block, decoded);
        let (shape, lines) = (&self.shape, &mut self.lines);
        let path = || file.path.display().to_string();
        let first = self.first;
        let mut place = |bad: &fleuve_format::BadRecord| {
            // A record that contradicts itself as a whole is known by its line in the chunk only.
            let line = match bad.length {
                0 => lines.line_at(&shape.files, item, first)? + bad.line.saturating_sub(1),
                _ => lines.line_at(&shape.files, item, bad.position)?,
            };
            Ok(Place::file(path(), line, bad.column))
        };
        let bad = std::mem::take(&mut block.bad);
        shape.layout.policy.apply(shape.layout.format(), bad, &mut place, decoded)?;
        let batch = if self.assemble.wants_any() {
            let texts = [("file.path", path()), ("file.name", name(file))];
            let numbers = [("file.size", i64::try_from(file.bytes).unwrap_or(i64::MAX))];
            let times = [("file.modification-time", file.modified_ms)];
            let (rows, weights) = (block.batch.num_rows(), block.weights.as_ref());
            let constants = Constants { rows, texts: &texts, numbers: &numbers, times: &times, weights };
            self.assemble.batch(&block.batch, &constants)?
        } else {
            block.batch
        };
        push_batches(batch, decoded);
        Ok(())
    }
}

pub(super) fn name(file: &FileEntry) -> String {
    file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Decoder for LineDecoder {
    fn decode(&mut self, chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        let file = self.shape.files.get(chunk.range.item)?;
        let bytes = match &chunk.bytes {
            Some(bytes) => bytes.clone(),
            None => self.shape.files.read(chunk.range)?,
        };
        let skipped = if chunk.range.start == 0 { self.preamble(&bytes) } else { 0 };
        let mut rest = &bytes[skipped..];
        self.first = chunk.range.start + skipped as u64;
        self.rows.seek("", 1, self.first);
        while !rest.is_empty() {
            let piece = self.piece(rest);
            self.rows.decode(piece)?;
            rest = &rest[piece.len()..];
            if self.rows.rows() >= BATCH_ROWS {
                self.flush(chunk.range.item, &file, decoded)?;
            }
        }
        self.flush(chunk.range.item, &file, decoded)
    }
}
