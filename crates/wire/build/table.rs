//! The tables: one file per API, a line per field.
//!
//! ```text
//! api 1 Fetch
//!
//! request 4-18, flexible 12+            the versions; from 12 on lengths are varints and there are tagged fields
//!   ClusterId string 12+, tag 0, nullable, default null, ignorable
//!   Topics    []FetchTopic              no versions: those of what the field lies in
//!     Topic   string 4-12, ignorable    the fields of the struct that the line above names
//!
//! response 4-18, flexible 12+
//!   Nodes     []Node 3+
//!   struct Node                         a struct that several fields name
//!     Port    uint16
//! ```
//!
//! Attributes: versions (`3`, `3-5`, `3+`), `tag N`, `nullable` (with versions if not in all of the field's),
//! `default VALUE`, `ignorable` (a value may be lost where the version lacks the field; others are refused).
//! `data NAME 0-3` instead of `api` begins a message that has no key of its own.

/// One file.
pub struct Table {
    /// The API's key and name; none for plain data.
    pub api: Option<(i16, String)>,
    /// A request and a response, or one message.
    pub messages: Vec<Schema>,
}

/// One message.
pub struct Schema {
    /// Kafka's name, for example `FetchRequest`.
    pub name: String,
    pub versions: Versions,
    /// The first flexible version.
    pub flexible: Option<i16>,
    /// The message itself, then what it contains.
    pub structs: Vec<Struct>,
}

/// The message or one of the structs in it.
pub struct Struct {
    pub name: String,
    pub versions: Versions,
    pub fields: Vec<Field>,
}

/// One field.
pub struct Field {
    pub name: String,
    pub kind: Kind,
    pub versions: Versions,
    pub nullable: Option<Versions>,
    pub tag: Option<u32>,
    pub default: Option<String>,
    pub ignorable: bool,
}

/// First and last version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Versions(pub i16, pub i16);

/// A field's type.
#[derive(Clone)]
pub enum Kind {
    /// Kafka's name of a scalar, `string`, `bytes` or `records`; `stored` for records that may lie in a file.
    Plain(String),
    Struct(String),
    Array(Box<Kind>),
}

impl Schema {
    /// The struct of this name.
    pub fn find(&self, name: &str) -> &Struct {
        self.structs.iter().find(|s| s.name == name).expect("parse has checked every name")
    }
}

/// The table in `text`; an error begins with the line's number.
pub fn parse(text: &str) -> Result<Table, String> {
    let mut table = Table { api: None, messages: vec![] };
    let mut open: Vec<usize> = vec![];
    for (index, line) in text.lines().enumerate() {
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let depth = (line.len() - content.len()) / 2;
        parse_line(&mut table, &mut open, depth, content).map_err(|problem| format!("{}: {problem}", index + 1))?;
    }
    for schema in &mut table.messages {
        drop_references(schema);
        check_names(schema)?;
    }
    if table.messages.is_empty() { Err("1: no message".to_owned()) } else { Ok(table) }
}

/// A field that names a struct of further down has left an empty one behind.
fn drop_references(schema: &mut Schema) {
    let message = schema.name.clone();
    schema.structs.retain(|s| !s.fields.is_empty() || s.name == message);
}

fn check_names(schema: &Schema) -> Result<(), String> {
    let kinds = schema.structs.iter().flat_map(|s| &s.fields).map(|field| field.kind.innermost());
    for kind in kinds {
        if let Kind::Struct(name) = kind
            && !schema.structs.iter().any(|s| s.name == *name)
        {
            return Err(format!("1: {} has no struct {name}", schema.name));
        }
    }
    Ok(())
}

/// `open` holds the struct that the fields of each depth belong to.
fn parse_line(table: &mut Table, open: &mut Vec<usize>, depth: usize, content: &str) -> Result<(), String> {
    let (first, rest) = content.split_once(' ').ok_or("a word is missing")?;
    if depth == 0 {
        *open = vec![0];
        return parse_head(table, first, rest);
    }
    let schema = table.messages.last_mut().ok_or("a field before its message")?;
    open.truncate(depth);
    if first == "struct" {
        *open = vec![0, schema.structs.len()];
        schema.structs.push(Struct { name: rest.to_owned(), versions: schema.versions, fields: vec![] });
        return Ok(());
    }
    let parent = *open.get(depth - 1).ok_or("indented too deep")?;
    let field = parse_field(first, rest.trim(), schema.structs[parent].versions)?;
    if let Kind::Struct(name) = field.kind.innermost() {
        open.push(schema.structs.len());
        schema.structs.push(Struct { name: name.clone(), versions: field.versions, fields: vec![] });
    }
    schema.structs[parent].fields.push(field);
    Ok(())
}

fn parse_head(table: &mut Table, first: &str, rest: &str) -> Result<(), String> {
    let (name, versions) = match first {
        "api" => {
            let (key, name) = rest.split_once(' ').ok_or("api KEY NAME")?;
            table.api = Some((key.parse().map_err(|_| "the key is no number")?, name.to_owned()));
            return Ok(());
        }
        "data" => rest.split_once(' ').map(|(name, rest)| (name.to_owned(), rest)).ok_or("data NAME VERSIONS")?,
        "request" | "response" => {
            let (_, api) = table.api.as_ref().ok_or("no `api` above")?;
            (format!("{api}{}{}", first[..1].to_uppercase(), &first[1..]), rest)
        }
        other => return Err(format!("unknown word {other}")),
    };
    let (versions, flexible) = versions.split_once(", flexible ").unwrap_or((versions, ""));
    let all = Versions(0, i16::MAX);
    let versions = parse_versions(versions, all).ok_or("wrong versions")?;
    let flexible = parse_versions(flexible, all).map(|versions| versions.0);
    let body = Struct { name: name.clone(), versions, fields: vec![] };
    table.messages.push(Schema { name, versions, flexible, structs: vec![body] });
    Ok(())
}

fn parse_field(name: &str, rest: &str, parent: Versions) -> Result<Field, String> {
    let (kind, attributes) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut field = Field {
        name: name.to_owned(),
        kind: Kind::parse(kind),
        versions: parent,
        nullable: None,
        tag: None,
        default: None,
        ignorable: false,
    };
    for attribute in attributes.split(',').map(str::trim).filter(|a| !a.is_empty()) {
        let (word, value) = attribute.split_once(' ').unwrap_or((attribute, ""));
        match word {
            "tag" => field.tag = Some(value.parse().map_err(|_| "wrong tag")?),
            "nullable" if value.is_empty() => field.nullable = Some(field.versions),
            "nullable" => field.nullable = Some(parse_versions(value, field.versions).ok_or("wrong versions")?),
            "default" => field.default = Some(value.to_owned()),
            "ignorable" => field.ignorable = true,
            _ => field.versions = parse_versions(word, parent).ok_or_else(|| format!("unknown attribute {word}"))?,
        }
    }
    Ok(field)
}

/// `3`, `3-5` or `3+`, the last up to the end of `within`.
fn parse_versions(text: &str, within: Versions) -> Option<Versions> {
    if let Some(first) = text.strip_suffix('+') {
        return Some(Versions(first.parse().ok()?, within.1));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(Versions(first.parse().ok()?, last.parse().ok()?))
}

impl Kind {
    fn parse(text: &str) -> Kind {
        match text.strip_prefix("[]") {
            Some(element) => Kind::Array(Box::new(Kind::parse(element))),
            None if text.starts_with(char::is_uppercase) => Kind::Struct(text.to_owned()),
            None => Kind::Plain(text.to_owned()),
        }
    }

    fn innermost(&self) -> &Kind {
        match self {
            Kind::Array(element) => element.innermost(),
            other => other,
        }
    }
}
