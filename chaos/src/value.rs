//! What records hold: who wrote them and which of his they are.

/// The content of one record; no two records have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value {
    /// Who wrote it.
    pub writer: u32,
    /// Which one it is; a writer counts up from 0.
    pub number: u64,
}

/// Characters of filling, so that records have many lengths.
const PAD_CHARACTERS_MAX: u64 = 600;

impl Value {
    /// As JSON, so that SQL can read it, with a filling that depends on the number.
    pub fn encode(self) -> String {
        let pad = "x".repeat((self.number.wrapping_mul(0x9e37_79b9) % PAD_CHARACTERS_MAX) as usize);
        format!("{{\"writer\":{},\"number\":{},\"pad\":\"{pad}\"}}", self.writer, self.number)
    }

    /// The value that `bytes` are to the last byte; `None` if nobody here wrote them.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let value = Value { writer: number(text, "writer")?, number: number(text, "number")? };
        (value.encode() == text).then_some(value)
    }
}

/// The number after `"name":`.
pub(crate) fn number<T: std::str::FromStr>(text: &str, name: &str) -> Option<T> {
    let (_, rest) = text.split_once(&format!("\"{name}\":"))?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-')?;
    rest[..end].parse().ok()
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.writer, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_back_and_a_changed_byte_is_noticed() {
        let value = Value { writer: 3, number: 123_456 };
        let text = value.encode();
        assert_eq!(Value::parse(text.as_bytes()), Some(value));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            assert_ne!(Value::parse(&changed), Some(value));
        }
    }
}
