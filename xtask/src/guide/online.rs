//! The pictures of the chapter on online aggregation: the real binary over the purchases, asked as the chapter asks.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::chart::{Axis, COLOURS, Chart};
use super::run::{Run, number};

/// The purchases as the chapter declares them.
const TABLE: &str = "CREATE TABLE purchases (customer BIGINT, `date` DATE, cds INT, dollars DOUBLE, \
     size AS CASE WHEN cds = 1 THEN 'one' WHEN cds < 4 THEN 'two or three' WHEN cds < 10 THEN 'four to nine' ELSE 'ten and more' END) \
     WITH ('connector' = 'filesystem', 'path' = 'purchases.csv', 'format' = 'csv');";

/// Every estimate is shown, of small epochs.
const OFTEN: &str = "SET 'online.interval' = '0 ms'; SET 'pipeline.epoch-bytes' = '4 kb';";

/// Dollars up to which the histogram is drawn.
const DOLLARS: f64 = 100.0;

/// Rows after which the rates are changed in the picture of Index Stride.
const CHANGED_AT: u64 = 20_000;

/// Draws all pictures beside the chapter.
///
/// # Errors
/// If the binary cannot be run, or does not print what it should.
pub(super) fn make(root: &Path, binary: &Path) -> Result<(), String> {
    let run = Run::new(root, binary, TABLE)?;
    run.unpack("purchases.csv")?;
    run.draw("online.svg", &shrinking(&run)?)?;
    run.draw("histogram.svg", &histogram(&run)?)?;
    run.draw("stride.svg", &stride(&run)?)
}

/// The estimate and its interval against the share that was read.
fn shrinking(run: &Run<'_>) -> Result<String, String> {
    let rows = run.rows(&format!("{OFTEN} SELECT ONLINE AVG(dollars) FROM purchases;"), |_, _| {})?;
    let point = |row: &Value| {
        let ends = ["fraction", "avg", "avg_low", "avg_high"].map(|name| number(row, name));
        let [Some(fraction), Some(value), Some(low), Some(high)] = ends else { return None };
        Some((fraction, value, low, high))
    };
    let points: Vec<_> = rows.iter().filter_map(point).collect();
    let truth = points.last().ok_or("there are no estimates")?.1;
    let reach = points.iter().skip(1).map(|(_, _, low, high)| (truth - low).max(high - truth)).fold(0.0, f64::max);
    let dollars = Axis { low: truth - reach, high: truth + reach };
    let mut chart = Chart::new(
        "SELECT ONLINE AVG(dollars) FROM purchases",
        ("share of the blocks that was read", Axis { low: 0.0, high: 1.0 }),
        ("dollars", dollars),
    );
    let band: Vec<_> = points.iter().map(|(x, _, low, high)| (*x, *low, *high)).collect();
    chart.band("95 % interval", COLOURS[0], &band);
    chart.line("estimate", COLOURS[0], &points.iter().map(|point| (point.0, point.1)).collect::<Vec<_>>());
    chart.line("truth", COLOURS[1], &[(0.0, truth), (1.0, truth)]);
    Ok(Chart::picture(&[chart]))
}

/// The levels of the index, each as a histogram of densities.
fn histogram(run: &Run<'_>) -> Result<String, String> {
    let script = "CREATE INDEX by_dollars ON purchases (dollars); \
                  SELECT * FROM HISTOGRAM(TABLE purchases, DESCRIPTOR(dollars));";
    let rows = run.rows(script, |_, _| {})?;
    let mut levels: BTreeMap<u64, Vec<(f64, f64, f64)>> = BTreeMap::new();
    for row in &rows {
        let ends = ["low", "high", "row_count"].map(|name| number(row, name));
        let ([Some(low), Some(high), Some(count)], Some(level)) = (ends, row["level"].as_u64()) else { continue };
        if low <= DOLLARS && high > low {
            levels.entry(level).or_default().push((low, high.min(DOLLARS), count / (high - low)));
        }
    }
    let charts = levels.iter().map(|(level, bars)| {
        let mut tops: Vec<f64> = bars.iter().map(|bar| bar.2).collect();
        tops.sort_by(f64::total_cmp);
        // A price at which very many bought would leave nothing to be seen of the others.
        let top = tops[(tops.len() * 19 / 20).min(tops.len() - 1)] * 1.2;
        let mut chart = Chart::new(
            &format!("level {level}: {} buckets up to {DOLLARS} dollars", bars.len()),
            ("dollars", Axis { low: 0.0, high: DOLLARS }),
            ("purchases a dollar", Axis { low: 0.0, high: top }),
        );
        chart.bars(COLOURS[0], bars);
        chart
    });
    Ok(Chart::picture(&charts.collect::<Vec<_>>()))
}

/// Rows of each group against rows of all, the rates being changed on the way.
fn stride(run: &Run<'_>) -> Result<String, String> {
    let script = format!(
        "CREATE INDEX by_size ON purchases (size); {OFTEN} \
         SELECT ONLINE size, AVG(dollars) FROM purchases GROUP BY size;"
    );
    let (mut seen, mut changed) = (BTreeMap::<String, u64>::new(), false);
    let mut lines: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    run.rows(&script, |row, stdin| {
        let (Some(group), Some(rows)) = (row["size"].as_str(), row["rows_seen"].as_u64()) else { return };
        seen.insert(group.to_owned(), rows);
        let all: u64 = seen.values().sum();
        lines.entry(group.to_owned()).or_default().push((all as f64, rows as f64));
        if !changed && all >= CHANGED_AT {
            changed = true;
            // If the query has ended by now, nobody reads this.
            let _ = stdin.write_all(b"SET RATE OF 'two or three' = 4;\nSTOP GROUP 'one';\n");
        }
    })?;
    let (most, all) = (seen.values().max().copied().unwrap_or(1), seen.values().sum::<u64>());
    let mut chart = Chart::new(
        "rows read of each group: equal rates, then 'two or three' at 4 and 'one' stopped",
        ("rows read in all", Axis { low: 0.0, high: all as f64 }),
        ("rows read of the group", Axis { low: 0.0, high: most as f64 }),
    );
    for ((group, points), colour) in lines.iter().zip(COLOURS) {
        chart.line(group, colour, points);
    }
    Ok(Chart::picture(&[chart]))
}
