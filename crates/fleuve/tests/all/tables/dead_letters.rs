//! Records that cannot be decoded, in a topic of their own.

use fleuve_plan::{Operator, Pipeline};
use fleuve_sql::explain::{Options, explain};

use super::world::{World, topic};

/// Lines of orders; those with these numbers are damaged.
fn lines(numbers: std::ops::RangeInclusive<usize>, bad: &[usize]) -> String {
    let line = |n: usize| match bad.contains(&n) {
        true => format!("{{\"id\": {n}, \"price\": cheap}}\n"),
        false => format!("{{\"id\": {n}, \"price\": {n}.5}}\n"),
    };
    numbers.map(line).collect()
}

fn script(options: &str) -> String {
    format!(
        "CREATE TABLE orders (id BIGINT, price DOUBLE) WITH ('connector' = 'filesystem', 'path' = '$files',
           'format' = 'json', {options});
         CREATE TABLE good (id BIGINT, price DOUBLE) WITH ('connector' = 'net');
         INSERT INTO good SELECT id, price FROM orders;"
    )
}

fn plan(world: &World, options: &str) -> Pipeline {
    let mut plans = world.plans(&script(options)).expect("plans");
    let mut plan = plans.pop().expect("an INSERT");
    // Snapshots are taken at stops only, so that what follows a crash is a replay.
    plan.settings.snapshot_interval_ms = 3_600_000;
    plan
}

const DEAD_LETTERS: &str = "'bad-records' = 'dead-letter', 'dead-letter.topic' = 'bad_orders'";

/// Reason, place (without its directory) and record of each dead letter.
fn letters(records: Vec<(Option<String>, Option<String>)>) -> Vec<(String, String, String)> {
    let letter = |(_, value): (Option<String>, Option<String>)| {
        let value: serde_json::Value = serde_json::from_str(&value.expect("a value")).expect("JSON");
        let text = |name: &str| value[name].as_str().expect("a text").to_owned();
        let place = text("place").rsplit('/').next().expect("a name").to_owned();
        assert!(!text("reason").is_empty());
        (text("reason"), place, text("record"))
    };
    records.into_iter().map(letter).collect()
}

fn places(records: Vec<(Option<String>, Option<String>)>) -> Vec<String> {
    let mut places: Vec<String> = letters(records).into_iter().map(|(_, place, _)| place).collect();
    places.sort();
    places
}

#[test]
fn a_bad_record_is_in_the_topic_once_with_reason_and_place() {
    for workers in [1, 3] {
        let world = World::new();
        world.write("a.json", &lines(1..=20, &[7, 17]));
        let plan = plan(&world, DEAD_LETTERS);
        world.finish(&plan, workers).expect("runs");
        assert_eq!(world.net.rows().len(), 18);
        let mut letters = letters(world.topic("bad_orders"));
        letters.sort_by(|a, b| a.1.len().cmp(&b.1.len()).then(a.1.cmp(&b.1)));
        let found: Vec<(&str, &str)> =
            letters.iter().map(|(_, place, record)| (place.as_str(), record.as_str())).collect();
        let expected =
            [("a.json:7:20", "{\"id\": 7, \"price\": cheap}"), ("a.json:17:21", "{\"id\": 17, \"price\": cheap}")];
        assert_eq!(found, expected);
        // The same bounded pipeline, begun anew, reads the file again: that is another run.
        world.finish(&plan, workers).expect("runs");
        assert_eq!(world.topic("bad_orders").len(), 4);
    }
}

#[test]
fn stops_and_power_cuts_neither_lose_nor_repeat_dead_letters() {
    let mut world = World::new();
    world.write("a.json", &lines(1..=20, &[7, 17]));
    let plan = plan(&world, &format!("'source.monitor-interval' = '5 ms', {DEAD_LETTERS}"));
    let found = |count: usize| {
        move |running: &super::world::Running| {
            running.log.topic("bad_orders").is_ok() && topic(&running.log, "bad_orders").len() >= count
        }
    };
    let running = world.start(&plan, 1).expect("starts");
    running.until("the first two letters", found(2));
    running.until("all rows", |running| running.rows_in() == 20);
    // The journal has the epochs and no snapshot has them: they run again.
    world.cut_power();
    running.stop();
    let running = world.start(&plan, 2).expect("starts");
    running.until("the replay", |running| running.bad_records() == 2);
    world.write("b.json", &lines(1..=5, &[1]));
    running.until("the third letter", found(3));
    running.stop();
    // And from the snapshot that the stop took.
    world.write("c.json", &lines(1..=5, &[5]));
    let running = world.start(&plan, 1).expect("starts");
    running.until("the fourth letter", found(4));
    assert_eq!(running.bad_records(), 1);
    running.stop();
    assert_eq!(places(world.topic("bad_orders")), ["a.json:17:21", "a.json:7:20", "b.json:1:20", "c.json:5:20"]);
}

#[test]
fn skipped_records_are_counted_and_otherwise_the_first_one_fails() {
    let world = World::new();
    world.write("a.json", &lines(1..=20, &[7, 17]));
    let skip = plan(&world, "'bad-records' = 'skip'");
    assert!(!skip.nodes.iter().any(|node| matches!(node.operator, Operator::BadRecords { .. })));
    let running = world.start(&skip, 1).expect("starts");
    let stats = running.handle.stats().clone();
    running.handle.wait().expect("ends well");
    running.log.close().expect("closes");
    assert_eq!(stats.bad_records.load(std::sync::atomic::Ordering::Relaxed), 2);
    assert_eq!(world.net.rows().len(), 18);
    let other = World::new();
    other.write("a.json", &lines(1..=20, &[7, 17]));
    let error = other.finish(&plan(&other, "'bad-records' = 'fail'"), 1).expect_err("fails");
    assert!(error.place().expect("a place").to_string().ends_with("a.json:7:20"), "{error}");
}

#[test]
fn explain_shows_where_bad_records_go() {
    let world = World::new();
    let text = explain(&plan(&world, DEAD_LETTERS), &Options::default());
    assert!(text.contains("Sink `orders.bad_records` (topic, json)"), "{text}");
    assert!(text.contains("BadRecords of #0"), "{text}");
}

#[test]
fn a_lookup_table_has_no_dead_letters() {
    let world = World::new();
    let script = "CREATE TABLE orders (id BIGINT, t AS PROCTIME()) WITH ('connector' = 'socket', 'port' = '1');
        CREATE TABLE names (id BIGINT, name STRING) WITH ('connector' = 'filesystem', 'path' = '$files', 'format' = 'json',
          'bad-records' = 'dead-letter', 'dead-letter.topic' = 'bad_names');
        CREATE TABLE good (id BIGINT, name STRING) WITH ('connector' = 'net');
        INSERT INTO good SELECT o.id, n.name FROM orders o JOIN names FOR SYSTEM_TIME AS OF o.t AS n ON o.id = n.id;";
    let error = world.plans(script).expect_err("is refused");
    assert!(error.message().contains("a dead-letter topic for the lookup table `names`"), "{error}");
}
