//! Kafka's way to define a setting: name, type, default, allowed values, one sentence; and its words when a value is wrong.

use fleuve_wire::ErrorCode;

use crate::failure::{Failure, Outcome};

/// The type of a setting, by the numbers of DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// Which values are allowed, beyond the type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Allowed {
    All,
    AtLeast(i64),
    Between(i64, i64),
    /// From 0 to 1.
    Fraction,
    /// One of them, or for a list each of its items.
    Words(&'static [&'static str]),
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) allowed: Allowed,
    /// What it does here, in a sentence.
    pub(crate) docs: &'static str,
    /// The broker's setting that gives the default, if there is one.
    pub(crate) broker_name: Option<&'static str>,
}

impl Definition {
    /// Whether `value` can be the setting's; the messages are Kafka's.
    pub(crate) fn check(&self, value: &str) -> Outcome<()> {
        let checked = match self.kind {
            Kind::Boolean => self.check_boolean(value),
            Kind::Int => self.check_number(value, i64::from(i32::MIN), i64::from(i32::MAX), "INT"),
            Kind::Long => self.check_number(value, i64::MIN, i64::MAX, "LONG"),
            Kind::Double => self.check_fraction(value),
            Kind::String => self.check_word(value.trim(), "String must be one of"),
            Kind::List => items(value).try_for_each(|item| self.check_word(item, "String must be one of")),
        };
        checked.map_err(|reason| {
            let message = format!("Invalid value {value} for configuration {}: {reason}", self.name);
            Failure::new(ErrorCode::INVALID_CONFIG, message)
        })
    }

    fn check_boolean(&self, value: &str) -> Result<(), String> {
        match value.trim().to_ascii_lowercase().as_str() {
            "true" | "false" => Ok(()),
            _ => Err("Expected value to be either true or false".to_owned()),
        }
    }

    fn check_number(&self, value: &str, least: i64, most: i64, kind: &str) -> Result<(), String> {
        let number = value.trim().parse::<i64>().ok().filter(|number| (least..=most).contains(number));
        let number = number.ok_or_else(|| format!("Not a number of type {kind}"))?;
        match self.allowed {
            Allowed::AtLeast(least) if number < least => Err(format!("Value must be at least {least}")),
            Allowed::Between(least, _) if number < least => Err(format!("Value must be at least {least}")),
            Allowed::Between(_, most) if number > most => Err(format!("Value must be no more than {most}")),
            _ => Ok(()),
        }
    }

    fn check_fraction(&self, value: &str) -> Result<(), String> {
        match value.trim().parse::<f64>() {
            Ok(number) if number < 0.0 => Err("Value must be at least 0".to_owned()),
            Ok(number) if number > 1.0 => Err("Value must be no more than 1".to_owned()),
            Ok(number) if number.is_finite() => Ok(()),
            _ => Err("Not a number of type DOUBLE".to_owned()),
        }
    }

    fn check_word(&self, word: &str, complaint: &str) -> Result<(), String> {
        match self.allowed {
            Allowed::Words(words) if !words.contains(&word) => Err(format!("{complaint}: {}", words.join(", "))),
            _ => Ok(()),
        }
    }
}

/// The items of a list: separated by commas, spaces around them do not count.
pub(crate) fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(kind: Kind, allowed: Allowed) -> Definition {
        Definition { name: "x", kind, allowed, docs: "", broker_name: None }
    }

    #[track_caller]
    fn refused(kind: Kind, allowed: Allowed, value: &str, reason: &str) {
        let failure = definition(kind, allowed).check(value).unwrap_err();
        assert_eq!(failure.code, ErrorCode::INVALID_CONFIG);
        assert_eq!(failure.message.unwrap(), format!("Invalid value {value} for configuration x: {reason}"));
    }

    #[test]
    fn wrong_values_are_refused_in_kafkas_words() {
        refused(Kind::Long, Allowed::All, "1.5", "Not a number of type LONG");
        refused(Kind::Int, Allowed::All, "3000000000", "Not a number of type INT");
        refused(Kind::Long, Allowed::AtLeast(-1), "-2", "Value must be at least -1");
        refused(Kind::Int, Allowed::Between(1, 9), "10", "Value must be no more than 9");
        refused(Kind::Double, Allowed::Fraction, "1.1", "Value must be no more than 1");
        refused(Kind::Double, Allowed::Fraction, "NaN", "Not a number of type DOUBLE");
        refused(Kind::Boolean, Allowed::All, "yes", "Expected value to be either true or false");
        refused(Kind::List, Allowed::Words(&["a", "b"]), "a,c", "String must be one of: a, b");
    }

    #[test]
    fn right_values_are_taken() {
        for (kind, allowed, value) in [
            (Kind::Long, Allowed::AtLeast(-1), " -1 "),
            (Kind::Double, Allowed::Fraction, "0.5"),
            (Kind::Boolean, Allowed::All, "True"),
            (Kind::List, Allowed::Words(&["a", "b"]), "b, a"),
            (Kind::String, Allowed::Words(&["a"]), "a"),
        ] {
            assert_eq!(definition(kind, allowed).check(value), Ok(()), "{value}");
        }
    }
}
