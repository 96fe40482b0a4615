//! git, as `scoreboard` and `versions` ask it.

use std::io;
use std::path::Path;
use std::process::Command;

/// What git says, in a folder.
///
/// # Errors
///
/// In git's words, why it does not do it.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> io::Result<String> {
    let output = Command::new("git").args(arguments).current_dir(folder).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(io::Error::other(format!("git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))),
    }
}
