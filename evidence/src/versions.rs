//! `evidence versions`: gate G16. Sign-ins while a deployment is under way: each call of Cognito's is answered, by chance, by a function
//! as it was before or as it is after. Everybody has to sign in, at the first try.
//!
//! What is deployed is each step of a change of keys (`docs/deploy.md`), and another commit of this repository, forth and back: all of it
//! without a table, and with one, where some begin twice and get the same challenge as a repeat. The control is a change of keys in one
//! step, which locks people out.
//!
//! Without a table functions of a7bb0f3 and later may be mixed, with one those of 92c4e34 and later: before, an item's version was a
//! number, and neither understands the other's items.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clap::Args;
use jiff::Timestamp;
use local_pool::build;
use local_pool::lambda::LogSink;
use local_pool::ses::Mailbox;
use parking_lot::Mutex;
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::git::git;
use crate::stage::{self, Answer, Client, Functions, INVOKE, Programs, SEND_EMAIL, TRIGGERS};
use crate::table::Table;

/// What the command takes.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How many sign-ins, of each deployment
    #[arg(long, value_name = "N", default_value_t = 3_334)]
    sign_ins: usize,
    /// Another commit of this repository, whose functions serve beside these without a table
    #[arg(long, value_name = "COMMIT")]
    other: Option<String>,
    /// One whose functions serve beside these with a table: 92c4e34 or a later one
    #[arg(long, value_name = "COMMIT")]
    other_with_table: Option<String>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// How many sign in at once.
const CLIENTS: usize = 64;
/// Environments of each function.
const ENVIRONMENTS: usize = 8;
/// Who begins again after this time may be Cognito that calls again, and gets the same challenge.
const UNTIL_REPEATED: Duration = Duration::from_secs(4);

const OLD: &str = "the-key-before-the-change-with-enough-characters";
const NEW: &str = "the-key-after-the-change-with-enough-characters";

/// `CODE_KEY` and `CODE_KEY_PREVIOUS`.
type Keys = (&'static str, &'static str);

/// The steps of a change of keys, each from one pair to another. The last is taken when nobody has a code of the old key any more.
const STEPS: [(&str, Keys, Keys); 3] = [
    ("the new key is known", (OLD, ""), (OLD, NEW)),
    ("codes are made with the new key", (OLD, NEW), (NEW, OLD)),
    ("the old key is forgotten", (NEW, OLD), (NEW, "")),
];

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> io::Result<ExitCode> {
    Runtime::new()?.block_on(deploy(arguments, out)).map_err(io::Error::other)
}

async fn deploy(arguments: &Arguments, out: &mut impl Write) -> stage::Result<ExitCode> {
    let ours = stage::programs().await?;
    let (mut deployments, mut repeated, mut lost) = (0, 0, [0, 0]);
    for (has_table, other) in [(false, &arguments.other), (true, &arguments.other_with_table)] {
        let mut sign_in = async |what: &str, kinds| -> stage::Result<()> {
            let sum = sign_ins(arguments.sign_ins, has_table, kinds).await?;
            if !arguments.json {
                let table = if has_table { "with" } else { "without" };
                writeln!(out, "{what}, {table} a table: {} of {} did not sign in", sum.lost, arguments.sign_ins)?;
            }
            deployments += 1;
            repeated += sum.repeated;
            lost[usize::from(has_table)] += sum.lost;
            Ok(())
        };
        for (what, before, after) in STEPS {
            sign_in(what, [(&ours, before), (&ours, after)]).await?;
        }
        if let Some(commit) = other {
            let theirs = build::functions(&checkout(commit)?, "dev", &TRIGGERS).await?;
            let what = format!("functions of {commit} and of now");
            sign_in(&what, [(&theirs, (OLD, "")), (&ours, (OLD, ""))]).await?;
        }
    }
    let [lost_without, lost_with_table] = lost;
    let lost = lost_without + lost_with_table;
    let in_one_step = arguments.sign_ins.min(200);
    let locked_out = sign_ins(in_one_step, false, [(&ours, (OLD, "")), (&ours, (NEW, ""))]).await?.lost;
    // Without a repeat the table would have shown little.
    let holds = lost == 0 && repeated > 0 && locked_out > 0;
    if arguments.json {
        let figures = json!({
            "gate": "G16", "holds": holds, "deployments": deployments, "sign_ins": deployments * arguments.sign_ins,
            "lost": lost, "lost_with_table": lost_with_table, "repeated": repeated, "control_lost": locked_out,
            "other": arguments.other.as_deref().unwrap_or("none"),
            "other_with_table": arguments.other_with_table.as_deref().unwrap_or("none"),
        });
        writeln!(out, "{figures}")?;
    } else {
        writeln!(out, "{lost} lost; a change of keys in one step would have lost {locked_out} of {in_one_step}")?;
        writeln!(out, "{repeated} with a challenge of an earlier beginning")?;
        writeln!(out, "{}", if holds { "holds" } else { "FAILED" })?;
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Another commit, in a folder where it can be built.
fn checkout(commit: &str) -> io::Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let folder = workspace.join("target/evidence/other");
    let id = git(workspace, &["rev-parse", "--verify", &format!("{commit}^{{commit}}")])?;
    if !folder.exists() {
        git(workspace, &["clone", "--shared", "--no-checkout", ".", &folder.to_string_lossy()])?;
    }
    git(&folder, &["fetch", "origin"])?;
    git(&folder, &["checkout", "--force", "--detach", &id])?;
    Ok(folder)
}

/// Everybody's last code.
type Codes = Arc<Mutex<HashMap<String, String>>>;

/// What sign-ins came to.
struct Sum {
    lost: usize,
    /// Those with a challenge that was made for an earlier beginning.
    repeated: usize,
}

/// Signs so many in, with functions of two kinds.
async fn sign_ins(count: usize, has_table: bool, kinds: [(&Programs, Keys); 2]) -> stage::Result<Sum> {
    let codes = Codes::default();
    let ses = stage::serve(Router::new().route(SEND_EMAIL, post(send_email)).with_state(Arc::clone(&codes))).await?;
    let table = Table::start().await;
    let (name, url) = (if has_table { "limits" } else { "" }, table.url());
    let logs: LogSink = Arc::new(|_: &str, _: &str| ());
    let mut functions = Vec::new();
    for (programs, (key, previous)) in kinds {
        let keys = [("CODE_KEY", key), ("CODE_KEY_PREVIOUS", previous)];
        let counts = [("LIMITS_TABLE", name), ("AWS_ENDPOINT_URL_DYNAMODB", url)];
        let variables = stage::variables(&ses, &[keys, counts].concat());
        functions.push(stage::start(programs, &variables, ENVIRONMENTS, &logs).await?);
    }
    let lambda = stage::serve(Router::new().route(INVOKE, post(invoke)).with_state(Arc::new(functions))).await?;
    // Each once: an account has few mails.
    let users: String = (0..count).map(|n| format!("[[user]]\nemail = \"{}\"\n", address(n))).collect();
    let pool = stage::pool(&users, &lambda, logs).await?;

    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (pool, codes, next) = (pool.clone(), Arc::clone(&codes), Arc::clone(&next));
        clients.spawn(async move {
            let mut ended = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return ended;
                }
                ended.push(sign_in(&pool, &codes, n, has_table && n.is_multiple_of(6)).await.ok().flatten());
            }
        });
    }
    let ended = clients.join_all().await.concat();
    let number = |end| ended.iter().filter(|other| **other == end).count();
    Ok(Sum { lost: number(None), repeated: number(Some(true)) })
}

fn address(n: usize) -> String {
    format!("user{n}@example.com")
}

/// Signs somebody in at the first try, or at the second answer. Whether that was with the challenge of an earlier beginning; `None` if
/// it failed.
async fn sign_in(pool: &Client, codes: &Codes, n: usize, begins_twice: bool) -> reqwest::Result<Option<bool>> {
    let address = &address(n);
    let mut reply = pool.initiate(address).await?.body;
    let (mut code, mut repeated) = (codes.lock().remove(address), false);
    if begins_twice {
        sleep(UNTIL_REPEATED).await;
        reply = pool.initiate(address).await?.body;
        let mailed = codes.lock().remove(address);
        repeated = mailed.is_none();
        code = mailed.or(code);
    }
    if n.is_multiple_of(4) {
        let Some(session) = reply["Session"].as_str() else { return Ok(None) };
        reply = pool.respond(session, address, "0000 0000", json!({})).await?.body;
    }
    let (Some(session), Some(code)) = (reply["Session"].as_str(), code) else { return Ok(None) };
    let reply = pool.respond(session, address, &code, json!({})).await?.body;
    Ok(reply["AuthenticationResult"].is_object().then_some(repeated))
}

async fn invoke(
    extract::State(kinds): extract::State<Arc<Vec<Functions>>>,
    extract::Path(name): extract::Path<String>,
    event: Bytes,
) -> Response {
    let kind = &kinds[UnwrapErr(SysRng).random_range(0..kinds.len())];
    match kind.get(name.as_str()) {
        Some(function) => Answer::Invoked(function.invoke(event).await).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn send_email(extract::State(codes): extract::State<Codes>, body: Bytes) -> Response {
    match Mailbox::default().send_email(&body, Timestamp::now()) {
        Ok(mail) => {
            let code = mail.text.lines().nth(2).unwrap_or_default().to_owned();
            codes.lock().insert(mail.to.clone(), code);
            json!({"MessageId": "0100"}).to_string().into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.body().to_string()).into_response(),
    }
}
