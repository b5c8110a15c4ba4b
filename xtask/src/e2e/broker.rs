//! A broker that programs run against: ours, Apache Kafka, or one that is already there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{project, run};
use crate::files;

/// How long a broker may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long a broker may take to end after it was asked to.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How often a file is looked at.
const POLL: Duration = Duration::from_millis(2);

/// A broker; one that was started here ends with it.
pub struct Broker {
    /// Where clients connect: `HOST:PORT`.
    pub bootstrap: String,
    process: Option<Child>,
    log: Option<PathBuf>,
    /// What it printed.
    out: Option<PathBuf>,
    begun: Instant,
}

impl Broker {
    /// One that is already there.
    pub fn external(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned(), process: None, log: None, out: None, begun: Instant::now() }
    }

    /// A process of ours that was started at `begun` and already listens.
    pub fn started(bootstrap: String, process: Child, log: PathBuf, begun: Instant) -> Self {
        Self { bootstrap, process: Some(process), log: Some(log), out: None, begun }
    }

    /// Our binary, over an empty directory.
    pub fn fleuve(binary: Option<&Path>) -> Result<Self, String> {
        Self::fleuve_in(&built(binary)?, &fresh("fleuve")?, &["--kafka", "127.0.0.1:0", "--http", "127.0.0.1:0"])
    }

    /// Our binary, over the data in a directory, with these arguments.
    pub fn fleuve_in(binary: &Path, home: &Path, arguments: &[&str]) -> Result<Self, String> {
        let (out, log) = (home.join("stdout.log"), home.join("stderr.log"));
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data").arg(home.join("data")).args(arguments);
        let begun = Instant::now();
        let mut process = spawn(&mut command, &out, &log)?;
        match wait_for(&mut process, || listener(&files::text(&out), "kafka")) {
            Some(bootstrap) => Ok(Self { bootstrap, process: Some(process), log: Some(log), out: Some(out), begun }),
            None => {
                let _ = process.kill();
                Err(format!("{} serve does not listen:\n{}\n{}", binary.display(), run::tail(&out), run::tail(&log)))
            }
        }
    }

    /// The address of a further listener, by its name.
    pub fn listener(&self, name: &str) -> Option<String> {
        listener(&files::text(self.out.as_deref()?), name)
    }

    /// The process's number, if it was started here.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// How long ago its process was started.
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// How it ended, if it did by itself.
    pub fn died(&mut self) -> Option<String> {
        let status = self.process.as_mut()?.try_wait().ok()??;
        self.process = None;
        Some(status.to_string())
    }

    /// Whether it was started here and is no more.
    pub fn ended(&self) -> bool {
        self.log.is_some() && self.process.is_none()
    }

    /// All that it has logged.
    pub fn logged(&self) -> String {
        self.log.as_deref().map_or_else(String::new, files::text)
    }

    /// The end of what it logged.
    pub fn tail(&self) -> String {
        self.log.as_deref().map_or_else(String::new, |log| format!("--- the broker:\n{}", run::tail(log)))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let Some(process) = &mut self.process else { return };
        let _ = Command::new("kill").arg("-TERM").arg(process.id().to_string()).status();
        if !matches!(run::within(process, STOP_LIMIT), Ok(Some(_))) {
            println!("the broker had to be killed: it did not end within {} s of SIGTERM", STOP_LIMIT.as_secs());
        }
    }
}

/// The binary that was named, or one that is built now.
pub fn built(binary: Option<&Path>) -> Result<PathBuf, String> {
    binary.map_or_else(build, |path| Ok(path.to_owned()))
}

/// Builds the binary as the tests have it, without optimisation.
fn build() -> Result<PathBuf, String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(files::root()).args(["build", "--quiet", "-p", "fleuve"]);
    match command.status() {
        Ok(status) if status.success() => {}
        _ => return Err("the binary cannot be built".to_owned()),
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| files::root().join("target"), PathBuf::from);
    Ok(target.join("debug/fleuve"))
}

/// An empty directory for a broker.
pub fn fresh(name: &str) -> Result<PathBuf, String> {
    let home = project::cache().join("brokers").join(name);
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
    Ok(home)
}

/// Starts a process with its output in files.
pub fn spawn(command: &mut Command, out: &Path, log: &Path) -> Result<Child, String> {
    let file = |path: &Path| fs::File::create(path).map_err(|e| format!("{}: {e}", path.display()));
    command.stdin(Stdio::null()).stdout(file(out)?).stderr(file(log)?);
    command.spawn().map_err(|e| format!("{command:?} cannot be started: {e}"))
}

/// Asks until there is an answer, the process has ended, or it took too long.
pub fn wait_for<T>(process: &mut Child, mut answer: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + START_LIMIT;
    while Instant::now() < end && matches!(process.try_wait(), Ok(None)) {
        if let Some(answer) = answer() {
            return Some(answer);
        }
        std::thread::sleep(POLL);
    }
    None
}

/// The address in the whole line that tells where clients of the listener connect.
fn listener(stdout: &str, name: &str) -> Option<String> {
    let whole = stdout.rsplit_once('\n')?.0;
    let line = whole.lines().find(|line| line.to_lowercase().starts_with(name))?;
    let address = line.split([' ', '\t', '/', ',']).find(|word| word.parse::<std::net::SocketAddr>().is_ok())?;
    Some(address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::listener;

    #[test]
    fn the_listener_is_found_in_a_whole_line() {
        assert_eq!(listener("kafka  127.0.0.1:9092\n", "kafka").as_deref(), Some("127.0.0.1:9092"));
        let two = "tls listening on 127.0.0.1:1\nKafka on 127.0.0.1:34567 now\n";
        assert_eq!(listener(two, "kafka").as_deref(), Some("127.0.0.1:34567"));
        assert_eq!(listener(two, "tls").as_deref(), Some("127.0.0.1:1"));
        assert_eq!(listener("kafka 127.0.0.1:90", "kafka"), None);
    }
}
