//! What was meant by a misspelt name.

/// The candidate most like `name`, if any is like enough to be what was meant.
///
/// Similarity is Damerau–Levenshtein distance (Damerau 1964), at most a third of the name's length (but
/// one is allowed from two letters on); a candidate that differs in case only always wins, and of equally near ones that
/// which goes on from the name.
///
/// ```
/// assert_eq!(fleuve_base::nearest("pirce", ["id", "price"]), Some("price"));
/// assert_eq!(fleuve_base::nearest("pirce", ["id", "item"]), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let length = wanted.chars().count();
    let limit = (length / 3).max(1).min(length.saturating_sub(1));
    let distance = |candidate: &str| strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase());
    let near = candidates.into_iter().map(|candidate| (distance(candidate), candidate));
    near.filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, candidate)| (*distance, !candidate.to_lowercase().starts_with(&wanted)))
        .map(|(_, found)| found)
}
