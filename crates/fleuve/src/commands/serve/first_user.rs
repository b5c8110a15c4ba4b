//! The first user: where logins are asked for, somebody must be able to log in before anybody can create users.

use std::path::Path;
use std::sync::mpsc;

use fleuve_base::{Error, Result};
use fleuve_broker::Broker;

use crate::config::Settings;

/// Bytes of the file that holds the password.
const PASSWORD_BYTES_MAX: u64 = 1 << 10;

/// Creates the user that the settings name, unless there are users already. It is durable when this returns.
///
/// # Errors
/// `E606` without a password, `E902` for a file that cannot be read.
pub(super) fn create(broker: &Broker, settings: &Settings) -> Result<()> {
    let security = broker.security();
    if settings.first_user.is_empty() || !security.users().is_empty() {
        return Ok(());
    }
    let password = password(settings.first_user_password_file.as_deref())?;
    let (tell, told) = mpsc::channel();
    let done = move |outcome| _ = tell.send(outcome);
    security.set_password(&settings.first_user, password.as_bytes(), Box::new(done));
    told.recv().map_err(|_| Error::internal("nobody told whether the first user is stored"))??;
    tracing::info!(user = settings.first_user, "created the first user");
    Ok(())
}

/// The first line of the file. The password is no setting itself, since those are shown.
fn password(file: Option<&Path>) -> Result<String> {
    let missing = |message: &str| {
        Error::input("E606", message)
            .with_hint("set first.user.password.file to a file whose first line is the password of first.user")
    };
    let path = file.ok_or_else(|| missing("the first user has no password"))?;
    let read = std::fs::File::open(path).and_then(|file| {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(file, PASSWORD_BYTES_MAX), &mut text).map(|_| text)
    });
    let text = read.map_err(|e| Error::io(format_args!("read the password in `{}`", path.display()), &e))?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() { Err(missing("the password of the first user is empty")) } else { Ok(password.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_the_first_line_and_must_be_there() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("password");
        std::fs::write(&path, "pencil\nanother line\n").expect("is written");
        assert_eq!(password(Some(&path)).expect("is there"), "pencil");
        std::fs::write(&path, "\n").expect("is written");
        assert_eq!(password(Some(&path)).expect_err("is empty").code(), "E606");
        assert_eq!(password(None).expect_err("is not named").code(), "E606");
        assert_eq!(password(Some(&directory.path().join("none"))).expect_err("is not there").code(), "E902");
    }
}
