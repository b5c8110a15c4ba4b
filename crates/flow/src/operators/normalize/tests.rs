//! Upserts against a map.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::Field;
use proptest::prelude::*;

use super::super::testing::{Cluster, Net, difference, info};
use super::*;

/// A key's new value, or none; its partition is a function of the key.
type Upsert = (i64, Option<&'static str>);

fn schema(order: bool) -> SchemaRef {
    let mut fields = vec![Field::new("k", DataType::Int64, false), Field::new("v", DataType::Utf8, true)];
    let hidden = ["partition", "offset"].map(|name| Field::new(name, DataType::Int64, false));
    fields.extend(hidden.into_iter().filter(|_| order));
    Arc::new(Schema::new(fields))
}

fn batch(records: &[(i64, Upsert)]) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(records.iter().map(|(_, (key, _))| *key))),
        Arc::new(records.iter().map(|(_, (_, value))| *value).collect::<StringArray>()),
        Arc::new(Int64Array::from_iter_values(records.iter().map(|(_, (key, _))| key % 3))),
        Arc::new(Int64Array::from_iter_values(records.iter().map(|(offset, _)| *offset))),
    ];
    let weights = records.iter().map(|(_, (_, value))| if value.is_some() { 1 } else { -1 });
    Batch::weighted(RecordBatch::try_new(schema(true), columns).unwrap(), Int64Array::from_iter_values(weights))
}

fn make(_share: Share) -> Box<dyn EpochOperator> {
    Box::new(Normalize::new(&schema(true), &[0], &[2, 3], schema(false)).unwrap())
}

fn net(table: &BTreeMap<i64, &str>) -> Net {
    table.iter().map(|(key, value)| (format!("{key},{value}"), 1)).collect()
}

fn epochs() -> impl Strategy<Value = Vec<(Vec<Upsert>, Option<usize>, usize)>> {
    let value = prop::option::of(prop::sample::select(vec!["a", "b", "c"]));
    let upserts = prop::collection::vec((0i64..8, value), 0..20);
    prop::collection::vec((upserts, prop::option::of(1usize..4), 1usize..5), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However an epoch's records are cut into batches and shuffled, and with restarts on other numbers of workers.
    #[test]
    fn the_last_record_of_a_key_is_its_row(epochs in epochs(), backwards in any::<bool>()) {
        let mut cluster = Cluster::new(&make, &[0]);
        let (mut table, mut offset) = (BTreeMap::new(), 0);
        for (epoch, (upserts, restart, cut)) in epochs.iter().enumerate() {
            restart.iter().for_each(|workers| cluster.restart(*workers));
            let before = net(&table);
            let mut records = vec![];
            for (key, value) in upserts {
                match value {
                    Some(value) => table.insert(*key, *value),
                    None => table.remove(key),
                };
                records.push((offset, (*key, *value)));
                offset += 1;
            }
            let mut batches: Vec<Batch> = records.chunks(*cut).map(batch).collect();
            if backwards {
                batches.reverse();
            }
            let found = cluster.epoch_batches(info(epoch as u64), &batches);
            let changes: usize = found.iter().map(Batch::num_rows).sum();
            let found = found.iter().fold(Net::new(), |mut net, batch| {
                super::super::testing::add(&mut net, batch);
                net
            });
            let expected = difference(&before, &net(&table));
            prop_assert_eq!(&found, &expected);
            // Nothing is emitted that is taken back at once.
            prop_assert_eq!(changes, expected.len());
            prop_assert_eq!(cluster.state_rows(), table.len());
        }
    }
}

#[test]
fn columns_that_do_not_fit_are_refused() {
    assert!(Normalize::new(&schema(true), &[], &[2, 3], schema(false)).is_err());
    assert!(Normalize::new(&schema(true), &[0], &[1], schema(false)).is_err());
    assert!(Normalize::new(&schema(false), &[0], &[2], schema(true)).is_err());
}
