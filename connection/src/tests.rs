//! Against servers that behave in all the ways that connections end.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at a surprise")]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// What a server does with a request.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Answer,
    /// Answers, and closes the connection without a word, a moment later.
    AnswerAndClose,
    /// Answers with `Connection: close`.
    SayClose,
    /// Closes the connection instead.
    Close,
    /// Answers with so many octets.
    Much(usize),
}

/// A server, and what it has seen.
struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
    /// Connections that it has ended.
    ended: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Does one deed after the other, then answers.
    ///
    /// It has a thread of its own, which goes on while the client's is frozen.
    async fn start(deeds: impl IntoIterator<Item = Deed>, tls: Option<TlsAcceptor>) -> Server {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let (connections, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let deeds = Arc::new(Mutex::new(VecDeque::from_iter(deeds)));
        let (count, over, seen) = (Arc::clone(&connections), Arc::clone(&ended), Arc::clone(&requests));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let serve_all = async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (tls, deeds) = (tls.clone(), Arc::clone(&deeds));
                let (over, seen) = (Arc::clone(&over), Arc::clone(&seen));
                tokio::spawn(async move {
                    match tls {
                        None => drop(serve(stream, &deeds, &seen).await),
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &deeds, &seen).await;
                            }
                        }
                    }
                    over.fetch_add(1, Ordering::Relaxed);
                });
            }
        };
        std::thread::spawn(move || runtime.block_on(serve_all));
        Server { url, connections, ended, requests }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Serves one connection until it ends.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    deeds: &Mutex<VecDeque<Deed>>,
    seen: &Mutex<Vec<String>>,
) -> Option<()> {
    loop {
        let request = read_request(&mut stream).await?;
        seen.lock().unwrap().push(request);
        let deed = deeds.lock().unwrap().pop_front().unwrap_or(Deed::Answer);
        let (length, header) = match deed {
            Deed::Close => return None,
            Deed::Much(length) => (length, ""),
            Deed::SayClose => (2, "Connection: close\r\n"),
            Deed::Answer | Deed::AnswerAndClose => (2, ""),
        };
        let answer = format!("HTTP/1.1 200 OK\r\n{header}Content-Length: {length}\r\n\r\n{}", "x".repeat(length));
        stream.write_all(answer.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        if let Deed::AnswerAndClose | Deed::SayClose = deed {
            stream.shutdown().await.ok()?;
            return None;
        }
    }
}

/// The head of a request whose body is as long as it says.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        read.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8(read.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let expected = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= expected.unwrap_or(0) {
            return Some(head.to_owned());
        }
    }
}

fn aws(ca_bundle: Option<String>) -> AwsSettings {
    let vars = |name: &str| match name {
        "AWS_CA_BUNDLE" => ca_bundle.clone(),
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        _ => Some("x".to_owned()).filter(|_| !name.contains("URL")),
    };
    AwsSettings::from_vars(&vars).unwrap()
}

fn connection() -> Connection {
    Connection::new(&aws(None), Duration::from_millis(800)).unwrap()
}

async fn ask(connection: &Connection, url: &str) -> Result<HttpResponse, ConnectorError> {
    let request = http::Request::post(format!("{url}/v2/email?x=1")).body(SdkBody::from("a mail")).unwrap();
    connection.call(HttpRequest::try_from(request).unwrap()).await
}

/// Whether it was certainly not sent, and why that was.
fn never_sent(answer: Result<HttpResponse, ConnectorError>) -> bool {
    let error = answer.unwrap_err();
    let mut causes = std::iter::successors(Some(&error as &(dyn Error + 'static)), |error| (*error).source());
    let never_sent = causes.find(|error| error.is::<NeverSent>());
    never_sent.is_some_and(|error| error.to_string() == "not connected" && error.source().is_some())
}

/// A folder of the test's own, deleted with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("aws-connection-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, content: &str) -> String {
        let file = self.0.join("bundle.pem");
        std::fs::write(&file, content).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server's side of TLS, and the certificate that vouches for it.
fn certified(name: &str) -> (TlsAcceptor, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), cert.pem())
}

#[tokio::test]
async fn one_connection_serves_a_thousand_requests_and_each_arrives_once() {
    let folder = Folder::new("thousand");
    let (acceptor, pem) = certified("localhost");
    let server = Server::start([], Some(acceptor)).await;
    let connection = Connection::new(&aws(Some(folder.write(&pem))), Duration::from_millis(800)).unwrap();
    for _ in 0..1_000 {
        assert_eq!(ask(&connection, &server.url).await.unwrap().status().as_u16(), 200);
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 1_000));
}

#[tokio::test]
async fn a_rehearsal_connects_and_sends_nothing() {
    let server = Server::start([], None).await;
    let connection = connection();
    connection.rehearse(ask(&connection, &server.url)).await;
    assert!(connection.0.idle.lock().unwrap().is_some());
    assert_eq!(server.requests(), [""; 0]);
    ask(&connection, &server.url).await.unwrap();
    assert_eq!((server.connections(), server.requests().len()), (1, 1));
    // And one that fails, or would never end, keeps nobody from anything.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let patient = Connection::new(&aws(None), Duration::from_secs(3_600)).unwrap();
    patient.rehearse(ask(&patient, &format!("https://{}", silent.local_addr().unwrap()))).await;
    connection.rehearse(ask(&connection, "http://127.0.0.1:1")).await;
    ask(&connection, &server.url).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn what_was_made_ready_serves_the_next_request() {
    let server = Server::start([], None).await;
    let connection = connection();
    // Nobody knows yet where to.
    connection.ready().await;
    assert!(connection.0.idle.lock().unwrap().is_none());
    ask(&connection, &server.url).await.unwrap();
    connection.ready().await;
    assert_eq!(server.connections(), 1);
    // What is too old is made anew.
    older(&connection, KEEP_ALIVE);
    connection.ready().await;
    ask(&connection, &server.url).await.unwrap();
    assert_eq!((server.connections(), server.requests().len()), (2, 2));
    // And where nothing can be made, the request tells.
    let gone = self::connection();
    assert!(never_sent(ask(&gone, "http://127.0.0.1:1").await));
    gone.ready().await;
    assert!(never_sent(ask(&gone, "http://127.0.0.1:1").await));
}

/// As if so much time had passed since the connection was made.
fn older(connection: &Connection, by: Duration) {
    connection.0.idle.lock().unwrap().as_mut().unwrap().made.0 -= by;
}

/// A request after it would tell by its time.
#[tokio::test]
async fn r31_a_connection_does_not_show_whether_it_was_used() {
    for is_used in [false, true] {
        let server = Server::start([], None).await;
        let connection = connection();
        ask(&connection, &server.url).await.unwrap();
        older(&connection, KEEP_ALIVE * 6 / 10);
        connection.ready().await;
        if is_used {
            ask(&connection, &server.url).await.unwrap();
        }
        assert_eq!(server.connections(), 1);
        older(&connection, KEEP_ALIVE * 6 / 10);
        ask(&connection, &server.url).await.unwrap();
        assert_eq!(server.connections(), 2, "used {is_used}");
    }
}

#[test]
fn r38_a_connection_shows_nothing_of_itself_to_a_log() {
    assert_eq!(format!("{:?}", connection()), "Connection");
}

#[tokio::test]
async fn requests_say_where_they_go_as_servers_expect_it() {
    let server = Server::start([], None).await;
    ask(&connection(), &server.url).await.unwrap();
    let head = server.requests().remove(0);
    assert!(head.starts_with("POST /v2/email?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}", server.url.trim_start_matches("http://"))), "{head}");
    let header = |url: &str| Origin::of(&url.parse().unwrap()).unwrap().host_header().unwrap();
    assert_eq!(header("https://email.eu-west-1.amazonaws.com/v2"), "email.eu-west-1.amazonaws.com");
    assert_eq!(header("https://email.eu-west-1.amazonaws.com:443/"), "email.eu-west-1.amazonaws.com");
    assert_eq!(header("http://[::1]:80/"), "[::1]");
    assert_eq!(header("http://[::1]:443/"), "[::1]:443");
    assert_eq!(Origin::of(&"ftp://localhost".parse().unwrap()), None);
}

/// The far end closes what was kept, at once, or while the function is frozen and its runtime sees nothing.
#[tokio::test]
async fn a_connection_that_the_far_end_closed_is_made_anew_and_each_request_arrives_once() {
    for deed in [Deed::AnswerAndClose, Deed::SayClose] {
        for frozen in [false, true] {
            let server = Server::start([deed], None).await;
            let connection = connection();
            ask(&connection, &server.url).await.unwrap();
            let pass = async |time| match frozen {
                true => std::thread::sleep(time),
                false => tokio::time::sleep(time).await,
            };
            while server.ended.load(Ordering::Relaxed) == 0 {
                pass(Duration::from_millis(1)).await;
            }
            // On a busy machine the end takes a moment to arrive, and until then nobody can know of it.
            pass(Duration::from_millis(100)).await;
            ask(&connection, &server.url).await.unwrap();
            assert_eq!((server.connections(), server.requests().len()), (2, 2), "{deed:?}, frozen {frozen}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_too_old_is_not_used() {
    let server = Server::start([], None).await;
    let connection = connection();
    ask(&connection, &server.url).await.unwrap();
    for by_which_clock in 0..3 {
        if let Some(Idle { made, .. }) = connection.0.idle.lock().unwrap().as_mut() {
            match by_which_clock {
                0 => made.0 -= KEEP_ALIVE,
                1 => made.1 -= KEEP_ALIVE,
                // Set back: nobody knows.
                _ => made.1 += KEEP_ALIVE,
            }
        }
        ask(&connection, &server.url).await.unwrap();
        assert_eq!(server.connections(), by_which_clock + 2);
    }
}

#[tokio::test]
async fn a_connection_goes_to_one_place_only() {
    let (one, other) = (Server::start([], None).await, Server::start([], None).await);
    let connection = connection();
    for server in [&one, &other, &one] {
        ask(&connection, &server.url).await.unwrap();
    }
    assert_eq!((one.requests().len(), other.requests().len()), (2, 1));
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_never_sent_again() {
    let server = Server::start([Deed::Answer, Deed::Close, Deed::Close], None).await;
    let connection = connection();
    ask(&connection, &server.url).await.unwrap();
    // Over the connection that was kept, and over a new one.
    for _ in 0..2 {
        assert!(!never_sent(ask(&connection, &server.url).await));
    }
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn whoever_is_not_there_was_never_sent_anything() {
    let connection = connection();
    assert!(never_sent(ask(&connection, "http://127.0.0.1:1").await));
    assert!(never_sent(ask(&connection, "http://does-not-exist.invalid").await));
    // Takes connections, and says nothing in TLS.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    assert!(never_sent(ask(&connection, &url).await));
}

#[tokio::test]
async fn only_those_are_believed_whom_somebody_vouches_for() {
    let folder = Folder::new("vouch");
    let (acceptor, pem) = certified("localhost");
    let server = Server::start([], Some(acceptor)).await;
    // Mozilla does not.
    assert!(never_sent(ask(&connection(), &server.url).await));
    let trusting = Connection::new(&aws(Some(folder.write(&pem))), Duration::from_millis(800)).unwrap();
    ask(&trusting, &server.url).await.unwrap();
    // For this name, not for that address.
    assert!(never_sent(ask(&trusting, &server.url.replace("localhost", "127.0.0.1")).await));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_a_service_says_has_a_bound() {
    let server = Server::start([Deed::Much(LARGEST_REPLY), Deed::Much(LARGEST_REPLY + 1)], None).await;
    let connection = connection();
    ask(&connection, &server.url).await.unwrap();
    assert!(!never_sent(ask(&connection, &server.url).await));
}

#[test]
fn f59_a_bundle_that_is_none_is_refused_by_its_variable() {
    let folder = Folder::new("bundle");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for content in ["", "not PEM", broken] {
        let error = Connection::new(&aws(Some(folder.write(content))), Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "AWS_CA_BUNDLE must be a file with certificates in PEM", "{content}");
    }
    assert!(Connection::new(&aws(Some("/no/such/file".to_owned())), Duration::ZERO).is_err());
}
