//! What was measured, as tables in Markdown and as JSON.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde::Serialize;

use crate::measure::{Instructions, Lives};
use crate::services::Calls;
use crate::subjects::{Build, FLOOR, NO_OP, Subject};

/// Everything.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) lives: usize,
    pub(crate) warm: usize,
    pub(crate) round_trip_ms: u64,
    pub(crate) is_init_throttled: bool,
    pub(crate) programs: Vec<Row>,
}

/// What the numbers are worth elsewhere depends on where they were taken.
#[derive(Serialize)]
pub(crate) struct Machine {
    cpus: usize,
    model: String,
    kernel: String,
}

/// What was measured of one program. Times are in milliseconds.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) build: Build,
    is_function: bool,
    /// The same program without a limits table, if this is one with it.
    without_table: Option<String>,
    /// `None`: no lives, or no no-op beside it.
    times_no_op: Option<f64>,
    init: Option<Spread>,
    /// Start to first response.
    cold: Option<Spread>,
    first_call: Option<Spread>,
    at_memory: Vec<AtMemory>,
    warm_p50: Option<Spread>,
    warm_p99: Option<Spread>,
    cpu_cold: Option<Spread>,
    cpu_warm: Option<Spread>,
    /// For the CPU, until the first response: how much of `cold` is other processes' doing.
    waited_cold: Option<Spread>,
    pub(crate) instructions: Option<Instructions>,
    peak_memory_kib: Option<Spread>,
    threads: Option<Spread>,
    octets: usize,
    zipped_octets: usize,
    events: u64,
    mails: Calls,
    table_writes: Calls,
}

/// With the share of the CPU that Lambda gives with so much memory.
#[derive(Serialize)]
struct AtMemory {
    megabytes: u64,
    cold: Option<Spread>,
    first_call: Option<Spread>,
}

/// A quantity in all lives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// `None` of nothing.
    fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Some(Spread { median: median(&values)?, min: *values.first()?, max: *values.last()? })
    }
}

/// Of values in order.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(*sorted.get(sorted.len() / 2 - 1)?, upper)) }
}

/// The least value that at least so many of a hundred do not exceed.
fn percentile(percent: usize, values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get((values.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            model: model.map_or("unknown processor", |(_, model)| model).to_owned(),
            // Its version; who built it is nobody's concern.
            kernel: kernel.split(['-', '\n']).next().unwrap_or_default().to_owned(),
        }
    }
}

/// Puts together what was measured of all programs.
pub(crate) fn rows(
    subjects: &[Subject],
    lives: &[Lives],
    instructions: &[Option<Instructions>],
    memories: &[u64],
) -> Vec<Row> {
    let mut rows: Vec<Row> = subjects
        .iter()
        .zip(lives)
        .zip(instructions)
        .map(|((subject, lives), instructions)| row(subject, lives, *instructions, memories))
        .collect();
    let no_op = rows.iter().find(|row| row.name == NO_OP).and_then(|row| row.cold);
    for row in &mut rows {
        row.times_no_op = row.cold.zip(no_op).map(|(cold, no_op)| cold.median / no_op.median);
    }
    rows
}

fn row(subject: &Subject, lives: &Lives, instructions: Option<Instructions>, memories: &[u64]) -> Row {
    let whole = &lives.whole;
    let warm = |percent| {
        Spread::of(whole.iter().filter_map(|life| percentile(percent, life.warm.iter().copied().map(milliseconds))))
    };
    let at_memory = memories.iter().zip(&lives.shared).map(|(megabytes, lives)| AtMemory {
        megabytes: *megabytes,
        cold: Spread::of(lives.iter().map(|(init, first_call)| milliseconds(*init + *first_call))),
        first_call: Spread::of(lives.iter().map(|(_, first_call)| milliseconds(*first_call))),
    });
    let name = subject.name();
    Row {
        build: subject.build,
        is_function: subject.definition.is_function(),
        without_table: subject.definition.has_table.then(|| name.replace(" with table", "")),
        name,
        times_no_op: None,
        init: Spread::of(whole.iter().map(|life| milliseconds(life.init))),
        cold: Spread::of(whole.iter().map(|life| milliseconds(life.init + life.first_call))),
        first_call: Spread::of(whole.iter().map(|life| milliseconds(life.first_call))),
        at_memory: at_memory.collect(),
        warm_p50: warm(50),
        warm_p99: warm(99),
        cpu_cold: Spread::of(whole.iter().map(|life| milliseconds(life.cold_usage.cpu))),
        cpu_warm: Spread::of(
            whole
                .iter()
                .filter(|life| !life.warm.is_empty())
                .map(|life| milliseconds(life.usage.cpu.saturating_sub(life.cold_usage.cpu)) / life.warm.len() as f64),
        ),
        waited_cold: Spread::of(whole.iter().map(|life| milliseconds(life.cold_usage.waited))),
        instructions,
        peak_memory_kib: Spread::of(whole.iter().map(|life| life.usage.peak_memory_kib as f64)),
        threads: Spread::of(whole.iter().map(|life| life.cold_usage.threads as f64)),
        octets: subject.octets,
        zipped_octets: subject.zipped_octets,
        events: lives.events,
        mails: lives.mails,
        table_writes: lives.writes,
    }
}

/// A column of numbers.
struct Column {
    heading: String,
    value: Value,
    format: fn(f64) -> String,
}

type Value = Box<dyn Fn(&Row) -> Option<f64>>;

fn column(
    heading: impl Into<String>,
    format: fn(f64) -> String,
    value: impl Fn(&Row) -> Option<f64> + 'static,
) -> Column {
    Column { heading: heading.into(), value: Box::new(value), format }
}

impl Report {
    /// Two tables: medians, and how far apart the lives were.
    pub(crate) fn markdown(&self) -> String {
        let Machine { cpus, model, kernel } = &self.machine;
        let mut text = format!("{model}, {cpus} CPUs, Linux {kernel}. ");
        if self.lives == 0 {
            text.push_str("Counts, no times.\n\n");
        } else {
            let (lives, warm, round_trip) = (self.lives, self.warm, self.round_trip_ms);
            let init = if self.is_init_throttled {
                "init with the share, too"
            } else {
                "init with the whole CPU, as in Lambda"
            };
            let _ = writeln!(
                text,
                "Medians of {lives} lives with {warm} warm calls each; round trips to services of {round_trip} ms beside the \
                 machine's own; at a memory, the CPU share that Lambda gives there ({init}).\n"
            );
        }
        text.push_str(&self.medians());
        if self.lives > 0 {
            text.push_str("\nLeast and most of all lives; what a program used of the CPU; whom it called:\n\n");
            text.push_str(&self.spreads());
        }
        text
    }

    fn memories(&self) -> Vec<u64> {
        self.programs.first().into_iter().flat_map(|row| &row.at_memory).map(|at| at.megabytes).collect()
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns = vec![
            column("init ms", short, |row| Some(row.init?.median)),
            column("cold ms", short, |row| Some(row.cold?.median)),
            column("× no-op", short, |row| row.times_no_op),
        ];
        for (index, megabytes) in self.memories().into_iter().enumerate() {
            let cold = move |row: &Row| Some(row.at_memory[index].cold?.median);
            let first_call = move |row: &Row| Some(row.at_memory[index].first_call?.median);
            columns.push(column(format!("cold ms at {megabytes} MB"), short, cold));
            columns.push(column(format!("first call ms at {megabytes} MB"), short, first_call));
        }
        columns.extend([
            column("warm ms p50", short, |row| Some(row.warm_p50?.median)),
            column("p99", short, |row| Some(row.warm_p99?.median)),
            column("instructions cold", thousands, |row| Some(row.instructions?.cold as f64)),
            column("warm", thousands, |row| Some(row.instructions?.warm as f64)),
            column("memory MiB", short, |row| Some(row.peak_memory_kib?.median / 1024.0)),
            column("binary KiB", whole, |row| Some(row.octets as f64 / 1024.0)),
            column("zip KiB", whole, |row| Some(row.zipped_octets as f64 / 1024.0)),
        ]);
        // Those that were not measured say nothing.
        columns.retain(|column| self.programs.iter().any(|row| (column.value)(row).is_some()));
        columns
    }

    fn medians(&self) -> String {
        let columns = self.columns();
        let mut lines = vec![vec!["program".to_owned()]];
        lines[0].extend(columns.iter().map(|column| column.heading.clone()));
        for row in &self.programs {
            let mut line = vec![row.name.clone()];
            line.extend(columns.iter().map(|column| (column.value)(row).map_or("–".to_owned(), column.format)));
            lines.push(line);
            let without = row.without_table.as_ref();
            if let Some(without) = self.programs.iter().find(|other| Some(&other.name) == without) {
                let added = |column: &Column| Some((column.value)(row)? - (column.value)(without)?);
                let signed = |column: &Column, added: f64| {
                    let sign = if added < 0.0 { "−" } else { "+" };
                    format!("{sign}{}", (column.format)(added.abs()))
                };
                let mut line = vec!["· added by the table".to_owned()];
                line.extend(
                    columns.iter().map(|column| added(column).map_or("–".to_owned(), |added| signed(column, added))),
                );
                lines.push(line);
            }
        }
        table(&lines)
    }

    fn spreads(&self) -> String {
        let range = |spread: Option<Spread>| {
            spread.map_or("–".to_owned(), |spread| format!("{} to {}", short(spread.min), short(spread.max)))
        };
        let median = |spread: Option<Spread>| spread.map_or("–".to_owned(), |spread| short(spread.median));
        let calls = |calls: Calls| match calls.requests {
            0 => "–".to_owned(),
            requests => format!("{requests} on {}", calls.connections),
        };
        let mut headings: Vec<String> = ["program", "init ms", "cold ms"].map(str::to_owned).into();
        headings.extend(self.memories().iter().map(|megabytes| format!("first call ms at {megabytes} MB")));
        let others = [
            "warm ms p50",
            "p99",
            "CPU ms cold",
            "warm",
            "waited for it cold",
            "threads",
            "mails on connections",
            "writes on connections",
        ];
        headings.extend(others.map(str::to_owned));
        let mut lines = vec![headings];
        for row in &self.programs {
            let mut line = vec![row.name.clone(), range(row.init), range(row.cold)];
            line.extend(row.at_memory.iter().map(|at| range(at.first_call)));
            line.extend([
                range(row.warm_p50),
                range(row.warm_p99),
                median(row.cpu_cold),
                median(row.cpu_warm),
                median(row.waited_cold),
            ]);
            line.push(row.threads.map_or("–".to_owned(), |threads| whole(threads.median)));
            line.extend([calls(row.mails), calls(row.table_writes)]);
            lines.push(line);
        }
        table(&lines)
    }
}

impl Row {
    /// Whether bounds are set for it; those beside the functions are as they are.
    pub(crate) fn is_bounded(&self) -> bool {
        self.is_function && self.name != FLOOR
    }
}

/// Three digits or so.
fn short(value: f64) -> String {
    match value {
        _ if value < 9.995 => format!("{value:.2}"),
        _ if value < 99.95 => format!("{value:.1}"),
        _ => whole(value),
    }
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

/// Instructions, in thousands or millions.
fn thousands(value: f64) -> String {
    match value / 1e3 {
        thousands if thousands < 9.95 => format!("{thousands:.1} k"),
        thousands if thousands < 999.5 => format!("{thousands:.0} k"),
        thousands => format!("{:.2} M", thousands / 1e3),
    }
}

/// A table in Markdown, with columns that stand below each other in plain text, too. The first line is its head.
fn table(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // The name first, numbers behind it.
            let _ = if column == 0 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
        }
        text.push_str("|\n");
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let _ = if column == 0 {
                    write!(text, "|{:-<1$}", "", width + 2)
                } else {
                    write!(text, "|{:-<1$}:", "", width + 1)
                };
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle_or_between_the_two_that_are() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of([7.0]), Some(Spread { median: 7.0, min: 7.0, max: 7.0 }));
    }

    #[test]
    fn nothing_has_neither_median_nor_percentile() {
        assert_eq!((Spread::of([]), percentile(99, [])), (None, None));
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred = || (1..=100).rev().map(f64::from);
        assert_eq!([50, 99, 100].map(|percent| percentile(percent, hundred())), [Some(50.0), Some(99.0), Some(100.0)]);
        assert_eq!([50, 99].map(|percent| percentile(percent, [5.0])), [Some(5.0), Some(5.0)]);
        assert_eq!(percentile(99, (1..=10).map(f64::from)), Some(10.0));
    }

    #[test]
    fn numbers_have_three_digits_or_so() {
        assert_eq!([0.123, 9.994, 9.996, 99.94, 99.96].map(short), ["0.12", "9.99", "10.0", "99.9", "100"]);
        assert_eq!([1_234.0, 43_210.0, 999_600.0, 4_500_000.0].map(thousands), ["1.2 k", "43 k", "1.00 M", "4.50 M"]);
    }

    #[test]
    fn a_table_is_markdown_whose_columns_stand_below_each_other() {
        let lines = [["program", "× no-op"], ["floor", "0.63"], ["define-auth", "1"]];
        let lines: Vec<Vec<String>> =
            lines.iter().map(|line| line.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        let expected = "\
| program     | × no-op |
|-------------|--------:|
| floor       |    0.63 |
| define-auth |       1 |
";
        assert_eq!(table(&lines), expected);
    }
}
