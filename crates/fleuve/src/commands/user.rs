//! `user`: who can log in.

use std::io::{BufRead, IsTerminal, stdin};

use fleuve_base::{Error, Result};
use serde_json::json;

use super::target::client;
use crate::args::UserCommand;
use crate::output::{listing, say};

/// Bytes of a password.
const PASSWORD_BYTES_MAX: u64 = 1 << 10;

/// `fleuve user …`
pub fn run(command: &UserCommand, as_json: bool) -> Result<()> {
    match command {
        UserCommand::List(target) => {
            let users = client(target)?.users()?.into_iter().map(|user| {
                let mechanisms: Vec<&str> = user.mechanisms.iter().map(|(name, _)| *name).collect();
                vec![json!(user.name), json!(mechanisms)]
            });
            listing::print(&["user", "mechanisms"], users.collect(), as_json)
        }
        UserCommand::Add { name, target } => {
            let mut client = client(target)?;
            client.set_password(name, &password()?)?;
            say(format!("{name} can log in\n"))?;
            Ok(())
        }
        UserCommand::Delete { name, target } => {
            client(target)?.delete_user(name)?;
            say(format!("{name} deleted\n"))?;
            Ok(())
        }
    }
}

/// A line of standard input. It is no argument, since other users of the machine can see those.
fn password() -> Result<String> {
    if stdin().is_terminal() {
        eprint!("password: ");
    }
    let mut line = String::new();
    let read = std::io::Read::take(stdin().lock(), PASSWORD_BYTES_MAX).read_line(&mut line);
    read.map_err(|error| Error::io("read the password", &error))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Error::input("E019", "the password is empty").with_hint("give it as a line of standard input"));
    }
    Ok(password.to_owned())
}
