//! create-auth-challenge: what is the client asked, and who gets which mail?

use std::time::Duration;

use rand::CryptoRng;

use crate::challenge::{ChallengeKind, ChallengeState, ErrorCode, Nonce, PublicChallengeParameters, UnixSeconds};
use crate::client_metadata::{Action, ClientMetadata};
use crate::code::Code;
use crate::limits::{Account, Count, Limited, Limits};
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

/// What the next round is about, before it is known whether the account may have its mail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Next {
    /// The state of the round.
    pub state: ChallengeState,
    /// The state of the round before, if it was about the same code.
    before: Option<ChallengeState>,
    error: Option<ErrorCode>,
    /// Whether this round comes with a mail.
    pub mailed: bool,
}

impl Next {
    /// Decides what the next round is about.
    ///
    /// The first one, and the one after a parameter round, get a new nonce, and a mail where it is about a code. Every later one repeats
    /// the challenge before it: the same code with the same end, and a mail only when the client asked for one and may have it.
    ///
    /// # Errors
    ///
    /// [`TriggerError::Internal`] for a history after which define-auth-challenge presents no challenge.
    pub fn decide(
        settings: &CreateSettings,
        rounds: &Rounds,
        metadata: &ClientMetadata,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Next, TriggerError> {
        match rounds.standing() {
            Standing::Begun | Standing::SrpBegun | Standing::PasswordVerified if settings.parameter_round => {
                Ok(Next::begin(ChallengeKind::Parameters, settings, now, rng))
            }
            Standing::Begun | Standing::SrpBegun | Standing::PasswordVerified => {
                Ok(Next::begin(ChallengeKind::Code, settings, now, rng))
            }
            Standing::Answered { state, correct: false, .. } => match state.kind {
                ChallengeKind::Parameters => Ok(Next::begin(ChallengeKind::Code, settings, now, rng)),
                ChallengeKind::Code => Ok(Next::again(&state, settings, metadata.action, now)),
            },
            Standing::Answered { correct: true, .. } | Standing::Impossible => Err(TriggerError::Internal),
        }
    }

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
            repeated: false,
        };
        Next { state, before: None, error: None, mailed }
    }

    /// The same challenge after a round that did not succeed.
    fn again(before: &ChallengeState, settings: &CreateSettings, action: Action, now: UnixSeconds) -> Next {
        let state = ChallengeState { attempts: before.attempts_after(action), ..*before };
        let without_mail = |error| Next { state, before: Some(state), error: Some(error), mailed: false };
        match action {
            Action::Answer => without_mail(ErrorCode::CodeMismatch),
            Action::Resend if before.mails >= settings.max_mails => without_mail(ErrorCode::ResendLimit),
            Action::Resend if now < before.last_sent.plus(settings.resend_after) => {
                without_mail(ErrorCode::ResendTooSoon)
            }
            Action::Resend => {
                let sent = ChallengeState { mails: before.mails + 1, last_sent: now, ..state };
                Next { state: sent, before: Some(state), error: None, mailed: true }
            }
        }
    }

    /// Counts the mail of this round, which comes with one, for the account. A repeat of Cognito's gets what the
    /// first call got, and no second mail; a resend that the account may not have becomes a round without one.
    ///
    /// # Errors
    ///
    /// When the account may not begin a sign-in now.
    pub fn count(
        &self,
        limits: &Limits,
        client_id: &str,
        account: &Account,
        now: UnixSeconds,
    ) -> Result<Count<Next>, Limited> {
        let counted = match self.before {
            None => account.start(limits, client_id, self.state, now)?,
            Some(_) => match account.resend(limits, client_id, self.state, now) {
                Ok(counted) => counted,
                Err(_) => return Ok(Count::Repeat(self.without_mail())),
            },
        };
        Ok(match counted {
            Count::Keep(account, _) => Count::Keep(account, self.clone()),
            Count::Repeat(state) => Count::Repeat(Next { state, mailed: false, ..self.clone() }),
        })
    }

    /// The same round without its mail, if a sign-in has begun before: a code was mailed then, and the person may have it.
    pub fn resend_refused(&self) -> Option<Next> {
        self.before.map(|_| self.without_mail())
    }

    fn without_mail(&self) -> Next {
        let state = self.before.unwrap_or(self.state);
        Next { state, error: Some(ErrorCode::ResendLimit), mailed: false, ..self.clone() }
    }

    /// Makes the challenge of the round.
    ///
    /// # Errors
    ///
    /// [`TriggerError::Internal`] when the key of the challenge is gone.
    pub fn challenge(
        &self,
        settings: &CreateSettings,
        sign_in: &SignIn,
        user: &User,
        metadata: &ClientMetadata,
        now: UnixSeconds,
    ) -> Result<Challenge, TriggerError> {
        let Next { state, error, mailed, .. } = *self;
        let challenge = &settings.challenge;
        let sealed_state = state.seal(&challenge.keys, sign_in).ok_or(TriggerError::Internal)?;
        let code = state.code(&challenge.keys, sign_in, challenge.format).ok_or(TriggerError::Internal)?;
        let expires_at = state.issued_at.plus(challenge.validity);
        let deliver = match user {
            _ if !mailed => Deliver::Nothing,
            User::Unknown(why) => Deliver::Pretend(*why),
            User::Known(to) => {
                let valid_for = Duration::from_secs(expires_at.0.saturating_sub(now.0));
                let locale = metadata.locale.clone();
                Deliver::Mail(Message { to: to.clone(), locale, code, asked_at: now, valid_for })
            }
        };
        let public = PublicChallengeParameters {
            next_step: state.kind,
            format: challenge.format,
            attempts_left: state.allowed_attempts(challenge.max_attempts).saturating_sub(state.attempts),
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
}

/// Makes the challenge of the next round, where nothing is counted for accounts: [`Next::decide`], then [`Next::challenge`].
///
/// # Errors
///
/// Those of the two.
pub fn decide(
    settings: &CreateSettings,
    sign_in: &SignIn,
    user: &User,
    rounds: &Rounds,
    metadata: &ClientMetadata,
    now: UnixSeconds,
    rng: &mut impl CryptoRng,
) -> Result<Challenge, TriggerError> {
    Next::decide(settings, rounds, metadata, now, rng)?.challenge(settings, sign_in, user, metadata, now)
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
