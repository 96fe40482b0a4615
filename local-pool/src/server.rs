//! The pool, its functions and its mailbox on one port of this machine.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use parking_lot::Mutex;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tower_http::cors::CorsLayer;

use crate::api::{ApiError, Call};
use crate::lambda::{Function, FunctionConfig, Invoked, LogSink, MAX_PAYLOAD, StartError, request_id};
use crate::pool::{Pool, PoolConfig, Step};
use crate::ses::{Mail, Mailbox};
use crate::tokens::{KeyError, TokenSigner};
use crate::trigger::{Outcome, Trigger};
use crate::users::Users;

/// How long Cognito waits for a trigger.
const TRIGGER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often Cognito calls a trigger that does not answer in time.
const TRIGGER_TRIES: u32 = 3;

/// What to run.
pub struct Options {
    /// Where to listen; see [`bind`].
    pub listener: TcpListener,
    /// Who there is.
    pub users: Users,
    /// The program of each function, by name.
    pub programs: BTreeMap<&'static str, PathBuf>,
    /// Variables for the functions, beside the ones that Lambda and the pool set.
    pub variables: BTreeMap<String, String>,
    /// Where the functions' lines go.
    pub logs: LogSink,
    /// Told of each invocation of a trigger: the event, and what came of it.
    pub observer: Option<Observer>,
}

/// Told of each invocation of a trigger.
pub type Observer = Arc<dyn Fn(Trigger, &Value, &Outcome) + Send + Sync>;

/// Why the pool cannot start.
#[derive(Debug)]
pub enum ServerError {
    /// This is a Lambda function.
    InsideLambda,
    /// The port cannot be had.
    Port(u16, io::Error),
    /// A function does not start.
    Function(StartError),
    /// There are no keys to sign with.
    Key(KeyError),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::InsideLambda => {
                f.write_str("the local pool is for development and does not run inside Lambda")
            }
            ServerError::Port(port, error) if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "port {port} is in use: stop what runs there, or choose another with --port (0: a free one)")
            }
            ServerError::Port(port, error) => write!(f, "cannot listen on 127.0.0.1:{port}: {error}"),
            ServerError::Function(error) => error.fmt(f),
            ServerError::Key(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServerError {}

/// The pool, ready to serve.
pub struct Server {
    listener: TcpListener,
    router: Router,
    addresses: Addresses,
}

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The user pool API, and the sign-in page.
    pub endpoint: String,
    /// The region in the pool's id.
    pub region: String,
    /// The pool's id.
    pub user_pool_id: String,
    /// The id of its app client.
    pub client_id: String,
}

impl Addresses {
    /// The `iss` of the tokens. With AWS it is the same path at Cognito's address.
    pub fn issuer(&self) -> String {
        format!("{}/{}", self.endpoint, self.user_pool_id)
    }

    /// The public keys of the tokens.
    pub fn jwks_uri(&self) -> String {
        format!("{}/.well-known/jwks.json", self.issuer())
    }

    /// The mails as JSON, newest first.
    pub fn mailbox(&self) -> String {
        format!("{}/mailbox", self.endpoint)
    }

    /// All of them, for scripts.
    pub fn to_json(&self) -> Value {
        json!({
            "endpoint": self.endpoint,
            "region": self.region,
            "userPoolId": self.user_pool_id,
            "clientId": self.client_id,
            "jwksUri": self.jwks_uri(),
            "mailbox": self.mailbox(),
            "lambdaEndpoint": self.endpoint,
        })
    }
}

struct App {
    addresses: Addresses,
    pool: Mutex<Pool>,
    mailbox: Mutex<Mailbox>,
    functions: BTreeMap<String, Arc<Function>>,
    logs: LogSink,
    observer: Option<Observer>,
}

/// Takes a port on 127.0.0.1, a free one for 0.
///
/// # Errors
///
/// When it is taken, or this is a Lambda function.
pub async fn bind(port: u16) -> Result<TcpListener, ServerError> {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        return Err(ServerError::InsideLambda);
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|error| ServerError::Port(port, error))
}

impl Server {
    /// Starts the functions.
    ///
    /// # Errors
    ///
    /// When a function does not start.
    pub async fn start(options: Options) -> Result<Server, ServerError> {
        let listener = options.listener;
        let address = listener.local_addr().map_err(|error| ServerError::Port(0, error))?;
        let endpoint = format!("http://{address}");
        let addresses = Addresses {
            endpoint,
            region: "eu-west-1".to_owned(),
            user_pool_id: "eu-west-1_LocalPool".to_owned(),
            client_id: "1localpoolclient2345678901".to_owned(),
        };

        let mut functions = BTreeMap::new();
        for (name, program) in &options.programs {
            let config = FunctionConfig {
                name: (*name).to_owned(),
                program: program.clone(),
                arguments: Vec::new(),
                variables: function_variables(&addresses, &options.variables),
                timeout: TRIGGER_TIMEOUT,
                max_environments: 8,
            };
            let function = Function::start(config, Arc::clone(&options.logs)).await.map_err(ServerError::Function)?;
            functions.insert((*name).to_owned(), function);
        }

        let config = PoolConfig {
            region: addresses.region.clone(),
            user_pool_id: addresses.user_pool_id.clone(),
            client_id: addresses.client_id.clone(),
            session_validity: 15 * 60,
            prevent_user_existence_errors: true,
            pre_authentication_in_custom_flow: false,
        };
        let tokens = TokenSigner::generate(addresses.issuer()).map_err(ServerError::Key)?;
        let app = Arc::new(App {
            addresses: addresses.clone(),
            pool: Mutex::new(Pool::new(config, options.users, tokens)),
            mailbox: Mutex::default(),
            functions,
            logs: options.logs,
            observer: options.observer,
        });
        Ok(Server { listener, router: router(app), addresses })
    }

    /// Where everything is.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Serves until `stop` is ready. The functions end with it.
    ///
    /// # Errors
    ///
    /// When the socket fails.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> io::Result<()> {
        // Not graceful: a client that keeps a connection, or waits for a trigger, would hold us up.
        tokio::select! {
            served = axum::serve(self.listener, self.router) => served,
            () = stop => Ok(()),
        }
    }
}

/// What the functions need in order to talk to us instead of AWS.
fn function_variables(addresses: &Addresses, given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let ours = [
        ("AWS_REGION", addresses.region.as_str()),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_SESSION_TOKEN", "local"),
        ("AWS_ENDPOINT_URL_SESV2", &addresses.endpoint),
        ("SES_FROM_ADDRESS", "sign-in@example.com"),
        // As in `sam local`: this is not AWS, and the key of the event fixtures may be used.
        ("AWS_SAM_LOCAL", "true"),
    ];
    let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
    ours.into_iter().chain(given.clone()).collect()
}

fn router(app: Arc<App>) -> Router {
    // Browsers may call what AWS lets them call.
    let cors = CorsLayer::permissive().expose_headers(
        ["x-amzn-requestid", "x-amzn-errortype", "x-amzn-errormessage", "date"].map(HeaderName::from_static),
    );
    let pool_id = &app.addresses.user_pool_id;
    let public = Router::new()
        .route("/", post(user_pool_api).get(async || Html(include_str!("page.html"))))
        .route(&format!("/{pool_id}/.well-known/jwks.json"), get(jwks))
        .route(&format!("/{pool_id}/.well-known/openid-configuration"), get(openid_configuration))
        .layer(cors);
    let private = Router::new()
        .route("/mailbox", get(mailbox))
        .route("/local-pool.json", get(local_pool))
        .route("/v2/email/outbound-emails", post(send_email))
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .layer(from_fn(refuse_other_origins));
    public.merge(private).layer(from_fn(refuse_other_hosts)).layer(DefaultBodyLimit::max(MAX_PAYLOAD)).with_state(app)
}

/// Refuses requests for a name that is not this machine's own: a page of a stranger's can have its name point here, and
/// would then be let read the mailbox.
async fn refuse_other_hosts(request: Request, next: Next) -> Response {
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if ["127.0.0.1", "localhost"].contains(&name) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "the local pool answers to 127.0.0.1 and localhost only\n").into_response()
}

/// Refuses requests that a page of another origin makes. Clients that are no browsers name no origin.
async fn refuse_other_origins(request: Request, next: Next) -> Response {
    let is_other = {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let ours = header("host").map(|host| format!("http://{host}"));
        header("origin").is_some_and(|origin| Some(origin) != ours.as_deref())
    };
    if is_other {
        let why = "this part of the local pool is not for pages of other origins\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    next.run(request).await
}

async fn user_pool_api(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let reply = match Call::read(target, &body) {
        Ok(call) => app.answer(call).await,
        Err(error) => Err(error),
    };
    let mut headers = HeaderMap::new();
    let mut add = |name, value: &str| {
        // A message may hold what no header can; then it is in the body alone.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    add("content-type", "application/x-amz-json-1.1");
    add("x-amzn-requestid", &request_id());
    match reply {
        Ok(body) => (headers, body.to_string()).into_response(),
        Err(error) => {
            add("x-amzn-errortype", &format!("{}:", error.kind));
            add("x-amzn-errormessage", &error.message);
            let status = match error.kind {
                "InternalErrorException" => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, headers, error.body().to_string()).into_response()
        }
    }
}

impl App {
    /// Drives the pool's state machine: invokes the triggers that it asks for until it has a reply.
    async fn answer(&self, call: Call) -> Result<Value, ApiError> {
        let now = || SystemTime::now().into();
        let mut step = self.pool.lock().handle(call, now());
        loop {
            match step {
                Step::Reply(reply) => return reply,
                Step::Invoke(invocation) => {
                    let outcome = self.invoke_trigger(invocation.trigger, &invocation.event).await;
                    if let Some(observer) = &self.observer {
                        observer(invocation.trigger, &invocation.event, &outcome);
                    }
                    step = self.pool.lock().resume(invocation.then, outcome, now(), &mut UnwrapErr(SysRng));
                }
            }
        }
    }

    /// Invokes a trigger as Cognito does: it waits 5 s, and then calls it again with the same event.
    async fn invoke_trigger(&self, trigger: Trigger, event: &Value) -> Outcome {
        let Some(function) = self.functions.get(trigger.function()) else {
            return Outcome::Unreachable("ResourceNotFoundException".to_owned());
        };
        let event = Bytes::from(event.to_string());
        for attempt in 1..=TRIGGER_TRIES {
            match timeout(TRIGGER_TIMEOUT, function.invoke(event.clone())).await {
                Ok(Invoked::Returned(reply)) => return Outcome::Returned(reply.into()),
                Ok(Invoked::Failed(error)) => {
                    let error: Value = serde_json::from_slice(&error).unwrap_or_default();
                    return Outcome::Failed(error["errorMessage"].as_str().unwrap_or("Unknown error").to_owned());
                }
                Err(_) => {
                    let line =
                        format!("no answer within {} s, try {attempt} of {TRIGGER_TRIES}", TRIGGER_TIMEOUT.as_secs());
                    (self.logs)(function.name(), &line);
                }
            }
        }
        Outcome::TimedOut
    }
}

async fn jwks(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.pool.lock().jwks())
}

async fn openid_configuration(State(app): State<Arc<App>>) -> Json<Value> {
    let addresses = &app.addresses;
    Json(json!({
        "issuer": addresses.issuer(),
        "jwks_uri": addresses.jwks_uri(),
        "id_token_signing_alg_values_supported": ["RS256"],
        "subject_types_supported": ["public"],
        "response_types_supported": ["code", "token"],
    }))
}

async fn mailbox(State(app): State<Arc<App>>) -> Json<Vec<Mail>> {
    Json(app.mailbox.lock().mails().cloned().collect())
}

async fn local_pool(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.addresses.to_json())
}

async fn send_email(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> (StatusCode, Json<Value>) {
    let signed = headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256 "));
    if !signed {
        let error = json!({"__type": "MissingAuthenticationTokenException", "message": "Missing Authentication Token"});
        return (StatusCode::FORBIDDEN, Json(error));
    }
    match app.mailbox.lock().send_email(&body, Timestamp::now()) {
        Ok(mail) => (StatusCode::OK, Json(json!({"MessageId": format!("local-{}", mail.at.as_nanosecond())}))),
        Err(error) => (StatusCode::BAD_REQUEST, Json(error.body())),
    }
}

/// Lambda's Invoke operation, synchronous.
async fn invoke(State(app): State<Arc<App>>, Path(name): Path<String>, event: Bytes) -> Response {
    let Some(function) = app.functions.get(&name) else {
        let error = json!({"Type": "User", "Message": format!("Function not found: {name:.64}")});
        return (StatusCode::NOT_FOUND, [("x-amzn-errortype", "ResourceNotFoundException")], Json(error))
            .into_response();
    };
    let version = ("x-amz-executed-version", "$LATEST");
    match function.invoke(event).await {
        Invoked::Returned(reply) => ([version], reply).into_response(),
        Invoked::Failed(error) => ([version, ("x-amz-function-error", "Unhandled")], error).into_response(),
    }
}
