//! What the client says beside its answer: Cognito's `ClientMetadata`.
//!
//! Cognito neither checks nor keeps it, and gives it to a trigger only when the client sent it with that very call: to
//! pre-authentication (as `validationData`) from InitiateAuth, to verify, define and create (as `clientMetadata`) from
//! RespondToAuthChallenge. All of it is whatever a stranger chose to send: only the keys below are looked up, no value is
//! stored, logged, mailed or made part of a key, and a value over 256 bytes counts as absent.

use std::collections::HashMap;

use crate::recipient::LanguageTag;

/// Longest value that is read, in bytes.
pub const MAX_VALUE_LENGTH: usize = 256;

/// The metadata of one call, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientMetadata {
    /// What the client wants of this round (`action`).
    pub action: Action,
    /// The kind of challenge that the client expects (`signInMethod`).
    pub sign_in_method: SignInMethod,
    /// The language that the client wants the mail in (`locale`).
    pub locale: Option<LanguageTag>,
}

/// What a client wants of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Judge the answer. Also for an absent or unknown `action`.
    #[default]
    Answer,
    /// Mail the code again (`RESEND`); the answer is not looked at and costs no attempt.
    Resend,
}

/// The kind of challenge that a client expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignInMethod {
    /// A code by e-mail (`EMAIL_OTP`, or `OTP` as Amplify's passwordless client has it). Also when absent.
    #[default]
    EmailOtp,
    /// Anything else: refused, so that a client never takes one method for another.
    Unsupported,
}

impl ClientMetadata {
    /// Reads the keys that we know, each also in its `Amplify.Passwordless.` spelling; the plain one wins.
    pub fn read(metadata: &HashMap<String, String>) -> ClientMetadata {
        let value = |key: &str| {
            short_value(metadata, key).or_else(|| short_value(metadata, &format!("Amplify.Passwordless.{key}")))
        };
        ClientMetadata {
            action: match value("action") {
                Some("RESEND") => Action::Resend,
                _ => Action::Answer,
            },
            sign_in_method: match value("signInMethod") {
                None | Some("EMAIL_OTP" | "OTP") => SignInMethod::EmailOtp,
                Some(_) => SignInMethod::Unsupported,
            },
            locale: value("locale").and_then(LanguageTag::parse),
        }
    }
}

/// The value of `key`, unless it is empty or longer than [`MAX_VALUE_LENGTH`].
pub fn short_value<'a>(metadata: &'a HashMap<String, String>, key: &str) -> Option<&'a str> {
    metadata.get(key).map(String::as_str).filter(|value| (1..=MAX_VALUE_LENGTH).contains(&value.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> ClientMetadata {
        ClientMetadata::read(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    const RESEND: ClientMetadata =
        ClientMetadata { action: Action::Resend, sign_in_method: SignInMethod::EmailOtp, locale: None };
    const UNSUPPORTED: ClientMetadata =
        ClientMetadata { action: Action::Answer, sign_in_method: SignInMethod::Unsupported, locale: None };

    #[test]
    fn known_keys_are_read_in_both_spellings() {
        assert_eq!(read(&[("action", "RESEND")]), RESEND);
        assert_eq!(read(&[("Amplify.Passwordless.action", "RESEND")]), RESEND);
        assert_eq!(read(&[("signInMethod", "EMAIL_OTP")]), ClientMetadata::default());
        assert_eq!(read(&[("Amplify.Passwordless.signInMethod", "OTP")]), ClientMetadata::default());
        assert_eq!(read(&[("signInMethod", "MAGIC_LINK")]), UNSUPPORTED);
        assert_eq!(read(&[("signInMethod", "email_otp")]), UNSUPPORTED);
        let japanese = ClientMetadata { locale: LanguageTag::parse("ja-JP"), ..ClientMetadata::default() };
        assert_eq!(read(&[("locale", "ja-JP")]), japanese);
        assert_eq!(read(&[("Amplify.Passwordless.locale", "ja_JP")]), japanese);
    }

    #[test]
    fn the_plain_spelling_wins() {
        assert_eq!(
            read(&[("action", "CONFIRM"), ("Amplify.Passwordless.action", "RESEND")]),
            ClientMetadata::default()
        );
    }

    #[test]
    fn r28_the_rest_is_ignored() {
        let long = "X".repeat(MAX_VALUE_LENGTH + 1);
        for ignored in [
            ("action", "resend"),
            ("action", ""),
            ("action", " RESEND"),
            ("Action", "RESEND"),
            ("colour", "red"),
            ("locale", "日本語"),
            ("locale", "ja\r\nBcc: eve@evil.example"),
            ("lang", "ja"),
            ("action", long.as_str()),
            ("signInMethod", long.as_str()),
            ("signInMethod", ""),
        ] {
            assert_eq!(read(&[ignored]), ClientMetadata::default(), "{ignored:?}");
        }
    }

    #[test]
    fn f38_a_thousand_keys_and_the_longest_values_come_to_nothing_and_hide_nothing() {
        let long = "x".repeat(131_072);
        let mut given: HashMap<String, String> = (0..1_000).map(|n| (format!("key{n}"), "x".to_owned())).collect();
        for key in ["action", "signInMethod", "locale", "Amplify.Passwordless.signInMethod"] {
            given.insert(key.to_owned(), long.clone());
        }
        assert_eq!(ClientMetadata::read(&given), ClientMetadata::default());
        given.insert("action".to_owned(), "RESEND".to_owned());
        assert_eq!(ClientMetadata::read(&given), RESEND);
    }
}
