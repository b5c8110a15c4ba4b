//! Base64 (RFC 4648, standard alphabet), the form of `BYTES` in text formats.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends the base64 form of `bytes`, padded.
pub(crate) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place) & 63) as usize;
            out.push(if place <= group.len() { ALPHABET[sextet] } else { b'=' });
        }
    }
}

/// Appends what `text` stands for, with or without padding; `None` if it is no base64.
pub(crate) fn decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    for group in text.chunks(4) {
        let word = group.iter().try_fold(0u32, |word, byte| Some(word << 6 | sextet(*byte)?))?;
        match group.len() {
            4 => out.extend_from_slice(&word.to_be_bytes()[1..]),
            3 => out.extend_from_slice(&(word << 6).to_be_bytes()[1..3]),
            2 => out.push((word >> 4) as u8),
            _ => return None,
        }
    }
    Some(())
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let (mut text, mut back) = (Vec::new(), Vec::new());
            encode(&bytes, &mut text);
            prop_assert_eq!(decode(&text, &mut back), Some(()));
            prop_assert_eq!(back, bytes);
        }
    }

    #[test]
    fn known_answers() {
        let mut text = Vec::new();
        encode(b"foob", &mut text);
        assert_eq!(text, b"Zm9vYg==");
        assert_eq!(decode(b"Zm9vYg", &mut Vec::new()), Some(()));
        assert_eq!(decode(b"Zm9v*", &mut Vec::new()), None);
        assert_eq!(decode(b"Z", &mut Vec::new()), None);
    }
}
