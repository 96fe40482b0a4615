//! Sign-ins: how they begin, and what the triggers make of them.

use auth_challenge::challenge::UnixSeconds;
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::challenge::Pending;
use super::issue::{Issue, TokenSource};
use super::{Pool, Request, Step, Texts, Work, replied};
use crate::api::{ApiError, Parameters, violated};
use crate::srp::Verifier;
use crate::tokens::Origin;
use crate::trigger::{self, DefineReply, Entry, Outcome, Trigger};
use crate::users::{User, UserStatus};

/// A sign-in that is under way.
pub(super) struct SignIn {
    pub(super) state: State,
    /// `ClientMetadata` of this call, if it is one whose metadata AWS passes on.
    pub(super) metadata: Option<Texts>,
}

/// What a `Session` text carries of a sign-in.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// The user's name, or the one that was made up for nobody.
    pub(super) username: String,
    /// The history that define and create are given; none in a flow without them.
    pub(super) history: Option<Vec<Entry>>,
}

/// What a sign-in waits for.
pub(super) enum Waiting {
    PreAuthentication(Opening),
    /// With the client's public number, if it may be asked for a password next.
    Define {
        srp_a: Option<String>,
    },
    Create,
    /// With the `Session` that is answered: its id, and until when it lives.
    Verify {
        challenge_metadata: Option<String>,
        session: (u64, UnixSeconds),
    },
    PreTokenGeneration(Issue),
    PostAuthentication {
        origin: Origin,
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
            "CUSTOM_AUTH" => match given.get("CHALLENGE_NAME").or(given.get("ChallengeName")).map(String::as_str) {
                Some("SRP_A") => Opening::Srp(required("SRP_A")?.clone()),
                _ => Opening::Custom,
            },
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
        if user.status == UserStatus::Unconfirmed {
            return Err(ApiError::new("UserNotConfirmedException", "User is not confirmed."));
        }
        // Where the client hides who exists, the answer is that of AWS's guide for imported users: no password is right.
        let is_told = !self.client.prevents_user_existence_errors();
        if is_told && user.status == UserStatus::ResetRequired && !matches!(opening, Opening::Custom) {
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
        self.invoke(request, || Work::SignIn(sign_in, Waiting::PreAuthentication(opening)))
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
                if !user.serving_password().is_some_and(is_right) {
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
                // Only the reply to InitiateAuth has it, before which nothing can have been answered.
                let is_initiated = history.iter().all(|entry| entry.challenge_name == "SRP_A");
                if is_initiated || self.options.username_in_later_challenges {
                    parameters.insert("USERNAME".to_owned(), sign_in.state.username.clone());
                }
                let pending = Pending::CustomChallenge {
                    private_challenge_parameters: created.private_challenge_parameters,
                    challenge_metadata: created.challenge_metadata,
                };
                self.challenge(sign_in.state, pending, json!(parameters), now, rng)
            }
            Waiting::Verify { challenge_metadata, session: (id, end) } => {
                // Most were spent before; the others are now, also if the trigger failed.
                self.spent.spend(id, end, now);
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
            Waiting::PostAuthentication { origin, reply } => {
                trigger::read_consent(event, outcome)?;
                self.check_owner(&origin, &self.user_of(&sign_in)?)?;
                Ok(replied(reply))
            }
        }
    }

    /// Goes on after a right password.
    pub(super) fn after_password(
        &mut self,
        mut sign_in: SignIn,
        user: &User,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        if user.status == UserStatus::ForceChangePassword {
            let attributes: Texts = user.attributes.clone().into_iter().filter(|(name, _)| name != "sub").collect();
            let parameters = json!({
                "USER_ID_FOR_SRP": user.username,
                "requiredAttributes": "[]",
                "userAttributes": json!(attributes).to_string(),
            });
            let salt = user.password.as_ref().map(|verifier| verifier.salt().to_owned()).unwrap_or_default();
            return self.challenge(sign_in.state, Pending::NewPasswordRequired { salt }, parameters, now, rng);
        }
        match &mut sign_in.state.history {
            Some(history) => {
                history.push(Entry::new("PASSWORD_VERIFIER", true, None));
                self.define(sign_in, None)
            }
            None => self.issue(sign_in, user, TokenSource::Authentication, now, rng),
        }
    }

    pub(super) fn invoke_for(
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
        self.invoke(request, || Work::SignIn(sign_in, waiting))
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
    pub(super) fn user_of(&self, sign_in: &SignIn) -> Result<User, ApiError> {
        let name = &sign_in.state.username;
        match self.users.get(name) {
            Some(user) if user.enabled => Ok(user.clone()),
            Some(_) => Err(ApiError::not_authorized("User is disabled.")),
            None if self.client.prevents_user_existence_errors() => Ok(User::nobody(name)),
            None => Err(ApiError::user_not_found()),
        }
    }

    /// What every trigger of a sign-in is told of the user.
    pub(super) fn request(&self, user: &User) -> Value {
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
