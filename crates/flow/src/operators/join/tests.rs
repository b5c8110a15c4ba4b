//! Joins against nested loops over plain lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    types::{Int64Type, TimestampMillisecondType},
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use fleuve_plan::BinaryOp;
use fleuve_state::columns::hashes_of;
use fleuve_state::hash::key_group;
use proptest::prelude::*;

use super::*;

/// An integer key, a text key (a number, as text), a value and a time; and both times again as integers.
type Row = (Option<i64>, Option<i64>, i64, i64);
/// The cells of a result row.
type Cells = Vec<Option<i64>>;
type Multiset<T> = BTreeMap<T, i64>;

const WIDTH: usize = 5;
const LATE: usize = 2;

pub(in crate::operators) fn schema() -> SchemaRef {
    let field = |name, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("k", DataType::Int64),
        field("s", DataType::Utf8),
        field("v", DataType::Int64),
        field("t", DataType::Timestamp(TimeUnit::Millisecond, None)),
        field("t_ms", DataType::Int64),
    ]))
}

fn output_schema(kind: JoinKind) -> SchemaRef {
    let sides = if matches!(kind, JoinKind::Inner | JoinKind::Left) { 2 } else { 1 };
    let fields = (0..sides).flat_map(|_| schema().fields().iter().cloned().collect::<Vec<_>>());
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn columns(rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1.map(|s| s.to_string())).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| Some(row.3)).collect::<TimestampMillisecondArray>()),
        Arc::new(rows.iter().map(|row| Some(row.3)).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn cell(column: &ArrayRef, row: usize) -> Option<i64> {
    column.is_valid(row).then(|| match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row),
        DataType::Utf8 => column.as_string::<i32>().value(row).parse().unwrap(),
        _ => column.as_primitive::<TimestampMillisecondType>().value(row),
    })
}

fn cells(row: &Row) -> Cells {
    vec![row.0, row.1, Some(row.2), Some(row.3), Some(row.3)]
}

/// Adds up batches; no row may come with both signs.
fn collect(batches: &[Batch], into: &mut Multiset<Cells>) {
    let mut signs: BTreeMap<Cells, i64> = BTreeMap::new();
    for batch in batches {
        assert!(batch.num_rows() <= fleuve_base::limits::BATCH_ROWS && batch.num_rows() > 0);
        for row in 0..batch.num_rows() {
            let cells: Cells = batch.columns.columns().iter().map(|column| cell(column, row)).collect();
            let weight = batch.weight(row);
            assert!(weight != 0);
            assert_eq!(*signs.entry(cells.clone()).or_insert(weight.signum()), weight.signum(), "{cells:?} both ways");
            *into.entry(cells).or_default() += weight;
        }
    }
}

/// Which conditions a test's join has.
#[derive(Debug, Clone)]
struct Case {
    kind: JoinKind,
    keys: Vec<usize>,
    filtered: bool,
    interval: Option<(i64, i64)>,
    changelog: (bool, bool),
}

impl Case {
    fn filter(&self) -> Option<Expr> {
        let column = |column: usize| Expr::Column(column);
        let plus = |column: usize, ms: i64| Expr::binary(BinaryOp::Plus, Expr::Column(column), Expr::int64(ms));
        let value = self.filtered.then(|| Expr::binary(BinaryOp::Lt, column(2), column(WIDTH + 2)));
        let times = self.interval.into_iter().flat_map(|(lower, upper)| {
            let from = Expr::binary(BinaryOp::GtEq, column(WIDTH + 4), plus(4, lower));
            [from, Expr::binary(BinaryOp::LtEq, column(WIDTH + 4), plus(4, upper))]
        });
        Expr::and_all(value.into_iter().chain(times))
    }

    fn matches(&self, left: &Row, right: &Row) -> bool {
        let equal = |a: Option<i64>, b: Option<i64>| a.is_some() && a == b;
        self.keys.iter().all(|key| if *key == 0 { equal(left.0, right.0) } else { equal(left.1, right.1) })
            && (!self.filtered || left.2 < right.2)
            && self.interval.is_none_or(|(lower, upper)| (left.3 + lower..=left.3 + upper).contains(&right.3))
    }

    fn join(&self) -> Join {
        let input = |changelog| JoinInput { schema: schema(), keys: self.keys.clone(), changelog };
        let interval = |(lower_ms, upper_ms)| Interval { left_time: 3, right_time: 3, lower_ms, upper_ms };
        let spec = JoinSpec {
            kind: self.kind,
            left: input(self.changelog.0),
            right: input(self.changelog.1),
            filter: self.filter(),
            interval: self.interval.map(interval),
            output: output_schema(self.kind),
        };
        Join::new(spec, &CompileContext::default()).unwrap()
    }

    /// The result over whole inputs.
    fn result(&self, left: &Multiset<Row>, right: &Multiset<Row>) -> Multiset<Cells> {
        let mut result = Multiset::new();
        for (a, &count) in left {
            let matches: Vec<_> = right.iter().filter(|(b, _)| self.matches(a, b)).collect();
            if matches!(self.kind, JoinKind::Inner | JoinKind::Left) {
                for (b, times) in matches.iter().copied() {
                    *result.entry([cells(a), cells(b)].concat()).or_default() += count * times;
                }
            }
            match (self.kind, matches.is_empty()) {
                (JoinKind::Left, true) => result.insert([cells(a), vec![None; WIDTH]].concat(), count),
                (JoinKind::Semi, false) | (JoinKind::Anti, true) => result.insert(cells(a), count),
                _ => None,
            };
        }
        result
    }
}

/// Several workers, with rows dealt out as the runtime does it.
struct Workers {
    case: Case,
    joins: Vec<Join>,
}

impl Workers {
    fn new(case: &Case, workers: usize) -> Self {
        Workers { case: case.clone(), joins: (0..workers).map(|_| case.join()).collect() }
    }

    fn deal(&self, batch: &Batch) -> Vec<Batch> {
        let keys: Vec<_> = self.case.keys.iter().map(|&key| batch.column(key).clone()).collect();
        let owner = |row: usize| match &keys[..] {
            [] => 0,
            keys => Share::owner(key_group(hashes_of(keys, batch.num_rows()).unwrap()[row]), self.joins.len()),
        };
        let owners: Vec<usize> = (0..batch.num_rows()).map(owner).collect();
        let part = |worker: usize| filter_batch(batch.clone(), owners.iter().map(|&owner| owner == worker).collect());
        (0..self.joins.len()).map(|worker| part(worker).unwrap()).collect()
    }

    fn apply(&mut self, info: &EpochInfo, left: &[Batch], right: &[Batch]) -> Multiset<Cells> {
        let mut inputs: Vec<[Vec<Batch>; 2]> = self.joins.iter().map(|_| [vec![], vec![]]).collect();
        for (side, batches) in [left, right].into_iter().enumerate() {
            for batch in batches {
                for (worker, part) in self.deal(batch).into_iter().enumerate() {
                    inputs[worker][side].push(part);
                }
            }
        }
        let mut result = Multiset::new();
        for (join, mut inputs) in self.joins.iter_mut().zip(inputs) {
            let mut output = Vec::new();
            join.apply(info, &mut inputs, &mut output).unwrap();
            collect(&output, &mut result);
        }
        result.retain(|_, weight| *weight != 0);
        result
    }

    fn restart(&mut self, workers: usize) {
        let saved: Vec<_> = self.joins.iter_mut().map(|join| join.save().unwrap()).collect();
        self.joins = (0..workers).map(|_| self.case.join()).collect();
        for (worker, join) in self.joins.iter_mut().enumerate() {
            saved.iter().for_each(|tables| join.restore(tables, Share { worker, workers }).unwrap());
        }
    }

    fn late_rows(&self) -> u64 {
        self.joins.iter().map(|join| join.stats().late_rows).sum()
    }
}

fn info(epoch: u64, previous_watermark: i64, watermark: i64) -> EpochInfo {
    EpochInfo { epoch, clock_ms: 0, previous_clock_ms: 0, watermark, previous_watermark, last: false }
}

/// Rows in batches of some size; with weights, or without where all are 1.
fn batches(changes: &[(Row, i64)], changelog: bool, size: usize) -> Vec<Batch> {
    let batch = |changes: &[(Row, i64)]| {
        let (rows, weights): (Vec<Row>, Vec<i64>) = changes.iter().cloned().unzip();
        match changelog {
            true => Batch::weighted(columns(&rows), weights.into()),
            false => Batch::append(columns(&rows)),
        }
    };
    changes.chunks(size).map(batch).collect()
}

fn row() -> impl Strategy<Value = Row> {
    let key = || proptest::option::weighted(0.85, 0i64..4);
    (key(), key(), 0i64..3, Just(0))
}

fn kind() -> impl Strategy<Value = JoinKind> {
    prop_oneof![Just(JoinKind::Inner), Just(JoinKind::Left), Just(JoinKind::Semi), Just(JoinKind::Anti)]
}

fn keys() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![]), Just(vec![0]), Just(vec![1]), Just(vec![0, 1])]
}

fn case() -> impl Strategy<Value = Case> {
    (kind(), keys(), any::<bool>(), any::<(bool, bool)>()).prop_map(|(kind, keys, filtered, changelog)| Case {
        kind,
        keys,
        filtered,
        interval: None,
        changelog,
    })
}

type Epoch = (Vec<(Row, i64)>, Vec<(Row, i64)>, usize, Option<usize>);

/// Changes of both inputs, a batch size, and with how many workers to restart afterwards, if at all.
fn epoch() -> impl Strategy<Value = Epoch> {
    let changes = || proptest::collection::vec((row(), prop_oneof![Just(1i64), Just(-1), Just(2)]), 0..14);
    (changes(), changes(), 1usize..8, proptest::option::weighted(0.3, 1usize..5))
}

/// Makes changes that leave no row with a negative count, as a source would.
fn admissible(changes: Vec<(Row, i64)>, changelog: bool, state: &mut Multiset<Row>) -> Vec<(Row, i64)> {
    let mut kept = Vec::new();
    for (row, weight) in changes {
        let weight = if changelog { weight } else { 1 };
        let count = state.entry(row).or_default();
        if *count + weight >= 0 {
            *count += weight;
            kept.push((row, weight));
        }
    }
    state.retain(|_, count| *count != 0);
    kept
}

fn minus(after: Multiset<Cells>, before: &Multiset<Cells>) -> Multiset<Cells> {
    let mut change = after;
    before.iter().for_each(|(row, count)| *change.entry(row.clone()).or_default() -= count);
    change.retain(|_, count| *count != 0);
    change
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..Default::default() })]

    #[test]
    fn changelogs_agree_with_nested_loops(
        case in case(),
        epochs in proptest::collection::vec(epoch(), 1..8),
        turn in any::<u64>(),
    ) {
        let (mut left, mut right) = (Multiset::new(), Multiset::new());
        let (mut workers, mut before) = (Workers::new(&case, 2), Multiset::new());
        for (number, (a, b, size, restart)) in epochs.into_iter().enumerate() {
            let mut a = admissible(a, case.changelog.0, &mut left);
            let mut b = admissible(b, case.changelog.1, &mut right);
            // What arrives first within an epoch does not matter.
            for changes in [&mut a, &mut b] {
                let by = turn as usize % changes.len().max(1);
                changes.rotate_left(by);
            }
            let (a, b) = (batches(&a, case.changelog.0, size), batches(&b, case.changelog.1, size));
            let change = workers.apply(&info(number as u64, i64::MIN, i64::MIN), &a, &b);
            let after = case.result(&left, &right);
            prop_assert_eq!(change, minus(after.clone(), &before), "epoch {}", number);
            before = after;
            if let Some(count) = restart {
                workers.restart(count);
            }
        }
    }

    #[test]
    fn intervals_agree_with_nested_loops(
        kind in kind(),
        keys in keys(),
        filtered in any::<bool>(),
        bounds in (-6i64..4, 0i64..6),
        epochs in proptest::collection::vec((epoch(), 0i64..8, any::<u8>()), 1..10),
    ) {
        let interval = Some((bounds.0, bounds.0 + bounds.1));
        let case = Case { kind, keys, filtered, interval, changelog: (false, false) };
        let mut workers = Workers::new(&case, 2);
        let mut model = IntervalModel { case: case.clone(), left: vec![], right: vec![], late: 0 };
        let mut watermark = i64::MIN;
        let mut clock = 0;
        for (number, ((a, b, size, restart), step, seed)) in epochs.into_iter().enumerate() {
            let timed = |changes: Vec<(Row, i64)>| -> Vec<(Row, i64)> {
                let time = |place: usize| clock - LATE as i64 + (place * 7 + seed as usize) as i64 % 11;
                changes.into_iter().enumerate().map(|(i, ((k, s, v, _), _))| ((k, s, v, time(i)), 1)).collect()
            };
            let (a, b) = (timed(a), timed(b));
            clock += step;
            let info = info(number as u64, watermark, clock);
            let change = workers.apply(&info, &batches(&a, false, size), &batches(&b, false, size));
            let expected = model.apply(&info, a, b);
            prop_assert_eq!(change, expected, "epoch {}", number);
            watermark = clock;
            if let Some(count) = restart {
                prop_assert_eq!(workers.late_rows(), std::mem::take(&mut model.late));
                workers.restart(count);
            }
        }
        let last = EpochInfo { last: true, ..info(99, watermark, watermark) };
        prop_assert_eq!(workers.apply(&last, &[], &[]), model.apply(&last, vec![], vec![]));
        prop_assert!(workers.joins.iter().all(|join| join.stats().state_rows == 0));
    }
}

/// Left rows with "matched" and "settled", and all right rows that were in time.
struct IntervalModel {
    case: Case,
    left: Vec<(Row, bool, bool)>,
    right: Vec<Row>,
    late: u64,
}

impl IntervalModel {
    fn apply(&mut self, info: &EpochInfo, left: Vec<(Row, i64)>, right: Vec<(Row, i64)>) -> Multiset<Cells> {
        let mut in_time = |rows: Vec<(Row, i64)>| -> Vec<Row> {
            let (kept, late): (Vec<_>, Vec<_>) =
                rows.into_iter().map(|(row, _)| row).partition(|row| row.3 >= info.previous_watermark);
            self.late += late.len() as u64;
            kept
        };
        let (new_left, new_right) = (in_time(left), in_time(right));
        let mut result = Multiset::new();
        let mut add = |cells: Cells| *result.entry(cells).or_default() += 1;
        let old_left = self.left.len();
        self.left.extend(new_left.into_iter().map(|row| (row, false, false)));
        let old_right = self.right.len();
        self.right.extend(new_right);
        let pairs = matches!(self.case.kind, JoinKind::Inner | JoinKind::Left);
        let end = if info.last { i64::MAX } else { info.watermark };
        for (place, (a, matched, settled)) in self.left.iter_mut().enumerate() {
            for b in &self.right[if place < old_left { old_right } else { 0 }..] {
                if !self.case.matches(a, b) {
                    continue;
                }
                if pairs {
                    add([cells(a), cells(b)].concat());
                } else if self.case.kind == JoinKind::Semi && !*matched {
                    add(cells(a));
                }
                *matched = true;
            }
            let nulls = self.case.keys.iter().any(|&key| if key == 0 { a.0.is_none() } else { a.1.is_none() });
            let over = nulls || a.3 + self.case.interval.unwrap().1 < end;
            if over && !*settled {
                *settled = true;
                match self.case.kind {
                    JoinKind::Left if !*matched => add([cells(a), vec![None; WIDTH]].concat()),
                    JoinKind::Anti if !*matched => add(cells(a)),
                    _ => {}
                }
            }
        }
        result
    }
}

fn run(join: &mut Join, left: &[(Row, i64)], right: &[(Row, i64)]) -> Multiset<Cells> {
    let changelog = (join.retracts, join.retracts);
    let mut inputs = [batches(left, changelog.0, 1000), batches(right, changelog.1, 1000)];
    let mut output = Vec::new();
    join.apply(&info(0, i64::MIN, i64::MIN), &mut inputs, &mut output).unwrap();
    let mut result = Multiset::new();
    collect(&output, &mut result);
    result
}

fn simple(k: i64, v: i64) -> Row {
    (Some(k), None, v, 0)
}

#[test]
fn a_left_join_takes_its_nulls_back() {
    let case = Case { kind: JoinKind::Left, keys: vec![0], filtered: false, interval: None, changelog: (true, true) };
    let mut join = case.join();
    let (a, b) = (simple(1, 10), simple(1, 20));
    let alone = [cells(&a), vec![None; WIDTH]].concat();
    let pair = [cells(&a), cells(&b)].concat();
    assert_eq!(run(&mut join, &[(a, 1)], &[]), Multiset::from([(alone.clone(), 1)]));
    assert_eq!(run(&mut join, &[], &[(b, 1)]), Multiset::from([(alone.clone(), -1), (pair.clone(), 1)]));
    assert_eq!(run(&mut join, &[], &[(b, -1)]), Multiset::from([(alone.clone(), 1), (pair.clone(), -1)]));
    // Both in one epoch: nothing of the states between can be seen.
    assert_eq!(run(&mut join, &[(a, -1)], &[(b, 1)]), Multiset::from([(alone, -1)]));
    assert_eq!(run(&mut join, &[(a, 1)], &[]), Multiset::from([(pair, 1)]));
}

/// Money moves between accounts; joined with itself, each epoch's change must leave the total as it was.
#[test]
fn a_self_join_is_consistent_within_every_epoch() {
    const ACCOUNTS: i64 = 50;
    let case = Case { kind: JoinKind::Inner, keys: vec![0], filtered: false, interval: None, changelog: (true, true) };
    let mut join = case.join();
    let mut balances = vec![100i64; ACCOUNTS as usize];
    let opening: Vec<(Row, i64)> = (0..ACCOUNTS).map(|account| (simple(account, 100), 1)).collect();
    let total = |change: &Multiset<Cells>, column: usize| -> i64 {
        change.iter().map(|(cells, weight)| cells[column].unwrap() * weight).sum()
    };
    let opened = run(&mut join, &opening, &opening);
    assert_eq!(total(&opened, 2), 100 * ACCOUNTS);
    let mut seed = 7u64;
    for _ in 0..200 {
        let mut changes = Vec::new();
        for _ in 0..20 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let (from, to) = ((seed >> 33) % ACCOUNTS as u64, (seed >> 20) % ACCOUNTS as u64);
            for (account, amount) in [(from as usize, -1), (to as usize, 1)] {
                changes.push((simple(account as i64, balances[account]), -1));
                balances[account] += amount;
                changes.push((simple(account as i64, balances[account]), 1));
            }
        }
        let change = run(&mut join, &changes, &changes);
        assert_eq!((total(&change, 2), total(&change, WIDTH + 2)), (0, 0));
        assert_eq!(change.values().sum::<i64>(), 0);
    }
    assert_eq!(join.left.store.len(), ACCOUNTS as usize);
    assert!(join.stats().state_bytes < 4 << 20, "{}", join.stats().state_bytes);
}

/// A million pairs of one key come out in batches, and only those in one piece that fit.
#[test]
fn one_hot_key_is_joined_in_pieces() {
    let case =
        Case { kind: JoinKind::Inner, keys: vec![0], filtered: false, interval: None, changelog: (false, false) };
    let mut join = case.join();
    let side: Vec<(Row, i64)> = (0..1000).map(|value| (simple(1, value), 1)).collect();
    let mut inputs = [batches(&side, false, 300), batches(&side, false, 300)];
    let mut output = Vec::new();
    join.apply(&info(0, i64::MIN, i64::MIN), &mut inputs, &mut output).unwrap();
    assert_eq!(output.iter().map(Batch::num_rows).sum::<usize>(), 1_000_000);
    assert!(output.iter().all(|batch| batch.num_rows() <= fleuve_base::limits::BATCH_ROWS && batch.weights.is_none()));
}

/// `id IN (SELECT …)`: what is looked for is kept once, and what has been found not at all.
#[test]
fn a_semi_join_keeps_no_more_than_it_needs() {
    let case = Case { kind: JoinKind::Semi, keys: vec![0], filtered: false, interval: None, changelog: (false, false) };
    let mut join = case.join();
    for epoch in 0..20 {
        let side: Vec<(Row, i64)> = (0..1000).map(|value| (simple(value % 10, epoch * 1000 + value), 1)).collect();
        assert_eq!(run(&mut join, &side, &side).values().sum::<i64>(), 1000);
    }
    assert_eq!(join.stats().state_rows, 10);
}

#[test]
fn what_does_not_fit_is_refused() {
    let case = Case {
        kind: JoinKind::Inner,
        keys: vec![0],
        filtered: false,
        interval: Some((0, 1)),
        changelog: (true, false),
    };
    let input = |keys: Vec<usize>, changelog| JoinInput { schema: schema(), keys, changelog };
    let spec = |left, right| JoinSpec {
        kind: JoinKind::Inner,
        left,
        right,
        filter: None,
        interval: None,
        output: output_schema(JoinKind::Inner),
    };
    let context = CompileContext::default();
    assert!(Join::new(spec(input(vec![0], false), input(vec![1], false)), &context).is_err());
    let interval = Some(Interval { left_time: 3, right_time: 3, lower_ms: 0, upper_ms: 1 });
    let changelog = JoinSpec { interval, ..spec(input(vec![0], case.changelog.0), input(vec![0], false)) };
    assert!(Join::new(changelog, &context).is_err());
    let mut join = Join::new(spec(input(vec![0], false), input(vec![0], false)), &context).unwrap();
    let weighted = Batch::weighted(columns(&[simple(1, 1)]), vec![-1].into());
    assert!(join.apply(&info(0, 0, 0), &mut [vec![weighted], vec![]], &mut vec![]).is_err());
    let foreign = StateTable { name: "middle-0".to_owned(), rows: columns(&[]) };
    assert!(join.restore(&[foreign], Share { worker: 0, workers: 1 }).is_err());
}
