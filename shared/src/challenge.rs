//! One challenge: the state that travels between its rounds, and what the client is told about it.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::client_metadata::Action;
use crate::code::{Code, CodeFormat, CodeKeys, KeyId};
use crate::user::SignIn;

/// The key of `privateChallengeParameters` under which Cognito keeps the state for verify-auth-challenge.
pub const PRIVATE_KEY: &str = "challenge";

/// How far ahead of ours another function's clock may be.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

/// A moment, in whole seconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// This moment and `duration` later, in whole seconds.
    #[must_use]
    pub fn plus(self, duration: Duration) -> UnixSeconds {
        UnixSeconds(self.0.saturating_add(duration.as_secs()))
    }
}

impl From<SystemTime> for UnixSeconds {
    /// A clock before 1970 counts as 1970.
    fn from(time: SystemTime) -> UnixSeconds {
        UnixSeconds(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What makes a challenge itself: 128 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// A nonce from a source of chance.
    pub fn random(rng: &mut impl CryptoRng) -> Nonce {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Nonce(bytes)
    }

    /// The 16 bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for Nonce {
    fn from(bytes: [u8; 16]) -> Nonce {
        Nonce(bytes)
    }
}

/// What a round asks the client for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChallengeKind {
    /// The code that was mailed.
    Code,
    /// Nothing but client metadata (`PARAMETER_ROUND`): no code exists yet, and no answer is right.
    Parameters,
}

/// All that travels between the rounds of a sign-in, in `challengeMetadata` and `privateChallengeParameters`. Neither is
/// shown to the client; and whoever sees it can do nothing with it without the key.
///
/// As text it is eight fields with dots between them, strict, so that there is one spelling for each state:
///
/// ```text
/// 1.code.9f86d081.AAECAwQFBgcICQoLDA0ODw.1767268800.0.1.1767268800
/// │ │    │        │                      │          │ │ └ last mail, Unix seconds
/// │ │    │        │                      │          │ └ mails sent
/// │ │    │        │                      │          └ wrong answers before this round
/// │ │    │        │                      └ issued at, Unix seconds
/// │ │    │        └ nonce
/// │ │    └ key id
/// │ └ kind: `code`, `repeat` or `parameters`
/// └ version
/// ```
///
/// [`seal`](Self::seal) puts a ninth behind them, a MAC that binds the state to its sign-in. All in all they are fewer than
/// 200 characters: Cognito keeps the states of all rounds in its `Session` text, which has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ChallengeState {
    /// What the round asks for.
    pub kind: ChallengeKind,
    /// The key that the code is derived with.
    pub key_id: KeyId,
    /// The challenge itself: a resend keeps it.
    pub nonce: Nonce,
    /// When the challenge was made. Its life counts from here, whatever happens later.
    pub issued_at: UnixSeconds,
    /// Wrong answers that were judged before this round.
    pub attempts: u8,
    /// Mails sent, this round's included.
    pub mails: u8,
    /// When the last mail was sent.
    pub last_sent: UnixSeconds,
    /// Whether the challenge had been made before, for a call that Cognito repeats, or for a sign-in that somebody else had just
    /// begun.
    pub repeated: bool,
}

const VERSION: &str = "1";
const SEAL_LENGTH: usize = 16;

impl ChallengeState {
    /// Whether the challenge can still be answered: not before it was made, give or take the clocks of two functions, and
    /// not once `validity` is over.
    pub fn is_live(&self, now: UnixSeconds, validity: Duration) -> bool {
        self.issued_at <= now.plus(CLOCK_TOLERANCE) && now < self.issued_at.plus(validity)
    }

    /// Wrong answers once a round that did not succeed is over. Only an answer to a code counts.
    pub fn attempts_after(&self, action: Action) -> u8 {
        match (self.kind, action) {
            (ChallengeKind::Code, Action::Answer) => self.attempts.saturating_add(1),
            (ChallengeKind::Code, Action::Resend) | (ChallengeKind::Parameters, _) => self.attempts,
        }
    }

    /// How many answers are judged, of `max_attempts`: a repeat leaves one to whoever was there first.
    pub fn allowed_attempts(&self, max_attempts: u8) -> u8 {
        if self.repeated { max_attempts.saturating_sub(1).max(1) } else { max_attempts }
    }

    /// The code that was mailed. `None` when the key is gone.
    pub fn code(&self, keys: &CodeKeys, sign_in: &SignIn, format: CodeFormat) -> Option<Code> {
        Some(keys.find(self.key_id)?.code(sign_in, &self.nonce, self.issued_at, format))
    }

    /// The state as text that [`open`](Self::open) takes for this sign-in alone. `None` when the key is gone.
    pub fn seal(&self, keys: &CodeKeys, sign_in: &SignIn) -> Option<String> {
        let text = self.to_string();
        let seal = seal(keys, self.key_id, sign_in, &text)?;
        Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(seal)))
    }

    /// Reads a sealed state. `None` unless it was sealed for this sign-in, by a key that we have, in the version that we
    /// know, and not one character was changed.
    pub fn open(sealed: &str, keys: &CodeKeys, sign_in: &SignIn) -> Option<ChallengeState> {
        let (text, given) = sealed.rsplit_once('.')?;
        let state: ChallengeState = text.parse().ok()?;
        let given = URL_SAFE_NO_PAD.decode(given).ok()?;
        let ours = seal(keys, state.key_id, sign_in, text)?;
        bool::from(ours[..].ct_eq(&given)).then_some(state)
    }

    /// A short name for this challenge, the same in the log lines of all its rounds. It identifies nobody.
    pub fn log_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.nonce.bytes()[..6])
    }
}

fn seal(keys: &CodeKeys, key_id: KeyId, sign_in: &SignIn, text: &str) -> Option<[u8; SEAL_LENGTH]> {
    keys.find(key_id)?.mac("state/v1", sign_in, &[text.as_bytes()]).first_chunk().copied()
}

impl fmt::Display for ChallengeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match (self.kind, self.repeated) {
            (ChallengeKind::Code, false) => "code",
            (ChallengeKind::Code, true) => "repeat",
            (ChallengeKind::Parameters, _) => "parameters",
        };
        let nonce = URL_SAFE_NO_PAD.encode(self.nonce.bytes());
        let ChallengeState { key_id: KeyId(key), issued_at, attempts, mails, last_sent, .. } = self;
        write!(f, "{VERSION}.{kind}.{key:08x}.{nonce}.{issued_at}.{attempts}.{mails}.{last_sent}")
    }
}

/// A text that is no challenge state of the version that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoChallengeState;

impl fmt::Display for NoChallengeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no challenge state")
    }
}

impl From<ChallengeState> for String {
    fn from(state: ChallengeState) -> String {
        state.to_string()
    }
}

impl TryFrom<String> for ChallengeState {
    type Error = NoChallengeState;

    fn try_from(text: String) -> Result<ChallengeState, NoChallengeState> {
        text.parse()
    }
}

impl FromStr for ChallengeState {
    type Err = NoChallengeState;

    fn from_str(text: &str) -> Result<ChallengeState, NoChallengeState> {
        read_state(text)
            // `01`, `+1` and `AB` for `ab` are read, but never written.
            .filter(|state| state.to_string() == text)
            .ok_or(NoChallengeState)
    }
}

fn read_state(text: &str) -> Option<ChallengeState> {
    let fields: Vec<&str> = text.splitn(9, '.').collect();
    let [VERSION, kind, key_id, nonce, issued_at, attempts, mails, last_sent] = fields[..] else {
        return None;
    };
    Some(ChallengeState {
        kind: match kind {
            "code" | "repeat" => ChallengeKind::Code,
            "parameters" => ChallengeKind::Parameters,
            _ => return None,
        },
        repeated: kind == "repeat",
        key_id: KeyId(u32::from_str_radix(key_id, 16).ok()?),
        nonce: Nonce(URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?),
        issued_at: UnixSeconds(issued_at.parse().ok()?),
        attempts: attempts.parse().ok()?,
        mails: mails.parse().ok()?,
        last_sent: UnixSeconds(last_sent.parse().ok()?),
    })
}

/// What the client is told about a round (`publicChallengeParameters`): the same keys and lengths whoever signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicChallengeParameters {
    /// `nextStep`: what to answer with.
    pub next_step: ChallengeKind,
    /// `codeAlphabet` and `codeLength`: what the code looks like.
    pub format: CodeFormat,
    /// `attemptsLeft`: how many wrong answers remain, this round's included.
    pub attempts_left: u8,
    /// `expiresAt`: when this challenge ends.
    pub expires_at: UnixSeconds,
    /// `resendAfter`: when the code may be asked for again.
    pub resend_after: UnixSeconds,
    /// `errorCode`: why the round before did not succeed.
    pub error: Option<ErrorCode>,
    /// `destination`: a masked address, only where the settings ask for it.
    pub destination: Option<String>,
}

/// Why a round did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The answer was not the code.
    CodeMismatch,
    /// The code was mailed a moment ago; see `resendAfter`.
    ResendTooSoon,
    /// There is no other mail: this sign-in has had all of its own, or the account has, or nobody could count them.
    ResendLimit,
}

impl ErrorCode {
    /// The name that the client sees.
    pub fn name(self) -> &'static str {
        match self {
            ErrorCode::CodeMismatch => "CODE_MISMATCH",
            ErrorCode::ResendTooSoon => "RESEND_TOO_SOON",
            ErrorCode::ResendLimit => "RESEND_LIMIT",
        }
    }
}

impl From<PublicChallengeParameters> for HashMap<String, String> {
    fn from(parameters: PublicChallengeParameters) -> HashMap<String, String> {
        let next_step = match parameters.next_step {
            ChallengeKind::Code => "PROVIDE_CODE",
            ChallengeKind::Parameters => "PROVIDE_AUTH_PARAMETERS",
        };
        let always = [
            ("challenge", "EMAIL_OTP".to_owned()),
            ("nextStep", next_step.to_owned()),
            ("deliveryMedium", "EMAIL".to_owned()),
            ("codeLength", parameters.format.length().to_string()),
            ("codeAlphabet", parameters.format.alphabet.name().to_owned()),
            ("attemptsLeft", parameters.attempts_left.to_string()),
            ("expiresAt", parameters.expires_at.to_string()),
            ("resendAfter", parameters.resend_after.to_string()),
        ];
        let error = parameters.error.map(|error| ("errorCode", error.name().to_owned()));
        let destination = parameters.destination.map(|masked| ("destination", masked));
        always.into_iter().chain(error).chain(destination).map(|(key, value)| (key.to_owned(), value)).collect()
    }
}
