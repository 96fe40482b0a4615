//! A stand-in for SES v2 that keeps the mail instead of sending it.

use std::collections::{BTreeMap, VecDeque};
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
    /// Where answers go, if not to the sender.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reply_to: Vec<String>,
    /// Headers that the sender added.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// SES's tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// SES's configuration set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_set: Option<String>,
    /// ARN of the identity that is sent from, where it is another account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_arn: Option<String>,
    /// When it was taken, in RFC 3339.
    pub at: Timestamp,
}

/// The account, as `GetAccount` tells it: out of the sandbox.
pub(crate) fn account() -> Value {
    json!({
        "DedicatedIpAutoWarmupEnabled": false,
        "EnforcementStatus": "HEALTHY",
        "ProductionAccessEnabled": true,
        "SendQuota": {"Max24HourSend": 50_000.0, "MaxSendRate": 14.0, "SentLast24Hours": 0.0},
        "SendingEnabled": true,
        "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
    })
}

/// An identity, as `GetEmailIdentity` tells it: everybody may send from whatever they say.
pub(crate) fn identity(name: &str) -> Value {
    json!({
        "IdentityType": if name.contains('@') { "EMAIL_ADDRESS" } else { "DOMAIN" },
        "FeedbackForwardingStatus": true,
        "VerificationStatus": "SUCCESS",
        "VerifiedForSendingStatus": true,
        "DkimAttributes": {"SigningEnabled": true, "Status": "SUCCESS"},
        "MailFromAttributes": {
            "MailFromDomain": format!("mail.{}", name.rsplit('@').next().unwrap_or_default()),
            "MailFromDomainStatus": "SUCCESS", "BehaviorOnMxFailure": "USE_DEFAULT_VALUE",
        },
        "Policies": {},
        "Tags": [],
    })
}

/// A configuration set, as `GetConfigurationSet` tells it.
pub(crate) fn configuration_set(name: &str) -> Value {
    json!({
        "ConfigurationSetName": name,
        "SendingOptions": {"SendingEnabled": true},
        "ReputationOptions": {"ReputationMetricsEnabled": true},
        "SuppressionOptions": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
        "Tags": [],
    })
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
    from_email_address_identity_arn: Option<String>,
    #[serde(default)]
    reply_to_addresses: Vec<String>,
    configuration_set_name: Option<String>,
    #[serde(default)]
    email_tags: Vec<NameAndValue>,
    destination: Destination,
    content: Content,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NameAndValue {
    name: String,
    value: String,
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
    #[serde(default)]
    headers: Vec<NameAndValue>,
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

fn is_printable(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
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
        let reply_to = request.reply_to_addresses;
        // SES does not take UTF-8 in addresses or headers: names in other scripts have to be encoded (RFC 2047).
        if ![&to, &from].into_iter().chain(&reply_to).all(|address| is_printable(address)) {
            return Err(bad("Addresses have to be printable ASCII characters."));
        }
        let headers: BTreeMap<_, _> =
            simple.headers.into_iter().map(|NameAndValue { name, value }| (name, value)).collect();
        if !headers.iter().all(|(name, value)| {
            (1..=126).contains(&name.len())
                && is_printable(name)
                && !name.contains([':', ' '])
                && value.len() <= 870
                && is_printable(value)
        }) {
            return Err(bad("A header's name has to be 1 to 126 and its value up to 870 printable ASCII characters."));
        }
        let tags: BTreeMap<_, _> =
            request.email_tags.into_iter().map(|NameAndValue { name, value }| (name, value)).collect();
        let is_tag = |text: &str| {
            (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if !tags.iter().all(|(name, value)| is_tag(name) && is_tag(value)) {
            return Err(bad("Tags have to be 1 to 256 letters, digits, hyphens and underscores."));
        }
        let data = |part: Option<Part>| part.map(|part| part.data).unwrap_or_default();
        let (text, html) = (data(simple.body.text), data(simple.body.html));
        self.keep(Mail {
            to,
            from,
            subject: simple.subject.data,
            text,
            html,
            reply_to,
            headers,
            tags,
            configuration_set: request.configuration_set_name,
            identity_arn: request.from_email_address_identity_arn,
            at,
        });
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
            reply_to: Vec::new(),
            headers: BTreeMap::new(),
            tags: BTreeMap::new(),
            configuration_set: None,
            identity_arn: None,
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
