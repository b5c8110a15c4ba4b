//! SELECT ONLINE … GROUP BY the columns of an index: rows of the groups in turn, each group at its own rate (Index Stride).
//!
//! J. M. Hellerstein, P. J. Haas, H. J. Wang (1997), "Online aggregation", section 3. The tree is as it is when the query begins:
//! rows that come later are not in the answer. A chunk holds the numbers of the rows that were drawn, and for each how many
//! rows its group has.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use bytes::Bytes;
use fleuve_base::{Error, ErrorKind, Result};
use fleuve_flow::source::{Chunk, Claim, Decoded, Decoder, Range, Scan, ScanField, Source, Waker};
use fleuve_plan::online::{Control, POPULATION};
use fleuve_sketch::index::{KEY_BYTES_MAX, Tree};
use fleuve_sketch::online::Stride;
use parking_lot::Mutex;

use super::columns::{name_of, project};
use super::histogram::moved;
use super::tree::Index;

/// Draws of one chunk: as few as make its overhead small, since a changed rate counts from the next one on.
const CHUNK_ROWS: usize = 512;

/// Groups that are read side by side.
const GROUPS_MAX: usize = 1 << 20;

/// Wishes that wait for their group to be found.
const WISHES_MAX: usize = 10_000;

/// Bytes of a draw: the row's number, and the number of rows of its group.
const DRAW_BYTES: usize = 16;

/// The groups of an index that is being read.
pub(super) struct StrideSource {
    index: Arc<Index>,
    scan: Scan,
    tree: Tree,
    state: Mutex<State>,
    wakers: Mutex<Vec<Waker>>,
}

struct State {
    stride: Stride,
    drawn: u64,
    /// Wishes by the key of a group that was not found yet.
    wishes: Vec<(Vec<u8>, Wish)>,
}

/// What is wished of a group.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Rate(f64),
    Stop,
}

impl State {
    /// Does what is wished, or remembers it until the group is found.
    fn wish(&mut self, key: Vec<u8>, wish: Wish, is_found: bool) -> Result<()> {
        if !is_found {
            if self.wishes.len() == WISHES_MAX {
                let message = format!("more than {WISHES_MAX} wishes wait for their groups to be found");
                return Err(Error::new(ErrorKind::Limit, "E904", message));
            }
            self.wishes.push((key, wish));
            return Ok(());
        }
        match wish {
            Wish::Rate(rate) => self.stride.set_rate(&key, rate),
            Wish::Stop => self.stride.stop(&key),
        }
    }

    fn is_found(&self, key: &[u8]) -> bool {
        // Groups are found in the order of their keys.
        self.stride.groups().checked_sub(1).and_then(|last| self.stride.key(last)).is_some_and(|last| key <= last)
    }

    /// Fulfils what was wished of a group that was just found.
    fn found(&mut self, key: &[u8]) -> Result<()> {
        let ready: Vec<_> = self.wishes.extract_if(.., |(wished, _)| wished == key).collect();
        ready.into_iter().try_for_each(|(key, wish)| self.wish(key, wish, true))
    }
}

impl StrideSource {
    pub(super) fn new(index: Arc<Index>, scan: Scan, seed: u64) -> Result<Self> {
        let tree = index.tree().clone();
        let stride = Stride::new(&tree, GROUPS_MAX, seed);
        let state = Mutex::new(State { stride, drawn: 0, wishes: vec![] });
        Ok(StrideSource { index, scan, tree, state, wakers: Mutex::default() })
    }

    /// Draws rows; fewer than [`CHUNK_ROWS`] only if all groups are over or wait.
    fn draw(&self, state: &mut State) -> Result<Vec<u8>> {
        let mut draws = Vec::with_capacity(CHUNK_ROWS * DRAW_BYTES);
        while draws.len() < CHUNK_ROWS * DRAW_BYTES {
            let known = state.stride.groups();
            let Some(served) = state.stride.next(&self.tree)? else { break };
            let scope = state.stride.scope(served.group);
            let scope = scope.ok_or_else(|| Error::internal("a group that was served is not known"))?;
            draws.extend_from_slice(&served.entry.row.to_le_bytes());
            draws.extend_from_slice(&scope.population.to_le_bytes());
            if state.stride.groups() > known {
                self.check_key(served.entry.key)?;
                state.found(served.entry.key)?;
            }
        }
        Ok(draws)
    }

    /// Where only the beginning of a key is in the index, groups cannot be told apart by it.
    fn check_key(&self, key: &[u8]) -> Result<()> {
        if key.len() < KEY_BYTES_MAX / self.index.definition().key.len() {
            return Ok(());
        }
        let message =
            format!("a group of index `{}` has a key of more bytes than the index holds", self.index.definition().name);
        Err(Error::new(ErrorKind::Limit, "E904", message).with_hint("group by a shorter column"))
    }

    /// The key of a group.
    ///
    /// # Errors
    /// E304, if the texts are not of the types of the index's columns, or it has no such group.
    fn key(&self, group: &[Option<String>]) -> Result<Vec<u8>> {
        let definition = self.index.definition();
        if group.len() != definition.key.len() {
            let message = format!(
                "a group's key has as many columns as its index, {}, not {}",
                definition.key.len(),
                group.len()
            );
            return Err(Error::input("E304", message));
        }
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let columns = group.iter().zip(&definition.key).map(|(text, column)| {
            let (field, text) = (definition.schema.field(*column), StringArray::from(vec![text.as_deref()]));
            let wrong = |_| Error::input("E304", format!("{} is no `{}`", shown(group), field.name()));
            cast_with_options(&text, field.data_type(), &options).map_err(wrong)
        });
        let keys = self.index.keys().encode(&columns.collect::<Result<Vec<ArrayRef>>>()?)?;
        let key = keys.into_iter().next().unwrap_or_default();
        match self.tree.rank_through(&key) > self.tree.rank(&key, 0) {
            true => Ok(key),
            false => Err(Error::input("E304", format!("there is no group {}", shown(group)))),
        }
    }
}

fn shown(group: &[Option<String>]) -> String {
    let texts = group.iter().map(|text| text.as_ref().map_or_else(|| "NULL".to_owned(), |text| format!("'{text}'")));
    texts.collect::<Vec<_>>().join(", ")
}

impl Source for StrideSource {
    fn bounded(&self) -> bool {
        true
    }

    fn splits(&self) -> Vec<String> {
        vec![self.index.definition().name.clone()]
    }

    fn claim(&self, _bytes_max: usize) -> Result<Claim> {
        let mut state = self.state.lock();
        let draws = self.draw(&mut state)?;
        if draws.is_empty() {
            return Ok(if state.stride.is_finished() { Claim::Finished } else { Claim::Pending });
        }
        let start = state.drawn;
        state.drawn += (draws.len() / DRAW_BYTES) as u64;
        let range = Range { split: 0, item: 0, start, end: state.drawn };
        Ok(Claim::Chunk(Chunk { range, bytes: Some(Bytes::from(draws)) }))
    }

    fn reclaim(&self, _range: Range) -> Result<Chunk> {
        Err(moved(&self.index))
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        if last.is_empty() { Ok(()) } else { Err(moved(&self.index)) }
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(StrideDecoder { index: Arc::clone(&self.index), scan: self.scan.clone() }))
    }

    fn subscribe(&self, waker: Waker) {
        self.wakers.lock().push(waker);
    }

    fn progress(&self) -> Option<(u64, u64)> {
        Some((self.state.lock().drawn, self.tree.len()))
    }

    fn control(&self, control: &Control) -> Result<()> {
        let (group, wish) = match control {
            Control::SetRate { group, rate } => (group, Wish::Rate(*rate)),
            Control::StopGroup { group } => (group, Wish::Stop),
        };
        let key = self.key(group)?;
        let mut state = self.state.lock();
        let is_found = state.is_found(&key);
        state.wish(key, wish, is_found)?;
        drop(state);
        self.wakers.lock().iter().for_each(|waker| waker());
        Ok(())
    }
}

struct StrideDecoder {
    index: Arc<Index>,
    scan: Scan,
}

impl Decoder for StrideDecoder {
    fn decode(&mut self, chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        let bytes = chunk.bytes.as_deref().unwrap_or_default();
        let (draws, _) = bytes.as_chunks::<DRAW_BYTES>();
        let half = |draw: &[u8; DRAW_BYTES], at: usize| {
            let half = draw[at..].first_chunk::<8>().copied().unwrap_or_default();
            u64::from_le_bytes(half)
        };
        let rows: Vec<u64> = draws.iter().map(|draw| half(draw, 0)).collect();
        let populations: ArrayRef = Arc::new(draws.iter().map(|draw| half(draw, 8) as i64).collect::<Int64Array>());
        let batch = self.index.fetch(&rows)?;
        decoded.rows += rows.len() as u64;
        decoded.batches.push(project(&self.scan, rows.len(), |field| match field {
            ScanField::Metadata(key) if key == POPULATION => Some(Arc::clone(&populations)),
            field => batch.column_by_name(name_of(field)?).cloned(),
        })?);
        Ok(())
    }
}
