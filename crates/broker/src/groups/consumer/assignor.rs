//! The assignors: which member is to have which partitions.

use std::collections::{BTreeMap, BTreeSet};

use super::assignment::{Assignment, Partition};

/// A way to deal out partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Assignor {
    /// As many partitions for each as possible, and as few moves.
    Uniform,
    /// Topic by topic, each member a run of neighbouring partitions: members with the same topics get the same
    /// numbers of each, which joins need.
    Range,
}

impl Assignor {
    /// The assignor of that name.
    pub fn find(name: &str) -> Option<Self> {
        match name {
            "uniform" => Some(Assignor::Uniform),
            "range" => Some(Assignor::Range),
            _ => None,
        }
    }

    /// The name that clients ask for it by.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// Deals the topics' partitions out to those who subscribe to them.
    pub fn assign(self, topics: &BTreeMap<u128, u32>, members: &BTreeMap<&str, Subscriber<'_>>) -> Targets {
        match self {
            Assignor::Uniform => uniform(topics, members),
            Assignor::Range => range(topics, members),
        }
    }
}

/// What an assignor knows of a member.
pub(crate) struct Subscriber<'a> {
    /// Ids of the topics that it wants and that exist.
    pub topics: BTreeSet<u128>,
    /// What it was to have before.
    pub target: &'a Assignment,
    /// Static members keep their place in the order by this.
    pub instance_id: Option<&'a str>,
}

/// What each member is to have.
pub(crate) type Targets = BTreeMap<String, Assignment>;

fn number(partition: u32) -> i32 {
    i32::try_from(partition).expect("a topic has fewer partitions than 2^31")
}

fn range(topics: &BTreeMap<u128, u32>, members: &BTreeMap<&str, Subscriber<'_>>) -> Targets {
    let mut targets: Targets = members.keys().map(|&id| (id.to_owned(), Assignment::default())).collect();
    let mut order: Vec<_> = members.iter().collect();
    order.sort_by_key(|(id, member)| (member.instance_id.is_none(), member.instance_id, **id));
    for (&topic, &partitions) in topics {
        let takers: Vec<&str> = order.iter().filter(|(_, m)| m.topics.contains(&topic)).map(|(id, _)| **id).collect();
        let count = u32::try_from(takers.len()).unwrap_or(u32::MAX).max(1);
        let (each, more) = (partitions / count, partitions % count);
        let mut next = 0;
        for (index, taker) in (0..).zip(takers) {
            let end = next + each + u32::from(index < more);
            let target = targets.get_mut(taker).expect("one for each member");
            (next..end).for_each(|partition| target.insert((topic, number(partition))));
            next = end;
        }
    }
    targets
}

/// Sticky and balanced. Everyone keeps of its former target what it still wants, up to its share; what is free then
/// goes to whoever has least; and while somebody could give a partition to one that has two fewer, it does. Among
/// members with equal subscriptions the shares are exact; else they are as even as single moves make them.
fn uniform(topics: &BTreeMap<u128, u32>, members: &BTreeMap<&str, Subscriber<'_>>) -> Targets {
    let mut dealing = Dealing::begin(topics, members);
    dealing.deal_free(topics);
    if !alike(members) {
        dealing.balance();
    }
    dealing.targets()
}

/// Dealing out.
struct Dealing<'a> {
    members: &'a BTreeMap<&'a str, Subscriber<'a>>,
    owners: BTreeMap<Partition, &'a str>,
    /// All members by how many partitions they have.
    loads: BTreeMap<&'a str, usize>,
}

impl<'a> Dealing<'a> {
    /// With what the members keep.
    fn begin(topics: &BTreeMap<u128, u32>, members: &'a BTreeMap<&'a str, Subscriber<'a>>) -> Self {
        let mut dealing =
            Dealing { members, owners: BTreeMap::new(), loads: members.keys().map(|&id| (id, 0)).collect() };
        let (least, mut extra) = shares(topics, members);
        for (&id, member) in members {
            let exists = |(topic, p): Partition| topics.get(&topic).is_some_and(|&n| p < number(n));
            let kept = member.target.iter().filter(|&at| exists(at) && member.topics.contains(&at.0));
            for at in kept {
                let has = dealing.loads[id];
                // So many members may have one more than the least share.
                if has > least || has == least && extra == 0 {
                    break;
                }
                if !dealing.owners.contains_key(&at) {
                    extra -= usize::from(has == least);
                    dealing.give(at, id);
                }
            }
        }
        dealing
    }

    fn give(&mut self, at: Partition, to: &'a str) {
        *self.loads.entry(to).or_default() += 1;
        if let Some(before) = self.owners.insert(at, to) {
            *self.loads.entry(before).or_default() -= 1;
        }
    }

    /// The subscriber of the topic that has least.
    fn least_loaded(&self, takers: &[&'a str]) -> Option<&'a str> {
        takers.iter().copied().min_by_key(|id| (self.loads[id], *id))
    }

    fn takers(&self) -> BTreeMap<u128, Vec<&'a str>> {
        let mut takers: BTreeMap<u128, Vec<&'a str>> = BTreeMap::new();
        for (&id, member) in self.members {
            member.topics.iter().for_each(|&topic| takers.entry(topic).or_default().push(id));
        }
        takers
    }

    /// The topics that fewest want come first: they have the least choice.
    fn deal_free(&mut self, topics: &BTreeMap<u128, u32>) {
        let takers = self.takers();
        let mut order: Vec<_> = topics.iter().filter_map(|(topic, &n)| Some((takers.get(topic)?, *topic, n))).collect();
        order.sort_by_key(|(takers, topic, _)| (takers.len(), *topic));
        for (takers, topic, partitions) in order {
            let mut heap: BTreeSet<(usize, &str)> = takers.iter().map(|&id| (self.loads[id], id)).collect();
            for at in (0..partitions).map(|partition| (topic, number(partition))) {
                if self.owners.contains_key(&at) {
                    continue;
                }
                let Some((load, id)) = heap.pop_first() else { break };
                self.give(at, id);
                heap.insert((load + 1, id));
            }
        }
    }

    /// Every move makes the sum of the squared loads smaller, so this ends.
    fn balance(&mut self) {
        let takers = self.takers();
        loop {
            let moves: Vec<Partition> = self.owners.keys().copied().collect();
            let before = self.owners.clone();
            for at in moves {
                let owner = self.owners[&at];
                match takers.get(&at.0).and_then(|takers| self.least_loaded(takers)) {
                    Some(least) if self.loads[least] + 1 < self.loads[owner] => self.give(at, least),
                    _ => {}
                }
            }
            if self.owners == before {
                return;
            }
        }
    }

    fn targets(self) -> Targets {
        let mut targets: Targets = self.members.keys().map(|&id| (id.to_owned(), Assignment::default())).collect();
        for (at, owner) in self.owners {
            targets.get_mut(owner).expect("one for each member").insert(at);
        }
        targets
    }
}

/// Whether all subscribe to the same.
fn alike(members: &BTreeMap<&str, Subscriber<'_>>) -> bool {
    let mut sets = members.values().map(|member| &member.topics);
    sets.next().is_none_or(|first| sets.all(|other| other == first))
}

/// How many partitions everyone may keep, and how many may keep one more. Without equal subscriptions there is no such
/// bound; balancing does the work then.
fn shares(topics: &BTreeMap<u128, u32>, members: &BTreeMap<&str, Subscriber<'_>>) -> (usize, usize) {
    let Some(first) = members.values().next() else { return (0, 0) };
    if !alike(members) {
        return (usize::MAX, 0);
    }
    let all: usize = first.topics.iter().filter_map(|topic| topics.get(topic)).map(|&n| n as usize).sum();
    (all / members.len(), all % members.len())
}
