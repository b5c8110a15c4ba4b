//! Whatever the text, planning answers with a plan or an error; it never panics.

use proptest::prelude::*;

use super::plan;

const TABLES: &str = "
CREATE TABLE t (id BIGINT, n INT, price DECIMAL(10, 2), name STRING, ok BOOLEAN, r ROW<a INT, b STRING>, xs ARRAY<INT>,
  ts TIMESTAMP(3), pt AS PROCTIME(), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'socket', 'format' = 'json');
CREATE TABLE u (id BIGINT, v STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem', 'path' = '/u', 'format' = 'csv');
CREATE VIEW w AS SELECT id, COUNT(*) AS c FROM t GROUP BY id;
";

/// A scalar expression of at most a few levels, well formed but not always well typed.
fn scalar() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "id",
        "n",
        "price",
        "name",
        "ok",
        "r",
        "r.a",
        "xs",
        "ts",
        "pt",
        "t.id",
        "u.v",
        "nope",
        "1",
        "0",
        "-7",
        "3000000000",
        "1.5",
        "1e3",
        "'x'",
        "'2020-01-01 00:00:00'",
        "NULL",
        "TRUE",
        "INTERVAL '3' SECOND",
        "PROCTIME()",
        "window_start",
        "*",
        "(SELECT MAX(id) FROM u)",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), operator(), inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (function(), inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (function(), inner.clone(), inner.clone()).prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("CASE WHEN {a} THEN {b} ELSE {c} END")),
            (inner.clone(), data_type()).prop_map(|(a, t)| format!("CAST({a} AS {t})")),
            inner.clone().prop_map(|a| format!("{a} IS NOT NULL")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} IN ({b}, 1)")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("{a} BETWEEN {b} AND {c}")),
        ]
    })
}

fn operator() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["+", "-", "*", "/", "%", "=", "<>", "<", ">=", "AND", "OR", "||", "LIKE"])
}

fn function() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "COUNT",
        "SUM",
        "AVG",
        "MIN",
        "MAX",
        "STDDEV_POP",
        "COALESCE",
        "IF",
        "UPPER",
        "ABS",
        "MOD",
        "DATE_FORMAT",
        "HOUR",
        "TUMBLE",
        "TUMBLE_START",
        "SESSION",
        "HOP",
        "NOT",
        "nope",
        "CHAR_LENGTH",
        "SPLIT_INDEX",
        "TO_TIMESTAMP",
    ])
}

fn data_type() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "INT",
        "BIGINT",
        "STRING",
        "DECIMAL(5, 2)",
        "DOUBLE",
        "TIMESTAMP(3)",
        "BOOLEAN",
        "DATE",
        "ROW<a INT>",
    ])
}

fn relation() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "t",
        "u",
        "w",
        "t, u",
        "t AS a JOIN t AS b ON a.id = b.id",
        "t LEFT JOIN u ON t.id = u.id AND t.ts < u.ts",
        "nope",
        "t JOIN u ON t.ts BETWEEN u.ts - INTERVAL '1' MINUTE AND u.ts",
        "t CROSS JOIN UNNEST(t.xs) AS e (x)",
        "TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND))",
        "TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND))",
        "TABLE(TUMBLE(TABLE t, DESCRIPTOR(pt), INTERVAL '10' SECOND))",
        "TABLE(SESSION(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND))",
        "TABLE(TUMBLE(TABLE w, DESCRIPTOR(c), INTERVAL '10' SECOND))",
        "(SELECT * FROM t UNION ALL SELECT * FROM t) AS t",
        "t JOIN u FOR SYSTEM_TIME AS OF t.pt AS s ON t.id = s.id",
        "(VALUES (1, 'a'), (2, 'b')) AS t (id, name)",
    ])
    .prop_map(str::to_owned)
}

fn query() -> impl Strategy<Value = String> {
    let clause = |name: &'static str, of: BoxedStrategy<String>| {
        prop::option::of(of).prop_map(move |text| text.map_or_else(String::new, |text| format!(" {name} {text}")))
    };
    let grouping = prop_oneof![
        scalar().prop_map(|expr| expr),
        Just("id, window_start, window_end".to_owned()),
        Just("name, TUMBLE(ts, INTERVAL '10' SECOND)".to_owned()),
        Just("window_start, window_end".to_owned()),
    ];
    (
        prop::collection::vec(scalar(), 1..4),
        relation(),
        clause("WHERE", scalar().boxed()),
        clause("GROUP BY", grouping.boxed()),
        clause("HAVING", scalar().boxed()),
        clause("ORDER BY", scalar().boxed()),
        clause("LIMIT", Just("3".to_owned()).boxed()),
        any::<bool>(),
    )
        .prop_map(|(columns, from, filter, group, having, order, limit, distinct)| {
            let distinct = if distinct { "DISTINCT " } else { "" };
            format!("SELECT {distinct}{} FROM {from}{filter}{group}{having}{order}{limit}", columns.join(", "))
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn planning_never_panics(query in query()) {
        if let Err(error) = plan(&format!("{TABLES}{query}")) {
            prop_assert!(!error.message().contains("panicked"), "{query}\n{error}");
        }
    }
}
