//! What a newcomer sees when something is wrong: the real binary against `golden.txt`.
//!
//! A case is the script, a line `----`, the exit status and standard error, a line `====`. `UPDATE_GOLDEN=1` writes the file
//! anew. The first block is put before every script; the files that the scripts read are made here.

use std::fs;
use std::path::Path;
use std::process::Command;

const GOLDEN: &str = "tests/all/errors/golden.txt";

/// Makes the files that the scripts read.
fn make_files(dir: &Path) {
    let line = |n: usize| match n {
        17 => "{\"id\": 17, \"item\": \"lamp\", \"price\": 3,5}\n".to_owned(),
        n => format!("{{\"id\": {n}, \"item\": \"lamp\", \"price\": {n}.5}}\n"),
    };
    let orders: String = (1..=20).map(|n| format!("{{\"id\": {n}, \"item\": \"lamp\", \"price\": {n}.5}}\n")).collect();
    fs::write(dir.join("orders.jsonl"), orders).expect("is written");
    fs::write(dir.join("broken.jsonl"), (1..=20).map(line).collect::<String>()).expect("is written");
    fs::write(dir.join("text.jsonl"), "{\"id\": \"seven\", \"item\": \"lamp\", \"price\": 1}\n").expect("is written");
    fs::write(dir.join("orders.csv"), "id,item,price\n1,lamp,2.5\n2,chair,cheap\n").expect("is written");
    fs::write(dir.join("not.parquet"), "id,item,price\n").expect("is written");
}

/// Exit status and standard error of a script, with the directory's name left out.
fn outcome(script: &str, dir: &Path) -> String {
    fs::write(dir.join("job.sql"), script).expect("is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleuve"));
    let output = command.args(["run", "job.sql"]).current_dir(dir).output().expect("runs");
    let errors = String::from_utf8(output.stderr).expect("is text").replace(&dir.display().to_string(), "DIR");
    let lines: String = errors.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    format!("exit {}\n{lines}", output.status.code().expect("has ended by itself"))
}

#[test]
fn mistakes_are_answered_with_place_and_hint() {
    let text = fs::read_to_string(GOLDEN).expect("the golden file is there");
    let (prelude, cases) = text.split_once("====\n").expect("the file starts with its tables");
    let mut written = format!("{prelude}====\n");
    for case in cases.split("====\n").filter(|case| !case.trim().is_empty()) {
        let dir = tempfile::tempdir().expect("a directory");
        make_files(dir.path());
        let script = case.split_once("----\n").map_or(case, |(script, _)| script);
        let found = outcome(&format!("{prelude}{}", script), dir.path());
        assert!(!found.starts_with("exit 0"), "{script} should fail");
        written.push_str(&format!("{}\n----\n{found}====\n", script.trim_end()));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(GOLDEN, &written).expect("is written");
        return;
    }
    assert!(written == text, "the answers are now\n{written}");
}
