//! A window join against nested loops over plain lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::types::{Int64Type, TimestampMillisecondType};
use arrow::array::{Array, AsArray, Int64Array, TimestampMillisecondArray};
use arrow::datatypes::{Field, Schema};
use fleuve_plan::BinaryOp;
use fleuve_state::columns::hashes_of;
use fleuve_state::hash::key_group;
use proptest::prelude::*;

use super::*;

/// A key, a value, and the window's start and size.
type Row = (Option<i64>, i64, i64, i64);
type Cells = Vec<Option<i64>>;
type Bag = BTreeMap<Cells, usize>;

fn fields() -> Vec<Field> {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let field = |name, data_type: &DataType| Field::new(name, data_type.clone(), true);
    let integer = DataType::Int64;
    vec![field("k", &integer), field("v", &integer), field("window_start", &time), field("window_end", &time)]
}

fn batch(rows: &[Row]) -> Batch {
    let time =
        |of: fn(&Row) -> i64| Arc::new(rows.iter().map(|row| Some(of(row))).collect::<TimestampMillisecondArray>());
    let k: Int64Array = rows.iter().map(|row| row.0).collect();
    let v: Int64Array = rows.iter().map(|row| Some(row.1)).collect();
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(k), Arc::new(v), time(|row| row.2), time(|row| row.2 + row.3)];
    Batch::append(RecordBatch::try_new(Arc::new(Schema::new(fields())), columns).unwrap())
}

fn cells(row: &Row) -> Cells {
    vec![row.0, Some(row.1), Some(row.2), Some(row.2 + row.3)]
}

fn bag(batches: &[Batch], into: &mut Bag) {
    for batch in batches {
        assert!(batch.weights.is_none());
        for row in 0..batch.num_rows() {
            let cell = |column: &arrow::array::ArrayRef| {
                column.is_valid(row).then(|| match column.data_type() {
                    DataType::Int64 => column.as_primitive::<Int64Type>().value(row),
                    _ => column.as_primitive::<TimestampMillisecondType>().value(row),
                })
            };
            *into.entry(batch.columns.columns().iter().map(cell).collect()).or_default() += 1;
        }
    }
}

fn join(kind: JoinKind, keyed: bool, filtered: bool) -> WindowJoin {
    let sides = if matches!(kind, JoinKind::Inner | JoinKind::Left) { 2 } else { 1 };
    let output = Schema::new((0..sides).flat_map(|_| fields()).collect::<Vec<_>>());
    let keys = if keyed { vec![0] } else { vec![] };
    let input = JoinInput { schema: Arc::new(Schema::new(fields())), keys, changelog: false };
    let spec = WindowJoinSpec {
        kind,
        left: input.clone(),
        right: input,
        left_window: (2, 3),
        right_window: (2, 3),
        filter: filtered.then(|| Expr::binary(BinaryOp::Lt, Expr::Column(1), Expr::Column(5))),
        output: Arc::new(output),
    };
    WindowJoin::new(spec, &CompileContext::default()).unwrap()
}

/// What nested loops find among the rows of closing windows.
fn model(kind: JoinKind, keyed: bool, filtered: bool, left: &[Row], right: &[Row]) -> Bag {
    let mut bag = Bag::new();
    let mut add = |cells: Cells| *bag.entry(cells).or_default() += 1;
    for a in left {
        let matching = |b: &&Row| {
            (!keyed || (a.0.is_some() && a.0 == b.0)) && (a.2, a.3) == (b.2, b.3) && (!filtered || a.1 < b.1)
        };
        let matches: Vec<_> = right.iter().filter(matching).collect();
        match (kind, matches.is_empty()) {
            (JoinKind::Inner | JoinKind::Left, false) => {
                matches.iter().for_each(|b| add([cells(a), cells(b)].concat()))
            }
            (JoinKind::Left, true) => add([cells(a), vec![None; 4]].concat()),
            (JoinKind::Semi, false) | (JoinKind::Anti, true) => add(cells(a)),
            _ => {}
        }
    }
    bag
}

fn deal(rows: &[Row], keyed: bool, worker: usize, workers: usize) -> Batch {
    let all = batch(rows);
    let hashes = hashes_of(&[all.column(0).clone()], rows.len()).unwrap();
    let owner = |row: usize| if keyed { Share::owner(key_group(hashes[row]), workers) } else { 0 };
    let mine: Vec<Row> = (0..rows.len()).filter(|&row| owner(row) == worker).map(|row| rows[row]).collect();
    batch(&mine)
}

fn kind() -> impl Strategy<Value = JoinKind> {
    prop_oneof![Just(JoinKind::Inner), Just(JoinKind::Left), Just(JoinKind::Semi), Just(JoinKind::Anti)]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (proptest::option::weighted(0.9, 0i64..3), 0i64..3, 0i64..6, prop_oneof![Just(10i64), Just(20)]);
    proptest::collection::vec(row, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..Default::default() })]

    #[test]
    fn agrees_with_nested_loops(
        kind in kind(),
        keyed in any::<bool>(),
        filtered in any::<bool>(),
        epochs in proptest::collection::vec((rows(), rows(), 0i64..30, proptest::option::weighted(0.3, 1usize..4)), 1..9),
    ) {
        let mut workers: Vec<WindowJoin> = (0..2).map(|_| join(kind, keyed, filtered)).collect();
        let (mut left, mut right): (Vec<Row>, Vec<Row>) = (vec![], vec![]);
        let (mut before, mut watermark, mut late) = (i64::MIN, 0, 0);
        let count = epochs.len();
        for (number, (a, b, step, restart)) in epochs.into_iter().enumerate() {
            let at = |rows: Vec<Row>| -> Vec<Row> { rows.into_iter().map(|row| (row.0, row.1, (watermark / 10 + row.2 - 3) * 10, row.3)).collect() };
            let (a, b) = (at(a), at(b));
            let after = watermark + step;
            let closed = |row: &Row, watermark: i64| row.2 + row.3 - 1 <= watermark;
            // A right row whose key is NULL is dropped before anyone looks at its window.
            let matters = |row: &Row, outer: bool| outer || !keyed || row.0.is_some();
            let outer = matches!(kind, JoinKind::Left | JoinKind::Anti);
            late += a.iter().filter(|row| closed(row, before) && matters(row, outer)).count() as u64;
            late += b.iter().filter(|row| closed(row, before) && matters(row, false)).count() as u64;
            left.extend(a.iter().filter(|row| !closed(row, before)));
            right.extend(b.iter().filter(|row| !closed(row, before)));
            let last = number + 1 == count;
            let info = EpochInfo { epoch: number as u64, clock_ms: 0, previous_clock_ms: 0, watermark: after, previous_watermark: before, last };
            let (closing_left, rest_left) = left.into_iter().partition::<Vec<Row>, _>(|row| last || closed(row, after));
            let (closing_right, rest_right) = right.into_iter().partition::<Vec<Row>, _>(|row| last || closed(row, after));
            (left, right) = (rest_left, rest_right);
            let mut found = Bag::new();
            let total = workers.len();
            for (worker, join) in workers.iter_mut().enumerate() {
                let mut output = vec![];
                let mut inputs = [vec![deal(&a, keyed, worker, total)], vec![deal(&b, keyed, worker, total)]];
                join.apply(&info, &mut inputs, &mut output).unwrap();
                bag(&output, &mut found);
            }
            prop_assert_eq!(found, model(kind, keyed, filtered, &closing_left, &closing_right));
            (before, watermark) = (after, after);
            prop_assert_eq!(workers.iter().map(|join| join.stats().late_rows).sum::<u64>(), late);
            if let Some(new) = restart {
                let saved: Vec<_> = workers.iter_mut().map(|join| join.save().unwrap()).collect();
                workers = (0..new).map(|_| join(kind, keyed, filtered)).collect();
                for (worker, join) in workers.iter_mut().enumerate() {
                    saved.iter().for_each(|tables| join.restore(tables, Share { worker, workers: new }).unwrap());
                }
                late = 0;
            }
        }
        prop_assert!(workers.iter().all(|join| join.stats().state_rows == 0));
    }
}

#[test]
fn many_long_overlapping_windows_stay_cheap() {
    let mut join = join(JoinKind::Inner, true, false);
    let mut before = i64::MIN;
    let mut fired = 0;
    for epoch in 0..500i64 {
        // Each row lies in 20 windows.
        let rows: Vec<Row> = (0..20i64).map(|i| (Some(i % 5), i, (epoch + i) * 1000, 20_000)).collect();
        let mut output = vec![];
        let watermark = epoch * 1000;
        let info = EpochInfo {
            epoch: epoch as u64,
            clock_ms: 0,
            previous_clock_ms: 0,
            watermark,
            previous_watermark: before,
            last: epoch == 499,
        };
        join.apply(&info, &mut [vec![batch(&rows)], vec![batch(&rows)]], &mut output).unwrap();
        fired += output.iter().map(Batch::num_rows).sum::<usize>();
        before = watermark;
        assert!(join.stats().state_rows <= 2 * 20 * 41 && join.stats().state_bytes < 1 << 20);
    }
    // Window w gets one row of key i % 5 from each epoch w - i; windows at both ends get fewer.
    let per_window = |w: i64| {
        (0..5).map(|k| (0..20).filter(|i| i % 5 == k && (0..500).contains(&(w - i))).count().pow(2)).sum::<usize>()
    };
    assert_eq!(fired, (0..520).map(per_window).sum::<usize>());
}

#[test]
fn changelogs_and_other_window_types_are_refused() {
    let input = |changelog| JoinInput { schema: Arc::new(Schema::new(fields())), keys: vec![0], changelog };
    let spec = |changelog, left_window| WindowJoinSpec {
        kind: JoinKind::Semi,
        left: input(changelog),
        right: input(false),
        left_window,
        right_window: (2, 3),
        filter: None,
        output: Arc::new(Schema::new(fields())),
    };
    let context = CompileContext::default();
    assert!(WindowJoin::new(spec(false, (2, 3)), &context).is_ok());
    assert!(WindowJoin::new(spec(true, (2, 3)), &context).is_err());
    assert!(WindowJoin::new(spec(false, (0, 1)), &context).is_err());
}
