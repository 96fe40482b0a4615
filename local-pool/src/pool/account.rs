//! What users do with their accounts: sign up, confirm, look at themselves, sign out.

use auth_challenge::challenge::UnixSeconds;
use rand::{Rng, RngExt};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::{Letter, Pool, Request, Step, Texts, Work, replied};
use crate::api::{ApiError, Parameters};
use crate::srp::Verifier;
use crate::tokens::uuid;
use crate::trigger::{self, Outcome, Trigger};
use crate::users::{Confirmation, User, UserStatus, is_attribute, is_verification};

/// A user who is about to be made.
pub(super) struct NewUser {
    pub(super) user: User,
    /// Whether an administrator makes the user.
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
        match password {
            Some(password) => self.check_password(password)?,
            None if self.settings.sends_codes_itself() => {}
            None => return Err(ApiError::missing_parameter("Password")),
        }
        let mut user = self.new_user(name, parameters.attributes("UserAttributes").unwrap_or_default(), false, rng)?;
        user.password = password.map(|password| Verifier::new(self.short_id(), &user.username, password, rng));
        user.status = UserStatus::Unconfirmed;
        let code = format!("{:06}", rng.random_range(0..1_000_000));
        let email = user.attributes.get("email").cloned().unwrap_or_default();
        let letter = self.settings.verifies_email().then(|| Letter {
            to: email.clone(),
            subject: "Your verification code".to_owned(),
            text: format!("Your confirmation code is {code}\n"),
        });
        user.confirmation = Some(Confirmation { code, email });
        let validation_data = parameters.attributes("ValidationData");
        let metadata = parameters.texts("ClientMetadata");
        let new_user = NewUser { user, by_admin: false, letter };
        self.create(new_user, "SignUp", validation_data.as_ref(), metadata.as_ref())
    }

    /// A user of that name, which is an address, with these attributes.
    pub(super) fn new_user(
        &self,
        name: &str,
        mut attributes: Texts,
        by_admin: bool,
        rng: &mut impl Rng,
    ) -> Result<User, ApiError> {
        check_attributes(&attributes, !by_admin)?;
        if !name.contains('@') {
            return Err(ApiError::invalid_parameter("Username should be an email."));
        }
        let email = attributes.entry("email".to_owned()).or_insert_with(|| name.to_owned()).clone();
        if !email.eq_ignore_ascii_case(name) {
            let message = "User email should be empty or same as username, since username attribute is email";
            return Err(ApiError::invalid_parameter(message));
        }
        self.check_free(&email, None, "UsernameExistsException")?;
        let sub = uuid(rng);
        let mut user = User::new(&email);
        user.username.clone_from(&sub);
        user.epoch = rng.random();
        attributes.insert("sub".to_owned(), sub);
        user.attributes = attributes;
        Ok(user)
    }

    /// Sets attributes that were checked. An empty value takes one away.
    pub(super) fn change_attributes(&mut self, username: &str, given: Texts) -> Result<(), ApiError> {
        let user = self.users.get(username).ok_or_else(ApiError::user_not_found)?;
        let is_new = given.get("email").is_some_and(|email| user.attributes.get("email") != Some(email));
        if let Some(email) = given.get("email").filter(|_| is_new) {
            self.check_free(email, Some(username), "AliasExistsException")?;
        }
        let user = self.users.get_mut(username).ok_or_else(ApiError::user_not_found)?;
        // A new address is not verified until somebody says so.
        if is_new {
            user.attributes.insert("email_verified".to_owned(), "false".to_owned());
        }
        user.attributes.extend(given);
        user.attributes.retain(|_, value| !value.is_empty());
        self.changed();
        Ok(())
    }

    /// Whether nobody is called by an address yet, but perhaps `owner`.
    fn check_free(&self, email: &str, owner: Option<&str>, error: &'static str) -> Result<(), ApiError> {
        match self.users.find(email) {
            Some(user) if Some(user.username.as_str()) != owner => {
                Err(ApiError::new(error, "An account with the given email already exists."))
            }
            Some(_) | None => Ok(()),
        }
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
        self.invoke(request, || Work::SignUp(new_user))
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
                new_user.user.status = UserStatus::Confirmed;
                new_user.user.confirmation = None;
                new_user.letter = None;
            }
            for (name, is_verified) in [("email", reply.verify_email), ("phone_number", reply.verify_phone)] {
                if is_verified && new_user.user.attributes.contains_key(name) {
                    new_user.user.attributes.insert(format!("{name}_verified"), "true".to_owned());
                }
            }
        }
        self.add(new_user)
    }

    fn add(&mut self, new_user: NewUser) -> Result<Step, ApiError> {
        let NewUser { mut user, by_admin, letter } = new_user;
        // Somebody may have taken the name while the trigger ran.
        let email = user.attributes.get("email").cloned().unwrap_or_default();
        self.check_free(&email, None, "UsernameExistsException")?;
        user.attributes.entry("email_verified".to_owned()).or_insert_with(|| "false".to_owned());
        let reply = if by_admin {
            json!({"User": super::administration::describe(&user, "Attributes")})
        } else {
            let mut reply = json!({
                "UserConfirmed": user.status == UserStatus::Confirmed,
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
        let not_found = || ApiError::new("UserNotFoundException", "Username/client id combination not found.");
        let missing = if hides { mismatch } else { not_found };
        let user = self.users.find_mut(name).ok_or_else(missing)?;
        if user.status != UserStatus::Unconfirmed {
            let message = format!("User cannot be confirmed. Current status is {}", user.status.name());
            return Err(ApiError::not_authorized(&message));
        }
        let is_right = |sent: &&Confirmation| bool::from(sent.code.as_bytes().ct_eq(code.as_bytes()));
        let Some(sent) = user.confirmation.as_ref().filter(is_right) else { return Err(mismatch()) };
        let proves_address = user.attributes.get("email") == Some(&sent.email);
        user.confirmation = None;
        user.status = UserStatus::Confirmed;
        if verifies_email && proves_address {
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
        if let Some(user) = self.users.get_mut(&username) {
            user.epoch = rng.random();
        }
        self.changed();
        Ok(json!({}))
    }
}

/// Checks the attributes that somebody wants to set.
pub(super) fn check_attributes(given: &Texts, by_user: bool) -> Result<(), ApiError> {
    for (name, value) in given {
        if name == "email" && !value.contains('@') {
            return Err(ApiError::invalid_parameter("Invalid email address format."));
        }
        if name == "sub" && !by_user {
            return Err(ApiError::invalid_parameter("Cannot modify the non-mutable attribute sub"));
        }
        // What is verified, the pool knows.
        if by_user && (name == "sub" || is_verification(name)) {
            return Err(ApiError::not_authorized("A client attempted to write unauthorized attribute"));
        }
        if !is_attribute(name) {
            let why = format!("Type for attribute {{{name:.64}}} could not be determined");
            return Err(ApiError::invalid_parameter(&format!("Attributes did not conform to the schema: {why}")));
        }
    }
    Ok(())
}

/// An address as Cognito shows it to a stranger.
fn masked(email: &str) -> String {
    let initial = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
    let (local, domain) = email.split_once('@').unwrap_or_default();
    format!("{}***@{}***", initial(local), initial(domain))
}
