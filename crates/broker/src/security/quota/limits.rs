//! Which limit holds for a user and a client id.

use std::collections::BTreeMap;

/// Entities that may have limits.
pub const ENTITIES_MAX: usize = 10_000;

/// Bytes of the name of a user or a client in an entity.
pub const NAME_BYTES_MAX: usize = 1024;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaKey {
    /// Bytes a second that are produced.
    ProducerByteRate,
    /// Bytes a second that are fetched.
    ConsumerByteRate,
    /// Time of request handling, in percent of one thread.
    RequestPercentage,
}

impl QuotaKey {
    /// All of them.
    pub const ALL: [QuotaKey; 3] =
        [QuotaKey::ProducerByteRate, QuotaKey::ConsumerByteRate, QuotaKey::RequestPercentage];

    /// The name in Kafka's settings.
    pub fn name(self) -> &'static str {
        match self {
            QuotaKey::ProducerByteRate => "producer_byte_rate",
            QuotaKey::ConsumerByteRate => "consumer_byte_rate",
            QuotaKey::RequestPercentage => "request_percentage",
        }
    }

    /// The key of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }
}

/// One name, or all that have no limit of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaName {
    /// Kafka's `<default>`.
    Default,
    /// This one.
    Named(String),
}

/// Whom limits are for; at least one of the two is given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaEntity {
    /// A user.
    pub user: Option<QuotaName>,
    /// A client id.
    pub client_id: Option<QuotaName>,
}

/// The limits of one entity, by [`QuotaKey`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct QuotaLimits([Option<f64>; 3]);

impl QuotaLimits {
    /// The limit, if there is one.
    pub fn get(&self, key: QuotaKey) -> Option<f64> {
        self.0[key as usize]
    }

    /// Sets a limit or takes it away.
    pub fn set(&mut self, key: QuotaKey, limit: Option<f64>) {
        self.0[key as usize] = limit;
    }

    /// Whether there is no limit at all.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// All limits.
pub type QuotaTable = BTreeMap<QuotaEntity, QuotaLimits>;

/// A limit, and all who share it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Applied {
    /// Units a second.
    pub(super) limit: f64,
    /// The user whose use counts; `None`: the client id's of all users together.
    pub(super) user: Option<String>,
    /// The client id whose use counts; `None`: all of the user's.
    pub(super) client_id: Option<String>,
}

/// Finds the limit in Kafka's order: the more exact name first, the user before the client id.
pub(super) fn find(table: &QuotaTable, key: QuotaKey, user: &str, client_id: &str) -> Option<Applied> {
    let named = |name: &str| Some(QuotaName::Named(name.to_owned()));
    let default = || Some(QuotaName::Default);
    let order = [
        (named(user), named(client_id)),
        (named(user), default()),
        (named(user), None),
        (default(), named(client_id)),
        (default(), default()),
        (default(), None),
        (None, named(client_id)),
        (None, default()),
    ];
    order.into_iter().find_map(|(for_user, for_client)| {
        let entity = QuotaEntity { user: for_user, client_id: for_client };
        let limit = table.get(&entity)?.get(key)?;
        let user = entity.user.is_some().then(|| user.to_owned());
        let client_id = entity.client_id.is_some().then(|| client_id.to_owned());
        Some(Applied { limit, user, client_id })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(user: Option<&str>, client_id: Option<&str>) -> QuotaEntity {
        let name = |name: &str| match name {
            "<default>" => QuotaName::Default,
            _ => QuotaName::Named(name.to_owned()),
        };
        QuotaEntity { user: user.map(name), client_id: client_id.map(name) }
    }

    #[test]
    fn the_more_exact_limit_goes_first() {
        let order = [
            (Some("u"), Some("c")),
            (Some("u"), Some("<default>")),
            (Some("u"), None),
            (Some("<default>"), Some("c")),
            (Some("<default>"), Some("<default>")),
            (Some("<default>"), None),
            (None, Some("c")),
            (None, Some("<default>")),
        ];
        let key = QuotaKey::ProducerByteRate;
        let mut table = QuotaTable::new();
        for (rank, (user, client_id)) in order.into_iter().enumerate().rev() {
            let mut limits = QuotaLimits::default();
            limits.set(key, Some(rank as f64));
            table.insert(entity(user, client_id), limits);
            let found = find(&table, key, "u", "c").unwrap();
            assert_eq!(found.limit, rank as f64);
            assert_eq!((found.user.is_some(), found.client_id.is_some()), (user.is_some(), client_id.is_some()));
        }
        assert_eq!(find(&table, QuotaKey::ConsumerByteRate, "u", "c"), None);
        assert_eq!(find(&table, key, "other", "c").unwrap().limit, 3.0);
        assert_eq!(find(&table, key, "other", "other").unwrap().limit, 4.0);
    }
}
