//! Ten thousand whole sign-ins through the API, by 256 clients at once, with the four functions as programs.
//!
//!     cargo bench -p local-pool [-- <number of sign-ins>]
//!
//! Every reply has to be the one that belongs there: tokens only for the right answer, and those of the user who answered. In
//! one sign-in of ten the first answer is wrong. Then, in as many races, two answers are given to one session. At last somebody
//! begins as many sign-ins who guesses at codes of which all but three digits are known: nothing is counted across sign-ins
//! here, so guesses are right as often as the formula says (`auth_challenge::risk`).

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark tells what it measured, and stops at a surprise"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use local_pool::build;
use local_pool::invocation::Observation;
use local_pool::lambda::Program;
use local_pool::pool::PoolOptions;
use local_pool::server::{Addresses, Options, Server, bind};
use local_pool::trigger::Trigger;
use local_pool::users::Users;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use reqwest::Client;
use serde_json::{Value, json};

const CLIENTS: usize = 256;
const SIGN_INS: usize = 10_000;
/// Codes that are left to guess at, and guesses at each.
const CODES: f64 = 1_000.0;
const GUESSES: u32 = 3;
/// Memory is told this often.
const LEG: usize = 1_000;

#[derive(Clone)]
struct Pool {
    http: Client,
    addresses: Addresses,
}

impl Pool {
    async fn call(&self, operation: &str, mut parameters: Value) -> Result<Value, String> {
        parameters["ClientId"] = json!(self.addresses.client_id);
        let request = self.http.post(&self.addresses.endpoint).body(parameters.to_string());
        let request = request.header("x-amz-target", format!("AWSCognitoIdentityProviderService.{operation}"));
        let reply = request.send().await.unwrap();
        let is_ok = reply.status().is_success();
        let reply: Value = reply.json().await.unwrap();
        if is_ok { Ok(reply) } else { Err(reply["message"].as_str().unwrap().to_owned()) }
    }

    async fn initiate(&self, username: &str) -> Value {
        let parameters = json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": username}});
        self.call("InitiateAuth", parameters).await.unwrap()
    }

    async fn respond(&self, session: &Value, username: &str, answer: &str) -> Result<Value, String> {
        let parameters = json!({
            "ChallengeName": "CUSTOM_CHALLENGE", "Session": session,
            "ChallengeResponses": {"USERNAME": username, "ANSWER": answer},
        });
        self.call("RespondToAuthChallenge", parameters).await
    }

    /// The code of the newest mail to a user.
    async fn code(&self, username: &str) -> String {
        let url = format!("{}?to={username}", self.addresses.mailbox());
        let mails: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        mails[0]["text"].as_str().unwrap().lines().nth(2).unwrap().to_owned()
    }

    async fn sign_in(&self, n: usize) {
        let username = format!("user{}@example.com", n % CLIENTS);
        let mut session = self.initiate(&username).await["Session"].clone();
        if n.is_multiple_of(10) {
            let reply = self.respond(&session, &username, "0000 0000").await.unwrap();
            assert_eq!(reply["ChallengeParameters"]["errorCode"], "CODE_MISMATCH");
            assert_eq!(reply.get("AuthenticationResult"), None);
            session = reply["Session"].clone();
        }
        let reply = self.respond(&session, &username, &self.code(&username).await).await.unwrap();
        let token = reply["AuthenticationResult"]["IdToken"].as_str().unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["email"], username);
    }

    /// Two right answers at once: one gets tokens, the other is refused.
    async fn race(&self, n: usize) {
        let username = format!("user{}@example.com", n % CLIENTS);
        let session = self.initiate(&username).await["Session"].clone();
        let code = self.code(&username).await;
        let (one, two) =
            tokio::join!(self.respond(&session, &username, &code), self.respond(&session, &username, &code));
        let refused = "Invalid session for the user, session can only be used once.";
        let (winner, loser) = if one.is_ok() { (one, two) } else { (two, one) };
        assert!(winner.unwrap()["AuthenticationResult"].is_object());
        assert_eq!(loser.unwrap_err(), refused);
    }

    /// Somebody who has seen all but the end of a code guesses at the rest. Whether that opened the account.
    async fn attack(&self, n: usize) -> bool {
        let username = format!("user{}@example.com", n % CLIENTS);
        let mut session = self.initiate(&username).await["Session"].clone();
        let code: String = self.code(&username).await.chars().filter(char::is_ascii_digit).collect();
        let known = &code[..code.len() - 3];
        for guess in 0..GUESSES {
            // Others in each sign-in, never the same twice in one.
            let guess = (n as u32 * 7 + guess * 331) % CODES as u32;
            match self.respond(&session, &username, &format!("{known}{guess:03}")).await {
                Ok(reply) if reply.get("AuthenticationResult").is_some() => return true,
                Ok(reply) => session = reply["Session"].clone(),
                Err(words) => assert_eq!(words, "Incorrect username or password."),
            }
        }
        false
    }
}

/// Does something `count` times, 256 at a time, but never twice at once for one user.
async fn run<F>(pool: &Pool, from: usize, count: usize, job: impl Fn(Pool, usize) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let clients = (0..CLIENTS).map(|client| {
        let (pool, next, job) = (pool.clone(), Arc::clone(&next), job.clone());
        tokio::spawn(async move {
            let mut turn = from;
            while next.fetch_add(1, Ordering::Relaxed) < count {
                job(pool.clone(), turn * CLIENTS + client).await;
                turn += 1;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

/// Memory of this process, pool and clients together, in KiB.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

#[tokio::main]
async fn main() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    // As this program was built itself. (`.ci/run` has no time for a release build: the figures are of no use then, the checks are.)
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let programs = build::functions(workspace, profile, &Trigger::OURS).await.unwrap();
    let in_triggers = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&in_triggers);
    let mut options = Options::new(bind(0).await.unwrap(), Arc::new(|_, _| ()));
    let users: String = (0..CLIENTS).map(|n| format!("[[user]]\nemail = \"user{n}@example.com\"\n")).collect();
    options.users = Users::from_toml(&users, &PoolOptions::default().user_pool_id, &mut UnwrapErr(SysRng)).unwrap();
    options.triggers = Trigger::OURS.map(|trigger| (trigger, trigger.function().to_owned())).into();
    options.programs = programs.into_iter().map(|(name, path)| (name.to_owned(), Program::new(path))).collect();
    options.variables.insert("CODE_KEY".to_owned(), "a-key-of-the-benchmark-with-enough-characters".to_owned());
    options.observer = Some(Arc::new(move |seen: &Observation<'_>| {
        assert_eq!(seen.tries, 1);
        sum.fetch_add(seen.duration.as_micros().try_into().unwrap(), Ordering::Relaxed);
    }));
    let server = Server::start(options).await.unwrap();
    let pool = Pool { http: Client::builder().no_proxy().build().unwrap(), addresses: server.addresses().clone() };
    tokio::spawn(server.serve(std::future::pending()));

    let sign_ins = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(SIGN_INS);
    println!("{sign_ins} sign-ins, {CLIENTS} clients at once");
    let (mut waited, begun) = (Duration::ZERO, Instant::now());
    for leg in 0..sign_ins / LEG {
        let leg_begun = Instant::now();
        run(&pool, leg, LEG, |pool, n| async move { pool.sign_in(n).await }).await;
        waited += leg_begun.elapsed() * u32::try_from(CLIENTS).unwrap();
        let memory = resident().map_or("unknown".to_owned(), |kib| format!("{:.1} MiB", kib as f64 / 1_024.0));
        println!("{:>6} done, memory {memory}", (leg + 1) * LEG);
    }
    let elapsed = begun.elapsed();
    let share = in_triggers.load(Ordering::Relaxed) as f64 / 1e6 / waited.as_secs_f64() * 100.0;
    println!(
        "{:.0} sign-ins/s; {share:.0} % of the clients' time was spent in triggers",
        sign_ins as f64 / elapsed.as_secs_f64()
    );

    let begun = Instant::now();
    run(&pool, 0, sign_ins, |pool, n| async move { pool.race(n).await }).await;
    println!(
        "{sign_ins} races of two answers to one session, one judged in each, in {:.1} s",
        begun.elapsed().as_secs_f64()
    );

    let begun = Instant::now();
    let opened = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&opened);
    let attack = move |pool: Pool, n| {
        let seen = Arc::clone(&seen);
        async move {
            if pool.attack(n).await {
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    run(&pool, 0, sign_ins, attack).await;
    let opened = opened.load(Ordering::Relaxed) as f64;
    let chance = f64::from(GUESSES) / CODES;
    let expected = sign_ins as f64 * chance;
    let deviation = (expected * (1.0 - chance)).sqrt();
    println!(
        "{sign_ins} sign-ins with {GUESSES} guesses at one of {CODES} codes opened {opened}, expected {expected:.0} ± {deviation:.1}, in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    assert!((opened - expected).abs() <= 3.0 * deviation, "not what the formula says");
}
