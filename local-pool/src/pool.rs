//! The user pool itself, as a state machine without input or output.
//!
//! A [`Call`] of a client goes in; out comes a [`Step`]: the reply, or a trigger that has to be invoked first, whose
//! outcome is then given to [`Pool::resume`], and so on until there is a reply. Time and chance are arguments, so that a
//! test can live through ten minutes in a microsecond.

mod account;
mod administration;
mod challenge;
mod issue;
mod sign_in;

use std::collections::{BTreeMap, BTreeSet};

use auth_challenge::challenge::UnixSeconds;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::api::{ApiError, Call, Operation, Parameters};
use crate::pool::account::NewUser;
use crate::pool::sign_in::{SignIn, Waiting};
use crate::sealed::SealingKey;
use crate::settings::{ClientSettings, PoolSettings};
use crate::tokens::TokenSigner;
use crate::trigger::{Envelope, Outcome, Trigger, TriggerVersion};
use crate::users::{User, Users, short_id};

/// What events have for a client where the call names none.
const NO_CLIENT: &str = "CLIENT_ID_NOT_APPLICABLE";

/// What the pool is called, and what AWS leaves open.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// The region in the pool's id and in events.
    pub region: String,
    /// The id of the pool.
    pub user_pool_id: String,
    /// Whether PreAuthentication runs when a sign-in opens without a password. Documented, and reported not to be so.
    pub pre_authentication_in_custom_flow: bool,
    /// What triggers find in `userAttributes` of somebody who does not exist.
    pub unknown_user_attributes: UnknownUserAttributes,
    /// Whether every challenge tells `USERNAME`, or only the one that a sign-in begins with, as was once observed.
    pub username_in_later_challenges: bool,
    /// Longest `Session` text that is taken back, in octets. The model says 2,048; 8,192 was observed.
    pub max_session_length: usize,
    /// Whether calls that answer one challenge at the same time all reach verify-auth-challenge, or only the first one does: its
    /// `Session` is then spent once one of them was judged. Whether Cognito does so is unverified; all that its documents say is
    /// that a `Session` is for one call.
    pub concurrent_answers_to_session: bool,
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions {
            region: "eu-west-1".to_owned(),
            user_pool_id: "eu-west-1_LocalPool".to_owned(),
            pre_authentication_in_custom_flow: false,
            unknown_user_attributes: UnknownUserAttributes::Empty,
            username_in_later_challenges: false,
            max_session_length: 8_192,
            concurrent_answers_to_session: false,
        }
    }
}

/// What triggers find in `userAttributes` of somebody who does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownUserAttributes {
    /// `{}`.
    Empty,
    /// `null`.
    Null,
    /// No such member.
    Absent,
}

/// A user pool with one app client.
pub struct Pool {
    options: PoolOptions,
    settings: PoolSettings,
    client: ClientSettings,
    users: Users,
    tokens: TokenSigner,
    /// Seals `Session` texts. New in every run: none outlives it.
    session_key: SealingKey,
    /// Seals refresh tokens, and checks what access tokens say of themselves.
    refresh_key: SealingKey,
    spent: SpentSessions,
    /// `origin_jti` of the sign-ins whose tokens were revoked.
    revoked: BTreeSet<String>,
    outbox: Vec<Letter>,
    /// Counts the changes of what [`Pool::to_state`] tells.
    changes: u64,
}

/// A mail that the pool itself sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The recipient.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// What outlives a run of the pool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PoolState {
    settings: Map<String, Value>,
    client: Map<String, Value>,
    users: Users,
    revoked: BTreeSet<String>,
    refresh_key: String,
    signing_keys: [String; 2],
}

/// What has to happen next.
pub enum Step {
    /// Invoke a trigger, and resume with what came of it.
    Invoke(Box<Invocation>),
    /// Answer the client.
    Reply(Result<Value, ApiError>),
}

/// A trigger that has to be invoked before there is a reply.
pub struct Invocation {
    /// Which trigger.
    pub trigger: Trigger,
    /// The ARN of its function.
    pub function: String,
    /// The event for it.
    pub event: Value,
    /// What [`Pool::resume`] needs to go on.
    pub then: Suspended,
}

/// A call that waits for a trigger.
pub struct Suspended {
    event: Value,
    work: Work,
}

/// What a call is about.
enum Work {
    SignUp(NewUser),
    SignIn(SignIn, Waiting),
}

/// Texts by name, as clients send them.
type Texts = BTreeMap<String, String>;

/// What one trigger is invoked with.
struct Request<'a> {
    trigger: Trigger,
    /// The end of `triggerSource`.
    source: &'a str,
    user_name: &'a str,
    /// `request`.
    body: Value,
    /// `ClientMetadata` of the call, if AWS passes it on to this trigger.
    metadata: Option<&'a Texts>,
}

impl Pool {
    /// A pool with these users, whose tokens are signed with those keys.
    pub fn new(
        options: PoolOptions,
        settings: PoolSettings,
        client: ClientSettings,
        users: Users,
        tokens: TokenSigner,
        [session_key, refresh_key]: [SealingKey; 2],
    ) -> Pool {
        Pool {
            options,
            settings,
            client,
            users,
            tokens,
            session_key,
            refresh_key,
            spent: SpentSessions::default(),
            revoked: BTreeSet::new(),
            outbox: Vec::new(),
            changes: 0,
        }
    }

    /// The public keys of its tokens.
    pub fn jwks(&self) -> Value {
        self.tokens.jwks()
    }

    /// Takes the mails that the pool wants to send.
    pub fn take_letters(&mut self) -> Vec<Letter> {
        std::mem::take(&mut self.outbox)
    }

    /// How often that which [`to_state`](Self::to_state) tells has changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What outlives this run.
    ///
    /// # Errors
    ///
    /// When the signing keys cannot be had.
    pub fn to_state(&self) -> Result<PoolState, ApiError> {
        let signing_keys = self.tokens.to_pkcs8().map_err(|error| ApiError::internal(&error))?;
        Ok(PoolState {
            settings: self.settings.describe(),
            client: self.client.describe(),
            users: self.users.clone(),
            revoked: self.revoked.clone(),
            refresh_key: STANDARD.encode(self.refresh_key.octets()),
            signing_keys: signing_keys.map(|key| STANDARD.encode(key)),
        })
    }

    /// Takes a call of a client.
    pub fn handle(&mut self, call: &Call, now: UnixSeconds, rng: &mut impl Rng) -> Step {
        self.try_handle(call.operation, &call.parameters, now, rng).unwrap_or_else(|error| Step::Reply(Err(error)))
    }

    fn try_handle(
        &mut self,
        operation: Operation,
        parameters: &Parameters,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        if operation.is_signed() {
            self.check_pool(parameters)?;
        }
        match operation {
            Operation::InitiateAuth => self.initiate_auth(parameters, false, now, rng),
            Operation::AdminInitiateAuth => self.initiate_auth(parameters, true, now, rng),
            Operation::RespondToAuthChallenge | Operation::AdminRespondToAuthChallenge => {
                self.respond_to_auth_challenge(parameters, now, rng)
            }
            Operation::SignUp => self.sign_up(parameters, rng),
            Operation::AdminCreateUser => self.admin_create_user(parameters, rng),
            Operation::ConfirmSignUp => self.confirm_sign_up(parameters).map(replied),
            Operation::GetUser => self.get_user(parameters, now).map(replied),
            Operation::GlobalSignOut => self.global_sign_out(parameters, now, rng).map(replied),
            Operation::GetTokensFromRefreshToken => self.get_tokens_from_refresh_token(parameters, now, rng),
            Operation::RevokeToken => self.revoke_token(parameters).map(replied),
            Operation::AdminGetUser => self.admin_get_user(parameters).map(replied),
            Operation::AdminSetUserPassword => self.admin_set_user_password(parameters, rng).map(replied),
            Operation::AdminUpdateUserAttributes => self.admin_update_user_attributes(parameters).map(replied),
            Operation::AdminDisableUser => self.admin_enable_user(parameters, false).map(replied),
            Operation::AdminEnableUser => self.admin_enable_user(parameters, true).map(replied),
            Operation::AdminDeleteUser => self.admin_delete_user(parameters).map(replied),
            Operation::DescribeUserPool => Ok(replied(self.describe_user_pool())),
            Operation::UpdateUserPool => self.update_user_pool(parameters).map(replied),
            Operation::GetUserPoolMfaConfig => Ok(replied(self.settings.mfa())),
            Operation::DescribeUserPoolClient => self.describe_user_pool_client(parameters).map(replied),
            Operation::UpdateUserPoolClient => self.update_user_pool_client(parameters).map(replied),
        }
    }

    /// Goes on with a call once a trigger has been invoked.
    pub fn resume(&mut self, suspended: Suspended, outcome: Outcome, now: UnixSeconds, rng: &mut impl Rng) -> Step {
        let Suspended { event, work } = suspended;
        let resumed = match work {
            Work::SignUp(new_user) => self.resume_sign_up(new_user, &event, outcome),
            Work::SignIn(sign_in, waiting) => self.resume_sign_in(sign_in, waiting, &event, outcome, now, rng),
        };
        resumed.unwrap_or_else(|error| Step::Reply(Err(error)))
    }

    /// The step that invokes a trigger.
    fn invoke(&self, request: Request<'_>, work: impl FnOnce() -> Work) -> Result<Step, ApiError> {
        let (function, version) = self.settings.function(request.trigger).ok_or_else(|| {
            ApiError::invalid_parameter("Custom auth lambda trigger is not configured for the user pool.")
        })?;
        let mut body = request.body;
        if let Some(metadata) = request.metadata {
            body["clientMetadata"] = json!(metadata);
        }
        // An administrator's call names no app client.
        let client_id = if request.source == "AdminCreateUser" { NO_CLIENT } else { self.client.client_id() };
        let envelope = Envelope {
            region: &self.options.region,
            user_pool_id: &self.options.user_pool_id,
            client_id,
            user_name: request.user_name,
        };
        let event = envelope.event(request.trigger, version, request.source, body);
        Ok(Step::Invoke(Box::new(Invocation {
            trigger: request.trigger,
            function: function.to_owned(),
            event: event.clone(),
            then: Suspended { event, work: work() },
        })))
    }

    fn version(&self, trigger: Trigger) -> Option<TriggerVersion> {
        self.settings.function(trigger).map(|(_, version)| version)
    }

    /// `userAttributes` of an event.
    fn event_attributes(&self, user: &User) -> Option<Value> {
        if user.exists {
            return Some(json!(user.event_attributes()));
        }
        match self.options.unknown_user_attributes {
            UnknownUserAttributes::Empty => Some(json!({})),
            UnknownUserAttributes::Null => Some(Value::Null),
            UnknownUserAttributes::Absent => None,
        }
    }

    fn check_pool(&self, parameters: &Parameters) -> Result<(), ApiError> {
        let id = parameters.required("UserPoolId")?;
        if id == self.options.user_pool_id {
            return Ok(());
        }
        let message = format!("User pool {id:.55} does not exist.");
        Err(ApiError::new("ResourceNotFoundException", &message))
    }

    fn check_client(&self, parameters: &Parameters) -> Result<(), ApiError> {
        let id = parameters.client_id()?;
        if id == self.client.client_id() {
            return Ok(());
        }
        let message = format!("User pool client {id} does not exist.");
        Err(ApiError::new("ResourceNotFoundException", &message))
    }

    /// Checks `SECRET_HASH`: a MAC, with the client's secret as key, of the user's name as the client sent it and the client id.
    fn check_secret_hash(&self, hash: Option<&str>, username: &str) -> Result<(), ApiError> {
        let Some(secret) = self.client.secret() else { return Ok(()) };
        let client = self.client.client_id();
        let hash = hash.ok_or_else(|| {
            let message = format!("Client {client} is configured with secret but SECRET_HASH was not received");
            ApiError::not_authorized(&message)
        })?;
        let is_right = STANDARD.decode(hash).is_ok_and(|hash| {
            Hmac::<Sha256>::new_from_slice(secret.as_bytes()).is_ok_and(|mut mac| {
                mac.update(username.as_bytes());
                mac.update(client.as_bytes());
                mac.verify_slice(&hash).is_ok()
            })
        });
        if is_right {
            return Ok(());
        }
        Err(ApiError::not_authorized(&format!("Unable to verify secret hash for client {client}")))
    }

    /// Checks `ClientSecret`, which some calls bring instead.
    fn check_client_secret(&self, parameters: &Parameters) -> Result<(), ApiError> {
        let [expected, given] = [self.client.secret(), parameters.text("ClientSecret")].map(Option::unwrap_or_default);
        if bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
            return Ok(());
        }
        let message = format!("Unable to verify secret for client {}", self.client.client_id());
        Err(ApiError::not_authorized(&message))
    }

    fn check_password(&self, password: &str) -> Result<(), ApiError> {
        let Some(complaint) = self.settings.complaint_about(password) else { return Ok(()) };
        let message = format!("Password did not conform with policy: {complaint}");
        Err(ApiError::new("InvalidPasswordException", &message))
    }

    fn changed(&mut self) {
        self.changes += 1;
    }

    /// The part of the pool's id that passwords are hashed with.
    fn short_id(&self) -> &str {
        short_id(&self.options.user_pool_id)
    }
}

impl PoolState {
    /// The pool that this is the state of. Its settings but for the triggers, its users and its keys win over
    /// those that `pool` began with.
    ///
    /// # Errors
    ///
    /// When the keys are none.
    pub fn restore(self, mut pool: Pool, issuer: String) -> Result<Pool, String> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|error| error.to_string());
        let refresh_key: [u8; 32] =
            decode(&self.refresh_key)?.try_into().map_err(|_| "the refresh key is not 32 octets".to_owned())?;
        let [id, access] = &self.signing_keys;
        pool.tokens =
            TokenSigner::from_pkcs8(issuer, [&decode(id)?, &decode(access)?]).map_err(|error| error.to_string())?;
        pool.refresh_key = SealingKey::from_octets(refresh_key).map_err(|error| error.to_string())?;
        // Which functions there are, this run knows best.
        let mut settings = self.settings;
        settings.insert("LambdaConfig".to_owned(), pool.settings.describe().remove("LambdaConfig").unwrap_or_default());
        settings.insert("PoolName".to_owned(), settings.get("Name").cloned().unwrap_or_default());
        pool.settings.update(&settings).map_err(|error| error.message)?;
        let secret = self.client.get("ClientSecret").and_then(Value::as_str);
        pool.client = ClientSettings::new(&pool.options.user_pool_id, pool.client.client_id(), secret);
        pool.client.update(&self.client).map_err(|error| error.message)?;
        pool.users = self.users;
        pool.revoked = self.revoked;
        Ok(pool)
    }
}

fn replied(reply: Value) -> Step {
    Step::Reply(Ok(reply))
}

/// The `Session` texts that have served, until they would have expired: when that is, and their ids.
#[derive(Default)]
struct SpentSessions(BTreeSet<(UnixSeconds, u64)>);

impl SpentSessions {
    /// Spends a text that lives until `end`. `false` if it was spent before.
    fn spend(&mut self, id: u64, end: UnixSeconds, now: UnixSeconds) -> bool {
        while self.0.first().is_some_and(|(end, _)| *end <= now) {
            self.0.pop_first();
        }
        self.0.insert((end, id))
    }

    fn contains(&self, id: u64, end: UnixSeconds) -> bool {
        self.0.contains(&(end, id))
    }
}
