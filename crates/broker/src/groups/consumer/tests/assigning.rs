//! What the assignors deal out.

use proptest::prelude::*;

use super::super::assignor::{Subscriber, Targets};
use super::*;

type Members<'a> = BTreeMap<&'a str, Subscriber<'a>>;

static NOTHING: std::sync::LazyLock<Assignment> = std::sync::LazyLock::new(Assignment::default);

fn subscriber(topics: &[u128]) -> Subscriber<'static> {
    Subscriber { topics: topics.iter().copied().collect(), target: &NOTHING, instance_id: None }
}

fn loads(targets: &Targets) -> Vec<usize> {
    targets.values().map(Assignment::len).collect()
}

#[test]
fn range_gives_neighbours_and_the_same_numbers_of_each_topic() {
    let topics = BTreeMap::from([(1, 5), (2, 5)]);
    let members: Members<'_> = [("a", subscriber(&[1, 2])), ("b", subscriber(&[1, 2]))].into();
    let targets = Assignor::Range.assign(&topics, &members);
    let a: Assignment = partitions(1, 0..3).iter().chain(partitions(2, 0..3).iter()).collect();
    assert_eq!(targets["a"], a);
    assert_eq!(targets["b"].len(), 4);
}

#[test]
fn range_orders_static_members_by_their_instances() {
    let topics = BTreeMap::from([(1, 2)]);
    let named = |instance_id| Subscriber { instance_id: Some(instance_id), ..subscriber(&[1]) };
    let members: Members<'_> = [("a", named("2")), ("b", named("1"))].into();
    assert_eq!(Assignor::Range.assign(&topics, &members)["b"], partitions(1, 0..1));
}

#[test]
fn uniform_takes_as_little_away_as_possible() {
    let topics = BTreeMap::from([(1, 7)]);
    let all = partitions(1, 0..7);
    let members: Members<'_> = [("a", Subscriber { target: &all, ..subscriber(&[1]) }), ("b", subscriber(&[1]))].into();
    let targets = Assignor::Uniform.assign(&topics, &members);
    assert_eq!(loads(&targets), [4, 3]);
    assert!(targets["a"].is_subset(&all));
}

#[test]
fn uniform_gives_what_only_one_wants_to_that_one() {
    let topics = BTreeMap::from([(1, 4), (2, 4)]);
    let members: Members<'_> = [("a", subscriber(&[1, 2])), ("b", subscriber(&[1]))].into();
    let targets = Assignor::Uniform.assign(&topics, &members);
    assert_eq!(loads(&targets), [4, 4]);
    assert_eq!(targets["a"], partitions(2, 0..4));
}

proptest! {
    #[test]
    fn every_partition_goes_to_one_who_wants_it(
        sizes in prop::collection::vec(0u32..9, 1..5),
        wishes in prop::collection::vec(prop::collection::btree_set(0u128..5, 0..5), 1..7),
        uniform in any::<bool>(),
        before in prop::collection::vec((0u128..5, 0i32..9, 0usize..7), 0..20),
    ) {
        let topics: BTreeMap<u128, u32> = (0u128..).zip(sizes).collect();
        let names: Vec<String> = (0..wishes.len()).map(|number| format!("m{number}")).collect();
        let mut former = vec![Assignment::default(); wishes.len()];
        let mut taken = BTreeSet::new();
        for (topic, partition, member) in before {
            if member < wishes.len() && taken.insert((topic, partition)) {
                former[member].insert((topic, partition));
            }
        }
        let members: Members<'_> = names.iter().zip(&wishes).zip(&former).map(|((name, topics), target)| {
            (name.as_str(), Subscriber { topics: topics.clone(), target, instance_id: None })
        }).collect();
        let assignor = if uniform { Assignor::Uniform } else { Assignor::Range };
        let targets = assignor.assign(&topics, &members);
        let mut given = BTreeSet::new();
        for (id, target) in &targets {
            for at in target.iter() {
                prop_assert!(members[id.as_str()].topics.contains(&at.0));
                prop_assert!(given.insert(at), "given twice");
            }
        }
        let wanted = |topic: &u128| wishes.iter().any(|wish| wish.contains(topic));
        let all: u32 = topics.iter().filter(|(topic, _)| wanted(topic)).map(|(_, count)| count).sum();
        prop_assert_eq!(given.len(), all as usize);
        let alike = wishes.iter().all(|wish| *wish == wishes[0]);
        if uniform && alike {
            let loads = loads(&targets);
            prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{:?}", loads);
        }
        if uniform {
            let again: Members<'_> = members.iter().map(|(&name, member)| {
                (name, Subscriber { topics: member.topics.clone(), target: &targets[name], instance_id: None })
            }).collect();
            prop_assert_eq!(assignor.assign(&topics, &again), targets.clone(), "nothing has changed, so nothing moves");
        }
    }
}
