//! Keys as bytes that compare as their values do, and can be put together column by column.

use fleuve_base::{Error, Result};

/// What stands before a value; NULL has the tag 0 alone and comes first.
const VALUE: u8 = 1;

/// Appends NULL.
pub fn push_null(out: &mut Vec<u8>) {
    out.push(0);
}

/// Appends an integer: its sign turned, highest byte first.
pub fn push_i64(value: i64, out: &mut Vec<u8>) {
    out.push(VALUE);
    out.extend_from_slice(&(value as u64 ^ 1 << 63).to_be_bytes());
}

/// Appends a wide integer: its sign turned, highest byte first.
pub fn push_i128(value: i128, out: &mut Vec<u8>) {
    out.push(VALUE);
    out.extend_from_slice(&(value as u128 ^ 1 << 127).to_be_bytes());
}

/// Appends a double: −0 as 0, NaN after ∞.
pub fn push_f64(value: f64, out: &mut Vec<u8>) {
    let value = if value.is_nan() { f64::NAN.abs() } else { value + 0.0 };
    let bits = value.to_bits();
    let turned = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    out.push(VALUE);
    out.extend_from_slice(&turned.to_be_bytes());
}

/// Appends a string or bytes: each 0 as 0 and 255, then two 0 as the end.
pub fn push_bytes(value: &[u8], out: &mut Vec<u8>) {
    push_cut_bytes(value, usize::MAX, out);
}

/// As [`push_bytes`], but in at most `bytes_max` bytes (5 or more). A longer value is cut, and ends in 0 and 1: it comes after all
/// values that it begins with, and is one with all that are cut at the same place. Whether it was cut.
pub fn push_cut_bytes(value: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> bool {
    let end = out.len().saturating_add(bytes_max - 2);
    out.push(VALUE);
    for byte in value {
        let bytes = if *byte == 0 { &[0, 0xff][..] } else { std::slice::from_ref(byte) };
        if out.len() + bytes.len() > end {
            out.extend_from_slice(&[0, 1]);
            return true;
        }
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(&[0, 0]);
    false
}

/// The key of one integer.
pub fn of_i64(value: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(9);
    push_i64(value, &mut out);
    out
}

/// The key of one double.
pub fn of_f64(value: f64) -> Vec<u8> {
    let mut out = Vec::with_capacity(9);
    push_f64(value, &mut out);
    out
}

/// The key of one string or of bytes.
pub fn of_bytes(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 3);
    push_bytes(value, &mut out);
    out
}

/// Reads an integer off a key; `None` if it is NULL.
pub fn take_i64(key: &mut &[u8]) -> Result<Option<i64>> {
    Ok(take_word(key)?.map(|word| (word ^ 1 << 63) as i64))
}

/// Reads a wide integer off a key; `None` if it is NULL.
pub fn take_i128(key: &mut &[u8]) -> Result<Option<i128>> {
    if !take_tag(key)? {
        return Ok(None);
    }
    let (word, rest) = key.split_first_chunk().ok_or_else(damaged)?;
    *key = rest;
    Ok(Some((u128::from_be_bytes(*word) ^ 1 << 127) as i128))
}

/// Reads a double off a key; `None` if it is NULL.
pub fn take_f64(key: &mut &[u8]) -> Result<Option<f64>> {
    let bits = take_word(key)?.map(|word| if word >> 63 == 1 { word & !(1 << 63) } else { !word });
    Ok(bits.map(f64::from_bits))
}

/// Reads a string or bytes off a key, or what was left of them; `None` if it is NULL.
pub fn take_bytes(key: &mut &[u8]) -> Result<Option<Vec<u8>>> {
    if !take_tag(key)? {
        return Ok(None);
    }
    let mut value = vec![];
    loop {
        match key {
            [0, 0 | 1, rest @ ..] => {
                *key = rest;
                return Ok(Some(value));
            }
            [0, 0xff, rest @ ..] => {
                value.push(0);
                *key = rest;
            }
            [0, ..] | [] => return Err(damaged()),
            [byte, rest @ ..] => {
                value.push(*byte);
                *key = rest;
            }
        }
    }
}

fn take_word(key: &mut &[u8]) -> Result<Option<u64>> {
    if !take_tag(key)? {
        return Ok(None);
    }
    let (word, rest) = key.split_first_chunk().ok_or_else(damaged)?;
    *key = rest;
    Ok(Some(u64::from_be_bytes(*word)))
}

/// Whether a value follows, and not NULL.
fn take_tag(key: &mut &[u8]) -> Result<bool> {
    let (tag, rest) = key.split_first().filter(|(tag, _)| **tag <= VALUE).ok_or_else(damaged)?;
    *key = rest;
    Ok(*tag == VALUE)
}

fn damaged() -> Error {
    Error::corrupt("a key of an index is not what was written")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_compare_as_values(a in any::<(i64, f64, Vec<u8>)>(), b in any::<(i64, f64, Vec<u8>)>()) {
            prop_assert_eq!(of_i64(a.0).cmp(&of_i64(b.0)), a.0.cmp(&b.0));
            if let Some(order) = a.1.partial_cmp(&b.1) {
                prop_assert_eq!(of_f64(a.1).cmp(&of_f64(b.1)), order);
            }
            prop_assert_eq!(of_bytes(&a.2).cmp(&of_bytes(&b.2)), a.2.cmp(&b.2));
            let mut both = of_bytes(&a.2);
            push_null(&mut both);
            push_f64(a.1, &mut both);
            push_i64(a.0, &mut both);
            let mut rest = &both[..];
            prop_assert_eq!(take_bytes(&mut rest).unwrap(), Some(a.2));
            prop_assert_eq!(take_i64(&mut rest).unwrap(), None);
            let double = take_f64(&mut rest).unwrap().unwrap();
            prop_assert!(double == a.1 || (double.is_nan() && a.1.is_nan()));
            prop_assert_eq!((take_i64(&mut rest).unwrap(), rest), (Some(a.0), &[][..]));
        }

        #[test]
        fn wide_integers_and_cut_texts_keep_their_order(
            a in any::<(i128, Vec<u8>)>(),
            b in any::<(i128, Vec<u8>)>(),
            most in 5usize..20,
        ) {
            let of_wide = |value: i128| {
                let mut out = vec![];
                push_i128(value, &mut out);
                out
            };
            prop_assert_eq!(of_wide(a.0).cmp(&of_wide(b.0)), a.0.cmp(&b.0));
            prop_assert_eq!(take_i128(&mut &of_wide(a.0)[..]).unwrap(), Some(a.0));
            let of_cut = |value: &[u8]| {
                let mut out = vec![];
                let cut = push_cut_bytes(value, most, &mut out);
                assert!(out.len() <= most && (cut || out == of_bytes(value)));
                out
            };
            let (key, other) = (of_cut(&a.1), of_cut(&b.1));
            prop_assert!(key == other || key.cmp(&other) == a.1.cmp(&b.1));
            prop_assert!(a.1.starts_with(&take_bytes(&mut &key[..]).unwrap().unwrap()));
        }

        #[test]
        fn damaged_keys_do_no_harm(bytes in prop::collection::vec(0u8..3, 0..12)) {
            let _ = (take_i64(&mut &bytes[..]), take_f64(&mut &bytes[..]), take_bytes(&mut &bytes[..]));
        }
    }

    #[test]
    fn special_doubles_have_their_places() {
        let order = [f64::NEG_INFINITY, -1.0, 0.0, f64::INFINITY, f64::NAN];
        assert!(order.map(of_f64).is_sorted_by(|a, b| a < b));
        assert_eq!(of_f64(-0.0), of_f64(0.0));
    }
}
