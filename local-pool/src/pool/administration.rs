//! What administrators do: users, and the settings of the pool and its client.

use rand::{Rng, RngExt};
use serde_json::{Value, json};

use super::account::{NewUser, check_attributes};
use super::{Letter, Pool, Step};
use crate::api::{ApiError, Parameters, violated};
use crate::srp::Verifier;
use crate::users::{User, UserStatus};

impl Pool {
    pub(super) fn admin_create_user(&mut self, parameters: &Parameters, rng: &mut impl Rng) -> Result<Step, ApiError> {
        let name = parameters.required("Username")?;
        let suppressed = match parameters.text("MessageAction") {
            None => false,
            Some("SUPPRESS") => true,
            Some("RESEND") => return Err(ApiError::not_emulated("MessageAction RESEND")),
            Some(other) => {
                let constraint = "Member must satisfy enum value set: [RESEND, SUPPRESS]";
                return Err(violated(&format!("'{other:.64}' at 'messageAction'"), constraint));
            }
        };
        let mut user = self.new_user(name, parameters.attributes("UserAttributes").unwrap_or_default(), true, rng)?;
        let password = match parameters.text("TemporaryPassword") {
            Some(password) => password.to_owned(),
            // Of every class and length that a policy can ask for.
            None => {
                let rest = 4..self.settings.shortest_password().max(20);
                "Aa1!".chars().chain(rest.filter_map(|_| char::from_digit(rng.random_range(0..16), 16))).collect()
            }
        };
        self.check_password(&password)?;
        user.password = Some(Verifier::new(self.short_id(), &user.username, &password, rng));
        user.status = UserStatus::ForceChangePassword;
        let letter = (!suppressed).then(|| Letter {
            to: user.attributes.get("email").cloned().unwrap_or_default(),
            subject: "Your temporary password".to_owned(),
            text: format!("Your username is {name} and temporary password is {password}\n"),
        });
        let validation_data = parameters.attributes("ValidationData");
        let metadata = parameters.texts("ClientMetadata");
        let new_user = NewUser { user, by_admin: true, letter };
        self.create(new_user, "AdminCreateUser", validation_data.as_ref(), metadata.as_ref())
    }

    pub(super) fn admin_get_user(&mut self, parameters: &Parameters) -> Result<Value, ApiError> {
        Ok(describe(self.named_user(parameters)?, "UserAttributes"))
    }

    pub(super) fn admin_set_user_password(
        &mut self,
        parameters: &Parameters,
        rng: &mut impl Rng,
    ) -> Result<Value, ApiError> {
        let password = parameters.required("Password")?;
        let is_permanent = parameters.flag("Permanent").unwrap_or(false);
        self.check_password(password)?;
        let username = self.named_user(parameters)?.username.clone();
        let verifier = Verifier::new(self.short_id(), &username, password, rng);
        let user = self.named_user(parameters)?;
        user.password = Some(verifier);
        user.status = if is_permanent { UserStatus::Confirmed } else { UserStatus::ForceChangePassword };
        self.done()
    }

    pub(super) fn admin_update_user_attributes(&mut self, parameters: &Parameters) -> Result<Value, ApiError> {
        let given = parameters.attributes("UserAttributes").unwrap_or_default();
        check_attributes(&given, false)?;
        let username = self.named_user(parameters)?.username.clone();
        self.change_attributes(&username, given)?;
        Ok(json!({}))
    }

    pub(super) fn admin_enable_user(&mut self, parameters: &Parameters, enabled: bool) -> Result<Value, ApiError> {
        self.named_user(parameters)?.enabled = enabled;
        self.done()
    }

    pub(super) fn admin_delete_user(&mut self, parameters: &Parameters) -> Result<Value, ApiError> {
        let username = self.named_user(parameters)?.username.clone();
        self.users.remove(&username);
        self.done()
    }

    pub(super) fn describe_user_pool(&self) -> Value {
        let mut pool = json!(self.settings.describe());
        pool["EstimatedNumberOfUsers"] = json!(self.users.len());
        json!({ "UserPool": pool })
    }

    pub(super) fn update_user_pool(&mut self, parameters: &Parameters) -> Result<Value, ApiError> {
        let given = |name: &str| parameters.all().get(name).unwrap_or(&Value::Null);
        if given("AdminCreateUserConfig")["UnusedAccountValidityDays"].as_u64().is_some_and(|days| days > 0)
            && !given("Policies")["PasswordPolicy"]["TemporaryPasswordValidityDays"].is_null()
        {
            let message =
                "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of UnusedAccountValidityDays";
            return Err(ApiError::invalid_parameter(message));
        }
        self.settings.update(parameters.all())?;
        self.done()
    }

    pub(super) fn describe_user_pool_client(&self, parameters: &Parameters) -> Result<Value, ApiError> {
        self.check_client(parameters)?;
        Ok(json!({"UserPoolClient": self.client.describe()}))
    }

    pub(super) fn update_user_pool_client(&mut self, parameters: &Parameters) -> Result<Value, ApiError> {
        self.check_client(parameters)?;
        self.client.update(parameters.all())?;
        self.done()?;
        self.describe_user_pool_client(parameters)
    }

    fn named_user(&mut self, parameters: &Parameters) -> Result<&mut User, ApiError> {
        self.users.find_mut(parameters.required("Username")?).ok_or_else(ApiError::user_not_found)
    }

    /// The empty reply of an operation that has changed something.
    fn done(&mut self) -> Result<Value, ApiError> {
        self.changed();
        Ok(json!({}))
    }
}

/// A user as AWS describes one; `attributes` is what the list of attributes is called.
pub(super) fn describe(user: &User, attributes: &str) -> Value {
    json!({
        "Username": user.username,
        attributes: attribute_list(user),
        "UserStatus": user.status.name(),
        "Enabled": user.enabled,
        "UserCreateDate": 0,
        "UserLastModifiedDate": 0,
    })
}

pub(super) fn attribute_list(user: &User) -> Value {
    user.attributes.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect()
}
