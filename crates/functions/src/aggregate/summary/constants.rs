//! The constant arguments of a summary: what they are called, and their values.

use fleuve_base::{Error, Result};
use fleuve_plan::{Literal, Value};

/// A constant argument.
#[derive(Debug, Clone, Copy)]
pub struct Constant {
    /// What it is called, for usage and errors.
    pub name: &'static str,
    /// The values that it takes.
    pub kind: ConstantKind,
    /// Whether it may be left out.
    pub optional: bool,
}

/// The values that a constant argument takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstantKind {
    /// Any number.
    Number,
    /// A whole number from 1 on.
    Count,
    /// A string.
    Text,
    /// An INTERVAL longer than nothing, of days or less.
    Interval,
}

/// The values of a call's constant arguments, in the order of its [`Constant`]s, then the seed; and whether rows may be taken back.
#[derive(Debug, Clone, Copy)]
pub struct Constants<'a> {
    /// The input may take back rows that it has brought.
    pub retracts: bool,
    function: &'a str,
    declared: &'a [Constant],
    values: &'a [Literal],
}

impl<'a> Constants<'a> {
    /// Reads the parameters of a call: the constants that were given, and the seed at the end.
    ///
    /// # Errors
    /// If there are too few or too many, or one is of another kind.
    pub fn new(function: &'a str, declared: &'a [Constant], values: &'a [Literal], retracts: bool) -> Result<Self> {
        let constants = Constants { retracts, function, declared, values };
        let needed = declared.iter().filter(|constant| !constant.optional).count();
        if values.is_empty() || !(needed..=declared.len()).contains(&(values.len() - 1)) {
            return Err(Error::internal(format!("{function} has {} parameters", values.len())));
        }
        for (constant, value) in declared.iter().zip(constants.given()) {
            constants.check(constant, value)?;
        }
        Ok(constants)
    }

    fn given(&self) -> &'a [Literal] {
        &self.values[..self.values.len() - 1]
    }

    fn check(&self, constant: &Constant, value: &Literal) -> Result<()> {
        let (fits, expected) = match constant.kind {
            ConstantKind::Number => (number(value).is_some(), "a number"),
            ConstantKind::Count => (count(value).is_some(), "a whole number from 1 on"),
            ConstantKind::Text => (matches!(value.value, Value::String(_)), "a string"),
            ConstantKind::Interval => (interval(value).is_some(), "an INTERVAL of days, hours, minutes or seconds"),
        };
        if fits {
            return Ok(());
        }
        let text = format!("the {} of {} is {expected}, not {value}", constant.name, self.function.to_uppercase());
        Err(Error::input("E304", text))
    }

    fn find(&self, name: &str) -> Option<&'a Literal> {
        let position = self.declared.iter().position(|constant| constant.name == name)?;
        self.given().get(position)
    }

    /// The number of this name, if it was given.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.find(name).and_then(number)
    }

    /// The whole number of this name, if it was given.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.find(name).and_then(count)
    }

    /// The text of this name, if it was given.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        match &self.find(name)?.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The interval of this name in nanoseconds, if it was given.
    pub fn interval(&self, name: &str) -> Option<i128> {
        self.find(name).and_then(interval)
    }

    /// A number that must have been given.
    ///
    /// # Errors
    /// Internal, if it was not: [`Constants::new`] refuses that.
    pub fn needed(&self, name: &str) -> Result<f64> {
        self.number(name).ok_or_else(|| Error::internal(format!("{} has no {name}", self.function)))
    }

    /// The seed of the hash functions and of random choices.
    pub fn seed(&self) -> u64 {
        match self.values.last().map(|value| &value.value) {
            Some(Value::UInt(seed)) => *seed,
            Some(Value::Int(seed)) => *seed as u64,
            _ => 0,
        }
    }
}

fn number(value: &Literal) -> Option<f64> {
    match (&value.value, &value.data_type) {
        (Value::Float(number), _) => Some(*number),
        (Value::Int(number), data_type) if data_type.is_integer() => Some(*number as f64),
        (Value::Decimal(unscaled), arrow::datatypes::DataType::Decimal128(_, scale)) => {
            // Through text, so that 0.05 is the double nearest to 0.05.
            format!("{unscaled}e{}", -i32::from(*scale)).parse().ok()
        }
        _ => None,
    }
}

fn count(value: &Literal) -> Option<u64> {
    match value.value {
        Value::Int(number) if value.data_type.is_integer() && number > 0 => Some(number as u64),
        _ => None,
    }
}

/// Nanoseconds; nothing if the length depends on the month.
fn interval(value: &Literal) -> Option<i128> {
    const DAY: i128 = 86_400_000_000_000;
    match value.value {
        Value::Interval { months: 0, days, nanos } => {
            Some(i128::from(days) * DAY + i128::from(nanos)).filter(|length| *length > 0)
        }
        _ => None,
    }
}
