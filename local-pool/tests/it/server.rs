//! The pool on its port: requests that are no calls, triggers that are commands, the file that it is kept in.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use local_pool::invocation::LambdaEndpoint;
use local_pool::lambda::Program;
use local_pool::server::{Addresses, Options, Server, ServerError, bind};
use local_pool::trigger::Trigger;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::stage::arn;

struct Running {
    addresses: Addresses,
    functions: Vec<String>,
    http: Client,
    lines: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn try_start(change: impl FnOnce(&mut Options)) -> Result<Running, String> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let logs = Arc::new(move |name: &str, line: &str| sink.lock().unwrap().push(format!("[{name}] {line}")));
    let mut options = Options::new(bind(0).await.unwrap(), logs);
    change(&mut options);
    let server = Server::start(options).await.map_err(|error| error.to_string())?;
    let (addresses, functions) = (server.addresses().clone(), server.functions().to_vec());
    let server = tokio::spawn(async move { server.serve(std::future::pending()).await.unwrap() });
    Ok(Running { addresses, functions, http: Client::builder().no_proxy().build().unwrap(), lines, server })
}

impl Running {
    async fn post(&self, target: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.http.post(&self.addresses.endpoint).header("authorization", "AWS4-HMAC-SHA256 test");
        request.header("x-amz-target", target).body(body).send().await.unwrap()
    }

    async fn call(&self, operation: &str, mut parameters: Value) -> Result<Value, String> {
        parameters["ClientId"] = json!(self.addresses.client_id);
        parameters["UserPoolId"] = json!(self.addresses.user_pool_id);
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        let reply = self.post(&target, parameters.to_string()).await;
        let (status, reply) = (reply.status(), reply.json::<Value>().await.unwrap());
        if status == StatusCode::OK { Ok(reply) } else { Err(reply["message"].as_str().unwrap().to_owned()) }
    }
}

#[tokio::test]
async fn whatever_is_sent_gets_cognitos_error_and_the_pool_goes_on() {
    let pool = try_start(|_| ()).await.unwrap();
    let initiate = "AWSCognitoIdentityProviderService.InitiateAuth";
    let large = vec![b'x'; 2 * 1024 * 1024];
    let large_json =
        json!({"AuthFlow": "CUSTOM_AUTH", "ClientMetadata": {"a": "x".repeat(2 * 1024 * 1024)}}).to_string();
    let deep = "[".repeat(500_000);
    for (target, body, status, kind) in [
        (initiate, b"".to_vec(), 400, "SerializationException"),
        (initiate, b"not JSON".to_vec(), 400, "SerializationException"),
        (initiate, vec![0xff, 0x00], 400, "SerializationException"),
        (initiate, deep.into_bytes(), 400, "SerializationException"),
        (initiate, large, 413, "RequestEntityTooLargeException"),
        (initiate, large_json.into_bytes(), 413, "RequestEntityTooLargeException"),
        (initiate, b"{}".to_vec(), 400, "InvalidParameterException"),
        (initiate, br#"{"AuthFlow": 7}"#.to_vec(), 400, "SerializationException"),
        ("", b"{}".to_vec(), 400, "UnknownOperationException"),
        ("InitiateAuth", b"{}".to_vec(), 400, "UnknownOperationException"),
        ("AWSCognitoIdentityProviderService.ListUsers", b"{}".to_vec(), 400, "UnknownOperationException"),
    ] {
        let reply = pool.post(target, body).await;
        assert_eq!(reply.status().as_u16(), status, "{kind}");
        assert_eq!(reply.headers()["x-amzn-errortype"], format!("{kind}:"));
        assert_eq!(reply.headers()["content-type"], "application/x-amz-json-1.1");
        assert!(reply.headers().contains_key("x-amzn-requestid"));
        assert_eq!(reply.json::<Value>().await.unwrap()["__type"], kind);
    }
    let unsigned = pool.http.post(&pool.addresses.endpoint).body("{}");
    let unsigned =
        unsigned.header("x-amz-target", "AWSCognitoIdentityProviderService.AdminGetUser").send().await.unwrap();
    assert_eq!(unsigned.headers()["x-amzn-errortype"], "MissingAuthenticationTokenException:");
    assert!(pool.call("DescribeUserPool", json!({})).await.is_ok());
}

#[tokio::test]
async fn a_call_that_breaks_in_here_is_answered_and_the_pool_goes_on() {
    let is_broken = AtomicBool::new(true);
    let pool = try_start(|options| {
        options.clock = Arc::new(move || {
            assert!(!is_broken.swap(false, Ordering::Relaxed), "this clock is broken");
            SystemTime::now()
        });
    });
    let pool = pool.await.unwrap();
    let target = "AWSCognitoIdentityProviderService.DescribeUserPool";
    let describe = json!({"UserPoolId": pool.addresses.user_pool_id}).to_string();
    let reply = pool.post(target, describe.clone()).await;
    assert_eq!(reply.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let expected = json!({"__type": "InternalErrorException", "message": "the call ended without a word"});
    assert_eq!(reply.json::<Value>().await.unwrap(), expected);
    assert_eq!(pool.post(target, describe).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn where_everything_is_is_told_and_so_it_is() {
    let pool = try_start(|_| ()).await.unwrap();
    let endpoint = &pool.addresses.endpoint;
    let get = async |url: &str| pool.http.get(url).send().await.unwrap().json::<Value>().await.unwrap();
    let told = get(&format!("{endpoint}/local-pool.json")).await;
    let issuer = format!("{endpoint}/eu-west-1_LocalPool");
    assert_eq!(
        told,
        json!({
            "endpoint": endpoint, "region": "eu-west-1", "userPoolId": "eu-west-1_LocalPool",
            "clientId": pool.addresses.client_id, "jwksUri": format!("{issuer}/.well-known/jwks.json"),
            "mailbox": format!("{endpoint}/mailbox"), "lambdaEndpoint": endpoint,
        })
    );
    let discovered = get(&format!("{issuer}/.well-known/openid-configuration")).await;
    assert_eq!((&discovered["issuer"], &discovered["jwks_uri"]), (&json!(issuer), &told["jwksUri"]));
    // One key for each kind of token that can be verified.
    let keys = get(told["jwksUri"].as_str().unwrap()).await["keys"].clone();
    let kids: BTreeSet<_> = keys.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!(kids.len(), 2, "{keys}");
    let client = pool.call("DescribeUserPoolClient", json!({})).await.unwrap();
    assert_eq!(client["UserPoolClient"]["ClientId"], told["clientId"]);
    assert_eq!(get(told["mailbox"].as_str().unwrap()).await, json!([]));
}

#[tokio::test]
async fn mails_of_the_pool_and_of_functions_are_in_one_mailbox() {
    let pool = try_start(|_| ()).await.unwrap();
    pool.call("SignUp", json!({"Username": "zoe@example.com", "Password": "Correct horse 1"})).await.unwrap();
    let send = async |authorization: &str, body: Value| {
        let request = pool.http.post(format!("{}/v2/email/outbound-emails", pool.addresses.endpoint));
        let reply = request.header("authorization", authorization).body(body.to_string()).send().await.unwrap();
        (reply.status().as_u16(), reply.json::<Value>().await.unwrap())
    };
    let mail = json!({
        "FromEmailAddress": "sign-in@example.com",
        "Destination": {"ToAddresses": ["alice@example.com"]},
        "Content": {"Simple": {"Subject": {"Data": "Subject"}, "Body": {"Text": {"Data": "Text"}}}},
    });
    let signed = "AWS4-HMAC-SHA256 test";
    let (status, sent) = send(signed, mail.clone()).await;
    assert!(status == 200 && sent["MessageId"].as_str().unwrap().starts_with("local-"), "{status} {sent}");
    let (status, error) = send("Bearer x", mail).await;
    assert_eq!((status, &error["__type"]), (403, &json!("MissingAuthenticationTokenException")));
    let (status, error) = send(signed, json!({})).await;
    assert_eq!((status, &error["__type"]), (400, &json!("BadRequestException")));

    let shown = async |query: &str| {
        let url = format!("{}{query}", pool.addresses.mailbox());
        let mails = pool.http.get(url).send().await.unwrap().json::<Vec<Value>>().await.unwrap();
        mails.into_iter().map(|mail| (mail["to"].clone(), mail["from"].clone())).collect::<Vec<_>>()
    };
    let alices = (json!("alice@example.com"), json!("sign-in@example.com"));
    let zoes = (json!("zoe@example.com"), json!("no-reply@verificationemail.com"));
    assert_eq!(shown("").await, [alices, zoes.clone()]);
    assert_eq!(shown("?to=zoe@example.com").await, [zoes]);
    assert!(shown("?to=yan@example.com").await.is_empty());
}

#[tokio::test]
async fn the_mail_service_says_that_mails_go_out() {
    let pool = try_start(|_| ()).await.unwrap();
    for (path, pointer, value) in [
        ("account", "/ProductionAccessEnabled", json!(true)),
        ("account", "/SendingEnabled", json!(true)),
        ("identities/example.com", "/IdentityType", json!("DOMAIN")),
        ("identities/a@example.com", "/IdentityType", json!("EMAIL_ADDRESS")),
        ("identities/a@example.com", "/VerifiedForSendingStatus", json!(true)),
        ("identities/a@example.com", "/MailFromAttributes/MailFromDomain", json!("mail.example.com")),
        ("configuration-sets/codes", "/ConfigurationSetName", json!("codes")),
        ("configuration-sets/codes", "/SendingOptions/SendingEnabled", json!(true)),
    ] {
        let url = format!("{}/v2/email/{path}", pool.addresses.endpoint);
        let told = pool.http.get(url).send().await.unwrap().json::<Value>().await.unwrap();
        assert_eq!(told.pointer(pointer), Some(&value), "{path}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_can_sign_in_and_administer_nothing() {
    let pool = try_start(|_| ()).await.unwrap();
    let post = async |operation: &str, authorization: &str, origin: &str| {
        let request = pool.http.post(&pool.addresses.endpoint).header("origin", origin);
        let request = request.header("authorization", authorization);
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        let body = json!({"UserPoolId": pool.addresses.user_pool_id, "Username": "alice@example.com"});
        let reply = request.header("x-amz-target", target).body(body.to_string()).send().await.unwrap();
        reply.headers().get("x-amzn-errortype").map(|kind| kind.to_str().unwrap().to_owned())
    };
    let signed = "AWS4-HMAC-SHA256 test";
    let missing = Some("MissingAuthenticationTokenException:".to_owned());
    assert_eq!(post("AdminGetUser", signed, "https://evil.example").await, missing);
    assert_eq!(post("AdminGetUser", "Bearer x", &pool.addresses.endpoint).await, missing);
    assert_eq!(post("AdminGetUser", signed, &pool.addresses.endpoint).await, None);
    let invalid = Some("InvalidParameterException:".to_owned());
    assert_eq!(post("InitiateAuth", "", "https://evil.example").await, invalid);
}

#[tokio::test]
async fn the_page_and_what_it_is_made_of_are_served_and_may_load_nothing_else() {
    let pool = try_start(|_| ()).await.unwrap();
    let get = async |path: &str| pool.http.get(format!("{}{path}", pool.addresses.endpoint)).send().await.unwrap();
    let page = get("/").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
    let page = page.text().await.unwrap();
    for (path, content_type) in [("page.css", "text/css; charset=utf-8"), ("page.js", "text/javascript; charset=utf-8")]
    {
        assert!(page.contains(&format!("\"{path}\"")), "{path}");
        assert_eq!(get(&format!("/{path}")).await.headers()["content-type"], content_type);
    }
    assert!(get("/page.js").await.text().await.unwrap().contains("from './words.js'"));
    assert_eq!(get("/words.js").await.headers()["content-type"], "text/javascript; charset=utf-8");
}

/// Attaches the function of lambda.rs, as a command.
fn pre_sign_up(options: &mut Options, behaviour: &str) {
    let program = std::env::current_exe().unwrap();
    let command =
        format!("BEHAVIOUR={behaviour} exec '{}' --exact lambda::the_function --nocapture", program.display());
    options.triggers.insert(Trigger::PreSignUp, "pre-sign-up".to_owned());
    options.programs.insert("pre-sign-up".to_owned(), Program::from_command(&command));
}

#[tokio::test]
async fn a_function_here_has_all_its_tries_whether_it_is_warm_or_not() {
    let pool = try_start(|options| {
        pre_sign_up(options, "sleep");
        options.invocation.timeout = Duration::from_millis(200);
    });
    let pool = pool.await.unwrap();
    for _ in 0..2 {
        let error = pool
            .call("SignUp", json!({"Username": "zoe@example.com", "Password": "Correct horse 1"}))
            .await
            .unwrap_err();
        assert_eq!(error, "PreSignUp invocation failed due to error Socket timeout while invoking Lambda function.");
        let mut lines = pool.lines.lock().unwrap();
        let tries = lines.iter().filter(|line| line.contains("no answer within 0.2 s, try")).count();
        assert_eq!(tries, 3, "{lines:?}");
        lines.clear();
    }
}

#[tokio::test]
async fn a_trigger_may_be_any_command_that_asks_for_events() {
    // This function returns the event as it came.
    let pool = try_start(|options| pre_sign_up(options, "serve"));
    let pool = pool.await.unwrap();
    pool.call("SignUp", json!({"Username": "zoe@example.com", "Password": "Correct horse 1"})).await.unwrap();
    let is_event = |line: &String| line.starts_with("[pre-sign-up] event {") && line.contains("PreSignUp_SignUp");
    assert!(pool.lines.lock().unwrap().iter().any(is_event));
}

#[tokio::test]
async fn a_function_that_runs_here_is_told_of_and_invoked_as_by_lambda() {
    let pool = try_start(|options| {
        pre_sign_up(options, "serve");
        options.variables.insert("CODE_ALPHABET".to_owned(), "letters".to_owned());
    });
    let pool = pool.await.unwrap();
    assert_eq!(pool.functions, ["pre-sign-up"]);
    let endpoint = &*pool.addresses.endpoint;
    let url = |function: &str, what: &str| format!("{endpoint}/2015-03-31/functions/{function}/{what}");
    let told = pool.http.get(url("pre-sign-up", "configuration")).send().await.unwrap().json::<Value>().await.unwrap();
    // The pool waits five seconds for it, and it may take twice as long.
    for (name, value) in
        [("FunctionName", json!("pre-sign-up")), ("FunctionArn", json!(arn("pre-sign-up"))), ("Timeout", json!(10))]
    {
        assert_eq!(told[name], value, "{name}");
    }
    for (name, value) in [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_SESV2", endpoint),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", endpoint),
        ("AWS_SAM_LOCAL", "true"),
        // What is given counts.
        ("CODE_ALPHABET", "letters"),
    ] {
        assert_eq!(told["Environment"]["Variables"][name], value, "{name}");
    }

    let invoke = async |function: &str, event: &'static str| {
        let reply = pool.http.post(url(function, "invocations")).body(event).send().await.unwrap();
        let header = |name: &str| reply.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let error = header("x-amz-function-error").or(header("x-amzn-errortype"));
        (reply.status().as_u16(), error, reply.json::<Value>().await.unwrap())
    };
    for function in ["pre-sign-up", "pre-sign-up:live", "arn:aws:lambda:eu-west-1:000000000000:function:pre-sign-up"] {
        assert_eq!(invoke(function, "\"one\"").await, (200, None, json!("one")));
    }
    let unhandled = Some("Unhandled".to_owned());
    assert_eq!(invoke("pre-sign-up", "\"fail\"").await, (200, unhandled, json!({"errorMessage": "no"})));
    let missing = Some("ResourceNotFoundException".to_owned());
    let reply = json!({"Type": "User", "Message": "Function not found: other"});
    assert_eq!(invoke("other", "{}").await, (404, missing, reply));
}

/// Functions elsewhere, all of which reply this.
async fn elsewhere(reply: &'static str) -> LambdaEndpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(async move || reply);
    tokio::spawn(async move { axum::serve(listener, app).await });
    LambdaEndpoint::new(&url).unwrap()
}

#[tokio::test]
async fn a_reply_that_is_none_is_explained_and_every_event_is_recorded() {
    let rule = "a reply is the whole event, with the known members of response filled, each of its type";
    for (reply, error, lines) in [
        ("[]", "Unrecognizable lambda output", vec![format!("[pre-sign-up] Unrecognizable lambda output: {rule}")]),
        (r#"{"errorMessage": "no"}"#, "PreSignUp failed with error no.", Vec::new()),
    ] {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("record-of-a-server");
        let _ = fs::remove_dir_all(&folder);
        let endpoint = elsewhere(reply).await;
        let pool = try_start(|options| {
            options.lambda_endpoint = Some(endpoint);
            options.triggers.insert(Trigger::PreSignUp, "pre-sign-up".to_owned());
            options.record = Some(folder.clone());
        });
        let pool = pool.await.unwrap();
        assert_eq!(
            pool.call("SignUp", json!({"Username": "zoe@example.com", "Password": "Correct horse 1"}))
                .await
                .unwrap_err(),
            error
        );
        assert_eq!(*pool.lines.lock().unwrap(), lines);
        let recorded = fs::read_to_string(folder.join("pre-sign-up/0001.json")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&recorded).unwrap()["triggerSource"], "PreSignUp_SignUp");
    }
}

#[tokio::test]
async fn the_function_of_a_trigger_gets_the_version_of_events_that_the_settings_say() {
    for (settings, expected) in [
        (json!({}), json!({})),
        (
            json!({"PreTokenGenerationConfig": {"LambdaVersion": "V2_0"}}),
            json!({"PreTokenGenerationConfig": {"LambdaVersion": "V2_0", "LambdaArn": arn("tokens")}}),
        ),
    ] {
        let pool = try_start(|options| {
            options.lambda_endpoint = Some(LambdaEndpoint::new("http://127.0.0.1:1").unwrap());
            options.pool_settings.insert("LambdaConfig".to_owned(), settings);
            // Also with other triggers before and after it.
            for (trigger, function) in [
                (Trigger::PreSignUp, "before"),
                (Trigger::PreTokenGeneration, "tokens"),
                (Trigger::PostAuthentication, "after"),
            ] {
                options.triggers.insert(trigger, function.to_owned());
            }
        });
        let described = pool.await.unwrap().call("DescribeUserPool", json!({})).await.unwrap();
        let mut all = expected;
        for (name, function) in
            [("PreSignUp", "before"), ("PreTokenGeneration", "tokens"), ("PostAuthentication", "after")]
        {
            all[name] = json!(arn(function));
        }
        assert_eq!(described["UserPool"]["LambdaConfig"], all);
    }
}

/// This test program starts a pool inside Lambda, when it is told to by the test below.
#[tokio::test]
async fn the_pool() {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        println!("{}", bind(0).await.unwrap_err());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", Server::start(Options::new(listener, Arc::new(|_: &str, _: &str| ()))).await.err().unwrap());
    }
}

#[test]
fn inside_lambda_there_is_neither_a_port_nor_a_pool() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "server::the_pool", "--nocapture"])
        .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let refusals = stdout.matches("the local pool is for development and does not run inside Lambda").count();
    assert!(output.status.success() && refusals == 2, "{output:?}");
}

#[tokio::test]
async fn a_port_that_cannot_be_had_says_what_to_do_if_it_is_in_use() {
    let taken = bind(0).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let what_to_do = "stop what runs there, or choose another with --port (0: a free one)";
    assert_eq!(bind(port).await.unwrap_err().to_string(), format!("port {port} is in use: {what_to_do}"));
    let other = ServerError::Port(80, io::ErrorKind::PermissionDenied.into());
    assert_eq!(other.to_string(), "cannot listen on 127.0.0.1:80: permission denied");
}

#[tokio::test]
async fn t48_f62_what_cannot_start_says_why() {
    let error = async |change: fn(&mut Options)| try_start(change).await.err().unwrap();
    let no_function = |options: &mut Options| {
        options.triggers.insert(Trigger::PreSignUp, "pre-sign-up".to_owned());
    };
    assert_eq!(
        error(no_function).await,
        "PreSignUp has the function pre-sign-up, which does not run here, and there is no Lambda endpoint"
    );
    let client = |options: &mut Options| {
        options.client_settings.insert("AuthSessionValidity".to_owned(), json!(2));
    };
    let constraint = "failed to satisfy constraint: Member must have value between 3 and 15";
    assert_eq!(
        error(client).await,
        format!("the pool cannot be set up: 1 validation error detected: Value at 'authSessionValidity' {constraint}")
    );
    let triggers = |options: &mut Options| {
        options.pool_settings.insert("LambdaConfig".to_owned(), json!("x"));
        pre_sign_up(options, "serve");
    };
    let not_readable = "The request is not the JSON that this operation takes.";
    assert_eq!(error(triggers).await, format!("the pool cannot be set up: {not_readable}"));
    let open = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let message = Server::start(Options::new(open, Arc::new(|_: &str, _: &str| ()))).await.err().unwrap().to_string();
    assert!(
        message.starts_with("the local pool listens on this machine's loopback only, not on 0.0.0.0:"),
        "{message}"
    );
    let record = |options: &mut Options| options.record = Some("/dev/null/fixtures".into());
    assert!(error(record).await.starts_with("cannot record into /dev/null/fixtures: "));
    let state = |options: &mut Options| options.state = Some("/nowhere/state.json".into());
    let message = error(state).await;
    assert!(message.starts_with("/nowhere/state.json cannot be used as a state file ("), "{message}");
}

fn file(name: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&file);
    file
}

#[tokio::test]
async fn a_pool_that_is_kept_in_a_file_goes_on_where_it_was() {
    let file = file("state.json");
    // What a run that was killed has left, or somebody has put there for others to read.
    fs::write(file.with_file_name("state.json.new"), "").unwrap();
    let start = async || {
        let pool = try_start(|options| {
            options.state = Some(file.clone());
            // Only the first start makes the client.
            options.client_secret = (!file.exists()).then(|| "a secret".to_owned());
            let flows = json!(["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]);
            options.client_settings.insert("ExplicitAuthFlows".to_owned(), flows);
        });
        pool.await.unwrap()
    };
    let pool = start().await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "it holds private keys");
    }
    pool.call("AdminCreateUser", json!({"Username": "zoe@example.com"})).await.unwrap();
    let password = json!({"Username": "zoe@example.com", "Password": "Correct horse 1", "Permanent": true});
    pool.call("AdminSetUserPassword", password).await.unwrap();
    pool.call("UpdateUserPool", json!({"UserPoolTags": {"team": "sign-in"}})).await.unwrap();
    let client = async |pool: &Running| {
        let client = pool.call("DescribeUserPoolClient", json!({})).await.unwrap()["UserPoolClient"].clone();
        assert_eq!(client["ClientSecret"], "a secret");
        client
    };
    let before = client(&pool).await;
    let hash = |name: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"a secret").unwrap();
        mac.update(name.as_bytes());
        mac.update(pool.addresses.client_id.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    };
    let user = pool.call("AdminGetUser", json!({"Username": "zoe@example.com"})).await.unwrap();
    let own_hash = hash(user["Username"].as_str().unwrap());
    let sign_in = json!({
        "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
        "AuthParameters": {
            "USERNAME": "zoe@example.com", "PASSWORD": "Correct horse 1", "SECRET_HASH": hash("zoe@example.com"),
        },
    });
    let tokens = async |pool: &Running| {
        pool.call("AdminInitiateAuth", sign_in.clone()).await.unwrap()["AuthenticationResult"].clone()
    };
    let (kept, revoked) = (tokens(&pool).await, tokens(&pool).await);
    pool.call("RevokeToken", json!({"Token": revoked["RefreshToken"], "ClientSecret": "a secret"})).await.unwrap();
    let jwks =
        async |pool: &Running| pool.http.get(pool.addresses.jwks_uri()).send().await.unwrap().text().await.unwrap();
    let keys = jwks(&pool).await;
    drop(pool);

    // Which functions there are, the new run says.
    let other = try_start(|options| {
        options.state = Some(file.clone());
        options.lambda_endpoint = Some(LambdaEndpoint::new("http://127.0.0.1:1").unwrap());
        options.triggers.insert(Trigger::PreSignUp, "pre-sign-up".to_owned());
    });
    let described = other.await.unwrap().call("DescribeUserPool", json!({})).await.unwrap();
    let arn = "arn:aws:lambda:eu-west-1:000000000000:function:pre-sign-up";
    assert_eq!(described["UserPool"]["LambdaConfig"], json!({"PreSignUp": arn}));

    let pool = start().await;
    assert_eq!(jwks(&pool).await, keys);
    let described = pool.call("DescribeUserPool", json!({})).await.unwrap();
    assert_eq!(described["UserPool"]["UserPoolTags"], json!({"team": "sign-in"}));
    let refresh = |tokens: &Value| {
        let parameters = json!({"REFRESH_TOKEN": tokens["RefreshToken"], "SECRET_HASH": own_hash});
        json!({"AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": parameters})
    };
    assert_eq!(client(&pool).await, before);
    assert!(pool.call("InitiateAuth", refresh(&kept)).await.is_ok());
    assert_eq!(pool.call("InitiateAuth", refresh(&revoked)).await.unwrap_err(), "Refresh Token has been revoked");
    tokens(&pool).await;
    drop(pool);

    assert!(!fs::read_to_string(&file).unwrap().contains("Correct horse"));
    assert!(!file.with_file_name("state.json.new").exists());
    for (text, why) in [("", "EOF while parsing a value"), ("{}", "missing field `settings`"), ("[", "EOF")] {
        fs::write(&file, text).unwrap();
        let error = try_start(|options| options.state = Some(file.clone())).await.err().unwrap();
        let expected = format!("{} cannot be used as a state file ({why}", file.display());
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[tokio::test]
async fn calls_at_once_all_end_up_in_the_file() {
    let file = file("state-at-once.json");
    let pool = try_start(|options| options.state = Some(file.clone())).await.unwrap();
    let sign_up = async |n: u32| {
        pool.call("SignUp", json!({"Username": format!("user{n}@example.com"), "Password": "Correct horse 1"}))
            .await
            .unwrap();
        // As soon as a call is answered, it is in the file.
        assert!(fs::read_to_string(&file).unwrap().contains(&format!("user{n}@example.com")));
    };
    futures_util::future::join_all((0..50).map(sign_up)).await;
    drop(pool);
    let pool = try_start(|options| options.state = Some(file.clone())).await.unwrap();
    let described = pool.call("DescribeUserPool", json!({})).await.unwrap();
    assert_eq!(described["UserPool"]["EstimatedNumberOfUsers"], 51);
}

#[tokio::test]
async fn permissions_to_invoke_are_given_told_and_taken_away() {
    let pool = try_start(|options| {
        options.lambda_endpoint = Some(LambdaEndpoint::new("http://127.0.0.1:1").unwrap());
        options.triggers.insert(Trigger::PreSignUp, "pre-sign-up".to_owned());
    })
    .await
    .unwrap();
    let url = |function: &str| format!("{}/2015-03-31/functions/{function}/policy", pool.addresses.endpoint);
    let policy = async |function: &str| {
        let reply = pool.http.get(url(function)).send().await.unwrap();
        let (status, kind) = (reply.status(), reply.headers().get("x-amzn-errortype").cloned());
        let reply: Value = reply.json().await.unwrap();
        if status != StatusCode::OK {
            return Err((status.as_u16(), kind.unwrap().to_str().unwrap().to_owned()));
        }
        Ok(serde_json::from_str::<Value>(reply["Policy"].as_str().unwrap()).unwrap()["Statement"].clone())
    };
    // One that is attached from the start may be invoked.
    assert_eq!(policy("pre-sign-up").await.unwrap()[0]["Principal"]["Service"], "cognito-idp.amazonaws.com");
    let missing = Err((404, "ResourceNotFoundException".to_owned()));
    assert_eq!(policy("other").await, missing);

    let statement = json!({
        "StatementId": "mine", "Action": "lambda:InvokeFunction", "Principal": "cognito-idp.amazonaws.com",
        "SourceArn": "arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_a", "SourceAccount": "111122223333",
    });
    let add = async |function: &str, statement: &Value| {
        let reply = pool.http.post(url(function)).body(statement.to_string()).send().await.unwrap();
        reply.status().as_u16()
    };
    // By name and by ARN; an alias has a policy of its own.
    let arn = "arn:aws:lambda:eu-west-1:000000000000:function:other";
    assert_eq!([add("other", &statement).await, add(arn, &statement).await], [201, 409]);
    assert_eq!(policy(&format!("{arn}:live")).await, missing);
    let expected = json!([{
        "Sid": "mine", "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn,
        "Principal": {"Service": "cognito-idp.amazonaws.com"},
        "Condition": {
            "ArnLike": {"AWS:SourceArn": "arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_a"},
            "StringEquals": {"AWS:SourceAccount": "111122223333"},
        },
    }]);
    assert_eq!(policy(arn).await, Ok(expected));
    let nameless = json!({"Action": "lambda:InvokeFunction"});
    let wrong_id = json!({"StatementId": "a b", "Action": "lambda:InvokeFunction", "Principal": "*"});
    assert_eq!([add("other", &nameless).await, add("other", &wrong_id).await], [400, 400]);

    let remove = async || {
        let reply = pool.http.delete(format!("{}/mine", url("other"))).send().await.unwrap();
        reply.status().as_u16()
    };
    assert_eq!([remove().await, remove().await], [204, 404]);
    assert_eq!(policy("other").await, missing);
    // An alias is the same one however it is written.
    assert_eq!(add("other:live", &statement).await, 201);
    let of_alias = policy(&format!("{arn}:live")).await.unwrap();
    assert_eq!(of_alias[0]["Resource"], format!("{arn}:live"));

    // Without an endpoint there are the functions that run here, and no others.
    let alone = try_start(|_| ()).await.unwrap();
    let url = format!("{}/2015-03-31/functions/other/configuration", alone.addresses.endpoint);
    assert_eq!(alone.http.get(url).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}
