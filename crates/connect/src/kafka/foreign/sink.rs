//! A topic of a foreign broker as a sink.

use std::sync::Arc;
use std::time::Duration;

use fleuve_base::{Error, Result};
use fleuve_flow::batch::Batch;
use fleuve_flow::connectors::Reader;
use fleuve_flow::sink::{Guarantee, Lane, Lanes, Sink};
use fleuve_plan::SinkSpec;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use super::client::{TIMEOUT, config, consumer, partitions, refused, unreachable};
use crate::internal;
use crate::options::Options;
use crate::topic::{Out, RecordEncoder, RecordShape};

/// How long a producer waits for room in its queue before it tries again.
const ROOM: Duration = Duration::from_millis(50);

/// How often the end of a transaction is asked for again.
const COMMITS_MAX: usize = 5;

/// The group whose offset is a lane's last epoch begins with this.
const EPOCH_GROUP: &str = "__fleuve-epochs";

/// A table over a topic of a foreign broker that is being written.
pub(crate) struct ForeignSink {
    options: Options,
    topic: String,
    shape: RecordShape,
    guarantee: Delivery,
    lanes: usize,
    /// What the lanes' groups and transactional ids have in common.
    name: String,
}

/// `sink.delivery-guarantee`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    None,
    AtLeastOnce,
    ExactlyOnce,
}

/// Lanes of a sink.
const LANES_MAX: i64 = 64;

impl ForeignSink {
    pub(crate) fn open(reader: &Reader<'_>, options: &Options, spec: &SinkSpec) -> Result<Self> {
        let (shape, topic) = (RecordShape::new(options, spec)?, options.required("topic")?.to_owned());
        let guarantee = match options.text("sink.delivery-guarantee") {
            Some("exactly-once") => Delivery::ExactlyOnce,
            Some("none") => Delivery::None,
            _ => Delivery::AtLeastOnce,
        };
        let lanes = options.integer("sink.parallelism")?.unwrap_or(1);
        if !(1..=LANES_MAX).contains(&lanes) {
            let message = format!("table `{}`: 'sink.parallelism' = '{lanes}' is not 1 to {LANES_MAX}", spec.table);
            return Err(Error::input("E502", message));
        }
        let prefix = options.stated("sink.transactional-id-prefix").map(str::to_owned);
        let prefix = prefix.unwrap_or_else(|| internal::escaped(reader.pipeline));
        let name = format!("{prefix}.{}.{:016x}", reader.node, internal::mark(reader));
        let asking = consumer(options, EPOCH_GROUP)?;
        partitions(options, &asking, &topic)?;
        Ok(ForeignSink { options: options.clone(), topic, shape, guarantee, lanes: lanes as usize, name })
    }

    fn producer(&self, lane: usize) -> Result<BaseProducer<Deliveries>> {
        let mut config = config(&self.options)?;
        let partitioner = match self.options.text("sink.partitioner") {
            Some("default") | None => "murmur2_random",
            _ => "random",
        };
        config.set("partitioner", partitioner).set("enable.idempotence", "true");
        if self.options.stated("properties.linger.ms").is_none() {
            config.set("linger.ms", "5");
        }
        if self.guarantee == Delivery::ExactlyOnce {
            config.set("transactional.id", format!("{}.{lane}", self.name));
        }
        let created = config.create_with_context(Deliveries::default());
        created.map_err(|error| refused(&self.options, "settings", &error))
    }
}

impl Sink for ForeignSink {
    fn lanes(&self) -> Lanes {
        Lanes::Fixed { count: self.lanes, by: self.shape.by() }
    }

    fn guarantee(&self) -> Guarantee {
        match self.guarantee {
            Delivery::ExactlyOnce => Guarantee::ExactlyOnce,
            Delivery::AtLeastOnce | Delivery::None => Guarantee::AtLeastOnce,
        }
    }

    fn recover(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }

    fn open(&self, lane: usize) -> Result<Box<dyn Lane>> {
        let producer = self.producer(lane)?;
        let (encoder, options, topic) = (self.shape.encoder()?, self.options.clone(), self.topic.clone());
        let mut lane_of = ForeignLane { options, topic, producer, encoder, epochs: None, guarantee: self.guarantee };
        if self.guarantee == Delivery::ExactlyOnce {
            // Whoever had this lane before is fenced off, and what it left open is aborted.
            let begun = lane_of.producer.init_transactions(TIMEOUT);
            begun.map_err(|error| unreachable(&self.options, &error))?;
            let group = format!("{EPOCH_GROUP}.{}.{lane}", self.name);
            lane_of.epochs = Some(Epochs::open(&self.options, &group, &self.topic)?);
        }
        Ok(Box::new(lane_of))
    }

    fn commit(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }
}

/// The last epoch of a lane, kept as the offset of a group of its own.
struct Epochs {
    consumer: BaseConsumer,
    held: Option<u64>,
}

/// The partition in whose name the epoch is committed.
const EPOCH_PARTITION: i32 = 0;

impl Epochs {
    fn open(options: &Options, group: &str, topic: &str) -> Result<Self> {
        let consumer = consumer(options, group)?;
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, EPOCH_PARTITION);
        let found = consumer.committed_offsets(asked, TIMEOUT).map_err(|error| unreachable(options, &error))?;
        let held = match found.find_partition(topic, EPOCH_PARTITION).map(|found| found.offset()) {
            Some(Offset::Offset(epoch)) => u64::try_from(epoch).ok(),
            _ => None,
        };
        Ok(Epochs { consumer, held })
    }
}

/// What became of the messages: the first that could not be delivered.
#[derive(Default)]
struct Deliveries(Arc<Mutex<Option<KafkaError>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, _)) = result {
            self.0.lock().get_or_insert_with(|| error.clone());
        }
    }
}

struct ForeignLane {
    options: Options,
    topic: String,
    producer: BaseProducer<Deliveries>,
    encoder: RecordEncoder,
    epochs: Option<Epochs>,
    guarantee: Delivery,
}

impl ForeignLane {
    fn refused(&self, what: &str, error: &KafkaError) -> Error {
        refused(&self.options, &format!("{what} of topic `{}`", self.topic), error)
    }

    fn send_all(&mut self, batches: Vec<Batch>) -> Result<()> {
        let (producer, topic, options) = (&self.producer, &self.topic, &self.options);
        self.encoder.epoch(batches, &mut |out| {
            send(producer, topic, &out)
                .map_err(|error| refused(options, &format!("a record of topic `{topic}`"), &error))
        })?;
        self.producer.poll(Duration::ZERO);
        self.delivered()
    }

    fn delivered(&self) -> Result<()> {
        match self.producer.context().0.lock().take() {
            Some(error) if self.guarantee != Delivery::None => Err(self.refused("a record", &error)),
            _ => Ok(()),
        }
    }

    /// The records of an epoch and its number, visible together or not at all.
    fn transaction(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()> {
        self.producer.begin_transaction().map_err(|error| self.refused("a transaction", &error))?;
        self.send_all(batches)?;
        let epochs = self.epochs.as_ref().ok_or_else(|| Error::internal("a transaction without its epochs"))?;
        let group = epochs.consumer.group_metadata().ok_or_else(|| Error::internal("a consumer without a group"))?;
        let mut offsets = TopicPartitionList::new();
        let marked = offsets.add_partition_offset(&self.topic, EPOCH_PARTITION, Offset::Offset(epoch as i64));
        let marked = marked.and_then(|()| self.producer.send_offsets_to_transaction(&offsets, &group, TIMEOUT));
        marked.map_err(|error| self.refused("an epoch", &error))?;
        self.end_transaction()
    }

    /// Asks again as long as it is not known what became of the transaction.
    fn end_transaction(&self) -> Result<()> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.producer.commit_transaction(TIMEOUT) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && attempt < COMMITS_MAX => {}
                Err(error) => return Err(self.refused("the end of a transaction", &error)),
            }
        }
    }
}

/// Queues a record; waits while the queue is full.
fn send(producer: &BaseProducer<Deliveries>, topic: &str, out: &Out<'_>) -> std::result::Result<(), KafkaError> {
    let mut record = BaseRecord::<[u8], [u8]>::to(topic);
    record.key = out.key;
    record.payload = out.value;
    record.timestamp = out.timestamp_ms;
    if !out.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(out.headers.len());
        record.headers = Some(
            out.headers
                .iter()
                .fold(headers, |headers, (name, value)| headers.insert(Header { key: name, value: value.as_deref() })),
        );
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                producer.poll(ROOM);
                record = refused;
            }
            Err((error, _)) => return Err(error),
        }
    }
}

impl Lane for ForeignLane {
    fn last_epoch(&self) -> Option<u64> {
        self.epochs.as_ref().and_then(|epochs| epochs.held)
    }

    fn write(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()> {
        if self.guarantee != Delivery::ExactlyOnce {
            return self.send_all(batches);
        }
        let written = self.transaction(epoch, batches);
        if written.is_err() {
            // The error tells; if this fails, too, the next owner of the lane aborts.
            let _ = self.producer.abort_transaction(TIMEOUT);
        }
        written
    }

    fn checkpoint(&mut self, _epoch: u64) -> Result<String> {
        // An exactly-once epoch was committed when it was written.
        if self.guarantee != Delivery::ExactlyOnce {
            let flushed = self.producer.flush(TIMEOUT);
            if self.guarantee == Delivery::AtLeastOnce {
                flushed.map_err(|error| unreachable(&self.options, &error))?;
            }
            self.delivered()?;
        }
        Ok(String::new())
    }
}
