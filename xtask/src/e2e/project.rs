//! Projects of client programs, and how a registry's packages get beside them.
//!
//! A project is copied into the cache, outside the sources, and installed there: nothing appears in the checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::files;

/// A folder of `xtask/e2e`, and the commands that make it run.
pub struct Project {
    /// The folder's name.
    pub name: &'static str,
    /// The file that names the packages and their versions: when it changes, they are installed again.
    pub manifest: &'static str,
    /// Fetches the packages.
    pub install: &'static [&'static [&'static str]],
    /// Compiles the programs, whenever one of them changed.
    pub build: &'static [&'static [&'static str]],
}

const COPY_JARS: &[&str] =
    &["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs", "-DincludeScope=runtime"];

/// Compiles a program and the sources beside it.
macro_rules! javac {
    ($main:literal) => {
        &["javac", "-cp", "libs/*", "-sourcepath", ".", "-d", "classes", $main]
    };
}

/// librdkafka, kafka-python and aiokafka, in one environment.
pub const PYTHON: Project = Project {
    name: "python",
    manifest: "requirements.txt",
    install: &[&["python3", "-m", "venv", "venv"], &["venv/bin/pip", "install", "-q", "-r", "requirements.txt"]],
    build: &[],
};

/// franz-go, sarama and kafka-go.
pub const GO: Project = Project {
    name: "go",
    manifest: "go.sum",
    install: &[&["go", "mod", "download"]],
    build: &[&["go", "build", "-o", "bin/", "./franz", "./sarama", "./segmentio"]],
};

/// kafkajs.
pub const NODE: Project = Project {
    name: "node",
    manifest: "package-lock.json",
    install: &[&["npm", "ci", "--silent", "--ignore-scripts"]],
    build: &[],
};

/// kafka-clients.
pub const JAVA: Project =
    Project { name: "java", manifest: "pom.xml", install: &[COPY_JARS], build: &[javac!("Clients.java")] };

/// Kafka Streams.
pub const STREAMS: Project =
    Project { name: "streams", manifest: "pom.xml", install: &[COPY_JARS], build: &[javac!("WordCount.java")] };

/// Kafka Connect.
pub const CONNECT: Project =
    Project { name: "connect", manifest: "pom.xml", install: &[COPY_JARS], build: &[javac!("Copy.java")] };

/// The command-line tools of Apache Kafka.
pub const TOOLS: Project = Project { name: "tools", manifest: "pom.xml", install: &[COPY_JARS], build: &[] };

/// Apache Kafka itself.
pub const KAFKA: Project = Project { name: "kafka", manifest: "pom.xml", install: &[COPY_JARS], build: &[] };

/// Where clients are installed.
pub fn cache() -> PathBuf {
    let home = || std::env::home_dir().unwrap_or_default().join(".cache/fleuve/e2e");
    std::env::var_os("FLEUVE_E2E_CACHE").map_or_else(home, PathBuf::from)
}

/// Brings a project's copy in the cache up to date; its directory.
pub fn install(project: &Project) -> Result<PathBuf, String> {
    let directory = cache().join(project.name);
    let sources = files::root().join("xtask/e2e").join(project.name);
    let all = copy(&sources, &directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let manifest = files::text(&sources.join(project.manifest));
    once(&directory, ".installed", &manifest, project.install)?;
    once(&directory, ".built", &format!("{manifest}{all}"), project.build)?;
    Ok(directory)
}

/// Runs the steps unless they already ran for this very input, which the stamp keeps.
fn once(directory: &Path, stamp: &str, input: &str, steps: &[&[&str]]) -> Result<(), String> {
    let stamp = directory.join(stamp);
    if stamp.exists() && files::text(&stamp) == input {
        return Ok(());
    }
    for step in steps {
        println!("{}: {}", directory.display(), step.join(" "));
        let [program, arguments @ ..] = step else { continue };
        let mut command = Command::new(program);
        let status = command.args(arguments).current_dir(directory).stdin(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("{}: {status}", step.join(" "))),
            Err(e) => return Err(format!("{program} cannot be started: {e}")),
        }
    }
    fs::write(&stamp, input).map_err(|e| format!("{}: {e}", stamp.display()))
}

/// Copies a folder over another, and returns all its text.
fn copy(from: &Path, to: &Path) -> std::io::Result<String> {
    fs::create_dir_all(to)?;
    let mut entries: Vec<_> = fs::read_dir(from)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut all = String::new();
    for entry in entries {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => all += &copy(&path, &target)?,
            false => {
                fs::copy(&path, &target)?;
                all += &files::text(&path);
            }
        }
    }
    Ok(all)
}
