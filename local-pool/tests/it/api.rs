//! Requests that are not as they should be: each gets one of Cognito's errors, and the pool goes on.

use local_pool::api::{ApiError, Call, Operation};
use serde_json::{Value, json};

use crate::stage::Stage;

fn read(target: &str, body: &[u8]) -> Result<Call, ApiError> {
    Call::read(&format!("AWSCognitoIdentityProviderService.{target}"), body, true)
}

/// What InitiateAuth answers to this body.
fn initiate(body: &str) -> ApiError {
    Stage::default().ask("InitiateAuth", serde_json::from_str(body).unwrap()).unwrap_err()
}

#[test]
fn a_body_that_is_no_json_object_is_not_read() {
    let deep = "[".repeat(10_000);
    for body in ["", "{", "null", "[]", "7", "\"text\"", r#"["1client", "CUSTOM_AUTH", {}, {}]"#, &deep, "\u{feff}{}"] {
        let error = read("InitiateAuth", body.as_bytes()).unwrap_err();
        assert_eq!(error.kind, "SerializationException", "{body:.200}");
        assert_eq!(error.message, "The request is not the JSON that this operation takes.");
    }
    assert_eq!(read("InitiateAuth", &[0xff, 0xfe]).unwrap_err().kind, "SerializationException");
}

#[test]
fn other_operations_are_named_as_not_emulated() {
    let error = read("ListUsers", b"{}").unwrap_err();
    assert_eq!(error.kind, "UnknownOperationException");
    assert_eq!(error.message, "The local pool does not emulate the operation ListUsers.");
    for target in ["", "InitiateAuth", "AWSCognitoIdentityProviderService.", "DynamoDB_20120810.GetItem"] {
        assert_eq!(Call::read(target, b"{}", true).unwrap_err().kind, "UnknownOperationException");
    }
}

#[test]
fn calls_of_servers_have_to_be_signed() {
    for operation in Operation::ALL {
        let target = format!("AWSCognitoIdentityProviderService.{}", operation.name());
        let unsigned = Call::read(&target, b"{}", false).map(drop).map_err(|error| error.kind);
        let is_public = [
            "InitiateAuth",
            "RespondToAuthChallenge",
            "SignUp",
            "ConfirmSignUp",
            "GetUser",
            "GlobalSignOut",
            "GetTokensFromRefreshToken",
            "RevokeToken",
        ]
        .contains(&operation.name());
        let expected = if is_public { Ok(()) } else { Err("MissingAuthenticationTokenException") };
        assert_eq!(unsigned, expected, "{}", operation.name());
    }
}

#[test]
fn what_is_required_is_missed_by_name() {
    let null = |name: &str| {
        let constraint = "failed to satisfy constraint: Member must not be null";
        format!("1 validation error detected: Value null at '{name}' {constraint}")
    };
    assert_eq!(initiate("{}").message, null("authFlow"));
    assert_eq!(initiate(r#"{"AuthFlow": null}"#).message, null("authFlow"));
    let mut stage = Stage::default();
    assert_eq!(stage.complaint("RespondToAuthChallenge", json!({})), null("challengeName"));
    assert_eq!(stage.complaint("SignUp", json!({})), null("username"));
    assert_eq!(stage.complaint("GetUser", json!({})), null("accessToken"));
    assert_eq!(stage.complaint("AdminSetUserPassword", json!({"Username": "alice"})), null("password"));
    let call = json!({"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": {"USERNAME": "alice"}});
    assert_eq!(stage.complaint("InitiateAuth", call), "Missing required parameter PASSWORD");
    let call = json!({"AuthFlow": "USER_SRP_AUTH", "AuthParameters": {"USERNAME": "alice"}});
    assert_eq!(stage.complaint("InitiateAuth", call), "Missing required parameter SRP_A");
    let call = json!({"AuthFlow": "REFRESH_TOKEN_AUTH"});
    assert_eq!(stage.complaint("InitiateAuth", call), "Missing required parameter REFRESH_TOKEN");
}

#[test]
fn what_breaks_the_model_is_named() {
    let pattern = "1 validation error detected: Value at 'clientId' failed to satisfy constraint: \
                   Member must satisfy regular expression pattern: [\\w+]+";
    for id in ["", "a b", "a-b", "é", &"x".repeat(129)] {
        assert_eq!(initiate(&format!(r#"{{"ClientId": "{id}", "AuthFlow": "CUSTOM_AUTH"}}"#)).message, pattern);
    }
    let flow = initiate(r#"{"AuthFlow": "PASSWORDLESS"}"#).message;
    assert!(flow.starts_with("1 validation error detected: Value 'PASSWORDLESS' at 'authFlow' failed"), "{flow}");
}

#[test]
fn texts_have_the_lengths_of_the_model() {
    let mut stage = Stage::default();
    let constraint = |name: &str, bound: &str| {
        format!(
            "1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must have length {bound}"
        )
    };
    let long = |length: usize| "x".repeat(length);
    let call = |name: &str| json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": name}});
    assert_eq!(stage.complaint("InitiateAuth", call("")), constraint("username", "greater than or equal to 1"));
    assert_eq!(stage.complaint("InitiateAuth", call(&long(129))), constraint("username", "less than or equal to 128"));
    assert!(stage.ask("InitiateAuth", call(&long(128))).is_ok());
    let call = json!({"Username": long(129)});
    assert_eq!(stage.complaint("AdminGetUser", call), constraint("username", "less than or equal to 128"));
    let call = json!({"Username": "alice", "Password": long(257)});
    assert_eq!(stage.complaint("AdminSetUserPassword", call), constraint("password", "less than or equal to 256"));
}

/// Calls that are good for this stage, one for each operation.
fn good_calls(stage: &mut Stage) -> Vec<(&'static str, Value)> {
    let session = stage.begin()["Session"].clone();
    let tokens = stage.sign_in();
    stage.ask("SignUp", json!({"Username": "pending@example.com", "Password": "Correct horse 1"})).unwrap();
    let code = stage.pool.take_letters()[0].text.trim().rsplit(' ').next().unwrap().to_owned();
    let attributes = json!([{"Name": "name", "Value": "New"}]);
    let alice = json!({"Username": "alice", "UserPoolId": "eu-west-1_LocalPool"});
    let initiate = json!({
        "ClientId": "1client", "AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": "alice"}, "ClientMetadata": {"a": "b"},
        "AnalyticsMetadata": {}, "UserContextData": {}, "ContextData": {},
    });
    let respond = json!({
        "ClientId": "1client", "ChallengeName": "CUSTOM_CHALLENGE", "Session": session, "ClientMetadata": {"a": "b"},
        "ChallengeResponses": {"USERNAME": "alice", "ANSWER": "wrong"},
    });
    let by_server = |mut call: Value| {
        call["UserPoolId"] = json!("eu-west-1_LocalPool");
        call
    };
    let mut calls = vec![
        ("InitiateAuth", initiate.clone()),
        ("AdminInitiateAuth", by_server(initiate)),
        ("RespondToAuthChallenge", respond.clone()),
        ("AdminRespondToAuthChallenge", by_server(respond)),
        (
            "SignUp",
            json!({
                "ClientId": "1client", "Username": "new@example.com", "Password": "Correct horse 1", "SecretHash": "x",
                "UserAttributes": attributes, "ValidationData": attributes, "ClientMetadata": {"a": "b"},
            }),
        ),
        (
            "ConfirmSignUp",
            json!({"ClientId": "1client", "Username": "pending@example.com", "ConfirmationCode": code, "SecretHash": "x"}),
        ),
        ("GetUser", json!({"AccessToken": tokens["AccessToken"]})),
        ("GlobalSignOut", json!({"AccessToken": tokens["AccessToken"]})),
        ("RevokeToken", json!({"ClientId": "1client", "Token": tokens["RefreshToken"]})),
        (
            "GetTokensFromRefreshToken",
            json!({"ClientId": "1client", "RefreshToken": tokens["RefreshToken"], "ClientMetadata": {"a": "b"}}),
        ),
        (
            "AdminCreateUser",
            json!({
                "UserPoolId": "eu-west-1_LocalPool", "Username": "newer@example.com", "TemporaryPassword": "Correct horse 1",
                "MessageAction": "SUPPRESS", "UserAttributes": attributes, "ValidationData": attributes,
                "ClientMetadata": {"a": "b"},
            }),
        ),
        ("AdminGetUser", alice.clone()),
        (
            "AdminSetUserPassword",
            json!({
                "UserPoolId": "eu-west-1_LocalPool", "Username": "alice", "Password": "Correct horse 1", "Permanent": true,
            }),
        ),
        (
            "AdminUpdateUserAttributes",
            json!({"UserPoolId": "eu-west-1_LocalPool", "Username": "alice", "UserAttributes": attributes}),
        ),
        ("AdminDisableUser", alice.clone()),
        ("AdminEnableUser", alice.clone()),
        ("AdminDeleteUser", alice),
        ("DescribeUserPool", json!({"UserPoolId": "eu-west-1_LocalPool"})),
        ("GetUserPoolMfaConfig", json!({"UserPoolId": "eu-west-1_LocalPool"})),
        ("DescribeUserPoolClient", json!({"UserPoolId": "eu-west-1_LocalPool", "ClientId": "1client"})),
    ];
    let described = stage.ask("DescribeUserPool", json!({})).unwrap();
    let mut update = json!({"UserPoolId": "eu-west-1_LocalPool", "AutoVerifiedAttributes": ["email"]});
    for member in ["LambdaConfig", "Policies", "MfaConfiguration", "UserPoolTier"] {
        update[member] = described["UserPool"][member].clone();
    }
    calls.push(("UpdateUserPool", update));
    let described = stage.ask("DescribeUserPoolClient", json!({})).unwrap();
    let mut update = described["UserPoolClient"].clone();
    for member in ["CreationDate", "LastModifiedDate"] {
        update.as_object_mut().unwrap().remove(member);
    }
    calls.push(("UpdateUserPoolClient", update));
    assert_eq!(calls.len(), Operation::ALL.len());
    calls
}

/// Every place in a JSON value, as a pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    for (name, member) in value.as_object().into_iter().flatten() {
        places(member, &format!("{at}/{name}"), found);
    }
    for (n, element) in value.as_array().into_iter().flatten().enumerate() {
        places(element, &format!("{at}/{n}"), found);
    }
}

#[test]
fn the_calls_that_are_made_wrong_below_are_good() {
    for n in 0..Operation::ALL.len() {
        let mut stage = Stage::default();
        let (operation, call) = good_calls(&mut stage).swap_remove(n);
        let reply = stage.ask(operation, call);
        assert!(reply.is_ok(), "{operation}: {reply:?}");
    }
}

#[test]
fn wrong_types_anywhere_in_any_call_get_an_error_and_the_pool_goes_on() {
    let kinds = ["SerializationException", "InvalidParameterException", "ResourceNotFoundException"];
    let calls = good_calls(&mut Stage::default());
    let (mut tried, mut surprises) = (0, Vec::new());
    for (operation, good) in calls {
        let mut all = Vec::new();
        places(&good, "", &mut all);
        for place in all.iter().filter(|place| !place.is_empty()) {
            let old = good.pointer(place).unwrap();
            for wrong in [json!(7.5), json!(true), json!([[1]]), json!({"a": {"b": 1}}), json!("x"), json!([7])] {
                let same_type = (old.is_string() && wrong.is_string())
                    || (old.is_boolean() && wrong.is_boolean())
                    || (old.is_object() && wrong.is_object());
                if same_type {
                    continue;
                }
                let mut call = good.clone();
                *call.pointer_mut(place).unwrap() = wrong.clone();
                let mut stage = Stage::default();
                match stage.ask(operation, call) {
                    Err(error) if kinds.contains(&error.kind) => {}
                    // What is below settings that the pool only keeps is not looked at.
                    Ok(_) if place.contains("SignInPolicy/") || place.contains("TemporaryPasswordValidityDays") => {}
                    Ok(_) if operation == "UpdateUserPool" && place.contains("/SignInPolicy") => {}
                    other => surprises.push(format!("{operation} {place} {wrong}: {other:?}")),
                }
                tried += 1;
            }
        }
    }
    assert_eq!(surprises, [""; 0]);
    assert!(tried > 500, "{tried}");
}
