//! The clients, and the scenarios each of them can run.

use std::path::PathBuf;

use super::project::{self, PYTHON, Project};

/// A client library, and the program that speaks through it.
pub struct Client {
    /// As on the command line.
    pub name: &'static str,
    /// Where its program lies, and what has to be installed for it.
    pub project: &'static Project,
    /// How to start the program, from the project's directory; the scenario's name follows.
    pub command: &'static [&'static str],
    /// What it can do.
    pub scenarios: &'static [&'static str],
}

impl Client {
    /// The project's directory, with everything in it installed and built.
    pub fn install(&self) -> Result<PathBuf, String> {
        project::install(self.project)
    }
}

/// In the order in which they run: the quick ones first.
pub const CLIENTS: &[Client] = &[Client {
    name: "librdkafka",
    project: &PYTHON,
    command: &["venv/bin/python", "-B", "confluent.py"],
    scenarios: &[
        "produce",
        "idempotent",
        "group",
        "cooperative",
        "static",
        "kip848",
        "transactions",
        "offsets",
        "admin",
    ],
}];
