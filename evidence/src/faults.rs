//! `evidence faults`: gate G12, the fault matrix. Each cell is one run of the functions, as the programs that Lambda would run, in real
//! time, with one thing going wrong: what is shown to whoever signs in, how many mails go out, what is counted, how long it takes, and
//! whether anything is said that must not be. What must come of each is written in [`mail`] and the tables beside it.

mod calls;
mod cell;
mod deployment;
#[path = "../../limits/tests/it/dynamodb.rs"]
#[expect(clippy::panic, clippy::unwrap_used, reason = "a stand-in stops at a surprise, and its cell with it")]
mod dynamodb;
mod input;
mod mail;
#[path = "../../functions/create-auth-challenge/src/delivery/tests/service.rs"]
#[expect(clippy::unwrap_used, reason = "a stand-in stops at a surprise, and its cell with it")]
mod service;
#[path = "../../cli/tests/it/spellings.rs"]
mod spellings;
mod world;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use local_pool::build;
use local_pool::trigger::Trigger;
use serde_json::{Value, json};
use tokio::runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::cell::Cell;
use self::dynamodb::{DynamoDb, Fault as TableDoes};
use self::service::{Deed as SesDoes, Service, refuses, refuses_with, taken};
use self::world::{Programs, Run};

/// What the command takes.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only the cells of a fault (`F14`), or whose names hold a text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Cells that are under way at a time. Most of them wait most of the time.
const AT_A_TIME: usize = 48;
/// Functions that may start at a time.
const STARTS_AT_A_TIME: usize = 2;
/// Lambda's levels, in turn: a leak that only shows when somebody looks closer is one.
const LOG_LEVELS: [&str; 3] = ["INFO", "DEBUG", "TRACE"];

/// All cells.
fn cells() -> Vec<Cell> {
    [mail::cells(), calls::cells(), input::cells(), deployment::cells()].concat()
}

/// What came of all cells.
struct Matrix {
    /// By the number of the cell.
    runs: Vec<(Cell, Run)>,
    /// Cells that held only when they were run by themselves.
    repeated: Vec<String>,
    seconds: f64,
}

/// Builds the functions, runs the cells, and tells what is not as it must be.
///
/// # Errors
///
/// When the functions do not build, or nothing can be written.
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> io::Result<ExitCode> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let matrix = runtime.block_on(measure(arguments))?;
    if arguments.json {
        writeln!(out, "{}", matrix.json())?;
    } else {
        write!(out, "{}", matrix.report())?;
    }
    Ok(if matrix.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(arguments: &Arguments) -> io::Result<Matrix> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = folder.parent().unwrap_or(folder);
    let paths = build::functions(root, "dev", &Trigger::ALL).await.map_err(io::Error::other)?;
    let programs = Arc::new(Programs { paths, starting: Semaphore::new(STARTS_AT_A_TIME) });
    let wanted = |cell: &Cell| arguments.only.as_ref().is_none_or(|only| cell.name().contains(only.as_str()));
    let cells: Vec<Cell> = cells().into_iter().filter(wanted).collect();

    let begun = Instant::now();
    let slots = Arc::new(Semaphore::new(AT_A_TIME));
    let mut under_way = JoinSet::new();
    for (number, cell) in cells.iter().cloned().enumerate() {
        let (programs, slots) = (Arc::clone(&programs), Arc::clone(&slots));
        under_way.spawn(async move {
            let _slot = slots.acquire().await;
            (number, world::run(&cell, &programs, LOG_LEVELS[number % LOG_LEVELS.len()]).await)
        });
    }
    let mut runs = BTreeMap::new();
    while let Some(ended) = under_way.join_next().await {
        let (number, run) = ended.map_err(io::Error::other)?;
        runs.insert(number, run);
    }

    // A machine that is too busy fails cells that would hold. By itself a cell has all of it.
    let mut repeated = Vec::new();
    for (number, run) in &mut runs {
        if run.problems.is_empty() {
            continue;
        }
        let again = world::run(&cells[*number], &programs, LOG_LEVELS[number % LOG_LEVELS.len()]).await;
        if again.problems.is_empty() {
            repeated.push(format!("{}: {}", cells[*number].name(), run.problems.join("; ")));
            let leaks = std::mem::take(&mut run.leaks);
            *run = again;
            run.leaks.extend(leaks);
        }
    }
    let runs = cells.into_iter().zip(runs.into_values()).collect();
    let mut matrix = Matrix { runs, repeated, seconds: begun.elapsed().as_secs_f64() };
    matrix.compare_twins();
    Ok(matrix)
}

impl Matrix {
    /// Whoever is shown the same is shown exactly the same.
    fn compare_twins(&mut self) {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, (cell, _)) in self.runs.iter().enumerate() {
            if let Some(group) = &cell.twins {
                groups.entry(group.clone()).or_default().push(number);
            }
        }
        for twins in groups.into_values() {
            let mut seen: BTreeMap<String, Value> = BTreeMap::new();
            for number in twins {
                let (_, run) = &mut self.runs[number];
                let Some((outcome, looks)) = run.looks.clone() else { continue };
                let first = seen.entry(format!("{outcome:?}")).or_insert_with(|| looks.clone());
                if *first != looks {
                    run.problems.push(format!("looks like {looks}, and a twin like {first}"));
                }
            }
        }
    }

    fn failed(&self) -> impl Iterator<Item = &(Cell, Run)> {
        self.runs.iter().filter(|(_, run)| !run.problems.is_empty() || !run.leaks.is_empty())
    }

    fn leaks(&self) -> usize {
        self.runs.iter().map(|(_, run)| run.leaks.len()).sum()
    }

    fn slowest_ms(&self) -> u128 {
        self.runs.iter().map(|(_, run)| run.slowest.as_millis()).max().unwrap_or_default()
    }

    fn holds(&self) -> bool {
        !self.runs.is_empty() && self.failed().next().is_none()
    }

    fn by_fault(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (cell, _) in &self.runs {
            *counts.entry(cell.fault).or_default() += 1;
        }
        counts
    }

    fn report(&self) -> String {
        let mut text = String::new();
        for (cell, run) in self.failed() {
            text += &format!("WRONG {}\n", cell.name());
            text.extend(run.problems.iter().map(|problem| format!("      {problem}\n")));
            text.extend(run.leaks.iter().map(|leak| format!("      leaks: {leak}\n")));
        }
        text.extend(self.repeated.iter().map(|cell| format!("held by itself only: {cell}\n")));
        for (fault, count) in self.by_fault() {
            text += &format!("{fault} {count:4} cells\n");
        }
        let Matrix { runs, seconds, .. } = self;
        text += &format!(
            "{} cells in {seconds:.0} s, {} failed, {} leaks, slowest answer {} ms\n",
            runs.len(),
            self.failed().count(),
            self.leaks(),
            self.slowest_ms()
        );
        text
    }

    fn json(&self) -> Value {
        let calls: usize = self.runs.iter().map(|(_, run)| run.calls).sum();
        let lines: usize = self.runs.iter().map(|(_, run)| run.lines).sum();
        json!({
            "gate": "G12", "holds": self.holds(), "cells": self.runs.len(), "failed": self.failed().count(),
            "leaks": self.leaks(), "slowest_ms": self.slowest_ms(), "calls": calls, "log_lines": lines,
            "repeated": self.repeated.len(), "seconds": self.seconds.round(), "by_fault": self.by_fault(),
            "failed_cells": self.failed().map(|(cell, _)| cell.name()).collect::<Vec<_>>(),
        })
    }
}
