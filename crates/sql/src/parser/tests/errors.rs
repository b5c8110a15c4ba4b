//! What a wrong script is told: message, place, hint.

use super::refused;

#[track_caller]
fn check(script: &str, expected: &str) {
    assert_eq!(refused(script), expected, "\n{script}");
}

#[test]
fn misspelt_keywords() {
    check("SELCT 1", "error[E001]: expected a statement, found `SELCT`\nat 0: SELCT\nhint: did you mean `SELECT`?");
    check("SELECT a FORM t", "error[E001]: expected `FROM`, found `FORM`\nat 9: FORM\nhint: did you mean `FROM`?");
    check(
        "SELECT a FROM t WERE x = 1",
        "error[E001]: expected `WHERE`, found `WERE`\nat 16: WERE\nhint: did you mean `WHERE`?",
    );
    check(
        "SELECT a FROM t GRUOP BY a",
        "error[E001]: expected `GROUP`, found `GRUOP`\nat 16: GRUOP\nhint: did you mean `GROUP`?",
    );
    check(
        "CREATE TABEL t (a INT)",
        "error[E001]: expected `TABLE`, `VIEW`, `FUNCTION`, `INDEX` or `TEMPORARY`, found `TABEL`\nat 7: TABEL\nhint: did you mean `TABLE`?",
    );
    check(
        "CREATE TABLE t (a INT) WIHT ('a' = 'b')",
        "error[E001]: expected `COMMENT`, `PARTITIONED BY`, `WITH`, `LIKE` or `;`, found `WIHT`\nat 23: WIHT\nhint: did you mean `WITH`?",
    );
}

#[test]
fn unfinished_text() {
    check("SELECT 'abc\n", "error[E002]: the string that begins here has no closing quote\nat 7: '");
    check("SELECT `abc", "error[E002]: the name that begins here has no closing backquote\nat 7: `");
    check("SELECT 1 /* no end", "error[E002]: the comment that begins here has no closing `*/`\nat 9: /");
    check("SELECT 1 FROM", "error[E001]: expected identifier, found the end of the script\nat 13: ");
    check(
        "INSERT INTO t",
        "error[E001]: expected `SELECT`, `WITH`, `VALUES` or `(`, found the end of the script\nat 13: ",
    );
}

#[test]
fn wrong_punctuation() {
    check(
        "SELECT a, FROM t",
        "error[E001]: expected an expression, found `FROM`\nat 10: FROM\nhint: is the comma before `FROM` one too many?",
    );
    check(
        "SELECT f(a FROM t",
        "error[E001]: expected `)`, found `FROM`\nat 11: FROM\nhint: if `FROM` is a name here, put it into backquotes",
    );
    check(
        "SELECT \"x\" FROM t",
        "error[E001]: double quotes are not used in this dialect: \"x\"\nat 7: \"x\"\nhint: write `x` for a name, 'x' for a string",
    );
    check("SELECT 1 SELECT 2", "error[E001]: expected `;` or the end of the statement, found `SELECT`\nat 9: SELECT");
    check("SHOW TABLES; SELECT * FROM a WHERE x IN ()", "error[E001]: expected an expression, found `)`\nat 41: )");
}

#[test]
fn declarations() {
    check("CREATE TABLE t (a BIGNT)", "error[E014]: unknown type `BIGNT`\nat 18: BIGNT\nhint: did you mean BIGINT?");
    check("CREATE TABLE t (a TEXT)", "error[E014]: unknown type `TEXT`\nat 18: TEXT\nhint: did you mean STRING?");
    check(
        "CREATE TABLE t (a DECIMAL(50, 2))",
        "error[E014]: DECIMAL(50, 2) is out of range\nat 18: DECIMAL(50, 2)\nhint: the precision is 1 to 38, the scale 0 to the precision",
    );
    check(
        "CREATE TABLE t (amount INT, WATERMARK FOR amuont AS amount)",
        "error[E012]: unknown column `amuont`\nat 42: amuont\ndetail: columns declared here: amount\nhint: did you mean `amount`?",
    );
    check("CREATE TABLE t (a INT, a INT)", "error[E016]: column `a` is declared twice\nat 23: a");
    check(
        "CREATE TABLE t (a INT, PRIMARY KEY (a))",
        "error[E016]: a PRIMARY KEY must be declared NOT ENFORCED\nat 23: PRIMARY KEY (a)\n\
         hint: write PRIMARY KEY (…) NOT ENFORCED: the key is trusted, not checked",
    );
    check("CREATE TABLE t (a INT) WITH ('x' = '1', 'X' = '2')", "error[E017]: option 'X' is given twice\nat 40: 'X'");
    check(
        "CREATE TABLE t WITH ('x' = '1')",
        "error[E016]: table `t` has no columns\nat 13: t\nhint: declare them: CREATE TABLE t (id BIGINT, …)",
    );
}

#[test]
fn what_is_not_in_this_build_is_refused_by_name() {
    check(
        "CREATE FUNCTION f AS 'com.example.F'",
        "error[E202]: functions in Java, Scala or Python are not in this build\nat 18: AS\n\
         hint: write it in SQL: CREATE FUNCTION f (a STRING) RETURNS BIGINT LANGUAGE SQL AS 'CHAR_LENGTH(a)'",
    );
    check(
        "SELECT * FROM t, LATERAL TABLE(f(a)) AS x (b)",
        "error[E201]: LATERAL TABLE(…) is not in this build\nat 25: TABLE\n\
         detail: table functions can only come from Java, which this build does not run\n\
         hint: to expand an array or a map, use CROSS JOIN UNNEST(column) AS t (element)",
    );
    check(
        "SELECT * FROM t /*+ OPTIONS('a' = 'b') */",
        "error[E201]: OPTIONS hints are not in this build\nat 16: /*+ OPTIONS('a' = 'b') */\n\
         hint: put the options into the table's WITH (…), or declare a second table with LIKE",
    );
    check(
        "SELECT * FROM db.t",
        "error[E201]: other catalogs and databases are not in this build: `db.t`\nat 14: db.t\nhint: use the last part of the name alone",
    );
    for (script, message) in [
        ("USE CATALOG c", "USE is not in this build"),
        ("CREATE DATABASE d", "CREATE DATABASE is not in this build"),
        ("CREATE CATALOG c WITH ('a' = 'b')", "CREATE CATALOG is not in this build"),
        ("ALTER TABLE t RENAME TO u", "ALTER is not in this build"),
        ("DELETE FROM t", "DELETE is not in this build"),
        ("INSERT OVERWRITE t SELECT 1", "INSERT OVERWRITE is not in this build"),
        ("INSERT INTO t PARTITION (d = '1') SELECT 1", "INSERT INTO … PARTITION (…) is not in this build"),
        ("CREATE TABLE t WITH ('a' = 'b') AS SELECT 1", "CREATE TABLE … AS SELECT is not in this build"),
        ("SHOW CATALOGS", "SHOW CATALOGS is not in this build"),
        ("ADD JAR 'x.jar'", "ADD is not in this build"),
    ] {
        let told = refused(script);
        assert!(told.starts_with(&format!("error[E203]: {message}\n")), "{script}: {told}");
    }
}

#[test]
fn an_error_in_a_functions_body_is_placed_in_the_script() {
    check(
        "CREATE FUNCTION f(s STRING) RETURNS STRING LANGUAGE SQL AS 'REPLACE(s, ''x'' y)'",
        "error[E001]: expected `)`, found `y`\nat 77: y",
    );
}

#[test]
fn every_code_is_registered() {
    fn sources(directory: &std::path::Path, texts: &mut String) {
        for entry in std::fs::read_dir(directory).expect("the crate's sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, texts);
            } else {
                texts.push_str(&std::fs::read_to_string(path).expect("a source file"));
            }
        }
    }
    let mut text = String::new();
    sources(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut text);
    let quoted = text.split('"').filter(|part| part.len() == 4 && part.starts_with(['E', 'W']));
    let codes: Vec<&str> = quoted.filter(|part| part[1..].bytes().all(|b| b.is_ascii_digit())).collect();
    assert!(codes.len() > 50, "the sources name their codes");
    for code in codes {
        assert!(fleuve_base::codes::find(code).is_some(), "{code} is not in the registry");
    }
}
