//! `cargo xtask e2e`: real Kafka clients, from the registries, against the real binary.
//!
//! A client is a program under `xtask/e2e` that runs one scenario and says by its exit code whether all was as it should be. The same
//! programs run against Apache Kafka (`--reference`), which tells whether a failure is ours or the program's.

pub(crate) mod broker;
mod client;
mod foreign;
mod project;
pub(crate) mod reference;
mod run;
mod secure;

use std::path::{Path, PathBuf};
use std::time::Instant;

use broker::Broker;
use client::{CLIENTS, Client, SECURITY};
use secure::Secure;

const USAGE: &str = "usage: cargo xtask e2e [--client NAME].. [--scenario NAME].. [--bootstrap HOST:PORT | --reference | --binary PATH] [--list]
       cargo xtask e2e foreign [--binary PATH]

  --client NAME          only this client; may be repeated
  --scenario NAME        only this scenario; may be repeated
  --bootstrap HOST:PORT  against a broker that is already there
  --reference            against Apache Kafka, installed from Maven Central
  --binary PATH          against this binary, instead of one built from the sources
  --list                 print the clients and their scenarios

Clients are installed into $FLEUVE_E2E_CACHE, by default ~/.cache/fleuve/e2e.";

/// What the programs run against.
enum Target {
    Fleuve(Option<PathBuf>),
    Reference,
    External(String),
}

struct Options {
    clients: Vec<String>,
    scenarios: Vec<String>,
    target: Target,
    list: bool,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self { clients: vec![], scenarios: vec![], target: Target::Fleuve(None), list: false };
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            let mut value = || rest.next().map(|v| (*v).to_owned()).ok_or(format!("{flag} needs a value\n{USAGE}"));
            match *flag {
                "--client" => options.clients.push(value()?),
                "--scenario" => options.scenarios.push(value()?),
                "--bootstrap" => options.target = Target::External(value()?),
                "--binary" => options.target = Target::Fleuve(Some(value()?.into())),
                "--reference" => options.target = Target::Reference,
                "--list" => options.list = true,
                _ => return Err(USAGE.to_owned()),
            }
        }
        options.known()?;
        Ok(options)
    }

    /// A name that is nobody's would otherwise run nothing, and pass.
    fn known(&self) -> Result<(), String> {
        let client = self.clients.iter().find(|name| !CLIENTS.iter().any(|c| c.name == *name));
        let has = |scenario: &String| CLIENTS.iter().any(|c| c.scenarios.contains(&scenario.as_str()));
        match (client, self.scenarios.iter().find(|s| !has(s))) {
            (Some(name), _) => Err(format!("no client is called {name}; --list prints them")),
            (_, Some(name)) => Err(format!("no client has the scenario {name}; --list prints them")),
            _ => Ok(()),
        }
    }

    /// The scenarios of a client that were asked for.
    fn scenarios_of(&self, client: &Client) -> Vec<&'static str> {
        let wanted = self.clients.is_empty() || self.clients.iter().any(|name| name == client.name);
        let all =
            client.scenarios.iter().filter(|s| self.scenarios.is_empty() || self.scenarios.iter().any(|w| w == *s));
        all.copied().filter(|_| wanted).collect()
    }
}

/// Runs what was asked for; an error if anything failed.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    if let ["foreign", rest @ ..] = arguments {
        return foreign::run(rest);
    }
    let options = Options::parse(arguments)?;
    if options.list {
        CLIENTS.iter().for_each(|client| println!("{:<14} {}", client.name, client.scenarios.join(" ")));
        return Ok(());
    }
    let started = Instant::now();
    let (mut passed, mut failed) = (0, vec![]);
    for client in CLIENTS {
        let scenarios = options.scenarios_of(client);
        if scenarios.is_empty() {
            continue;
        }
        for (scenario, result) in run_client(&options, client, &scenarios)? {
            match result {
                true => passed += 1,
                false => failed.push(format!("{} {scenario}", client.name)),
            }
        }
    }
    println!("{passed} passed, {} failed in {:.0} s", failed.len(), started.elapsed().as_secs_f64());
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("failed: {}", failed.join(", "))),
    }
}

/// One client's scenarios, one after the other, against one broker; `security` against its own.
fn run_client(
    options: &Options,
    client: &Client,
    scenarios: &[&'static str],
) -> Result<Vec<(&'static str, bool)>, String> {
    let program = client.install()?;
    let mut open: Option<Broker> = None;
    let mut results = vec![];
    for scenario in scenarios {
        if *scenario == SECURITY {
            if let Some(mut secure) = start_secure(&options.target)? {
                let passed = run_scenario(client, &program, scenario, &mut secure.broker, &secure.environment)?;
                results.push((*scenario, passed));
            }
            continue;
        }
        let mut broker = open.take().map_or_else(|| start(&options.target), Ok)?;
        results.push((*scenario, run_scenario(client, &program, scenario, &mut broker, &[])?));
        open = (!broker.ended()).then_some(broker);
    }
    Ok(results)
}

/// One scenario: whether it passed, and the broker lives.
fn run_scenario(
    client: &Client,
    program: &Path,
    scenario: &str,
    broker: &mut Broker,
    environment: &[(&str, String)],
) -> Result<bool, String> {
    let outcome = run::scenario(client, program, scenario, &broker.bootstrap, environment)?;
    let died = broker.died();
    let passed = outcome.passed && died.is_none();
    let word = if passed { "pass" } else { "FAIL" };
    println!("{word}  {:<14} {scenario:<14} {:>6.1} s", client.name, outcome.took.as_secs_f64());
    if !passed {
        println!("{}", outcome.output);
        println!("{}", broker.tail());
    }
    if let Some(how) = died {
        println!("the broker ended: {how}");
    }
    Ok(passed)
}

fn start(target: &Target) -> Result<Broker, String> {
    match target {
        Target::Fleuve(binary) => Broker::fleuve(binary.as_deref()),
        Target::Reference => reference::start(),
        Target::External(bootstrap) => Ok(Broker::external(bootstrap)),
    }
}

/// A broker with logins and permissions; one that is already there has others than the programs know.
fn start_secure(target: &Target) -> Result<Option<Secure>, String> {
    match target {
        Target::Fleuve(binary) => secure::fleuve(&broker::built(binary.as_deref())?).map(Some),
        Target::Reference => secure::reference().map(Some),
        Target::External(_) => {
            println!("skip  {SECURITY}: it needs a broker that is started with its listeners");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_nobodys_is_an_error() {
        assert!(Options::parse(&["--client", "nobody"]).is_err());
        assert!(Options::parse(&["--scenario", "nothing"]).is_err());
        assert!(Options::parse(&["--client"]).is_err());
        assert!(Options::parse(&["--client", "librdkafka", "--scenario", "produce"]).is_ok());
    }

    #[test]
    fn without_names_everything_runs() {
        let options = Options::parse(&[]).expect("nothing to get wrong");
        assert!(CLIENTS.iter().all(|client| options.scenarios_of(client) == client.scenarios));
    }

    #[test]
    fn names_choose_among_clients_and_scenarios() {
        let options = Options::parse(&["--client", "librdkafka", "--scenario", "kip848"]).expect("both exist");
        let chosen: Vec<_> = CLIENTS.iter().flat_map(|client| options.scenarios_of(client)).collect();
        assert_eq!(chosen, ["kip848"]);
    }
}
