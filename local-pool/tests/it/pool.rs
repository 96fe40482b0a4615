//! The pool's state machine, on a clock of the test's own and with triggers that the test plays.

use std::sync::LazyLock;

use auth_challenge::challenge::UnixSeconds;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use local_pool::api::{ApiError, Call};
use local_pool::pool::{Pool, PoolConfig, Step};
use local_pool::tokens::TokenSigner;
use local_pool::trigger::{Outcome, Trigger};
use local_pool::users::Users;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Value, json};

const NOW: UnixSeconds = UnixSeconds(1_767_268_800);
const ISSUER: &str = "http://127.0.0.1:9229/eu-west-1_LocalPool";

/// A pool, and triggers that do what the test says.
struct Stage {
    pool: Pool,
    now: UnixSeconds,
    /// The events of the last call.
    events: Vec<(Trigger, Value)>,
}

fn config() -> PoolConfig {
    PoolConfig {
        region: "eu-west-1".to_owned(),
        user_pool_id: "eu-west-1_LocalPool".to_owned(),
        client_id: "1client".to_owned(),
        session_validity: 180,
        prevent_user_existence_errors: true,
        pre_authentication_in_custom_flow: false,
    }
}

/// Keys take a while to make, so all tests share one pair.
fn signer() -> TokenSigner {
    static SIGNER: LazyLock<TokenSigner> = LazyLock::new(|| TokenSigner::generate(ISSUER.to_owned()).unwrap());
    SIGNER.clone()
}

fn users() -> Users {
    Users::from_toml(
        r#"
        [[user]]
        email = "alice@example.com"
        username = "alice"
        attributes = { "custom:tenant" = "acme" }
        [[user]]
        email = "bob@example.com"
        enabled = false
        "#,
    )
    .unwrap()
}

impl Stage {
    fn new(config: PoolConfig) -> Stage {
        let pool = Pool::new(config, users(), signer());
        Stage { pool, now: NOW, events: Vec::new() }
    }

    /// Makes a call; `play` is given each event and says what the trigger makes of it.
    fn call(
        &mut self,
        operation: &str,
        parameters: Value,
        mut play: impl FnMut(Trigger, &Value) -> Outcome,
    ) -> Result<Value, ApiError> {
        let call =
            Call::read(&format!("AWSCognitoIdentityProviderService.{operation}"), parameters.to_string().as_bytes())?;
        self.events.clear();
        let mut step = self.pool.handle(call, self.now);
        loop {
            match step {
                Step::Reply(reply) => return reply,
                Step::Invoke(invocation) => {
                    let outcome = play(invocation.trigger, &invocation.event);
                    self.events.push((invocation.trigger, invocation.event));
                    step = self.pool.resume(invocation.then, outcome, self.now, &mut UnwrapErr(SysRng));
                }
            }
        }
    }

    fn initiate(&mut self, parameters: Value, metadata: Value) -> Result<Value, ApiError> {
        let call = json!({
            "ClientId": "1client", "AuthFlow": "CUSTOM_AUTH", "AuthParameters": parameters, "ClientMetadata": metadata,
        });
        self.call("InitiateAuth", call, three_answers)
    }

    fn begin(&mut self) -> Value {
        self.initiate(json!({"USERNAME": "alice@example.com"}), json!(null)).unwrap()
    }

    fn respond(&mut self, session: &Value, username: &str, answer: &str) -> Result<Value, ApiError> {
        let call = json!({
            "ClientId": "1client", "ChallengeName": "CUSTOM_CHALLENGE", "Session": session,
            "ChallengeResponses": {"USERNAME": username, "ANSWER": answer}, "ClientMetadata": {"locale": "ja"},
        });
        self.call("RespondToAuthChallenge", call, three_answers)
    }

    fn triggers(&self) -> Vec<Trigger> {
        self.events.iter().map(|(trigger, _)| *trigger).collect()
    }
}

fn returned(event: &Value, response: Value) -> Outcome {
    let mut reply = event.clone();
    reply["response"] = response;
    Outcome::Returned(reply.to_string().into_bytes())
}

/// Triggers that take the answer `right`, three times at most.
fn three_answers(trigger: Trigger, event: &Value) -> Outcome {
    let request = &event["request"];
    let response = match trigger {
        Trigger::PreAuthentication => json!({}),
        Trigger::DefineAuthChallenge => {
            let rounds = request["session"].as_array().unwrap();
            match rounds.last() {
                Some(last) if last["challengeName"] == "CUSTOM_CHALLENGE" && last["challengeResult"] == true => {
                    json!({"challengeName": null, "issueTokens": true, "failAuthentication": false})
                }
                _ if rounds.len() >= 3 => json!({"issueTokens": false, "failAuthentication": true}),
                _ => json!({"challengeName": "CUSTOM_CHALLENGE"}),
            }
        }
        Trigger::CreateAuthChallenge => {
            let round = request["session"].as_array().unwrap().len();
            json!({
                "publicChallengeParameters": {"round": round.to_string()},
                "privateChallengeParameters": {"answer": "right", "round": round.to_string()},
                "challengeMetadata": format!("ROUND-{round}"),
            })
        }
        Trigger::VerifyAuthChallengeResponse => {
            json!({"answerCorrect": request["challengeAnswer"] == request["privateChallengeParameters"]["answer"]})
        }
    };
    returned(event, response)
}

use Trigger::{CreateAuthChallenge as Create, DefineAuthChallenge as Define, VerifyAuthChallengeResponse as Verify};

#[test]
fn a_right_answer_gets_tokens_that_verify() {
    let mut stage = Stage::new(config());
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

    let keys: JwkSet = serde_json::from_value(stage.pool.jwks()).unwrap();
    let claims = |token: &Value| -> Value {
        let token = token.as_str().unwrap();
        let kid = decode_header(token).unwrap().kid.unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[ISSUER]);
        (validation.validate_aud, validation.validate_exp) = (false, false);
        decode(token, &DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap(), &validation).unwrap().claims
    };
    let (id, access) = (claims(&result["IdToken"]), claims(&result["AccessToken"]));
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
    assert_eq!(id["cognito:user_status"], Value::Null);
    assert_eq!((&access["token_use"], &access["client_id"]), (&json!("access"), &json!("1client")));
    assert_eq!((&access["username"], &access["aud"]), (&json!("alice"), &Value::Null));
    assert_ne!(id["jti"], access["jti"]);
    // Each is signed with a key of its own.
    let kid = |token: &Value| decode_header(token.as_str().unwrap()).unwrap().kid;
    assert_ne!(kid(&result["IdToken"]), kid(&result["AccessToken"]));
}

#[test]
fn events_have_the_shape_that_cognito_gives_them() {
    let mut stage = Stage::new(config());
    let challenge = stage.initiate(json!({"USERNAME": "alice@example.com"}), json!({"locale": "en"})).unwrap();
    let alice = json!(users().find("alice").unwrap().attributes);
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
    let mut stage = Stage::new(config());
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
    let mut stage = Stage::new(config());
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
    // Long after, nobody remembers.
    stage.now = UnixSeconds(NOW.0 + 100_000);
    assert_eq!(message(&mut stage, &begun, "alice"), invalid(""));
}

#[test]
fn a_session_is_spent_when_a_trigger_fails() {
    let mut stage = Stage::new(config());
    let session = stage.begin()["Session"].clone();
    let call = json!({
        "ClientId": "1client", "ChallengeName": "CUSTOM_CHALLENGE", "Session": session,
        "ChallengeResponses": {"USERNAME": "alice", "ANSWER": "right"},
    });
    let error = stage.call("RespondToAuthChallenge", call, |_, _| Outcome::Failed("no".to_owned())).unwrap_err();
    assert_eq!(
        (error.kind, &*error.message),
        ("UserLambdaValidationException", "VerifyAuthChallengeResponse failed with error no.")
    );
    let error = stage.respond(&session, "alice", "right").unwrap_err();
    assert_eq!(error.message, "Invalid session for the user, session can only be used once.");
}

#[test]
fn the_user_may_be_called_by_any_name_that_is_theirs() {
    let alice = users().find("alice").unwrap().clone();
    for name in ["alice", "alice@example.com", "Alice@Example.com", &alice.attributes["sub"]] {
        let mut stage = Stage::new(config());
        let challenge = stage.initiate(json!({"USERNAME": name}), json!(null)).unwrap();
        assert_eq!(challenge["ChallengeParameters"]["USERNAME"], "alice");
        assert!(stage.respond(&challenge["Session"], name, "right").is_ok(), "{name}");
    }
}

#[test]
fn a_missing_user_is_imitated_and_never_gets_tokens() {
    let mut stage = Stage::new(config());
    let challenge = stage.initiate(json!({"USERNAME": "nobody@example.com"}), json!(null)).unwrap();
    let define = &stage.events[0].1;
    assert_eq!(define["request"], json!({"userAttributes": {}, "session": [], "userNotFound": true}));
    let name = challenge["ChallengeParameters"]["USERNAME"].as_str().unwrap().to_owned();
    assert_eq!(define["userName"], name);
    // These triggers would let anybody in.
    let error = stage.respond(&challenge["Session"], &name, "right").unwrap_err();
    assert_eq!(error.message, "Incorrect username or password.");

    let mut legacy = Stage::new(PoolConfig { prevent_user_existence_errors: false, ..config() });
    let error = legacy.initiate(json!({"USERNAME": "nobody@example.com"}), json!(null)).unwrap_err();
    assert_eq!((error.kind, &*error.message), ("UserNotFoundException", "User does not exist."));
    legacy.begin();
    assert_eq!(legacy.events[0].1["request"].get("userNotFound"), None);
}

#[test]
fn pre_authentication_runs_where_the_option_says_so_and_gets_the_metadata() {
    let mut stage = Stage::new(PoolConfig { pre_authentication_in_custom_flow: true, ..config() });
    stage.initiate(json!({"USERNAME": "alice"}), json!({"tenant": "acme"})).unwrap();
    assert_eq!(stage.triggers(), [Trigger::PreAuthentication, Define, Create]);
    let request = &stage.events[0].1["request"];
    assert_eq!(request["validationData"], json!({"tenant": "acme"}));
    assert_eq!((request.get("clientMetadata"), &request["userNotFound"]), (None, &json!(false)));
    stage.initiate(json!({"USERNAME": "alice"}), json!(null)).unwrap();
    assert_eq!(stage.events[0].1["request"]["validationData"], Value::Null);
}

#[test]
fn a_sign_in_may_open_with_srp() {
    let mut stage = Stage::new(config());
    let parameters = json!({"USERNAME": "alice", "CHALLENGE_NAME": "SRP_A", "SRP_A": "1f2e"});
    let challenge = stage.initiate(parameters, json!(null)).unwrap();
    assert_eq!(stage.triggers(), [Trigger::PreAuthentication, Define, Create]);
    let history = json!([{"challengeName": "SRP_A", "challengeResult": true, "challengeMetadata": null}]);
    assert_eq!(stage.events[1].1["request"]["session"], history);
    assert_eq!(challenge["ChallengeParameters"]["USERNAME"], "alice");
    assert!(stage.respond(&challenge["Session"], "alice", "right").is_ok());
}

#[test]
fn replies_of_triggers_are_read_strictly() {
    let initiate = json!({"ClientId": "1client", "AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": "alice"}});
    let error = |play: &dyn Fn(&Value) -> Outcome| {
        Stage::new(config()).call("InitiateAuth", initiate.clone(), |_, event| play(event)).unwrap_err()
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
    for created in
        [json!({"publicChallengeParameters": {"n": 7}}), json!({"challengeMetadata": {}}), json!({"code": "1"})]
    {
        let play = |event: &Value| {
            let is_define = event["triggerSource"] == "DefineAuthChallenge_Authentication";
            returned(event, if is_define { good.clone() } else { created.clone() })
        };
        unrecognizable(&play, &created.to_string());
    }
    // A field more in `request` does no harm.
    let mut stage = Stage::new(config());
    let reply = stage.call("InitiateAuth", initiate.clone(), |trigger, event| {
        let mut event = event.clone();
        event["request"]["clientMetadata"] = json!({});
        three_answers(trigger, &event)
    });
    assert!(reply.is_ok());
}

#[test]
fn a_trigger_that_cannot_be_invoked_is_named() {
    let initiate = json!({"ClientId": "1client", "AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": "alice"}});
    for (outcome, message) in [
        (Outcome::TimedOut, "Socket timeout while invoking Lambda function"),
        (Outcome::Unreachable("AccessDeniedException".to_owned()), "AccessDeniedException"),
    ] {
        let error = Stage::new(config()).call("InitiateAuth", initiate.clone(), |_, _| outcome.clone()).unwrap_err();
        assert_eq!(error.kind, "UnexpectedLambdaException");
        assert_eq!(error.message, format!("DefineAuthChallenge invocation failed due to error {message}."));
    }
}

#[test]
fn define_may_fail_or_issue_tokens_at_once() {
    let initiate = json!({"ClientId": "1client", "AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": "alice"}});
    let play = |response: Value| {
        Stage::new(config()).call("InitiateAuth", initiate.clone(), |_, event| returned(event, response.clone()))
    };
    assert!(play(json!({"issueTokens": true})).unwrap()["AuthenticationResult"]["IdToken"].is_string());
    let failed =
        Err(ApiError { kind: "NotAuthorizedException", message: "Incorrect username or password.".to_owned() });
    assert_eq!(play(json!({"failAuthentication": true})), failed);
    assert_eq!(play(json!({"failAuthentication": true, "issueTokens": true})), failed);
    let other = play(json!({"challengeName": "SMS_MFA"})).unwrap_err();
    assert_eq!(other.message, "The local pool does not emulate challenge SMS_MFA.");
}

#[test]
fn what_a_sign_in_cannot_begin_with() {
    let mut stage = Stage::new(config());
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
    let mut stage = Stage::new(config());
    let session = stage.begin()["Session"].clone();
    let call = |session: &Value, responses: Value| {
        json!({
            "ClientId": "1client", "ChallengeName": "CUSTOM_CHALLENGE", "Session": session,
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
    assert_eq!(message(other), "The local pool does not emulate ChallengeName SMS_MFA.");
    // None of these has spent the session.
    assert!(stage.call("RespondToAuthChallenge", call(&session, both), three_answers).is_ok());
}
