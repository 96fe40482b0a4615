//! The triggers around tokens: pre-token-generation and post-authentication.

use local_pool::api::Call;
use local_pool::pool::Step;
use local_pool::trigger::{Outcome, Trigger};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::stage::{NOW, Stage, arn, returned, three_answers};

/// The tokens of a sign-in in which pre-token-generation answers this.
fn tokens(stage: &mut Stage, response: &Value) -> Result<Value, String> {
    let session = stage.begin()["Session"].clone();
    let call = json!({
        "ChallengeName": "CUSTOM_CHALLENGE", "Session": session, "ClientMetadata": {"locale": "ja"},
        "ChallengeResponses": {"USERNAME": "alice", "ANSWER": "right"},
    });
    let reply = stage.call("RespondToAuthChallenge", call, |trigger, event| {
        if trigger == Trigger::PreTokenGeneration {
            returned(event, response.clone())
        } else {
            three_answers(trigger, event)
        }
    });
    Ok(reply.map_err(|error| error.message)?["AuthenticationResult"].clone())
}

fn v1() -> Stage {
    Stage::with_triggers(json!({"PreTokenGeneration": arn("pre-token-generation")}))
}

fn v2() -> Stage {
    let config = json!({"LambdaVersion": "V2_0", "LambdaArn": arn("pre-token-generation")});
    Stage::with_triggers(json!({"PreTokenGenerationConfig": config}))
}

#[test]
fn the_id_token_can_be_changed() {
    let mut stage = v1();
    let details = json!({
        "claimsToAddOrOverride": {"tenant": "acme", "email": "a@example.com", "sub": "mine", "aud": "other", "exp": "0"},
        "claimsToSuppress": ["email_verified", "sub", "iss"],
    });
    let result = tokens(&mut stage, &json!({"claimsOverrideDetails": details})).unwrap();
    let triggers = stage.triggers();
    assert_eq!(triggers[2], Trigger::PreTokenGeneration);
    let event = &stage.events[2].1;
    assert_eq!((&event["version"], &event["triggerSource"]), (&json!("1"), &json!("TokenGeneration_Authentication")));
    let request = &event["request"];
    assert_eq!(
        request["groupConfiguration"],
        json!({"groupsToOverride": ["staff"], "iamRolesToOverride": [], "preferredRole": null})
    );
    assert_eq!((&request["clientMetadata"], request.get("scopes")), (&json!({"locale": "ja"}), None));
    assert_eq!(request["userAttributes"]["email"], "alice@example.com");
    assert_eq!(event["response"], json!({"claimsOverrideDetails": null}));

    let (id, access) = (stage.claims(&result["IdToken"]), stage.claims(&result["AccessToken"]));
    assert_eq!(
        (&id["tenant"], &id["email"], id.get("email_verified")),
        (&json!("acme"), &json!("a@example.com"), None)
    );
    // What clients rely on stays.
    assert_eq!((&id["sub"], &id["aud"]), (&access["sub"], &json!("1client")));
    assert!(id["exp"].as_u64().unwrap() > 0 && id["iss"].is_string());
    assert_eq!((access.get("tenant"), &access["cognito:groups"]), (None, &json!(["staff"])));
}

#[test]
fn the_access_token_too_in_version_2() {
    let mut stage = v2();
    let details = json!({
        "idTokenGeneration": {"claimsToAddOrOverride": {"level": 3, "tags": ["a"]}, "claimsToSuppress": ["email"]},
        "accessTokenGeneration": {
            "claimsToAddOrOverride": {"tenant": {"id": 7}, "client_id": "other"}, "claimsToSuppress": ["cognito:groups"],
            "scopesToAdd": ["orders/read"], "scopesToSuppress": ["aws.cognito.signin.user.admin"],
        },
        "groupOverrideDetails": {"groupsToOverride": ["admins"]},
    });
    let result = tokens(&mut stage, &json!({"claimsAndScopeOverrideDetails": details})).unwrap();
    let event = &stage.events[2].1;
    assert_eq!(
        (&event["version"], &event["request"]["scopes"]),
        (&json!("2"), &json!(["aws.cognito.signin.user.admin"]))
    );
    assert_eq!(event["response"], json!({"claimsAndScopeOverrideDetails": null}));
    let (id, access) = (stage.claims(&result["IdToken"]), stage.claims(&result["AccessToken"]));
    assert_eq!((&id["level"], &id["tags"], id.get("email")), (&json!(3), &json!(["a"]), None));
    assert_eq!(id["cognito:groups"], json!(["admins"]));
    assert_eq!((&access["tenant"], &access["scope"]), (&json!({"id": 7}), &json!("orders/read")));
    assert_eq!((&access["client_id"], access.get("cognito:groups")), (&json!("1client"), None));
}

#[test]
fn a_claim_that_is_added_and_suppressed_is_suppressed() {
    let change = json!({
        "claimsToAddOrOverride": {"tenant": "acme", "email": "a@example.com", "cognito:groups": "none"},
        "claimsToSuppress": ["tenant", "email", "cognito:groups"],
    });
    let both = json!({"idTokenGeneration": change, "accessTokenGeneration": change});
    for (mut stage, response, changed) in [
        (v1(), json!({"claimsOverrideDetails": change}), &["IdToken"][..]),
        (v2(), json!({"claimsAndScopeOverrideDetails": both}), &["IdToken", "AccessToken"]),
    ] {
        let result = tokens(&mut stage, &response).unwrap();
        for token in changed {
            let claims = stage.claims(&result[token]);
            for name in ["tenant", "email", "cognito:groups"] {
                assert_eq!(claims.get(name), None, "{token} {response}");
            }
        }
    }
}

#[test]
fn empty_group_details_suppress_the_groups_and_none_keep_them() {
    for (details, groups) in [
        (json!(null), Some(json!(["staff"]))),
        (json!({}), Some(json!(["staff"]))),
        (json!({"groupOverrideDetails": {}}), None),
        (json!({"groupOverrideDetails": null}), None),
        (json!({"groupOverrideDetails": {"groupsToOverride": ["staff", "more"]}}), Some(json!(["staff", "more"]))),
    ] {
        let mut stage = v1();
        let result = tokens(&mut stage, &json!({"claimsOverrideDetails": details})).unwrap();
        for token in ["IdToken", "AccessToken"] {
            assert_eq!(stage.claims(&result[token]).get("cognito:groups"), groups.as_ref(), "{details}");
        }
    }
}

#[test]
fn replies_about_tokens_are_read_strictly() {
    for response in [
        json!({"claimsOverrideDetails": 7}),
        json!({"claimsOverrideDetails": {"claimsToAddOrOverride": {"tags": ["a"]}}}),
        json!({"claimsOverrideDetails": {"claimsToAddOrOverride": {"level": 3}}}),
        json!({"claimsOverrideDetails": {"claimsToSuppress": "email"}}),
        json!({"claimsOverrideDetails": {"groupOverrideDetails": {"groupsToOverride": [7]}}}),
        json!({"claimsOverrideDetails": {"groupOverrideDetails": {"iamRolesToOverride": "role"}}}),
        json!({"claimsOverrideDetails": {"groupOverrideDetails": {"preferredRole": 7}}}),
        json!({"claimsAndScopeOverrideDetails": {}}),
    ] {
        assert_eq!(tokens(&mut v1(), &response), Err("Unrecognizable lambda output".to_owned()), "{response}");
    }
    for response in [
        json!({"claimsOverrideDetails": {}}),
        json!({"claimsAndScopeOverrideDetails": {"idTokenGeneration": []}}),
        json!({"claimsAndScopeOverrideDetails": {"accessTokenGeneration": {"scopesToAdd": "x"}}}),
    ] {
        assert_eq!(tokens(&mut v2(), &response), Err("Unrecognizable lambda output".to_owned()), "{response}");
    }
}

#[test]
fn tokens_are_generated_for_a_reason_that_the_trigger_is_told() {
    let mut stage = v1();
    let first = tokens(&mut stage, &json!({"claimsOverrideDetails": null})).unwrap();
    let parameters = json!({"REFRESH_TOKEN": first["RefreshToken"]});
    let refresh = json!({"AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": parameters, "ClientMetadata": {"a": "b"}});
    stage.ask("InitiateAuth", refresh).unwrap();
    assert_eq!(stage.events[0].1["triggerSource"], "TokenGeneration_RefreshTokens");
    // ClientMetadata of InitiateAuth does not reach it.
    assert_eq!(stage.events[0].1["request"].get("clientMetadata"), None);
    let call = json!({"RefreshToken": first["RefreshToken"], "ClientMetadata": {"a": "b"}});
    stage.ask("GetTokensFromRefreshToken", call).unwrap();
    assert_eq!(stage.events[0].1["triggerSource"], "TokenGeneration_RefreshTokens");
    assert_eq!(stage.events[0].1["request"]["clientMetadata"], json!({"a": "b"}));

    let parameters = json!({"USERNAME": "carol", "PASSWORD": "Temporary horse 1"});
    let call = json!({"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters});
    let session = stage.ask("InitiateAuth", call).unwrap()["Session"].clone();
    let answer = json!({
        "ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": session,
        "ChallengeResponses": {"USERNAME": "carol", "NEW_PASSWORD": "Correct horse 3"},
    });
    let refused = stage.call("RespondToAuthChallenge", answer, |_, event| {
        assert_eq!(event["triggerSource"], "TokenGeneration_NewPasswordChallenge");
        Outcome::Failed("not this way".to_owned())
    });
    assert_eq!(refused.unwrap_err().message, "PreTokenGeneration failed with error not this way.");
}

#[test]
fn post_authentication_comes_last_and_may_still_refuse() {
    let mut stage = Stage::with_triggers(json!({
        "PreTokenGeneration": arn("pre-token-generation"), "PostAuthentication": arn("post-authentication"),
    }));
    let result = tokens(&mut stage, &json!({"claimsOverrideDetails": null})).unwrap();
    assert!(result["IdToken"].is_string());
    use Trigger::{DefineAuthChallenge, PostAuthentication, PreTokenGeneration, VerifyAuthChallengeResponse};
    assert_eq!(
        stage.triggers(),
        [VerifyAuthChallengeResponse, DefineAuthChallenge, PreTokenGeneration, PostAuthentication]
    );
    let event = &stage.events[3].1;
    assert_eq!(event["triggerSource"], "PostAuthentication_Authentication");
    let request = &event["request"];
    assert_eq!((&request["newDeviceUsed"], &request["clientMetadata"]), (&json!(false), &json!({"locale": "ja"})));
    assert_eq!(request.get("userNotFound"), None);

    let session = stage.begin()["Session"].clone();
    let call = json!({
        "ChallengeName": "CUSTOM_CHALLENGE", "Session": session,
        "ChallengeResponses": {"USERNAME": "alice", "ANSWER": "right"},
    });
    let refused = stage.call("RespondToAuthChallenge", call, |trigger, event| {
        if trigger == PostAuthentication { Outcome::Failed("no".to_owned()) } else { three_answers(trigger, event) }
    });
    assert_eq!(refused.unwrap_err().message, "PostAuthentication failed with error no.");
    // A refresh is no sign-in.
    let parameters = json!({"REFRESH_TOKEN": result["RefreshToken"]});
    stage.ask("InitiateAuth", json!({"AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": parameters})).unwrap();
    assert_eq!(stage.triggers(), [PreTokenGeneration]);
}

/// What a call gets if, while `trigger` runs, `meanwhile` happens.
fn overtaken(
    stage: &mut Stage,
    operation: &str,
    mut call: Value,
    trigger: Trigger,
    meanwhile: impl Fn(&mut Stage),
) -> Result<Value, String> {
    call["ClientId"] = json!("1client");
    let target = format!("AWSCognitoIdentityProviderService.{operation}");
    let call = Call::read(&target, call.to_string().as_bytes(), false).unwrap();
    let rng = &mut UnwrapErr(SysRng);
    let mut step = stage.pool.handle(&call, NOW, rng);
    loop {
        let invocation = match step {
            Step::Invoke(invocation) => invocation,
            Step::Reply(reply) => return reply.map_err(|error| error.message),
        };
        if invocation.trigger == trigger {
            meanwhile(stage);
        }
        let outcome = three_answers(invocation.trigger, &invocation.event);
        step = stage.pool.resume(invocation.then, outcome, NOW, rng);
    }
}

fn right_answer(stage: &mut Stage) -> Value {
    let session = stage.begin()["Session"].clone();
    let responses = json!({"USERNAME": "alice", "ANSWER": "right"});
    json!({"ChallengeName": "CUSTOM_CHALLENGE", "Session": session, "ChallengeResponses": responses})
}

#[test]
fn nobody_gets_tokens_who_is_deleted_or_disabled_or_signs_out_meanwhile() {
    let alice = json!({"Username": "alice"});
    let both =
        json!({"PreTokenGeneration": arn("pre-token-generation"), "PostAuthentication": arn("post-authentication")});
    for trigger in [Trigger::DefineAuthChallenge, Trigger::PreTokenGeneration, Trigger::PostAuthentication] {
        for (operation, message) in
            [("AdminDeleteUser", "Incorrect username or password."), ("AdminDisableUser", "User is disabled.")]
        {
            let mut stage = Stage::with_triggers(both.clone());
            let answer = right_answer(&mut stage);
            let reply = overtaken(&mut stage, "RespondToAuthChallenge", answer, trigger, |stage| {
                stage.ask(operation, alice.clone()).unwrap();
            });
            assert_eq!(reply, Err(message.to_owned()), "{trigger:?}");
        }
    }
    let mut stage = v1();
    let earlier = stage.sign_in();
    let answer = right_answer(&mut stage);
    let refresh = json!({"RefreshToken": earlier["RefreshToken"]});
    let revoked = Err("Refresh Token has been revoked".to_owned());
    let other = stage.sign_in();
    let reply = overtaken(&mut stage, "GetTokensFromRefreshToken", refresh, Trigger::PreTokenGeneration, |stage| {
        stage.ask("RevokeToken", json!({"Token": earlier["RefreshToken"]})).unwrap();
    });
    assert_eq!(reply, revoked);
    let reply = overtaken(&mut stage, "RespondToAuthChallenge", answer, Trigger::PreTokenGeneration, |stage| {
        stage.ask("GlobalSignOut", json!({"AccessToken": other["AccessToken"]})).unwrap();
    });
    assert_eq!(reply, revoked);
}

#[test]
fn the_trigger_is_not_asked_about_tokens_for_nobody() {
    let mut stage = v1();
    let challenge = stage.initiate(json!({"USERNAME": "nobody@example.com"}), json!(null)).unwrap();
    let name = challenge["ChallengeParameters"]["USERNAME"].as_str().unwrap().to_owned();
    // Define would let anybody in.
    let error = stage.respond(&challenge["Session"], &name, "right").unwrap_err();
    assert_eq!(error.message, "Incorrect username or password.");
    assert_eq!(stage.triggers(), [Trigger::VerifyAuthChallengeResponse, Trigger::DefineAuthChallenge]);
}

#[test]
fn roles_are_told_and_the_pools_own_scope_can_be_taken_away() {
    let mut stage = v2();
    let details = json!({
        "accessTokenGeneration": {"scopesToSuppress": ["aws.cognito.signin.user.admin"]},
        "groupOverrideDetails": {
            "groupsToOverride": ["staff"], "iamRolesToOverride": ["arn:aws:iam::000000000000:role/staff"],
            "preferredRole": "arn:aws:iam::000000000000:role/staff",
        },
    });
    let result = tokens(&mut stage, &json!({"claimsAndScopeOverrideDetails": details})).unwrap();
    let id = stage.claims(&result["IdToken"]);
    assert_eq!(id["cognito:roles"], json!(["arn:aws:iam::000000000000:role/staff"]));
    assert_eq!(id["cognito:preferred_role"], "arn:aws:iam::000000000000:role/staff");
    let message = stage.complaint("GetUser", json!({"AccessToken": result["AccessToken"]}));
    assert_eq!(message, "Access Token does not have required scopes");
}
