//! Lambda, as far as one process notices: the Runtime API, one event at a time, with a clock beside it.
//!
//! Not the local pool's host, which serves many functions at once: this one shares the machine with what it measures, so it is one
//! thread that sleeps until the process says something.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::share::Share;

/// Longest time to wait for a process, which may run in valgrind on a busy machine.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };
/// What an invocation may take, as in the template.
const LIMIT: Duration = Duration::from_secs(5);
/// After this a process that has asked for an event has gone to sleep, and the system has written down what it used.
const SETTLING: Duration = Duration::from_millis(1);

const INVOCATION: &str = "/2018-06-01/runtime/invocation/";
const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One process, from its start to its end.
pub(crate) struct Life {
    process: Child,
    listener: TcpListener,
    connections: Vec<Connection>,
    /// The connection on which the process waits for an event.
    asking: usize,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// For how long it could have run, had another process not had the CPU.
    pub(crate) waited: Duration,
    pub(crate) peak_memory_kib: u64,
    pub(crate) threads: u64,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

struct Request {
    connection: usize,
    line: String,
    body: Vec<u8>,
    received_at: Instant,
}

impl Life {
    /// Starts a program and waits until it asks for its first event. Also how long that took.
    pub(crate) fn begin(program: &Path, variables: &BTreeMap<String, String>) -> Result<(Life, Duration)> {
        Life::start(Command::new(program), variables, Stdio::inherit(), spawn)
    }

    /// As [`begin`](Life::begin), but the process has this share of the CPU from its first moment.
    pub(crate) fn begin_with_share(
        program: &Path,
        variables: &BTreeMap<String, String>,
        share: &Share,
    ) -> Result<(Life, Duration)> {
        Life::start(Command::new(program), variables, Stdio::inherit(), |command| {
            // By a thread that has the share, because a process inherits it and could otherwise be given it only later.
            let spawning = thread::scope(|scope| {
                let spawner = scope.spawn(|| share.take_in_this_thread().and_then(|()| spawn(command)));
                spawner.join()
            });
            spawning.unwrap_or_else(|_| Err(io::Error::other("the thread that starts the process stopped")))
        })
    }

    /// Starts a program in valgrind, which counts its instructions, with a clock that goes as slowly.
    pub(crate) fn begin_counted(
        program: &Path,
        variables: &BTreeMap<String, String>,
        slow_clock: &Path,
    ) -> Result<Life> {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        let mut variables = variables.clone();
        variables.insert("PATH".to_owned(), std::env::var("PATH").unwrap_or_default());
        variables.insert("LD_PRELOAD".to_owned(), slow_clock.display().to_string());
        Ok(Life::start(command, &variables, Stdio::piped(), spawn)?.0)
    }

    fn start(
        mut command: Command,
        variables: &BTreeMap<String, String>,
        standard_error: Stdio,
        spawn: impl FnOnce(&mut Command) -> io::Result<(Instant, Child)>,
    ) -> Result<(Life, Duration)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let runtime_api = listener.local_addr()?.to_string();
        command
            .env_clear()
            .envs(variables)
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(standard_error);
        let (began, process) = spawn(&mut command)?;
        let mut life = Life { process, listener, connections: Vec::new(), asking: 0 };
        let asked = life.until_it_asks()?;
        Ok((life, asked - began))
    }

    /// Hands an event out. How long it took from there to the response, and the response.
    pub(crate) fn invoke(&mut self, event: &[u8]) -> Result<(Duration, Vec<u8>)> {
        let deadline = (SystemTime::now() + LIMIT).duration_since(UNIX_EPOCH)?.as_millis();
        let mut reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: {REQUEST_ID}\r\n\
             lambda-runtime-deadline-ms: {deadline}\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-west-1:000000000000:function:measured\r\n\
             lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0\r\n\
             content-length: {}\r\n\r\n",
            event.len()
        )
        .into_bytes();
        reply.extend_from_slice(event);
        let began = Instant::now();
        self.connections[self.asking].stream.write_all(&reply)?;
        let response = self.next_request()?;
        let took = response.received_at - began;
        if response.line != format!("POST {INVOCATION}{REQUEST_ID}/response HTTP/1.1") {
            return Err(format!("{}: {}", response.line, String::from_utf8_lossy(&response.body)).into());
        }
        let accepted = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
        self.connections[response.connection].stream.write_all(accepted)?;
        self.until_it_asks()?;
        Ok((took, response.body))
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        thread::sleep(SETTLING);
        let folder = format!("/proc/{}", self.process.id());
        let (mut ran, mut waited) = (0, 0);
        for thread in fs::read_dir(format!("{folder}/task"))? {
            let nanoseconds = fs::read_to_string(thread?.path().join("schedstat"))?;
            let mut nanoseconds = nanoseconds.split(' ').map(str::parse::<u64>);
            ran += nanoseconds.next().unwrap_or(Ok(0))?;
            waited += nanoseconds.next().unwrap_or(Ok(0))?;
        }
        let status = fs::read_to_string(format!("{folder}/status"))?;
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.ok_or_else(|| format!("the system does not tell {name} of a process"))
        };
        Ok(Usage {
            cpu: Duration::from_nanos(ran),
            waited: Duration::from_nanos(waited),
            peak_memory_kib: value("VmHWM")?,
            threads: value("Threads")?,
        })
    }

    /// Ends a process that [`begin_counted`](Life::begin_counted) has started, and tells how many instructions it took.
    pub(crate) fn count(mut self) -> Result<u64> {
        if let Some(id) = Pid::from_raw(self.process.id().cast_signed()) {
            kill_process(id, Signal::TERM)?;
        }
        let mut said = String::new();
        if let Some(mut standard_error) = self.process.stderr.take() {
            standard_error.read_to_string(&mut said)?;
        }
        collected(&said).ok_or_else(|| format!("callgrind does not say what it counted: {said}").into())
    }

    fn until_it_asks(&mut self) -> Result<Instant> {
        let request = self.next_request()?;
        if request.line != format!("GET {INVOCATION}next HTTP/1.1") {
            return Err(format!("{}: {}", request.line, String::from_utf8_lossy(&request.body)).into());
        }
        self.asking = request.connection;
        Ok(request.received_at)
    }

    fn next_request(&mut self) -> Result<Request> {
        loop {
            let mut watched = vec![PollFd::new(&self.listener, PollFlags::IN)];
            watched.extend(self.connections.iter().map(|open| PollFd::new(&open.stream, PollFlags::IN)));
            if poll(&mut watched, Some(&PATIENCE))? == 0 {
                return Err(format!("no word for {} s", PATIENCE.tv_sec).into());
            }
            let is_ready: Vec<bool> = watched.iter().map(|one| !one.revents().is_empty()).collect();
            for (connection, _) in is_ready[1..].iter().enumerate().filter(|(_, is_ready)| **is_ready) {
                if let Some((line, body)) = self.connections[connection].receive()? {
                    return Ok(Request { connection, line, body, received_at: Instant::now() });
                }
            }
            if is_ready[0] {
                let (stream, _) = self.listener.accept()?;
                stream.set_nodelay(true)?;
                self.connections.push(Connection { stream, received: Vec::new() });
            }
        }
    }
}

/// Starts a process. Also when that was.
fn spawn(command: &mut Command) -> io::Result<(Instant, Child)> {
    let began = Instant::now();
    Ok((began, command.spawn()?))
}

impl Drop for Life {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Connection {
    /// Reads what is there. Its request's first line and body, when all of it is.
    fn receive(&mut self) -> Result<Option<(String, Vec<u8>)>> {
        let mut buffer = [0; 1 << 14];
        let length = self.stream.read(&mut buffer)?;
        if length == 0 {
            return Err("the function has hung up".into());
        }
        self.received.extend_from_slice(&buffer[..length]);
        let request = split_request(&self.received)?;
        if request.is_some() {
            self.received.clear();
        }
        Ok(request)
    }
}

/// The first line and the body of an HTTP request, if it is complete. There is nothing behind it: the reply is waited for.
pub(crate) fn split_request(received: &[u8]) -> Result<Option<(String, Vec<u8>)>> {
    const END_OF_HEAD: &[u8] = b"\r\n\r\n";
    let Some(end) = received.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD) else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&received[..end])?;
    let body = &received[end + END_OF_HEAD.len()..];
    let header = |name: &str| {
        let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.find_map(|(header, value)| header.eq_ignore_ascii_case(name).then_some(value.trim()))
    };
    if header("transfer-encoding").is_some() {
        return Err("a request in chunks, which this host does not read".into());
    }
    let length: usize = header("content-length").map_or(Ok(0), str::parse)?;
    let line = head.lines().next().unwrap_or_default().to_owned();
    Ok((body.len() >= length).then(|| (line, body[..length].to_vec())))
}

/// How many instructions callgrind says that it has seen.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgrinds_count_is_read_from_among_its_other_lines() {
        let said =
            "==7== Callgrind, a call-graph generating cache profiler\n==7== Events    : Ir\n==7== Collected : 43210\n";
        assert_eq!(collected(said), Some(43_210));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }

    #[test]
    fn a_request_is_complete_when_its_body_is() {
        let whole = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        for length in 0..whole.len() {
            assert_eq!(split_request(&whole[..length]).unwrap(), None, "{length}");
        }
        assert_eq!(split_request(whole).unwrap(), Some(("POST /a HTTP/1.1".to_owned(), b"abc".to_vec())));
    }

    #[test]
    fn a_request_without_a_length_has_no_body() {
        let request = split_request(b"GET /next HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(request, Some(("GET /next HTTP/1.1".to_owned(), Vec::new())));
    }

    #[test]
    fn a_request_in_chunks_is_an_error_and_no_request_without_a_body() {
        assert!(split_request(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }
}
