//! What users do with their accounts: sign up, confirm, look at themselves, sign out.

use auth_challenge::challenge::UnixSeconds;
use hmac::{Hmac, KeyInit, Mac};
use rand::{Rng, RngExt};
use serde_json::{Value, json};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::{Builder, Uuid};

use super::{Letter, Pool, Request, Step, Texts, Work, replied};
use crate::api::{ApiError, Parameters};
use crate::srp::Verifier;
use crate::tokens::uuid;
use crate::trigger::{self, Outcome, Trigger};
use crate::users::User;

/// A user who is about to be made.
pub(super) struct NewUser {
    pub(super) user: User,
    /// Whether an administrator makes the user, and what the administrator is told.
    pub(super) by_admin: bool,
    /// The mail that goes out when all is well.
    pub(super) letter: Option<Letter>,
}

impl Pool {
    pub(super) fn sign_up(&mut self, parameters: &Parameters, rng: &mut impl Rng) -> Result<Step, ApiError> {
        self.check_client(parameters)?;
        let name = parameters.required("Username")?;
        self.check_secret_hash(parameters.text("SecretHash"), name)?;
        if self.settings.only_admins_create_users() {
            return Err(ApiError::not_authorized("SignUp is not permitted for this user pool"));
        }
        let password = parameters.text("Password");
        if let Some(password) = password {
            self.check_password(password)?;
        }
        let mut user = self.new_user(name, parameters.attributes("UserAttributes").unwrap_or_default(), rng)?;
        user.password = password.map(|password| Verifier::new(self.short_id(), &user.username, password, rng));
        user.status = "UNCONFIRMED".to_owned();
        let code = format!("{:06}", rng.random_range(0..1_000_000));
        let letter = self.settings.verifies_email().then(|| Letter {
            to: user.attributes.get("email").cloned().unwrap_or_default(),
            subject: "Your verification code".to_owned(),
            text: format!("Your confirmation code is {code}\n"),
        });
        user.confirmation_code = Some(code);
        let validation_data = parameters.attributes("ValidationData");
        let metadata = parameters.texts("ClientMetadata");
        let new_user = NewUser { user, by_admin: false, letter };
        self.create(new_user, "SignUp", validation_data.as_ref(), metadata.as_ref())
    }

    /// A user of that name, which is also the address where it is one.
    pub(super) fn new_user(&self, name: &str, given: Texts, rng: &mut impl Rng) -> Result<User, ApiError> {
        let mut user = User::new(given.get("email").map_or(name, String::as_str));
        let sub = uuid(rng);
        user.attributes = given;
        user.attributes.entry("email".to_owned()).or_insert_with(|| name.to_owned());
        user.attributes.remove("sub");
        let email = user.attributes.get("email").cloned().unwrap_or_default();
        if !email.contains('@') {
            return Err(ApiError::invalid_parameter("Username should be an email."));
        }
        if self.users.find(name).is_some() || self.users.find(&email).is_some() {
            let message = "An account with the given email already exists.";
            return Err(ApiError::new("UsernameExistsException", message));
        }
        user.username.clone_from(&sub);
        user.epoch = rng.random();
        user.attributes.insert("sub".to_owned(), sub);
        Ok(user)
    }

    /// Makes a user, once pre-sign-up has agreed if it is attached.
    pub(super) fn create(
        &mut self,
        new_user: NewUser,
        source: &str,
        validation_data: Option<&Texts>,
        metadata: Option<&Texts>,
    ) -> Result<Step, ApiError> {
        if self.version(Trigger::PreSignUp).is_none() {
            return self.add(new_user);
        }
        let mut attributes = new_user.user.event_attributes();
        // The user has none yet.
        attributes.remove("sub");
        if !new_user.by_admin {
            attributes.remove("cognito:user_status");
        }
        let user_name = new_user.user.username.clone();
        let request = Request {
            trigger: Trigger::PreSignUp,
            source,
            user_name: &user_name,
            body: json!({"userAttributes": attributes, "validationData": validation_data}),
            metadata,
        };
        let unattached = || ApiError::invalid_parameter("PreSignUp is not attached.");
        self.invoke(request, || Work::SignUp(new_user)).ok_or_else(unattached)
    }

    pub(super) fn resume_sign_up(
        &mut self,
        mut new_user: NewUser,
        event: &Value,
        outcome: Outcome,
    ) -> Result<Step, ApiError> {
        let reply = trigger::read_pre_sign_up(event, outcome)?;
        // AWS ignores the flags for users whom an administrator makes.
        if !new_user.by_admin {
            if reply.confirm {
                new_user.user.status = "CONFIRMED".to_owned();
                new_user.user.confirmation_code = None;
                new_user.letter = None;
            }
            if reply.verify_email {
                new_user.user.attributes.insert("email_verified".to_owned(), "true".to_owned());
            }
        }
        self.add(new_user)
    }

    fn add(&mut self, new_user: NewUser) -> Result<Step, ApiError> {
        let NewUser { mut user, by_admin, letter } = new_user;
        // Somebody may have taken the name while the trigger ran.
        let email = user.attributes.get("email").cloned().unwrap_or_default();
        if self.users.find(&email).is_some() {
            let message = "An account with the given email already exists.";
            return Err(ApiError::new("UsernameExistsException", message));
        }
        user.attributes.entry("email_verified".to_owned()).or_insert_with(|| "false".to_owned());
        let reply = if by_admin {
            json!({"User": super::administration::describe(&user, "Attributes")})
        } else {
            let mut reply = json!({
                "UserConfirmed": user.status == "CONFIRMED",
                "UserSub": user.attributes.get("sub"),
            });
            if letter.is_some() {
                reply["CodeDeliveryDetails"] =
                    json!({"AttributeName": "email", "DeliveryMedium": "EMAIL", "Destination": masked(&email)});
            }
            reply
        };
        self.outbox.extend(letter);
        self.users.add(user);
        self.changed();
        Ok(replied(reply))
    }

    pub(super) fn confirm_sign_up(&mut self, parameters: &Parameters) -> Result<Value, ApiError> {
        self.check_client(parameters)?;
        let name = parameters.required("Username")?;
        self.check_secret_hash(parameters.text("SecretHash"), name)?;
        let code = parameters.required("ConfirmationCode")?;
        let verifies_email = self.settings.verifies_email();
        let hides = self.client.prevents_user_existence_errors();
        let mismatch = || {
            let message = "Invalid verification code provided, please try again.";
            ApiError::new("CodeMismatchException", message)
        };
        let missing = if hides { mismatch } else { ApiError::user_not_found };
        let user = self.users.find_mut(name).ok_or_else(missing)?;
        let Some(expected) = &user.confirmation_code else {
            return Err(ApiError::not_authorized("User cannot be confirmed. Current status is CONFIRMED"));
        };
        if !bool::from(expected.as_bytes().ct_eq(code.as_bytes())) {
            return Err(mismatch());
        }
        user.confirmation_code = None;
        user.status = "CONFIRMED".to_owned();
        if verifies_email {
            user.attributes.insert("email_verified".to_owned(), "true".to_owned());
        }
        self.changed();
        Ok(json!({}))
    }

    pub(super) fn get_user(&self, parameters: &Parameters, now: UnixSeconds) -> Result<Value, ApiError> {
        let user = self.bearer(parameters, now)?;
        Ok(json!({"Username": user.username, "UserAttributes": super::administration::attribute_list(user)}))
    }

    pub(super) fn global_sign_out(
        &mut self,
        parameters: &Parameters,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Value, ApiError> {
        let username = self.bearer(parameters, now)?.username.clone();
        if let Some(user) = self.users.find_mut(&username) {
            user.epoch = rng.random();
        }
        self.changed();
        Ok(json!({}))
    }

    pub(super) fn revoke_token(&mut self, parameters: &Parameters) -> Result<Value, ApiError> {
        self.check_client(parameters)?;
        self.check_client_secret(parameters)?;
        if !self.client.revokes_tokens() {
            let message = "Token revocation is not enabled for the client.";
            return Err(ApiError::new("UnsupportedOperationException", message));
        }
        // A token that is none is no error (RFC 7009 §2.2).
        if let Some(token) = self.read_refresh_token(parameters.required("Token")?) {
            if token.client_id != self.client.client_id() {
                return Err(ApiError::new("UnauthorizedException", "The token was not issued to this client."));
            }
            self.revoked.insert(token.origin_jti);
            self.changed();
        }
        Ok(json!({}))
    }

    /// The user whose access token a call brings.
    fn bearer(&self, parameters: &Parameters, now: UnixSeconds) -> Result<&User, ApiError> {
        let token = parameters.required("AccessToken")?;
        let invalid = || ApiError::not_authorized("Invalid Access Token");
        let token = self.tokens.read_access_token(token, now).ok_or_else(invalid)?;
        let user = self.users.find(&token.username).filter(|user| user.username == token.username);
        let user = user.ok_or_else(ApiError::user_not_found)?;
        let is_revoked =
            token.origin_jti.is_some_and(|jti| self.revoked.contains(&jti) || !self.is_current(user, &jti));
        if is_revoked {
            return Err(ApiError::not_authorized("Access Token has been revoked"));
        }
        if user.enabled { Ok(user) } else { Err(ApiError::not_authorized("User is disabled.")) }
    }

    /// A name for a sign-in that tells whether the user has signed out of everything since: half of it is chance, the other
    /// half a MAC over it and the user's epoch. So nothing has to be kept of a sign-in.
    pub(super) fn origin_jti(&self, user: &User, rng: &mut impl Rng) -> String {
        let mut octets = [0; 16];
        rng.fill_bytes(&mut octets);
        // The bits that mark a random UUID are among them.
        let marked = Builder::from_random_bytes(octets).into_uuid().into_bytes();
        self.with_check(user, marked).to_string()
    }

    fn is_current(&self, user: &User, jti: &str) -> bool {
        jti.parse::<Uuid>().is_ok_and(|jti| self.with_check(user, jti.into_bytes()) == jti)
    }

    /// The octets with their last seven replaced by the check.
    fn with_check(&self, user: &User, mut octets: [u8; 16]) -> Uuid {
        let (chance, check) = octets.split_at_mut(9);
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.refresh_key.octets()) {
            for part in [chance, &user.epoch.to_be_bytes()[..], user.username.as_bytes()] {
                mac.update(part);
            }
            check.copy_from_slice(&mac.finalize().into_bytes()[..7]);
        }
        Uuid::from_bytes(octets)
    }
}

/// An address as Cognito shows it to a stranger.
fn masked(email: &str) -> String {
    let initial = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
    let (local, domain) = email.split_once('@').unwrap_or_default();
    format!("{}***@{}***", initial(local), initial(domain))
}
