//! DescribeClientQuotas and AlterClientQuotas (KIP-546).

use fleuve_wire::ErrorCode;
use fleuve_wire::messages::alter_client_quotas_request::{
    AlterClientQuotasRequest, EntityData as AlteredEntity, EntryData as Alteration, OpData,
};
use fleuve_wire::messages::alter_client_quotas_response::{
    AlterClientQuotasResponse, EntityData as AnsweredEntity, EntryData as Altered,
};
use fleuve_wire::messages::describe_client_quotas_request::{ComponentData, DescribeClientQuotasRequest};
use fleuve_wire::messages::describe_client_quotas_response::{
    DescribeClientQuotasResponse, EntityData, EntryData, ValueData,
};

use super::acl::Operation;
use super::quota::{ENTITIES_MAX, NAME_BYTES_MAX, QuotaEntity, QuotaKey, QuotaLimits, QuotaName};
use super::store::Stored;
use crate::broker::{Broker, Responder};
use crate::failure::{Failure, Outcome};
use crate::session::Session;

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";

/// How a component of a filter matches: exactly the name, the default, or anything that is named or default.
const MATCH_EXACT: i8 = 0;
const MATCH_DEFAULT: i8 = 1;
const MATCH_SPECIFIED: i8 = 2;

impl Broker {
    pub(crate) fn describe_client_quotas(
        &self,
        session: &Session,
        request: &DescribeClientQuotasRequest,
    ) -> DescribeClientQuotasResponse {
        let filter = self.check_cluster(session, Operation::DescribeConfigs).and_then(|()| Filter::parse(request));
        match filter {
            Ok(filter) => {
                let table = self.security.quotas().table();
                let entries = table.iter().filter(|(entity, _)| filter.takes(entity));
                let entries = Some(entries.map(|(entity, limits)| entry(entity, limits)).collect());
                DescribeClientQuotasResponse { entries, ..Default::default() }
            }
            Err(Failure { code, message }) => DescribeClientQuotasResponse {
                error_code: code.0,
                error_message: message,
                entries: None,
                ..Default::default()
            },
        }
    }

    /// Limits hold, durably, when this is answered.
    pub(crate) fn alter_client_quotas(&self, session: &Session, request: AlterClientQuotasRequest, respond: Responder) {
        let allowed = self.check_cluster(session, Operation::AlterConfigs);
        let altered = request.entries.into_iter().map(|alteration| {
            let change = allowed.clone().and_then(|()| self.altered(&alteration));
            (alteration.entity, change)
        });
        let altered: Vec<_> = altered.collect();
        let changes: Vec<Stored> = match request.validate_only {
            true => Vec::new(),
            false => altered.iter().filter_map(|(_, change)| change.clone().ok()).collect(),
        };
        self.security.change(
            changes,
            Box::new(move |outcome| {
                let stored = outcome.map_err(Failure::from);
                let answer = |(entity, change): (Vec<AlteredEntity>, Outcome<Stored>)| {
                    answer(entity, change.and_then(|_| stored.clone()))
                };
                let entries = altered.into_iter().map(answer).collect();
                respond(AlterClientQuotasResponse { entries, ..Default::default() }.into());
            }),
        );
    }

    fn altered(&self, alteration: &Alteration) -> Outcome<Stored> {
        let entity = entity(&alteration.entity)?;
        let quotas = self.security.quotas();
        let mut limits = quotas.limits(&entity);
        if limits.is_empty() && quotas.table().len() >= ENTITIES_MAX {
            let message = format!("there are limits for {ENTITIES_MAX} users and clients, which is the limit");
            return Err(Failure::new(ErrorCode::POLICY_VIOLATION, message));
        }
        alteration.ops.iter().try_for_each(|op| apply(&mut limits, op))?;
        Ok(Stored::Quota { entity, limits })
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::INVALID_REQUEST, message)
}

fn answer(entity: Vec<AlteredEntity>, outcome: Outcome<()>) -> Altered {
    let named = |AlteredEntity { entity_type, entity_name }| AnsweredEntity { entity_type, entity_name };
    let entity = entity.into_iter().map(named).collect();
    match outcome {
        Ok(()) => Altered { entity, ..Default::default() },
        Err(Failure { code, message }) => Altered { error_code: code.0, error_message: message, entity },
    }
}

fn entity(parts: &[AlteredEntity]) -> Outcome<QuotaEntity> {
    let mut entity = QuotaEntity { user: None, client_id: None };
    for part in parts {
        let name = match &part.entity_name {
            None => QuotaName::Default,
            Some(name) if name.is_empty() || name.len() > NAME_BYTES_MAX => {
                return Err(invalid(format!("the name of a user or a client has 1 to {NAME_BYTES_MAX} bytes")));
            }
            Some(name) => QuotaName::Named(name.clone()),
        };
        let place = place(&mut entity, &part.entity_type)?;
        if place.replace(name).is_some() {
            return Err(invalid(format!("the entity has two of type {}", part.entity_type)));
        }
    }
    if entity.user.is_none() && entity.client_id.is_none() {
        return Err(invalid("an entity names a user or a client"));
    }
    Ok(entity)
}

fn place<'a>(entity: &'a mut QuotaEntity, entity_type: &str) -> Outcome<&'a mut Option<QuotaName>> {
    match entity_type {
        USER => Ok(&mut entity.user),
        CLIENT_ID => Ok(&mut entity.client_id),
        other => Err(invalid(format!("there are limits for users and client ids, not for the type {other}"))),
    }
}

fn apply(limits: &mut QuotaLimits, op: &OpData) -> Outcome<()> {
    let key = QuotaKey::from_name(&op.key).ok_or_else(|| invalid(format!("there is no limit {}", op.key)))?;
    let is_limit = op.value.is_finite() && op.value > 0.0;
    if !op.remove && !is_limit {
        return Err(invalid(format!("the limit {} is above 0, not {}", op.key, op.value)));
    }
    limits.set(key, (!op.remove).then_some(op.value));
    Ok(())
}

fn entry(entity: &QuotaEntity, limits: &QuotaLimits) -> EntryData {
    let part = |entity_type: &str, name: &Option<QuotaName>| {
        name.as_ref().map(|name| EntityData {
            entity_type: entity_type.to_owned(),
            entity_name: match name {
                QuotaName::Default => None,
                QuotaName::Named(name) => Some(name.clone()),
            },
        })
    };
    let value = |key: QuotaKey| limits.get(key).map(|value| ValueData { key: key.name().to_owned(), value });
    EntryData {
        entity: [part(USER, &entity.user), part(CLIENT_ID, &entity.client_id)].into_iter().flatten().collect(),
        values: QuotaKey::ALL.into_iter().filter_map(value).collect(),
    }
}

/// Which entities are asked for.
struct Filter {
    user: Option<Match>,
    client_id: Option<Match>,
    /// Whether an entity may have no part that is not asked for.
    strict: bool,
}

enum Match {
    Exactly(QuotaName),
    Specified,
}

impl Filter {
    fn parse(request: &DescribeClientQuotasRequest) -> Outcome<Self> {
        let mut filter = Filter { user: None, client_id: None, strict: request.strict };
        for component in &request.components {
            let place = match component.entity_type.as_str() {
                USER => &mut filter.user,
                CLIENT_ID => &mut filter.client_id,
                other => {
                    return Err(invalid(format!(
                        "there are limits for users and client ids, not for the type {other}"
                    )));
                }
            };
            if place.replace(Match::parse(component)?).is_some() {
                return Err(invalid(format!("the filter has two components of type {}", component.entity_type)));
            }
        }
        Ok(filter)
    }

    fn takes(&self, entity: &QuotaEntity) -> bool {
        let part = |asked: &Option<Match>, name: &Option<QuotaName>| match (asked, name) {
            (None, None) => true,
            (None, Some(_)) => !self.strict,
            (Some(_), None) => false,
            (Some(Match::Specified), Some(_)) => true,
            (Some(Match::Exactly(asked)), Some(name)) => asked == name,
        };
        part(&self.user, &entity.user) && part(&self.client_id, &entity.client_id)
    }
}

impl Match {
    fn parse(component: &ComponentData) -> Outcome<Self> {
        match (component.match_type, &component.match_) {
            (MATCH_EXACT, Some(name)) => Ok(Match::Exactly(QuotaName::Named(name.clone()))),
            (MATCH_DEFAULT, None) => Ok(Match::Exactly(QuotaName::Default)),
            (MATCH_SPECIFIED, None) => Ok(Match::Specified),
            _ => Err(invalid("a component of the filter has a match type that does not go with its name")),
        }
    }
}
