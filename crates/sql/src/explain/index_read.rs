//! What a source would read through an index, in one line.

use std::fmt::Write as _;

use fleuve_plan::{IndexRead, KeyColumn, KeyInterval};

/// The line of a source that an index may serve.
pub fn shown(read: &IndexRead) -> String {
    let mut text = format!("index: `{}`", read.index);
    let columns = read.key.iter().map(column).collect::<Vec<_>>().join(", ");
    if !columns.is_empty() {
        let _ = write!(text, " where {columns}");
    }
    if let Some(first) = &read.first {
        let end = if first.descending { "last" } else { "first" };
        let _ = write!(text, ", the {end} {} by its key", first.rows);
    }
    text
}

fn column(column: &KeyColumn) -> String {
    let lists = column.all_of.iter().map(|list| {
        let intervals = list.iter().map(interval).collect::<Vec<_>>();
        intervals.join(" or ")
    });
    format!("{} in {}", column.name, lists.collect::<Vec<_>>().join(" and "))
}

fn interval(interval: &KeyInterval) -> String {
    match interval {
        KeyInterval::Null => "NULL".to_owned(),
        KeyInterval::Is(value) => format!("[{value}]"),
        KeyInterval::Prefix(text) => format!("['{text}'…]"),
        KeyInterval::Between { low, high } => {
            let low = low.as_ref().map_or_else(
                || "(…".to_owned(),
                |low| format!("{}{}", if low.inclusive { '[' } else { '(' }, low.value),
            );
            let high = high.as_ref().map_or_else(
                || "…)".to_owned(),
                |high| format!("{}{}", high.value, if high.inclusive { ']' } else { ')' }),
            );
            format!("{low}, {high}")
        }
    }
}
