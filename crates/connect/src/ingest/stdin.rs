//! Standard input.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Arc;

use fleuve_base::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use super::feed::{Feeder, Lines};
use crate::options::Options;

/// What is read as standard input; one table can have it.
#[derive(Clone, Default)]
pub(crate) struct Stdin(Arc<Mutex<Given>>);

#[derive(Default)]
enum Given {
    /// The process's own.
    #[default]
    Process,
    Other(Box<dyn Read + Send>),
    Taken,
}

impl Stdin {
    pub(crate) fn other(input: Box<dyn Read + Send>) -> Self {
        Stdin(Arc::new(Mutex::new(Given::Other(input))))
    }

    pub(super) fn feeder(&self, options: &Options) -> Result<StdinFeeder> {
        let input: Box<dyn Read + Send> = match std::mem::replace(&mut *self.0.lock(), Given::Taken) {
            // A descriptor of our own, since the standard library's handle copies through a small buffer.
            Given::Process => match std::io::stdin().as_fd().try_clone_to_owned() {
                Ok(descriptor) => Box::new(File::from(descriptor)),
                Err(error) => return Err(Error::io("open standard input", &error)),
            },
            Given::Other(input) => input,
            Given::Taken => {
                let message = format!("table `{}`: another table reads standard input already", options.table());
                return Err(Error::new(ErrorKind::Conflict, "E510", message)
                    .with_hint("read it once, and derive both from a view over that table"));
            }
        };
        Ok(StdinFeeder { options: options.clone(), input })
    }
}

pub(super) struct StdinFeeder {
    options: Options,
    input: Box<dyn Read + Send>,
}

impl Feeder for StdinFeeder {
    fn name(&self) -> String {
        "stdin".to_owned()
    }

    fn bounded(&self) -> bool {
        true
    }

    fn run(&mut self, lines: &mut Lines, _resumed: bool, _last: Option<&str>) -> Result<()> {
        lines.begin(&self.options);
        while !lines.session.is_stopped() {
            if lines.read(&mut self.input, |_| None)? == 0 {
                break;
            }
        }
        lines.finish()
    }
}
