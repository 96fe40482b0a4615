//! `evidence`: what this project holds, shown by searching and measuring. For developers; never deployed.

mod model;
mod scoreboard;
mod timing;
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
    /// Search every state that an owner, a stranger, Cognito's repeats, faults and the clock can bring sign-ins into
    Model(model::Arguments),
    /// Run every gate, keep what it says, and write docs/evidence.md
    Scoreboard(scoreboard::Arguments),
    /// Tell for each threat, requirement and fault of the threat model which test shows it, or why none does
    Traceability(traceability::Arguments),
    /// Measure whether the time of a comparison tells where an answer differs from the code
    Timing(timing::Arguments),
}

fn main() -> io::Result<ExitCode> {
    match CommandLine::parse().command {
        Command::Model(arguments) => model::run(&arguments, &mut io::stdout().lock()),
        Command::Scoreboard(arguments) => scoreboard::run(&arguments, &mut io::stdout().lock()),
        Command::Timing(arguments) => timing::run(&arguments, &mut io::stdout().lock()),
        Command::Traceability(arguments) => traceability::run(&arguments, &mut io::stdout().lock()),
    }
}
