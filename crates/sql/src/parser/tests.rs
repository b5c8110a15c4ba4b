//! Scripts and what the parser makes of them.

mod declarations;
mod errors;
mod forms;
mod hostile;

use super::{ParsedStatement, Statement, parse_script};

/// The one statement of a script.
fn one(script: &str) -> ParsedStatement {
    let mut statements = parsed(script);
    assert_eq!(statements.len(), 1, "{script}");
    statements.remove(0)
}

fn parsed(script: &str) -> Vec<ParsedStatement> {
    match parse_script(script) {
        Ok(statements) => statements,
        Err(error) => panic!("{script}\n{}", told(&error, script)),
    }
}

/// The query of a script, as sqlparser prints it.
fn query(script: &str) -> String {
    match one(script).statement {
        Statement::Query(query) => query.to_string(),
        other => panic!("not a query: {other:?}"),
    }
}

/// The error of a script: message, the marked text, detail and hint.
fn refused(script: &str) -> String {
    match parse_script(script) {
        Ok(statements) => panic!("parsed: {statements:?}"),
        Err(error) => told(&error, script),
    }
}

fn told(error: &fleuve_base::Error, script: &str) -> String {
    let marked = match error.place() {
        Some(fleuve_base::Place::Sql { start, end }) => format!("{start}: {}", &script[*start..*end]),
        _ => "nowhere".to_owned(),
    };
    let detail = error.detail().map_or_else(String::new, |detail| format!("\ndetail: {detail}"));
    let hint = error.hint().map_or_else(String::new, |hint| format!("\nhint: {hint}"));
    format!("{error}\nat {marked}{detail}{hint}")
}

#[test]
fn the_nexmark_queries_parse_as_they_are() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../fleuve/queries/nexmark");
    for name in std::iter::once("tables".to_owned()).chain((0..=22).map(|n| format!("q{n}"))) {
        let text = std::fs::read_to_string(format!("{directory}/{name}.sql")).expect("the query's text");
        let statements = parsed(&text);
        let inserts = statements.iter().filter(|parsed| matches!(parsed.statement, Statement::Insert(_))).count();
        assert_eq!(inserts, usize::from(name != "tables"), "{name}");
    }
}

#[test]
fn statements_know_their_bytes_in_the_script() {
    let script = "-- ä comment with two-byte letters: öü\n  SHOW TABLES ; /* ; */\n\nSELECT 'é;' AS x;;";
    let texts: Vec<&str> = parsed(script).iter().map(|parsed| &script[parsed.span.0..parsed.span.1]).collect();
    assert_eq!(texts, ["SHOW TABLES", "SELECT 'é;' AS x"]);
    assert!(parsed(script).iter().all(|parsed| parsed.text == script[parsed.span.0..parsed.span.1]));
}

#[test]
fn spans_in_a_query_are_bytes_of_the_script() {
    use sqlparser::ast::{SelectItem, SetExpr, Spanned};
    let script = "SHOW TABLES;\n-- é\nSELECT `ä`,\n  bcd FROM t";
    let Statement::Query(query) = &parsed(script)[1].statement else { panic!("not a query") };
    let SetExpr::Select(select) = query.body.as_ref() else { panic!("not a SELECT") };
    let texts: Vec<&str> = select
        .projection
        .iter()
        .map(|item| match item {
            SelectItem::UnnamedExpr(expr) => super::byte_range(expr.span()).expect("a place"),
            other => panic!("not an expression: {other}"),
        })
        .map(|(start, end)| &script[start..end])
        .collect();
    assert_eq!(texts, ["`ä`", "bcd"]);
}

#[test]
fn statement_sets_are_one_statement() {
    for script in [
        "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b (x) VALUES (2), (3); END;",
        "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; INSERT INTO b (x) (SELECT 2); END",
    ] {
        let Statement::Insert(inserts) = one(script).statement else { panic!("{script}") };
        let tables: Vec<&str> = inserts.iter().map(|insert| insert.table.value.as_str()).collect();
        assert_eq!(tables, ["a", "b"]);
        assert_eq!(inserts[1].columns.iter().map(|name| name.value.as_str()).collect::<Vec<_>>(), ["x"]);
    }
}

#[test]
fn settings_may_be_written_with_or_without_quotes() {
    for script in ["SET 'table.local-time-zone' = 'UTC';", "SET table.local-time-zone = UTC;"] {
        let Statement::Set { key, value } = one(script).statement else { panic!("{script}") };
        assert_eq!((key.value.as_str(), value.value.as_str()), ("table.local-time-zone", "UTC"));
    }
}

#[test]
fn explain_takes_queries_inserts_and_sets() {
    for (script, cost, changelog) in [
        ("EXPLAIN SELECT 1", false, false),
        ("EXPLAIN PLAN FOR INSERT INTO t SELECT 1", false, false),
        ("EXPLAIN ESTIMATED_COST, CHANGELOG_MODE SELECT 1", true, true),
        ("EXPLAIN CHANGELOG_MODE STATEMENT SET BEGIN INSERT INTO t SELECT 1; END", false, true),
    ] {
        let Statement::Explain(explain) = one(script).statement else { panic!("{script}") };
        assert_eq!((explain.cost, explain.changelog), (cost, changelog), "{script}");
    }
}

#[test]
fn names_may_be_qualified_by_the_default_catalog() {
    let Statement::Insert(inserts) = one("INSERT INTO default_catalog.default_database.t SELECT 1").statement else {
        panic!("not an INSERT")
    };
    assert_eq!(inserts[0].table.value, "t");
    assert_eq!(query("SELECT * FROM default_database.t"), "SELECT * FROM t");
}
