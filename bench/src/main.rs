//! `cold-start`: how long the functions take to start and to answer, beside programs that do nothing.

mod bounds;
mod host;
mod measure;
mod report;
mod services;
mod share;
mod subjects;

use std::error::Error;
use std::io::{Write as _, stderr, stdout};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;

use crate::bounds::Bounds;
use crate::measure::Plan;
use crate::report::{Machine, Report, rows};
use crate::services::Services;
use crate::share::Share;
use crate::subjects::Workshop;

/// How long the functions take to start and to answer, beside a no-op and a floor.
///
/// Each program is built by itself, and lives many times behind a Lambda Runtime API of this machine, in turn with the others, in an order
/// that is new each round. SES and DynamoDB are here, too, over TLS. Every response is looked at; a wrong one ends the measuring.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Lives of each program, and as many at each memory; 0 for no times at all
    #[arg(long, default_value_t = 61)]
    lives: usize,
    /// Invocations after the first one
    #[arg(long, default_value_t = 200)]
    warm: usize,
    /// How far SES and DynamoDB are away, beside what the machine takes itself
    #[arg(long, default_value_t = 0)]
    round_trip_ms: u64,
    /// Memory in MB at whose share of the CPU to measure, too; a whole vCPU is 1769
    #[arg(long, value_delimiter = ',', default_value = "128,1769")]
    memory: Vec<u64>,
    /// Give processes their share from the start. Lambda lets them have the whole CPU until they ask for an event
    #[arg(long)]
    init_throttled: bool,
    /// Measure only programs with this in their names
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Measure functions with the C library in them, too
    #[arg(long = "static", conflicts_with = "functions")]
    static_too: bool,
    /// A folder of functions that are built already, as cargo-lambda, `sam build` or cargo leave them
    #[arg(long)]
    functions: Option<PathBuf>,
    /// Count instructions with valgrind, too
    #[arg(long)]
    instructions: bool,
    /// Count instructions, and fail if there are more than this file allows
    #[arg(long)]
    check: Option<PathBuf>,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let done = run(&Arguments::parse());
    done.unwrap_or_else(|error| {
        let _ = say(&format!("error: {error}"));
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let bounds = arguments.check.as_deref().map(Bounds::read).transpose()?;
    let counts = arguments.instructions || bounds.is_some();
    if counts && Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Err(
            "there is no valgrind to count instructions with: install it, as in `apt-get install valgrind`".into()
        );
    }
    let workshop = Workshop::new();
    let subjects =
        workshop.subjects(&arguments.only, arguments.functions.as_deref(), arguments.static_too, &mut say)?;
    let mut events = workshop.events()?;
    let services = Services::start(&workshop.folder()?, Duration::from_millis(arguments.round_trip_ms))?;
    let plan = Plan {
        lives: arguments.lives,
        warm: arguments.warm,
        shares: if arguments.lives > 0 { shares(&arguments.memory)? } else { Vec::new() },
        is_init_throttled: arguments.init_throttled,
    };
    let lives = measure::lives(&plan, &subjects, &services, &mut events, &mut say)?;
    let slow_clock = if counts { Some(workshop.slow_clock()?) } else { None };
    let mut instructions = Vec::new();
    for subject in &subjects {
        instructions.push(match &slow_clock {
            Some(slow_clock) => {
                say(&format!("Counting the instructions of {}.", subject.name()))?;
                Some(measure::instructions(subject, &services, &mut events, slow_clock)?)
            }
            None => None,
        });
    }
    let memories: Vec<u64> = plan.shares.iter().map(|(megabytes, _)| *megabytes).collect();
    let report = Report {
        machine: Machine::this(),
        lives: arguments.lives,
        warm: arguments.warm,
        round_trip_ms: arguments.round_trip_ms,
        is_init_throttled: arguments.init_throttled,
        programs: rows(&subjects, &lives, &instructions, &memories),
    };
    let text = if arguments.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.markdown() };
    stdout().write_all(text.as_bytes())?;
    let excesses = bounds.map(|bounds| bounds.excesses(&report.programs)).unwrap_or_default();
    for excess in &excesses {
        say(&format!("error: {excess}"))?;
    }
    Ok(if excesses.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The shares of these amounts of memory, or none where the system does not let us give any.
fn shares(memory: &[u64]) -> Result<Vec<(u64, Share)>, Box<dyn Error>> {
    let shares: Result<Vec<_>, _> =
        memory.iter().map(|megabytes| Ok::<_, std::io::Error>((*megabytes, Share::of_memory(*megabytes)?))).collect();
    shares.or_else(|error| {
        say(&format!("There will be nothing at any memory: this system does not let us share the CPU out ({error})."))?;
        Ok(Vec::new())
    })
}

/// What goes on, beside the report.
fn say(line: &str) -> Result<(), Box<dyn Error>> {
    Ok(writeln!(stderr(), "{line}")?)
}
