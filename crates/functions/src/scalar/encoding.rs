//! Base64, hexadecimal and binary digits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::Result;

use super::args::{Args, texts, texts_or_null};
use super::function::{Param, Returns, Spec};

const BYTES: &[Param] = &[Param::Bytes];

/// The functions of this module.
pub(super) static FUNCTIONS: &[Spec] = &[
    Spec::new("to_base64", BYTES, Returns::Text, to_base64).doc(
        "TO_BASE64(string)",
        "the bytes in Base64",
        "TO_BASE64('hello world') = 'aGVsbG8gd29ybGQ='",
    ),
    Spec::new("from_base64", &[Param::Text], Returns::Text, from_base64).nullable().doc(
        "FROM_BASE64(string)",
        "the string that this Base64 stands for; NULL if it is none",
        "FROM_BASE64('aGVsbG8gd29ybGQ=') = 'hello world'",
    ),
    Spec::new("hex", &[Param::Any], Returns::Text, hex).can_fail().doc(
        "HEX(integer or string)",
        "hexadecimal digits of an integer, or of a string's bytes",
        "HEX('hello') = '68656C6C6F'",
    ),
    Spec::new("unhex", &[Param::Text], Returns::Bytes, unhex).nullable().doc(
        "UNHEX(string)",
        "the bytes that these hexadecimal digits stand for; NULL if they are none",
        "HEX(UNHEX('4142')) = '4142'",
    ),
    Spec::new("bin", &[Param::Integer], Returns::Text, bin).doc(
        "BIN(integer)",
        "the binary digits of an integer, in two's complement",
        "BIN(12) = '1100'",
    ),
];

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX_DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// The bytes of each row of a STRING or BYTES argument.
fn rows_of_bytes<'a>(array: &'a ArrayRef) -> impl Fn(usize) -> &'a [u8] {
    move |row| match array.data_type() {
        DataType::Binary => array.as_binary::<i32>().value(row),
        _ => array.as_string::<i32>().value(row).as_bytes(),
    }
}

fn to_base64(args: &Args<'_>) -> Result<ArrayRef> {
    let array = args.array(0)?;
    let bytes = rows_of_bytes(&array);
    texts(args.rows, args.nulls(), 0, |row, out| bytes(row).chunks(3).for_each(|group| encode_group(group, out)))
}

fn encode_group(group: &[u8], out: &mut Vec<u8>) {
    let word = (0..3).fold(0_usize, |word, nth| (word << 8) | usize::from(*group.get(nth).unwrap_or(&0)));
    for nth in 0..4 {
        let digit = ALPHABET[(word >> (18 - 6 * nth)) & 63];
        out.push(if nth <= group.len() { digit } else { b'=' });
    }
}

fn from_base64(args: &Args<'_>) -> Result<ArrayRef> {
    let text = args.text(0)?;
    let nulls = args.nulls();
    texts_or_null(args.rows, nulls.as_ref(), text.total_bytes(), |row, out| {
        let start = out.len();
        let valid = decode(text.at(row).as_bytes(), out) && std::str::from_utf8(&out[start..]).is_ok();
        if !valid {
            out.truncate(start);
        }
        valid
    })
}

/// Appends what a Base64 text stands for, with or without padding; false if it is none.
fn decode(text: &[u8], out: &mut Vec<u8>) -> bool {
    let padded = text.len() - text.iter().rev().take_while(|byte| **byte == b'=').count();
    if text.len() - padded > 2 || padded % 4 == 1 {
        return false;
    }
    for group in text[..padded].chunks(4) {
        let mut word = 0_u32;
        for byte in group {
            let Some(digit) = ALPHABET.iter().position(|letter| letter == byte) else { return false };
            word = (word << 6) | digit as u32;
        }
        let [_, bytes @ ..] = (word << (6 * (4 - group.len()))).to_be_bytes();
        out.extend_from_slice(&bytes[..group.len() - 1]);
    }
    true
}

fn hex(args: &Args<'_>) -> Result<ArrayRef> {
    let array = args.array(0)?;
    match array.data_type() {
        DataType::Utf8 | DataType::Binary => {
            let bytes = rows_of_bytes(&array);
            texts(args.rows, args.nulls(), 0, |row, out| {
                let digits = |byte: &u8| [HEX_DIGITS[usize::from(byte >> 4)], HEX_DIGITS[usize::from(byte & 15)]];
                bytes(row).iter().for_each(|byte| out.extend_from_slice(&digits(byte)));
            })
        }
        from if from.is_integer() => {
            let wide = arrow::compute::cast(&array, &DataType::Int64)?;
            let values = wide.as_primitive::<Int64Type>();
            texts(args.rows, args.nulls(), 0, |row, out| {
                out.extend_from_slice(format!("{:X}", values.value(row)).as_bytes());
            })
        }
        other => Err(args.fail("E304", &format!("{other} is neither an integer nor a string"))),
    }
}

fn unhex(args: &Args<'_>) -> Result<ArrayRef> {
    let text = args.text(0)?;
    let nulls = args.nulls();
    let mut out = BinaryBuilder::new();
    for row in 0..args.rows {
        let valid = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        out.append_option(if valid { bytes_of_hex(text.at(row)) } else { None });
    }
    Ok(Arc::new(out.finish()))
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<u32>>>()?;
    let (odd, pairs) = digits.split_at(digits.len() % 2);
    let pairs = pairs.chunks(2).map(|pair| (pair[0] << 4) | pair[1]);
    odd.iter().copied().chain(pairs).map(|byte| u8::try_from(byte).ok()).collect()
}

fn bin(args: &Args<'_>) -> Result<ArrayRef> {
    let values = args.integer(0)?;
    texts(args.rows, args.nulls(), 0, |row, out| out.extend_from_slice(format!("{:b}", values.at(row)).as_bytes()))
}
