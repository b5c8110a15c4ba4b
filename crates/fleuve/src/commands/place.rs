//! A place in a topic, as people write it.

use fleuve_base::{Error, Result};

/// Where to begin, or to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first record that is there.
    Beginning,
    /// After the last one.
    End,
    /// This offset.
    Offset(u64),
    /// The first record that is not older, in ms since 1970.
    Timestamp(i64),
}

impl Place {
    /// Reads `beginning`, `end`, an offset, `@` and milliseconds since 1970, or a time ago such as `10m`; `option` is
    /// what it was given for.
    pub fn parse(option: &str, text: &str, now_ms: i64) -> Result<Self> {
        match text {
            "beginning" | "start" | "earliest" => return Ok(Place::Beginning),
            "end" | "latest" => return Ok(Place::End),
            _ => {}
        }
        if let Ok(offset) = text.parse() {
            return Ok(Place::Offset(offset));
        }
        if let Some(ms) = text.strip_prefix('@').and_then(|ms| ms.parse().ok()) {
            return Ok(Place::Timestamp(ms));
        }
        let unknown = || {
            let message =
                format!("{option} takes beginning, end, an offset, @MILLISECONDS or a time ago, not `{text}`");
            Error::input("E019", message).with_hint("for example 10m or 2 h")
        };
        let ago = fleuve_sql::settings::duration(text).map_err(|()| unknown())?;
        Ok(Place::Timestamp(now_ms - i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_many_spellings() {
        let place = |text: &str| Place::parse("--from", text, 1_000_000);
        assert_eq!(place("beginning").expect("known"), Place::Beginning);
        assert_eq!(place("latest").expect("known"), Place::End);
        assert_eq!(place("42").expect("known"), Place::Offset(42));
        assert_eq!(place("@17").expect("known"), Place::Timestamp(17));
        assert_eq!(place("10m").expect("known"), Place::Timestamp(400_000));
        assert_eq!(place("soon").expect_err("unknown").code(), "E019");
    }
}
