//! `custom-auth attach`, `detach` and `doctor`, as a program of their own.

#![expect(clippy::print_stderr, reason = "the terminal is this program's output")]

use std::process::ExitCode;

use clap::Parser;
use custom_auth_ops::{CommandLine, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(CommandLine::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
