//! The load driver over librdkafka: a real client, compiled when it is needed.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::files;

/// The program that loads brokers: `xtask/bench/kafka/driver.c`.
pub struct Driver(PathBuf);

impl Driver {
    /// Compiles it against the system's librdkafka.
    pub fn compile() -> Result<Self, String> {
        let source = files::root().join("xtask/bench/kafka/driver.c");
        let driver = std::env::temp_dir().join("fleuve-bench-driver");
        let mut command = Command::new("cc");
        command.args(["-O2", "-o"]).arg(&driver).arg(&source).args(["-lrdkafka", "-lpthread"]);
        match command.status() {
            Ok(status) if status.success() => Ok(Driver(driver)),
            _ => Err("the driver cannot be compiled: it needs librdkafka (apt-get install librdkafka-dev)".to_owned()),
        }
    }

    /// Runs it and reads the line that it prints.
    pub fn run(&self, words: &[&str]) -> Result<Value, String> {
        let text = self.text(words)?;
        serde_json::from_str(text.trim()).map_err(|e| format!("driver {}: {e}: {text}", words.join(" ")))
    }

    /// Runs it; all that it prints.
    pub fn text(&self, words: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.0).args(words).output().map_err(|e| format!("{}: {e}", self.0.display()))?;
        if !output.status.success() {
            return Err(format!("driver {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// A number of the line that the driver printed.
pub fn figure(figures: &Value, name: &str) -> Result<f64, String> {
    figures[name].as_f64().ok_or_else(|| format!("the driver gives no {name}: {figures}"))
}
