//! `evidence`: what this project holds, shown by searching and measuring. For developers; never deployed.

#[path = "../../limits/tests/it/dynamodb.rs"]
#[allow(clippy::panic, clippy::unwrap_used, reason = "a stand-in stops at a surprise")]
mod dynamodb;
mod enumeration;
mod faults;
mod git;
mod model;
mod scoreboard;
mod soak;
mod stage;
mod table;
mod timing;
mod traceability;
mod versions;

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
    /// Try to tell through the pool's API who is a user, by how long replies take and by what they are like
    Enumeration(enumeration::Arguments),
    /// Let everything go wrong that the threat model lists, one thing at a time, with the functions as programs
    Faults(faults::Arguments),
    /// Search the states that an owner, a stranger, Cognito's repeats, faults and the clock can bring sign-ins into
    Model(model::Arguments),
    /// Run every gate, keep what it says, and write docs/evidence.md
    Scoreboard(scoreboard::Arguments),
    /// Sign in very often at once, with faults and attackers in between
    Soak(soak::Arguments),
    /// Tell for each threat, requirement and fault of the threat model which test shows it, or why none does
    Traceability(traceability::Arguments),
    /// Measure whether the time of a comparison tells where an answer differs from the code
    Timing(timing::Arguments),
    /// Sign in while keys and versions change
    Versions(versions::Arguments),
}

fn main() -> io::Result<ExitCode> {
    match CommandLine::parse().command {
        Command::Enumeration(arguments) => enumeration::run(&arguments, &mut io::stdout().lock()),
        Command::Faults(arguments) => faults::run(&arguments, &mut io::stdout().lock()),
        Command::Model(arguments) => model::run(&arguments, &mut io::stdout().lock()),
        Command::Scoreboard(arguments) => scoreboard::run(&arguments, &mut io::stdout().lock()),
        Command::Timing(arguments) => timing::run(&arguments, &mut io::stdout().lock()),
        Command::Soak(arguments) => soak::run(&arguments, &mut io::stdout().lock()),
        Command::Traceability(arguments) => traceability::run(&arguments, &mut io::stdout().lock()),
        Command::Versions(arguments) => versions::run(&arguments, &mut io::stdout().lock()),
    }
}
