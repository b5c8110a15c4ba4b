//! How a topic's record is shown: along one of kcat's formats, or as JSON.

use std::io::{Result, Write};

use serde_json::{Value, json};

/// A record and where it stands.
pub struct Shown<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// Names and values of the headers.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl Shown<'_> {
    /// As kcat's `-J` has it, with the timestamp in ms since 1970. A value that is JSON stands there as such; what is not
    /// UTF-8 has replacement characters.
    pub fn to_json(&self) -> Value {
        let payload = self.value.map(|value| serde_json::from_slice(value).unwrap_or_else(|_| text(Some(value))));
        let mut shown = json!({"topic": self.topic, "partition": self.partition, "offset": self.offset,
            "ts": self.timestamp_ms, "key": text(self.key), "payload": payload});
        if !self.headers.is_empty() {
            let headers = self.headers.iter().flat_map(|(name, value)| [json!(name), text(*value)]);
            shown["headers"] = headers.collect();
        }
        shown
    }

    /// Along a kcat format.
    pub fn write(&self, format: &str, out: &mut dyn Write) -> Result<()> {
        let mut bytes = format.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => self.write_field(bytes.next(), out)?,
                b'\\' => match bytes.next() {
                    Some(b'n') => out.write_all(b"\n")?,
                    Some(b't') => out.write_all(b"\t")?,
                    Some(b'r') => out.write_all(b"\r")?,
                    Some(other) => out.write_all(&[b'\\', other])?,
                    None => out.write_all(b"\\")?,
                },
                byte => out.write_all(&[byte])?,
            }
        }
        Ok(())
    }

    fn write_field(&self, field: Option<u8>, out: &mut dyn Write) -> Result<()> {
        // As in kcat, what is null has the length -1.
        let length = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
        match field {
            Some(b't') => write!(out, "{}", self.topic),
            Some(b'p') => write!(out, "{}", self.partition),
            Some(b'o') => write!(out, "{}", self.offset),
            Some(b'T') => write!(out, "{}", self.timestamp_ms),
            Some(b'k') => out.write_all(self.key.unwrap_or_default()),
            Some(b'K') => write!(out, "{}", length(self.key)),
            Some(b'v' | b's') => out.write_all(self.value.unwrap_or_default()),
            Some(b'S') => write!(out, "{}", length(self.value)),
            Some(b'h') => self.write_headers(out),
            Some(b'%') => out.write_all(b"%"),
            Some(other) => out.write_all(&[b'%', other]),
            None => out.write_all(b"%"),
        }
    }

    fn write_headers(&self, out: &mut dyn Write) -> Result<()> {
        for (number, (name, value)) in self.headers.iter().enumerate() {
            write!(out, "{}{name}=", if number > 0 { "," } else { "" })?;
            out.write_all(value.unwrap_or(b"NULL"))?;
        }
        Ok(())
    }
}

fn text(bytes: Option<&[u8]>) -> Value {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_shown_as_kcat_shows_it() {
        let headers = vec![("trace", Some(&b"7"[..])), ("none", None)];
        let (key, value) = (None, Some(&b"{\"id\":1}"[..]));
        let shown = Shown { topic: "orders", partition: 2, offset: 41, timestamp_ms: 99, key, value, headers };
        let mut out = Vec::new();
        shown.write("%t/%p@%o %T %K:%k %S:%s %h %%\\n", &mut out).expect("a vector takes all");
        assert_eq!(out, b"orders/2@41 99 -1: 8:{\"id\":1} trace=7,none=NULL %\n");
        let json = shown.to_json();
        assert_eq!((&json["payload"]["id"], &json["key"], &json["headers"][1]), (&1.into(), &Value::Null, &"7".into()));
    }
}
