//! What `fleuve serve` is told: by flags, by the environment, by a file, or not at all.
//!
//! Every setting has one name, the same everywhere: `--set NAME=VALUE`, `FLEUVE_NAME` in capitals with underscores, and
//! `NAME = VALUE` in the file. The names are Kafka's where Kafka has the setting. The nearer to the command, the stronger:
//! flag over environment over file over default. `fleuve config show` prints what came out, and from where.

mod file;
mod listener;
mod settings;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use fleuve_base::{Error, Place, Result, nearest};

pub use listener::flag as listener_flag;
pub use settings::{Effective, SETTINGS, Settings};

/// The file that is read if it is there and none is named.
pub const DEFAULT_FILE: &str = "fleuve.toml";

/// What environment variables begin with.
const PREFIX: &str = "FLEUVE_";

/// Variables with that beginning that are no settings: which file to read, and what other commands take.
const NO_SETTINGS: [&str; 1] = ["FLEUVE_CONFIG"];

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything else.
    Default,
    /// A line of the file.
    File(PathBuf, u64),
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Environment(variable) => write!(f, "environment {variable}"),
            Origin::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A value that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// As text, whatever it was written as.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

impl Given {
    /// An error about this value, at its place.
    pub(crate) fn error(&self, code: &'static str, message: String) -> Error {
        let error = Error::input(code, message);
        match &self.origin {
            Origin::File(path, line) => error.at(Place::file(path.display().to_string(), *line, 0)),
            origin => error.with_detail(format!("it comes from: {origin}")),
        }
    }
}

/// Given values by the names of their settings.
pub type GivenValues = BTreeMap<String, Given>;

/// Puts the sources together: `flags` are names, values and how they were written.
///
/// # Errors
/// `E605` for a name that is no setting, `E606` for a value that does not fit, `E607` for a file that cannot be read.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (OsString, OsString)>,
    flags: Vec<(String, Given)>,
) -> Result<Settings> {
    let mut given = GivenValues::new();
    let file = file.map(Path::to_owned).or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file()));
    if let Some(path) = file {
        given.extend(file::read(&path)?);
    }
    given.extend(from_environment(environment));
    given.extend(flags);
    given.iter().try_for_each(|(name, value)| check_name(name, value))?;
    Settings::from_given(given)
}

/// The variables that are settings. Others with our prefix are left alone: an orchestrator may put them there.
fn from_environment(variables: impl Iterator<Item = (OsString, OsString)>) -> GivenValues {
    let text = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let ours = text.filter(|(name, _)| name.starts_with(PREFIX) && !NO_SETTINGS.contains(&name.as_str()));
    ours.filter_map(|(variable, value)| {
        let name = setting_of(&variable)?;
        Some((name, Given { value, origin: Origin::Environment(variable) }))
    })
    .collect()
}

/// The setting of a variable: capitals, and an underscore for each dot and hyphen.
fn setting_of(variable: &str) -> Option<String> {
    let plain = SETTINGS.iter().find(|setting| variable_of(setting.name) == variable);
    plain.map(|setting| setting.name.to_owned()).or_else(|| listener::setting_of(variable.strip_prefix(PREFIX)?))
}

fn variable_of(name: &str) -> String {
    format!("{PREFIX}{}", name.to_uppercase().replace(['.', '-'], "_"))
}

fn check_name(name: &str, given: &Given) -> Result<()> {
    if SETTINGS.iter().any(|setting| setting.name == name) || listener::is_setting(name) {
        return Ok(());
    }
    let error = given.error("E605", format!("there is no setting `{name}`"));
    let listener = listener::names(name);
    let candidates = SETTINGS.iter().map(|setting| setting.name).chain(listener.iter().map(String::as_str));
    Err(match nearest(name, candidates) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint("`fleuve config show` lists all settings"),
    })
}

/// Reads `NAME=VALUE`, as `--set` takes it.
pub fn assignment(text: &str) -> Result<(String, Given)> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| Error::input("E606", format!("--set takes NAME=VALUE, not `{text}`")))?;
    let given = Given { value: value.trim().to_owned(), origin: Origin::Flag(format!("--set {text}")) };
    Ok((name.trim().to_owned(), given))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(name: &str, value: &str) -> (String, Given) {
        (name.to_owned(), Given { value: value.to_owned(), origin: Origin::Flag("--set".to_owned()) })
    }

    /// What comes of a file, an environment and flags.
    fn loaded(file: &str, environment: &[(&str, &str)], flags: Vec<(String, Given)>) -> Result<Settings> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("f.toml");
        std::fs::write(&path, file).expect("is written");
        load(Some(&path), environment.iter().map(|(k, v)| ((*k).into(), (*v).into())), flags)
    }

    #[test]
    fn a_flag_is_stronger_than_the_environment_and_that_than_the_file() {
        let file = "num.partitions = 2\nlog.retention.bytes = 20\nthreads = 3\n";
        let environment = [("FLEUVE_NUM_PARTITIONS", "4"), ("FLEUVE_LOG_RETENTION_BYTES", "40"), ("FLEUVE_PORT", "x")];
        let settings = loaded(file, &environment, vec![flag("num.partitions", "6")]).expect("fits");
        assert_eq!(settings.broker.default_partitions, 6);
        assert_eq!(settings.broker.retention_bytes, Some(40));
        assert_eq!(settings.server.threads, 3);
        let shown = settings.effective();
        let origin = |name: &str| shown.iter().find(|line| line.name == name).map(|line| line.origin.to_string());
        assert_eq!(origin("num.partitions").as_deref(), Some("flag --set"));
        assert_eq!(origin("log.retention.bytes").as_deref(), Some("environment FLEUVE_LOG_RETENTION_BYTES"));
        assert!(origin("threads").is_some_and(|origin| origin.ends_with("f.toml:3")));
        assert_eq!(origin("message.max.bytes").as_deref(), Some("default"));
    }

    #[test]
    fn an_unknown_setting_is_an_error_with_the_nearest_and_its_line() {
        let error = loaded("# nothing\nnum.partition = 2\n", &[], vec![]).expect_err("is unknown");
        assert_eq!((error.code(), error.hint()), ("E605", Some("did you mean `num.partitions`?")));
        assert!(error.to_string().ends_with("f.toml:2)"), "{error}");
        let error = loaded("", &[], vec![flag("listener.a.certificat", "x")]).expect_err("is unknown");
        assert_eq!(error.hint(), Some("did you mean `listener.a.certificate`?"));
    }

    #[test]
    fn a_wrong_value_is_told_with_its_place() {
        let error = loaded("auto.create.topics.enable = 3\n", &[], vec![]).expect_err("is wrong");
        assert_eq!(error.code(), "E606");
        assert!(error.message().contains("auto.create.topics.enable"), "{error}");
        let error = loaded("", &[("FLEUVE_THREADS", "many")], vec![]).expect_err("is wrong");
        assert_eq!((error.code(), error.detail()), ("E606", Some("it comes from: environment FLEUVE_THREADS")));
    }

    #[test]
    fn every_variable_belongs_to_one_setting() {
        for setting in SETTINGS {
            assert_eq!(setting_of(&variable_of(setting.name)).as_deref(), Some(setting.name));
        }
        assert_eq!(setting_of("FLEUVE_LISTENER_EAST_SIDE_CLIENT_CA").as_deref(), Some("listener.east_side.client-ca"));
        assert_eq!(setting_of("FLEUVE_PORT_9092_TCP"), None);
    }
}
