//! The pool, its functions and its mailbox on one port of this machine.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use jiff::Timestamp;
use parking_lot::Mutex;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tower_http::cors::CorsLayer;

use crate::api::{ApiError, Call, not_readable};
use crate::invocation::{InvocationOptions, Invoker, LambdaEndpoint, Observer, function_name};
use crate::lambda::{Function, FunctionConfig, Invoked, LogSink, MAX_PAYLOAD, Program, StartError, request_id};
use crate::permissions::{Permissions, Refusal, Resource, not_found};
use crate::pool::{Invocation, Pool, PoolOptions, Step};
use crate::record::Recorder;
use crate::sealed::{SealingError, SealingKey};
use crate::ses::{self, Mail, Mailbox};
use crate::settings::{ClientSettings, PoolSettings};
use crate::state::StateFile;
use crate::tokens::{KeyError, TokenSigner};
use crate::trigger::Trigger;
use crate::users::Users;

/// The id of the pool's app client.
const CLIENT_ID: &str = "1localpoolclient2345678901";
/// Largest call of the user pool API, in bytes. AWS does not tell its own limit.
const MAX_CALL: usize = 1024 * 1024;

/// What the sign-in page may do: nothing with other servers. The mails that it shows are bound by this too, and have their
/// styles inline.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const CSS: (&str, &str) = ("content-type", "text/css; charset=utf-8");
const JAVASCRIPT: (&str, &str) = ("content-type", "text/javascript; charset=utf-8");

/// What a trigger's reply has to be.
const REPLY_RULE: &str = "a reply is the whole event, with the known members of response filled, each of its type";

/// What to run.
pub struct Options {
    /// Where to listen, on loopback; see [`bind`].
    pub listener: TcpListener,
    /// What the pool is called, and what AWS leaves open.
    pub pool: PoolOptions,
    /// Settings of the pool, as `UpdateUserPool` takes them. Triggers are attached beside these.
    pub pool_settings: Map<String, Value>,
    /// Settings of the app client, as `UpdateUserPoolClient` takes them.
    pub client_settings: Map<String, Value>,
    /// The app client's secret, if it has one.
    pub client_secret: Option<String>,
    /// Who there is.
    pub users: Users,
    /// The name or ARN of each trigger's function. The others are not attached.
    pub triggers: BTreeMap<Trigger, String>,
    /// The program of each function that runs on this machine, by name.
    pub programs: BTreeMap<String, Program>,
    /// Where the other functions are.
    pub lambda_endpoint: Option<LambdaEndpoint>,
    /// Variables for the functions on this machine, beside the ones that Lambda and the pool set.
    pub variables: BTreeMap<String, String>,
    /// How patiently functions are invoked.
    pub invocation: InvocationOptions,
    /// Where to write the events down.
    pub record: Option<PathBuf>,
    /// The file that the pool is kept in.
    pub state: Option<PathBuf>,
    /// Where the functions' lines go.
    pub logs: LogSink,
    /// Told of each invocation of a trigger.
    pub observer: Option<Observer>,
    /// What time it is for the pool. The functions go by the machine's.
    pub clock: Clock,
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

impl Options {
    /// A pool in which everybody who has an address of their own may sign in with a code, and in no other way. No function is
    /// attached, and nothing is kept.
    pub fn new(listener: TcpListener, logs: LogSink) -> Options {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        Options {
            listener,
            pool: PoolOptions::default(),
            pool_settings: object(json!({
                "AutoVerifiedAttributes": ["email"],
                "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
            })),
            client_settings: object(json!({
                "AuthSessionValidity": 15,
                "ExplicitAuthFlows": ["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
                "PreventUserExistenceErrors": "ENABLED",
            })),
            client_secret: None,
            users: Users::default(),
            triggers: BTreeMap::new(),
            programs: BTreeMap::new(),
            lambda_endpoint: None,
            variables: BTreeMap::new(),
            invocation: InvocationOptions::default(),
            record: None,
            state: None,
            logs,
            observer: None,
            clock: Arc::new(SystemTime::now),
        }
    }
}

/// Why the pool cannot start.
#[derive(Debug)]
pub enum ServerError {
    /// This is a Lambda function.
    InsideLambda,
    /// Others than this machine could call.
    NotLoopback(SocketAddr),
    /// The port cannot be had.
    Port(u16, io::Error),
    /// A function does not start.
    Function(StartError),
    /// A trigger has a function of this name, and there is none.
    NoFunction(Trigger, String),
    /// There are no keys to sign with.
    Key(KeyError),
    /// There are no keys to seal with.
    Seal(SealingError),
    /// The pool cannot have these settings.
    Settings(String),
    /// The state file cannot be used.
    State(PathBuf, String),
    /// There is no folder for fixtures.
    Record(PathBuf, io::Error),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::InsideLambda => {
                f.write_str("the local pool is for development and does not run inside Lambda")
            }
            ServerError::NotLoopback(address) => {
                write!(f, "the local pool listens on this machine's loopback only, not on {address}")
            }
            ServerError::Port(port, error) if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "port {port} is in use: stop what runs there, or choose another with --port (0: a free one)")
            }
            ServerError::Port(port, error) => write!(f, "cannot listen on 127.0.0.1:{port}: {error}"),
            ServerError::Function(error) => error.fmt(f),
            ServerError::NoFunction(trigger, name) => {
                write!(
                    f,
                    "{} has the function {name}, which does not run here, and there is no Lambda endpoint",
                    trigger.name()
                )
            }
            ServerError::Key(error) => error.fmt(f),
            ServerError::Seal(error) => error.fmt(f),
            ServerError::Settings(why) => write!(f, "the pool cannot be set up: {why}"),
            ServerError::State(path, why) => {
                write!(
                    f,
                    "{} cannot be used as a state file ({why}): choose another, or move it away to begin anew",
                    path.display()
                )
            }
            ServerError::Record(path, error) => write!(f, "cannot record into {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ServerError {}

/// The pool, ready to serve.
pub struct Server {
    listener: TcpListener,
    router: Router,
    addresses: Addresses,
    functions: Vec<String>,
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
    permissions: Mutex<Permissions>,
    invoker: Invoker,
    recorder: Option<Recorder>,
    state: Option<StateFile>,
    logs: LogSink,
    clock: Clock,
}

/// Takes a port on 127.0.0.1, a free one for 0.
///
/// # Errors
///
/// When it is taken, or this is a Lambda function.
pub async fn bind(port: u16) -> Result<TcpListener, ServerError> {
    refuse_lambda()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|error| ServerError::Port(port, error))
}

fn refuse_lambda() -> Result<(), ServerError> {
    match std::env::var_os("AWS_LAMBDA_RUNTIME_API") {
        Some(_) => Err(ServerError::InsideLambda),
        None => Ok(()),
    }
}

impl Server {
    /// Starts the functions.
    ///
    /// # Errors
    ///
    /// When a function does not start, the pool cannot be set up, or others than this machine could reach it.
    pub async fn start(options: Options) -> Result<Server, ServerError> {
        let Options { listener, triggers, programs, logs, .. } = options;
        let address = listener.local_addr().map_err(|error| ServerError::Port(0, error))?;
        if !address.ip().is_loopback() {
            return Err(ServerError::NotLoopback(address));
        }
        refuse_lambda()?;
        let addresses = Addresses {
            endpoint: format!("http://{address}"),
            region: options.pool.region.clone(),
            user_pool_id: options.pool.user_pool_id.clone(),
            client_id: CLIENT_ID.to_owned(),
        };
        let refused = |error: ApiError| ServerError::Settings(error.message);
        let mut settings = PoolSettings::new(&addresses.region, &addresses.user_pool_id);
        let mut pool_settings = options.pool_settings;
        let mut permissions = Permissions::default();
        for (trigger, function) in triggers {
            if options.lambda_endpoint.is_none() && !programs.contains_key(function_name(&function)) {
                return Err(ServerError::NoFunction(trigger, function));
            }
            let arn = if function.starts_with("arn:") {
                function
            } else {
                format!("arn:aws:lambda:{}:000000000000:function:{function}", addresses.region)
            };
            permit(&mut permissions, &addresses, &arn);
            attach(&mut pool_settings, trigger, arn);
        }
        settings.update(&pool_settings).map_err(refused)?;
        let mut client =
            ClientSettings::new(&addresses.user_pool_id, &addresses.client_id, options.client_secret.as_deref());
        client.update(&options.client_settings).map_err(refused)?;
        let key = || SealingKey::random(&mut UnwrapErr(SysRng)).map_err(ServerError::Seal);
        let tokens = TokenSigner::generate(addresses.issuer()).map_err(ServerError::Key)?;
        let mut pool = Pool::new(options.pool, settings, client, options.users, tokens, [key()?, key()?]);
        let state = options.state.map(StateFile::new);
        if let Some(state) = &state {
            let unusable = |why| ServerError::State(state.path().to_owned(), why);
            if let Some(kept) = state.load().map_err(unusable)? {
                pool = kept.restore(pool, addresses.issuer()).map_err(unusable)?;
                let path = state.path().display();
                logs("local-pool", &format!("{path} tells users, settings and keys; options about them do not count"));
            }
        }
        let recorder = options
            .record
            .map(|folder| Recorder::new(&folder).map_err(|error| ServerError::Record(folder, error)))
            .transpose()?;

        let mut functions = BTreeMap::new();
        for (name, program) in programs {
            let config = FunctionConfig {
                name: name.clone(),
                program,
                variables: function_variables(&addresses, &options.variables),
                // As functions are used to: longer than Cognito waits for them.
                timeout: options.invocation.timeout * 2,
                max_environments: 8,
                traced: true,
            };
            let function = Function::start(config, Arc::clone(&logs)).await.map_err(ServerError::Function)?;
            functions.insert(name, function);
        }
        let names = functions.keys().cloned().collect();
        let invoker = Invoker {
            functions,
            endpoint: options.lambda_endpoint,
            options: options.invocation,
            logs: Arc::clone(&logs),
            observer: options.observer,
        };
        let app = Arc::new(App {
            addresses: addresses.clone(),
            pool: Mutex::new(pool),
            mailbox: Mutex::default(),
            permissions: Mutex::new(permissions),
            invoker,
            recorder,
            state,
            logs,
            clock: options.clock,
        });
        // A file that cannot be written is better known now than after the first sign-up.
        app.save().map_err(|why| {
            let path = app.state.as_ref().map(|state| state.path().to_owned()).unwrap_or_default();
            ServerError::State(path, why)
        })?;
        Ok(Server { listener, router: router(app), addresses, functions: names })
    }

    /// Where everything is.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The names of the functions that run on this machine.
    pub fn functions(&self) -> &[String] {
        &self.functions
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

/// Attaches a function to a trigger in the pool's settings.
fn attach(settings: &mut Map<String, Value>, trigger: Trigger, arn: String) {
    let triggers = settings.entry("LambdaConfig").or_insert_with(|| json!({}));
    if !triggers.is_object() {
        return; // which the settings will refuse
    }
    // The version of the events may be set already.
    if trigger == Trigger::PreTokenGeneration && triggers["PreTokenGenerationConfig"].is_object() {
        triggers["PreTokenGenerationConfig"]["LambdaArn"] = arn.clone().into();
    }
    triggers[trigger.name()] = arn.into();
}

/// Lets the pool invoke a function, as a template does for those that it attaches.
fn permit(permissions: &mut Permissions, addresses: &Addresses, arn: &str) {
    let Addresses { region, user_pool_id, .. } = addresses;
    let statement = json!({
        "StatementId": "local-pool",
        "Action": "lambda:InvokeFunction",
        "Principal": "cognito-idp.amazonaws.com",
        "SourceArn": format!("arn:aws:cognito-idp:{region}:000000000000:userpool/{user_pool_id}"),
        "SourceAccount": "000000000000",
    });
    // It is there already if the function has another trigger too.
    let _ = permissions.add(&Resource::new(region, arn, None), &statement);
}

/// What the functions need in order to talk to us instead of AWS.
fn function_variables(addresses: &Addresses, given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let ours = [
        ("AWS_REGION", addresses.region.as_str()),
        // Which is the one that Python's SDK reads.
        ("AWS_DEFAULT_REGION", addresses.region.as_str()),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_SESSION_TOKEN", "local"),
        ("AWS_ENDPOINT_URL_SESV2", &addresses.endpoint),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &addresses.endpoint),
        ("SES_FROM_ADDRESS", "Example <sign-in@example.com>"),
        // The codes of a deployment with a table, also without one: nobody attacks this machine.
        ("CODE_ALPHABET", "digits"),
        ("ACCEPT_RISK", "1"),
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
        .route("/", post(user_pool_api).get(page))
        .route("/page.css", get(async || ([CSS], include_str!("page/page.css"))))
        .route("/page.js", get(async || ([JAVASCRIPT], include_str!("page/page.js"))))
        .route("/words.js", get(async || ([JAVASCRIPT], include_str!("page/words.js"))))
        .layer(DefaultBodyLimit::max(MAX_CALL))
        .route(&format!("/{pool_id}/.well-known/jwks.json"), get(jwks))
        .route(&format!("/{pool_id}/.well-known/openid-configuration"), get(openid_configuration))
        .layer(cors);
    let private = Router::new()
        .route("/mailbox", get(mailbox))
        .route("/local-pool.json", get(local_pool))
        .route("/v2/email/outbound-emails", post(send_email))
        .route("/v2/email/account", get(async || Json(ses::account())))
        .route("/v2/email/identities/{name}", get(async |Path(name): Path<String>| Json(ses::identity(&name))))
        .route(
            "/v2/email/configuration-sets/{name}",
            get(async |Path(name): Path<String>| Json(ses::configuration_set(&name))),
        )
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .route("/2015-03-31/functions/{name}/configuration", get(function_configuration))
        .route("/2015-03-31/functions/{name}/policy", get(policy).post(add_permission))
        .route("/2015-03-31/functions/{name}/policy/{id}", delete(remove_permission))
        .layer(DefaultBodyLimit::max(MAX_PAYLOAD))
        .layer(from_fn(refuse_other_origins));
    public.merge(private).layer(from_fn(refuse_other_hosts)).with_state(app)
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
    if is_of_other_origin(request.headers()) {
        let why = "this part of the local pool is not for pages of other origins\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    next.run(request).await
}

/// Whether a page of another origin makes a request.
fn is_of_other_origin(headers: &HeaderMap) -> bool {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let ours = header("host").map(|host| format!("http://{host}"));
    header("origin").is_some_and(|origin| Some(origin) != ours.as_deref())
}

/// Whether a request has a signature (AWS Signature Version 4). Nobody knows whether it is right.
fn is_signed(headers: &HeaderMap) -> bool {
    headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256 "))
}

async fn page() -> impl IntoResponse {
    ([("content-security-policy", PAGE_POLICY)], Html(include_str!("page/index.html")))
}

async fn user_pool_api(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    // Since anybody can sign here, pages of others cannot: they may make the calls that need no signature.
    let has_signature = is_signed(&headers) && !is_of_other_origin(&headers);
    let reply = match body.map_err(|error| unreadable(&error)).and_then(|body| Call::read(target, &body, has_signature))
    {
        // Cognito goes on when a client hangs up.
        Ok(call) => tokio::spawn(async move { app.answer(&call).await })
            .await
            .unwrap_or_else(|_| Err(ApiError::internal(&"the call ended without a word"))),
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
                "RequestEntityTooLargeException" => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, headers, error.body().to_string()).into_response()
        }
    }
}

/// The error for a body that was not read to its end.
fn unreadable(error: &BytesRejection) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let message = format!("Request must be smaller than {MAX_CALL} bytes.");
        return ApiError::new("RequestEntityTooLargeException", &message);
    }
    not_readable()
}

impl App {
    /// Drives the pool's state machine: invokes the triggers that it asks for until it has a reply.
    async fn answer(self: &Arc<Self>, call: &Call) -> Result<Value, ApiError> {
        let now = || (self.clock)().into();
        let rng = &mut UnwrapErr(SysRng);
        let mut step = self.pool.lock().handle(call, now(), rng);
        let reply = loop {
            step = match step {
                Step::Reply(reply) => break reply,
                Step::Invoke(invocation) => {
                    let Invocation { trigger, function, event, then } = *invocation;
                    self.record(trigger, &event);
                    let outcome = self.invoker.invoke_trigger(trigger, &function, &event).await;
                    let step = self.pool.lock().resume(then, outcome, now(), rng);
                    if let Step::Reply(Err(error)) = &step
                        && error.kind == "InvalidLambdaResponseException"
                    {
                        (self.logs)(function_name(&function), &format!("{}: {REPLY_RULE}", error.message));
                    }
                    step
                }
            };
        };
        for letter in self.pool.lock().take_letters() {
            self.mailbox.lock().put(letter, Timestamp::now());
        }
        let app = Arc::clone(self);
        let saved =
            tokio::task::spawn_blocking(move || app.save()).await.unwrap_or_else(|error| Err(error.to_string()));
        if let Err(error) = saved {
            (self.logs)("local-pool", &format!("cannot write the state file: {error}"));
        }
        reply
    }

    fn record(&self, trigger: Trigger, event: &Value) {
        if let Some(recorder) = &self.recorder
            && let Err(error) = recorder.record(trigger, event)
        {
            (self.logs)("local-pool", &format!("cannot record an event: {error}"));
        }
    }

    fn save(&self) -> Result<(), String> {
        self.state.as_ref().map_or(Ok(()), |state| state.save(&self.pool))
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

/// Which mails to show: all of them, or those to one address.
#[derive(Deserialize)]
struct Shown {
    to: Option<String>,
}

async fn mailbox(State(app): State<Arc<App>>, Query(shown): Query<Shown>) -> Json<Vec<Mail>> {
    let is_shown = |mail: &&Mail| shown.to.as_ref().is_none_or(|to| mail.to == *to);
    Json(app.mailbox.lock().mails().filter(is_shown).cloned().collect())
}

async fn local_pool(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.addresses.to_json())
}

async fn send_email(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> (StatusCode, Json<Value>) {
    if !is_signed(&headers) {
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
    let Some(function) = app.invoker.functions.get(function_name(&name)) else {
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

/// Which alias or version of a function a request is about.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Qualified {
    qualifier: Option<String>,
}

impl App {
    /// The function that a request is about, if it runs here or elsewhere.
    fn resource(&self, name: &str, qualified: &Qualified) -> Result<Resource, Refusal> {
        let resource = Resource::new(&self.addresses.region, name, qualified.qualifier.as_deref());
        if self.invoker.functions.contains_key(resource.name()) || self.invoker.endpoint.is_some() {
            return Ok(resource);
        }
        Err(not_found(&format!("Function not found: {}", resource.arn())))
    }
}

/// What Lambda answers when it does not do something.
fn refused((status, kind, message): Refusal) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, [("x-amzn-errortype", kind)], Json(json!({"Type": "User", "Message": message}))).into_response()
}

/// Lambda's `GetFunctionConfiguration`.
async fn function_configuration(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(qualified): Query<Qualified>,
) -> Response {
    let resource = match app.resource(&name, &qualified) {
        Ok(resource) => resource,
        Err(refusal) => return refused(refusal),
    };
    let mut configuration = json!({
        "FunctionName": resource.name(),
        "FunctionArn": resource.arn(),
        "State": "Active",
        "LastUpdateStatus": "Successful",
    });
    // Of others there is nothing to tell.
    if let Some(function) = app.invoker.functions.get(resource.name()) {
        configuration["Timeout"] = json!(function.config().timeout.as_secs());
        configuration["Environment"] = json!({"Variables": function.config().variables});
    }
    Json(configuration).into_response()
}

/// Lambda's `GetPolicy`.
async fn policy(State(app): State<Arc<App>>, Path(name): Path<String>, Query(qualified): Query<Qualified>) -> Response {
    let policy = app.resource(&name, &qualified).and_then(|resource| app.permissions.lock().policy(&resource));
    policy.map_or_else(refused, |policy| Json(json!({"Policy": policy.to_string(), "RevisionId": "1"})).into_response())
}

/// Lambda's `AddPermission`.
async fn add_permission(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(qualified): Query<Qualified>,
    body: Bytes,
) -> Response {
    let request = serde_json::from_slice(&body).unwrap_or_default();
    let added = app.resource(&name, &qualified).and_then(|resource| app.permissions.lock().add(&resource, &request));
    let told =
        |statement: Value| (StatusCode::CREATED, Json(json!({"Statement": statement.to_string()}))).into_response();
    added.map_or_else(refused, told)
}

/// Lambda's `RemovePermission`.
async fn remove_permission(
    State(app): State<Arc<App>>,
    Path((name, id)): Path<(String, String)>,
    Query(qualified): Query<Qualified>,
) -> Response {
    let removed = app.resource(&name, &qualified).and_then(|resource| app.permissions.lock().remove(&resource, &id));
    removed.map_or_else(refused, |()| StatusCode::NO_CONTENT.into_response())
}
