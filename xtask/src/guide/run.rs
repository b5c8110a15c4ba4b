//! The real binary over the data of the examples, in a directory of its own that is gone afterwards.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use serde_json::Value;

/// Where the binary is run, and what it is told first.
pub(super) struct Run<'a> {
    root: &'a Path,
    binary: &'a Path,
    tables: &'a str,
    dir: PathBuf,
}

impl<'a> Run<'a> {
    /// In an empty directory; `tables` stands before every script.
    pub(super) fn new(root: &'a Path, binary: &'a Path, tables: &'a str) -> Result<Self, String> {
        let dir = std::env::temp_dir().join(format!("fleuve-guide-{}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Run { root, binary, tables, dir })
    }

    /// Unpacks a file of the examples into the directory, and gives its text.
    pub(super) fn unpack(&self, name: &str) -> Result<String, String> {
        let packed = self.root.join("examples/data").join(format!("{name}.gz"));
        let unpacked = Command::new("gzip").arg("-dc").arg(&packed).output();
        let unpacked = unpacked.map_err(|e| format!("gzip does not start: {e}"))?;
        let path = self.dir.join(name);
        fs::write(&path, &unpacked.stdout).map_err(|e| format!("{}: {e}", path.display()))?;
        String::from_utf8(unpacked.stdout).map_err(|e| format!("{}: {e}", packed.display()))
    }

    /// Writes a picture of the guide.
    pub(super) fn draw(&self, name: &str, svg: &str) -> Result<(), String> {
        let path = self.root.join("docs/guide").join(name);
        fs::write(&path, svg).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// What a script prints; `look` sees each row as it comes, and may write to standard input.
    pub(super) fn rows(
        &self,
        script: &str,
        mut look: impl FnMut(&Value, &mut ChildStdin),
    ) -> Result<Vec<Value>, String> {
        let mut command = Command::new(self.binary);
        command.args([
            "sql",
            "--workers",
            "1",
            "--format",
            "json",
            "--data",
            "data",
            "-c",
            &format!("{}{script}", self.tables),
        ]);
        command.current_dir(&self.dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("{} does not start: {e}", self.binary.display()))?;
        let (Some(stdout), Some(mut stdin)) = (child.stdout.take(), child.stdin.take()) else {
            return Err("no pipes".to_owned());
        };
        let mut rows = vec![];
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(|e| e.to_string())?;
            let row = serde_json::from_str(&line).map_err(|e| format!("{line}: {e}"))?;
            look(&row, &mut stdin);
            rows.push(row);
        }
        match child.wait().map_err(|e| e.to_string())?.success() {
            true => Ok(rows),
            false => Err(format!("{script} has failed")),
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("{} stays: {error}", self.dir.display());
        }
    }
}

/// A number of a row.
pub(super) fn number(row: &Value, name: &str) -> Option<f64> {
    row[name].as_f64()
}
