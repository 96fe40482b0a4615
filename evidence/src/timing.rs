//! `evidence timing`: gate G9. Whether the time of a comparison tells where an answer, or a seal, differs from the right one.
//!
//! In the manner of dudect (Reparaz, Balasch, Verbauwhede, 2017): the same work is measured for inputs of several classes, drawn
//! by chance one after the other, and Welch's t-test tells whether two classes differ, for all measurements and for the quicker ones alone,
//! where there is less noise. The same is done to a comparison that stops at the first difference, which the test has to notice.

use std::collections::HashMap;
use std::fmt;
use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, PRIVATE_KEY, UnixSeconds};
use auth_challenge::client_metadata::{Action, ClientMetadata, SignInMethod};
use auth_challenge::code::{Alphabet, Answer, Code};
use auth_challenge::settings::{SettingsError, VerifySettings};
use auth_challenge::user::{SignIn, User, WhyUnknown};
use auth_challenge::verify_auth_challenge;
use clap::Args;
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::json;

/// What the command takes.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How often each class of each subject is measured, about
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..=100_000_000))]
    measurements: u32,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Where an input differs from the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Nowhere,
    AtItsFirstSymbol,
    AtItsLastSymbol,
    ByALackOfOne,
}

impl Class {
    const ALL: [Class; 4] = [Class::Nowhere, Class::AtItsFirstSymbol, Class::AtItsLastSymbol, Class::ByALackOfOne];
    /// For more than a comparison. What is right takes another way afterwards, and is told so; and reading fewer symbols takes less time,
    /// which tells nothing but the length of the answer.
    const WRONG: [Class; 2] = [Class::AtItsFirstSymbol, Class::AtItsLastSymbol];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Nowhere => "nowhere",
            Class::AtItsFirstSymbol => "at the first symbol",
            Class::AtItsLastSymbol => "at the last symbol",
            Class::ByALackOfOne => "by a lack of one",
        })
    }
}

/// From here on two classes are told apart (the bound of dudect: by chance alone once in 150,000 tests).
const TOLD_APART: f64 = 4.5;
/// What the comparison that stops early has to reach, for the test to be worth anything.
const SURELY: f64 = 50.0;
/// The shares of the measurements, the quickest first, that are tested.
const SHARES: [f64; 5] = [0.5, 0.75, 0.9, 0.99, 1.0];
/// Inputs are made so many at a time, before any of them is measured.
const BATCH: usize = 1_024;
/// A comparison is over before the clock has moved, so it is repeated.
const REPETITIONS: usize = 32;

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> io::Result<ExitCode> {
    let settings = settings().map_err(io::Error::other)?;
    let mut result = Ok(());
    let mut tell = |subject: &str, found: &[Difference]| {
        if !arguments.json && result.is_ok() {
            result = table(out, subject, found);
        }
        found.iter().map(|difference| difference.t.abs()).fold(0.0, f64::max)
    };

    let measurements = arguments.measurements;
    let comparison = tell(
        "a code and an answer",
        &measure(
            &Class::ALL,
            measurements,
            |class| {
                let asked = Asked::random(&settings);
                let answer = Answer::read(&asked.typed(class), asked.alphabet);
                (asked.code, answer)
            },
            |(code, answer)| {
                for _ in 0..REPETITIONS {
                    black_box(black_box(code).is_answered_by(black_box(answer)));
                }
            },
        ),
    );
    let judgement = tell(
        "all of the decision about an answer",
        &measure(
            &Class::WRONG,
            measurements,
            |class| {
                let asked = Asked::random(&settings);
                (asked.typed(class), asked.private_challenge_parameters())
            },
            |(typed, parameters)| {
                let user = User::Unknown(WhyUnknown::UserNotFound);
                black_box(verify_auth_challenge::decide(&settings, &sign_in(), &user, parameters, typed, &ANSWER, NOW));
            },
        ),
    );
    let seal = tell(
        "a state and its seal",
        &measure(
            &Class::WRONG,
            measurements,
            |class| changed(&Asked::random(&settings).sealed, class),
            |sealed| {
                black_box(ChallengeState::open(sealed, &settings.challenge.keys, &sign_in()));
            },
        ),
    );
    let control = tell(
        "a comparison that stops at the first difference, which has to be noticed",
        &measure(
            &Class::ALL,
            measurements.min(100_000),
            |class| {
                let asked = Asked::random(&settings);
                (asked.typed(Class::Nowhere), asked.typed(class))
            },
            |(code, answer)| {
                for _ in 0..REPETITIONS {
                    black_box(stops_early(black_box(code), black_box(answer)));
                }
            },
        ),
    );
    result?;

    let largest = comparison.max(judgement).max(seal);
    let holds = largest < TOLD_APART && control > SURELY;
    if arguments.json {
        let round = |t: f64| (t * 100.0).round() / 100.0;
        writeln!(
            out,
            "{}",
            json!({
                "gate": "G9", "holds": holds, "measurements": measurements, "largest_t": round(largest), "bound": TOLD_APART,
                "comparison_t": round(comparison), "judgement_t": round(judgement), "seal_t": round(seal), "control_t": round(control),
            })
        )?;
    } else {
        let words = if holds { "nothing is told apart, and the control is" } else { "FAILED" };
        writeln!(
            out,
            "largest |t| {largest:.2} (bound {TOLD_APART}), control {control:.0} (at least {SURELY}): {words}"
        )?;
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A challenge that was made, and its code.
struct Asked {
    code: Code,
    symbols: String,
    alphabet: Alphabet,
    sealed: String,
}

impl Asked {
    #[expect(clippy::expect_used, reason = "its own keys have made it")]
    fn random(settings: &VerifySettings) -> Asked {
        let challenge = &settings.challenge;
        let state = ChallengeState {
            kind: ChallengeKind::Code,
            key_id: challenge.keys.current.id(),
            nonce: Nonce::random(&mut UnwrapErr(SysRng)),
            issued_at: NOW,
            attempts: 0,
            mails: 1,
            last_sent: NOW,
            repeated: false,
        };
        let code = state.code(&challenge.keys, &sign_in(), challenge.format).expect("the key is there");
        let symbols = code.grouped().replace(' ', "");
        let sealed = state.seal(&challenge.keys, &sign_in()).expect("the key is there");
        Asked { code, symbols, alphabet: challenge.format.alphabet, sealed }
    }

    /// The code as somebody types it, right or not.
    fn typed(&self, class: Class) -> String {
        let symbols = self.alphabet.symbols();
        let other = |symbol: u8| symbols[usize::from(symbol == symbols[0])] as char;
        let (first, last) = (0, self.symbols.len() - 1);
        let replaced = |place: usize| {
            let wrong = other(self.symbols.as_bytes()[place]);
            self.symbols.char_indices().map(|(at, symbol)| if at == place { wrong } else { symbol }).collect()
        };
        match class {
            Class::Nowhere => self.symbols.clone(),
            Class::AtItsFirstSymbol => replaced(first),
            Class::AtItsLastSymbol => replaced(last),
            Class::ByALackOfOne => self.symbols[..last].to_owned(),
        }
    }

    fn private_challenge_parameters(&self) -> HashMap<String, String> {
        HashMap::from([(PRIVATE_KEY.to_owned(), self.sealed.clone())])
    }
}

/// A sealed state with another first or last symbol of its seal. (The very last has bits that are always zero, so it is the one before.)
fn changed(sealed: &str, class: Class) -> String {
    let seal = sealed.rfind('.').map_or(0, |dot| dot + 1);
    let place = match class {
        Class::Nowhere | Class::ByALackOfOne => return sealed.to_owned(),
        Class::AtItsFirstSymbol => seal,
        Class::AtItsLastSymbol => sealed.len() - 2,
    };
    let other = if sealed.as_bytes()[place] == b'A' { 'B' } else { 'A' };
    sealed.char_indices().map(|(at, symbol)| if at == place { other } else { symbol }).collect()
}

fn stops_early(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(|(one, other)| black_box(one) == black_box(other))
}

const ANSWER: ClientMetadata =
    ClientMetadata { action: Action::Answer, sign_in_method: SignInMethod::EmailOtp, locale: None };

const NOW: UnixSeconds = UnixSeconds(1_767_268_800);

fn sign_in() -> SignIn {
    SignIn {
        user_pool_id: "eu-west-1_EXAMPLE".to_owned(),
        client_id: "1example23456789".to_owned(),
        user_name: "7d5ba2f0-6d1b-4e0f-9d3f-2f1f0c6b9d11".to_owned(),
        unproved: None,
    }
}

fn settings() -> Result<VerifySettings, SettingsError> {
    VerifySettings::from_vars(&|name| match name {
        "CODE_KEY" => Some("a-key-of-the-measurement-with-enough-characters".to_owned()),
        "LIMITS_TABLE" => Some("limits".to_owned()), // or there would be no codes of digits
        _ => None,
    })
}

/// How two classes differ.
struct Difference {
    one: Class,
    other: Class,
    /// Welch's t, the largest of all shares.
    t: f64,
    /// The share that it is of.
    share: f64,
}

/// Measures some work on inputs of each class, `measurements` times each, about.
fn measure<Input>(
    classes: &[Class],
    measurements: u32,
    make: impl Fn(Class) -> Input,
    work: impl Fn(&Input),
) -> Vec<Difference> {
    let mut times: Vec<(usize, f64)> = Vec::new();
    while times.len() < measurements as usize * classes.len() {
        let drawn: Vec<usize> = (0..BATCH).map(|_| UnwrapErr(SysRng).random_range(0..classes.len())).collect();
        let inputs: Vec<Input> = drawn.iter().map(|class| make(classes[*class])).collect();
        for (class, input) in drawn.iter().zip(&inputs) {
            let begun = Instant::now();
            work(input);
            times.push((*class, begun.elapsed().as_nanos() as f64));
        }
    }
    differences(classes, &mut times)
}

fn differences(classes: &[Class], times: &mut [(usize, f64)]) -> Vec<Difference> {
    times.sort_unstable_by(|(_, one), (_, other)| one.total_cmp(other));
    let mut found = Vec::new();
    for one in 0..classes.len() {
        for other in one + 1..classes.len() {
            let of = |share: f64| {
                let quickest = &times[..(times.len() as f64 * share) as usize];
                let t = welch(Moments::of(quickest, one), Moments::of(quickest, other));
                Difference { one: classes[one], other: classes[other], t, share }
            };
            found.extend(SHARES.map(of).into_iter().max_by(|one, other| one.t.abs().total_cmp(&other.t.abs())));
        }
    }
    found
}

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(times: &[(usize, f64)], class: usize) -> Moments {
        let of_class = || times.iter().filter(|(of, _)| *of == class).map(|(_, time)| *time);
        let count = of_class().count() as f64;
        let mean = of_class().sum::<f64>() / count;
        let variance = of_class().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Moments { count, mean, variance }
    }
}

/// Welch's t for two samples. Of a class that has hardly any of the quickest measurements nothing more needs to be said: by chance each
/// has its share of them.
fn welch(one: Moments, other: Moments) -> f64 {
    if one.count.min(other.count) < 2.0 {
        return f64::INFINITY;
    }
    let error = (one.variance / one.count + other.variance / other.count).sqrt();
    // All the same to the clock: then nothing differs, or everything does.
    if error == 0.0 {
        if one.mean == other.mean { 0.0 } else { f64::INFINITY }
    } else {
        (one.mean - other.mean) / error
    }
}

fn table(out: &mut impl Write, subject: &str, found: &[Difference]) -> io::Result<()> {
    writeln!(out, "{subject}:")?;
    for Difference { one, other, t, share } in found {
        writeln!(out, "  differs {one} or {other}: t = {t:.2} for the quickest {:.0} %", share * 100.0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g9_welchs_t_is_what_a_textbook_says() {
        // Two samples of five: means 3 and 5, variances 2.5 and 2.5, so t = -2 / 1.
        let times: Vec<(usize, f64)> =
            (0..5).flat_map(|n| [(0, f64::from(n) + 1.0), (1, f64::from(n) + 3.0)]).collect();
        assert!((welch(Moments::of(&times, 0), Moments::of(&times, 1)) + 2.0).abs() < 1e-12);
    }

    /// The clearer it is the fewer of its measurements are among the quickest.
    #[test]
    fn g9_a_class_that_is_slower_than_all_others_is_told_from_them() {
        let times = |slower: f64| {
            (0..4_000)
                .map(|n| (n % 4, 300.0 + f64::from(n as u32 / 4 % 10) + if n % 4 == 2 { slower } else { 0.0 }))
                .collect::<Vec<_>>()
        };
        assert!(differences(&Class::ALL, &mut times(0.0)).iter().all(|found| found.t.abs() < TOLD_APART));
        for slower in [1.0, 5.0, 600.0] {
            let of_it = Class::ALL[2].to_string();
            for found in differences(&Class::ALL, &mut times(slower)) {
                let told_apart = found.t.abs() > TOLD_APART;
                let is_of_it = [found.one, found.other].iter().any(|class| class.to_string() == of_it);
                assert_eq!(told_apart, is_of_it, "{} or {}, {slower}: {}", found.one, found.other, found.t);
            }
        }
    }

    #[test]
    fn g9_classes_are_what_they_are_called() {
        let settings = settings().unwrap();
        let asked = Asked::random(&settings);
        let answered = |class| asked.code.is_answered_by(&Answer::read(&asked.typed(class), asked.alphabet));
        assert_eq!(Class::ALL.map(answered), [true, false, false, false]);
        let opened = |class| {
            let sealed = changed(&asked.sealed, class);
            assert_eq!(sealed.len(), asked.sealed.len());
            ChallengeState::open(&sealed, &settings.challenge.keys, &sign_in()).is_some()
        };
        assert_eq!(Class::ALL.map(opened), [true, false, false, true]);
    }
}
