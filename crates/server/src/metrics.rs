//! What is counted, and how it is told: Prometheus's text format (version 0.0.4).

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fleuve_base::Histogram;
use fleuve_broker::Broker;
use fleuve_journal::{Log, Partition};
use fleuve_wire::ApiKey;

/// Partitions whose offsets and sizes are shown; the rest is only counted, so that the page stays small.
const PARTITIONS_SHOWN_MAX: usize = 1_000;

/// Numbers of APIs lie below this.
const API_NUMBERS: usize = 128;

/// The counters of one server.
#[derive(Debug)]
pub struct Metrics {
    /// Requests by API.
    requests: [AtomicU64; API_NUMBERS],
    /// How long answers took, from the request's last byte: produce, fetch, all others.
    latency: [Histogram; 3],
    /// Bytes of requests.
    pub(crate) bytes_in: AtomicU64,
    /// Bytes of responses.
    pub(crate) bytes_out: AtomicU64,
    /// Connections that are open.
    pub(crate) connections: AtomicU64,
    /// Connections that were ever accepted.
    pub(crate) accepted: AtomicU64,
    /// Connections that were turned away at a limit.
    pub(crate) turned_away: AtomicU64,
    /// Connections that were closed because of what came in on them.
    pub(crate) protocol_errors: AtomicU64,
    /// Logins that failed.
    pub(crate) failed_logins: AtomicU64,
    /// Requests whose handling panicked.
    pub(crate) panics: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            requests: std::array::from_fn(|_| AtomicU64::default()),
            latency: Default::default(),
            bytes_in: AtomicU64::default(),
            bytes_out: AtomicU64::default(),
            connections: AtomicU64::default(),
            accepted: AtomicU64::default(),
            turned_away: AtomicU64::default(),
            protocol_errors: AtomicU64::default(),
            failed_logins: AtomicU64::default(),
            panics: AtomicU64::default(),
        }
    }
}

/// The names of the three histograms.
const LATENCY_LABELS: [&str; 3] = ["Produce", "Fetch", "other"];

impl Metrics {
    /// Counts a request.
    pub(crate) fn request(&self, api: ApiKey) {
        if let Some(counter) = usize::try_from(api.to_i16()).ok().and_then(|number| self.requests.get(number)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, api: ApiKey, after: Duration) {
        let which = match api {
            ApiKey::Produce => 0,
            ApiKey::Fetch => 1,
            _ => 2,
        };
        self.latency[which].record(after);
    }

    /// The counters as text.
    pub(crate) fn render(&self, out: &mut String) {
        out.push_str("# HELP fleuve_requests_total Requests by API.\n# TYPE fleuve_requests_total counter\n");
        for api in ApiKey::ALL {
            let count = self.requests[api.to_i16() as usize].load(Ordering::Relaxed);
            if count > 0 {
                let _ = writeln!(out, "fleuve_requests_total{{api=\"{}\"}} {count}", api.name());
            }
        }
        let latency = "fleuve_request_seconds";
        let _ = writeln!(out, "# HELP {latency} From a request's last byte to its answer.\n# TYPE {latency} histogram");
        for (label, histogram) in LATENCY_LABELS.iter().zip(&self.latency) {
            histogram.render(latency, &format!("api=\"{label}\","), out);
        }
        for (name, kind, help, counter) in [
            ("bytes_in_total", "counter", "Bytes of requests.", &self.bytes_in),
            ("bytes_out_total", "counter", "Bytes of responses.", &self.bytes_out),
            ("connections", "gauge", "Open connections.", &self.connections),
            ("connections_accepted_total", "counter", "Connections that were accepted.", &self.accepted),
            ("connections_turned_away_total", "counter", "Connections refused at a limit.", &self.turned_away),
            ("protocol_errors_total", "counter", "Connections closed for malformed input.", &self.protocol_errors),
            ("failed_logins_total", "counter", "Failed authentications.", &self.failed_logins),
            ("request_panics_total", "counter", "Requests that met a bug.", &self.panics),
        ] {
            sample(out, name, kind, help, counter.load(Ordering::Relaxed));
        }
    }
}

/// Appends one metric without labels.
pub(crate) fn sample(out: &mut String, name: &str, kind: &str, help: &str, value: impl Display) {
    let _ = writeln!(out, "# HELP fleuve_{name} {help}\n# TYPE fleuve_{name} {kind}\nfleuve_{name} {value}");
}

/// Reads one number of a partition.
type Gauge = fn(&Partition) -> u64;

/// Appends where each partition begins and ends, and its size.
pub(crate) fn render_log(log: &Log, out: &mut String) {
    let topics = log.topics();
    let partitions = || topics.iter().flat_map(|topic| topic.partitions());
    sample(out, "topics", "gauge", "Topics.", topics.len());
    sample(out, "partitions", "gauge", "Partitions.", partitions().count());
    sample(out, "log_failed", "gauge", "1 if the log takes no more records.", u8::from(log.failure().is_some()));
    sample(out, "log_full", "gauge", "1 if the last write found no room on the disk.", u8::from(log.is_full()));
    let syncs = "fleuve_log_sync_seconds";
    let _ = writeln!(out, "# HELP {syncs} How long the disk took to make records durable.\n# TYPE {syncs} histogram");
    log.sync_times().render(syncs, "", out);
    let gauges: [(&str, &str, Gauge); 3] = [
        ("fleuve_log_start_offset", "Offset of the first record.", |partition| partition.log_start_offset()),
        ("fleuve_log_end_offset", "Offset after the last durable record.", |partition| partition.high_watermark()),
        ("fleuve_log_bytes", "Bytes of the segments.", |partition| partition.size_bytes()),
    ];
    for (name, help, value) in gauges {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
        for partition in partitions().take(PARTITIONS_SHOWN_MAX) {
            let id = partition.id();
            let _ =
                writeln!(out, "{name}{{topic=\"{}\",partition=\"{}\"}} {}", id.topic, id.partition, value(partition));
        }
    }
}

/// Appends how many records each group has not read yet, by partition.
pub(crate) fn render_groups(broker: &Broker, out: &mut String) {
    let name = "fleuve_group_lag";
    let help = "Records between a group's committed offset and the partition's end.";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for lag in broker.group_lags(PARTITIONS_SHOWN_MAX) {
        let (group, topic, partition) = (label(&lag.group), &lag.topic, lag.partition);
        let _ =
            writeln!(out, "{name}{{group=\"{group}\",topic=\"{topic}\",partition=\"{partition}\"}} {}", lag.records);
    }
}

/// Clients choose the names of groups.
fn label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_name_cannot_end_its_label() {
        assert_eq!(label("a\"} 1\nb\\"), "a\\\"} 1\\nb\\\\");
    }
}
