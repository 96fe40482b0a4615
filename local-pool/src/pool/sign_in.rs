//! Sign-ins: `InitiateAuth`, `RespondToAuthChallenge`, and what happens between them.

use auth_challenge::challenge::UnixSeconds;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Pool, Request, Step, Texts, Work, replied};
use crate::api::{ApiError, Parameters, violated};
use crate::settings::TokenKind;
use crate::srp::{Exchange, Verifier};
use crate::tokens::Origin;
use crate::trigger::{self, DefineReply, Entry, Outcome, TokenChanges, Trigger, TriggerVersion};
use crate::users::User;

/// A sign-in that is under way.
#[derive(Clone)]
pub(super) struct SignIn {
    state: State,
    /// `ClientMetadata` of this call, if it is one whose metadata AWS passes on.
    metadata: Option<Texts>,
}

/// What a `Session` text carries of a sign-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    /// The user's name, or the one that was made up for nobody.
    username: String,
    /// The history that define and create are given; none in a flow without them.
    history: Option<Vec<Entry>>,
}

/// What a sign-in waits for.
pub(super) enum Waiting {
    PreAuthentication(Opening),
    /// With the client's public number, if it may be asked for a password next.
    Define {
        srp_a: Option<String>,
    },
    Create,
    Verify {
        challenge_metadata: Option<String>,
    },
    PreTokenGeneration(Issue),
    PostAuthentication {
        reply: Value,
    },
}

/// How a sign-in opens.
pub(super) enum Opening {
    Custom,
    /// With a password that is not sent: the client's public number.
    Srp(String),
    /// With a password.
    Password(String),
}

/// Tokens that are about to be issued.
pub(super) struct Issue {
    origin: Origin,
    /// Why: the end of pre-token-generation's `triggerSource`.
    source: TokenSource,
}

/// Why tokens are issued.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenSource {
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

/// What a `Session` text stands for.
#[derive(Serialize, Deserialize)]
struct Session {
    id: u64,
    client_id: String,
    expires_at: u64,
    state: State,
    pending: Pending,
}

/// What the client is to answer.
#[derive(Serialize, Deserialize)]
enum Pending {
    CustomChallenge { private_challenge_parameters: Texts, challenge_metadata: Option<String> },
    PasswordVerifier(Exchange),
    NewPasswordRequired,
}

impl Pending {
    fn name(&self) -> &'static str {
        match self {
            Pending::CustomChallenge { .. } => "CUSTOM_CHALLENGE",
            Pending::PasswordVerifier(_) => "PASSWORD_VERIFIER",
            Pending::NewPasswordRequired => "NEW_PASSWORD_REQUIRED",
        }
    }
}

/// What a refresh token stands for.
#[derive(Serialize, Deserialize)]
pub(super) struct RefreshToken {
    username: String,
    pub(super) client_id: String,
    /// The user's epoch when the user signed in.
    epoch: u64,
    pub(super) origin_jti: String,
    auth_time: u64,
    expires_at: u64,
}

impl Pool {
    pub(super) fn initiate_auth(
        &mut self,
        parameters: &Parameters,
        by_admin: bool,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        let flow = match parameters.required("AuthFlow")? {
            "ADMIN_NO_SRP_AUTH" | "ADMIN_USER_PASSWORD_AUTH" if !by_admin => {
                return Err(ApiError::invalid_parameter("Initiate Auth method not supported."));
            }
            "ADMIN_NO_SRP_AUTH" => "ADMIN_USER_PASSWORD_AUTH",
            "REFRESH_TOKEN" => "REFRESH_TOKEN_AUTH",
            flow => flow,
        };
        self.check_client(parameters)?;
        let given = parameters.texts("AuthParameters").unwrap_or_default();
        let metadata = parameters.texts("ClientMetadata");
        let required = |name| given.get(name).ok_or_else(|| ApiError::missing_parameter(name));
        self.check_flow(flow)?;
        let secret_hash = given.get("SECRET_HASH").map(String::as_str);
        if flow == "REFRESH_TOKEN_AUTH" {
            let (token, user) = self.live_refresh_token(required("REFRESH_TOKEN")?, now)?;
            // The user is not named in the call; Cognito wants the hash made with the user's own name.
            self.check_secret_hash(secret_hash, &user.username)?;
            return self.refresh(token, &user, None, now, rng);
        }

        let typed = required("USERNAME")?;
        self.check_secret_hash(secret_hash, typed)?;
        let opening = match flow {
            "CUSTOM_AUTH" => given.get("SRP_A").map_or(Opening::Custom, |a| Opening::Srp(a.clone())),
            "USER_SRP_AUTH" => Opening::Srp(required("SRP_A")?.clone()),
            _ => Opening::Password(required("PASSWORD")?.clone()),
        };
        let history = match (&opening, flow) {
            (Opening::Srp(_), "CUSTOM_AUTH") => Some(vec![Entry::new("SRP_A", true, None)]),
            (_, "CUSTOM_AUTH") => Some(Vec::new()),
            _ => None,
        };
        let user = self.subject(typed)?;
        if !user.enabled {
            return Err(ApiError::not_authorized("User is disabled."));
        }
        if user.status == "UNCONFIRMED" {
            return Err(ApiError::new("UserNotConfirmedException", "User is not confirmed."));
        }
        if user.status == "RESET_REQUIRED" && !matches!(opening, Opening::Custom) {
            return Err(ApiError::new("PasswordResetRequiredException", "Password reset required for the user"));
        }

        // ClientMetadata of InitiateAuth goes to PreAuthentication alone.
        let state = State { username: user.username.clone(), history };
        let sign_in = SignIn { state, metadata: None };
        let is_run = !matches!(opening, Opening::Custom) || self.options.pre_authentication_in_custom_flow;
        if !is_run || self.version(Trigger::PreAuthentication).is_none() {
            return self.open(sign_in, opening, now, rng);
        }
        let mut body = self.request(&user);
        body["validationData"] = json!(metadata);
        let request = Request {
            trigger: Trigger::PreAuthentication,
            source: "Authentication",
            user_name: &user.username,
            body,
            metadata: None,
        };
        self.invoke(request, || Work::SignIn(sign_in, Waiting::PreAuthentication(opening))).ok_or_else(not_attached)
    }

    /// Whether the client may begin like this.
    fn check_flow(&self, flow: &str) -> Result<(), ApiError> {
        let refusal = match flow {
            "CUSTOM_AUTH" | "USER_SRP_AUTH" => format!("{flow} is not enabled for the client."),
            "USER_PASSWORD_AUTH" => format!("{flow} flow not enabled for this client"),
            "ADMIN_USER_PASSWORD_AUTH" | "REFRESH_TOKEN_AUTH" => "Auth flow not enabled for this client".to_owned(),
            "USER_AUTH" => return Err(ApiError::not_emulated("AuthFlow USER_AUTH")),
            _ => {
                let flows = "USER_AUTH, CUSTOM_AUTH, USER_SRP_AUTH, REFRESH_TOKEN_AUTH, REFRESH_TOKEN, USER_PASSWORD_AUTH, \
                             ADMIN_USER_PASSWORD_AUTH, ADMIN_NO_SRP_AUTH";
                return Err(violated(
                    &format!("'{flow:.64}' at 'authFlow'"),
                    &format!("Member must satisfy enum value set: [{flows}]"),
                ));
            }
        };
        if self.client.allows(flow) { Ok(()) } else { Err(ApiError::invalid_parameter(&refusal)) }
    }

    /// Goes on once the sign-in was admitted.
    fn open(
        &mut self,
        sign_in: SignIn,
        opening: Opening,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        match opening {
            Opening::Custom => self.define(sign_in, None),
            Opening::Srp(a) if sign_in.state.history.is_some() => self.define(sign_in, Some(a)),
            Opening::Srp(a) => self.ask_for_proof(sign_in, &a, now, rng),
            Opening::Password(password) => {
                let user = self.user_of(&sign_in)?;
                let pool = self.short_id();
                let is_right = |verifier: &Verifier| verifier.is_of(pool, &user.username, &password);
                if !(user.exists && user.password.as_ref().is_some_and(is_right)) {
                    return Err(ApiError::wrong_credentials());
                }
                self.after_password(sign_in, &user, now, rng)
            }
        }
    }

    fn define(&mut self, sign_in: SignIn, srp_a: Option<String>) -> Result<Step, ApiError> {
        let user = self.user_of(&sign_in)?;
        let mut body = self.request(&user);
        body["session"] = json!(sign_in.state.history);
        self.invoke_for(Trigger::DefineAuthChallenge, body, &user, sign_in, Waiting::Define { srp_a })
    }

    pub(super) fn respond_to_auth_challenge(
        &mut self,
        parameters: &Parameters,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        self.check_client(parameters)?;
        let challenge = parameters.required("ChallengeName")?;
        let responses = parameters.texts("ChallengeResponses").unwrap_or_default();
        let response = |name| responses.get(name).ok_or_else(|| ApiError::missing_parameter(name));
        let text = parameters.text("Session");
        if let Some(text) = text {
            let longest = self.options.max_session_length;
            let bound = match text.len() {
                0..20 => Some("Member must have length greater than or equal to 20".to_owned()),
                length if length > longest => Some(format!("Member must have length less than or equal to {longest}")),
                _ => None,
            };
            if let Some(bound) = bound {
                return Err(violated("at 'session'", &bound));
            }
        }
        refuse_other_challenges(challenge)?;
        let username = response("USERNAME")?;
        self.check_secret_hash(responses.get("SECRET_HASH").map(String::as_str), username)?;
        match challenge {
            "CUSTOM_CHALLENGE" => {
                response("ANSWER")?;
            }
            "NEW_PASSWORD_REQUIRED" => self.check_password(response("NEW_PASSWORD")?)?,
            _ => {
                for name in ["PASSWORD_CLAIM_SIGNATURE", "PASSWORD_CLAIM_SECRET_BLOCK", "TIMESTAMP"] {
                    response(name)?;
                }
            }
        }
        let block = responses.get("PASSWORD_CLAIM_SECRET_BLOCK").and_then(|block| STANDARD.decode(block).ok());
        let block = block.and_then(|block| String::from_utf8(block).ok()).unwrap_or_default();
        let sealed = match text {
            Some(text) => text.strip_prefix(SESSION_PREFIX).unwrap_or_default(),
            // Clients that began with a password alone were given no Session, but the same in the secret block.
            None if challenge == "PASSWORD_VERIFIER" => &block,
            None => return Err(ApiError::missing_parameter("Session")),
        };
        let session = self.spend(sealed, challenge, username, now)?;

        let sign_in = SignIn { state: session.state, metadata: parameters.texts("ClientMetadata") };
        let user = self.user_of(&sign_in)?;
        match session.pending {
            Pending::CustomChallenge { private_challenge_parameters, challenge_metadata } => {
                let mut body = self.request(&user);
                body["privateChallengeParameters"] = json!(private_challenge_parameters);
                body["challengeAnswer"] = json!(response("ANSWER")?);
                let waiting = Waiting::Verify { challenge_metadata };
                self.invoke_for(Trigger::VerifyAuthChallengeResponse, body, &user, sign_in, waiting)
            }
            Pending::PasswordVerifier(exchange) => {
                let (timestamp, signature) = (response("TIMESTAMP")?, response("PASSWORD_CLAIM_SIGNATURE")?);
                let verifier = user.password.as_ref().filter(|_| user.exists && block == sealed);
                let pool = self.short_id();
                let is_proved = |verifier| {
                    exchange.is_proved(verifier, pool, &user.username, block.as_bytes(), timestamp, signature)
                };
                if !verifier.is_some_and(is_proved) {
                    return Err(ApiError::wrong_credentials());
                }
                self.after_password(sign_in, &user, now, rng)
            }
            Pending::NewPasswordRequired => {
                let verifier = Verifier::new(self.short_id(), &user.username, response("NEW_PASSWORD")?, rng);
                let user = self.users.find_mut(&user.username).ok_or_else(ApiError::wrong_credentials)?;
                user.password = Some(verifier);
                user.status = "CONFIRMED".to_owned();
                for (name, value) in &responses {
                    if let Some(attribute) = name.strip_prefix("userAttributes.") {
                        user.attributes.insert(attribute.to_owned(), value.clone());
                    }
                }
                let user = user.clone();
                self.changed();
                // Also in a custom flow: define is not asked again.
                self.issue(sign_in, &user, TokenSource::NewPasswordChallenge, now, rng)
            }
        }
    }

    /// Opens a `Session` text and spends it, before any trigger runs: however this call ends, the text does not serve again.
    fn spend(&mut self, sealed: &str, challenge: &str, username: &str, now: UnixSeconds) -> Result<Session, ApiError> {
        let invalid = |why: &str| ApiError::not_authorized(&format!("Invalid session for the user{why}."));
        let session: Session = self.session_key.open(sealed).ok_or_else(|| invalid(""))?;
        // Whatever the client calls the user now.
        let own = &session.state.username;
        let is_theirs = username == own
            || match self.users.find(username) {
                Some(user) => user.username == *own,
                None => User::missing(&self.options.user_pool_id, username).username == *own,
            };
        if session.client_id != self.client.client_id() || session.pending.name() != challenge || !is_theirs {
            return Err(invalid(""));
        }
        let end = UnixSeconds(session.expires_at);
        if now >= end {
            return Err(invalid(", session is expired"));
        }
        if !self.spent.spend(session.id, end, now) {
            return Err(invalid(", session can only be used once"));
        }
        Ok(session)
    }

    pub(super) fn resume_sign_in(
        &mut self,
        mut sign_in: SignIn,
        waiting: Waiting,
        event: &Value,
        outcome: Outcome,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        match waiting {
            Waiting::PreAuthentication(opening) => {
                trigger::read_consent(event, outcome)?;
                self.open(sign_in, opening, now, rng)
            }
            Waiting::Define { srp_a } => {
                let reply = trigger::read_define(event, outcome)?;
                let user = self.user_of(&sign_in)?;
                match (reply, srp_a) {
                    (DefineReply::IssueTokens, _) if user.exists => {
                        self.issue(sign_in, &user, TokenSource::Authentication, now, rng)
                    }
                    (DefineReply::IssueTokens | DefineReply::FailAuthentication, _) => {
                        Err(ApiError::wrong_credentials())
                    }
                    (DefineReply::Challenge(name), _) if name == "CUSTOM_CHALLENGE" => {
                        let mut body = self.request(&user);
                        body["challengeName"] = json!(name);
                        body["session"] = json!(sign_in.state.history);
                        self.invoke_for(Trigger::CreateAuthChallenge, body, &user, sign_in, Waiting::Create)
                    }
                    (DefineReply::Challenge(name), Some(a)) if name == "PASSWORD_VERIFIER" => {
                        self.ask_for_proof(sign_in, &a, now, rng)
                    }
                    (DefineReply::Challenge(name), _) => {
                        Err(ApiError::not_emulated(&format!("challenge {name:.64} at this point of a sign-in")))
                    }
                }
            }
            Waiting::Create => {
                let created = trigger::read_create(event, outcome)?;
                let mut parameters = created.public_challenge_parameters;
                let history = sign_in.state.history.as_deref().unwrap_or_default();
                let is_first = history.iter().all(|entry| entry.challenge_name != "CUSTOM_CHALLENGE");
                if is_first || self.options.username_in_later_challenges {
                    parameters.insert("USERNAME".to_owned(), sign_in.state.username.clone());
                }
                let pending = Pending::CustomChallenge {
                    private_challenge_parameters: created.private_challenge_parameters,
                    challenge_metadata: created.challenge_metadata,
                };
                self.challenge(sign_in.state, pending, json!(parameters), now, rng)
            }
            Waiting::Verify { challenge_metadata } => {
                let correct = trigger::read_verify(event, outcome)?;
                let entry = Entry::new("CUSTOM_CHALLENGE", correct, challenge_metadata);
                sign_in.state.history.get_or_insert_default().push(entry);
                self.define(sign_in, None)
            }
            Waiting::PreTokenGeneration(issue) => {
                let changes = trigger::read_pre_token_generation(event, outcome)?;
                let user = self.user_of(&sign_in)?;
                self.sign(sign_in, &user, &issue, &changes, now, rng)
            }
            Waiting::PostAuthentication { reply } => {
                trigger::read_consent(event, outcome)?;
                Ok(replied(reply))
            }
        }
    }

    /// Presents `PASSWORD_VERIFIER`, to somebody who does not exist as to everybody.
    fn ask_for_proof(
        &mut self,
        sign_in: SignIn,
        srp_a: &str,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        let user = self.user_of(&sign_in)?;
        let name = &user.username;
        let verifier = user.password.clone().unwrap_or_else(|| Verifier::of_nobody(self.short_id(), name));
        let (exchange, srp_b) = Exchange::begin(srp_a, &verifier, rng)
            .map_err(|_| ApiError::invalid_parameter("SRP_A is not a number that it can be."))?;
        let parameters = json!({
            "USER_ID_FOR_SRP": name,
            "USERNAME": name,
            "SALT": verifier.salt(),
            "SRP_B": srp_b,
        });
        self.challenge(sign_in.state, Pending::PasswordVerifier(exchange), parameters, now, rng)
    }

    /// Goes on after a right password.
    fn after_password(
        &mut self,
        mut sign_in: SignIn,
        user: &User,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        if user.status == "FORCE_CHANGE_PASSWORD" {
            let attributes: Texts = user.attributes.clone().into_iter().filter(|(name, _)| name != "sub").collect();
            let parameters = json!({
                "USER_ID_FOR_SRP": user.username,
                "requiredAttributes": "[]",
                "userAttributes": json!(attributes).to_string(),
            });
            return self.challenge(sign_in.state, Pending::NewPasswordRequired, parameters, now, rng);
        }
        match &mut sign_in.state.history {
            Some(history) => {
                history.push(Entry::new("PASSWORD_VERIFIER", true, None));
                self.define(sign_in, None)
            }
            None => self.issue(sign_in, user, TokenSource::Authentication, now, rng),
        }
    }

    /// The reply that presents a challenge.
    fn challenge(
        &mut self,
        state: State,
        pending: Pending,
        mut parameters: Value,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        let name = pending.name();
        let is_proof = matches!(pending, Pending::PasswordVerifier(_));
        let is_custom = state.history.is_some();
        let session = Session {
            // As long in every text, so that a text's length says nothing.
            id: rng.random_range(1_000_000_000_000_000_000..10_000_000_000_000_000_000),
            client_id: self.client.client_id().to_owned(),
            expires_at: now.0.saturating_add(self.client.session_validity()),
            state,
            pending,
        };
        let sealed = self.session_key.seal(&session, rng).map_err(|error| ApiError::internal(&error))?;
        if is_proof {
            parameters["SECRET_BLOCK"] = json!(STANDARD.encode(&sealed));
        }
        let mut reply = json!({"ChallengeName": name, "ChallengeParameters": parameters});
        if is_custom || !is_proof {
            reply["Session"] = json!(format!("{SESSION_PREFIX}{sealed}"));
        }
        Ok(replied(reply))
    }

    /// Issues the tokens of a new sign-in.
    fn issue(
        &mut self,
        sign_in: SignIn,
        user: &User,
        source: TokenSource,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        let origin = Origin { jti: self.origin_jti(user, rng), auth_time: now.0 };
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

    fn refresh(
        &mut self,
        token: RefreshToken,
        user: &User,
        metadata: Option<Texts>,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        let state = State { username: user.username.clone(), history: None };
        let origin = Origin { jti: token.origin_jti, auth_time: token.auth_time };
        let issue = Issue { origin, source: TokenSource::RefreshTokens };
        self.generate_tokens(SignIn { state, metadata }, user, issue, now, rng)
    }

    /// What a refresh token stands for, and whose it is, if it still serves.
    fn live_refresh_token(&self, text: &str, now: UnixSeconds) -> Result<(RefreshToken, User), ApiError> {
        let token = self.read_refresh_token(text).ok_or_else(|| ApiError::not_authorized("Invalid Refresh Token."))?;
        if now.0 >= token.expires_at {
            return Err(ApiError::not_authorized("Refresh Token has expired"));
        }
        let user = self.users.find(&token.username).filter(|user| user.username == token.username);
        let user = user.ok_or_else(|| ApiError::not_authorized("Invalid Refresh Token."))?;
        if user.epoch != token.epoch || self.revoked.contains(&token.origin_jti) {
            return Err(ApiError::not_authorized("Refresh Token has been revoked"));
        }
        if !user.enabled {
            return Err(ApiError::not_authorized("User is disabled."));
        }
        Ok((token, user.clone()))
    }

    pub(super) fn read_refresh_token(&self, text: &str) -> Option<RefreshToken> {
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
        let work = || Work::SignIn(sign_in, Waiting::PreTokenGeneration(issue));
        self.invoke(request, work).ok_or_else(not_attached)
    }

    fn sign(
        &mut self,
        sign_in: SignIn,
        user: &User,
        issue: &Issue,
        changes: &TokenChanges,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        if !user.exists {
            return Err(ApiError::wrong_credentials());
        }
        let signed = self.tokens.sign(&self.client, user, &issue.origin, changes, now, rng);
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
                epoch: user.epoch,
                origin_jti: issue.origin.jti.clone(),
                auth_time: issue.origin.auth_time,
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
        let waiting = Waiting::PostAuthentication { reply };
        self.invoke_for(Trigger::PostAuthentication, body, user, sign_in, waiting)
    }

    fn invoke_for(
        &self,
        trigger: Trigger,
        body: Value,
        user: &User,
        sign_in: SignIn,
        waiting: Waiting,
    ) -> Result<Step, ApiError> {
        let metadata = sign_in.metadata.clone();
        let metadata = metadata.as_ref();
        let request = Request { trigger, source: "Authentication", user_name: &user.username, body, metadata };
        self.invoke(request, || Work::SignIn(sign_in, waiting)).ok_or_else(not_attached)
    }

    /// The user of that name, or somebody made up if the client hides who exists.
    fn subject(&self, name: &str) -> Result<User, ApiError> {
        match self.users.find(name) {
            Some(user) => Ok(user.clone()),
            None if self.client.prevents_user_existence_errors() => Ok(User::missing(&self.options.user_pool_id, name)),
            None => Err(ApiError::user_not_found()),
        }
    }

    /// The user of a sign-in that is under way, who may have been disabled meanwhile, or deleted and is nobody any more.
    fn user_of(&self, sign_in: &SignIn) -> Result<User, ApiError> {
        let name = &sign_in.state.username;
        match self.users.find(name) {
            Some(user) if user.username == *name && !user.enabled => Err(ApiError::not_authorized("User is disabled.")),
            Some(user) if user.username == *name => Ok(user.clone()),
            _ if self.client.prevents_user_existence_errors() => Ok(User::nobody(name)),
            _ => Err(ApiError::user_not_found()),
        }
    }

    /// What every trigger of a sign-in is told of the user.
    fn request(&self, user: &User) -> Value {
        let mut body = json!({});
        if let Some(attributes) = self.event_attributes(user) {
            body["userAttributes"] = attributes;
        }
        if self.client.prevents_user_existence_errors() {
            body["userNotFound"] = json!(!user.exists);
        }
        body
    }
}

/// Cognito's texts begin with these letters and say nothing to their bearer.
const SESSION_PREFIX: &str = "AYABe";
/// The header of an encrypted token (RFC 7516), which is what Cognito's refresh tokens are.
const REFRESH_PREFIX: &str = "eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiZGlyIn0..";

/// Refuses challenges that only other pools present, as Cognito does when nothing has presented them.
fn refuse_other_challenges(name: &str) -> Result<(), ApiError> {
    match name {
        "CUSTOM_CHALLENGE" | "PASSWORD_VERIFIER" | "NEW_PASSWORD_REQUIRED" => Ok(()),
        "SMS_MFA" | "SOFTWARE_TOKEN_MFA" | "EMAIL_OTP" | "SMS_OTP" => {
            Err(ApiError::new("CodeMismatchException", "Invalid code or auth state for the user."))
        }
        "DEVICE_SRP_AUTH" | "DEVICE_PASSWORD_VERIFIER" => {
            Err(ApiError::new("ResourceNotFoundException", "Device does not exist."))
        }
        "SELECT_MFA_TYPE" | "MFA_SETUP" | "SELECT_CHALLENGE" | "ADMIN_NO_SRP_AUTH" | "PASSWORD" | "PASSWORD_SRP"
        | "WEB_AUTHN" => Err(ApiError::not_authorized("Invalid session for the user.")),
        _ => {
            let names = "SMS_MFA, EMAIL_OTP, SOFTWARE_TOKEN_MFA, SELECT_MFA_TYPE, MFA_SETUP, PASSWORD_VERIFIER, \
                         CUSTOM_CHALLENGE, SELECT_CHALLENGE, DEVICE_SRP_AUTH, DEVICE_PASSWORD_VERIFIER, ADMIN_NO_SRP_AUTH, \
                         NEW_PASSWORD_REQUIRED, SMS_OTP, PASSWORD, WEB_AUTHN, PASSWORD_SRP";
            let constraint = format!("Member must satisfy enum value set: [{names}]");
            Err(violated(&format!("'{name:.64}' at 'challengeName'"), &constraint))
        }
    }
}

fn not_attached() -> ApiError {
    ApiError::invalid_parameter("Custom auth lambda trigger is not configured for the user pool.")
}
