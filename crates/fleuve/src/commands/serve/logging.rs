//! Log lines, on standard error. The level says what a person must do: error, act now; warn, look soon; info, nothing,
//! the broker begins or ends something; debug and below, for whoever looks for a bug.

use std::io::IsTerminal;
use std::str::FromStr;

use fleuve_base::{Error, Result};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Writes lines that `filter` lets through: a level, or levels per part of the program. With `json` each line is an object.
///
/// # Errors
/// `E606` if it is no filter.
pub(super) fn start(filter: &str, json: bool) -> Result<()> {
    let targets = Targets::from_str(filter).map_err(|e| {
        Error::input("E606", format!("`{filter}` selects no log lines: {e}"))
            .with_hint("a level (error, warn, info, debug, trace), or levels per part: info,fleuve_server=debug")
    })?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colour && !json).with_target(json);
    let registry = tracing_subscriber::registry().with(targets);
    // Only tests of this program start logging twice, and then the first is as good.
    let _ = match json {
        true => registry.with(lines.event_format(JsonLine)).try_init(),
        false => registry.with(lines).try_init(),
    };
    Ok(())
}

/// A line as an object: `time`, `level`, `target`, `message`, and the line's own fields beside them.
struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        writeln!(out, "{}", object(time, event))
    }
}

fn object(time: String, event: &Event<'_>) -> Value {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let about = event.metadata();
    let own = [("time", time), ("level", about.level().to_string()), ("target", about.target().to_owned())];
    fields.0.extend(own.map(|(name, value)| (name.to_owned(), Value::String(value))));
    Value::Object(fields.0)
}

/// The fields of a line; numbers and truth values stay what they are.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Collects what is written.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_holds_its_message_and_fields() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = fmt::layer().with_writer(move || writer.clone()).event_format(JsonLine);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(records = 3_u64, name = "a \"b\"", "{} went wrong", "it");
        });
        let text = lines.0.lock().expect("nobody panics").clone();
        let line: Value = serde_json::from_slice(&text).expect("one object");
        assert_eq!((&line["level"], &line["message"]), (&Value::from("WARN"), &Value::from("it went wrong")));
        assert_eq!((&line["records"], &line["name"]), (&Value::from(3), &Value::from("a \"b\"")));
        assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')));
    }
}
