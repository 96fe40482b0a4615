//! SES on a real socket, which misbehaves on purpose.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// What the service does with one request, and then with the connection that it came on.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Reads a request and answers with that status and body.
    Answer(u16, String),
    /// The same, after a while.
    AnswerAfter(Duration, u16, String),
    /// Reads a request and sends these octets.
    Send(&'static [u8]),
    /// Reads a request and never says a word.
    Hang,
    /// Resets the connection before reading anything.
    ResetAtOnce,
    /// Reads a request and resets the connection.
    ResetAfterRequest,
}

impl Deed {
    /// Whether the mail is on its way then, as far as anybody else can know.
    fn may_take_the_mail(&self) -> bool {
        match self {
            Deed::Answer(status, body) | Deed::AnswerAfter(_, status, body) => {
                *status < 300 || (*status >= 500 && !body.contains("__type"))
            }
            Deed::Send(_) | Deed::Hang | Deed::ResetAfterRequest => true,
            Deed::ResetAtOnce => false,
        }
    }
}

pub(crate) fn taken() -> Deed {
    Deed::Answer(200, json!({"MessageId": "0100019b-example"}).to_string())
}

/// SES's way of telling an error.
pub(crate) fn refuses(status: u16, code: &str) -> Deed {
    refuses_with(status, code, "eve@evil.example wrote this text")
}

pub(crate) fn refuses_with(status: u16, code: &str, message: &str) -> Deed {
    Deed::Answer(status, json!({"__type": code, "message": message}).to_string())
}

/// A mail service that does one deed after the other, the last one again and again, and keeps what it was sent.
pub(crate) struct Service {
    pub(crate) url: String,
    seen: Arc<Seen>,
    listening: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    deeds: Mutex<VecDeque<Deed>>,
    /// The head and the body, and whether the mail may be on its way.
    requests: Mutex<Vec<(String, Value, bool)>>,
    connections: AtomicUsize,
}

impl Seen {
    fn next_deed(&self) -> Option<Deed> {
        let mut deeds = self.deeds.lock().unwrap();
        if deeds.len() > 1 { deeds.pop_front() } else { deeds.front().cloned() }
    }

    /// The next deed, if it is one that does not wait for a request.
    fn deed_at_once(&self) -> Option<Deed> {
        let resets = matches!(self.deeds.lock().unwrap().front(), Some(Deed::ResetAtOnce));
        if resets { self.next_deed() } else { None }
    }
}

impl Service {
    pub(crate) async fn start(deeds: impl IntoIterator<Item = Deed>) -> Service {
        Service::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), deeds)
    }

    pub(crate) fn start_on(listener: TcpListener, deeds: impl IntoIterator<Item = Deed>) -> Service {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Seen::default());
        let to_serve = Arc::clone(&seen);
        let listening = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                to_serve.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, Arc::clone(&to_serve)));
            }
        });
        let service = Service { url, seen, listening };
        service.does(deeds);
        service
    }

    /// What it does from now on.
    pub(crate) fn does(&self, deeds: impl IntoIterator<Item = Deed>) {
        *self.seen.deeds.lock().unwrap() = deeds.into_iter().collect();
    }

    /// Nobody listens any more.
    #[allow(dead_code, reason = "not all who use this need all of it")]
    pub(crate) fn stop(&self) {
        self.listening.abort();
    }

    /// The requests that were read: their heads and bodies.
    pub(crate) fn requests(&self) -> Vec<(String, Value)> {
        self.seen.requests.lock().unwrap().iter().map(|(head, body, _)| (head.clone(), body.clone())).collect()
    }

    /// The mails that are on their way, as far as anybody else can know.
    #[allow(dead_code, reason = "not all who use this need all of it")]
    pub(crate) fn mails(&self) -> Vec<Value> {
        let requests = self.seen.requests.lock().unwrap();
        requests.iter().filter(|(_, _, taken)| *taken).map(|(_, body, _)| body.clone()).collect()
    }

    #[allow(dead_code, reason = "not all who use this need all of it")]
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Seen>) {
    if seen.deed_at_once().is_some() {
        return stream.set_zero_linger().unwrap();
    }
    let Some((head, body)) = read_request(&mut stream).await else { return };
    let deed = seen.next_deed().unwrap_or(Deed::Hang);
    seen.requests.lock().unwrap().push((head, body, deed.may_take_the_mail()));
    let answer = |status: u16, body: &str| {
        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    match deed {
        Deed::Answer(status, body) => stream.write_all(answer(status, &body).as_bytes()).await.unwrap_or(()),
        Deed::AnswerAfter(pause, status, body) => {
            sleep(pause).await;
            stream.write_all(answer(status, &body).as_bytes()).await.unwrap_or(());
        }
        Deed::Send(octets) => stream.write_all(octets).await.unwrap_or(()),
        Deed::Hang => sleep(Duration::from_secs(60)).await,
        Deed::ResetAtOnce | Deed::ResetAfterRequest => stream.set_zero_linger().unwrap(),
    }
}

/// One whole request: its head and its JSON body.
async fn read_request(stream: &mut TcpStream) -> Option<(String, Value)> {
    let mut octets = Vec::new();
    loop {
        if stream.read_buf(&mut octets).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&octets);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.to_ascii_lowercase().split("content-length: ").nth(1)?.lines().next()?.parse::<usize>().ok()?;
        if body.len() >= length {
            return Some((head.to_owned(), serde_json::from_str(body).ok()?));
        }
    }
}
