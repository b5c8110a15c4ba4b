//! The scenarios, by name. Each tells what it does, and which number it has in the table of goals.

mod bombs;
mod connections;
mod damage;
mod diskfull;
mod eio;
mod kill;
mod mutate;
mod pipeline;
mod powercut;
mod security;
mod slow;
mod torn;

use std::time::{Duration, Instant};

use crate::options::{Options, USAGE};

/// A kind of torture.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// The row of the goals that it checks.
    pub goal: &'static str,
    /// What it does.
    pub what: &'static str,
    /// How many cycles it has if nothing is said.
    cycles: u64,
    run: fn(&Plan<'_>) -> Result<String, String>,
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    kill::SCENARIO,
    pipeline::SCENARIO,
    powercut::SCENARIO,
    torn::SCENARIO,
    eio::SCENARIO,
    damage::BITFLIP,
    damage::TRUNCATE,
    diskfull::SCENARIO,
    slow::SCENARIO,
    connections::SCENARIO,
    mutate::SCENARIO,
    bombs::SCENARIO,
    security::SCENARIO,
];

/// What a scenario is to do.
pub(crate) struct Plan<'a> {
    pub(crate) options: &'a Options,
    pub(crate) cycles: u64,
    begun: Instant,
}

impl Plan<'_> {
    /// Whether another cycle is to come after so many.
    pub(crate) fn goes_on(&self, done: u64) -> bool {
        match self.options.seconds {
            Some(seconds) => self.begun.elapsed() < Duration::from_secs(seconds),
            None => done < self.cycles,
        }
    }
}

/// Runs the scenarios that are named; `all` names all.
///
/// # Errors
/// What went wrong, with the seed.
pub fn run(options: &Options) -> Result<(), String> {
    if options.names.is_empty() {
        return Err(list());
    }
    let chosen = chosen(&options.names)?;
    let mut failed = vec![];
    for scenario in chosen {
        let begun = Instant::now();
        let plan = Plan { options, cycles: options.cycles.unwrap_or(scenario.cycles), begun };
        match (scenario.run)(&plan) {
            Ok(told) => {
                println!("{} ({}): ok, {told}; {:.0} s", scenario.name, scenario.goal, begun.elapsed().as_secs_f64())
            }
            Err(error) => {
                println!("{} ({}): FAILED, seed {}: {error}", scenario.name, scenario.goal, options.seed);
                failed.push(scenario.name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>, String> {
    if names.iter().any(|name| name == "all") {
        return Ok(SCENARIOS.iter().collect());
    }
    let find = |name: &String| SCENARIOS.iter().find(|scenario| scenario.name == name);
    names.iter().map(|name| find(name).ok_or_else(|| format!("no scenario is called {name}\n{}", list()))).collect()
}

fn list() -> String {
    let lines = SCENARIOS.iter().map(|s| format!("  {:<12} {:<4} {}\n", s.name, s.goal, s.what));
    format!("{USAGE}\n{}", lines.collect::<String>())
}
