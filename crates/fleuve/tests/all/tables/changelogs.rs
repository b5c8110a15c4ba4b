//! Tables whose records are updates and deletions, as sources.

use fleuve_plan::Pipeline;

use super::world::World;

/// The pipelines of a script, with snapshots at stops only.
fn plans(world: &World, script: &str) -> Vec<Pipeline> {
    let mut plans = world.plans(script).expect("plans");
    plans.iter_mut().for_each(|plan| plan.settings.snapshot_interval_ms = 3_600_000);
    plans
}

fn envelope(op: &str, before: Option<(i64, i64)>, after: Option<(i64, i64)>) -> String {
    let image = |row: Option<(i64, i64)>| row.map_or("null".to_owned(), |(k, v)| format!("{{\"k\":{k},\"v\":{v}}}"));
    format!("{{\"before\":{},\"after\":{},\"op\":\"{op}\"}}\n", image(before), image(after))
}

/// Accounts come, change and go: what is left is (1, 15), (3, 30).
fn accounts() -> String {
    [
        envelope("c", None, Some((1, 10))),
        envelope("r", None, Some((2, 20))),
        envelope("u", Some((1, 10)), Some((1, 15))),
        envelope("c", None, Some((3, 30))),
        envelope("d", Some((2, 20)), None),
    ]
    .concat()
}

const ACCOUNTS: &str = "CREATE TABLE accounts (k BIGINT, v BIGINT) WITH ('connector' = 'filesystem', 'path' = '$files',
    'format' = 'debezium-json');";

#[test]
fn a_debezium_file_is_read_as_changes() {
    let cases: [(&str, &str, &[&str]); 4] = [
        ("k BIGINT, v BIGINT", "SELECT k, v FROM accounts", &["1,15", "3,30"]),
        // What a change moves out of the filter goes.
        ("k BIGINT, v BIGINT", "SELECT k, v FROM accounts WHERE v <= 15 AND v <> 10", &["1,15"]),
        ("n BIGINT, s BIGINT", "SELECT COUNT(*), SUM(v) FROM accounts", &["2,45"]),
        ("k BIGINT, w BIGINT", "SELECT a.k, b.v FROM accounts a JOIN accounts b ON a.v = b.v * 2", &["3,15"]),
    ];
    for (columns, query, expected) in cases {
        for workers in [1, 2] {
            let world = World::new();
            world.write("accounts.json", &accounts());
            let script = format!(
                "{ACCOUNTS} CREATE TABLE result ({columns}) WITH ('connector' = 'net'); INSERT INTO result {query};"
            );
            world.finish(&plans(&world, &script)[0], workers).expect("runs");
            assert_eq!(world.net.rows(), expected, "{query}");
        }
    }
}

#[test]
fn a_debezium_record_without_its_row_is_named() {
    let world = World::new();
    world.write("accounts.json", &format!("{}{}", accounts(), envelope("d", None, None)));
    let script = format!(
        "{ACCOUNTS} CREATE TABLE result (k BIGINT) WITH ('connector' = 'net'); INSERT INTO result SELECT k FROM accounts;"
    );
    let error = world.finish(&plans(&world, &script)[0], 1).expect_err("fails");
    assert!(error.message().contains("`before` is null"), "{error}");
    assert!(error.place().expect("a place").to_string().contains("accounts.json:6"), "{error}");
}

/// Events of accounts into an upsert table, and what is derived from it.
const UPSERTS: &str = "
    CREATE TABLE events (k BIGINT, v BIGINT) WITH ('connector' = 'filesystem', 'path' = '$files', 'format' = 'json',
      'source.monitor-interval' = '5 ms');
    CREATE TABLE balances (k BIGINT NOT NULL, n BIGINT NOT NULL, s BIGINT, PRIMARY KEY (k) NOT ENFORCED)
      WITH ('connector' = 'topic', 'partitions' = '3');
    CREATE TABLE rich (s BIGINT, k BIGINT, twice BIGINT) WITH ('connector' = 'net');
    INSERT INTO balances SELECT k, COUNT(*), SUM(v) FROM events GROUP BY k HAVING SUM(v) > 0;
    INSERT INTO rich SELECT s, k, s * 2 FROM balances WHERE s > 5;";

fn events(rows: &[(i64, i64)]) -> String {
    rows.iter().map(|(k, v)| format!("{{\"k\":{k},\"v\":{v}}}\n")).collect()
}

#[test]
fn an_upsert_topic_is_read_as_the_latest_rows_of_its_keys() {
    let mut world = World::new();
    let plans = plans(&world, UPSERTS);
    let [writer, reader] = plans.as_slice() else { panic!("two pipelines") };
    let rows = |world: &World| world.net.rows();
    world.write("a.json", &events(&[(1, 4), (2, 9), (1, 3), (3, 6), (4, 2)]));
    let write = |world: &World, count: u64| {
        let running = world.start(writer, 2).expect("starts");
        running.until("all events", |running| running.rows_in() == count);
        running.stop();
    };
    write(&world, 5);
    let running = world.start(reader, 1).expect("starts");
    running.until("the first balances", |_| rows(&world) == ["6,3,12", "7,1,14", "9,2,18"]);
    running.stop();
    // 1 falls below, 2 goes (its key is deleted), 4 rises; 3 stays. Then the power goes.
    world.write("b.json", &events(&[(1, -3), (2, -9), (4, 8)]));
    write(&world, 3);
    assert!(world.topic("balances").contains(&(Some("{\"k\":2}".to_owned()), None)), "a tombstone");
    let running = world.start(reader, 3).expect("starts");
    running.until("the second balances", |_| rows(&world) == ["10,4,20", "6,3,12"]);
    world.cut_power();
    running.stop();
    world.write("c.json", &events(&[(2, 7), (3, -6)]));
    write(&world, 2);
    let running = world.start(reader, 2).expect("starts");
    running.until("the third balances", |_| rows(&world) == ["10,4,20", "7,2,14"]);
    running.stop();
}

#[test]
fn several_readers_of_an_upsert_topic_see_the_same_rows() {
    let world = World::new();
    world.write("a.json", &events(&[(1, 4), (2, 9), (1, 3), (3, 6)]));
    let script = UPSERTS.replace("'source.monitor-interval' = '5 ms'", "'source.compression' = 'none'");
    let script = script.replace("'partitions' = '3'", "'partitions' = '3', 'scan.bounded.mode' = 'latest-offset'");
    let script = format!(
        "{script} CREATE TABLE sums (k BIGINT, s BIGINT) WITH ('connector' = 'net');
         INSERT INTO sums SELECT a.k, (SELECT SUM(s) FROM balances) FROM balances a WHERE a.n = 2;"
    );
    let plans = plans(&world, &script);
    world.finish(&plans[0], 1).expect("runs");
    world.finish(&plans[2], 2).expect("runs");
    assert_eq!(world.net.rows(), ["1,22"]);
}

#[test]
fn a_changelog_is_no_lookup_table() {
    let world = World::new();
    let script = "CREATE TABLE orders (k BIGINT, t AS PROCTIME()) WITH ('connector' = 'socket', 'port' = '1');
        CREATE TABLE accounts (k BIGINT, v BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'topic',
          'scan.bounded.mode' = 'latest-offset');
        CREATE TABLE result (k BIGINT, v BIGINT) WITH ('connector' = 'net');
        INSERT INTO result SELECT o.k, a.v FROM orders o JOIN accounts FOR SYSTEM_TIME AS OF o.t AS a ON o.k = a.k;";
    for format in ["'connector' = 'topic'", "'format' = 'debezium-json', 'connector' = 'topic'"] {
        let error = world.plans(&script.replace("'connector' = 'topic'", format)).expect_err("is refused");
        assert_eq!((error.code(), error.place().is_some()), ("E201", true), "{error}");
        assert!(error.message().contains("rows that are updated or deleted"), "{error}");
    }
}
