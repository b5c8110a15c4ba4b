//! What `__security` holds: users, access rules, limits, byte by byte (docs/internals/broker.md).
//!
//! Keys begin with a byte for their kind, values with a byte for their version. Numbers are little-endian.

use bytes::{BufMut, Bytes, BytesMut};
use fleuve_base::{Error, Result};

use super::acl::{AclBinding, Operation, PatternType, Permission, ResourceType};
use super::quota::{QuotaEntity, QuotaKey, QuotaLimits, QuotaName};
use super::scram::{ScramCredential, ScramMechanism};
use crate::state_topic::Entry;

/// The topic.
pub const SECURITY_TOPIC: &str = "__security";

const CREDENTIAL: u8 = 1;
const ACL: u8 = 2;
const QUOTA: u8 = 3;
const MOCK_SECRET: u8 = 4;

const VERSION: u8 = 1;

const ABSENT: u8 = 0;
const DEFAULT: u8 = 1;
const NAMED: u8 = 2;

/// One entry of the topic; what is `None` was removed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stored {
    Credential { user: String, mechanism: ScramMechanism, credential: Option<ScramCredential> },
    Acl { acl: AclBinding, there: bool },
    Quota { entity: QuotaEntity, limits: QuotaLimits },
    MockSecret(Bytes),
}

impl Stored {
    /// The record that says so.
    pub(super) fn encode(&self) -> Entry {
        match self {
            Stored::Credential { user, mechanism, credential } => {
                (credential_key(user, *mechanism), credential.as_ref().map(credential_value))
            }
            Stored::Acl { acl, there } => (acl_key(acl), there.then(|| Bytes::from_static(&[VERSION]))),
            Stored::Quota { entity, limits } => (quota_key(entity), (!limits.is_empty()).then(|| quota_value(limits))),
            Stored::MockSecret(secret) => {
                let value = [&[VERSION][..], secret].concat();
                (Bytes::from_static(&[MOCK_SECRET]), Some(Bytes::from(value)))
            }
        }
    }

    /// What a record says; the error names what cannot be read.
    pub(super) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self> {
        let mut key = Reader(key);
        let mut value = match value {
            Some([VERSION, rest @ ..]) => Some(Reader(rest)),
            Some(_) => return Err(damaged("a value has an unknown version")),
            None => None,
        };
        let decoded = match key.byte()? {
            CREDENTIAL => decode_credential(&mut key, value.as_mut())?,
            ACL => Stored::Acl { acl: decode_acl(&mut key)?, there: value.is_some() },
            QUOTA => decode_quota(&mut key, value.as_mut())?,
            MOCK_SECRET => Stored::MockSecret(Bytes::copy_from_slice(value.as_mut().map_or(&[], Reader::rest))),
            _ => return Err(damaged("a key has an unknown kind")),
        };
        key.end()?;
        value.map_or(Ok(()), |value| value.end())?;
        Ok(decoded)
    }
}

fn credential_key(user: &str, mechanism: ScramMechanism) -> Bytes {
    Bytes::from([&[CREDENTIAL, mechanism.code() as u8], user.as_bytes()].concat())
}

fn credential_value(credential: &ScramCredential) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(VERSION);
    bytes.put_u32_le(credential.iterations);
    put_text(&mut bytes, &credential.salt);
    bytes.put_slice(&credential.stored_key);
    bytes.put_slice(&credential.server_key);
    bytes.freeze()
}

fn decode_credential(key: &mut Reader<'_>, value: Option<&mut Reader<'_>>) -> Result<Stored> {
    let mechanism = ScramMechanism::from_code(key.byte()? as i8).ok_or_else(|| damaged("an unknown mechanism"))?;
    let user = text(key.rest())?;
    let decode = |value: &mut Reader<'_>| -> Result<ScramCredential> {
        let iterations = u32::from_le_bytes(value.array()?);
        let salt = value.counted()?.to_vec();
        let stored_key = value.take(mechanism.key_bytes())?.to_vec();
        let server_key = value.take(mechanism.key_bytes())?.to_vec();
        Ok(ScramCredential { mechanism, iterations, salt, stored_key, server_key })
    };
    Ok(Stored::Credential { user, mechanism, credential: value.map(decode).transpose()? })
}

fn acl_key(acl: &AclBinding) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_slice(&[ACL, acl.resource_type.code() as u8, acl.pattern_type.code() as u8]);
    bytes.put_slice(&[acl.operation.code() as u8, acl.permission.code() as u8]);
    [&acl.name, &acl.principal, &acl.host].into_iter().for_each(|part| put_text(&mut bytes, part.as_bytes()));
    bytes.freeze()
}

fn decode_acl(key: &mut Reader<'_>) -> Result<AclBinding> {
    let unknown = || damaged("an access rule has an unknown word");
    let [resource_type, pattern_type, operation, permission] = key.array::<4>()?.map(|byte| byte as i8);
    Ok(AclBinding {
        resource_type: ResourceType::from_code(resource_type).ok_or_else(unknown)?,
        pattern_type: PatternType::from_code(pattern_type).ok_or_else(unknown)?,
        operation: Operation::from_code(operation).ok_or_else(unknown)?,
        permission: Permission::from_code(permission).ok_or_else(unknown)?,
        name: text(key.counted()?)?,
        principal: text(key.counted()?)?,
        host: text(key.counted()?)?,
    })
}

fn quota_key(entity: &QuotaEntity) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(QUOTA);
    for name in [&entity.user, &entity.client_id] {
        match name {
            None => bytes.put_u8(ABSENT),
            Some(QuotaName::Default) => bytes.put_u8(DEFAULT),
            Some(QuotaName::Named(name)) => {
                bytes.put_u8(NAMED);
                put_text(&mut bytes, name.as_bytes());
            }
        }
    }
    bytes.freeze()
}

fn quota_value(limits: &QuotaLimits) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(VERSION);
    QuotaKey::ALL.into_iter().for_each(|key| bytes.put_f64_le(limits.get(key).unwrap_or(f64::NAN)));
    bytes.freeze()
}

fn decode_quota(key: &mut Reader<'_>, value: Option<&mut Reader<'_>>) -> Result<Stored> {
    let mut name = || -> Result<Option<QuotaName>> {
        Ok(match key.byte()? {
            ABSENT => None,
            DEFAULT => Some(QuotaName::Default),
            NAMED => Some(QuotaName::Named(text(key.counted()?)?)),
            _ => return Err(damaged("a limit is for an unknown kind of name")),
        })
    };
    let entity = QuotaEntity { user: name()?, client_id: name()? };
    let mut limits = QuotaLimits::default();
    if let Some(value) = value {
        for key in QuotaKey::ALL {
            let limit = f64::from_le_bytes(value.array()?);
            limits.set(key, (!limit.is_nan()).then_some(limit));
        }
    }
    Ok(Stored::Quota { entity, limits })
}

fn put_text(bytes: &mut BytesMut, text: &[u8]) {
    bytes
        .put_u16_le(u16::try_from(text.len()).expect("texts of users, rules and limits are checked when they come in"));
    bytes.put_slice(text);
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| damaged("a name is not UTF-8"))
}

fn damaged(what: &str) -> Error {
    Error::corrupt(format!("in the topic {SECURITY_TOPIC}: {what}"))
}

/// Reads what [`Stored::encode`] wrote.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| damaged("a record is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were taken"))
    }

    fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    fn counted(&mut self) -> Result<&'a [u8]> {
        let count = u16::from_le_bytes(self.array()?);
        self.take(usize::from(count))
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(damaged("a record is longer than it should be")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Stored> {
        let mechanism = ScramMechanism::Sha512;
        let credential = ScramCredential::of_salted_password(mechanism, b"salted", b"salt".to_vec(), 5000);
        let acl = AclBinding {
            resource_type: ResourceType::Group,
            pattern_type: PatternType::Prefixed,
            name: "gé".to_owned(),
            principal: "User:a:b".to_owned(),
            host: "*".to_owned(),
            operation: Operation::All,
            permission: Permission::Deny,
        };
        let entity = QuotaEntity { user: Some(QuotaName::Default), client_id: Some(QuotaName::Named("c".to_owned())) };
        let mut limits = QuotaLimits::default();
        limits.set(QuotaKey::ConsumerByteRate, Some(1.5));
        vec![
            Stored::Credential { user: "ü".to_owned(), mechanism, credential: Some(credential) },
            Stored::Credential { user: "ü".to_owned(), mechanism, credential: None },
            Stored::Acl { acl: acl.clone(), there: true },
            Stored::Acl { acl, there: false },
            Stored::Quota { entity: entity.clone(), limits },
            Stored::Quota { entity, limits: QuotaLimits::default() },
            Stored::MockSecret(Bytes::from_static(b"0123456789")),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for stored in samples() {
            let (key, value) = stored.encode();
            assert_eq!(Stored::decode(&key, value.as_deref()).unwrap(), stored);
        }
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_an_error() {
        for stored in samples() {
            let (key, value) = stored.encode();
            if let Some(value) = &value {
                assert!(Stored::decode(&key, Some(&[&value[..], &[0]].concat())).is_err() || key[0] == MOCK_SECRET);
                assert!(Stored::decode(&key, Some(&[&[VERSION + 1], &value[1..]].concat())).is_err());
            }
            assert!(Stored::decode(&[&[9], &key[1..]].concat(), value.as_deref()).is_err());
            for length in 0..if key[0] == CREDENTIAL { 2 } else { key.len() } {
                assert!(Stored::decode(&key[..length], value.as_deref()).is_err(), "{stored:?} cut at {length}");
            }
        }
    }
}
