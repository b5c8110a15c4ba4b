//! Sessions: what statements change, show, and become.

use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;
use fleuve_base::Error;
use fleuve_plan::Operator;

use super::{Outcome, Session};

/// Executes a script; the last outcome.
fn run(session: &mut Session, script: &str) -> Result<Outcome, Error> {
    let mut last = Outcome::Done(String::new());
    for statement in session.parse(script)? {
        last = session.execute(&statement)?;
    }
    Ok(last)
}

fn rows(session: &mut Session, script: &str) -> String {
    match run(session, script) {
        Ok(Outcome::Rows(rows)) => lines(&rows),
        other => panic!("{script}: {other:?}"),
    }
}

/// A line a row: cells between bars.
fn lines(rows: &RecordBatch) -> String {
    let cell = |row: usize, column: usize| array_value_to_string(rows.column(column), row).expect("printable");
    let line = |row| (0..rows.num_columns()).map(|column| cell(row, column)).collect::<Vec<_>>().join("|");
    (0..rows.num_rows()).map(|row| format!("|{}|\n", line(row))).collect()
}

fn refused(session: &mut Session, script: &str) -> String {
    let error = run(session, script).expect_err("refused");
    let marked = match error.place() {
        Some(fleuve_base::Place::Sql { start, end }) => &script[*start..*end],
        _ => "nowhere",
    };
    format!("{error} | {marked} | {}", error.hint().unwrap_or(""))
}

const TABLE: &str = "
    CREATE TABLE bids (
      auction BIGINT, price DECIMAL(10, 2), `offset` BIGINT METADATA VIRTUAL, ts TIMESTAMP(3), double_price AS price * 2,
      day_of AS FLOOR(ts TO DAY), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND, PRIMARY KEY (auction) NOT ENFORCED
    ) COMMENT 'all bids' PARTITIONED BY (price) WITH ('connector' = 'filesystem', 'path' = '/x', 'format' = 'json');
    CREATE TABLE sink (auction BIGINT, n BIGINT) WITH ('connector' = 'blackhole');";

#[test]
fn an_insert_becomes_a_pipeline_with_the_sessions_settings() {
    let mut session = Session::new();
    let script = format!(
        "{TABLE} SET 'parallelism.default' = '3'; SET 'pipeline.name' = 'counts';
         INSERT INTO sink SELECT auction, 1 FROM bids WHERE price > 10"
    );
    let Ok(Outcome::Pipeline(pipeline)) = run(&mut session, &script) else { panic!("not a pipeline") };
    assert_eq!((pipeline.name.as_str(), pipeline.settings.workers), ("counts", 3));
    assert!(matches!(&pipeline.nodes.last().expect("a sink").operator, Operator::Sink(sink) if sink.table == "sink"));
}

#[test]
fn a_query_ends_in_the_result_sink() {
    let mut session = Session::new();
    let Ok(Outcome::Query(pipeline)) = run(&mut session, &format!("{TABLE} SELECT * FROM bids")) else {
        panic!("not a query")
    };
    let sink = &pipeline.nodes.last().expect("a sink").operator;
    assert!(matches!(sink, Operator::Sink(sink) if sink.options.connector() == "$result"));
}

#[test]
fn describe_knows_the_types_of_computed_columns() {
    let mut session = Session::new();
    let table = rows(&mut session, &format!("{TABLE} DESCRIBE bids"));
    for line in [
        "|auction|BIGINT|false|PRI(auction)|||",
        "|offset|BIGINT|true||METADATA VIRTUAL||",
        "|ts|TIMESTAMP(3)|true|||ts - INTERVAL '5' SECOND|",
        "|day_of|TIMESTAMP(3)|true||AS FLOOR(ts TO DAY)||",
    ] {
        assert!(table.contains(line), "{line}\n{table}");
    }
    let view = rows(&mut session, "CREATE VIEW v (a, b) AS SELECT auction, price FROM bids; DESC v");
    assert!(view.contains("|a|BIGINT|") && view.contains("|b|DECIMAL(10, 2)|"), "{view}");
}

#[test]
fn show_create_table_gives_a_statement_that_creates_the_same_table() {
    let mut session = Session::new();
    run(&mut session, TABLE).expect("valid");
    let text = crate::show::create_table(session.catalog().table("bids").expect("declared"));
    let mut second = Session::new();
    run(&mut second, &text).expect("what SHOW CREATE TABLE prints can be executed");
    let (first, second) = (session.catalog().table("bids"), second.catalog().table("bids"));
    let same = |table: &crate::catalog::TableDef| crate::catalog::TableDef { span: (0, 0), ..table.clone() };
    assert_eq!(first.map(same), second.map(same));
}

#[test]
fn show_lists_what_is_declared() {
    let mut session = Session::new();
    let script = format!(
        "{TABLE} CREATE VIEW v AS SELECT 1 AS one; CREATE FUNCTION twice(x BIGINT) RETURNS BIGINT LANGUAGE SQL AS 'x * 2';"
    );
    run(&mut session, &script).expect("valid");
    let tables = rows(&mut session, "SHOW TABLES");
    assert!(["bids", "sink", "v"].iter().all(|name| tables.contains(&format!("|{name}|"))), "{tables}");
    assert!(rows(&mut session, "SHOW FUNCTIONS").contains("twice(x BIGINT) RETURNS BIGINT"));
    assert!(rows(&mut session, "SHOW CREATE VIEW v").contains("CREATE VIEW `v` AS"));
    assert!(rows(&mut session, "SET 'table.exec.state.ttl' = '1 h'; SET").contains("|table.exec.state.ttl|1 h|"));
}

#[test]
fn names_are_free_only_once() {
    let mut session = Session::new();
    run(&mut session, "CREATE TABLE t (a INT)").expect("valid");
    assert_eq!(
        refused(&mut session, "CREATE TABLE t (b INT)"),
        "error[E015]: table `t` already exists | t | DROP TABLE it first, or add IF NOT EXISTS"
    );
    run(&mut session, "CREATE TABLE IF NOT EXISTS t (b INT); CREATE TABLE T (c INT)")
        .expect("names are case-sensitive");
    run(&mut session, "CREATE VIEW v AS SELECT 1 AS x; CREATE OR REPLACE VIEW v AS SELECT 2 AS y").expect("replaced");
    assert!(
        refused(&mut session, "CREATE VIEW t AS SELECT 1 AS x").starts_with("error[E015]: table `t` already exists")
    );
    run(&mut session, "DROP TABLE t; DROP TABLE IF EXISTS t; DROP VIEW v").expect("dropped");
    assert!(refused(&mut session, "DROP TABLE t").starts_with("error[E010]: unknown table or view `t` | t |"));
}

#[test]
fn an_error_leaves_the_session_as_it_was() {
    let mut session = Session::new();
    let script = "CREATE TABLE t (a INT, b AS c + 1)";
    let told = refused(&mut session, script);
    assert!(told.starts_with("error[E012]: unknown column `c` | c |"), "{told}");
    assert!(session.catalog().table("t").is_none());
    let told = refused(&mut session, "CREATE VIEW v AS SELECT * FROM nowhere");
    assert!(told.starts_with("error[E010]: unknown table or view `nowhere` | nowhere |"), "{told}");
    assert!(session.catalog().view("v").is_none());
}

#[test]
fn like_takes_parts_over() {
    let mut session = Session::new();
    run(&mut session, TABLE).expect("valid");
    let columns = |session: &Session, name: &str| -> Vec<String> {
        session.catalog().table(name).expect("declared").columns.iter().map(|column| column.name.clone()).collect()
    };
    run(&mut session, "CREATE TABLE a (extra INT) WITH ('path' = '/y') LIKE bids").expect("valid");
    assert_eq!(columns(&session, "a"), ["auction", "price", "offset", "ts", "double_price", "day_of", "extra"]);
    let table = session.catalog().table("a").expect("declared");
    assert_eq!((table.options.get("path"), table.options.get("format")), (Some("/y"), Some("json")));
    assert!(table.watermark.is_some() && table.primary_key == ["auction"]);
    run(&mut session, "CREATE TABLE b LIKE bids (EXCLUDING ALL)").expect("valid");
    assert_eq!(columns(&session, "b"), ["auction", "price", "ts"]);
    assert!(session.catalog().table("b").expect("declared").options.0.is_empty());
    let told = refused(&mut session, "CREATE TABLE c (x TIMESTAMP(3), WATERMARK FOR x AS x) LIKE bids");
    assert!(told.starts_with("error[E016]: both tables declare WATERMARK | bids |"), "{told}");
    run(&mut session, "CREATE TABLE c (x TIMESTAMP(3), WATERMARK FOR x AS x) LIKE bids (OVERWRITING WATERMARKS)")
        .expect("valid");
}

#[test]
fn wrong_settings_are_placed() {
    let mut session = Session::new();
    assert_eq!(
        refused(&mut session, "SET 'table.exec.state.tl' = '1 h'"),
        "error[E018]: unknown setting 'table.exec.state.tl' | 'table.exec.state.tl' | did you mean 'table.exec.state.ttl'?"
    );
    assert!(refused(&mut session, "SET 'parallelism.default' = 'many'").contains("| 'many' |"));
}

#[test]
fn explain_is_text() {
    let mut session = Session::new();
    let Ok(Outcome::Explain(text)) = run(&mut session, &format!("{TABLE} EXPLAIN SELECT auction FROM bids")) else {
        panic!("not an explanation")
    };
    assert!(text.contains("bids"), "{text}");
}

#[test]
fn the_nexmark_script_of_one_query_is_one_session() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../fleuve/queries/nexmark");
    let read = |name: &str| std::fs::read_to_string(format!("{directory}/{name}.sql")).expect("the query's text");
    let mut planned = vec![];
    for n in 0..=22 {
        let script = format!("{}\n{}", read("tables"), read(&format!("q{n}")));
        match run(&mut Session::new(), &script) {
            Ok(Outcome::Pipeline(_)) => planned.push(n),
            Ok(other) => panic!("q{n}: {other:?}"),
            // What is not in this build says so by name.
            Err(error) => assert!(matches!(error.code(), "E201" | "E024"), "q{n}: {error} {:?}", error.hint()),
        }
    }
    assert!([0, 1, 2, 3, 5, 7, 8, 11, 12, 13, 14, 20, 21, 22].iter().all(|n| planned.contains(n)), "{planned:?}");
}
