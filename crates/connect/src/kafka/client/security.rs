//! Users with SCRAM credentials, and access rules.

use fleuve_base::{Error, Result};
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use fleuve_wire::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use fleuve_wire::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use fleuve_wire::messages::describe_acls_request::DescribeAclsRequest;
use fleuve_wire::messages::describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
use sha2::{Sha256, Sha512};

use super::{Client, answer, check};

/// Rounds of hashing that a password goes through; Kafka refuses fewer than 4096.
const ITERATIONS: i32 = 8192;

/// Bytes of a salt.
const SALT_BYTES: usize = 32;

/// The mechanisms, by Kafka's numbers.
const MECHANISMS: [(i8, &str); 2] = [(1, "SCRAM-SHA-256"), (2, "SCRAM-SHA-512")];

/// A user and the mechanisms by which it can log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramUser {
    /// Its name.
    pub name: String,
    /// Mechanism, and rounds of hashing.
    pub mechanisms: Vec<(&'static str, i32)>,
}

impl Client {
    /// All users that have SCRAM credentials.
    pub fn users(&mut self) -> Result<Vec<ScramUser>> {
        let request = DescribeUserScramCredentialsRequest { users: None };
        let described = answer!(self.ask_controller(&request.into())?, DescribeUserScramCredentials)?;
        check("DescribeUserScramCredentials", "all users", described.error_code, described.error_message.as_deref())?;
        let users = described.results.into_iter().map(|user| ScramUser {
            mechanisms: user.credential_infos.iter().map(|info| (mechanism(info.mechanism), info.iterations)).collect(),
            name: user.user,
        });
        let mut users: Vec<ScramUser> = users.collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }

    /// Gives a user this password, for both mechanisms. The password itself is not sent.
    pub fn set_password(&mut self, user: &str, password: &str) -> Result<()> {
        let upsertions = MECHANISMS.map(|(number, _)| {
            let salt: Vec<u8> = (0..SALT_BYTES / 8).flat_map(|_| self.env().random.next_u64().to_le_bytes()).collect();
            ScramCredentialUpsertion {
                name: user.to_owned(),
                mechanism: number,
                iterations: ITERATIONS,
                salted_password: salted(number, password.as_bytes(), &salt).into(),
                salt: salt.into(),
            }
        });
        self.alter_users(AlterUserScramCredentialsRequest { deletions: vec![], upsertions: upsertions.to_vec() })
    }

    /// Takes all credentials of a user away.
    ///
    /// # Errors
    /// `E515` if it has none.
    pub fn delete_user(&mut self, user: &str) -> Result<()> {
        let known = self.users()?.into_iter().find(|known| known.name == user);
        let known = known.ok_or_else(|| {
            Error::input("E515", format!("there is no user `{user}`")).with_hint("`fleuve user list` shows all")
        })?;
        let has = |name: &str| known.mechanisms.iter().any(|(mechanism, _)| *mechanism == name);
        let deletions = MECHANISMS
            .iter()
            .filter(|(_, name)| has(name))
            .map(|(number, _)| ScramCredentialDeletion { name: user.to_owned(), mechanism: *number });
        let deletions = deletions.collect();
        self.alter_users(AlterUserScramCredentialsRequest { deletions, upsertions: vec![] })
    }

    fn alter_users(&mut self, request: AlterUserScramCredentialsRequest) -> Result<()> {
        let altered = answer!(self.ask_controller(&request.into())?, AlterUserScramCredentials)?;
        altered.results.iter().try_for_each(|result| {
            let what = format!("user `{}`", result.user);
            check("AlterUserScramCredentials", &what, result.error_code, result.error_message.as_deref())
        })
    }
}

fn mechanism(number: i8) -> &'static str {
    MECHANISMS.iter().find(|(known, _)| *known == number).map_or("unknown", |(_, name)| *name)
}

/// What RFC 5802 calls SaltedPassword.
fn salted(mechanism: i8, password: &[u8], salt: &[u8]) -> Vec<u8> {
    let rounds = ITERATIONS.unsigned_abs();
    if mechanism == 1 {
        let mut out = vec![0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut out);
        out
    } else {
        let mut out = vec![0; 64];
        pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, rounds, &mut out);
        out
    }
}

/// An access rule, in Kafka's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// Whom it is about: `User:alice`, or `User:*`.
    pub principal: String,
    /// From where; `*` is anywhere.
    pub host: String,
    /// What: `READ`, `WRITE`, `ALL` ….
    pub operation: &'static str,
    /// Whether it allows, or denies.
    pub allow: bool,
    /// Of which kind of thing: `TOPIC`, `GROUP` ….
    pub resource: &'static str,
    /// Its name, or what its name begins with.
    pub name: String,
    /// Whether `name` is only the beginning.
    pub prefixed: bool,
}

/// What rules are meant; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct AclFilter {
    /// The kind of thing.
    pub resource: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Whom it is about.
    pub principal: Option<String>,
    /// What may be done.
    pub operation: Option<String>,
}

const RESOURCES: [(i8, &str); 6] =
    [(2, "TOPIC"), (3, "GROUP"), (4, "CLUSTER"), (5, "TRANSACTIONAL_ID"), (6, "DELEGATION_TOKEN"), (7, "USER")];
const OPERATIONS: [(i8, &str); 14] = [
    (2, "ALL"),
    (3, "READ"),
    (4, "WRITE"),
    (5, "CREATE"),
    (6, "DELETE"),
    (7, "ALTER"),
    (8, "DESCRIBE"),
    (9, "CLUSTER_ACTION"),
    (10, "DESCRIBE_CONFIGS"),
    (11, "ALTER_CONFIGS"),
    (12, "IDEMPOTENT_WRITE"),
    (13, "CREATE_TOKENS"),
    (14, "DESCRIBE_TOKENS"),
    (15, "TWO_PHASE_COMMIT"),
];
/// Kafka's number for "any", in all three lists.
const ANY: i8 = 1;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const DENY: i8 = 2;
const ALLOW: i8 = 3;

fn number(list: &[(i8, &'static str)], what: &str, name: &str) -> Result<(i8, &'static str)> {
    let wanted = name.to_ascii_uppercase().replace('-', "_");
    list.iter().find(|(_, known)| *known == wanted).copied().ok_or_else(|| {
        let names: Vec<&str> = list.iter().map(|(_, name)| *name).collect();
        Error::input("E019", format!("there is no {what} `{name}`")).with_hint(format!("one of {}", names.join(", ")))
    })
}

fn name(list: &[(i8, &'static str)], number: i8) -> &'static str {
    list.iter().find(|(known, _)| *known == number).map_or("UNKNOWN", |(_, name)| *name)
}

impl Acl {
    /// The name of an operation in the one spelling that is known.
    ///
    /// # Errors
    /// `E019` if there is none.
    pub fn operation(name: &str) -> Result<&'static str> {
        number(&OPERATIONS, "operation", name).map(|(_, name)| name)
    }

    /// The name of a kind of resource in the one spelling that is known.
    ///
    /// # Errors
    /// `E019` if there is none.
    pub fn resource(name: &str) -> Result<&'static str> {
        number(&RESOURCES, "kind of resource", name).map(|(_, name)| name)
    }
}

impl Client {
    /// The rules that a filter means.
    pub fn acls(&mut self, filter: &AclFilter) -> Result<Vec<Acl>> {
        let (resource_type, operation) = filter.numbers()?;
        let request = DescribeAclsRequest {
            resource_type_filter: resource_type,
            resource_name_filter: filter.name.clone(),
            pattern_type_filter: ANY,
            principal_filter: filter.principal.clone(),
            host_filter: None,
            operation,
            permission_type: ANY,
        };
        let described = answer!(self.ask_controller(&request.into())?, DescribeAcls)?;
        check("DescribeAcls", "the rules", described.error_code, described.error_message.as_deref())?;
        let mut acls = Vec::new();
        for resource in described.resources {
            acls.extend(resource.acls.into_iter().map(|acl| Acl {
                principal: acl.principal,
                host: acl.host,
                operation: name(&OPERATIONS, acl.operation),
                allow: acl.permission_type == ALLOW,
                resource: name(&RESOURCES, resource.resource_type),
                name: resource.resource_name.clone(),
                prefixed: resource.pattern_type == PREFIXED,
            }));
        }
        Ok(acls)
    }

    /// Adds a rule.
    pub fn add_acl(&mut self, acl: &Acl) -> Result<()> {
        let creation = AclCreation {
            resource_type: number(&RESOURCES, "kind of resource", acl.resource)?.0,
            resource_name: acl.name.clone(),
            resource_pattern_type: if acl.prefixed { PREFIXED } else { LITERAL },
            principal: acl.principal.clone(),
            host: acl.host.clone(),
            operation: number(&OPERATIONS, "operation", acl.operation)?.0,
            permission_type: if acl.allow { ALLOW } else { DENY },
        };
        let request = CreateAclsRequest { creations: vec![creation] };
        let created = answer!(self.ask_controller(&request.into())?, CreateAcls)?;
        created
            .results
            .iter()
            .try_for_each(|result| check("CreateAcls", "the rule", result.error_code, result.error_message.as_deref()))
    }

    /// Deletes the rules that a filter means; returns how many.
    pub fn delete_acls(&mut self, filter: &AclFilter) -> Result<usize> {
        let (resource_type, operation) = filter.numbers()?;
        let filter = DeleteAclsFilter {
            resource_type_filter: resource_type,
            resource_name_filter: filter.name.clone(),
            pattern_type_filter: ANY,
            principal_filter: filter.principal.clone(),
            host_filter: None,
            operation,
            permission_type: ANY,
        };
        let request = DeleteAclsRequest { filters: vec![filter] };
        let deleted = answer!(self.ask_controller(&request.into())?, DeleteAcls)?;
        let mut count = 0;
        for result in deleted.filter_results {
            check("DeleteAcls", "the rules", result.error_code, result.error_message.as_deref())?;
            count += result.matching_acls.iter().filter(|acl| ErrorCode(acl.error_code).is_none()).count();
        }
        Ok(count)
    }
}

impl AclFilter {
    fn numbers(&self) -> Result<(i8, i8)> {
        let resource = self.resource.as_deref().map(|name| number(&RESOURCES, "kind of resource", name)).transpose()?;
        let operation = self.operation.as_deref().map(|name| number(&OPERATIONS, "operation", name)).transpose()?;
        Ok((resource.map_or(ANY, |(number, _)| number), operation.map_or(ANY, |(number, _)| number)))
    }
}
