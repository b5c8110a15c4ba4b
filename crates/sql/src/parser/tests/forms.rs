//! Every way of writing a construct gives one form of the syntax tree.

use super::query;

#[test]
fn window_functions_are_tables_with_arguments() {
    let plain = "SELECT * FROM TUMBLE(t, DESCRIPTOR(c), INTERVAL '1' MINUTE) AS w";
    for script in [
        "SELECT * FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(c), INTERVAL '1' MINUTE)) AS w",
        "SELECT * FROM TUMBLE(TABLE t, DESCRIPTOR(c), INTERVAL '1' MINUTE) AS w",
    ] {
        assert_eq!(query(script), plain);
    }
    assert_eq!(
        query("SELECT * FROM HOP(DATA => TABLE t, TIMECOL => DESCRIPTOR(c), SLIDE => INTERVAL '1' HOURS)"),
        "SELECT * FROM HOP(DATA => t, TIMECOL => DESCRIPTOR(c), SLIDE => INTERVAL '1' HOURS)"
    );
}

#[test]
fn the_keys_of_a_partitioned_window_function_are_an_argument() {
    let expected = "SELECT * FROM SESSION(t, partition_by(a, b), DESCRIPTOR(c), INTERVAL '1' MINUTE)";
    for keys in ["a, b", "(a, b)"] {
        let script = format!("SELECT * FROM SESSION(TABLE t PARTITION BY {keys}, DESCRIPTOR(c), INTERVAL '1' MINUTE)");
        assert_eq!(query(&script), expected);
    }
    assert_eq!(
        query("SELECT * FROM SESSION(DATA => TABLE t PARTITION BY a, TIMECOL => DESCRIPTOR(c))"),
        "SELECT * FROM SESSION(DATA => t, partition_by(a), TIMECOL => DESCRIPTOR(c))"
    );
}

#[test]
fn unnest_is_its_own_form() {
    use sqlparser::ast::{SetExpr, TableFactor};
    for script in ["SELECT * FROM UNNEST(a) AS u (x)", "SELECT * FROM TABLE(UNNEST(a)) AS u (x)"] {
        let super::Statement::Query(query) = super::one(script).statement else { panic!("{script}") };
        let SetExpr::Select(select) = query.body.as_ref() else { panic!("{script}") };
        assert!(matches!(select.from[0].relation, TableFactor::UNNEST { .. }), "{script}");
    }
}

#[test]
fn system_time_joins_keep_their_version() {
    // sqlparser prints the alias first, as no dialect writes it.
    assert_eq!(
        query("SELECT * FROM a JOIN b FOR SYSTEM_TIME AS OF a.p AS x ON a.k = x.k"),
        "SELECT * FROM a JOIN b AS x FOR SYSTEM_TIME AS OF a.p ON a.k = x.k"
    );
}

#[test]
fn units_of_time_are_strings_in_functions() {
    assert_eq!(
        query(
            "SELECT TIMESTAMPDIFF(SECOND, a, b), TIMESTAMPADD(DAYS, 1, a), FLOOR(a TO HOUR), CEIL(a TO DAY), FLOOR(x)"
        ),
        "SELECT TIMESTAMPDIFF('SECOND', a, b), TIMESTAMPADD('DAY', 1, a), floor(a, 'HOUR'), ceil(a, 'DAY'), FLOOR(x)"
    );
}

#[test]
fn expressions_are_told_in_the_dialect_again() {
    for text in
        ["TIMESTAMPDIFF(SECOND, a, b)", "FLOOR(a TO HOUR) + CEIL(FLOOR(b TO DAY) TO MONTH)", "x - INTERVAL '4' SECOND"]
    {
        let super::Statement::Query(query) = super::one(&format!("SELECT {text}")).statement else { panic!("{text}") };
        let sqlparser::ast::SetExpr::Select(select) = query.body.as_ref() else { panic!("{text}") };
        let sqlparser::ast::SelectItem::UnnamedExpr(expr) = &select.projection[0] else { panic!("{text}") };
        assert_eq!(super::super::expr_text(expr), text);
    }
}

#[test]
fn nested_types_can_be_cast_to() {
    use arrow::datatypes::DataType;
    let cast = |target: &str| {
        let super::Statement::Query(query) = super::one(&format!("SELECT CAST(a AS {target})")).statement else {
            panic!("{target}")
        };
        let sqlparser::ast::SetExpr::Select(select) = query.body.as_ref() else { panic!("{target}") };
        match &select.projection[0] {
            sqlparser::ast::SelectItem::UnnamedExpr(sqlparser::ast::Expr::Cast { data_type, .. }) => {
                crate::types::from_ast(data_type).expect("a known type")
            }
            other => panic!("not a cast: {other}"),
        }
    };
    for target in [
        "BIGINT",
        "STRING",
        "DECIMAL(23, 3)",
        "TIMESTAMP(3)",
        "TIMESTAMP_LTZ(3)",
        "ARRAY<ARRAY<INT>>",
        "MAP<STRING, BIGINT>",
        "ROW<`a` INT, `b` ARRAY<STRING>>",
    ] {
        assert_eq!(crate::types::display(&cast(target)), target);
    }
    assert_eq!(crate::types::display(&cast("TIMESTAMP(3) WITH LOCAL TIME ZONE")), "TIMESTAMP_LTZ(3)");
    assert_eq!(crate::types::display(&cast("VARCHAR(20)")), "STRING");
    assert_eq!(cast("DOUBLE PRECISION"), DataType::Float64);
}

#[test]
fn flinks_expressions_parse() {
    for expr in [
        "a IS NOT TRUE",
        "a IS NOT DISTINCT FROM b",
        "MAP['a', 1]",
        "ARRAY[1, 2]",
        "ROW(1, 2)",
        "m['k'][1].f",
        "INTERVAL '1:30' MINUTE TO SECOND",
        "INTERVAL '10' SECOND",
        "EXTRACT(YEAR FROM a)",
        "POSITION('a' IN b)",
        "SUBSTRING(a FROM 1 FOR 2)",
        "TRIM(BOTH ' ' FROM a)",
        "OVERLAY(a PLACING b FROM 1)",
        "a SIMILAR TO 'x'",
        "a LIKE 'x!%' ESCAPE '!'",
        "COUNT(DISTINCT a) FILTER (WHERE b < 1)",
        "SUM(a) OVER (PARTITION BY b ORDER BY c ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
        "CURRENT_TIMESTAMP",
        "DATE '2020-01-01'",
        "TIMESTAMP '2020-01-01 00:00:00'",
        "EXISTS (SELECT 1)",
        "a NOT BETWEEN 1 AND 2",
        "`select`.`from`",
    ] {
        query(&format!("SELECT {expr} FROM t"));
    }
}

#[test]
fn flinks_clauses_parse() {
    for script in [
        "SELECT /*+ STATE_TTL('a' = '1d') */ a FROM t",
        "SELECT a FROM t GROUP BY GROUPING SETS ((a), ()), TUMBLE(ts, INTERVAL '1' MINUTE)",
        "SELECT a FROM t ORDER BY a DESC NULLS LAST FETCH FIRST 3 ROWS ONLY",
        "WITH x AS (SELECT 1 AS a) SELECT * FROM x UNION ALL SELECT 2",
        "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t (n, s)",
        "SELECT * FROM a LEFT JOIN UNNEST(a.xs) AS u (x) ON TRUE, b",
        "SELECT * FROM t MATCH_RECOGNIZE (ORDER BY b MEASURES A.x AS y PATTERN (A B+) DEFINE B AS B.p > A.p) AS m",
        "VALUES (1), (2)",
        "(SELECT 1)",
    ] {
        query(script);
    }
}
