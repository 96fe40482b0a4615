//! `evidence soak`: gate G15. Whole sign-ins through the pool's API, by 256 clients at once, with the functions as programs: one in a
//! hundred meets a fault (F01 to F56, one after the other), and one in twenty is an attacker's. One in seven owners has an account
//! that is counted in a table.
//!
//! Their pool lets several calls answer a `Session` at the same time, because nobody knows that Cognito does not: only the table
//! is then between two right answers and tokens for both. Without a table we rest on Cognito's `Session`, and so does their pool.
//!
//! Every owner who reads the mail has to get tokens, at no greater pains than the threat model promises for what went wrong; nobody
//! those of another, nobody twice for one challenge, and whoever guesses at one of a thousand codes three times is right
//! three times in a thousand. Memory must not grow. Then a few sign-ins are tried with each of some bugs, which have to be found.

mod client;
mod faults;
mod judge;
mod memory;
mod services;

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use local_pool::lambda::LogSink;
use local_pool::pool::PoolOptions;
use local_pool::users::User;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::client::{AT_THE_TABLE, Attack, CODES, GUESSES, Style};
use self::faults::{FAULTS, Plans};
use self::judge::{Findings, Guessing, Violation};
use self::memory::{Growth, Sample};
use self::services::{KILLED, Lambda, MailService, TOO_LATE};
use crate::stage::{self, Client, Programs};
use crate::table::{self, Table};

/// What the command takes.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How many sign-ins
    #[arg(long, value_name = "N", default_value_t = 4_000)]
    sign_ins: usize,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// How many sign in at once.
const CLIENTS: usize = 256;
/// Environments of each function.
const ENVIRONMENTS: usize = 8;
/// From so many sign-ins on, growth of memory is judged.
const ENOUGH_TO_GROW: usize = 20_000;
/// Sign-ins with each bug, at most.
const WITH_BUG: usize = 200;
/// How sign-ins are counted whose pains are not held against the promises: a function was so slow that it gave up something, and it
/// was not told to be.
const NOT_JUDGED: &str = "not judged, because a function was slow";
/// The share that has to be judged, or this machine is too busy to show anything.
const ENOUGH_JUDGED: f64 = 0.5;
/// The share of functions that have to be killed while they are at it, of at least so many that were to be killed.
const ENOUGH_KILLED: f64 = 0.5;
const ENOUGH_TO_KILL: u64 = 20;

/// A bug that has to be found, so that we know that it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    /// Verify takes every other right answer for a wrong one.
    LosesRightAnswers,
    /// Create mails once more, as after an answer of SES that did not come, but another code than it goes on with.
    MailsAnotherCode,
    /// Verify takes any code that anybody was mailed.
    AnyCodeOpens,
    /// Verify takes the code that the user signed in with before.
    CodesServeTwice,
    /// Verify takes every other wrong answer for a right one.
    GuessesAreRight,
    /// Nothing is counted where there is a table.
    CountsNothing,
}

impl Bug {
    const ALL: [Bug; 6] = [
        Bug::LosesRightAnswers,
        Bug::MailsAnotherCode,
        Bug::AnyCodeOpens,
        Bug::CodesServeTwice,
        Bug::GuessesAreRight,
        Bug::CountsNothing,
    ];

    /// What it comes to.
    fn breaks(self) -> Violation {
        match self {
            Bug::LosesRightAnswers => Violation::WorseThanPromised,
            Bug::MailsAnotherCode => Violation::MailedTooOften,
            Bug::AnyCodeOpens | Bug::GuessesAreRight => Violation::Opened,
            Bug::CodesServeTwice | Bug::CountsNothing => Violation::IssuedTwice,
        }
    }
}

/// Whether the account of an address is counted in the table.
fn is_counted(address: &str) -> bool {
    address.starts_with("counted")
}

/// Two pools and everybody who has to do with them.
struct World {
    /// Of those who are not counted, and of those who are.
    plain: Client,
    counting: Client,
    mail: Arc<MailService>,
    plans: Arc<Plans>,
    table: Table,
    /// The names of accounts in the table, by the address.
    accounts: HashMap<String, String>,
    findings: Arc<Findings>,
}

/// The addresses of a client's users, one whose account is not counted and one whose is, each with an attacker's own.
fn addresses(client: usize) -> [[String; 2]; 2] {
    ["", "counted-"].map(|kind| ["user", "mallory"].map(|who| format!("{kind}{who}{client}@example.com")))
}

impl World {
    async fn start(programs: &Programs, bug: Option<Bug>) -> stage::Result<Arc<World>> {
        let (plans, findings) = (Arc::new(Plans::default()), Arc::new(Findings::default()));
        let logs: LogSink = Arc::new({
            let findings = Arc::clone(&findings);
            move |function: &str, line: &str| {
                if line.contains("\"panicked\"") {
                    findings.found(Violation::Panicked, || format!("{function}: {line}"));
                }
            }
        });
        let mail = Arc::new(MailService {
            plans: Arc::clone(&plans),
            findings: Arc::clone(&findings),
            codes: Default::default(),
        });
        let ses = stage::serve(mail.router()).await?;
        let table = Table::start().await;
        // The shortest time there is, because people here wait for it.
        let soon = ("RESEND_AFTER_SECONDS", "10");
        let with_table =
            [soon, ("LIMITS_TABLE", "limits"), ("AWS_ENDPOINT_URL_DYNAMODB", table.url()), ("MAIL_BURST", "10")];
        let lambda = Lambda {
            plans: Arc::clone(&plans),
            findings: Arc::clone(&findings),
            bug,
            mail: Arc::clone(&mail),
            plain: stage::start(programs, &stage::variables(&ses, &[soon]), ENVIRONMENTS, &logs).await?,
            counting: stage::start(programs, &stage::variables(&ses, &with_table), ENVIRONMENTS, &logs).await?,
            logs: Arc::clone(&logs),
            slots: Semaphore::new(ENVIRONMENTS),
            lasted: Default::default(),
        };
        let lambda = stage::serve(Arc::new(lambda).router()).await?;
        let all: Vec<String> = (0..CLIENTS).flat_map(addresses).flatten().collect();
        let users: String = all.iter().map(|address| format!("[[user]]\nemail = \"{address}\"\n")).collect();
        let plain = stage::pool(&users, &lambda, Arc::clone(&logs)).await?;
        let at_once = PoolOptions { concurrent_answers_to_session: true, ..PoolOptions::default() };
        let counting = stage::pool_with(at_once, &users, &lambda, logs).await?;
        let account = |address: &String| table::account(&counting, User::new(address).username, &table::known(address));
        let accounts = all.iter().map(|address| (address.clone(), account(address))).collect();
        Ok(Arc::new(World { plain, counting, mail, plans, table, accounts, findings }))
    }

    /// The pool that somebody signs in to.
    fn pool(&self, address: &str) -> &Client {
        if is_counted(address) { &self.counting } else { &self.plain }
    }

    /// The name of an account in the table.
    fn account(&self, address: &str) -> String {
        self.accounts.get(address).cloned().unwrap_or_default()
    }

    /// The `n`th sign-in, by the users of one client.
    async fn nth(self: &Arc<World>, n: usize, client: usize) {
        let [[plain, mallory], [counted, counted_mallory]] = addresses(client);
        let is_counted = n.is_multiple_of(7);
        if n % 20 == 7 {
            let attack = [Attack::Guesses, Attack::Invents, Attack::Borrows, Attack::Repeats][n / 20 % 4];
            let (victim, own) = if is_counted { (counted, counted_mallory) } else { (plain, mallory) };
            return self.attack(attack, &victim, &own, n).await;
        }
        let (round, turn) = (n / 100 / FAULTS.len(), n / 100 % FAULTS.len());
        let (style, fault, is_counted) = match n % 100 {
            10 => (Style::FromTwoDevices, None, true),
            // Each with a table and without one, in turn.
            50 => (Style::Plainly, Some(&FAULTS[turn]), FAULTS[turn].is_of_table() || (round + turn) % 2 == 1),
            n if n % 10 == 1 => (Style::AfterASlip, None, is_counted),
            n if n % 10 == 2 => (Style::Twice, None, is_counted),
            n if n % 10 == 3 => (Style::ThenAgain, None, is_counted),
            _ => (Style::Plainly, None, is_counted),
        };
        self.sign_in(if is_counted { &counted } else { &plain }, style, fault).await;
    }

    /// Does something `count` times, by as many clients as there are, each of which does one thing after the other. Tells how
    /// many are done in between, a hundred times.
    async fn run<F>(
        self: &Arc<World>,
        count: usize,
        job: impl Fn(Arc<World>, usize, usize) -> F + Clone + Send + 'static,
        mut tell: impl FnMut(usize) -> io::Result<()>,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (next, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (world, next, done, job) = (Arc::clone(self), Arc::clone(&next), Arc::clone(&done), job.clone());
            clients.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        break;
                    }
                    job(Arc::clone(&world), n, client).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut told = 0;
        loop {
            tokio::select! {
                ended = clients.join_next() => match ended {
                    None => break,
                    Some(Ok(())) => {}
                    Some(Err(error)) => self.findings.found(Violation::Lost, || format!("a client stopped: {error}")),
                },
                () = sleep(Duration::from_millis(200)) => {
                    let done = done.load(Ordering::Relaxed);
                    if (done - told) * 100 >= count {
                        told = done;
                        tell(done)?;
                    }
                }
            }
        }
        tell(count)
    }

    /// The sign-ins of the soak.
    async fn soak(self: &Arc<World>, sign_ins: usize, tell: impl FnMut(usize) -> io::Result<()>) -> io::Result<()> {
        self.run(sign_ins, |world, n, client| async move { world.nth(n, client).await }, tell).await
    }

    /// Sign-ins of nobody but those who guess. What they came to, with those of the soak.
    async fn guess(self: &Arc<World>, sign_ins: usize) -> io::Result<Guessing> {
        let job = |world: Arc<World>, n, client| async move {
            let [[plain, mallory], _] = addresses(client);
            world.attack(Attack::Guesses, &plain, &mallory, n).await;
        };
        self.run(sign_ins, job, |_| Ok(())).await?;
        Ok(Guessing {
            sign_ins: self.findings.counted("attackers who guess"),
            opened: self.findings.counted("guesses that were right"),
            chance: f64::from(GUESSES) / f64::from(CODES),
        })
    }
}

/// What the soak came to.
struct Sum {
    sign_ins: usize,
    seconds: f64,
    findings: Arc<Findings>,
    guessing: Guessing,
    growth: Option<Growth>,
    /// The bugs that were put in, and whether they were found.
    bugs: Vec<(Bug, bool)>,
}

/// Runs the soak, and says what it came to.
///
/// # Errors
///
/// When nothing can be written, or the pool does not start.
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> io::Result<ExitCode> {
    let sum = soak(arguments, out).map_err(io::Error::other)?;
    if arguments.json {
        writeln!(out, "{}", sum.json())?;
    } else {
        write!(out, "{}", sum.report())?;
    }
    Ok(if sum.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn soak(arguments: &Arguments, out: &mut impl Write) -> stage::Result<Sum> {
    let sign_ins = arguments.sign_ins;
    // Each in a runtime of its own: everything ends with it, also the functions.
    let programs = Runtime::new()?.block_on(stage::programs())?;
    let (mut sum, samples) = Runtime::new()?.block_on(async {
        let world = World::start(&programs, None).await?;
        let (begun, mut samples) = (Instant::now(), Vec::new());
        let tell = |done| {
            samples.extend(Sample::take(done));
            let own = samples.last().map_or(0.0, |sample: &Sample| sample.own as f64 / 1_024.0);
            if arguments.json {
                return Ok(());
            }
            writeln!(out, "{done:>8} done in {:.0} s, memory {own:.1} MiB", begun.elapsed().as_secs_f64())
        };
        world.soak(sign_ins, tell).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let findings = Arc::clone(&world.findings);
        let few = (sign_ins / 5).clamp(500, 50_000);
        let mut guessing = world.guess(few).await?;
        if !guessing.is_as_expected() {
            // Once in hundreds of runs fair guesses are as far off. Twice they are not.
            guessing = world.guess(4 * few).await?;
        }
        stage::Result::Ok((Sum { sign_ins, seconds, findings, guessing, growth: None, bugs: Vec::new() }, samples))
    })?;
    sum.growth = Growth::of(&samples).filter(|_| sign_ins >= ENOUGH_TO_GROW);
    if sum.growth.is_some_and(Growth::is_leak) {
        sum.findings.found(Violation::Grown, || "memory grows".to_owned());
    }
    for bug in Bug::ALL {
        let found = Runtime::new()?.block_on(async {
            let world = World::start(&programs, Some(bug)).await?;
            let found = async {
                while world.findings.of(bug.breaks()) == 0 {
                    sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::select! {
                () = found => stage::Result::Ok(true),
                ended = world.soak(WITH_BUG, |_| Ok(())) => {
                    ended?;
                    Ok(world.findings.of(bug.breaks()) > 0)
                }
            }
        })?;
        sum.bugs.push((bug, found));
    }
    Ok(sum)
}

impl Sum {
    fn not_judged(&self) -> u64 {
        self.findings.counted(NOT_JUDGED)
    }

    fn holds(&self) -> bool {
        Violation::ALL.iter().all(|violation| self.findings.of(*violation) == 0)
            && self.guessing.is_as_expected()
            && self.not_judged() as f64 <= (1.0 - ENOUGH_JUDGED) * self.sign_ins as f64
            && self.kills()
            && self.bugs.iter().all(|(_, found)| *found)
    }

    /// Whether enough functions were killed while they were at it.
    fn kills(&self) -> bool {
        let [killed, too_late] = [KILLED, TOO_LATE].map(|what| self.findings.counted(what));
        let all = killed + too_late;
        all < ENOUGH_TO_KILL || killed as f64 >= ENOUGH_KILLED * all as f64
    }

    /// The faults that happened: a function that was killed too late had none, or lost its answer only.
    fn faults(&self) -> u64 {
        let planned: u64 = FAULTS.iter().map(|fault| self.findings.counted(fault.name)).sum();
        planned.saturating_sub(self.findings.counted(TOO_LATE))
    }

    fn report(&self) -> String {
        let Guessing { sign_ins: guessed, opened, .. } = self.guessing;
        let mut text = format!(
            "{} sign-ins, {CLIENTS} at once, in {:.0} s: {:.0} a second, half of them within {} ms and 99 of 100 within {} ms\n",
            self.sign_ins,
            self.seconds,
            self.sign_ins as f64 / self.seconds,
            self.findings.percentile(50),
            self.findings.percentile(99),
        );
        for (what, count) in self.findings.counts() {
            text += &format!("{count:>8} {what}\n");
        }
        text += &format!(
            "{guessed} sign-ins with {GUESSES} guesses at one of {CODES} codes opened {opened}, expected {:.1} ± {:.1}\n",
            self.guessing.expected(),
            self.guessing.deviation(),
        );
        match self.growth {
            Some(growth) => {
                text += &format!(
                    "memory of this process {:.1} MiB {:+.1} %, of the function that grew most {:.1} MiB {:+.1} %\n",
                    growth.own_mib,
                    growth.own * 100.0,
                    growth.function_mib,
                    growth.function * 100.0
                );
            }
            None => text += "too few sign-ins, or no /proc, to say whether memory grows\n",
        }
        for (bug, found) in &self.bugs {
            text += &format!("{} with the bug {bug:?}\n", if *found { "found" } else { "NOT FOUND" });
        }
        text.extend(self.findings.words().iter().map(|words| format!("WRONG {words}\n")));
        text + if self.holds() { "G15 holds\n" } else { "G15 does not hold\n" }
    }

    fn json(&self) -> Value {
        let mut line = json!({
            "gate": "G15", "holds": self.holds(), "sign_ins": self.sign_ins, "clients": CLIENTS,
            "seconds": rounded(self.seconds), "p50_ms": self.findings.percentile(50), "p99_ms": self.findings.percentile(99),
            "faults": self.faults(), "kinds_of_faults": FAULTS.iter().filter(|fault| self.findings.counted(fault.name) > 0).count(),
            "races": self.findings.counted("races"), "races_at_the_table": self.findings.counted(AT_THE_TABLE),
            "guessing_sign_ins": self.guessing.sign_ins,
            "opened_by_guessing": self.guessing.opened, "expected_by_guessing": rounded(self.guessing.expected()),
            "deviation": rounded(self.guessing.deviation()), "not_judged": self.not_judged(),
            "bugs_found": self.bugs.iter().filter(|(_, found)| *found).count(), "bugs": self.bugs.len(),
        });
        for violation in Violation::ALL {
            line[violation.name()] = self.findings.of(violation).into();
        }
        for (what, count) in self.findings.counts() {
            line[what] = count.into();
        }
        if let Some(growth) = self.growth {
            line["memory_mib"] = rounded(growth.own_mib).into();
            line["memory_growth_percent"] = rounded(growth.own * 100.0).into();
            line["function_memory_mib"] = rounded(growth.function_mib).into();
            line["function_memory_growth_percent"] = rounded(growth.function * 100.0).into();
        }
        line
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
