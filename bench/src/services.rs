//! SES and DynamoDB on this machine, over TLS, with a network as slow as one likes before them.

use std::error::Error;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::host::split_request;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The services that functions call.
pub(crate) struct Services {
    pub(crate) ses: Service,
    pub(crate) table: Service,
    /// A file with the certificate that vouches for both.
    pub(crate) ca_bundle: PathBuf,
}

/// One of them.
pub(crate) struct Service {
    pub(crate) url: String,
    seen: Arc<Seen>,
}

/// What it has seen since it was started.
#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    requests: AtomicU64,
}

/// How often a function has called a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Calls {
    pub(crate) connections: u64,
    pub(crate) requests: u64,
}

/// What a service answers a request: the status and the body.
type Answer = fn(line: &str, body: &[u8]) -> (&'static str, String);

impl Services {
    /// Starts both. A reply takes `round_trip` to arrive, as do the two that come before the first request.
    pub(crate) fn start(folder: &Path, round_trip: Duration) -> Result<Services> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
        let key = PrivateKeyDer::try_from(signing_key.serialize_der())?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)?;
        let tls = Arc::new(config);
        let ca_bundle = folder.join("vouches-for-localhost.pem");
        fs::write(&ca_bundle, cert.pem())?;
        let ses = Service::start(Arc::clone(&tls), round_trip, take_mail)?;
        Ok(Services { ses, table: Service::start(tls, round_trip, keep_item)?, ca_bundle })
    }
}

impl Service {
    pub(crate) fn calls(&self) -> Calls {
        let connections = self.seen.connections.load(Ordering::SeqCst);
        Calls { connections, requests: self.seen.requests.load(Ordering::SeqCst) }
    }

    fn start(tls: Arc<ServerConfig>, round_trip: Duration, answer: Answer) -> Result<Service> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        // By name, because looking one up is a part of connecting.
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let seen = Arc::new(Seen::default());
        let service = Service { url, seen: Arc::clone(&seen) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, seen) = (Arc::clone(&tls), Arc::clone(&seen));
                // It ends with the connection; what a function makes of a reply that is missing, it has to tell itself.
                thread::spawn(move || drop(serve(stream, tls, &seen, round_trip, answer)));
            }
        });
        Ok(service)
    }
}

impl Calls {
    pub(crate) fn and(self, more: Calls) -> Calls {
        Calls { connections: self.connections + more.connections, requests: self.requests + more.requests }
    }

    pub(crate) fn since(self, before: Calls) -> Calls {
        Calls { connections: self.connections - before.connections, requests: self.requests - before.requests }
    }
}

/// Serves one connection until it ends.
fn serve(
    mut stream: TcpStream,
    tls: Arc<ServerConfig>,
    seen: &Seen,
    round_trip: Duration,
    answer: Answer,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = ServerConnection::new(tls)?;
    // The kernel has accepted it at once, and TLS 1.3 takes one more round: both are made up for here.
    thread::sleep(round_trip * 2);
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    seen.connections.fetch_add(1, Ordering::SeqCst);
    let mut stream = StreamOwned::new(connection, stream);
    let (mut received, mut buffer) = (Vec::new(), [0; 1 << 14]);
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        received.extend_from_slice(&buffer[..length]);
        let Some((line, body)) = split_request(&received)? else { continue };
        received.clear();
        seen.requests.fetch_add(1, Ordering::SeqCst);
        thread::sleep(round_trip);
        let (status, body) = answer(&line, &body);
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes())?;
        stream.flush()?;
    }
}

fn take_mail(line: &str, _: &[u8]) -> (&'static str, String) {
    match line {
        "POST /v2/email/outbound-emails HTTP/1.1" => ("200 OK", json!({"MessageId": "0100"}).to_string()),
        _ => ("404 Not Found", json!({"message": "not a mail"}).to_string()),
    }
}

/// As the table answers for an account that has signed in before: a first write finds it there, a second one replaces it.
fn keep_item(_: &str, body: &[u8]) -> (&'static str, String) {
    const SUPPOSES_A_NEW_ACCOUNT: &[u8] = b"attribute_not_exists";
    if !body.windows(SUPPOSES_A_NEW_ACCOUNT.len()).any(|window| window == SUPPOSES_A_NEW_ACCOUNT) {
        return ("200 OK", "{}".to_owned());
    }
    let counts = json!({"mails": [], "next_mail": 0, "failures": 0, "level": 0, "last_failure": 0, "challenges": []})
        .to_string();
    let stale = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "message": "The conditional request failed",
        "Item": {"account": {"S": "a"}, "version": {"S": "0123456789abcdef"}, "counts": {"S": counts}},
    });
    ("400 Bad Request", stale.to_string())
}
