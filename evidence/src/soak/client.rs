//! Those who sign in: owners who read their mail, and attackers who do not.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::faults::{Fault, What};
use super::judge::Violation;
use super::{NOT_JUDGED, World};
use crate::stage::Reply;

/// How often a person begins before giving up.
const MAX_BEGINNINGS: u32 = 6;
/// How long a person looks for a mail.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longer than Cognito's repeat may be away from what it repeats, at the least.
const UNTIL_SHARED: Duration = Duration::from_millis(4_200);
/// Cognito may have called a function again, if a call lasts as long.
const CALLED_AGAIN: Duration = Duration::from_millis(4_900);
/// Shorter than it may be away, at the most.
const SHARED_FOR: Duration = Duration::from_secs(14);
/// How long after a sign-in another mail may come, where two were sent.
const STRAGGLES: Duration = Duration::from_secs(2);
/// What the pool says of a Session that has served.
const SERVED_BEFORE: &str = "Invalid session for the user, session can only be used once.";
/// How races for one Session are counted that the pool let through to the table.
pub(super) const AT_THE_TABLE: &str = "races for one Session at the table";
/// Codes that are left to guess at by who knows all but three digits, and guesses at each.
pub(super) const CODES: u32 = 1_000;
pub(super) const GUESSES: u32 = 3;

/// How an owner signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plainly,
    /// The first answer is wrong.
    AfterASlip,
    /// The right answer twice at once to one Session.
    Twice,
    /// And afterwards somebody tries the Session and the code again.
    ThenAgain,
    /// From two devices, which share a challenge where there is a table, and both answer at once.
    FromTwoDevices,
}

/// How an attacker tries to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attack {
    /// Knows all but three digits.
    Guesses,
    /// With a name that nobody has.
    Invents,
    /// With a code, and a Session, of an account of the attacker's own.
    Borrows,
    /// With the code that somebody signed in with before.
    Repeats,
}

/// What the pool said.
enum Heard {
    Tokens(Value),
    Challenge { session: String, parameters: Value },
    Refused(String),
}

/// What came of an owner's sign-in.
#[derive(Debug, Default)]
struct Story {
    signed_in: bool,
    beginnings: u32,
    resends: u32,
    /// Codes from a mail that were not taken.
    mismatches: u32,
    words: Vec<String>,
}

impl Story {
    fn actions(&self) -> u32 {
        self.beginnings.saturating_sub(1) + self.resends
    }
}

impl World {
    /// Reads a reply, and looks whether it is one that there may be.
    fn read(&self, reply: reqwest::Result<Reply>, address: &str) -> Heard {
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                self.findings.found(Violation::ServerError, || format!("no reply: {error}"));
                return Heard::Refused(String::new());
            }
        };
        let Reply { status, mut body, took } = reply;
        if took >= CALLED_AGAIN {
            self.plans.is_called_again(address);
        }
        if status >= 500 {
            self.findings.found(Violation::ServerError, || format!("{status} {body}"));
        }
        if body["AuthenticationResult"].is_object() {
            return Heard::Tokens(body["AuthenticationResult"].take());
        }
        match (body["Session"].as_str(), body["message"].as_str()) {
            (Some(session), _) => {
                Heard::Challenge { session: session.to_owned(), parameters: body["ChallengeParameters"].clone() }
            }
            (None, Some(words)) => Heard::Refused(words.to_owned()),
            (None, None) => {
                self.findings.found(Violation::Malformed, || format!("{status} {body}"));
                Heard::Refused(String::new())
            }
        }
    }

    async fn begin(&self, address: &str) -> Heard {
        self.read(self.pool(address).initiate(address).await, address)
    }

    async fn answer(&self, session: &str, address: &str, answer: &str) -> Heard {
        self.read(self.pool(address).respond(session, address, answer, json!({})).await, address)
    }

    /// Somebody who gave `code` has got these tokens.
    fn issued(&self, tokens: &Value, address: &str, code: &str) {
        let claims = tokens["IdToken"].as_str().and_then(|token| token.split('.').nth(1)).unwrap_or_default();
        let claims = URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
        let claims: Value = serde_json::from_slice(&claims).unwrap_or_default();
        if claims["email"] != address {
            self.findings.found(Violation::Crossed, || "tokens of another user".to_owned());
        }
        self.findings.issued(address, code);
    }

    /// An owner signs in.
    pub(super) async fn sign_in(&self, address: &str, style: Style, fault: Option<&'static Fault>) {
        let begun = Instant::now();
        self.mail.clear(address);
        self.plans.was_slow(address);
        if let Some(fault) = fault {
            self.plans.plan(address, fault.what);
            if let What::Table(faults) = fault.what {
                self.table.plan(&self.account(address), faults);
            }
        }
        let mut story = Story::default();
        while !story.signed_in && story.beginnings < MAX_BEGINNINGS {
            story.beginnings += 1;
            self.begin_once(address, style, &mut story).await;
        }
        self.judge(address, &story, fault);
        self.findings.lasted(begun.elapsed());
        if let Some(fault) = fault {
            if fault.more_mails > 0 {
                sleep(STRAGGLES).await;
            }
            let happened = self.plans.happened(address) && self.table.happened(&self.account(address));
            self.findings.count(if happened { fault.name } else { "faults that did not happen" });
        }
        self.table.forget(&self.account(address));
    }

    async fn begin_once(&self, address: &str, style: Style, story: &mut Story) {
        let begun = Instant::now();
        let before = self.mail.codes(address).len();
        let (mut session, parameters) = match self.begin(address).await {
            Heard::Challenge { session, parameters } => (session, parameters),
            Heard::Tokens(_) => {
                return self.findings.found(Violation::Opened, || "tokens without an answer".to_owned());
            }
            Heard::Refused(words) => return story.words.push(words),
        };
        if style == Style::AfterASlip {
            match self.answer(&session, address, "0000 0000").await {
                Heard::Challenge { session: next, parameters } if parameters["errorCode"] == "CODE_MISMATCH" => {
                    session = next;
                }
                Heard::Tokens(_) => self.findings.found(Violation::Opened, || "tokens for 0000 0000".to_owned()),
                Heard::Challenge { .. } => {
                    self.findings.found(Violation::Malformed, || "a slip without an errorCode".to_owned());
                }
                Heard::Refused(words) => return story.words.push(words),
            }
        }
        let mut codes = self.mail.more_codes_than(address, before, PATIENCE).await;
        // Where there is a table, a sign-in that begins at once would share the challenge, and there would be no mail either.
        if codes.is_empty() && (super::is_counted(address) || UnwrapErr(SysRng).random()) {
            let Some(next) = self.resend(&session, address, &parameters, story).await else { return };
            session = next;
            codes = self.mail.more_codes_than(address, before, PATIENCE).await;
        }
        // The newest first: two mails may come when Cognito calls twice.
        for code in codes.iter().rev() {
            let heard = match style {
                Style::Twice => self.answer_twice([&session, &session], address, code).await,
                Style::FromTwoDevices => match self.on_another_device(address, begun).await {
                    Some(other) => self.answer_twice([&session, &other], address, code).await,
                    None => self.answer(&session, address, code).await,
                },
                Style::Plainly | Style::AfterASlip | Style::ThenAgain => self.answer(&session, address, code).await,
            };
            match heard {
                Heard::Tokens(tokens) => {
                    self.issued(&tokens, address, code);
                    story.signed_in = true;
                    if style == Style::ThenAgain {
                        self.try_again(&session, address, code).await;
                    }
                    return;
                }
                Heard::Challenge { session: next, .. } => {
                    story.mismatches += 1;
                    session = next;
                }
                Heard::Refused(words) => return story.words.push(words),
            }
        }
        story.words.push("no mail, or no code that is right".to_owned());
    }

    /// Asks for another mail as soon as there may be one. The next Session.
    async fn resend(&self, session: &str, address: &str, parameters: &Value, story: &mut Story) -> Option<String> {
        let at = parameters["resendAfter"]
            .as_str()
            .and_then(|at| at.parse().ok())
            .map_or(UNIX_EPOCH, |at| UNIX_EPOCH + Duration::from_secs(at));
        let wait = at.duration_since(SystemTime::now()).unwrap_or_default();
        // Clocks differ by a little.
        sleep(wait + Duration::from_millis(100)).await;
        story.resends += 1;
        let reply = self.pool(address).respond(session, address, "again", json!({"action": "RESEND"})).await;
        match self.read(reply, address) {
            Heard::Challenge { session, parameters } => {
                story.words.extend(parameters["errorCode"].as_str().map(str::to_owned));
                Some(session)
            }
            Heard::Tokens(_) => {
                self.findings.found(Violation::Opened, || "tokens for asking for another mail".to_owned());
                None
            }
            Heard::Refused(words) => {
                story.words.push(words);
                None
            }
        }
    }

    /// Another sign-in of the same person, a little later than the one that has `begun`. Its Session.
    async fn on_another_device(&self, address: &str, begun: Instant) -> Option<String> {
        sleep(UNTIL_SHARED).await;
        let codes = self.mail.codes(address).len();
        let heard = self.begin(address).await;
        if begun.elapsed() >= SHARED_FOR {
            self.plans.is_slow(address);
        } else if self.mail.codes(address).len() > codes {
            self.findings.found(Violation::MailedTooOften, || "a challenge that is shared was mailed again".to_owned());
        }
        match heard {
            Heard::Challenge { session, .. } => Some(session),
            Heard::Tokens(_) | Heard::Refused(_) => None,
        }
    }

    /// Gives the right answer twice at once. One of the two gets tokens.
    async fn answer_twice(&self, sessions: [&str; 2], address: &str, code: &str) -> Heard {
        let (one, other) =
            tokio::join!(self.answer(sessions[0], address, code), self.answer(sessions[1], address, code));
        let is_one_session = sessions[0] == sessions[1];
        match (one, other) {
            (Heard::Tokens(_), Heard::Tokens(_)) => {
                self.findings.found(Violation::IssuedTwice, || "tokens for both of two answers at once".to_owned());
                Heard::Refused(String::new())
            }
            (winner @ Heard::Tokens(_), loser) | (loser, winner @ Heard::Tokens(_)) => {
                match loser {
                    Heard::Refused(words) if is_one_session && words == SERVED_BEFORE => {}
                    Heard::Refused(_) | Heard::Challenge { .. } if is_one_session && super::is_counted(address) => {
                        self.findings.count(AT_THE_TABLE);
                    }
                    Heard::Refused(words) if is_one_session => {
                        self.findings.found(Violation::Malformed, || format!("the loser of a race hears: {words}"));
                    }
                    Heard::Challenge { .. } if is_one_session => {
                        self.findings.found(Violation::IssuedTwice, || "both answers to one Session judged".to_owned());
                    }
                    Heard::Refused(_) | Heard::Challenge { .. } | Heard::Tokens(_) => {}
                }
                self.findings.count("races");
                winner
            }
            (neither, _) => neither,
        }
    }

    /// Somebody tries a Session that has served.
    async fn try_again(&self, session: &str, address: &str, code: &str) {
        match self.answer(session, address, code).await {
            Heard::Refused(words) if words == SERVED_BEFORE => {}
            Heard::Tokens(_) => self.findings.found(Violation::IssuedTwice, || "tokens again for a Session".to_owned()),
            Heard::Challenge { .. } | Heard::Refused(_) => {
                self.findings.found(Violation::Malformed, || "a spent Session serves again".to_owned());
            }
        }
    }

    /// Whether a sign-in came out as the threat model promises.
    fn judge(&self, address: &str, story: &Story, fault: Option<&'static Fault>) {
        let what = fault.map_or("nothing", |fault| fault.name);
        if !story.signed_in {
            return self.findings.found(Violation::Lost, || format!("with {what}: {story:?}"));
        }
        // Then this machine is to blame, or it is not certain who is.
        let (slow, called_again) = self.plans.was_slow(address);
        let is_meant =
            fault.is_some_and(Fault::takes_long) && (!called_again || fault.is_some_and(Fault::is_waited_for));
        if (slow || called_again) && !is_meant {
            return self.findings.count(NOT_JUDGED);
        }
        let (actions, mismatches, more_mails) =
            fault.map_or((0, 0, 0), |fault| (fault.actions, fault.mismatches, fault.more_mails));
        if story.actions() > actions || story.mismatches > mismatches {
            self.findings.found(Violation::WorseThanPromised, || format!("with {what}: {story:?}"));
        }
        let mails = self.mail.codes(address).len();
        let asked_for = (story.beginnings + story.resends + more_mails) as usize;
        if mails > asked_for {
            self.findings.found(Violation::MailedTooOften, || format!("with {what}: {mails} mails in {story:?}"));
        }
    }

    /// Somebody else tries to sign in for the user of an address, and has an account at another.
    pub(super) async fn attack(self: &Arc<Self>, attack: Attack, address: &str, own: &str, n: usize) {
        self.mail.clear(address);
        let opened = match attack {
            Attack::Guesses => self.guess_code(address, n).await,
            Attack::Invents => self.invent(n).await,
            Attack::Borrows => self.borrow_code(address, own).await,
            Attack::Repeats => self.repeat_code(address).await,
        };
        self.findings.count(match (attack, opened) {
            (_, None) => "attackers who got no challenge",
            (Attack::Guesses, Some(_)) => "attackers who guess",
            (Attack::Invents, Some(_)) => "attackers with invented names",
            (Attack::Borrows, Some(_)) => "attackers with a code of their own",
            (Attack::Repeats, Some(_)) => "attackers with an old code",
        });
        match (attack, opened) {
            (_, None | Some(false)) => {}
            (Attack::Guesses, Some(true)) => self.findings.count("guesses that were right"),
            (Attack::Invents | Attack::Borrows | Attack::Repeats, Some(true)) => {
                self.findings.found(Violation::Opened, || format!("tokens for an attacker: {attack:?}"));
            }
        }
        for address in [address, own] {
            self.table.forget(&self.account(address));
        }
    }

    /// Gives answers in turn, as long as there is another round. Whether one of them opened the account.
    async fn give(&self, mut session: String, address: &str, answers: &[String]) -> bool {
        for answer in answers {
            match self.answer(&session, address, answer).await {
                Heard::Tokens(tokens) => {
                    self.issued(&tokens, address, answer);
                    return true;
                }
                Heard::Challenge { session: next, .. } => session = next,
                Heard::Refused(_) => return false,
            }
        }
        false
    }

    async fn challenge(&self, address: &str) -> Option<String> {
        match self.begin(address).await {
            Heard::Challenge { session, .. } => Some(session),
            Heard::Tokens(_) | Heard::Refused(_) => None,
        }
    }

    /// Whether it opened the account, as with the others below. `None` if there was nothing to try.
    async fn guess_code(&self, address: &str, n: usize) -> Option<bool> {
        let session = self.challenge(address).await?;
        let code = self.mail.codes(address).pop()?;
        let known = &code[..code.len().saturating_sub(3)];
        // Others in each sign-in, never the same twice in one.
        let guess = |turn: u32| format!("{known}{:03}", (n as u32).wrapping_mul(7).wrapping_add(turn * 331) % CODES);
        Some(self.give(session, address, &(0..GUESSES).map(guess).collect::<Vec<_>>()).await)
    }

    async fn invent(&self, n: usize) -> Option<bool> {
        let address = format!("nobody{n}@example.com");
        let session = self.challenge(&address).await?;
        Some(self.give(session, &address, &["12345678".to_owned(), String::new(), "87654321".to_owned()]).await)
    }

    async fn borrow_code(&self, address: &str, own: &str) -> Option<bool> {
        self.mail.clear(own);
        let (of_victim, of_own) = (self.challenge(address).await?, self.challenge(own).await?);
        let code = [self.mail.codes(own).pop()?];
        Some(self.give(of_own, address, &code).await || self.give(of_victim, address, &code).await)
    }

    async fn repeat_code(&self, address: &str) -> Option<bool> {
        if self.findings.code_of(address).is_none() {
            self.sign_in(address, Style::Plainly, None).await;
        }
        let old = [self.findings.code_of(address)?];
        let session = self.challenge(address).await?;
        Some(self.give(session, address, &old).await)
    }
}
