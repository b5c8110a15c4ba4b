//! A topic's records one by one, for the command line.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use fleuve_base::Result;
use fleuve_journal::{Log, Partition};
use fleuve_record::Record;
use parking_lot::{Condvar, Mutex};

use crate::internal::for_range;

/// Where consuming begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At the first record that is there.
    Start,
    /// After the last one.
    End,
    /// At this offset of every partition (or its first record, if that is later).
    Offset(u64),
    /// At the first record that is not older, in ms since 1970.
    Timestamp(i64),
}

/// What is consumed.
#[derive(Debug, Clone)]
pub struct ConsumeOptions {
    /// Where to begin.
    pub from: From,
    /// Wait for further records; otherwise it ends at what is there now.
    pub follow: bool,
    /// Only this partition.
    pub partition: Option<u32>,
}

/// How long a follower sleeps before it asks again whether it should stop.
const WAIT: Duration = Duration::from_millis(100);

/// Calls `visit` with the partition's number and each record, until it breaks off or, unless `follow` is set, the topic's
/// present end is reached. `stop` is asked now and then while nothing comes. Records of one partition come in order.
pub fn consume(
    log: &Log,
    topic: &str,
    options: &ConsumeOptions,
    stop: &dyn Fn() -> bool,
    visit: &mut dyn FnMut(u32, &Record<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let topic = log.topic(topic)?;
    let numbers = match options.partition {
        Some(number) => number..number + 1,
        None => 0..topic.partitions().len() as u32,
    };
    let open = |number| {
        let partition = topic.partition(number)?.clone();
        let next = begin(&partition, options.from)?;
        Ok((number, partition, next))
    };
    let mut partitions = numbers.map(open).collect::<Result<Vec<_>>>()?;
    let news = News::default();
    let subscriptions: Vec<_> = partitions.iter().map(|(_, partition, _)| news.subscribe(partition)).collect();
    while !stop() {
        let mut moved = false;
        for (number, partition, next) in &mut partitions {
            let (first, end) = (*next, partition.last_stable_offset());
            let mut broken = false;
            *next = for_range(partition, first, end, |record| {
                let flow = visit(*number, record)?;
                broken = flow.is_break();
                Ok(flow)
            })?;
            if broken {
                return Ok(());
            }
            moved |= *next > first;
        }
        if !moved && !options.follow {
            break;
        }
        if !moved {
            news.wait();
        }
    }
    drop(subscriptions);
    Ok(())
}

fn begin(partition: &Partition, from: From) -> Result<u64> {
    let (start, end) = (partition.log_start_offset(), partition.last_stable_offset());
    Ok(match from {
        From::Start => start,
        From::End => end,
        From::Offset(offset) => offset.clamp(start, end),
        From::Timestamp(ms) => partition.offset_for_time(ms)?.unwrap_or(end),
    })
}

/// Tells a waiting consumer that a partition has grown.
#[derive(Default)]
struct News(Arc<(Mutex<bool>, Condvar)>);

impl News {
    fn subscribe(&self, partition: &Arc<Partition>) -> fleuve_journal::Subscription {
        let shared = self.0.clone();
        partition.subscribe(Arc::new(move || {
            *shared.0.lock() = true;
            shared.1.notify_all();
        }))
    }

    fn wait(&self) {
        let mut there = self.0.0.lock();
        if !*there {
            self.0.1.wait_for(&mut there, WAIT);
        }
        *there = false;
    }
}
