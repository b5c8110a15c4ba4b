//! Reading the values of settings.

use std::time::Duration;

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "true or false".to_owned())
}

/// A number between two others.
pub(super) fn number<N: TryFrom<i64>>(text: &str, least: i64, most: i64) -> Result<N, String> {
    let wrong = || format!("a number from {least} to {most}");
    let number: i64 = text.replace('_', "").parse().map_err(|_| wrong())?;
    if !(least..=most).contains(&number) {
        return Err(wrong());
    }
    N::try_from(number).map_err(|_| wrong())
}

/// A count of bytes: Kafka's plain number, or with KiB, MiB, GiB.
pub(super) fn bytes(text: &str, least: i64, most: i64) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let found = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?.trim_end(), *shift)));
    let (digits, shift) = found.unwrap_or((text, 0));
    let scaled = digits.replace('_', "").parse::<i64>().ok().and_then(|number| number.checked_mul(1 << shift));
    match scaled {
        Some(number) if (least..=most).contains(&number) => Ok(number.unsigned_abs()),
        _ => Err(format!("bytes from {least} to {most}, such as 1048576 or 1 MiB")),
    }
}

/// As Kafka writes "never" or "no limit": -1.
pub(super) fn or_never<T>(text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text == "-1" {
        return Ok(None);
    }
    read(text).map(Some).map_err(|expected| format!("{expected}; or -1 for no limit"))
}

/// Milliseconds.
pub(super) fn duration(text: &str, least_ms: i64, most_ms: i64) -> Result<Duration, String> {
    number::<u64>(text, least_ms, most_ms)
        .map(Duration::from_millis)
        .map_err(|expected| format!("{expected} (milliseconds)"))
}

/// Values with commas between them.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_within_their_bounds() {
        assert_eq!(number::<u32>("1_000", 0, 1000), Ok(1000));
        assert!(number::<u32>("1001", 0, 1000).is_err() && number::<u32>("x", 0, 1).is_err());
        assert_eq!(bytes("2 MiB", 0, i64::MAX), Ok(2 << 20));
        assert!(bytes("9223372036854775807 GiB", 0, i64::MAX).is_err() && bytes("-1", 0, 9).is_err());
        assert_eq!(or_never("-1", |text| bytes(text, 0, 9)), Ok(None));
        assert_eq!(duration("1500", 0, 2000), Ok(Duration::from_millis(1500)));
        assert_eq!(list(" a, b,,"), ["a", "b"]);
    }
}
