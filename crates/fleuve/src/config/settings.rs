//! The table of all settings but those of listeners, and what they add up to.

use std::path::PathBuf;
use std::time::Duration;

use fleuve_base::Result;
use fleuve_broker::BrokerConfig;
use fleuve_server::{REQUEST_BYTES_MAX, ServerConfig, THREADS_MAX};

use super::value::{boolean, bytes, duration, list, number, or_never};
use super::{Given, GivenValues, Origin, listener};

/// Milliseconds that a duration may have: ten years.
const FOREVER_MS: i64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// Bytes of the largest batch that may be asked for.
const BATCH_BYTES_MAX: i64 = fleuve_base::limits::BATCH_BYTES_MAX as i64;

/// Everything that `fleuve serve` is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Directory of everything durable.
    pub data: PathBuf,
    /// Which log lines are written.
    pub log: String,
    /// Whether each log line is a JSON object.
    pub log_json: bool,
    /// The user that is created if there is none; empty for none.
    pub first_user: String,
    /// Where that user's password is.
    pub first_user_password_file: Option<PathBuf>,
    /// Scripts whose pipelines run beside the broker.
    pub run: Vec<PathBuf>,
    /// Listeners, threads, limits of connections.
    pub server: ServerConfig,
    /// Kafka's semantics.
    pub broker: BrokerConfig,
    given: GivenValues,
}

/// A setting.
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Its value if nobody says anything else.
    pub default: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Takes a value, or says what it takes.
    set: fn(&mut Settings, &str) -> Result<(), String>,
}

impl Settings {
    pub(super) fn from_given(given: GivenValues) -> Result<Self> {
        let mut settings = Settings::default();
        for setting in SETTINGS {
            let found = given.get(setting.name);
            let value = found.map_or(setting.default, |given| &given.value);
            (setting.set)(&mut settings, value).map_err(|wanted| {
                let default = Given { value: value.to_owned(), origin: Origin::Default };
                let message = format!("`{}` takes {wanted}, not `{value}`", setting.name);
                found.unwrap_or(&default).error("E606", message)
            })?;
        }
        settings.server.listeners = listener::read(&given)?;
        settings.given = given;
        Ok(settings)
    }

    /// Every setting with its value and where that comes from, by name.
    pub fn effective(&self) -> Vec<Effective> {
        let mut lines: Vec<_> =
            SETTINGS.iter().map(|setting| self.line(setting.name.to_owned(), setting.default, setting.doc)).collect();
        for listener in &self.server.listeners {
            for (part, doc) in listener::PARTS {
                let name = format!("listener.{}.{part}", listener.name);
                if part == "address" || self.given.contains_key(&name) {
                    lines.push(self.line(name, &listener.address, doc));
                }
            }
        }
        lines.sort_by(|a, b| a.name.cmp(&b.name));
        lines
    }

    fn line(&self, name: String, default: &str, doc: &'static str) -> Effective {
        let (value, origin) = match self.given.get(&name) {
            Some(given) => (given.value.clone(), given.origin.clone()),
            None => (default.to_owned(), Origin::Default),
        };
        Effective { name, value, origin, doc }
    }
}

/// A setting as it is in force.
pub struct Effective {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Who gave the value.
    pub origin: Origin,
    /// What the setting is for.
    pub doc: &'static str,
}

/// Milliseconds as Kafka has them: a number, or -1 for ever.
fn milliseconds(text: &str) -> Result<Option<u64>, String> {
    or_never(text, |text| number(text, 0, FOREVER_MS))
}

const fn setting(
    name: &'static str,
    default: &'static str,
    doc: &'static str,
    set: fn(&mut Settings, &str) -> Result<(), String>,
) -> Setting {
    Setting { name, default, doc, set }
}

/// All settings but those of listeners. Later ones are set later.
pub const SETTINGS: &[Setting] = &[
    setting("data", "fleuve-data", "directory of everything durable", |s, v| {
        s.data = v.into();
        Ok(())
    }),
    setting(
        "log",
        "info",
        "which log lines go to standard error: error, warn, info, debug, trace, or per part: info,fleuve_server=debug",
        |s, v| {
            s.log = v.to_owned();
            Ok(())
        },
    ),
    setting("log.format", "text", "how log lines are written: text, or json with an object in each", |s, v| {
        s.log_json = match v {
            "text" => false,
            "json" => true,
            _ => return Err("text or json".to_owned()),
        };
        Ok(())
    }),
    setting("first.user", "", "a user that is created if there is none yet; super.users may name it too", |s, v| {
        s.first_user = v.to_owned();
        Ok(())
    }),
    setting("first.user.password.file", "", "the file whose first line is the first user's password", |s, v| {
        s.first_user_password_file = Some(PathBuf::from(v)).filter(|path| !path.as_os_str().is_empty());
        Ok(())
    }),
    setting("run", "", "scripts whose pipelines run in the broker's process, with commas between them", |s, v| {
        s.run = list(v).into_iter().map(PathBuf::from).collect();
        Ok(())
    }),
    setting("http", "127.0.0.1:8080", "where /metrics, /health and /ready are served, HOST:PORT, or off", |s, v| {
        s.server.http = (v != "off").then(|| v.to_owned());
        Ok(())
    }),
    setting(
        "http.insecure",
        "false",
        "serve HTTP beyond loopback: names and sizes of all topics can be read there by everyone",
        |s, v| {
            s.server.http_insecure = boolean(v)?;
            Ok(())
        },
    ),
    setting("threads", "2", "threads that serve connections", |s, v| {
        s.server.threads = number(v, 1, THREADS_MAX as i64)?;
        Ok(())
    }),
    setting(
        "max.connections",
        "20000",
        "connections to all listeners; the limit of file descriptors bounds them too",
        |s, v| {
            s.server.limits.connections = number(v, 1, 1_000_000)?;
            Ok(())
        },
    ),
    setting("max.connections.per.ip", "20000", "connections from one address", |s, v| {
        s.server.limits.connections_per_address = number(v, 1, 1_000_000)?;
        Ok(())
    }),
    setting(
        "connections.max.idle.ms",
        "600000",
        "a connection on which nothing moves for so long is closed",
        |s, v| {
            s.server.limits.idle = duration(v, 1, FOREVER_MS)?;
            Ok(())
        },
    ),
    setting("connections.max.reauth.ms", "0", "after how long a client must log in again; 0 is never", |s, v| {
        s.server.limits.reauthentication = duration(v, 0, FOREVER_MS)?;
        Ok(())
    }),
    setting(
        "connection.failed.authentication.delay.ms",
        "100",
        "how much later a client learns that its login failed",
        |s, v| {
            s.server.limits.failed_authentication_delay = duration(v, 0, 10_000)?;
            Ok(())
        },
    ),
    setting("socket.request.max.bytes", "104857600", "bytes of one request", |s, v| {
        s.server.limits.request_bytes = bytes(v, 1024, REQUEST_BYTES_MAX as i64)? as usize;
        Ok(())
    }),
    setting(
        "queued.max.request.bytes",
        "134217728",
        "bytes of all requests that are read and answered at the same time",
        |s, v| {
            s.server.limits.requests_bytes = bytes(v, 1 << 20, 1 << 40)? as usize;
            Ok(())
        },
    ),
    setting(
        "queued.max.response.bytes",
        "134217728",
        "bytes of all responses that wait for their readers, above which fetches get less at once",
        |s, v| {
            s.server.limits.responses_bytes = bytes(v, 1 << 20, 1 << 40)? as usize;
            Ok(())
        },
    ),
    setting(
        "auto.create.topics.enable",
        "true",
        "create a topic that a client asks for and that is not there",
        |s, v| {
            s.broker.auto_create_topics = boolean(v)?;
            Ok(())
        },
    ),
    setting("num.partitions", "1", "partitions of a topic that is created without a number", |s, v| {
        s.broker.default_partitions = number(v, 1, i64::from(fleuve_journal::PARTITIONS_MAX))?;
        Ok(())
    }),
    setting("message.max.bytes", "1048588", "bytes of the largest batch, where the topic says nothing else", |s, v| {
        s.broker.message_max_bytes = bytes(v, 0, BATCH_BYTES_MAX)? as u32;
        Ok(())
    }),
    setting(
        "log.retention.hours",
        "168",
        "age at which records may go, where the topic says nothing else; -1 keeps them for ever",
        |s, v| {
            s.broker.retention_ms =
                or_never(v, |v| number::<u64>(v, 0, FOREVER_MS / 3_600_000))?.map(|h| h * 3_600_000);
            Ok(())
        },
    ),
    setting("log.retention.ms", "", "the same in milliseconds; it is the stronger one", |s, v| {
        if !v.is_empty() {
            s.broker.retention_ms = milliseconds(v)?;
        }
        Ok(())
    }),
    setting(
        "log.retention.bytes",
        "-1",
        "bytes of a partition above which its oldest records may go; -1 is no limit",
        |s, v| {
            s.broker.retention_bytes = or_never(v, |v| bytes(v, 0, i64::MAX))?;
            Ok(())
        },
    ),
    setting(
        "log.retention.check.interval.ms",
        "300000",
        "time between two looks at what retention and compaction can remove",
        |s, v| {
            s.broker.retention_check_interval_ms = number(v, 1, FOREVER_MS)?;
            Ok(())
        },
    ),
    setting("fetch.max.bytes", "57671680", "bytes of the largest answer to one fetch", |s, v| {
        s.broker.fetch_max_bytes = bytes(v, 1024, i64::from(i32::MAX))? as u32;
        Ok(())
    }),
    setting("max.incremental.fetch.session.cache.slots", "1000", "incremental fetch sessions that are kept", |s, v| {
        s.broker.fetch_sessions_max = number(v, 0, 1_000_000)?;
        Ok(())
    }),
    setting("super.users", "", "who may do everything: User:NAME, with semicolons between them", |s, v| {
        s.broker.super_users = v.split(';').map(str::trim).filter(|user| !user.is_empty()).map(str::to_owned).collect();
        Ok(())
    }),
    setting("allow.everyone.if.no.acl.found", "true", "whether all may use what no access rule names", |s, v| {
        s.broker.allow_everyone_if_no_acl_found = boolean(v)?;
        Ok(())
    }),
    setting(
        "transaction.max.timeout.ms",
        "900000",
        "the longest time that a transaction may ask to stay open",
        |s, v| {
            s.broker.transaction_timeout_max_ms = number(v, 1, i64::from(i32::MAX))?;
            Ok(())
        },
    ),
    setting(
        "transactional.id.expiration.ms",
        "604800000",
        "age at which a transactional id that nobody uses is forgotten",
        |s, v| {
            s.broker.transactional_id_expiry_ms = number(v, 1, FOREVER_MS)?;
            Ok(())
        },
    ),
    setting("group.min.session.timeout.ms", "6000", "the shortest session that a member may ask for", |s, v| {
        s.broker.groups.session_timeout_min = duration(v, 1, FOREVER_MS)?;
        Ok(())
    }),
    setting("group.max.session.timeout.ms", "1800000", "the longest session that a member may ask for", |s, v| {
        s.broker.groups.session_timeout_max = duration(v, 1, FOREVER_MS)?;
        Ok(())
    }),
    setting(
        "group.initial.rebalance.delay.ms",
        "200",
        "how long the first members of an empty group wait for more",
        |s, v| {
            s.broker.groups.initial_rebalance_delay = duration(v, 0, FOREVER_MS)?;
            Ok(())
        },
    ),
    setting("group.max.size", "10000", "members of one group", |s, v| {
        s.broker.groups.members_max = number(v, 1, 1_000_000)?;
        Ok(())
    }),
    setting(
        "group.consumer.session.timeout.ms",
        "45000",
        "session of a member of a consumer group (KIP-848)",
        |s, v| {
            s.broker.groups.consumer_session_timeout = duration(v, 1, FOREVER_MS)?;
            Ok(())
        },
    ),
    setting(
        "group.consumer.heartbeat.interval.ms",
        "5000",
        "how often a member of a consumer group is to be heard of",
        |s, v| {
            s.broker.groups.consumer_heartbeat_interval = duration(v, 1, FOREVER_MS)?;
            Ok(())
        },
    ),
    setting("offset.metadata.max.bytes", "4096", "bytes that a client may say beside an offset", |s, v| {
        s.broker.groups.offset_metadata_bytes_max = number(v, 0, 1 << 20)?;
        Ok(())
    }),
    setting("offsets.retention.minutes", "10080", "how long offsets are kept once their group is empty", |s, v| {
        s.broker.groups.offsets_retention = Duration::from_secs(60 * number::<u64>(v, 1, FOREVER_MS / 60_000)?);
        Ok(())
    }),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_the_defaults_that_the_parts_have() {
        let settings = Settings::from_given(GivenValues::new()).expect("defaults fit");
        assert_eq!(settings.server, ServerConfig::default());
        assert_eq!(settings.broker, BrokerConfig::default());
    }

    #[test]
    fn every_setting_is_shown_with_its_value() {
        let settings = Settings::from_given(GivenValues::new()).expect("defaults fit");
        let shown = settings.effective();
        assert_eq!(shown.len(), SETTINGS.len() + 1, "and the address of the one listener");
        assert!(shown.iter().any(|line| line.name == "listener.kafka.address" && line.value == "127.0.0.1:9092"));
    }
}
