//! Into an account: attaches the triggers to a user pool that is there already, takes them away again, and looks whether all
//! is well.
//!
//! A command gathers what there is (`account`), decides without input or output (`settings`, `triggers`, `permission`, `checks`), says
//! what it is about to do, and does it.
//!
//! It is a program of its own, which `custom-auth` starts, because AWS's SDKs take minutes to compile and nothing else needs them.

#![expect(clippy::print_stdout, reason = "the terminal is this program's output")]

pub mod account;
mod attach;
pub mod checks;
mod doctor;
pub mod permission;
mod saved;
pub mod settings;
pub mod triggers;

use clap::{Parser, Subcommand};

/// Attaches the triggers to a user pool in an AWS account, and looks whether all is well.
#[derive(Parser)]
#[command(name = "custom-auth", bin_name = "custom-auth", version)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Attach the functions to a user pool; everything else in it stays as it is
    Attach(attach::Arguments),
    /// Take the functions away again, and give their triggers back to those that had them before
    Detach(attach::DetachArguments),
    /// Look whether a user pool, its functions and SES are as a sign-in needs them
    Doctor(doctor::Arguments),
}

/// Runs a command. `false` if `doctor` finds something wrong; an error stands in one line.
///
/// # Errors
///
/// When the command could not do its work; says what has been done and what has not.
pub async fn run(line: CommandLine) -> Result<bool, String> {
    match line.command {
        Command::Attach(arguments) => attach::attach(arguments).await.map(|()| true),
        Command::Detach(arguments) => attach::detach(arguments).await.map(|()| true),
        Command::Doctor(arguments) => doctor::doctor(arguments).await,
    }
}
