//! Topic ids and the like.

use std::fmt;
use std::str::FromStr;

use fleuve_base::Error;

/// Sixteen bytes, written as Kafka does: 22 characters of Base64's URL alphabet (RFC 4648, section 5), unpadded.
///
/// ```
/// use fleuve_wire::Uuid;
///
/// let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
/// assert_eq!(id.to_string(), "ASNFZ4mrze8BI0VniavN7w");
/// assert_eq!("ASNFZ4mrze8BI0VniavN7w".parse::<Uuid>()?, id);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub u128);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Characters that 128 bits take: 21 of six bits and one of two.
const CHARACTERS: usize = 22;

impl Uuid {
    /// All zero: no id.
    pub const NIL: Uuid = Uuid(0);

    /// From a number, whose highest byte comes first.
    pub const fn from_u128(value: u128) -> Self {
        Uuid(value)
    }

    /// The number.
    pub const fn to_u128(self) -> u128 {
        self.0
    }

    /// From the bytes on the wire.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Uuid(u128::from_be_bytes(bytes))
    }

    /// The bytes on the wire.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Whether there is no id.
    pub const fn is_nil(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(CHARACTERS);
        for shift in (0..21).map(|index| 122 - 6 * index) {
            text.push(char::from(ALPHABET[(self.0 >> shift) as usize & 63]));
        }
        text.push(char::from(ALPHABET[(self.0 << 4) as usize & 63]));
        f.write_str(&text)
    }
}

impl FromStr for Uuid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::input("E722", format!("`{text}` is not an id: 22 letters, digits, `-` or `_`"));
        if text.len() != CHARACTERS {
            return Err(wrong());
        }
        let mut value = 0u128;
        for (index, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|&letter| letter == byte).ok_or_else(wrong)? as u128;
            let last = index == CHARACTERS - 1;
            if last && digit & 15 != 0 {
                return Err(wrong());
            }
            value = if last { value << 2 | digit >> 4 } else { value << 6 | digit };
        }
        Ok(Uuid(value))
    }
}
