//! define-auth-challenge, tried with every history of up to five rounds over an alphabet of rounds that covers all that
//! Cognito can report and some that it cannot: every challenge name with every result and every state, of this sign-in and
//! of others. Letters that are read alike are decided alike, since a decision sees nothing but [`Rounds`]: one of each kind
//! stands for the others.

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, UnixSeconds};
use auth_challenge::client_metadata::ClientMetadata;
use auth_challenge::code::CodeKey;
use auth_challenge::define_auth_challenge::{ChallengeName, NextStep, decide};
use auth_challenge::rounds::{MAX_ROUNDS, Round, Rounds, Standing};
use auth_challenge::settings::DefineSettings;
use auth_challenge::user::{SignIn, User};
use aws_lambda_events::cognito::CognitoEventUserPoolsChallengeResult;
use serde_json::json;

use crate::example::{ANSWER, NOW, RESEND, alice, define, keys, later, nobody, sign_in, state};

/// How many rounds a history may have. Five rounds hold a password, and three answers.
const DEPTH: usize = 5;
const MAX_ATTEMPTS: u8 = 3;

/// What a letter of the alphabet is, said without the code under test.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    SrpA,
    Password,
    /// A live code of this sign-in: which of three, what its state counts, and whether it was answered rightly.
    Code {
        which: u8,
        attempts: u8,
        mails: u8,
        last_sent: UnixSeconds,
        repeated: bool,
        correct: bool,
    },
    /// A parameter round of this sign-in that was not "right".
    Parameters,
    /// Something that no sign-in of ours contains, or that is over.
    Other,
}

/// Rounds that are read alike and mean the same.
struct Letter {
    /// The first of them.
    entry: Option<CognitoEventUserPoolsChallengeResult>,
    round: Round,
    meaning: Meaning,
}

fn entry(name: Option<&str>, result: bool, metadata: Option<&str>) -> CognitoEventUserPoolsChallengeResult {
    let json = json!({"challengeName": name, "challengeResult": result, "challengeMetadata": metadata});
    serde_json::from_value(json).unwrap()
}

const NAMES: [Option<&str>; 9] = [
    Some("CUSTOM_CHALLENGE"),
    Some("SRP_A"),
    Some("PASSWORD_VERIFIER"),
    Some("SMS_MFA"),
    Some("NEW_PASSWORD_REQUIRED"),
    Some("EMAIL_OTP"),
    Some("custom_challenge"),
    Some(""),
    None,
];

/// A state that a round may come with, and what it stands for.
enum State {
    /// A live code of this sign-in: which of three.
    Live(u8, ChallengeState),
    Parameters,
    /// One that no right answer can come with.
    Other,
}

fn states() -> Vec<(Option<String>, State)> {
    let seal = |state: ChallengeState| state.seal(&keys(), &sign_in()).unwrap();
    let code = |which: u8, attempts: u8| ChallengeState { nonce: Nonce::from([which; 16]), attempts, ..state() };
    let elsewhere = |sign_in: SignIn| code(1, 0).seal(&keys(), &sign_in).unwrap();
    let other_keys = || {
        let mut keys = keys();
        keys.previous = Some(CodeKey::new(b"a key that this function does not have"));
        keys
    };
    let unknown_key = ChallengeState { key_id: other_keys().previous.unwrap().id(), ..state() };
    let previous_key = ChallengeState { key_id: keys().previous.unwrap().id(), ..code(3, 0) };
    let parameters = ChallengeState { kind: ChallengeKind::Parameters, mails: 0, ..code(4, 0) };

    let live = |state: ChallengeState, which| (Some(seal(state)), State::Live(which, state));
    let again = |state| ChallengeState { mails: 2, last_sent: later(30), ..state };
    let repeat = |state| ChallengeState { repeated: true, ..state };
    let mut states = vec![
        live(code(1, 0), 1),
        live(code(1, 1), 1),
        live(code(1, 2), 1),
        live(code(1, 3), 1),
        live(again(code(1, 0)), 1),
        live(again(code(1, 1)), 1),
        live(ChallengeState { last_sent: later(20), ..again(code(1, 1)) }, 1),
        live(repeat(code(1, 1)), 1),
        live(repeat(code(1, 2)), 1),
        live(code(2, 0), 2),
        live(code(2, 1), 2),
        live(previous_key, 3),
        (Some(seal(parameters)), State::Parameters),
    ];
    states.extend(
        [
            None,
            Some(String::new()),
            Some("CODE-48310937".to_owned()),
            Some(seal(ChallengeState { issued_at: later(60 + 31), ..code(1, 0) })),
            Some(seal(ChallengeState { issued_at: UnixSeconds(NOW.0 - 600), ..code(1, 0) })),
            Some(unknown_key.seal(&other_keys(), &sign_in()).unwrap()),
            Some(elsewhere(SignIn { user_pool_id: "eu-west-1_OTHER".to_owned(), ..sign_in() })),
            Some(elsewhere(SignIn { client_id: "2example".to_owned(), ..sign_in() })),
            Some(elsewhere(SignIn { user_name: "bob".to_owned(), ..sign_in() })),
            Some(code(1, 0).to_string()),
            Some(seal(code(1, 0)).replacen("1.code", "2.code", 1)),
            Some(seal(code(1, 1)).replacen(".1.1.", ".0.1.", 1)),
            Some(format!("{}A", seal(code(1, 0)))),
        ]
        .map(|metadata| (metadata, State::Other)),
    );
    states
}

/// What a round means that says `name`, `correct` and `state`. Names other than ours come without a state, and whatever
/// stands there is not looked at.
fn meaning(name: Option<&str>, correct: bool, state: &State) -> Meaning {
    match (name, correct, state) {
        (Some("SRP_A"), true, _) => Meaning::SrpA,
        (Some("PASSWORD_VERIFIER"), true, _) => Meaning::Password,
        (Some("CUSTOM_CHALLENGE"), _, &State::Live(which, state)) => {
            let ChallengeState { attempts, mails, last_sent, repeated, .. } = state;
            Meaning::Code { which, attempts, mails, last_sent, repeated, correct }
        }
        (Some("CUSTOM_CHALLENGE"), false, State::Parameters) => Meaning::Parameters,
        _ => Meaning::Other,
    }
}

/// All rounds that differ in what they say.
fn rounds() -> Vec<(Option<CognitoEventUserPoolsChallengeResult>, Meaning)> {
    let states = states();
    let mut rounds = vec![(None, Meaning::Other)];
    for name in NAMES {
        for correct in [true, false] {
            rounds.extend(states.iter().map(|(metadata, state)| {
                (Some(entry(name, correct, metadata.as_deref())), meaning(name, correct, state))
            }));
        }
    }
    rounds
}

/// One round of each kind.
fn alphabet() -> Vec<Letter> {
    let mut letters: Vec<Letter> = Vec::new();
    for (entry, meaning) in rounds() {
        let round = Rounds::read(std::slice::from_ref(&entry), &keys(), &sign_in()).into_iter().next().unwrap();
        if !letters.iter().any(|letter| (letter.round, letter.meaning) == (round, meaning)) {
            letters.push(Letter { entry, round, meaning });
        }
    }
    letters
}

/// Whether invariant 5 wants tokens to be issued: a right answer to the newest code of this sign-in, in time, by a known
/// user, after a history that we led to. Written from the invariant, not from the decision.
fn tokens_are_due(history: &[Meaning], known: bool, password_first: bool, metadata: &ClientMetadata) -> bool {
    let mut rest = history;
    let mut password = false;
    if let [Meaning::SrpA, after @ ..] = rest {
        rest = after;
        if let [Meaning::Password, after @ ..] = rest {
            (rest, password) = (after, true);
        }
    }
    if let [Meaning::Parameters, after @ ..] = rest {
        rest = after;
    }
    let Some((Meaning::Code { attempts, repeated, correct: true, .. }, before)) = rest.split_last() else {
        return false;
    };
    let all_wrong_before = before.iter().all(|round| matches!(round, Meaning::Code { correct: false, .. }));
    // About one code all along; and a round adds one answer at most, and one mail at most. (We write no state that adds both, and begin
    // with none that has counted answers, which nobody can tell from the states alone: they are ours, whoever holds them.)
    let one_story = rest.windows(2).all(|pair| match pair {
        [
            Meaning::Code { which: a, attempts: answers, mails, last_sent, repeated, .. },
            Meaning::Code {
                which: b,
                attempts: answers_then,
                mails: mails_then,
                last_sent: last_sent_then,
                repeated: repeated_then,
                ..
            },
        ] => {
            (a, repeated) == (b, repeated_then)
                && [0, 1].contains(&answers_then.wrapping_sub(*answers))
                && [0, 1].contains(&mails_then.wrapping_sub(*mails))
                && last_sent <= last_sent_then
        }
        _ => false,
    });
    // Of a challenge that two sign-ins share one answer is left to the other.
    let max_attempts = if *repeated { MAX_ATTEMPTS - 1 } else { MAX_ATTEMPTS };
    all_wrong_before
        && one_story
        && *attempts < max_attempts
        && known
        && (password || !password_first)
        && *metadata == ANSWER
}

/// One way in which a history is judged.
struct Case<'a> {
    settings: &'a DefineSettings,
    user: &'a User,
    metadata: &'a ClientMetadata,
}

struct Search<'a> {
    letters: &'a [Letter],
    cases: Vec<Case<'a>>,
    sign_in: SignIn,
    /// How many decisions were made, and how many of them issued tokens.
    decisions: u64,
    issued: u64,
}

impl Search<'_> {
    /// Judges `history` and all that begin with it. `dead[i]`: a shorter one failed in all cases that share case `i`'s
    /// settings and user, whatever the client's metadata.
    fn visit(&mut self, history: &mut Vec<usize>, dead: &[bool]) {
        let rounds: Rounds = history.iter().map(|letter| self.letters[*letter].round).collect();
        let meanings: Vec<Meaning> = history.iter().map(|letter| self.letters[*letter].meaning).collect();
        let now = later(60);
        let mut failed = Vec::with_capacity(self.cases.len());
        for (case, dead) in self.cases.iter().zip(dead) {
            let step = decide(case.settings, &self.sign_in, case.user, false, &rounds, case.metadata, now);
            self.decisions += 1;
            let known = matches!(case.user, User::Known(_));
            let due = tokens_are_due(&meanings, known, case.settings.password_first, case.metadata);
            assert_eq!(step == NextStep::IssueTokens, due, "{meanings:?}, known: {known}");
            self.issued += u64::from(due);
            let fails = matches!(step, NextStep::FailAuthentication(_));
            assert!(fails || !dead, "life after failure: {meanings:?}");
            failed.push(fails);
        }
        if history.len() == DEPTH {
            return;
        }
        // Cases come in pairs that differ in their metadata alone.
        let dead: Vec<bool> = failed.chunks(2).flat_map(|pair| [pair[0] && pair[1]; 2]).collect();
        for letter in 0..self.letters.len() {
            history.push(letter);
            self.visit(history, &dead);
            history.pop();
        }
    }
}

#[test]
fn g1_r26_t10_t11_f36_tokens_are_issued_when_they_are_due_and_at_no_other_time_and_failure_is_final() {
    let (rounds, letters) = (rounds().len(), alphabet());
    assert!(rounds >= 400 && letters.len() >= 30, "{rounds} in {}", letters.len());
    let [open, password_first] = [define(&[]), define(&[("PASSWORD_FIRST", "true")])];
    let [known, unknown] = [alice(), nobody()];
    let [answer, resend] = [ANSWER, RESEND];
    let search = |first: &[usize]| {
        let mut cases = Vec::new();
        for settings in [&open, &password_first] {
            for user in [&known, &unknown] {
                cases.extend([&answer, &resend].map(|metadata| Case { settings, user, metadata }));
            }
        }
        let dead = vec![false; cases.len()];
        let mut search = Search { letters: &letters, cases, sign_in: sign_in(), decisions: 0, issued: 0 };
        for letter in first {
            search.visit(&mut vec![*letter], &dead);
        }
        (search.decisions, search.issued)
    };
    let all: Vec<usize> = (0..letters.len()).collect();
    let (decisions, issued) = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| all.iter().copied().filter(|n| n % 2 == half).collect::<Vec<_>>());
        let threads = halves.map(|half| scope.spawn(move || search(&half)));
        threads.map(|thread| thread.join().unwrap()).into_iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
    });
    let histories: u64 = (1..=DEPTH as u32).map(|depth| (letters.len() as u64).pow(depth)).sum();
    assert_eq!(decisions, histories * 8);
    assert!(issued > 0);
    println!(
        "{}",
        json!({
            "gate": "G1", "rounds": rounds, "letters": letters.len(),
            "histories": histories, "decisions": decisions, "issued": issued,
        })
    );
}

#[test]
fn g1_a_round_is_read_alike_whatever_stands_before_or_after_it() {
    let read = |entries: &[Option<CognitoEventUserPoolsChallengeResult>]| Rounds::read(entries, &keys(), &sign_in());
    for (entry, _) in rounds() {
        let round = read(std::slice::from_ref(&entry)).into_iter().next().unwrap();
        for letter in alphabet() {
            let [before, after] = [[entry.clone(), letter.entry.clone()], [letter.entry, entry.clone()]];
            assert_eq!(read(&before), [round, letter.round].into_iter().collect());
            assert_eq!(read(&after), [letter.round, round].into_iter().collect());
        }
    }
}

#[test]
fn f40_as_many_rounds_are_read_as_it_takes_to_see_that_they_are_too_many() {
    let sealed = state().seal(&keys(), &sign_in()).unwrap();
    let read = |rounds| {
        let entries = vec![Some(entry(Some("CUSTOM_CHALLENGE"), false, Some(&sealed))); rounds];
        let rounds = Rounds::read(&entries, &keys(), &sign_in());
        (rounds.standing() == Standing::Impossible, rounds.into_iter().count())
    };
    assert_eq!(read(MAX_ROUNDS), (false, MAX_ROUNDS));
    assert_eq!(read(MAX_ROUNDS + 1), (true, MAX_ROUNDS + 1));
    assert_eq!(read(100_000), (true, MAX_ROUNDS + 1));
}

#[test]
fn t09_an_empty_history_presents_a_challenge_or_fails() {
    for (settings, expected) in [
        (define(&[]), Some(ChallengeName::CustomChallenge)),
        (define(&[("PASSWORD_FIRST", "true")]), None),
        (define(&[("MAINTENANCE", "true")]), None),
    ] {
        for user in [alice(), nobody()] {
            for metadata in [ANSWER, RESEND] {
                match decide(&settings, &sign_in(), &user, false, &Rounds::default(), &metadata, NOW) {
                    NextStep::PresentChallenge(name) => assert_eq!(Some(name), expected),
                    NextStep::FailAuthentication(_) => assert_eq!(None, expected),
                    NextStep::IssueTokens => panic!("tokens for nothing"),
                }
            }
        }
    }
}
