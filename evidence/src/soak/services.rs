//! SES and Lambda, as far as a sign-in calls them, and what they do wrong when they are told to.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use jiff::Timestamp;
use local_pool::lambda::{Function, Invoked, LogSink};
use local_pool::ses::Mailbox;
use local_pool::trigger::Trigger;
use parking_lot::Mutex;
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::faults::{CallFault, MailFault, Plans};
use super::judge::{Findings, Violation};
use super::{Bug, is_counted};
use crate::stage::{self, Answer, Functions, INVOKE, SEND_EMAIL};

/// When SES takes a mail that it is late with: the function waits for 1.5 s.
const LATE: Duration = Duration::from_secs(2);
/// The shortest time after which a function does not wait for SES or the table any more.
const GIVES_UP: Duration = Duration::from_millis(700);
/// How functions are counted that were killed while they were at it, and those that were done before.
pub(super) const KILLED: &str = "killed in time";
pub(super) const TOO_LATE: &str = "killed too late";
/// Longer than Cognito waits.
const FOR_EVER: Duration = Duration::from_secs(20);

/// SES, and the mailboxes of those whom it sends mails to.
pub(super) struct MailService {
    pub(super) plans: Arc<Plans>,
    pub(super) findings: Arc<Findings>,
    /// The codes that came, by the address, the oldest first.
    pub(super) codes: Mutex<HashMap<String, Vec<String>>>,
}

impl MailService {
    pub(super) fn router(self: &Arc<Self>) -> Router {
        Router::new().route(SEND_EMAIL, post(send_email)).with_state(Arc::clone(self))
    }

    /// Throws away what somebody got so far.
    pub(super) fn clear(&self, address: &str) {
        self.codes.lock().insert(address.to_owned(), Vec::new());
    }

    /// The codes that somebody has got, the oldest first.
    pub(super) fn codes(&self, address: &str) -> Vec<String> {
        self.codes.lock().get(address).cloned().unwrap_or_default()
    }

    /// The same, once there are more than `so_many`, or when that takes too long.
    pub(super) async fn more_codes_than(&self, address: &str, so_many: usize, patience: Duration) -> Vec<String> {
        let end = Instant::now() + patience;
        loop {
            let codes = self.codes(address);
            if codes.len() > so_many || Instant::now() >= end {
                return codes;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Takes a mail, if it is one that SES would take.
    fn take(&self, body: &[u8]) -> Response {
        let mut mailbox = Mailbox::default();
        let mail = match mailbox.send_email(body, Timestamp::now()) {
            Ok(mail) => mail,
            Err(error) => {
                self.findings.found(Violation::Malformed, || format!("a mail that SES does not take: {error}"));
                return (StatusCode::BAD_REQUEST, error.body().to_string()).into_response();
            }
        };
        let code = digits(mail.text.lines().nth(2).unwrap_or_default());
        let mut codes = self.codes.lock();
        match codes.get_mut(&mail.to) {
            Some(codes) => codes.push(code),
            None => {
                self.findings.found(Violation::Crossed, || "a mail to somebody who has not asked for one".to_owned())
            }
        }
        json!({"MessageId": "0100"}).to_string().into_response()
    }
}

/// A code as it is typed.
fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn recipient(body: &[u8]) -> Option<String> {
    let request: Value = serde_json::from_slice(body).ok()?;
    Some(request["Destination"]["ToAddresses"][0].as_str()?.to_owned())
}

async fn send_email(State(service): State<Arc<MailService>>, body: Bytes) -> Response {
    let address = recipient(&body).unwrap_or_default();
    match service.plans.of_mail(&address) {
        None => service.take(&body),
        Some(MailFault::Says(status, kind)) => {
            let error = json!({"__type": kind, "message": "no"}).to_string();
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            (status, [("x-amzn-errortype", kind)], error).into_response()
        }
        Some(MailFault::ProxySays(status)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, "<html><h1>Bad gateway</h1></html>").into_response()
        }
        Some(MailFault::AnswersGarbage) => {
            service.take(&body);
            "}{ \u{fffd}".into_response()
        }
        Some(MailFault::HangsUpBefore) => hang_up(),
        Some(MailFault::HangsUpAfter) => {
            service.take(&body);
            hang_up()
        }
        Some(MailFault::IsLate) => {
            // The mail is under way; the client is free to hang up.
            let late = tokio::spawn(async move {
                sleep(LATE).await;
                service.take(&body)
            });
            late.await.unwrap_or_else(|_| hang_up())
        }
    }
}

/// Ends the connection without an answer: its task ends with this, and no panic is told of.
fn hang_up() -> ! {
    resume_unwind(Box::new("SES hangs up"))
}

/// Lambda, with the functions twice: as they are deployed with a table, and without one.
pub(super) struct Lambda {
    pub(super) plans: Arc<Plans>,
    pub(super) findings: Arc<Findings>,
    pub(super) bug: Option<Bug>,
    pub(super) mail: Arc<MailService>,
    pub(super) plain: Functions,
    pub(super) counting: Functions,
    pub(super) logs: LogSink,
    /// So many invocations at a time: waiting for one of them is not a function's own time.
    pub(super) slots: Semaphore,
    /// How long the last call of each function took.
    pub(super) lasted: Mutex<HashMap<String, Duration>>,
}

/// Notes for whom an event was that nobody waits for any more.
struct Waited<'a> {
    plans: &'a Plans,
    address: &'a str,
    is_over: bool,
}

impl Drop for Waited<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.plans.is_slow(self.address);
        }
    }
}

impl Lambda {
    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().route(INVOKE, post(invoke)).with_state(self)
    }

    /// Starts a function for one event, with another time limit.
    async fn another(&self, like: &Function, limit: Duration) -> stage::Result<Arc<Function>> {
        let mut config = like.config().clone();
        config.timeout = limit;
        config.max_environments = 1;
        Ok(Function::start(config, Arc::clone(&self.logs)).await?)
    }

    /// Gives an event to a function that is killed while it is at it: within the time that the last such call took.
    async fn killed(&self, function: &Function, event: Bytes) -> Invoked {
        let lasts = self.lasted.lock().get(&function.config().name).copied().unwrap_or(GIVES_UP);
        let moment = lasts.mul_f64(UnwrapErr(SysRng).random_range(0.0..1.0));
        match self.another(function, moment).await {
            Ok(function) => {
                let invoked = function.invoke(event).await;
                self.findings.count(match invoked {
                    Invoked::Failed(_) => KILLED,
                    Invoked::Returned(_) => TOO_LATE,
                });
                invoked
            }
            Err(error) => Invoked::Failed(error.to_string().into()),
        }
    }

    /// Gives an event to a function, and notes if that takes so long that functions give up themselves.
    async fn run(&self, function: &Arc<Function>, event: &Bytes, address: &str) -> Invoked {
        let _slot = self.slots.acquire().await;
        let begun = Instant::now();
        let invoked = function.invoke(event.clone()).await;
        let lasted = begun.elapsed();
        if lasted >= GIVES_UP {
            self.plans.is_slow(address);
        }
        self.lasted.lock().insert(function.config().name.clone(), lasted);
        invoked
    }

    async fn invoke(&self, name: &str, event: Bytes) -> Option<Answer> {
        let asked: Value = serde_json::from_slice(&event).unwrap_or_default();
        let address = asked["request"]["userAttributes"]["email"].as_str().unwrap_or_default();
        let is_counted = is_counted(address) && self.bug != Some(Bug::CountsNothing);
        let functions = if is_counted { &self.counting } else { &self.plain };
        let function = functions.get(name)?;
        let mut waited = Waited { plans: &self.plans, address, is_over: false };
        let invoked = match self.plans.of_call(address, name) {
            None => self.run(function, &event, address).await,
            Some(CallFault::Kills) => self.killed(function, event.clone()).await,
            Some(CallFault::KillsSilently) => {
                self.killed(function, event.clone()).await;
                sleep(FOR_EVER).await;
                return None;
            }
            Some(CallFault::LosesAnswer) => {
                self.run(function, &event, address).await;
                sleep(FOR_EVER).await;
                return None;
            }
            Some(CallFault::Throttles) => {
                waited.is_over = true;
                return Some(Answer::TooManyRequests);
            }
            Some(CallFault::DeliversTwice) => {
                // Each goes on to its end, as with Lambda.
                tokio::select! {
                    invoked = function.invoke(event.clone()) => invoked,
                    invoked = function.invoke(event.clone()) => invoked,
                }
            }
            Some(CallFault::IsCold) => match self.another(function, function.config().timeout).await {
                Ok(function) => function.invoke(event.clone()).await,
                Err(error) => Invoked::Failed(error.to_string().into()),
            },
        };
        let invoked = match (self.bug, invoked) {
            (Some(bug), Invoked::Returned(reply)) => {
                Invoked::Returned(self.lie(bug, name, function, &asked, reply).await)
            }
            (_, invoked) => invoked,
        };
        waited.is_over = true;
        Some(Answer::Invoked(invoked))
    }
}

impl Lambda {
    /// What a function with this bug would have replied.
    async fn lie(&self, bug: Bug, name: &str, function: &Arc<Function>, asked: &Value, reply: Bytes) -> Bytes {
        let address = asked["request"]["userAttributes"]["email"].as_str().unwrap_or_default();
        if bug == Bug::MailsAnotherCode {
            let begins = asked["request"]["session"].as_array().is_some_and(Vec::is_empty);
            if name == Trigger::CreateAuthChallenge.function() && begins {
                function.invoke(asked.to_string().into()).await;
            }
            return reply;
        }
        if name != Trigger::VerifyAuthChallengeResponse.function() {
            return reply;
        }
        let mut reply: Value = serde_json::from_slice(&reply).unwrap_or_default();
        let is_right = reply["response"]["answerCorrect"] == true;
        let answer = digits(asked["request"]["challengeAnswer"].as_str().unwrap_or_default());
        let sometimes: bool = UnwrapErr(SysRng).random();
        let said = match bug {
            Bug::LosesRightAnswers => is_right && !sometimes,
            Bug::GuessesAreRight => is_right || sometimes,
            Bug::AnyCodeOpens => is_right || self.mail.codes.lock().values().flatten().any(|code| *code == answer),
            Bug::CodesServeTwice => is_right || self.findings.has_issued(address, &answer),
            Bug::MailsAnotherCode | Bug::CountsNothing => is_right,
        };
        reply["response"]["answerCorrect"] = said.into();
        reply.to_string().into()
    }
}

async fn invoke(State(lambda): State<Arc<Lambda>>, Path(name): Path<String>, event: Bytes) -> Response {
    match lambda.invoke(&name, event).await {
        Some(answer) => answer.into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
