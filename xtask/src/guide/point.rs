//! What was measured of a counter with one number of items.

/// A line of the example `distinct_errors`.
#[derive(Debug, PartialEq)]
pub(super) struct Point {
    pub(super) counter: String,
    pub(super) items: u64,
    pub(super) bytes: u64,
    /// Quantiles of the relative error: the median, and the 95th percentile.
    pub(super) median: f64,
    pub(super) most: f64,
}

/// Reads all lines.
pub(super) fn parse(text: &str) -> Result<Vec<Point>, String> {
    let point = |line: &str| {
        let mut fields = line.split('\t');
        let counter = fields.next()?.to_owned();
        let (items, _trials, bytes) = (fields.next()?.parse().ok()?, fields.next()?, fields.next()?.parse().ok()?);
        let (median, most) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Point { counter, items, bytes, median, most })
    };
    text.lines().map(|line| point(line).ok_or_else(|| format!("not a line of figures: {line}"))).collect()
}
