//! Windowed aggregates against a list of all rows that were not late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{Field, TimeUnit};
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;

use super::super::assign_window::AssignWindow;
use super::super::testing::{Cluster, Net, info};
use super::super::window_time::Slides;
use super::*;

/// A row: key, time, value.
type Row = (Option<i64>, Option<i64>, i64);

const TIME: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(fields.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Vec<_>>()))
}

fn input() -> SchemaRef {
    schema(&[("k", DataType::Int64), ("t", TIME), ("v", DataType::Int64), ("s", DataType::Utf8)])
}

fn batch(rows: &[Row]) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<TimestampMillisecondArray>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.0.map(|k| format!("the text of key {k}"))).collect::<StringArray>()),
    ];
    Batch::append(RecordBatch::try_new(input(), columns).unwrap())
}

/// Keys, `count(*)`, `sum(v)`, `max(v)`, `count(DISTINCT v)`, and the window.
fn calls() -> Vec<AggregateCall> {
    let call = |function: &str, args: &[usize], distinct| AggregateCall {
        function: function.into(),
        args: args.to_vec(),
        parameters: vec![],
        distinct,
        filter: None,
        data_type: DataType::Int64,
    };
    vec![call("count", &[], false), call("sum", &[2], false), call("max", &[2], false), call("count", &[2], true)]
}

fn output(keys: &[usize]) -> SchemaRef {
    let input = input();
    let keys = keys.iter().map(|key| ("k", input.field(*key).data_type().clone()));
    let values = ["n", "s", "m", "d"].map(|name| (name, DataType::Int64));
    let windows = ["window_start", "window_end", "window_time"].map(|name| (name, TIME));
    schema(&keys.chain(values).chain(windows).collect::<Vec<_>>())
}

fn time(ms: i64) -> String {
    array_value_to_string(&TimestampMillisecondArray::from(vec![ms]), 0).unwrap()
}

fn line(keys: &[usize], key: Option<i64>, values: &[i64], start: i64, end: i64) -> String {
    let number = key.map_or("NULL".to_owned(), |key| key.to_string());
    let text = key.map_or("NULL".to_owned(), |key| format!("the text of key {key}"));
    let keys = keys.iter().map(|k| if *k == 0 { number.clone() } else { text.clone() });
    let distinct = values.iter().collect::<BTreeSet<_>>().len();
    let sums = [values.len() as i64, values.iter().sum(), *values.iter().max().unwrap(), distinct as i64];
    let sums = sums.map(|sum| sum.to_string());
    keys.chain(sums).chain([time(start), time(end), time(end - 1)]).collect::<Vec<_>>().join(",")
}

/// What a model knows between epochs: the rows that still count, and how many did not.
#[derive(Default)]
struct Model {
    rows: Vec<Row>,
    late: u64,
}

impl Model {
    fn by_key(&self, keys: &[usize]) -> BTreeMap<Option<i64>, Vec<Row>> {
        let mut by_key: BTreeMap<_, Vec<Row>> = BTreeMap::new();
        self.rows
            .iter()
            .for_each(|row| by_key.entry(if keys.is_empty() { None } else { row.0 }).or_default().push(*row));
        by_key
    }

    fn slides(&mut self, slides: Slides, keys: &[usize], before: i64, after: i64, new: &[Row]) -> Net {
        let open = |row: &&Row| row.1.is_some_and(|t| slides.end(slides.pane(t)) - 1 > before);
        self.rows.extend(new.iter().filter(open));
        self.late += new.iter().filter(|row| !open(row)).count() as u64;
        let mut net = Net::new();
        for (key, rows) in self.by_key(keys) {
            let mut windows: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
            for row in rows {
                let last = slides.pane(row.1.unwrap());
                let starts = (0..slides.windows_per_row() as i64).map(|back| last - back * slides.slide_ms);
                starts.for_each(|start| windows.entry(start).or_default().push(row.2));
            }
            for (start, values) in windows {
                let end = start + slides.size_ms;
                if end - 1 > before && end - 1 <= after {
                    net.insert(line(keys, key, &values, start, end), 1);
                }
            }
        }
        self.rows.retain(|row| slides.end(slides.pane(row.1.unwrap())) - 1 > after);
        net
    }

    fn sessions(&mut self, gap_ms: i64, keys: &[usize], before: i64, after: i64, new: &[Row]) -> Net {
        self.rows.extend(new.iter().filter(|row| row.1.is_some()));
        self.late += new.iter().filter(|row| row.1.is_none()).count() as u64;
        let mut net = Net::new();
        let by_key = self.by_key(keys);
        self.rows.clear();
        for (key, mut rows) in by_key {
            rows.sort_by_key(|row| row.1);
            for session in rows.chunk_by(|a, b| b.1.unwrap() <= a.1.unwrap() + gap_ms) {
                let (start, end) = (session[0].1.unwrap(), session[session.len() - 1].1.unwrap() + gap_ms);
                if end - 1 <= before {
                    self.late += session.len() as u64;
                } else if end - 1 <= after {
                    let values: Vec<i64> = session.iter().map(|row| row.2).collect();
                    net.insert(line(keys, key, &values, start, end), 1);
                } else {
                    self.rows.extend(session);
                }
            }
        }
        net
    }
}

/// An epoch: rows, how far the watermark goes, how to cut the rows into batches, and a restart.
type Step = (Vec<Row>, i64, usize, Option<usize>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (prop::option::of(0i64..4), prop::option::weighted(0.97, -40i64..120), -3i64..4);
    let step = (
        prop::collection::vec(row, 0..15),
        prop_oneof![Just(0i64), 0i64..30],
        0usize..15,
        prop::option::weighted(0.3, 1usize..5),
    );
    prop::collection::vec(step, 1..10)
}

/// What a naive evaluation changes at an epoch, given the old and the new watermark and the rows.
type NaiveModel<'a> = dyn FnMut(&mut Model, i64, i64, &[Row]) -> Net + 'a;

/// Runs an operator over epochs whose watermark goes from -40 to the end, and compares each with the model's.
fn check(
    window: &WindowInput,
    keys: &[usize],
    steps: Vec<Step>,
    carry: &dyn Fn(Batch) -> Batch,
    model: &mut NaiveModel<'_>,
) -> u64 {
    let schema = carry(batch(&[])).schema();
    let make = |_| {
        let made = WindowAggregate::new(&schema, Changelog::AppendOnly, window, keys, &calls(), output(keys));
        Box::new(made.unwrap()) as Box<dyn EpochOperator>
    };
    let mut cluster = Cluster::new(&make, keys);
    let mut known = Model::default();
    let (mut previous, mut watermark, last) = (i64::MIN, -40, steps.len() - 1);
    for (epoch, (rows, advance, cut, restart)) in steps.into_iter().enumerate() {
        if let Some(workers) = restart {
            cluster.restart(workers);
        }
        watermark = if epoch == last { i64::MAX } else { watermark + advance };
        let info = EpochInfo { watermark, previous_watermark: previous, last: epoch == last, ..info(epoch as u64) };
        let (left, right) = rows.split_at(cut.min(rows.len()));
        let batches = [carry(batch(right)), carry(batch(left))];
        assert_eq!(cluster.epoch(info, &batches), model(&mut known, previous, watermark, &rows), "epoch {epoch}");
        previous = watermark;
    }
    assert_eq!(cluster.state_rows(), 0, "nothing is left behind");
    assert_eq!(cluster.late_rows(), known.late);
    known.late
}

fn event(window: Window) -> WindowInput {
    WindowInput::Assign { window, time: TimeAttribute::Event(1) }
}

fn check_slides(window: Window, keys: &[usize], steps: Vec<Step>) {
    let slides = Slides::new(&window).unwrap();
    let mut model = |model: &mut Model, before, after, rows: &[Row]| model.slides(slides, keys, before, after, rows);
    check(&event(window), keys, steps, &|batch| batch, &mut model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn tumble(steps in steps(), size_ms in 1i64..30, offset_ms in -5i64..5) {
        check_slides(Window::Tumble { size_ms, offset_ms }, &[0], steps.clone());
        check_slides(Window::Tumble { size_ms, offset_ms }, &[], steps);
    }

    #[test]
    fn hop(steps in steps(), slide_ms in 1i64..12, times in 1i64..6, offset_ms in -5i64..5) {
        let window = Window::Hop { size_ms: slide_ms * times, slide_ms, offset_ms };
        check_slides(window.clone(), &[0], steps.clone());
        check_slides(window.clone(), &[3, 0], steps.clone());
        check_slides(window, &[], steps);
    }

    #[test]
    fn session(steps in steps(), gap_ms in 1i64..20) {
        for keys in [&[0][..], &[], &[3]] {
            let mut model =
                |model: &mut Model, before, after, rows: &[Row]| model.sessions(gap_ms, keys, before, after, rows);
            check(&event(Window::Session { gap_ms }), keys, steps.clone(), &|batch| batch, &mut model);
        }
    }

    /// Windows that an operator below has assigned: each copy of a row is late or not by its own window.
    #[test]
    fn attached(steps in steps(), slide_ms in 1i64..12, times in 1i64..4) {
        let window = Window::Hop { size_ms: slide_ms * times, slide_ms, offset_ms: 0 };
        let carried: Vec<_> = input().fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
        let bounds = ["window_start", "window_end", "window_time"].map(|name| (name.to_owned(), TIME));
        let fields: Vec<_> = carried.into_iter().chain(bounds).collect();
        let fields: Vec<(&str, DataType)> = fields.iter().map(|(name, t)| (name.as_str(), t.clone())).collect();
        let assign = AssignWindow::new(&window, TimeAttribute::Event(1), schema(&fields)).unwrap();
        let attached = WindowInput::Attached { start: 4, end: 5, processing: false };
        let slides = Slides::new(&window).unwrap();
        let mut model = |model: &mut Model, before, after, rows: &[Row]| {
            let rows: Vec<Row> = rows.iter().filter(|row| row.1.is_some()).copied().collect();
            let net = model.slides(slides, &[0], before, after, &rows);
            // A late row is late in each of its windows, and a row in time only in those that have closed.
            let closed = |row: &Row| {
                let pane = slides.pane(row.1.unwrap());
                (0..times).filter(|back| pane - back * slide_ms + slide_ms * times - 1 <= before).count() as u64
            };
            let late: u64 = rows.iter().map(closed).sum();
            let dropped = rows.iter().filter(|row| slides.end(slides.pane(row.1.unwrap())) - 1 <= before).count();
            model.late += late - dropped as u64;
            net
        };
        let carry = |batch: Batch| assign.apply(&batch, 0).unwrap().0;
        check(&attached, &[0], steps, &carry, &mut model);
    }
}

/// Rows of an epoch fall into the windows of its clock, and windows end when the clock has passed them.
#[test]
fn processing_time() {
    for (window, expected) in [
        (Window::Tumble { size_ms: 10, offset_ms: 0 }, ["", "", "1,2,3,2,2 @0-10", "1,1,7,7,1 @20-30"]),
        (Window::Session { gap_ms: 10 }, ["", "", "1,2,3,2,2 @5-19", "1,1,7,7,1 @25-35"]),
    ] {
        let input_window = WindowInput::Assign { window, time: TimeAttribute::Processing };
        let make = |_| {
            let made =
                WindowAggregate::new(&input(), Changelog::AppendOnly, &input_window, &[0], &calls(), output(&[0]));
            Box::new(made.unwrap()) as Box<dyn EpochOperator>
        };
        let mut cluster = Cluster::new(&make, &[0]);
        let mut previous_clock_ms = 5;
        for (epoch, (clock_ms, value)) in [(5, 1), (9, 2), (25, 7), (25, 0)].into_iter().enumerate() {
            let info = EpochInfo { clock_ms, previous_clock_ms, last: epoch == 3, ..info(epoch as u64) };
            let rows = if epoch == 3 { vec![] } else { vec![(Some(1), None, value)] };
            let net = cluster.epoch(info, &[batch(&rows)]);
            let short = |row: &String| {
                let ms = |text: &str| text.rsplit('.').next().unwrap().trim_start_matches('0').to_owned();
                let parts: Vec<&str> = row.split(',').collect();
                let bound = |text: &str| if text.contains('.') { ms(text) } else { "0".to_owned() };
                format!("{} @{}-{}", parts[..5].join(","), bound(parts[5]), bound(parts[6]))
            };
            assert_eq!(net.keys().map(short).collect::<Vec<_>>().join(";"), expected[epoch]);
            cluster.restart(epoch + 1);
            previous_clock_ms = clock_ms;
        }
    }
}

/// Groups whose rows were all retracted are not emitted; the others show what is left.
#[test]
fn retracted_rows() {
    for window in [Window::Tumble { size_ms: 10, offset_ms: 0 }, Window::Hop { size_ms: 10, slide_ms: 5, offset_ms: 0 }]
    {
        let window = event(window);
        let make = |_| {
            let made = WindowAggregate::new(&input(), Changelog::Retract, &window, &[0], &calls(), output(&[0]));
            Box::new(made.unwrap()) as Box<dyn EpochOperator>
        };
        let mut cluster = Cluster::new(&make, &[0]);
        let weighted = |rows: &[Row], weights: Vec<i64>| Batch { weights: Some(weights.into()), ..batch(rows) };
        let rows = [(Some(1), Some(6), 3), (Some(1), Some(7), 9), (Some(2), Some(6), 4)];
        assert!(cluster.epoch(info(0), &[weighted(&rows, vec![1, 1, 1])]).is_empty());
        cluster.restart(2);
        let last = EpochInfo { watermark: i64::MAX, last: true, ..info(1) };
        let net = cluster.epoch(last, &[weighted(&[rows[1], rows[2]], vec![-1, -1])]);
        assert!(net.keys().all(|row| row.starts_with("1,1,3,3,1,")), "{net:?}");
        assert_eq!(
            net.len(),
            if matches!(&window, WindowInput::Assign { window: Window::Hop { .. }, .. }) { 2 } else { 1 }
        );
        assert_eq!(cluster.state_rows(), 0);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let new = |changelog, window| {
        WindowAggregate::new(&input(), changelog, &event(window), &[0], &calls(), output(&[0])).unwrap_err()
    };
    assert_eq!(new(Changelog::Retract, Window::Session { gap_ms: 1 }).code(), "E203");
    assert_eq!(new(Changelog::AppendOnly, Window::Session { gap_ms: 0 }).code(), "E204");
    assert_eq!(new(Changelog::AppendOnly, Window::Hop { size_ms: 3, slide_ms: 2, offset_ms: 0 }).code(), "E204");
}
