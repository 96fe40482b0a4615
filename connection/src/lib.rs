//! One connection to an AWS service, under the AWS SDK's client for it.
//!
//! The SDK leaves connections to whoever it is given. What is wanted here and nowhere offered: that the connection is there
//! before the first request, made in the time that Lambda gives a function to start; that a function which was frozen does not write to
//! a connection which died meanwhile; and that an error tells whether the request can have arrived at all. HTTP is hyper's, TLS is rustls's.
//!
//! A function handles one event at a time, so one connection is kept for each service; a request that finds none makes its own.

mod tls;

use std::error::Error;
use std::fmt;
use std::io;
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use auth_challenge::settings::{AwsSettings, SettingsError};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use http::header::{HOST, HeaderValue};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::timeout;

/// How long a connection serves. A function that is frozen for longer would find a dead one, and could not know whether what it wrote to
/// it was taken. This counts from its making, not from its last request, or the time of a later request would tell of those before it.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// For a rehearsal. It takes a few milliseconds where all is well; where it does not, whoever waits for the first event has better use for
/// the rest of Cognito's 5 s.
const REHEARSAL: Duration = Duration::from_millis(300);
/// No service answers us with more than this, in bytes.
const LARGEST_REPLY: usize = 1 << 20;

type BoxError = Box<dyn Error + Send + Sync>;

/// A connection to one service, for the SDK's client as its `http_client`. Clones share it.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

struct Shared {
    tls: Arc<ClientConfig>,
    connect_timeout: Duration,
    keep_alive: Duration,
    /// Requests are not sent.
    rehearsing: AtomicBool,
    /// Where the first request went. A service is in one place.
    origin: OnceLock<Origin>,
    idle: Mutex<Option<Idle>>,
}

/// A connection that nobody uses now.
struct Idle {
    origin: Origin,
    sender: SendRequest<SdkBody>,
    /// When it was made, by two clocks, because one of them may stand still while a function is frozen.
    made: (Instant, SystemTime),
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    is_tls: bool,
    host: String,
    port: u16,
}

/// The request was certainly not sent: there was no connection to send it on.
#[derive(Debug)]
pub struct NeverSent(BoxError);

impl NeverSent {
    /// Whether it is why a call failed.
    pub fn is_behind(error: &(dyn Error + 'static)) -> bool {
        iter::successors(Some(error), |error| (*error).source()).any(|error| error.is::<NeverSent>())
    }
}

impl fmt::Display for NeverSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not connected")
    }
}

impl Error for NeverSent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.0.as_ref())
    }
}

/// What the clients of AWS's services have in common here: who asks, where, and over which connection. Nothing is tried twice,
/// because only the caller knows when that is harmless; and nothing is looked for in files, which functions do not have.
pub fn sdk_config(aws: AwsSettings, endpoint_url: Option<String>, http_client: impl HttpClient + 'static) -> SdkConfig {
    let token = aws.session_token.map(|token| token.to_string());
    let key = aws.secret_access_key.to_string();
    let credentials = Credentials::new(aws.access_key_id, key, token, None, "Lambda");
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(aws.region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client)
        .retry_config(RetryConfig::disabled());
    config.set_endpoint_url(endpoint_url);
    config.build()
}

impl Connection {
    /// `connect_timeout` is for looking up the name, the connection, and TLS together.
    ///
    /// # Errors
    ///
    /// `AWS_CA_BUNDLE` names no file with certificates.
    pub fn new(aws: &AwsSettings, connect_timeout: Duration) -> Result<Connection, SettingsError> {
        let tls = tls::config(aws.ca_bundle.as_deref())?;
        let (rehearsing, origin, idle) = (AtomicBool::default(), OnceLock::new(), Mutex::default());
        Ok(Connection(Arc::new(Shared { tls, connect_timeout, keep_alive: KEEP_ALIVE, rehearsing, origin, idle })))
    }

    /// Lets the SDK make a request of which nothing is sent. What comes of it is the connection, and whatever the SDK makes only once,
    /// before somebody waits for it. What keeps the connection from being made will be met, and told, by the first real request.
    pub async fn rehearse<T>(&self, request: impl Future<Output = T>) {
        self.0.rehearsing.store(true, Ordering::Relaxed);
        let _ = timeout(REHEARSAL, request).await;
        self.0.rehearsing.store(false, Ordering::Relaxed);
    }

    /// Makes the next request's connection if none is kept that can serve, so that the request itself takes no longer after a pause than
    /// without one. Does nothing before the first request or rehearsal; what keeps the connection from being made, the next request tells.
    pub async fn ready(&self) {
        let Some(origin) = self.0.origin.get() else { return };
        look_at_sockets().await;
        match self.kept(origin) {
            Some(idle) => self.keep(idle),
            None => {
                if let Ok(made) = self.connect(origin).await {
                    self.keep(made);
                }
            }
        }
    }

    async fn request(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let (mut parts, body) = request.into_parts();
        let origin = Origin::of(&parts.uri).ok_or_else(|| ConnectorError::user("not an http or https URL".into()))?;
        self.0.origin.get_or_init(|| origin.clone());
        if self.0.rehearsing.load(Ordering::Relaxed) {
            let made = self.connect(&origin).await.map_err(|error| ConnectorError::io(error.into()))?;
            self.keep(made);
            return Err(ConnectorError::io(NeverSent("a rehearsal".into()).into()));
        }
        parts.headers.insert(HOST, origin.host_header()?);
        parts.uri = match parts.uri.path_and_query() {
            Some(path) => path.as_str().parse().map_err(|_| ConnectorError::user("not a path".into()))?,
            None => Uri::from_static("/"),
        };
        let mut request = Request::from_parts(parts, body);
        look_at_sockets().await;
        if let Some(mut kept) = self.kept(&origin) {
            // The far end may have closed it, which is noticed now or when the request is to be written.
            match send(&mut kept.sender, request).await {
                Ok(response) => return self.read(kept, response).await,
                Err(NotSent::Never(_, unsent)) => request = *unsent,
                Err(NotSent::Perhaps(error)) => return Err(ConnectorError::io(error.into())),
            }
        }
        let mut made = self.connect(&origin).await.map_err(|error| ConnectorError::io(error.into()))?;
        match send(&mut made.sender, request).await {
            Ok(response) => self.read(made, response).await,
            Err(NotSent::Never(error, _)) => Err(ConnectorError::io(NeverSent(error.into()).into())),
            Err(NotSent::Perhaps(error)) => Err(ConnectorError::io(error.into())),
        }
    }

    /// Reads the reply to its end, and keeps the connection for the next request.
    async fn read(&self, idle: Idle, response: Response<Incoming>) -> Result<HttpResponse, ConnectorError> {
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_REPLY).collect().await.map_err(ConnectorError::io)?;
        self.keep(idle);
        let response = Response::from_parts(parts, SdkBody::from(body.to_bytes()));
        HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
    }

    async fn connect(&self, origin: &Origin) -> Result<Idle, NeverSent> {
        let connecting = async {
            let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await?;
            stream.set_nodelay(true)?;
            if !origin.is_tls {
                return speak_http(stream).await;
            }
            let name = origin.host.clone().try_into()?;
            speak_http(tokio_rustls::TlsConnector::from(Arc::clone(&self.0.tls)).connect(name, stream).await?).await
        };
        match timeout(self.0.connect_timeout, connecting).await {
            Ok(Ok(sender)) => Ok(Idle { origin: origin.clone(), sender, made: (Instant::now(), SystemTime::now()) }),
            Ok(Err(error)) => Err(NeverSent(error)),
            Err(_) => Err(NeverSent(io::Error::from(io::ErrorKind::TimedOut).into())),
        }
    }

    fn keep(&self, idle: Idle) {
        *self.0.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(idle);
    }

    /// Takes the connection that was kept, if it can serve.
    fn kept(&self, origin: &Origin) -> Option<Idle> {
        let idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let (instant, time) = idle.made;
        let is_fresh = instant.elapsed() < self.0.keep_alive
            // A clock that was set back tells nothing.
            && time.elapsed().is_ok_and(|elapsed| elapsed < self.0.keep_alive);
        (is_fresh && idle.origin == *origin && !idle.sender.is_closed()).then_some(idle)
    }
}

/// While a function was frozen its runtime saw nothing: first it looks at its sockets, then at what the far end did to them.
async fn look_at_sockets() {
    yield_now().await;
    yield_now().await;
}

impl Origin {
    fn of(uri: &Uri) -> Option<Origin> {
        let (is_tls, default_port) = match uri.scheme_str()? {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return None,
        };
        // An IPv6 address stands in brackets there, and nowhere else.
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        Some(Origin { is_tls, host, port: uri.port_u16().unwrap_or(default_port) })
    }

    fn host_header(&self) -> Result<HeaderValue, ConnectorError> {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let is_default = self.port == if self.is_tls { 443 } else { 80 };
        let header = if is_default { host } else { format!("{host}:{}", self.port) };
        header.try_into().map_err(|_| ConnectorError::user("not a host".into()))
    }
}

async fn speak_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<SdkBody>, BoxError> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Whatever ends it is told to the request that it was for.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender)
}

/// Why there is no reply.
enum NotSent {
    /// Nothing of the request was written. It can be sent elsewhere.
    Never(hyper::Error, Box<Request<SdkBody>>),
    /// It may have arrived.
    Perhaps(hyper::Error),
}

async fn send(sender: &mut SendRequest<SdkBody>, request: Request<SdkBody>) -> Result<Response<Incoming>, NotSent> {
    if let Err(error) = sender.ready().await {
        return Err(NotSent::Never(error, Box::new(request)));
    }
    sender.try_send_request(request).await.map_err(|mut failed| match failed.take_message() {
        Some(request) => NotSent::Never(failed.into_error(), Box::new(request)),
        None => NotSent::Perhaps(failed.into_error()),
    })
}

impl HttpClient for Connection {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connection = self.clone();
        HttpConnectorFuture::new(async move { connection.request(request).await })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

#[cfg(test)]
mod tests;
