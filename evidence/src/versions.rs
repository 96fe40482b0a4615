//! `evidence versions`: gate G16. Sign-ins while a deployment is under way: each call of Cognito's is answered, by chance, by a function
//! as it was before or as it is after. Everybody has to sign in, at the first try.
//!
//! What is deployed is each step of a change of keys (`docs/deploy.md`), and another commit of this repository, forth and back. The
//! control is a change of keys in one step, which locks people out.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

use crate::stage::{self, Answer, Client, Functions, INVOKE, Programs, SEND_EMAIL, TRIGGERS};

/// What the command takes.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How many sign-ins, of each deployment
    #[arg(long, value_name = "N", default_value_t = 3_334)]
    sign_ins: usize,
    /// Another commit of this repository, whose functions serve beside these
    #[arg(long, value_name = "COMMIT")]
    other: Option<String>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// How many sign in at once.
const CLIENTS: usize = 64;
/// Environments of each function.
const ENVIRONMENTS: usize = 8;

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
    let mut lost = 0;
    let mut tell = |what: &str, failed: usize| -> io::Result<()> {
        if arguments.json {
            Ok(())
        } else {
            writeln!(out, "{what}: {failed} of {} did not sign in", arguments.sign_ins)
        }
    };
    for (what, before, after) in STEPS {
        let failed = sign_ins(arguments.sign_ins, [(&ours, before), (&ours, after)]).await?;
        tell(what, failed)?;
        lost += failed;
    }
    let mut deployments = STEPS.len();
    if let Some(commit) = &arguments.other {
        let theirs = build::functions(&checkout(commit)?, "dev", &TRIGGERS).await?;
        let failed = sign_ins(arguments.sign_ins, [(&theirs, (OLD, "")), (&ours, (OLD, ""))]).await?;
        tell(&format!("functions of {commit} and of now"), failed)?;
        lost += failed;
        deployments += 1;
    }
    let in_one_step = arguments.sign_ins.min(200);
    let locked_out = sign_ins(in_one_step, [(&ours, (OLD, "")), (&ours, (NEW, ""))]).await?;
    let holds = lost == 0 && locked_out > 0;
    if arguments.json {
        let figures = json!({
            "gate": "G16", "holds": holds, "deployments": deployments, "sign_ins": deployments * arguments.sign_ins,
            "lost": lost, "control_lost": locked_out, "other": arguments.other.as_deref().unwrap_or("none"),
        });
        writeln!(out, "{figures}")?;
    } else {
        writeln!(out, "{lost} lost; a change of keys in one step would have lost {locked_out} of {in_one_step}")?;
        writeln!(out, "{}", if holds { "holds" } else { "FAILED" })?;
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Another commit, in a folder where it can be built.
fn checkout(commit: &str) -> io::Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let folder = workspace.join("target/evidence/other");
    let git = |folder: &Path, arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(folder).output()?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(output.stdout) } else { Err(io::Error::other(words)) }
    };
    let id = git(workspace, &["rev-parse", "--verify", &format!("{commit}^{{commit}}")])?;
    if !folder.exists() {
        git(workspace, &["clone", "--shared", "--no-checkout", ".", &folder.to_string_lossy()])?;
    }
    git(&folder, &["fetch", "origin"])?;
    git(&folder, &["checkout", "--force", "--detach", String::from_utf8_lossy(&id).trim()])?;
    Ok(folder)
}

/// Everybody's last code.
type Codes = Arc<Mutex<HashMap<String, String>>>;

/// Signs in so often, with functions of two kinds. How many sign-ins failed.
async fn sign_ins(count: usize, kinds: [(&Programs, Keys); 2]) -> stage::Result<usize> {
    let codes = Codes::default();
    let ses = stage::serve(Router::new().route(SEND_EMAIL, post(send_email)).with_state(Arc::clone(&codes))).await?;
    let logs: LogSink = Arc::new(|_: &str, _: &str| ());
    let mut functions = Vec::new();
    for (programs, (key, previous)) in kinds {
        let variables = stage::variables(&ses, &[("CODE_KEY", key), ("CODE_KEY_PREVIOUS", previous)]);
        functions.push(stage::start(programs, &variables, ENVIRONMENTS, &logs).await?);
    }
    let lambda = stage::serve(Router::new().route(INVOKE, post(invoke)).with_state(Arc::new(functions))).await?;
    let users: String = (0..CLIENTS).map(|client| format!("[[user]]\nemail = \"{}\"\n", address(client))).collect();
    let pool = stage::pool(&users, &lambda, logs).await?;

    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (pool, codes, next) = (pool.clone(), Arc::clone(&codes), Arc::clone(&next));
        clients.spawn(async move {
            let mut failed = 0;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return failed;
                }
                let signed_in = sign_in(&pool, &codes, &address(client), n.is_multiple_of(4)).await;
                failed += usize::from(!signed_in.unwrap_or(false));
            }
        });
    }
    Ok(clients.join_all().await.into_iter().sum())
}

fn address(client: usize) -> String {
    format!("user{client}@example.com")
}

/// Whether somebody signs in at the first try, or at the second answer.
async fn sign_in(pool: &Client, codes: &Codes, address: &str, slips: bool) -> reqwest::Result<bool> {
    codes.lock().remove(address);
    let mut reply = pool.initiate(address).await?.body;
    if slips {
        let Some(session) = reply["Session"].as_str() else { return Ok(false) };
        reply = pool.respond(session, address, "0000 0000", json!({})).await?.body;
    }
    let (Some(session), Some(code)) = (reply["Session"].as_str(), codes.lock().remove(address)) else {
        return Ok(false);
    };
    let reply = pool.respond(session, address, &code, json!({})).await?.body;
    Ok(reply["AuthenticationResult"].is_object())
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
