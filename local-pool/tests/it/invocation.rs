//! How triggers are invoked, at an endpoint that the test plays.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::post;
use local_pool::invocation::{InvocationOptions, Invoker, LambdaEndpoint, Observation};
use local_pool::trigger::{Outcome, Trigger};
use serde_json::json;
use tokio::net::TcpListener;

use crate::stage::arn;

/// How often each function was called.
type Calls = Arc<Mutex<BTreeMap<String, usize>>>;

/// Functions that are called what they do.
async fn serve() -> (String, Calls) {
    let calls = Calls::default();
    let counted = Arc::clone(&calls);
    let invoke = async move |Path(name): Path<String>, event: Bytes| {
        let call = {
            let mut counted = counted.lock().unwrap();
            let call = counted.entry(name.clone()).or_default();
            *call += 1;
            *call
        };
        let ok = |body: String| (StatusCode::OK, [("x-test", "")], body);
        let error = r#"{"errorType": "X", "errorMessage": "no"}"#.to_owned();
        match name.as_str() {
            "echo" => ok(String::from_utf8(event.to_vec()).unwrap()),
            "count" => ok(call.to_string()),
            "fails" => (StatusCode::OK, [("x-amz-function-error", "Unhandled")], error),
            "fails-like-cargo-lambda" => (StatusCode::INTERNAL_SERVER_ERROR, [("x-test", "")], error),
            "fails-in-python-behind-sam" => {
                ok(r#"{"errorMessage": "no", "errorType": "X", "requestId": "", "stackTrace": []}"#.to_owned())
            }
            "nothing" => ok(String::new()),
            "moved" => (StatusCode::FOUND, [("location", "/2015-03-31/functions/echo/invocations")], String::new()),
            "crashes" => (StatusCode::OK, [("x-amz-function-error", "Unhandled")], "no JSON".to_owned()),
            "throttled" => (
                StatusCode::TOO_MANY_REQUESTS,
                [("x-amzn-errortype", "TooManyRequestsException:http://internal")],
                "{}".to_owned(),
            ),
            "broken" => (StatusCode::BAD_GATEWAY, [("x-test", "")], "<html>".to_owned()),
            "wakes-up" if call < 3 => std::future::pending().await,
            "wakes-up" => ok("awake".to_owned()),
            "hangs" => std::future::pending().await,
            _ => (
                StatusCode::NOT_FOUND,
                [("x-amzn-errortype", "ResourceNotFoundException")],
                r#"{"Message": "Function not found"}"#.to_owned(),
            ),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/2015-03-31/functions/{name}/invocations", post(invoke));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, calls)
}

/// Invokes a function and tells what came of it, in how many tries, and what was logged.
async fn invoke(url: &str, arn: &str, options: InvocationOptions) -> (Outcome, u32, Vec<String>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (sink, observed) = (Arc::clone(&lines), Arc::clone(&seen));
    let invoker = Invoker {
        functions: BTreeMap::new(),
        endpoint: Some(LambdaEndpoint::new(url).unwrap()),
        options,
        logs: Arc::new(move |name: &str, line: &str| sink.lock().unwrap().push(format!("{name}: {line}"))),
        observer: Some(Arc::new(move |seen: &Observation<'_>| {
            assert_eq!((seen.trigger, seen.event), (Trigger::PreSignUp, &json!({"n": 7})));
            observed.lock().unwrap().push((seen.outcome.clone(), seen.tries));
        })),
    };
    let outcome = invoker.invoke_trigger(Trigger::PreSignUp, arn, &json!({"n": 7})).await;
    let seen = seen.lock().unwrap().clone();
    assert_eq!((seen.len(), &seen[0].0), (1, &outcome));
    let lines = lines.lock().unwrap().clone();
    (outcome, seen[0].1, lines)
}

const IMPATIENT: InvocationOptions = InvocationOptions { timeout: Duration::from_millis(200), tries: 3, deliveries: 1 };

#[tokio::test]
async fn what_a_function_elsewhere_says_is_understood() {
    let (url, _) = serve().await;
    let returned = |text: &str| Outcome::Returned(text.as_bytes().to_vec());
    let failed = |text: &str| Outcome::Failed(text.to_owned());
    let unreachable = |text: &str| Outcome::Unreachable(text.to_owned());
    for (function, expected) in [
        ("echo", returned(r#"{"n":7}"#)),
        ("fails", failed("no")),
        ("fails-like-cargo-lambda", failed("no")),
        ("fails-in-python-behind-sam", failed("no")),
        ("nothing", returned("")),
        ("moved", unreachable(&format!("302 Found of {url}/"))),
        ("a?b/c", unreachable("ResourceNotFoundException")),
        ("crashes", failed("Unknown error")),
        ("throttled", unreachable("TooManyRequestsException")),
        ("nowhere", unreachable("ResourceNotFoundException")),
        ("broken", unreachable(&format!("502 Bad Gateway of {url}/"))),
    ] {
        let (outcome, tries, _) = invoke(&url, &arn(function), InvocationOptions::default()).await;
        assert_eq!((outcome, tries), (expected, 1), "{function}");
    }
    let (.., lines) = invoke(&url, &arn("nowhere"), InvocationOptions::default()).await;
    let hint = "(is this the function's name there? see --function)";
    assert_eq!(lines, [format!("nowhere: 404 Not Found of {url}/: Function not found {hint}")]);
    let (.., lines) = invoke(&url, &arn("broken"), InvocationOptions::default()).await;
    assert_eq!(lines, [format!("broken: 502 Bad Gateway of {url}/: <html>")]);
    let (.., lines) = invoke(&url, &arn("nothing"), InvocationOptions::default()).await;
    assert_eq!(lines, ["nothing: the endpoint answered nothing: it may tell why the function did not"]);
    // Behind an alias there is the same function.
    let (outcome, ..) = invoke(&url, &format!("{}:live", arn("echo")), InvocationOptions::default()).await;
    assert_eq!(outcome, returned(r#"{"n":7}"#));
}

#[tokio::test]
async fn a_function_that_does_not_answer_in_time_is_called_again_and_that_is_shown() {
    let (url, calls) = serve().await;
    let (outcome, tries, lines) = invoke(&url, &arn("wakes-up"), IMPATIENT).await;
    assert_eq!((outcome, tries), (Outcome::Returned(b"awake".to_vec()), 3));
    assert_eq!(lines, ["wakes-up: no answer within 0.2 s, try 1 of 3", "wakes-up: no answer within 0.2 s, try 2 of 3"]);
    let (outcome, tries, lines) = invoke(&url, &arn("hangs"), IMPATIENT).await;
    assert_eq!((outcome, tries, lines.len()), (Outcome::TimedOut, 3, 3));
    assert_eq!(calls.lock().unwrap()["hangs"], 3);
    let (outcome, tries, _) = invoke(&url, &arn("hangs"), InvocationOptions { tries: 1, ..IMPATIENT }).await;
    assert_eq!((outcome, tries), (Outcome::TimedOut, 1));
    // Nothing is called twice for having failed.
    invoke(&url, &arn("fails"), IMPATIENT).await;
    assert_eq!(calls.lock().unwrap()["fails"], 1);
}

#[tokio::test]
async fn an_event_may_be_delivered_more_than_once_and_the_last_reply_counts() {
    let (url, calls) = serve().await;
    let options = InvocationOptions { deliveries: 3, ..InvocationOptions::default() };
    let (outcome, ..) = invoke(&url, &arn("count"), options).await;
    assert_eq!(outcome, Outcome::Returned(b"3".to_vec()));
    assert_eq!(calls.lock().unwrap()["count"], 3);
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_named() {
    let (outcome, _, lines) = invoke("http://127.0.0.1:1", &arn("echo"), InvocationOptions::default()).await;
    let Outcome::Unreachable(why) = outcome else { panic!("{outcome:?}") };
    assert!(why.starts_with("http://127.0.0.1:1/: ") && why.contains("refused"), "{why}");
    assert_eq!(lines, [format!("echo: {why}")]);
    let error = |url: &str| LambdaEndpoint::new(url).unwrap_err().to_string();
    assert_eq!(error("127.0.0.1"), "the Lambda endpoint \"127.0.0.1\" is no URL: relative URL without a base");
    assert_eq!(
        error("https://lambda.example"),
        "the Lambda endpoint https://lambda.example/ has to begin with http://"
    );
}
