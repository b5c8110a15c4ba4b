//! The module of one message: its structs, and how each is decoded, encoded and made up.

use crate::emit::{
    condition, default_is_natural, default_of, differs_from_default, field_docs, field_name, field_type, has_length,
    method, range, snake,
};
use crate::table::{Field, Kind, Schema, Struct, Versions};

/// The source of the module.
pub fn module(schema: &Schema) -> String {
    let structs: Vec<String> = schema.structs.iter().map(|s| Generator { schema, item: s }.source()).collect();
    let (name, all, flexible) = (&schema.name, schema.versions, schema.flexible);
    let flexible_docs = match flexible {
        Some(first) => format!("flexible from version {first}"),
        None => "never flexible".to_owned(),
    };
    format!(
        "/// `{name}`, {}, {flexible_docs}.\npub mod {} {{\n{}\nimpl {name} {{
    /// The versions that exist.
    pub const VERSIONS: std::ops::RangeInclusive<i16> = {}..={};
    /// The first version with varint lengths and tagged fields.
    pub const FLEXIBLE_FROM: Option<i16> = {flexible:?};
}}\n}}\n",
        range(all),
        snake(name),
        structs.join("\n"),
        all.0,
        all.1,
    )
}

struct Generator<'a> {
    schema: &'a Schema,
    item: &'a Struct,
}

impl Generator<'_> {
    fn source(&self) -> String {
        [self.definition(), self.default(), self.message(), self.arbitrary()].join("\n")
    }

    fn definition(&self) -> String {
        let mut fields = String::new();
        for field in &self.item.fields {
            let docs = field_docs(field, self.item.versions);
            fields += &format!("    /// {docs}\n    pub {}: {},\n", field_name(field), field_type(field));
        }
        let derive = if self.natural_default() { ", Default" } else { "" };
        let docs = if self.item.name == self.schema.name {
            format!("Kafka's `{}`.", self.item.name)
        } else {
            format!("Kafka's `{}`, a part of `{}`.", self.item.name, self.schema.name)
        };
        format!(
            "/// {docs}\n#[derive(Debug, Clone, PartialEq{derive})]\npub struct {} {{\n{fields}}}\n",
            self.item.name
        )
    }

    fn natural_default(&self) -> bool {
        self.item.fields.iter().all(default_is_natural)
    }

    fn default(&self) -> String {
        if self.natural_default() {
            return String::new();
        }
        let fields = self.literal(self.item.fields.iter(), default_of);
        format!("impl Default for {} {{ fn default() -> Self {{ Self {{ {fields} }} }} }}\n", self.item.name)
    }

    /// `name: value, …` in the order of the wire.
    fn literal<'f>(&self, fields: impl Iterator<Item = &'f Field>, value: impl Fn(&Field) -> String) -> String {
        fields.map(|field| format!("{}: {},\n", field_name(field), value(field))).collect()
    }

    fn message(&self) -> String {
        let (decode, encode) = (self.decode(), self.encode());
        let flexible = |body: &str| match body.contains("flexible") {
            true => format!("let flexible = {};\n", self.flexible()),
            false => String::new(),
        };
        format!(
            "#[allow(unused_variables)]\nimpl crate::Message for {} {{
    fn decode(reader: &mut crate::Reader, version: i16) -> Result<Self, crate::DecodeError> {{\n{}{decode}}}
    fn encode(&self, writer: &mut crate::Writer, version: i16) -> Result<(), crate::EncodeError> {{\n{}{encode}Ok(())\n}}
}}\n",
            self.item.name,
            flexible(&decode),
            flexible(&encode),
        )
    }

    /// The expression that tells whether `version` is flexible.
    fn flexible(&self) -> String {
        match self.schema.flexible {
            Some(first) if first <= self.item.versions.0 => "true".to_owned(),
            Some(first) if first <= self.item.versions.1 => format!("version >= {first}"),
            _ => "false".to_owned(),
        }
    }

    fn tagged(&self) -> impl Iterator<Item = &Field> {
        let mut fields: Vec<&Field> = self.item.fields.iter().filter(|field| field.tag.is_some()).collect();
        fields.sort_by_key(|field| field.tag);
        fields.into_iter()
    }

    // Decoding.

    fn decode(&self) -> String {
        let fields = self.literal(self.item.fields.iter(), |field| match field.tag {
            Some(_) => default_of(field),
            None => self.when_present(field, decode_field(self.schema, field)),
        });
        if self.schema.flexible.is_none() {
            return format!("Ok(Self {{ {fields} }})\n");
        }
        let arms: String = self.tagged().map(|field| self.decode_tagged(field)).collect();
        if arms.is_empty() {
            return format!(
                "let value = Self {{ {fields} }};\nif flexible {{ reader.skip_tagged_fields()?; }}\nOk(value)\n"
            );
        }
        format!(
            "let mut value = Self {{ {fields} }};
if flexible {{
    reader.tagged_fields(|reader, tag| {{
        match tag {{ {arms} _ => return Ok(false), }}
        Ok(true)
    }})?;
}}
Ok(value)\n"
        )
    }

    fn decode_tagged(&self, field: &Field) -> String {
        let tag = field.tag.expect("only tagged fields come here");
        let guard = condition(field.versions, self.item.versions).map(|c| format!(" if {c}")).unwrap_or_default();
        format!("{tag}{guard} => value.{} = {},\n", field_name(field), decode_field(self.schema, field))
    }

    fn when_present(&self, field: &Field, value: String) -> String {
        match condition(field.versions, self.item.versions) {
            Some(condition) => format!("if {condition} {{ {value} }} else {{ {} }}", default_of(field)),
            None => value,
        }
    }

    // Encoding.

    fn encode(&self) -> String {
        let mut out: String = self.item.fields.iter().map(|field| self.encode_or_refuse(field)).collect();
        if self.schema.flexible.is_none() {
            return out;
        }
        let tagged: Vec<&Field> = self.tagged().collect();
        out += &tagged.iter().map(|field| self.has_tagged(field)).collect::<String>();
        let counts: Vec<String> = tagged.iter().map(|f| format!("usize::from(has_{})", field_name(f))).collect();
        let count = if counts.is_empty() { "0".to_owned() } else { counts.join(" + ") };
        let values: String = tagged.iter().map(|field| encode_tagged(field)).collect();
        out + &format!("if flexible {{ writer.tagged_count({count});\n{values} }}\n")
    }

    /// Encodes an ordinary field where it exists; where it does not, refuses a value that would be lost.
    fn encode_or_refuse(&self, field: &Field) -> String {
        let present = condition(field.versions, self.item.versions);
        let lost = differs_from_default(field);
        let error = format!("crate::EncodeError::no_such_field(\"{}.{}\", version)", self.item.name, field.name);
        let refuse = format!("{{ return Err({error}); }}\n");
        let value = encode_field(self.item, field);
        match (present, field.tag.is_some(), field.ignorable) {
            (None, true, _) | (_, true, true) => String::new(),
            (None, false, _) => value,
            (Some(condition), true, false) => format!("if !({condition}) && {lost} {refuse}"),
            (Some(condition), false, true) => format!("if {condition} {{ {value} }}\n"),
            (Some(condition), false, false) => format!("if {condition} {{ {value} }} else if {lost} {refuse}"),
        }
    }

    fn has_tagged(&self, field: &Field) -> String {
        let present = condition(field.versions, self.item.versions).map(|c| c + " && ").unwrap_or_default();
        format!("let has_{} = {present}{};\n", field_name(field), differs_from_default(field))
    }

    // Values for tests.

    fn arbitrary(&self) -> String {
        let fields = self.literal(self.item.fields.iter(), |field| self.when_present(field, arbitrary_field(field)));
        format!(
            "#[cfg(feature = \"arbitrary\")]\n#[allow(unused_variables)]\nimpl crate::Arbitrary for {} {{
    fn arbitrary(source: &mut crate::Source, version: i16) -> Self {{ Self {{ {fields} }} }}\n}}\n",
            self.item.name
        )
    }
}

/// The condition under which a field that is present may be null; none if always.
fn may_be_null(field: &Field) -> Option<String> {
    field.nullable.and_then(|nullable| condition(nullable, field.versions))
}

fn decode_field(schema: &Schema, field: &Field) -> String {
    let nullable = if field.nullable.is_some() { "nullable_" } else { "" };
    let value = match &field.kind {
        Kind::Plain(name) if has_length(name) => format!("reader.{nullable}{}(flexible)?", method(name)),
        Kind::Plain(name) => format!("reader.{}()?", method(name)),
        Kind::Struct(_) if field.nullable.is_some() => "reader.nullable_struct(version)?".to_owned(),
        Kind::Struct(_) => "crate::Message::decode(reader, version)?".to_owned(),
        Kind::Array(element) => {
            let bytes_min = bytes_min(schema, element, field.versions).max(1);
            let item = match &**element {
                Kind::Plain(name) if has_length(name) => format!("|reader| reader.{}(flexible)", method(name)),
                Kind::Plain(name) => format!("crate::Reader::{}", method(name)),
                Kind::Struct(_) => "|reader| crate::Message::decode(reader, version)".to_owned(),
                Kind::Array(_) => panic!("{}: no arrays of arrays", field.name),
            };
            format!("reader.{nullable}array(flexible, {bytes_min}, {item})?")
        }
    };
    match may_be_null(field) {
        Some(condition) => format!("{{ let value = {value}; reader.null_only_if({condition}, value)? }}"),
        None => value,
    }
}

fn encode_field(item: &Struct, field: &Field) -> String {
    let place = format!("self.{}", field_name(field));
    let value = match (&field.kind, field.nullable.is_some()) {
        (Kind::Plain(name), false) if has_length(name) => format!("writer.{}(&{place}, flexible)?;\n", method(name)),
        (Kind::Plain(name), true) if name == "string" => {
            format!("writer.nullable_string({place}.as_deref(), flexible)?;\n")
        }
        (Kind::Plain(name), true) => format!("writer.nullable_{}({place}.as_ref(), flexible)?;\n", method(name)),
        (Kind::Plain(name), false) => format!("writer.{}({place});\n", method(name)),
        (Kind::Struct(_), true) => format!("writer.nullable_struct({place}.as_ref(), version)?;\n"),
        (Kind::Struct(_), false) => format!("crate::Message::encode(&{place}, writer, version)?;\n"),
        (Kind::Array(element), nullable) => {
            let write = encode_element(element);
            match nullable {
                true => format!("writer.nullable_array({place}.as_deref(), flexible, {write})?;\n"),
                false => format!("writer.array(&{place}, flexible, {write})?;\n"),
            }
        }
    };
    match may_be_null(field) {
        Some(condition) => format!(
            "if {place}.is_none() && !({condition}) {{ return Err(crate::EncodeError::null(\"{}.{}\", version)); }}\n{value}",
            item.name, field.name
        ),
        None => value,
    }
}

fn encode_element(element: &Kind) -> String {
    match element {
        Kind::Plain(name) if has_length(name) => format!("|writer, item| writer.{}(item, flexible)", method(name)),
        Kind::Plain(name) => format!("|writer, item| {{ writer.{}(*item); Ok(()) }}", method(name)),
        _ => "|writer, item| crate::Message::encode(item, writer, version)".to_owned(),
    }
}

fn encode_tagged(field: &Field) -> String {
    let name = field_name(field);
    let tag = field.tag.expect("only tagged fields come here");
    let nothing = Struct { name: String::new(), versions: field.versions, fields: vec![] };
    let value = encode_field(&nothing, field);
    format!("if has_{name} {{ writer.tagged({tag}, |writer| {{ {value} Ok(()) }})?; }}\n")
}

fn arbitrary_field(field: &Field) -> String {
    let value = match &field.kind {
        Kind::Plain(name) => format!("source.{}()", method(name)),
        Kind::Struct(_) => "crate::Arbitrary::arbitrary(source, version)".to_owned(),
        Kind::Array(element) => match &**element {
            Kind::Plain(name) => format!("source.array(crate::Source::{})", method(name)),
            _ => "source.array(|source| crate::Arbitrary::arbitrary(source, version))".to_owned(),
        },
    };
    match (field.nullable, may_be_null(field)) {
        (None, _) => value,
        (Some(_), None) => format!("source.nullable(true, |source| {value})"),
        (Some(_), Some(condition)) => format!("source.nullable({condition}, |source| {value})"),
    }
}

/// The least number of bytes that a value takes in any of `versions`.
fn bytes_min(schema: &Schema, kind: &Kind, versions: Versions) -> usize {
    let flexible_from = schema.flexible.unwrap_or(i16::MAX);
    let may_be_flexible = flexible_from <= versions.1;
    match kind {
        Kind::Plain(name) => match name.as_str() {
            "bool" | "int8" => 1,
            "int16" | "uint16" => 2,
            "int32" | "uint32" => 4,
            "int64" | "float64" => 8,
            "uuid" => 16,
            _ if may_be_flexible => 1,
            "string" => 2,
            _ => 4,
        },
        Kind::Array(_) if may_be_flexible => 1,
        Kind::Array(_) => 4,
        Kind::Struct(name) => {
            let item = schema.find(name);
            let always = |field: &&Field| condition(field.versions, item.versions).is_none() && field.tag.is_none();
            let field_bytes = |field: &Field| match (&field.kind, field.nullable) {
                (Kind::Struct(_), Some(_)) => 1,
                (kind, _) => bytes_min(schema, kind, versions),
            };
            let tags = usize::from(flexible_from <= versions.0);
            item.fields.iter().filter(always).map(field_bytes).sum::<usize>() + tags
        }
    }
}
