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

use std::path::Path;
use std::time::{Duration, Instant};

use crate::life::{Summary, fresh};
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

    /// Leads lives of up to `cycles_max` cycles, each in a directory and with a seed of its own, until the plan is done.
    /// `live` gets the directory, the seed and the cycles. Only the directory of what failed is kept.
    pub(crate) fn lives(
        &self,
        name: &str,
        cycles_max: u64,
        mut live: impl FnMut(&Path, u64, Cycles) -> Result<Summary, String>,
    ) -> Result<Summary, String> {
        let (mut all, mut life) = (Summary::default(), 0);
        while self.goes_on(all.faults) {
            let directory = fresh(&self.options.directory, &format!("{name}-{life}"))?;
            let left = self.cycles.saturating_sub(all.faults);
            let end = self.options.seconds.map(|seconds| self.begun + Duration::from_secs(seconds));
            let cycles = Cycles {
                left: if end.is_some() { cycles_max } else { cycles_max.min(left).max(1) },
                begun: false,
                end,
            };
            all.add(live(&directory, self.options.seed + life, cycles)?);
            let _ = std::fs::remove_dir_all(&directory);
            life += 1;
        }
        Ok(all)
    }
}

/// The cycles of one life: one at least, and no more when the time is over.
pub(crate) struct Cycles {
    left: u64,
    begun: bool,
    end: Option<Instant>,
}

impl Iterator for Cycles {
    type Item = ();

    fn next(&mut self) -> Option<()> {
        let over = self.begun && self.end.is_some_and(|end| Instant::now() >= end);
        self.left = if over { 0 } else { self.left }.checked_sub(1)?;
        self.begun = true;
        Some(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_has_one_cycle_at_least_and_ends_with_the_time() {
        let cycles = |left, end| Cycles { left, begun: false, end }.count();
        assert_eq!((cycles(5, None), cycles(1, None)), (5, 1));
        assert_eq!(cycles(5, Some(Instant::now())), 1);
        assert_eq!(cycles(5, Some(Instant::now() + Duration::from_secs(60))), 5);
    }
}
