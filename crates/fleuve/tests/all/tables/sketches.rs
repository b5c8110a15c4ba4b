//! Sketches in SQL: the same on any number of workers, through restarts and a power cut, and when they are stored and merged later.

use super::world::World;

const ROWS: i64 = 3_000;

/// What does not depend on the order of rows, each as the sketch itself where there is one. `v` is shown with a number of digits that
/// every sum of doubles agrees in, since these are exact before they are rounded.
const UNORDERED: &[&str] = &[
    "AMS_F0_SKETCH(item, 0.7)",
    "AMS_F0(item)",
    "AMS_F2_SKETCH(item, 0.5, 0.75)",
    "BJKST_SKETCH(item, 0.5, 0.9)",
    "BJKST(item, 1.0)",
    "HLL_SKETCH(item, 6)",
    "APPROX_COUNT_DISTINCT(item, 4)",
    "THETA_SKETCH(item, 32)",
    "COUNT_MIN_SKETCH(item, 0.1, 0.9)",
    "COUNT_SKETCH(item, 0.5, 0.75)",
    "BLOOM_SKETCH(item, 100, 0.1)",
    "SKEWNESS(v)",
    "KURTOSIS_POP(v)",
    "CORR(v, id)",
    "REGR_SLOPE(v, id)",
];

/// What is merged of stored sketches, as sketch and as merge.
const MERGED: &[(&str, &str)] = &[
    ("AMS_F0_SKETCH(item, 0.7)", "AMS_F0_MERGE"),
    ("AMS_F2_SKETCH(item, 0.5, 0.75)", "AMS_F2_MERGE"),
    ("BJKST_SKETCH(item, 0.5, 0.9)", "BJKST_MERGE"),
    ("HLL_SKETCH(item, 6)", "HLL_MERGE"),
    // A merge keeps as many as it may, whatever its parts could have held.
    ("THETA_SKETCH(item)", "THETA_MERGE"),
    ("COUNT_MIN_SKETCH(item, 0.1, 0.9)", "COUNT_MIN_MERGE"),
    ("COUNT_SKETCH(item, 0.5, 0.75)", "COUNT_SKETCH_MERGE"),
    ("BLOOM_SKETCH(item, 100, 0.1)", "BLOOM_MERGE"),
];

/// Row `id`: one of three groups, a value that is sometimes missing, an item out of some hundreds, a time two minutes after that of the row before.
fn row(id: i64) -> String {
    let v = if id % 11 == 0 { "null".to_owned() } else { format!("{}.25", id * id % 977) };
    let (day, hour, minute) = (1 + id / 720, id / 30 % 24, id % 30 * 2);
    format!(
        "{{\"id\":{id},\"g\":\"g{}\",\"v\":{v},\"item\":\"item {}\",\"ts\":\"2024-01-{day:02} {hour:02}:{minute:02}:00\"}}\n",
        id % 3,
        id * 7919 % 701
    )
}

const COLUMNS: &str = "id BIGINT, g STRING, v DOUBLE, item STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts";

/// The world with all rows in files of consecutive rows.
fn world(files: i64) -> World {
    let world = World::new();
    for file in 0..files {
        let own = (0..ROWS).filter(|id| id * files / ROWS == file);
        world.write(&format!("{file}.json"), &own.map(row).collect::<String>());
    }
    world
}

/// A table of the rows, an answer with a text and these columns, and a query into it.
fn script(types: &str, query: &str) -> String {
    format!(
        "CREATE TABLE t ({COLUMNS}) WITH ('connector' = 'filesystem', 'path' = '$files', 'format' = 'json');
         CREATE TABLE result ({types}) WITH ('connector' = 'net'); INSERT INTO result {query};"
    )
}

/// What a query over the rows gives.
fn bounded(types: &str, query: &str, workers: usize) -> Vec<String> {
    let world = world(3);
    let mut plans = world.plans(&script(types, query)).expect("plans");
    plans[0].settings.epoch_bytes = 20_000;
    world.finish(&plans[0], workers).expect("runs");
    world.net.rows()
}

/// The type of what a call gives.
fn type_of(call: &str) -> &str {
    match call.split('(').next() {
        Some("APPROX_COUNT_DISTINCT") => "BIGINT",
        Some(name) if name.ends_with("_SKETCH") || name.ends_with("_MERGE") => "BYTES",
        _ => "DOUBLE",
    }
}

/// Columns for these calls, and the calls.
fn columns(calls: &[&str]) -> (String, String) {
    let types: String = calls.iter().enumerate().map(|(nth, call)| format!(", c{nth} {}", type_of(call))).collect();
    (types, calls.join(", "))
}

#[test]
fn any_number_of_workers_gives_the_same() {
    let (types, calls) = columns(UNORDERED);
    let groups = format!("SELECT g, {calls} FROM t GROUP BY g");
    let windows = format!(
        "SELECT CAST(window_start AS STRING), {calls} FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '6' HOUR, INTERVAL '1' DAY))
         GROUP BY window_start, window_end"
    );
    for (query, rows) in [(groups, 3), (windows, 20)] {
        let one = bounded(&format!("g STRING{types}"), &query, 1);
        assert!(one.len() == rows, "{query}: {}", one.len());
        assert_eq!(one, bounded(&format!("g STRING{types}"), &query, 2), "{query}");
        assert_eq!(one, bounded(&format!("g STRING{types}"), &query, 4), "{query}");
    }
}

/// An exponential histogram keeps its promise by how many rows come within a day of the newest; rows that are taken back leave a cuckoo filter.
#[test]
fn recent_rows_and_removable_sets() {
    let recent = "SELECT g, APPROX_COUNT_RECENT(ts, INTERVAL '1' DAY, 0.1), EXP_HISTOGRAM_ESTIMATE(EXP_HISTOGRAM_SKETCH(ts, INTERVAL '1' DAY, 0.1)) \
                  FROM t GROUP BY g";
    // Each item comes to several rows of one group; the filter of the last answer has no group but that of the greatest sum.
    let removable = "SELECT CUCKOO_CONTAINS(s, 'item 0'), CUCKOO_CONTAINS(s, 'item 9'), CUCKOO_CONTAINS(s, 'item 701') \
                     FROM (SELECT CUCKOO_SKETCH(latest, 100) AS s FROM (SELECT MAX(item) AS latest FROM t WHERE id < 700 GROUP BY g))";
    for workers in [1, 2, 4] {
        let found = bounded("g STRING, a BIGINT, b DOUBLE", recent, workers);
        assert_eq!(found.len(), 3);
        for row in found {
            let counts: Vec<f64> = row.split(',').skip(1).map(|n| n.trim().parse().expect("a number")).collect();
            // 720 rows come within a day, a third of them to each group.
            assert!(counts.iter().all(|count| (count - 240.0).abs() <= 24.0 + 0.5), "{row}");
        }
        let answer = bounded("a BOOLEAN, b BOOLEAN, c BOOLEAN", removable, workers);
        assert_eq!(answer, ["false,false,false"], "{workers} workers");
    }
}

/// Quantiles and frequent items depend on how epochs are cut, and so on the workers; they stay within their bounds.
#[test]
fn what_depends_on_order_stays_within_its_bounds() {
    let quantiles = "SELECT APPROX_PERCENTILE(id, 0.5), APPROX_PERCENTILE(id, 0.9, 'tdigest'), KLL_ESTIMATE(KLL_SKETCH(id), 0.25) FROM t";
    let frequent = "SELECT APPROX_TOP_K(id % 10, 1) FROM t WHERE id % 10 = 3 OR id % 20 = 9";
    for workers in [1, 2, 4] {
        let found = bounded("a DOUBLE, b DOUBLE, c DOUBLE", quantiles, workers);
        for (value, share) in found[0].split(',').zip([0.5, 0.9, 0.25]) {
            let value: f64 = value.parse().expect("a number");
            assert!((value / ROWS as f64 - share).abs() < 0.02, "{share}: {value}");
        }
        let top = "top ARRAY<ROW<item BIGINT, `count` BIGINT, low BIGINT, high BIGINT>>";
        assert_eq!(bounded(top, frequent, workers), ["[{item: 3, count: 300, low: 300, high: 300}]"]);
    }
}

#[test]
fn sketches_go_through_restarts_and_a_power_cut() {
    let (types, calls) = columns(UNORDERED);
    let query = format!("SELECT g, {calls} FROM t GROUP BY g");
    let expected = bounded(&format!("g STRING{types}"), &query, 1);
    let text = script(&format!("g STRING{types}"), &query)
        .replace("'format' = 'json')", "'format' = 'json', 'source.monitor-interval' = '5 ms')");
    let mut world = World::new();
    let mut plans = world.plans(&text).expect("plans");
    plans[0].settings.snapshot_interval_ms = 3_600_000;
    for (file, workers) in [(0, 1), (1, 4), (2, 2)] {
        world.write(&format!("{file}.json"), &(0..ROWS).filter(|id| id % 3 == file).map(row).collect::<String>());
        let running = world.start(&plans[0], workers).expect("starts");
        match file {
            2 => running.until("all rows", |_| world.net.rows() == expected),
            _ => running.until("the file", |running| running.rows_in() >= 1_000),
        }
        if file == 1 {
            world.cut_power();
        }
        running.stop();
    }
    assert_eq!(world.net.rows(), expected);
}

/// Sketches of each hour lie in a topic, and the merge of a group's hours is the sketch of all its rows.
#[test]
fn stored_sketches_merge_to_the_sketch_of_all() {
    let sketches: Vec<&str> = MERGED.iter().map(|(sketch, _)| *sketch).collect();
    let (types, calls) = columns(&sketches);
    let whole = bounded(&format!("g STRING{types}"), &format!("SELECT g, {calls} FROM t GROUP BY g"), 1);

    let world = world(3);
    let hourly = |options: &str| {
        format!("CREATE TABLE hourly (g STRING{types}) WITH ('connector' = 'topic', 'format' = 'json'{options});")
    };
    let store = format!(
        "CREATE TABLE t ({COLUMNS}) WITH ('connector' = 'filesystem', 'path' = '$files', 'format' = 'json'); {}
         INSERT INTO hourly SELECT g, {calls} FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR))
         GROUP BY window_start, window_end, g;",
        hourly("")
    );
    world.finish(&world.plans(&store).expect("plans")[0], 2).expect("runs");
    assert_eq!(world.topic("hourly").len(), 300, "an hour has 30 rows, in three groups");

    let merges: Vec<String> = MERGED.iter().enumerate().map(|(nth, (_, merge))| format!("{merge}(c{nth})")).collect();
    let merge = format!(
        "{} CREATE TABLE result (g STRING{types}) WITH ('connector' = 'net');
         INSERT INTO result SELECT g, {} FROM hourly GROUP BY g;",
        hourly(", 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset'"),
        merges.join(", ")
    );
    let mut plan = world.plans(&merge).expect("plans").remove(0);
    plan.name = "merge".to_owned();
    world.finish(&plan, 4).expect("runs");
    assert_eq!(world.net.rows(), whole);
}

/// A NULL is no item. Of nothing, counts are 0 and everything else is NULL, the sketch, too.
#[test]
fn nulls_and_empty_groups_have_answers() {
    let types = "a DOUBLE, b DOUBLE, c BIGINT, d BIGINT, e DOUBLE, f DOUBLE, g DOUBLE, h DOUBLE, i BYTES";
    let calls = "AMS_F0(v), BJKST(v, 0.5), APPROX_COUNT_DISTINCT(v), REGR_COUNT(v, id), SKEWNESS(v), CORR(v, id),
                 APPROX_PERCENTILE(v, 0.5), HLL_ESTIMATE(HLL_SKETCH(v)), THETA_SKETCH(v)";
    for nothing in ["v IS NULL", "id < 0"] {
        let found = bounded(types, &format!("SELECT {calls} FROM t WHERE {nothing}"), 2);
        assert_eq!(found, ["0.0,0.0,0,0,NULL,NULL,NULL,NULL,NULL"], "{nothing}");
    }
    let some = bounded("a BIGINT, b BIGINT", "SELECT REGR_COUNT(v, id), COUNT(*) FROM t", 2);
    assert_eq!(some, ["2727,3000"]);
}
