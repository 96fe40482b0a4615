//! How triggers are invoked: where their functions are, how long Cognito waits for an answer, and how often it asks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;
use tokio::time::timeout;

use crate::lambda::{Function, Invoked, LogSink};
use crate::trigger::{Outcome, Trigger};

/// How patiently triggers are invoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvocationOptions {
    /// How long to wait for an answer.
    pub timeout: Duration,
    /// How often to ask when there is none in time.
    pub tries: u32,
    /// How often to deliver each event, to see whether a function minds. The last answer counts.
    pub deliveries: u32,
}

impl Default for InvocationOptions {
    /// As Cognito does it.
    fn default() -> InvocationOptions {
        InvocationOptions { timeout: Duration::from_secs(5), tries: 3, deliveries: 1 }
    }
}

/// Told of each invocation of a trigger.
pub type Observer = Arc<dyn Fn(&Observation<'_>) + Send + Sync>;

/// A trigger that was invoked.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// Which trigger.
    pub trigger: Trigger,
    /// What it was given.
    pub event: &'a Value,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// How often it was asked until it answered, or at all.
    pub tries: u32,
    /// How long that took.
    pub duration: Duration,
}

/// Invokes functions.
pub struct Invoker {
    /// Those that run on this machine, by name.
    pub functions: BTreeMap<String, Arc<Function>>,
    /// Where the others are.
    pub endpoint: Option<LambdaEndpoint>,
    /// How patiently.
    pub options: InvocationOptions,
    /// Where to say that a function did not answer.
    pub logs: LogSink,
    /// Told of every invocation.
    pub observer: Option<Observer>,
}

impl Invoker {
    /// Invokes the function that a trigger has. `arn` is the function's, or an alias's of it.
    pub async fn invoke_trigger(&self, trigger: Trigger, arn: &str, event: &Value) -> Outcome {
        let begun = Instant::now();
        let body = Bytes::from(event.to_string());
        let (mut outcome, mut tries) = (Outcome::TimedOut, 0);
        for _ in 0..self.options.deliveries.max(1) {
            (outcome, tries) = self.deliver(function_name(arn), &body).await;
        }
        if let Some(observer) = &self.observer {
            observer(&Observation { trigger, event, outcome: &outcome, tries, duration: begun.elapsed() });
        }
        outcome
    }

    /// Delivers an event until there is an answer, and tells how often that was.
    async fn deliver(&self, function: &str, event: &Bytes) -> (Outcome, u32) {
        let InvocationOptions { timeout: limit, tries, .. } = self.options;
        for attempt in 1..=tries {
            match timeout(limit, self.invoke(function, event.clone())).await {
                Ok(Ok(Invoked::Returned(reply))) => return (Outcome::Returned(reply.into()), attempt),
                Ok(Ok(Invoked::Failed(error))) => {
                    let error: Value = serde_json::from_slice(&error).unwrap_or_default();
                    let message = error["errorMessage"].as_str().unwrap_or("Unknown error");
                    return (Outcome::Failed(message.to_owned()), attempt);
                }
                Ok(Err(why)) => return (Outcome::Unreachable(why), attempt),
                Err(_) => {
                    let seconds = limit.as_secs_f64();
                    (self.logs)(function, &format!("no answer within {seconds} s, try {attempt} of {tries}"));
                }
            }
        }
        (Outcome::TimedOut, tries)
    }

    /// Invokes a function once. `Err` is the name of the error for which it could not be.
    async fn invoke(&self, name: &str, event: Bytes) -> Result<Invoked, String> {
        match (self.functions.get(name), &self.endpoint) {
            (Some(function), _) => Ok(function.invoke(event).await),
            (None, Some(endpoint)) => {
                let invoked = endpoint.invoke(name, event).await;
                if matches!(&invoked, Ok(Invoked::Returned(reply)) if reply.is_empty()) {
                    (self.logs)(name, "the endpoint answered nothing: it may tell why the function did not");
                }
                invoked.map_err(|(kind, why)| {
                    (self.logs)(name, &why);
                    kind
                })
            }
            (None, None) => {
                (self.logs)(name, "no function of this name runs here");
                Err("ResourceNotFoundException".to_owned())
            }
        }
    }
}

/// The name of a function that is called by its ARN, `arn:aws:lambda:<region>:<account>:function:<name>[:<alias>]`, or as
/// `<name>[:<alias>]`.
pub fn function_name(function: &str) -> &str {
    let name = if function.starts_with("arn:") { 6 } else { 0 };
    function.split(':').nth(name).unwrap_or(function)
}

/// Something that serves Lambda's Invoke operation: `cargo lambda watch`, `sam local start-lambda`, another local pool.
#[derive(Clone, Debug)]
pub struct LambdaEndpoint {
    url: Url,
    http: Client,
}

/// Why something is no endpoint.
#[derive(Debug)]
pub struct EndpointError(String);

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Lambda endpoint {}", self.0)
    }
}

impl std::error::Error for EndpointError {}

impl LambdaEndpoint {
    /// The endpoint at a URL such as `http://127.0.0.1:9000`.
    ///
    /// # Errors
    ///
    /// When that is no such URL. Calls are not signed, so it cannot be AWS's own.
    pub fn new(url: &str) -> Result<LambdaEndpoint, EndpointError> {
        let url: Url = url.parse().map_err(|error| EndpointError(format!("{url:?} is no URL: {error}")))?;
        if url.scheme() != "http" {
            return Err(EndpointError(format!("{url} has to begin with http://")));
        }
        // Functions have no deadline of ours: Cognito's is kept by whoever waits.
        let http = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .build()
            .map_err(|error| EndpointError(error.to_string()))?;
        Ok(LambdaEndpoint { url, http })
    }

    /// `Err` is the name of the error for which the function could not be invoked, and what there is to say of it.
    async fn invoke(&self, function: &str, event: Bytes) -> Result<Invoked, (String, String)> {
        let unreachable = |error: reqwest::Error| {
            let why = format!("{}: {}", self.url, root_cause(&error));
            (why.clone(), why)
        };
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["2015-03-31", "functions", function, "invocations"]);
        }
        let reply = self.http.post(url).body(event).send().await.map_err(unreachable)?;
        let (status, headers) = (reply.status(), reply.headers().clone());
        let body = reply.bytes().await.map_err(unreachable)?;
        let words: Value = serde_json::from_slice(&body).unwrap_or_default();
        // `cargo lambda watch` tells a function's error by the status, and `sam local start-lambda` knows it only by guessing.
        // No trigger returns this.
        let failed = headers.contains_key("x-amz-function-error")
            || (words["errorMessage"].is_string() && words.get("response").is_none());
        if failed {
            return Ok(Invoked::Failed(body));
        }
        if status == StatusCode::OK {
            return Ok(Invoked::Returned(body));
        }
        let header = headers.get("x-amzn-errortype").and_then(|kind| kind.to_str().ok());
        let kind = header.or(words["__type"].as_str()).map(|kind| kind.split(':').next().unwrap_or(kind));
        let kind = match kind {
            // As `sam local start-lambda` calls it.
            Some("ResourceNotFound") => "ResourceNotFoundException".to_owned(),
            Some(kind) => kind.to_owned(),
            None => format!("{status} of {}", self.url),
        };
        let message = ["Message", "message", "detail"].iter().find_map(|name| words[*name].as_str());
        let message = message.map_or_else(|| format!("{:.200}", String::from_utf8_lossy(&body)), ToOwned::to_owned);
        let hint =
            if status == StatusCode::NOT_FOUND { " (is this the function's name there? see --function)" } else { "" };
        Err((kind, format!("{status} of {}: {message}{hint}", self.url)))
    }
}

/// What an error comes from: the errors of clients tell only that a request did not succeed.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
