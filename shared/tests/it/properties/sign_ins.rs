//! Whole sign-ins, as Cognito runs them over the decisions.

use std::collections::HashMap;
use std::time::Duration;

use auth_challenge::challenge::{PRIVATE_KEY, UnixSeconds};
use auth_challenge::client_metadata::{Action, ClientMetadata};
use auth_challenge::create_auth_challenge::{self, Challenge, Deliver};
use auth_challenge::define_auth_challenge::{self, NextStep};
use auth_challenge::rounds::{MAX_ROUNDS, Round, Rounds};
use auth_challenge::settings::{CreateSettings, DefineSettings, VerifySettings};
use auth_challenge::user::User;
use auth_challenge::verify_auth_challenge::{self, Verdict};
use proptest::prelude::*;

use crate::example::{ANSWER, Counter, NOW, RESEND, alice, create, define, keys, later, nobody, sign_in, verify};

/// A sign-in as Cognito runs it over the decisions.
pub(crate) struct Simulation {
    define: DefineSettings,
    create: CreateSettings,
    verify: VerifySettings,
    user: User,
    rounds: Vec<Round>,
    chance: Counter,
    /// The challenge that waits for an answer.
    live: Option<Challenge>,
    /// The code of the newest mail, as somebody with a mailbox reads it; for an unknown user, what it would have been.
    pub(crate) code: String,
}

/// What the client sees.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Challenge(HashMap<String, String>),
    Tokens,
    Failure,
}

impl Simulation {
    pub(crate) fn new(user: User, given: &[(&str, &str)]) -> Simulation {
        Simulation {
            define: define(given),
            create: create(given),
            verify: verify(given),
            user,
            rounds: Vec::new(),
            chance: Counter(0),
            live: None,
            code: String::new(),
        }
    }

    /// Another sign-in, with nothing of the one before but its settings.
    pub(crate) fn begin(&mut self, now: UnixSeconds) -> Seen {
        self.rounds.clear();
        self.next(&ClientMetadata::default(), now)
    }

    fn next(&mut self, metadata: &ClientMetadata, now: UnixSeconds) -> Seen {
        let rounds: Rounds = self.rounds.iter().copied().collect();
        match define_auth_challenge::decide(&self.define, &sign_in(), &self.user, false, &rounds, metadata, now) {
            NextStep::IssueTokens => Seen::Tokens,
            NextStep::FailAuthentication(_) => Seen::Failure,
            NextStep::PresentChallenge(_) => {
                let (user, chance) = (&self.user, &mut self.chance);
                let made =
                    create_auth_challenge::decide(&self.create, &sign_in(), user, &rounds, metadata, now, chance)
                        .unwrap();
                let format = self.verify.challenge.format;
                self.code = made.state.code(&keys(), &sign_in(), format).unwrap().grouped().to_string();
                let seen = Seen::Challenge(made.public.clone().into());
                self.live = Some(made);
                seen
            }
        }
    }

    pub(crate) fn answer(&mut self, answer: &str, metadata: &ClientMetadata, now: UnixSeconds) -> Seen {
        let live = self.live.take().unwrap();
        let private = HashMap::from([(PRIVATE_KEY.to_owned(), live.sealed_state)]);
        let (verdict, _) =
            verify_auth_challenge::decide(&self.verify, &sign_in(), &self.user, &private, answer, metadata, now);
        self.rounds.push(Round::CustomChallenge { state: live.state, correct: verdict == Verdict::Accept });
        self.next(metadata, now)
    }
}

/// One thing that a person does with the form.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Right,
    Wrong,
    Resend,
    /// The right code, typed into a client that says `RESEND` with it.
    RightWithResend,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000), ..ProptestConfig::default() })]

    /// What a sign-in comes to, against an account of it that is written for this test: counts and clock only.
    #[test]
    fn p_whole_sign_ins_end_as_they_should(
        deeds in proptest::collection::vec(
            (prop_oneof![1 => Just(Deed::Right), 3 => Just(Deed::Wrong), 3 => Just(Deed::Resend), 1 => Just(Deed::RightWithResend)],
             0..120u64), 1..20),
        parameter_round: bool,
        max_attempts in 1..=5u8, max_mails in 1..=5u8,
    ) {
        let (attempts, mails) = (max_attempts.to_string(), max_mails.to_string());
        let given = [
            ("MAX_ATTEMPTS", &*attempts), ("MAX_MAILS", &*mails),
            ("PARAMETER_ROUND", if parameter_round { "true" } else { "false" }),
        ];
        let mut known = Simulation::new(alice(), &given);
        let mut unknown = Simulation::new(nobody(), &given);
        let mut now = NOW;
        // T25 to T30: an unknown user sees what a known one sees, until a right answer.
        prop_assert_eq!(known.next(&ANSWER, now), unknown.next(&ANSWER, now));
        if parameter_round {
            prop_assert_eq!(known.answer("__dummy__", &ANSWER, now), unknown.answer("__dummy__", &ANSWER, now));
        }
        let (mut wrong, mut mailed, mut last_mail) = (0, 1, now);
        for (round, (deed, pause)) in deeds.into_iter().enumerate() {
            now = now.plus(Duration::from_secs(pause));
            let code = known.code.clone();
            let (answer, metadata) = match deed {
                Deed::Right => (&*code, ANSWER),
                Deed::Wrong => ("00000000", ANSWER),
                Deed::Resend => ("", RESEND),
                Deed::RightWithResend => (&*code, RESEND),
            };
            prop_assume!(code.replace(' ', "") != "00000000");
            let in_time = now < later(600);
            let rounds = round + 1 + usize::from(parameter_round);
            let seen = known.answer(answer, &metadata, now);
            let seen_by_unknown = unknown.answer(answer, &metadata, now);
            let mut expected_error = None;
            match deed {
                Deed::Right => {
                    let expected = if in_time { Seen::Tokens } else { Seen::Failure };
                    prop_assert_eq!(&seen, &expected);
                    prop_assert_ne!(seen_by_unknown, Seen::Tokens);
                    return Ok(());
                }
                Deed::Wrong => {
                    wrong += 1;
                    expected_error = Some("CODE_MISMATCH");
                }
                Deed::Resend | Deed::RightWithResend if mailed >= max_mails => expected_error = Some("RESEND_LIMIT"),
                Deed::Resend | Deed::RightWithResend if now < last_mail.plus(Duration::from_secs(30)) => {
                    expected_error = Some("RESEND_TOO_SOON");
                }
                Deed::Resend | Deed::RightWithResend => {
                    mailed += 1;
                    last_mail = now;
                }
            }
            prop_assert_eq!(&seen, &seen_by_unknown);
            let goes_on = in_time && wrong < max_attempts && rounds < MAX_ROUNDS;
            match seen {
                Seen::Challenge(public) => {
                    prop_assert!(goes_on);
                    prop_assert_eq!(public.get("errorCode").map(String::as_str), expected_error);
                    prop_assert_eq!(&public["attemptsLeft"], &(max_attempts - wrong).to_string());
                    prop_assert_eq!(&public["expiresAt"], &later(600).to_string());
                    prop_assert_eq!(&known.code, &code, "the code changed");
                    let live = known.live.as_ref().unwrap();
                    let is_mailed = matches!(live.deliver, Deliver::Mail(_));
                    prop_assert_eq!(is_mailed, metadata.action == Action::Resend && expected_error.is_none());
                    prop_assert_eq!(live.state.mails, mailed);
                }
                Seen::Failure => {
                    prop_assert!(!goes_on);
                    return Ok(());
                }
                Seen::Tokens => prop_assert!(false, "tokens for {deed:?}"),
            }
        }
    }
}
