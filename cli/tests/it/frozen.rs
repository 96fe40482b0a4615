//! Lambda freezes a function between two events, for a moment or for an hour. The world goes on meanwhile.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::running::start;

/// How long the mail service keeps a connection that nobody uses.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes mails over one connection until that is idle for too long.
async fn serve(mut stream: TcpStream, mails: Arc<AtomicUsize>) -> Option<()> {
    let (mut read, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        let length = timeout(PATIENCE, stream.read(&mut buffer)).await.ok()?.ok().filter(|length| *length > 0)?;
        read.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let expected = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if expected == Some(body.len()) {
            read.clear();
            mails.fetch_add(1, Ordering::Relaxed);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"MessageId\":\"1\"}").await.ok()?;
        }
    }
}

/// The process of create-auth-challenge that was given this variable.
fn process_with(variable: &str) -> String {
    let is_it = |process: &Path| {
        let read = |file| std::fs::read(process.join(file)).unwrap_or_default();
        read("comm").starts_with(b"create-auth-cha")
            && read("environ").split(|b| *b == 0).any(|v| v == variable.as_bytes())
    };
    let mut processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    processes.find(|process| is_it(process)).unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn f25_the_first_mail_after_a_freeze_goes_out_once_whatever_became_of_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (mails, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (taken, made) = (Arc::clone(&mails), Arc::clone(&connections));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            made.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(stream, Arc::clone(&taken)));
        }
    });
    let pool = start(&[("AWS_ENDPOINT_URL_SESV2", &url)]).await;
    pool.initiate("alice@example.com").await.unwrap();
    let process = process_with(&format!("AWS_ENDPOINT_URL_SESV2={url}"));
    let signal = |name: &str| assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
    // The connection is dead by then, and alive.
    for (frozen, connections_then) in [(PATIENCE * 2, 2), (PATIENCE / 100, 2)] {
        signal("-STOP");
        sleep(frozen).await;
        signal("-CONT");
        let before = mails.load(Ordering::Relaxed);
        pool.initiate("user1@example.com").await.unwrap();
        assert_eq!(mails.load(Ordering::Relaxed), before + 1, "frozen for {frozen:?}");
        assert_eq!(connections.load(Ordering::Relaxed), connections_then, "frozen for {frozen:?}");
    }
}
