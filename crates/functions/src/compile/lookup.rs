//! Strings looked up in a small set of constants: `IN` lists and CASE over text.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::ColumnarValue;
use fleuve_plan::{Expr, Value};
use hashbrown::HashMap;

use super::kernel::{self, Kernel};
use super::{Compiler, PhysicalExprRef};

/// Up to this many constants are compared one after the other, which beats hashing.
const LINEAR_CONSTANTS_MAX: usize = 16;

/// Constants, each with the index of its first occurrence in the list.
#[derive(Debug)]
pub(super) enum TextTable {
    /// Compared by length and first eight bytes, then by the rest.
    Linear(Vec<Entry>),
    /// Hashed.
    Hashed(HashMap<Box<[u8]>, u32, foldhash::fast::FixedState>),
}

/// One constant.
#[derive(Debug)]
pub(super) struct Entry {
    head: u64,
    bytes: Box<[u8]>,
    index: u32,
}

impl TextTable {
    /// A table of these constants; of equal ones the first counts.
    pub(super) fn new(constants: &[&str]) -> Self {
        let indexed = (0_u32..).zip(constants).map(|(index, text)| (text.as_bytes(), index));
        if constants.len() <= LINEAR_CONSTANTS_MAX {
            let entry = |(bytes, index): (&[u8], u32)| Entry { head: head(bytes), bytes: bytes.into(), index };
            return TextTable::Linear(indexed.map(entry).collect());
        }
        let mut map = HashMap::with_hasher(foldhash::fast::FixedState::default());
        indexed.for_each(|(bytes, index)| {
            map.entry(bytes.into()).or_insert(index);
        });
        TextTable::Hashed(map)
    }

    /// The index of the constant that equals `text`.
    #[inline]
    pub(super) fn find(&self, text: &[u8]) -> Option<u32> {
        match self {
            TextTable::Linear(entries) => {
                let wanted = head(text);
                let same = |e: &&Entry| e.head == wanted && e.bytes.len() == text.len() && tail(&e.bytes) == tail(text);
                entries.iter().find(same).map(|entry| entry.index)
            }
            TextTable::Hashed(map) => map.get(text).copied(),
        }
    }
}

/// The first eight bytes, or all of fewer, padded with zeros.
#[inline]
fn head(bytes: &[u8]) -> u64 {
    if let Some(first) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*first);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        // The two loads overlap; both put the shared bytes in the same place.
        let shift = 8 * (bytes.len() - 4);
        return u64::from(u32::from_le_bytes(*first)) | (u64::from(u32::from_le_bytes(*last)) << shift);
    }
    bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

/// What [`head`] leaves out.
#[inline]
fn tail(bytes: &[u8]) -> &[u8] {
    bytes.get(8..).unwrap_or_default()
}

/// The text of a string constant.
pub(super) fn constant_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(literal) if literal.data_type == DataType::Utf8 => match &literal.value {
            Value::String(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// `value [NOT] IN ('a', 'b', …)`.
pub(super) fn in_list(
    compiler: &mut Compiler<'_>,
    value: &Expr,
    list: &[Expr],
    negated: bool,
) -> fleuve_base::Result<Option<PhysicalExprRef>> {
    let Some(constants) = list.iter().map(constant_text).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let value = compiler.compile(value)?;
    if compiler.data_type(&value)? != DataType::Utf8 {
        return Ok(None);
    }
    let nullable = value.nullable(compiler.schema).map_err(|e| super::to_error(&e))?;
    let text = format!("{value} {}IN {constants:?}", if negated { "NOT " } else { "" });
    let kernel = InConstants { table: TextTable::new(&constants), negated };
    Ok(Some(kernel::expr(text, vec![value], DataType::Boolean, nullable, kernel)))
}

/// Membership in a set of string constants.
#[derive(Debug)]
struct InConstants {
    table: TextTable,
    negated: bool,
}

impl Kernel for InConstants {
    fn evaluate(&self, operands: &[PhysicalExprRef], batch: &RecordBatch) -> Result<ColumnarValue> {
        super::arithmetic::per_array(operands[0].evaluate(batch)?, |array| {
            let texts = array.as_string::<i32>();
            let found = found(&self.table, texts, self.negated);
            Ok(std::sync::Arc::new(BooleanArray::new(found, texts.nulls().cloned())))
        })
    }
}

fn found(table: &TextTable, texts: &StringArray, negated: bool) -> BooleanBuffer {
    let bytes = texts.values().as_slice();
    let offsets = texts.value_offsets();
    BooleanBuffer::collect_bool(texts.len(), |row| {
        let text = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
        table.find(text).is_some() != negated
    })
}

/// The index of each text's constant, `otherwise` for a text that is none of them or NULL.
pub(super) fn indices(table: &TextTable, texts: &StringArray, otherwise: u32) -> Vec<u32> {
    let bytes = texts.values().as_slice();
    let find = |row: usize, ends: &[i32]| {
        let found = table.find(&bytes[ends[0] as usize..ends[1] as usize]);
        if texts.is_null(row) { otherwise } else { found.unwrap_or(otherwise) }
    };
    texts.value_offsets().windows(2).enumerate().map(|(row, ends)| find(row, ends)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_exactly_the_constants() {
        let words: Vec<String> = (0..40).map(|n| "abcdefghijklmnopq"[..n % 17].repeat(1 + n / 17)).collect();
        for count in [1, 2, 15, 16, 17, 40] {
            let constants: Vec<&str> = words[..count].iter().map(String::as_str).collect();
            let table = TextTable::new(&constants);
            for word in words.iter().map(String::as_str).chain(["a\0", "abcdefgX", "abcdefghX"]) {
                let expected = constants.iter().position(|c| *c == word).map(|i| i as u32);
                assert_eq!(table.find(word.as_bytes()), expected, "{word:?} among {count}");
            }
        }
    }

    #[test]
    fn padding_is_not_content() {
        let table = TextTable::new(&["a", "ab\0"]);
        assert_eq!(table.find(b"a\0"), None);
        assert_eq!(table.find(b"ab"), None);
        assert_eq!(table.find(b"ab\0"), Some(1));
    }
}
