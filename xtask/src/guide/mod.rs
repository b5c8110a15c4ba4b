//! `cargo xtask guide`: the figures of the guide, measured anew. The SQL of the guide is run by the tests; what takes minutes is here.

use std::path::Path;

use crate::files;

mod chart;
mod online;
mod picture;
mod point;
mod run;
mod streams;

use point::Point;

/// Where the table goes.
const BEGIN: &str = "<!-- errors: begin -->\n";
const END: &str = "<!-- errors: end -->";

/// Measures the distinct counters, or reads a file of what was measured, and writes the chapter's table and picture.
///
/// # Errors
/// If the measurement fails, or the chapter has no place for its table.
pub fn make(root: &Path, measured: Option<&str>) -> Result<(), String> {
    let figures = match measured {
        Some(path) => std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?,
        None => measure()?,
    };
    let points = point::parse(&figures)?;
    let chapter = root.join("docs/guide/distinct-counts.md");
    let written = with_table(&files::text(&chapter), &table(&points))?;
    let write = |path: &Path, text: &str| std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()));
    write(&chapter, &written)?;
    write(&chapter.with_extension("svg"), &picture::draw(&points))
}

/// Draws what the binary answers: the pictures of the chapters on online aggregation and on summaries of streams. The optimised binary is built if none is named.
///
/// # Errors
/// If the binary cannot be built or run.
pub fn pictures(root: &Path, binary: Option<&str>) -> Result<(), String> {
    let binary =
        binary.map_or_else(crate::bench::binary, |path| std::path::absolute(path).map_err(|e| e.to_string()))?;
    online::make(root, &binary)?;
    streams::make(root, &binary)
}

/// What the example that measures prints.
fn measure() -> Result<String, String> {
    let output =
        crate::bench::sketch_example("distinct_errors").output().map_err(|e| format!("cargo does not start: {e}"))?;
    match output.status.success() {
        true => String::from_utf8(output.stdout).map_err(|e| format!("distinct_errors: {e}")),
        false => Err(format!("distinct_errors failed: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// The chapter with this table between its marks.
fn with_table(chapter: &str, table: &str) -> Result<String, String> {
    let marks = chapter.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marks.ok_or("the chapter has no marks for its table")?;
    Ok(format!("{before}{BEGIN}{table}{END}{after}"))
}

/// A row for each counter, three columns for each number of items.
fn table(points: &[Point]) -> String {
    let mut sizes: Vec<u64> = points.iter().map(|point| point.items).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut counters: Vec<&str> = points.iter().map(|point| point.counter.as_str()).collect();
    counters.dedup();
    let columns = |column: &dyn Fn(u64) -> String| sizes.iter().map(|size| column(*size)).collect::<String>();
    let mut text = format!("| counter |{}\n", columns(&|size| format!(" {}: bytes | median | 95 % |", grouped(size))));
    text += &format!("|---|{}\n", columns(&|_| "--:|--:|--:|".to_owned()));
    for counter in counters {
        let cells = columns(&|size| {
            let found = points.iter().find(|point| point.counter == counter && point.items == size);
            found.map_or(" | | |".to_owned(), cells)
        });
        text += &format!("| {counter} |{cells}\n");
    }
    text
}

fn cells(point: &Point) -> String {
    let percent = |error: f64| if error == 0.0 { "0".to_owned() } else { format!("{:.2} %", 100.0 * error) };
    format!(" {} | {} | {} |", grouped(point.bytes), percent(point.median), percent(point.most))
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{point, table, with_table};

    #[test]
    fn the_table_goes_between_its_marks() {
        let points = point::parse("a\t1000\t200\t64\t0.01\t0.03\na\t100000\t100\t4096\t0\t0\n").expect("is parsed");
        let chapter = "x\n<!-- errors: begin -->\nold\n<!-- errors: end -->\ny\n";
        let expected = "x\n<!-- errors: begin -->\n\
            | counter | 1,000: bytes | median | 95 % | 100,000: bytes | median | 95 % |\n\
            |---|--:|--:|--:|--:|--:|--:|\n\
            | a | 64 | 1.00 % | 3.00 % | 4,096 | 0 | 0 |\n\
            <!-- errors: end -->\ny\n";
        assert_eq!(with_table(chapter, &table(&points)).as_deref(), Ok(expected));
        assert!(with_table("no marks", "").is_err() && point::parse("a\t1").is_err());
    }
}
