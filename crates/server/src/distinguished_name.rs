//! A certificate's subject as Java prints it (RFC 2253), since that is what Kafka calls the client of a mutual TLS
//! connection: `CN=alice,OU=Orders,O=Example,C=DE`.
//!
//! The name lies in DER (X.690): a sequence of sets of pairs of attribute type and value. RFC 2253 prints the last one
//! first, the ten types of its table by keyword, all others by number with the value's bytes.

use std::fmt::Write as _;

/// Bytes of a name that are looked at; a longer one is no principal.
const NAME_BYTES_MAX: usize = 4096;

/// Tags of DER.
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const TELETEX_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// The attribute types that have a keyword, by the bytes of their number.
const KEYWORDS: [(&[u8], &str); 9] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

/// Prints a name, given the content of its outer sequence. `None` if it is malformed or too long.
pub(crate) fn print(mut name: &[u8]) -> Option<String> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut parts = vec![];
    while !name.is_empty() {
        parts.push(relative_name(take(&mut name, SET)?.1)?);
    }
    parts.reverse();
    Some(parts.join(","))
}

/// One or more attributes that name the same level.
fn relative_name(mut set: &[u8]) -> Option<String> {
    let mut attributes = vec![];
    while !set.is_empty() {
        let mut pair = take(&mut set, SEQUENCE)?.1;
        let kind = take(&mut pair, OBJECT_IDENTIFIER)?.1;
        let whole = pair;
        let (tag, content) = take_any(&mut pair)?;
        attributes.push(attribute(kind, tag, content, whole)?);
    }
    Some(attributes.join("+"))
}

fn attribute(kind: &[u8], tag: u8, content: &[u8], whole: &[u8]) -> Option<String> {
    let keyword = KEYWORDS.iter().find(|(number, _)| *number == kind).map(|(_, keyword)| *keyword);
    match (keyword, text(tag, content)) {
        (Some(keyword), Some(value)) => Some(format!("{keyword}={}", escaped(&value))),
        (Some(keyword), None) => Some(format!("{keyword}=#{}", hexadecimal(whole))),
        (None, _) => Some(format!("{}=#{}", dotted(kind)?, hexadecimal(whole))),
    }
}

/// The string types of X.520; `None` for others.
fn text(tag: u8, content: &[u8]) -> Option<String> {
    match tag {
        UTF8_STRING | PRINTABLE_STRING | IA5_STRING => String::from_utf8(content.to_vec()).ok(),
        TELETEX_STRING => Some(content.iter().map(|byte| char::from(*byte)).collect()),
        BMP_STRING => {
            let units = content.chunks(2).map(|unit| Some(u16::from_be_bytes(unit.try_into().ok()?)));
            String::from_utf16(&units.collect::<Option<Vec<u16>>>()?).ok()
        }
        UNIVERSAL_STRING => {
            let units = content.chunks(4).map(|unit| char::from_u32(u32::from_be_bytes(unit.try_into().ok()?)));
            units.collect()
        }
        _ => None,
    }
}

fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (at, c) in value.chars().enumerate() {
        let special = matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (at == 0 && matches!(c, '#' | ' '))
            || (at == last && c == ' ');
        if special {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// An attribute type's number with dots. Its first two arcs share the first number.
fn dotted(kind: &[u8]) -> Option<String> {
    let (mut arcs, mut arc) = (vec![], 0u64);
    for byte in kind {
        arc = arc.checked_mul(128)? + u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            arcs.push(std::mem::take(&mut arc));
        }
    }
    let first = *arcs.first()?;
    let root = (first / 40).min(2);
    let rest = arcs[1..].iter().fold(String::new(), |out, arc| format!("{out}.{arc}"));
    Some(format!("{root}.{}{rest}", first - root * 40))
}

fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<(u8, &'a [u8])> {
    take_any(input).filter(|(found, _)| *found == tag)
}

/// Takes one value; lengths of up to two bytes are enough for [`NAME_BYTES_MAX`].
fn take_any<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (length, header) = match **input {
        [_, length, ..] if length < 0x80 => (usize::from(length), 2),
        [_, 0x81, length, ..] => (usize::from(length), 3),
        [_, 0x82, high, low, ..] => (usize::from(u16::from_be_bytes([high, low])), 4),
        _ => return None,
    };
    let tag = input[0];
    let content = input.get(header..header + length)?;
    *input = &input[header + length..];
    Some((tag, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The subject of a certificate that is made from these attributes, in this order.
    fn subject(attributes: &[(rcgen::DnType, &str)]) -> String {
        let mut parameters = rcgen::CertificateParams::new(vec![]).expect("no names");
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in attributes {
            parameters.distinguished_name.push(kind.clone(), *value);
        }
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let parsed = webpki::EndEntityCert::try_from(certificate.der()).expect("is one");
        print(parsed.subject()).expect("a name")
    }

    #[test]
    fn the_last_attribute_is_printed_first() {
        use rcgen::DnType::{CommonName, CountryName, OrganizationName, OrganizationalUnitName};
        let attributes = [
            (CountryName, "DE"),
            (OrganizationName, "Example, Inc."),
            (OrganizationalUnitName, "Orders"),
            (CommonName, " alice#"),
        ];
        assert_eq!(subject(&attributes), r"CN=\ alice#,OU=Orders,O=Example\, Inc.,C=DE");
    }

    #[test]
    fn a_type_without_keyword_is_printed_by_number() {
        let email = rcgen::DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
        assert_eq!(subject(&[(email, "a")]), "1.2.840.113549.1.9.1=#0c0161");
    }

    #[test]
    fn several_attributes_of_one_level_are_joined() {
        let pair = |kind: u8, value: u8| [SEQUENCE, 8, OBJECT_IDENTIFIER, 3, 0x55, 4, kind, PRINTABLE_STRING, 1, value];
        let set = [&[SET, 20][..], &pair(3, b'a'), &pair(11, b'b')].concat();
        assert_eq!(print(&set).as_deref(), Some("CN=a+OU=b"));
    }

    #[test]
    fn malformed_names_are_none() {
        for wrong in [&[SET][..], &[SET, 5, SEQUENCE], &[SEQUENCE, 0], &[SET, 2, SEQUENCE, 9], &[SET, 0x83, 0, 0, 1, 0]]
        {
            assert_eq!(print(wrong), None, "{wrong:?}");
        }
        assert_eq!(print(&vec![0; NAME_BYTES_MAX + 1]), None);
        assert_eq!(text(BMP_STRING, &[0, b'a', 0]), None);
    }
}
