//! Functions, run as AWS Lambda runs them.
//!
//! An environment is one process that asks the Lambda Runtime API for an event, answers it, and asks for the next. A
//! function has as many environments as it has invocations at a time, up to a limit; an idle one is used again. A process
//! that fails or takes too long ends with its invocation, and the next invocation starts another.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::AppendHeaders;
use axum::routing::{get, post};
use parking_lot::Mutex;
use rand::Rng;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;
use uuid::Builder;

/// Longest time that a process may take until it asks for its first event, as in Lambda.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time to wait for the last lines of a process that has ended.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_millis(500);
/// Largest event and reply, in bytes, as in Lambda.
pub(crate) const MAX_PAYLOAD: usize = 6 * 1024 * 1024;

/// A program that asks the Lambda Runtime API for events.
#[derive(Clone, Debug)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Whether it finds the environment of this process beside its own, as interpreters need.
    pub inherits_environment: bool,
}

impl Program {
    /// A program that needs nothing but itself.
    pub fn new(path: impl Into<PathBuf>) -> Program {
        Program { path: path.into(), arguments: Vec::new(), inherits_environment: false }
    }

    /// A command for the shell.
    pub fn from_command(command: &str) -> Program {
        let arguments = vec!["-c".to_owned(), command.to_owned()];
        Program { path: "/bin/sh".into(), arguments, inherits_environment: true }
    }
}

/// What Lambda knows of a function.
#[derive(Clone, Debug)]
pub struct FunctionConfig {
    /// The name that it is invoked by.
    pub name: String,
    /// The program that is its runtime.
    pub program: Program,
    /// Its environment variables, beside those that Lambda sets.
    pub variables: BTreeMap<String, String>,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Most environments at a time.
    pub max_environments: usize,
    /// Whether each invocation belongs to an X-Ray trace, as in Lambda. A runtime client sets `_X_AMZN_TRACE_ID` to it, and glibc
    /// keeps each value that a variable has had: who looks for memory that a function itself keeps does without.
    pub traced: bool,
}

/// Takes the lines that functions write, with the function's name.
pub type LogSink = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// A function that can be invoked.
pub struct Function {
    config: FunctionConfig,
    logs: LogSink,
    slots: Semaphore,
    idle: Mutex<Vec<Environment>>,
}

/// What came of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invoked {
    /// The function returned this.
    Returned(Bytes),
    /// The function failed, and said this (`{"errorType": …, "errorMessage": …}`) or had it said by Lambda.
    Failed(Bytes),
}

/// A function that did not come to its first event.
#[derive(Debug)]
pub enum StartError {
    /// There is no port for its Runtime API.
    NoPort(io::Error),
    /// The program cannot be run.
    CannotRun(PathBuf, io::Error),
    /// The process ended: its name, how, and its last words.
    Exited(String, String, String),
    /// The function said that it cannot start: its name and what it said.
    Reported(String, String),
    /// The function did not ask for an event in time.
    TimedOut(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::NoPort(error) => write!(f, "cannot listen on 127.0.0.1: {error}"),
            StartError::CannotRun(program, error) => write!(f, "cannot run {}: {error}", program.display()),
            StartError::Exited(name, status, words) if words.is_empty() => {
                write!(
                    f,
                    "{name} stopped at its start ({status}) without a word; it has to ask the Lambda Runtime API for events"
                )
            }
            StartError::Exited(name, status, words) => write!(f, "{name} stopped at its start ({status}): {words}"),
            StartError::Reported(name, error) => write!(f, "{name} cannot start: {error}"),
            StartError::TimedOut(name) => {
                write!(f, "{name} did not ask the Lambda Runtime API for an event within {} s", INIT_TIMEOUT.as_secs())
            }
        }
    }
}

impl std::error::Error for StartError {}

impl Function {
    /// Starts a function with one environment, so that a mistake shows at once.
    ///
    /// # Errors
    ///
    /// When the function does not come to its first event.
    pub async fn start(config: FunctionConfig, logs: LogSink) -> Result<Arc<Function>, StartError> {
        let first = Environment::start(&config, &logs).await?;
        let slots = Semaphore::new(config.max_environments.max(1));
        Ok(Arc::new(Function { config, logs, slots, idle: Mutex::new(vec![first]) }))
    }

    /// What Lambda knows of it.
    pub fn config(&self) -> &FunctionConfig {
        &self.config
    }

    /// The processes that wait for an event: those that Lambda would freeze.
    pub fn idle_processes(&self) -> Vec<u32> {
        self.idle.lock().iter().filter_map(|environment| environment.process.id()).collect()
    }

    /// Invokes the function, and waits for a free environment first if there are as many as there may be.
    ///
    /// The invocation goes on to its end even if nobody waits for it any more, as in Lambda.
    pub async fn invoke(self: &Arc<Self>, event: Bytes) -> Invoked {
        let function = Arc::clone(self);
        let invocation: JoinHandle<Invoked> = tokio::spawn(async move { function.run(event).await });
        invocation.await.unwrap_or_else(|_| failed("Runtime.Unknown", "the invocation ended without a word"))
    }

    async fn run(&self, event: Bytes) -> Invoked {
        let Ok(_slot) = self.slots.acquire().await else {
            return failed("Runtime.Unknown", "the function was stopped");
        };
        let mut environment = match self.idle_environment() {
            Some(environment) => environment,
            None => match Environment::start(&self.config, &self.logs).await {
                Ok(environment) => environment,
                Err(error) => return failed("Runtime.ExitError", &error.to_string()),
            },
        };
        let request_id = request_id();
        let limit = self.config.timeout;
        let (kind, words) = match environment.run(&request_id, event, limit).await {
            Ok(invoked) => {
                self.idle.lock().push(environment);
                return invoked;
            }
            Err(Ended::Exited(status)) => {
                ("Runtime.ExitError", format!("Runtime exited with error: {}", describe(status)))
            }
            Err(Ended::InitError(error)) => ("Runtime.ExitError", error),
            Err(Ended::TimedOut) => {
                ("Sandbox.Timedout", format!("Task timed out after {:.2} seconds", limit.as_secs_f64()))
            }
        };
        let what_now = "the lines above may say why; the next event starts the function anew";
        (self.logs)(&self.config.name, &format!("{words}: {what_now}"));
        failed(kind, &format!("RequestId: {request_id} Error: {words}"))
    }
}

impl Function {
    /// An environment that waits for an event. Those whose process has ended meanwhile are dropped.
    fn idle_environment(&self) -> Option<Environment> {
        let mut idle = self.idle.lock();
        loop {
            let mut environment = idle.pop()?;
            if matches!(environment.process.try_wait(), Ok(None)) {
                return Some(environment);
            }
        }
    }
}

/// What Lambda itself says when a function cannot.
fn failed(kind: &str, message: &str) -> Invoked {
    Invoked::Failed(json!({"errorType": kind, "errorMessage": message}).to_string().into())
}

/// A new id for a request, as AWS gives them.
pub(crate) fn request_id() -> String {
    let mut octets = [0; 16];
    UnwrapErr(SysRng).fill_bytes(&mut octets);
    Builder::from_random_bytes(octets).into_uuid().to_string()
}

/// An X-Ray trace that nobody records. As X-Ray has it, the time that it began at is a part of it.
fn trace_id(request_id: &str, began: u64) -> String {
    let digits: String = request_id.chars().filter(char::is_ascii_hexdigit).take(24).collect();
    format!("Root=1-{began:08x}-{digits:0<24};Parent={:0<16.16};Sampled=0", digits)
}

/// One process, and the Runtime API that it talks to.
struct Environment {
    process: Child,
    /// The process and its children.
    #[cfg(unix)]
    group: Option<rustix::process::Pid>,
    from_process: mpsc::Receiver<FromProcess>,
    runtime_api: AbortHandle,
    /// Where the next event goes; the process waits for it.
    wants_event: Option<oneshot::Sender<Event>>,
    /// The last line of the process's standard error.
    last_words: Arc<Mutex<String>>,
}

/// What a process says through its Runtime API.
enum FromProcess {
    WantsEvent(oneshot::Sender<Event>),
    Response(String, Bytes),
    Error(String, Bytes),
    InitError(Bytes),
}

/// An event on its way to a process.
struct Event {
    request_id: String,
    body: Bytes,
    limit: Duration,
}

/// Why an environment is of no more use.
enum Ended {
    Exited(ExitStatus),
    InitError(String),
    TimedOut,
}

impl Environment {
    async fn start(config: &FunctionConfig, logs: &LogSink) -> Result<Environment, StartError> {
        let Program { path, arguments, inherits_environment } = &config.program;
        let cannot_run = |error| StartError::CannotRun(path.clone(), error);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(StartError::NoPort)?;
        let address = listener.local_addr().map_err(StartError::NoPort)?.to_string();
        let mut command = Command::new(path);
        if !inherits_environment {
            command.env_clear();
        }
        // A group of its own, so that whatever the program starts ends with it.
        #[cfg(unix)]
        command.process_group(0);
        let mut process = command
            .args(arguments)
            .envs(lambda_variables(&config.name, &address))
            .envs(&config.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(cannot_run)?;
        let last_words = Arc::default();
        forward_lines(process.stdout.take(), &config.name, logs, None);
        let all_read = forward_lines(process.stderr.take(), &config.name, logs, Some(Arc::clone(&last_words)));
        let (to_us, from_process) = mpsc::channel(4);
        let routes = runtime_api(config, to_us);
        let runtime_api = tokio::spawn(async move { axum::serve(listener, routes).await }).abort_handle();
        let mut environment = Environment {
            #[cfg(unix)]
            group: process.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())),
            process,
            from_process,
            runtime_api,
            wants_event: None,
            last_words,
        };

        let name = config.name.clone();
        match timeout(INIT_TIMEOUT, environment.until_it_wants_an_event()).await {
            Ok(Ok(())) => Ok(environment),
            Ok(Err(Ended::InitError(error))) => Err(StartError::Reported(name, error)),
            Ok(Err(Ended::Exited(status))) => {
                // A child of the process may hold the pipe open for ever.
                let _ = timeout(LAST_WORDS_TIMEOUT, all_read).await;
                let words = environment.last_words.lock().clone();
                Err(StartError::Exited(name, describe(status), words))
            }
            Ok(Err(Ended::TimedOut)) | Err(_) => Err(StartError::TimedOut(name)),
        }
    }

    async fn until_it_wants_an_event(&mut self) -> Result<(), Ended> {
        while self.wants_event.is_none() {
            match self.listen().await? {
                FromProcess::WantsEvent(sender) => self.wants_event = Some(sender),
                FromProcess::InitError(error) => {
                    let error: Value = serde_json::from_slice(&error).unwrap_or_default();
                    return Err(Ended::InitError(error["errorMessage"].as_str().unwrap_or("no message").to_owned()));
                }
                // Answers to nothing.
                FromProcess::Response(..) | FromProcess::Error(..) => {}
            }
        }
        Ok(())
    }

    async fn run(&mut self, request_id: &str, body: Bytes, limit: Duration) -> Result<Invoked, Ended> {
        let invocation = async {
            let mut event = Event { request_id: request_id.to_owned(), body, limit };
            loop {
                self.until_it_wants_an_event().await?;
                match self.wants_event.take().map(|sender| sender.send(event)) {
                    // The process has hung up and will ask again, or has ended.
                    Some(Err(unsent)) => event = unsent,
                    Some(Ok(())) | None => break,
                }
            }
            loop {
                match self.listen().await? {
                    FromProcess::Response(id, body) if id == request_id => return Ok(Invoked::Returned(body)),
                    FromProcess::Error(id, body) if id == request_id => return Ok(Invoked::Failed(body)),
                    FromProcess::WantsEvent(sender) => self.wants_event = Some(sender),
                    FromProcess::Response(..) | FromProcess::Error(..) | FromProcess::InitError(_) => {}
                }
            }
        };
        timeout(limit, invocation).await.unwrap_or(Err(Ended::TimedOut))
    }

    async fn listen(&mut self) -> Result<FromProcess, Ended> {
        tokio::select! {
            biased;
            Some(said) = self.from_process.recv() => Ok(said),
            status = self.process.wait() => Err(Ended::Exited(status.unwrap_or_default())),
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.runtime_api.abort();
        #[cfg(unix)]
        if let Some(group) = self.group {
            // There may be none any more.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// What Lambda sets for every function, as far as functions look at it.
fn lambda_variables(function: &str, runtime_api: &str) -> [(&'static str, String); 9] {
    [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{function}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "local".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("_HANDLER", "bootstrap".to_owned()),
        ("TZ", ":UTC".to_owned()),
    ]
}

/// The Lambda Runtime API of one environment.
fn runtime_api(config: &FunctionConfig, to_us: mpsc::Sender<FromProcess>) -> Router {
    const INVOCATION: &str = "/2018-06-01/runtime/invocation";
    type ToUs = State<mpsc::Sender<FromProcess>>;

    async fn accept(State(to_us): ToUs, said: FromProcess) -> StatusCode {
        if to_us.send(said).await.is_ok() { StatusCode::ACCEPTED } else { StatusCode::GONE }
    }
    let region = config.variables.get("AWS_REGION").map_or("local", String::as_str);
    let arn = format!("arn:aws:lambda:{region}:000000000000:function:{}", config.name);
    let traced = config.traced;
    let next = async move |State(to_us): ToUs| {
        let (sender, event) = oneshot::channel();
        if to_us.send(FromProcess::WantsEvent(sender)).await.is_err() {
            return Err(StatusCode::GONE);
        }
        let event = event.await.map_err(|_| StatusCode::GONE)?;
        let since_1970 = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let deadline = since_1970(SystemTime::now() + event.limit).as_millis();
        let trace = traced.then(|| trace_id(&event.request_id, since_1970(SystemTime::now()).as_secs()));
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("lambda-runtime-aws-request-id", event.request_id),
            ("lambda-runtime-deadline-ms", deadline.to_string()),
            ("lambda-runtime-invoked-function-arn", arn),
        ];
        let named = |(name, value)| (HeaderName::from_static(name), value);
        Ok((
            headers.map(named),
            AppendHeaders(trace.map(|trace| named(("lambda-runtime-trace-id", trace)))),
            event.body,
        ))
    };
    Router::new()
        .route(&format!("{INVOCATION}/next"), get(next))
        .route(
            &format!("{INVOCATION}/{{id}}/response"),
            post(async |to_us: ToUs, Path(id): Path<String>, body: Bytes| {
                accept(to_us, FromProcess::Response(id, body)).await
            }),
        )
        .route(
            &format!("{INVOCATION}/{{id}}/error"),
            post(async |to_us: ToUs, Path(id): Path<String>, body: Bytes| {
                accept(to_us, FromProcess::Error(id, body)).await
            }),
        )
        .route(
            "/2018-06-01/runtime/init/error",
            post(async |to_us: ToUs, body: Bytes| accept(to_us, FromProcess::InitError(body)).await),
        )
        .layer(DefaultBodyLimit::max(MAX_PAYLOAD))
        .with_state(to_us)
}

/// Passes the lines of a pipe on until it ends, and keeps the last one.
fn forward_lines(
    pipe: Option<impl AsyncRead + Unpin + Send + 'static>,
    function: &str,
    logs: &LogSink,
    last_words: Option<Arc<Mutex<String>>>,
) -> JoinHandle<()> {
    let (function, logs) = (function.to_owned(), Arc::clone(logs));
    tokio::spawn(async move {
        let Some(pipe) = pipe else { return };
        let mut lines = BufReader::new(pipe).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let text = String::from_utf8_lossy(&line);
            // Python's runtime client ends the lines of a traceback with a carriage return alone.
            for line in text.trim_end_matches('\r').split('\r') {
                logs(&function, line);
            }
            if let Some(last_words) = &last_words {
                *last_words.lock() = text.trim_end().replace('\r', " ");
            }
        }
    })
}

/// Lambda's way of naming an exit status.
fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}
