//! Statements for a SELECT ONLINE that runs: `SET RATE OF group = rate` and `STOP GROUP group`, one line after the other on
//! standard input.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, sync_channel};

use fleuve_base::{Error, Place, Result};
use fleuve_flow::runtime::Handle;
use fleuve_plan::{Control, OnlineUnit, Operator, Pipeline};
use fleuve_sql::session::{Outcome, Session};

use crate::live::Live;

/// Lines that may wait.
const LINES_MAX: usize = 64;

/// What is asked of a query, from the script before it and from standard input while it runs.
pub(super) struct Steering {
    first: Vec<(Control, Place)>,
    lines: Option<Receiver<String>>,
}

impl Steering {
    /// For a query that has its first wishes. Standard input is read only if its groups can be steered.
    pub(super) fn new(pipeline: &Pipeline, first: Vec<(Control, Place)>) -> Self {
        let by_rows = |operator: &Operator| match operator {
            Operator::Online(online) => matches!(online.unit, OnlineUnit::Rows { .. }),
            _ => false,
        };
        let steered = pipeline.nodes.iter().any(|node| by_rows(&node.operator));
        Steering { first, lines: steered.then(read_lines) }
    }

    /// Does what the script asks for.
    ///
    /// # Errors
    /// Of the first wish that cannot be fulfilled, with its place.
    pub(super) fn begin(&self, handle: &Handle) -> Result<()> {
        let place = |place: &Place, error: Error| if error.place().is_none() { error.at(place.clone()) } else { error };
        self.first.iter().try_for_each(|(control, at)| send(handle, control).map_err(|error| place(at, error)))
    }

    /// Does what was typed since. A mistake is told, and the query goes on.
    pub(super) fn follow(&self, handle: &Handle, live: &Live) {
        for line in self.lines.iter().flat_map(Receiver::try_iter).filter(|line| !line.trim().is_empty()) {
            if let Err(error) = controls(&line).and_then(|all| all.iter().try_for_each(|c| send(handle, c))) {
                let hint = error.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
                live.suspend(|| eprintln!("{error}{hint}"));
            }
        }
    }
}

/// Reads standard input until it ends; the thread does not hold the process up.
fn read_lines() -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES_MAX);
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(std::io::Result::ok);
        for line in lines {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn controls(line: &str) -> Result<Vec<Control>> {
    let mut session = Session::new();
    let statements = session.parse(line)?;
    let control = |statement: &_| match session.execute(statement)? {
        Outcome::Control(control, _) => Ok(control),
        _ => Err(Error::input("E001", "while a SELECT ONLINE runs, only its groups can be steered")
            .with_hint("SET RATE OF 'group' = 3, or STOP GROUP 'group'")),
    };
    statements.iter().map(control).collect()
}

fn send(handle: &Handle, control: &Control) -> Result<()> {
    handle.sources().iter().try_for_each(|(_, source)| source.control(control))
}
