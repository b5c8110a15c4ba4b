//! The arguments of every command.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod tools;

pub use tools::{
    AclCommand, AclRule, ConsumeArguments, GroupCommand, ProduceArguments, ResetArguments, TargetArguments,
    TopicCommand, UserCommand,
};

/// Streams, SQL and storage in one program.
#[derive(Debug, Parser)]
#[command(name = "fleuve", version, about, disable_help_subcommand = true, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print results and errors as JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Replay a week of real earthquakes through a pipeline and watch its answers
    Demo(DemoArguments),
    /// Run a SQL script as a pipeline
    Run(RunArguments),
    /// Run one SQL text
    Sql(SqlArguments),
    /// Serve the log to Kafka's clients, and run pipelines beside it
    Serve(ServeArguments),
    /// Show what a script would do: operators, keys, state and what bounds it, guarantees
    Explain(ExplainArguments),
    /// Print the CREATE TABLE that fits a file
    Discover(DiscoverArguments),
    /// Feed recorded data into a topic at the speed of its own time column
    Play(PlayArguments),
    /// Write lines from standard input or a file into a topic
    Produce(ProduceArguments),
    /// Print the records of a topic
    Consume(ConsumeArguments),
    /// List, stop and remove pipelines
    #[command(subcommand)]
    Job(JobCommand),
    /// List, create, describe, alter and delete topics
    #[command(subcommand)]
    Topic(TopicCommand),
    /// List, describe, reset and delete consumer groups
    #[command(subcommand)]
    Group(GroupCommand),
    /// List, add and delete users
    #[command(subcommand)]
    User(UserCommand),
    /// List, add and delete access rules
    #[command(subcommand)]
    Acl(AclCommand),
    /// Run one journalled epoch of a pipeline again and show what went in and came out
    Replay(ReplayArguments),
    /// Show or check what `serve` is told
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check disk, clock, limits and the data directory
    Doctor(DataArguments),
    /// Write benchmark data to standard output
    #[command(subcommand, hide = true)]
    Generate(GenerateCommand),
    /// Print the completions for a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Explain an error code, a connector, a function or a setting
    Help {
        /// For example `E012`, `connector filesystem`, `function date_format`, `settings`.
        topic: Vec<String>,
    },
}

/// Where everything durable lies.
#[derive(Debug, Clone, Args)]
pub struct DataArguments {
    /// Directory of everything durable
    #[arg(long, value_name = "DIR", env = "FLEUVE_DATA")]
    pub data: Option<PathBuf>,
}

/// What results look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns (the default on a terminal)
    Table,
    /// One JSON object a line (the default in a pipe)
    Json,
    /// CSV with a header
    Csv,
    /// An Arrow IPC stream
    Arrow,
    /// One column a line
    Vertical,
}

/// Arguments of everything that runs SQL.
#[derive(Debug, Clone, Args)]
pub struct EngineArguments {
    /// Where everything durable lies.
    #[command(flatten)]
    pub data: DataArguments,
    /// Worker threads (the same as SET 'parallelism.default')
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// How results are printed
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Settings, as SET would make them
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Plan only, and show the plan
    #[arg(long)]
    pub dry_run: bool,
    /// Print counters of finished pipelines to standard error
    #[arg(long)]
    pub stats: bool,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The script
    pub file: PathBuf,
    /// Everything else.
    #[command(flatten)]
    pub engine: EngineArguments,
}

/// Arguments of `sql`.
#[derive(Debug, Args)]
pub struct SqlArguments {
    /// The statements
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    pub command: String,
    /// Everything else.
    #[command(flatten)]
    pub engine: EngineArguments,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_long_help = SERVE_HELP)]
pub struct ServeArguments {
    /// Directory of everything durable
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Listen for Kafka's clients; may be given several times with names
    #[arg(long, value_name = "[NAME=]HOST:PORT")]
    pub kafka: Vec<String>,
    /// Serve /metrics, /health and /ready there, or `off`
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// Read settings from a file (default: fleuve.toml, if there is one)
    #[arg(long, value_name = "FILE", env = "FLEUVE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Run the pipelines of a script in the same process; may be given several times
    #[arg(long, value_name = "FILE.sql")]
    pub run: Vec<PathBuf>,
    /// Any setting; `fleuve config show` lists them
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Which log lines to write: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
}

/// What is behind the options of `serve`.
const SERVE_HELP: &str = "\
Settings: a flag is stronger than the environment (FLEUVE_NUM_PARTITIONS), that than the file, that than the default.
Names are Kafka's where Kafka has the setting. `fleuve config show` prints all values and where each comes from.

Security: listeners are on loopback unless told otherwise. Beyond loopback a listener starts only with encryption and
authentication. For each listener NAME (`kafka`, if no name is given) there are
  listener.NAME.address      HOST:PORT to listen on
  listener.NAME.advertised   HOST:PORT that clients are told to connect to
  listener.NAME.certificate  PEM file: speak TLS with this certificate
  listener.NAME.key          PEM file: its private key
  listener.NAME.client-ca    PEM file: every client must show a certificate of these authorities; its subject is its name
  listener.NAME.sasl         SCRAM-SHA-256, SCRAM-SHA-512, PLAIN (only with TLS): every client must log in
  listener.NAME.insecure     true opens the listener without these. Whoever reaches the port can then read, change and
                             delete every topic, or at least read everything that passes by

The first SIGTERM or Ctrl-C stops cleanly within five seconds, the second at once.";

/// `config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every setting of `serve` with its value and where that comes from
    Show(ServeArguments),
    /// Check a file
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The script
    pub file: PathBuf,
}

/// Arguments of `discover`.
#[derive(Debug, Args)]
pub struct DiscoverArguments {
    /// A JSON lines, CSV or Parquet file, plain or compressed
    pub file: PathBuf,
    /// The table's name (default: the file's)
    #[arg(long)]
    pub name: Option<String>,
}

/// Arguments of `play`.
#[derive(Debug, Args)]
pub struct PlayArguments {
    /// A JSON lines or CSV file
    pub file: PathBuf,
    /// The column of the recorded time
    #[arg(long, value_name = "COLUMN")]
    pub time: String,
    /// How much faster than it was recorded, for example 100x
    #[arg(long, default_value = "1x", value_parser = parse_speed)]
    pub speed: f64,
    /// The topic (default: the file's name)
    #[arg(long)]
    pub topic: Option<String>,
    /// Where everything durable lies.
    #[command(flatten)]
    pub data: DataArguments,
}

/// `job …`
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// List the pipelines of a data directory
    Ls(DataArguments),
    /// Stop a running pipeline; it goes on where it was when its script is run again
    Stop {
        /// The pipeline's name
        name: String,
        /// Where everything durable lies.
        #[command(flatten)]
        data: DataArguments,
    },
    /// Forget a pipeline: its plan, its snapshots and its place in its sources
    Rm {
        /// The pipeline's name
        name: String,
        /// Where everything durable lies.
        #[command(flatten)]
        data: DataArguments,
    },
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// The pipeline's name
    #[arg(long)]
    pub pipeline: String,
    /// The epoch
    #[arg(long)]
    pub epoch: u64,
    /// How rows are printed
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Where everything durable lies.
    #[command(flatten)]
    pub data: DataArguments,
}

/// `generate …`
#[derive(Debug, Subcommand)]
pub enum GenerateCommand {
    /// The Nexmark auction stream as JSON lines
    Nexmark {
        /// How many events
        #[arg(long, default_value_t = 2_000_000)]
        events: u64,
        /// Events in a second of event time
        #[arg(long, default_value_t = 10_000.0)]
        rate: f64,
        /// Shuffle events inside groups of so many
        #[arg(long, default_value_t = 1)]
        ooo_group: u64,
        /// Seed of all random numbers
        #[arg(long, default_value_t = 42)]
        seed: u64,
    },
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// How much faster than the week passed
    #[arg(long, default_value = "3600x", value_parser = parse_speed)]
    pub speed: f64,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<f64>,
    /// Begin again from the first earthquake
    #[arg(long)]
    pub fresh: bool,
    /// Worker threads
    #[arg(long, default_value_t = 1)]
    pub workers: usize,
    /// Where everything durable lies.
    #[command(flatten)]
    pub data: DataArguments,
}

/// Reads `100x`, `100` or `0.5x`.
fn parse_speed(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix(['x', 'X']).unwrap_or(text);
    match number.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("a speed is a positive number, such as 100x".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_speed_is_a_positive_number() {
        assert_eq!(parse_speed("100x"), Ok(100.0));
        assert_eq!(parse_speed("0.5"), Ok(0.5));
        assert!(parse_speed("0").is_err() && parse_speed("fast").is_err() && parse_speed("-3x").is_err());
    }
}
