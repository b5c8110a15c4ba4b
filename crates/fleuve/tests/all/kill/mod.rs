//! Kills the real binary with `SIGKILL` again and again, starts it again with another number of workers, and compares what
//! it wrote with what one uninterrupted run wrote, and with a stored digest: nothing lost, nothing twice.

mod harness;
mod scenario;

use harness::{Binary, Dice, digest};
use scenario::{Scenario, demo, join_into_a_topic, sketches_into_a_topic, totals_into_files, windows_into_files};

/// Kills of each pipeline.
const KILLS: usize = 50;

/// Numbers of workers that a restart chooses from.
const WORKERS: [usize; 3] = [1, 2, 4];

/// Runs to the end in one go, then in pieces, until enough kills have hit a running process.
fn survives(scenario: &Scenario, expected: &str) {
    let mut binary = Binary::new(scenario);
    let whole = binary.run_whole();
    assert_eq!(digest(&whole), expected, "{}: the answer of one uninterrupted run", scenario.name);
    let mut dice = Dice::new(0x5eed ^ scenario.name.len() as u64);
    let (mut kills, mut rounds) = (0, 0);
    while kills < KILLS {
        rounds += 1;
        kills += binary.run_in_pieces(&mut dice, &WORKERS, KILLS - kills);
        let pieces = binary.collect();
        assert!(pieces == whole, "{}", difference(scenario, &whole, &pieces, kills, rounds));
    }
    println!("{}: {kills} kills in {rounds} runs, {} lines", scenario.name, whole.len());
}

fn difference(scenario: &Scenario, whole: &[String], pieces: &[String], kills: usize, rounds: usize) -> String {
    let lost: Vec<_> = whole.iter().filter(|line| pieces.binary_search(line).is_err()).take(3).collect();
    let extra: Vec<_> = pieces.iter().filter(|line| whole.binary_search(line).is_err()).take(3).collect();
    format!(
        "{}: after {kills} kills in {rounds} runs {} lines instead of {}; lost: {lost:?}, extra: {extra:?}",
        scenario.name,
        pieces.len(),
        whole.len()
    )
}

#[test]
fn windows_survive_fifty_kills() {
    survives(&windows_into_files(), "63c3c53bed705a06719336e15c3fb0145efa3ff310ded63a09f596f094390e09");
}

#[test]
fn totals_survive_fifty_kills() {
    survives(&totals_into_files(), "80b42657e51aded8ed7fb018d4c8285de9e8cef1738e82a9a3fb2bcd09085918");
}

#[test]
fn a_join_survives_fifty_kills() {
    survives(&join_into_a_topic(), "a64e0b8bb5edc35b846b9d30dcd3c8d81160628fc30db9bba622ec363e690a04");
}

#[test]
fn sketches_survive_fifty_kills() {
    survives(&sketches_into_a_topic(), "c05da4a833f15a16d51b45cb4c3bccf8b7401d2aa6503209c4907983afc80fea");
}

#[test]
fn the_demo_survives_fifty_kills() {
    survives(&demo(), "0eeddf11e7c1ec4a15082e126022020d100aab7b405ed8d1a4d5d21dd810036b");
}
