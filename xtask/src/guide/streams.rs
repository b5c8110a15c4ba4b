//! The pictures of the chapter on summaries of streams: what the binary estimates while the stream goes on, and the truth at
//! every such moment, which is counted here from the same rows.

use std::path::Path;

use serde_json::Value;

use super::chart::{Axis, COLOURS, Chart};
use super::run::{Run, number};

/// The streams as the chapter declares them, with the columns that the pictures need.
const TABLES: &str = "\
    CREATE TABLE quakes (properties ROW<`time` BIGINT>, ts AS CAST(TO_TIMESTAMP_LTZ(properties.`time`, 3) AS TIMESTAMP(3))) \
    WITH ('connector' = 'filesystem', 'path' = 'earthquakes.jsonl', 'format' = 'json', \
    'scan.replay.time' = 'properties.time', 'scan.replay.speed' = '100000'); \
    CREATE TABLE glucose (isig DOUBLE, `datetime` TIMESTAMP(3), glucose INT) \
    WITH ('connector' = 'filesystem', 'path' = 'glucose.csv', 'format' = 'csv', 'csv.header' = 'true', 'csv.null-literal' = 'nil', \
    'scan.replay.time' = 'datetime', 'scan.replay.speed' = '3000000'); \
    CREATE TABLE purchases (customer BIGINT, `date` DATE, cds INT, dollars DOUBLE) \
    WITH ('connector' = 'filesystem', 'path' = 'purchases.csv', 'format' = 'csv', \
    'scan.replay.time' = 'date', 'scan.replay.speed' = '8000000');";

const DAY_MS: i64 = 86_400_000;

/// Days in a month of the axis, about.
const MONTH: f64 = 30.0;

/// Points of a line, at most: estimates come every few milliseconds.
const POINTS: usize = 300;

/// Draws all pictures beside the chapter.
///
/// # Errors
/// If the binary cannot be run, or does not print what it should.
pub(super) fn make(root: &Path, binary: &Path) -> Result<(), String> {
    let run = Run::new(root, binary, TABLES)?;
    run.draw("distinct-over-time.svg", &distinct(&run)?)?;
    run.draw("recent.svg", &recent(&run)?)?;
    run.draw("percentiles.svg", &percentiles(&run)?)
}

/// Estimates after so many rows: the row `n` of a query, and its other columns.
fn estimates<const N: usize>(run: &Run<'_>, query: &str, columns: [&str; N]) -> Result<Vec<(usize, [f64; N])>, String> {
    let rows = run.rows(query, |_, _| {})?;
    let estimate = |row: &Value| {
        let seen = number(row, "n").filter(|_| row["op"] != "-U")? as usize;
        let values = columns.map(|column| number(row, column).unwrap_or(f64::NAN));
        (seen > 0 && values.iter().all(|value| value.is_finite())).then_some((seen, values))
    };
    let estimates: Vec<_> = rows.iter().filter_map(estimate).collect();
    let step = estimates.len().div_ceil(POINTS).max(1);
    // The last one is there in any case.
    let estimates: Vec<_> = estimates.into_iter().rev().step_by(step).rev().collect();
    if estimates.len() < 2 { Err(format!("{query} gives no estimates over time")) } else { Ok(estimates) }
}

/// Lines of some of the estimates' columns over x, which depends on how many rows were seen.
fn line<const N: usize>(estimates: &[(usize, [f64; N])], column: usize, x: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
    estimates.iter().map(|(seen, values)| (x(*seen), values[column])).collect()
}

/// The distinct customers so far, by each counter.
fn distinct(run: &Run<'_>) -> Result<String, String> {
    let purchases = run.unpack("purchases.csv")?.lines().count();
    let query = "SELECT COUNT(*) AS n, COUNT(DISTINCT customer) AS exact, APPROX_COUNT_DISTINCT(customer) AS hll, \
        THETA_ESTIMATE(THETA_SKETCH(customer, 256)) AS theta, BJKST(customer, 0.2) AS bjkst, AMS_F0(customer) AS ams FROM purchases;";
    let columns = ["exact", "hll", "theta", "bjkst", "ams"];
    let estimates = estimates(run, query, columns)?;
    let most = estimates.iter().flat_map(|(_, values)| values).fold(0.0f64, |most, value| most.max(*value));
    let mut chart = Chart::new(
        "distinct customers so far",
        ("purchases", Axis { low: 0.0, high: purchases as f64 }),
        ("customers", Axis { low: 0.0, high: most * 1.05 }),
    );
    let names = ["truth", "HyperLogLog", "Theta, k = 256", "BJKST, 20 %", "AMS"];
    for (column, name) in names.into_iter().enumerate().rev() {
        chart.line(name, COLOURS[(column + 5) % COLOURS.len()], &line(&estimates, column, |seen| seen as f64));
    }
    Ok(Chart::picture(&[chart]))
}

/// The earthquakes within a day, by an exponential histogram.
fn recent(run: &Run<'_>) -> Result<String, String> {
    let text = run.unpack("earthquakes.jsonl")?;
    let time = |line: &str| serde_json::from_str::<Value>(line).ok()?["properties"]["time"].as_i64();
    let times: Vec<i64> = text.lines().filter_map(time).collect();
    let query = "SELECT COUNT(*) AS n, APPROX_COUNT_RECENT(ts, INTERVAL '1' DAY, 0.1) AS recent FROM quakes;";
    let estimates = estimates(run, query, ["recent"])?;
    let first = *times.first().ok_or("there are no earthquakes")?;
    let days = |seen: usize| (times[seen - 1] - first) as f64 / DAY_MS as f64;
    let truth = |seen: usize| {
        let now = times[..seen].iter().copied().max().unwrap_or(first);
        times[..seen].iter().filter(|time| **time > now - DAY_MS).count() as f64
    };
    let truths: Vec<(f64, f64)> = estimates.iter().map(|(seen, _)| (days(*seen), truth(*seen))).collect();
    let promised: Vec<(f64, f64, f64)> = truths.iter().map(|(x, truth)| (*x, truth * 0.9, truth * 1.1)).collect();
    let most = truths.iter().map(|point| point.1).fold(0.0, f64::max);
    let mut chart = Chart::new(
        "earthquakes within the last day",
        ("days", Axis { low: 0.0, high: days(times.len()) }),
        ("earthquakes", Axis { low: 0.0, high: most * 1.2 }),
    );
    chart.band("promised: 10 %", COLOURS[0], &promised);
    chart.line("truth", COLOURS[1], &truths);
    chart.line("estimate", COLOURS[0], &line(&estimates, 0, days));
    Ok(Chart::picture(&[chart]))
}

/// Quantiles of all readings of glucose so far, by KLL sketches, and the true ones.
fn percentiles(run: &Run<'_>) -> Result<String, String> {
    let text = run.unpack("glucose.csv")?;
    let reading = |line: &str| line.rsplit(',').next()?.parse::<u32>().ok();
    let readings: Vec<u32> = text.lines().filter_map(reading).collect();
    let query = "SELECT COUNT(*) AS n, APPROX_PERCENTILE(glucose, 0.05) AS low, APPROX_PERCENTILE(glucose, 0.5) AS middle, \
        APPROX_PERCENTILE(glucose, 0.95) AS high FROM glucose;";
    let estimates = estimates(run, query, ["low", "middle", "high"])?;
    let months = |seen: usize| seen as f64 * 5.0 / (60.0 * 24.0 * MONTH);
    let mut chart = Chart::new(
        "glucose so far: the 5th percentile, the median, the 95th percentile",
        ("months of readings", Axis { low: 0.0, high: months(readings.len()) }),
        ("mg/dl", Axis { low: 0.0, high: 320.0 }),
    );
    for (column, (share, name)) in [(0.05, "KLL, 5 %"), (0.5, "KLL, 50 %"), (0.95, "KLL, 95 %")].into_iter().enumerate()
    {
        let truths = estimates.iter().map(|(seen, _)| (months(*seen), quantile(&readings[..*seen], share)));
        chart.line(if column == 0 { "truth" } else { "" }, COLOURS[5], &truths.collect::<Vec<_>>());
        chart.line(name, COLOURS[column], &line(&estimates, column, months));
    }
    Ok(Chart::picture(&[chart]))
}

/// The least reading that at least this share of the readings does not exceed.
fn quantile(readings: &[u32], share: f64) -> f64 {
    let mut sorted = readings.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    f64::from(sorted[rank.clamp(1, sorted.len()) - 1])
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn a_quantile_is_the_least_that_enough_stay_below() {
        let readings = [30, 10, 20, 40];
        let found = [0.0, 0.25, 0.26, 0.5, 1.0].map(|share| quantile(&readings, share));
        assert_eq!(found, [10.0, 10.0, 20.0, 20.0, 40.0]);
    }
}
