//! Several producers of both versions write, end, are replaced, run out of time, and the machine crashes at any moment: readers of
//! committed records see exactly the transactions that were committed, each one whole.

use std::collections::BTreeSet;

use fleuve_base::fs_memory::Unsynced;
use fleuve_wire::{ErrorCode, Request};
use proptest::prelude::*;

use crate::producer::{
    Producer, TIMEOUT_MS, TOPIC, all_committed, all_decided, all_stable, code_of, offset_of, rounds,
};
use crate::support::{Asked, World};

const PARTITIONS: i32 = 3;

/// The group whose offsets a client commits.
fn group(client: usize) -> String {
    format!("g{client}")
}

/// Two of them share a transactional id, and fence each other off.
const CLIENTS: [(&str, bool); 5] = [("shared", false), ("shared", true), ("one", false), ("two", true), ("zwei", true)];

#[derive(Debug, Clone)]
enum Op {
    /// A client starts, or starts again and leaves what it did before.
    Start(usize),
    Write(usize, i32),
    /// A client commits an offset of its group.
    Offset(usize),
    End(usize, bool),
    /// One commit round.
    Round,
    Crash(Unsynced),
    /// As long as a transaction may be open passes.
    Time,
}

fn op() -> impl Strategy<Value = Op> {
    let client = || 0..CLIENTS.len();
    let unsynced = prop_oneof![Just(Unsynced::Lost), Just(Unsynced::Kept), any::<u64>().prop_map(Unsynced::Torn),];
    prop_oneof![
        2 => client().prop_map(Op::Start),
        8 => (client(), 0..PARTITIONS).prop_map(|(client, partition)| Op::Write(client, partition)),
        4 => client().prop_map(Op::Offset),
        5 => (client(), prop::bool::weighted(0.7)).prop_map(|(client, commit)| Op::End(client, commit)),
        14 => Just(Op::Round),
        2 => unsynced.prop_map(Op::Crash),
        1 => Just(Op::Time),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its client has not asked for an end.
    Open,
    /// Its client has asked for a commit, and does not know.
    Committing,
    Committed,
    Aborted,
    /// Its client will never know.
    Unknown,
}

/// What one transaction wrote.
struct Written {
    client: usize,
    values: Vec<String>,
    /// The last offset that it committed for its client's group; they rise from transaction to transaction.
    offset: Option<i64>,
    fate: Fate,
}

/// A request that a client has sent, and what it is for.
struct Sent {
    what: What,
    request: (i16, Request),
    asked: Asked,
    /// Whether a crash may have taken an answer away.
    again: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Start,
    Add(i32, String),
    AddOffset(i64),
    Write,
    End(bool),
}

struct Client {
    producer: Producer,
    started: bool,
    sent: Option<Sent>,
    /// The number of its transaction, if it has one.
    transaction: Option<usize>,
}

struct Model {
    world: Option<World>,
    clients: Vec<Client>,
    transactions: Vec<Written>,
    values: usize,
}

impl Model {
    fn new() -> Self {
        let world = World::new();
        world.create(TOPIC, PARTITIONS, &[]);
        let client = |(id, version_two): (&str, bool)| Client {
            producer: Producer::new(id, version_two),
            started: false,
            sent: None,
            transaction: None,
        };
        Model { world: Some(world), clients: CLIENTS.map(client).into(), transactions: vec![], values: 0 }
    }

    fn world(&self) -> &World {
        self.world.as_ref().expect("there is always a world but while it crashes")
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Start(client) => self.start(*client),
            Op::Write(client, partition) => self.write(*client, *partition),
            Op::Offset(client) => self.offset(*client),
            Op::End(client, commit) => self.end(*client, *commit),
            Op::Round => self.world().commit(),
            Op::Time => {
                self.world().clock.advance(i64::from(TIMEOUT_MS));
                self.world().run_timers();
            }
            Op::Crash(unsynced) => self.crash(*unsynced),
        }
        (0..self.clients.len()).for_each(|client| self.receive(client));
        self.check(false);
    }

    fn send(&mut self, client: usize, what: What, request: (i16, Request)) {
        let asked = self.clients[client].producer.asks(self.world(), request.clone());
        self.clients[client].sent = Some(Sent { what, request, asked, again: false });
    }

    fn start(&mut self, client: usize) {
        let ending = self.clients[client].sent.take().is_some_and(|sent| sent.what == What::End(true));
        self.leave(client, if ending { Fate::Unknown } else { Fate::Aborted });
        let (id, version_two) = CLIENTS[client];
        self.clients[client].producer = Producer::new(id, version_two);
        let request = self.clients[client].producer.init_request();
        self.send(client, What::Start, request);
    }

    /// The client is done with its transaction, and with its producer.
    fn leave(&mut self, client: usize, fate: Fate) {
        self.clients[client].started = false;
        if let Some(transaction) = self.clients[client].transaction.take() {
            self.transactions[transaction].fate = fate;
        }
    }

    fn is_idle(&self, client: usize) -> bool {
        self.clients[client].started && self.clients[client].sent.is_none()
    }

    fn write(&mut self, client: usize, partition: i32) {
        if !self.is_idle(client) {
            return;
        }
        self.values += 1;
        let value = format!("v{:04}", self.values);
        self.transaction(client).values.push(value.clone());
        let producer = &self.clients[client].producer;
        match producer.version_two {
            true => self.send(client, What::Write, producer.produce_request(partition, &value)),
            false => self.send(client, What::Add(partition, value), producer.add_request(partition)),
        }
    }

    /// The client's transaction, which begins with what it writes first.
    fn transaction(&mut self, client: usize) -> &mut Written {
        let transactions = &mut self.transactions;
        let transaction = *self.clients[client].transaction.get_or_insert_with(|| {
            transactions.push(Written { client, values: vec![], offset: None, fate: Fate::Open });
            transactions.len() - 1
        });
        &mut self.transactions[transaction]
    }

    fn offset(&mut self, client: usize) {
        if !self.is_idle(client) {
            return;
        }
        self.values += 1;
        let offset = self.values as i64;
        self.transaction(client).offset = Some(offset);
        let producer = &self.clients[client].producer;
        match producer.version_two {
            true => self.send(client, What::Write, producer.offset_request(&group(client), offset)),
            false => self.send(client, What::AddOffset(offset), producer.add_offsets_request(&group(client))),
        }
    }

    fn end(&mut self, client: usize, commit: bool) {
        let Some(transaction) = self.clients[client].transaction.filter(|_| self.is_idle(client)) else { return };
        if commit {
            self.transactions[transaction].fate = Fate::Committing;
        }
        let request = self.clients[client].producer.end_request(commit);
        self.send(client, What::End(commit), request);
    }

    fn crash(&mut self, unsynced: Unsynced) {
        let world = self.world.take().expect("a world").crash(unsynced);
        self.world = Some(world);
        self.check(true);
        for client in 0..self.clients.len() {
            if let Some(Sent { what, request, .. }) = self.clients[client].sent.take() {
                self.send(client, what, request);
                self.clients[client].sent.as_mut().expect("just sent").again = true;
            }
        }
    }

    /// Has a client take in the answer that it waits for.
    fn receive(&mut self, client: usize) {
        let Some(sent) = self.clients[client].sent.take() else { return };
        if sent.asked.waits() {
            self.clients[client].sent = Some(sent);
            return;
        }
        let response = sent.asked.answer();
        match code_of(&response) {
            ErrorCode::NONE => {
                self.clients[client].producer.learn(&sent.request.1, &response);
                self.succeeded(client, sent.what);
            }
            // Clients come again.
            ErrorCode::CONCURRENT_TRANSACTIONS => {
                let again = sent.again;
                self.send(client, sent.what, sent.request);
                self.clients[client].sent.as_mut().expect("just sent").again = again;
            }
            _ => {
                let unknown = sent.what == What::End(true) && sent.again;
                self.leave(client, if unknown { Fate::Unknown } else { Fate::Aborted });
            }
        }
    }

    fn succeeded(&mut self, client: usize, what: What) {
        match what {
            What::Start => self.clients[client].started = true,
            What::Add(partition, value) => {
                let request = self.clients[client].producer.produce_request(partition, &value);
                self.send(client, What::Write, request);
                self.receive(client);
            }
            What::AddOffset(offset) => {
                let request = self.clients[client].producer.offset_request(&group(client), offset);
                self.send(client, What::Write, request);
                self.receive(client);
            }
            What::Write => {}
            What::End(commit) => {
                let transaction = self.clients[client].transaction.take().expect("only what is open is ended");
                self.transactions[transaction].fate = if commit { Fate::Committed } else { Fate::Aborted };
            }
        }
    }

    /// What is decided must be what the clients were told, and what readers see must be what is decided; `at_rest`, each
    /// transaction counts whole or not at all.
    fn check(&self, at_rest: bool) {
        let (decided, seen) = (all_decided(self.world()), all_committed(self.world()));
        let unique: BTreeSet<&String> = decided.iter().collect();
        assert_eq!(unique.len(), decided.len(), "a value is there twice: {decided:?}");
        assert!(seen.iter().all(|value| unique.contains(value)), "{seen:?} are seen of {decided:?}");
        assert!(!all_stable(self.world()) || seen == decided, "only {seen:?} are seen of {decided:?}");
        let mut left = unique.len();
        for Written { values, fate, .. } in &self.transactions {
            let counts = values.iter().filter(|value| unique.contains(value)).count();
            left -= counts;
            match fate {
                Fate::Open | Fate::Aborted => assert_eq!(counts, 0, "{values:?} is {fate:?}"),
                Fate::Committed => assert_eq!(counts, values.len(), "{values:?} were committed"),
                Fate::Committing | Fate::Unknown => {
                    assert!(!at_rest || counts == 0 || counts == values.len(), "a part of {values:?} counts");
                }
            }
        }
        assert_eq!(left, 0, "a value that nobody wrote is in {decided:?}");
        if at_rest {
            (0..self.clients.len()).for_each(|client| self.check_offset(client, &unique));
        }
    }

    /// A group's offset is that of its client's last transaction that counts.
    fn check_offset(&self, client: usize, decided: &BTreeSet<&String>) {
        let offset = offset_of(self.world(), &group(client));
        let own = self.transactions.iter().filter(|written| written.client == client);
        let own: Vec<_> = own.filter_map(|written| Some((written, written.offset?))).collect();
        let surely = own.iter().filter(|(written, _)| written.fate == Fate::Committed).map(|(_, offset)| *offset);
        let surely = surely.max().unwrap_or(-1);
        assert!(offset >= surely, "group of {client}: {offset} is before {surely}");
        for (Written { values, fate, .. }, of) in own {
            let counts = values.iter().all(|value| decided.contains(value));
            let may_count = matches!(fate, Fate::Committing | Fate::Unknown | Fate::Committed);
            assert!(of != offset || may_count && counts, "group of {client}: {offset} is of {values:?}, {fate:?}");
            let alone = values.is_empty() && *fate != Fate::Committed;
            assert!(
                alone || !may_count || !counts || offset >= of,
                "group of {client}: {values:?} count, {of} does not"
            );
        }
        assert!(offset == -1 || self.transactions.iter().any(|written| written.offset == Some(offset)));
    }

    /// Lets everything come to its end: in the end no transaction is open.
    fn finish(&mut self) {
        for _ in 0..20 {
            rounds(self.world());
            (0..self.clients.len()).for_each(|client| self.receive(client));
        }
        assert!(self.clients.iter().all(|client| client.sent.is_none()), "a request is never answered");
        self.world().clock.advance(i64::from(TIMEOUT_MS));
        self.world().run_timers();
        rounds(self.world());
        self.check(true);
        assert!(all_stable(self.world()), "a transaction stays open for ever");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_see_the_committed_transactions_whole_and_nothing_else(ops in prop::collection::vec(op(), 10..120)) {
        let mut model = Model::new();
        (0..CLIENTS.len()).for_each(|client| model.start(client));
        ops.iter().for_each(|op| model.run(op));
        model.finish();
    }
}
