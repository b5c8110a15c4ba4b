//! What the command line asks for.

use std::path::PathBuf;

/// The usage.
pub const USAGE: &str = "usage: cargo xtask torture [NAME…|all|fuzz|canaries|nightly] [OPTIONS]

  all             every scenario below, to its full number unless --cycles or --seconds says otherwise
  fuzz            every decoder of the protocol, a minute each (or --seconds)
  canaries        bugs on purpose, each of which must be found
  nightly         all of these

  --binary PATH   the binary to torture (default: this tree's, built without optimisation)
  --light         the broker without SQL, which builds in a minute
  --cycles N      how many faults
  --seconds N     or: for how long
  --seed N        the plan; printed when something goes wrong
  --directory DIR where data and histories are kept (default: target/torture)
";

/// The options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Scenarios to run; empty for a list of them.
    pub names: Vec<String>,
    /// The binary.
    pub binary: PathBuf,
    /// How many faults, if that is said.
    pub cycles: Option<u64>,
    /// For how long, if that is said.
    pub seconds: Option<u64>,
    /// The plan.
    pub seed: u64,
    /// Where data and histories are kept.
    pub directory: PathBuf,
}

impl Options {
    /// Reads the words of a command line.
    ///
    /// # Errors
    /// A message with the usage.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_nanos() as u64);
        let mut options = Options {
            names: vec![],
            binary: PathBuf::from("target/debug/fleuve"),
            cycles: None,
            seconds: None,
            seed: now % 1_000_000,
            directory: PathBuf::from("target/torture"),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
            let number = |text: &String| text.parse().map_err(|_| format!("{text} is not a number\n{USAGE}"));
            match word.as_str() {
                "--binary" => options.binary = PathBuf::from(value()?),
                "--directory" => options.directory = PathBuf::from(value()?),
                "--cycles" => options.cycles = Some(number(value()?)?),
                "--seconds" => options.seconds = Some(number(value()?)?),
                "--seed" => options.seed = number(value()?)?,
                name if name.starts_with('-') => return Err(format!("{name}: unknown\n{USAGE}")),
                name => options.names.push(name.to_owned()),
            }
        }
        Ok(options)
    }
}
