//! Everything in a row, as a person does it: look, attach, sign in, detach; with the real functions.

use std::path::Path;

use local_pool::build;
use local_pool::lambda::Program;
use local_pool::pool::PoolOptions;
use local_pool::trigger::Trigger;
use local_pool::users::Users;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::attach::arn;
use crate::running::{Account, account_with};

/// A call that needs no signature: its reply, or its error's text.
async fn call(account: &Account, operation: &str, mut parameters: Value) -> Result<Value, String> {
    parameters["ClientId"] = json!(account.pool.client_id);
    let target = format!("AWSCognitoIdentityProviderService.{operation}");
    let request = reqwest::Client::builder().no_proxy().build().unwrap().post(&account.endpoint);
    let reply = request.header("x-amz-target", target).body(parameters.to_string()).send().await.unwrap();
    let is_good = reply.status().is_success();
    let reply: Value = reply.json().await.unwrap();
    if is_good { Ok(reply) } else { Err(reply["message"].as_str().unwrap().to_owned()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_attach_sign_in_and_detach() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let programs = build::functions(workspace, "dev", &Trigger::OURS).await.unwrap();
    let account = account_with("deployed", |options| {
        let id = PoolOptions::default().user_pool_id;
        options.users =
            Users::from_toml("[[user]]\nemail = \"alice@example.com\"", &id, &mut UnwrapErr(SysRng)).unwrap();
        options.variables.insert("CODE_KEY".to_owned(), "a-key-of-the-tests-with-enough-characters".to_owned());
        for (name, path) in &programs {
            options.programs.insert((*name).to_owned(), Program::new(path));
        }
    })
    .await;
    let initiate = json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": "alice@example.com"}});
    let no_trigger = "Custom auth lambda trigger is not configured for the user pool.";
    let functions: Vec<String> = [
        ("PreAuthentication", "pre-authentication"),
        ("DefineAuthChallenge", "define-auth-challenge"),
        ("CreateAuthChallenge", "create-auth-challenge"),
        ("VerifyAuthChallengeResponse", "verify-auth-challenge"),
    ]
    .iter()
    .flat_map(|(trigger, name)| ["--function".to_owned(), format!("{trigger}={}", arn(name))])
    .collect();
    let run = |command: &[&str], more: &[String]| {
        let all: Vec<&str> = command.iter().copied().chain(more.iter().map(String::as_str)).collect();
        account.run(&all)
    };
    let doctor = ["doctor", "--client-id", account.pool.client_id.as_str()];

    let before = run(&doctor, &functions);
    assert!(!before.succeeded && before.stdout.contains("wrong        trigger DefineAuthChallenge"), "{before:?}");
    assert_eq!(call(&account, "InitiateAuth", initiate.clone()).await.unwrap_err(), no_trigger);

    run(&["attach"], &functions).output();
    let after = run(&doctor, &functions);
    let wrong: Vec<&str> = after.output().lines().filter(|line| line.starts_with("wrong")).collect();
    assert_eq!(wrong, [""; 0]);
    assert!(after.stdout.contains("ok           key "), "{after:?}");

    let challenge = call(&account, "InitiateAuth", initiate.clone()).await.unwrap();
    let mails: Value = reqwest::get(account.pool.mailbox()).await.unwrap().json().await.unwrap();
    let code = mails[0]["text"].as_str().unwrap().lines().nth(2).unwrap().replace('\u{a0}', " ");
    let answer = json!({
        "ChallengeName": "CUSTOM_CHALLENGE", "Session": challenge["Session"],
        "ChallengeResponses": {"USERNAME": "alice@example.com", "ANSWER": code},
    });
    let reply = call(&account, "RespondToAuthChallenge", answer).await.unwrap();
    assert!(reply["AuthenticationResult"]["IdToken"].is_string(), "{reply}");

    run(&["detach"], &[]).output();
    assert_eq!(call(&account, "InitiateAuth", initiate).await.unwrap_err(), no_trigger);
}
