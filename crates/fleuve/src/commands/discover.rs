//! `discover`: the CREATE TABLE that fits a file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use fleuve_base::{Error, Result};
use fleuve_format::compress::{self, Compression};
use fleuve_format::infer::{self, Inferred, InferredColumn};
use fleuve_format::{CsvOptions, sql_type};

use crate::args::DiscoverArguments;
use crate::output::say;

/// Bytes of a text file that are looked at.
const SAMPLE_BYTES: u64 = 4 << 20;

/// `fleuve discover FILE`
pub fn run(arguments: &DiscoverArguments) -> Result<()> {
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => table_name(&arguments.file),
    };
    say(format!("{}\n", create_table(&arguments.file, &name, None)?))
}

/// What is known of a file.
struct Found {
    format: &'static str,
    inferred: Inferred,
}

/// The file's name up to its first dot, as an identifier.
fn table_name(path: &Path) -> String {
    let name = path.file_name().map_or_else(|| "file".into(), |name| name.to_string_lossy().into_owned());
    let stem = name.split('.').next().unwrap_or("file");
    stem.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect()
}

fn look(path: &Path) -> Result<Found> {
    let shown = path.display();
    let open = || File::open(path).map_err(|e| Error::io(format!("read {shown}"), &e));
    let plain = path.display().to_string();
    let plain = plain.trim_end_matches(".gz").trim_end_matches(".zst");
    if plain.ends_with(".parquet") {
        return Ok(Found { format: "parquet", inferred: infer::parquet(&open()?)? });
    }
    let sample = sample(path, open()?)?;
    if sample.is_empty() {
        return Err(Error::input("E406", format!("{shown} is empty, so nothing can be learned from it")));
    }
    check_is_text(&sample, path)?;
    if sample.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
        return Ok(Found { format: "json", inferred: infer::json_lines(&sample)? });
    }
    Ok(Found { format: "csv", inferred: infer::csv(&sample, &CsvOptions { header: true, ..CsvOptions::default() })? })
}

/// A file of bytes that no text has would make a table of nonsense.
fn check_is_text(sample: &[u8], path: &Path) -> Result<()> {
    let position = match std::str::from_utf8(sample) {
        // The sample may end within a character.
        Ok(text) => text.find('\0'),
        Err(error) => error.error_len().map(|_| error.valid_up_to()),
    };
    let Some(position) = position else { return Ok(()) };
    let message = format!("{} is not text: there is a byte at position {position} that no text has", path.display());
    Err(Error::input("E418", message).with_hint("JSON lines, CSV and Parquet (by its name, *.parquet) can be read"))
}

/// The first whole lines of a file, decompressed.
fn sample(path: &Path, file: File) -> Result<Vec<u8>> {
    let mut input = compress::decompress(Compression::of_name(&path.display().to_string()), file, u64::MAX)?;
    let mut bytes = vec![];
    let read = input.by_ref().take(SAMPLE_BYTES).read_to_end(&mut bytes);
    read.map_err(|e| Error::io(format!("read {}", path.display()), &e))?;
    if bytes.len() as u64 == SAMPLE_BYTES {
        bytes.truncate(fleuve_format::lines::whole_lines(&bytes));
    }
    Ok(bytes)
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn column(column: &InferredColumn) -> (String, Option<String>) {
    let field = &column.field;
    let comment = column.hint.as_ref().map(|hint| format!("  -- {hint}"));
    (format!("  {} {}", quoted(field.name()), sql_type(field.data_type())), comment)
}

fn columns(inferred: &Inferred) -> String {
    let last = inferred.columns.len().saturating_sub(1);
    let lines = inferred.columns.iter().enumerate().map(|(index, c)| {
        let (text, comment) = column(c);
        format!("{text}{}{}", if index < last { "," } else { "" }, comment.unwrap_or_default())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The CREATE TABLE of a file, with further options.
pub fn create_table(path: &Path, name: &str, options: Option<&str>) -> Result<String> {
    let found = look(path)?;
    let absolute = std::fs::canonicalize(path).map_err(|e| Error::io(format!("find {}", path.display()), &e))?;
    let place = absolute.display().to_string().replace('\'', "''");
    let mut with = format!("  'connector' = 'filesystem',\n  'path' = '{place}',\n  'format' = '{}'", found.format);
    if found.format == "csv" {
        with.push_str(",\n  'csv.header' = 'true'");
    }
    if let Some(options) = options {
        with.push_str(&format!(",\n  {options}"));
    }
    Ok(format!("CREATE TABLE {} (\n{}\n) WITH (\n{with}\n);", quoted(name), columns(&found.inferred)))
}

/// The CREATE TABLE of a topic with a file's columns.
pub fn create_topic(path: &Path, name: &str) -> Result<String> {
    let found = look(path)?;
    let with = "  'connector' = 'topic',\n  'format' = 'json'";
    Ok(format!("CREATE TABLE {} (\n{}\n) WITH (\n{with}\n);", quoted(name), columns(&found.inferred)))
}
