//! The small pieces of generated code: names, types, conditions on the version.

use crate::table::{Field, Kind, Versions};

/// `LogStartOffset` as `log_start_offset`.
pub fn snake(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, character) in characters.iter().enumerate() {
        let before = index.checked_sub(1).map(|i| characters[i]);
        let after_small = before.is_some_and(|c| c.is_lowercase() || c.is_ascii_digit());
        let before_small = before.is_some() && characters.get(index + 1).is_some_and(|c| c.is_lowercase());
        if character.is_uppercase() && (after_small || before_small) {
            out.push('_');
        }
        out.extend(character.to_lowercase());
    }
    out
}

/// The name of the field in Rust.
pub fn field_name(field: &Field) -> String {
    let name = snake(&field.name);
    match name.as_str() {
        "type" | "match" => name + "_",
        _ => name,
    }
}

/// The type of the field in Rust.
pub fn field_type(field: &Field) -> String {
    let plain = type_of(&field.kind);
    if field.nullable.is_some() { format!("Option<{plain}>") } else { plain }
}

fn type_of(kind: &Kind) -> String {
    match kind {
        Kind::Array(element) => format!("Vec<{}>", type_of(element)),
        Kind::Struct(name) => name.clone(),
        Kind::Plain(name) => plain_type(name).to_owned(),
    }
}

/// Kafka's name of a type without parts, in Rust.
fn plain_type(name: &str) -> &'static str {
    match name {
        "bool" => "bool",
        "int8" => "i8",
        "int16" => "i16",
        "uint16" => "u16",
        "int32" => "i32",
        "uint32" => "u32",
        "int64" => "i64",
        "float64" => "f64",
        "uuid" => "crate::Uuid",
        "string" => "String",
        "bytes" | "records" => "::bytes::Bytes",
        "stored" => "crate::Stored",
        other => panic!("unknown type {other}"),
    }
}

/// The method of `Reader`, `Writer` and `Source` for a type without parts.
pub fn method(name: &str) -> &'static str {
    match name {
        "uuid" => "uuid",
        "string" => "string",
        "bytes" | "records" => "bytes",
        "stored" => "stored",
        scalar => plain_type(scalar),
    }
}

/// Whether the method takes the flag that lengths are varints.
pub fn has_length(name: &str) -> bool {
    matches!(name, "string" | "bytes" | "records" | "stored")
}

/// The default value.
pub fn default_of(field: &Field) -> String {
    let value = match (&field.kind, field.default.as_deref()) {
        (_, Some("null")) => return "None".to_owned(),
        (Kind::Plain(_), Some(value)) => value.to_owned(),
        (Kind::Plain(name), None) => match name.as_str() {
            "bool" => "false".to_owned(),
            "float64" => "0.0".to_owned(),
            "uuid" => "crate::Uuid::NIL".to_owned(),
            "string" => "String::new()".to_owned(),
            "bytes" | "records" => "::bytes::Bytes::new()".to_owned(),
            "stored" => "crate::Stored::default()".to_owned(),
            _ => "0".to_owned(),
        },
        (Kind::Array(_), _) => "Vec::new()".to_owned(),
        (Kind::Struct(name), _) => format!("{name}::default()"),
    };
    if field.nullable.is_some() { format!("Some({value})") } else { value }
}

/// Whether `#[derive(Default)]` gives the same.
pub fn default_is_natural(field: &Field) -> bool {
    match field.default.as_deref() {
        Some(value) => value == "null",
        None => field.nullable.is_none(),
    }
}

/// An expression that tells whether the field of `self` has another value than its default.
pub fn differs_from_default(field: &Field) -> String {
    let place = format!("self.{}", field_name(field));
    let has_length = match &field.kind {
        Kind::Plain(name) => has_length(name),
        Kind::Array(_) => true,
        Kind::Struct(_) => false,
    };
    match (field.nullable.is_some(), has_length, field.default.as_deref()) {
        (true, _, Some("null")) => format!("{place}.is_some()"),
        (true, true, _) => format!("!{place}.as_ref().is_some_and(|value| value.is_empty())"),
        (false, true, _) => format!("!{place}.is_empty()"),
        (false, false, Some("true")) => format!("!{place}"),
        (false, false, None) if matches!(&field.kind, Kind::Plain(name) if name == "bool") => place,
        _ => format!("{place} != {}", default_of(field)),
    }
}

/// The condition under which `version`, which lies in `outer`, lies in `inner`; none if it always does.
pub fn condition(inner: Versions, outer: Versions) -> Option<String> {
    match (inner.0 > outer.0, inner.1 < outer.1) {
        (false, false) => None,
        (true, false) => Some(format!("version >= {}", inner.0)),
        (false, true) => Some(format!("version <= {}", inner.1)),
        (true, true) => Some(format!("({}..={}).contains(&version)", inner.0, inner.1)),
    }
}

/// `version 3`, `versions 3 to 5`.
pub fn range(versions: Versions) -> String {
    match versions {
        Versions(first, last) if first == last => format!("version {first}"),
        Versions(first, last) => format!("versions {first} to {last}"),
    }
}

/// What the documentation says about a field.
pub fn field_docs(field: &Field, outer: Versions) -> String {
    let mut docs = format!("Kafka's `{}`", field.name);
    if field.versions != outer {
        docs += &format!(", {}", range(field.versions));
    }
    if let Some(nullable) = field.nullable {
        docs += ", nullable";
        if nullable != field.versions {
            docs += &format!(" in {}", range(nullable));
        }
    }
    if let Some(tag) = field.tag {
        docs += &format!(", tagged {tag}");
    }
    if let Some(default) = &field.default {
        docs += &format!(", default {default}");
    }
    if field.ignorable && field.versions != outer {
        docs += "; left out elsewhere";
    }
    docs + "."
}
