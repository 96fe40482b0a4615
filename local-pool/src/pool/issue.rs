//! Tokens: how they are issued, renewed, shown and revoked.

use auth_challenge::challenge::UnixSeconds;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::{Builder, Uuid};

use super::sign_in::{SignIn, State, Waiting};
use super::{Pool, Request, Step, Texts, Work, replied};
use crate::api::{ApiError, Parameters};
use crate::settings::TokenKind;
use crate::tokens::{Origin, uuid};
use crate::trigger::{TokenChanges, Trigger, TriggerVersion};
use crate::users::User;

/// Tokens that are about to be issued.
pub(super) struct Issue {
    origin: Origin,
    /// Why: the end of pre-token-generation's `triggerSource`.
    source: TokenSource,
}

/// Why tokens are issued.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenSource {
    Authentication,
    NewPasswordChallenge,
    RefreshTokens,
}

impl TokenSource {
    fn name(self) -> &'static str {
        match self {
            TokenSource::Authentication => "Authentication",
            TokenSource::NewPasswordChallenge => "NewPasswordChallenge",
            TokenSource::RefreshTokens => "RefreshTokens",
        }
    }
}

/// What a refresh token stands for.
#[derive(Serialize, Deserialize)]
pub(super) struct RefreshToken {
    username: String,
    client_id: String,
    origin: Origin,
    expires_at: u64,
}

/// The header of an encrypted token (RFC 7516), which is what Cognito's refresh tokens are.
const REFRESH_PREFIX: &str = "eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiZGlyIn0..";

impl Pool {
    /// Issues the tokens of a new sign-in.
    pub(super) fn issue(
        &mut self,
        sign_in: SignIn,
        user: &User,
        source: TokenSource,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        let origin = Origin { jti: uuid(rng), auth_time: now.0, epoch: user.epoch };
        self.generate_tokens(sign_in, user, Issue { origin, source }, now, rng)
    }

    pub(super) fn get_tokens_from_refresh_token(
        &mut self,
        parameters: &Parameters,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        self.check_client(parameters)?;
        self.check_client_secret(parameters)?;
        let (token, user) = self.live_refresh_token(parameters.required("RefreshToken")?, now)?;
        self.refresh(token, &user, parameters.texts("ClientMetadata"), now, rng)
    }

    pub(super) fn refresh(
        &mut self,
        token: RefreshToken,
        user: &User,
        metadata: Option<Texts>,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        let state = State { username: user.username.clone(), history: None };
        let issue = Issue { origin: token.origin, source: TokenSource::RefreshTokens };
        self.generate_tokens(SignIn { state, metadata }, user, issue, now, rng)
    }

    /// What a refresh token stands for, and whose it is, if it still serves.
    pub(super) fn live_refresh_token(&self, text: &str, now: UnixSeconds) -> Result<(RefreshToken, User), ApiError> {
        let token = self.read_refresh_token(text).ok_or_else(|| ApiError::not_authorized("Invalid Refresh Token."))?;
        if now.0 >= token.expires_at {
            return Err(ApiError::not_authorized("Refresh Token has expired"));
        }
        let user = self.users.get(&token.username);
        let user = user.ok_or_else(|| ApiError::not_authorized("Invalid Refresh Token."))?;
        self.check_origin(&token.origin, user)?;
        if !user.enabled {
            return Err(ApiError::not_authorized("User is disabled."));
        }
        Ok((token, user.clone()))
    }

    /// Checks again who gets tokens: much may have happened while triggers ran.
    pub(super) fn check_owner(&self, origin: &Origin, user: &User) -> Result<(), ApiError> {
        if user.exists { self.check_origin(origin, user) } else { Err(ApiError::wrong_credentials()) }
    }

    /// Whether a sign-in was revoked, or the user has signed out of everything since.
    fn check_origin(&self, origin: &Origin, user: &User) -> Result<(), ApiError> {
        if user.epoch != origin.epoch || self.revoked.contains(&origin.jti) {
            return Err(ApiError::not_authorized("Refresh Token has been revoked"));
        }
        Ok(())
    }

    fn read_refresh_token(&self, text: &str) -> Option<RefreshToken> {
        self.refresh_key.open(text.strip_prefix(REFRESH_PREFIX)?)
    }

    fn generate_tokens(
        &mut self,
        sign_in: SignIn,
        user: &User,
        issue: Issue,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        let Some(version) = self.version(Trigger::PreTokenGeneration) else {
            return self.sign(sign_in, user, &issue, &TokenChanges::default(), now, rng);
        };
        let mut body = json!({
            "userAttributes": user.event_attributes(),
            "groupConfiguration": {"groupsToOverride": user.groups, "iamRolesToOverride": [], "preferredRole": null},
        });
        if version == TriggerVersion::Two {
            body["scopes"] = json!(["aws.cognito.signin.user.admin"]);
        }
        let metadata = sign_in.metadata.clone();
        let request = Request {
            trigger: Trigger::PreTokenGeneration,
            source: issue.source.name(),
            user_name: &user.username,
            body,
            metadata: metadata.as_ref(),
        };
        self.invoke(request, || Work::SignIn(sign_in, Waiting::PreTokenGeneration(issue)))
    }

    pub(super) fn sign(
        &mut self,
        sign_in: SignIn,
        user: &User,
        issue: &Issue,
        changes: &TokenChanges,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        self.check_owner(&issue.origin, user)?;
        let event_id = self.event_id(user, rng);
        let signed = self.tokens.sign(&self.client, user, (&issue.origin, &event_id), changes, now, rng);
        let (id, access) = signed.map_err(|error| ApiError::internal(&error))?;
        let mut result = json!({
            "AccessToken": access,
            "ExpiresIn": self.client.validity(TokenKind::Access),
            "IdToken": id,
            "TokenType": "Bearer",
        });
        let is_refresh = issue.source == TokenSource::RefreshTokens;
        if !is_refresh {
            let token = RefreshToken {
                username: user.username.clone(),
                client_id: self.client.client_id().to_owned(),
                origin: issue.origin.clone(),
                expires_at: now.0.saturating_add(self.client.validity(TokenKind::Refresh)),
            };
            let sealed = self.refresh_key.seal(&token, rng).map_err(|error| ApiError::internal(&error))?;
            result["RefreshToken"] = json!(format!("{REFRESH_PREFIX}{sealed}"));
        }
        let reply = json!({"AuthenticationResult": result, "ChallengeParameters": {}});
        if is_refresh || self.version(Trigger::PostAuthentication).is_none() {
            return Ok(replied(reply));
        }
        let body = json!({"userAttributes": user.event_attributes(), "newDeviceUsed": false});
        let waiting = Waiting::PostAuthentication { origin: issue.origin.clone(), reply };
        self.invoke_for(Trigger::PostAuthentication, body, user, sign_in, waiting)
    }

    pub(super) fn revoke_token(&mut self, parameters: &Parameters) -> Result<Value, ApiError> {
        self.check_client(parameters)?;
        self.check_client_secret(parameters)?;
        if !self.client.revokes_tokens() {
            let message = "Token revocation is not enabled for the client.";
            return Err(ApiError::new("UnsupportedOperationException", message));
        }
        let token = parameters.required("Token")?;
        if self.tokens.has_signed(token) {
            return Err(ApiError::new("UnsupportedTokenTypeException", "Only refresh tokens can be revoked."));
        }
        // A token that is none is no error (RFC 7009 §2.2).
        if let Some(token) = self.read_refresh_token(token) {
            if token.client_id != self.client.client_id() {
                return Err(ApiError::new("UnauthorizedException", "The token was not issued to this client."));
            }
            self.revoked.insert(token.origin.jti);
            self.changed();
        }
        Ok(json!({}))
    }

    /// The user whose access token a call brings.
    pub(super) fn bearer(&self, parameters: &Parameters, now: UnixSeconds) -> Result<&User, ApiError> {
        let token = parameters.required("AccessToken")?;
        let invalid = || ApiError::not_authorized("Invalid Access Token");
        let token = self.tokens.read_access_token(token).ok_or_else(invalid)?;
        if now.0 >= token.expires_at {
            return Err(ApiError::not_authorized("Access Token has expired"));
        }
        let user = self.users.get(&token.username).ok_or_else(ApiError::user_not_found)?;
        if token.origin_jti.is_some_and(|jti| self.revoked.contains(&jti)) || !self.is_current(user, &token.event_id) {
            return Err(ApiError::not_authorized("Access Token has been revoked"));
        }
        if !token.has_scope {
            return Err(ApiError::not_authorized("Access Token does not have required scopes"));
        }
        if user.enabled { Ok(user) } else { Err(ApiError::not_authorized("User is disabled.")) }
    }

    /// A name for what happens, which every token tells: half of it is chance, the other half a check over that and the user's
    /// epoch. So an access token shows whether the user has signed out of everything since, and nothing is kept of it.
    fn event_id(&self, user: &User, rng: &mut impl Rng) -> String {
        let marked = Builder::from_random_bytes(rng.random()).into_uuid().into_bytes();
        self.with_check(user, marked).to_string()
    }

    fn is_current(&self, user: &User, event_id: &str) -> bool {
        event_id.parse::<Uuid>().is_ok_and(|id| self.with_check(user, id.into_bytes()) == id)
    }

    /// The octets with their last seven replaced by the check.
    fn with_check(&self, user: &User, mut octets: [u8; 16]) -> Uuid {
        let (chance, end) = octets.split_at_mut(9);
        let check = self.refresh_key.check(&[chance, &user.epoch.to_be_bytes(), user.username.as_bytes()]);
        end.copy_from_slice(&check[..7]);
        Uuid::from_bytes(octets)
    }
}
