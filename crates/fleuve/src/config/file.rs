//! The file: TOML, read into flat names, so that `log.retention.ms = 1` and a table `[log.retention]` are the same.

use std::path::Path;

use fleuve_base::{Error, Place, Result};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Given, GivenValues, Origin};

/// Bytes of the file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<GivenValues> {
    let io = |e| Error::io(format_args!("read the configuration `{}`", path.display()), &e);
    let length = std::fs::metadata(path).map_err(io)?.len();
    if length > FILE_BYTES_MAX {
        return Err(Error::input("E607", format!("`{}` has more than {FILE_BYTES_MAX} bytes", path.display())));
    }
    parse(path, &std::fs::read_to_string(path).map_err(io)?)
}

fn parse(path: &Path, text: &str) -> Result<GivenValues> {
    let place = |position: usize| {
        let line = 1 + text[..position.min(text.len())].bytes().filter(|byte| *byte == b'\n').count() as u64;
        Place::file(path.display().to_string(), line, 0)
    };
    let table = DeTable::parse(text).map_err(|error| {
        let message = format!("the configuration is not TOML: {}", error.message());
        Error::input("E607", message).at(place(error.span().map_or(0, |span| span.start)))
    })?;
    let mut flat = Flat { path, place: &place, given: GivenValues::new() };
    flat.table("", table.get_ref())?;
    Ok(flat.given)
}

/// Tables inside tables become names with dots.
struct Flat<'a> {
    path: &'a Path,
    place: &'a dyn Fn(usize) -> Place,
    given: GivenValues,
}

impl Flat<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) -> Result<()> {
        for (key, value) in table {
            let name =
                if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
            match value.get_ref() {
                DeValue::Table(inner) => self.table(&name, inner)?,
                _ => self.value(name, key.span().start, value)?,
            }
        }
        Ok(())
    }

    fn value(&mut self, name: String, position: usize, value: &Spanned<DeValue<'_>>) -> Result<()> {
        let place = (self.place)(position);
        let text = text(value.get_ref())
            .ok_or_else(|| Error::input("E606", format!("`{name}` takes no such value")).at(place.clone()))?;
        let line = if let Place::File { line, .. } = place { line } else { 0 };
        self.given.insert(name, Given { value: text, origin: Origin::File(self.path.to_owned(), line) });
        Ok(())
    }
}

/// A plain value, or a list of plain values, as flags would have it.
fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| text(item.get_ref())).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<GivenValues> {
        parse(Path::new("f.toml"), text)
    }

    #[test]
    fn tables_and_dotted_names_are_the_same() {
        let given = parsed("log.retention.ms = 5\n\n[listener.east]\nsasl = [\"PLAIN\", \"SCRAM-SHA-256\"]\n")
            .expect("is TOML");
        let lines: Vec<_> =
            given.iter().map(|(name, given)| (name.as_str(), given.value.as_str(), &given.origin)).collect();
        let origin = |line| Origin::File("f.toml".into(), line);
        assert_eq!(
            lines,
            [("listener.east.sasl", "PLAIN,SCRAM-SHA-256", &origin(4)), ("log.retention.ms", "5", &origin(1))]
        );
    }

    #[test]
    fn what_is_not_toml_is_told_with_its_line() {
        let error = parsed("a = 1\nb = = 2\n").expect_err("is not TOML");
        assert_eq!((error.code(), error.place()), ("E607", Some(&Place::file("f.toml", 2, 0))));
        assert_eq!(parsed("a = 1.5\n").expect_err("no setting is a fraction").code(), "E606");
    }
}
