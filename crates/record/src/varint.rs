//! Zigzag variable-length integers, as Kafka's records and Protocol Buffers have them.
//!
//! Seven bits a byte, least significant first; the high bit says that another byte follows. Signed numbers
//! are zigzag-mapped first (0, −1, 1, −2, …), so small negative ones stay short.

use fleuve_base::{Error, Result};

/// Bytes of the longest 64-bit varint.
pub const VARLONG_BYTES_MAX: usize = 10;

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

const fn unzigzag(raw: u64) -> i64 {
    ((raw >> 1) as i64) ^ -((raw & 1) as i64)
}

/// Bytes that `value` takes when encoded.
pub const fn encoded_bytes(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends `value` to `out`.
pub fn encode(value: i64, out: &mut impl bytes::BufMut) {
    let mut raw = zigzag(value);
    while raw >= 0x80 {
        out.put_u8(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

/// Takes a 64-bit number off the front of `input`.
#[inline]
pub fn decode(input: &mut &[u8]) -> Result<i64> {
    match *input {
        [first @ 0..0x80, rest @ ..] => {
            *input = rest;
            Ok(unzigzag(u64::from(*first)))
        }
        // Most lengths of records and values.
        [first, second @ 0..0x80, rest @ ..] => {
            *input = rest;
            Ok(unzigzag(u64::from(first & 0x7f) | u64::from(*second) << 7))
        }
        _ => decode_long(input),
    }
}

fn decode_long(input: &mut &[u8]) -> Result<i64> {
    let mut raw = 0_u64;
    for (index, byte) in input.iter().take(VARLONG_BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if index == VARLONG_BYTES_MAX - 1 && bits > 1 {
            return Err(Error::corrupt("a variable-length number has more than 64 bits"));
        }
        raw |= bits << (7 * index);
        if byte & 0x80 == 0 {
            *input = &input[index + 1..];
            return Ok(unzigzag(raw));
        }
    }
    Err(if input.len() < VARLONG_BYTES_MAX {
        Error::corrupt("a variable-length number is cut off")
    } else {
        Error::corrupt("a variable-length number has more than ten bytes")
    })
}

/// Takes a 32-bit number off the front of `input`.
pub fn decode_i32(input: &mut &[u8]) -> Result<i32> {
    let value = decode(input)?;
    i32::try_from(value).map_err(|_| Error::corrupt(format!("{value} does not fit a 32-bit field")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_encodings() {
        for (value, bytes) in [
            (0_i64, &[0x00][..]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (8191, &[0xfe, 0x7f]),
            (8192, &[0x80, 0x80, 0x01]),
            (i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ] {
            let mut out = Vec::new();
            encode(value, &mut out);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(encoded_bytes(value), bytes.len(), "{value}");
            let mut input = bytes;
            assert_eq!(decode(&mut input).unwrap(), value);
            assert!(input.is_empty());
        }
    }

    #[test]
    fn refuses_what_is_cut_off_or_too_long() {
        for bytes in
            [&[][..], &[0x80], &[0xff; 9], &[0xff; 11], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02]]
        {
            assert!(decode(&mut &bytes[..]).is_err(), "{bytes:x?}");
        }
        let mut out = Vec::new();
        encode(i64::from(i32::MAX) + 1, &mut out);
        assert!(decode_i32(&mut &out[..]).is_err());
    }
}
