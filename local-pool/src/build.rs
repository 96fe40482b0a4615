//! Builds this project's programs with cargo.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::trigger::Trigger;

/// How the variables begin that cargo sets for a package's programs and tests.
const OF_A_PACKAGE: [&str; 5] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"];

/// Why the functions could not be built.
#[derive(Debug)]
pub enum BuildError {
    /// There is no workspace at this path.
    NoSources(PathBuf),
    /// cargo cannot be run.
    NoCargo(io::Error),
    /// cargo failed; its own words stand on standard error.
    Failed,
    /// cargo built everything but this program.
    Missing(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::NoSources(path) => {
                write!(f, "no sources at {}: run this with `cargo run` in a checkout", path.display())
            }
            BuildError::NoCargo(error) => write!(f, "cannot run cargo: {error}"),
            BuildError::Failed => {
                f.write_str("this project does not build: mend what cargo complains of above, and start again")
            }
            BuildError::Missing(name) => write!(f, "cargo built no program called {name}"),
        }
    }
}

impl std::error::Error for BuildError {}

/// Builds the functions that serve these triggers, of the workspace at `root`, with a profile of cargo's, such as `dev`, and tells
/// where each one's program is. cargo's progress goes to standard error.
///
/// # Errors
///
/// When cargo does not build all of them.
pub async fn functions(
    root: &Path,
    profile: &str,
    triggers: &[Trigger],
) -> Result<BTreeMap<&'static str, PathBuf>, BuildError> {
    let names: Vec<&'static str> = triggers.iter().map(|trigger| trigger.function()).collect();
    let mut built = programs(root, profile, &names).await?;
    let mut found = BTreeMap::new();
    for name in names {
        found.insert(name, built.remove(name).ok_or_else(|| BuildError::Missing(name.to_owned()))?);
    }
    Ok(found)
}

/// Builds another program of the workspace, and tells where it is.
///
/// # Errors
///
/// When cargo does not build it.
pub async fn program(root: &Path, profile: &str, name: &str) -> Result<PathBuf, BuildError> {
    let mut built = programs(root, profile, &[name]).await?;
    built.remove(name).ok_or_else(|| BuildError::Missing(name.to_owned()))
}

/// The variables of the environment in which cargo told this program of its own package. They are not for a build that it starts: some
/// build scripts look at them, and would run anew each time.
pub fn variables_of_this_package() -> impl Iterator<Item = OsString> {
    let is_of_a_package =
        |name: &OsString| name.to_str().is_some_and(|name| OF_A_PACKAGE.iter().any(|prefix| name.starts_with(prefix)));
    std::env::vars_os().map(|(name, _)| name).filter(is_of_a_package)
}

/// Programs by name.
async fn programs(root: &Path, profile: &str, names: &[&str]) -> Result<BTreeMap<String, PathBuf>, BuildError> {
    if !root.join("functions").is_dir() {
        return Err(BuildError::NoSources(root.to_owned()));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    for name in variables_of_this_package() {
        command.env_remove(name);
    }
    let output = command
        .current_dir(root)
        // The whole workspace is named so that cargo chooses the features of shared dependencies as in
        // `cargo test --workspace`, and does not build them once more for one or the other.
        .args(["build", "--workspace", "--profile", profile, "--message-format=json-render-diagnostics"])
        .args(names.iter().flat_map(|name| ["--bin", name]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(BuildError::NoCargo)?
        // Not `output`, which would keep standard error to itself.
        .wait_with_output()
        .await
        .map_err(BuildError::NoCargo)?;
    if !output.status.success() {
        return Err(BuildError::Failed);
    }
    let messages =
        output.stdout.split(|octet| *octet == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let programs = messages
        .filter_map(|message| {
            let program = message["executable"].as_str()?.into();
            Some((message["target"]["name"].as_str()?.to_owned(), program))
        })
        .collect();
    Ok(programs)
}
