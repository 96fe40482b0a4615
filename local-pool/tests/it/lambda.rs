//! Functions that do what functions should not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use local_pool::lambda::{Function, FunctionConfig, Invoked, Program, StartError};
use serde_json::{Value, json};
use uuid::Uuid;

/// This test program is the function too: run with `BEHAVIOUR`, this one test asks the Runtime API for events.
#[test]
fn the_function() {
    let Ok(behaviour) = std::env::var("BEHAVIOUR") else { return };
    match behaviour.as_str() {
        "exit" => {
            eprintln!("CODE_KEY must be a secret");
            std::process::exit(7);
        }
        "report" => {
            call("POST", "init/error", r#"{"errorType": "X", "errorMessage": "no key"}"#);
            std::thread::sleep(Duration::from_secs(60));
        }
        _ => {}
    }
    loop {
        let (head, event) = call("GET", "invocation/next", "");
        let id = head.lines().find_map(|line| line.strip_prefix("lambda-runtime-aws-request-id: ")).unwrap().to_owned();
        if behaviour == "sleep" {
            std::thread::sleep(Duration::from_secs(60));
        }
        println!("event {event}");
        std::io::stdout().write_all(b"no \xff text\none\rtwo\r\n").unwrap();
        match event.trim_matches('"') {
            "exit" => std::process::exit(3),
            "hang" => std::thread::sleep(Duration::from_secs(60)),
            "fail" => drop(call("POST", &format!("invocation/{id}/error"), r#"{"errorMessage": "no"}"#)),
            "slow pid" => {
                std::thread::sleep(SLOW);
                drop(call("POST", &format!("invocation/{id}/response"), &std::process::id().to_string()));
            }
            "pid" => drop(call("POST", &format!("invocation/{id}/response"), &std::process::id().to_string())),
            "head" => drop(call("POST", &format!("invocation/{id}/response"), &head)),
            "answers to nothing" => {
                call("POST", "invocation/another/response", "\"another\"");
                call("POST", "invocation/another/error", r#"{"errorMessage": "another"}"#);
                drop(call("POST", &format!("invocation/{id}/response"), &event));
            }
            _ => drop(call("POST", &format!("invocation/{id}/response"), &event)),
        }
    }
}

const SLOW: Duration = Duration::from_millis(300);

/// How long an invocation may take.
const LIMIT: Duration = Duration::from_secs(2);

/// One request to the Runtime API: the head and the body of the answer.
fn call(method: &str, path: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap()).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: lambda\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0);
    }
    let mut body = String::new();
    reader.read_to_string(&mut body).unwrap();
    (head, body)
}

type Lines = Arc<Mutex<Vec<String>>>;

async fn start(behaviour: &str, max_environments: usize) -> (Result<Arc<Function>, StartError>, Lines) {
    let lines = Lines::default();
    let sink = Arc::clone(&lines);
    let config = FunctionConfig {
        name: "a-function".to_owned(),
        program: Program {
            arguments: ["--exact", "lambda::the_function", "--nocapture"].map(str::to_owned).to_vec(),
            ..Program::new(std::env::current_exe().unwrap())
        },
        variables: BTreeMap::from([("BEHAVIOUR".to_owned(), behaviour.to_owned())]),
        timeout: LIMIT,
        max_environments,
        traced: true,
    };
    let function =
        Function::start(config, Arc::new(move |name, line| sink.lock().unwrap().push(format!("{name}: {line}"))));
    (function.await, lines)
}

async fn invoke(function: &Arc<Function>, event: &str) -> Result<String, String> {
    match function.invoke(Bytes::from(json!(event).to_string())).await {
        Invoked::Returned(reply) => Ok(String::from_utf8(reply.to_vec()).unwrap()),
        Invoked::Failed(error) => {
            let error: Value = serde_json::from_slice(&error).unwrap();
            Err(error["errorMessage"].as_str().unwrap().to_owned())
        }
    }
}

#[tokio::test]
async fn a_function_answers_and_its_lines_are_passed_on() {
    let (function, lines) = start("serve", 1).await;
    let function = function.unwrap();
    assert_eq!(invoke(&function, "one").await, Ok("\"one\"".to_owned()));
    assert_eq!(invoke(&function, "fail").await, Err("no".to_owned()));
    assert_eq!(invoke(&function, "two").await, Ok("\"two\"".to_owned()));
    let lines = lines.lock().unwrap();
    for line in ["event \"two\"", "no \u{fffd} text", "one", "two"].map(|line| format!("a-function: {line}")) {
        assert!(lines.contains(&line), "{lines:?}");
    }
}

#[tokio::test]
async fn an_event_comes_with_an_id_of_its_own_a_deadline_and_a_trace() {
    let (function, _) = start("serve", 1).await;
    let function = function.unwrap();
    let since_1970 = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        let before = since_1970();
        let head = invoke(&function, "head").await.unwrap();
        let after = since_1970();
        let header = |name: &str| {
            let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.unwrap_or_else(|| panic!("{name}: {head}")).to_owned()
        };
        let id: Uuid = header("lambda-runtime-aws-request-id").parse().unwrap();
        assert_eq!(id.get_version_num(), 4);
        let deadline: u128 = header("lambda-runtime-deadline-ms").parse().unwrap();
        assert!(((before + LIMIT).as_millis()..=(after + LIMIT).as_millis()).contains(&deadline), "{deadline}");
        // When the trace began, and digits that no other trace has.
        let trace = header("lambda-runtime-trace-id");
        let (root, rest) = trace.strip_prefix("Root=1-").unwrap().split_once(';').unwrap();
        let (began, digits) = root.split_once('-').unwrap();
        let began = u64::from_str_radix(began, 16).unwrap();
        assert!((before.as_secs()..=after.as_secs()).contains(&began), "{trace}");
        let all = id.simple().to_string();
        assert_eq!((digits, rest), (&all[..24], &*format!("Parent={};Sampled=0", &all[..16])));
        ids.insert(id);
    }
    assert_eq!(ids.len(), 2);
}

#[tokio::test]
async fn an_answer_to_another_event_is_none_to_this() {
    let (function, _) = start("serve", 1).await;
    let reply = invoke(&function.unwrap(), "answers to nothing").await;
    assert_eq!(reply, Ok("\"answers to nothing\"".to_owned()));
}

#[tokio::test]
async fn an_event_and_its_reply_may_be_as_large_as_in_lambda() {
    let (function, _) = start("serve", 1).await;
    // With its quotes it has 6 MiB.
    let event = "x".repeat(6 * 1024 * 1024 - 2);
    let reply = invoke(&function.unwrap(), &event).await.unwrap();
    // Not `assert_eq`, which would show all of both.
    assert!(reply.trim_matches('"') == event, "{} octets", reply.len());
}

#[tokio::test]
async fn only_processes_that_wait_for_an_event_are_idle() {
    let (function, _) = start("serve", 1).await;
    let function = function.unwrap();
    let pid: u32 = invoke(&function, "pid").await.unwrap().parse().unwrap();
    assert_eq!(function.idle_processes(), [pid]);
    invoke(&function, "exit").await.unwrap_err();
    assert_eq!(function.idle_processes(), [0; 0]);
}

#[tokio::test]
async fn a_function_that_crashes_fails_its_invocation_and_no_other() {
    let (function, _) = start("serve", 1).await;
    let function = function.unwrap();
    let before = invoke(&function, "pid").await.unwrap();
    let error = invoke(&function, "exit").await.unwrap_err();
    assert!(
        error.starts_with("RequestId: ") && error.ends_with(" Error: Runtime exited with error: exit status 3"),
        "{error}"
    );
    let after = invoke(&function, "pid").await.unwrap();
    assert_ne!(before, after);
}

#[tokio::test]
async fn a_function_that_hangs_is_ended() {
    let (function, _) = start("serve", 1).await;
    let function = function.unwrap();
    let pid = invoke(&function, "pid").await.unwrap();
    let error = invoke(&function, "hang").await.unwrap_err();
    assert!(error.ends_with(" Error: Task timed out after 2.00 seconds"), "{error}");
    assert_ends(&pid).await;
    assert_eq!(invoke(&function, "one").await, Ok("\"one\"".to_owned()));
}

#[tokio::test]
async fn a_function_that_does_not_start_says_why() {
    let why = |started: Result<Arc<Function>, StartError>| started.err().unwrap().to_string();
    let expected = "a-function stopped at its start (exit status 7): CODE_KEY must be a secret";
    assert_eq!(why(start("exit", 1).await.0), expected);
    assert_eq!(why(start("report", 1).await.0), "a-function cannot start: no key");
    let config = FunctionConfig {
        name: "a-function".to_owned(),
        program: Program::new("/nowhere/function"),
        variables: BTreeMap::new(),
        timeout: Duration::from_secs(1),
        max_environments: 1,
        traced: true,
    };
    let missing = why(Function::start(config, Arc::new(|_, _| ())).await);
    assert!(missing.starts_with("cannot run /nowhere/function: "), "{missing}");
}

#[tokio::test]
async fn a_program_finds_the_environment_of_this_process_only_if_it_is_to() {
    // cargo's variables are in it, and not in Lambda's.
    let own = format!(": {}", std::env::var("CARGO_PKG_NAME").unwrap());
    let nothing = " without a word; it has to ask the Lambda Runtime API for events".to_owned();
    for (inherits_environment, words) in [(true, own), (false, nothing)] {
        let command = Program::from_command("echo $CARGO_PKG_NAME >&2; exit 5");
        let config = FunctionConfig {
            name: "a-function".to_owned(),
            program: Program { inherits_environment, ..command },
            variables: BTreeMap::new(),
            timeout: Duration::from_secs(1),
            max_environments: 1,
            traced: true,
        };
        let why = Function::start(config, Arc::new(|_, _| ())).await.err().unwrap().to_string();
        assert_eq!(why, format!("a-function stopped at its start (exit status 5){words}"));
    }
}

#[tokio::test]
async fn invocations_at_a_time_have_an_environment_each_up_to_the_limit() {
    let (function, _) = start("serve", 2).await;
    let function = function.unwrap();
    let begun = Instant::now();
    let mut invocations = Vec::new();
    for _ in 0..4 {
        let function = Arc::clone(&function);
        invocations.push(tokio::spawn(async move { (invoke(&function, "slow pid").await.unwrap(), begun.elapsed()) }));
    }
    let (mut pids, mut last) = (BTreeSet::new(), Duration::ZERO);
    for invocation in invocations {
        let (pid, ended) = invocation.await.unwrap();
        pids.insert(pid);
        last = last.max(ended);
    }
    assert_eq!(pids.len(), 2);
    // Two by two: the second pair had to wait for the first.
    assert!(last >= SLOW * 2, "{last:?}");
}

#[tokio::test]
async fn an_environment_that_ended_while_idle_is_not_used() {
    let (function, _) = start("serve", 1).await;
    let function = function.unwrap();
    let pid = invoke(&function, "pid").await.unwrap();
    assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    assert_ends(&pid).await;
    assert_eq!(invoke(&function, "one").await, Ok("\"one\"".to_owned()));
}

#[tokio::test]
async fn an_invocation_that_nobody_waits_for_goes_on_to_its_end() {
    let (function, lines) = start("serve", 1).await;
    let function = function.unwrap();
    drop(tokio::time::timeout(Duration::ZERO, invoke(&function, "alone")).await);
    assert_eq!(invoke(&function, "one").await, Ok("\"one\"".to_owned()));
    assert!(lines.lock().unwrap().iter().any(|line| line.ends_with("event \"alone\"")));
}

#[tokio::test]
async fn no_process_outlives_its_function() {
    let (function, _) = start("serve", 1).await;
    let function = function.unwrap();
    let pid = invoke(&function, "pid").await.unwrap();
    drop(function);
    assert_ends(&pid).await;
}

/// Waits until there is no process of that number, or only its remains and none of its threads.
async fn assert_ends(pid: &str) {
    if !cfg!(target_os = "linux") {
        return;
    }
    for _ in 0..100 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        if stat.is_ok_and(|stat| !stat.contains(") Z ")) || threads > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        } else {
            return;
        }
    }
    panic!("process {pid} is still there");
}

#[tokio::test]
async fn what_a_command_starts_ends_with_it() {
    // The shell waits for the sleep, so the function never asks for an event; both have to go.
    let config = FunctionConfig {
        name: "a-function".to_owned(),
        program: Program::from_command("sleep 60 & echo $! >&2; echo $$ >&2; exit 5"),
        variables: BTreeMap::new(),
        timeout: Duration::from_secs(1),
        max_environments: 1,
        traced: true,
    };
    let lines = Lines::default();
    let sink = Arc::clone(&lines);
    let started = Function::start(config, Arc::new(move |_, line| sink.lock().unwrap().push(line.to_owned()))).await;
    assert!(started.err().unwrap().to_string().starts_with("a-function stopped at its start (exit status 5)"));
    let sleep = lines.lock().unwrap()[0].clone();
    assert_ends(&sleep).await;
}
