//! Numbers from text: eight digits at a time, and decimals without a detour through floating point.

use std::cmp::Ordering;

/// Digits of the largest `DECIMAL`.
const DECIMAL_DIGITS_MAX: usize = 38;

/// The eight bytes at `position`, the first one lowest; `None` near the end of the block.
#[inline]
pub(crate) fn load8(block: &[u8], position: usize) -> Option<u64> {
    let bytes = block.get(position..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*bytes))
}

/// How many of the eight bytes are digits before the first that is none.
#[inline]
pub(crate) fn leading_digits(word: u64) -> usize {
    let low = word ^ 0x3030_3030_3030_3030;
    // A digit leaves 0..=9: adding 6 keeps it below 16, and nothing stands in its upper half. A carry can only
    // come out of a byte that is itself no digit, so the first one found is right.
    let wrong = (low.wrapping_add(0x0606_0606_0606_0606) | low) & 0xf0f0_f0f0_f0f0_f0f0;
    (wrong.trailing_zeros() / 8) as usize
}

/// The number that eight digits spell (D. Lemire, *Quickly parsing eight digits*, 2018).
#[inline]
pub(crate) fn eight_digits(word: u64) -> u64 {
    let pairs = (word & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(2561) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(6_553_601) >> 16;
    (fours & 0x0000_ffff_0000_ffff).wrapping_mul(42_949_672_960_001) >> 32
}

/// The number of at most eight digits at `position`.
#[inline]
fn short_number(word: u64, digits: usize) -> u64 {
    // Shifting moves the digits to the end and fills with zero bytes, which count as the digit 0.
    if digits == 0 { 0 } else { eight_digits(word << (64 - 8 * digits)) }
}

/// The value of an integer that the walker has recognised (digits, perhaps after a minus sign) at
/// `start..end` of `block`; `None` if it does not fit 64 bits.
#[inline]
pub(crate) fn integer(block: &[u8], start: usize, end: usize) -> Option<i64> {
    let negative = block[start] == b'-';
    let first = start + usize::from(negative);
    let digits = end - first;
    let magnitude = match (digits, load8(block, first)) {
        (1..=8, Some(word)) => short_number(word, digits),
        (9..=16, Some(word)) => {
            let low = load8(block, first + 8).map(|rest| short_number(rest, digits - 8));
            match low {
                Some(low) => eight_digits(word) * POWERS[digits - 8] + low,
                None => return long_integer(&block[first..end], negative),
            }
        }
        _ => return long_integer(&block[first..end], negative),
    };
    let value = magnitude.cast_signed();
    Some(if negative { -value } else { value })
}

const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

#[cold]
fn long_integer(digits: &[u8], negative: bool) -> Option<i64> {
    digits.iter().try_fold(0i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        let value = value.checked_mul(10)?;
        if negative { value.checked_sub(digit) } else { value.checked_add(digit) }
    })
}

/// An integer as people write it in text: blanks around it, a sign, digits.
pub(crate) fn integer_of_text(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let start = usize::from(text[0] == b'+');
    integer(text, start, text.len())
}

/// Why a text is not a decimal of the wanted precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecimalError {
    /// It is no number.
    Syntax,
    /// It has more digits before the point than precision and scale leave.
    Overflow,
}

/// A number as an unscaled decimal with `scale` digits after the point, rounded half up (away from zero), as
/// Flink's `DecimalData.fromBigDecimal` does.
pub(crate) fn decimal(text: &[u8], precision: u8, scale: i8) -> Result<i128, DecimalError> {
    let text = text.trim_ascii();
    let negative = text.first() == Some(&b'-');
    let unsigned = if negative || text.first() == Some(&b'+') { &text[1..] } else { text };
    let (mantissa, exponent) = split_exponent(unsigned)?;
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let whole = &mantissa[..point];
    let fraction = mantissa.get(point + 1..).unwrap_or(&[]);
    if whole.is_empty() && fraction.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(DecimalError::Syntax);
    }
    // Digits of the result: those of the mantissa up to `keep`, zeros beyond them.
    let keep = whole.len() as i64 + exponent + i64::from(scale);
    let value = shift(whole.iter().chain(fraction).map(|digit| digit - b'0'), keep)?;
    if value >= 10i128.pow(u32::from(precision).min(DECIMAL_DIGITS_MAX as u32)) {
        return Err(DecimalError::Overflow);
    }
    Ok(if negative { -value } else { value })
}

/// The first `keep` digits as a number, rounded by the one after them, padded with zeros.
fn shift(digits: impl Iterator<Item = u8>, keep: i64) -> Result<i128, DecimalError> {
    let mut value = 0i128;
    let mut left = keep;
    for digit in digits {
        match left.cmp(&0) {
            Ordering::Greater => value = push_digit(value, digit)?,
            Ordering::Equal => value += i128::from(digit >= 5),
            Ordering::Less => return Ok(value),
        }
        left -= 1;
    }
    while left > 0 && value != 0 {
        value = push_digit(value, 0)?;
        left -= 1;
    }
    Ok(value)
}

fn push_digit(value: i128, digit: u8) -> Result<i128, DecimalError> {
    value.checked_mul(10).and_then(|value| value.checked_add(i128::from(digit))).ok_or(DecimalError::Overflow)
}

fn split_exponent(text: &[u8]) -> Result<(&[u8], i64), DecimalError> {
    let Some(at) = text.iter().position(|byte| matches!(byte, b'e' | b'E')) else { return Ok((text, 0)) };
    let exponent = integer_of_text(&text[at + 1..]).ok_or(DecimalError::Syntax)?;
    // Far beyond what a decimal can hold, and small enough that sums cannot overflow.
    Ok((&text[..at], exponent.clamp(-1_000_000, 1_000_000)))
}

/// A float in decimal or scientific notation, `NaN` or `Infinity`.
pub(crate) fn float<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

/// Appends an integer in decimal.
#[inline]
pub(crate) fn write_integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_digits(out, value.unsigned_abs());
}

/// Appends the digits of a number, two at a time from the last.
fn write_digits(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    while rest >= 10 {
        let pair = (rest % 100) as u8;
        rest /= 100;
        at -= 2;
        (digits[at], digits[at + 1]) = (b'0' + pair / 10, b'0' + pair % 10);
    }
    if rest > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + rest as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends an unscaled decimal with its point.
pub(crate) fn write_decimal(out: &mut Vec<u8>, unscaled: i128, scale: i8) {
    if unscaled < 0 {
        out.push(b'-');
    }
    let digits = unscaled.unsigned_abs().to_string();
    let scale = i32::from(scale);
    if scale <= 0 {
        out.extend_from_slice(digits.as_bytes());
        let zeros = if unscaled == 0 { 0 } else { scale.unsigned_abs() as usize };
        out.resize(out.len() + zeros, b'0');
        return;
    }
    let scale = scale as usize;
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    out.extend_from_slice(whole.as_bytes());
    out.push(b'.');
    out.extend_from_slice(fraction.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_of_every_length(value in any::<i64>(), shift in 0u32..64, padding in 0usize..20) {
            let value = value >> shift;
            let mut block = value.to_string().into_bytes();
            let end = block.len();
            block.extend(std::iter::repeat_n(b',', padding));
            prop_assert_eq!(integer(&block, 0, end), Some(value));
            prop_assert_eq!(integer_of_text(format!(" {value} ").as_bytes()), Some(value));
        }

        #[test]
        fn leading_digits_counts_exactly(bytes in any::<[u8; 8]>(), digits in 0usize..=8) {
            let mut bytes = bytes;
            bytes[..digits].fill(b'7');
            let expected = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            prop_assert_eq!(leading_digits(u64::from_le_bytes(bytes)), expected);
        }
    }

    proptest! {
        #[test]
        fn writing_is_the_inverse(value in any::<i64>(), shift in 0u32..64, scale in 0i8..20) {
            let value = value >> shift;
            let mut out = Vec::new();
            write_integer(&mut out, value);
            prop_assert_eq!(String::from_utf8(out).expect("ASCII"), value.to_string());
            let mut out = Vec::new();
            write_decimal(&mut out, i128::from(value), scale);
            prop_assert_eq!(decimal(&out, 38, scale), Ok(i128::from(value)));
        }
    }

    #[test]
    fn integers_that_do_not_fit() {
        assert_eq!(integer(b"9223372036854775808", 0, 19), None);
        assert_eq!(integer(b"-9223372036854775808", 0, 20), Some(i64::MIN));
        assert_eq!(integer_of_text(b"+7"), Some(7));
        assert_eq!(integer_of_text(b""), None);
        assert_eq!(integer_of_text(b"- 1"), None);
    }

    #[test]
    fn decimals_round_half_up() {
        assert_eq!(decimal(b"1.005", 10, 2), Ok(101));
        assert_eq!(decimal(b"-1.005", 10, 2), Ok(-101));
        assert_eq!(decimal(b"1.004999", 10, 2), Ok(100));
        assert_eq!(decimal(b"12e3", 10, 2), Ok(1_200_000));
        assert_eq!(decimal(b"12e-3", 10, 2), Ok(1));
        assert_eq!(decimal(b"0.0004", 10, 2), Ok(0));
        assert_eq!(decimal(b".5", 10, 0), Ok(1));
        assert_eq!(decimal(b"99999.999", 7, 2), Err(DecimalError::Overflow));
        assert_eq!(decimal(b"1e999999999", 38, 0), Err(DecimalError::Overflow));
        assert_eq!(decimal(b"0e999999999", 38, 0), Ok(0));
        assert_eq!(decimal(b"1e-99999999999999999999", 38, 0), Err(DecimalError::Syntax));
        assert_eq!(decimal(b"abc", 10, 2), Err(DecimalError::Syntax));
        assert_eq!(decimal(b".", 10, 2), Err(DecimalError::Syntax));
        assert_eq!(decimal(b"1.2.3", 10, 2), Err(DecimalError::Syntax));
    }
}
