//! One sign-in of one user, from which the tests depart.

use std::collections::HashMap;
use std::convert::Infallible;

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, UnixSeconds};
use auth_challenge::client_metadata::{Action, ClientMetadata, SignInMethod};
use auth_challenge::code::{CodeKey, CodeKeys};
use auth_challenge::email_address::EmailAddress;
use auth_challenge::recipient::Recipient;
use auth_challenge::settings::{CreateSettings, DefineSettings, Lookup, SettingsError, VerifySettings};
use auth_challenge::user::{SignIn, User, WhyUnknown};
use rand::{TryCryptoRng, TryRng};
use serde_json::Value;

pub(crate) const KEY: &str = "a-key-of-the-tests-with-enough-characters";
pub(crate) const PREVIOUS_KEY: &str = "the-key-before-it-with-enough-characters";
pub(crate) const NOW: UnixSeconds = UnixSeconds(1_767_268_800);

pub(crate) const ANSWER: ClientMetadata = metadata(Action::Answer);
pub(crate) const RESEND: ClientMetadata = metadata(Action::Resend);

const fn metadata(action: Action) -> ClientMetadata {
    ClientMetadata { action, sign_in_method: SignInMethod::EmailOtp, locale: None }
}

pub(crate) fn sign_in() -> SignIn {
    SignIn {
        user_pool_id: "eu-west-1_EXAMPLE".to_owned(),
        client_id: "1example23456789".to_owned(),
        user_name: "7d5ba2f0-6d1b-4e0f-9d3f-2f1f0c6b9d11".to_owned(),
        unproved: None,
    }
}

pub(crate) fn alice() -> User {
    let address = EmailAddress::parse("alice@example.com").unwrap();
    User::Known(Recipient { address, verified: true, locale: None, name: None })
}

pub(crate) fn nobody() -> User {
    User::Unknown(WhyUnknown::UserNotFound)
}

pub(crate) fn keys() -> CodeKeys {
    CodeKeys { current: CodeKey::new(KEY.as_bytes()), previous: Some(CodeKey::new(PREVIOUS_KEY.as_bytes())) }
}

/// The state of a first round.
pub(crate) fn state() -> ChallengeState {
    ChallengeState {
        kind: ChallengeKind::Code,
        key_id: keys().current.id(),
        nonce: Nonce::from([7; 16]),
        issued_at: NOW,
        attempts: 0,
        mails: 1,
        last_sent: NOW,
        repeated: false,
    }
}

pub(crate) fn later(seconds: u64) -> UnixSeconds {
    UnixSeconds(NOW.0 + seconds)
}

/// Settings with the example keys, the given variables, and defaults for the rest.
pub(crate) fn settings<T>(
    from_vars: impl Fn(Lookup<'_>) -> Result<T, SettingsError>,
    given: &[(&str, &str)],
) -> Result<T, SettingsError> {
    let mut vars = HashMap::from([
        ("CODE_KEY", KEY),
        ("CODE_KEY_PREVIOUS", PREVIOUS_KEY),
        ("SES_FROM_ADDRESS", "sign-in@example.com"),
        ("LIMITS_TABLE", "limits"),
    ]);
    vars.extend(given.iter().copied());
    from_vars(&|name| vars.get(name).map(|value| (*value).to_owned()))
}

pub(crate) fn define(given: &[(&str, &str)]) -> DefineSettings {
    settings(DefineSettings::from_vars, given).unwrap()
}

pub(crate) fn create(given: &[(&str, &str)]) -> CreateSettings {
    settings(CreateSettings::from_vars, given).unwrap()
}

pub(crate) fn verify(given: &[(&str, &str)]) -> VerifySettings {
    settings(VerifySettings::from_vars, given).unwrap()
}

/// Chance for tests: counts.
pub(crate) struct Counter(pub(crate) u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 += 1;
        Ok(self.0 as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            self.0 += 1;
            chunk.copy_from_slice(&self.0.to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

/// One case of `shared/test-vectors/vectors.json`.
#[derive(Debug)]
pub(crate) struct Vector(Value);

pub(crate) fn vectors(list: &str) -> Vec<Vector> {
    let vectors: Value = serde_json::from_str(include_str!("../../test-vectors/vectors.json")).unwrap();
    vectors[list].as_array().unwrap().iter().cloned().map(Vector).collect()
}

impl Vector {
    pub(crate) fn text(&self, name: &str) -> String {
        self.0[name].as_str().unwrap().to_owned()
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap()
    }

    pub(crate) fn key(&self) -> CodeKey {
        CodeKey::new(self.text("key").as_bytes())
    }

    pub(crate) fn sign_in(&self) -> SignIn {
        SignIn {
            user_pool_id: self.text("pool"),
            client_id: self.text("client"),
            user_name: self.text("user"),
            unproved: self.0["address"].as_str().and_then(EmailAddress::parse),
        }
    }

    pub(crate) fn nonce(&self) -> Nonce {
        Nonce::from(u128::from_str_radix(&self.text("nonce"), 16).unwrap().to_be_bytes())
    }
}
