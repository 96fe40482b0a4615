//! `evidence enumeration`: gate G10, end to end. Strangers begin sign-ins, through the pool's API, for users who are there and for
//! names that nobody has, for addresses that are not verified or not admitted, and for accounts that have had their mails; and try
//! to tell them apart: by how long the replies take, by what they are like, by how many there are.
//!
//! All kinds are called in no order, so that the noise of this machine is the same for all. SES takes as long as a mail service does:
//! around 60 ms, lognormal with σ 0.4. There are as many environments of each function as calls at a time, so that no call waits for
//! another; and each has sent as many mails before as it goes by, because what a cold function tells is known (README). What others do for unknown
//! users, a sleep of up to 200 ms, or none, has to be found.
//!
//! Those who are disabled or not confirmed Cognito refuses itself, with words of its own; here it is only looked whether it asks our
//! functions then.

mod judge;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::f64::consts::TAU;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use auth_challenge::user::{User as Recipient, WhyUnknown};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clap::Args;
use local_pool::lambda::LogSink;
use local_pool::pool::PoolOptions;
use local_pool::users::User;
use parking_lot::Mutex;
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::judge::Compared;
use crate::stage::{self, Answer, Client, Functions, INVOKE, Reply, SEND_EMAIL};
use crate::table::{self, Table};

/// What the command takes.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How many sign-ins of each kind
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    calls: usize,
    /// How many calls at a time
    #[arg(long, value_name = "N", default_value_t = 4)]
    at_once: usize,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// How many mails an environment goes by.
const REMEMBERED: usize = 64;
/// Calls of each environment while all of them start: as many as it takes until it does not go by a built-in guess any more.
const STARTING: usize = 4;
/// Accounts of each kind; none is called twice at a time.
const ACCOUNTS: usize = 32;
/// Calls of each way to wait that has to be found: these cost nothing.
const PRETENDED: usize = 20_000;
/// Cognito's repeats are over: who begins again then is limited.
const NO_REPEAT: Duration = Duration::from_secs(16);
/// The median of SES's delay, and what its logarithm varies by.
const MEDIAN: f64 = 0.06;
const SIGMA: f64 = 0.4;

/// Whom somebody begins a sign-in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Found,
    Unknown,
    /// There is a user, whose address is not verified.
    Unverified,
    /// There is a user, whose domain is not admitted.
    NotAdmitted,
}

/// How the functions that serve it are deployed, and what the account has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Where {
    WithoutTable,
    WithTable,
    /// With a table, and the account has had its mails.
    Limited,
}

/// Kinds of calls; those of one [`Where`] must not be told apart.
type Kind = (Where, Who);

const WHO: [Who; 4] = [Who::Found, Who::Unknown, Who::Unverified, Who::NotAdmitted];
const WHERE: [Where; 3] = [Where::WithoutTable, Where::WithTable, Where::Limited];

fn kinds() -> impl Iterator<Item = Kind> {
    WHERE.into_iter().flat_map(|place| WHO.map(|who| (place, who)))
}

/// The address of an account; all are of one length in each domain.
fn address((place, who): Kind, number: usize) -> String {
    let place = match place {
        Where::WithoutTable => "plain",
        Where::WithTable => "count",
        Where::Limited => "limit",
    };
    let (who, domain) = match who {
        Who::Found => ("found", "example.com"),
        Who::Unknown => ("fancy", "example.com"),
        Who::Unverified => ("doubt", "example.com"),
        Who::NotAdmitted => ("other", "blocked.tld"),
    };
    format!("{place}-{who}-{number:04}@{domain}")
}

/// The users' file.
fn users() -> String {
    let mut file = String::new();
    for kind in kinds().filter(|(_, who)| *who != Who::Unknown) {
        for number in 0..ACCOUNTS {
            let is_verified = kind.1 != Who::Unverified;
            file += &format!("[[user]]\nemail = \"{}\"\nemail_verified = {is_verified}\n", address(kind, number));
        }
    }
    file + "[[user]]\nemail = \"disabled@example.com\"\nenabled = false\n"
        + "[[user]]\nemail = \"unconfirmed@example.com\"\nstatus = \"UNCONFIRMED\"\n"
}

/// What the pool calls the user of an address.
fn user_name((_, who): Kind, address: &str) -> String {
    match who {
        Who::Found | Who::Unverified | Who::NotAdmitted => User::new(address).username,
        Who::Unknown => User::missing(&PoolOptions::default().user_pool_id, address).username,
    }
}

/// SES, which takes its time.
#[derive(Default)]
struct MailService {
    mails: AtomicUsize,
    quickest: Mutex<Option<Duration>>,
}

async fn send_email(State(service): State<Arc<MailService>>) -> String {
    let [a, b]: [f64; 2] =
        [UnwrapErr(SysRng).random_range(f64::EPSILON..1.0), UnwrapErr(SysRng).random_range(0.0..1.0)];
    // Box and Muller.
    let delay = Duration::from_secs_f64(MEDIAN * (SIGMA * (-2.0 * a.ln()).sqrt() * (TAU * b).cos()).exp());
    service.mails.fetch_add(1, Ordering::Relaxed);
    {
        let mut quickest = service.quickest.lock();
        *quickest = Some(quickest.map_or(delay, |before| before.min(delay)));
    }
    sleep(delay).await;
    json!({"MessageId": "0100"}).to_string()
}

/// Lambda, with the functions as they are deployed without a table and with one.
struct Lambda {
    plain: Functions,
    counting: Functions,
    /// What users are called whose accounts are counted.
    counted: BTreeSet<String>,
    invocations: AtomicUsize,
}

async fn invoke(State(lambda): State<Arc<Lambda>>, Path(name): Path<String>, event: Bytes) -> Response {
    lambda.invocations.fetch_add(1, Ordering::Relaxed);
    let asked: Value = serde_json::from_slice(&event).unwrap_or_default();
    let is_counted = asked["userName"].as_str().is_some_and(|name| lambda.counted.contains(name));
    let functions = if is_counted { &lambda.counting } else { &lambda.plain };
    match functions.get(name.as_str()) {
        Some(function) => Answer::Invoked(function.invoke(event).await).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A pool, and what it needs.
struct World {
    pool: Client,
    ses: Arc<MailService>,
    lambda: Arc<Lambda>,
    table: Table,
}

/// What was heard of one kind.
#[derive(Default)]
struct Heard {
    /// How long the calls lasted that begin a sign-in.
    began: Vec<Duration>,
    /// How long those lasted that give a wrong answer.
    answered: Vec<Duration>,
    /// What the replies of a sign-in were like, in turn.
    shapes: BTreeSet<Vec<String>>,
}

/// What a reply is like: all that does not vary by chance.
fn shape(reply: &Reply) -> String {
    fn outline(value: &Value) -> Value {
        match value {
            Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), outline(value))).collect(),
            Value::Array(items) => items.iter().map(outline).collect(),
            Value::String(text) => text.len().into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
    let Reply { status, body, .. } = reply;
    // Errors are compared word for word.
    if body["Session"].is_string() { format!("{status} {}", outline(body)) } else { format!("{status} {body}") }
}

impl World {
    async fn start(at_once: usize) -> stage::Result<Arc<World>> {
        let programs = stage::programs().await?;
        let logs: LogSink = Arc::new(|_, _| ());
        let ses = Arc::new(MailService::default());
        let router = Router::new().route(SEND_EMAIL, post(send_email)).with_state(Arc::clone(&ses));
        let ses_url = stage::serve(router).await?;
        let table = Table::start().await;
        let plain = [("BLOCKED_EMAIL_DOMAINS", "blocked.tld")];
        let with_table = [
            plain[0],
            ("LIMITS_TABLE", "limits"),
            ("AWS_ENDPOINT_URL_DYNAMODB", table.url()),
            ("MAIL_BURST", "1"),
            ("MAILS_PER_DAY", "1"),
        ];
        let names = |kind| (0..ACCOUNTS).map(move |number| user_name(kind, &address(kind, number)));
        let lambda = Arc::new(Lambda {
            plain: stage::start(&programs, &stage::variables(&ses_url, &plain), at_once, &logs).await?,
            counting: stage::start(&programs, &stage::variables(&ses_url, &with_table), at_once, &logs).await?,
            counted: kinds().filter(|(place, _)| *place != Where::WithoutTable).flat_map(names).collect(),
            invocations: AtomicUsize::new(0),
        });
        let url = stage::serve(Router::new().route(INVOKE, post(invoke)).with_state(Arc::clone(&lambda))).await?;
        let pool = stage::pool(&users(), &url, logs).await?;
        Ok(Arc::new(World { pool, ses, lambda, table }))
    }

    /// Starts all environments, by as many calls at once as there are; lets the accounts have their mails that are to be limited; and
    /// calls all kinds as they will be measured, until each environment has sent as many mails as it remembers, or a quarter of `calls`: how
    /// long those took that it sent while it started says nothing.
    async fn warm_up(self: &Arc<World>, calls: usize, at_once: usize) -> stage::Result<()> {
        for place in [Where::WithoutTable, Where::WithTable].repeat(STARTING) {
            let mut calls = JoinSet::new();
            for number in 0..at_once {
                let world = Arc::clone(self);
                calls.spawn(async move { world.probe((place, Who::Found), number, false).await });
            }
            while let Some(call) = calls.join_next().await {
                call??;
            }
        }
        for who in WHO {
            for number in 0..ACCOUNTS {
                self.pool.initiate(&address((Where::Limited, who), number)).await?;
            }
        }
        sleep(NO_REPEAT).await;
        self.measure(REMEMBERED.min(calls / 4) * at_once, at_once).await?;
        Ok(())
    }

    /// One sign-in of a kind, with a wrong answer, or as many as there may be. Its replies.
    async fn probe(&self, kind: Kind, number: usize, to_its_end: bool) -> stage::Result<Vec<Reply>> {
        let address = address(kind, number);
        let mut replies = vec![self.pool.initiate(&address).await?];
        let answers = if to_its_end { 12 } else { 1 };
        while let Some(session) = replies.last().and_then(|reply| reply.body["Session"].as_str())
            && replies.len() <= answers
        {
            let session = session.to_owned();
            replies.push(self.pool.respond(&session, &address, "00000000", json!({})).await?);
        }
        if kind.0 == Where::WithTable {
            self.table.forget(&self.account(kind, &address));
        }
        Ok(replies)
    }

    /// The name of an account in the table.
    fn account(&self, kind: Kind, address: &str) -> String {
        let user = match kind.1 {
            Who::Found => table::known(address),
            Who::Unknown => Recipient::Unknown(WhyUnknown::UserNotFound),
            Who::Unverified => Recipient::Unknown(WhyUnknown::EmailNotVerified),
            Who::NotAdmitted => Recipient::Unknown(WhyUnknown::DomainNotAdmitted),
        };
        table::account(&self.pool, user_name(kind, address), &user)
    }

    /// Calls all kinds so often, in no order.
    async fn measure(self: &Arc<World>, calls: usize, at_once: usize) -> stage::Result<BTreeMap<Kind, Heard>> {
        let mut all: Vec<Kind> = kinds().flat_map(|kind| std::iter::repeat_n(kind, calls)).collect();
        for place in (1..all.len()).rev() {
            all.swap(place, UnwrapErr(SysRng).random_range(0..=place));
        }
        let todo = Arc::new(Mutex::new(all));
        let free: BTreeMap<Kind, VecDeque<usize>> = kinds().map(|kind| (kind, (0..ACCOUNTS).collect())).collect();
        let free = Arc::new(Mutex::new(free));
        let heard: Arc<Mutex<BTreeMap<Kind, Heard>>> = Arc::default();
        let mut clients = JoinSet::new();
        for _ in 0..at_once {
            let (world, todo, free, heard) =
                (Arc::clone(self), Arc::clone(&todo), Arc::clone(&free), Arc::clone(&heard));
            clients.spawn(async move {
                loop {
                    let Some((kind, left)) = ({
                        let mut todo = todo.lock();
                        todo.pop().map(|kind| (kind, todo.len()))
                    }) else {
                        return stage::Result::Ok(());
                    };
                    let Some(number) = free.lock().get_mut(&kind).and_then(VecDeque::pop_front) else {
                        return Err("more calls at once than accounts".into());
                    };
                    let to_its_end = left.is_multiple_of(10);
                    let replies = world.probe(kind, number, to_its_end).await?;
                    if let Some(free) = free.lock().get_mut(&kind) {
                        free.push_back(number);
                    }
                    let mut heard = heard.lock();
                    let heard = heard.entry(kind).or_default();
                    let mut took = replies.iter().map(|reply| reply.took);
                    heard.began.extend(took.next());
                    heard.answered.extend(took.next());
                    let mut shapes: Vec<String> = replies.iter().map(shape).collect();
                    if to_its_end {
                        shapes.push("end".to_owned());
                    }
                    heard.shapes.insert(shapes);
                }
            });
        }
        while let Some(client) = clients.join_next().await {
            client??;
        }
        Ok(std::mem::take(&mut *heard.lock()))
    }
}

/// Two kinds that a stranger tries to tell apart by one call.
struct Pair {
    words: String,
    compared: Compared,
}

/// What was found.
struct Sum {
    calls: usize,
    seconds: f64,
    /// What must not be told apart.
    pairs: Vec<Pair>,
    /// What has to be.
    controls: Vec<Pair>,
    /// Kinds whose replies differ from those for users who are found.
    differ: Vec<String>,
    /// Whether replies that do differ are seen to.
    difference_is_seen: bool,
    /// How often a function was invoked for somebody whom Cognito refuses itself.
    asked_in_vain: usize,
    mails: usize,
}

/// Measures, and says what it came to.
///
/// # Errors
///
/// When nothing can be written, or the pool does not start.
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> io::Result<ExitCode> {
    let sum = Runtime::new()?.block_on(enumerate(arguments)).map_err(io::Error::other)?;
    if arguments.json {
        writeln!(out, "{}", sum.json())?;
    } else {
        write!(out, "{}", sum.report())?;
    }
    Ok(if sum.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn enumerate(arguments: &Arguments) -> stage::Result<Sum> {
    let at_once = arguments.at_once.clamp(1, ACCOUNTS);
    let world = World::start(at_once).await?;
    world.warm_up(arguments.calls, at_once).await?;
    let begun = Instant::now();
    let heard = world.measure(arguments.calls, at_once).await?;
    let seconds = begun.elapsed().as_secs_f64();

    let before = world.lambda.invocations.load(Ordering::Relaxed);
    for refused in ["disabled@example.com", "unconfirmed@example.com"] {
        world.pool.initiate(refused).await?;
    }
    let asked_in_vain = world.lambda.invocations.load(Ordering::Relaxed) - before;
    let quickest = world.ses.quickest.lock().unwrap_or_default();
    let mails = world.ses.mails.load(Ordering::Relaxed);
    Ok(Sum { calls: arguments.calls, seconds, asked_in_vain, mails, ..judged(&heard, quickest) })
}

/// Compares what was heard of each kind with what was heard of users who are found.
fn judged(heard: &BTreeMap<Kind, Heard>, quickest_mail: Duration) -> Sum {
    let nothing = Heard::default();
    let of = |kind: Kind| heard.get(&kind).unwrap_or(&nothing);
    let (mut pairs, mut differ) = (Vec::new(), Vec::new());
    for (place, who) in kinds().filter(|(_, who)| *who != Who::Found) {
        let (found, other) = (of((place, Who::Found)), of((place, who)));
        let words = format!("{place:?} {who:?}");
        pairs.push(Pair { words: format!("{words} InitiateAuth"), compared: Compared::of(&found.began, &other.began) });
        // To who is limited there is nothing to answer.
        if place != Where::Limited {
            let compared = Compared::of(&found.answered, &other.answered);
            pairs.push(Pair { words: format!("{words} RespondToAuthChallenge"), compared });
        }
        if found.shapes != other.shapes {
            let only = other.shapes.symmetric_difference(&found.shapes).next();
            differ.push(format!("{words}: {only:?}"));
        }
    }
    let found = of((Where::WithoutTable, Who::Found));
    // All that a call takes beside the mail, at the least.
    let rest = found.began.iter().min().copied().unwrap_or_default().saturating_sub(quickest_mail);
    let sleeps = |longest: u64| -> Vec<Duration> {
        let sleep = || rest + Duration::from_micros(UnwrapErr(SysRng).random_range(0..=longest * 1_000));
        std::iter::repeat_with(sleep).take(PRETENDED).collect()
    };
    let control =
        |words: &str, longest| Pair { words: words.to_owned(), compared: Compared::of(&found.began, &sleeps(longest)) };
    let controls = vec![control("a sleep of up to 200 ms", 200), control("no sleep", 0)];
    let difference_is_seen = found.shapes != of((Where::Limited, Who::Found)).shapes;
    Sum { calls: 0, seconds: 0.0, pairs, controls, differ, difference_is_seen, asked_in_vain: 0, mails: 0 }
}

impl Sum {
    fn holds(&self) -> bool {
        !self.pairs.is_empty()
            && self.pairs.iter().all(|pair| !pair.compared.are_told_apart())
            && self.controls.iter().all(|pair| pair.compared.are_told_apart())
            && self.differ.is_empty()
            && self.difference_is_seen
            && self.asked_in_vain == 0
    }

    /// The pair that differs most.
    fn worst(&self) -> Option<&Pair> {
        let far = |pair: &&Pair| (pair.compared.auc - 0.5).abs();
        self.pairs.iter().max_by(|one, other| far(one).total_cmp(&far(other)))
    }

    fn report(&self) -> String {
        let mut text = format!(
            "{} sign-ins of each of {} kinds in {:.0} s, {} mails\n",
            self.calls,
            WHERE.len() * WHO.len(),
            self.seconds,
            self.mails
        );
        let tell = |pair: &Pair, verdict| {
            let Compared { auc, auc_bound, gap, gap_bound, ks_p } = pair.compared;
            format!(
                "{:<48} AUC {auc:.4} (0.5 ± {auc_bound:.4}), gap {gap:.4} (to {gap_bound:.4}), p {ks_p:.4} {verdict}\n",
                pair.words
            )
        };
        for pair in &self.pairs {
            text += &tell(pair, if pair.compared.are_told_apart() { "TOLD APART" } else { "" });
        }
        for pair in &self.controls {
            text += &tell(
                pair,
                if pair.compared.are_told_apart() { "told apart, as it has to be" } else { "NOT TOLD APART" },
            );
        }
        text.extend(self.differ.iter().map(|words| format!("WRONG replies differ: {words}\n")));
        if !self.difference_is_seen {
            text += "WRONG replies to who is limited look like the others\n";
        }
        text += &format!("{} invocations for users whom Cognito refuses itself\n", self.asked_in_vain);
        text + if self.holds() { "G10 holds\n" } else { "G10 does not hold\n" }
    }

    fn json(&self) -> Value {
        let worst = self.worst().map(|pair| pair.compared);
        let least_p = self.pairs.iter().map(|pair| pair.compared.ks_p).fold(1.0, f64::min);
        let rounded = |value: f64| (value * 1e4).round() / 1e4;
        let mut line = json!({
            "gate": "G10", "holds": self.holds(), "calls": self.calls, "kinds": WHERE.len() * WHO.len(),
            "seconds": rounded(self.seconds), "pairs": self.pairs.len(), "shapes_that_differ": self.differ.len(),
            "least_ks_p": rounded(least_p), "mails": self.mails, "asked_in_vain": self.asked_in_vain,
            "controls_found": self.controls.iter().filter(|pair| pair.compared.are_told_apart()).count(),
            "controls": self.controls.len() + 1,
        });
        if self.difference_is_seen {
            line["controls_found"] = (line["controls_found"].as_u64().unwrap_or_default() + 1).into();
        }
        if let Some(Compared { auc, auc_bound, gap_bound, .. }) = worst {
            line["worst_auc"] = rounded(auc).into();
            line["auc_bound"] = rounded(auc_bound).into();
            line["gap_bound"] = rounded(gap_bound).into();
        }
        for pair in &self.pairs {
            line[format!("AUC {}", pair.words)] = rounded(pair.compared.auc).into();
            line[format!("gap {}", pair.words)] = rounded(pair.compared.gap).into();
        }
        line
    }
}
