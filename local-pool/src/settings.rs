//! The pool's and the app client's settings, kept as AWS describes them.
//!
//! An update replaces all of them: what it leaves out goes back to its default, as with AWS. Those that the local pool acts on
//! are read through the functions below; the others are kept and described, and that is all.

use serde_json::{Map, Value, json};

use crate::api::{ApiError, check_shapes, violated};
use crate::trigger::{Trigger, TriggerVersion};

/// Settings with what cannot be changed, what stands if nothing is said, and what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    fixed: Map<String, Value>,
    defaults: Map<String, Value>,
    chosen: Map<String, Value>,
}

impl Settings {
    fn new(fixed: Value, defaults: Value) -> Settings {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        Settings { fixed: object(fixed), defaults: object(defaults), chosen: Map::new() }
    }

    /// Forgets what was chosen before, and chooses those of `given` that are `members`.
    fn replace(&mut self, given: &Map<String, Value>, members: &[&str]) {
        let is_member = |name: &String| members.contains(&name.as_str());
        self.chosen = given.clone();
        self.chosen.retain(|name, value| is_member(name) && !value.is_null());
    }

    fn describe(&self) -> Map<String, Value> {
        let mut all = self.defaults.clone();
        all.extend(self.chosen.clone());
        all.extend(self.fixed.clone());
        all
    }

    fn get(&self, name: &str) -> &Value {
        [&self.fixed, &self.chosen, &self.defaults].into_iter().find_map(|map| map.get(name)).unwrap_or(&Value::Null)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name).as_u64()
    }
}

/// Settings of the user pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings(Settings);

/// What `UpdateUserPool` sets.
const POOL_MEMBERS: [&str; 22] = [
    "AccountRecoverySetting",
    "AcrConfiguration",
    "AdminCreateUserConfig",
    "AutoVerifiedAttributes",
    "DeletionProtection",
    "DeviceConfiguration",
    "EmailConfiguration",
    "EmailVerificationMessage",
    "EmailVerificationSubject",
    "IssuerConfiguration",
    "KeyConfiguration",
    "LambdaConfig",
    "MfaConfiguration",
    "Policies",
    "SmsAuthenticationMessage",
    "SmsConfiguration",
    "SmsVerificationMessage",
    "UserAttributeUpdateSettings",
    "UserPoolAddOns",
    "UserPoolTags",
    "UserPoolTier",
    "VerificationMessageTemplate",
];

/// Older members, and the members of `VerificationMessageTemplate` that say the same. AWS takes either and tells both.
const SAID_TWICE: [(&str, &str); 3] = [
    ("EmailVerificationMessage", "EmailMessage"),
    ("EmailVerificationSubject", "EmailSubject"),
    ("SmsVerificationMessage", "SmsMessage"),
];

impl PoolSettings {
    /// AWS's defaults, for a pool in which people sign in with their address.
    pub fn new(region: &str, user_pool_id: &str) -> PoolSettings {
        let fixed = json!({
            "Id": user_pool_id,
            "Name": "local-pool",
            "Arn": format!("arn:aws:cognito-idp:{region}:000000000000:userpool/{user_pool_id}"),
            "UsernameAttributes": ["email"],
            "UsernameConfiguration": {"CaseSensitive": false},
            "CreationDate": 0,
            "LastModifiedDate": 0,
        });
        let defaults = json!({
            "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": false, "UnusedAccountValidityDays": 7},
            "DeletionProtection": "INACTIVE",
            "EmailConfiguration": {"EmailSendingAccount": "COGNITO_DEFAULT"},
            "LambdaConfig": {},
            "MfaConfiguration": "OFF",
            "Policies": {
                "PasswordPolicy": {
                    "MinimumLength": 8, "RequireLowercase": true, "RequireNumbers": true, "RequireSymbols": true,
                    "RequireUppercase": true, "TemporaryPasswordValidityDays": 7,
                },
                "SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD"]},
            },
            "UserPoolTags": {},
            "UserPoolTier": "ESSENTIALS",
            "VerificationMessageTemplate": {"DefaultEmailOption": "CONFIRM_WITH_CODE"},
        });
        PoolSettings(Settings::new(fixed, defaults))
    }

    /// Sets what an update says and resets the rest.
    ///
    /// # Errors
    ///
    /// When the triggers, or the settings about new addresses, contradict each other.
    pub fn update(&mut self, given: &Map<String, Value>) -> Result<(), ApiError> {
        check_shapes(&json!(given))?;
        let triggers = given.get("LambdaConfig").unwrap_or(&Value::Null);
        for trigger in Trigger::ALL {
            check_arn(&triggers[trigger.name()])?;
        }
        check_arn(&triggers["PreTokenGenerationConfig"]["LambdaArn"])?;
        let (plain, versioned) = (&triggers["PreTokenGeneration"], &triggers["PreTokenGenerationConfig"]["LambdaArn"]);
        if !plain.is_null() && !versioned.is_null() && plain != versioned {
            let message = "PreTokenGeneration and PreTokenGenerationConfig.LambdaArn have to be the same function.";
            return Err(ApiError::invalid_parameter(message));
        }
        match triggers["PreTokenGenerationConfig"]["LambdaVersion"].as_str() {
            None | Some("V1_0" | "V2_0") => {}
            Some("V3_0") => return Err(ApiError::not_emulated("PreTokenGeneration V3_0")),
            Some(_) => {
                let constraint = "Member must satisfy enum value set: [V1_0, V2_0, V3_0]";
                return Err(violated("at 'lambdaVersion'", constraint));
            }
        }
        let shortest = given.get("Policies").and_then(|policies| policies["PasswordPolicy"]["MinimumLength"].as_u64());
        if shortest.is_some_and(|length| !(6..=99).contains(&length)) {
            return Err(violated("at 'minimumLength'", "Member must have value between 6 and 99"));
        }
        check_verified_before_update(given)?;
        self.0.replace(given, &POOL_MEMBERS);
        // A name has no default to go back to.
        if let Some(name) = given.get("PoolName").filter(|name| !name.is_null()) {
            self.0.fixed.insert("Name".to_owned(), name.clone());
        }
        self.fill();
        Ok(())
    }

    /// Adds what AWS adds to settings that were given in part.
    fn fill(&mut self) {
        for name in ["AdminCreateUserConfig", "Policies", "VerificationMessageTemplate"] {
            if let (Some(Value::Object(chosen)), Some(Value::Object(defaults))) =
                (self.0.chosen.get_mut(name), self.0.defaults.get(name))
            {
                for (member, value) in defaults {
                    chosen.entry(member).or_insert_with(|| value.clone());
                }
            }
        }
        if let Some(policy) = self.0.chosen.get_mut("Policies").and_then(|all| all["PasswordPolicy"].as_object_mut()) {
            for rule in ["RequireLowercase", "RequireNumbers", "RequireSymbols", "RequireUppercase"] {
                policy.entry(rule).or_insert(json!(false));
            }
            policy.entry("TemporaryPasswordValidityDays").or_insert(json!(7));
        }
        for (older, newer) in SAID_TWICE {
            let template = &self.0.get("VerificationMessageTemplate")[newer];
            if let Some(text) = Some(template).filter(|text| !text.is_null()).cloned() {
                self.0.chosen.insert(older.to_owned(), text);
            } else if let Some(text) = self.0.chosen.get(older).cloned() {
                let mut template = self.0.get("VerificationMessageTemplate").clone();
                template[newer] = text;
                self.0.chosen.insert("VerificationMessageTemplate".to_owned(), template);
            }
        }
    }

    /// As `DescribeUserPool` tells them.
    pub fn describe(&self) -> Map<String, Value> {
        let mut pool = self.0.describe();
        // An older name, which AWS tells and does not take.
        let days = self.0.get("Policies")["PasswordPolicy"]["TemporaryPasswordValidityDays"].clone();
        if !days.is_null() {
            pool["AdminCreateUserConfig"]["UnusedAccountValidityDays"] = days;
        }
        pool
    }

    /// As `GetUserPoolMfaConfig` tells them.
    pub fn mfa(&self) -> Value {
        let mut mfa = json!({"MfaConfiguration": self.0.get("MfaConfiguration")});
        for name in ["SmsAuthenticationMessage", "SmsConfiguration"] {
            let value = self.0.get(name);
            if !value.is_null() {
                mfa["SmsMfaConfiguration"][name] = value.clone();
            }
        }
        mfa
    }

    /// The ARN of the function that is attached to `trigger`, and the version of events that it wants.
    pub fn function(&self, trigger: Trigger) -> Option<(&str, TriggerVersion)> {
        let triggers = self.0.get("LambdaConfig");
        if trigger == Trigger::PreTokenGeneration {
            let config = &triggers["PreTokenGenerationConfig"];
            if let Some(arn) = config["LambdaArn"].as_str() {
                let is_v1 = matches!(config["LambdaVersion"].as_str(), None | Some("V1_0"));
                return Some((arn, if is_v1 { TriggerVersion::One } else { TriggerVersion::Two }));
            }
        }
        Some((triggers[trigger.name()].as_str()?, TriggerVersion::One))
    }

    /// Whether an address counts as verified once its owner has confirmed the account with a code.
    pub fn verifies_email(&self) -> bool {
        self.0.get("AutoVerifiedAttributes").as_array().is_some_and(|list| list.contains(&json!("email")))
    }

    /// Whether people may sign in with codes of Cognito's own, without which nobody can be without a password.
    pub fn sends_codes_itself(&self) -> bool {
        let factors = &self.0.get("Policies")["SignInPolicy"]["AllowedFirstAuthFactors"];
        let factors = factors.as_array().map(Vec::as_slice).unwrap_or_default();
        factors.iter().any(|factor| factor == "EMAIL_OTP" || factor == "SMS_OTP")
    }

    /// Whether only administrators may make users.
    pub fn only_admins_create_users(&self) -> bool {
        self.0.get("AdminCreateUserConfig")["AllowAdminCreateUserOnly"] == true
    }

    /// How many characters a password has at least.
    pub fn shortest_password(&self) -> u64 {
        self.0.get("Policies")["PasswordPolicy"]["MinimumLength"].as_u64().unwrap_or(6)
    }

    /// What is wrong with a password, in Cognito's words.
    pub fn complaint_about(&self, password: &str) -> Option<&'static str> {
        let policy = &self.0.get("Policies")["PasswordPolicy"];
        let requires = |rule: &str| policy[rule] == true;
        let has = |class: fn(char) -> bool| password.chars().any(class);
        let symbol = |c: char| "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+- ".contains(c);
        if (password.chars().count() as u64) < self.shortest_password() {
            Some("Password not long enough")
        } else if requires("RequireUppercase") && !has(|c| c.is_ascii_uppercase()) {
            Some("Password must have uppercase characters")
        } else if requires("RequireLowercase") && !has(|c| c.is_ascii_lowercase()) {
            Some("Password must have lowercase characters")
        } else if requires("RequireNumbers") && !has(|c| c.is_ascii_digit()) {
            Some("Password must have numeric characters")
        } else if requires("RequireSymbols") && !has(symbol) {
            Some("Password must have symbol characters")
        } else {
            None
        }
    }
}

/// Checks what stands where a function's ARN may.
fn check_arn(value: &Value) -> Result<(), ApiError> {
    let Some(text) = value.as_str() else { return Ok(()) };
    if text.starts_with("arn:") && text.split(':').count() >= 7 && (20..=2_048).contains(&text.len()) {
        return Ok(());
    }
    Err(violated("at 'lambdaConfig'", "Member must be the ARN of a function"))
}

/// Checks that Cognito would mail a code for every attribute whose new value is to wait for one.
fn check_verified_before_update(given: &Map<String, Value>) -> Result<(), ApiError> {
    let names = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let verified = names(given.get("AutoVerifiedAttributes"));
    let waiting = given.get("UserAttributeUpdateSettings");
    let waiting = names(waiting.map(|settings| &settings["AttributesRequireVerificationBeforeUpdate"]));
    if waiting.iter().all(|name| verified.contains(name)) {
        return Ok(());
    }
    let message = "All attributes in AttributesRequireVerificationBeforeUpdate must exist in AutoVerifiedAttributes";
    Err(ApiError::invalid_parameter(message))
}

/// Settings of the app client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings(Settings);

/// What `UpdateUserPoolClient` sets.
const CLIENT_MEMBERS: [&str; 21] = [
    "AccessTokenValidity",
    "AllowedOAuthFlows",
    "AllowedOAuthFlowsUserPoolClient",
    "AllowedOAuthScopes",
    "AnalyticsConfiguration",
    "AuthSessionValidity",
    "CallbackURLs",
    "ClientName",
    "DefaultRedirectURI",
    "EnablePropagateAdditionalUserContextData",
    "EnableTokenRevocation",
    "ExplicitAuthFlows",
    "IdTokenValidity",
    "LogoutURLs",
    "PreventUserExistenceErrors",
    "ReadAttributes",
    "RefreshTokenRotation",
    "RefreshTokenValidity",
    "SupportedIdentityProviders",
    "TokenValidityUnits",
    "WriteAttributes",
];

/// The flows that a client can allow.
const FLOWS: [&str; 6] = [
    "ADMIN_USER_PASSWORD_AUTH",
    "CUSTOM_AUTH",
    "REFRESH_TOKEN_AUTH",
    "USER_AUTH",
    "USER_PASSWORD_AUTH",
    "USER_SRP_AUTH",
];

/// A kind of token, with its name in settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// ID token.
    Id,
    /// Access token.
    Access,
    /// Refresh token.
    Refresh,
}

impl ClientSettings {
    /// AWS's defaults.
    pub fn new(user_pool_id: &str, client_id: &str, secret: Option<&str>) -> ClientSettings {
        let mut fixed =
            json!({"ClientId": client_id, "UserPoolId": user_pool_id, "CreationDate": 0, "LastModifiedDate": 0});
        if let Some(secret) = secret {
            fixed["ClientSecret"] = json!(secret);
        }
        let defaults = json!({
            "AllowedOAuthFlowsUserPoolClient": false,
            "AuthSessionValidity": 3,
            "ClientName": "local-pool",
            "EnablePropagateAdditionalUserContextData": false,
            "EnableTokenRevocation": true,
            "ExplicitAuthFlows": ["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"],
            "PreventUserExistenceErrors": "LEGACY",
            "RefreshTokenValidity": 30,
            "TokenValidityUnits": {},
        });
        ClientSettings(Settings::new(fixed, defaults))
    }

    /// Sets what an update says and resets the rest.
    ///
    /// # Errors
    ///
    /// When a number is out of its bounds or a word is none of those that AWS takes.
    pub fn update(&mut self, given: &Map<String, Value>) -> Result<(), ApiError> {
        check_shapes(&json!(given))?;
        let mut updated = self.clone();
        updated.0.replace(given, &CLIENT_MEMBERS);
        updated.check()?;
        *self = updated;
        Ok(())
    }

    fn check(&self) -> Result<(), ApiError> {
        if !self.0.number("AuthSessionValidity").is_some_and(|minutes| (3..=15).contains(&minutes)) {
            return Err(violated("at 'authSessionValidity'", "Member must have value between 3 and 15"));
        }
        let prevent = self.0.get("PreventUserExistenceErrors");
        if !["LEGACY", "ENABLED"].iter().any(|word| prevent == word) {
            let constraint = "Member must satisfy enum value set: [LEGACY, ENABLED]";
            return Err(violated("at 'preventUserExistenceErrors'", constraint));
        }
        let flows = self.0.get("ExplicitAuthFlows").as_array().map(Vec::as_slice).unwrap_or_default();
        for flow in flows.iter().filter_map(Value::as_str) {
            if ["ADMIN_NO_SRP_AUTH", "CUSTOM_AUTH_FLOW_ONLY", "USER_PASSWORD_AUTH"].contains(&flow) {
                return Err(ApiError::not_emulated("ExplicitAuthFlows without ALLOW_ in front"));
            }
            if !FLOWS.iter().any(|known| flow.strip_prefix("ALLOW_") == Some(known)) {
                let constraint = format!("Member must satisfy enum value set: [ALLOW_{}]", FLOWS.join(", ALLOW_"));
                return Err(violated(&format!("'{flow:.64}' at 'explicitAuthFlows'"), &constraint));
            }
        }
        let units = self.0.get("TokenValidityUnits").as_object();
        let is_unit = |unit: &Value| ["seconds", "minutes", "hours", "days"].iter().any(|known| unit == known);
        if !units.into_iter().flatten().all(|(_, unit)| is_unit(unit)) {
            let constraint = "Member must satisfy enum value set: [seconds, minutes, hours, days]";
            return Err(violated("at 'tokenValidityUnits'", constraint));
        }
        for (kind, from, to) in
            [(TokenKind::Id, 300, 86_400), (TokenKind::Access, 300, 86_400), (TokenKind::Refresh, 3_600, 315_360_000)]
        {
            if !(from..=to).contains(&self.validity(kind)) {
                return Err(ApiError::invalid_parameter("Invalid range for token validity."));
            }
        }
        Ok(())
    }

    /// As `DescribeUserPoolClient` tells them.
    pub fn describe(&self) -> Map<String, Value> {
        self.0.describe()
    }

    /// The client's id.
    pub fn client_id(&self) -> &str {
        self.0.get("ClientId").as_str().unwrap_or_default()
    }

    /// The client's secret, if it has one.
    pub fn secret(&self) -> Option<&str> {
        self.0.get("ClientSecret").as_str()
    }

    /// Whether a flow is allowed, such as `CUSTOM_AUTH`.
    pub fn allows(&self, flow: &str) -> bool {
        let allowed = format!("ALLOW_{flow}");
        self.0.get("ExplicitAuthFlows").as_array().is_some_and(|flows| flows.iter().any(|flow| *flow == allowed))
    }

    /// Whether triggers are run for users who do not exist, and errors do not tell that they do not.
    pub fn prevents_user_existence_errors(&self) -> bool {
        self.0.get("PreventUserExistenceErrors") == "ENABLED"
    }

    /// Life of one `Session` text in seconds.
    pub fn session_validity(&self) -> u64 {
        self.0.number("AuthSessionValidity").unwrap_or(3) * 60
    }

    /// Whether tokens can be revoked, and say by `origin_jti` which sign-in they come from.
    pub fn revokes_tokens(&self) -> bool {
        self.0.get("EnableTokenRevocation") == true
    }

    /// Life of a kind of token in seconds.
    pub fn validity(&self, kind: TokenKind) -> u64 {
        let (setting, unit, default, default_unit) = match kind {
            TokenKind::Id => ("IdTokenValidity", "IdToken", 1, "hours"),
            TokenKind::Access => ("AccessTokenValidity", "AccessToken", 1, "hours"),
            TokenKind::Refresh => ("RefreshTokenValidity", "RefreshToken", 30, "days"),
        };
        let seconds = match self.0.get("TokenValidityUnits")[unit].as_str().unwrap_or(default_unit) {
            "seconds" => 1,
            "minutes" => 60,
            "hours" => 3_600,
            _ => 86_400,
        };
        self.0.number(setting).unwrap_or(default).saturating_mul(seconds)
    }
}
