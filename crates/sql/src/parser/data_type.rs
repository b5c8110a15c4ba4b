//! Types as they are declared: in columns, rows, and the parameters of functions.

use arrow::datatypes::{DataType, Field, Fields};
use fleuve_base::{Error, Place, Result};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::types;

/// Types inside types (ROW in ARRAY in ROW …).
const TYPE_NESTING_MAX: usize = 32;

/// A declared type and whether its values may be NULL.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declared {
    pub data_type: DataType,
    pub nullable: bool,
}

/// Reads a type with its `NOT NULL` or `NULL`.
pub(super) fn declared(cursor: &mut Cursor<'_>) -> Result<Declared> {
    let mut reader = Reader { cursor, half_closed: false, depth: 0 };
    let declared = reader.declared()?;
    if reader.half_closed {
        return Err(reader.cursor.expected("a type with as many `<` as `>`"));
    }
    Ok(declared)
}

struct Reader<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    /// One `>` of a `>>` token is still to be used by the enclosing type.
    half_closed: bool,
    depth: usize,
}

impl Reader<'_, '_> {
    fn declared(&mut self) -> Result<Declared> {
        let data_type = self.data_type()?;
        let not_null = !self.half_closed && self.cursor.accept_words(&["NOT", "NULL"]);
        if !not_null && !self.half_closed {
            self.cursor.accept_word("NULL");
        }
        Ok(Declared { data_type, nullable: !not_null })
    }

    fn data_type(&mut self) -> Result<DataType> {
        self.depth += 1;
        if self.depth > TYPE_NESTING_MAX {
            let (start, end) = self.cursor.next_span();
            return Err(
                Error::input("E003", format!("types nest deeper than {TYPE_NESTING_MAX}")).at(Place::sql(start, end))
            );
        }
        let name = self.cursor.name("a type")?;
        let data_type = match name.value.to_ascii_uppercase().as_str() {
            "ARRAY" => self.angle(|reader| reader.declared()).map(|item| types::array(item.data_type, item.nullable)),
            "MULTISET" => self.angle(|reader| reader.declared()).map(|item| types::multiset(item.data_type)),
            "MAP" => self.angle(Self::map),
            // The rewrite of tokens has made STRUCT of a ROW before `<`.
            "ROW" | "STRUCT" => self.row(),
            _ => self.scalar(&name.value),
        };
        self.depth -= 1;
        data_type.map_err(|error| self.cursor.since(name.span.0, error))
    }

    fn scalar(&mut self, name: &str) -> Result<DataType> {
        let is_double = name.eq_ignore_ascii_case("DOUBLE");
        if is_double && self.cursor.accept_word("PRECISION") {
            return Ok(DataType::Float64);
        }
        let numbers = self.numbers()?;
        let is_timestamp = name.eq_ignore_ascii_case("TIMESTAMP");
        if is_timestamp && self.cursor.accept_words(&["WITHOUT", "TIME", "ZONE"]) {
            return types::scalar(name, &numbers);
        }
        // The rewrite of tokens has dropped the LOCAL of WITH LOCAL TIME ZONE.
        if is_timestamp && self.cursor.accept_words(&["WITH", "TIME", "ZONE"]) {
            return types::scalar("TIMESTAMP_LTZ", &numbers);
        }
        types::scalar(name, &numbers)
    }

    /// `(10, 2)`, or nothing.
    fn numbers(&mut self) -> Result<Vec<u64>> {
        if *self.cursor.peek() != Token::LParen {
            return Ok(vec![]);
        }
        self.cursor.parenthesized(|cursor| match cursor.peek() {
            Token::Number(digits, _) if digits.parse::<u64>().is_ok() => {
                let number = digits.parse().expect("the guard has parsed it");
                cursor.advance();
                Ok(number)
            }
            _ => Err(cursor.expected("a whole number")),
        })
    }

    fn map(&mut self) -> Result<DataType> {
        let key = self.declared()?;
        self.cursor.expect(&Token::Comma)?;
        let value = self.declared()?;
        Ok(types::map(key.data_type, value.data_type, value.nullable))
    }

    /// `ROW<a INT, …>` or `ROW(a INT, …)`.
    fn row(&mut self) -> Result<DataType> {
        let fields = if *self.cursor.peek() == Token::LParen {
            self.cursor.advance();
            let fields = self.fields()?;
            self.cursor.expect(&Token::RParen)?;
            fields
        } else {
            self.angle(Self::fields)?
        };
        Ok(DataType::Struct(Fields::from(fields)))
    }

    fn fields(&mut self) -> Result<Vec<Field>> {
        let mut fields = vec![self.field()?];
        while !self.half_closed && self.cursor.accept(&Token::Comma) {
            fields.push(self.field()?);
        }
        Ok(fields)
    }

    fn field(&mut self) -> Result<Field> {
        let name = self.cursor.name("a field's name")?;
        let declared = self.declared()?;
        if matches!(self.cursor.peek(), Token::SingleQuotedString(_)) {
            self.cursor.advance();
        }
        Ok(Field::new(name.value, declared.data_type, declared.nullable))
    }

    /// `< inside >`, where the last `>` may be half of a `>>`.
    fn angle<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.cursor.expect(&Token::Lt)?;
        let found = inside(self)?;
        if self.half_closed {
            self.half_closed = false;
        } else if self.cursor.accept(&Token::ShiftRight) {
            self.half_closed = true;
        } else {
            self.cursor.expect(&Token::Gt)?;
        }
        Ok(found)
    }
}
