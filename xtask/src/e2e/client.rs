//! The clients, and the scenarios each of them can run.

use std::path::PathBuf;

use super::project::{self, CONNECT, GO, JAVA, NODE, PYTHON, Project, STREAMS, TOOLS};

/// Acks and codecs, large records, many partitions.
const PRODUCE: &str = "produce";
/// An idempotent producer.
const IDEMPOTENT: &str = "idempotent";
/// Members of a group join and leave, and resume.
const GROUP: &str = "group";
/// The same, giving up only what moves.
const COOPERATIVE: &str = "cooperative";
/// Members with names of their own.
const STATIC: &str = "static";
/// The group protocol whose assignments the broker makes.
const KIP848: &str = "kip848";
/// Commit, abort, offsets with the output, zombies.
const TRANSACTIONS: &str = "transactions";
/// Offsets by time, seeking, pausing, lag.
const OFFSETS: &str = "offsets";
/// Topics and records that are deleted, made again, cut, too large, while producers and readers live.
const CHANGES: &str = "changes";
/// Logins by all mechanisms, TLS, and permissions, against a broker that has them.
pub const SECURITY: &str = "security";
/// What an administrator asks for.
const ADMIN: &str = "admin";

/// Topics, records, groups, settings and measurements on the command line.
const COMMANDS: &str = "tools";

/// Word count, restored from its changelog, with the guarantee of either name.
const AT_LEAST_ONCE: &str = "at-least-once";
const EXACTLY_ONCE: &str = "exactly-once";
/// A file through a topic into a file, by one worker or by one of a cluster.
const STANDALONE: &str = "standalone";
const DISTRIBUTED: &str = "distributed";

/// A small JVM with the project's jars and classes.
macro_rules! java {
    ($main:literal) => {
        &[
            "java",
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
            "libs/*:classes",
            $main,
        ]
    };
}

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

/// In the order in which they run.
pub const CLIENTS: &[Client] = &[
    Client {
        name: "librdkafka",
        project: &PYTHON,
        command: &["venv/bin/python", "-B", "confluent.py"],
        scenarios: &[
            PRODUCE,
            IDEMPOTENT,
            GROUP,
            COOPERATIVE,
            STATIC,
            KIP848,
            TRANSACTIONS,
            OFFSETS,
            ADMIN,
            CHANGES,
            SECURITY,
        ],
    },
    Client {
        name: "kafka-python",
        project: &PYTHON,
        command: &["venv/bin/python", "-B", "kafka_python.py"],
        scenarios: &[PRODUCE, IDEMPOTENT, GROUP, COOPERATIVE, STATIC, TRANSACTIONS, OFFSETS, ADMIN, SECURITY],
    },
    Client {
        name: "aiokafka",
        project: &PYTHON,
        command: &["venv/bin/python", "-B", "aiokafka_client.py"],
        scenarios: &[PRODUCE, IDEMPOTENT, GROUP, STATIC, TRANSACTIONS, OFFSETS, ADMIN, SECURITY],
    },
    Client {
        name: "franz-go",
        project: &GO,
        command: &["bin/franz"],
        scenarios: &[PRODUCE, IDEMPOTENT, GROUP, COOPERATIVE, STATIC, KIP848, TRANSACTIONS, OFFSETS, ADMIN, SECURITY],
    },
    Client {
        name: "sarama",
        project: &GO,
        command: &["bin/sarama"],
        scenarios: &[PRODUCE, IDEMPOTENT, GROUP, COOPERATIVE, STATIC, TRANSACTIONS, OFFSETS, ADMIN, SECURITY],
    },
    Client {
        name: "kafka-go",
        project: &GO,
        command: &["bin/segmentio"],
        scenarios: &[PRODUCE, GROUP, OFFSETS, ADMIN, SECURITY],
    },
    Client {
        name: "kafkajs",
        project: &NODE,
        command: &["node", "kafkajs.js"],
        scenarios: &[PRODUCE, IDEMPOTENT, GROUP, TRANSACTIONS, OFFSETS, ADMIN, SECURITY],
    },
    Client {
        name: "java",
        project: &JAVA,
        command: java!("Clients"),
        scenarios: &[PRODUCE, IDEMPOTENT, GROUP, COOPERATIVE, STATIC, KIP848, TRANSACTIONS, OFFSETS, ADMIN, SECURITY],
    },
    Client {
        name: "streams",
        project: &STREAMS,
        command: java!("WordCount"),
        scenarios: &[AT_LEAST_ONCE, EXACTLY_ONCE],
    },
    Client { name: "tools", project: &TOOLS, command: &["python3", "-B", "tools.py"], scenarios: &[COMMANDS] },
    Client { name: "connect", project: &CONNECT, command: java!("Copy"), scenarios: &[STANDALONE, DISTRIBUTED] },
];
