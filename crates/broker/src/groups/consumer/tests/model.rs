//! Random members and topics against one group: no partition is ever with two, and when all is quiet each is with one.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Beat(usize),
    /// The answer gets lost.
    Unheard(usize),
    Leave(usize),
    LeaveForAWhile(usize),
    /// Starts anew without having said goodbye, and has nothing any more.
    Crash(usize),
    Subscribe(usize, u8),
    Topic(u8, u32),
    Pass(u64),
    Restart,
}

const CLIENTS: usize = 4;
const TOPICS: [&str; 3] = ["t", "u", "v"];

fn events() -> impl Strategy<Value = Vec<Event>> {
    let client = 0..CLIENTS;
    let event = prop_oneof![
        12 => client.clone().prop_map(Event::Beat),
        2 => client.clone().prop_map(Event::Unheard),
        1 => client.clone().prop_map(Event::Leave),
        1 => client.clone().prop_map(Event::LeaveForAWhile),
        1 => client.clone().prop_map(Event::Crash),
        2 => (client, 1..8u8).prop_map(|(who, topics)| Event::Subscribe(who, topics)),
        1 => (0..3u8, 0..8u32).prop_map(|(topic, partitions)| Event::Topic(topic, partitions)),
        2 => (0..20_000u64).prop_map(Event::Pass),
        1 => Just(Event::Restart),
    ];
    prop::collection::vec(event, 0..150)
}

struct Model {
    world: World,
    clients: Vec<Client>,
    /// For the next id that a client gives itself.
    next_id: u32,
}

impl Model {
    fn new() -> Self {
        let mut clients: Vec<Client> = (0..CLIENTS).map(|who| Client::new(&format!("m{who}"))).collect();
        clients[0].instance = Some("static".to_owned());
        clients[3].assignor = Some(Assignor::Range);
        Model { world: World::new(), clients, next_id: 0 }
    }

    fn run(&mut self, event: &Event) {
        match *event {
            Event::Beat(who) => self.beat(who),
            Event::Unheard(who) => self.unheard(who),
            Event::Leave(who) => self.leave(who, -1),
            Event::LeaveForAWhile(who) => self.leave(who, -2),
            Event::Crash(who) => self.clients[who].reset(),
            Event::Subscribe(who, topics) => self.subscribe(who, topics),
            Event::Topic(topic, 0) => self.world.topics.remove(TOPICS[usize::from(topic)]),
            Event::Topic(topic, partitions) => {
                self.world.topics.set(TOPICS[usize::from(topic)], u128::from(topic) + 1, partitions);
            }
            Event::Pass(ms) => self.pass(ms),
            Event::Restart => self.world.restart(),
        }
        self.check();
    }

    fn beat(&mut self, who: usize) {
        match self.clients[who].beat(&mut self.world) {
            Ok(()) => {}
            Err(ErrorCode::UNRELEASED_INSTANCE_ID) => {}
            Err(_) => self.clients[who].reset(),
        }
    }

    /// The client does not know what it was told. It says all next time, and is told again.
    fn unheard(&mut self, who: usize) {
        let said = self.clients[who].says();
        let _ = self.world.beat(&said);
        self.clients[who].says_all = true;
    }

    fn leave(&mut self, who: usize, epoch: i32) {
        let said = Heartbeat { epoch, ..self.clients[who].says() };
        let left = self.world.beat(&said).is_ok();
        if left || self.clients[who].epoch == 0 {
            self.clients[who].reset();
            if self.clients[who].instance.is_some() && left {
                self.next_id += 1;
                self.clients[who].id = format!("m{who}-{}", self.next_id);
            }
        }
    }

    fn subscribe(&mut self, who: usize, topics: u8) {
        let names = (0..3).filter(|bit| topics >> bit & 1 == 1).map(|bit| TOPICS[bit]);
        self.clients[who].topics = names.collect();
        let topics = self.clients[who].topics.iter().map(|&topic| topic.to_owned()).collect();
        if self.clients[who].epoch > 0 {
            let said = Heartbeat { topics: Some(topics), ..self.clients[who].says() };
            match self.world.beat(&said) {
                Ok(beat) => self.clients[who].take(beat),
                Err(_) => self.clients[who].reset(),
            }
        }
    }

    /// Clients notice themselves that they have been silent for too long, or have not given back in time.
    fn pass(&mut self, ms: u64) {
        self.world.pass(Duration::from_millis(ms));
        for client in &mut self.clients {
            if !self.world.group.members.contains_key(&client.id) {
                client.reset();
            }
        }
    }

    fn check(&self) {
        let mut owners = BTreeMap::new();
        for member in self.world.group.members.values() {
            for at in member.assigned.iter().chain(member.revoking.iter()) {
                assert_eq!(owners.insert(at, &member.id), None, "{at:?} is with two members");
            }
            assert!(member.epoch <= self.world.group.target_epoch);
        }
        let mut read = BTreeSet::new();
        for client in &self.clients {
            for at in client.owned.iter() {
                assert!(read.insert(at), "{at:?} is read by two clients");
            }
        }
        assert!(self.world.group.target_epoch <= self.world.group.epoch);
    }

    fn settle(&mut self) {
        for _ in 0..30 {
            (0..CLIENTS).for_each(|who| self.run(&Event::Beat(who)));
            self.run(&Event::Pass(3_000));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_partition_is_with_two_and_in_the_end_each_is_with_one(events in events()) {
        let mut model = Model::new();
        events.iter().for_each(|event| model.run(event));
        model.settle();
        prop_assert_eq!(model.world.group.state_name(), "Stable");
        let owned: usize = model.clients.iter().map(|client| client.owned.len()).sum();
        let wanted = |name: &str| model.clients.iter().any(|client| client.topics.contains(&name));
        let topics = model.world.topics.topics.borrow();
        let all: u32 = topics.iter().filter(|(name, _)| wanted(name)).map(|(_, (_, count))| count).sum();
        prop_assert_eq!(owned, all as usize);
        for client in &model.clients {
            prop_assert_eq!(&client.owned, &model.world.group.members[&client.id].target);
        }
    }
}
