//! What a group sees of the topics, and what its members want of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use regex::{Regex, RegexBuilder};

use super::{ConsumerGroup, Member};
use crate::groups::step::Step;

/// The topics of the log.
pub(crate) trait Topics {
    /// Id and number of partitions.
    fn find(&self, name: &str) -> Option<(u128, u32)>;
    /// The names of all that a pattern may match: those that the client may see.
    fn names(&self) -> Vec<String>;
    /// Changes when a topic comes, goes or grows.
    fn version(&self) -> u64;
}

/// How long a group goes by what it knows of the topics when nobody tells it of a change.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Memory of one compiled pattern.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Characters of one pattern.
const REGEX_CHARACTERS_MAX: usize = 4096;

/// The topics that the members want: what they are is part of what a target is made from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    /// Id and partitions of those that exist, by name.
    known: BTreeMap<String, (u128, u32)>,
    /// What the members' patterns match.
    patterns: HashMap<String, Pattern>,
    version: u64,
    refresh_at: Duration,
}

#[derive(Debug, Clone)]
struct Pattern {
    regex: Regex,
    matches: BTreeSet<String>,
}

/// Compiles a pattern; a topic's whole name must match it.
pub(crate) fn compile(pattern: &str) -> Option<Regex> {
    if pattern.chars().count() > REGEX_CHARACTERS_MAX {
        return None;
    }
    let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build().ok();
    // Alone first: `a)|(b` must not become two patterns.
    build(pattern).and_then(|_| build(&format!("^(?:{pattern})$")))
}

impl Catalog {
    /// The topics that this member wants and that exist.
    pub fn wanted(&self, member: &Member) -> BTreeSet<u128> {
        let matched = member.regex.as_ref().and_then(|regex| self.patterns.get(regex));
        let names = member.topics.iter().chain(matched.into_iter().flat_map(|pattern| &pattern.matches));
        names.filter_map(|name| self.known.get(name)).map(|&(id, _)| id).collect()
    }

    /// Their partitions, by id.
    pub fn partitions(&self) -> BTreeMap<u128, u32> {
        self.known.values().copied().collect()
    }

    /// Names by id.
    pub fn names(&self) -> BTreeMap<u128, &str> {
        self.known.iter().map(|(name, &(id, _))| (id, name.as_str())).collect()
    }
}

impl ConsumerGroup {
    /// Looks at the topics again, if it is time or something has changed; whether targets must be made anew for it.
    pub(super) fn refresh(&mut self, step: &Step<'_>, topics: &dyn Topics, subscriptions_changed: bool) -> bool {
        let version = topics.version();
        let due = step.now >= self.catalog.refresh_at || version != self.catalog.version;
        if !due && !subscriptions_changed {
            return false;
        }
        self.catalog.refresh_at = step.now.saturating_add(REFRESH_INTERVAL);
        self.catalog.version = version;
        self.refresh_patterns(topics);
        let known = self.known_topics(topics);
        let changed = known != self.catalog.known;
        self.catalog.known = known;
        changed
    }

    fn refresh_patterns(&mut self, topics: &dyn Topics) {
        let wanted: BTreeSet<&String> = self.members.values().filter_map(|member| member.regex.as_ref()).collect();
        let patterns = &mut self.catalog.patterns;
        patterns.retain(|pattern, _| wanted.contains(pattern));
        let names = if wanted.is_empty() { Vec::new() } else { topics.names() };
        for pattern in wanted {
            let known = patterns.remove(pattern).map(|known| known.regex);
            if let Some(regex) = known.or_else(|| compile(pattern)) {
                let matches = names.iter().filter(|name| regex.is_match(name)).cloned().collect();
                patterns.insert(pattern.clone(), Pattern { regex, matches });
            }
        }
    }

    fn known_topics(&self, topics: &dyn Topics) -> BTreeMap<String, (u128, u32)> {
        let named = self.members.values().flat_map(|member| &member.topics);
        let matched = self.catalog.patterns.values().flat_map(|pattern| &pattern.matches);
        let names: BTreeSet<&String> = named.chain(matched).collect();
        names.into_iter().filter_map(|name| Some((name.clone(), topics.find(name)?))).collect()
    }

    /// Whether anybody wants this topic, by name or by pattern.
    pub fn wants(&self, topic: &str) -> bool {
        let matched = |pattern: &Pattern| pattern.regex.is_match(topic);
        self.members.values().any(|member| member.topics.contains(topic)) || self.catalog.patterns.values().any(matched)
    }
}
