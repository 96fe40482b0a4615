//! F01 to F18: what SES does, for whom, in which life of a function, in which round.

use std::time::Duration;

use auth_challenge::trigger::TriggerError;

use super::cell::{Cell, Outcome, Person, Ses, Step, Typed, error};
use super::tls::Certificate;
use super::{SesDoes, refuses, refuses_with, taken};

/// One way in which a mail goes wrong, and what must come of the first mail of somebody who is known.
struct Row {
    fault: &'static str,
    what: &'static str,
    ses: Ses,
    /// Whether the person is told that the code could not be sent. Then nobody else can be sent one either, so once a function has seen it,
    /// people who are not known are told the same. If not, everybody is shown a challenge.
    told: bool,
    /// How often SES is asked, in both rounds.
    requests: usize,
    /// Mails that may be on their way.
    mails: usize,
    /// What the log says.
    says: &'static str,
    /// In which lives of a function it can be.
    ages: &'static [Age],
}

/// What a function has seen of SES when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    /// Nothing but a connection.
    Cold,
    /// Enough mails to know how long they take.
    Warm,
    /// The same, and then the fault, for somebody else.
    InIt,
}

const EVERY: &[Age] = &[Age::Cold, Age::Warm, Age::InIt];
const COLD: &[Age] = &[Age::Cold];
const WARM: &[Age] = &[Age::Warm];

const SLOW: fn(u64, u16, &str) -> SesDoes =
    |ms, status, body| SesDoes::AnswerAfter(Duration::from_millis(ms), status, body.to_owned());
const TAKEN: &str = r#"{"MessageId": "1"}"#;

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let row = |fault, what, ses: Vec<SesDoes>, told, requests, mails, says| Row {
        fault, what, ses: Ses::Does(ses), told, requests, mails, says, ages: EVERY,
    };
    let answers = |status, body: &str| SesDoes::Answer(status, body.to_owned());
    let (told, silent) = (true, false);
    vec![
        //  fault  what SES does                                 how                                                     told    asked mails  the log says
        row("F01", "429 once",                                   vec![refuses(429, "TooManyRequestsException"), taken()], silent, 2, 1, "challenge_sent"),
        row("F01", "400 ThrottlingException once",               vec![refuses(400, "ThrottlingException"), taken()],      silent, 2, 1, "challenge_sent"),
        row("F01", "429 always",                                 vec![refuses(429, "TooManyRequestsException")],          told,   2, 0, "\"throttled\""),
        row("F01", "429 without a word, always",                 vec![answers(429, "")],                                  told,   2, 0, "\"throttled\""),
        row("F01", "429 late, then silence",                     vec![SLOW(1_300, 429, ""), SesDoes::Hang],               silent, 2, 1, "mail_may_be_lost"),
        row("F01", "429 late, always",                           vec![SLOW(1_300, 429, "")],                              told,   2, 0, "\"throttled\""),
        row("F02", "LimitExceeded",                              vec![refuses(400, "LimitExceededException")],            told,   1, 0, "limit_exceeded"),
        row("F03", "SendingPaused",                              vec![refuses(400, "SendingPausedException")],            told,   1, 0, "sending_paused"),
        row("F03", "AccountSuspended",                           vec![refuses(400, "AccountSuspendedException")],         told,   1, 0, "account_suspended"),
        row("F04", "the sandbox knows not this recipient",       vec![not_verified(super::cell::ADDRESS)],                silent, 1, 0, "message_rejected"),
        row("F05", "the sender is not verified",                 vec![not_verified("sign-in@example.com")],               told,   1, 0, "sender_not_verified"),
        row("F05", "MailFromDomainNotVerified",                  vec![refuses(400, "MailFromDomainNotVerifiedException")], told,  1, 0, "mail_from_domain_not_verified"),
        row("F06", "no such configuration set",                  vec![refuses(404, "NotFoundException")],                 told,   1, 0, "not_found"),
        row("F07", "BadRequest for this address",                vec![refuses(400, "BadRequestException")],               silent, 1, 0, "bad_request"),
        row("F10", "500 once",                                   vec![refuses(500, "InternalServiceErrorException"), taken()], silent, 2, 1, "challenge_sent"),
        row("F10", "500 always",                                 vec![refuses(500, "InternalServiceErrorException")],     told,   2, 0, "service_error"),
        row("F10", "503 always",                                 vec![refuses(503, "ServiceUnavailable")],                told,   2, 0, "service_error"),
        Row { ses: Ses::NobodyListens, ages: EVERY,
        ..row("F11", "nobody listens",                           vec![],                                                  told,   0, 0, "not_connected") },
        Row { ses: Ses::HasNoAddress, ages: COLD,
        ..row("F11", "the name is not found",                    vec![],                                                  told,   0, 0, "not_connected") },
        Row { ses: Ses::DoesNotSpeakTls(vec![SesDoes::Hang]), ages: COLD,
        ..row("F12", "the handshake hangs",                      vec![],                                                  told,   0, 0, "not_connected") },
        Row { ses: Ses::DoesNotSpeakTls(vec![SesDoes::ResetAtOnce]), ages: COLD,
        ..row("F12", "the handshake is reset",                   vec![],                                                  told,   0, 0, "not_connected") },
        Row { ses: Ses::SpeaksTls(Certificate::OfAnotherName),
        ..row("F12", "a certificate of another name",            vec![],                                                  told,   0, 0, "not_connected") },
        Row { ses: Ses::SpeaksTls(Certificate::Expired),
        ..row("F12", "a certificate that has expired",           vec![],                                                  told,   0, 0, "not_connected") },
        Row { ses: Ses::SpeaksTls(Certificate::VouchedForByNobody),
        ..row("F12", "a certificate that nobody vouches for",    vec![],                                                  told,   0, 0, "not_connected") },
        Row { ses: Ses::SpeaksTls(Certificate::Good),
        ..row("F12", "nothing, over TLS",                        vec![],                                                  silent, 1, 1, "challenge_sent") },
        row("F12", "a clock is wrong, so is the signature",      vec![refuses(403, "InvalidSignatureException")],         told,   1, 0, "\"refused\""),
        Row { ages: COLD,
        ..row("F13", "the first connection is reset",            vec![SesDoes::ResetAtOnce, taken()],                     silent, 1, 1, "challenge_sent") },
        Row { ages: WARM,
        ..row("F13", "the kept connection is closed",            vec![taken()],                                           silent, 1, 1, "challenge_sent") },
        row("F14", "the connection is reset behind the request", vec![SesDoes::ResetAfterRequest],                        silent, 1, 1, "mail_may_be_lost"),
        row("F14", "the connection is closed behind it",         vec![SesDoes::Send(b"")],                                silent, 1, 1, "mail_may_be_lost"),
        row("F14", "half of a head, and the end",                vec![SesDoes::Send(b"HTTP/1.1 200 OK\r\ncontent-le")],   silent, 1, 1, "mail_may_be_lost"),
        row("F14", "nobody answers",                             vec![SesDoes::Hang],                                     silent, 1, 1, "mail_may_be_lost"),
        row("F14", "a proxy's 502",                              vec![answers(502, "<html>Bad gateway</html>")],          silent, 1, 1, "mail_may_be_lost"),
        row("F14", "a proxy's 504 without a word",               vec![answers(504, "")],                                  silent, 1, 1, "mail_may_be_lost"),
        row("F15", "200 with a page",                            vec![answers(200, "<html>")],                            silent, 1, 1, "challenge"),
        row("F15", "200 without a word",                         vec![answers(200, "")],                                  silent, 1, 1, "challenge"),
        row("F15", "200 cut off",                                vec![SesDoes::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"Mess")], silent, 1, 1, "mail_may_be_lost"),
        row("F16", "the credentials have expired",               vec![refuses(403, "ExpiredTokenException")],             told,   1, 0, "\"refused\""),
        row("F16", "nobody knows the credentials",               vec![refuses(403, "UnrecognizedClientException")],       told,   1, 0, "\"refused\""),
        row("F17", "an answer after 1 s",                        vec![SLOW(1_000, 200, TAKEN)],                           silent, 1, 1, "challenge_sent"),
        row("F17", "an answer after 2 s",                        vec![SLOW(2_000, 200, TAKEN)],                           silent, 1, 1, "mail_may_be_lost"),
    ]
}

fn not_verified(address: &str) -> SesDoes {
    let text = format!("Email address is not verified. The following identities failed the check: {address}");
    refuses_with(400, "MessageRejected", &text)
}

/// Every row, for everybody, in every life of a function, in both rounds, with a table and without.
pub(crate) fn cells() -> Vec<Cell> {
    let people = [("known", Person::known()), ("unknown", Person::unknown()), ("unverified", Person::unverified())];
    let mut cells = Vec::new();
    for row in rows() {
        // A fault that is one person's, or once, does not last.
        let lasts = |age: &Age| *age != Age::InIt || row.told;
        for age in row.ages.iter().filter(|age| lasts(age)) {
            for resend in [false, true] {
                for has_table in [false, true] {
                    for (who, person) in &people {
                        cells.push(cell(&row, *age, resend, has_table, who, person));
                    }
                }
            }
        }
    }
    cells
}

fn cell(row: &Row, age: Age, resend: bool, has_table: bool, who: &str, person: &Person) -> Cell {
    let is_known = who == "known";
    let place = format!(
        "{}: {age:?}, {}, {}",
        row.what,
        if resend { "resend" } else { "first mail" },
        if has_table { "table" } else { "no table" },
    );
    let mut cell = Cell::new(row.fault, format!("{place}, {who}")).with_table(has_table).of(person.clone());
    cell.twins = Some(format!("{} {place}", row.fault));

    let not_sent = || error(TriggerError::CodeNotSent);
    if age == Age::Cold {
        cell.setup.ses = row.ses.clone();
    } else {
        if let Ses::SpeaksTls(_) = row.ses {
            cell.setup.ses = Ses::SpeaksTls(Certificate::Good);
        }
        for number in 0..4 {
            cell = cell.then(Step::BeginBy(Person::other(number)), Outcome::Challenge);
        }
        if row.what == "the kept connection is closed" {
            // It was promised to be kept.
            cell.setup.ses = Ses::Does(vec![SesDoes::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")]);
        }
        cell = cell.but(Step::Ses(row.ses.clone()));
        if age == Age::InIt {
            cell = cell.then(Step::BeginBy(Person::other(4)), not_sent());
        }
    }
    // Who is not known is told what this function has seen, and a cold one has seen nothing.
    let is_told = row.told && (is_known || age == Age::InIt) && !resend;
    let outcome = if is_told { not_sent() } else { Outcome::Challenge };
    if resend {
        cell = cell.but(Step::Given(60)).then(Step::Resend, outcome);
    } else {
        cell = cell.then(Step::Begin, outcome);
    }
    let mails = if is_known { row.mails } else { 0 };
    if is_known && !is_told {
        // What is shown as a challenge can be answered: with this mail's code, or with that of the mail before.
        let typed = if mails > 0 { Typed::Mailed } else { Typed::Derived };
        cell = cell.then(Step::Answer(typed), Outcome::Right);
    }
    cell.left.mails = mails..=mails;
    cell.left.requests = Some(if is_known { row.requests } else { 0 });
    cell.left.counted = has_table.then_some(if is_told { 0 } else { 1 });
    cell.left.says = Some(if is_known { row.says } else { "mail_withheld" });
    cell
}
