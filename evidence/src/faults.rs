//! `evidence faults`: gate G12, the fault matrix. Each cell is one run of the functions, as the programs that Lambda would run, in real
//! time, with one thing going wrong: what is shown to whoever signs in, how many mails go out, what is counted, how long it takes, and
//! whether anything is said that must not be. What must come of each is written in [`mail`] and the tables beside it.

mod calls;
mod cell;
mod deployment;
mod input;
mod mail;
#[path = "../../functions/create-auth-challenge/src/delivery/tests/service.rs"]
#[expect(clippy::unwrap_used, reason = "a stand-in stops at a surprise, and its cell with it")]
mod service;
#[path = "../../cli/tests/it/spellings.rs"]
mod spellings;
mod tls;
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
use self::service::{Deed as SesDoes, Service, refuses, refuses_with, taken};
use self::tls::Certificates;
use self::world::{Programs, Run};
use crate::dynamodb::{DynamoDb, Fault as TableDoes};
use crate::traceability;

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

/// Faults that no cell can show, and what does; beside those of which `evidence/traceability.toml` says why nothing does.
const SHOWN_ELSEWHERE: [(&str, &str); 6] = [
    ("F24", "Lambda refuses before any code of ours runs: `evidence soak` has calls that are throttled"),
    ("F31", "It takes functions of two versions: `evidence versions`"),
    ("F32", "It takes functions of two versions: `evidence versions`"),
    ("F30", "A panic cannot be caused from outside: cli/tests/it/panics.rs has a function that does nothing else"),
    ("F57", "Reserved concurrency bounds it, which is the template's: .ci/template.py"),
    ("F62", "It is the local pool's, not a function's: local-pool/tests/it/server.rs, cli/tests/it/program.rs"),
];
/// How many cells a fault has at least.
const FEWEST: usize = 2;
/// How many there are at least.
const FEWEST_CELLS: usize = 400;

/// How many of so many cells may need the machine for themselves.
fn may_be_repeated(cells: usize) -> usize {
    (cells / 50).max(1)
}

/// All cells.
fn cells() -> Vec<Cell> {
    [mail::cells(), calls::cells(), input::cells(), deployment::cells()].concat()
}

/// Why there are no cells of a fault.
fn reasons() -> io::Result<BTreeMap<String, String>> {
    let mut reasons = traceability::reasons()?;
    reasons.retain(|id, _| id.starts_with('F'));
    reasons.extend(SHOWN_ELSEWHERE.map(|(fault, why)| (fault.to_owned(), why.to_owned())));
    Ok(reasons)
}

/// Faults that have neither cells enough nor a reason, or both.
fn gaps(counts: &BTreeMap<&'static str, usize>, reasons: &BTreeMap<String, String>) -> Vec<String> {
    let all = (1..=62).map(|number| format!("F{number:02}"));
    all.filter_map(|fault| {
        let cells = counts.get(fault.as_str()).copied().unwrap_or_default();
        match (cells, reasons.contains_key(&fault)) {
            (0, true) => None,
            (0, false) => Some(format!("{fault} has neither a cell nor a reason")),
            (_, true) => Some(format!("{fault} has cells, and a reason why not")),
            (cells, false) => (cells < FEWEST).then(|| format!("{fault} has {cells} cells")),
        }
    })
    .collect()
}

/// What came of all cells.
struct Matrix {
    /// By the number of the cell.
    runs: Vec<(Cell, Run)>,
    /// What is missing.
    gaps: Vec<String>,
    /// Why there are no cells of some faults.
    reasons: BTreeMap<String, String>,
    /// Cells that held only when they were run by themselves.
    repeated: Vec<String>,
    seconds: f64,
}

fn by_fault<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for cell in cells {
        *counts.entry(cell.fault).or_default() += 1;
    }
    counts
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
    let folder = paths.values().next().and_then(|program| program.parent()).unwrap_or(root);
    let certificates = Certificates::make(folder)?;
    let programs = Arc::new(Programs { paths, starting: Semaphore::new(STARTS_AT_A_TIME), certificates });
    let wanted = |cell: &Cell| arguments.only.as_ref().is_none_or(|only| cell.name().contains(only.as_str()));
    let all = cells();
    let reasons = reasons()?;
    let mut gaps = gaps(&by_fault(&all), &reasons);
    if all.len() < FEWEST_CELLS {
        gaps.push(format!("{} cells are too few", all.len()));
    }
    let cells: Vec<Cell> = all.into_iter().filter(wanted).collect();

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

    // A machine that is too busy fails a few cells that would hold. By itself a cell has all of it.
    let mut repeated = Vec::new();
    let failed = runs.values().filter(|run| !run.problems.is_empty()).count();
    let is_worth_it = failed <= may_be_repeated(cells.len());
    for (number, run) in runs.iter_mut().filter(|(_, run)| is_worth_it && !run.problems.is_empty()) {
        let again = world::run(&cells[*number], &programs, LOG_LEVELS[number % LOG_LEVELS.len()]).await;
        if again.problems.is_empty() {
            repeated.push(format!("{}: {}", cells[*number].name(), run.problems.join("; ")));
            let leaks = std::mem::take(&mut run.leaks);
            *run = again;
            run.leaks.extend(leaks);
        }
    }
    let runs = cells.into_iter().zip(runs.into_values()).collect();
    let mut matrix = Matrix { runs, gaps, reasons, repeated, seconds: begun.elapsed().as_secs_f64() };
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
        let is_calm = self.repeated.len() <= may_be_repeated(self.runs.len());
        !self.runs.is_empty() && self.gaps.is_empty() && is_calm && self.failed().next().is_none()
    }

    fn report(&self) -> String {
        let mut text = String::new();
        for (cell, run) in self.failed() {
            text += &format!("WRONG {}\n", cell.name());
            text.extend(run.problems.iter().map(|problem| format!("      {problem}\n")));
            text.extend(run.leaks.iter().map(|leak| format!("      leaks: {leak}\n")));
        }
        text.extend(self.gaps.iter().map(|gap| format!("WRONG {gap}\n")));
        text.extend(self.repeated.iter().map(|cell| format!("held by itself only: {cell}\n")));
        for (fault, count) in by_fault(self.runs.iter().map(|(cell, _)| cell)) {
            text += &format!("{fault} {count:4} cells\n");
        }
        text.extend(self.reasons.iter().map(|(fault, why)| format!("{fault} none: {why}\n")));
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
        let sum = |of: fn(&Run) -> usize| self.runs.iter().map(|(_, run)| of(run)).sum::<usize>();
        let names: Vec<String> = self.failed().map(|(cell, _)| cell.name()).collect();
        let mut figures = json!({
            "gate": "G12", "holds": self.holds(), "cells": self.runs.len(), "failed": names.len(), "leaks": self.leaks(),
            "slowest_ms": self.slowest_ms(), "calls": sum(|run| run.calls), "log_lines": sum(|run| run.lines),
            "repeated": self.repeated.len(), "repeated_cells": self.repeated.join("; "), "seconds": self.seconds.round(), "gaps": self.gaps.join("; "),
            "no_cells": self.reasons.keys().cloned().collect::<Vec<_>>().join(" "), "failed_cells": names.join("; "),
        });
        for (group, faults) in GROUPS {
            let is_in = |cell: &Cell| faults.contains(&&cell.fault[1..]);
            figures[format!("cells_{group}")] = self.runs.iter().filter(|(cell, _)| is_in(cell)).count().into();
            figures[format!("failed_{group}")] = self.failed().filter(|(cell, _)| is_in(cell)).count().into();
        }
        figures
    }
}

/// The parts of the fault list, by the numbers of their first and last.
const GROUPS: [(&str, std::ops::RangeInclusive<&str>); 5] = [
    ("ses", "01"..="18"),
    ("calls", "19"..="33"),
    ("events", "34"..="49"),
    ("keys_and_table", "50"..="58"),
    ("settings_and_log", "59"..="62"),
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::cell::{Outcome, Step};
    use super::*;

    fn matrix(runs: Vec<(Cell, Run)>) -> Matrix {
        let mut matrix = Matrix { runs, gaps: vec![], reasons: BTreeMap::new(), repeated: vec![], seconds: 1.0 };
        matrix.compare_twins();
        matrix
    }

    fn twin(looks: Value) -> (Cell, Run) {
        let mut cell = Cell::new("F14", "a cell");
        cell.twins = Some("twins".to_owned());
        (cell, Run { looks: Some((Outcome::Challenge, looks)), ..Run::default() })
    }

    #[test]
    fn g12_every_fault_has_two_cells_or_a_reason_and_no_two_cells_have_one_name() {
        let cells = cells();
        assert_eq!(gaps(&by_fault(&cells), &reasons().unwrap()), Vec::<String>::new());
        assert!(cells.len() >= FEWEST_CELLS, "{}", cells.len());
        let names: std::collections::BTreeSet<String> = cells.iter().map(Cell::name).collect();
        assert_eq!(names.len(), cells.len());
        assert!(cells.iter().all(|cell| cell.steps.iter().any(|(_, outcome)| *outcome != Outcome::Nothing)));
    }

    #[test]
    fn g12_the_matrix_does_not_hold_when_a_cell_fails_leaks_or_looks_different() {
        assert!(matrix(vec![twin(json!({"a": 7})), twin(json!({"a": 7}))]).holds());
        assert!(!matrix(vec![twin(json!({"a": 7})), twin(json!({"a": 8}))]).holds());
        assert!(!matrix(vec![]).holds());
        let cell = || Cell::new("F14", "a cell").then(Step::Begin, Outcome::Challenge);
        let problem = Run { problems: vec!["2 mails".to_owned()], ..Run::default() };
        let leak = Run { leaks: vec!["a code".to_owned()], slowest: Duration::from_millis(7), ..Run::default() };
        for run in [problem, leak] {
            let matrix = matrix(vec![(cell(), run)]);
            assert!(!matrix.holds());
            assert_eq!(matrix.json()["failed_ses"], 1);
        }
        let mut busy = matrix(vec![(cell(), Run::default())]);
        busy.repeated.extend(["a cell", "another"].map(str::to_owned));
        assert!(!busy.holds());
        let mut missing = matrix(vec![(cell(), Run::default())]);
        missing.gaps.push("F14 has 1 cells".to_owned());
        assert!(!missing.holds());
    }
}
