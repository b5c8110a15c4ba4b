//! Functions over arrays and maps.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapBuilder, MapFieldNames, StringBuilder, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::Result;

use super::args::{Args, ints};
use super::function::{Param, Returns, Spec};
use crate::compile::external;

/// The functions of this module.
pub(super) static FUNCTIONS: &[Spec] = &[
    Spec::new("cardinality", &[Param::Any], Returns::Int, cardinality).can_fail().doc(
        "CARDINALITY(array or map)",
        "the number of elements",
        "CARDINALITY(STR_TO_MAP('a=1,b=2')) = 2",
    ),
    Spec::new("element", &[Param::Array], Returns::From(element_type), element).nullable().can_fail().doc(
        "ELEMENT(array)",
        "the only element; NULL of an empty array, an error if there are several",
        "ELEMENT(ARRAY[7]) = 7",
    ),
    Spec::new("str_to_map", &[Param::Text, Param::Text, Param::Text], Returns::From(text_map), str_to_map)
        .optional(2)
        .doc(
            "STR_TO_MAP(string[, pair_delimiter, key_value_delimiter])",
            "a MAP<STRING, STRING> of pairs; by default separated by , and =",
            "CARDINALITY(STR_TO_MAP('a:1;b:2', ';', ':')) = 2",
        ),
];

fn cardinality(args: &Args<'_>) -> Result<ArrayRef> {
    let array = args.array(0)?;
    let offsets = match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value_offsets(),
        DataType::Map(_, _) => array.as_map().value_offsets(),
        other => return Err(args.fail("E304", &format!("{other} is neither an array nor a map"))),
    };
    Ok(ints(args.rows, args.nulls(), |row| offsets[row + 1] - offsets[row]))
}

fn element_type(types: &[DataType]) -> Result<DataType> {
    match types {
        [DataType::List(item)] => Ok(item.data_type().clone()),
        _ => Err(external(fleuve_base::Error::input("E304", "ELEMENT takes an array"))),
    }
}

fn element(args: &Args<'_>) -> Result<ArrayRef> {
    let array = args.array(0)?;
    let list = array.as_list::<i32>();
    let offsets = list.value_offsets();
    let only = |row: usize| match offsets[row + 1] - offsets[row] {
        _ if list.is_null(row) => Ok(None),
        0 => Ok(None),
        1 => Ok(u32::try_from(offsets[row]).ok()),
        more => Err(args.fail("E304", &format!("the array has {more} elements"))),
    };
    let places = (0..args.rows).map(only).collect::<Result<UInt32Array>>()?;
    Ok(take(list.values().as_ref(), &places, None)?)
}

fn text_map(_: &[DataType]) -> Result<DataType> {
    let key = Field::new("key", DataType::Utf8, false);
    let value = Field::new("value", DataType::Utf8, true);
    let entries = DataType::Struct(Fields::from(vec![key, value]));
    Ok(DataType::Map(Arc::new(Field::new("entries", entries, false)), false))
}

fn str_to_map(args: &Args<'_>) -> Result<ArrayRef> {
    let (text, pairs, pair) = (args.text(0)?, args.text_or(1, ",")?, args.text_or(2, "=")?);
    let nulls = args.nulls();
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    let mut map = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for row in 0..args.rows {
        let valid = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        if valid {
            for (key, value) in distinct_pairs(text.at(row), pairs.at(row), pair.at(row)) {
                map.keys().append_value(key);
                map.values().append_option(value);
            }
        }
        map.append(valid)?;
    }
    Ok(Arc::new(map.finish()))
}

/// The pairs in their order; of equal keys the last value counts.
fn distinct_pairs<'a>(text: &'a str, pairs: &str, pair: &str) -> Vec<(&'a str, Option<&'a str>)> {
    let mut distinct: Vec<(&str, Option<&str>)> = Vec::new();
    for item in text.split(pairs).filter(|item| !item.is_empty()) {
        let (key, value) = item.split_once(pair).map_or((item, None), |(key, value)| (key, Some(value)));
        match distinct.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => distinct.push((key, value)),
        }
    }
    distinct
}
