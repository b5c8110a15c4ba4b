//! What there is to know about a summary as a function of SQL.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use fleuve_base::{Error, Result};
use fleuve_plan::Literal;

use super::super::accumulator::Accumulator;
use super::constants::{Constant, Constants};
use super::items::Items;

/// The columns that a summary takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// One column of any type that is not nested.
    Item,
    /// One column of numbers.
    Number,
    /// Two columns of numbers.
    Numbers,
    /// One column of TIMESTAMP or TIMESTAMP_LTZ.
    Time,
    /// Summaries that were stored, as BYTES.
    Stored,
}

/// What a summary gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    /// DOUBLE.
    Double,
    /// BIGINT.
    BigInt,
    /// The summary itself, as BYTES.
    Stored,
    /// ARRAY<ROW<item, count, low, high>>, by falling counts; `item` has the column's type.
    Top,
}

impl Returns {
    /// The type over an item of this type.
    pub fn data_type(self, item: &DataType) -> DataType {
        match self {
            Returns::Double => DataType::Float64,
            Returns::BigInt => DataType::Int64,
            Returns::Stored => DataType::Binary,
            Returns::Top => top_type(item),
        }
    }
}

/// The type of [`Returns::Top`] over items of a type.
pub(super) fn top_type(item: &DataType) -> DataType {
    let field = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    let fields = vec![
        field("item", item.clone()),
        field("count", DataType::Int64),
        field("low", DataType::Int64),
        field("high", DataType::Int64),
    ];
    DataType::List(Arc::new(Field::new_list_field(DataType::Struct(fields.into()), true)))
}

/// Makes an accumulator for columns of these types.
pub(super) type Create = fn(&[DataType], &Constants<'_>) -> Result<Box<dyn Accumulator>>;

/// A summary as a function.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// The canonical name, in small letters.
    pub name: &'static str,
    /// How it is written.
    pub usage: &'static str,
    /// One line on what it gives.
    pub summary: &'static str,
    /// The columns that it takes.
    pub takes: Takes,
    /// The constants that follow them.
    pub constants: &'static [Constant],
    /// What it gives.
    pub returns: Returns,
    /// Whether rows can be taken back.
    pub retractable: bool,
    /// The function whose state it reads: its own name, unless it shares a state with others over the same columns.
    pub(crate) state: &'static str,
    /// Which of the values that a shared state gives is its own.
    pub(crate) field: Option<usize>,
    pub(super) create: Create,
}

impl Spec {
    /// How many of the arguments are columns.
    pub fn columns(&self) -> usize {
        if self.takes == Takes::Numbers { 2 } else { 1 }
    }

    /// How many arguments it takes: the least and the greatest number.
    pub fn arguments(&self) -> (usize, usize) {
        let needed = self.constants.iter().filter(|constant| !constant.optional).count();
        (self.columns() + needed, self.columns() + self.constants.len())
    }

    /// Whether a column may have this type.
    pub fn takes_type(&self, data_type: &DataType) -> bool {
        use fleuve_state::key_table::values::is_bytes;
        let null = *data_type == DataType::Null;
        match self.takes {
            Takes::Item => Items::takes(data_type),
            Takes::Time => matches!(data_type, DataType::Timestamp(..)) || null,
            Takes::Number | Takes::Numbers => data_type.is_numeric() || null,
            Takes::Stored => (is_bytes(data_type) && data_type.is_binary()) || null,
        }
    }

    /// Makes the accumulator of a call over columns of these types.
    ///
    /// # Errors
    /// Of the input, if a constant is out of its range or a type does not fit.
    pub fn create(&self, columns: &[DataType], parameters: &[Literal], retracts: bool) -> Result<Box<dyn Accumulator>> {
        let name = self.name.to_uppercase();
        if retracts && !self.retractable {
            return Err(Error::unsupported(
                "E206",
                format!("{name} cannot take a row back, and its input may ask for it"),
            )
            .with_hint("summarise an append-only stream: the input before it is aggregated or joined"));
        }
        if columns.len() != self.columns() || !columns.iter().all(|column| self.takes_type(column)) {
            let types = columns.iter().map(DataType::to_string).collect::<Vec<_>>().join(", ");
            return Err(Error::input("E020", format!("{name} cannot take values of type {types}")));
        }
        let constants = Constants::new(self.name, self.constants, parameters, retracts);
        let made = constants.and_then(|constants| (self.create)(columns, &constants));
        // A constant out of its range: the message says what it has to be, the hint where it stands.
        made.map_err(|error| if error.hint().is_none() { error.with_hint(self.usage) } else { error })
    }
}
