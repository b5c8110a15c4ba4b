//! Properties of plans that a text file would hide.

use fleuve_plan::{Expr, Literal, Operator, Pipeline, Value};

use super::plan;

const TABLES: &str = "
CREATE TABLE t (id BIGINT, n INT, price DECIMAL(10, 2), name STRING, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'socket', 'format' = 'json');
CREATE TABLE v (k BIGINT, x INT) WITH ('connector' = 'filesystem', 'path' = '/v', 'format' = 'csv');
";

fn planned(query: &str) -> Pipeline {
    plan(&format!("{TABLES}{query}")).unwrap_or_else(|error| panic!("{error} {:?}", error.detail()))
}

fn types(query: &str) -> String {
    let pipeline = planned(query);
    let schema = &pipeline.nodes.last().expect("a pipeline has a sink").schema;
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| {
        format!("{} {}", field.name(), crate::types::display(field.data_type()))
    };
    schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
}

#[test]
fn arithmetic_has_flinks_types() {
    assert_eq!(types("SELECT 0.908 * id FROM t"), "EXPR$0 DECIMAL(22, 3)");
    assert_eq!(
        types("SELECT price + 1, price * price, price / 3 FROM t"),
        "EXPR$0 DECIMAL(13, 2), EXPR$1 DECIMAL(20, 4), EXPR$2 DECIMAL(21, 13)"
    );
    assert_eq!(
        types("SELECT id % 10, id / 2, n / 2, n + id FROM t"),
        "EXPR$0 INT, EXPR$1 BIGINT, EXPR$2 INT, EXPR$3 BIGINT"
    );
    assert_eq!(
        types("SELECT 1, 3000000000, 1.5, 'x', TRUE FROM t"),
        "EXPR$0 INT, EXPR$1 BIGINT, EXPR$2 DECIMAL(2, 1), EXPR$3 STRING, EXPR$4 BOOLEAN"
    );
    assert_eq!(
        types("SELECT ts - INTERVAL '1' SECOND, CAST(price AS DOUBLE) * 2 FROM t"),
        "EXPR$0 TIMESTAMP(3), EXPR$1 DOUBLE"
    );
}

#[test]
fn aggregates_have_flinks_types() {
    assert_eq!(
        types("SELECT COUNT(*), SUM(n), SUM(id), AVG(id), SUM(price), AVG(price), MAX(name), STDDEV_POP(n) FROM t"),
        "EXPR$0 BIGINT, EXPR$1 INT, EXPR$2 BIGINT, EXPR$3 BIGINT, EXPR$4 DECIMAL(38, 2), EXPR$5 DECIMAL(38, 6), EXPR$6 STRING, EXPR$7 DOUBLE"
    );
}

#[test]
fn columns_are_named_as_in_flink() {
    assert_eq!(types("SELECT id, id, t.id AS k, n + 1 FROM t"), "id BIGINT, id0 BIGINT, k BIGINT, EXPR$3 INT");
}

#[test]
fn the_clock_is_never_folded() {
    let pipeline = planned("SELECT id, PROCTIME(), NOW(), CURRENT_TIMESTAMP, CURRENT_DATE, LOCALTIMESTAMP FROM t");
    let Operator::Source(spec) = &pipeline.nodes[0].operator else { panic!("a scan is one source") };
    for expr in &spec.output[1..] {
        let mut clocks = 0;
        expr.walk(&mut |expr| clocks += usize::from(*expr == Expr::EpochClock));
        assert_eq!(clocks, 1, "{expr}");
    }
}

#[test]
fn a_constant_predicate_decides_a_case() {
    let pipeline = planned("SELECT CASE WHEN n = 1 THEN id WHEN n = 2 THEN id * 2 ELSE 0 END AS y FROM t WHERE n = 1");
    let Operator::Source(spec) = &pipeline.nodes[0].operator else { panic!("a scan is one source") };
    assert_eq!(spec.output, vec![Expr::Column(0)]);
}

#[test]
fn a_watermark_is_kept_only_where_it_is_needed() {
    let watermarks = |query: &str| {
        let pipeline = planned(query);
        let sources = pipeline.nodes.iter().filter_map(|node| match &node.operator {
            Operator::Source(spec) => Some(spec.watermark.is_some()),
            _ => None,
        });
        sources.collect::<Vec<_>>()
    };
    assert_eq!(watermarks("SELECT id FROM t WHERE n > 1"), [false]);
    assert_eq!(
        watermarks(
            "SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end"
        ),
        [true]
    );
}

#[test]
fn missing_columns_are_written_as_null() {
    let pipeline = planned(
        "CREATE TABLE out (a BIGINT, b STRING, c INT) WITH ('connector' = 'print'); INSERT INTO out (c, a) SELECT n, id FROM t",
    );
    let Operator::Source(spec) = &pipeline.nodes[0].operator else { panic!("a scan is one source") };
    assert_eq!(spec.output[0], Expr::Column(0));
    assert!(matches!(&spec.output[1], Expr::Literal(Literal { value: Value::Null, .. })));
    assert_eq!(spec.output[2], Expr::Column(1));
}

#[test]
fn a_table_is_read_once() {
    let sources =
        |query: &str| planned(query).nodes.iter().filter(|node| matches!(node.operator, Operator::Source(_))).count();
    assert_eq!(sources("SELECT a.id FROM t a JOIN t b ON a.id = b.n"), 1);
    assert_eq!(sources("SELECT id FROM t UNION ALL SELECT k FROM v"), 2);
}

#[test]
fn equal_plans_have_equal_fingerprints() {
    let query = "SELECT name, COUNT(*) FROM t WHERE id > 3 GROUP BY name";
    assert_eq!(planned(query).fingerprint, planned(query).fingerprint);
    assert_ne!(
        planned(query).fingerprint,
        planned("SELECT name, COUNT(*) FROM t WHERE id > 4 GROUP BY name").fingerprint
    );
}
