//! Requests on the wire.

use local_pool::api::{ApiError, Call};

fn check(target: &str, body: &str, kind: &str, message: &str) {
    let target = format!("AWSCognitoIdentityProviderService.{target}");
    let expected = ApiError { kind: Box::leak(kind.to_owned().into_boxed_str()), message: message.to_owned() };
    assert_eq!(Call::read(&target, body.as_bytes()).unwrap_err(), expected, "{body:.200}");
}

#[test]
fn calls_are_read() {
    let body = r#"{"ClientId": "1client", "AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": "alice"},
        "ClientMetadata": {"a": "b"}, "UserContextData": {"EncodedData": "x"}, "AnalyticsMetadata": null, "Later": 1}"#;
    let Ok(Call::InitiateAuth(call)) = Call::read("AWSCognitoIdentityProviderService.InitiateAuth", body.as_bytes())
    else {
        panic!("not read")
    };
    assert_eq!(
        (&*call.client_id, &*call.auth_flow, &*call.auth_parameters["USERNAME"]),
        ("1client", "CUSTOM_AUTH", "alice")
    );
    assert_eq!(call.client_metadata.unwrap()["a"], "b");

    let body = r#"{"ClientId": "1client", "ChallengeName": "CUSTOM_CHALLENGE"}"#;
    let target = "AWSCognitoIdentityProviderService.RespondToAuthChallenge";
    let Ok(Call::RespondToAuthChallenge(call)) = Call::read(target, body.as_bytes()) else { panic!("not read") };
    assert_eq!((call.session, call.challenge_responses.len(), call.client_metadata), (None, 0, None));
}

#[test]
fn what_is_not_the_operations_json_is_not_read() {
    let message = "The request is not the JSON that this operation takes.";
    let deep = "[".repeat(10_000);
    for body in [
        "",
        "{",
        "null",
        "[]",
        "7",
        "\"text\"",
        r#"["1client", "CUSTOM_AUTH", {}, {}]"#,
        &deep,
        r#"{"ClientId": 7, "AuthFlow": "CUSTOM_AUTH"}"#,
        r#"{"ClientId": "1client", "AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": 7}}"#,
        r#"{"ClientId": "1client", "AuthFlow": "CUSTOM_AUTH", "AuthParameters": []}"#,
        r#"{"ClientId": "1client", "AuthFlow": "CUSTOM_AUTH", "ClientMetadata": {"action": ["RESEND"]}}"#,
    ] {
        check("InitiateAuth", body, "SerializationException", message);
    }
    assert_eq!(
        Call::read("AWSCognitoIdentityProviderService.InitiateAuth", &[0xff, 0xfe]).unwrap_err().kind,
        "SerializationException"
    );
}

#[test]
fn what_is_required_is_missed_by_name() {
    let null = |name: &str| {
        format!("1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must not be null")
    };
    check("InitiateAuth", "{}", "InvalidParameterException", &null("clientId"));
    check("InitiateAuth", r#"{"ClientId": "1client"}"#, "InvalidParameterException", &null("authFlow"));
    check("RespondToAuthChallenge", r#"{"ClientId": "1client"}"#, "InvalidParameterException", &null("challengeName"));
    let pattern = "1 validation error detected: Value at 'clientId' failed to satisfy constraint: \
                   Member must satisfy regular expression pattern: [\\w+]+";
    for id in ["", "a b", "a-b", "é", &"x".repeat(129)] {
        let body = format!(r#"{{"ClientId": "{id}", "AuthFlow": "CUSTOM_AUTH"}}"#);
        check("InitiateAuth", &body, "InvalidParameterException", pattern);
    }
    let length = "1 validation error detected: Value at 'session' failed to satisfy constraint: \
                  Member must have length between 20 and 2048";
    for session in ["", "short", &"x".repeat(2049)] {
        let body = format!(r#"{{"ClientId": "1client", "ChallengeName": "CUSTOM_CHALLENGE", "Session": "{session}"}}"#);
        check("RespondToAuthChallenge", &body, "InvalidParameterException", length);
    }
}

#[test]
fn other_operations_are_named_as_not_emulated() {
    check("ListUsers", "{}", "UnknownOperationException", "The local pool does not emulate the operation ListUsers.");
    for target in ["", "InitiateAuth", "AWSCognitoIdentityProviderService.", "DynamoDB_20120810.GetItem"] {
        assert_eq!(Call::read(target, b"{}").unwrap_err().kind, "UnknownOperationException");
    }
}
