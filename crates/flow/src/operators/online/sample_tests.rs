//! From the sample's operator to the estimates: intervals of the whole population cover as often as they claim.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::Field;
use fleuve_plan::{OnlineMethod, SampleMethod, SampleUnit};

use super::super::sample::{Bernoulli, Chances, Reservoir};
use super::*;

const ALONE: Share = Share { worker: 0, workers: 1 };

/// A group, a value, a weight, an id. Rows of an id divisible by eight are there three times.
type Row = (&'static str, f64, f64, i64);

fn rows() -> Vec<Row> {
    let row = |id: i64| {
        let dice = (id as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let value = 20.0 + (dice % 83) as f64;
        let group = if dice.is_multiple_of(3) { "a" } else { "b" };
        (group, value, 5.0 + value / 10.0, id)
    };
    (0..800).flat_map(|id| vec![row(id); if id % 8 == 0 { 3 } else { 1 }]).collect()
}

fn fields(extra: &[&str]) -> SchemaRef {
    let own = [("g", DataType::Utf8), ("x", DataType::Float64), ("w", DataType::Float64), ("id", DataType::Int64)];
    let own = own.map(|(name, data_type)| Field::new(name, data_type, true));
    let extra = extra.iter().map(|name| Field::new(*name, DataType::Int64, false));
    Arc::new(Schema::new(own.into_iter().chain(extra).collect::<Vec<_>>()))
}

fn batch(rows: &[Row]) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()),
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.2))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.3))),
    ];
    Batch::append(RecordBatch::try_new(fields(&[]), columns).unwrap())
}

fn info(last: bool) -> EpochInfo {
    EpochInfo { epoch: 1, clock_ms: 1, previous_clock_ms: 0, watermark: 0, previous_watermark: 0, last }
}

fn drawn(method: SampleMethod, seed: u64) -> (Vec<Batch>, SampleUnit) {
    let chances = Chances::new(&[0, 1, 2, 3], seed);
    let told = fields(&["$key", "$population"]);
    let mut output = vec![];
    let mut fixed = |method: SampleMethod| {
        let mut sample =
            Reservoir::new(method, chances.clone(), true, fields(&[]), ALONE).unwrap().telling(told.clone());
        let (one, other) = (batch(&rows()[..300]), batch(&rows()[300..]));
        sample.apply(&info(false), &mut [vec![one]], &mut vec![]).unwrap();
        sample.apply(&info(true), &mut [vec![other]], &mut output).unwrap();
    };
    let smallest = |rows, weight| SampleUnit::Smallest { key: 4, population: 5, rows, weight };
    match method {
        SampleMethod::Bernoulli { probability } => {
            let sample = Bernoulli::new(chances, probability).telling(fields(&["$key"]));
            (vec![sample.apply(&batch(&rows())).unwrap()], SampleUnit::Bernoulli { key: 4, probability })
        }
        SampleMethod::Reservoir { rows } => {
            fixed(SampleMethod::Reservoir { rows: rows + 1 });
            (output, smallest(rows, None))
        }
        SampleMethod::Weighted { weight, rows } => {
            fixed(SampleMethod::Weighted { weight, rows: rows + 1 });
            (output, smallest(rows, Some(weight)))
        }
    }
}

fn call(function: &str, args: &[usize]) -> AggregateCall {
    let data_type = if function == "count" { DataType::Int64 } else { DataType::Float64 };
    let (function, args, parameters) = (function.to_owned(), args.to_vec(), vec![]);
    AggregateCall { function, args, parameters, distinct: false, filter: None, data_type }
}

/// By group: count, sum, avg, var_samp, each with its interval; then rows and the fraction.
fn estimates((batches, unit): (Vec<Batch>, SampleUnit)) -> Vec<(String, Vec<Option<f64>>)> {
    let aggregates = vec![call("count", &[]), call("sum", &[1]), call("avg", &[1]), call("var_samp", &[1])];
    let doubles = (0..12).map(|i| Field::new(format!("d{i}"), DataType::Float64, true));
    let ends = [Field::new("rows_seen", DataType::Int64, false), Field::new("fraction", DataType::Float64, true)];
    let output = [Field::new("g", DataType::Utf8, true)].into_iter().chain(doubles).chain(ends).collect::<Vec<_>>();
    let (bounds, method) = (vec![None; 4], OnlineMethod::LargeSample);
    let unit = OnlineUnit::Sample(unit);
    let spec = OnlineAggregate { keys: vec![0], aggregates, unit, confidence: 0.9, method, bounds, interval_ms: 0 };
    let input = if batches[0].columns.num_columns() > 5 { fields(&["$key", "$population"]) } else { fields(&["$key"]) };
    let mut online = Online::new(&spec, &input, Arc::new(Schema::new(output)), ALONE).unwrap();
    let mut output = vec![];
    online.apply(&info(false), &mut [batches], &mut output).unwrap();
    assert!(output.is_empty(), "nothing is said before all of the sample is there");
    online.apply(&info(true), &mut [vec![]], &mut output).unwrap();
    let rows = &output[0];
    let keys = rows.column(0).as_string::<i32>();
    let numbers = rows.columns.columns()[1..].iter().map(as_doubles).collect::<Result<Vec<_>>>().unwrap();
    let number = |row: usize| move |column: &Float64Array| column.is_valid(row).then(|| column.value(row));
    let row = |row: usize| (keys.value(row).to_owned(), numbers.iter().map(number(row)).collect());
    (0..rows.num_rows()).map(row).collect()
}

fn truths(group: &str) -> [f64; 4] {
    let values: Vec<f64> = rows().into_iter().filter(|row| row.0 == group).map(|row| row.1).collect();
    let (count, sum) = (values.len() as f64, values.iter().sum::<f64>());
    let squares: f64 = values.iter().map(|value| (value - sum / count).powi(2)).sum();
    [count, sum, sum / count, squares / (count - 1.0)]
}

/// How often the intervals of each of the four cover, over both groups.
fn coverage(seeds: u64, sample: impl Fn(u64) -> (Vec<Batch>, SampleUnit)) -> [f64; 4] {
    let (mut covered, mut looks) = ([0.0; 4], 0.0);
    let truths = ["a", "b"].map(|group| (group, truths(group)));
    for seed in 0..seeds {
        for (group, ends) in estimates(sample(seed)) {
            let (_, truths) = truths.iter().find(|(known, _)| *known == group).unwrap();
            for (measure, truth) in truths.iter().enumerate() {
                let [low, high] = [3 * measure + 1, 3 * measure + 2].map(|end| ends[end].unwrap());
                covered[measure] += f64::from(u8::from(low <= *truth && *truth <= high));
            }
            looks += 1.0;
        }
    }
    covered.map(|covered| covered / looks)
}

#[test]
fn intervals_of_samples_cover_as_often_as_they_claim() {
    let methods = [
        SampleMethod::Bernoulli { probability: 0.25 },
        SampleMethod::Reservoir { rows: 250 },
        SampleMethod::Weighted { weight: 2, rows: 250 },
    ];
    for method in methods {
        for (measure, share) in coverage(500, |seed| drawn(method, seed)).into_iter().enumerate() {
            assert!((share - 0.9).abs() < 0.045, "measure {measure} of {method:?}: {share}");
        }
    }
}

/// Canaries: chances that are twice as large, and draws through an index as if they were with replacement.
#[test]
fn wrong_chances_are_caught() {
    let scaled = |seed| {
        let (batches, _) = drawn(SampleMethod::Bernoulli { probability: 0.25 }, seed);
        (batches, SampleUnit::Bernoulli { key: 4, probability: 0.3 })
    };
    assert!(coverage(200, scaled)[0] < 0.8);
    let draws = |replacement| {
        move |seed| {
            let (batches, _) = drawn(SampleMethod::Reservoir { rows: 599 }, seed);
            (batches, SampleUnit::Draws { population: 5, replacement })
        }
    };
    // Contents have one to three rows, which these units do not know; the factor is noticed all the same.
    let (right, wrong) = (coverage(200, draws(false))[2], coverage(200, draws(true))[2]);
    assert!(wrong > right && wrong > 0.95, "{right} with the factor, {wrong} without");
}

#[test]
fn a_sample_of_all_rows_is_exact() {
    for (group, ends) in estimates(drawn(SampleMethod::Reservoir { rows: 5_000 }, 1)) {
        let [count, sum, average, variance] = truths(&group);
        for (measure, truth) in [count, sum, average, variance].into_iter().enumerate() {
            for end in &ends[3 * measure..3 * measure + 3] {
                assert!((end.unwrap() / truth - 1.0).abs() < 1e-9, "{group}, measure {measure}: {end:?} for {truth}");
            }
        }
        assert_eq!(ends[12..], [Some(count), Some(1.0)]);
    }
}
