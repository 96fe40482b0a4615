//! What has happened in a sign-in so far: Cognito's `session` history, read once.

use aws_lambda_events::cognito::CognitoEventUserPoolsChallengeResult;

use crate::challenge::{CLOCK_TOLERANCE, ChallengeKind, ChallengeState};
use crate::code::CodeKeys;
use crate::user::SignIn;

/// Most rounds of one sign-in, with those of a password. Five answers, four resends and a parameter round fit, and two more: those of
/// a password, or resends asked for too soon. More would only swell the `Session` text, in which Cognito carries them all.
pub const MAX_ROUNDS: usize = 12;

/// One finished round, as Cognito recorded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// `SRP_A`: the client opened with the secure remote password protocol. Proves nothing.
    SrpA,
    /// `PASSWORD_VERIFIER`, true: Cognito found the password right.
    PasswordVerified,
    /// `CUSTOM_CHALLENGE`, made by us for this very sign-in.
    CustomChallenge {
        /// The state that the round was presented with.
        state: ChallengeState,
        /// What verify-auth-challenge said of the answer.
        correct: bool,
    },
    /// Anything else: another challenge, a challenge of another sign-in, a state that was tampered with, a `null`.
    Unrecognized,
}

impl Round {
    fn read(entry: Option<&CognitoEventUserPoolsChallengeResult>, keys: &CodeKeys, sign_in: &SignIn) -> Round {
        let Some(entry) = entry else { return Round::Unrecognized };
        match (entry.challenge_name.as_deref(), entry.challenge_result) {
            (Some("SRP_A"), true) => Round::SrpA,
            (Some("PASSWORD_VERIFIER"), true) => Round::PasswordVerified,
            (Some("CUSTOM_CHALLENGE"), correct) => entry
                .challenge_metadata
                .as_deref()
                .and_then(|sealed| ChallengeState::open(sealed, keys, sign_in))
                .map_or(Round::Unrecognized, |state| Round::CustomChallenge { state, correct }),
            _ => Round::Unrecognized,
        }
    }
}

/// The rounds of a sign-in, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rounds(Vec<Round>);

/// What the rounds amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was answered yet.
    Begun,
    /// The client opened with `SRP_A`.
    SrpBegun,
    /// Cognito found the password right.
    PasswordVerified,
    /// Our challenges have been answered, all wrongly but perhaps the newest.
    Answered {
        /// Whether Cognito found a password right before.
        password_verified: bool,
        /// The newest round's state.
        state: ChallengeState,
        /// Whether the newest answer was right.
        correct: bool,
    },
    /// A history that no sign-in of ours can have.
    Impossible,
}

impl Rounds {
    /// Reads the `session` of an event.
    pub fn read(session: &[Option<CognitoEventUserPoolsChallengeResult>], keys: &CodeKeys, sign_in: &SignIn) -> Rounds {
        // One more than the limit is enough to see that it was passed.
        let session = session.iter().take(MAX_ROUNDS + 1);
        session.map(|entry| Round::read(entry.as_ref(), keys, sign_in)).collect()
    }

    /// Whether another round would be one too many.
    pub fn are_all(&self) -> bool {
        self.0.len() >= MAX_ROUNDS
    }

    /// What the rounds amount to. Only histories that we could have led to count:
    /// an optional `SRP_A`, an optional right password behind it, then our own challenges, of which an optional parameter
    /// round comes first and all the others are about one and the same code.
    pub fn standing(&self) -> Standing {
        if self.0.len() > MAX_ROUNDS {
            return Standing::Impossible;
        }
        let (password_verified, challenges, before_challenges) = match self.0.as_slice() {
            [Round::SrpA, Round::PasswordVerified, rest @ ..] => (true, rest, Standing::PasswordVerified),
            [Round::SrpA, rest @ ..] => (false, rest, Standing::SrpBegun),
            rest => (false, rest, Standing::Begun),
        };
        let mut standing = before_challenges;
        for round in challenges {
            let Round::CustomChallenge { state, correct } = *round else { return Standing::Impossible };
            let follows = match standing {
                Standing::Begun | Standing::SrpBegun | Standing::PasswordVerified => true,
                Standing::Answered { state: before, correct: false, .. } => state.follows(&before),
                Standing::Answered { correct: true, .. } | Standing::Impossible => false,
            };
            if !follows || (correct && state.kind == ChallengeKind::Parameters) {
                return Standing::Impossible;
            }
            standing = Standing::Answered { password_verified, state, correct };
        }
        standing
    }
}

impl Standing {
    /// The name in logs of the challenge that was answered last.
    pub fn log_id(&self) -> Option<String> {
        match self {
            Standing::Answered { state, .. } => Some(state.log_id()),
            Standing::Begun | Standing::SrpBegun | Standing::PasswordVerified | Standing::Impossible => None,
        }
    }
}

impl ChallengeState {
    /// Whether this can be the round after `before`: the code after the parameters, or the same code again, with the same
    /// counts or one more.
    fn follows(&self, before: &ChallengeState) -> bool {
        match (before.kind, self.kind) {
            // Made by another environment, perhaps, whose clock is a little behind.
            (ChallengeKind::Parameters, ChallengeKind::Code) => {
                before.issued_at <= self.issued_at.plus(CLOCK_TOLERANCE)
            }
            (ChallengeKind::Code, ChallengeKind::Code) => {
                (self.key_id, self.nonce, self.issued_at, self.repeated)
                    == (before.key_id, before.nonce, before.issued_at, before.repeated)
                    && (before.attempts..=before.attempts.saturating_add(1)).contains(&self.attempts)
                    && (before.mails..=before.mails.saturating_add(1)).contains(&self.mails)
                    && self.last_sent >= before.last_sent
            }
            (_, ChallengeKind::Parameters) => false,
        }
    }
}

impl FromIterator<Round> for Rounds {
    fn from_iter<I: IntoIterator<Item = Round>>(rounds: I) -> Rounds {
        Rounds(rounds.into_iter().collect())
    }
}

impl IntoIterator for Rounds {
    type Item = Round;
    type IntoIter = std::vec::IntoIter<Round>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
