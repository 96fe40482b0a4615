//! pre-token-generation: may these tokens be issued, and what do they say of the sign-in?
//!
//! Cognito calls this trigger before it issues tokens, whatever led to them, and tells what that was in one word, `triggerSource`. It
//! tells neither the history of the sign-in nor the flow. So there are things that this decision knows, and one that it cannot know:
//!
//! | `TokenGeneration_…` | with `ONLY_BY_CODE` |
//! |---|---|
//! | `NewPasswordChallenge` | refused: after `NEW_PASSWORD_REQUIRED` Cognito issues tokens without asking define-auth-challenge again |
//! | `HostedAuth` | refused: the hosted pages run no custom flow |
//! | `Authentication`, `AuthenticateDevice` | refused if the app client may not sign in, or if the user is one who gets no code; else issued |
//! | `RefreshTokens` | refused if the app client may not sign in; else issued: nothing tells how that sign-in was, which was judged then |
//! | `ClientCredentials` | issued: nobody has signed in |
//! | anything else | refused |
//!
//! What it cannot know is whether `Authentication` means a code or a password, where the same app client allows both. Nothing that it
//! is given differs. `ExplicitAuthFlows` of the client is what keeps passwords out, and nothing here takes its place.
//!
//! For the same reason claims about the sign-in are as true as the client is strict. They stand only in tokens that come from a
//! sign-in; in renewed ones Cognito's own `auth_time` goes on saying when that was. Nothing of the client's metadata ever becomes a
//! claim.

use std::collections::HashMap;

use aws_lambda_events::cognito::CognitoEventUserPoolsHeader;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::challenge::UnixSeconds;
use crate::settings::PreTokenGenerationSettings;
use crate::trigger::TriggerError;
use crate::user::{User, WhyUnknown};

/// The claim that says how somebody has signed in, in words of RFC 8176: `otp`, or `pwd otp` if a password had to come first.
/// (`amr` itself is Cognito's.)
pub const SIGNED_IN_BY: &str = "signed_in_by";
/// The claim that says when, in Unix seconds; as text, because some versions of the event take nothing else.
pub const SIGNED_IN_AT: &str = "signed_in_at";

/// The event, in any version. The structures that there are for it know neither `V3_0` nor a source of tomorrow.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// What all events have in common.
    #[serde(flatten)]
    pub header: CognitoEventUserPoolsHeader<String>,
    /// What is special to this one.
    pub request: Request,
}

/// `request` of the event, as far as it is of use here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The user, or nobody where there is none.
    #[serde(default)]
    pub user_attributes: HashMap<String, String>,
    /// The user's groups and roles.
    #[serde(default)]
    pub group_configuration: Value,
}

/// Why Cognito wants to issue tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A sign-in has succeeded, by whatever flow.
    Authentication,
    /// The same, with a device that is remembered.
    AuthenticateDevice,
    /// Somebody had to choose a new password, and did.
    NewPasswordChallenge,
    /// A sign-in on the hosted pages, or through another identity provider.
    HostedAuth,
    /// A refresh token is exchanged for new tokens.
    RefreshTokens,
    /// A program asks for tokens of its own.
    ClientCredentials,
    /// Something that Cognito did not do when this was written.
    Unheard,
}

impl Source {
    /// Reads `triggerSource`.
    ///
    /// # Errors
    ///
    /// [`TriggerError::MalformedEvent`] when it is that of another trigger.
    pub fn read(trigger_source: Option<&str>) -> Result<Source, TriggerError> {
        let source = trigger_source.and_then(|source| source.strip_prefix("TokenGeneration_"));
        Ok(match source.ok_or(TriggerError::MalformedEvent)? {
            "Authentication" => Source::Authentication,
            "AuthenticateDevice" => Source::AuthenticateDevice,
            "NewPasswordChallenge" => Source::NewPasswordChallenge,
            "HostedAuth" => Source::HostedAuth,
            "RefreshTokens" => Source::RefreshTokens,
            "ClientCredentials" => Source::ClientCredentials,
            _ => Source::Unheard,
        })
    }
}

/// What becomes of the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// They are issued, perhaps with claims about the sign-in.
    Issue(Option<SignInClaims>),
    /// They are not.
    Refuse(WayRound),
}

/// How somebody came round the challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayRound {
    /// By a new password.
    NewPassword,
    /// Over the hosted pages.
    HostedPages,
    /// Through an app client that is not among `ALLOWED_CLIENT_IDS`.
    ClientNotAllowed,
    /// Somehow: no code was sent to this user.
    NoCodeForUser(WhyUnknown),
    /// In a way that nobody has heard of.
    Unheard,
}

impl From<WayRound> for TriggerError {
    /// The error that refuses the tokens. Which way it was stays in the log.
    fn from(_: WayRound) -> TriggerError {
        TriggerError::SignInNotAllowed
    }
}

/// What tokens say about the sign-in that they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInClaims {
    /// [`SIGNED_IN_BY`].
    pub by: &'static str,
    /// [`SIGNED_IN_AT`].
    pub at: UnixSeconds,
}

/// Decides about tokens.
pub fn decide(
    settings: &PreTokenGenerationSettings,
    source: Source,
    client_id: &str,
    user: &User,
    now: UnixSeconds,
) -> Tokens {
    match (way_round(settings, source, client_id, user), source) {
        (Some(way_round), _) if settings.only_by_code => Tokens::Refuse(way_round),
        (None, Source::Authentication | Source::AuthenticateDevice) if settings.sign_in_claims => {
            let by = if settings.password_first { "pwd otp" } else { "otp" };
            Tokens::Issue(Some(SignInClaims { by, at: now }))
        }
        _ => Tokens::Issue(None),
    }
}

/// How the tokens certainly came round the challenge, if they did.
fn way_round(settings: &PreTokenGenerationSettings, source: Source, client_id: &str, user: &User) -> Option<WayRound> {
    let client_may = settings.admission.allow(client_id);
    match (source, user) {
        (Source::NewPasswordChallenge, _) => Some(WayRound::NewPassword),
        (Source::HostedAuth, _) => Some(WayRound::HostedPages),
        (Source::Unheard, _) => Some(WayRound::Unheard),
        (Source::ClientCredentials, _) => None,
        (Source::Authentication | Source::AuthenticateDevice | Source::RefreshTokens, _) if !client_may => {
            Some(WayRound::ClientNotAllowed)
        }
        // define-auth-challenge would not have let them in.
        (Source::Authentication | Source::AuthenticateDevice, User::Unknown(why)) => {
            Some(WayRound::NoCodeForUser(*why))
        }
        (Source::Authentication | Source::AuthenticateDevice, User::Known(_)) | (Source::RefreshTokens, _) => None,
    }
}

/// `response` for a version of the event, whose answers have different shapes.
///
/// The user's groups and roles go back as they came: an answer that changes claims and names no groups is said to take all of
/// them away.
///
/// # Errors
///
/// [`TriggerError::MalformedEvent`] when the version is none that we know.
pub fn response(
    version: Option<&str>,
    claims: Option<SignInClaims>,
    groups: &Value,
) -> Result<Map<String, Value>, TriggerError> {
    let (member, changes) = match version {
        Some("1") => ("claimsOverrideDetails", claims.map(|claims| claims.added())),
        Some("2" | "3") => (
            "claimsAndScopeOverrideDetails",
            claims.map(|claims| json!({"idTokenGeneration": claims.added(), "accessTokenGeneration": claims.added()})),
        ),
        _ => return Err(TriggerError::MalformedEvent),
    };
    let with_groups = changes.map(|mut changes| {
        // None at all are better left out than named: that is what takes them away.
        if groups.as_object().is_some_and(|groups| !groups.is_empty()) {
            changes["groupOverrideDetails"] = groups.clone();
        }
        changes
    });
    Ok(Map::from_iter([(member.to_owned(), with_groups.unwrap_or_default())]))
}

impl SignInClaims {
    fn added(self) -> Value {
        json!({"claimsToAddOrOverride": {SIGNED_IN_BY: self.by, SIGNED_IN_AT: self.at.to_string()}})
    }
}
