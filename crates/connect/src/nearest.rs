//! Suggestions for misspelt names.

/// How alike two names must be (0 to 1, Jaro–Winkler) to be suggested.
const SIMILARITY_MIN: f64 = 0.75;

/// A hint: the nearest of the known names, or all of them if none is near.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let scored = known.iter().map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate));
    match scored.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((score, candidate)) if score >= SIMILARITY_MIN => format!("did you mean '{candidate}'?"),
        _ => format!("one of {}", list(&known)),
    }
}

/// Names as a list for a message.
pub(crate) fn list(names: &[&str]) -> String {
    names.join(", ")
}
