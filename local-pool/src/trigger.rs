//! The events that triggers are given, and how strictly their replies are read.
//!
//! What AWS gives to whom: the client's metadata reaches a trigger only from the call that AWS passes it on from; verify is
//! never given the history, nor define the private parameters. A field that does not apply is left out, not `null`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::api::ApiError;
use crate::pool::PoolConfig;
use crate::users::User;

/// A Lambda trigger of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// Before a sign-in begins.
    PreAuthentication,
    /// What comes next?
    DefineAuthChallenge,
    /// What is the client asked?
    CreateAuthChallenge,
    /// Is the answer right?
    VerifyAuthChallengeResponse,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Trigger; 4] = [
        Trigger::PreAuthentication,
        Trigger::DefineAuthChallenge,
        Trigger::CreateAuthChallenge,
        Trigger::VerifyAuthChallengeResponse,
    ];

    /// The name that Cognito's errors and `LambdaConfig` use.
    pub fn name(self) -> &'static str {
        match self {
            Trigger::PreAuthentication => "PreAuthentication",
            Trigger::DefineAuthChallenge => "DefineAuthChallenge",
            Trigger::CreateAuthChallenge => "CreateAuthChallenge",
            Trigger::VerifyAuthChallengeResponse => "VerifyAuthChallengeResponse",
        }
    }

    /// The function of this project that serves it.
    pub fn function(self) -> &'static str {
        match self {
            Trigger::PreAuthentication => "pre-authentication",
            Trigger::DefineAuthChallenge => "define-auth-challenge",
            Trigger::CreateAuthChallenge => "create-auth-challenge",
            Trigger::VerifyAuthChallengeResponse => "verify-auth-challenge",
        }
    }

    /// `response` as the trigger finds it.
    fn empty_response(self) -> Value {
        match self {
            Trigger::PreAuthentication => json!({}),
            Trigger::DefineAuthChallenge => {
                json!({"challengeName": null, "issueTokens": null, "failAuthentication": null})
            }
            Trigger::CreateAuthChallenge => {
                json!({"publicChallengeParameters": null, "privateChallengeParameters": null, "challengeMetadata": null})
            }
            Trigger::VerifyAuthChallengeResponse => json!({"answerCorrect": null}),
        }
    }
}

/// One finished round, as define and create find it in `session`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub(crate) challenge_name: String,
    challenge_result: bool,
    challenge_metadata: Option<String>,
}

impl Entry {
    pub(crate) fn new(name: &str, result: bool, metadata: Option<String>) -> Entry {
        Entry { challenge_name: name.to_owned(), challenge_result: result, challenge_metadata: metadata }
    }
}

/// The event for `trigger`. `request` holds what is particular to it.
pub(crate) fn event(
    config: &PoolConfig,
    trigger: Trigger,
    user: &User,
    request: Value,
    client_metadata: Option<&BTreeMap<String, String>>,
) -> Value {
    let mut full = Map::from_iter([("userAttributes".to_owned(), json!(user.attributes))]);
    if let Value::Object(particular) = request {
        full.extend(particular);
    }
    if let Some(metadata) = client_metadata {
        full.insert("clientMetadata".to_owned(), json!(metadata));
    }
    if config.prevent_user_existence_errors {
        full.insert("userNotFound".to_owned(), json!(!user.exists));
    }
    json!({
        "version": "1",
        "region": config.region,
        "userPoolId": config.user_pool_id,
        "userName": user.username,
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": config.client_id},
        "triggerSource": format!("{}_Authentication", trigger.name()),
        "request": full,
        "response": trigger.empty_response(),
    })
}

/// What came of invoking a function.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It returned this.
    Returned(Vec<u8>),
    /// It failed with this `errorMessage`.
    Failed(String),
    /// It did not answer in time, however often it was called.
    TimedOut,
    /// It could not be called.
    Unreachable(String),
}

/// What define wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DefineReply {
    IssueTokens,
    FailAuthentication,
    Challenge(String),
}

/// What create made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CreateReply {
    pub(crate) public_challenge_parameters: BTreeMap<String, String>,
    pub(crate) private_challenge_parameters: BTreeMap<String, String>,
    pub(crate) challenge_metadata: Option<String>,
}

pub(crate) fn read_pre_authentication(event: &Value, outcome: Outcome) -> Result<(), ApiError> {
    response(event, outcome).map(drop)
}

pub(crate) fn read_define(event: &Value, outcome: Outcome) -> Result<DefineReply, ApiError> {
    let response = response(event, outcome)?;
    let name = text(&response["challengeName"])?;
    match (flag(&response["failAuthentication"])?, flag(&response["issueTokens"])?, name) {
        (true, _, _) => Ok(DefineReply::FailAuthentication),
        (false, true, _) => Ok(DefineReply::IssueTokens),
        (false, false, Some(name)) => Ok(DefineReply::Challenge(name)),
        (false, false, None) => Err(unrecognizable()),
    }
}

pub(crate) fn read_create(event: &Value, outcome: Outcome) -> Result<CreateReply, ApiError> {
    let response = response(event, outcome)?;
    Ok(CreateReply {
        public_challenge_parameters: texts(&response["publicChallengeParameters"])?,
        private_challenge_parameters: texts(&response["privateChallengeParameters"])?,
        challenge_metadata: text(&response["challengeMetadata"])?,
    })
}

pub(crate) fn read_verify(event: &Value, outcome: Outcome) -> Result<bool, ApiError> {
    flag(&response(event, outcome)?["answerCorrect"])
}

/// The `response` of a reply that has all the fields of the event and no others.
fn response(event: &Value, outcome: Outcome) -> Result<Value, ApiError> {
    let trigger = event["triggerSource"].as_str().and_then(|source| source.split('_').next()).unwrap_or_default();
    let octets = match outcome {
        Outcome::Returned(octets) => octets,
        Outcome::Failed(message) => {
            let message = format!("{trigger} failed with error {message}.");
            return Err(ApiError::new("UserLambdaValidationException", &message));
        }
        Outcome::TimedOut => return Err(not_invoked(trigger, "Socket timeout while invoking Lambda function")),
        Outcome::Unreachable(why) => return Err(not_invoked(trigger, &why)),
    };
    let reply = match serde_json::from_slice(&octets) {
        Ok(Value::Object(reply)) => reply,
        Ok(Value::Null) | Err(_) => {
            let message = "Invalid lambda function output : Invalid JSON";
            return Err(ApiError::new("InvalidLambdaResponseException", message));
        }
        Ok(_) => return Err(unrecognizable()),
    };
    let members = |object: &Value| object.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>());
    let (Some(asked), Some(expected)) = (members(event), members(&event["response"])) else {
        return Err(unrecognizable());
    };
    let same_envelope = reply.len() == asked.len() && asked.iter().all(|key| reply.contains_key(key));
    match reply.get("response") {
        Some(Value::Object(response))
            if same_envelope && reply["request"].is_object() && response.keys().all(|key| expected.contains(key)) =>
        {
            Ok(Value::Object(response.clone()))
        }
        _ => Err(unrecognizable()),
    }
}

fn not_invoked(trigger: &str, why: &str) -> ApiError {
    ApiError::new("UnexpectedLambdaException", &format!("{trigger} invocation failed due to error {why}."))
}

fn unrecognizable() -> ApiError {
    ApiError::new("InvalidLambdaResponseException", "Unrecognizable lambda output")
}

fn flag(value: &Value) -> Result<bool, ApiError> {
    if value.is_null() { Ok(false) } else { value.as_bool().ok_or_else(unrecognizable) }
}

fn text(value: &Value) -> Result<Option<String>, ApiError> {
    if value.is_null() { Ok(None) } else { value.as_str().map(|text| Some(text.to_owned())).ok_or_else(unrecognizable) }
}

fn texts(value: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    if value.is_null() {
        return Ok(BTreeMap::new());
    }
    let members = value.as_object().ok_or_else(unrecognizable)?;
    members.iter().map(|(key, value)| Ok((key.clone(), text(value)?.ok_or_else(unrecognizable)?))).collect()
}
