//! The SQL in the guide does what the guide says: every block is run by the real binary, and what it prints is compared with what stands
//! below it.
//!
//! The first `sql` block of a chapter is put before each of the others; they run one after another in one directory, which holds the data
//! of `examples/data`. A `text` block below an `sql` block is its standard output. `UPDATE_GOLDEN=1` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The chapters whose SQL is run.
const CHAPTERS: &[&str] = &["distinct-counts.md", "online-aggregation.md", "streams.md"];

const FENCE: &str = "```";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a script prints in a directory.
fn output(script: &str, dir: &Path) -> String {
    fs::write(dir.join("job.sql"), script).expect("is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleuve"));
    let output = command.args(["run", "job.sql"]).current_dir(dir).output().expect("runs");
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("is text")
}

/// The chapter with what its blocks print now.
fn run(chapter: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    for entry in fs::read_dir(root().join("examples/data")).expect("the data is there") {
        let path = entry.expect("can be listed").path();
        fs::copy(&path, dir.path().join(path.file_name().expect("has a name"))).expect("is copied");
    }
    let (mut tables, mut printed) = (None::<String>, String::new());
    let mut parts: Vec<String> = chapter.split(FENCE).map(str::to_owned).collect();
    for block in parts.iter_mut().skip(1).step_by(2) {
        if let Some(script) = block.strip_prefix("sql\n") {
            match &tables {
                None => tables = Some(script.to_owned()),
                Some(tables) => printed = output(&format!("{tables}\n{script}"), dir.path()),
            }
        } else if block.starts_with("text\n") {
            *block = format!("text\n{printed}");
        }
    }
    parts.join(FENCE)
}

#[test]
fn the_sql_of_the_guide_prints_what_the_guide_says() {
    for name in CHAPTERS {
        let path = root().join("docs/guide").join(name);
        let chapter = fs::read_to_string(&path).expect("the chapter is there");
        let found = run(&chapter);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &found).expect("is written");
        } else {
            assert!(found == chapter, "{name} is now\n{found}");
        }
    }
}
