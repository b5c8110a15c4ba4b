//! The data directory of a command: opened when something needs it, and not before.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleuve_base::{Env, Error, Result};
use fleuve_connect::StandardConnectors;
use fleuve_connect::index::Indexes;
use fleuve_flow::connectors::Connectors;
use fleuve_journal::{Log, LogOptions};

/// The directory that is used if none is named.
pub const DEFAULT_DATA: &str = "fleuve-data";

/// Environment, data directory and connectors.
pub struct Workspace {
    /// The real world.
    pub env: Env,
    directory: PathBuf,
    log: Option<Arc<Log>>,
    /// Open for as long as the log is, so that every query finds their trees in memory.
    indexes: Option<Arc<Indexes>>,
}

impl Workspace {
    /// A workspace whose log is not opened.
    pub fn ephemeral(data: Option<&PathBuf>) -> Self {
        let directory = data.cloned().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
        Workspace { env: Env::system(), directory, log: None, indexes: None }
    }

    /// A workspace with its log, created if there is none.
    pub fn open(data: Option<&PathBuf>) -> Result<Self> {
        let mut workspace = Self::ephemeral(data);
        workspace.require_log()?;
        Ok(workspace)
    }

    /// A workspace that must exist already.
    pub fn open_existing(data: Option<&PathBuf>) -> Result<Self> {
        let workspace = Self::ephemeral(data);
        if !workspace.directory.is_dir() {
            let message = format!("there is no data directory `{}`", workspace.directory.display());
            return Err(Error::input("E402", message).with_hint("name it with --data DIR"));
        }
        Self::open(data)
    }

    /// Opens the log if it is not open yet.
    pub fn require_log(&mut self) -> Result<&Arc<Log>> {
        if self.log.is_none() {
            let log = Log::open(self.env.clone(), &self.directory, LogOptions::default())?;
            self.indexes = Some(Indexes::of(&self.env, &log));
            self.log = Some(log);
        }
        self.log.as_ref().ok_or_else(|| Error::internal("the log was opened a line above"))
    }

    /// The log, if it is open.
    pub fn log(&self) -> Option<&Arc<Log>> {
        self.log.as_ref()
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The connectors of this workspace.
    pub fn connectors(&self) -> Arc<dyn Connectors> {
        let connectors = StandardConnectors::new(self.env.clone());
        Arc::new(match &self.log {
            Some(log) => connectors.with_log(log.clone()),
            None => connectors,
        })
    }

    /// Closes the log cleanly, so that the next start needs no recovery.
    pub fn close(self) -> Result<()> {
        let stored = self.indexes.map_or(Ok(()), |indexes| indexes.store());
        stored.and(self.log.map_or(Ok(()), |log| log.close()))
    }
}
