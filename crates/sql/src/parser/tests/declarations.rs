//! CREATE and DROP.

use super::{Statement, one};
use crate::catalog::{ColumnKind, TableDef};
use crate::parser::statement::{LikeFeature, LikeMode};
use crate::types::display;

fn table(script: &str) -> TableDef {
    match one(script).statement {
        Statement::CreateTable(create) => create.table,
        other => panic!("not a table: {other:?}"),
    }
}

#[test]
fn a_table_with_everything() {
    let table = table(
        "CREATE TEMPORARY TABLE IF NOT EXISTS t (
           `user id` BIGINT NOT NULL COMMENT 'who',
           amount DECIMAL(10, 2),
           meta ROW<a INT NOT NULL, b ARRAY<MAP<STRING, ROW<c DOUBLE>>>>,
           ts TIMESTAMP(3) METADATA FROM 'timestamp' VIRTUAL,
           `offset` BIGINT METADATA,
           cost AS amount * 2 COMMENT 'computed',
           p AS PROCTIME(),
           WATERMARK FOR ts AS ts - INTERVAL '5' SECOND,
           CONSTRAINT pk PRIMARY KEY (`user id`) NOT ENFORCED
         ) COMMENT 'all of it' PARTITIONED BY (amount) WITH ('Connector' = 'topic', 'x' = 'it''s')",
    );
    let types: Vec<String> = table.columns.iter().map(|c| c.data_type.as_ref().map_or("?".into(), display)).collect();
    let row = "ROW<`a` INT NOT NULL, `b` ARRAY<MAP<STRING, ROW<`c` DOUBLE>>>>";
    assert_eq!(types, ["BIGINT", "DECIMAL(10, 2)", row, "TIMESTAMP(3)", "BIGINT", "?", "?"]);
    assert!(!table.columns[0].nullable && table.columns[1].nullable);
    assert_eq!(table.columns[3].kind, ColumnKind::Metadata { key: "timestamp".into(), virtual_: true });
    assert_eq!(table.columns[4].kind, ColumnKind::Metadata { key: "offset".into(), virtual_: false });
    assert!(matches!(table.columns[5].kind, ColumnKind::Computed(_)));
    assert_eq!(table.columns[5].comment.as_deref(), Some("computed"));
    assert_eq!(table.watermark.as_ref().map(|w| w.expr.to_string()), Some("ts - INTERVAL '5' SECOND".into()));
    assert_eq!(table.primary_key, ["user id"]);
    assert_eq!(table.partitioned_by, ["amount"]);
    assert_eq!((table.options.connector(), table.options.get("x")), ("topic", Some("it's")));
    assert_eq!(table.comment.as_deref(), Some("all of it"));
    let writable: Vec<&str> = table.writable_columns().map(|column| column.name.as_str()).collect();
    assert_eq!(writable, ["user id", "amount", "meta", "offset"]);
}

#[test]
fn the_primary_key_is_not_null() {
    let table = table("CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED, b INT)");
    assert_eq!(table.columns.iter().map(|column| column.nullable).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn every_type() {
    let declared = "a CHAR(3), b VARCHAR, c STRING, d BOOLEAN, e TINYINT, f SMALLINT, g INT, h INTEGER, i BIGINT, j FLOAT, k DOUBLE, \
                    l DECIMAL, m NUMERIC(5), n BYTES, o VARBINARY(9), p DATE, q TIME(3), r TIMESTAMP, s TIMESTAMP(9), t TIMESTAMP_LTZ(3), \
                    u TIMESTAMP(6) WITH LOCAL TIME ZONE, v TIMESTAMP(0) WITHOUT TIME ZONE, w MULTISET<STRING>, x DOUBLE PRECISION, \
                    y ROW(a INT, b STRING 'text'), z ARRAY<INT NOT NULL> NOT NULL";
    let table = table(&format!("CREATE TABLE t ({declared})"));
    let types: Vec<String> = table.columns.iter().filter_map(|column| column.data_type.as_ref()).map(display).collect();
    let expected = "STRING STRING STRING BOOLEAN TINYINT SMALLINT INT INT BIGINT FLOAT DOUBLE DECIMAL(10,_0) DECIMAL(5,_0) BYTES BYTES DATE TIME \
                    TIMESTAMP(6) TIMESTAMP(9) TIMESTAMP_LTZ(3) TIMESTAMP_LTZ(6) TIMESTAMP(3) MAP<STRING,_INT_NOT_NULL> DOUBLE \
                    ROW<`a`_INT,_`b`_STRING> ARRAY<INT_NOT_NULL>";
    assert_eq!(
        types,
        expected
            .split_whitespace()
            .map(|text| text.replace('_', " ").replace("TIMESTAMP LTZ", "TIMESTAMP_LTZ"))
            .collect::<Vec<_>>()
    );
}

#[test]
fn like_lists_what_it_takes_over() {
    let Statement::CreateTable(create) =
        one("CREATE TABLE t (x INT) WITH ('a' = 'b') LIKE s (EXCLUDING ALL INCLUDING GENERATED, OVERWRITING OPTIONS)")
            .statement
    else {
        panic!("not a table")
    };
    let like = create.like.expect("LIKE");
    assert_eq!(like.table.value, "s");
    assert_eq!(
        like.features,
        [
            (LikeFeature::All, LikeMode::Excluding),
            (LikeFeature::Generated, LikeMode::Including),
            (LikeFeature::Options, LikeMode::Overwriting)
        ]
    );
}

#[test]
fn views_and_functions() {
    let Statement::CreateView(create) = one("CREATE OR REPLACE TEMPORARY VIEW v (a, b) AS SELECT 1, 2").statement
    else {
        panic!("not a view")
    };
    assert_eq!((create.view.columns, create.or_replace), (Some(vec!["a".into(), "b".into()]), true));
    assert_eq!(create.view.text, "SELECT 1, 2");
    let script = "CREATE TEMPORARY SYSTEM FUNCTION f(s STRING, c STRING) RETURNS BIGINT LANGUAGE SQL AS 'CHAR_LENGTH(REPLACE(s, c, ''''))'";
    let Statement::CreateFunction(create) = one(script).statement else { panic!("not a function") };
    assert_eq!(create.function.body.to_string(), "CHAR_LENGTH(REPLACE(s, c, ''))");
    assert_eq!(create.function.params.len(), 2);
    assert_eq!(display(&create.function.returns), "BIGINT");
}

#[test]
fn drops() {
    for script in
        ["DROP TABLE IF EXISTS t", "DROP TEMPORARY VIEW IF EXISTS t", "DROP TEMPORARY SYSTEM FUNCTION IF EXISTS t"]
    {
        assert!(matches!(one(script).statement, Statement::Drop { if_exists: true, .. }), "{script}");
    }
}
