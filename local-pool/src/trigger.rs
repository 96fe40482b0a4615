//! The events that triggers are given, and how strictly their replies are read.
//!
//! What AWS gives to whom: the client's metadata reaches a trigger only from the call that AWS passes it on from; verify is
//! never given the history, nor define the private parameters. `clientMetadata` and `userNotFound` are left out where they do not
//! apply; `validationData` is `null` then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::ApiError;

/// A Lambda trigger of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// Before a user is made.
    PreSignUp,
    /// Before a sign-in begins.
    PreAuthentication,
    /// What comes next?
    DefineAuthChallenge,
    /// What is the client asked?
    CreateAuthChallenge,
    /// Is the answer right?
    VerifyAuthChallengeResponse,
    /// Before tokens are issued.
    PreTokenGeneration,
    /// After tokens were issued, before the client gets them.
    PostAuthentication,
}

/// The version of a trigger's events. Only PreTokenGeneration has more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerVersion {
    /// `V1_0`: the ID token can be changed.
    One,
    /// `V2_0`: the access token, too.
    Two,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Trigger; 7] = [
        Trigger::PreSignUp,
        Trigger::PreAuthentication,
        Trigger::DefineAuthChallenge,
        Trigger::CreateAuthChallenge,
        Trigger::VerifyAuthChallengeResponse,
        Trigger::PreTokenGeneration,
        Trigger::PostAuthentication,
    ];

    /// Those that a sign-in needs: functions of ours serve them unless an option says otherwise. Ours for the others are asked for.
    pub const OURS: [Trigger; 4] = [
        Trigger::PreAuthentication,
        Trigger::DefineAuthChallenge,
        Trigger::CreateAuthChallenge,
        Trigger::VerifyAuthChallengeResponse,
    ];

    /// The name that Cognito's errors and `LambdaConfig` use.
    pub fn name(self) -> &'static str {
        match self {
            Trigger::PreSignUp => "PreSignUp",
            Trigger::PreAuthentication => "PreAuthentication",
            Trigger::DefineAuthChallenge => "DefineAuthChallenge",
            Trigger::CreateAuthChallenge => "CreateAuthChallenge",
            Trigger::VerifyAuthChallengeResponse => "VerifyAuthChallengeResponse",
            Trigger::PreTokenGeneration => "PreTokenGeneration",
            Trigger::PostAuthentication => "PostAuthentication",
        }
    }

    /// The trigger of that name.
    pub fn named(name: &str) -> Option<Trigger> {
        Trigger::ALL.into_iter().find(|trigger| trigger.name() == name)
    }

    /// The usual name of a function that serves it, and the name of ours.
    pub fn function(self) -> &'static str {
        match self {
            Trigger::PreSignUp => "pre-sign-up",
            Trigger::PreAuthentication => "pre-authentication",
            Trigger::DefineAuthChallenge => "define-auth-challenge",
            Trigger::CreateAuthChallenge => "create-auth-challenge",
            Trigger::VerifyAuthChallengeResponse => "verify-auth-challenge",
            Trigger::PreTokenGeneration => "pre-token-generation",
            Trigger::PostAuthentication => "post-authentication",
        }
    }

    /// `response` as the trigger finds it.
    fn empty_response(self, version: TriggerVersion) -> Value {
        match (self, version) {
            (Trigger::PreSignUp, _) => {
                json!({"autoConfirmUser": false, "autoVerifyEmail": false, "autoVerifyPhone": false})
            }
            (Trigger::PreAuthentication | Trigger::PostAuthentication, _) => json!({}),
            (Trigger::DefineAuthChallenge, _) => {
                json!({"challengeName": null, "issueTokens": null, "failAuthentication": null})
            }
            (Trigger::CreateAuthChallenge, _) => {
                json!({"publicChallengeParameters": null, "privateChallengeParameters": null, "challengeMetadata": null})
            }
            (Trigger::VerifyAuthChallengeResponse, _) => json!({"answerCorrect": null}),
            (Trigger::PreTokenGeneration, TriggerVersion::One) => json!({"claimsOverrideDetails": null}),
            (Trigger::PreTokenGeneration, TriggerVersion::Two) => json!({"claimsAndScopeOverrideDetails": null}),
        }
    }
}

/// One finished round, as define and create find it in `session`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// What all events of a pool have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) region: &'a str,
    pub(crate) user_pool_id: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) user_name: &'a str,
}

impl Envelope<'_> {
    /// The event for `trigger`, whose `triggerSource` ends with `source`.
    pub(crate) fn event(self, trigger: Trigger, version: TriggerVersion, source: &str, request: Value) -> Value {
        // The only trigger whose source has another name than itself.
        let name = if trigger == Trigger::PreTokenGeneration { "TokenGeneration" } else { trigger.name() };
        json!({
            "version": match version { TriggerVersion::One => "1", TriggerVersion::Two => "2" },
            "region": self.region,
            "userPoolId": self.user_pool_id,
            "userName": self.user_name,
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": self.client_id},
            "triggerSource": format!("{name}_{source}"),
            "request": request,
            "response": trigger.empty_response(version),
        })
    }
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

/// What pre-sign-up wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PreSignUpReply {
    pub(crate) confirm: bool,
    pub(crate) verify_email: bool,
    pub(crate) verify_phone: bool,
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

/// How pre-token-generation changes tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TokenChanges {
    pub(crate) id: ClaimChanges,
    pub(crate) access: ClaimChanges,
    pub(crate) scopes_to_add: Vec<String>,
    pub(crate) scopes_to_suppress: Vec<String>,
    /// The groups and roles, if they are other than the user's own.
    pub(crate) groups: Option<Groups>,
}

/// What a user belongs to, as tokens tell it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Groups {
    pub(crate) names: Vec<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) preferred_role: Option<String>,
}

/// How the claims of one token are changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ClaimChanges {
    pub(crate) add: Map<String, Value>,
    pub(crate) suppress: Vec<String>,
}

pub(crate) fn read_pre_sign_up(event: &Value, outcome: Outcome) -> Result<PreSignUpReply, ApiError> {
    let response = response(event, outcome)?;
    Ok(PreSignUpReply {
        confirm: flag(&response["autoConfirmUser"])?,
        verify_email: flag(&response["autoVerifyEmail"])?,
        verify_phone: flag(&response["autoVerifyPhone"])?,
    })
}

/// The reply of a trigger that can only let go on or fail.
pub(crate) fn read_consent(event: &Value, outcome: Outcome) -> Result<(), ApiError> {
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
    let private_challenge_parameters = texts(&response["privateChallengeParameters"])?;
    // Reported to be needed: verify would have nothing to go by.
    if private_challenge_parameters.is_empty() {
        return Err(unrecognizable());
    }
    Ok(CreateReply {
        public_challenge_parameters: texts(&response["publicChallengeParameters"])?,
        private_challenge_parameters,
        challenge_metadata: text(&response["challengeMetadata"])?,
    })
}

pub(crate) fn read_verify(event: &Value, outcome: Outcome) -> Result<bool, ApiError> {
    flag(&response(event, outcome)?["answerCorrect"])
}

pub(crate) fn read_pre_token_generation(event: &Value, outcome: Outcome) -> Result<TokenChanges, ApiError> {
    let response = response(event, outcome)?;
    let mut changes = TokenChanges::default();
    let details = match (response.get("claimsOverrideDetails"), response.get("claimsAndScopeOverrideDetails")) {
        (Some(details), _) => {
            let add = texts(&member(details, "claimsToAddOrOverride")?)?;
            changes.id.add = add.into_iter().map(|(claim, value)| (claim, Value::from(value))).collect();
            changes.id.suppress = list(&member(details, "claimsToSuppress")?)?;
            details
        }
        (None, Some(details)) => {
            let (id, access) = (member(details, "idTokenGeneration")?, member(details, "accessTokenGeneration")?);
            for (token, claims) in [(&id, &mut changes.id), (&access, &mut changes.access)] {
                claims.add = object(&member(token, "claimsToAddOrOverride")?)?;
                claims.suppress = list(&member(token, "claimsToSuppress")?)?;
            }
            changes.scopes_to_add = list(&member(&access, "scopesToAdd")?)?;
            changes.scopes_to_suppress = list(&member(&access, "scopesToSuppress")?)?;
            details
        }
        (None, None) => return Ok(changes),
    };
    // That the member is there is enough to replace the groups, even by none.
    if let Some(groups) = details.get("groupOverrideDetails") {
        changes.groups = Some(Groups {
            names: list(&member(groups, "groupsToOverride")?)?,
            roles: list(&member(groups, "iamRolesToOverride")?)?,
            preferred_role: text(&member(groups, "preferredRole")?)?,
        });
    }
    Ok(changes)
}

/// The `response` of a reply that has all the fields of the event and no others.
fn response(event: &Value, outcome: Outcome) -> Result<Value, ApiError> {
    let source = event["triggerSource"].as_str().unwrap_or_default();
    let trigger = match source.split('_').next() {
        Some("TokenGeneration") => "PreTokenGeneration",
        name => name.unwrap_or_default(),
    };
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

/// A member of an object that may itself be absent.
fn member(value: &Value, name: &str) -> Result<Value, ApiError> {
    Ok(object(value)?.remove(name).unwrap_or_default())
}

fn object(value: &Value) -> Result<Map<String, Value>, ApiError> {
    if value.is_null() { Ok(Map::new()) } else { value.as_object().cloned().ok_or_else(unrecognizable) }
}

fn flag(value: &Value) -> Result<bool, ApiError> {
    if value.is_null() { Ok(false) } else { value.as_bool().ok_or_else(unrecognizable) }
}

fn text(value: &Value) -> Result<Option<String>, ApiError> {
    if value.is_null() { Ok(None) } else { value.as_str().map(|text| Some(text.to_owned())).ok_or_else(unrecognizable) }
}

fn texts(value: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    object(value)?.into_iter().map(|(key, value)| Ok((key, text(&value)?.ok_or_else(unrecognizable)?))).collect()
}

fn list(value: &Value) -> Result<Vec<String>, ApiError> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    let entries = value.as_array().ok_or_else(unrecognizable)?;
    entries.iter().map(|entry| text(entry)?.ok_or_else(unrecognizable)).collect()
}
