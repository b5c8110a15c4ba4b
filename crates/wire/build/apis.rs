//! What ranges over all APIs: `ApiKey`, `Request`, `Response`.

use crate::emit::{range, snake};
use crate::table::{Schema, Table, Versions};

/// One API.
struct Api<'a> {
    key: i16,
    name: &'a str,
    request: &'a Schema,
    response: &'a Schema,
}

/// The source of the three enums.
pub fn source(tables: &[Table]) -> String {
    let apis: Vec<Api<'_>> = tables.iter().filter_map(api).collect();
    let request = messages_enum("Request", "A request: what a client sends.", &apis);
    let response = messages_enum("Response", "A response: what a broker answers.", &apis);
    [api_key(&apis), request, response, throttle(&apis)].join("\n")
}

/// Where responses tell for how long a client is left alone.
fn throttle(apis: &[Api<'_>]) -> String {
    let tells = |api: &Api<'_>| api.response.find(&api.response.name).fields.iter().any(|f| f.name == "ThrottleTimeMs");
    let arms = each(apis, |api| match tells(api) {
        true => format!("Response::{}(message) => Some(&mut message.throttle_time_ms),\n", api.name),
        false => format!("Response::{}(_) => None,\n", api.name),
    });
    format!(
        "impl Response {{
    /// Milliseconds for which the client's further requests wait since it is over a quota; `None` in a response that has no
    /// place for them. Versions without the field leave it out.
    pub fn throttle_time_ms_mut(&mut self) -> Option<&mut i32> {{ match self {{ {arms} }} }}
}}
"
    )
}

fn api(table: &Table) -> Option<Api<'_>> {
    let (key, name) = table.api.as_ref()?;
    let [request, response] = &table.messages[..] else { panic!("{name}: not a request and a response") };
    assert!(request.versions == response.versions, "{name}: request and response differ in versions");
    Some(Api { key: *key, name, request, response })
}

/// A line for every API.
fn each(apis: &[Api<'_>], line: impl Fn(&Api<'_>) -> String) -> String {
    apis.iter().map(line).collect()
}

fn api_key(apis: &[Api<'_>]) -> String {
    let variants =
        each(apis, |api| format!("/// {}, {}.\n{} = {},\n", api.key, range(api.request.versions), api.name, api.key));
    let all = each(apis, |api| format!("ApiKey::{},", api.name));
    let from = each(apis, |api| format!("{} => ApiKey::{},\n", api.key, api.name));
    let names = each(apis, |api| format!("ApiKey::{0} => \"{0}\",\n", api.name));
    let versions = each(apis, |api| {
        let Versions(first, last) = api.request.versions;
        format!("ApiKey::{} => {first}..={last},\n", api.name)
    });
    let flexible = each(apis, |api| format!("ApiKey::{} => {:?},\n", api.name, api.request.flexible));
    format!(
        "/// The APIs of the protocol that this crate knows, by Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum ApiKey {{ {variants} }}

impl ApiKey {{
    /// All of them, by number.
    pub const ALL: &'static [ApiKey] = &[{all}];

    /// The API of this number, if it is known here.
    pub fn from_i16(key: i16) -> Option<ApiKey> {{ Some(match key {{ {from} _ => return None }}) }}

    /// The number on the wire.
    pub fn to_i16(self) -> i16 {{ self as i16 }}

    /// Kafka's name, for example `Produce`.
    pub fn name(self) -> &'static str {{ match self {{ {names} }} }}

    /// The versions that this crate decodes and encodes.
    pub fn versions(self) -> std::ops::RangeInclusive<i16> {{ match self {{ {versions} }} }}

    /// The first version with varint lengths and tagged fields.
    pub fn flexible_from(self) -> Option<i16> {{ match self {{ {flexible} }} }}
}}
"
    )
}

/// `Request` or `Response`.
fn messages_enum(kind: &str, docs: &str, apis: &[Api<'_>]) -> String {
    let path = |api: &Api<'_>| {
        let schema = if kind == "Request" { api.request } else { api.response };
        format!("crate::messages::{}::{}", snake(&schema.name), schema.name)
    };
    let variants = each(apis, |api| format!("/// Of API {}.\n{}({}),\n", api.key, api.name, path(api)));
    let keys = each(apis, |api| format!("{kind}::{0}(_) => ApiKey::{0},\n", api.name));
    let decode =
        each(apis, |api| format!("ApiKey::{0} => {kind}::{0}(crate::Message::decode(reader, version)?),\n", api.name));
    let encode = each(apis, |api| {
        format!("{kind}::{}(message) => crate::Message::encode(message, writer, version),\n", api.name)
    });
    let arbitrary = each(apis, |api| {
        format!("ApiKey::{0} => {kind}::{0}(crate::Arbitrary::arbitrary(source, version)),\n", api.name)
    });
    let from = each(apis, |api| {
        format!(
            "impl From<{0}> for {kind} {{ fn from(message: {0}) -> Self {{ {kind}::{1}(message) }} }}\n",
            path(api),
            api.name
        )
    });
    format!(
        "/// {docs}
#[derive(Debug, Clone, PartialEq)]
pub enum {kind} {{ {variants} }}

impl {kind} {{
    /// The API that it belongs to.
    pub fn api_key(&self) -> ApiKey {{ match self {{ {keys} }} }}

    /// Decodes the body in a version that [`ApiKey::versions`] contains; another one is an error.
    pub fn decode(api: ApiKey, version: i16, reader: &mut crate::Reader) -> Result<Self, crate::DecodeError> {{
        crate::header::check_version(api, version)?;
        Ok(match api {{ {decode} }})
    }}

    /// Encodes the body in a version that [`ApiKey::versions`] contains; another one is an error.
    pub fn encode(&self, writer: &mut crate::Writer, version: i16) -> Result<(), crate::EncodeError> {{
        if !self.api_key().versions().contains(&version) {{
            return Err(crate::EncodeError::no_such_version(self.api_key(), version));
        }}
        match self {{ {encode} }}
    }}

    /// A made-up message with nothing that the version cannot express.
    #[cfg(feature = \"arbitrary\")]
    pub fn arbitrary(api: ApiKey, version: i16, source: &mut crate::Source) -> Self {{
        match api {{ {arbitrary} }}
    }}
}}

{from}"
    )
}
