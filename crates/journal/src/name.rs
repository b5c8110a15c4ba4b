//! Which names a topic may have: Kafka's rule.

use fleuve_base::{Error, Result};

/// Characters of the longest topic name.
pub const TOPIC_NAME_CHARACTERS_MAX: usize = 249;

/// Checks a topic's name: 1 to 249 of `a-z A-Z 0-9 . _ -`, and not `.` or `..`.
pub fn check_topic_name(name: &str) -> Result<()> {
    let wrong = |why: String| {
        Err(Error::input("E703", format!("`{}` cannot name a topic: {why}", shortened(name)))
            .with_hint("a name has 1 to 249 ASCII letters, digits, `.`, `_` or `-`"))
    };
    if name.is_empty() {
        return wrong("it is empty".to_owned());
    }
    if name == "." || name == ".." {
        return wrong("it would name a directory".to_owned());
    }
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some(found) => wrong(format!("the character {found:?} is not allowed")),
        None if name.len() > TOPIC_NAME_CHARACTERS_MAX => wrong(format!("it has {} characters", name.len())),
        None => Ok(()),
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(TOPIC_NAME_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_rule() {
        for good in ["a", "orders.v1_x-Y", "...", &"x".repeat(249)] {
            assert!(check_topic_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "é", "a~b", &"x".repeat(250)] {
            assert_eq!(check_topic_name(bad).unwrap_err().code(), "E703", "{bad}");
        }
    }
}
