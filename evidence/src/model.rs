//! `evidence model`: gate G1b, the protocol model. An explicit-state search over the real decisions, as an owner, a stranger,
//! Cognito, its repeats, failing functions, a failing table, failing mail, changes of keys and versions, and the clock drive
//! them around one account.
//!
//! What is not in it: names and passwords, the bytes of events (`every_history.rs`, `events/`), two functions that work on one
//! call at a time (a function is over before Cognito calls again), guesses that happen to be right, and what one function
//! counts by itself for long codes while there is no table.

mod invariants;
mod kept;
mod owner;
mod reached;
mod rules;
mod search;
mod words;
mod world;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, UnixSeconds};
use auth_challenge::limits::{Account, Answered, Count};
use auth_challenge::settings::SettingsError;
use clap::{Args, ValueEnum};
use serde_json::json;

use self::invariants::Invariant;
use self::kept::NOW;
use self::reached::Reached;
use self::rules::{Deployed, Rules};
use self::search::{Found, search};
use self::world::{Fault, Left, World};

/// What the command takes.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How much may happen
    #[arg(long, value_enum, default_value_t = Size::Full)]
    size: Size,
    /// Stop each setting's search at so many states, instead of where the size says
    #[arg(long, value_name = "N")]
    states: Option<u64>,
    /// Only put a bug into the decisions and tell how the search finds it; `all` for each in turn
    #[arg(long, value_name = "BUG")]
    seeded: Option<String>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// How much may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Size {
    /// One sign-in each, and the first hundred thousand states of each setting: in seconds
    Small,
    /// Further, and with more of everything: in minutes
    Full,
}

impl Size {
    /// At how many states the search of a setting stops.
    fn most(self) -> u64 {
        match self {
            Size::Small => 100_000,
            Size::Full => 2_000_000,
        }
    }

    /// How many states it takes in all of them together to show anything.
    fn least(self) -> u64 {
        match self {
            Size::Small => 500_000,
            Size::Full => 10_000_000,
        }
    }
}

/// A bug that the search has to find, so that we know that it would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bug {
    CodesServeTwice,
    StrangersGetTokens,
    AnswersHaveNoEnd,
    SignInsForgetFailures,
    CodesLiveTwiceAsLong,
    TellsWhatIsNotCounted,
    MailsWhatIsNotCounted,
    AnyCodeOfTheAccountOpens,
    DefineWavers,
    UnknownUsersHaveOneAnswer,
    RepeatsMailAgain,
    NothingIsTakenBack,
    RepeatsAreNotMarked,
    OneAccountForAll,
}

impl Bug {
    /// The invariant that it breaks.
    fn breaks(self) -> Invariant {
        match self {
            Bug::CodesServeTwice => Invariant::TokensForOneRightAnswer,
            Bug::StrangersGetTokens => Invariant::NoTokensForUnknownUsers,
            Bug::AnswersHaveNoEnd => Invariant::AnswersHaveAnEnd,
            Bug::SignInsForgetFailures => Invariant::FailuresAreNotForgotten,
            Bug::CodesLiveTwiceAsLong => Invariant::CodesHaveAnEnd,
            Bug::TellsWhatIsNotCounted | Bug::MailsWhatIsNotCounted => Invariant::EverythingIsCounted,
            Bug::AnyCodeOfTheAccountOpens => Invariant::NoOtherCodeOpens,
            Bug::DefineWavers => Invariant::DefineIsOneFunction,
            Bug::UnknownUsersHaveOneAnswer => Invariant::UnknownUsersAreToldTheSame,
            Bug::RepeatsMailAgain => Invariant::MailsHaveACause,
            Bug::NothingIsTakenBack | Bug::RepeatsAreNotMarked => Invariant::TheOwnerGetsIn,
            Bug::OneAccountForAll => Invariant::AccountsAreApart,
        }
    }

    /// The setting in which it shows, and as much of what may happen as it takes.
    fn shows(self) -> (&'static str, Left) {
        let left = Left {
            owners_sign_ins: 1,
            strangers_sign_ins: 1,
            faults: 0,
            slips: 0,
            guesses: 0,
            wishes: 0,
            pauses: 1,
            races: 0,
        };
        match self {
            Bug::StrangersGetTokens => (UNKNOWN, Left { owners_sign_ins: 0, ..left }),
            Bug::AnswersHaveNoEnd => (ONE_ANSWER, Left { owners_sign_ins: 0, guesses: 3, races: 2, ..left }),
            Bug::RepeatsAreNotMarked => (TABLE, Left { guesses: 3, ..left }),
            Bug::SignInsForgetFailures => (TABLE, Left { guesses: 1, ..left }),
            Bug::TellsWhatIsNotCounted
            | Bug::MailsWhatIsNotCounted
            | Bug::RepeatsMailAgain
            | Bug::NothingIsTakenBack => (TABLE, Left { faults: 1, strangers_sign_ins: 0, ..left }),
            Bug::CodesServeTwice
            | Bug::CodesLiveTwiceAsLong
            | Bug::AnyCodeOfTheAccountOpens
            | Bug::DefineWavers
            | Bug::UnknownUsersHaveOneAnswer
            | Bug::OneAccountForAll => (TABLE, left),
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Where a search begins, and how the functions are deployed meanwhile.
struct Setting {
    name: &'static str,
    deployed: Vec<Deployed>,
    max_attempts: u8,
    parameter_round: bool,
    known: bool,
    /// Wrong answers in a row before, two hours ago.
    failures: u8,
    left: Left,
    /// Whether that is more than in the setting of the same name.
    more: bool,
}

const TABLE: &str = "with a table";
const UNKNOWN: &str = "for a user who is not known";
const ONE_ANSWER: &str = "with one answer for each challenge";

/// All settings of a size: with little that may happen, where the search gets far, and for the full size also with more.
fn settings(size: Size) -> Vec<Setting> {
    let little = Left {
        owners_sign_ins: 1,
        strangers_sign_ins: 1,
        faults: 1,
        slips: 0,
        guesses: 1,
        wishes: 1,
        pauses: 1,
        races: 0,
    };
    let more = Left { owners_sign_ins: 2, slips: 1, guesses: 3, wishes: 2, pauses: 3, races: 1, ..little };
    match size {
        Size::Small => settings_with(little, false),
        Size::Full => settings_with(little, false).into_iter().chain(settings_with(more, true)).collect(),
    }
}

fn settings_with(left: Left, more: bool) -> Vec<Setting> {
    let deployed = |key, previous, counts, change| Deployed { key, previous, counts, change };
    let keys_change = |counts| {
        vec![
            deployed(0, None, counts, None),
            deployed(1, Some(0), counts, Some(Fault::KeyChanged)),
            deployed(1, None, counts, Some(Fault::KeyGone)),
        ]
    };
    let table_arrives = vec![deployed(0, None, false, None), deployed(0, None, true, Some(Fault::TableArrives))];
    let table = |name, max_attempts, failures, left| Setting {
        name,
        deployed: keys_change(true),
        max_attempts,
        parameter_round: false,
        known: true,
        failures,
        left,
        more,
    };
    let strangers = Left { owners_sign_ins: 0, strangers_sign_ins: left.owners_sign_ins + 1, ..left };
    vec![
        table(TABLE, 3, 0, left),
        Setting { deployed: keys_change(false), ..table("without a table", 3, 0, left) },
        Setting { deployed: table_arrives, ..table("as a table is introduced", 3, 0, left) },
        Setting { parameter_round: true, ..table("with a parameter round", 3, 0, left) },
        Setting { known: false, ..table(UNKNOWN, 3, 0, strangers) },
        table(ONE_ANSWER, 1, 0, left),
        table("after two wrong answers", 2, 2, left),
        table("after nine wrong answers", 2, 9, left),
    ]
}

/// What all searches came to.
struct Sum {
    found: Vec<(String, Found, Duration)>,
    /// How many states there have to be.
    least: u64,
    /// The bugs that were put in, and how they were found.
    bugs: Vec<Caught>,
}

/// A bug, the invariant that it broke first, and how.
type Caught = (Bug, Option<(Invariant, String)>);

/// Runs the search, and says what it came to.
///
/// # Errors
///
/// When nothing can be written.
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> io::Result<ExitCode> {
    let bugs: Vec<Bug> = match arguments.seeded.as_deref() {
        None => Vec::new(),
        Some("all") => Bug::value_variants().to_vec(),
        Some(name) => match Bug::from_str(name, false) {
            Ok(bug) => vec![bug],
            Err(_) => {
                let names: Vec<String> = Bug::value_variants().iter().map(|bug| bug.name()).collect();
                writeln!(out, "There is no such bug. There are: all, {}", names.join(", "))?;
                return Ok(ExitCode::FAILURE);
            }
        },
    };
    if bugs.is_empty() { everything(arguments, out) } else { seeded(arguments, &bugs, out) }
}

/// Searches with the decisions as they are, and then for each bug.
fn everything(arguments: &Arguments, out: &mut impl Write) -> io::Result<ExitCode> {
    let begun = Instant::now();
    let most = arguments.states.unwrap_or(arguments.size.most());
    let found = search_all(settings(arguments.size), None, most).map_err(io::Error::other)?;
    let least = if arguments.states.is_some() { 0 } else { arguments.size.least() };
    let sum = Sum { found, least, bugs: find_all(Bug::value_variants()).map_err(io::Error::other)? };
    if arguments.json {
        writeln!(out, "{}", sum.json(begun.elapsed()))?;
    } else {
        write!(out, "{}", sum.report(begun.elapsed()))?;
    }
    Ok(if sum.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Searches each setting, as many at a time as there are processors.
fn search_all(
    settings: Vec<Setting>,
    bug: Option<Bug>,
    most: u64,
) -> Result<Vec<(String, Found, Duration)>, SettingsError> {
    let next = std::sync::Mutex::new(settings.into_iter().enumerate());
    let work = || {
        let mut found = Vec::new();
        loop {
            let taken = next.lock().ok().and_then(|mut settings| settings.next());
            let Some((place, setting)) = taken else { return Ok(found) };
            let begun = Instant::now();
            let name = format!("{}{}", setting.name, if setting.more { ", more" } else { "" });
            found.push((place, (name, setting.search(bug, most)?, begun.elapsed())));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let found = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let found = threads.into_iter().map(|thread| match thread.join() {
            Ok(found) => found,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        found.collect::<Result<Vec<_>, _>>()
    })?;
    let mut found: Vec<_> = found.into_iter().flatten().collect();
    found.sort_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, found)| found).collect())
}

impl Setting {
    fn search(&self, bug: Option<Bug>, most: u64) -> Result<Found, SettingsError> {
        let rules = Rules::new(&self.deployed, self.max_attempts, self.parameter_round, self.known, bug)?;
        let account = rules.accounts.borrow_mut().id(failed_before(&rules, self.failures));
        Ok(search(World::new(self.left, account), &rules, most))
    }
}

/// An account that had so many wrong answers two hours ago.
fn failed_before(rules: &Rules, failures: u8) -> Account {
    let then = UnixSeconds(NOW.0 - 7_200);
    (0..failures).fold(Account::default(), |account, which| {
        let state = ChallengeState {
            kind: ChallengeKind::Code,
            key_id: rules.first_key(),
            nonce: Nonce::from([100 + which; 16]),
            issued_at: then,
            attempts: 0,
            mails: 1,
            last_sent: then,
            repeated: false,
        };
        let wrong = Answered { tag: "wrong", right: false, proof: None };
        match account.answer(rules.limits(), "1example23456789", &state, wrong, then) {
            Ok(Count::Keep(account, ())) => account,
            Ok(Count::Repeat(())) | Err(_) => account,
        }
    })
}

fn seeded(arguments: &Arguments, bugs: &[Bug], out: &mut impl Write) -> io::Result<ExitCode> {
    let bugs = find_all(bugs).map_err(io::Error::other)?;
    for bug in &bugs {
        if arguments.json {
            writeln!(out, "{}", json_of(bug))?;
        } else {
            writeln!(out, "{}", report_of(bug))?;
            writeln!(out, "            {}", bug.1.as_ref().map_or("", |(_, story)| story))?;
        }
    }
    Ok(if bugs.iter().all(is_caught) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn find_all(bugs: &[Bug]) -> Result<Vec<Caught>, SettingsError> {
    bugs.iter().map(|bug| Ok((*bug, find(*bug)?))).collect()
}

/// Searches for a bug where it shows. The invariant that it breaks, and how.
fn find(bug: Bug) -> Result<Option<(Invariant, String)>, SettingsError> {
    let (name, left) = bug.shows();
    let setting = settings(Size::Small).into_iter().find(|setting| setting.name == name);
    let Some(setting) = setting.map(|setting| Setting { left, ..setting }) else { return Ok(None) };
    let broken = setting.search(Some(bug), Size::Full.most())?.broken;
    Ok(broken.map(|(invariant, trace)| (invariant, words::story(&trace))))
}

fn is_caught((bug, broken): &Caught) -> bool {
    broken.as_ref().is_some_and(|(invariant, _)| *invariant == bug.breaks())
}

fn report_of(caught: &Caught) -> String {
    let mark = if is_caught(caught) { "caught     " } else { "NOT CAUGHT " };
    let number = caught.1.as_ref().map(|(invariant, _)| format!(": breaks invariant {}", invariant.number()));
    format!("{mark} {}{}", caught.0.name(), number.unwrap_or_default())
}

fn json_of(caught: &Caught) -> serde_json::Value {
    let (number, story) = caught.1.as_ref().map(|(invariant, story)| (invariant.number(), story)).unzip();
    json!({"bug": caught.0.name(), "caught": is_caught(caught), "invariant": number, "trace": story})
}

impl Sum {
    fn reached(&self) -> Reached {
        self.found.iter().fold(Reached::default(), |reached, (_, found, _)| reached.and(found.reached))
    }

    fn holds(&self) -> bool {
        let nothing_is_broken = self.found.iter().all(|(_, found, _)| found.broken.is_none());
        nothing_is_broken
            && self.states() >= self.least
            && self.reached().flags().all(|reached| reached)
            && self.bugs.iter().all(is_caught)
    }

    fn states(&self) -> u64 {
        self.found.iter().map(|(_, found, _)| found.states).sum()
    }

    fn transitions(&self) -> u64 {
        self.found.iter().map(|(_, found, _)| found.transitions).sum()
    }

    fn depth(&self) -> u32 {
        self.found.iter().map(|(_, found, _)| found.depth).max().unwrap_or_default()
    }

    /// How an invariant was broken, in each setting in which it was.
    fn broken(&self, invariant: Invariant) -> Vec<String> {
        let broken = self.found.iter().filter_map(|(name, found, _)| match &found.broken {
            Some((broken, trace)) if *broken == invariant => Some(format!("{name}: {}", words::story(trace))),
            _ => None,
        });
        broken.collect()
    }

    fn report(&self, took: Duration) -> String {
        let mut text = String::new();
        for (name, found, took) in &self.found {
            let Found { states, transitions, depth, complete, .. } = found;
            let end = if *complete { "all" } else { "not all" };
            text += &format!(
                "{name:42} {states:>10} states ({end}), {transitions:>11} steps, {depth:>3} deep, {:.1} s\n",
                took.as_secs_f64()
            );
        }
        text += &format!(
            "{:42} {:>10} states, {:>17} steps, {:>3} deep, {:.1} s\n\n",
            "together",
            self.states(),
            self.transitions(),
            self.depth(),
            took.as_secs_f64()
        );
        for invariant in Invariant::ALL {
            let stories = self.broken(invariant);
            let mark = if stories.is_empty() { "holds " } else { "BROKEN" };
            text += &format!("{mark} {:>2}. {}\n", invariant.number(), invariant.words());
            text.extend(stories.into_iter().map(|story| format!("       {story}\n")));
        }
        text += "\n";
        for (name, reached) in Reached::names().zip(self.reached().flags()) {
            text += &format!("{} {name}\n", if reached { "reached    " } else { "NOT REACHED" });
        }
        text += "\n";
        text.extend(self.bugs.iter().map(|bug| format!("{}\n", report_of(bug))));
        text
    }

    fn json(&self, took: Duration) -> serde_json::Value {
        let settings = self.found.iter().map(|(name, found, took)| {
            json!({
                "name": name, "states": found.states, "transitions": found.transitions, "depth": found.depth,
                "complete": found.complete, "seconds": took.as_secs_f64(),
            })
        });
        let invariants = Invariant::ALL.map(|invariant| {
            let traces = self.broken(invariant);
            json!({
                "number": invariant.number(), "words": invariant.words(), "holds": traces.is_empty(), "traces": traces,
            })
        });
        let sometimes = Reached::names().zip(self.reached().flags());
        json!({
            "gate": "G1b", "holds": self.holds(), "states": self.states(), "transitions": self.transitions(),
            "complete": self.found.iter().filter(|(_, found, _)| found.complete).count(), "most": Size::Full.most(),
            "depth": self.depth(), "seconds": took.as_secs_f64(), "settings": settings.collect::<Vec<_>>(),
            "invariants": invariants,
            "seeded": self.bugs.iter().map(json_of).collect::<Vec<_>>(),
            "sometimes": sometimes.map(|(name, reached)| json!({"words": name, "reached": reached})).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests;
