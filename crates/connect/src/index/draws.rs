//! `TABLESAMPLE OLKEN (n ROWS)`: rows drawn from the tree.
//!
//! F. Olken (1993), *Random Sampling from Databases*. All draws are made when the first row is asked for, of the tree as it is
//! then; a range is a range of the draws.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::OnceLock;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use fleuve_base::{Error, Result};
use fleuve_flow::source::{Chunk, Claim, Decoded, Decoder, Range, Scan, ScanField, Source, Waker};
use fleuve_plan::SourceSpec;
use fleuve_plan::online::POPULATION;
use fleuve_sketch::index::olken::Draws;
use fleuve_sketch::index::{Shuffle, Tree};
use parking_lot::Mutex;

use super::columns::{column_of, project};
use super::histogram::moved;
use super::required;
use super::tree::Index;

/// Draws of one chunk.
const CHUNK_ROWS: u64 = 1_024;

/// How rows are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Method {
    pub(super) rows: u64,
    pub(super) seed: u64,
    /// By acceptance and rejection, without the counts of the tree's pages.
    pub(super) rejection: bool,
    /// A row may be drawn several times.
    pub(super) replacement: bool,
}

/// A sample that is being read.
pub(super) struct DrawSource {
    shape: Arc<Shape>,
    next: Mutex<u64>,
}

struct Shape {
    index: Arc<Index>,
    scan: Scan,
    /// None if the rows are chosen already, and not at random.
    method: Option<Method>,
    drawn: OnceLock<Result<Drawn>>,
}

/// What was drawn.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    /// The rows' numbers.
    pub(super) rows: Vec<u64>,
    /// Draws that were rejected, and made again.
    pub(super) rejected: u64,
    /// The rows that they were drawn from.
    population: u64,
}

impl DrawSource {
    pub(super) fn new(index: Arc<Index>, spec: &SourceSpec, scan: Scan) -> Result<Self> {
        let number = |key: &str| {
            let value = required(spec, key)?.parse::<u64>();
            value.map_err(|_| Error::internal(format!("'{key}' of a sample is no number")))
        };
        let method = Method {
            rows: number("rows")?,
            seed: number("seed")?,
            rejection: required(spec, "method")? == "rejection",
            replacement: required(spec, "replacement")? == "true",
        };
        let shape = Arc::new(Shape { index, scan, method: Some(method), drawn: OnceLock::new() });
        Ok(DrawSource { shape, next: Mutex::default() })
    }

    /// Rows of these numbers, in this order.
    pub(super) fn of_rows(index: Arc<Index>, scan: Scan, rows: Vec<u64>) -> Self {
        let population = index.tree().len();
        let drawn = OnceLock::from(Ok(Drawn { rows, rejected: 0, population }));
        DrawSource { shape: Arc::new(Shape { index, scan, method: None, drawn }), next: Mutex::default() }
    }
}

impl Shape {
    fn drawn(&self) -> Result<&Drawn> {
        let drawn = || match &self.method {
            Some(method) => draw(&self.index.tree(), method),
            None => Err(Error::internal("the rows of an index were not chosen")),
        };
        self.drawn.get_or_init(drawn).as_ref().map_err(Clone::clone)
    }
}

/// Draws rows of a tree; without replacement at most all.
pub(super) fn draw(tree: &Tree, method: &Method) -> Result<Drawn> {
    let mut draws = Draws::new(method.seed);
    let all = 0..if tree.is_empty() { 0 } else { method.rows };
    match (method.replacement, method.rejection) {
        _ if tree.is_empty() => Ok(Drawn { rows: vec![], rejected: 0, population: 0 }),
        (true, false) => {
            let rows = all.map(|_| draws.by_rank(tree).map(|entry| entry.row)).collect::<Result<_>>()?;
            Ok(Drawn { rows, rejected: draws.rejected(), population: tree.len() })
        }
        (true, true) => {
            let rows = all.map(|_| draws.by_rejection(tree).map(|entry| entry.row)).collect::<Result<_>>()?;
            Ok(Drawn { rows, rejected: draws.rejected(), population: tree.len() })
        }
        (false, false) => {
            let ranks = Shuffle::new(0..tree.len(), method.seed).take(method.rows as usize);
            let rows = ranks.filter_map(|rank| tree.kth(rank)).map(|entry| entry.row);
            Ok(Drawn { rows: rows.collect(), rejected: 0, population: tree.len() })
        }
        (false, true) => distinct(tree, method.rows, &mut draws),
    }
}

/// Rows by rejection, each once: one that was drawn before is rejected, too. Where more than half are wanted, those are
/// drawn that are left out, for the last ones would be hard to find.
fn distinct(tree: &Tree, wanted: u64, draws: &mut Draws) -> Result<Drawn> {
    let wanted = wanted.min(tree.len());
    let leave_out = wanted > tree.len() / 2;
    let count = if leave_out { tree.len() - wanted } else { wanted };
    let (mut known, mut rows, mut again) = (HashSet::new(), vec![], 0);
    while (known.len() as u64) < count {
        let row = draws.by_rejection(tree)?.row;
        if known.insert(row) {
            rows.push(row);
        } else {
            again += 1;
        }
    }
    if leave_out {
        rows = tree.entries(0..tree.len()).map(|entry| entry.row).filter(|row| !known.contains(row)).collect();
    }
    Ok(Drawn { rows, rejected: draws.rejected() + again, population: tree.len() })
}

impl Source for DrawSource {
    fn bounded(&self) -> bool {
        true
    }

    fn splits(&self) -> Vec<String> {
        vec![self.shape.index.definition().name.clone()]
    }

    fn claim(&self, _bytes_max: usize) -> Result<Claim> {
        let (mut next, drawn) = (self.next.lock(), self.shape.drawn()?.rows.len() as u64);
        if *next >= drawn {
            return Ok(Claim::Finished);
        }
        let range = Range { split: 0, item: 0, start: *next, end: drawn.min(*next + CHUNK_ROWS) };
        *next = range.end;
        Ok(Claim::Chunk(Chunk { range, bytes: None }))
    }

    fn reclaim(&self, range: Range) -> Result<Chunk> {
        match self.shape.drawn.get() {
            Some(Ok(drawn)) if range.end <= drawn.rows.len() as u64 => Ok(Chunk { range, bytes: None }),
            _ => Err(moved(&self.shape.index)),
        }
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        if last.is_empty() { Ok(()) } else { Err(moved(&self.shape.index)) }
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(DrawDecoder { shape: Arc::clone(&self.shape) }))
    }

    fn subscribe(&self, _waker: Waker) {}

    fn progress(&self) -> Option<(u64, u64)> {
        let drawn = self.shape.drawn.get()?.as_ref().ok()?;
        Some((*self.next.lock(), drawn.rows.len() as u64))
    }

    fn draws(&self) -> Option<(u64, u64)> {
        self.shape.method?;
        let drawn = self.shape.drawn.get()?.as_ref().ok()?;
        Some((drawn.rows.len() as u64, drawn.rejected))
    }
}

struct DrawDecoder {
    shape: Arc<Shape>,
}

impl Decoder for DrawDecoder {
    fn decode(&mut self, chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        let drawn = self.shape.drawn()?;
        let rows = drawn.rows.get(chunk.range.start as usize..chunk.range.end as usize);
        let rows = rows.ok_or_else(|| moved(&self.shape.index))?;
        let batch: RecordBatch = self.shape.index.fetch(rows)?;
        decoded.rows += rows.len() as u64;
        let population = Int64Array::from_value(drawn.population as i64, rows.len());
        decoded.batches.push(project(&self.shape.scan, rows.len(), |field| match field {
            ScanField::Metadata(key) if key == POPULATION => Some(Arc::new(population.clone()) as ArrayRef),
            field => column_of(&batch, field),
        })?);
        Ok(())
    }
}
