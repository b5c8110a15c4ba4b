//! Tables with keys of any types: full hashes find candidates, which are then verified column by column.
//!
//! Equal keys have equal hashes, and different keys nearly never do. So a batch is first answered by hashes alone, and
//! then each column compares all rows with the stored keys in one loop without dispatch. Rows that fail (their hash
//! belongs to another key) are looked up one by one among all keys of that hash.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::row::{RowConverter, SortField};
use fleuve_base::{Error, Result};

use super::bytes::ByteStore;
use super::index::Index;
use super::values::{each_bytes, each_word, from_bytes, from_words, is_bytes, is_word};
use super::{NO_GROUP, Slots};

/// Key columns, which one word of NULL flags must suffice for.
pub(super) const COLUMNS_MAX: usize = 64;

/// A table from rows of any columns to groups.
#[derive(Debug)]
pub(super) struct ColumnTable {
    index: Index,
    /// By group: the hash, and bit i set where column i is NULL.
    rows: Vec<(u64, u64)>,
    columns: Vec<Column>,
}

/// One key column by group. Where the key is NULL the value is arbitrary.
#[derive(Debug)]
struct Column {
    data_type: DataType,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Words(Vec<u64>),
    Decimals(Vec<i128>),
    Bytes(ByteStore),
    /// Nested and rare types, in Arrow's row format.
    Rows(Box<RowConverter>, ByteStore),
}

impl ColumnTable {
    pub(super) fn new(types: &[DataType]) -> Result<Self> {
        if types.len() > COLUMNS_MAX {
            return Err(Error::unsupported("E432", format!("keys of more than {COLUMNS_MAX} columns")));
        }
        let columns = types.iter().map(Column::new).collect::<Result<_>>()?;
        Ok(ColumnTable { index: Index::default(), rows: Vec::new(), columns })
    }

    pub(super) fn intern(
        &mut self,
        columns: &[ArrayRef],
        hashes: &[u64],
        slots: &mut Slots,
        groups: &mut Vec<u32>,
    ) -> Result<()> {
        let batch = self.read(columns, hashes.len())?;
        let mut created = Vec::new();
        self.lookup_hashes(hashes, groups);
        for (row, group) in groups.iter_mut().enumerate().filter(|(_, group)| **group == NO_GROUP) {
            let hash = hashes[row];
            *group = match self.with_hash(hash) {
                Some(group) => group,
                None => self.create(row, hash, &batch, slots, &mut created),
            };
        }
        self.store(&batch, &created)?;
        for row in self.mismatches(&batch, groups)? {
            let group = match self.find(&batch, row, hashes[row])? {
                Some(group) => group,
                None => {
                    let mut created = Vec::new();
                    let group = self.create(row, hashes[row], &batch, slots, &mut created);
                    self.store(&batch, &created)?;
                    group
                }
            };
            groups[row] = group;
        }
        Ok(())
    }

    pub(super) fn lookup(&mut self, columns: &[ArrayRef], hashes: &[u64], groups: &mut Vec<u32>) -> Result<()> {
        let batch = self.read(columns, hashes.len())?;
        groups.extend(hashes.iter().map(|hash| self.with_hash(*hash).unwrap_or(NO_GROUP)));
        for row in self.mismatches(&batch, groups)? {
            groups[row] = self.find(&batch, row, hashes[row])?.unwrap_or(NO_GROUP);
        }
        Ok(())
    }

    /// Replaces `groups` by groups with the same hash in the home buckets, and [`NO_GROUP`] for all others.
    fn lookup_hashes(&self, hashes: &[u64], groups: &mut Vec<u32>) {
        groups.clear();
        self.index.candidates(hashes, groups);
        if self.rows.is_empty() {
            return;
        }
        for (hash, group) in hashes.iter().zip(groups) {
            // A row is read also where there is no candidate: a branch would wait for the bucket.
            let held = self.rows[if *group == NO_GROUP { 0 } else { *group as usize }].0;
            *group = if held == *hash { *group } else { NO_GROUP };
        }
    }

    /// A group with this very hash.
    fn with_hash(&self, hash: u64) -> Option<u32> {
        self.index.find(hash, |group| self.rows[group as usize].0 == hash)
    }

    fn create(&mut self, row: usize, hash: u64, batch: &Rows, slots: &mut Slots, created: &mut Vec<(u32, u32)>) -> u32 {
        let group = slots.create();
        if self.rows.len() <= group as usize {
            self.rows.resize(group as usize + 1, (0, 0));
        }
        self.rows[group as usize] = (hash, batch.null_flags(row));
        self.index.insert(hash, group);
        created.push((row as u32, group));
        group
    }

    fn read(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Rows> {
        let arrays = self.columns.iter_mut().zip(columns).map(|(column, array)| column.read(array));
        let columns = arrays.collect::<Result<Vec<_>>>()?;
        let mut nulls = Vec::new();
        for (i, column) in columns.iter().enumerate() {
            if let Some(buffer) = column.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
                nulls.resize(rows, 0);
                (0..rows).filter(|row| buffer.is_null(*row)).for_each(|row| nulls[row] |= 1u64 << i);
            }
        }
        Ok(Rows { columns, nulls })
    }

    fn store(&mut self, batch: &Rows, created: &[(u32, u32)]) -> Result<()> {
        let slots = self.rows.len();
        let columns = self.columns.iter_mut().zip(&batch.columns);
        columns.into_iter().try_for_each(|(column, array)| column.store(array, created, slots))
    }

    /// Rows whose group has another key.
    fn mismatches(&self, batch: &Rows, groups: &[u32]) -> Result<Vec<usize>> {
        let mut wrong = vec![false; groups.len()];
        let known = |row: usize| (groups[row] != NO_GROUP).then_some(groups[row] as usize);
        for (row, wrong) in wrong.iter_mut().enumerate() {
            *wrong = known(row).is_some_and(|group| self.rows[group].1 != batch.null_flags(row));
        }
        let mut columns = self.columns.iter().zip(&batch.columns);
        columns.try_for_each(|(column, array)| column.compare(array, groups, &mut wrong))?;
        Ok(wrong.iter().enumerate().filter(|(_, wrong)| **wrong).map(|(row, _)| row).collect())
    }

    /// The group of a row whose hash belongs to several keys.
    fn find(&self, batch: &Rows, row: usize, hash: u64) -> Result<Option<u32>> {
        let one = Rows {
            columns: batch.columns.iter().map(|column| column.slice(row, 1)).collect(),
            nulls: vec![batch.null_flags(row)],
        };
        for group in self.index.candidates_of(hash) {
            if self.rows[group as usize].0 == hash && self.mismatches(&one, &[group])?.is_empty() {
                return Ok(Some(group));
            }
        }
        Ok(None)
    }

    pub(super) fn remove(&mut self, group: u32) -> bool {
        let known = self.rows.get(group as usize).is_some_and(|(hash, _)| self.index.remove(*hash, group));
        if !known {
            return false;
        }
        self.columns.iter_mut().for_each(|column| column.clear(group as usize));
        true
    }

    pub(super) fn shrink(&mut self) {
        self.index.shrink();
    }

    pub(super) fn key(&self, i: usize, groups: &[u32]) -> Result<ArrayRef> {
        let null = |group: &u32| self.rows[*group as usize].1 >> i & 1 == 1;
        let nulls = groups.iter().any(null).then(|| groups.iter().map(|group| !null(group)).collect::<NullBuffer>());
        self.columns[i].gather(groups, nulls)
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(Column::bytes).sum();
        self.index.bytes() + self.rows.capacity() * size_of::<(u64, u64)>() + columns
    }
}

/// The batch at hand.
struct Rows {
    columns: Vec<ArrayRef>,
    /// NULL flags by row; empty if nothing is NULL.
    nulls: Vec<u64>,
}

impl Rows {
    #[inline]
    fn null_flags(&self, row: usize) -> u64 {
        self.nulls.get(row).copied().unwrap_or(0)
    }
}

impl Column {
    fn new(data_type: &DataType) -> Result<Self> {
        let values = match data_type {
            word if is_word(word) => Values::Words(Vec::new()),
            DataType::Decimal128(..) => Values::Decimals(Vec::new()),
            bytes if is_bytes(bytes) => Values::Bytes(ByteStore::default()),
            other => {
                let converter = RowConverter::new(vec![SortField::new(other.clone())]);
                let converter = converter
                    .map_err(|_| Error::unsupported("E430", format!("values of type {other} cannot be keys")))?;
                Values::Rows(Box::new(converter), ByteStore::default())
            }
        };
        Ok(Column { data_type: data_type.clone(), values })
    }

    /// The column as it is compared: itself, or its rows as bytes (NULL as an empty string that is NULL).
    fn read(&mut self, array: &ArrayRef) -> Result<ArrayRef> {
        let Values::Rows(converter, _) = &mut self.values else { return Ok(array.clone()) };
        let rows = converter.convert_columns(std::slice::from_ref(array)).map_err(broken)?;
        let bytes = rows.iter().enumerate().map(|(row, bytes)| array.is_valid(row).then(|| bytes.data().to_vec()));
        Ok(std::sync::Arc::new(bytes.collect::<BinaryArray>()))
    }

    fn store(&mut self, array: &ArrayRef, created: &[(u32, u32)], slots: usize) -> Result<()> {
        if created.is_empty() {
            return Ok(());
        }
        let rows = arrow::array::UInt32Array::from_iter_values(created.iter().map(|(row, _)| *row));
        let array = arrow::compute::take(array, &rows, None).map_err(broken)?;
        let group = |row: usize| created[row].1 as usize;
        match &mut self.values {
            Values::Words(words) => {
                words.resize(slots, 0);
                each_word(array.as_ref(), |row, word| words[group(row)] = word);
            }
            Values::Decimals(decimals) => {
                decimals.resize(slots, 0);
                let array = array.as_primitive::<Decimal128Type>();
                array.values().iter().enumerate().for_each(|(row, value)| decimals[group(row)] = *value);
            }
            Values::Bytes(store) | Values::Rows(_, store) => {
                store.grow(slots);
                each_bytes(array.as_ref(), |row, bytes| store.set(group(row), bytes))?;
            }
        }
        Ok(())
    }

    /// Sets `wrong[row]` where the row is not NULL, has a group, and that group has another key.
    fn compare(&self, array: &ArrayRef, groups: &[u32], wrong: &mut [bool]) -> Result<()> {
        let nulls = array.nulls();
        let group = |row: usize| {
            let group = groups[row];
            (group != NO_GROUP && nulls.is_none_or(|nulls| nulls.is_valid(row))).then_some(group as usize)
        };
        match &self.values {
            Values::Words(words) => each_word(array.as_ref(), |row, word| {
                wrong[row] |= group(row).is_some_and(|group| words[group] != word);
            }),
            Values::Decimals(decimals) => {
                for (row, value) in array.as_primitive::<Decimal128Type>().values().iter().enumerate() {
                    wrong[row] |= group(row).is_some_and(|group| decimals[group] != *value);
                }
            }
            Values::Bytes(store) | Values::Rows(_, store) => each_bytes(array.as_ref(), |row, bytes| {
                wrong[row] |= group(row).is_some_and(|group| !store.equals(group, bytes));
            })?,
        }
        Ok(())
    }

    fn clear(&mut self, group: usize) {
        if let Values::Bytes(store) | Values::Rows(_, store) = &mut self.values {
            store.clear(group);
        }
    }

    fn gather(&self, groups: &[u32], nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        let slots = groups.iter().map(|group| *group as usize);
        match &self.values {
            Values::Words(words) => from_words(&self.data_type, slots.map(|slot| words[slot]), nulls),
            Values::Decimals(decimals) => {
                let array = arrow::array::Decimal128Array::new(slots.map(|slot| decimals[slot]).collect(), nulls);
                Ok(std::sync::Arc::new(array.with_data_type(self.data_type.clone())))
            }
            Values::Bytes(store) => from_bytes(&self.data_type, slots.map(|slot| store.get(slot)), nulls),
            Values::Rows(converter, store) => gather_rows(converter, store, &self.data_type, groups, nulls),
        }
    }

    fn bytes(&self) -> usize {
        match &self.values {
            Values::Words(words) => words.capacity() * size_of::<u64>(),
            Values::Decimals(decimals) => decimals.capacity() * size_of::<i128>(),
            Values::Bytes(store) | Values::Rows(_, store) => store.bytes(),
        }
    }
}

fn gather_rows(
    converter: &RowConverter,
    store: &ByteStore,
    data_type: &DataType,
    groups: &[u32],
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let null_row = arrow::array::new_null_array(data_type, 1);
    let null_row = converter.convert_columns(&[null_row]).map_err(broken)?;
    let parser = converter.parser();
    let rows = groups.iter().enumerate().map(|(i, group)| {
        let null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(i));
        parser.parse(if null { null_row.row(0).data() } else { store.get(*group as usize) })
    });
    let columns = converter.convert_rows(rows).map_err(broken)?;
    arrow::compute::cast(&columns[0], data_type).map_err(broken)
}

fn broken(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("a key could not be stored: {error}"))
}
