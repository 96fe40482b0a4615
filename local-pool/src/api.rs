//! The user pool API on the wire: AWS JSON 1.1, as far as a sign-in needs it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What stands before the operation's name in `X-Amz-Target`.
const TARGET: &str = "AWSCognitoIdentityProviderService.";

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// An operation of the user pool API that the local pool knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Operation {
            $($(#[$doc])* $name,)*
        }

        impl Operation {
            /// All of them.
            pub const ALL: &[Operation] = &[$(Operation::$name),*];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self {
                    $(Operation::$name => stringify!($name),)*
                }
            }
        }
    };
}

operations! {
    /// Begins a sign-in, or renews tokens.
    InitiateAuth,
    /// The same for a server.
    AdminInitiateAuth,
    /// Goes on with a sign-in.
    RespondToAuthChallenge,
    /// The same for a server.
    AdminRespondToAuthChallenge,
    /// Makes a user, by the user.
    SignUp,
    /// Confirms a user with a code from a mail.
    ConfirmSignUp,
    /// Tells a user's attributes to the user.
    GetUser,
    /// Ends all sessions of a user, by the user.
    GlobalSignOut,
    /// Renews tokens.
    GetTokensFromRefreshToken,
    /// Ends one session of a user.
    RevokeToken,
    /// Makes a user.
    AdminCreateUser,
    /// Tells about a user.
    AdminGetUser,
    /// Sets a user's password.
    AdminSetUserPassword,
    /// Sets attributes of a user.
    AdminUpdateUserAttributes,
    /// Keeps a user from signing in.
    AdminDisableUser,
    /// Lets a user sign in again.
    AdminEnableUser,
    /// Deletes a user.
    AdminDeleteUser,
    /// Tells the pool's settings.
    DescribeUserPool,
    /// Sets the pool's settings, and resets those that are left out.
    UpdateUserPool,
    /// Tells the pool's settings about MFA, some of which are not in its description.
    GetUserPoolMfaConfig,
    /// Tells the app client's settings.
    DescribeUserPoolClient,
    /// Sets the app client's settings, and resets those that are left out.
    UpdateUserPoolClient,
}

impl Operation {
    /// Whether AWS takes the call only with a signature: the calls that servers and administrators make.
    pub fn is_signed(self) -> bool {
        let name = self.name();
        ["Admin", "Describe", "GetUserPool", "Update"].iter().any(|beginning| name.starts_with(beginning))
    }
}

/// A call of a client.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it asks for.
    pub operation: Operation,
    /// With which parameters.
    pub parameters: Parameters,
}

impl Call {
    /// Reads a request by its `X-Amz-Target`, its body, and whether it has a signature.
    ///
    /// # Errors
    ///
    /// What Cognito answers to a request that it cannot read.
    pub fn read(target: &str, body: &[u8], has_signature: bool) -> Result<Call, ApiError> {
        let unknown = |message: &str| ApiError::new("UnknownOperationException", message);
        let name = target.strip_prefix(TARGET).filter(|name| !name.is_empty()).ok_or_else(|| {
            unknown("X-Amz-Target has to be AWSCognitoIdentityProviderService. and the name of an operation.")
        })?;
        let operation = *Operation::ALL
            .iter()
            .find(|operation| operation.name() == name)
            .ok_or_else(|| unknown(&format!("The local pool does not emulate the operation {name:.64}.")))?;
        let Ok(Value::Object(parameters)) = serde_json::from_slice(body) else {
            return Err(not_readable());
        };
        if operation.is_signed() && !has_signature {
            return Err(ApiError::new("MissingAuthenticationTokenException", "Missing Authentication Token"));
        }
        let parameters = Value::Object(parameters);
        check_shapes(&parameters)?;
        for (path, shortest, longest) in LENGTHS {
            let text = parameters.pointer(&format!("/{path}")).and_then(Value::as_str);
            let length = text.map_or(*shortest, |text| text.chars().count());
            let bound = match length {
                length if length < *shortest => format!("greater than or equal to {shortest}"),
                length if length > *longest => format!("less than or equal to {longest}"),
                _ => continue,
            };
            let name = path.rsplit('/').next().unwrap_or(path);
            return Err(violated(&format!("at '{}'", in_errors(name)), &format!("Member must have length {bound}")));
        }
        let Value::Object(parameters) = parameters else { return Err(not_readable()) };
        let parameters = Parameters(parameters);
        Ok(Call { operation, parameters })
    }
}

/// What a member of a request looks like in JSON.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Number,
    Flag,
    /// A list of texts.
    List,
    /// Texts by name.
    Texts,
    /// A list of names and values, which is how AWS writes users' attributes.
    Attributes,
    /// An object that is looked at where it is used, if at all.
    Object,
}

impl Shape {
    fn is_of(self, value: &Value) -> bool {
        let is_text = |value: &Value| value.is_string();
        match self {
            Shape::Text => value.is_string(),
            Shape::Number => value.is_u64(),
            Shape::Flag => value.is_boolean(),
            Shape::List => value.as_array().is_some_and(|list| list.iter().all(is_text)),
            Shape::Texts => value.as_object().is_some_and(|texts| texts.values().all(is_text)),
            Shape::Attributes => value.as_array().is_some_and(|attributes| {
                let is_value = |value: &Value| value.is_string() || value.is_null();
                attributes.iter().all(|attribute| attribute["Name"].is_string() && is_value(&attribute["Value"]))
            }),
            Shape::Object => value.is_object(),
        }
    }
}

/// The members of requests, and those below them that the pool acts on. A name means the same in every operation.
const MEMBERS: &[(&str, Shape)] = &[
    ("AccessToken", Shape::Text),
    ("AccessTokenValidity", Shape::Number),
    ("AccountRecoverySetting", Shape::Object),
    ("AcrConfiguration", Shape::Object),
    ("AdminCreateUserConfig", Shape::Object),
    ("AdminCreateUserConfig/AllowAdminCreateUserOnly", Shape::Flag),
    ("AllowedOAuthFlows", Shape::List),
    ("AllowedOAuthFlowsUserPoolClient", Shape::Flag),
    ("AllowedOAuthScopes", Shape::List),
    ("AnalyticsConfiguration", Shape::Object),
    ("AnalyticsMetadata", Shape::Object),
    ("AuthFlow", Shape::Text),
    ("AuthParameters", Shape::Texts),
    ("AuthSessionValidity", Shape::Number),
    ("AutoVerifiedAttributes", Shape::List),
    ("CallbackURLs", Shape::List),
    ("ChallengeName", Shape::Text),
    ("ChallengeResponses", Shape::Texts),
    ("ClientId", Shape::Text),
    ("ClientMetadata", Shape::Texts),
    ("ClientName", Shape::Text),
    ("ClientSecret", Shape::Text),
    ("ConfirmationCode", Shape::Text),
    ("ContextData", Shape::Object),
    ("DefaultRedirectURI", Shape::Text),
    ("DeletionProtection", Shape::Text),
    ("DesiredDeliveryMediums", Shape::List),
    ("DeviceConfiguration", Shape::Object),
    ("DeviceKey", Shape::Text),
    ("EmailConfiguration", Shape::Object),
    ("EmailVerificationMessage", Shape::Text),
    ("EmailVerificationSubject", Shape::Text),
    ("EnablePropagateAdditionalUserContextData", Shape::Flag),
    ("EnableTokenRevocation", Shape::Flag),
    ("ExplicitAuthFlows", Shape::List),
    ("ForceAliasCreation", Shape::Flag),
    ("IdTokenValidity", Shape::Number),
    ("IssuerConfiguration", Shape::Object),
    ("KeyConfiguration", Shape::Object),
    ("LambdaConfig", Shape::Object),
    ("LambdaConfig/CreateAuthChallenge", Shape::Text),
    ("LambdaConfig/DefineAuthChallenge", Shape::Text),
    ("LambdaConfig/PostAuthentication", Shape::Text),
    ("LambdaConfig/PreAuthentication", Shape::Text),
    ("LambdaConfig/PreSignUp", Shape::Text),
    ("LambdaConfig/PreTokenGeneration", Shape::Text),
    ("LambdaConfig/PreTokenGenerationConfig", Shape::Object),
    ("LambdaConfig/PreTokenGenerationConfig/LambdaArn", Shape::Text),
    ("LambdaConfig/PreTokenGenerationConfig/LambdaVersion", Shape::Text),
    ("LambdaConfig/VerifyAuthChallengeResponse", Shape::Text),
    ("LogoutURLs", Shape::List),
    ("MessageAction", Shape::Text),
    ("MfaConfiguration", Shape::Text),
    ("Password", Shape::Text),
    ("Permanent", Shape::Flag),
    ("Policies", Shape::Object),
    ("Policies/PasswordPolicy", Shape::Object),
    ("Policies/PasswordPolicy/MinimumLength", Shape::Number),
    ("Policies/PasswordPolicy/RequireLowercase", Shape::Flag),
    ("Policies/PasswordPolicy/RequireNumbers", Shape::Flag),
    ("Policies/PasswordPolicy/RequireSymbols", Shape::Flag),
    ("Policies/PasswordPolicy/RequireUppercase", Shape::Flag),
    ("PoolName", Shape::Text),
    ("PreventUserExistenceErrors", Shape::Text),
    ("ReadAttributes", Shape::List),
    ("RefreshToken", Shape::Text),
    ("RefreshTokenRotation", Shape::Object),
    ("RefreshTokenValidity", Shape::Number),
    ("SecretHash", Shape::Text),
    ("Session", Shape::Text),
    ("SmsAuthenticationMessage", Shape::Text),
    ("SmsConfiguration", Shape::Object),
    ("SmsVerificationMessage", Shape::Text),
    ("SupportedIdentityProviders", Shape::List),
    ("TemporaryPassword", Shape::Text),
    ("Token", Shape::Text),
    ("TokenValidityUnits", Shape::Object),
    ("TokenValidityUnits/AccessToken", Shape::Text),
    ("TokenValidityUnits/IdToken", Shape::Text),
    ("TokenValidityUnits/RefreshToken", Shape::Text),
    ("UserAttributeUpdateSettings", Shape::Object),
    ("UserAttributeUpdateSettings/AttributesRequireVerificationBeforeUpdate", Shape::List),
    ("UserAttributes", Shape::Attributes),
    ("UserContextData", Shape::Object),
    ("UserPoolAddOns", Shape::Object),
    ("UserPoolId", Shape::Text),
    ("UserPoolTags", Shape::Texts),
    ("UserPoolTier", Shape::Text),
    ("Username", Shape::Text),
    ("ValidationData", Shape::Attributes),
    ("VerificationMessageTemplate", Shape::Object),
    ("WriteAttributes", Shape::List),
];

/// Checks that everything in `parameters` that has a name of [`MEMBERS`] has its shape.
pub(crate) fn check_shapes(parameters: &Value) -> Result<(), ApiError> {
    for (path, shape) in MEMBERS {
        let value = parameters.pointer(&format!("/{path}"));
        if value.is_some_and(|value| !(value.is_null() || shape.is_of(value))) {
            return Err(not_readable());
        }
    }
    Ok(())
}

/// The bounds of texts in characters, from the API's model.
const LENGTHS: &[(&str, usize, usize)] = &[
    ("AuthParameters/USERNAME", 1, 128),
    ("ChallengeResponses/USERNAME", 1, 128),
    ("ClientSecret", 1, 64),
    ("ConfirmationCode", 1, 2_048),
    ("Password", 0, 256),
    ("SecretHash", 1, 128),
    ("TemporaryPassword", 0, 256),
    ("UserPoolId", 1, 55),
    ("Username", 1, 128),
];

/// A member's name as Cognito's messages write it: they begin it with a small letter.
fn in_errors(name: &str) -> String {
    if name.bytes().all(|octet| octet.is_ascii_uppercase()) {
        return name.to_lowercase();
    }
    let (first, rest) = name.split_at(1);
    format!("{}{rest}", first.to_lowercase())
}

/// The parameters of a call, each of the shape that it has to have.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Map<String, Value>);

impl Parameters {
    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A text that has to be there.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| violated(&format!("null at '{}'", in_errors(name)), "Member must not be null"))
    }

    /// Yes or no.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    /// Texts by name.
    pub fn texts(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let members = self.0.get(name)?.as_object()?.iter();
        Some(members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect())
    }

    /// Attributes by name. One without a value has an empty one.
    pub fn attributes(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let text = |attribute: &Value, member: &str| attribute[member].as_str().unwrap_or_default().to_owned();
        let attributes = self.0.get(name)?.as_array()?.iter();
        Some(attributes.map(|attribute| (text(attribute, "Name"), text(attribute, "Value"))).collect())
    }

    /// All of them, as they were given.
    pub fn all(&self) -> &Map<String, Value> {
        &self.0
    }

    /// `ClientId`, in the form that ids have.
    ///
    /// # Errors
    ///
    /// When it is missing or cannot be one.
    pub fn client_id(&self) -> Result<&str, ApiError> {
        let id = self.required("ClientId")?;
        if (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+".contains(&b)) {
            return Ok(id);
        }
        Err(violated("at 'clientId'", "Member must satisfy regular expression pattern: [\\w+]+"))
    }
}

/// An error as a client of the API gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The name, such as `NotAuthorizedException`.
    pub kind: &'static str,
    /// The text.
    pub message: String,
}

impl ApiError {
    pub(crate) fn new(kind: &'static str, message: &str) -> ApiError {
        ApiError { kind, message: message.to_owned() }
    }

    pub(crate) fn not_authorized(message: &str) -> ApiError {
        ApiError::new("NotAuthorizedException", message)
    }

    pub(crate) fn invalid_parameter(message: &str) -> ApiError {
        ApiError::new("InvalidParameterException", message)
    }

    /// The end of a sign-in that failed, whatever it failed at.
    pub(crate) fn wrong_credentials() -> ApiError {
        ApiError::not_authorized("Incorrect username or password.")
    }

    pub(crate) fn user_not_found() -> ApiError {
        ApiError::new("UserNotFoundException", "User does not exist.")
    }

    pub(crate) fn missing_parameter(name: &str) -> ApiError {
        ApiError::invalid_parameter(&format!("Missing required parameter {name}"))
    }

    /// Something that AWS has and the local pool has not.
    pub(crate) fn not_emulated(what: &str) -> ApiError {
        ApiError::invalid_parameter(&format!("The local pool does not emulate {what}."))
    }

    /// Something that went wrong in here.
    pub(crate) fn internal(error: &impl std::fmt::Display) -> ApiError {
        ApiError::new("InternalErrorException", &error.to_string())
    }

    /// The body of the reply.
    pub fn body(&self) -> Value {
        json!({ "__type": self.kind, "message": self.message })
    }
}

/// A request that is not in the form that the operation takes.
pub(crate) fn not_readable() -> ApiError {
    ApiError::new("SerializationException", "The request is not the JSON that this operation takes.")
}

/// A parameter that breaks a rule of the service's model.
pub(crate) fn violated(value: &str, constraint: &str) -> ApiError {
    ApiError::invalid_parameter(&format!(
        "1 validation error detected: Value {value} failed to satisfy constraint: {constraint}"
    ))
}
