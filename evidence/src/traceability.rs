//! `evidence traceability`: gate G7. For each threat, requirement and fault of the threat model that this project is held against: the
//! tests that carry its id in their names, the place in a script that shows it, or why neither does.
//!
//! What tests there are is read from the sources, and so is whose they are: a name begins with ids (`r05_t24_the_end_of_…`, or
//! `f02_to_f07_…` for all from one to another). `evidence/traceability.toml` has what no name can say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

/// What the command takes.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Requirement,
    Threat,
    Fault,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Requirement, Kind::Threat, Kind::Fault];

    fn letter(self) -> char {
        match self {
            Kind::Requirement => 'R',
            Kind::Threat => 'T',
            Kind::Fault => 'F',
        }
    }

    /// How many there are.
    fn last(self) -> u8 {
        match self {
            Kind::Requirement => 65,
            Kind::Threat => 52,
            Kind::Fault => 62,
        }
    }
}

/// A row of the threat model, whether or not there is one of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    kind: Kind,
    number: u8,
}

impl Id {
    fn all() -> impl Iterator<Item = Id> {
        Kind::ALL.into_iter().flat_map(|kind| (1..=kind.last()).map(move |number| Id { kind, number }))
    }

    fn exists(self) -> bool {
        (1..=self.kind.last()).contains(&self.number)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:02}", self.kind.letter(), self.number)
    }
}

impl FromStr for Id {
    type Err = ();

    /// In either case: `R05` in the file, `r05` in a name.
    fn from_str(text: &str) -> Result<Id, ()> {
        let kind = Kind::ALL.into_iter().find(|kind| text.to_ascii_uppercase().starts_with(kind.letter())).ok_or(())?;
        let digits = text.get(1..).filter(|digits| digits.len() == 2).ok_or(())?;
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(());
        }
        Ok(Id { kind, number: digits.parse().map_err(|_| ())? })
    }
}

/// Whose test it is by its name. Properties and gates (`p16_`, `g11_`) may stand among the ids.
fn ids_of(name: &str) -> Vec<Id> {
    let mut ids: Vec<Id> = Vec::new();
    let mut words = name.split('_').peekable();
    while let Some(word) = words.next() {
        if let Ok(id) = word.parse() {
            ids.push(id);
        } else if word == "to" {
            let (from, to) = (ids.last().copied(), words.next().and_then(|word| word.parse::<Id>().ok()));
            let (Some(from), Some(to)) = (from, to) else { break };
            ids.extend((from.number + 1..=to.number).map(|number| Id { number, ..to }));
        } else if !(word.starts_with(['g', 'p']) && word.len() > 1 && word.as_bytes()[1].is_ascii_digit()) {
            break;
        }
    }
    ids
}

/// A test, by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Test {
    file: String,
    name: String,
}

/// The tests in a source text that are run: not those that are ignored.
fn tests_in(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut is_test, mut is_ignored) = (false, false);
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            is_ignored |= line.starts_with("#[ignore");
        } else if let Some(rest) = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")) {
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next();
            found.extend(name.filter(|_| is_test && !is_ignored));
            (is_test, is_ignored) = (false, false);
        }
    }
    found
}

/// All tests of the workspace, but for folders that begin with a dot, and those that cargo builds into.
fn tests_below(folder: &Path, root: &Path, tests: &mut Vec<Test>) -> io::Result<()> {
    if folder.join("CACHEDIR.TAG").exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                tests_below(&path, root, tests)?;
            }
        } else if name.ends_with(".rs") {
            let source = fs::read_to_string(&path)?;
            let file = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            tests.extend(tests_in(&source).into_iter().map(|name| Test { file: file.clone(), name: name.to_owned() }));
        }
    }
    Ok(())
}

/// A text in a file that is no test of Rust's: a check of `.ci`, or what a document says where saying it is all that there is to do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    file: String,
    text: String,
}

/// `evidence/traceability.toml`, each table by id.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    titles: BTreeMap<String, String>,
    #[serde(default)]
    scripts: BTreeMap<String, Place>,
    /// What the threat model asks besides of what is shown.
    #[serde(default)]
    less: BTreeMap<String, String>,
    #[serde(default)]
    decided_otherwise: BTreeMap<String, String>,
    #[serde(default)]
    does_not_apply: BTreeMap<String, String>,
    #[serde(default)]
    open: BTreeMap<String, String>,
}

/// What is known of an id.
struct Row {
    id: Id,
    title: String,
    tests: Vec<Test>,
    script: Option<Place>,
    less: Option<String>,
    /// Why neither does, by the kind of the reason. There should be one at most.
    reasons: Vec<(&'static str, String)>,
}

impl Written {
    /// The kinds of reasons why nothing shows an id, and those.
    fn reasons(&self) -> [(&'static str, &BTreeMap<String, String>); 3] {
        [("decided otherwise", &self.decided_otherwise), ("does not apply", &self.does_not_apply), ("open", &self.open)]
    }
}

impl Row {
    fn status(&self) -> &'static str {
        if !self.tests.is_empty() {
            "test"
        } else if self.script.is_some() {
            "script"
        } else {
            self.reasons.first().map_or("missing", |(kind, _)| kind)
        }
    }

    /// What shows it, or why nothing does.
    fn why(&self) -> String {
        let tests = self.tests.iter().map(|test| test.name.clone());
        let script = self.script.iter().map(|place| place.file.clone());
        let reasons = self.reasons.iter().map(|(_, reason)| reason.clone());
        let less = self.less.iter().map(|less| format!("not: {less}"));
        tests.chain(script).chain(reasons).chain(less).collect::<Vec<_>>().join(", ")
    }

    fn json(&self) -> Value {
        let tests: Vec<Value> = self.tests.iter().map(|test| json!({"file": test.file, "name": test.name})).collect();
        let script = self.script.as_ref().map(|place| json!({"file": place.file, "text": place.text}));
        json!({
            "id": self.id.to_string(), "title": self.title, "status": self.status(), "tests": tests, "script": script,
            "reason": self.reasons.first().map(|(_, reason)| reason), "less": self.less,
        })
    }
}

/// Every id in turn, and what is wrong.
struct Trace {
    rows: Vec<Row>,
    complaints: Vec<String>,
}

/// Puts together what the names of the tests say and what is written down. `stands`: whether a file has a text.
fn trace(written: &Written, tests: &[Test], stands: impl Fn(&Place) -> bool) -> Trace {
    let mut complaints = Vec::new();
    let tables = [&written.titles, &written.less].into_iter().chain(written.reasons().map(|(_, table)| table));
    let ids = tables.flat_map(BTreeMap::keys).chain(written.scripts.keys());
    let unheard = ids.filter(|text| !text.parse::<Id>().is_ok_and(|id| id.exists() && id.to_string() == **text));
    complaints.extend(unheard.collect::<BTreeSet<_>>().into_iter().map(|text| format!("{text} is no id")));

    let mut tests_of = BTreeMap::<Id, Vec<Test>>::new();
    for test in tests {
        for id in ids_of(&test.name) {
            if !id.exists() {
                complaints.push(format!("{id}, of which {} is named, is no id", test.name));
            }
            tests_of.entry(id).or_default().push(test.clone());
        }
    }

    let mut rows = Vec::new();
    for id in Id::all() {
        let name = id.to_string();
        let mut tests = tests_of.remove(&id).unwrap_or_default();
        tests.sort();
        let row = Row {
            id,
            title: written.titles.get(&name).cloned().unwrap_or_default(),
            tests,
            script: written.scripts.get(&name).cloned(),
            less: written.less.get(&name).cloned(),
            reasons: written
                .reasons()
                .into_iter()
                .filter_map(|(kind, table)| Some((kind, table.get(&name)?.clone())))
                .collect(),
        };
        if row.title.is_empty() {
            complaints.push(format!("{id} has no title"));
        }
        if let Some(place) = row.script.as_ref().filter(|place| !stands(place)) {
            complaints.push(format!("{id}: {} does not say {:?}", place.file, place.text));
        }
        let is_shown = !row.tests.is_empty() || row.script.is_some();
        match (is_shown, row.reasons.len()) {
            (false, 0) => complaints.push(format!("{id} has neither a test nor a reason: {}", row.title)),
            (true, 1..) => complaints.push(format!("{id} is shown, and has a reason why not")),
            (false, 2..) => complaints.push(format!("{id} has two reasons")),
            (true, 0) | (false, 1) => {}
        }
        if row.less.is_some() && !is_shown {
            complaints.push(format!("{id} is not shown for less either"));
        }
        rows.push(row);
    }
    Trace { rows, complaints }
}

/// What is written down in `evidence/traceability.toml`.
fn written() -> io::Result<Written> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("traceability.toml");
    toml::from_str(&fs::read_to_string(file)?).map_err(io::Error::other)
}

/// Why nothing shows some ids, by id.
///
/// # Errors
///
/// When that cannot be read.
pub(crate) fn reasons() -> io::Result<BTreeMap<String, String>> {
    let written = written()?;
    Ok(written.reasons().into_iter().flat_map(|(_, table)| table.clone()).collect())
}

/// The trace of this workspace.
fn of_the_workspace() -> io::Result<Trace> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = folder.parent().unwrap_or(folder);
    let written = written()?;
    let mut tests = Vec::new();
    tests_below(root, root, &mut tests)?;
    // The text is in this list, too, which is not where it is meant.
    let stands = |place: &Place| {
        place.file != "evidence/traceability.toml"
            && !place.text.is_empty()
            && fs::read_to_string(root.join(&place.file)).is_ok_and(|text| text.contains(&place.text))
    };
    Ok(trace(&written, &tests, stands))
}

impl Trace {
    const STATUSES: [&str; 6] = ["test", "script", "decided otherwise", "does not apply", "open", "missing"];

    fn count(&self, status: &str) -> usize {
        self.rows.iter().filter(|row| row.status() == status).count()
    }

    /// How many are shown for less than is asked.
    fn less(&self) -> usize {
        self.rows.iter().filter(|row| row.less.is_some()).count()
    }

    fn report(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            text += &format!("{} {:17} {}: {}\n", row.id, row.status(), row.title, row.why());
        }
        let counts = Trace::STATUSES.map(|status| format!("{} {status}", self.count(status))).join(", ");
        text += &format!("\n{} ids: {counts}; {} are shown for less than is asked\n", self.rows.len(), self.less());
        text.extend(self.complaints.iter().map(|complaint| format!("WRONG {complaint}\n")));
        text
    }

    fn json(&self) -> Value {
        let counts: serde_json::Map<_, _> =
            Trace::STATUSES.iter().map(|status| ((*status).to_owned(), self.count(status).into())).collect();
        json!({
            "gate": "G7", "holds": self.complaints.is_empty(), "counts": counts, "less": self.less(), "complaints": self.complaints,
            "ids": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        })
    }
}

/// Prints the trace. It fails where something is wrong with it; an id that is open is none.
///
/// # Errors
///
/// When the sources cannot be read, or nothing can be written.
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> io::Result<ExitCode> {
    let trace = of_the_workspace()?;
    if arguments.json {
        writeln!(out, "{}", trace.json())?;
    } else {
        write!(out, "{}", trace.report())?;
    }
    Ok(if trace.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g7_r65_every_id_has_a_test_or_a_reason() {
        let trace = of_the_workspace().unwrap();
        assert_eq!(trace.rows.len(), 179);
        assert!(trace.complaints.is_empty(), "{:#?}", trace.complaints);
        // Sources are found at all.
        assert!(trace.count("test") > 100, "{}", trace.count("test"));
    }

    #[test]
    fn g7_a_name_tells_whose_test_it_is() {
        for (name, expected) in [
            ("r05_t24_the_end_of_a_code", "R05 T24"),
            ("g11_r38_t16_to_t18_neither_code", "R38 T16 T17 T18"),
            ("f02_to_f04_refusals", "F02 F03 F04"),
            ("g1b_f29_every_invariant", "F29"),
            ("p16_t38_whoever", "T38"),
            ("a_code_of_r05_ends", ""),
            ("the_first_round", ""),
            ("r5_a", ""),
            ("r055_a", ""),
            ("to_f04_a", ""),
            ("t99_a", "T99"),
        ] {
            let ids: Vec<String> = ids_of(name).iter().map(Id::to_string).collect();
            assert_eq!(ids.join(" "), expected, "{name}");
        }
        let source = [
            "#[test]",
            "/// Text.",
            "fn a() {}",
            "    #[tokio::test(flavor = \"x\")]",
            "    async fn b() {}",
            "fn c() {}",
            "#[test]",
            "#[ignore = \"slow\"]",
            "fn d() {}",
        ];
        assert_eq!(tests_in(&source.join("\n")), ["a", "b"]);
    }

    /// What a file that is right in all but one thing is told.
    #[test]
    fn g7_whatever_is_missing_or_contradicts_itself_is_told() {
        let all: Vec<String> = Id::all().map(|id| id.to_string()).collect();
        let complaints = |change: &dyn Fn(&mut Written, &mut Vec<Test>)| {
            let mut written = Written {
                titles: all.iter().map(|id| (id.clone(), "a title".to_owned())).collect(),
                ..Written::default()
            };
            let mut tests: Vec<Test> = all
                .iter()
                .map(|id| Test { file: "a.rs".to_owned(), name: format!("{}_holds", id.to_lowercase()) })
                .collect();
            change(&mut written, &mut tests);
            trace(&written, &tests, |place| place.text == "there").complaints
        };
        let reason = || ("R01".to_owned(), "a reason".to_owned());
        let script = |text: &str| ("R01".to_owned(), Place { file: "b.py".to_owned(), text: text.to_owned() });
        let no_complaint: [String; 0] = [];
        assert_eq!(complaints(&|_, _| ()), no_complaint);
        assert_eq!(complaints(&|_, tests| _ = tests.remove(0)), ["R01 has neither a test nor a reason: a title"]);
        let named_otherwise = |_: &mut Written, tests: &mut Vec<Test>| tests[0].name = "it_holds".to_owned();
        assert_eq!(complaints(&named_otherwise), ["R01 has neither a test nor a reason: a title"]);
        type Table = fn(&mut Written) -> &mut BTreeMap<String, String>;
        let tables: [Table; 3] = [
            |written| &mut written.open,
            |written| &mut written.does_not_apply,
            |written| &mut written.decided_otherwise,
        ];
        for table in tables {
            assert_eq!(
                complaints(&|written, _| table(written).extend([reason()])),
                ["R01 is shown, and has a reason why not"]
            );
            let instead = |written: &mut Written, tests: &mut Vec<Test>| {
                table(written).extend([reason()]);
                tests.remove(0);
            };
            assert_eq!(complaints(&instead), no_complaint);
        }
        let both = |written: &mut Written, tests: &mut Vec<Test>| {
            written.open.extend([reason()]);
            written.does_not_apply.extend([reason()]);
            tests.remove(0);
        };
        assert_eq!(complaints(&both), ["R01 has two reasons"]);
        assert_eq!(complaints(&|written, _| written.less.extend([reason()])), no_complaint);
        let less_of_nothing = |written: &mut Written, tests: &mut Vec<Test>| {
            both(written, tests);
            written.open.clear();
            written.less.extend([reason()]);
        };
        assert_eq!(complaints(&less_of_nothing), ["R01 is not shown for less either"]);
        assert_eq!(complaints(&|written, _| written.scripts.extend([script("there")])), no_complaint);
        assert_eq!(
            complaints(&|written, _| written.scripts.extend([script("gone")])),
            ["R01: b.py does not say \"gone\""]
        );
        assert_eq!(complaints(&|written, _| _ = written.titles.remove("F62")), ["F62 has no title"]);
        let unheard = |written: &mut Written, tests: &mut Vec<Test>| {
            written.open.extend(["R66", "r01", "X01"].map(|id| (id.to_owned(), "a reason".to_owned())));
            tests.push(Test { file: "a.rs".to_owned(), name: "t53_holds".to_owned() });
        };
        let expected = ["R66 is no id", "X01 is no id", "r01 is no id", "T53, of which t53_holds is named, is no id"];
        assert_eq!(complaints(&unheard), expected);
    }
}
