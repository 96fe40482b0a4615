//! The user pool itself, as a state machine without input or output.
//!
//! A [`Call`] of a client goes in; out comes a [`Step`]: the reply, or a trigger that has to be invoked first, whose
//! outcome is then given to [`Pool::resume`], and so on until there is a reply. Time and chance are arguments, so that a
//! test can live through ten minutes in a microsecond.

use std::collections::{BTreeMap, HashMap};

use auth_challenge::challenge::UnixSeconds;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use serde_json::{Value, json};

use crate::api::{ApiError, Call, InitiateAuth, RespondToAuthChallenge};
use crate::tokens::TokenSigner;
use crate::trigger::{self, DefineReply, Entry, Outcome, Trigger};
use crate::users::{User, Users};

/// What the pool is called, and what AWS lets people choose or leaves open.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The region in the pool's id and in events.
    pub region: String,
    /// The id of the pool.
    pub user_pool_id: String,
    /// The id of its only app client, which has no secret and allows `CUSTOM_AUTH`.
    pub client_id: String,
    /// `AuthSessionValidity` of the app client, in seconds: the life of one `Session` text.
    pub session_validity: u64,
    /// `PreventUserExistenceErrors` of the app client: whether triggers are run for users who do not exist.
    pub prevent_user_existence_errors: bool,
    /// Whether PreAuthentication runs when a sign-in opens without SRP. Documented, and reported not to be so.
    pub pre_authentication_in_custom_flow: bool,
}

/// Life of ID and access tokens in seconds, Cognito's default.
const TOKEN_VALIDITY: u64 = 3_600;

/// For how long a spent or expired `Session` text is still known for what it was, in seconds.
const SESSION_MEMORY: u64 = 3_600;

/// A user pool with one app client.
pub struct Pool {
    config: PoolConfig,
    users: Users,
    sessions: HashMap<String, Session>,
    tokens: TokenSigner,
}

/// What has to happen next.
pub enum Step {
    /// Invoke a trigger, and resume with what came of it.
    Invoke(Invocation),
    /// Answer the client.
    Reply(Result<Value, ApiError>),
}

/// A trigger that has to be invoked before there is a reply.
pub struct Invocation {
    /// Which trigger.
    pub trigger: Trigger,
    /// The event for it.
    pub event: Value,
    /// What [`Pool::resume`] needs to go on.
    pub then: Suspended,
}

/// A call that waits for a trigger.
pub struct Suspended {
    sign_in: SignIn,
    /// `ClientMetadata` of this call.
    metadata: Option<BTreeMap<String, String>>,
    awaiting: Awaiting,
    event: Value,
}

enum Awaiting {
    PreAuthentication,
    Define,
    Create,
    Verify { challenge_metadata: Option<String> },
}

/// A sign-in that is under way.
#[derive(Clone)]
struct SignIn {
    user: User,
    /// What the client called the user.
    typed: String,
    /// The history that Define and Create are given.
    history: Vec<Entry>,
}

/// What a `Session` text stands for.
struct Session {
    sign_in: SignIn,
    private_challenge_parameters: BTreeMap<String, String>,
    challenge_metadata: Option<String>,
    expires_at: UnixSeconds,
    spent: bool,
}

impl Pool {
    /// A pool with these users, whose tokens are signed with those keys.
    pub fn new(config: PoolConfig, users: Users, tokens: TokenSigner) -> Pool {
        Pool { config, users, sessions: HashMap::new(), tokens }
    }

    /// What the pool is called.
    pub fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// The public keys of its tokens.
    pub fn jwks(&self) -> Value {
        self.tokens.jwks()
    }

    /// Takes a call of a client.
    pub fn handle(&mut self, call: Call, now: UnixSeconds) -> Step {
        self.sessions.retain(|_, session| now.0 < session.expires_at.0.saturating_add(SESSION_MEMORY));
        let begun = match call {
            Call::InitiateAuth(call) => self.initiate_auth(call),
            Call::RespondToAuthChallenge(call) => self.respond_to_auth_challenge(call, now),
        };
        begun.unwrap_or_else(|error| Step::Reply(Err(error)))
    }

    /// Goes on with a call once a trigger has been invoked.
    pub fn resume(&mut self, suspended: Suspended, outcome: Outcome, now: UnixSeconds, rng: &mut impl Rng) -> Step {
        self.try_resume(suspended, outcome, now, rng).unwrap_or_else(|error| Step::Reply(Err(error)))
    }

    fn initiate_auth(&mut self, call: InitiateAuth) -> Result<Step, ApiError> {
        self.check_client(&call.client_id)?;
        if call.auth_flow != "CUSTOM_AUTH" {
            return Err(ApiError::not_emulated(&format!("AuthFlow {}", call.auth_flow)));
        }
        let typed = call.auth_parameters.get("USERNAME").ok_or_else(|| ApiError::missing_parameter("USERNAME"))?;
        let user = match self.users.find(typed) {
            Some(user) => user.clone(),
            None if self.config.prevent_user_existence_errors => User::missing(&self.config.user_pool_id, typed),
            None => return Err(ApiError::new("UserNotFoundException", "User does not exist.")),
        };
        if !user.enabled {
            return Err(ApiError::not_authorized("User is disabled."));
        }
        let opens_with_srp = call.auth_parameters.contains_key("SRP_A");
        let history = if opens_with_srp { vec![Entry::new("SRP_A", true, None)] } else { Vec::new() };
        let sign_in = SignIn { user, typed: typed.clone(), history };
        if opens_with_srp || self.config.pre_authentication_in_custom_flow {
            let request = json!({ "validationData": call.client_metadata });
            return Ok(self.invoke(Trigger::PreAuthentication, request, sign_in, None, Awaiting::PreAuthentication));
        }
        // ClientMetadata of InitiateAuth goes to PreAuthentication alone.
        Ok(self.define(sign_in, None))
    }

    fn respond_to_auth_challenge(&mut self, call: RespondToAuthChallenge, now: UnixSeconds) -> Result<Step, ApiError> {
        self.check_client(&call.client_id)?;
        if call.challenge_name != "CUSTOM_CHALLENGE" {
            return Err(ApiError::not_emulated(&format!("ChallengeName {}", call.challenge_name)));
        }
        let response = |name| call.challenge_responses.get(name).ok_or_else(|| ApiError::missing_parameter(name));
        let username = response("USERNAME")?;
        let answer = response("ANSWER")?;
        let session = call.session.as_ref().ok_or_else(|| ApiError::missing_parameter("Session"))?;

        let invalid = |why: &str| ApiError::not_authorized(&format!("Invalid session for the user{why}."));
        let session = self.sessions.get_mut(session).ok_or_else(|| invalid(""))?;
        let SignIn { user, typed, .. } = &session.sign_in;
        if ![user.username.as_str(), typed.as_str()].contains(&username.as_str()) && !user.has_alias(username) {
            return Err(invalid(""));
        }
        if session.spent {
            return Err(invalid(", session can only be used once"));
        }
        // Spent before any trigger runs: however this call ends, the text does not serve again.
        session.spent = true;
        if now >= session.expires_at {
            return Err(invalid(", session is expired"));
        }
        let request = json!({
            "privateChallengeParameters": session.private_challenge_parameters,
            "challengeAnswer": answer,
        });
        let sign_in = session.sign_in.clone();
        let awaiting = Awaiting::Verify { challenge_metadata: session.challenge_metadata.take() };
        Ok(self.invoke(Trigger::VerifyAuthChallengeResponse, request, sign_in, call.client_metadata, awaiting))
    }

    fn try_resume(
        &mut self,
        suspended: Suspended,
        outcome: Outcome,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        let Suspended { mut sign_in, metadata, awaiting, event } = suspended;
        match awaiting {
            Awaiting::PreAuthentication => {
                trigger::read_pre_authentication(&event, outcome)?;
                Ok(self.define(sign_in, metadata))
            }
            Awaiting::Define => match trigger::read_define(&event, outcome)? {
                DefineReply::IssueTokens if sign_in.user.exists => {
                    Ok(Step::Reply(self.authentication_result(&sign_in.user, now, rng)))
                }
                DefineReply::IssueTokens | DefineReply::FailAuthentication => Err(ApiError::wrong_credentials()),
                DefineReply::Challenge(name) if name == "CUSTOM_CHALLENGE" => {
                    let request = json!({ "challengeName": name, "session": sign_in.history });
                    Ok(self.invoke(Trigger::CreateAuthChallenge, request, sign_in, metadata, Awaiting::Create))
                }
                DefineReply::Challenge(name) => Err(ApiError::not_emulated(&format!("challenge {name}"))),
            },
            Awaiting::Create => {
                let created = trigger::read_create(&event, outcome)?;
                let mut parameters = created.public_challenge_parameters;
                let is_first = sign_in.history.iter().all(|entry| entry.challenge_name != "CUSTOM_CHALLENGE");
                if is_first {
                    parameters.insert("USERNAME".to_owned(), sign_in.user.username.clone());
                }
                let session = Session {
                    sign_in,
                    private_challenge_parameters: created.private_challenge_parameters,
                    challenge_metadata: created.challenge_metadata,
                    expires_at: UnixSeconds(now.0.saturating_add(self.config.session_validity)),
                    spent: false,
                };
                let text = session_text(rng);
                self.sessions.insert(text.clone(), session);
                Ok(Step::Reply(Ok(json!({
                    "ChallengeName": "CUSTOM_CHALLENGE",
                    "ChallengeParameters": parameters,
                    "Session": text,
                }))))
            }
            Awaiting::Verify { challenge_metadata } => {
                let correct = trigger::read_verify(&event, outcome)?;
                sign_in.history.push(Entry::new("CUSTOM_CHALLENGE", correct, challenge_metadata));
                Ok(self.define(sign_in, metadata))
            }
        }
    }

    fn define(&self, sign_in: SignIn, metadata: Option<BTreeMap<String, String>>) -> Step {
        let request = json!({ "session": sign_in.history });
        self.invoke(Trigger::DefineAuthChallenge, request, sign_in, metadata, Awaiting::Define)
    }

    fn invoke(
        &self,
        trigger: Trigger,
        request: Value,
        sign_in: SignIn,
        metadata: Option<BTreeMap<String, String>>,
        awaiting: Awaiting,
    ) -> Step {
        let event = trigger::event(&self.config, trigger, &sign_in.user, request, metadata.as_ref());
        Step::Invoke(Invocation {
            trigger,
            event: event.clone(),
            then: Suspended { sign_in, metadata, awaiting, event },
        })
    }

    fn authentication_result(&self, user: &User, now: UnixSeconds, rng: &mut impl Rng) -> Result<Value, ApiError> {
        let tokens = self
            .tokens
            .sign(&self.config, user, now, TOKEN_VALIDITY, rng)
            .map_err(|error| ApiError::new("InternalErrorException", &error.to_string()))?;
        Ok(json!({
            "AuthenticationResult": {
                "AccessToken": tokens.access,
                "ExpiresIn": TOKEN_VALIDITY,
                "IdToken": tokens.id,
                "RefreshToken": tokens.refresh,
                "TokenType": "Bearer",
            },
            "ChallengeParameters": {},
        }))
    }

    fn check_client(&self, client_id: &str) -> Result<(), ApiError> {
        if client_id == self.config.client_id {
            return Ok(());
        }
        let message = format!("User pool client {client_id} does not exist.");
        Err(ApiError::new("ResourceNotFoundException", &message))
    }
}

/// A new `Session` text. Cognito's begins with these letters and says nothing to its bearer.
fn session_text(rng: &mut impl Rng) -> String {
    let mut octets = [0; 96];
    rng.fill_bytes(&mut octets);
    format!("AYABe{}", URL_SAFE_NO_PAD.encode(octets))
}
