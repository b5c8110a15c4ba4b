//! Queries over a table with an index have the answers that they have without it, and read less.

use serde_json::Value;

use super::{ROWS, place, rows};
use crate::cli::program::Place;

const WITHOUT: &str = "CREATE TABLE t (id BIGINT, v INT, item STRING, twice AS id * 2)
    WITH ('connector' = 'filesystem', 'path' = 'rows', 'format' = 'json');\n";

const INDEXES: &str =
    "CREATE INDEX by_v ON t (v); CREATE INDEX by_item ON t (item, id); CREATE INDEX by_id ON t (id);\n";

/// What queries print, in order, and how many rows each read.
fn answers(place: &Place, declared: &str, queries: &[String]) -> Vec<(Vec<String>, u64)> {
    queries.chunks(20).flat_map(|some| answers_of_some(place, declared, some)).collect()
}

/// A row of NULL and the query's number ends what each query prints.
fn answers_of_some(place: &Place, declared: &str, queries: &[String]) -> Vec<(Vec<String>, u64)> {
    let ended: String = queries.iter().map(|query| format!("{query}; SELECT 'the end' AS end_of_query;\n")).collect();
    place.write("job.sql", &format!("{declared}{ended}"));
    let output = place.fleuve(&["run", "job.sql", "--data", "d", "--stats"]);
    let stats = output.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_queries = stats.filter(|stats| stats["pipeline"].as_str().is_some_and(|name| name.starts_with("job")));
    let read: Vec<u64> = of_queries.filter_map(|stats| stats["rows_in"].as_u64()).step_by(2).collect();
    let told = output.stderr.clone();
    let printed = output.succeeds();
    let all: Vec<&str> = printed.split_inclusive('\n').collect();
    let parts =
        all.split(|line| line.contains("the end")).map(|part| part.iter().map(|line| (*line).to_owned()).collect());
    let parts: Vec<Vec<String>> = parts.collect();
    assert_eq!((parts.len(), read.len()), (queries.len() + 1, queries.len()), "{told}");
    parts.into_iter().zip(read).collect()
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn condition(&mut self) -> String {
        let (a, b) = (self.below(300), self.below(100));
        match self.below(11) {
            0 => format!("v = {a}"),
            1 => format!("v BETWEEN {a} AND {}", a + b / 10),
            2 => format!("v > {} AND v < {}", a + 500, a + 500 + b),
            3 => format!("v IN ({a}, {b}, {})", a + b),
            4 => "v IS NULL".to_owned(),
            5 => format!("item = 'item {}' AND id < {a}", b % 10),
            6 => format!("id >= {} AND item LIKE 'item {}%'", ROWS - a, b % 10),
            7 => format!("item IN ('item 1', 'item 7') AND id > {a} AND id <= {}", a + b),
            8 => format!("{a} < id AND id < {} AND v % 2 = 0", a + b),
            9 => format!("(v = {a} OR v > 900) AND twice > {b}"),
            _ => "v IS NOT NULL".to_owned(),
        }
    }

    fn query(&mut self) -> String {
        let direction = ["", " DESC", " DESC NULLS LAST", " NULLS FIRST", " NULLS LAST"][self.below(5) as usize];
        let filter = if self.below(3) == 0 { String::new() } else { format!(" WHERE {}", self.condition()) };
        let key = ["v", "item", "id", "v, id"][self.below(4) as usize];
        let (rows, skipped) = (1 + self.below(40), self.below(3) * 5);
        match self.below(3) {
            0 => format!("SELECT * FROM t WHERE {} ORDER BY id", self.condition()),
            1 => format!("SELECT * FROM t{filter} ORDER BY {key}{direction} LIMIT {rows} OFFSET {skipped}"),
            _ => format!("SELECT COUNT(*) AS n, SUM(id) AS s FROM t{filter}"),
        }
    }
}

#[test]
fn random_queries_have_the_same_answers_through_an_index() {
    let place = place();
    let mut numbers = Numbers(7);
    let queries: Vec<String> = (0..100).map(|_| numbers.query()).collect();
    let without = answers(&place, WITHOUT, &queries);
    let with = answers(&place, &format!("{WITHOUT}{INDEXES}"), &queries);
    let mut fewer = 0;
    for (query, (without, with)) in queries.iter().zip(without.iter().zip(&with)) {
        assert_eq!(without.0, with.0, "{query}");
        assert_eq!(without.1, ROWS, "{query}");
        fewer += usize::from(with.1 < ROWS);
    }
    assert!(fewer > 30, "only {fewer} of 100 queries read less than all");
}

/// Rows that a query reads through the indexes.
fn read(place: &Place, query: &str) -> u64 {
    answers(place, &format!("{WITHOUT}{INDEXES}"), &[query.to_owned()])[0].1
}

#[test]
fn a_query_reads_what_it_needs_of_an_index_or_the_whole_table() {
    let place = place();
    assert_eq!(read(&place, "SELECT * FROM t WHERE id = 77"), 1);
    assert_eq!(read(&place, "SELECT * FROM t WHERE id > 2990 AND v > 3"), ROWS - 2_991);
    assert_eq!(read(&place, "SELECT * FROM t WHERE item = 'item 3' AND id BETWEEN 100 AND 199"), 10);
    assert_eq!(read(&place, "SELECT * FROM t ORDER BY id DESC LIMIT 4 OFFSET 3"), 7);
    assert_eq!(read(&place, "SELECT id FROM t WHERE id > 500 ORDER BY id LIMIT 4"), 4);
    assert_eq!(read(&place, "SELECT * FROM t ORDER BY v NULLS FIRST LIMIT 2"), ROWS / 50, "all that are tied");
    assert_eq!(read(&place, "SELECT * FROM t WHERE id > 5"), ROWS, "too many to be worth it");
    assert_eq!(read(&place, "SELECT * FROM t WHERE id > 10 AND v > 3 ORDER BY id LIMIT 2"), ROWS, "v decides, too");
    assert_eq!(read(&place, "SELECT * FROM t WHERE id = 5 OR v = 7"), ROWS, "no single key");
    // An index knows nothing of the estimates' blocks.
    assert!(read(&place, "SELECT ONLINE COUNT(*) FROM t WHERE id = 5") >= ROWS);
}

#[test]
fn a_table_that_has_changed_since_is_read_itself() {
    let place = place();
    let query = "SELECT id FROM t WHERE id = 77 OR id = 3000";
    assert_eq!(read(&place, query), 2 - 1);
    // A new file is taken up when the script begins.
    place.write("rows/c.json", &rows(ROWS..ROWS + 5));
    assert_eq!(read(&place, query), 2);
    // What changes inside a file is not seen by the index.
    place.write("rows/c.json", &rows(ROWS + 1..ROWS + 9));
    let changed = answers(&place, &format!("{WITHOUT}{INDEXES}"), &[query.to_owned()]);
    assert_eq!((changed[0].0.len(), changed[0].1), (1, ROWS + 8));
    // So it is with a file that is gone.
    std::fs::remove_file(place.path("rows/a.json")).expect("is removed");
    let gone = answers(&place, &format!("{WITHOUT}{INDEXES}"), &[query.to_owned()]);
    assert_eq!((gone[0].0.len(), gone[0].1), (0, ROWS / 2 + 8));
}

#[test]
fn a_topic_is_read_through_its_index_while_that_has_every_record() {
    let place = place();
    let table = "CREATE TABLE t (id BIGINT, v INT, at BIGINT METADATA FROM 'offset')
        WITH ('connector' = 'topic', 'format' = 'json', 'scan.bounded.mode' = 'latest-offset');\n";
    let fill = |rows: &str| {
        let script = format!(
            "CREATE TABLE f (id BIGINT, v INT) WITH ('connector' = 'filesystem', 'path' = 'rows', 'format' = 'json');
             CREATE TABLE t (id BIGINT, v INT) WITH ('connector' = 'topic', 'format' = 'json'); INSERT INTO t {rows};"
        );
        place.write("fill.sql", &script);
        place.fleuve(&["run", "fill.sql", "--data", "d"]).succeeds();
    };
    fill("SELECT id, v FROM f");
    let with = format!("{table} CREATE INDEX by_id ON t (id);");
    let query = ["SELECT * FROM t WHERE id >= 2998 ORDER BY id".to_owned()];
    let found = answers(&place, &with, &query);
    assert_eq!(found[0].1, 2);
    assert_eq!(found[0].0, answers(&place, table, &query)[0].0);
    fill("VALUES (3000, CAST(1 AS INT))");
    let found = answers(&place, &with, &query);
    assert_eq!((found[0].0.len(), found[0].1), (3, 3));
}
