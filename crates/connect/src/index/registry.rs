//! The open indexes of a log: each is open once.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Weak};

use fleuve_base::{Env, Error, Result};
use fleuve_journal::{Log, Settings, Topic, TopicConfig};
use fleuve_plan::SinkSpec;
use parking_lot::Mutex;

use super::definition::{Definition, pages_topic, rows_topic};
use super::tree::Index;

/// The setting of the topic of rows that holds the definition.
const DEFINITION: &str = "fleuve.index";

/// The indexes of every log that is open in this process. Two trees over one topic of pages would number their pages
/// differently, so whoever has the log must have the same indexes.
static OPEN: LazyLock<Mutex<Vec<Weak<Indexes>>>> = LazyLock::new(Mutex::default);

/// The indexes of a log.
pub struct Indexes {
    env: Env,
    log: Arc<Log>,
    open: Mutex<BTreeMap<String, Arc<Index>>>,
}

impl Indexes {
    /// Those of this log; they stay open for as long as someone holds what is returned here.
    pub fn of(env: &Env, log: &Arc<Log>) -> Arc<Self> {
        let mut all = OPEN.lock();
        all.retain(|indexes| indexes.strong_count() > 0);
        let known = all.iter().filter_map(Weak::upgrade).find(|indexes| Arc::ptr_eq(&indexes.log, log));
        known.unwrap_or_else(|| {
            let indexes = Arc::new(Indexes { env: env.clone(), log: Arc::clone(log), open: Mutex::default() });
            all.push(Arc::downgrade(&indexes));
            indexes
        })
    }

    /// Whether there is an index of this name.
    pub fn has(&self, name: &str) -> bool {
        self.log.topic(&rows_topic(name)).is_ok()
    }

    /// An index that is there.
    ///
    /// # Errors
    /// E026 if there is none, E901 if it is damaged.
    pub fn open(&self, name: &str) -> Result<Arc<Index>> {
        let mut open = self.open.lock();
        if let Some(index) = open.get(name) {
            return Ok(Arc::clone(index));
        }
        let rows = self.log.topic(&rows_topic(name)).map_err(|_| missing(name))?;
        let definition = stored_definition(name, &rows)?;
        let index = Arc::new(Index::open(&self.env, &self.log, definition, &rows)?);
        open.insert(name.to_owned(), Arc::clone(&index));
        Ok(index)
    }

    /// That a plan's sink is the index of its name, if there is one.
    ///
    /// # Errors
    /// E408 if that is over something else; what [`Definition::of`] says of the plan.
    pub fn check(&self, spec: &SinkSpec) -> Result<()> {
        let definition = Definition::of(spec)?;
        match self.log.topic(&rows_topic(&definition.name)) {
            Ok(rows) => definition.check_same(&stored_definition(&definition.name, &rows)?),
            Err(_) => Ok(()),
        }
    }

    /// The index that a plan writes, created if there is none.
    pub(super) fn create(&self, spec: &SinkSpec) -> Result<Arc<Index>> {
        self.check(spec)?;
        let definition = Definition::of(spec)?;
        if !self.has(&definition.name) {
            let settings = Settings::from([(DEFINITION.to_owned(), definition.to_json()?)]);
            self.log.create_topic_with(&rows_topic(&definition.name), 1, TopicConfig::default(), settings)?;
        }
        self.open(&definition.name)
    }

    /// Deletes an index; whether there was one. Its pipeline must not run any more.
    pub fn remove(&self, name: &str) -> Result<bool> {
        self.open.lock().remove(name);
        let found = self.has(name);
        for topic in [rows_topic(name), pages_topic(name)] {
            if self.log.topic(&topic).is_ok() {
                self.log.delete_topic(&topic)?;
            }
        }
        Ok(found)
    }

    /// The pipeline of an index has read all that its table had, and has ended.
    pub fn finished(&self, name: &str) {
        if let Some(index) = self.open.lock().get(name) {
            index.finished();
        }
    }

    /// Stores the pages of all open indexes, so that the next start has no rows to apply.
    pub fn store(&self) -> Result<()> {
        let open: Vec<Arc<Index>> = self.open.lock().values().cloned().collect();
        open.iter().try_for_each(|index| index.store())
    }
}

fn stored_definition(name: &str, rows: &Topic) -> Result<Definition> {
    Definition::from_json(name, rows.settings().get(DEFINITION))
}

fn missing(name: &str) -> Error {
    Error::input("E026", format!("index `{name}` has not been built")).with_hint("CREATE INDEX builds it")
}
