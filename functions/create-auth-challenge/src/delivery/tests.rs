//! Sending through a mail service that misbehaves on purpose, on a real socket. F.. are the faults of the fault list.

use std::sync::{Arc, Mutex};

use auth_challenge::client_metadata::{Action, ClientMetadata};
use auth_challenge::code::CodeKeys;
use auth_challenge::create_auth_challenge::{Challenge, decide};
use auth_challenge::email_address::EmailAddress;
use auth_challenge::recipient::Recipient;
use auth_challenge::rounds::{Round, Rounds};
use auth_challenge::settings::{CreateSettings, MailSettings};
use auth_challenge::user::{SignIn, User, WhyUnknown};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::json;
use tokio::net::TcpSocket;

use self::service::{Deed, Service, refuses, refuses_with, taken};
use super::*;

mod known_or_not;
mod service;

/// The environment of a function whose SES is at `url`.
fn environment(url: &str) -> impl Fn(&str) -> Option<String> {
    move |name| {
        Some(match name {
            "SES_FROM_ADDRESS" => "sign-in@example.com".to_owned(),
            "APP_NAME" => "Acme & Söhne".to_owned(),
            "AWS_REGION" => "eu-west-1".to_owned(),
            "AWS_ACCESS_KEY_ID" => "AKIDEXAMPLE".to_owned(),
            "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" => "example".to_owned(),
            "AWS_ENDPOINT_URL_SESV2" => url.to_owned(),
            _ => return None,
        })
    }
}

fn delivery(url: &str) -> Delivery {
    let vars = environment(url);
    let templates = Templates::new(MailSettings::from_vars(&vars).unwrap()).unwrap();
    Delivery::new(SesSettings::from_vars(&vars).unwrap(), templates, AwsSettings::from_vars(&vars).unwrap()).unwrap()
}

fn settings() -> CreateSettings {
    CreateSettings::from_vars(&|name| (name == "CODE_KEY").then(|| "x".repeat(32))).unwrap()
}

fn challenge(user: &User, rounds: Rounds, metadata: ClientMetadata) -> Challenge {
    let sign_in = SignIn {
        user_pool_id: "eu-west-1_EXAMPLE".to_owned(),
        client_id: "1example".to_owned(),
        user_name: "alice".to_owned(),
        unproved: None,
    };
    let now = std::time::SystemTime::now().into();
    decide(&settings(), &sign_in, user, &rounds, &metadata, now, &mut UnwrapErr(SysRng)).unwrap()
}

fn alice() -> User {
    let address = EmailAddress::parse("alice@example.com").unwrap();
    User::Known(Recipient { address, verified: true, locale: None, name: None })
}

fn nobody() -> User {
    User::Unknown(WhyUnknown::UserNotFound)
}

fn first(user: &User) -> Challenge {
    challenge(user, Rounds::default(), ClientMetadata::default())
}

async fn perform(delivery: &Delivery, challenge: &Challenge) -> Result<(), TriggerError> {
    let begun = Instant::now();
    let performed = delivery.perform(challenge, &mut UnwrapErr(SysRng)).await;
    // Not a measurement: Cognito gives up after 5 s, and whatever happens this has to be over before.
    assert!(begun.elapsed() < Duration::from_millis(4_500), "{:?}", begun.elapsed());
    performed
}

/// Sends one first mail to a service that does `deeds`; how it ends and how many requests the service has read.
async fn check(deeds: impl IntoIterator<Item = Deed>, expected: Result<(), TriggerError>, requests: usize) {
    let service = Service::start(deeds).await;
    assert_eq!(perform(&delivery(&service.url), &first(&alice())).await, expected);
    assert_eq!(service.requests().len(), requests);
}

const NOT_SENT: Result<(), TriggerError> = Err(TriggerError::CodeNotSent);

#[tokio::test]
async fn r41_a_mail_has_one_recipient_a_text_and_html() {
    let service = Service::start([taken()]).await;
    let challenge = first(&alice());
    assert_eq!(perform(&delivery(&service.url), &challenge).await, Ok(()));
    let [(head, mail)] = &service.requests()[..] else { panic!("not one request") };
    assert!(head.starts_with("POST /v2/email/outbound-emails "), "{head}");
    assert!(head.contains("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{head}");
    assert!(head.contains("/eu-west-1/ses/aws4_request"), "{head}");
    assert!(head.to_ascii_lowercase().contains("x-amz-security-token: example"), "{head}");

    let Deliver::Mail(message) = &challenge.deliver else { panic!("no mail") };
    let code = message.code.grouped().replace(' ', "\u{a0}");
    // T14: what a lock screen shows of a mail is its beginning.
    assert!(mail["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap().find(&*code).unwrap() > 80);
    let simple = &mail["Content"]["Simple"];
    assert_eq!(mail["FromEmailAddress"], "sign-in@example.com");
    assert_eq!(mail["Destination"], json!({"ToAddresses": ["alice@example.com"]}));
    assert_eq!(mail["Content"].as_object().unwrap().len(), 1);
    assert_eq!(simple["Subject"], json!({"Charset": "UTF-8", "Data": "Your code to sign in to Acme & Söhne"}));
    for part in ["Text", "Html"] {
        assert_eq!(simple["Body"][part]["Charset"], "UTF-8");
        let data = simple["Body"][part]["Data"].as_str().unwrap();
        assert!(data.contains(&*code) && data.contains("10 minutes"), "{data}");
        assert!(!data.contains("http"), "R43: a link in {data}");
    }
    assert!(simple["Body"]["Html"]["Data"].as_str().unwrap().contains("Acme &amp; Söhne"));
}

#[tokio::test]
async fn f01_throttling_is_tried_once_more() {
    check([refuses(429, "TooManyRequestsException"), taken()], Ok(()), 2).await;
    check([refuses(400, "ThrottlingException"), taken()], Ok(()), 2).await;
    check([refuses(429, "TooManyRequestsException")], NOT_SENT, 2).await;
    check([Deed::Answer(429, String::new())], NOT_SENT, 2).await;
}

#[tokio::test]
async fn f10_a_service_error_is_tried_once_more_with_the_same_code() {
    let service = Service::start([refuses(500, "InternalServiceErrorException"), taken()]).await;
    assert_eq!(perform(&delivery(&service.url), &first(&alice())).await, Ok(()));
    let [(_, one), (_, two)] = &service.requests()[..] else { panic!("not two requests") };
    assert_eq!(one, two);
    check([refuses(503, "ServiceUnavailable")], NOT_SENT, 2).await;
}

#[tokio::test]
async fn r34_f14_an_error_that_ses_did_not_write_is_not_tried_again() {
    check([Deed::Answer(502, "<html>Bad gateway</html>".to_owned())], Ok(()), 1).await;
    check([Deed::Answer(504, String::new())], Ok(()), 1).await;
    check([Deed::Answer(301, String::new())], Ok(()), 1).await;
}

#[tokio::test]
async fn f11_a_refused_connection_is_tried_once_more() {
    // Taken, so that nobody else gets it, and not listened at.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let delivery = delivery(&format!("http://{}", socket.local_addr().unwrap()));
    assert_eq!(perform(&delivery, &first(&alice())).await, NOT_SENT);
    // Somebody listens again before the second attempt is made.
    let (challenge, mut chance) = (first(&alice()), UnwrapErr(SysRng));
    let mut sending = std::pin::pin!(delivery.perform(&challenge, &mut chance));
    let early = tokio::time::timeout(Duration::from_millis(PAUSE.start / 2), &mut sending).await;
    assert!(early.is_err(), "no second attempt: {early:?}");
    let service = Service::start_on(socket.listen(16).unwrap(), [taken()]);
    assert_eq!(sending.await, Ok(()));
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn f11_a_name_that_does_not_resolve_sends_nothing() {
    assert_eq!(perform(&delivery("http://ses.invalid"), &first(&alice())).await, NOT_SENT);
}

#[tokio::test]
async fn f12_a_tls_handshake_that_hangs_or_fails_is_tried_once_more_and_sends_nothing() {
    for deed in [Deed::Hang, Deed::ResetAtOnce] {
        let service = Service::start([deed]).await;
        assert_eq!(perform(&delivery(&service.url.replace("http", "https")), &first(&alice())).await, NOT_SENT);
        assert_eq!(service.connections(), 2);
    }
}

#[tokio::test]
async fn r34_r35_f14_a_connection_lost_after_the_request_is_not_tried_again() {
    check([Deed::ResetAfterRequest], Ok(()), 1).await;
    check([Deed::Send(b"")], Ok(()), 1).await;
    check([Deed::Send(b"HTTP/1.1 200 OK\r\ncontent-le")], Ok(()), 1).await;
}

#[tokio::test]
async fn f13_a_connection_lost_before_the_request_makes_at_most_one_mail() {
    let service = Service::start([Deed::ResetAtOnce, taken()]).await;
    assert_eq!(perform(&delivery(&service.url), &first(&alice())).await, Ok(()));
    assert!(service.requests().len() <= 1);
}

#[tokio::test]
async fn f15_an_answer_of_success_that_cannot_be_read_is_success() {
    check([Deed::Answer(200, "<html>".to_owned())], Ok(()), 1).await;
    check([Deed::Answer(200, String::new())], Ok(()), 1).await;
    check([Deed::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"Mess")], Ok(()), 1).await;
}

#[tokio::test]
async fn r33_f17_a_slow_service_is_not_asked_twice() {
    let slow = |ms, status, body: &str| Deed::AnswerAfter(Duration::from_millis(ms), status, body.to_owned());
    check([slow(1_000, 200, r#"{"MessageId": "1"}"#)], Ok(()), 1).await;
    check([slow(2_000, 200, r#"{"MessageId": "1"}"#)], Ok(()), 1).await;
    check([Deed::Hang], Ok(()), 1).await;
    check([slow(1_400, 429, ""), Deed::Hang], Ok(()), 2).await;
}

#[tokio::test]
async fn t25_f02_to_f07_f16_refusals_are_told_unless_they_are_about_the_recipient() {
    for code in [
        "AccountSuspendedException",
        "SendingPausedException",
        "LimitExceededException",
        "NotFoundException",
        "MailFromDomainNotVerifiedException",
        "AccessDeniedException",
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "eve@evil.example",
    ] {
        check([refuses(400, code)], NOT_SENT, 1).await;
    }
    for code in ["MessageRejected", "BadRequestException"] {
        check([refuses(400, code)], Ok(()), 1).await;
    }
    let of = |address: &str| {
        let text = format!("Email address is not verified. The following identities failed the check: {address}");
        refuses_with(400, "MessageRejected", &text)
    };
    check([of("alice@example.com")], Ok(()), 1).await;
    check([of("sign-in@example.com")], NOT_SENT, 1).await;
}

/// Nobody else hears why, and each has to be mended in another place.
#[tokio::test]
async fn r40_the_log_says_in_our_words_why_a_mail_was_not_sent() {
    let attempted = async |status: u16, code: &str| {
        let service = Service::start([refuses(status, code)]).await;
        let challenge = first(&alice());
        let Deliver::Mail(message) = &challenge.deliver else { panic!("no mail") };
        let delivery = delivery(&service.url);
        let mail = delivery.templates.render(message).unwrap();
        delivery.attempt(message, &mail, Instant::now() + BUDGET).await
    };
    for (code, reason) in [
        ("AccountSuspendedException", "account_suspended"),
        ("SendingPausedException", "sending_paused"),
        ("LimitExceededException", "limit_exceeded"),
        ("MailFromDomainNotVerifiedException", "mail_from_domain_not_verified"),
        ("NotFoundException", "not_found"),
        ("AccessDeniedException", "access_denied"),
        ("SomethingNewException", "refused"),
    ] {
        assert_eq!(attempted(400, code).await, Attempt::Over(Sent::Failed { reason, outage: LONG_OUTAGE }), "{code}");
    }
    assert_eq!(attempted(400, "MessageRejected").await, Attempt::Over(Sent::NotToThisRecipient("message_rejected")));
    assert_eq!(attempted(400, "BadRequestException").await, Attempt::Over(Sent::Refused("bad_request")));
    for (status, code, reason) in [
        (429, "TooManyRequestsException", "throttled"),
        (400, "TooManyRequestsException", "throttled"),
        (503, "ServiceUnavailable", "service_error"),
    ] {
        assert_eq!(attempted(status, code).await, Attempt::CertainlyNotTaken(reason), "{code}");
    }
}

#[tokio::test]
async fn a_mail_goes_out_from_the_region_of_ses_with_the_functions_version_if_it_has_one() {
    for (given, region, version) in [
        (&[][..], "eu-west-1", None),
        (&[("SES_REGION", "us-east-1"), ("AWS_LAMBDA_FUNCTION_VERSION", "7")], "us-east-1", Some("7")),
        (&[("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")], "eu-west-1", Some("LATEST")),
    ] {
        let service = Service::start([taken()]).await;
        let environment = environment(&service.url);
        let vars = |name: &str| match given.iter().find(|(variable, _)| *variable == name) {
            Some((_, value)) => Some((*value).to_owned()),
            None => environment(name),
        };
        let templates = Templates::new(MailSettings::from_vars(&vars).unwrap()).unwrap();
        let (ses, aws) = (SesSettings::from_vars(&vars).unwrap(), AwsSettings::from_vars(&vars).unwrap());
        let delivery = Delivery::new(ses, templates, aws).unwrap();
        assert_eq!(perform(&delivery, &first(&alice())).await, Ok(()));
        let [(head, mail)] = &service.requests()[..] else { panic!("not one request") };
        assert!(head.contains(&format!("/{region}/ses/aws4_request")), "{head}");
        let tag = |name: &str, value: &str| json!({"Name": name, "Value": value});
        let tags: Vec<_> = version.map(|version| tag("function-version", version)).into_iter().collect();
        assert_eq!(mail["EmailTags"], json!([tags, vec![tag("locale", "en")]].concat()));
    }
}

#[tokio::test]
async fn a_rehearsal_connects_and_mails_nothing() {
    let service = Service::start([taken()]).await;
    let delivery = delivery(&service.url);
    delivery.rehearse(settings().challenge.format).await;
    assert_eq!(perform(&delivery, &first(&alice())).await, Ok(()));
    // The mail has found the connection there.
    assert_eq!((service.connections(), service.requests().len()), (1, 1));
    let alone = Service::start([taken()]).await;
    self::delivery(&alone.url).rehearse(settings().challenge.format).await;
    connected(&alone, 1).await;
    assert_eq!(alone.requests().len(), 0);
}

/// Waits until a service has seen so many connections.
async fn connected(service: &Service, times: usize) {
    let connected = async {
        while service.connections() < times {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), connected).await.expect("a connection");
}

/// Without a connection a mail takes longer, by which it would tell who exists.
#[tokio::test]
async fn t26_r31_who_gets_no_mail_connects_like_those_who_do() {
    // Keeps no connection.
    let service = Service::start([taken()]).await;
    let delivery = delivery(&service.url);
    assert_eq!(perform(&delivery, &first(&alice())).await, Ok(()));
    assert_eq!(perform(&delivery, &first(&nobody())).await, Ok(()));
    connected(&service, 2).await;
    assert_eq!(service.requests().len(), 1);
    // The next mail finds it.
    assert_eq!(perform(&delivery, &first(&alice())).await, Ok(()));
    assert_eq!((service.connections(), service.requests().len()), (2, 2));
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_costs_no_mail() {
    // Promises to keep the connection, and closes it.
    let service = Service::start([Deed::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")]).await;
    let delivery = delivery(&service.url);
    for sent in 1..=20 {
        assert_eq!(perform(&delivery, &first(&alice())).await, Ok(()));
        assert_eq!(service.requests().len(), sent);
    }
}

#[tokio::test]
async fn a_resend_that_fails_does_not_end_the_sign_in() {
    let service = Service::start([refuses(400, "SendingPausedException")]).await;
    let keys: CodeKeys = settings().challenge.keys;
    let begun = first(&alice()).state;
    let sent_before = auth_challenge::challenge::ChallengeState {
        key_id: keys.current.id(),
        last_sent: auth_challenge::challenge::UnixSeconds(begun.last_sent.0 - 60),
        ..begun
    };
    let round = Round::CustomChallenge { state: sent_before, correct: false };
    let resend = ClientMetadata { action: Action::Resend, ..ClientMetadata::default() };
    for user in [alice(), nobody()] {
        let again = challenge(&user, [round].into_iter().collect(), resend.clone());
        assert_eq!(again.state.mails, 2);
        assert_eq!(perform(&delivery(&service.url), &again).await, Ok(()));
    }
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn t29_an_outage_is_told_to_unknown_users_too() {
    let service = Service::start([refuses(400, "SendingPausedException"), taken()]).await;
    let delivery = delivery(&service.url);
    assert_eq!(perform(&delivery, &first(&nobody())).await, Ok(()));
    assert_eq!(perform(&delivery, &first(&alice())).await, NOT_SENT);
    assert_eq!(perform(&delivery, &first(&nobody())).await, NOT_SENT);
    assert_eq!(perform(&delivery, &first(&alice())).await, Ok(()));
    assert_eq!(perform(&delivery, &first(&nobody())).await, Ok(()));
    assert_eq!(service.requests().len(), 2);
}

#[tokio::test]
async fn t26_an_unknown_user_waits_as_long_as_a_known_one() {
    let pause = Duration::from_millis(300);
    let slow = Deed::AnswerAfter(pause, 200, json!({"MessageId": "1"}).to_string());
    let service = Service::start([slow]).await;
    let delivery = delivery(&service.url);
    for _ in 0..4 {
        assert_eq!(perform(&delivery, &first(&alice())).await, Ok(()));
    }
    let begun = Instant::now();
    assert_eq!(perform(&delivery, &first(&nobody())).await, Ok(()));
    // A lower bound: it holds however busy the machine is.
    assert!(begun.elapsed() >= pause, "{:?}", begun.elapsed());
    assert_eq!(service.requests().len(), 4);
}

#[tokio::test]
async fn a_round_without_a_mail_sends_none() {
    let service = Service::start([taken()]).await;
    let round = Round::CustomChallenge { state: first(&alice()).state, correct: false };
    let again = challenge(&alice(), [round].into_iter().collect(), ClientMetadata::default());
    assert_eq!(perform(&delivery(&service.url), &again).await, Ok(()));
    assert_eq!(service.requests().len(), 0);
}
