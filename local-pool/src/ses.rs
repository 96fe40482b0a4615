//! A stand-in for SES v2 that keeps the mail instead of sending it.

use std::collections::VecDeque;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::pool::Letter;

/// How many mails are kept; the oldest goes when there are more.
const KEPT: usize = 1_000;

/// A mail that would have been sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The only recipient.
    pub to: String,
    /// The sender.
    pub from: String,
    /// The subject.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// When it was taken, in RFC 3339.
    pub at: Timestamp,
}

/// The mails, newest first.
#[derive(Debug, Default)]
pub struct Mailbox(VecDeque<Mail>);

/// What SES answers to a request that it does not take.
#[derive(Debug, PartialEq, Eq)]
pub struct SesError {
    /// `BadRequestException` or the like.
    pub kind: &'static str,
    /// What is wrong.
    pub message: &'static str,
}

impl SesError {
    /// The body of the reply.
    pub fn body(&self) -> Value {
        json!({ "__type": self.kind, "message": self.message })
    }
}

impl fmt::Display for SesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEmail {
    from_email_address: Option<String>,
    destination: Destination,
    content: Content,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    to_addresses: Vec<String>,
    cc_addresses: Vec<String>,
    bcc_addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    simple: Option<Simple>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Simple {
    subject: Part,
    body: Body,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    text: Option<Part>,
    html: Option<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    data: String,
}

impl Mailbox {
    /// Takes the body of a `SendEmail` request.
    ///
    /// # Errors
    ///
    /// When it is none, or not a mail of simple content to one recipient.
    pub fn send_email(&mut self, body: &[u8], at: Timestamp) -> Result<&Mail, SesError> {
        let bad = |message| SesError { kind: "BadRequestException", message };
        let request: SendEmail =
            serde_json::from_slice(body).map_err(|_| bad("The request is not the JSON that SendEmail takes."))?;
        let Destination { mut to_addresses, cc_addresses, bcc_addresses } = request.destination;
        let to = to_addresses.pop().ok_or_else(|| bad("There is no recipient."))?;
        if !(to_addresses.is_empty() && cc_addresses.is_empty() && bcc_addresses.is_empty()) {
            return Err(bad("The local pool takes mails to one recipient only."));
        }
        let simple = request.content.simple.ok_or_else(|| bad("The local pool takes simple content only."))?;
        let from = request.from_email_address.ok_or_else(|| bad("There is no sender."))?;
        let data = |part: Option<Part>| part.map(|part| part.data).unwrap_or_default();
        let (text, html) = (data(simple.body.text), data(simple.body.html));
        self.keep(Mail { to, from, subject: simple.subject.data, text, html, at });
        self.0.front().ok_or_else(|| bad("There is no mail."))
    }

    /// Takes a mail of the pool itself, which has its sender from AWS.
    pub(crate) fn put(&mut self, letter: Letter, at: Timestamp) {
        let Letter { to, subject, text } = letter;
        self.keep(Mail {
            to,
            from: "no-reply@verificationemail.com".to_owned(),
            subject,
            text,
            html: String::new(),
            at,
        });
    }

    fn keep(&mut self, mail: Mail) {
        self.0.truncate(KEPT - 1);
        self.0.push_front(mail);
    }

    /// The mails, newest first.
    pub fn mails(&self) -> impl Iterator<Item = &Mail> {
        self.0.iter()
    }
}
