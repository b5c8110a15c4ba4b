//! Access rules, found by the resource that is asked about.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::binding::AclBinding;
use super::kinds::{EVERYONE, Operation, PatternType, Permission, ResourceType, WILDCARD};
use crate::session::Session;

/// Rules that there may be.
pub const ACLS_MAX: usize = 20_000;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The kind of principal, before the colon.
    pub kind: &'a str,
    /// Its name, after the colon.
    pub name: &'a str,
    /// Where the connection comes from.
    pub host: IpAddr,
}

impl<'a> Subject<'a> {
    /// The principal of a session.
    pub fn of(session: &'a Session) -> Self {
        Subject { kind: &session.principal.kind, name: &session.principal.name, host: session.client_host }
    }

    /// Whether this is the principal that is written so, with its kind before the colon.
    pub fn is(&self, principal: &str) -> bool {
        principal.strip_prefix(self.kind).and_then(|rest| rest.strip_prefix(':')) == Some(self.name)
    }
}

/// What the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A rule allows it and none denies it.
    Allowed,
    /// A rule denies it, or the resource has rules of which none allows it.
    Denied,
    /// The resource has no rules.
    NoRule,
}

/// All rules. Deny wins over allow, and who has no rule on a resource that has some is denied.
#[derive(Debug, Clone, Default)]
pub struct AclIndex {
    bindings: BTreeSet<AclBinding>,
    by_type: BTreeMap<ResourceType, Patterns>,
}

/// The rules on resources of one type.
#[derive(Debug, Clone, Default)]
struct Patterns {
    literal: HashMap<String, Vec<Rule>>,
    /// By length in bytes, then by the prefix itself: a name is looked up once for every length that occurs.
    prefixed: BTreeMap<usize, HashMap<String, Vec<Rule>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// `None` is everyone.
    principal: Option<String>,
    /// `None` is everywhere.
    host: Option<IpAddr>,
    operation: Operation,
    permission: Permission,
}

impl AclIndex {
    /// All rules, sorted.
    pub fn bindings(&self) -> impl Iterator<Item = &AclBinding> {
        self.bindings.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Whether this rule is there.
    pub fn contains(&self, acl: &AclBinding) -> bool {
        self.bindings.contains(acl)
    }

    /// Adds a rule that is not there yet.
    pub fn insert(&mut self, acl: AclBinding) {
        if self.bindings.contains(&acl) {
            return;
        }
        self.by_type.entry(acl.resource_type).or_default().rules_mut(&acl).push(Rule::of(&acl));
        self.bindings.insert(acl);
    }

    /// Takes a rule away.
    pub fn remove(&mut self, acl: &AclBinding) {
        if self.bindings.remove(acl)
            && let Some(patterns) = self.by_type.get_mut(&acl.resource_type)
        {
            patterns.remove(acl);
        }
    }

    /// May the subject do this to that resource?
    pub fn decide(&self, subject: Subject<'_>, operation: Operation, kind: ResourceType, name: &str) -> Decision {
        let Some(patterns) = self.by_type.get(&kind) else { return Decision::NoRule };
        let mut decision = Decision::NoRule;
        for rule in patterns.matching(name) {
            match rule.says(subject, operation) {
                Some(Permission::Deny) => return Decision::Denied,
                Some(Permission::Allow) => decision = Decision::Allowed,
                None if decision == Decision::NoRule => decision = Decision::Denied,
                None => {}
            }
        }
        decision
    }

    /// May the subject do this to *some* resource of that type, existing or not? `by_default` answers for resources without rules.
    pub fn decide_any(&self, subject: Subject<'_>, operation: Operation, kind: ResourceType, by_default: bool) -> bool {
        let Some(patterns) = self.by_type.get(&kind) else { return by_default };
        let says = |rules: &[Rule], permission| rules.iter().any(|r| r.says(subject, operation) == Some(permission));
        let on_all = patterns.literal.get(WILDCARD).map_or(&[][..], Vec::as_slice);
        if says(on_all, Permission::Deny) {
            return false;
        }
        if by_default || says(on_all, Permission::Allow) {
            return true;
        }
        let denied_by_prefix = |name: &str| patterns.prefixes_of(name).any(|rules| says(rules, Permission::Deny));
        let mut literal = patterns.literal.iter();
        let mut prefixed = patterns.prefixed.values().flatten();
        literal.any(|(name, rules)| {
            says(rules, Permission::Allow) && !says(rules, Permission::Deny) && !denied_by_prefix(name)
        }) || prefixed.any(|(name, rules)| says(rules, Permission::Allow) && !denied_by_prefix(name))
    }
}

impl Patterns {
    fn rules_mut(&mut self, acl: &AclBinding) -> &mut Vec<Rule> {
        let rules = match acl.pattern_type {
            PatternType::Literal => &mut self.literal,
            PatternType::Prefixed => self.prefixed.entry(acl.name.len()).or_default(),
        };
        rules.entry(acl.name.clone()).or_default()
    }

    fn remove(&mut self, acl: &AclBinding) {
        let (rules, rule) = (self.rules_mut(acl), Rule::of(acl));
        rules.retain(|other| *other != rule);
        if rules.is_empty() {
            self.forget(acl);
        }
    }

    /// A pattern without rules must go: that a resource has rules is itself an answer.
    fn forget(&mut self, acl: &AclBinding) {
        match acl.pattern_type {
            PatternType::Literal => drop(self.literal.remove(&acl.name)),
            PatternType::Prefixed => {
                if let Some(of_length) = self.prefixed.get_mut(&acl.name.len()) {
                    of_length.remove(&acl.name);
                    if of_length.is_empty() {
                        self.prefixed.remove(&acl.name.len());
                    }
                }
            }
        }
    }

    /// All rules that apply to the resource of that name.
    fn matching<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Rule> {
        let literal = [name, WILDCARD].into_iter().take(if name == WILDCARD { 1 } else { 2 });
        let literal = literal.filter_map(|name| self.literal.get(name));
        literal.flatten().chain(self.prefixes_of(name).flatten())
    }

    fn prefixes_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [Rule]> {
        let lengths = self.prefixed.range(..=name.len());
        lengths.filter_map(|(length, rules)| rules.get(name.get(..*length)?)).map(Vec::as_slice)
    }
}

impl Rule {
    fn of(acl: &AclBinding) -> Self {
        Rule {
            principal: (acl.principal != EVERYONE).then(|| acl.principal.clone()),
            // `AclBinding::check` has seen that it is an address; one that is none applies nowhere.
            host: (acl.host != WILDCARD)
                .then(|| acl.host.parse().map_or(std::net::Ipv6Addr::UNSPECIFIED.into(), |a: IpAddr| a.to_canonical())),
            operation: acl.operation,
            permission: acl.permission,
        }
    }

    /// What the rule says of this, if anything.
    fn says(&self, subject: Subject<'_>, operation: Operation) -> Option<Permission> {
        let speaks = match self.permission {
            Permission::Deny => self.operation.covers(operation),
            Permission::Allow => self.operation.allows(operation),
        };
        let concerns = self.principal.as_deref().is_none_or(|principal| subject.is(principal))
            && self.host.is_none_or(|host| host == subject.host.to_canonical());
        (speaks && concerns).then_some(self.permission)
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
