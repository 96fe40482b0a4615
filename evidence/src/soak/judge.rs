//! What was found, and whether the gate holds.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;

/// What must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Violation {
    /// Somebody who reads the mail does not get in.
    Lost,
    /// A mail, a code or tokens of one user with another.
    Crossed,
    /// Tokens a second time for one challenge.
    IssuedTwice,
    /// Tokens for who does not have the code, more often than guessing comes to.
    Opened,
    /// More mails than were asked for.
    MailedTooOften,
    /// A fault costs the person more than the threat model promises.
    WorseThanPromised,
    /// An error of the pool itself, or no reply.
    ServerError,
    /// A mail or a reply that is not in its form.
    Malformed,
    /// A function that panicked.
    Panicked,
    /// Memory that grows.
    Grown,
}

impl Violation {
    pub(super) const ALL: [Violation; 10] = [
        Violation::Lost,
        Violation::Crossed,
        Violation::IssuedTwice,
        Violation::Opened,
        Violation::MailedTooOften,
        Violation::WorseThanPromised,
        Violation::ServerError,
        Violation::Malformed,
        Violation::Panicked,
        Violation::Grown,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Violation::Lost => "lost",
            Violation::Crossed => "crossed",
            Violation::IssuedTwice => "issued_twice",
            Violation::Opened => "opened",
            Violation::MailedTooOften => "mailed_too_often",
            Violation::WorseThanPromised => "worse_than_promised",
            Violation::ServerError => "server_errors",
            Violation::Malformed => "malformed",
            Violation::Panicked => "panicked",
            Violation::Grown => "grown",
        }
    }
}

/// How many of a kind are told in words.
const TOLD: usize = 3;
/// Durations are counted by the millisecond up to here.
const LONGEST_MS: usize = 120_000;

/// What was found so far. It does not grow with the number of sign-ins.
pub(super) struct Findings {
    violations: Mutex<BTreeMap<Violation, (u64, Vec<String>)>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    /// The code that each user signed in with last.
    issued: Mutex<HashMap<String, String>>,
    durations: Mutex<Vec<u32>>,
}

impl Default for Findings {
    fn default() -> Findings {
        Findings {
            violations: Mutex::default(),
            counts: Mutex::default(),
            issued: Mutex::default(),
            durations: Mutex::new(vec![0; LONGEST_MS]),
        }
    }
}

impl Findings {
    pub(super) fn found(&self, violation: Violation, words: impl FnOnce() -> String) {
        let mut violations = self.violations.lock();
        let (count, told) = violations.entry(violation).or_default();
        *count += 1;
        if told.len() < TOLD {
            told.push(words());
        }
    }

    /// How often something was found that must not be.
    pub(super) fn of(&self, violation: Violation) -> u64 {
        self.violations.lock().get(&violation).map_or(0, |(count, _)| *count)
    }

    /// What was found that must not be, in words.
    pub(super) fn words(&self) -> Vec<String> {
        let violations = self.violations.lock();
        let tell = |(violation, (count, told)): (&Violation, &(u64, Vec<String>))| {
            format!("{} {count}: {}", violation.name(), told.join("; "))
        };
        violations.iter().map(tell).collect()
    }

    pub(super) fn count(&self, what: &'static str) {
        self.counts.lock().entry(what).and_modify(|count| *count += 1).or_insert(1);
    }

    pub(super) fn counted(&self, what: &str) -> u64 {
        self.counts.lock().get(what).copied().unwrap_or_default()
    }

    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().clone()
    }

    /// Whether somebody has signed in with this code.
    pub(super) fn has_issued(&self, address: &str, code: &str) -> bool {
        self.issued.lock().get(address).is_some_and(|issued| issued == code)
    }

    /// The code that somebody signed in with last.
    pub(super) fn code_of(&self, address: &str) -> Option<String> {
        self.issued.lock().get(address).cloned()
    }

    /// Somebody got tokens for a code. Codes are of eight digits, so that the same one comes twice in a row by chance once in a
    /// hundred million times.
    pub(super) fn issued(&self, address: &str, code: &str) {
        let before = self.issued.lock().insert(address.to_owned(), code.to_owned());
        if before.is_some_and(|before| before == code) {
            self.found(Violation::IssuedTwice, || "tokens again for a code that has served".to_owned());
        }
    }

    pub(super) fn lasted(&self, duration: Duration) {
        let ms = usize::try_from(duration.as_millis()).unwrap_or(usize::MAX);
        if let Some(count) = self.durations.lock().get_mut(ms.min(LONGEST_MS - 1)) {
            *count += 1;
        }
    }

    /// How many milliseconds so many of a hundred sign-ins last at most.
    pub(super) fn percentile(&self, percent: u64) -> usize {
        let durations = self.durations.lock();
        let all: u64 = durations.iter().map(|count| u64::from(*count)).sum();
        let mut seen = 0;
        let is_there = |count: &u32| {
            seen += u64::from(*count);
            seen * 100 >= all * percent
        };
        durations.iter().position(is_there).unwrap_or_default()
    }
}

/// What guessing came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guessing {
    pub(super) sign_ins: u64,
    pub(super) opened: u64,
    /// The chance of each of them.
    pub(super) chance: f64,
}

impl Guessing {
    pub(super) fn expected(self) -> f64 {
        self.sign_ins as f64 * self.chance
    }

    pub(super) fn deviation(self) -> f64 {
        (self.expected() * (1.0 - self.chance)).sqrt()
    }

    /// Whether it is what the formula says, within three standard deviations.
    pub(super) fn is_as_expected(self) -> bool {
        (self.opened as f64 - self.expected()).abs() <= 3.0 * self.deviation()
    }
}
