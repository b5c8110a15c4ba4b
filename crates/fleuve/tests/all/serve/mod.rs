//! `serve` and `config`: the real binary, its listeners, its settings, its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ChildStdout;
use std::time::Duration;

use crate::cli::program::{Place, Running};

/// A server of a place, and where it listens.
pub struct Served {
    /// The process.
    pub running: Running,
    /// Open, so that the server can write.
    _stdout: BufReader<ChildStdout>,
    /// Where Kafka's clients connect.
    pub kafka: String,
    http: String,
}

/// Starts a server on free ports, and waits until it says that it is ready.
pub fn serve(place: &Place, more: &[&str]) -> Served {
    let arguments = [&["serve", "--data", "d", "--kafka", "127.0.0.1:0", "--http", "127.0.0.1:0"], more].concat();
    let mut running = place.start(&arguments);
    let mut stdout = BufReader::new(running.take_stdout());
    let mut address = |name: &str| {
        let mut line = String::new();
        stdout.read_line(&mut line).expect("is text");
        let address = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(" listening on "));
        address.unwrap_or_else(|| panic!("{name} does not listen: `{line}`")).trim_end().to_owned()
    };
    let (kafka, http) = (address("kafka"), address("http"));
    Served { running, _stdout: stdout, kafka, http }
}

/// What the page says.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("is text");
    answer
}

/// Asks for the versions, in version 0; the error code of the answer.
fn ask_versions(address: &str) -> i16 {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]).expect("is sent");
    let mut head = [0; 10];
    stream.read_exact(&mut head).expect("an answer");
    assert_eq!(head[4..8], [0, 0, 0, 7]);
    i16::from_be_bytes([head[8], head[9]])
}

#[test]
fn it_serves_until_sigterm_and_the_next_start_reads_no_records() {
    let place = Place::new();
    place.fleuve_with_input(&["produce", "orders", "--data", "d"], "lamp\nchair\n");
    for _ in 0..2 {
        let served = serve(&place, &[]);
        assert_eq!(ask_versions(&served.kafka), 0);
        assert!(get(&served.http, "/ready").starts_with("HTTP/1.1 200 OK"));
        let end = "fleuve_log_end_offset{topic=\"orders\",partition=\"0\"} 2";
        assert!(get(&served.http, "/metrics").lines().any(|line| line == end));
        let stopped = served.running.stop();
        assert_eq!(stopped.status, 0, "{}", stopped.stderr);
        assert!(stopped.stderr.contains("scanned_bytes=0") && stopped.stderr.contains("stopped"), "{}", stopped.stderr);
    }
}

#[test]
fn what_is_in_use_is_told() {
    let place = Place::new();
    let served = serve(&place, &[]);
    let second = place.fleuve(&["serve", "--data", "d", "--kafka", "127.0.0.1:0", "--http", "off"]);
    assert!(second.status == 1 && second.stderr.contains("error[E701]"), "{}", second.stderr);
    let taken = place.fleuve(&["serve", "--data", "e", "--kafka", &served.kafka, "--http", "off"]);
    assert!(taken.status == 1 && taken.stderr.contains("error[E601]"), "{}", taken.stderr);
    assert!(!place.path("e").exists(), "nothing is created for a server that cannot listen");
}

#[test]
fn strangers_are_not_let_in_by_accident() {
    let place = Place::new();
    let arguments = ["serve", "--data", "d", "--kafka", "0.0.0.0:0", "--http", "off"];
    let refused = place.fleuve(&arguments);
    assert!(refused.status == 1 && refused.stderr.contains("error[E603]"), "{}", refused.stderr);
    assert!(refused.stderr.contains("listener.kafka.insecure"), "the way out is named: {}", refused.stderr);
    let help = place.fleuve(&["serve", "--help"]).succeeds();
    assert!(help.contains("listener.NAME.insecure") && help.contains("change and"), "{help}");
}

#[test]
fn settings_come_from_flags_the_environment_and_a_file() {
    let place = Place::new();
    place.write("fleuve.toml", "num.partitions = 3\n[log.retention]\nbytes = 1000\n");
    let shown = place.fleuve(&["config", "show", "--set", "num.partitions=5", "--json"]).succeeds();
    let line = |name: &str| {
        let lines = shown.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("is JSON"));
        let line = lines.into_iter().find(|line| line["name"] == name).expect("is shown");
        (line["value"].as_str().map(str::to_owned), line["origin"].as_str().map(str::to_owned))
    };
    let some = |value: &str, origin: &str| (Some(value.to_owned()), Some(origin.to_owned()));
    assert_eq!(line("num.partitions"), some("5", "flag --set num.partitions=5"));
    assert_eq!(line("log.retention.bytes"), some("1000", "fleuve.toml:3"));
    assert_eq!(line("http"), some("127.0.0.1:8080", "default"));
    assert_eq!(place.fleuve(&["config", "check", "fleuve.toml"]).succeeds(), "fleuve.toml is fine\n");
    place.write("fleuve.toml", "num.partition = 3\n");
    let wrong = place.fleuve(&["config", "check", "fleuve.toml"]);
    assert_eq!(
        (wrong.status, wrong.stderr.as_str()),
        (
            1,
            "error[E605]: there is no setting `num.partition` (fleuve.toml:1)\n   = hint: did you mean `num.partitions`?\n"
        )
    );
    assert_eq!(place.fleuve(&["serve"]).status, 1, "and a server does not start with it");
}

#[test]
fn pipelines_run_beside_the_broker_and_fail_alone() {
    let place = Place::new();
    place.write(
        "numbers.sql",
        "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '2000',
           'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '1000000');
         CREATE TABLE kept (n BIGINT) WITH ('connector' = 'topic');
         INSERT INTO kept SELECT n FROM numbers;",
    );
    place.write("bad.jsonl", "{\"n\": \"no number\"}\n");
    place.write(
        "bad.sql",
        "CREATE TABLE bad (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'bad.jsonl', 'format' = 'json');
         CREATE TABLE hole (n BIGINT) WITH ('connector' = 'blackhole');
         INSERT INTO hole SELECT n FROM bad;",
    );
    let mut before = 0;
    for _ in 0..2 {
        let mut served = serve(&place, &["--run", "numbers.sql", "--run", "bad.sql"]);
        let mut logged = BufReader::new(served.running.take_stderr()).lines().map_while(Result::ok);
        assert!(logged.any(|line| line.contains("ERROR") && line.contains("pipeline=\"bad\"")), "the failure is told");
        place.wait_for("rows in the topic", || place.bytes_below("d/topics/kept") > before);
        assert_eq!(ask_versions(&served.kafka), 0);
        assert_eq!(served.running.stop().status, 0, "{:?}", logged.collect::<Vec<_>>());
        before = place.bytes_below("d/topics/kept");
    }
    let kept = place.fleuve(&["consume", "kept", "--data", "d"]).succeeds();
    let numbers: Vec<u64> = kept.lines().map(|l| l[5..l.len() - 1].parse().expect("{\"n\":…}")).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "each once, in order: {} numbers", numbers.len());
}

#[test]
fn a_script_with_a_mistake_keeps_the_server_from_starting() {
    let place = Place::new();
    place.write("job.sql", "SELECT nothing FROM nowhere;");
    let wrong = place.fleuve(&["serve", "--data", "d", "--run", "job.sql"]);
    assert!(wrong.status == 3 && wrong.stderr.contains("error[E010]"), "{}", wrong.stderr);
    place.write("job.sql", "SELECT 1;");
    let printing = place.fleuve(&["serve", "--data", "d", "--run", "job.sql"]);
    assert!(printing.stderr.contains("INSERT INTO"), "{}", printing.stderr);
    assert!(!place.path("d").exists(), "nothing has begun");
}

/// An address where nobody listens, a moment ago at least.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free").to_string()
}

#[test]
fn a_pipeline_reads_on_where_its_group_is_and_commits_to_it() {
    let place = Place::new();
    let address = free_address();
    let arguments = ["serve", "--data", "d", "--kafka", &address, "--http", "off"];
    let script = |name: &str, out: &str, mode: &str| {
        let text = format!(
            "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'kafka', 'topic' = 'numbers', 'format' = 'json',
               'properties.bootstrap.servers' = '{address}', 'properties.group.id' = 'readers',
               'scan.startup.mode' = '{mode}', 'scan.bounded.mode' = 'latest-offset');
             CREATE TABLE {out} (n BIGINT) WITH ('connector' = 'topic');
             INSERT INTO {out} SELECT n FROM numbers;"
        );
        place.write(name, &text);
    };
    let run = |script: &str| {
        let mut served = place.start(&[&arguments[..], &["--run", script]].concat());
        let mut logged = BufReader::new(served.take_stderr()).lines().map_while(Result::ok);
        assert!(logged.any(|line| line.contains(" finished pipeline=")), "{script} finishes");
        let groups = place.fleuve(&["group", "describe", "readers", "--bootstrap", &address, "--json"]).succeeds();
        assert_eq!(served.stop().status, 0);
        groups
    };
    place.fleuve_with_input(&["produce", "numbers", "--data", "d"], "{\"n\":1}\n{\"n\":2}\n");
    script("first.sql", "first", "earliest-offset");
    let told = run("first.sql");
    assert!(told.contains("\"lag\":0"), "{told}");
    place.fleuve_with_input(&["produce", "numbers", "--data", "d"], "{\"n\":3}\n");
    script("second.sql", "second", "group-offsets");
    let told = run("second.sql");
    assert!(told.contains("\"lag\":0"), "{told}");
    assert_eq!(place.fleuve(&["consume", "first", "--data", "d"]).succeeds(), "{\"n\":1}\n{\"n\":2}\n");
    assert_eq!(place.fleuve(&["consume", "second", "--data", "d"]).succeeds(), "{\"n\":3}\n");
}
