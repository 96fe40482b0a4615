//! Every file of `events/`, given to the function that it is for.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use auth_challenge::trigger::TriggerError;
use serde_json::{Value, json};

use crate::running::{Running, start, workspace};

/// What a function makes of an event.
enum Expected {
    /// This `response`.
    Response(Value),
    /// A challenge with these public parameters among others, and so many mails.
    Challenge(Value, usize),
    /// This `response`, in which `now` stands for the time.
    Now(Value),
    /// This error.
    Error(&'static str),
}

use Expected::{Challenge, Error, Now, Response};

/// What pre-sign-up answers when it admits somebody. Never does it verify an address. (T33)
fn sign_up(is_confirmed: bool) -> Expected {
    Response(json!({"autoConfirmUser": is_confirmed, "autoVerifyEmail": false, "autoVerifyPhone": false}))
}

fn expected() -> Vec<(&'static str, Expected)> {
    let admitted = || Response(json!({}));
    let define = |challenge: Option<&str>, issue: bool, fail: bool| {
        Response(json!({"challengeName": challenge, "issueTokens": issue, "failAuthentication": fail}))
    };
    let challenge = || define(Some("CUSTOM_CHALLENGE"), false, false);
    let tokens = || define(None, true, false);
    let failure = || define(None, false, true);
    let right = || Response(json!({"answerCorrect": true}));
    let wrong = || Response(json!({"answerCorrect": false}));
    let first = json!({"nextStep": "PROVIDE_CODE", "attemptsLeft": "3"});
    let again =
        |error: &str, attempts: &str| json!({"nextStep": "PROVIDE_CODE", "errorCode": error, "attemptsLeft": attempts});
    let has_to_confirm = || sign_up(false);
    let (as_before, as_before_v2) = (
        || Response(json!({"claimsOverrideDetails": null})),
        || Response(json!({"claimsAndScopeOverrideDetails": null})),
    );
    vec![
        ("pre-sign-up/plain", has_to_confirm()),
        ("pre-sign-up/without-address", has_to_confirm()),
        ("pre-sign-up/by-administrator", has_to_confirm()),
        ("pre-sign-up/federated-user", has_to_confirm()),
        ("pre-sign-up/claims-to-be-verified", has_to_confirm()),
        ("pre-sign-up/hostile-metadata", has_to_confirm()),
        ("pre-token-generation/sign-in", as_before()),
        ("pre-token-generation/sign-in-v2", as_before_v2()),
        ("pre-token-generation/sign-in-without-groups", as_before()),
        ("pre-token-generation/device", as_before()),
        ("pre-token-generation/new-password", as_before()),
        ("pre-token-generation/hosted-pages", as_before_v2()),
        ("pre-token-generation/refresh", as_before()),
        ("pre-token-generation/unverified-address", as_before()),
        ("pre-token-generation/federated-user", as_before()),
        ("pre-token-generation/source-of-the-future", as_before_v2()),
        ("pre-token-generation/program", as_before_v2()),
        ("pre-token-generation/hostile-metadata", as_before_v2()),
        ("post-authentication/plain", admitted()),
        ("post-authentication/unverified-address", admitted()),
        ("post-authentication/new-device", admitted()),
        ("post-authentication/fields-of-the-future", admitted()),
        ("post-authentication/hostile-metadata", admitted()),
        ("pre-authentication/plain", admitted()),
        ("pre-authentication/client-metadata", admitted()),
        ("pre-authentication/unknown-user", admitted()),
        ("pre-authentication/hostile-metadata", admitted()),
        ("pre-authentication/fields-of-the-future", admitted()),
        ("pre-authentication/legacy-client", admitted()),
        ("define-auth-challenge/first-round", challenge()),
        ("define-auth-challenge/srp-start", challenge()),
        ("define-auth-challenge/password-verified", challenge()),
        ("define-auth-challenge/right-answer", tokens()),
        ("define-auth-challenge/right-answer-after-password", tokens()),
        ("define-auth-challenge/right-answer-at-last", tokens()),
        ("define-auth-challenge/wrong-answer", challenge()),
        ("define-auth-challenge/last-wrong-answer", failure()),
        ("define-auth-challenge/resend", challenge()),
        ("define-auth-challenge/resend-amplify", challenge()),
        ("define-auth-challenge/parameters-given", challenge()),
        ("define-auth-challenge/expired", failure()),
        ("define-auth-challenge/unknown-user", challenge()),
        ("define-auth-challenge/unknown-user-right-answer", failure()),
        ("define-auth-challenge/unverified-address-right-answer", failure()),
        ("define-auth-challenge/challenge-of-another-user", failure()),
        ("define-auth-challenge/challenge-of-another-client", failure()),
        ("define-auth-challenge/tampered-state", failure()),
        ("define-auth-challenge/code-in-clear", failure()),
        ("define-auth-challenge/foreign-challenge", failure()),
        ("define-auth-challenge/null-entry", failure()),
        ("define-auth-challenge/two-right-answers", failure()),
        ("define-auth-challenge/too-many-rounds", failure()),
        ("define-auth-challenge/unknown-sign-in-method", failure()),
        ("define-auth-challenge/hostile-metadata", challenge()),
        ("define-auth-challenge/password-must-change", challenge()),
        ("define-auth-challenge/legacy-client", challenge()),
        ("create-auth-challenge/first-round", Challenge(first.clone(), 1)),
        ("create-auth-challenge/srp-start", Challenge(first.clone(), 1)),
        ("create-auth-challenge/password-verified", Challenge(first.clone(), 1)),
        ("create-auth-challenge/wrong-answer", Challenge(again("CODE_MISMATCH", "2"), 0)),
        ("create-auth-challenge/resend", Challenge(first.clone(), 1)),
        ("create-auth-challenge/resend-too-soon", Challenge(again("RESEND_TOO_SOON", "3"), 0)),
        ("create-auth-challenge/resend-limit", Challenge(again("RESEND_LIMIT", "3"), 0)),
        ("create-auth-challenge/parameters-given", Challenge(first.clone(), 1)),
        ("create-auth-challenge/unknown-user", Challenge(first.clone(), 0)),
        ("create-auth-challenge/unknown-user-without-attributes", Challenge(first.clone(), 0)),
        ("create-auth-challenge/unverified-address", Challenge(first.clone(), 0)),
        ("create-auth-challenge/hostile-address", Challenge(first.clone(), 0)),
        ("create-auth-challenge/federated-user", Challenge(first.clone(), 0)),
        ("create-auth-challenge/user-with-locale", Challenge(first.clone(), 1)),
        ("create-auth-challenge/legacy-client", Challenge(first, 1)),
        ("create-auth-challenge/challenge-of-another-user", Error("Something went wrong, please try again")),
        ("create-auth-challenge/hostile-metadata", Challenge(again("CODE_MISMATCH", "2"), 0)),
        ("verify-auth-challenge/right-answer", right()),
        ("verify-auth-challenge/legacy-client", right()),
        ("verify-auth-challenge/wrong-answer", wrong()),
        ("verify-auth-challenge/empty-answer", wrong()),
        ("verify-auth-challenge/resend", wrong()),
        ("verify-auth-challenge/parameters-given", wrong()),
        ("verify-auth-challenge/expired", wrong()),
        ("verify-auth-challenge/unknown-user", wrong()),
        ("verify-auth-challenge/unverified-address", wrong()),
        ("verify-auth-challenge/challenge-of-another-user", wrong()),
        ("verify-auth-challenge/tampered-state", wrong()),
        ("verify-auth-challenge/no-challenge", wrong()),
        ("verify-auth-challenge/answer-is-no-text", wrong()),
        ("verify-auth-challenge/hostile-answer", wrong()),
        ("verify-auth-challenge/hostile-metadata", wrong()),
    ]
}

type Settings = &'static [(&'static str, &'static str)];

/// Events that come to something else under other settings.
fn expected_under_settings() -> Vec<(Settings, Vec<(&'static str, Expected)>)> {
    let define = |challenge: Option<&str>, issue: bool, fail: bool| {
        Response(json!({"challengeName": challenge, "issueTokens": issue, "failAuthentication": fail}))
    };
    let admitted = || Response(json!({}));
    let challenge = || define(Some("CUSTOM_CHALLENGE"), false, false);
    let tokens = || define(None, true, false);
    let failure = || define(None, false, true);
    let not_allowed = || Error("This sign-in is not allowed");
    let no_sign_up = || Error("This sign-up is not allowed");
    let claims = json!({"claimsToAddOrOverride": {"signed_in_by": "otp", "signed_in_at": "now"}});
    let groups = json!({
        "groupsToOverride": ["staff"],
        "iamRolesToOverride": ["arn:aws:iam::111122223333:role/staff"],
        "preferredRole": "arn:aws:iam::111122223333:role/staff",
    });
    let both = json!({"idTokenGeneration": claims, "accessTokenGeneration": claims, "groupOverrideDetails": groups});
    let (mut with_groups, mut without_groups) = (claims.clone(), claims);
    with_groups["groupOverrideDetails"] = groups;
    without_groups["groupOverrideDetails"] = json!({"groupsToOverride": [], "iamRolesToOverride": []});
    let (one, two) = (
        |changes: &Value| Now(json!({"claimsOverrideDetails": changes})),
        |changes: &Value| Now(json!({"claimsAndScopeOverrideDetails": changes})),
    );
    let none = Value::Null;
    vec![
        (
            &[("AUTO_CONFIRM", "true")],
            vec![
                ("pre-sign-up/plain", sign_up(true)),
                ("pre-sign-up/claims-to-be-verified", sign_up(true)),
                ("pre-sign-up/by-administrator", sign_up(false)),
                ("pre-sign-up/federated-user", sign_up(false)),
            ],
        ),
        (
            &[("ONLY_BY_CODE", "true"), ("ALLOWED_CLIENT_IDS", "1example23456789")],
            vec![
                ("pre-token-generation/sign-in", one(&none)),
                ("pre-token-generation/sign-in-v2", two(&none)),
                ("pre-token-generation/device", one(&none)),
                ("pre-token-generation/refresh", one(&none)),
                ("pre-token-generation/program", two(&none)),
                ("pre-token-generation/new-password", not_allowed()),
                ("pre-token-generation/hosted-pages", not_allowed()),
                ("pre-token-generation/unverified-address", not_allowed()),
                ("pre-token-generation/federated-user", not_allowed()),
                ("pre-token-generation/source-of-the-future", not_allowed()),
            ],
        ),
        (
            &[("ONLY_BY_CODE", "true"), ("ALLOWED_CLIENT_IDS", "another")],
            vec![
                ("pre-token-generation/sign-in", not_allowed()),
                ("pre-token-generation/refresh", not_allowed()),
                ("pre-token-generation/program", two(&none)),
            ],
        ),
        (
            &[("SIGN_IN_CLAIMS", "true")],
            vec![
                ("pre-token-generation/sign-in", one(&with_groups)),
                ("pre-token-generation/sign-in-v2", two(&both)),
                ("pre-token-generation/sign-in-without-groups", one(&without_groups)),
                ("pre-token-generation/hostile-metadata", two(&both)),
                ("pre-token-generation/refresh", one(&none)),
                ("pre-token-generation/new-password", one(&none)),
                ("pre-token-generation/hosted-pages", two(&none)),
                ("pre-token-generation/unverified-address", one(&none)),
            ],
        ),
        (
            // There is nothing to look into, and nobody is kept from signing in by that.
            &[
                ("VERIFY_BY_CODE", "true"),
                ("LIMITS_TABLE", "limits"),
                ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
            ],
            vec![("post-authentication/plain", admitted()), ("post-authentication/unverified-address", admitted())],
        ),
        (
            &[("MAINTENANCE", "true")],
            vec![
                ("pre-sign-up/plain", Error("Signing in is paused, please try again later")),
                ("pre-sign-up/by-administrator", sign_up(false)),
                ("pre-authentication/plain", Error("Signing in is paused, please try again later")),
                ("define-auth-challenge/first-round", failure()),
                ("define-auth-challenge/right-answer", tokens()),
            ],
        ),
        (
            &[("ALLOWED_CLIENT_IDS", "another")],
            vec![
                ("pre-sign-up/plain", no_sign_up()),
                ("pre-authentication/plain", not_allowed()),
                ("define-auth-challenge/first-round", failure()),
            ],
        ),
        (
            &[("REQUIRED_CLIENT_METADATA", "tenant=custom:tenant,termsAccepted")],
            vec![
                ("pre-authentication/client-metadata", admitted()),
                ("pre-authentication/plain", not_allowed()),
                ("pre-authentication/unknown-user", not_allowed()),
                ("pre-authentication/hostile-metadata", not_allowed()),
            ],
        ),
        (
            &[("ALLOWED_EMAIL_DOMAINS", "example.org")],
            vec![
                ("pre-sign-up/plain", no_sign_up()),
                ("pre-sign-up/without-address", no_sign_up()),
                ("pre-sign-up/by-administrator", sign_up(false)),
                ("pre-authentication/plain", not_allowed()),
                ("define-auth-challenge/first-round", challenge()),
                ("create-auth-challenge/first-round", Challenge(json!({"attemptsLeft": "3"}), 0)),
                ("verify-auth-challenge/right-answer", Response(json!({"answerCorrect": false}))),
                ("define-auth-challenge/right-answer", failure()),
            ],
        ),
        (
            &[("PASSWORD_FIRST", "true")],
            vec![
                ("define-auth-challenge/first-round", failure()),
                ("define-auth-challenge/srp-start", define(Some("PASSWORD_VERIFIER"), false, false)),
                ("define-auth-challenge/password-must-change", failure()),
                ("define-auth-challenge/password-verified", challenge()),
                ("define-auth-challenge/right-answer", failure()),
                ("define-auth-challenge/right-answer-after-password", tokens()),
            ],
        ),
        (
            &[("PARAMETER_ROUND", "true"), ("SHOW_DESTINATION", "masked")],
            vec![(
                "create-auth-challenge/first-round",
                Challenge(json!({"nextStep": "PROVIDE_AUTH_PARAMETERS", "destination": "a***@e***"}), 0),
            )],
        ),
    ]
}

/// Starts the functions with the variables of `events/env.json`, which `sam local invoke` is given too, and others.
async fn start_with_example_settings(others: &[(&str, &str)]) -> Running {
    let text = std::fs::read_to_string(workspace().join("events/env.json")).unwrap();
    let env: Value = serde_json::from_str(&text).unwrap();
    let given = env["Parameters"].as_object().unwrap();
    let mut settings: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    settings.extend(others);
    start(&settings).await
}

#[tokio::test]
async fn every_event_is_answered_as_it_should_be() {
    check(&start_with_example_settings(&[]).await, expected()).await;
}

#[tokio::test]
async fn settings_change_what_events_come_to() {
    for (settings, expected) in expected_under_settings() {
        check(&start_with_example_settings(settings).await, expected).await;
    }
}

async fn check(pool: &Running, expected: Vec<(&str, Expected)>) {
    for (case, expected) in expected {
        let file = workspace().join(format!("events/{case}.json"));
        let moved = Command::new(env!("CARGO_BIN_EXE_custom-auth")).arg("event").arg(&file).output().unwrap();
        assert!(moved.status.success(), "{case}");
        let event: Value = serde_json::from_slice(&moved.stdout).unwrap();

        let mails_before = pool.mails().await.len();
        let answered = pool.invoke(case.split('/').next().unwrap(), event.to_string()).await;
        let mails = pool.mails().await.len() - mails_before;
        let response = match (answered, &expected) {
            (Err(error), Error(message)) => {
                assert_eq!(error["errorMessage"], *message, "{case}");
                continue;
            }
            (answered, _) => {
                // The event comes back as it came, but for the response.
                let mut echo = answered.unwrap_or_else(|error| panic!("{case}: {error}"));
                let response = std::mem::replace(&mut echo["response"], event["response"].clone());
                assert_eq!(echo, event, "{case}");
                response
            }
        };
        match expected {
            Response(expected) => assert_eq!((response, mails), (expected, 0), "{case}"),
            Now(expected) => {
                let seconds: Vec<u64> = response.to_string().split('"').filter_map(|text| text.parse().ok()).collect();
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
                assert!(seconds.iter().all(|at| (now - 20..=now).contains(at)), "{case}: {response}");
                let text = seconds.iter().fold(response.to_string(), |text, at| text.replace(&at.to_string(), "now"));
                assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{case}");
            }
            Challenge(expected, expected_mails) => {
                let public = response["publicChallengeParameters"].as_object().unwrap();
                for (key, value) in expected.as_object().unwrap() {
                    assert_eq!(&public[key], value, "{case}: {key}");
                }
                assert_eq!(public.contains_key("errorCode"), expected.get("errorCode").is_some(), "{case}");
                let private = &response["privateChallengeParameters"];
                assert_eq!(private, &json!({"challenge": response["challengeMetadata"]}), "{case}");
                assert_eq!(mails, expected_mails, "{case}");
            }
            Error(message) => panic!("{case}: no error {message:?} but {response}"),
        }
    }
    assert!(pool.mails().await.iter().all(|mail| mail.to == "alice@example.com"));
}

#[test]
fn every_event_is_tried_and_there_are_enough() {
    let events = workspace().join("events");
    let mut found = BTreeSet::new();
    for folder in std::fs::read_dir(&events).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(folder).unwrap() {
            let case = file.unwrap().path().strip_prefix(&events).unwrap().with_extension("");
            found.insert(case.to_str().unwrap().replace('\\', "/"));
        }
    }
    let tried: BTreeSet<String> = expected().into_iter().map(|(case, _)| case.to_owned()).collect();
    assert_eq!(found, tried);
    assert!(tried.len() >= 24);
}

/// What a function gets that somebody has attached to another trigger than its own.
#[tokio::test]
async fn f33_f34_no_function_takes_the_events_of_another_trigger() {
    let pool = start_with_example_settings(&[]).await;
    let cases = [
        "pre-sign-up/plain",
        "pre-authentication/plain",
        "define-auth-challenge/first-round",
        "create-auth-challenge/first-round",
        "verify-auth-challenge/no-challenge",
        "pre-token-generation/sign-in",
        "post-authentication/plain",
    ];
    let functions = cases.map(|case| case.split('/').next().unwrap());
    for case in cases {
        let event = std::fs::read_to_string(workspace().join(format!("events/{case}.json"))).unwrap();
        for function in functions.into_iter().filter(|function| !case.starts_with(function)) {
            let error = pool.invoke(function, event.clone()).await.unwrap_err();
            assert_eq!(error["errorMessage"], "The sign-in request could not be read", "{function}: {case}");
        }
    }
}

/// Bodies that Cognito would never send, to each function: a fixed error or a refusal, and the function lives on.
#[tokio::test]
async fn r32_f34_f36_f38_hostile_payloads_are_answered_in_our_words() {
    let pool = start_with_example_settings(&[]).await;
    let fixed = TriggerError::ALL.map(|error| error.to_string());
    for (function, source) in [
        ("pre-sign-up", "PreSignUp_SignUp"),
        ("pre-authentication", "PreAuthentication_Authentication"),
        ("define-auth-challenge", "DefineAuthChallenge_Authentication"),
        ("create-auth-challenge", "CreateAuthChallenge_Authentication"),
        ("verify-auth-challenge", "VerifyAuthChallengeResponse_Authentication"),
        ("pre-token-generation", "TokenGeneration_Authentication"),
        ("post-authentication", "PostAuthentication_Authentication"),
    ] {
        let event = |request: Value| {
            json!({
                "version": "1", "region": "eu-west-1", "userPoolId": "eu-west-1_EXAMPLE", "userName": "eve",
                "callerContext": {"awsSdkVersion": "x", "clientId": "1example"},
                "triggerSource": source, "request": request, "response": {},
            })
        };
        let round = json!({"challengeName": "CUSTOM_CHALLENGE", "challengeResult": true, "challengeMetadata": "X"});
        let megabyte = "x".repeat(1_000_000);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let mut payloads: Vec<Vec<u8>> = ["", "null", "{", "not JSON", "[]", "{}", "7", "\"event\"", &deep]
            .map(|text| text.as_bytes().to_vec())
            .to_vec();
        payloads.push(vec![0xff, 0x00, 0xfe]);
        payloads.extend(
            [
                json!(null),
                json!({}),
                json!({"userAttributes": null, "session": null, "clientMetadata": null, "userNotFound": null,
                       "privateChallengeParameters": null, "challengeAnswer": null, "challengeName": null,
                       "validationData": null}),
                json!({"userAttributes": {}, "session": vec![round; 1_000]}),
                json!({"userAttributes": {}, "session": vec![Value::Null; 1_000]}),
                json!({"userAttributes": {}, "session": [], "clientMetadata": {"action": megabyte, &megabyte: "x"}}),
                json!({"userAttributes": {"email": megabyte, "email_verified": "true"}, "session": []}),
                json!({"userAttributes": {}, "session": {"challengeName": "SRP_A"}}),
                json!({"userAttributes": [], "session": []}),
                json!({"userAttributes": {"email_verified": true}, "session": []}),
                json!({"userAttributes": {}, "challengeAnswer": megabyte, "privateChallengeParameters": {"challenge": megabyte}}),
            ]
            .map(|request| event(request).to_string().into_bytes()),
        );
        for payload in payloads {
            let shown = String::from_utf8_lossy(&payload[..payload.len().min(80)]).into_owned();
            match pool.invoke(function, payload).await {
                Err(error) => {
                    let message = error["errorMessage"].as_str().unwrap();
                    assert!(fixed.iter().any(|text| text == message), "{function}: {message} for {shown}");
                }
                Ok(reply) => {
                    assert_ne!(reply["response"]["issueTokens"], true, "{function}: {shown}");
                    assert_ne!(reply["response"]["answerCorrect"], true, "{function}: {shown}");
                    assert_ne!(reply["response"]["autoConfirmUser"], true, "{function}: {shown}");
                }
            }
        }
    }
    assert_eq!(pool.mails().await.len(), 0);
    let lines = pool.lines.lock().unwrap();
    assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("malformed_event")), "{lines:?}");
}
