//! A data directory with a log, and pipelines that are started and stopped in it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use fleuve_base::{Env, Result};
use fleuve_connect::StandardConnectors;
use fleuve_connect::consume::{ConsumeOptions, From, consume};
use fleuve_flow::runtime::{Handle, Outcome, StartOptions, start};
use fleuve_journal::{Log, LogOptions};
use fleuve_plan::Pipeline;
use fleuve_sql::session::{Outcome as Executed, Session};
use tempfile::TempDir;

use super::net::{Net, WithNet};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory with the users' files in `files` and the data in `data`.
pub struct World {
    dir: TempDir,
    data: PathBuf,
    pub net: Net,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("files")).expect("is created");
        let data = dir.path().join("data");
        World { dir, data, net: Net::default() }
    }

    /// A file of the user's.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("files").join(name)
    }

    /// Puts a whole file into place.
    pub fn write(&self, name: &str, text: &str) {
        let hidden = self.file(&format!(".{name}"));
        std::fs::write(&hidden, text).expect("is written");
        std::fs::rename(hidden, self.file(name)).expect("is renamed");
    }

    /// The pipelines of a script, in which `$files` stands for the users' directory.
    pub fn plans(&self, script: &str) -> Result<Vec<Pipeline>> {
        let script = script.replace("$files", &self.dir.path().join("files").display().to_string());
        let mut session = Session::new();
        let mut plans = vec![];
        for statement in session.parse(&script)? {
            if let Executed::Pipeline(mut pipeline) = session.execute(&statement)? {
                pipeline.name = format!("pipeline-{}", plans.len());
                plans.push(pipeline);
            }
        }
        Ok(plans)
    }

    /// Opens the log and starts a pipeline.
    pub fn start(&self, pipeline: &Pipeline, workers: usize) -> Result<Running> {
        let env = Env::system();
        let log = Log::open(env.clone(), &self.data, LogOptions::default())?;
        let inner = StandardConnectors::new(env.clone()).with_log(log.clone());
        let connectors = Arc::new(WithNet { inner, net: self.net.clone() });
        let durable = Some((log.clone(), self.data.clone()));
        let mut pipeline = pipeline.clone();
        pipeline.settings.workers = workers;
        match start(pipeline, &StartOptions { env, durable, connectors }) {
            Ok(handle) => Ok(Running { handle, log }),
            Err(error) => {
                log.close()?;
                Err(error)
            }
        }
    }

    /// Runs a pipeline to its end.
    pub fn finish(&self, pipeline: &Pipeline, workers: usize) -> Result<()> {
        let running = self.start(pipeline, workers)?;
        let outcome = running.handle.wait();
        running.log.close()?;
        assert_eq!(outcome?, Outcome::Finished);
        Ok(())
    }

    /// Goes on with the data as a power cut would leave it now.
    pub fn cut_power(&mut self) {
        let (running, begun) = (self.net.clone(), Instant::now());
        let copy = self.dir.path().join("data after the cut");
        loop {
            // What a running pipeline still delivers has not happened; and of what has, the log knew before.
            self.net = running.as_it_is();
            let before = stamps(&self.data);
            copy_directory(&self.data, &copy);
            // Files that were copied while others were written are of no one moment.
            if stamps(&self.data) == before {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "the data directory is never at rest");
            std::fs::remove_dir_all(&copy).expect("is removed");
        }
        self.data = copy;
    }

    /// The records of a topic: key and value as text.
    pub fn topic(&self, name: &str) -> Vec<(Option<String>, Option<String>)> {
        let log = Log::open(Env::system(), &self.data, LogOptions::default()).expect("opens");
        let found = topic(&log, name);
        log.close().expect("closes");
        found
    }
}

/// The records of a topic: key and value as text.
pub fn topic(log: &Log, name: &str) -> Vec<(Option<String>, Option<String>)> {
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut found = vec![];
    let options = ConsumeOptions { from: From::Start, follow: false, partition: None };
    consume(log, name, &options, &|| false, &mut |_, record| {
        found.push((text(record.key), text(record.value)));
        Ok(ControlFlow::Continue(()))
    })
    .expect("the topic is there");
    found
}

/// Size and time of every file below a directory.
fn stamps(directory: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).expect("is there") {
        let (path, about) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?))).expect("is there");
        match about.is_dir() {
            true => found.extend(stamps(&path)),
            false => drop(found.insert(path, (about.len(), about.modified().expect("has a time")))),
        }
    }
    found
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("is created");
    for entry in std::fs::read_dir(from).expect("is there") {
        let entry = entry.expect("is there");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("is there").is_dir() {
            true => copy_directory(&entry.path(), &target),
            false if entry.file_name() == "lock" => {}
            false => drop(std::fs::copy(entry.path(), target).expect("is copied")),
        }
    }
}

/// A pipeline that runs, and its log.
pub struct Running {
    pub handle: Handle,
    pub log: Arc<Log>,
}

impl Running {
    /// Waits until something is true of it.
    pub fn until(&self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_true(self) {
            if self.handle.ended() || begun.elapsed() > PATIENCE {
                // Its threads are joined when it is dropped.
                (self.handle.stopper())();
                panic!("not within {:?}: {what}", begun.elapsed());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn rows_in(&self) -> u64 {
        self.handle.stats().rows_in.load(Ordering::Relaxed)
    }

    pub fn bad_records(&self) -> u64 {
        self.handle.stats().bad_records.load(Ordering::Relaxed)
    }

    pub fn stop(self) {
        (self.handle.stopper())();
        assert_eq!(self.handle.wait().expect("ends well"), Outcome::Stopped);
        self.log.close().expect("closes");
    }
}
