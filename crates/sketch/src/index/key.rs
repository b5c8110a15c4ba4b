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
    out.push(VALUE);
    for byte in value {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
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

/// Reads a double off a key; `None` if it is NULL.
pub fn take_f64(key: &mut &[u8]) -> Result<Option<f64>> {
    let bits = take_word(key)?.map(|word| if word >> 63 == 1 { word & !(1 << 63) } else { !word });
    Ok(bits.map(f64::from_bits))
}

/// Reads a string or bytes off a key; `None` if it is NULL.
pub fn take_bytes(key: &mut &[u8]) -> Result<Option<Vec<u8>>> {
    if !take_tag(key)? {
        return Ok(None);
    }
    let mut value = vec![];
    loop {
        match key {
            [0, 0, rest @ ..] => {
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
