//! R19: `kill -9` while pipelines in the same process read a topic that clients write, and write topics that clients read. At the end
//! the filter's output is exactly the rows that pass, each once, and the totals are those of the input.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Cycles, Plan, Scenario};
use crate::client::{Connection, Isolation, Outcome};
use crate::contents::Contents;
use crate::history::Place;
use crate::life::{Life, Summary, Workload};
use crate::process::Launch;
use crate::storage::Storage;
use crate::value::number;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "pipeline",
    goal: "R19",
    what: "kill -9 under pipelines from topic to topic, beside their clients",
    cycles: 500,
    run,
};

/// Kills in one life, before the outputs are compared.
const LIFE_CYCLES: u64 = 25;

/// How long the broker runs at most after everybody has got on.
const RUN_MS_MAX: u64 = 400;

/// How long the pipelines may take to catch up with their input at the end.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);

/// Of the input, the filter lets every third number pass.
const EVERY: u64 = 3;

/// What the pipelines read: the topic that the idempotent writers fill.
const INPUT: u16 = 1;

const SCRIPT: &str = "\
SET 'execution.checkpointing.interval' = '100 ms';

CREATE TABLE input (writer BIGINT, number BIGINT, pad STRING)
WITH ('connector' = 'topic', 'topic' = 'idempotent', 'format' = 'json');

CREATE TABLE passed (writer BIGINT, number BIGINT)
WITH ('connector' = 'topic', 'topic' = 'passed', 'partitions' = '2', 'key.fields' = 'writer', 'format' = 'json');

CREATE TABLE totals (writer BIGINT NOT NULL, many BIGINT, total BIGINT, PRIMARY KEY (writer) NOT ENFORCED)
WITH ('connector' = 'topic', 'topic' = 'totals', 'format' = 'json');

INSERT INTO passed SELECT writer, number FROM input WHERE MOD(number, 3) = 0;

INSERT INTO totals SELECT writer, COUNT(*), SUM(number) FROM input GROUP BY writer;
";

/// The numbers of the rows, by writer.
type Numbers = BTreeMap<u64, Vec<u64>>;

/// Count and sum, by writer.
type Totals = BTreeMap<u64, (u64, u64)>;

/// Writers and readers of the input.
const WORKLOAD: Workload = Workload { plain: 0, idempotent: 2, transactional: 0, members: 1, readers: true };

fn run(plan: &Plan<'_>) -> Result<String, String> {
    let mut rows = 0;
    let all = plan.lives("pipeline", LIFE_CYCLES, |directory, seed, cycles| {
        let (summary, compared) = live(plan, directory, seed, cycles)?;
        rows += compared;
        Ok(summary)
    })?;
    Ok(format!("{rows} rows of the filter and all totals equal the batch's; {}", all.tell()))
}

fn live(plan: &Plan<'_>, directory: &Path, seed: u64, cycles: Cycles) -> Result<(Summary, usize), String> {
    let script = directory.join("pipelines.sql");
    std::fs::write(&script, SCRIPT).map_err(|e| e.to_string())?;
    let storage = Storage::Directory(directory.join("data"));
    let launch = Launch::new(&plan.options.binary, &storage, directory);
    let mut life = Life::begin(launch, storage, seed, &WORKLOAD)?;
    // The topics are there by now, with as many partitions as the drivers want.
    life.launch.arguments = vec!["--run".to_owned(), script.display().to_string()];
    for () in cycles {
        let cycle = |life: &mut Life| {
            life.progress()?;
            life.run_for(RUN_MS_MAX);
            life.kill("kill -9");
            life.recover()
        };
        cycle(&mut life).map_err(|what| life.failed(&what, &[]))?;
    }
    let mut compared = 0;
    let summary = life.finish_with(|connection, contents| {
        compared = compare(connection, contents)?;
        Ok(())
    })?;
    Ok((summary, compared))
}

/// Waits until the outputs are what the input makes; they have to become it and may not go beyond.
fn compare(connection: &mut Connection, contents: &Contents) -> Result<usize, String> {
    let (passed, totals) = expected(contents);
    let begun = Instant::now();
    loop {
        let rows = read(connection, "passed", 2).map_err(|e| format!("the filter's output: {e}"))?;
        let mut found: Numbers = BTreeMap::new();
        for row in &rows {
            let writer = number(row, "writer").ok_or_else(|| format!("a strange row: {row}"))?;
            found
                .entry(writer)
                .or_default()
                .push(number(row, "number").ok_or_else(|| format!("a strange row: {row}"))?);
        }
        found.values_mut().for_each(|numbers| numbers.sort_unstable());
        let latest = latest(&read(connection, "totals", 1).map_err(|e| format!("the totals: {e}"))?);
        if found == passed && latest == totals {
            return Ok(rows.len());
        }
        if let Some(why) = beyond(&found, &passed) {
            return Err(why);
        }
        if begun.elapsed() > CATCH_UP_LIMIT {
            let count = |rows: &Numbers| rows.values().map(Vec::len).sum::<usize>();
            let (have, want) = (count(&found), count(&passed));
            return Err(format!(
                "the filter has {have} rows, should have {want}; totals {latest:?}, should be {totals:?}"
            ));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What a batch over the input gives: the rows that pass by writer, and count and sum by writer.
fn expected(contents: &Contents) -> (Numbers, Totals) {
    let (mut passed, mut totals) = (Numbers::new(), Totals::new());
    let places = contents.partitions.iter().filter(|(Place { topic, .. }, _)| *topic == INPUT);
    let mut values: Vec<_> =
        places.flat_map(|(_, partition)| &partition.all).filter_map(|stored| stored.value).collect();
    values.sort_unstable();
    for value in values {
        let writer = u64::from(value.writer);
        let total = totals.entry(writer).or_default();
        *total = (total.0 + 1, total.1 + value.number);
        if value.number % EVERY == 0 {
            passed.entry(writer).or_default().push(value.number);
        }
    }
    (passed, totals)
}

/// A row that is there and should not be, or twice. (A writer's rows come from several partitions, so their order is not fixed.)
fn beyond(found: &Numbers, expected: &Numbers) -> Option<String> {
    let empty = vec![];
    found.iter().find_map(|(writer, numbers)| {
        let right = expected.get(writer).unwrap_or(&empty);
        let double = numbers.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        let wrong = double.or_else(|| numbers.iter().copied().find(|number| right.binary_search(number).is_err()));
        wrong.map(|number| format!("the filter's output has {writer}/{number} twice or wrongly"))
    })
}

/// All values of a topic.
fn read(connection: &mut Connection, topic: &str, partitions: i32) -> Outcome<Vec<String>> {
    let mut rows = vec![];
    for partition in 0..partitions {
        rows.extend(connection.texts(topic, partition, Isolation::Committed)?);
    }
    Ok(rows)
}

/// The last row of each writer.
fn latest(rows: &[String]) -> Totals {
    let row = |row: &String| Some((number(row, "writer")?, (number(row, "many")?, number(row, "total")?)));
    rows.iter().filter_map(row).collect()
}
