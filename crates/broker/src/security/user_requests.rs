//! DescribeUserScramCredentials and AlterUserScramCredentials (KIP-554).

use std::collections::{BTreeMap, BTreeSet};

use fleuve_wire::ErrorCode;
use fleuve_wire::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use fleuve_wire::messages::alter_user_scram_credentials_response::{
    AlterUserScramCredentialsResponse, AlterUserScramCredentialsResult,
};
use fleuve_wire::messages::describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
use fleuve_wire::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResponse, DescribeUserScramCredentialsResult,
};

use super::acl::Operation;
use super::scram::{ITERATIONS_MAX, ITERATIONS_MIN, SALT_BYTES_MAX, ScramCredential, ScramMechanism};
use super::store::Stored;
use super::users::{USER_BYTES_MAX, USERS_MAX};
use crate::broker::{Broker, Responder};
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// The changes of one request by user, or why a user's are refused.
type ByUser = BTreeMap<String, Outcome<Vec<Stored>>>;

impl Broker {
    pub(crate) fn describe_user_scram_credentials(
        &self,
        session: &Session,
        request: DescribeUserScramCredentialsRequest,
    ) -> DescribeUserScramCredentialsResponse {
        if let Err(Failure { code, message }) = self.check_cluster(session, Operation::Describe) {
            let (error_code, error_message) = (code.0, message);
            return DescribeUserScramCredentialsResponse { error_code, error_message, ..Default::default() };
        }
        let asked: Option<Vec<String>> =
            request.users.filter(|users| !users.is_empty()).map(|users| users.into_iter().map(|u| u.name).collect());
        let names = asked.unwrap_or_else(|| self.security.users().names());
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        names.iter().for_each(|name| *times.entry(name).or_default() += 1);
        let results = times.into_iter().map(|(name, times)| self.describe_user(name, times)).collect();
        DescribeUserScramCredentialsResponse { results, ..Default::default() }
    }

    fn describe_user(&self, user: &str, times: usize) -> DescribeUserScramCredentialsResult {
        let info = |(mechanism, iterations): (ScramMechanism, u32)| CredentialInfo {
            mechanism: mechanism.code(),
            iterations: iterations as i32,
        };
        let mut result = DescribeUserScramCredentialsResult { user: user.to_owned(), ..Default::default() };
        match self.security.users().describe(user) {
            _ if times > 1 => {
                result.error_code = ErrorCode::DUPLICATE_RESOURCE.0;
                result.error_message = Some(format!("the user {user} is asked for more than once"));
            }
            Some(credentials) => result.credential_infos = credentials.into_iter().map(info).collect(),
            None => {
                result.error_code = ErrorCode::RESOURCE_NOT_FOUND.0;
                result.error_message = Some(format!("there is no user {user}"));
            }
        }
        result
    }

    /// Credentials hold, durably, when this is answered. All changes of a user are done, or none.
    pub(crate) fn alter_user_scram_credentials(
        &self,
        session: &Session,
        request: AlterUserScramCredentialsRequest,
        respond: Responder,
    ) {
        let allowed = self.check_cluster(session, Operation::Alter);
        let mut by_user = self.changes_by_user(request);
        if let Err(failure) = allowed {
            by_user.values_mut().for_each(|changes| *changes = Err(failure.clone()));
        }
        let changes = by_user.values().flatten().flatten().cloned().collect();
        self.security.change(
            changes,
            Box::new(move |outcome| {
                let stored = outcome.map_err(Failure::from);
                let result =
                    |(user, changes): (String, Outcome<Vec<Stored>>)| match changes.and_then(|_| stored.clone()) {
                        Ok(()) => AlterUserScramCredentialsResult { user, ..Default::default() },
                        Err(Failure { code, message }) => {
                            AlterUserScramCredentialsResult { user, error_code: code.0, error_message: message }
                        }
                    };
                let results = by_user.into_iter().map(result).collect();
                respond(AlterUserScramCredentialsResponse { results, ..Default::default() }.into());
            }),
        );
    }

    fn changes_by_user(&self, request: AlterUserScramCredentialsRequest) -> ByUser {
        let mut by_user = ByUser::new();
        let mut seen = BTreeSet::new();
        let mut note = |user: String, mechanism: i8, change: Outcome<Stored>| {
            let twice = !seen.insert((user.clone(), mechanism));
            let change = match twice {
                true => {
                    Err(Failure::new(ErrorCode::DUPLICATE_RESOURCE, "a credential is changed twice in one request"))
                }
                false => change,
            };
            let changes = by_user.entry(user).or_insert_with(|| Ok(Vec::new()));
            match (changes.as_mut(), change) {
                (Ok(changes), Ok(change)) => changes.push(change),
                (Ok(_), Err(failure)) => *changes = Err(failure),
                (Err(_), _) => {}
            }
        };
        for deletion in request.deletions {
            let change = self.check_deletion(&deletion);
            note(deletion.name, deletion.mechanism, change);
        }
        for upsertion in request.upsertions {
            let (name, mechanism) = (upsertion.name.clone(), upsertion.mechanism);
            note(name, mechanism, self.check_upsertion(upsertion));
        }
        by_user
    }

    fn check_deletion(&self, deletion: &ScramCredentialDeletion) -> Outcome<Stored> {
        let mechanism = mechanism(deletion.mechanism)?;
        let known = self.security.users().describe(&deletion.name).unwrap_or_default();
        if !known.iter().any(|(of, _)| *of == mechanism) {
            let message = format!("the user {} has no credential for {}", deletion.name, mechanism.name());
            return Err(Failure::new(ErrorCode::RESOURCE_NOT_FOUND, message));
        }
        Ok(Stored::Credential { user: deletion.name.clone(), mechanism, credential: None })
    }

    fn check_upsertion(&self, upsertion: ScramCredentialUpsertion) -> Outcome<Stored> {
        let mechanism = mechanism(upsertion.mechanism)?;
        let refused = |message: String| Err(Failure::new(ErrorCode::UNACCEPTABLE_CREDENTIAL, message));
        let (user, iterations) = (upsertion.name, upsertion.iterations);
        if user.is_empty() || user.len() > USER_BYTES_MAX || user.contains('\0') {
            return refused(format!("a user's name has 1 to {USER_BYTES_MAX} bytes"));
        }
        let iterations = match u32::try_from(iterations) {
            Ok(iterations) if (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) => iterations,
            _ => {
                return refused(format!("there are {ITERATIONS_MIN} to {ITERATIONS_MAX} iterations, not {iterations}"));
            }
        };
        if upsertion.salt.is_empty() || upsertion.salt.len() > SALT_BYTES_MAX {
            return refused(format!("a salt has 1 to {SALT_BYTES_MAX} bytes"));
        }
        if upsertion.salted_password.len() != mechanism.key_bytes() {
            return refused(format!("a salted password of {} has {} bytes", mechanism.name(), mechanism.key_bytes()));
        }
        let users = self.security.users();
        if users.len() >= USERS_MAX && users.describe(&user).is_none() {
            return Err(Failure::new(
                ErrorCode::POLICY_VIOLATION,
                format!("there are {USERS_MAX} users, which is the limit"),
            ));
        }
        let salt = upsertion.salt.to_vec();
        let credential = ScramCredential::of_salted_password(mechanism, &upsertion.salted_password, salt, iterations);
        Ok(Stored::Credential { user, mechanism, credential: Some(credential) })
    }
}

fn mechanism(code: i8) -> Outcome<ScramMechanism> {
    let unknown = || Failure::new(ErrorCode::UNSUPPORTED_SASL_MECHANISM, format!("there is no SCRAM mechanism {code}"));
    ScramMechanism::from_code(code).ok_or_else(unknown)
}
