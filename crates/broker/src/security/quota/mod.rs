//! Quotas: what a user or a client may use in a second, and the pause for who used more.
//!
//! A request is answered whatever it used; the pause comes after it, told in `throttle_time_ms`, and the server reads nothing more
//! from the connection for so long. So a limit holds on average, over a burst of [`BURST_SECONDS`].

mod bucket;
mod limits;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use bucket::Bucket;
pub use bucket::{BURST_SECONDS, THROTTLE_MAX};
pub use limits::{ENTITIES_MAX, NAME_BYTES_MAX, QuotaEntity, QuotaKey, QuotaLimits, QuotaName, QuotaTable};

/// Users and clients whose use is accounted at the same time. Above it, who has not used anything for a while is forgotten, and
/// if nobody is, newcomers share one account.
const BUCKETS_MAX: usize = 10_000;

/// Whose use is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Account {
    key: QuotaKey,
    user: Option<String>,
    client_id: Option<String>,
}

/// All limits, and what was used of them.
#[derive(Debug, Default)]
pub struct Quotas {
    table: RwLock<QuotaTable>,
    /// Whether there is any limit: without one, a request costs nothing here.
    any: AtomicBool,
    buckets: Mutex<HashMap<Account, (Bucket, f64)>>,
}

impl Quotas {
    /// Counts `amount` (bytes; for [`QuotaKey::RequestPercentage`] see [`Quotas::charge_time`]) at the monotonic time `now`, and
    /// gives the pause for the connection.
    pub fn charge(&self, key: QuotaKey, user: &str, client_id: &str, amount: f64, now: Duration) -> Duration {
        if !self.any.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        let found = limits::find(&self.table.read(), key, user, client_id);
        let Some(applied) = found else { return Duration::ZERO };
        let account = Account { key, user: applied.user, client_id: applied.client_id };
        self.take(account, amount, applied.limit, now)
    }

    /// Counts the time that handling a request took.
    pub fn charge_time(&self, user: &str, client_id: &str, took: Duration, now: Duration) -> Duration {
        self.charge(QuotaKey::RequestPercentage, user, client_id, took.as_secs_f64() * 100.0, now)
    }

    fn take(&self, mut account: Account, amount: f64, limit: f64, now: Duration) -> Duration {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&account) {
            buckets.retain(|_, (bucket, limit)| !bucket.is_idle(*limit, now));
            if buckets.len() >= BUCKETS_MAX {
                (account.user, account.client_id) = (None, None);
            }
        }
        let (bucket, of_limit) = buckets.entry(account).or_insert_with(|| (Bucket::new(limit, now), limit));
        *of_limit = limit;
        bucket.take(amount, limit, now)
    }

    /// All limits.
    pub fn table(&self) -> QuotaTable {
        self.table.read().clone()
    }

    /// The limits of one entity.
    pub fn limits(&self, entity: &QuotaEntity) -> QuotaLimits {
        self.table.read().get(entity).copied().unwrap_or_default()
    }

    /// Replaces the limits of one entity; none takes it away.
    pub fn set(&self, entity: QuotaEntity, limits: QuotaLimits) {
        let mut table = self.table.write();
        match limits.is_empty() {
            true => _ = table.remove(&entity),
            false => _ = table.insert(entity, limits),
        }
        self.any.store(!table.is_empty(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(user: Option<QuotaName>, client_id: Option<QuotaName>, key: QuotaKey, limit: f64) -> Quotas {
        let quotas = Quotas::default();
        let mut limits = QuotaLimits::default();
        limits.set(key, Some(limit));
        quotas.set(QuotaEntity { user, client_id }, limits);
        quotas
    }

    #[test]
    fn clients_of_one_user_share_the_users_limit() {
        let quotas = limited(Some(QuotaName::Default), None, QuotaKey::ProducerByteRate, 100.0);
        let charge = |user, client| quotas.charge(QuotaKey::ProducerByteRate, user, client, 100.0, Duration::ZERO);
        assert_eq!(charge("a", "1"), Duration::ZERO);
        assert_eq!(charge("a", "2"), Duration::from_secs(1));
        assert_eq!(charge("b", "1"), Duration::ZERO);
    }

    #[test]
    fn each_pair_has_its_own_where_the_limit_names_both() {
        let both = Some(QuotaName::Default);
        let quotas = limited(both.clone(), both, QuotaKey::ConsumerByteRate, 100.0);
        let charge = |user, client| quotas.charge(QuotaKey::ConsumerByteRate, user, client, 100.0, Duration::ZERO);
        assert_eq!(charge("a", "1"), Duration::ZERO);
        assert_eq!(charge("a", "2"), Duration::ZERO);
        assert_eq!(charge("a", "1"), Duration::from_secs(1));
    }

    #[test]
    fn time_is_counted_in_percent_of_a_thread() {
        let quotas = limited(None, Some(QuotaName::Default), QuotaKey::RequestPercentage, 50.0);
        let took = Duration::from_millis(500);
        assert_eq!(quotas.charge_time("a", "c", took, Duration::ZERO), Duration::ZERO);
        assert_eq!(quotas.charge_time("a", "c", took, Duration::ZERO), Duration::from_secs(1));
    }

    #[test]
    fn a_limit_taken_away_no_longer_holds() {
        let quotas = limited(None, Some(QuotaName::Default), QuotaKey::ProducerByteRate, 1.0);
        quotas.set(QuotaEntity { user: None, client_id: Some(QuotaName::Default) }, QuotaLimits::default());
        assert_eq!(quotas.charge(QuotaKey::ProducerByteRate, "a", "c", 1e9, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn accounts_are_bounded() {
        let quotas = limited(None, Some(QuotaName::Default), QuotaKey::ProducerByteRate, 1.0);
        for client in 0..BUCKETS_MAX + 100 {
            quotas.charge(QuotaKey::ProducerByteRate, "a", &client.to_string(), 10.0, Duration::ZERO);
        }
        assert!(quotas.buckets.lock().len() <= BUCKETS_MAX + 1);
        quotas.charge(QuotaKey::ProducerByteRate, "a", "late", 10.0, Duration::from_secs(1000));
        assert_eq!(quotas.buckets.lock().len(), 1);
    }
}
