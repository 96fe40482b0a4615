//! What holds whatever comes: inputs are drawn by chance, and rules are compared with other ways to say the same.
//!
//! `PROPTEST_CASES=10000` draws so many of each. Ids such as P06 are those of the list of properties that these come from.

mod around;
mod codes;
mod create;
mod define;
mod limits;
mod recipients;
mod risk;
mod rounds;
mod settings;
pub(crate) mod sign_ins;
mod states;
mod verify;

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, UnixSeconds};
use auth_challenge::client_metadata::{Action, ClientMetadata, SignInMethod};
use auth_challenge::code::{Alphabet, CodeFormat, MAX_LENGTH, MIN_LENGTH};
use auth_challenge::email_address::EmailAddress;
use auth_challenge::recipient::{LanguageTag, Recipient};
use auth_challenge::rounds::Round;
use auth_challenge::user::{User, WhyUnknown};
use proptest::prelude::*;

use crate::example::{NOW, alice, keys, state};

fn alphabets() -> impl Strategy<Value = Alphabet> {
    prop_oneof![Just(Alphabet::Digits), Just(Alphabet::Letters)]
}

fn formats() -> impl Strategy<Value = CodeFormat> {
    (alphabets(), MIN_LENGTH..=MAX_LENGTH).prop_map(|(alphabet, length)| CodeFormat::new(alphabet, length).unwrap())
}

/// A state of any values.
fn states() -> impl Strategy<Value = ChallengeState> {
    let kind = prop_oneof![
        Just((ChallengeKind::Code, false)),
        Just((ChallengeKind::Code, true)),
        Just((ChallengeKind::Parameters, false))
    ];
    let key = prop_oneof![Just(keys().current.id()), Just(keys().previous.unwrap().id())];
    (kind, key, any::<[u8; 16]>(), any::<u64>(), any::<u8>(), any::<u8>(), any::<u64>()).prop_map(
        |((kind, repeated), key_id, nonce, issued_at, attempts, mails, last_sent)| ChallengeState {
            kind,
            key_id,
            nonce: Nonce::from(nonce),
            issued_at: UnixSeconds(issued_at),
            attempts,
            mails,
            last_sent: UnixSeconds(last_sent),
            repeated,
        },
    )
}

/// A moment around the life of the example's challenge.
fn moments() -> impl Strategy<Value = UnixSeconds> {
    (0..1_500_u64).prop_map(|seconds| UnixSeconds(NOW.0 - 100 + seconds))
}

/// A round of the example's sign-in, or one that looks much like it.
fn rounds() -> impl Strategy<Value = Round> {
    let custom = (0..8_u8, 0..4_u8, 1..4_u8, 0..3_u64, prop::bool::weighted(0.2)).prop_map(
        |(other, attempts, mails, resent, correct)| {
            let state = ChallengeState { attempts, mails, last_sent: UnixSeconds(NOW.0 + 30 * resent), ..state() };
            let state = match other {
                0 => ChallengeState { kind: ChallengeKind::Parameters, mails: 0, ..state },
                1 => ChallengeState { nonce: Nonce::from([8; 16]), ..state },
                2 => ChallengeState { repeated: true, ..state },
                3 => ChallengeState { issued_at: UnixSeconds(NOW.0 + 5), ..state },
                _ => state,
            };
            Round::CustomChallenge { state, correct }
        },
    );
    prop_oneof![1 => Just(Round::SrpA), 1 => Just(Round::PasswordVerified), 1 => Just(Round::Unrecognized), 12 => custom]
}

/// The rounds of a sign-in that goes on: perhaps a password, then the same challenge again and again, answered wrongly but perhaps at
/// last.
fn possible_rounds() -> impl Strategy<Value = Vec<Round>> {
    let answers = prop::collection::vec((any::<bool>(), any::<bool>()), 0..6);
    (0..3_u8, any::<bool>(), answers, any::<bool>()).prop_map(|(password, parameters, answers, last)| {
        let mut rounds =
            [vec![], vec![Round::SrpA], vec![Round::SrpA, Round::PasswordVerified]][usize::from(password)].clone();
        if parameters {
            let state =
                ChallengeState { kind: ChallengeKind::Parameters, nonce: Nonce::from([9; 16]), mails: 0, ..state() };
            rounds.push(Round::CustomChallenge { state, correct: false });
        }
        let mut state = state();
        let count = answers.len();
        for (place, (wrong, resent)) in answers.into_iter().enumerate() {
            rounds.push(Round::CustomChallenge { state, correct: last && place + 1 == count });
            state.attempts += u8::from(wrong);
            state.mails += u8::from(resent);
        }
        rounds
    })
}

/// The code that was asked for last, if one was.
fn asked(rounds: &[Round]) -> Option<ChallengeState> {
    match rounds.last() {
        Some(Round::CustomChallenge { state, .. }) => (state.kind == ChallengeKind::Code).then_some(*state),
        Some(Round::SrpA | Round::PasswordVerified | Round::Unrecognized) | None => None,
    }
}

/// What a client may say that we listen to.
fn metadata() -> impl Strategy<Value = ClientMetadata> {
    let action = prop_oneof![3 => Just(Action::Answer), 1 => Just(Action::Resend)];
    let method = prop_oneof![5 => Just(SignInMethod::EmailOtp), 1 => Just(SignInMethod::Unsupported)];
    (action, method, locales()).prop_map(|(action, sign_in_method, locale)| ClientMetadata {
        action,
        sign_in_method,
        locale,
    })
}

fn locales() -> impl Strategy<Value = Option<LanguageTag>> {
    prop::option::of("[a-z]{2,3}(-[A-Z]{2})?").prop_map(|tag| LanguageTag::parse(&tag?))
}

/// Somebody who may be sent a code.
fn known() -> impl Strategy<Value = User> {
    let address = "[a-z0-9.+_-]{1,20}@[a-z]{1,10}\\.(com|example|org)";
    (address, locales()).prop_map(|(address, locale)| {
        let address = EmailAddress::parse(&address).unwrap();
        User::Known(Recipient { address, verified: true, locale, name: None })
    })
}

fn unknown() -> impl Strategy<Value = User> {
    prop_oneof![
        Just(WhyUnknown::UserNotFound),
        Just(WhyUnknown::EmailNotVerified),
        Just(WhyUnknown::EmailNotUsable),
        Just(WhyUnknown::DomainNotAdmitted),
        Just(WhyUnknown::StatusNotAdmitted),
    ]
    .prop_map(User::Unknown)
}

fn users() -> impl Strategy<Value = User> {
    prop_oneof![3 => Just(alice()), 1 => unknown()]
}
