//! A function that panics, behind the Runtime API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_challenge::trigger;
use aws_lambda_events::cognito::CognitoEventUserPoolsDefineAuthChallenge;
use axum::body::Bytes;
use local_pool::lambda::{Function, FunctionConfig, Invoked, Program};
use serde_json::{Value, json};

use crate::running::workspace;

/// This test program is the function too: with `PANICS` set, this one test serves events.
#[tokio::test]
async fn the_function() {
    if std::env::var_os("PANICS").is_none() {
        return;
    }
    trigger::init(&|name| std::env::var(name).ok()).unwrap();
    let panics = async |_: CognitoEventUserPoolsDefineAuthChallenge| -> Result<Value, _> {
        panic!("the code of alice@example.com is 48310937");
    };
    trigger::serve(panics).await.unwrap();
}

#[tokio::test]
async fn r54_a_panic_puts_no_word_into_reply_or_log_and_the_function_lives_on() {
    let lines = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&lines);
    let config = FunctionConfig {
        name: "panics".to_owned(),
        program: Program {
            arguments: ["--exact", "panics::the_function", "--nocapture"].map(str::to_owned).to_vec(),
            ..Program::new(std::env::current_exe().unwrap())
        },
        variables: BTreeMap::from([("PANICS".to_owned(), "1".to_owned())]),
        timeout: Duration::from_secs(5),
        max_environments: 1,
        traced: true,
    };
    let logs = Arc::new(move |_: &str, line: &str| sink.lock().unwrap().push_str(line));
    let function = Function::start(config, logs).await.unwrap();
    let event = std::fs::read(workspace().join("events/define-auth-challenge/first-round.json")).unwrap();
    for _ in 0..2 {
        let expected = json!({"errorType": "Internal", "errorMessage": "Something went wrong, please try again"});
        let Invoked::Failed(error) = function.invoke(Bytes::from(event.clone())).await else {
            panic!("it did not fail")
        };
        assert_eq!(serde_json::from_slice::<Value>(&error).unwrap(), expected);
    }
    let lines = lines.lock().unwrap();
    assert_eq!(lines.matches("\"message\":\"panicked\"").count(), 2, "{lines}");
    assert!(lines.contains("panics.rs"), "{lines}");
    assert!(!lines.contains("4831") && !lines.contains("alice"), "{lines}");
}
