//! verify-auth-challenge: is this answer right?

use std::collections::HashMap;

use crate::challenge::{ChallengeKind, ChallengeState, PRIVATE_KEY, UnixSeconds};
use crate::client_metadata::{Action, ClientMetadata, SignInMethod};
use crate::code::Answer;
use crate::limits::Limited;
use crate::settings::VerifySettings;
use crate::user::{SignIn, User, WhyUnknown};

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the code of this challenge, in time, from a known user.
    Accept,
    /// It is not.
    Reject(Refusal),
}

/// Why an answer does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not the code.
    CodeMismatch,
    /// It is too late.
    Expired,
    /// The client wanted another mail (`action=RESEND`): the answer was not looked at.
    ResendRequested,
    /// There was nothing to answer but parameters.
    ParameterRound,
    /// The client asked for a kind of challenge that we do not have.
    SignInMethodNotSupported,
    /// `privateChallengeParameters` hold no challenge of this sign-in.
    ForeignChallenge,
    /// There is nobody to sign in.
    UnknownUser(WhyUnknown),
    /// The account or the challenge has had its answers.
    Limited(Limited),
}

impl Verdict {
    /// Whether the answer was compared with the code, and therefore counts.
    pub fn is_about_the_answer(self) -> bool {
        match self {
            Verdict::Accept | Verdict::Reject(Refusal::CodeMismatch | Refusal::UnknownUser(_)) => true,
            Verdict::Reject(
                Refusal::Expired
                | Refusal::ResendRequested
                | Refusal::ParameterRound
                | Refusal::SignInMethodNotSupported
                | Refusal::ForeignChallenge
                | Refusal::Limited(_),
            ) => false,
        }
    }
}

/// Judges an answer, and gives the challenge that it was for if that could be read.
///
/// The work is the same whether the user exists or not.
pub fn decide(
    settings: &VerifySettings,
    sign_in: &SignIn,
    user: &User,
    private_challenge_parameters: &HashMap<String, String>,
    answer: &str,
    metadata: &ClientMetadata,
    now: UnixSeconds,
) -> (Verdict, Option<ChallengeState>) {
    let challenge = &settings.challenge;
    let state = private_challenge_parameters
        .get(PRIVATE_KEY)
        .and_then(|sealed| ChallengeState::open(sealed, &challenge.keys, sign_in));
    let code = state.and_then(|state| state.code(&challenge.keys, sign_in, challenge.format));
    let (Some(state), Some(code)) = (state, code) else {
        return (Verdict::Reject(Refusal::ForeignChallenge), None);
    };
    // Nobody may find out whether an answer is right without spending an attempt, so it is not even compared here.
    if metadata.action == Action::Resend {
        return (Verdict::Reject(Refusal::ResendRequested), Some(state));
    }
    let right = code.is_answered_by(&Answer::read(answer, challenge.format.alphabet));
    let verdict = if metadata.sign_in_method == SignInMethod::Unsupported {
        Verdict::Reject(Refusal::SignInMethodNotSupported)
    } else if state.kind == ChallengeKind::Parameters {
        Verdict::Reject(Refusal::ParameterRound)
    } else if !state.is_live(now, challenge.validity) {
        Verdict::Reject(Refusal::Expired)
    } else if !right {
        Verdict::Reject(Refusal::CodeMismatch)
    } else {
        match user {
            User::Known(_) => Verdict::Accept,
            User::Unknown(why) => Verdict::Reject(Refusal::UnknownUser(*why)),
        }
    };
    (verdict, Some(state))
}
