//! The files under `tests/golden`.

use std::path::{Path, PathBuf};

use super::shown;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn nexmark(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fleuve/queries/nexmark").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// Compares with a file, or writes it.
fn check(name: &str, actual: &str) {
    let path = golden(name);
    if updating() {
        std::fs::write(&path, actual).expect("the golden file can be written");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(expected == actual, "{name} differs; the plan is now\n{actual}");
}

/// Checks a file of cases: the query, a line `----`, what is shown of it, a line `====`.
fn check_cases(name: &str) {
    let text = std::fs::read_to_string(golden(name)).expect("the file of cases is there");
    let (prelude, cases) = text.split_once("====\n").expect("a file of cases starts with its tables");
    let mut written = format!("{prelude}====\n");
    for case in cases.split("====\n").filter(|case| !case.trim().is_empty()) {
        let (query, _) = case.split_once("----\n").unwrap_or((case, ""));
        written.push_str(&format!("{}\n----\n{}====\n", query.trim_end(), shown(&format!("{prelude}{query}"))));
    }
    check(name, &written);
}

#[test]
fn nexmark_plans() {
    let tables = nexmark("tables.sql");
    for query in [0, 1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22] {
        let text = nexmark(&format!("q{query}.sql"));
        check(&format!("nexmark_q{query}.txt"), &shown(&format!("{tables}{text}")));
    }
}

#[test]
fn nexmark_refusals() {
    let tables = nexmark("tables.sql");
    let refused = [6, 9, 18, 19].map(|query| shown(&format!("{tables}{}", nexmark(&format!("q{query}.sql")))));
    check("nexmark_refused.txt", &refused.join("\n"));
}

#[test]
fn plans() {
    check_cases("plans.txt");
}

#[test]
fn refusals() {
    check_cases("refusals.txt");
}
