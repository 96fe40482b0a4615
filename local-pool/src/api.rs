//! The user pool API on the wire: AWS JSON 1.1, as far as a sign-in needs it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What stands before the operation's name in `X-Amz-Target`.
const TARGET: &str = "AWSCognitoIdentityProviderService.";

/// A call of a client.
#[derive(Debug)]
pub enum Call {
    /// Begins a sign-in.
    InitiateAuth(InitiateAuth),
    /// Goes on with one.
    RespondToAuthChallenge(RespondToAuthChallenge),
}

/// Parameters of `InitiateAuth`.
#[derive(Debug)]
pub struct InitiateAuth {
    /// `ClientId`.
    pub client_id: String,
    /// `AuthFlow`.
    pub auth_flow: String,
    /// `AuthParameters`.
    pub auth_parameters: BTreeMap<String, String>,
    /// `ClientMetadata`.
    pub client_metadata: Option<BTreeMap<String, String>>,
}

/// Parameters of `RespondToAuthChallenge`.
#[derive(Debug)]
pub struct RespondToAuthChallenge {
    /// `ClientId`.
    pub client_id: String,
    /// `ChallengeName`.
    pub challenge_name: String,
    /// `Session`.
    pub session: Option<String>,
    /// `ChallengeResponses`.
    pub challenge_responses: BTreeMap<String, String>,
    /// `ClientMetadata`.
    pub client_metadata: Option<BTreeMap<String, String>>,
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

    /// The end of a sign-in that failed, whatever it failed at.
    pub(crate) fn wrong_credentials() -> ApiError {
        ApiError::not_authorized("Incorrect username or password.")
    }

    pub(crate) fn missing_parameter(name: &str) -> ApiError {
        ApiError::new("InvalidParameterException", &format!("Missing required parameter {name}"))
    }

    /// Something that AWS has and the local pool has not.
    pub(crate) fn not_emulated(what: &str) -> ApiError {
        ApiError::new("InvalidParameterException", &format!("The local pool does not emulate {what}."))
    }

    /// The body of the reply.
    pub fn body(&self) -> Value {
        json!({ "__type": self.kind, "message": self.message })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InitiateAuthFields {
    client_id: Option<String>,
    auth_flow: Option<String>,
    auth_parameters: Option<BTreeMap<String, String>>,
    client_metadata: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RespondToAuthChallengeFields {
    client_id: Option<String>,
    challenge_name: Option<String>,
    session: Option<String>,
    challenge_responses: Option<BTreeMap<String, String>>,
    client_metadata: Option<BTreeMap<String, String>>,
}

impl Call {
    /// Reads a request by its `X-Amz-Target` and body.
    ///
    /// # Errors
    ///
    /// What Cognito answers to a request that it cannot read.
    pub fn read(target: &str, body: &[u8]) -> Result<Call, ApiError> {
        let operation = target.strip_prefix(TARGET).unwrap_or_default();
        match operation {
            "InitiateAuth" => {
                let fields: InitiateAuthFields = read(body)?;
                Ok(Call::InitiateAuth(InitiateAuth {
                    client_id: client_id(fields.client_id)?,
                    auth_flow: required(fields.auth_flow, "authFlow")?,
                    auth_parameters: fields.auth_parameters.unwrap_or_default(),
                    client_metadata: fields.client_metadata,
                }))
            }
            "RespondToAuthChallenge" => {
                let fields: RespondToAuthChallengeFields = read(body)?;
                let session = match fields.session {
                    Some(session) if !(20..=2048).contains(&session.len()) => {
                        let constraint = "Member must have length between 20 and 2048";
                        return Err(violated("session", constraint));
                    }
                    session => session,
                };
                Ok(Call::RespondToAuthChallenge(RespondToAuthChallenge {
                    client_id: client_id(fields.client_id)?,
                    challenge_name: required(fields.challenge_name, "challengeName")?,
                    session,
                    challenge_responses: fields.challenge_responses.unwrap_or_default(),
                    client_metadata: fields.client_metadata,
                }))
            }
            "" => Err(ApiError::new(
                "UnknownOperationException",
                "X-Amz-Target has to be AWSCognitoIdentityProviderService. and the name of an operation.",
            )),
            other => Err(ApiError::new(
                "UnknownOperationException",
                &format!("The local pool does not emulate the operation {other:.64}."),
            )),
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // An array would be read as the fields in their order.
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => serde_json::from_value(Value::Object(fields)).ok(),
        Ok(_) | Err(_) => None,
    }
    .ok_or_else(|| ApiError::new("SerializationException", "The request is not the JSON that this operation takes."))
}

fn client_id(given: Option<String>) -> Result<String, ApiError> {
    let id = required(given, "clientId")?;
    if (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+".contains(&b)) {
        return Ok(id);
    }
    Err(violated("clientId", "Member must satisfy regular expression pattern: [\\w+]+"))
}

fn required(given: Option<String>, name: &str) -> Result<String, ApiError> {
    given.ok_or_else(|| violated(name, "Member must not be null"))
}

fn violated(name: &str, constraint: &str) -> ApiError {
    let message = format!("1 validation error detected: Value at '{name}' failed to satisfy constraint: {constraint}");
    ApiError::new("InvalidParameterException", &message)
}
