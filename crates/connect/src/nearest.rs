//! Suggestions for misspelt names.

/// A hint: the nearest of the known names, or all of them if none is near.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    match fleuve_base::nearest(name, known.iter().copied()) {
        Some(candidate) => format!("did you mean '{candidate}'?"),
        None => format!("one of {}", list(&known)),
    }
}

/// Names as a list for a message.
pub(crate) fn list(names: &[&str]) -> String {
    names.join(", ")
}
