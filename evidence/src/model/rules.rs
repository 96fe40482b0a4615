//! The decisions of the functions, as the model asks for them: the real ones, or with one bug put in between, to show that
//! the search would find it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::Hash;

use auth_challenge::challenge::{ChallengeState, Nonce, PRIVATE_KEY, PublicChallengeParameters, UnixSeconds};
use auth_challenge::client_metadata::{self, ClientMetadata};
use auth_challenge::code::{Answer, CodeKeys, KeyId};
use auth_challenge::create_auth_challenge::{Deliver, Next};
use auth_challenge::define_auth_challenge::{self, ChallengeName, NextStep};
use auth_challenge::limits::{Account, AccountKey, Answered, Count, Limited, Limits};
use auth_challenge::rounds::Rounds;
use auth_challenge::settings::{CreateSettings, DefineSettings, LimitsSettings, SettingsError, VerifySettings};
use auth_challenge::user::{SignIn, User, WhyUnknown};
use auth_challenge::verify_auth_challenge::{self, Refusal, Verdict};
use aws_lambda_events::cognito::CognitoEventUserPoolsChallengeResult;
use rand::{TryCryptoRng, TryRng};
use serde_json::Value;

use super::Bug;
use super::kept::{Kept, Memo, NOW};
use super::world::Fault;

const KEYS: [&str; 2] =
    ["the-first-key-of-the-model-with-enough-characters", "the-second-key-of-the-model-with-enough-letters"];

/// The functions as they are deployed at one time.
struct Stage {
    create: CreateSettings,
    define: DefineSettings,
    verify: VerifySettings,
    limits: Limits,
    counts: bool,
    change: Option<Fault>,
}

/// What the functions of one time are told by their environment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deployed {
    /// The number of the key that makes challenges.
    pub(super) key: usize,
    /// That of the key before it, while it is still known.
    pub(super) previous: Option<usize>,
    /// Whether there is a limits table.
    pub(super) counts: bool,
    /// What it is for a sign-in at hand when this comes.
    pub(super) change: Option<Fault>,
}

/// What somebody types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Text {
    /// The code of a challenge: its key's number, its nonce, its age in seconds.
    Code { key: u8, nonce: u8, age: u8 },
    /// A guess that is not right.
    Wrong(u8),
    /// The code that Bob got for a sign-in of his own.
    Bobs,
}

/// What Cognito hands a function as the state of a challenge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// The state that belongs there.
    #[default]
    Ours,
    /// That of a sign-in of Bob's.
    Bobs,
    /// The text that another version of our functions would make of it.
    AnotherVersions,
}

/// A finished round, as Cognito keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) state: ChallengeState,
    pub(super) origin: Origin,
    pub(super) correct: bool,
}

/// A sign-in, as Cognito keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Session {
    pub(super) rounds: Vec<Entry>,
    /// The challenge that the client has to answer.
    pub(super) challenge: Option<ChallengeState>,
}

/// What a count comes to, with the account under its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Counted<T> {
    Keep(u32, T),
    Repeat(T),
    Limited,
}

/// What create-auth-challenge makes of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Whether a mail goes out.
    pub(super) mail: bool,
    /// Whether it has the code that verify-auth-challenge will take.
    pub(super) mail_is_right: bool,
    /// Whether somebody who does not exist would be told the same.
    pub(super) alike: bool,
}

/// An account, as far as the invariants look into it.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) failures: u64,
    pub(super) last_failure: u64,
    challenges: Vec<Value>,
}

/// What verify-auth-challenge is asked: by which stage, a challenge, from where, an answer, whether it is one.
type Asked = (usize, ChallengeState, Origin, Text, bool);

/// All decisions for one user in one setting.
pub(super) struct Rules {
    stages: Vec<Stage>,
    user: User,
    /// Opens whatever any stage has made.
    all_keys: CodeKeys,
    key_ids: [KeyId; 2],
    bug: Option<Bug>,
    /// How often define-auth-challenge was asked.
    asked: Cell<u64>,
    pub(super) accounts: RefCell<Kept<Account>>,
    pub(super) sessions: RefCell<Kept<Session>>,
    verdicts: Memo<Asked, (Verdict, bool)>,
    steps: Memo<(usize, u32, bool), (NextStep, bool)>,
    nexts: Memo<(usize, u32, bool, u8), Option<Next>>,
    challenges: Memo<(usize, Next), Option<Challenge>>,
    mails: Memo<(usize, u32, Next), Counted<Next>>,
    answers: Memo<(usize, u32, ChallengeState, Text, bool), Counted<()>>,
    views: Memo<u32, View>,
    pub(super) later_accounts: Memo<(u32, u64), u32>,
    pub(super) later_sessions: Memo<(u32, u64), u32>,
}

impl Rules {
    /// # Errors
    ///
    /// When the settings of the model are none that the functions would take.
    pub(super) fn new(
        deployed: &[Deployed],
        max_attempts: u8,
        parameter_round: bool,
        known: bool,
        bug: Option<Bug>,
    ) -> Result<Rules, SettingsError> {
        let stage = |deployed: &Deployed| {
            let vars = |name: &str| {
                let value = match name {
                    "CODE_KEY" => KEYS[deployed.key],
                    "CODE_KEY_PREVIOUS" => KEYS[deployed.previous?],
                    "SES_FROM_ADDRESS" => "sign-in@example.com",
                    "LIMITS_TABLE" if deployed.counts => "limits",
                    "CODE_ALPHABET" => "digits",
                    "CODE_LENGTH" => "8",
                    "CODE_VALIDITY_SECONDS" | "MAIL_INTERVAL_SECONDS" => "60",
                    "RESEND_AFTER_SECONDS" => "30",
                    "MAX_MAILS" => "2",
                    "MAX_ATTEMPTS" => return Some(max_attempts.to_string()),
                    "SLOW_DOWN_AFTER_FAILURES" => "3",
                    "LATCH_AFTER_FAILURES" => "10",
                    "PARAMETER_ROUND" if parameter_round => "true",
                    "ACCEPT_RISK" => "1",
                    _ => return None,
                };
                Some(value.to_owned())
            };
            let mut stage = Stage {
                create: CreateSettings::from_vars(&vars)?,
                define: DefineSettings::from_vars(&vars)?,
                verify: VerifySettings::from_vars(&vars)?,
                limits: LimitsSettings::from_vars(&vars)?.limits,
                counts: deployed.counts,
                change: deployed.change,
            };
            if bug == Some(Bug::CodesLiveTwiceAsLong) {
                stage.define.challenge.validity *= 2;
                stage.verify.challenge.validity *= 2;
            }
            Ok(stage)
        };
        let stages = deployed.iter().map(stage).collect::<Result<Vec<_>, _>>()?;
        let keys = KEYS.map(|key| auth_challenge::code::CodeKey::new(key.as_bytes()));
        let key_ids = [keys[0].id(), keys[1].id()];
        let [first, second] = keys;
        Ok(Rules {
            stages,
            user: if known { alice() } else { User::Unknown(WhyUnknown::UserNotFound) },
            all_keys: CodeKeys { current: second, previous: Some(first) },
            key_ids,
            bug,
            asked: Cell::default(),
            accounts: Kept::new(Account::default()),
            sessions: Kept::new(Session::default()),
            verdicts: Memo::default(),
            steps: Memo::default(),
            nexts: Memo::default(),
            challenges: Memo::default(),
            mails: Memo::default(),
            answers: Memo::default(),
            views: Memo::default(),
            later_accounts: Memo::default(),
            later_sessions: Memo::default(),
        })
    }

    /// Whether there is such a bug in these decisions.
    pub(super) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub(super) fn has_parameter_round(&self) -> bool {
        self.stages[0].create.parameter_round
    }

    pub(super) fn is_known(&self) -> bool {
        matches!(self.user, User::Known(_))
    }

    pub(super) fn counts(&self, stage: usize) -> bool {
        self.stages[stage].counts
    }

    /// What it is for a sign-in at hand when a stage comes.
    pub(super) fn change(&self, stage: usize) -> Option<Fault> {
        self.stages[stage].change
    }

    pub(super) fn last_stage(&self) -> usize {
        self.stages.len() - 1
    }

    pub(super) fn first_key(&self) -> KeyId {
        self.key_ids[0]
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.stages[0].limits
    }

    /// The fewest wrong answers in a row after which none is judged.
    pub(super) fn latch_after(&self) -> u64 {
        self.stages[0].limits.latch_after.into()
    }

    /// How many answers to one challenge may be judged: each of two sign-ins that share it has one at least.
    pub(super) fn judged_at_most(&self) -> u32 {
        self.stages[0].limits.max_attempts.max(2).into()
    }

    /// The number of the key that a challenge was made with.
    pub(super) fn key_of(&self, state: &ChallengeState) -> u8 {
        u8::from(state.key_id == self.key_ids[1])
    }

    /// Judges an answer. Whether the challenge could be read is the second half.
    pub(super) fn verify(
        &self,
        stage: usize,
        state: &ChallengeState,
        origin: Origin,
        text: Text,
        resend: bool,
    ) -> (Verdict, bool) {
        let key = (stage, *state, origin, text, resend);
        self.verdicts.get(key, |_| {
            let private = HashMap::from([(PRIVATE_KEY.to_owned(), self.sealed(state, origin))]);
            let typed = self.typed(text, state);
            let settings = &self.stages[stage].verify;
            let metadata = metadata(resend);
            let friend = alice();
            let user = if self.has(Bug::StrangersGetTokens) { &friend } else { &self.user };
            let (verdict, read) =
                verify_auth_challenge::decide(settings, &alices(), user, &private, &typed, &metadata, NOW);
            let verdict = match (self.bug, verdict, text) {
                (Some(Bug::AnyCodeOfTheAccountOpens), Verdict::Reject(Refusal::CodeMismatch), Text::Code { .. }) => {
                    Verdict::Accept
                }
                _ => verdict,
            };
            (verdict, read.is_some())
        })
    }

    /// What comes next, and whether it is the same when asked again.
    pub(super) fn define(&self, stage: usize, session: u32, resend: bool) -> (NextStep, bool) {
        self.steps.get((stage, session, resend), |_| {
            let settings = &self.stages[stage].define;
            let kept = self.sessions.borrow().get(session);
            let rounds = self.rounds(&settings.challenge.keys, &kept);
            let friend = alice();
            let user = if self.has(Bug::StrangersGetTokens) { &friend } else { &self.user };
            let decide = || {
                let step =
                    define_auth_challenge::decide(settings, &alices(), user, false, &rounds, &metadata(resend), NOW);
                self.asked.set(self.asked.get() + 1);
                match self.bug {
                    Some(Bug::DefineWavers) if self.asked.get().is_multiple_of(2) => {
                        NextStep::PresentChallenge(ChallengeName::CustomChallenge)
                    }
                    _ => step,
                }
            };
            let (first, second) = (decide(), decide());
            (first, first == second)
        })
    }

    /// What the next round is about. `None`: create-auth-challenge answers with an error.
    pub(super) fn next(&self, stage: usize, session: u32, resend: bool, nonce: u8) -> Option<Next> {
        self.nexts.get((stage, session, resend, nonce), |_| {
            let settings = &self.stages[stage].create;
            let kept = self.sessions.borrow().get(session);
            let rounds = self.rounds(&settings.challenge.keys, &kept);
            Next::decide(settings, &rounds, &metadata(resend), NOW, &mut Always(nonce)).ok()
        })
    }

    /// The challenge of a round. `None`: create-auth-challenge answers with an error.
    pub(super) fn challenge(&self, stage: usize, next: &Next) -> Option<Challenge> {
        self.challenges.get((stage, next.clone()), |_| {
            let settings = &self.stages[stage].create;
            let make = |user: &User| next.challenge(settings, &alices(), user, &metadata(false), NOW).ok();
            let (known, unknown) = (make(&alice())?, make(&User::Unknown(WhyUnknown::UserNotFound))?);
            let mut told_to_unknown = unknown.public.clone();
            if self.has(Bug::UnknownUsersHaveOneAnswer) {
                told_to_unknown.attempts_left = 1;
            }
            let map = |public: &PublicChallengeParameters| HashMap::<String, String>::from(public.clone());
            let alike = map(&known.public) == map(&told_to_unknown)
                && known.sealed_state.len() == unknown.sealed_state.len()
                && matches!(
                    (&known.deliver, &unknown.deliver),
                    (Deliver::Mail(_), Deliver::Pretend(_)) | (Deliver::Nothing, Deliver::Nothing)
                );
            let mail_is_right = match &known.deliver {
                Deliver::Mail(message) => {
                    let code = self.typed(self.code_of(&next.state), &next.state);
                    message.code.grouped().as_str() == code
                }
                Deliver::Nothing | Deliver::Pretend(_) => true,
            };
            Some(Challenge { mail: next.mailed && self.is_known(), mail_is_right, alike })
        })
    }

    /// Counts the mail of a round.
    pub(super) fn count_mail(&self, stage: usize, account: u32, next: &Next) -> Counted<Next> {
        self.mails.get((stage, account, next.clone()), |_| {
            let account = self.accounts.borrow().get(account);
            let limits = &self.stages[stage].limits;
            let counted = next.count(limits, &alices().client_id, &account, NOW);
            match (self.bug, self.keep(counted)) {
                (Some(Bug::RepeatsMailAgain), Counted::Repeat(mut next)) => {
                    next.mailed = true;
                    Counted::Repeat(next)
                }
                (Some(Bug::RepeatsAreNotMarked), Counted::Repeat(mut next)) => {
                    next.state.repeated = false;
                    Counted::Repeat(next)
                }
                (Some(Bug::SignInsForgetFailures), Counted::Keep(account, next)) => {
                    Counted::Keep(self.without_failures(account), next)
                }
                (_, counted) => counted,
            }
        })
    }

    /// Takes back what was counted for a mail that was not sent.
    pub(super) fn take_back(&self, stage: usize, account: u32, next: &Next) -> u32 {
        if self.has(Bug::NothingIsTakenBack) {
            return account;
        }
        let kept = self.accounts.borrow().get(account);
        let account = kept.take_back(&self.stages[stage].limits, &next.state);
        self.accounts.borrow_mut().id(account)
    }

    /// Counts an answer.
    pub(super) fn count_answer(
        &self,
        stage: usize,
        account: u32,
        state: &ChallengeState,
        text: Text,
        right: bool,
    ) -> Counted<()> {
        self.answers.get((stage, account, *state, text, right), |_| {
            let tag = self.tag(state, text);
            let account = self.accounts.borrow().get(account);
            let answered = Answered { tag: &tag, right, proof: None };
            let mut limits = self.stages[stage].limits;
            if self.has(Bug::AnswersHaveNoEnd) {
                limits.max_attempts = 9;
            }
            let counted = account.answer(&limits, &alices().client_id, state, answered, NOW);
            match (self.bug, counted) {
                (Some(Bug::CodesServeTwice), Err(Limited::Used)) if right => Counted::Repeat(()),
                (_, counted) => self.keep(counted),
            }
        })
    }

    /// In which of a world's accounts something about this challenge is counted, and whether anybody else's is counted there
    /// too. `None`: these functions do not have the key.
    pub(super) fn account_of(&self, stage: usize, state: &ChallengeState) -> Option<(usize, bool)> {
        let key = self.stages[stage].create.challenge.keys.find(state.key_id)?;
        let name = |sign_in: SignIn, user: &User| {
            let user_name = if self.has(Bug::OneAccountForAll) { String::new() } else { sign_in.user_name };
            AccountKey::new(key, &SignIn { user_name, ..sign_in }, user).name
        };
        let shared = name(alices(), &self.user) == name(bobs(), &self.user);
        Some((self.key_of(state).into(), shared))
    }

    /// An account, as far as the invariants look into it.
    pub(super) fn view(&self, account: u32) -> View {
        self.views.get(account, |_| {
            let account = self.accounts.borrow().get(account);
            let mut json = serde_json::to_value(&*account).unwrap_or_default();
            View {
                failures: json["failures"].as_u64().unwrap_or_default(),
                last_failure: json["last_failure"].as_u64().unwrap_or_default(),
                challenges: json["challenges"].as_array_mut().map(std::mem::take).unwrap_or_default(),
            }
        })
    }

    /// Whether an account holds this answer to a challenge, or that it was right.
    pub(super) fn holds_answer(&self, account: u32, state: &ChallengeState, text: Text, right: bool) -> bool {
        let tag = self.tag(state, text);
        self.view(account).of(state).is_some_and(|counted| match right {
            true => !counted["accepted"].is_null(),
            false => counted["answers"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|tags| tags.as_array().into_iter().flatten().any(|counted| counted.as_str() == Some(&tag))),
        })
    }

    /// Whether an account holds as many mails of a challenge as its state says.
    pub(super) fn holds_mail(&self, account: u32, state: &ChallengeState) -> bool {
        self.view(account).of(state).and_then(counted_state).is_some_and(|counted| counted.mails >= state.mails)
    }

    /// The code of a challenge.
    pub(super) fn code_of(&self, state: &ChallengeState) -> Text {
        let age = NOW.0.saturating_sub(state.issued_at.0);
        Text::Code { key: self.key_of(state), nonce: nonce_of(state), age: age as u8 }
    }

    fn keep<T>(&self, counted: Result<Count<T>, Limited>) -> Counted<T> {
        match counted {
            Ok(Count::Keep(account, value)) => Counted::Keep(self.accounts.borrow_mut().id(account), value),
            Ok(Count::Repeat(value)) => Counted::Repeat(value),
            Err(_) => Counted::Limited,
        }
    }

    fn without_failures(&self, account: u32) -> u32 {
        let account = self.accounts.borrow().get(account);
        let mut json = serde_json::to_value(&*account).unwrap_or_default();
        (json["failures"], json["level"]) = (0.into(), 0.into());
        let account = serde_json::from_value(json).unwrap_or_default();
        self.accounts.borrow_mut().id(account)
    }

    fn tag(&self, state: &ChallengeState, text: Text) -> String {
        let typed = Answer::read(&self.typed(text, state), self.stages[0].verify.challenge.format.alphabet);
        self.all_keys.find(state.key_id).map(|key| typed.tag(key, &alices(), &state.nonce)).unwrap_or_default()
    }

    /// What somebody types, letter by letter.
    fn typed(&self, text: Text, state: &ChallengeState) -> String {
        let code = |sign_in: &SignIn, state: &ChallengeState| {
            let format = self.stages[0].verify.challenge.format;
            state.code(&self.all_keys, sign_in, format).map(|code| code.grouped().to_string()).unwrap_or_default()
        };
        match text {
            Text::Code { key, nonce, age } => {
                let key_id = self.key_ids[usize::from(key)];
                let issued_at = UnixSeconds(NOW.0 - u64::from(age));
                code(&alices(), &ChallengeState { key_id, nonce: Nonce::from([nonce; 16]), issued_at, ..*state })
            }
            Text::Wrong(which) => format!("0000000{which}"),
            Text::Bobs => code(&bobs(), state),
        }
    }

    fn sealed(&self, state: &ChallengeState, origin: Origin) -> String {
        let seal = |sign_in: SignIn| state.seal(&self.all_keys, &sign_in).unwrap_or_default();
        match origin {
            Origin::Ours => seal(alices()),
            Origin::Bobs => seal(bobs()),
            Origin::AnotherVersions => seal(alices()).replacen("1.", "2.", 1),
        }
    }

    /// The history that a function with these keys reads.
    fn rounds(&self, keys: &CodeKeys, session: &Session) -> Rounds {
        let entries = session.rounds.iter().map(|round| {
            let mut entry = CognitoEventUserPoolsChallengeResult::default();
            entry.challenge_name = Some("CUSTOM_CHALLENGE".to_owned());
            entry.challenge_result = round.correct;
            entry.challenge_metadata = Some(self.sealed(&round.state, round.origin));
            Some(entry)
        });
        Rounds::read(&entries.collect::<Vec<_>>(), keys, &alices())
    }
}

impl View {
    fn of(&self, state: &ChallengeState) -> Option<&Value> {
        self.challenges
            .iter()
            .find(|counted| counted_state(counted).is_some_and(|counted| counted.nonce == state.nonce))
    }
}

fn counted_state(counted: &Value) -> Option<ChallengeState> {
    counted["state"].as_str()?.parse().ok()
}

/// The number of a challenge.
pub(super) fn nonce_of(state: &ChallengeState) -> u8 {
    state.nonce.bytes()[0]
}

fn metadata(resend: bool) -> ClientMetadata {
    let action = if resend { client_metadata::Action::Resend } else { client_metadata::Action::Answer };
    ClientMetadata { action, ..ClientMetadata::default() }
}

fn sign_in(user_name: &str) -> SignIn {
    SignIn {
        user_pool_id: "eu-west-1_EXAMPLE".to_owned(),
        client_id: "1example23456789".to_owned(),
        user_name: user_name.to_owned(),
        unproved: None,
    }
}

fn alices() -> SignIn {
    sign_in("alice")
}

fn bobs() -> SignIn {
    sign_in("bob")
}

fn alice() -> User {
    let attributes = [("email", "alice@example.com"), ("email_verified", "true"), ("cognito:user_status", "CONFIRMED")];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    User::read(false, &attributes, &auth_challenge::settings::RecipientSettings::default())
}

/// Chance that always gives the same: a challenge's number for its nonce.
struct Always(u8);

impl TryRng for Always {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Always {}
