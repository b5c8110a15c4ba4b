//! The arguments of the commands that work on topics, groups, users and access rules, here or at any Kafka broker.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::DataArguments;

/// Which broker, or which data directory.
#[derive(Debug, Clone, Args)]
pub struct TargetArguments {
    /// A Kafka broker, as HOST:PORT; several are separated by commas
    #[arg(long, short = 'b', value_name = "HOST:PORT", env = "FLEUVE_BOOTSTRAP", conflicts_with = "data")]
    pub bootstrap: Option<String>,
    /// Where everything durable lies, if no broker is named.
    #[command(flatten)]
    pub data: DataArguments,
}

/// Arguments of `produce`.
#[derive(Debug, Args)]
pub struct ProduceArguments {
    /// The topic; a data directory creates it with one partition if there is none
    pub topic: String,
    /// Read from a file instead of standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Take the record's key from a field of the JSON value, for example .id
    #[arg(long, value_name = "PATH", conflicts_with = "key_delimiter")]
    pub key: Option<String>,
    /// Take the record's key from the line: all before this text
    #[arg(short = 'K', long, value_name = "TEXT")]
    pub key_delimiter: Option<String>,
    /// Write into this partition
    #[arg(short = 'p', long)]
    pub partition: Option<i32>,
    /// A header of every record, as NAME=VALUE; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE")]
    pub headers: Vec<String>,
    /// Compress batches: none, gzip, snappy, lz4 or zstd
    #[arg(short = 'z', long, value_name = "CODEC")]
    pub compression: Option<String>,
    /// The broker or the data directory.
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Arguments of `consume`.
#[derive(Debug, Args)]
pub struct ConsumeArguments {
    /// The topic
    pub topic: String,
    /// A line for each record: %t topic, %p partition, %o offset, %k key, %K its bytes, %s or %v value, %S its bytes,
    /// %T timestamp, %h headers, %% \n \t
    #[arg(short = 'f', long = "output", value_name = "FORMAT", default_value = "%v\\n")]
    pub output: String,
    /// Where to start: beginning, end, an offset, @MILLISECONDS since 1970, or a time ago such as 10m
    #[arg(long, default_value = "beginning")]
    pub from: String,
    /// Only this partition
    #[arg(short = 'p', long)]
    pub partition: Option<u32>,
    /// Stop after so many records
    #[arg(short = 'n', long)]
    pub count: Option<u64>,
    /// Wait for more at the end
    #[arg(long)]
    pub follow: bool,
    /// Values are Avro records of the schema in this file, and are shown as JSON
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// The broker or the data directory.
    #[command(flatten)]
    pub target: TargetArguments,
}

/// `topic …`
#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// List the topics
    #[command(visible_alias = "ls")]
    List {
        /// Show the internal ones, too
        #[arg(long)]
        all: bool,
        /// The broker or the data directory.
        #[command(flatten)]
        target: TargetArguments,
    },
    /// Create a topic
    Create {
        /// The topic's name
        name: String,
        /// Partitions (default: the broker's)
        #[arg(short = 'p', long)]
        partitions: Option<i32>,
        /// Brokers that hold each partition (default: the broker's)
        #[arg(short = 'r', long)]
        replicas: Option<i16>,
        /// A setting, for example cleanup.policy=compact; may be given several times
        #[arg(short = 'c', long = "config", value_name = "KEY=VALUE")]
        configs: Vec<String>,
        /// The broker or the data directory.
        #[command(flatten)]
        target: TargetArguments,
    },
    /// Show a topic's partitions, offsets and settings
    Describe {
        /// The topic's name
        name: String,
        /// The broker or the data directory.
        #[command(flatten)]
        target: TargetArguments,
    },
    /// Change a topic's settings, or give it more partitions
    Alter {
        /// The topic's name
        name: String,
        /// Partitions from now on
        #[arg(short = 'p', long)]
        partitions: Option<i32>,
        /// A setting, for example retention.ms=3600000; without a value it goes back to its default
        #[arg(short = 'c', long = "config", value_name = "KEY=VALUE")]
        configs: Vec<String>,
        /// The broker or the data directory.
        #[command(flatten)]
        target: TargetArguments,
    },
    /// Delete a topic and its records
    #[command(visible_alias = "rm")]
    Delete {
        /// The topic's name
        name: String,
        /// The broker or the data directory.
        #[command(flatten)]
        target: TargetArguments,
    },
    /// Delete the records of a topic before an offset
    RecordsDelete {
        /// The topic's name
        name: String,
        /// The first offset to keep; without it all records that are there go
        #[arg(long, value_name = "OFFSET")]
        before: Option<i64>,
        /// Only this partition
        #[arg(short = 'p', long)]
        partition: Option<i32>,
        /// The broker or the data directory.
        #[command(flatten)]
        target: TargetArguments,
    },
}

/// `group …`
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List the groups
    #[command(visible_alias = "ls")]
    List(TargetArguments),
    /// Show how far a group is in each partition, and who is in it
    Describe {
        /// The group's name
        group: String,
        /// The broker or the data directory.
        #[command(flatten)]
        target: TargetArguments,
    },
    /// Set where a group without members reads on
    Reset(ResetArguments),
    /// Delete a group without members, and its place in all topics
    #[command(visible_alias = "rm")]
    Delete {
        /// The group's name
        group: String,
        /// The broker or the data directory.
        #[command(flatten)]
        target: TargetArguments,
    },
}

/// Arguments of `group reset`.
#[derive(Debug, Args)]
pub struct ResetArguments {
    /// The group's name
    pub group: String,
    /// The topic
    #[arg(long)]
    pub topic: String,
    /// Only this partition
    #[arg(short = 'p', long)]
    pub partition: Option<i32>,
    /// Where to: beginning, end, an offset, @MILLISECONDS since 1970, or a time ago such as 10m
    #[arg(long)]
    pub to: String,
    /// Show what would be set, and leave it
    #[arg(long)]
    pub dry_run: bool,
    /// The broker or the data directory.
    #[command(flatten)]
    pub target: TargetArguments,
}

/// `user …`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List the users that can log in
    #[command(visible_alias = "ls")]
    List(TargetArguments),
    /// Add a user, or change its password; the password is read from standard input
    Add {
        /// The user's name
        name: String,
        /// The broker or the data directory.
        #[command(flatten)]
        target: TargetArguments,
    },
    /// Delete a user
    #[command(visible_alias = "rm")]
    Delete {
        /// The user's name
        name: String,
        /// The broker or the data directory.
        #[command(flatten)]
        target: TargetArguments,
    },
}

/// `acl …`
#[derive(Debug, Subcommand)]
pub enum AclCommand {
    /// List the access rules
    #[command(visible_alias = "ls")]
    List(AclRule),
    /// Add a rule
    Add(AclRule),
    /// Delete rules
    #[command(visible_alias = "rm")]
    Delete(AclRule),
}

/// An access rule; for listing and deleting, what is not stated is any.
#[derive(Debug, Args)]
pub struct AclRule {
    /// Whom it is about, for example User:alice
    #[arg(long)]
    pub principal: Option<String>,
    /// What: read, write, create, delete, alter, describe, all …
    #[arg(long)]
    pub operation: Option<String>,
    /// Of which topic; * is any
    #[arg(long, group = "resource")]
    pub topic: Option<String>,
    /// Of which consumer group
    #[arg(long, group = "resource")]
    pub group: Option<String>,
    /// Of which transactional id
    #[arg(long, group = "resource")]
    pub transactional_id: Option<String>,
    /// Of the cluster
    #[arg(long, group = "resource")]
    pub cluster: bool,
    /// The name is only the beginning of those that are meant
    #[arg(long)]
    pub prefixed: bool,
    /// Deny instead of allow
    #[arg(long)]
    pub deny: bool,
    /// From where (default: anywhere)
    #[arg(long, default_value = "*")]
    pub host: String,
    /// The broker or the data directory.
    #[command(flatten)]
    pub target: TargetArguments,
}
