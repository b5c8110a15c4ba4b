//! The binary in a directory of its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a run printed, and how it ended.
pub struct Ended {
    pub status: i32,
    pub stderr: String,
    stdout: Vec<u8>,
}

impl Ended {
    fn new(output: Output) -> Self {
        let status = output.status.code().expect("has ended by itself");
        let stderr = String::from_utf8(output.stderr).expect("is text");
        Ended { status, stderr, stdout: output.stdout }
    }

    /// Standard output of a run that has succeeded.
    pub fn succeeds(self) -> String {
        String::from_utf8(self.succeeds_with_bytes()).expect("is text")
    }

    /// The same where it is not text.
    pub fn succeeds_with_bytes(self) -> Vec<u8> {
        assert_eq!(self.status, 0, "{}", self.stderr);
        self.stdout
    }
}

/// A working directory.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Place(tempfile::tempdir().expect("a directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("is written");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleuve"));
        command.args(arguments).current_dir(self.0.path()).env_remove("FLEUVE_DATA").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs to the end.
    pub fn fleuve(&self, arguments: &[&str]) -> Ended {
        Ended::new(self.command(arguments).output().expect("runs"))
    }

    /// Runs to the end, with something on standard input.
    pub fn fleuve_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("starts");
        child.stdin.take().expect("is piped").write_all(input.as_bytes()).expect("is read");
        Ended::new(child.wait_with_output().expect("ends"))
    }

    /// Starts and returns at once.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running(Some(self.command(arguments).spawn().expect("starts")))
    }

    /// Waits until something is true.
    pub fn wait_for(&self, what: &str, is_true: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_true() {
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Bytes of all files below a directory.
    pub fn bytes_below(&self, directory: &str) -> u64 {
        bytes_below(&self.path(directory))
    }
}

fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let size = |path: PathBuf| if path.is_dir() { bytes_below(&path) } else { path.metadata().map_or(0, |m| m.len()) };
    entries.flatten().map(|entry| size(entry.path())).sum()
}

/// A run that has not ended yet; it is killed when it is dropped.
pub struct Running(Option<Child>);

impl Running {
    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("has not been waited for")
    }

    /// Standard output, which closes when it is dropped.
    pub fn take_stdout(&mut self) -> ChildStdout {
        self.child().stdout.take().expect("is piped")
    }

    /// Standard error, for whoever has to wait for a line of it.
    pub fn take_stderr(&mut self) -> ChildStderr {
        self.child().stderr.take().expect("is piped")
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(mut self) -> Ended {
        let pid = Pid::from_child(self.child());
        kill_process(pid, Signal::TERM).expect("is running");
        self.wait(PATIENCE)
    }

    /// Waits for the end.
    pub fn wait(mut self, limit: Duration) -> Ended {
        let begun = Instant::now();
        while self.child().try_wait().expect("can be waited for").is_none() {
            assert!(begun.elapsed() < limit, "it does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
        let child = self.0.take().expect("is waited for once");
        Ended::new(child.wait_with_output().expect("has ended"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
