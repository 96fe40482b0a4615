//! define-auth-challenge: what comes next?

use crate::challenge::UnixSeconds;
use crate::client_metadata::{Action, ClientMetadata, SignInMethod};
use crate::pre_authentication::{self, Admission, admit_request};
use crate::rounds::{Rounds, Standing};
use crate::settings::DefineSettings;
use crate::user::{SignIn, User, WhyUnknown};

/// What Cognito is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// The sign-in succeeded.
    IssueTokens,
    /// The client has to answer a challenge.
    PresentChallenge(ChallengeName),
    /// The sign-in failed.
    FailAuthentication(Refusal),
}

/// A challenge that we ask Cognito for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeName {
    /// Ours: create-auth-challenge makes it.
    CustomChallenge,
    /// The password, which Cognito checks itself.
    PasswordVerifier,
}

impl ChallengeName {
    /// Cognito's name for it.
    pub fn name(self) -> &'static str {
        match self {
            ChallengeName::CustomChallenge => "CUSTOM_CHALLENGE",
            ChallengeName::PasswordVerifier => "PASSWORD_VERIFIER",
        }
    }
}

/// Why a sign-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may not begin.
    NotAdmitted(pre_authentication::Refusal),
    /// A password has to come first (`PASSWORD_FIRST`), and did not.
    PasswordMissing,
    /// A password has to come first, and Cognito would issue tokens after it without the code.
    PasswordMustChange,
    /// The client asked for a kind of challenge that we do not have.
    SignInMethodNotSupported,
    /// Every answer was wrong.
    AttemptsUsedUp,
    /// The code's time is over.
    Expired,
    /// The answer was right, and yet there is nobody to sign in.
    UnknownUser(WhyUnknown),
    /// It has had as many rounds as a sign-in may have.
    TooManyRounds,
    /// The history is none that we led to.
    ImpossibleHistory,
}

/// Decides the next step. Tokens are issued in exactly one place below: after a right answer to the newest code of this
/// sign-in, in time, by a known user. Whatever is not foreseen fails.
///
/// `must_change_password` is what [`user::must_change_password`](crate::user::must_change_password) says of the user.
pub fn decide(
    settings: &DefineSettings,
    sign_in: &SignIn,
    user: &User,
    must_change_password: bool,
    rounds: &Rounds,
    metadata: &ClientMetadata,
    now: UnixSeconds,
) -> NextStep {
    use NextStep::{FailAuthentication, IssueTokens, PresentChallenge};

    if metadata.sign_in_method == SignInMethod::Unsupported {
        return FailAuthentication(Refusal::SignInMethodNotSupported);
    }
    let standing = rounds.standing();
    if let (Standing::Begun | Standing::SrpBegun, Admission::Refuse(refusal)) =
        (standing, admit_request(&settings.admission, &sign_in.client_id))
    {
        return FailAuthentication(Refusal::NotAdmitted(refusal));
    }
    match standing {
        Standing::SrpBegun if settings.password_first && must_change_password => {
            FailAuthentication(Refusal::PasswordMustChange)
        }
        Standing::SrpBegun if settings.password_first => PresentChallenge(ChallengeName::PasswordVerifier),
        Standing::Begun if settings.password_first => FailAuthentication(Refusal::PasswordMissing),
        Standing::Begun | Standing::SrpBegun | Standing::PasswordVerified => {
            PresentChallenge(ChallengeName::CustomChallenge)
        }
        Standing::Answered { password_verified: false, .. } if settings.password_first => {
            FailAuthentication(Refusal::PasswordMissing)
        }
        Standing::Answered { state, .. } if !state.is_live(now, settings.challenge.validity) => {
            FailAuthentication(Refusal::Expired)
        }
        Standing::Answered { state, .. }
            if state.attempts >= state.allowed_attempts(settings.challenge.max_attempts) =>
        {
            FailAuthentication(Refusal::AttemptsUsedUp)
        }
        Standing::Answered { correct: true, .. } => match (metadata.action, user) {
            (Action::Answer, User::Known(_)) => IssueTokens,
            (Action::Answer, User::Unknown(why)) => FailAuthentication(Refusal::UnknownUser(*why)),
            // verify-auth-challenge does not look at an answer that comes with a wish for another mail.
            (Action::Resend, _) => FailAuthentication(Refusal::ImpossibleHistory),
        },
        Standing::Answered { state, correct: false, .. } => {
            if state.attempts_after(metadata.action) >= state.allowed_attempts(settings.challenge.max_attempts) {
                FailAuthentication(Refusal::AttemptsUsedUp)
            } else if rounds.are_all() {
                // A code that nobody could sign in with any more.
                FailAuthentication(Refusal::TooManyRounds)
            } else {
                PresentChallenge(ChallengeName::CustomChallenge)
            }
        }
        Standing::Impossible => FailAuthentication(Refusal::ImpossibleHistory),
    }
}
