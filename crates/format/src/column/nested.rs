//! Columns of arrays, maps and rows.
//!
//! The elements of all rows' arrays become one inner table of spans, from which the inner column converts as
//! any other; its faults are then charged to the rows that the elements belong to.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};
use fleuve_base::{Error, Result};

use super::fault::Fault;
use super::nulls::Nulls;
use super::{Column, Context, Dialect, Source, unsupported};
use crate::bad::{BadValue, Faults};
use crate::escape;
use crate::json::Scanner;
use crate::span::{Kind, Span, Table};

/// Spans of values within other values, and the outer row that each belongs to.
#[derive(Debug)]
struct Inner {
    table: Table,
    owners: Vec<u32>,
}

impl Inner {
    fn new(width: usize) -> Self {
        Inner { table: Table::new(width), owners: Vec::new() }
    }

    fn clear(&mut self) {
        self.table.clear();
        self.owners.clear();
    }

    fn push(&mut self, owner: usize, spans: &[Span]) {
        self.table.next_row().copy_from_slice(spans);
        self.keep(owner);
    }

    fn keep(&mut self, owner: usize) {
        self.table.keep();
        self.owners.push(owner as u32);
    }

    fn convert(&self, column: &mut Column, source: Source<'_>, faults: &mut Faults) {
        let mark = faults.bad.len();
        column.append(&self.table, source, faults);
        faults.reassign(mark, &self.owners);
    }
}

/// Reports NULL where it may not be, and what is neither NULL nor of the wanted kind. Returns whether there is
/// a value.
fn present(column: Context<'_>, row: usize, span: Span, wanted: bool, source: Source<'_>, faults: &mut Faults) -> bool {
    match span.is_null() {
        true if !column.nullable => faults.report_null(column, row, span),
        false if !wanted => faults.report(column, row, span, source, Fault::Type),
        _ => {}
    }
    wanted
}

fn offsets_of(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])))
}

fn broken(what: &str, error: &arrow::error::ArrowError) -> Error {
    Error::internal(format!("a column of {what}: {error}"))
}

/// A column of arrays.
#[derive(Debug)]
pub(super) struct ListColumn {
    field: FieldRef,
    item: Box<Column>,
    offsets: Vec<i32>,
    nulls: Nulls,
    inner: Inner,
}

impl ListColumn {
    pub(super) fn new(label: &str, field: &FieldRef) -> Result<Self> {
        let item = Column::new(&format!("{label}[]"), field.data_type(), field.is_nullable(), 0)?;
        let (item, inner) = (Box::new(item), Inner::new(1));
        Ok(ListColumn { field: Arc::clone(field), item, offsets: vec![0], nulls: Nulls::default(), inner })
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn text_bytes(&self) -> usize {
        self.item.text_bytes()
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.item.truncate(self.offsets[rows] as usize);
        self.offsets.truncate(rows + 1);
        self.nulls.truncate(rows);
    }

    pub(super) fn finish(&mut self, _: &DataType) -> Result<ArrayRef> {
        let (offsets, nulls) = (offsets_of(&mut self.offsets), self.nulls.finish());
        let array = ListArray::try_new(Arc::clone(&self.field), offsets, self.item.finish()?, nulls);
        Ok(Arc::new(array.map_err(|error| broken("arrays", &error))?))
    }

    pub(super) fn append(&mut self, column: Context<'_>, table: &Table, source: Source<'_>, faults: &mut Faults) {
        self.inner.clear();
        let before = self.item.len();
        for (row, span) in table.column(column.slot).enumerate() {
            let wanted = span.kind() == Kind::Array || source.dialect != Dialect::Json && !span.is_null();
            if present(column, row, span, wanted, source, faults) {
                elements(span, source, |element| self.inner.push(row, &[element]));
                self.nulls.push_valid();
            } else {
                self.nulls.push_null(self.offsets.len() - 1);
            }
            self.offsets.push((before + self.inner.table.rows()) as i32);
        }
        self.inner.convert(&mut self.item, source, faults);
    }
}

/// Calls `each` with every element of an array that the walker has checked.
fn elements(array: Span, source: Source<'_>, mut each: impl FnMut(Span)) {
    let Dialect::Csv { elements: separator, .. } = source.dialect else {
        let scanned = Scanner::of(source).elements(array, each);
        debug_assert!(scanned.is_ok(), "the walker checks the arrays that it notes");
        return;
    };
    let mut start = array.start();
    for element in array.of(source.block).split(|byte| *byte == separator).filter(|_| array.len() > 0) {
        let end = start + element.len();
        each(Span::new(array.kind(), start, end));
        start = end + 1;
    }
}

/// A column of maps: JSON objects whose keys are data.
#[derive(Debug)]
pub(super) struct MapColumn {
    field: FieldRef,
    fields: Fields,
    key: Box<Column>,
    value: Box<Column>,
    offsets: Vec<i32>,
    nulls: Nulls,
    inner: Inner,
}

impl MapColumn {
    pub(super) fn new(label: &str, field: &FieldRef) -> Result<Self> {
        let DataType::Struct(fields) = field.data_type() else { return Err(unsupported(label, field.data_type())) };
        let [key, value] = &fields[..] else { return Err(unsupported(label, field.data_type())) };
        Ok(MapColumn {
            field: Arc::clone(field),
            fields: fields.clone(),
            key: Box::new(Column::of_field(label, key, 0)?),
            value: Box::new(Column::of_field(label, value, 1)?),
            offsets: vec![0],
            nulls: Nulls::default(),
            inner: Inner::new(2),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn text_bytes(&self) -> usize {
        self.key.text_bytes().max(self.value.text_bytes())
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        let entries = self.offsets[rows] as usize;
        self.key.truncate(entries);
        self.value.truncate(entries);
        self.offsets.truncate(rows + 1);
        self.nulls.truncate(rows);
    }

    pub(super) fn finish(&mut self, _: &DataType) -> Result<ArrayRef> {
        let columns = vec![self.key.finish()?, self.value.finish()?];
        let entries = StructArray::try_new(self.fields.clone(), columns, None);
        let entries = entries.map_err(|error| broken("map entries", &error))?;
        let (offsets, nulls) = (offsets_of(&mut self.offsets), self.nulls.finish());
        let array = MapArray::try_new(Arc::clone(&self.field), offsets, entries, nulls, false);
        Ok(Arc::new(array.map_err(|error| broken("maps", &error))?))
    }

    pub(super) fn append(&mut self, column: Context<'_>, table: &Table, source: Source<'_>, faults: &mut Faults) {
        self.inner.clear();
        let before = self.key.len();
        for (row, span) in table.column(column.slot).enumerate() {
            if present(column, row, span, span.kind() == Kind::Object, source, faults) {
                let scanned = Scanner::of(source).entries(span, |key, value| self.inner.push(row, &[key, value]));
                debug_assert!(scanned.is_ok(), "the walker checks the objects that it notes");
                self.nulls.push_valid();
            } else {
                self.nulls.push_null(self.offsets.len() - 1);
            }
            self.offsets.push((before + self.inner.table.rows()) as i32);
        }
        self.inner.convert(&mut self.key, source, faults);
        self.inner.convert(&mut self.value, source, faults);
    }
}

/// A column of rows (structs).
///
/// At the top level the walker has already found the fields: they are slots of the same table (`inner` is
/// `None`). Within arrays and maps the objects are taken apart here.
#[derive(Debug)]
pub(super) struct RowColumn {
    names: Fields,
    /// Each field's column, which itself allows NULL, and whether the field does.
    fields: Vec<(Column, bool)>,
    nulls: Nulls,
    rows: usize,
    inner: Option<Inner>,
}

impl RowColumn {
    /// Rows whose fields are slots of the outer table.
    pub(super) fn flat(data_type: &DataType, fields: Vec<(Column, bool)>) -> Self {
        let names = if let DataType::Struct(names) = data_type { names.clone() } else { Fields::empty() };
        debug_assert_eq!(names.len(), fields.len(), "a column for every field");
        RowColumn { names, fields, nulls: Nulls::default(), rows: 0, inner: None }
    }

    /// Rows whose fields are taken from the objects' text.
    pub(super) fn nested(label: &str, names: &Fields) -> Result<Self> {
        let column =
            |(slot, field): (usize, &FieldRef)| Column::of_row(&format!("{label}.{}", field.name()), field, slot);
        let fields = names.iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
        // One slot more, for the presence of the row itself.
        let inner = Some(Inner::new(names.len() + 1));
        Ok(RowColumn { names: names.clone(), fields, nulls: Nulls::default(), rows: 0, inner })
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    pub(super) fn text_bytes(&self) -> usize {
        self.fields.iter().map(|(field, _)| field.text_bytes()).max().unwrap_or(0)
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.fields.iter_mut().for_each(|(field, _)| field.truncate(rows));
        self.nulls.truncate(rows);
        self.rows = rows;
    }

    pub(super) fn finish(&mut self, _: &DataType) -> Result<ArrayRef> {
        let columns = self.fields.iter_mut().map(|(field, _)| field.finish()).collect::<Result<Vec<_>>>()?;
        let rows = std::mem::take(&mut self.rows);
        let array = StructArray::try_new_with_length(self.names.clone(), columns, self.nulls.finish(), rows);
        Ok(Arc::new(array.map_err(|error| broken("rows", &error))?))
    }

    pub(super) fn append(&mut self, column: Context<'_>, table: &Table, source: Source<'_>, faults: &mut Faults) {
        match self.inner.take() {
            None => self.append_slots(column, column.slot, table, source, faults),
            Some(mut inner) => {
                inner.clear();
                for (row, span) in table.column(column.slot).enumerate() {
                    self.take_apart(span, source, inner.table.next_row());
                    inner.keep(row);
                }
                let mark = faults.bad.len();
                self.append_slots(column, self.names.len(), &inner.table, source, faults);
                faults.reassign(mark, &inner.owners);
                self.inner = Some(inner);
            }
        }
    }

    /// Notes the spans of an object's fields, and in the last slot the object's own.
    fn take_apart(&self, object: Span, source: Source<'_>, slots: &mut [Span]) {
        slots[self.names.len()] = object;
        if object.kind() != Kind::Object || source.dialect != Dialect::Json {
            return;
        }
        let scanned = Scanner::of(source).entries(object, |key, value| {
            if let Some(slot) = self.names.iter().position(|field| key_is(key, field.name(), source)) {
                slots[slot] = value;
            }
        });
        debug_assert!(scanned.is_ok(), "the walker checks the objects that it notes");
    }

    /// Appends from a table that holds the fields' spans and, in slot `presence`, the row's own.
    fn append_slots(
        &mut self,
        column: Context<'_>,
        presence: usize,
        table: &Table,
        source: Source<'_>,
        faults: &mut Faults,
    ) {
        for (row, span) in table.column(presence).enumerate() {
            if present(column, row, span, span.kind() == Kind::Object, source, faults) {
                self.nulls.push_valid();
            } else {
                self.nulls.push_null(self.rows + row);
            }
        }
        self.rows += table.rows();
        for (field, nullable) in &mut self.fields {
            field.append(table, source, faults);
            if !*nullable {
                field.report_nulls_within(presence, table, faults);
            }
        }
    }
}

impl Column {
    /// Reports the rows that are there (by their slot `presence`) while this field of theirs is NULL.
    fn report_nulls_within(&self, presence: usize, table: &Table, faults: &mut Faults) {
        let spans = table.column(presence).zip(table.column(self.slot));
        for (row, (outer, span)) in spans.enumerate() {
            if outer.kind() == Kind::Object && span.is_null() {
                let found = if span.kind() == Kind::Null { "the value is null" } else { "the field is missing" };
                let reason = format!("column `{}` is NOT NULL, but {found}", self.label);
                let position = (span.len() > 0).then(|| span.start() as u32);
                faults.bad.push(BadValue { row: row as u32, position, reason });
            }
        }
    }
}

/// Whether a key, as it stands in the input, is this name.
pub(crate) fn key_is(key: Span, name: &str, source: Source<'_>) -> bool {
    if key.kind() == Kind::Text {
        return key.of(source.block) == name.as_bytes();
    }
    let mut text = Vec::new();
    escape::unescape(key.of(source.block), source.dialect, &mut text).is_ok() && text == name.as_bytes()
}
