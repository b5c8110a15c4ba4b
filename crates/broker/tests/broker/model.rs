//! The broker against a model: a vector per partition. Random produce, fetch, deletion, restarts and power cuts.

use std::collections::VecDeque;

use fleuve_record::{BatchBuilder, Batches, Codec};
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use proptest::prelude::*;

use crate::fetch::{only, request};
use crate::support::{Asked, START_MS, World, answer, partition_of};

const PARTITIONS: i32 = 2;

#[derive(Debug, Clone)]
enum Step {
    /// Records of a batch, and how it is compressed.
    Produce {
        partition: i32,
        records: usize,
        codec: Codec,
    },
    /// The next batch of the idempotent producer, or its last one again.
    Idempotent {
        partition: i32,
        records: usize,
        again: bool,
    },
    Commit,
    /// From a share of what is there, in thousandths.
    Fetch {
        partition: i32,
        from: u64,
        max_bytes: i32,
    },
    Delete {
        partition: i32,
        before: u64,
    },
    Restart,
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let partition = || 0..PARTITIONS;
    let codec = prop::sample::select(Codec::ALL.to_vec());
    prop_oneof![
        6 => (partition(), 1usize..5, codec).prop_map(|(partition, records, codec)| Step::Produce { partition, records, codec }),
        4 => (partition(), 1usize..5, any::<bool>())
            .prop_map(|(partition, records, again)| Step::Idempotent { partition, records, again }),
        5 => Just(Step::Commit),
        8 => (partition(), 0u64..1100, 0i32..600).prop_map(|(partition, from, max_bytes)| Step::Fetch { partition, from, max_bytes }),
        2 => (partition(), 0u64..1100).prop_map(|(partition, before)| Step::Delete { partition, before }),
        1 => Just(Step::Restart),
        1 => Just(Step::PowerCut),
    ]
}

/// What one partition should hold.
#[derive(Default)]
struct Model {
    /// The values of all records that were ever durable.
    durable: Vec<String>,
    /// Batches that were appended and not committed.
    pending: VecDeque<Pending>,
    start: u64,
    /// The idempotent producer now, and as of the last commit.
    producer: Sequence,
    durable_producer: Sequence,
}

/// The sequence number of a producer's next batch, and its last batch: sequence number, values, first offset.
#[derive(Debug, Clone, Default)]
struct Sequence {
    next: i32,
    last: Option<(i32, Vec<String>, u64)>,
}

struct Pending {
    asked: Asked,
    offset: u64,
    values: Vec<String>,
    /// Whether the records come anew; a repeated batch's do not.
    adds: bool,
}

impl Model {
    fn end(&self) -> u64 {
        let pending: usize = self.pending.iter().filter(|batch| batch.adds).map(|batch| batch.values.len()).sum();
        (self.durable.len() + pending) as u64
    }

    fn commit(&mut self) {
        for Pending { asked, offset, values, adds } in self.pending.drain(..) {
            let response = partition_of(&asked);
            assert_eq!((response.error_code, response.base_offset), (0, offset as i64));
            if adds {
                self.durable.extend(values);
            }
        }
        self.durable_producer = self.producer.clone();
    }
}

struct Run {
    world: World,
    models: Vec<Model>,
    values: u64,
}

impl Run {
    fn new() -> Self {
        let world = World::new();
        world.create("orders", PARTITIONS, &[("segment.bytes", "1048576")]);
        Run { world, models: (0..PARTITIONS).map(|_| Model::default()).collect(), values: 0 }
    }

    fn model(&mut self, partition: i32) -> &mut Model {
        &mut self.models[partition as usize]
    }

    fn new_values(&mut self, count: usize) -> Vec<String> {
        let first = self.values;
        self.values += count as u64;
        (first..self.values).map(|number| format!("{number}{}", "x".repeat((number * 7 % 40) as usize))).collect()
    }

    fn append(&mut self, partition: i32, builder: BatchBuilder, values: Vec<String>, offset: u64, adds: bool) {
        let mut builder = builder;
        for value in &values {
            builder.append(START_MS, None, Some(value.as_bytes()), &[]).unwrap();
        }
        let asked = self.world.produce("orders", partition, &builder.finish().unwrap());
        self.model(partition).pending.push_back(Pending { asked, offset, values, adds });
    }

    fn idempotent(&mut self, partition: i32, records: usize, again: bool) {
        let producer = |sequence| BatchBuilder::new().producer(7, 0, sequence);
        if let (true, Some((sequence, values, offset))) = (again, self.model(partition).producer.last.clone()) {
            return self.append(partition, producer(sequence), values, offset, false);
        }
        let values = self.new_values(records);
        let model = self.model(partition);
        let (sequence, offset) = (model.producer.next, model.end());
        model.producer = Sequence { next: sequence + records as i32, last: Some((sequence, values.clone(), offset)) };
        self.append(partition, producer(sequence), values, offset, true);
    }

    fn commit(&mut self) {
        self.world.commit();
        self.models.iter_mut().for_each(Model::commit);
    }

    fn fetch(&mut self, partition: i32, from: u64, max_bytes: i32) {
        let model = &self.models[partition as usize];
        let offset = from * model.end() / 1000;
        let mut asked = request("orders", offset as i64);
        (asked.max_wait_ms, asked.max_bytes) = (0, max_bytes);
        asked.topics[0].partitions[0].partition = partition;
        let data = only(&answer!(Fetch, self.world.ask(12, asked)));
        if !(model.start..=model.end()).contains(&offset) {
            assert_eq!(ErrorCode(data.error_code), ErrorCode::OFFSET_OUT_OF_RANGE);
            return;
        }
        assert_eq!((data.error_code, data.high_watermark as usize), (0, model.durable.len()));
        assert_eq!(data.log_start_offset as u64, model.start);
        let (mut next, mut batches) = (offset, 0);
        for batch in Batches::new(data.records.clone().unwrap().into_bytes().unwrap()) {
            batches += 1;
            for record in &batch.unwrap().records().unwrap() {
                let record = record.unwrap();
                assert_eq!(record.value.unwrap(), model.durable[record.offset as usize].as_bytes());
                assert!(record.offset as u64 <= next);
                next = next.max(record.offset as u64 + 1);
            }
        }
        assert_eq!(next > offset, offset < model.durable.len() as u64, "a fetch gives something if there is something");
        assert!(batches <= 1 || data.records.unwrap().len() <= max_bytes as usize);
    }

    fn delete(&mut self, partition: i32, before: u64) {
        let model = &self.models[partition as usize];
        let offset = before * model.end() / 1000;
        let partitions = vec![DeleteRecordsPartition { partition_index: partition, offset: offset as i64 }];
        let topics = vec![DeleteRecordsTopic { name: "orders".to_owned(), partitions }];
        let response = answer!(DeleteRecords, self.world.ask(2, DeleteRecordsRequest { topics, ..Default::default() }));
        let result = &response.topics[0].partitions[0];
        let model = self.model(partition);
        if offset > model.durable.len() as u64 {
            assert_eq!(ErrorCode(result.error_code), ErrorCode::OFFSET_OUT_OF_RANGE);
        } else {
            model.start = model.start.max(offset);
            assert_eq!((result.error_code, result.low_watermark as u64), (0, model.start));
        }
    }

    /// A clean stop commits; what was pending when the power went is refused to nobody and stored for nobody.
    fn restart(mut self, power_cut: bool) -> Self {
        if !power_cut {
            self.commit();
            return Run { world: self.world.restart(), ..self };
        }
        for model in &mut self.models {
            model.pending.clear();
            model.producer = model.durable_producer.clone();
        }
        Run { world: self.world.power_cut(), ..self }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_broker_is_a_vector_per_partition(steps in prop::collection::vec(step(), 1..80)) {
        let mut run = Run::new();
        for step in steps {
            match step {
                Step::Produce { partition, records, codec } => {
                    let (values, offset) = (run.new_values(records), run.model(partition).end());
                    run.append(partition, BatchBuilder::new().codec(codec), values, offset, true);
                }
                Step::Idempotent { partition, records, again } => run.idempotent(partition, records, again),
                Step::Commit => run.commit(),
                Step::Fetch { partition, from, max_bytes } => run.fetch(partition, from, max_bytes),
                Step::Delete { partition, before } => run.delete(partition, before),
                Step::Restart => run = run.restart(false),
                Step::PowerCut => run = run.restart(true),
            }
        }
    }
}
