//! No input makes the parser panic, overflow the stack, or run for ever.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::parse_script;

/// Parses, and checks that an error has a code and a place within the script.
fn survive(script: &str) {
    if let Err(error) = parse_script(script) {
        if let Some(fleuve_base::Place::Sql { start, end }) = error.place() {
            assert!(start <= end && *end <= script.len(), "{script:?}: {start}..{end}");
            assert!(script.is_char_boundary(*start) && script.is_char_boundary(*end), "{script:?}: {start}..{end}");
        }
        assert!(fleuve_base::codes::find(error.code()).is_some(), "{}", error.code());
    }
}

const TEXTS: &[&str] = &[
    "CREATE TABLE t (a ROW<x INT, y ARRAY<MAP<STRING, INT>>> NOT NULL, b AS a.x, WATERMARK FOR ts AS ts - INTERVAL '1' DAY, PRIMARY KEY (a) NOT ENFORCED) WITH ('k' = 'v') LIKE u (INCLUDING ALL);",
    "INSERT INTO t (a) SELECT /*+ H */ CAST(x AS ROW<a INT>), FLOOR(y TO DAY), MAP['a', 1], CASE WHEN a THEN b END FROM TABLE(TUMBLE(TABLE b PARTITION BY k, DESCRIPTOR(`ts`), INTERVAL '1' MINUTE)) JOIN s FOR SYSTEM_TIME AS OF b.p AS s ON TRUE;",
    "EXECUTE STATEMENT SET BEGIN INSERT INTO a VALUES (1, -2), (NULL, 'it''s'); END; SET 'k' = 'v'; EXPLAIN CHANGELOG_MODE SELECT 1;",
    "CREATE FUNCTION f(s STRING) RETURNS BIGINT LANGUAGE SQL AS 'CHAR_LENGTH(REPLACE(s, ''é'', ''''))'; SELECT f('é') IS NOT NULL, * FROM UNNEST(a) AS u (x) -- é",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text(script in any::<String>()) {
        survive(&script);
    }

    #[test]
    fn any_words(words in prop::collection::vec(prop::sample::select(WORDS), 0..60)) {
        survive(&words.join(" "));
        survive(&words.concat());
    }

    #[test]
    fn mutated_statements(
        text in prop::sample::select(TEXTS),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..8, prop::sample::select(WORDS)), 1..4),
    ) {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, removed, word) in cuts {
            let at = at.index(chars.len() + 1);
            let end = (at + removed).min(chars.len());
            chars.splice(at..end, word.chars());
        }
        survive(&chars.into_iter().collect::<String>());
    }
}

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "JOIN",
    "ON",
    "TABLE",
    "TABLE(",
    "(",
    ")",
    "((",
    "))",
    "[",
    "]",
    "<",
    ">",
    ">>",
    ",",
    ";",
    ".",
    "'",
    "`",
    "\"",
    "''",
    "--",
    "/*",
    "*/",
    "/*+ OPTIONS",
    "\n",
    "é",
    "a",
    "`b`",
    "'s'",
    "1",
    "1.5e3",
    "=>",
    "=",
    "-",
    "+",
    "*",
    "||",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST(",
    "AS",
    "ROW",
    "MAP",
    "ARRAY",
    "INTERVAL",
    "SECOND",
    "TO",
    "FLOOR(",
    "NOT",
    "NULL",
    "EXISTS",
    "TIMESTAMPDIFF(",
    "POSITION(",
    "IN",
    "UNION ALL",
    "WITH",
    "VALUES",
    "INSERT INTO",
    "CREATE",
    "VIEW",
    "FUNCTION",
    "LIKE",
    "SET",
    "BEGIN",
    "STATEMENT SET",
    "LOCAL",
    "TIME ZONE",
    "PARTITION BY",
    "DESCRIPTOR",
    "UNNEST(",
    "LATERAL",
    "FOR SYSTEM_TIME AS OF",
    "OVER (",
    "WATERMARK FOR",
    "PRIMARY KEY",
    "METADATA",
    "EXPLAIN",
    "SHOW",
    "DESCRIBE",
    "MATCH_RECOGNIZE (",
    "::",
    "{",
    "}",
    "$",
    "@",
    "#",
    "?",
    "\\",
    "\u{0}",
    "x'",
    "n'",
];

/// Scripts of which many copies nest.
const NESTING: &[(&str, &str, &str)] = &[
    ("SELECT ", "(", ""),
    ("SELECT ", "(", "1"),
    ("SELECT ", "[", ""),
    ("SELECT ", "NOT ", "a"),
    ("SELECT ", "- ", "a"),
    ("SELECT ", "CASE WHEN ", "a"),
    ("SELECT ", "CAST(", "a"),
    ("SELECT ", "POSITION(", "a"),
    ("SELECT ", "FLOOR(", "a"),
    ("SELECT ", "TRIM(", "a"),
    ("SELECT ", "f(", "a"),
    ("SELECT ", "EXISTS (SELECT ", "a"),
    ("SELECT ", "(SELECT ", "a"),
    ("SELECT ", "INTERVAL ", "a"),
    ("SELECT ", "a + ", "a"),
    ("SELECT a ", "IS NULL ", ""),
    ("SELECT a", "[1]", ""),
    ("SELECT a", ".b", ""),
    ("SELECT CAST(a AS ", "ARRAY<", ""),
    ("SELECT CAST(a AS ", "ROW<a ", ""),
    ("", "(", "SELECT 1"),
    ("", "SELECT 1 UNION ALL ", "SELECT 1"),
    ("SELECT * FROM ", "(", "a"),
    ("SELECT * FROM ", "((SELECT * FROM ", "a"),
    ("SELECT * FROM ", "(a JOIN ", "a"),
    ("SELECT * FROM a ", "JOIN a ON TRUE ", ""),
    ("SELECT * FROM a ", ", a ", ""),
    ("", "WITH a AS (", "SELECT 1"),
    ("", "EXPLAIN ", "SELECT 1"),
    ("", "EXECUTE ", "SELECT 1"),
    ("CREATE TABLE t (a ", "ARRAY<", "INT"),
    ("CREATE TABLE t (a ", "ROW<a ", "INT"),
];

#[test]
fn nesting_is_limited_and_quick() {
    for (before, repeated, after) in NESTING {
        for count in [10, 30, 100, 10_000] {
            let started = Instant::now();
            survive(&format!("{before}{}{after}", repeated.repeat(count)));
            let taken = started.elapsed();
            assert!(taken < Duration::from_secs(5), "{count} times {repeated:?} took {taken:?}");
        }
    }
}

#[test]
fn what_is_too_deep_is_told_so() {
    let told = super::refused(&format!("SELECT {}1{}", "(".repeat(40), ")".repeat(40)));
    assert_eq!(told, "error[E003]: more than 32 parentheses are open here\nat 39: (");
    let told = super::refused(&format!("SELECT 1{}", " + 1".repeat(600)));
    assert!(told.starts_with("error[E003]: more than 500 operators are chained here\n"), "{told}");
}

#[test]
fn ordinary_sizes_are_not_refused() {
    super::query(&format!("SELECT {}", vec!["a + b * -1"; 2_000].join(", ")));
    super::query(&format!("VALUES {}", vec!["(-1, NULL, 'x')"; 5_000].join(", ")));
    super::query(&format!("SELECT * FROM t WHERE a IN ({})", vec!["-1"; 5_000].join(", ")));
    super::query(&format!("SELECT {}1{}", "(".repeat(20), ")".repeat(20)));
    super::query(&format!("SELECT CASE {} END FROM t", vec!["WHEN a = 1 AND b = 2 THEN 3"; 200].join(" ")));
}
