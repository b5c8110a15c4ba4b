//! What SELECT ONLINE estimates, as a user types it: variances, bounds, samples, and blocks that are all alike.

use std::fmt::Write as _;

use serde_json::Value;

use super::program::Place;

const ROWS: usize = 6_000;

const TABLE: &str = "CREATE TABLE m (id INT, sensor STRING, `value` DOUBLE, small SMALLINT) WITH ('connector' = 'filesystem', \
                     'path' = 'm.csv', 'format' = 'csv', 'csv.null-literal' = '');";

fn dice(row: usize) -> u64 {
    (row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33
}

/// Values from 1000 to 1040 that drift, of sensors in no order; NULL now and then.
fn place() -> Place {
    let place = Place::new();
    let mut text = String::new();
    for row in 0..ROWS {
        let (dice, drift) = (dice(row), row / 300 % 7);
        let value = if row % 17 == 3 { String::new() } else { format!("{}", 1_000 + drift as u64 * 4 + dice % 13) };
        writeln!(text, "{row},{},{value},{}", ["a", "a", "b"][(dice % 3) as usize], dice % 50).expect("is written");
    }
    place.write("m.csv", &text);
    place
}

fn rows(place: &Place, script: &str) -> Vec<Value> {
    let printed = place.fleuve(&["sql", "--format", "json", "-c", &format!("{TABLE}{script}")]).succeeds();
    printed.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
}

fn fails(place: &Place, script: &str) -> String {
    let ended = place.fleuve(&["sql", "-c", &format!("{TABLE}{script}")]);
    assert_ne!(ended.status, 0, "{script}");
    ended.stderr
}

fn number(row: &Value, name: &str) -> Option<f64> {
    row.get(name).unwrap_or_else(|| panic!("no {name} in {row}")).as_f64()
}

/// Whether an interval holds this number. What has no end holds all.
fn holds(row: &Value, name: &str, truth: f64) -> bool {
    let end = |end: &str| number(row, &format!("{name}_{end}"));
    let slack = 1e-9 * truth.abs();
    end("low").is_none_or(|low| low <= truth + slack) && end("high").is_none_or(|high| truth - slack <= high)
}

const EARLY: &str =
    "SET 'pipeline.epoch-bytes' = '4 kb'; SET 'online.interval' = '0 ms'; SET 'online.confidence' = '0.9999';";

/// Every line has ten bytes: so all blocks but the last have as many rows, and the interval must not be one number.
#[test]
fn the_number_of_rows_of_equal_blocks_is_not_claimed_too_early() {
    let place = Place::new();
    for (rows, header) in [(5_003, ""), (5_003, "a line of a header, which is no row of the table at all\n")] {
        let lines: String = (0..rows).map(|row| format!("{row:09}\n")).collect();
        place.write("lines.csv", &format!("{header}{lines}"));
        let table =
            "CREATE TABLE l (n STRING) WITH ('connector' = 'filesystem', 'path' = 'lines.csv', 'format' = 'csv'";
        let header = if header.is_empty() { "" } else { ", 'csv.header' = 'true'" };
        let query = "SELECT ONLINE COUNT(*) AS n, COUNT(*) FILTER (WHERE n = '000000001') AS one FROM l;";
        let script: String = (1..=12).map(|seed| format!("SET 'pipeline.seed' = '{seed}'; {query}")).collect();
        let script = format!("{table}{header}); {EARLY} {script}");
        let printed = place.fleuve(&["sql", "--format", "json", "-c", &script]).succeeds();
        let estimates: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
        assert!(estimates.len() > 12 * 2, "{}", estimates.len());
        for row in &estimates {
            assert!(holds(row, "n", f64::from(rows)) && holds(row, "one", 1.0), "{row}");
        }
    }
}

#[test]
fn variances_hold_the_truth_and_end_as_the_ordinary_ones() {
    let place = place();
    let functions = ["VAR_POP", "VAR_SAMP", "VARIANCE", "STDDEV_POP", "STDDEV_SAMP", "STDDEV"];
    let list: Vec<String> =
        functions.iter().map(|name| format!("{name}(`value`) AS {}", name.to_lowercase())).collect();
    let query = format!("sensor, {} FROM m WHERE id >= 50 GROUP BY sensor;", list.join(", "));
    let truth = rows(&place, &format!("SELECT {query}"));
    for index in ["", "CREATE INDEX by_sensor ON m (sensor);"] {
        let online = rows(&place, &format!("{index} {EARLY} SELECT ONLINE {query}"));
        assert!(online.len() > 8, "{}", online.len());
        let last = online.len() - 2;
        for (at, row) in online.iter().enumerate() {
            let exact = truth.iter().find(|exact| exact["sensor"] == row["sensor"]).expect("has the group");
            for name in functions.map(str::to_lowercase) {
                let exact = number(exact, &name).expect("a number");
                assert!(holds(row, &name, exact), "{name} is {exact}: {row}");
                if at >= last {
                    let ends = ["", "_low", "_high"].map(|end| number(row, &format!("{name}{end}")));
                    assert_eq!(ends, [Some(exact); 3], "{row}");
                }
            }
        }
    }
}

/// Intervals that rely on bounds: set by the user, of a narrow type, or of an index.
#[test]
fn bounds_come_from_the_user_a_type_or_an_index() {
    let place = place();
    let query = "AVG(`value`) AS v, AVG(CAST(small AS DOUBLE)) AS s, COUNT(*) AS n FROM m WHERE id >= 50";
    let exact = &rows(&place, &format!("SELECT {query};"))[0];
    let known = "SET 'online.bounds' = 'VALUE 1000 1036, small 0 49';";
    let by_index = "CREATE INDEX by_value ON m (`value`);";
    for method in ["hoeffding", "deterministic"] {
        for (from, least) in [(known, 0.0), (by_index, f64::from(i16::MIN))] {
            let script = format!("{from} {EARLY} SET 'online.method' = '{method}'; SELECT ONLINE {query};");
            let online = rows(&place, &script);
            assert!(online.len() > 5);
            for row in &online {
                for name in ["v", "s", "n"] {
                    let truth = number(exact, name).expect("a number");
                    assert!(holds(row, name, truth), "{name} is {truth} by {method}: {row}");
                }
            }
            let middle = &online[online.len() / 2];
            let [low, high] = ["v_low", "v_high"].map(|end| number(middle, end).expect("is bounded"));
            assert!(low >= 1_000.0 && high <= 1_036.0 && low < high, "{middle}");
            let [low, high] = ["s_low", "s_high"].map(|end| number(middle, end).expect("is bounded"));
            assert!(low >= least && low < high, "{middle}");
        }
    }
    // Row by row, Hoeffding's intervals are narrow enough to be of use.
    let index = "CREATE INDEX by_sensor ON m (sensor);";
    let set = format!("{EARLY} {known} SET 'online.method' = 'hoeffding';");
    let strided =
        rows(&place, &format!("{index} {set} SELECT ONLINE sensor, AVG(`value`) AS v FROM m GROUP BY sensor;"));
    let exact = rows(&place, "SELECT sensor, AVG(`value`) AS v FROM m GROUP BY sensor;");
    for row in &strided {
        let exact = exact.iter().find(|exact| exact["sensor"] == row["sensor"]).expect("has the group");
        assert!(holds(row, "v", number(exact, "v").expect("a number")), "{row}");
    }
    let narrow = |row: &&Value| matches!((number(row, "v_low"), number(row, "v_high")), (Some(low), Some(high)) if high - low < 6.0);
    assert!(strided.iter().filter(narrow).any(|row| number(row, "fraction") < Some(0.5)));
}

#[test]
fn what_is_outside_the_bounds_is_named() {
    let place = place();
    let query = "SET 'online.method' = 'deterministic'; SELECT ONLINE AVG(`value`) FROM m;";
    let error = fails(&place, &format!("SET 'online.bounds' = 'value 1000 1020'; {query}"));
    assert!(
        error.contains("error[E304]: `value` has the value 10") && error.contains("outside its bounds 1000 to 1020"),
        "{error}"
    );
}

/// Each kind of sample, many times: nine of ten intervals are to hold the truth.
#[test]
fn samples_come_with_intervals_of_the_whole() {
    const SEEDS: usize = 60;
    let place = place();
    let list = "COUNT(*) AS n, COUNT(`value`) AS c, SUM(`value`) AS s, AVG(`value`) AS v, VAR_SAMP(`value`) AS d";
    let exact = &rows(&place, &format!("SELECT {list} FROM m WHERE sensor = 'b';"))[0];
    let samples = [
        "BERNOULLI (5)",
        "RESERVOIR (300 ROWS)",
        "WEIGHTED (w, 300)",
        "OLKEN (300 ROWS)",
        "OLKEN (300 ROWS, WITH REPLACEMENT)",
        "OLKEN (300 ROWS, REJECTION)",
    ];
    for sample in samples {
        let table = if sample.starts_with('W') { "(SELECT *, small + 20 AS w FROM m)" } else { "m" };
        let one = |seed| {
            format!("SELECT ONLINE {list} FROM {table} TABLESAMPLE {sample} REPEATABLE ({seed}) WHERE sensor = 'b';")
        };
        let script: String = (1..=SEEDS).map(one).collect();
        let index = if sample.starts_with('O') { "CREATE INDEX i ON m (id);" } else { "" };
        let answers = rows(&place, &format!("{index} SET 'online.confidence' = '0.9'; {script}"));
        assert_eq!(answers.len(), SEEDS, "each answers once");
        for name in ["n", "c", "s", "v", "d"] {
            let truth = number(exact, name).expect("a number");
            let held = answers.iter().filter(|row| holds(row, name, truth)).count();
            // Of 60 with 0.9 each, 43 or fewer have a chance of 3 in 100,000.
            assert!((44..=SEEDS).contains(&held), "{held} of {SEEDS} intervals hold {name} of {sample}");
            let finite = |row: &&Value| {
                number(row, &format!("{name}_low")).is_some() && number(row, &format!("{name}_high")).is_some()
            };
            assert!(answers.iter().all(|row| finite(&row)), "{name} of {sample}");
        }
    }
}

#[test]
fn a_sample_is_that_of_the_ordinary_query_and_may_be_all() {
    let place = place();
    let sample = "FROM m TABLESAMPLE RESERVOIR (200 ROWS) REPEATABLE (5)";
    let plain = &rows(&place, &format!("SELECT AVG(`value`) AS v, COUNT(*) AS n {sample};"))[0];
    let online = &rows(&place, &format!("SELECT ONLINE AVG(`value`) AS v, COUNT(*) AS n {sample};"))[0];
    let [one, other] = [plain, online].map(|row| number(row, "v").expect("a number"));
    assert!((one - other).abs() < 1e-9, "{one} and {other}");
    assert_eq!((number(plain, "n"), online["rows_seen"].as_f64()), (Some(200.0), Some(200.0)));
    assert_eq!((number(online, "n_low"), number(online, "n_high")), (Some(ROWS as f64), Some(ROWS as f64)));
    let exact = rows(&place, "SELECT sensor, AVG(`value`) AS v, COUNT(*) AS n FROM m GROUP BY sensor;");
    for sample in ["RESERVOIR (9000 ROWS)", "BERNOULLI (100)"] {
        let all = rows(
            &place,
            &format!(
                "SELECT ONLINE sensor, AVG(`value`) AS v, COUNT(*) AS n FROM m TABLESAMPLE {sample} GROUP BY sensor;"
            ),
        );
        assert_eq!(all.len(), exact.len());
        for row in all {
            let exact = exact.iter().find(|exact| exact["sensor"] == row["sensor"]).expect("has the group");
            for name in ["v", "n"] {
                let ends = ["", "_low", "_high"].map(|end| number(&row, &format!("{name}{end}")).expect("a number"));
                assert!(ends.iter().all(|end| (end - number(exact, name).expect("a number")).abs() < 1e-9), "{row}");
            }
        }
    }
    let none = &rows(&place, "SELECT ONLINE COUNT(*) AS n, AVG(`value`) AS v FROM m TABLESAMPLE BERNOULLI (0);")[0];
    assert_eq!((number(none, "n"), number(none, "n_high"), number(none, "v")), (Some(0.0), None, None));
}
