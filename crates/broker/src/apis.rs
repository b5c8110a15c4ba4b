//! Which APIs are served, in which versions; and the answer that tells clients so.

use std::ops::RangeInclusive;

use fleuve_wire::messages::api_versions_request::ApiVersionsRequest;
use fleuve_wire::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use fleuve_wire::{ApiKey, ErrorCode};

use crate::broker::Broker;
use crate::session::{ClientSoftware, Session};

/// The APIs that [`Broker::handle`] answers. What is not here is not offered to clients.
///
/// Versions 0 to 2 of Produce are offered and not served, as in Kafka 4: older librdkafka looks at the range's
/// beginning to find out what a broker can do (KAFKA-18659).
pub(crate) const APIS: &[(ApiKey, RangeInclusive<i16>)] = &[
    (ApiKey::Produce, 0..=13),
    (ApiKey::Fetch, 4..=18),
    (ApiKey::ListOffsets, 1..=11),
    (ApiKey::Metadata, 0..=13),
    (ApiKey::OffsetCommit, 2..=10),
    (ApiKey::OffsetFetch, 1..=10),
    (ApiKey::FindCoordinator, 0..=6),
    (ApiKey::JoinGroup, 0..=9),
    (ApiKey::Heartbeat, 0..=4),
    (ApiKey::LeaveGroup, 0..=5),
    (ApiKey::SyncGroup, 0..=5),
    (ApiKey::DescribeGroups, 0..=6),
    (ApiKey::ListGroups, 0..=5),
    (ApiKey::ApiVersions, 0..=5),
    (ApiKey::CreateTopics, 2..=7),
    (ApiKey::DeleteTopics, 1..=6),
    (ApiKey::DeleteRecords, 0..=2),
    (ApiKey::InitProducerId, 0..=5),
    (ApiKey::AddPartitionsToTxn, 0..=3),
    (ApiKey::AddOffsetsToTxn, 0..=4),
    (ApiKey::EndTxn, 0..=5),
    (ApiKey::TxnOffsetCommit, 0..=6),
    (ApiKey::DescribeAcls, 1..=3),
    (ApiKey::CreateAcls, 1..=3),
    (ApiKey::DeleteAcls, 1..=3),
    (ApiKey::DescribeClientQuotas, 0..=1),
    (ApiKey::AlterClientQuotas, 0..=1),
    (ApiKey::DescribeUserScramCredentials, 0..=0),
    (ApiKey::AlterUserScramCredentials, 0..=0),
    (ApiKey::DescribeTransactions, 0..=0),
    (ApiKey::ListTransactions, 0..=2),
    (ApiKey::OffsetForLeaderEpoch, 2..=4),
    (ApiKey::DescribeConfigs, 1..=4),
    (ApiKey::AlterConfigs, 0..=2),
    (ApiKey::DescribeLogDirs, 1..=5),
    (ApiKey::CreatePartitions, 0..=3),
    (ApiKey::ElectLeaders, 0..=2),
    (ApiKey::IncrementalAlterConfigs, 0..=1),
    (ApiKey::AlterPartitionReassignments, 0..=1),
    (ApiKey::ListPartitionReassignments, 0..=0),
    (ApiKey::DescribeQuorum, 0..=2),
    (ApiKey::DescribeCluster, 0..=2),
    (ApiKey::DescribeProducers, 0..=0),
    (ApiKey::ConsumerGroupHeartbeat, 0..=1),
    (ApiKey::ConsumerGroupDescribe, 0..=1),
    (ApiKey::ListConfigResources, 0..=1),
    (ApiKey::DescribeTopicPartitions, 0..=0),
    (ApiKey::DeleteGroups, 0..=3),
    (ApiKey::OffsetDelete, 0..=0),
];

/// Features of the cluster as a whole, with the versions that this broker can do; each is at its highest.
pub(crate) const FEATURES: &[(&str, RangeInclusive<i16>)] = &[("group.version", 0..=1), ("transaction.version", 0..=2)];

impl Broker {
    /// The APIs that [`handle`](Self::handle) answers.
    pub fn apis(&self) -> &'static [(ApiKey, RangeInclusive<i16>)] {
        APIS
    }

    /// What a client is told about this broker. A server that answers a version of ApiVersions that nobody knows
    /// takes it, too, and puts `UNSUPPORTED_VERSION` into it.
    pub fn api_versions(&self) -> ApiVersionsResponse {
        let key = |(key, versions): &(ApiKey, RangeInclusive<i16>)| ApiVersion {
            api_key: key.to_i16(),
            min_version: *versions.start(),
            max_version: *versions.end(),
        };
        let supported = |(name, versions): &(&str, RangeInclusive<i16>)| SupportedFeatureKey {
            name: (*name).to_owned(),
            min_version: *versions.start(),
            max_version: *versions.end(),
        };
        let finalized = |(name, versions): &(&str, RangeInclusive<i16>)| FinalizedFeatureKey {
            name: (*name).to_owned(),
            min_version_level: *versions.end(),
            max_version_level: *versions.end(),
        };
        ApiVersionsResponse {
            api_keys: APIS.iter().map(key).collect(),
            supported_features: FEATURES.iter().map(supported).collect(),
            finalized_features_epoch: 0,
            finalized_features: FEATURES.iter().map(finalized).collect(),
            ..Default::default()
        }
    }

    pub(crate) fn answer_api_versions(
        &self,
        session: &Session,
        version: i16,
        request: ApiVersionsRequest,
    ) -> ApiVersionsResponse {
        let (name, software_version) = (request.client_software_name, request.client_software_version);
        if version >= 3 && !(is_software_name(&name) && is_software_name(&software_version)) {
            return ApiVersionsResponse { error_code: ErrorCode::INVALID_REQUEST.0, ..Default::default() };
        }
        if version >= 3 {
            session.client_software.get_or_init(|| ClientSoftware { name, version: software_version });
        }
        self.api_versions()
    }
}

/// Letters and digits, and between them also dots and hyphens (KIP-511).
fn is_software_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let ends = [name.as_bytes().first(), name.as_bytes().last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric)) && name.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_software_are_those_of_kip_511() {
        for name in ["librdkafka", "a", "apache-kafka-java", "4.1.0", "2.16.0-RC1"] {
            assert!(is_software_name(name), "{name}");
        }
        for name in ["", "-a", "a.", "a b", "ä"] {
            assert!(!is_software_name(name), "{name}");
        }
    }

    #[test]
    fn nothing_is_offered_twice_or_without_a_codec() {
        for (index, (key, versions)) in APIS.iter().enumerate() {
            assert!(APIS[..index].iter().all(|(other, _)| other != key), "{key:?}");
            assert!(key.versions().contains(versions.end()), "{key:?}");
            assert!(*key == ApiKey::Produce || key.versions().contains(versions.start()), "{key:?}");
        }
    }
}
