//! A local pool on this machine with the real functions, which are invoked through a Lambda of our own: whoever measures can come
//! between, before and after each of them.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use local_pool::build;
use local_pool::invocation::LambdaEndpoint;
use local_pool::lambda::{Function, FunctionConfig, Invoked, LogSink, Program};
use local_pool::pool::PoolOptions;
use local_pool::server::{Addresses, Options, Server, bind};
use local_pool::trigger::Trigger;
use local_pool::users::Users;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The key of all functions here.
pub(crate) const CODE_KEY: &str = "a-key-of-the-evidence-with-enough-characters";

/// Those of a sign-in by code alone, with all their functions.
pub(crate) const TRIGGERS: [Trigger; 3] =
    [Trigger::DefineAuthChallenge, Trigger::CreateAuthChallenge, Trigger::VerifyAuthChallengeResponse];

/// The program of each function.
pub(crate) type Programs = BTreeMap<&'static str, PathBuf>;

/// Builds the functions as this program was built itself.
///
/// # Errors
///
/// When they do not build.
pub(crate) async fn programs() -> Result<Programs> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    Ok(build::functions(workspace, profile, &TRIGGERS).await?)
}

/// What functions need to know in order to talk to the services at these addresses instead of AWS, and more.
pub(crate) fn variables(ses: &str, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let all = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_ENDPOINT_URL_SESV2", ses),
        ("SES_FROM_ADDRESS", "Example <sign-in@example.com>"),
        ("CODE_KEY", CODE_KEY),
        ("CODE_ALPHABET", "digits"),
        ("ACCEPT_RISK", "1"),
    ];
    all.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A function that is about to be started.
pub(crate) fn config(
    name: &str,
    program: &Path,
    variables: &BTreeMap<String, String>,
    max_environments: usize,
) -> FunctionConfig {
    FunctionConfig {
        name: name.to_owned(),
        program: Program::new(program),
        variables: variables.clone(),
        timeout: Duration::from_secs(10),
        max_environments,
        // Its id is what glibc would keep, where memory is looked at.
        traced: false,
    }
}

/// Functions by name.
pub(crate) type Functions = BTreeMap<&'static str, Arc<Function>>;

/// Starts a function of each program, with up to so many environments.
///
/// # Errors
///
/// When one does not start.
pub(crate) async fn start(
    programs: &Programs,
    variables: &BTreeMap<String, String>,
    max_environments: usize,
    logs: &LogSink,
) -> Result<Functions> {
    let mut functions = Functions::new();
    for (name, program) in programs {
        let config = config(name, program, variables, max_environments);
        functions.insert(*name, Function::start(config, Arc::clone(logs)).await?);
    }
    Ok(functions)
}

/// Serves on a free port of this machine, until the runtime ends. The address.
///
/// # Errors
///
/// When there is no port.
pub(crate) async fn serve(router: Router) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// Where Lambda invokes a function, for routers.
pub(crate) const INVOKE: &str = "/2015-03-31/functions/{name}/invocations";
/// Where SES takes mails.
pub(crate) const SEND_EMAIL: &str = "/v2/email/outbound-emails";

/// What Lambda's Invoke operation answers.
pub(crate) enum Answer {
    Invoked(Invoked),
    /// All that may run are running.
    TooManyRequests,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Answer::Invoked(Invoked::Returned(reply)) => reply.into_response(),
            Answer::Invoked(Invoked::Failed(error)) => ([("x-amz-function-error", "Unhandled")], error).into_response(),
            Answer::TooManyRequests => {
                let body = json!({"Type": "User", "message": "Rate Exceeded."}).to_string();
                (StatusCode::TOO_MANY_REQUESTS, [("x-amzn-errortype", "TooManyRequestsException")], body)
                    .into_response()
            }
        }
    }
}

/// Starts a pool with these users (a users' file), whose functions are invoked at `lambda`. It serves until the runtime ends.
///
/// # Errors
///
/// When it does not start.
pub(crate) async fn pool(users: &str, lambda: &str, logs: LogSink) -> Result<Client> {
    pool_with(PoolOptions::default(), users, lambda, logs).await
}

/// The same, where something that AWS leaves open is otherwise.
///
/// # Errors
///
/// When it does not start.
pub(crate) async fn pool_with(pool: PoolOptions, users: &str, lambda: &str, logs: LogSink) -> Result<Client> {
    let mut options = Options::new(bind(0).await?, logs);
    options.users = Users::from_toml(users, &pool.user_pool_id, &mut UnwrapErr(SysRng))?;
    options.pool = pool;
    options.triggers = TRIGGERS.map(|trigger| (trigger, trigger.function().to_owned())).into();
    options.lambda_endpoint = Some(LambdaEndpoint::new(lambda)?);
    // What the pool remembers of each Session it forgets after this time: so it does not grow for longer than that.
    options.client_settings.insert("AuthSessionValidity".to_owned(), json!(3));
    let server = Server::start(options).await?;
    let addresses = server.addresses().clone();
    tokio::spawn(server.serve(std::future::pending()));
    Ok(Client { http: reqwest::Client::builder().no_proxy().build()?, addresses })
}

/// A client of the pool.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) addresses: Addresses,
}

/// What the pool replies.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// From the call to the end of the reply.
    pub(crate) took: Duration,
}

impl Client {
    /// # Errors
    ///
    /// When there is no reply, or no JSON in it.
    pub(crate) async fn initiate(&self, username: &str) -> reqwest::Result<Reply> {
        self.call("InitiateAuth", json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": username}})).await
    }

    /// # Errors
    ///
    /// When there is no reply, or no JSON in it.
    pub(crate) async fn respond(
        &self,
        session: &str,
        username: &str,
        answer: &str,
        metadata: Value,
    ) -> reqwest::Result<Reply> {
        let parameters = json!({
            "ChallengeName": "CUSTOM_CHALLENGE", "Session": session, "ClientMetadata": metadata,
            "ChallengeResponses": {"USERNAME": username, "ANSWER": answer},
        });
        self.call("RespondToAuthChallenge", parameters).await
    }

    async fn call(&self, operation: &str, mut parameters: Value) -> reqwest::Result<Reply> {
        parameters["ClientId"] = json!(self.addresses.client_id);
        let request = self.http.post(&self.addresses.endpoint).body(parameters.to_string());
        let request = request.header("x-amz-target", format!("AWSCognitoIdentityProviderService.{operation}"));
        let begun = Instant::now();
        let reply = request.send().await?;
        let status = reply.status().as_u16();
        let body = reply.json().await?;
        Ok(Reply { status, body, took: begun.elapsed() })
    }
}
