//! `evidence scoreboard`: runs the gates of `evidence/gates.toml`, keeps what they say in `evidence/results.json`, and writes
//! `docs/evidence.md` of it. Nobody writes figures there: a test compares the page with the results.
//!
//! A gate is a command that succeeds if and only if what it is about holds. Its figures are the lines of JSON that it prints with its id
//! (`{"gate":"G9", …}`), and how many tests it ran. One that does not say each figure of its line on the page has not shown anything.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Args;
use local_pool::build::variables_of_this_package;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::git::git;

/// What the command takes.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The gates to run, by id; none for all
    gates: Vec<String>,
    /// Run the short forms, of the gates that have one, and keep nothing
    #[arg(long, conflicts_with_all = ["seeded", "render"])]
    short: bool,
    /// Instead put the seeded bugs of each gate into a copy of what is committed, one at a time, and see whether the gate notices
    #[arg(long, conflicts_with = "render")]
    seeded: bool,
    /// Run nothing; write the page from what is kept
    #[arg(long, conflicts_with = "gates")]
    render: bool,
}

/// `evidence/gates.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gates {
    gate: Vec<Gate>,
}

/// What is to hold, and how to see whether it does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gate {
    id: String,
    /// What it is about.
    what: String,
    /// What has to come out.
    goal: String,
    /// What the threat model asks for, where that is more.
    asked: Option<String>,
    /// What came out, with `{figures}` in braces.
    says: String,
    /// Run by bash, from the workspace's root.
    command: String,
    /// The same in seconds, for `.ci/run`. Gates that are ordinary tests, or checks of `.ci/run` by themselves, have none.
    short: Option<String>,
    /// What the command itself does to show that it would notice, with figures.
    control: Option<String>,
    /// How many tests it has at least, where it is tests: a filter that finds none of them shows nothing.
    least_tests: Option<u64>,
    /// Bugs that the gate has to notice, by the names of their patches in `evidence/seeded`.
    #[serde(default)]
    seeded: Vec<String>,
    /// The command that notices them, if it is neither the short form nor the command.
    noticed_by: Option<String>,
}

/// What is kept of a gate, in `evidence/results.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    command: String,
    /// What was committed when it ran.
    commit: String,
    seconds: u64,
    figures: Map<String, Value>,
    /// The bugs that it noticed, and what was committed when they were put in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    noticed: BTreeMap<String, String>,
}

type Results = BTreeMap<String, Kept>;

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> io::Result<ExitCode> {
    let workspace = Workspace::here();
    let gates = workspace.gates()?;
    if let Some(unheard) = arguments.gates.iter().find(|id| gates.iter().all(|gate| gate.id != **id)) {
        return Err(io::Error::other(format!("{unheard} is no gate of evidence/gates.toml")));
    }
    let chosen = gates.iter().filter(|gate| arguments.gates.is_empty() || arguments.gates.contains(&gate.id));
    if arguments.short {
        workspace.apply_all()?;
    } else if !arguments.render && !arguments.seeded {
        // What is kept says of which commit it is; bugs are put into a copy of that.
        workspace.is_committed()?;
    }
    let mut failed = Vec::new();
    for gate in chosen.filter(|_| !arguments.render) {
        let command = if arguments.short { gate.short.as_ref() } else { Some(&gate.command) };
        let succeeded = match command {
            _ if arguments.seeded => workspace.seed(gate, out)?,
            None => continue,
            Some(command) => {
                writeln!(out, "== {} {}: {command}", gate.id, gate.what)?;
                let ran = match arguments.short {
                    true => workspace.run_bare(gate, command, &workspace.root)?,
                    false => workspace.run(gate, command, &workspace.root)?,
                };
                let words = if ran.holds { gate.says(&ran.figures) } else { ran.last_words() };
                writeln!(out, "{words} in {} s", ran.seconds)?;
                let holds = ran.holds;
                if !arguments.short {
                    workspace.keep(gate, ran)?;
                }
                holds
            }
        };
        if !succeeded {
            failed.push(gate.id.as_str());
        }
    }
    if !arguments.short {
        fs::write(workspace.root.join(PAGE), page(&gates, &workspace.results()?))?;
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "FAILED: {}", failed.join(", "))?;
    Ok(ExitCode::FAILURE)
}

const PAGE: &str = "docs/evidence.md";
const RESULTS: &str = "evidence/results.json";

impl Gate {
    /// What came out, in words. A figure that is not there stands there by its name.
    fn says(&self, figures: &Map<String, Value>) -> String {
        filled(&self.says, figures)
    }

    /// Whether a command means this gate: by its id, or where one command serves for two (`G15-million`) by what stands before the dash.
    fn is_called(&self, name: Option<&Value>) -> bool {
        let name = name.and_then(Value::as_str);
        name == Some(&self.id) || name.is_some() && name == self.id.split('-').next()
    }

    /// Whether each figure is there that the page shows.
    fn says_all(&self, figures: &Map<String, Value>) -> bool {
        let control = self.control.as_deref().unwrap_or_default();
        [&self.says, control].iter().all(|text| !filled(text, figures).contains('{'))
    }
}

/// A text with the figures in the place of their names in braces.
fn filled(text: &str, figures: &Map<String, Value>) -> String {
    let mut pieces = text.split('{');
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('}') {
            Some((name, rest)) => {
                let mut names = name.split('.');
                let first = names.next().and_then(|name| figures.get(name));
                let figure = names.fold(first, |value, name| value.and_then(|value| value.get(name)));
                filled += &figure.map_or_else(|| format!("{{{name}}}"), shown);
                filled += rest;
            }
            None => filled += piece,
        }
    }
    filled
}

/// Of a list how long it is: what stands in it is for who runs the gate.
fn counted(figure: Value) -> Value {
    match figure {
        Value::Array(list) => json!(list.len()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => figure,
    }
}

/// A figure as people read it: thousands apart.
fn shown(figure: &Value) -> String {
    match figure {
        Value::Number(number) if number.is_u64() => {
            let digits = number.to_string();
            let mut text = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place).is_multiple_of(3) {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => figure.to_string(),
    }
}

/// A gate that was run.
struct Ran {
    holds: bool,
    /// Whether it came far enough to say so.
    judged: bool,
    figures: Map<String, Value>,
    seconds: u64,
    log: PathBuf,
}

impl Ran {
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("{}\nFAILED (all of it: {})", lines[lines.len().saturating_sub(40)..].join("\n"), self.log.display())
    }
}

/// The workspace, where gates are run and what they say is kept.
struct Workspace {
    root: PathBuf,
}

impl Workspace {
    fn here() -> Workspace {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        Workspace { root: folder.parent().unwrap_or(folder).to_owned() }
    }

    fn gates(&self) -> io::Result<Vec<Gate>> {
        let text = fs::read_to_string(self.root.join("evidence/gates.toml"))?;
        let gates: Gates = toml::from_str(&text).map_err(io::Error::other)?;
        Ok(gates.gate)
    }

    fn results(&self) -> io::Result<Results> {
        match fs::read_to_string(self.root.join(RESULTS)) {
            Ok(text) => serde_json::from_str(&text).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Results::new()),
            Err(error) => Err(error),
        }
    }

    fn write(&self, results: &Results) -> io::Result<()> {
        fs::write(self.root.join(RESULTS), serde_json::to_string_pretty(results)? + "\n")
    }

    /// Runs a command of a gate in a folder, and reads what it prints.
    fn run(&self, gate: &Gate, command: &str, folder: &Path) -> io::Result<Ran> {
        let logs = self.root.join("target/evidence");
        fs::create_dir_all(&logs)?;
        let log = logs.join(format!("{}.log", gate.id));
        let mut written = File::create(&log)?;
        let begun = Instant::now();
        let mut bash = Command::new("bash");
        for name in variables_of_this_package() {
            bash.env_remove(name);
        }
        let mut child = bash
            .args(["-euo", "pipefail", "-c", command])
            .current_dir(folder)
            .env("CARGO_TERM_COLOR", "never")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(written.try_clone()?)
            .spawn()?;
        let mut figures = Map::new();
        let (mut tests, mut judged) = (0, false);
        for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufReader::lines) {
            let line = line?;
            writeln!(written, "{line}")?;
            // A test's name may stand before it.
            let said =
                line.find("{\"").and_then(|start| serde_json::from_str::<Map<String, Value>>(&line[start..]).ok());
            if let Some(said) = said.filter(|said| gate.is_called(said.get("gate"))) {
                figures.extend(said.into_iter().map(|(name, figure)| (name, counted(figure))));
                judged = true;
            }
            if let Some(result) = line.strip_prefix("test result: ") {
                let passed =
                    result.split("; ").next().and_then(|passed| passed.strip_prefix("ok. ")?.strip_suffix(" passed"));
                // A program of tests that has none of those asked for says nothing.
                let passed = passed.and_then(|passed| passed.parse::<u64>().ok());
                tests += passed.unwrap_or_default();
                judged |= passed != Some(0);
            }
        }
        let succeeded = child.wait()?.success();
        let mut holds = succeeded && judged && figures.get("holds").is_none_or(|holds| *holds == json!(true));
        if tests > 0 {
            figures.insert("tests".to_owned(), json!(tests));
        }
        holds &= gate.says_all(&figures) && gate.least_tests.is_none_or(|least| tests >= least);
        for known in ["gate", "holds"] {
            figures.remove(known);
        }
        Ok(Ran { holds, judged, figures, seconds: begun.elapsed().as_secs(), log })
    }

    /// Keeps what a gate said, or forgets what it said before, if it does not hold any more.
    fn keep(&self, gate: &Gate, ran: Ran) -> io::Result<()> {
        let mut results = self.results()?;
        let noticed = results.remove(&gate.id).map(|kept| kept.noticed).unwrap_or_default();
        let Ran { holds, figures, seconds, .. } = ran;
        if holds {
            let kept = Kept { command: gate.command.clone(), commit: self.commit()?, seconds, figures, noticed };
            results.insert(gate.id.clone(), kept);
        }
        self.write(&results)
    }

    /// What is committed, and its day.
    fn commit(&self) -> io::Result<String> {
        git(&self.root, &["log", "-1", "--format=%h of %cs"])
    }

    /// # Errors
    ///
    /// Something is here that is not committed, besides what this writes.
    fn is_committed(&self) -> io::Result<()> {
        let written = [PAGE, RESULTS].map(|file| format!(":!{file}"));
        let others = git(&self.root, &["status", "--porcelain", "--", ".", &written[0], &written[1]])?;
        match others.is_empty() {
            true => Ok(()),
            false => Err(io::Error::other(format!("commit this first, or nobody can run what is kept:\n{others}"))),
        }
    }

    /// Sees whether each bug can still be put in.
    fn apply_all(&self) -> io::Result<()> {
        for bug in self.gates()?.iter().flat_map(|gate| &gate.seeded) {
            git(&self.root, &["apply", "--check", &self.patch(bug).to_string_lossy()])?;
        }
        Ok(())
    }

    fn patch(&self, bug: &str) -> PathBuf {
        self.root.join(format!("evidence/seeded/{bug}.patch"))
    }

    /// Puts the bugs of a gate into a copy, one at a time. Whether all were noticed, by a command that holds where there is none.
    fn seed(&self, gate: &Gate, out: &mut impl Write) -> io::Result<bool> {
        let command = gate.noticed_by.as_ref().or(gate.short.as_ref()).unwrap_or(&gate.command);
        let (mut noticed, mut all) = (BTreeMap::new(), true);
        for bug in [None].into_iter().chain(gate.seeded.iter().map(Some)).filter(|_| !gate.seeded.is_empty()) {
            let copy = self.copy()?;
            if let Some(bug) = bug {
                git(&copy, &["apply", &self.patch(bug).to_string_lossy()])?;
            }
            writeln!(out, "== {} with {}: {command}", gate.id, bug.map_or("no bug", String::as_str))?;
            let ran = self.run_bare(gate, command, &copy)?;
            let word = if ran.holds { "holds" } else { "does not hold" };
            let is_right = ran.judged && ran.holds == bug.is_none();
            writeln!(out, "{word}, in {} s", ran.seconds)?;
            if !is_right {
                writeln!(out, "{}", ran.last_words())?;
            }
            all &= is_right;
            match bug {
                Some(bug) if is_right => drop(noticed.insert(bug.clone(), self.commit()?)),
                None if !is_right => break,
                Some(_) | None => {}
            }
        }
        let mut results = self.results()?;
        if let Some(kept) = results.get_mut(&gate.id) {
            kept.noticed = noticed;
            self.write(&results)?;
        } else if all && !gate.seeded.is_empty() {
            writeln!(out, "not kept: {} has no figures yet, which come first", gate.id)?;
        }
        Ok(all)
    }

    /// Runs a command that is shorter than that of the page, or about less: its figures need not be those of the page.
    fn run_bare(&self, gate: &Gate, command: &str, folder: &Path) -> io::Result<Ran> {
        let bare = Gate { says: String::new(), control: None, least_tests: None, ..gate.clone() };
        self.run(&bare, command, folder)
    }

    /// What is committed, in a folder that keeps what was built there, with the tools that checks have installed here.
    fn copy(&self) -> io::Result<PathBuf> {
        let copy = self.root.join("target/evidence/copy");
        if !copy.exists() {
            git(&self.root, &["clone", "--quiet", "--shared", ".", &copy.to_string_lossy()])?;
        }
        let commit = git(&self.root, &["rev-parse", "HEAD"])?;
        for tools in ["target/ci/cargo", "target/ci/venv"] {
            let (installed, there) = (self.root.join(tools), copy.join(tools));
            for folder in [Some(&*installed), there.parent()].into_iter().flatten() {
                fs::create_dir_all(folder)?;
            }
            let linked = Command::new("ln").arg("-sfn").args([&installed, &there]).status()?;
            if !linked.success() {
                return Err(io::Error::other(format!("cannot link {} to {}", there.display(), installed.display())));
            }
        }
        git(&copy, &["fetch", "--quiet", "origin"])?;
        git(&copy, &["checkout", "--quiet", "--force", "--detach", &commit])?;
        Ok(copy)
    }
}

/// The page of all gates.
fn page(gates: &[Gate], results: &Results) -> String {
    let mut page = HEAD.to_owned();
    for gate in gates {
        let kept = results.get(&gate.id).filter(|kept| kept.command == gate.command);
        let (says, control, when) = match kept {
            Some(kept) => {
                let noticed = gate.seeded.iter().filter(|bug| kept.noticed.contains_key(*bug)).count();
                let patches = (!gate.seeded.is_empty()).then(|| match noticed {
                    0 => format!("{} not tried", gate.seeded.len()),
                    some => format!("{some} of {} patches", gate.seeded.len()),
                });
                let control = gate.control.as_ref().map(|control| filled(control, &kept.figures));
                let controls: Vec<String> = control.into_iter().chain(patches).collect();
                (
                    gate.says(&kept.figures),
                    controls.join("; "),
                    format!(" at {}, {} s", kept.commit, shown(&json!(kept.seconds))),
                )
            }
            None => ("no result yet".to_owned(), String::new(), String::new()),
        };
        let Gate { id, what, goal, command, .. } = gate;
        let asked =
            gate.asked.as_ref().map_or_else(String::new, |asked| format!(" (the threat model asks for {asked})"));
        page += &format!("| **{id}** {what}: {goal}{asked} | {says} | {control} | `{command}`{when} |\n");
    }
    page
}

const HEAD: &str = "\
# Evidence

What this project holds, each line with the command that shows it again. `cargo run --bin evidence -- scoreboard` writes this page: it runs all of them
(hours; with ids behind it only those), with `--seeded` it puts bugs in and sees whether they are noticed, and with `--short`, with which `.ci/run` ends, it
runs what is no test and can be had in minutes. The figures are what the commands said; `evidence/results.json` has all of them, `evidence/gates.toml` what
is asked. A row is of the commit that it names, and what has changed since is in the history.

Cognito, Lambda, SES and DynamoDB are this project's own stand-ins here; nothing was run on AWS. Of the threat model's gates two are not here: G22,
because the stand-in was not held against a pool of Cognito's (its own tests are `cargo test -p local-pool`), and G24, whose budgets of time are no
gate: what was measured of them is in [performance.md](performance.md), and an event of 6 MB and the slowest call of a thousand are not.

| what has to hold | what came out | bugs that were noticed | again with |
|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(says: &str) -> Gate {
        toml::from_str(&format!("id = 'G0'\nwhat = 'w'\ngoal = 'g'\nsays = '{says}'\ncommand = 'true'\n")).unwrap()
    }

    #[test]
    fn the_page_is_what_the_gates_said() {
        let workspace = Workspace::here();
        let page = page(&workspace.gates().unwrap(), &workspace.results().unwrap());
        let written = fs::read_to_string(workspace.root.join(PAGE)).unwrap();
        assert!(written == page, "write it: cargo run --bin evidence -- scoreboard --render");
        assert!(!page.contains('{'), "a figure that its gate did not say");
    }

    #[test]
    fn every_seeded_bug_belongs_to_a_gate_and_every_gate_has_one() {
        let workspace = Workspace::here();
        let gates = workspace.gates().unwrap();
        let mut named: Vec<String> = gates.iter().flat_map(|gate| &gate.seeded).cloned().collect();
        named.sort();
        named.dedup();
        let mut there: Vec<String> = fs::read_dir(workspace.root.join("evidence/seeded"))
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str().unwrap().strip_suffix(".patch").map(str::to_owned))
            .collect();
        there.sort();
        assert_eq!(named, there);
        for gate in gates {
            assert!(gate.control.is_some() || !gate.seeded.is_empty(), "{} has no bug to notice", gate.id);
        }
    }

    #[test]
    fn figures_stand_where_their_names_were() {
        let Value::Object(figures) = json!({"n": 1234567, "t": 2.5, "list": 2, "of": {"each": "x"}}) else { panic!() };
        let says = |text| gate(text).says(&figures);
        assert_eq!(says("{n} states, t = {t}, {list} bugs, {of.each}"), "1,234,567 states, t = 2.5, 2 bugs, x");
        assert_eq!(says("{missing} and {of.none}"), "{missing} and {of.none}");
    }

    #[test]
    fn a_gate_that_fails_or_says_nothing_does_not_hold() {
        let workspace = Workspace::here();
        let holds = |command: &str| {
            let gate = Gate { id: format!("test-{}", command.len()), ..gate("") };
            workspace.run(&gate, &command.replace("ID", &gate.id), &workspace.root).unwrap()
        };
        let ran = holds(
            "echo 'test a ... {\"gate\":\"ID\",\"holds\":true,\"n\":3,\"list\":[0,0]}'; echo 'test result: ok. 2 passed; 0 failed'",
        );
        assert!(ran.holds && ran.judged);
        assert_eq!(Value::Object(ran.figures), json!({"n": 3, "list": 2, "tests": 2}));
        for (command, judged) in [
            ("echo nothing", false),
            ("exit 1", false),
            ("echo '{\"gate\":\"ID\",\"holds\":false}'", true),
            ("echo '{\"gate\":\"ID\",\"holds\":true}'; exit 1", true),
            ("echo 'test result: FAILED. 1 passed; 1 failed'; exit 101", true),
            ("echo '{\"gate\":\"another\",\"holds\":true}'", false),
            ("echo 'test result: ok. 0 passed; 0 failed'", false),
        ] {
            let ran = holds(command);
            assert!(!ran.holds, "{command}");
            assert_eq!(ran.judged, judged, "{command}");
        }
    }
}
