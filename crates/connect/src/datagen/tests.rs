//! Made-up rows: paced by the clock, and the same whenever they are made again.

use arrow::datatypes::Schema;
use fleuve_base::MemoryFs;

use super::*;
use crate::options::Use;
use crate::testing::{TestClock, drain, memory_env, reread, scan, schema, source_spec};

fn columns() -> Arc<Schema> {
    schema(&[("id", DataType::Int64), ("name", DataType::Utf8)])
}

fn open(clock: &Arc<TestClock>, pairs: &[(&str, &str)]) -> Result<Datagen> {
    let sequence =
        [("connector", "datagen"), ("fields.id.kind", "sequence"), ("fields.id.start", "1"), ("fields.id.end", "25")];
    let spec = source_spec(&[&sequence, pairs].concat(), &columns());
    let options = Options::check("t", &spec.options, Use::Read)?;
    let env = Env { clock: clock.clone(), ..memory_env(&MemoryFs::new()) };
    Datagen::open(&env, &options, &spec, scan(&columns(), &[]))
}

fn numbers(rows: &[String]) -> Vec<i64> {
    rows.iter().map(|row| row.split('|').next().and_then(|id| id.parse().ok()).unwrap()).collect()
}

#[test]
fn rows_are_released_by_the_clock_and_come_again() {
    let clock = TestClock::new();
    let table = [("rows-per-second", "10"), ("fields.name.length", "4")];
    let source = open(&clock, &table).unwrap();
    let (mut rows, mut ranges) = drain(&source, 1000).unwrap();
    assert_eq!(numbers(&rows), [1]);
    clock.advance(Duration::from_secs(1));
    let more = drain(&source, 1000).unwrap();
    assert_eq!(numbers(&more.0), (2..=11).collect::<Vec<_>>());
    rows.extend(more.0);
    ranges.extend(more.1);
    assert_eq!(reread(&source, &ranges).unwrap(), rows);
    // A restart goes on; the sequence ends the table.
    let again = open(&clock, &table).unwrap();
    again.resume(&ranges).unwrap();
    assert_eq!(reread(&again, &ranges).unwrap(), rows);
    clock.advance(Duration::from_secs(60));
    drain(&again, 1000).unwrap();
    clock.advance(Duration::from_secs(60));
    drain(&again, 1000).unwrap();
    assert!(matches!(again.claim(1000).unwrap(), Claim::Finished));
    assert_eq!(again.progress(), Some((25, 25)));
}

#[test]
fn another_seed_gives_other_rows_and_unknown_columns_are_refused() {
    let clock = TestClock::new();
    let first = |seed: &str| drain(&open(&clock, &[("seed", seed)]).unwrap(), 1000).unwrap().0;
    assert_eq!(first("1"), first("1"));
    assert_ne!(first("1"), first("2"));
    let error = open(&clock, &[("fields.nme.length", "3")]).err().unwrap();
    assert_eq!((error.code(), error.hint()), ("E502", Some("did you mean 'name'?")));
}
