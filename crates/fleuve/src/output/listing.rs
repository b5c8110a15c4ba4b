//! Short lists of things: aligned columns on a terminal, a JSON object a line elsewhere.

use std::io::{IsTerminal, Write, stdout};

use comfy_table::{CellAlignment, Table, presets};
use fleuve_base::Result;
use serde_json::{Map, Value};

use super::io_error;

/// Prints rows, each a value for each column, as suits standard output.
pub fn print(columns: &[&str], rows: Vec<Vec<Value>>, as_json: bool) -> Result<()> {
    let mut out = stdout().lock();
    let text = if is_json(as_json) { lines(columns, rows) } else { table(columns, rows) };
    out.write_all(text.as_bytes()).map_err(|error| io_error(&error))
}

/// Whether results are JSON: asked for, or because nobody looks.
pub fn is_json(as_json: bool) -> bool {
    as_json || !stdout().is_terminal()
}

fn lines(columns: &[&str], rows: Vec<Vec<Value>>) -> String {
    let object = |row: Vec<Value>| {
        let named = columns.iter().map(|name| name.replace(' ', "_")).zip(row);
        format!("{}\n", Value::Object(named.collect::<Map<_, _>>()))
    };
    rows.into_iter().map(object).collect()
}

fn table(columns: &[&str], rows: Vec<Vec<Value>>) -> String {
    let numeric: Vec<bool> =
        (0..columns.len()).map(|column| rows.first().is_some_and(|row| row[column].is_number())).collect();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(columns.to_vec());
    for row in rows {
        table.add_row(row.iter().map(cell));
    }
    for (column, numeric) in table.column_iter_mut().zip(numeric) {
        column.set_cell_alignment(if numeric { CellAlignment::Right } else { CellAlignment::Left });
    }
    format!("{table}\n")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_a_table_for_people_and_lines_for_programs() {
        let rows = || vec![vec![json!("orders"), json!(3), json!([1, 2])], vec![json!("x"), json!(12), Value::Null]];
        let columns = ["topic", "records", "in sync"];
        assert_eq!(
            lines(&columns, rows()),
            "{\"in_sync\":[1,2],\"records\":3,\"topic\":\"orders\"}\n{\"in_sync\":null,\"records\":12,\"topic\":\"x\"}\n"
        );
        let table = table(&columns, rows());
        let shown: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(shown[1], ["orders", "3", "1,2"]);
        assert_eq!(shown[2], ["x", "12", "-"]);
    }
}
