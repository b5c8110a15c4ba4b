//! Random clients against one group: what must hold whatever they do.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What a client, or the world, does next.
#[derive(Debug, Clone)]
enum Event {
    Join(usize),
    Sync(usize),
    Heartbeat(usize),
    Leave(usize),
    /// The client forgets what it was; a static one will come back.
    Crash(usize),
    Pass(u64),
    Restart,
}

const CLIENTS: usize = 5;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let client = 0..CLIENTS;
    let event = prop_oneof![
        6 => client.clone().prop_map(Event::Join),
        6 => client.clone().prop_map(Event::Sync),
        4 => client.clone().prop_map(Event::Heartbeat),
        1 => client.clone().prop_map(Event::Leave),
        1 => client.prop_map(Event::Crash),
        3 => (0..20_000u64).prop_map(Event::Pass),
        1 => Just(Event::Restart),
    ];
    prop::collection::vec(event, 0..120)
}

/// What a client knows.
#[derive(Debug, Clone, Default)]
struct Client {
    id: String,
    generation: i32,
    leads: Option<Vec<String>>,
    join: Option<Token>,
    sync: Option<Token>,
    assigned: Option<i32>,
}

struct Model {
    world: World,
    clients: Vec<Client>,
    /// The leader of each generation.
    leaders: BTreeMap<i32, String>,
    /// The highest generation that anybody was told.
    told: i32,
}

impl Model {
    fn run(&mut self, event: Event) {
        match event {
            Event::Join(who) => self.join(who),
            Event::Sync(who) => self.sync(who),
            Event::Heartbeat(who) => {
                let (id, generation) = (self.clients[who].id.clone(), self.clients[who].generation);
                let _ = self.world.heartbeat(&id, generation);
            }
            Event::Leave(who) => {
                let id = self.clients[who].id.clone();
                let _ = self.world.leave(&id, instance(who).as_deref());
                self.clients[who] = Client::default();
            }
            Event::Crash(who) => self.clients[who] = Client::default(),
            Event::Pass(ms) => self.world.pass(Duration::from_millis(ms)),
            Event::Restart => {
                self.world.restart();
                self.clients.iter_mut().for_each(|client| (client.join, client.sync) = (None, None));
            }
        }
        self.take_answers();
        self.check();
    }

    fn join(&mut self, who: usize) {
        let client = &self.clients[who];
        if client.join.is_some() {
            return;
        }
        let join = Join {
            member_id: client.id.clone(),
            instance_id: instance(who),
            takes_member_id: who.is_multiple_of(3),
            ..dynamic(&format!("c{who}"))
        };
        self.clients[who].join = Some(self.world.join(join));
    }

    fn sync(&mut self, who: usize) {
        let client = self.clients[who].clone();
        if client.sync.is_some() || client.id.is_empty() {
            return;
        }
        let own = format!("{}", client.generation);
        let members = client.leads.clone().unwrap_or_default();
        let assignments: Vec<(&str, &str)> = members.iter().map(|id| (id.as_str(), own.as_str())).collect();
        self.clients[who].sync = Some(self.world.sync(&client.id, client.generation, &assignments));
    }

    fn take_answers(&mut self) {
        for who in 0..CLIENTS {
            if let Some(joined) = self.clients[who].join.and_then(|token| self.world.joined(token)) {
                self.clients[who].join = None;
                self.note_joined(who, joined);
            }
            if let Some(synced) = self.clients[who].sync.and_then(|token| self.world.synced(token)) {
                self.clients[who].sync = None;
                self.note_synced(who, &synced);
            }
        }
        // What is left belongs to clients that have crashed.
        self.world.answers.clear();
    }

    fn note_joined(&mut self, who: usize, joined: Joined) {
        let client = &mut self.clients[who];
        match joined.error {
            ErrorCode::NONE => {
                assert!(joined.generation >= client.generation, "generations only rise");
                let replaced = joined.skip_assignment || instance(who).is_some();
                let leader = self.leaders.entry(joined.generation).or_insert_with(|| joined.leader.clone());
                assert!(replaced || *leader == joined.leader || leader.contains("static"), "one leader a generation");
                self.told = self.told.max(joined.generation);
                let leads = joined.leader == joined.member_id && !joined.skip_assignment;
                client.leads = leads.then(|| joined.members.into_iter().map(|member| member.id).collect());
                (client.id, client.generation) = (joined.member_id, joined.generation);
            }
            ErrorCode::MEMBER_ID_REQUIRED => client.id = joined.member_id,
            ErrorCode::REBALANCE_IN_PROGRESS => {}
            _ => *client = Client::default(),
        }
    }

    fn note_synced(&mut self, who: usize, synced: &Synced) {
        let client = &mut self.clients[who];
        match synced.error {
            ErrorCode::NONE => {
                let generation = std::str::from_utf8(&synced.assignment).unwrap();
                let fits = generation.is_empty() || generation == client.generation.to_string();
                assert!(fits, "an assignment of generation {generation} for {}", client.generation);
                client.assigned = Some(client.generation);
            }
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::FENCED_INSTANCE_ID => *client = Client::default(),
            _ => {}
        }
    }

    fn check(&self) {
        let group = &self.world.group;
        assert!(group.generation >= self.told);
        assert_eq!(group.members.is_empty(), group.state == State::Empty || group.members.is_empty());
        let leader_is_member = group.leader.as_ref().is_none_or(|leader| group.members.contains_key(leader));
        assert!(leader_is_member, "the leader is a member");
        for (instance, id) in &group.instances {
            assert_eq!(group.members[id].instance_id.as_ref(), Some(instance));
        }
        let settled = matches!(group.state, State::Stable | State::CompletingRebalance);
        assert!(!settled || group.members.values().all(|member| member.joining.is_none()));
        assert!(group.state == State::CompletingRebalance || group.members.values().all(|m| m.syncing.is_none()));
    }

    /// When every client does what it should, the group becomes stable with all of them.
    fn settle(&mut self) {
        for _ in 0..20 {
            for who in 0..CLIENTS {
                self.run(Event::Heartbeat(who));
                let client = &self.clients[who];
                let current = client.generation == self.world.group.generation && !client.id.is_empty();
                let rebalancing = self.world.group.state == State::PreparingRebalance;
                if rebalancing || !current || !self.world.group.members.contains_key(&client.id) {
                    self.run(Event::Join(who));
                } else {
                    self.run(Event::Sync(who));
                }
            }
            self.run(Event::Pass(4_000));
        }
    }
}

/// Some are static.
fn instance(who: usize) -> Option<String> {
    (who % 2 == 1).then(|| format!("static{who}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn whatever_clients_do_the_group_holds_together(events in events()) {
        let mut world = World::new();
        world.config.initial_rebalance_delay = Duration::from_millis(500);
        let clients = vec![Client::default(); CLIENTS];
        let mut model = Model { world, clients, leaders: BTreeMap::new(), told: 0 };
        for event in events {
            model.run(event);
        }
        model.settle();
        prop_assert_eq!(model.world.group.state, State::Stable);
        prop_assert_eq!(model.world.group.members.len(), CLIENTS);
    }
}
