//! `evidence`: what this project holds, shown by searching and measuring. For developers; never deployed.

mod faults;
mod model;
mod traceability;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Shows that the sign-in holds what it promises.
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Let everything go wrong that the threat model lists, one thing at a time, with the functions as programs
    Faults(faults::Arguments),
    /// Search every state that an owner, a stranger, Cognito's repeats, faults and the clock can bring sign-ins into
    Model(model::Arguments),
    /// Tell for each threat, requirement and fault of the threat model which test shows it, or why none does
    Traceability(traceability::Arguments),
}

fn main() -> io::Result<ExitCode> {
    match CommandLine::parse().command {
        Command::Faults(arguments) => faults::run(&arguments, &mut io::stdout().lock()),
        Command::Model(arguments) => model::run(&arguments, &mut io::stdout().lock()),
        Command::Traceability(arguments) => traceability::run(&arguments, &mut io::stdout().lock()),
    }
}
