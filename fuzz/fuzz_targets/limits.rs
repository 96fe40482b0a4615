//! What is counted for an account, through any life of it.
//!
//! Holds, while clocks differ by no more than we allow them to: of a challenge no more answers are judged than there are, and one
//! right one; never more mails at once, or in a day, than there may be. Holds whatever the clocks do: wrong answers are forgotten by a right
//! one or a day's pause alone, and counted one by one; none is judged past the latch; what is kept is read back as it was.
#![no_main]

use std::collections::BTreeSet;
use std::time::Duration;

use arbitrary::Arbitrary;
use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, UnixSeconds};
use auth_challenge::code::CodeKey;
use auth_challenge::limits::{Account, Answered, Count, Limited, Limits};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

#[derive(Arbitrary, Debug)]
struct Input {
    mail_burst: u8,
    mail_interval: u16,
    mails_per_day: u8,
    slow_down_after: u8,
    latch_after: u8,
    max_attempts: u8,
    validity: u16,
    /// Whether clocks do what they want.
    wild: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
struct Step {
    act: Act,
    elapsed: Elapsed,
    /// How far the clock of this function is from the time.
    skew: i8,
    /// Where clocks do what they want.
    jump: i64,
}

#[derive(Arbitrary, Debug)]
enum Elapsed {
    Nothing,
    Seconds(u8),
    Minutes(u8),
    Hours(u8),
}

#[derive(Arbitrary, Debug)]
enum Act {
    Start {
        second_client: bool,
        again: bool,
    },
    /// A challenge that was made while nothing could be counted.
    Uncounted,
    TakeBack,
    Resend {
        session: u8,
    },
    Answer {
        session: u8,
        tag: u8,
        right: bool,
        next_round: bool,
    },
}

/// A sign-in that somebody has begun.
struct Session {
    state: ChallengeState,
    client: &'static str,
    challenge: usize,
}

/// What was counted for a challenge.
#[derive(Default)]
struct Challenge {
    wrong: [BTreeSet<String>; 2],
    accepted: bool,
}

const DAY: u64 = 86_400;
const BEGINNING: u64 = 1_767_268_800;

fuzz_target!(|input: Input| {
    let limits = Limits {
        mail_burst: u32::from(input.mail_burst % 10) + 1,
        // Longer than it takes to know that a mail was not sent, by any two clocks: then taking it back gives nothing away.
        mail_interval: Duration::from_secs(u64::from(input.mail_interval % 3_600).max(40)),
        mails_per_day: usize::from(input.mails_per_day % 30) + 1,
        slow_down_after: u32::from(input.slow_down_after % 20) + 3,
        latch_after: u32::from(input.latch_after % 91) + 10,
        max_attempts: input.max_attempts % 5 + 1,
        validity: Duration::from_secs(u64::from(input.validity % 541) + 60),
    };
    let mut life = Life::new(limits, input.wild);
    let mut time = BEGINNING;
    for step in input.steps.iter().take(200) {
        time += match step.elapsed {
            Elapsed::Nothing => 0,
            Elapsed::Seconds(seconds) => seconds.into(),
            Elapsed::Minutes(minutes) => 60 * u64::from(minutes),
            Elapsed::Hours(hours) => 3_600 * u64::from(hours),
        };
        // Two clocks may differ by 30 s.
        let now = if input.wild {
            time.saturating_add_signed(step.jump % (1 << 40))
        } else {
            time.saturating_add_signed(i64::from(step.skew % 16))
        };
        life.step(&step.act, UnixSeconds(now), time);
    }
});

struct Life {
    limits: Limits,
    wild: bool,
    account: Account,
    sessions: Vec<Session>,
    challenges: Vec<Challenge>,
    /// By the clock of the function that counted them.
    mails: Vec<u64>,
    /// The session, mail and time of the last beginning.
    begun: Option<(usize, usize, u64)>,
    key: CodeKey,
}

impl Life {
    fn new(limits: Limits, wild: bool) -> Life {
        let key = CodeKey::new(b"any key of thirty-two octets or so");
        let account = Account::default();
        Life { limits, wild, account, sessions: vec![], challenges: vec![], mails: vec![], begun: None, key }
    }

    fn step(&mut self, act: &Act, now: UnixSeconds, time: u64) {
        match *act {
            Act::Start { second_client, again } => self.start(if second_client { "b" } else { "a" }, again, now, time),
            Act::Uncounted => {
                let state = self.fresh(now);
                self.sessions.push(Session { state, client: "a", challenge: self.challenges.len() });
                self.challenges.push(Challenge::default());
            }
            Act::TakeBack => self.take_back(time),
            Act::Resend { session } => self.resend(session.into(), now),
            Act::Answer { session, tag, right, next_round } => self.answer(session.into(), tag, right, next_round, now),
        }
    }

    fn fresh(&self, now: UnixSeconds) -> ChallengeState {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&(self.challenges.len() as u64).to_be_bytes());
        ChallengeState {
            kind: ChallengeKind::Code,
            key_id: self.key.id(),
            nonce: Nonce::from(nonce),
            issued_at: now,
            attempts: 0,
            mails: 1,
            last_sent: now,
            repeated: false,
        }
    }

    fn start(&mut self, client: &'static str, again: bool, now: UnixSeconds, time: u64) {
        let fresh = self.fresh(now);
        match self.account.start(&self.limits, client, fresh, now) {
            Ok(Count::Keep(account, state)) => {
                assert_eq!(state, fresh);
                let [level, last] = ["level", "last_failure"].map(|name| counts(&self.account)[name].as_u64().unwrap());
                let forgotten = last + DAY <= now.0;
                assert!(
                    forgotten || level < self.limits.slow_down_after.into() || now.0 >= last + 30,
                    "not slowed down"
                );
                assert!(forgotten || self.failures() < self.limits.latch_after.into(), "begun past the latch");
                self.keep(account, now, false);
                self.mail(now);
                self.begun = Some((self.sessions.len(), self.mails.len() - 1, time));
                self.sessions.push(Session { state, client, challenge: self.challenges.len() });
                self.challenges.push(Challenge::default());
                if again {
                    let counted = self.account.start(&self.limits, client, fresh, now);
                    assert_eq!(counted, Ok(Count::Keep(self.account.clone(), fresh)), "counted again");
                }
            }
            Ok(Count::Repeat(state)) => {
                let shared = self.sessions.iter().find(|session| session.state.nonce == state.nonce).unwrap();
                let challenge = &self.challenges[shared.challenge];
                assert!(state.repeated && shared.client == client && !challenge.accepted);
                assert!(self.wild || challenge.wrong.iter().all(BTreeSet::is_empty));
                self.sessions.push(Session { state, client, challenge: shared.challenge });
            }
            Err(limited) => assert!(matches!(limited, Limited::Mails | Limited::Failures)),
        }
    }

    /// Whoever knows that a mail was not sent knows it within seconds, before anybody could answer.
    fn take_back(&mut self, time: u64) {
        let Some((session, mail, begun)) = self.begun.take() else { return };
        let Session { state, challenge, .. } = self.sessions[session];
        let is_untouched = state.mails == 1 && self.challenges[challenge].wrong.iter().all(BTreeSet::is_empty);
        let is_last = mail + 1 == self.mails.len();
        if time - begun > 5 || !is_untouched || !is_last || self.challenges[challenge].accepted || self.wild {
            return;
        }
        let account = self.account.take_back(&self.limits, &state);
        assert_eq!(counts(&account)["failures"], counts(&self.account)["failures"]);
        self.account = account;
        self.mails.remove(mail);
        self.sessions.retain(|session| session.challenge != challenge);
    }

    fn resend(&mut self, session: usize, now: UnixSeconds) {
        let Some(Session { state, client, .. }) = self.sessions.get(session) else { return };
        if !state.is_live(now, self.limits.validity) || state.mails >= 5 {
            return;
        }
        let again = ChallengeState { mails: state.mails + 1, last_sent: now.max(state.last_sent), ..*state };
        match self.account.resend(&self.limits, client, again, now) {
            Ok(Count::Keep(account, sent)) => {
                assert_eq!(sent, again);
                self.keep(account, now, false);
                self.mail(now);
                self.sessions[session].state = sent;
            }
            Ok(Count::Repeat(sent)) => {
                assert_eq!(ChallengeState { last_sent: again.last_sent, ..sent }, again);
                self.sessions[session].state = sent;
            }
            Err(limited) => assert_eq!(limited, Limited::Mails),
        }
    }

    fn answer(&mut self, session: usize, tag: u8, right: bool, next_round: bool, now: UnixSeconds) {
        let Some(Session { state, client, challenge }) = self.sessions.get(session) else { return };
        // Nobody judges another.
        if !state.is_live(now, self.limits.validity) {
            return;
        }
        let (state, challenge) = (*state, *challenge);
        let tag = if right { "right".to_owned() } else { format!("{}", tag % 16) };
        let answer = Answered { tag: &tag, right, proof: right.then_some("proof") };
        match self.account.answer(&self.limits, client, &state, answer, now) {
            Ok(Count::Keep(account, ())) => {
                let last = counts(&self.account)["last_failure"].as_u64().unwrap();
                let row = if last + DAY <= now.0 { 0 } else { self.failures() };
                assert!(row < self.limits.latch_after.into(), "judged past the latch");
                self.keep(account, now, right);
                let failures = self.failures();
                let counted = &mut self.challenges[challenge];
                if right {
                    assert!(self.wild || !counted.accepted, "two right answers");
                    assert_eq!(failures, 0);
                    counted.accepted = true;
                    assert!(self.account.has("proof", now));
                } else {
                    assert!(self.wild || !counted.accepted, "judged after a right answer");
                    let kind = usize::from(state.repeated);
                    counted.wrong[kind].insert(tag);
                    let [first, repeats] = [&counted.wrong[0], &counted.wrong[1]].map(BTreeSet::len);
                    let most = usize::from(self.limits.max_attempts);
                    let allowed = usize::from(state.allowed_attempts(self.limits.max_attempts));
                    assert!(self.wild || counted.wrong[kind].len() <= allowed, "more answers than there are");
                    assert!(self.wild || first + repeats <= most.max(2), "more answers than there are");
                    assert_eq!(failures, row + 1, "counted one by one");
                }
            }
            Ok(Count::Repeat(())) => {
                let counted = &self.challenges[challenge];
                assert!(if right {
                    counted.accepted && !state.repeated
                } else {
                    counted.wrong.iter().any(|tags| tags.contains(&tag))
                });
            }
            Err(limited) => assert_ne!(limited, Limited::Mails),
        }
        if next_round && !right {
            let state = &mut self.sessions[session].state;
            state.attempts = state.attempts.saturating_add(1);
        }
    }

    fn failures(&self) -> u64 {
        counts(&self.account)["failures"].as_u64().unwrap()
    }

    fn keep(&mut self, account: Account, now: UnixSeconds, right: bool) {
        let before = self.account.clone();
        let text = serde_json::to_string(&account).unwrap();
        assert_eq!(serde_json::from_str::<Account>(&text).unwrap(), account, "read back as it was");
        assert!(account.expires_at(&self.limits) > now || self.wild, "forgotten too soon");
        self.account = account;
        let [before, after] = [&before, &self.account].map(counts);
        let number = |of: &Value, name: &str| of[name].as_u64().unwrap();
        let is_over = number(&before, "last_failure") + DAY <= now.0;
        assert!(
            right || is_over || number(&after, "failures") >= number(&before, "failures"),
            "wrong answers are forgotten"
        );
        assert!(number(&after, "level") <= u64::from(self.limits.slow_down_after) + 7);
        assert!(after["mails"].as_array().unwrap().len() <= self.limits.mails_per_day);
    }

    /// Counts a mail, and looks whether there may be as many.
    fn mail(&mut self, now: UnixSeconds) {
        self.mails.push(now.0);
        let interval = i128::from(self.limits.mail_interval.as_secs());
        for (earlier, at) in self.mails.iter().rev().enumerate() {
            let sent = i128::try_from(earlier).unwrap() + 1;
            let time = i128::from(now.0) - i128::from(*at);
            assert!(sent * interval <= time + interval * i128::from(self.limits.mail_burst), "too many mails at once");
        }
        // Another function's clock, 30 s ahead, may have forgotten those of 24 hours ago.
        let today = self.mails.iter().filter(|at| **at + DAY > now.0 + 30).count();
        assert!(self.wild || today <= self.limits.mails_per_day, "too many mails in a day");
    }
}

/// What is written into the table.
fn counts(account: &Account) -> Value {
    serde_json::to_value(account).unwrap()
}
