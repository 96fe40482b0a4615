//! `custom-auth`: a local user pool, and sign-ins against it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the terminal is this program's output")]

mod event;
mod local;
mod mail;
mod ops;
mod risk;
mod sign_in;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Passwordless sign-in for Amazon Cognito, on this machine and into an account.
///
/// Without a command it starts the local pool. The functions take their settings from the environment, as in
/// `CODE_LENGTH=6 cargo run`; docs/settings.md lists them.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    local: Box<local::Arguments>,
}

#[derive(Subcommand)]
enum Command {
    /// Build the functions and run them behind a user pool on this machine
    Local(Box<local::Arguments>),
    /// Sign in once, step by step, and verify the tokens
    SignIn(sign_in::Arguments),
    /// Print an event of events/ as if it happened now, for `sam local invoke -e -`
    Event(event::Arguments),
    /// Show the mail, in one language or all, with the settings and templates that are set
    Mail(mail::Arguments),
    /// Print what guessing comes to in a year, with the settings that are set
    Risk,
    /// Attach the functions to a user pool in an AWS account; everything else in it stays as it is
    #[command(disable_help_flag = true)]
    Attach(ops::Arguments),
    /// Take the functions away again, and give their triggers back to those that had them before
    #[command(disable_help_flag = true)]
    Detach(ops::Arguments),
    /// Look whether a user pool, its functions and SES are as a sign-in needs them
    #[command(disable_help_flag = true)]
    Doctor(ops::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let CommandLine { command, local } = CommandLine::parse();
    let done: Result<ExitCode, Box<dyn Error>> = match command.unwrap_or(Command::Local(local)) {
        Command::Local(arguments) => local::run(*arguments).await.map(succeeded),
        Command::SignIn(arguments) => sign_in::run(arguments).await.map(succeeded),
        Command::Event(arguments) => event::run(&arguments).map(succeeded),
        Command::Mail(arguments) => mail::run(&arguments).map(succeeded),
        Command::Risk => risk::run().map(succeeded),
        Command::Attach(arguments) => ops::run("attach", arguments).await,
        Command::Detach(arguments) => ops::run("detach", arguments).await,
        Command::Doctor(arguments) => ops::run("doctor", arguments).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn succeeded((): ()) -> ExitCode {
    ExitCode::SUCCESS
}
