//! How a mail goes out, and how long that seems to take when none does.
//!
//! Cognito waits 5 s for a trigger and then calls it again, which would be another mail; so all of this is over within
//! [`BUDGET`]. A mail is tried a second time only when SES certainly did not take it the first time. When nobody can know,
//! the challenge stands: the mail may arrive, and the client can ask for it again.

use std::sync::Mutex;
use std::time::Duration;

use auth_challenge::challenge::ErrorCode;
use auth_challenge::code::CodeFormat;
use auth_challenge::create_auth_challenge::{Challenge, Deliver, Message};
use auth_challenge::settings::{AwsSettings, SesSettings, SettingsError};
use auth_challenge::trigger::TriggerError;
use aws_connection::{Connection, NeverSent, sdk_config};
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::HttpClient;
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::{SendEmailError, SendEmailOutput};
use aws_sdk_sesv2::types::{
    Body, Content, Destination, EmailContent, Message as SesMessage, MessageHeader, MessageTag,
};
use rand::{CryptoRng, Rng, RngExt};
use sign_in_mail::{Mail, Templates, example_message};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::observed_sends::ObservedSends;

/// For the connection, with TLS.
const CONNECT: Duration = Duration::from_millis(800);
/// For one attempt, with the connection.
const ATTEMPT: Duration = Duration::from_millis(1_500);
/// For everything.
const BUDGET: Duration = Duration::from_millis(3_000);
/// Between two attempts, in milliseconds.
const PAUSE: std::ops::Range<u64> = 50..100;

/// Sends mails through SES.
pub(crate) struct Delivery {
    client: Client,
    /// `None` in tests that have one of their own.
    connection: Option<Connection>,
    settings: SesSettings,
    function_version: String,
    templates: Templates,
    observed: Mutex<ObservedSends>,
}

impl Delivery {
    /// # Errors
    ///
    /// `AWS_CA_BUNDLE` cannot be used.
    pub(crate) fn new(
        settings: SesSettings,
        templates: Templates,
        aws: AwsSettings,
    ) -> Result<Delivery, SettingsError> {
        let connection = Connection::new(&aws, CONNECT)?;
        Ok(Delivery { connection: Some(connection.clone()), ..Delivery::over(connection, settings, templates, aws) })
    }

    fn over(
        http: impl HttpClient + 'static,
        settings: SesSettings,
        templates: Templates,
        aws: AwsSettings,
    ) -> Delivery {
        // Tags take no `$`, which `$LATEST` begins with.
        let function_version = aws.function_version.clone().unwrap_or_default().replace('$', "");
        let region = settings.region.clone().unwrap_or(aws.region.clone());
        let endpoint_url = aws.ses_endpoint_url.clone();
        let config = sdk_config(AwsSettings { region, ..aws }, endpoint_url, http);
        let client = Client::new(&config);
        Delivery { client, connection: None, settings, function_version, templates, observed: Mutex::default() }
    }

    /// Connects to SES before there is a mail, in the time that Lambda gives a function to start, and writes one that nobody gets.
    pub(crate) async fn rehearse(&self, format: CodeFormat) {
        let message = example_message(None, format);
        if let (Some(connection), Ok(mail)) = (&self.connection, self.templates.render(&message)) {
            connection.rehearse(self.attempt(&message, &mail, Instant::now() + BUDGET)).await;
        }
    }

    /// Does what a challenge asks for before the reply goes out.
    ///
    /// # Errors
    ///
    /// [`TriggerError::CodeNotSent`] when the first mail of a sign-in certainly was not sent. Later ones never fail the
    /// sign-in: its code has been mailed before.
    pub(crate) async fn perform(&self, challenge: &Challenge, chance: &mut impl CryptoRng) -> Result<(), TriggerError> {
        let deadline = Instant::now() + BUDGET;
        // Who gets no mail waits as long as others did for theirs, which after a pause would be without a connection.
        if let (Some(connection), Deliver::Mail(_) | Deliver::Pretend(_)) = (&self.connection, &challenge.deliver) {
            connection.ready().await;
        }
        let begun = Instant::now();
        let (id, mail) = (challenge.state.log_id(), challenge.state.mails);
        let failed = match &challenge.deliver {
            Deliver::Nothing => {
                let error = challenge.public.error.map(ErrorCode::name);
                tracing::info!(challenge = id, error, "challenge_made");
                false
            }
            Deliver::Mail(message) => {
                let sent = self.send(message, deadline, chance).await;
                let outage = match &sent {
                    Sent::Failed { outage, .. } => Some(*outage),
                    Sent::Taken { .. } | Sent::Unknown | Sent::NotToThisRecipient(_) | Sent::Refused(_) => None,
                };
                let fails_until = outage.map(|outage| Instant::now() + outage);
                self.observe(|observed| observed.record(begun.elapsed(), fails_until));
                let duration_ms = begun.elapsed().as_millis() as u64;
                match sent {
                    Sent::Taken { message_id } => {
                        tracing::info!(challenge = id, mail, duration_ms, message_id, "challenge_sent");
                    }
                    Sent::Unknown => {
                        tracing::warn!(reason = "no_answer", challenge = id, mail, duration_ms, "mail_may_be_lost");
                    }
                    Sent::NotToThisRecipient(reason) => {
                        tracing::warn!(reason, challenge = id, mail, duration_ms, "recipient_rejected");
                    }
                    Sent::Refused(reason) | Sent::Failed { reason, .. } => {
                        tracing::error!(reason, challenge = id, mail, duration_ms, "mail_not_sent");
                    }
                }
                outage.is_some()
            }
            Deliver::Pretend(why) => {
                let (lasts, fails) = self.observe(|observed| observed.imitate(Instant::now(), chance));
                let end = deadline.min(begun + lasts);
                sleep_until(end).await;
                self.observe(|observed| observed.woke(end.elapsed()));
                let duration_ms = begun.elapsed().as_millis() as u64;
                tracing::info!(reason = ?why, challenge = id, mail, duration_ms, "mail_withheld");
                fails
            }
        };
        if failed && mail == 1 { Err(TriggerError::CodeNotSent) } else { Ok(()) }
    }

    async fn send(&self, message: &Message, deadline: Instant, chance: &mut impl Rng) -> Sent {
        let mail = match self.templates.render(message) {
            Ok(mail) => mail,
            Err(error) => {
                // Of one mail, or of one language: it is no outage that others would share.
                tracing::error!(file = error.file, line = error.line, "template_failed");
                return Sent::Refused("template_failed");
            }
        };
        match self.attempt(message, &mail, deadline).await {
            Attempt::Over(sent) => sent,
            Attempt::CertainlyNotTaken(_) => {
                sleep(Duration::from_millis(chance.random_range(PAUSE))).await;
                match self.attempt(message, &mail, deadline).await {
                    Attempt::Over(sent) => sent,
                    Attempt::CertainlyNotTaken(reason) => Sent::Failed { reason, outage: BRIEF_OUTAGE },
                }
            }
        }
    }

    async fn attempt(&self, message: &Message, mail: &Mail, deadline: Instant) -> Attempt {
        let content = |text: &str| Content::builder().charset("UTF-8").data(text).build().ok();
        let body = Body::builder().set_text(content(&mail.text)).set_html(content(&mail.html)).build();
        // Keeps out-of-office replies away (RFC 3834 §5).
        let automatic = MessageHeader::builder().name("Auto-Submitted").value("auto-generated").build().ok();
        let simple = SesMessage::builder()
            .set_subject(content(&mail.subject))
            .body(body)
            .set_headers(automatic.map(|header| vec![header]))
            .build();
        let tag = |name: &str, value: &str| MessageTag::builder().name(name).value(value).build().ok();
        let tags = [tag("function-version", &self.function_version), tag("locale", &mail.language)];
        let SesSettings { from, reply_to, configuration_set, identity_arn, region: _ } = &self.settings;
        let request = self
            .client
            .send_email()
            .from_email_address(from.to_string())
            .set_from_email_address_identity_arn(identity_arn.clone())
            .set_reply_to_addresses(reply_to.as_ref().map(|address| vec![address.as_str().to_owned()]))
            .set_configuration_set_name(configuration_set.clone())
            .set_email_tags(Some(tags.into_iter().flatten().filter(|tag| !tag.value().is_empty()).collect()))
            .destination(Destination::builder().to_addresses(message.to.address.as_str()).build())
            .content(EmailContent::builder().simple(simple).build());
        match timeout_at(deadline.min(Instant::now() + ATTEMPT), request.send()).await {
            Ok(result) => judge(result, &self.settings),
            // The connection has its own, shorter limit, so the request was on its way, or might have been had the deadline been later.
            Err(_) => Attempt::Over(Sent::Unknown),
        }
    }

    fn observe<T>(&self, f: impl FnOnce(&mut ObservedSends) -> T) -> T {
        f(&mut self.observed.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// What became of a mail, as far as anybody can know.
#[derive(Debug, PartialEq)]
enum Sent {
    /// SES took it.
    Taken { message_id: Option<String> },
    /// SES may have taken it: the answer never came, or made no sense.
    Unknown,
    /// SES does not want to send to this address. Said to nobody: it would tell that somebody has this address.
    NotToThisRecipient(&'static str),
    /// The mail is not sent, perhaps because of its recipient, perhaps because of our settings. Said to nobody, like the above,
    /// but loudly in the log.
    Refused(&'static str),
    /// SES certainly did not take it, and would have taken no other either. Unknown users are told the same for as long as
    /// `outage` may last.
    Failed { reason: &'static str, outage: Duration },
}

/// How long a failure that a second attempt could have mended may last.
const BRIEF_OUTAGE: Duration = Duration::from_secs(10);
/// How long a failure that somebody has to mend lasts at least.
const LONG_OUTAGE: Duration = Duration::from_secs(60);

/// What became of one attempt.
#[derive(Debug, PartialEq)]
enum Attempt {
    /// There is nothing more to do.
    Over(Sent),
    /// SES certainly did not take the mail, and may take it a moment later.
    CertainlyNotTaken(&'static str),
}

/// Judges SES's answer. The texts in it are foreign and are never passed on; what comes out are words of ours.
fn judge(answer: Result<SendEmailOutput, SdkError<SendEmailError>>, settings: &SesSettings) -> Attempt {
    use Attempt::{CertainlyNotTaken, Over};
    use Sent::{NotToThisRecipient, Refused, Taken, Unknown};

    let failed = |reason| Over(Sent::Failed { reason, outage: LONG_OUTAGE });
    let names_sender = |text: &str| {
        let identity = settings.identity_arn.as_deref();
        std::iter::once(settings.from.address.as_str()).chain(identity).any(|sender| text.contains(sender))
    };
    match answer {
        Ok(output) => Over(Taken { message_id: output.message_id }),
        Err(SdkError::ConstructionFailure(_)) => failed("request_not_built"),
        Err(SdkError::DispatchFailure(failure)) => {
            let was_sent = failure.as_connector_error().is_none_or(|error| !NeverSent::is_behind(error));
            if was_sent { Over(Unknown) } else { CertainlyNotTaken("not_connected") }
        }
        Err(SdkError::ServiceError(answer)) => {
            let (status, error) = (answer.raw().status().as_u16(), answer.err());
            match (status, error.code()) {
                (429, _) | (_, Some("TooManyRequestsException" | "Throttling" | "ThrottlingException")) => {
                    CertainlyNotTaken("throttled")
                }
                (500.., Some(_)) => CertainlyNotTaken("service_error"),
                (_, Some("MessageRejected")) if error.message().is_some_and(names_sender) => {
                    failed("sender_not_verified")
                }
                (_, Some("MessageRejected")) => Over(NotToThisRecipient("message_rejected")),
                (_, Some("BadRequestException")) => Over(Refused("bad_request")),
                (_, Some("AccountSuspendedException")) => failed("account_suspended"),
                (_, Some("SendingPausedException")) => failed("sending_paused"),
                (_, Some("LimitExceededException")) => failed("limit_exceeded"),
                (_, Some("MailFromDomainNotVerifiedException")) => failed("mail_from_domain_not_verified"),
                (_, Some("NotFoundException")) => failed("not_found"),
                (_, Some("AccessDeniedException")) => failed("access_denied"),
                (400..500, _) => failed("refused"),
                // A status of 500 and more without a code, say: it may be a proxy that speaks, and SES may have taken the mail.
                _ => Over(Unknown),
            }
        }
        // An answer with a status of success that could not be read (ResponseError), a time-out after the connection was
        // made, and whatever the SDK may come to distinguish.
        Err(_) => Over(Unknown),
    }
}

#[cfg(test)]
mod tests;
