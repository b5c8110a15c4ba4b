//! A life: a data directory, a broker over it that is hurt again and again, drivers that do not notice more of it than
//! a lost connection, and a judgement at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleuve_wire::ApiKey;

use crate::checker::{Anomaly, check};
use crate::client::{Acks, Connection, Isolation, Outcome, Problem, Producer, batch};
use crate::contents::{Contents, Partition};
use crate::context::{Context, pause};
use crate::dice::Dice;
use crate::drivers::{
    Driver, GroupMember, IdempotentWriter, OFFSETS_GROUP, PlainWriter, Reader, Running, Topic, TransactionalWriter,
    start,
};
use crate::history::{Batch, Event};
use crate::process::{Injection, Launch, Server, tail};
use crate::storage::Storage;

/// After a fault every driver must get on within this time.
const PROGRESS_LIMIT: Duration = Duration::from_secs(90);

/// How long open transactions may hold up a reader of committed records when all writers have ended.
const STABLE_LIMIT: Duration = Duration::from_secs(30);

/// The group that reads the idempotent writers' topic.
const READERS_GROUP: u32 = 1;

/// The writer of values that no driver writes.
const PROBE: u32 = 1;

/// Who writes and reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) plain: u32,
    pub(crate) idempotent: u32,
    pub(crate) transactional: u32,
    pub(crate) members: u32,
    pub(crate) readers: bool,
}

impl Workload {
    /// Everything that clients do.
    pub(crate) const ALL: Workload = Workload { plain: 1, idempotent: 2, transactional: 2, members: 2, readers: true };
}

/// What a life was like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Summary {
    pub(crate) faults: u64,
    pub(crate) events: usize,
    pub(crate) records: usize,
    /// From start to ready, one for each start.
    pub(crate) starts: Vec<Duration>,
}

impl Summary {
    /// Counts another life in.
    pub(crate) fn add(&mut self, one: Summary) {
        self.faults += one.faults;
        self.events += one.events;
        self.records += one.records;
        self.starts.extend(one.starts);
    }

    /// The figures, for people.
    pub(crate) fn tell(&self) -> String {
        let mut starts: Vec<u128> = self.starts.iter().map(Duration::as_millis).collect();
        starts.sort_unstable();
        let at = |permille: usize| starts.get((starts.len() * permille / 1000).min(starts.len().max(1) - 1)).copied();
        let [median, p99, most] = [500, 990, 999].map(|permille| at(permille).unwrap_or(0));
        let Summary { faults, records, events, .. } = self;
        format!(
            "{faults} faults, 0 anomalies in {records} records and {events} events; start to ready p50 {median} ms, \
             p99 {p99} ms, p99.9 {most} ms"
        )
    }
}

/// A life that is being led.
pub(crate) struct Life {
    pub(crate) context: Arc<Context>,
    pub(crate) launch: Launch,
    /// Before the storage, which cannot be unmounted while a process has files open in it.
    pub(crate) server: Option<Server>,
    pub(crate) storage: Storage,
    pub(crate) dice: Dice,
    pub(crate) topics: Vec<Topic>,
    running: Vec<Running>,
    summary: Summary,
    groups: bool,
    probes: u64,
}

impl Life {
    /// Starts broker and drivers.
    pub(crate) fn begin(launch: Launch, storage: Storage, seed: u64, workload: &Workload) -> Result<Self, String> {
        let mut life = Life {
            context: Arc::default(),
            launch,
            storage,
            server: None,
            dice: Dice::new(seed),
            topics: vec![],
            running: vec![],
            summary: Summary::default(),
            groups: false,
            probes: 0,
        };
        if !life.start(None)? {
            return Err(format!("the broker does not start:\n{}", tail(&life.launch.messages(), 20)));
        }
        life.prepare(workload).map_err(|problem| format!("the topics cannot be created: {problem}"))?;
        Ok(life)
    }

    fn prepare(&mut self, workload: &Workload) -> Outcome {
        let mut connection = self.context.connect()?;
        let apis = connection.apis()?;
        self.groups = apis.iter().any(|(api, _)| *api == ApiKey::JoinGroup);
        let transactions = apis.iter().any(|(api, _)| *api == ApiKey::EndTxn);
        for (number, (name, partitions)) in [("plain", 2), ("idempotent", 4), ("transactional", 2)].iter().enumerate() {
            // Small segments roll often; large ones never.
            let bytes = ["1048576", "1500000", "1073741824"][self.dice.below(3) as usize];
            connection.create_topic(name, *partitions, &[("segment.bytes", bytes)])?;
            self.topics.push(Topic { number: number as u16, name: (*name).to_owned(), partitions: *partitions });
        }
        for driver in self.drivers(workload, transactions) {
            self.running.push(start(driver, &self.context, self.dice.fork()));
        }
        Ok(())
    }

    fn drivers(&self, workload: &Workload, transactions: bool) -> Vec<Box<dyn Driver>> {
        let topic = |number: usize| self.topics[number].clone();
        let mut drivers: Vec<Box<dyn Driver>> = vec![];
        for n in 0..workload.plain {
            drivers.push(Box::new(PlainWriter { writer: 100 + n, topic: topic(0) }));
        }
        for n in 0..workload.idempotent {
            drivers.push(Box::new(IdempotentWriter { writer: 200 + n, topic: topic(1) }));
        }
        for n in (0..workload.transactional).filter(|_| transactions) {
            drivers.push(Box::new(TransactionalWriter { writer: 300 + n, topic: topic(2), offsets: self.groups }));
        }
        for n in (0..workload.members).filter(|_| self.groups) {
            drivers.push(Box::new(GroupMember { reader: 400 + n, group: READERS_GROUP, topic: topic(1) }));
        }
        for n in (0..3).filter(|_| workload.readers) {
            let isolation = Isolation::Uncommitted;
            drivers.push(Box::new(Reader { reader: 500 + n, topic: topic(n as usize), isolation }));
        }
        if workload.readers {
            drivers.push(Box::new(Reader { reader: 510, topic: topic(2), isolation: Isolation::Committed }));
        }
        drivers
    }

    /// Starts the broker; whether it became ready. One that ended by itself before has been hurt by the injection.
    pub(crate) fn start(&mut self, injection: Option<&Injection>) -> Result<bool, String> {
        self.server = self.launch.start(injection)?.ready()?;
        if let Some(server) = &self.server {
            self.context.set_address(Some(server.address));
            if injection.is_none() {
                self.summary.starts.push(server.ready_after);
            }
        }
        Ok(self.server.is_some())
    }

    /// Starts the broker without a fault: now it must become ready.
    pub(crate) fn recover(&mut self) -> Result<(), String> {
        match self.start(None)? {
            true => Ok(()),
            false => Err(format!("the broker does not start again:\n{}", tail(&self.launch.messages(), 20))),
        }
    }

    /// Writes one value, outside of all drivers.
    pub(crate) fn probe(&mut self, connection: &mut Connection) -> Outcome {
        let place = self.topics[0].place(0);
        let sent = Batch { writer: PROBE, place, first: self.probes, count: 1, transaction: None };
        self.probes += 1;
        self.context.history.add(Event::Send(sent));
        connection.produce(&self.topics[0].name, 0, batch(&sent, Producer::PLAIN, -1), Acks::All, None)?;
        let base_offset = connection.produced()?;
        self.context.history.add(Event::Acked { writer: PROBE, first: sent.first, base_offset });
        Ok(())
    }

    /// Kills the broker, which may have ended already.
    pub(crate) fn kill(&mut self, why: &str) {
        self.fault(why);
        if let Some(mut server) = self.server.take() {
            server.process.kill();
        }
        self.context.set_address(None);
    }

    /// Notes and counts a fault.
    pub(crate) fn fault(&mut self, what: &str) {
        self.context.history.add(Event::Fault(what.to_owned()));
        self.summary.faults += 1;
    }

    /// Lets time pass, in which drivers work.
    pub(crate) fn run_for(&mut self, milliseconds_max: u64) {
        std::thread::sleep(Duration::from_micros(self.dice.below(1000 * milliseconds_max.max(1))));
    }

    /// Waits until every driver has got on.
    pub(crate) fn progress(&self) -> Result<(), String> {
        let before: Vec<u64> = self.running.iter().map(|driver| driver.progress.count()).collect();
        let begun = Instant::now();
        for (driver, before) in self.running.iter().zip(before) {
            while driver.progress.count() == before {
                if driver.thread.is_finished() {
                    return Err(format!("{} gave up", driver.name));
                }
                if begun.elapsed() > PROGRESS_LIMIT {
                    return Err(format!("{} has not got on for {PROGRESS_LIMIT:?}", driver.name));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    /// Lets the drivers end, reads the whole log, and judges.
    pub(crate) fn finish(mut self) -> Result<Summary, String> {
        let contents = self.end()?;
        Ok(self.told(&contents))
    }

    fn told(&mut self, contents: &Contents) -> Summary {
        self.summary.events = self.context.history.len();
        self.summary.records = contents.partitions.values().map(|partition| partition.all.len()).sum();
        std::mem::take(&mut self.summary)
    }

    /// As [`finish`](Self::finish), with another judge of what the log holds.
    pub(crate) fn finish_with(
        mut self,
        judge: impl FnOnce(&mut Connection, &Contents) -> Result<(), String>,
    ) -> Result<Summary, String> {
        let contents = self.end()?;
        let mut connection = self.context.connect().map_err(|problem| problem.to_string())?;
        judge(&mut connection, &contents).map_err(|what| self.failed(&what, &[]))?;
        Ok(self.told(&contents))
    }

    /// As [`finish`](Self::finish); gives what the log holds, and the broker, which is still running.
    pub(crate) fn leave(mut self) -> Result<(Contents, Vec<Topic>, Server), String> {
        let contents = self.end()?;
        let server = self.server.take().ok_or("the broker is gone")?;
        Ok((contents, std::mem::take(&mut self.topics), server))
    }

    fn end(&mut self) -> Result<Contents, String> {
        self.context.end();
        let begun = Instant::now();
        for driver in std::mem::take(&mut self.running) {
            while !driver.thread.is_finished() && begun.elapsed() < PROGRESS_LIMIT {
                pause();
            }
            if !driver.thread.is_finished() {
                return Err(self.failed(&format!("{} does not come to its end", driver.name), &[]));
            }
            if driver.thread.join().is_err() {
                return Err(self.failed(&format!("{} panicked", driver.name), &[]));
            }
        }
        let contents = match self.read_all() {
            Ok(contents) => contents,
            Err(problem) => return Err(self.failed(&format!("the log cannot be read: {problem}"), &[])),
        };
        let events = self.context.history.events();
        let anomalies = check(&events, &contents);
        if !anomalies.is_empty() {
            return Err(self.failed("anomalies", &anomalies));
        }
        Ok(contents)
    }

    fn read_all(&self) -> Outcome<Contents> {
        let mut connection = self.context.connect()?;
        let mut contents = Contents::default();
        for topic in &self.topics {
            for partition in 0..topic.partitions {
                let read = read_partition(&mut connection, topic, partition)?;
                contents.partitions.insert(topic.place(partition), read);
            }
        }
        for (group, topic) in self.groups() {
            for partition in 0..topic.partitions {
                let offset = connection.committed_offset(&group.to_string(), &topic.name, partition)?;
                contents.groups.insert((group, topic.place(partition)), offset);
            }
        }
        Ok(contents)
    }

    fn groups(&self) -> Vec<(u32, &Topic)> {
        let all = [(READERS_GROUP, 1), (OFFSETS_GROUP + 300, 2), (OFFSETS_GROUP + 301, 2)];
        all.iter().filter(|_| self.groups).map(|(group, topic)| (*group, &self.topics[*topic])).collect()
    }

    /// Keeps what is needed to find out what went wrong, and tells where it is.
    pub(crate) fn failed(&mut self, what: &str, anomalies: &[Anomaly]) -> String {
        self.context.stop();
        self.kill("the end");
        let history = self.launch.logs.join("history.txt");
        let kept = std::fs::write(&history, self.context.history.lines());
        let copied = self.keep_data();
        let mut message = format!("{what} after {} faults", self.summary.faults);
        for anomaly in anomalies.iter().take(10) {
            message.push_str(&format!("\n  {anomaly}"));
        }
        if anomalies.len() > 10 {
            message.push_str(&format!("\n  and {} more", anomalies.len() - 10));
        }
        match kept.map_err(|e| e.to_string()).and(copied) {
            Ok(data) => message.push_str(&format!("\nhistory: {}\ndata: {}", history.display(), data.display())),
            Err(error) => message.push_str(&format!("\nhistory or data could not be kept: {error}")),
        }
        message
    }

    /// A disk goes with its life; its data is copied.
    fn keep_data(&self) -> Result<PathBuf, String> {
        let Storage::Disk(_) = &self.storage else { return Ok(self.storage.data()) };
        let kept = self.launch.logs.join("kept-data");
        crate::process::run(std::process::Command::new("cp").arg("-a").arg(self.storage.data()).arg(&kept))?;
        Ok(kept)
    }
}

/// Reads a partition from its first offset to its last, twice: all, and what is committed.
fn read_partition(connection: &mut Connection, topic: &Topic, partition: i32) -> Outcome<Partition> {
    let end = connection.end_offset(&topic.name, partition, Isolation::Uncommitted)?;
    let mut read = Partition::default();
    let begun = Instant::now();
    for isolation in [Isolation::Uncommitted, Isolation::Committed] {
        let mut next = 0;
        while next < end {
            let fetched = connection.fetch(&topic.name, partition, next, isolation, 10)?;
            match isolation {
                Isolation::Uncommitted => {
                    read.all.extend(fetched.records);
                    read.extents.extend(fetched.extents);
                }
                Isolation::Committed => read.committed.extend(fetched.records),
            }
            if fetched.next == next && begun.elapsed() > STABLE_LIMIT {
                let what = format!("{} {partition} from {next} to {end} cannot be read ({isolation:?})", topic.name);
                return Err(Problem::Odd(what));
            }
            next = fetched.next;
        }
    }
    Ok(read)
}

/// A fresh directory below another.
pub(crate) fn fresh(directory: &Path, name: &str) -> Result<PathBuf, String> {
    let fresh = directory.join(name);
    let _ = std::fs::remove_dir_all(&fresh);
    std::fs::create_dir_all(&fresh).map_err(|e| format!("{}: {e}", fresh.display()))?;
    Ok(fresh)
}
