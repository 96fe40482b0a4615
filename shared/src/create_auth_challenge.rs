//! create-auth-challenge: what is the client asked, and who gets which mail?

use std::time::Duration;

use rand::CryptoRng;

use crate::challenge::{ChallengeKind, ChallengeState, ErrorCode, Nonce, PublicChallengeParameters, UnixSeconds};
use crate::client_metadata::{Action, ClientMetadata};
use crate::code::Code;
use crate::recipient::{LanguageTag, Recipient};
use crate::rounds::{Rounds, Standing};
use crate::settings::{CreateSettings, ShowDestination};
use crate::trigger::TriggerError;
use crate::user::{SignIn, User, WhyUnknown};

/// A challenge, and the mail that belongs to it.
#[derive(Debug)]
pub struct Challenge {
    /// For the client.
    pub public: PublicChallengeParameters,
    /// The sealed state: `challengeMetadata`, and in `privateChallengeParameters` under
    /// [`PRIVATE_KEY`](crate::challenge::PRIVATE_KEY).
    pub sealed_state: String,
    /// The state itself, for the log.
    pub state: ChallengeState,
    /// What to do before the reply goes out.
    pub deliver: Deliver,
}

/// What to do before the reply goes out.
#[derive(Debug)]
pub enum Deliver {
    /// Nothing: there is no new mail in this round.
    Nothing,
    /// Send a mail.
    Mail(Message),
    /// Send nothing, and let it take as long as a mail would have taken.
    Pretend(WhyUnknown),
}

/// One mail with a code.
#[derive(Debug)]
pub struct Message {
    /// The only recipient.
    pub to: Recipient,
    /// The language that the client wants, before the recipient's own.
    pub locale: Option<LanguageTag>,
    /// The code.
    pub code: Code,
    /// When this mail was asked for.
    pub asked_at: UnixSeconds,
    /// How long the code is still good for.
    pub valid_for: Duration,
}

/// Makes the challenge of the next round.
///
/// The first one, and the one after a parameter round, get a new nonce and a mail. Every later one repeats the challenge
/// before it: the same code with the same end, and a mail only when the client asked for one and may have it.
///
/// # Errors
///
/// [`TriggerError::Internal`] for a history after which define-auth-challenge presents no challenge.
pub fn decide(
    settings: &CreateSettings,
    sign_in: &SignIn,
    user: &User,
    rounds: &Rounds,
    metadata: &ClientMetadata,
    now: UnixSeconds,
    rng: &mut impl CryptoRng,
) -> Result<Challenge, TriggerError> {
    let next = match rounds.standing() {
        Standing::Begun | Standing::SrpBegun | Standing::PasswordVerified if settings.parameter_round => {
            Next::begin(ChallengeKind::Parameters, settings, now, rng)
        }
        Standing::Begun | Standing::SrpBegun | Standing::PasswordVerified => {
            Next::begin(ChallengeKind::Code, settings, now, rng)
        }
        Standing::Answered { state, correct: false, .. } => match state.kind {
            ChallengeKind::Parameters => Next::begin(ChallengeKind::Code, settings, now, rng),
            ChallengeKind::Code => Next::again(&state, settings, metadata.action, now),
        },
        Standing::Answered { correct: true, .. } | Standing::Impossible => return Err(TriggerError::Internal),
    };
    let Next { state, error, mailed } = next;

    let challenge = &settings.challenge;
    let sealed_state = state.seal(&challenge.keys, sign_in).ok_or(TriggerError::Internal)?;
    let code = state.code(&challenge.keys, sign_in, challenge.format).ok_or(TriggerError::Internal)?;
    let expires_at = state.issued_at.plus(challenge.validity);
    let deliver = match user {
        _ if !mailed => Deliver::Nothing,
        User::Unknown(why) => Deliver::Pretend(*why),
        User::Known(to) => {
            let valid_for = Duration::from_secs(expires_at.0.saturating_sub(now.0));
            Deliver::Mail(Message { to: to.clone(), locale: metadata.locale.clone(), code, asked_at: now, valid_for })
        }
    };
    let public = PublicChallengeParameters {
        next_step: state.kind,
        format: challenge.format,
        attempts_left: challenge.max_attempts.saturating_sub(state.attempts),
        expires_at,
        resend_after: state.last_sent.plus(settings.resend_after),
        error,
        destination: match settings.show_destination {
            ShowDestination::Nowhere => None,
            ShowDestination::Masked => Some(masked_destination(settings, sign_in, user)),
        },
    };
    Ok(Challenge { public, sealed_state, state, deliver })
}

/// What the next round is about.
struct Next {
    state: ChallengeState,
    error: Option<ErrorCode>,
    /// Whether this round comes with a mail.
    mailed: bool,
}

impl Next {
    /// A new challenge.
    fn begin(kind: ChallengeKind, settings: &CreateSettings, now: UnixSeconds, rng: &mut impl CryptoRng) -> Next {
        let mailed = kind == ChallengeKind::Code;
        let state = ChallengeState {
            kind,
            key_id: settings.challenge.keys.current.id(),
            nonce: Nonce::random(rng),
            issued_at: now,
            attempts: 0,
            mails: u8::from(mailed),
            last_sent: now,
        };
        Next { state, error: None, mailed }
    }

    /// The same challenge after a round that did not succeed.
    fn again(before: &ChallengeState, settings: &CreateSettings, action: Action, now: UnixSeconds) -> Next {
        let state = ChallengeState { attempts: before.attempts_after(action), ..*before };
        let error = match action {
            Action::Answer => ErrorCode::CodeMismatch,
            Action::Resend if before.mails >= settings.max_mails => ErrorCode::ResendLimit,
            Action::Resend if now < before.last_sent.plus(settings.resend_after) => ErrorCode::ResendTooSoon,
            Action::Resend => {
                let state = ChallengeState { mails: before.mails + 1, last_sent: now, ..state };
                return Next { state, error: None, mailed: true };
            }
        };
        Next { state, error: Some(error), mailed: false }
    }
}

/// The first letters of the address's two halves, always of one length. A user who is not known gets letters that look
/// the same at every try; they can still differ from those of the address that was typed, which is why this is off unless
/// asked for.
fn masked_destination(settings: &CreateSettings, sign_in: &SignIn, user: &User) -> String {
    let initials = match user {
        User::Known(Recipient { address, .. }) => {
            [address.as_str(), address.domain()].map(|half| half.bytes().next().unwrap_or(b'*'))
        }
        User::Unknown(_) => {
            let [a, b, ..] = settings.challenge.keys.current.mac("destination/v1", sign_in, &[]);
            [a, b].map(|byte| b'a' + byte % 26)
        }
    };
    let [local, domain] = initials.map(|byte| char::from(byte.to_ascii_lowercase()));
    format!("{local}***@{domain}***")
}
