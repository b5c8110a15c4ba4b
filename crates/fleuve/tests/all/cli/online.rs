//! SELECT ONLINE as a user types it.

use std::fmt::Write as _;

use serde_json::Value;

use super::program::Place;

const ROWS: usize = 30_000;

/// A table of measurements that drift slowly, so that neighbours are alike, of sensors in no order.
fn measurements() -> Place {
    let place = Place::new();
    let mut text = String::from("sensor,value,ok\n");
    for row in 0..ROWS {
        // The low bits of a multiplicative hash are no period of the blocks'.
        let dice = (row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let (sensor, drift) = (["a", "a", "a", "b", "c"][(dice % 5) as usize], (row / 500 % 7) as f64);
        let value = if dice.is_multiple_of(11) { String::new() } else { format!("{:.2}", drift + (dice % 13) as f64) };
        writeln!(text, "{sensor},{value},{}", !dice.is_multiple_of(3)).expect("is written");
    }
    place.write("measurements.csv", &text);
    place
}

const TABLE: &str = "CREATE TABLE m (sensor STRING, `value` DOUBLE, ok BOOLEAN) WITH ('connector' = 'filesystem', 'path' = \
                     'measurements.csv', 'format' = 'csv', 'csv.header' = 'true', 'csv.null-literal' = '');";

fn rows(place: &Place, statements: &str) -> Vec<Value> {
    let printed = place.fleuve(&["sql", "--format", "json", "-c", &format!("{TABLE}{statements}")]).succeeds();
    printed.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
}

#[test]
fn estimates_come_early_hold_the_truth_and_end_as_the_ordinary_answer() {
    let place = measurements();
    let query = "sensor, AVG(`value`), COUNT(*) AS n, SUM(`value`) AS total FROM m WHERE ok GROUP BY sensor;";
    let set =
        "SET 'pipeline.epoch-bytes' = '16 kb'; SET 'online.interval' = '0 ms'; SET 'online.confidence' = '0.9999';";
    let truth = rows(&place, &format!("SELECT {query}"));
    for workers in [1, 2] {
        let online = rows(&place, &format!("{set}SET 'parallelism.default' = '{workers}'; SELECT ONLINE {query}"));
        assert!(online.len() > 3 * 3, "{} rows", online.len());
        let (early, last) = online.split_at(online.len() - 3);
        for row in last {
            let exact = truth.iter().find(|exact| exact["sensor"] == row["sensor"]).expect("has the group");
            assert_eq!(row["fraction"], 1.0);
            assert_eq!(row["rows_seen"], exact["n"]);
            for (estimate, value) in [("avg", "EXPR$1"), ("n", "n"), ("total", "total")] {
                let exact = exact[value].as_f64();
                for end in ["", "_low", "_high"] {
                    let found = row[format!("{estimate}{end}")].as_f64().expect("is a number");
                    assert!((found - exact.expect("is a number")).abs() < 1e-9 * found.abs(), "{row}");
                }
                let early = early.iter().filter(|early| early["sensor"] == row["sensor"]);
                let holds = |early: &&Value| {
                    let end = |end: &str| early[format!("{estimate}_{end}")].as_f64();
                    end("low").is_none_or(|low| Some(low) <= exact)
                        && end("high").is_none_or(|high| Some(high) >= exact)
                };
                assert!(early.clone().all(|early| holds(&early)), "{estimate} of {row} beside {early:?}");
            }
        }
    }
}

#[test]
fn a_table_without_rows_has_an_answer() {
    let place = measurements();
    let online = rows(&place, "SELECT ONLINE COUNT(*) AS n, AVG(`value`) FROM m WHERE sensor = 'x';");
    let last = online.last().expect("there is one");
    assert_eq!((last["n"].as_f64(), last["avg"].as_f64(), last["fraction"].as_f64()), (Some(0.0), None, Some(1.0)));
}

#[test]
fn a_column_may_be_called_online() {
    let place = Place::new();
    let script = "CREATE VIEW v AS SELECT 1 AS online; SELECT online FROM v; SELECT online AS x FROM v";
    assert_eq!(place.fleuve(&["sql", "-c", script]).succeeds(), "{\"online\":1}\n{\"x\":1}\n");
}

/// Estimates through an index on the groups, in small epochs.
fn strided(place: &Place, before: &str) -> Vec<Value> {
    let set = "SET 'pipeline.epoch-bytes' = '1 kb'; SET 'online.interval' = '0 ms';";
    let script = format!("CREATE INDEX by_sensor ON m (sensor); {set} {before}");
    rows(place, &format!("{script} SELECT ONLINE sensor, AVG(`value`), COUNT(*) AS n FROM m WHERE ok GROUP BY sensor;"))
}

fn seen(rows: &[Value], sensor: &str) -> u64 {
    let of = rows.iter().filter(|row| row["sensor"] == sensor).filter_map(|row| row["rows_seen"].as_u64());
    of.max().unwrap_or(0)
}

#[test]
fn groups_of_an_index_come_at_the_rates_that_are_set() {
    let place = measurements();
    let exact = rows(&place, "SELECT sensor, AVG(`value`) AS x, COUNT(*) AS n FROM m WHERE ok GROUP BY sensor;");
    let first = |rows: &[Value], groups: usize| rows[..groups].to_vec();
    let even = strided(&place, "");
    // A fifth of the rows is of each small sensor, and yet all come alike.
    let early = first(&even, 3);
    assert!(
        seen(&early, "a").abs_diff(seen(&early, "b")) <= 1 && seen(&early, "b").abs_diff(seen(&early, "c")) <= 1,
        "{early:?}"
    );
    for row in &even[even.len() - 3..] {
        let exact = exact.iter().find(|exact| exact["sensor"] == row["sensor"]).expect("has the group");
        assert_eq!((row["fraction"].as_f64(), row["n"].as_f64()), (Some(1.0), exact["n"].as_f64()), "{row}");
        assert!((row["avg"].as_f64().expect("a number") - exact["x"].as_f64().expect("a number")).abs() < 1e-9);
    }
    let faster = first(&strided(&place, "SET RATE OF 'c' = 4;"), 3);
    let (slow, fast) = (seen(&faster, "a"), seen(&faster, "c"));
    assert!(fast.abs_diff(4 * slow) <= 4, "{fast} beside {slow}");
    let stopped = strided(&place, "STOP GROUP 'b';");
    assert_eq!(seen(&stopped, "b"), 1);
    for row in rows(&place, "SELECT sensor, COUNT(*) AS n FROM m WHERE sensor <> 'b' GROUP BY sensor;") {
        assert_eq!(Some(seen(&stopped, row["sensor"].as_str().expect("a text"))), row["n"].as_u64());
    }
}

#[test]
fn rates_are_changed_while_the_query_runs() {
    let place = measurements();
    let script = format!(
        "{TABLE} CREATE INDEX by_sensor ON m (sensor); SET 'online.interval' = '0 ms'; SET RATE OF 'a' = 0; \
         SELECT ONLINE sensor, COUNT(*) AS n FROM m GROUP BY sensor;"
    );
    // With the rate 0 it would never end.
    let typed = "SET RATE OF 'd' = 2;\nSELECT 1;\nSET RATE OF 'a' = -3;\nSET RATE OF 'a' = 1;\n";
    let ended = place.fleuve_with_input(&["sql", "--format", "json", "-c", &script], typed);
    for told in ["there is no group 'd'", "only its groups can be steered", "a group's rate is a number from 0 on"] {
        assert!(ended.stderr.contains(told), "{told} in {}", ended.stderr);
    }
    let rows: Vec<Value> = ended.succeeds().lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    assert!(rows.iter().any(|row| row["sensor"] == "a" && row["fraction"] == 1.0), "{rows:?}");
}
