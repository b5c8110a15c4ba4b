//! Access rules as they are created, listed and stored: a pattern of resources, and who may (not) do what from where.

use std::net::IpAddr;

use super::kinds::{CLUSTER_NAME, Operation, PatternType, Permission, ResourceType, WILDCARD};

/// Bytes of a name, a principal or a host in a rule.
pub const TEXT_BYTES_MAX: usize = 1024;

/// One access rule. Its identity is all of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AclBinding {
    /// What kind of resources.
    pub resource_type: ResourceType,
    /// How `name` is compared.
    pub pattern_type: PatternType,
    /// The name, or its beginning, or `*`.
    pub name: String,
    /// `User:` and a name, or `User:*`.
    pub principal: String,
    /// The client's address, or `*`.
    pub host: String,
    /// What it is about.
    pub operation: Operation,
    /// Yes or no.
    pub permission: Permission,
}

impl AclBinding {
    /// Why the rule cannot be, if so.
    pub fn check(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("the resource of a rule has a name".to_owned());
        }
        if self.resource_type == ResourceType::Cluster && self.name != CLUSTER_NAME {
            return Err(format!("the only name of a cluster is {CLUSTER_NAME}, not {}", self.name));
        }
        let (kind, name) = self.principal.split_once(':').ok_or("a principal is `User:` and a name")?;
        if kind.is_empty() || name.is_empty() {
            return Err("a principal is `User:` and a name".to_owned());
        }
        if self.host != WILDCARD && self.host.parse::<IpAddr>().is_err() {
            return Err(format!("a host is an address or *, not {}", self.host));
        }
        let longest = self.name.len().max(self.principal.len()).max(self.host.len());
        if longest > TEXT_BYTES_MAX {
            return Err(format!("names in a rule have at most {TEXT_BYTES_MAX} bytes, not {longest}"));
        }
        Ok(())
    }
}

/// How a filter compares names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternFilter {
    /// Rules of any pattern type, by the rule's own name.
    Any,
    /// Rules that apply to the resource of that name.
    Match,
    /// Rules of this pattern type, by the rule's own name.
    Exactly(PatternType),
}

/// Which rules to list or delete; `None` is any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclFilter {
    /// The kind of resources.
    pub resource_type: Option<ResourceType>,
    /// How `name` is compared.
    pub pattern: PatternFilter,
    /// The name.
    pub name: Option<String>,
    /// The principal.
    pub principal: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The operation.
    pub operation: Option<Operation>,
    /// The permission.
    pub permission: Option<Permission>,
}

impl AclFilter {
    /// Whether the rule is one of those.
    pub fn matches(&self, acl: &AclBinding) -> bool {
        self.resource_type.is_none_or(|kind| kind == acl.resource_type)
            && self.matches_pattern(acl)
            && self.principal.as_ref().is_none_or(|principal| *principal == acl.principal)
            && self.host.as_ref().is_none_or(|host| *host == acl.host)
            && self.operation.is_none_or(|operation| operation == acl.operation)
            && self.permission.is_none_or(|permission| permission == acl.permission)
    }

    fn matches_pattern(&self, acl: &AclBinding) -> bool {
        if let PatternFilter::Exactly(pattern_type) = self.pattern
            && pattern_type != acl.pattern_type
        {
            return false;
        }
        let Some(name) = &self.name else { return true };
        match (self.pattern, acl.pattern_type) {
            (PatternFilter::Match, PatternType::Literal) => *name == acl.name || acl.name == WILDCARD,
            (PatternFilter::Match, PatternType::Prefixed) => name.starts_with(&acl.name),
            _ => *name == acl.name,
        }
    }
}
