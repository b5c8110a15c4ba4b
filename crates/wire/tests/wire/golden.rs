//! Bodies that Apache Kafka 4.4's own classes read and wrote again as the same bytes, in the versions that the
//! implementation of `other.rs` does not have.

use bytes::Bytes;
use fleuve_wire::{ApiKey, Reader, Request, Response, Writer};

const BODIES: &str = include_str!("kafka_4_4.txt");

fn unhex(text: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("two hexadecimal digits");
    (0..text.len()).step_by(2).map(byte).collect()
}

#[test]
fn newest_versions_are_the_bytes_of_kafka() {
    for line in BODIES.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, key, version, body] = words[..] else { panic!("{line}") };
        let api = ApiKey::from_i16(key.parse().expect("a number")).expect("a known API");
        let version = version.parse().expect("a number");
        let (mut reader, mut writer) = (Reader::new(unhex(body)), Writer::new());
        if kind == "request" {
            let message = Request::decode(api, version, &mut reader).expect("Kafka's bytes");
            message.encode(&mut writer, version).expect("what was decoded");
        } else {
            let message = Response::decode(api, version, &mut reader).expect("Kafka's bytes");
            message.encode(&mut writer, version).expect("what was decoded");
        }
        assert_eq!(reader.remaining(), 0, "{} {version}", api.name());
        assert_eq!(writer.into_bytes().expect("in memory"), unhex(body), "{} {version}", api.name());
    }
}
