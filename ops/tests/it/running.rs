//! An account: a local pool behind something that counts the calls, and makes some of them fail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use local_pool::invocation::LambdaEndpoint;
use local_pool::server::{Addresses, Options, Server, bind};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// What becomes of a call.
pub(crate) enum Fate {
    /// It is made.
    Pass,
    /// It is not made, and gets this error: a status, a name and a text.
    Fail(u16, &'static str, &'static str),
    /// It is made, and its reply is lost.
    Lose,
    /// It is made, and its reply is changed.
    Change(fn(&mut Value)),
    /// It is not made, and gets this reply.
    Replace(Value),
}

/// Says what becomes of a call, by its operation and how often that was called before.
type Fates = Box<dyn FnMut(&str, usize) -> Fate + Send>;

/// Calls in order: operation and body, as JSON or as text.
type Calls = Arc<Mutex<Vec<(String, Value)>>>;

#[derive(Clone)]
struct Front {
    http: reqwest::Client,
    endpoint: String,
    calls: Calls,
    fates: Arc<Mutex<Fates>>,
    stacks: Arc<BTreeMap<&'static str, Vec<(&'static str, &'static str)>>>,
}

pub(crate) struct Account {
    pub(crate) pool: Addresses,
    pub(crate) endpoint: String,
    pub(crate) folder: PathBuf,
    front: Front,
    servers: [JoinHandle<()>; 2],
}

impl Drop for Account {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

/// How a command ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) succeeded: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The one line of an error.
    pub(crate) fn error(&self) -> &str {
        assert!(!self.succeeded, "{}", self.stdout);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        self.stderr.trim_end().strip_prefix("error: ").unwrap()
    }

    pub(crate) fn output(&self) -> &str {
        assert!(self.succeeded, "{}{}", self.stdout, self.stderr);
        &self.stdout
    }
}

/// An account in which any function exists.
pub(crate) async fn account(name: &str) -> Account {
    account_with(name, |options| {
        options.lambda_endpoint = Some(LambdaEndpoint::new("http://127.0.0.1:1").unwrap());
    })
    .await
}

pub(crate) async fn account_with(name: &str, change: impl FnOnce(&mut Options)) -> Account {
    let mut options = Options::new(bind(0).await.unwrap(), Arc::new(|_: &str, _: &str| ()));
    change(&mut options);
    let server = Server::start(options).await.unwrap();
    let pool = server.addresses().clone();
    let served = tokio::spawn(async move { server.serve(std::future::pending()).await.unwrap() });
    let stack = vec![
        ("PreAuthenticationFunction", "acme-PreAuthenticationFunction-1"),
        ("DefineAuthChallengeFunction", "acme-DefineAuthChallengeFunction-2"),
        ("CreateAuthChallengeFunction", "acme-CreateAuthChallengeFunction-3"),
        ("VerifyAuthChallengeFunction", "acme-VerifyAuthChallengeFunction-4"),
        ("OtherFunction", "acme-OtherFunction-5"),
    ];
    let front = Front {
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
        endpoint: pool.endpoint.clone(),
        calls: Calls::default(),
        fates: Arc::new(Mutex::new(Box::new(|_, _| Fate::Pass))),
        stacks: Arc::new(BTreeMap::from([("sign-in", stack), ("empty", Vec::new())])),
    };
    let listener = bind(0).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(front.clone());
    let fronted = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    Account { pool, endpoint, folder, front, servers: [served, fronted] }
}

impl Account {
    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_in(arguments, &[])
    }

    pub(crate) fn run_in(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        let (command, arguments) = arguments.split_first().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_custom-auth-ops"))
            .args([command, "--user-pool-id", &self.pool.user_pool_id, "--endpoint-url", &self.endpoint])
            .args(arguments)
            .current_dir(&self.folder)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        Ended { succeeded: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Has calls end otherwise from now on.
    pub(crate) fn fates(&self, fates: impl FnMut(&str, usize) -> Fate + Send + 'static) {
        *self.front.fates.lock().unwrap() = Box::new(fates);
        self.front.calls.lock().unwrap().clear();
    }

    /// The operations that were called, in order.
    pub(crate) fn operations(&self) -> Vec<String> {
        self.front.calls.lock().unwrap().iter().map(|(operation, _)| operation.clone()).collect()
    }

    /// The operations that change something.
    pub(crate) fn changes(&self) -> Vec<String> {
        let changes = ["AddPermission", "RemovePermission", "UpdateUserPool"];
        self.operations().into_iter().filter(|operation| changes.contains(&operation.as_str())).collect()
    }

    /// What was said with the last call of an operation.
    pub(crate) fn said(&self, operation: &str) -> Value {
        self.front.calls.lock().unwrap().iter().rfind(|(name, _)| name == operation).unwrap().1.clone()
    }

    /// One operation of the user pool API, past the front.
    pub(crate) async fn call(&self, operation: &str, mut parameters: Value) -> Value {
        parameters["UserPoolId"] = json!(self.pool.user_pool_id);
        let request = self.front.http.post(&self.pool.endpoint).header("authorization", "AWS4-HMAC-SHA256 test");
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        let reply = request.header("x-amz-target", target).body(parameters.to_string()).send().await.unwrap();
        let status = reply.status();
        let reply: Value = reply.json().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{reply}");
        reply
    }

    /// The pool as it is.
    pub(crate) async fn described(&self) -> Value {
        self.call("DescribeUserPool", json!({})).await["UserPool"].take()
    }

    /// Gives somebody else a permission to invoke a function, past the front.
    pub(crate) async fn add_permission(&self, function: &str) {
        let url = format!("{}/2015-03-31/functions/{function}/policy", self.pool.endpoint);
        let statement = json!({"StatementId": "x", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"});
        let reply = self.front.http.post(url).body(statement.to_string()).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::CREATED);
    }

    /// The ids of the statements in the policy of a function, or of an alias.
    pub(crate) async fn statements(&self, function: &str) -> Vec<String> {
        let url = format!("{}/2015-03-31/functions/{function}/policy", self.pool.endpoint);
        let reply: Value = self.front.http.get(url).send().await.unwrap().json().await.unwrap();
        let Some(policy) = reply["Policy"].as_str() else { return Vec::new() };
        let policy: Value = serde_json::from_str(policy).unwrap();
        policy["Statement"].as_array().unwrap().iter().map(|s| s["Sid"].as_str().unwrap().to_owned()).collect()
    }
}

/// The operation that a request is for.
fn operation(request: &Request, body: &[u8]) -> String {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.to_str().unwrap().rsplit('.').next().unwrap().to_owned();
    }
    let path = request.uri().path();
    let is = |part: &str| path.contains(part);
    let name = match request.method().as_str() {
        "POST" if path == "/" => {
            let form = String::from_utf8_lossy(body);
            return form.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap().to_owned();
        }
        "GET" if path.ends_with("/policy") => "GetPolicy",
        "POST" if path.ends_with("/policy") => "AddPermission",
        "DELETE" if is("/policy/") => "RemovePermission",
        "GET" if path.ends_with("/configuration") => "GetFunctionConfiguration",
        "GET" if path.ends_with("/account") => "GetAccount",
        "GET" if is("/identities/") => "GetEmailIdentity",
        "GET" if is("/configuration-sets/") => "GetConfigurationSet",
        method => panic!("{method} {path}"),
    };
    name.to_owned()
}

async fn answer(State(front): State<Front>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let request = Request::from_parts(parts, axum::body::Body::empty());
    let operation = operation(&request, &body);
    let fate = {
        let mut calls = front.calls.lock().unwrap();
        let before = calls.iter().filter(|(name, _)| *name == operation).count();
        let said = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
        calls.push((operation.clone(), said));
        front.fates.lock().unwrap()(&operation, before)
    };
    match fate {
        Fate::Fail(status, kind, message) => failed(status, kind, message),
        Fate::Replace(reply) => axum::Json(reply).into_response(),
        Fate::Pass => front.pass(request, body, &operation).await.into_response(),
        Fate::Lose => {
            front.pass(request, body, &operation).await;
            failed(503, "ServiceUnavailableException", "the reply was lost")
        }
        Fate::Change(change) => {
            let (status, headers, reply) = front.pass(request, body, &operation).await;
            let mut reply = serde_json::from_slice(&reply).unwrap();
            change(&mut reply);
            let mut headers = headers;
            headers.remove("content-length");
            (status, headers, reply.to_string()).into_response()
        }
    }
}

fn failed(status: u16, kind: &str, message: &str) -> Response {
    let body = json!({"__type": kind, "message": message, "Message": message});
    let headers = [("x-amzn-errortype", kind.to_owned()), ("content-type", "application/x-amz-json-1.1".to_owned())];
    (StatusCode::from_u16(status).unwrap(), headers, body.to_string()).into_response()
}

impl Front {
    async fn pass(&self, request: Request, body: Bytes, operation: &str) -> (StatusCode, HeaderMap, Bytes) {
        if operation == "ListStackResources" {
            return self.stack(&String::from_utf8_lossy(&body));
        }
        let url = format!("{}{}", self.endpoint, request.uri());
        let mut headers = request.headers().clone();
        headers.remove("host");
        headers.remove("content-length");
        let reply = self.http.request(request.method().clone(), url).headers(headers).body(body).send().await.unwrap();
        let (status, mut headers) = (reply.status(), reply.headers().clone());
        headers.remove("transfer-encoding");
        (status, headers, reply.bytes().await.unwrap())
    }

    /// CloudFormation's reply, in pages of two.
    fn stack(&self, form: &str) -> (StatusCode, HeaderMap, Bytes) {
        let value = |name: &str| form.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        let Some(resources) = self.stacks.get(value("StackName").unwrap()) else {
            let error = "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>\
                         <Message>Stack with id nothing does not exist</Message></Error></ErrorResponse>";
            return (StatusCode::BAD_REQUEST, HeaderMap::new(), error.into());
        };
        let from: usize = value("NextToken").map_or(0, |token| token.parse().unwrap());
        let members: String = resources
            .iter()
            .skip(from)
            .take(2)
            .flat_map(|(logical, physical)| {
                [("AWS::Lambda::Function", *logical), ("AWS::IAM::Role", "Role")].map(|(kind, logical)| {
                    format!(
                        "<member><LogicalResourceId>{logical}</LogicalResourceId><ResourceType>{kind}</ResourceType>\
                         <PhysicalResourceId>{physical}</PhysicalResourceId><ResourceStatus>CREATE_COMPLETE</ResourceStatus>\
                         <LastUpdatedTimestamp>2026-01-01T00:00:00Z</LastUpdatedTimestamp></member>"
                    )
                })
            })
            .collect();
        let next =
            if from + 2 < resources.len() { format!("<NextToken>{}</NextToken>", from + 2) } else { String::new() };
        let reply = format!(
            "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries>{members}\
             </StackResourceSummaries>{next}</ListStackResourcesResult></ListStackResourcesResponse>"
        );
        (StatusCode::OK, HeaderMap::new(), reply.into())
    }
}
