//! The broker's process: started, perhaps with a fault that strace injects, and killed.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a start may take, on a machine that is busy with other things.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How often a process is looked at.
const POLL: Duration = Duration::from_millis(2);

/// A fault at a system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Injection {
    /// The system calls, with commas.
    pub(crate) calls: String,
    /// What happens: `signal=SIGKILL`, `error=EIO`, `delay_enter=1000`.
    pub(crate) what: String,
    /// At which of its calls, counted per thread: `7`, or `7+` for all from then on.
    pub(crate) when: String,
}

impl std::fmt::Display for Injection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:when={}", self.calls, self.what, self.when)
    }
}

/// Whether strace is there.
pub(crate) fn has_strace() -> bool {
    let version = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// How a broker is started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) binary: PathBuf,
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Where its messages and the injected faults are written.
    pub(crate) logs: PathBuf,
    /// More arguments.
    pub(crate) arguments: Vec<String>,
    /// More variables of its environment.
    pub(crate) environment: Vec<(String, String)>,
}

impl Launch {
    /// Over a storage, with everything that is written about it in a directory.
    pub(crate) fn new(binary: &Path, storage: &crate::storage::Storage, logs: &Path) -> Self {
        Launch {
            binary: binary.to_owned(),
            data: storage.data(),
            logs: logs.to_owned(),
            arguments: vec![],
            environment: vec![],
        }
    }

    fn command(&self, injection: Option<&Injection>) -> Command {
        let mut command = match injection {
            None => Command::new(&self.binary),
            Some(injection) => {
                // The tracer is the grandchild: the child is the broker.
                let mut strace = Command::new("strace");
                strace.args([
                    "-D",
                    "-f",
                    "-qq",
                    "-ttt",
                    "-y",
                    "--seccomp-bpf",
                    "-e",
                    &format!("trace={}", injection.calls),
                ]);
                strace.arg("-e").arg(format!("inject={injection}")).arg("-o").arg(self.injections());
                strace.arg("--").arg(&self.binary);
                strace
            }
        };
        command.arg("serve").arg("--data").arg(&self.data).args(["--kafka", "127.0.0.1:0"]).args(&self.arguments);
        command
    }

    /// Where strace tells what it did.
    pub(crate) fn injections(&self) -> PathBuf {
        self.logs.join("strace.log")
    }

    /// Where the broker tells what it does.
    pub(crate) fn messages(&self) -> PathBuf {
        self.logs.join("broker.log")
    }

    /// Starts the broker; it is not ready yet.
    pub(crate) fn start(&self, injection: Option<&Injection>) -> Result<Starting, String> {
        let told = OpenOptions::new().create(true).append(true).open(self.messages());
        let told: File = told.map_err(|e| format!("{}: {e}", self.messages().display()))?;
        let mut command = self.command(injection);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(told);
        let begun = Instant::now();
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", self.binary.display()))?;
        let stdout = child.stdout.take().ok_or("the broker has no standard output")?;
        let (tell, address) = mpsc::channel();
        std::thread::spawn(move || listen(stdout, &tell, begun));
        Ok(Starting { process: Process { child }, address })
    }
}

/// Reads what the broker prints to its end; tells the address when it is there.
fn listen(stdout: ChildStdout, tell: &mpsc::Sender<(SocketAddr, Duration)>, begun: Instant) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if let Some(address) = line.strip_prefix("kafka listening on ").and_then(|rest| rest.parse().ok()) {
            // Nobody waits any more if the broker was killed meanwhile.
            let _ = tell.send((address, begun.elapsed()));
        }
    }
}

/// A broker that has been started.
pub(crate) struct Starting {
    pub(crate) process: Process,
    address: mpsc::Receiver<(SocketAddr, Duration)>,
}

/// A broker that is ready.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// From its start until it said that it listens.
    pub(crate) ready_after: Duration,
}

impl Starting {
    /// Waits until it is ready. `Ok(None)`: it ended before.
    pub(crate) fn ready(mut self) -> Result<Option<Server>, String> {
        match self.address.recv_timeout(START_LIMIT) {
            Ok((address, ready_after)) => Ok(Some(Server { process: self.process, address, ready_after })),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                self.process.kill();
                Ok(None)
            }
            Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("the broker is not ready after {START_LIMIT:?}")),
        }
    }

    /// Kills it while it starts.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }
}

/// A process that ends with its owner.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, unless it has ended; waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // The error says that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, if it did within the time.
    pub(crate) fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                _ if Instant::now() >= end => return None,
                _ => std::thread::sleep(POLL),
            }
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) -> Result<(), String> {
        run(Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()))
    }

    /// Bytes of memory that it holds.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        self.status_bytes("VmRSS:")
    }

    /// The most that it has ever held.
    pub(crate) fn peak_resident_bytes(&self) -> Option<u64> {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, name: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
    }

    /// Files and sockets that it has open.
    pub(crate) fn descriptors(&self) -> Option<usize> {
        Some(std::fs::read_dir(format!("/proc/{}/fd", self.id())).ok()?.count())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// The last lines of a file.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
