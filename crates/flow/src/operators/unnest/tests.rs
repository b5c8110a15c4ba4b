//! Each kind of collection, as text.

use arrow::array::builder::{Int64Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow::array::types::Int64Type;
use arrow::array::{FixedSizeListArray, ListArray, RecordBatch, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Field, Fields, Schema};

use super::*;

/// Spreads `collection` beside a column that numbers the rows; the columns but the collection, as text.
fn spread(collection: ArrayRef, elements: &[DataType], outer: bool, ordinality: bool) -> Vec<String> {
    let id: ArrayRef = Arc::new((0..collection.len() as i64).map(Some).collect::<Int64Array>());
    let mut fields =
        vec![Field::new("id", DataType::Int64, true), Field::new("c", collection.data_type().clone(), true)];
    let input = Arc::new(Schema::new(fields.clone()));
    fields.extend(elements.iter().map(|data_type| Field::new("element", data_type.clone(), true)));
    fields.extend(ordinality.then(|| Field::new("ordinality", DataType::Int32, true)));
    let unnest = Unnest::new(&input, 1, outer, ordinality, Arc::new(Schema::new(fields))).unwrap();
    let weights: Int64Array = (0..collection.len() as i64).map(|row| Some(row + 1)).collect();
    let batch = Batch::weighted(RecordBatch::try_new(input, vec![id, collection]).unwrap(), weights);
    let result = unnest.apply(&batch).unwrap();
    let cell = |column: &ArrayRef, row| arrow::util::display::array_value_to_string(column, row).unwrap();
    let row = |row: usize| {
        let cells = result.columns.columns().iter().enumerate().filter(|(place, _)| *place != 1);
        let cells = cells.map(|(_, column)| cell(column, row)).collect::<Vec<_>>().join(",");
        format!("{cells} x{}", result.weight(row))
    };
    (0..result.num_rows()).map(row).collect()
}

fn lists() -> ListArray {
    ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(7), None]),
        None,
        Some(vec![]),
        Some(vec![Some(9)]),
    ])
}

#[test]
fn arrays() {
    assert_eq!(spread(Arc::new(lists()), &[DataType::Int64], false, true), ["0,7,1 x1", "0,,2 x1", "3,9,1 x4"]);
    let outer = spread(Arc::new(lists()), &[DataType::Int64], true, true);
    assert_eq!(outer, ["0,7,1 x1", "0,,2 x1", "1,, x2", "2,, x3", "3,9,1 x4"]);
    let slice = spread(Arc::new(lists().slice(2, 2)), &[DataType::Int64], false, false);
    assert_eq!(slice, ["1,9 x2"]);
}

#[test]
fn arrays_of_texts() {
    let mut builder = ListBuilder::new(StringBuilder::new());
    builder.append_value([Some("a"), Some("b")]);
    builder.append_value([Some("c")]);
    assert_eq!(spread(Arc::new(builder.finish()), &[DataType::Utf8], false, false), ["0,a x1", "0,b x1", "1,c x2"]);
}

#[test]
fn arrays_of_rows_give_their_fields() {
    let fields = Fields::from(vec![Field::new("x", DataType::Int64, true), Field::new("y", DataType::Int64, true)]);
    let column = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    // The second ROW is NULL, though values stand under it.
    let nulls = NullBuffer::from(vec![true, false, true]);
    let rows = StructArray::new(fields.clone(), vec![column(vec![1, 2, 3]), column(vec![4, 5, 6])], Some(nulls));
    let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
    let lists = ListArray::new(item, OffsetBuffer::from_lengths([2, 1]), Arc::new(rows), None);
    let found = spread(Arc::new(lists), &[DataType::Int64, DataType::Int64], false, false);
    assert_eq!(found, ["0,1,4 x1", "0,, x1", "1,3,6 x2"]);
}

#[test]
fn arrays_of_fixed_size() {
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6]));
    let lists = FixedSizeListArray::new(item, 2, values, Some(NullBuffer::from(vec![true, false, true])));
    assert_eq!(
        spread(Arc::new(lists.clone()), &[DataType::Int64], false, false),
        ["0,1 x1", "0,2 x1", "2,5 x3", "2,6 x3"]
    );
    assert_eq!(spread(Arc::new(lists.slice(2, 1)), &[DataType::Int64], false, false), ["0,5 x1", "0,6 x1"]);
}

#[test]
fn maps_give_keys_and_values() {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    builder.keys().append_value("a");
    builder.values().append_value(1);
    builder.keys().append_value("b");
    builder.values().append_null();
    builder.append(true).unwrap();
    builder.append(false).unwrap();
    let found = spread(Arc::new(builder.finish()), &[DataType::Utf8, DataType::Int64], true, false);
    assert_eq!(found, ["0,a,1 x1", "0,b, x1", "1,, x2"]);
}

#[test]
fn other_types_are_refused() {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    assert!(Unnest::new(&schema, 0, false, false, schema.clone()).is_err());
}
