//! `custom-auth attach`, `detach` and `doctor`: the commands of the package `ops`, which is built when one is asked for.
//!
//! They need AWS's SDKs, which take minutes to compile. Whoever only wants the pool on this machine need not wait for them.

use std::error::Error;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use local_pool::build;

use crate::local::workspace;

/// What stands behind the command's name, for the other program to read.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    all: Vec<OsString>,
}

/// Runs the command to its end, which is ours.
pub(crate) async fn run(command: &str, Arguments { all }: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let program = build::program(workspace(), "dev", "custom-auth-ops").await?;
    let status = Command::new(&program)
        .arg(command)
        .args(all)
        .status()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
