//! Sign-ins with a custom challenge, through the pool's state machine.

use auth_challenge::challenge::UnixSeconds;
use jsonwebtoken::decode_header;
use local_pool::api::ApiError;
use local_pool::pool::{PoolOptions, UnknownUserAttributes};
use local_pool::trigger::Trigger::{
    CreateAuthChallenge as Create, DefineAuthChallenge as Define, VerifyAuthChallengeResponse as Verify,
};
use local_pool::trigger::{Outcome, Trigger};
use serde_json::{Value, json};

use crate::stage::{NOW, Stage, returned, three_answers, users};

/// What the pool says of a `Session` that has served.
const USED: &str = "Invalid session for the user, session can only be used once.";

#[test]
fn a_right_answer_gets_tokens_that_verify() {
    let mut stage = Stage::default();
    let challenge = stage.begin();
    assert_eq!(stage.triggers(), [Define, Create]);
    assert_eq!(challenge["ChallengeName"], "CUSTOM_CHALLENGE");
    assert_eq!(challenge["ChallengeParameters"], json!({"round": "0", "USERNAME": "alice"}));

    stage.now = UnixSeconds(NOW.0 + 60);
    let reply = stage.respond(&challenge["Session"], "alice", "right").unwrap();
    assert_eq!(stage.triggers(), [Verify, Define]);
    assert_eq!(reply["ChallengeParameters"], json!({}));
    let result = &reply["AuthenticationResult"];
    assert_eq!((&result["TokenType"], &result["ExpiresIn"]), (&json!("Bearer"), &json!(3600)));

    let (id, access) = (stage.claims(&result["IdToken"]), stage.claims(&result["AccessToken"]));
    for claims in [&id, &access] {
        assert_eq!(claims["auth_time"], NOW.0 + 60);
        assert_eq!(claims["exp"], NOW.0 + 60 + 3600);
        assert_eq!(claims["sub"], users().find("alice").unwrap().attributes["sub"]);
    }
    assert_eq!(
        (&id["token_use"], &id["aud"], &id["cognito:username"]),
        (&json!("id"), &json!("1client"), &json!("alice"))
    );
    assert_eq!((&id["email_verified"], &id["custom:tenant"]), (&json!(true), &json!("acme")));
    assert_eq!((&id["custom:id_verified"], &id["cognito:user_status"]), (&json!("2026-01-01"), &Value::Null));
    assert_eq!((&access["token_use"], &access["client_id"]), (&json!("access"), &json!("1client")));
    assert_eq!((&access["username"], &access["aud"]), (&json!("alice"), &Value::Null));
    assert_ne!(id["jti"], access["jti"]);
    // Each is signed with a key of its own.
    let kid = |token: &Value| decode_header(token.as_str().unwrap()).unwrap().kid;
    assert_ne!(kid(&result["IdToken"]), kid(&result["AccessToken"]));
}

#[test]
fn events_have_the_shape_that_cognito_gives_them() {
    let mut stage = Stage::default();
    let challenge = stage.initiate(json!({"USERNAME": "alice@example.com"}), json!({"locale": "en"})).unwrap();
    let alice = json!(users().find("alice").unwrap().event_attributes());
    assert_eq!(alice["cognito:user_status"], "CONFIRMED");
    let envelope = |trigger: &str, request: Value, response: Value| {
        json!({
            "version": "1", "region": "eu-west-1", "userPoolId": "eu-west-1_LocalPool", "userName": "alice",
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "1client"},
            "triggerSource": format!("{trigger}_Authentication"), "request": request, "response": response,
        })
    };
    // ClientMetadata of InitiateAuth reaches neither of the two.
    let define = json!({"challengeName": null, "issueTokens": null, "failAuthentication": null});
    let create =
        json!({"publicChallengeParameters": null, "privateChallengeParameters": null, "challengeMetadata": null});
    let request = json!({"userAttributes": alice, "session": [], "userNotFound": false});
    assert_eq!(stage.events[0].1, envelope("DefineAuthChallenge", request, define.clone()));
    let request =
        json!({"userAttributes": alice, "challengeName": "CUSTOM_CHALLENGE", "session": [], "userNotFound": false});
    assert_eq!(stage.events[1].1, envelope("CreateAuthChallenge", request, create.clone()));

    stage.respond(&challenge["Session"], "alice", "wrong").unwrap();
    assert_eq!(stage.triggers(), [Verify, Define, Create]);
    let metadata = json!({"locale": "ja"});
    let request = json!({
        "userAttributes": alice, "privateChallengeParameters": {"answer": "right", "round": "0"},
        "challengeAnswer": "wrong", "clientMetadata": metadata, "userNotFound": false,
    });
    assert_eq!(stage.events[0].1, envelope("VerifyAuthChallengeResponse", request, json!({"answerCorrect": null})));
    let history =
        json!([{"challengeName": "CUSTOM_CHALLENGE", "challengeResult": false, "challengeMetadata": "ROUND-0"}]);
    let request =
        json!({"userAttributes": alice, "session": history, "clientMetadata": metadata, "userNotFound": false});
    assert_eq!(stage.events[1].1, envelope("DefineAuthChallenge", request, define));
    let request = json!({
        "userAttributes": alice, "challengeName": "CUSTOM_CHALLENGE", "session": history, "clientMetadata": metadata,
        "userNotFound": false,
    });
    assert_eq!(stage.events[2].1, envelope("CreateAuthChallenge", request, create));
}

#[test]
fn wrong_answers_lead_to_new_challenges_until_define_fails() {
    let mut stage = Stage::default();
    let first = stage.begin();
    let second = stage.respond(&first["Session"], "alice", "wrong").unwrap();
    assert_eq!(second["ChallengeParameters"], json!({"round": "1"}));
    assert_ne!(first["Session"], second["Session"]);
    let third = stage.respond(&second["Session"], "alice", "wrong").unwrap();
    let error = stage.respond(&third["Session"], "alice", "wrong").unwrap_err();
    assert_eq!(error.body(), json!({"__type": "NotAuthorizedException", "message": "Incorrect username or password."}));
}

#[test]
fn a_session_serves_once_and_for_its_user_and_time() {
    let invalid = |suffix: &str| format!("Invalid session for the user{suffix}.");
    let mut stage = Stage::default();
    let message = |stage: &mut Stage, session: &Value, username: &str| {
        let error = stage.respond(session, username, "right").unwrap_err();
        assert_eq!((error.kind, stage.events.len()), ("NotAuthorizedException", 0));
        error.message
    };
    let used = stage.begin()["Session"].clone();
    stage.respond(&used, "alice", "wrong").unwrap();
    assert_eq!(message(&mut stage, &used, "alice"), invalid(", session can only be used once"));

    let begun = stage.begin()["Session"].clone();
    assert_eq!(message(&mut stage, &begun, "bob"), invalid(""));
    assert_eq!(message(&mut stage, &json!("AYABe-not-a-session-at-all"), "alice"), invalid(""));

    stage.now = UnixSeconds(NOW.0 + 180);
    assert_eq!(message(&mut stage, &begun, "alice"), invalid(", session is expired"));
    let in_time = stage.begin()["Session"].clone();
    stage.now = UnixSeconds(NOW.0 + 180 + 179);
    assert!(stage.respond(&in_time, "alice", "right").is_ok());
    // Long after, it still says of itself what it was.
    stage.now = UnixSeconds(NOW.0 + 100_000);
    assert_eq!(message(&mut stage, &begun, "alice"), invalid(", session is expired"));
}

fn right_answer(session: &Value) -> Value {
    json!({
        "ChallengeName": "CUSTOM_CHALLENGE", "Session": session,
        "ChallengeResponses": {"USERNAME": "alice", "ANSWER": "right"},
    })
}

#[test]
fn a_session_is_spent_when_a_trigger_fails() {
    for concurrent_answers_to_session in [false, true] {
        let mut stage = Stage::with_options(PoolOptions { concurrent_answers_to_session, ..PoolOptions::default() });
        let session = stage.begin()["Session"].clone();
        let fail = |_, _: &Value| Outcome::Failed("no".to_owned());
        let error = stage.call("RespondToAuthChallenge", right_answer(&session), fail).unwrap_err();
        assert_eq!(
            (error.kind, &*error.message),
            ("UserLambdaValidationException", "VerifyAuthChallengeResponse failed with error no.")
        );
        let error = stage.respond(&session, "alice", "right").unwrap_err();
        assert_eq!(error.message, USED);
    }
}

#[test]
fn answers_at_once_to_one_session_reach_the_triggers_if_the_pool_lets_them() {
    for concurrent_answers_to_session in [false, true] {
        let mut stage = Stage::with_options(PoolOptions { concurrent_answers_to_session, ..PoolOptions::default() });
        let session = stage.begin()["Session"].clone();
        let first = stage.first_step("RespondToAuthChallenge", right_answer(&session)).unwrap();
        let second = stage.first_step("RespondToAuthChallenge", right_answer(&session)).unwrap();
        assert!(stage.go_on(first, three_answers).unwrap()["AuthenticationResult"].is_object());
        assert_eq!(stage.triggers(), [Verify, Define]);
        let second = stage.go_on(second, three_answers).map_err(|error| error.message);
        if concurrent_answers_to_session {
            assert!(second.unwrap()["AuthenticationResult"].is_object());
            assert_eq!(stage.triggers(), [Verify, Define, Verify, Define]);
        } else {
            assert_eq!((second.unwrap_err(), stage.events.len()), (USED.to_owned(), 2));
        }
        // Whoever comes after a verdict is too late for both.
        assert_eq!(stage.respond(&session, "alice", "right").unwrap_err().message, USED);
        assert_eq!(stage.triggers(), []);
    }
}

#[test]
fn the_user_may_be_called_by_any_name_that_is_theirs() {
    let alice = users().find("alice").unwrap().clone();
    for name in ["alice", "alice@example.com", "Alice@Example.com", &alice.attributes["sub"]] {
        let mut stage = Stage::default();
        let challenge = stage.initiate(json!({"USERNAME": name}), json!(null)).unwrap();
        assert_eq!(challenge["ChallengeParameters"]["USERNAME"], "alice");
        assert!(stage.respond(&challenge["Session"], name, "right").is_ok(), "{name}");
    }
}

#[test]
fn a_missing_user_is_imitated_and_never_gets_tokens() {
    let mut stage = Stage::default();
    let challenge = stage.initiate(json!({"USERNAME": "nobody@example.com"}), json!(null)).unwrap();
    let define = &stage.events[0].1;
    assert_eq!(define["request"], json!({"userAttributes": {}, "session": [], "userNotFound": true}));
    let name = challenge["ChallengeParameters"]["USERNAME"].as_str().unwrap().to_owned();
    assert_eq!(define["userName"], name);
    // These triggers would let anybody in.
    let error = stage.respond(&challenge["Session"], &name, "right").unwrap_err();
    assert_eq!(error.message, "Incorrect username or password.");

    let mut legacy = Stage::with_client(json!({"PreventUserExistenceErrors": "LEGACY"}));
    let error = legacy.initiate(json!({"USERNAME": "nobody@example.com"}), json!(null)).unwrap_err();
    assert_eq!((error.kind, &*error.message), ("UserNotFoundException", "User does not exist."));
    // Nor is a function asked, not even the one that comes first.
    let with_password = json!({"USERNAME": "nobody@example.com", "CHALLENGE_NAME": "SRP_A", "SRP_A": "1f2e"});
    let error = legacy.initiate(with_password, json!(null)).unwrap_err();
    assert_eq!((error.kind, legacy.triggers()), ("UserNotFoundException", Vec::new()));
    legacy.begin();
    assert_eq!(legacy.events[0].1["request"].get("userNotFound"), None);
}

#[test]
fn pre_authentication_runs_where_the_option_says_so_and_gets_the_metadata() {
    let mut stage =
        Stage::with_options(PoolOptions { pre_authentication_in_custom_flow: true, ..PoolOptions::default() });
    stage.initiate(json!({"USERNAME": "alice"}), json!({"tenant": "acme"})).unwrap();
    assert_eq!(stage.triggers(), [Trigger::PreAuthentication, Define, Create]);
    let request = &stage.events[0].1["request"];
    assert_eq!(request["validationData"], json!({"tenant": "acme"}));
    assert_eq!((request.get("clientMetadata"), &request["userNotFound"]), (None, &json!(false)));
    stage.initiate(json!({"USERNAME": "alice"}), json!(null)).unwrap();
    assert_eq!(stage.events[0].1["request"]["validationData"], Value::Null);
}

#[test]
fn define_may_skip_the_password_of_a_sign_in_that_opens_with_srp() {
    let mut stage = Stage::default();
    let parameters = json!({"USERNAME": "alice", "CHALLENGE_NAME": "SRP_A", "SRP_A": "1f2e"});
    let call = json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": parameters});
    let challenge = stage.call("InitiateAuth", call, |trigger, event| {
        if trigger == Define {
            returned(event, json!({"challengeName": "CUSTOM_CHALLENGE"}))
        } else {
            three_answers(trigger, event)
        }
    });
    let challenge = challenge.unwrap();
    assert_eq!(stage.triggers(), [Trigger::PreAuthentication, Define, Create]);
    let history = json!([{"challengeName": "SRP_A", "challengeResult": true, "challengeMetadata": null}]);
    assert_eq!(stage.events[1].1["request"]["session"], history);
    assert_eq!(challenge["ChallengeParameters"]["USERNAME"], "alice");
    assert!(stage.respond(&challenge["Session"], "alice", "right").is_ok());
}

#[test]
fn replies_of_triggers_are_read_strictly() {
    let initiate = json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": "alice"}});
    let error = |play: &dyn Fn(&Value) -> Outcome| {
        Stage::default().call("InitiateAuth", initiate.clone(), |_, event| play(event)).unwrap_err()
    };
    let raw = |text: &str| Outcome::Returned(text.as_bytes().to_vec());
    for text in ["", "null", "{", "\u{0}"] {
        assert_eq!(error(&|_| raw(text)).message, "Invalid lambda function output : Invalid JSON", "{text:?}");
    }
    let unrecognizable = |play: &dyn Fn(&Value) -> Outcome, what: &str| {
        let error = error(play);
        assert_eq!(error.kind, "InvalidLambdaResponseException", "{what}");
        assert_eq!(error.message, "Unrecognizable lambda output", "{what}");
    };
    unrecognizable(&|_| raw("[]"), "an array");
    unrecognizable(&|_| raw(r#"{"response": {"challengeName": "CUSTOM_CHALLENGE"}}"#), "the response alone");
    let good = json!({"challengeName": "CUSTOM_CHALLENGE"});
    for field in
        ["version", "region", "userPoolId", "userName", "callerContext", "triggerSource", "request", "response"]
    {
        let without = |event: &Value| {
            let mut event = event.clone();
            event["response"] = good.clone();
            event.as_object_mut().unwrap().remove(field);
            raw(&event.to_string())
        };
        unrecognizable(&without, field);
    }
    let extra = |event: &Value| {
        let mut event = event.clone();
        event["response"] = good.clone();
        event["extra"] = json!(1);
        raw(&event.to_string())
    };
    unrecognizable(&extra, "a new field");
    for request in [json!(null), json!(7), json!([])] {
        let other = |event: &Value| {
            let mut event = event.clone();
            event["response"] = good.clone();
            event["request"] = request.clone();
            raw(&event.to_string())
        };
        unrecognizable(&other, "another request");
    }
    for response in [
        json!(null),
        json!({"challengeName": "CUSTOM_CHALLENGE", "added": 1}),
        json!({"challengeName": 7}),
        json!({"issueTokens": "true"}),
        json!({"issueTokens": false, "failAuthentication": false}),
        json!({}),
    ] {
        unrecognizable(&|event| returned(event, response.clone()), &response.to_string());
    }
    let private = json!({"answer": "right"});
    for created in [
        json!({"publicChallengeParameters": {"n": 7}, "privateChallengeParameters": private}),
        json!({"challengeMetadata": {}, "privateChallengeParameters": private}),
        json!({"code": "1", "privateChallengeParameters": private}),
        json!({"privateChallengeParameters": {"answer": 7}}),
        // Verify would have nothing to go by.
        json!({"privateChallengeParameters": {}}),
        json!({"publicChallengeParameters": {"n": "7"}}),
    ] {
        let play = |event: &Value| {
            let is_define = event["triggerSource"] == "DefineAuthChallenge_Authentication";
            returned(event, if is_define { good.clone() } else { created.clone() })
        };
        unrecognizable(&play, &created.to_string());
    }
    // A field more in `request` does no harm.
    let mut stage = Stage::default();
    let reply = stage.call("InitiateAuth", initiate.clone(), |trigger, event| {
        let mut event = event.clone();
        event["request"]["clientMetadata"] = json!({});
        three_answers(trigger, &event)
    });
    assert!(reply.is_ok());
}

#[test]
fn a_trigger_that_cannot_be_invoked_is_named() {
    let initiate = json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": "alice"}});
    for (outcome, message) in [
        (Outcome::TimedOut, "Socket timeout while invoking Lambda function"),
        (Outcome::Unreachable("AccessDeniedException".to_owned()), "AccessDeniedException"),
    ] {
        let error = Stage::default().call("InitiateAuth", initiate.clone(), |_, _| outcome.clone()).unwrap_err();
        assert_eq!(error.kind, "UnexpectedLambdaException");
        assert_eq!(error.message, format!("DefineAuthChallenge invocation failed due to error {message}."));
    }
}

#[test]
fn define_may_fail_or_issue_tokens_at_once() {
    let initiate = json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": "alice"}});
    let play = |response: Value| {
        Stage::default().call("InitiateAuth", initiate.clone(), |_, event| returned(event, response.clone()))
    };
    assert!(play(json!({"issueTokens": true})).unwrap()["AuthenticationResult"]["IdToken"].is_string());
    let failed =
        Err(ApiError { kind: "NotAuthorizedException", message: "Incorrect username or password.".to_owned() });
    assert_eq!(play(json!({"failAuthentication": true})), failed);
    assert_eq!(play(json!({"failAuthentication": true, "issueTokens": true})), failed);
    let other = play(json!({"challengeName": "SMS_MFA"})).unwrap_err();
    assert_eq!(other.message, "The local pool does not emulate challenge SMS_MFA at this point of a sign-in.");
}

#[test]
fn what_a_sign_in_cannot_begin_with() {
    let mut stage = Stage::default();
    let mut message = |call: Value| stage.call("InitiateAuth", call, three_answers).unwrap_err().message;
    let call = |client: &str, flow: &str, parameters: Value| json!({"ClientId": client, "AuthFlow": flow, "AuthParameters": parameters});
    let alice = json!({"USERNAME": "alice"});
    assert_eq!(message(call("2client", "CUSTOM_AUTH", alice.clone())), "User pool client 2client does not exist.");
    assert_eq!(message(call("1client", "USER_AUTH", alice)), "The local pool does not emulate AuthFlow USER_AUTH.");
    assert_eq!(message(call("1client", "CUSTOM_AUTH", json!({}))), "Missing required parameter USERNAME");
    let bob = json!({"USERNAME": "bob@example.com"});
    assert_eq!(message(call("1client", "CUSTOM_AUTH", bob)), "User is disabled.");
}

#[test]
fn what_an_answer_needs() {
    let mut stage = Stage::default();
    let session = stage.begin()["Session"].clone();
    let call = |session: &Value, responses: Value| {
        json!({
            "ChallengeName": "CUSTOM_CHALLENGE", "Session": session,
            "ChallengeResponses": responses,
        })
    };
    let mut message = |call: Value| stage.call("RespondToAuthChallenge", call, three_answers).unwrap_err().message;
    assert_eq!(message(call(&session, json!({"ANSWER": "right"}))), "Missing required parameter USERNAME");
    assert_eq!(message(call(&session, json!({"USERNAME": "alice"}))), "Missing required parameter ANSWER");
    let both = json!({"USERNAME": "alice", "ANSWER": "right"});
    assert_eq!(message(call(&Value::Null, both.clone())), "Missing required parameter Session");
    let mut other = call(&session, both.clone());
    other["ChallengeName"] = json!("SMS_MFA");
    assert_eq!(message(other), "Invalid code or auth state for the user.");
    let mut other = call(&session, both.clone());
    other["ChallengeName"] = json!("NONSENSE");
    assert!(message(other).starts_with("1 validation error detected: Value 'NONSENSE' at 'challengeName' failed"));
    // None of these has spent the session.
    assert!(stage.call("RespondToAuthChallenge", call(&session, both), three_answers).is_ok());
}

#[test]
fn every_other_challenge_of_the_api_is_refused_and_spends_nothing() {
    let mut stage = Stage::default();
    let session = stage.begin()["Session"].clone();
    let mismatch = ("CodeMismatchException", "Invalid code or auth state for the user.");
    let no_device = ("ResourceNotFoundException", "Device does not exist.");
    let invalid = ("NotAuthorizedException", "Invalid session for the user.");
    for (name, expected) in [
        ("SMS_MFA", mismatch),
        ("SOFTWARE_TOKEN_MFA", mismatch),
        ("EMAIL_OTP", mismatch),
        ("SMS_OTP", mismatch),
        ("DEVICE_SRP_AUTH", no_device),
        ("DEVICE_PASSWORD_VERIFIER", no_device),
        ("SELECT_MFA_TYPE", invalid),
        ("MFA_SETUP", invalid),
        ("SELECT_CHALLENGE", invalid),
        ("ADMIN_NO_SRP_AUTH", invalid),
        ("PASSWORD", invalid),
        ("PASSWORD_SRP", invalid),
        ("WEB_AUTHN", invalid),
    ] {
        for operation in ["RespondToAuthChallenge", "AdminRespondToAuthChallenge"] {
            let responses = json!({"USERNAME": "alice", "ANSWER": "right"});
            let call = json!({"ChallengeName": name, "Session": session, "ChallengeResponses": responses});
            let error = stage.ask(operation, call).unwrap_err();
            assert_eq!((error.kind, &*error.message), expected, "{name}");
        }
    }
    // Nor does a challenge serve that another was presented for.
    let responses = json!({"USERNAME": "alice", "NEW_PASSWORD": "Correct horse 2"});
    let call = json!({"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": session, "ChallengeResponses": responses});
    assert_eq!(stage.complaint("RespondToAuthChallenge", call), invalid.1);
    assert!(stage.respond(&session, "alice", "right").is_ok());
}

#[test]
fn admins_sign_users_in_with_the_same_triggers() {
    let mut stage = Stage::default();
    let context = json!({"IpAddress": "192.0.2.1", "ServerName": "s", "ServerPath": "/", "HttpHeaders": []});
    let call = json!({
        "AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": "alice", "DEVICE_KEY": "eu-west-1_device"},
        "ClientMetadata": {"locale": "en"}, "ContextData": context, "AnalyticsMetadata": {"AnalyticsEndpointId": "x"},
    });
    let challenge = stage.ask("AdminInitiateAuth", call.clone()).unwrap();
    assert_eq!(stage.triggers(), [Define, Create]);
    let mut elsewhere = call;
    elsewhere["UserPoolId"] = json!("eu-west-1_Other");
    assert_eq!(stage.complaint("AdminInitiateAuth", elsewhere), "User pool eu-west-1_Other does not exist.");
    let call = json!({
        "ChallengeName": "CUSTOM_CHALLENGE", "Session": challenge["Session"],
        "ChallengeResponses": {"USERNAME": "alice", "ANSWER": "right"},
    });
    assert!(stage.ask("AdminRespondToAuthChallenge", call).unwrap()["AuthenticationResult"].is_object());
}

#[test]
fn what_aws_leaves_open_is_an_option() {
    let unknown = |unknown_user_attributes| {
        let mut stage = Stage::with_options(PoolOptions { unknown_user_attributes, ..PoolOptions::default() });
        stage.initiate(json!({"USERNAME": "nobody@example.com"}), json!(null)).unwrap();
        stage.events[0].1["request"].get("userAttributes").cloned()
    };
    assert_eq!(unknown(UnknownUserAttributes::Empty), Some(json!({})));
    assert_eq!(unknown(UnknownUserAttributes::Null), Some(Value::Null));
    assert_eq!(unknown(UnknownUserAttributes::Absent), None);

    let mut stage = Stage::with_options(PoolOptions { username_in_later_challenges: true, ..PoolOptions::default() });
    let first = stage.begin();
    let second = stage.respond(&first["Session"], "alice", "wrong").unwrap();
    assert_eq!(second["ChallengeParameters"], json!({"round": "1", "USERNAME": "alice"}));

    let length = Stage::default().begin()["Session"].as_str().unwrap().len();
    let mut stage = Stage::with_options(PoolOptions { max_session_length: length, ..PoolOptions::default() });
    let session = stage.begin()["Session"].clone();
    assert!(stage.respond(&session, "alice", "right").is_ok());
    let mut stage = Stage::with_options(PoolOptions { max_session_length: 100, ..PoolOptions::default() });
    let session = stage.begin()["Session"].clone();
    let too_long = "1 validation error detected: Value at 'session' failed to satisfy constraint: \
                    Member must have length less than or equal to 100";
    assert_eq!(stage.respond(&session, "alice", "right").unwrap_err().message, too_long);
    let too_short = too_long.replace("less than or equal to 100", "greater than or equal to 20");
    assert_eq!(stage.respond(&json!("short"), "alice", "right").unwrap_err().message, too_short);

    let mut stage = Stage::with_client(json!({"AuthSessionValidity": 5}));
    let session = stage.begin()["Session"].clone();
    stage.now = UnixSeconds(NOW.0 + 299);
    assert!(stage.respond(&session, "alice", "right").is_ok());
    let session = stage.begin()["Session"].clone();
    stage.now = UnixSeconds(NOW.0 + 299 + 300);
    assert!(stage.respond(&session, "alice", "right").is_err());
}

#[test]
fn a_user_who_is_not_ready_is_told() {
    let mut stage = Stage::default();
    stage.ask("SignUp", json!({"Username": "new@example.com", "Password": "Correct horse 1"})).unwrap();
    let error = stage.initiate(json!({"USERNAME": "new@example.com"}), json!(null)).unwrap_err();
    assert_eq!((error.kind, &*error.message), ("UserNotConfirmedException", "User is not confirmed."));
    // Somebody who is deleted while signing in is nobody.
    let session = stage.begin()["Session"].clone();
    stage.ask("AdminDeleteUser", json!({"Username": "alice"})).unwrap();
    assert_eq!(stage.respond(&session, "alice", "right").unwrap_err().message, "Incorrect username or password.");
    // A client that is told who exists is told this as well.
    let mut legacy = Stage::with_client(json!({"PreventUserExistenceErrors": "LEGACY"}));
    let session = legacy.begin()["Session"].clone();
    legacy.ask("AdminDeleteUser", json!({"Username": "alice"})).unwrap();
    assert_eq!(legacy.respond(&session, "alice", "right").unwrap_err().message, "User does not exist.");
}

#[test]
fn a_trigger_is_found_by_its_own_name_alone() {
    for trigger in Trigger::ALL {
        assert_eq!(Trigger::named(trigger.name()), Some(trigger));
        // Its function is called otherwise.
        assert_eq!(Trigger::named(trigger.function()), None);
    }
}
