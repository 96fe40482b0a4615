//! The mail service.

use jiff::Timestamp;
use local_pool::ses::Mailbox;
use serde_json::{Value, json};

fn mail(to: &str) -> Value {
    json!({
        "FromEmailAddress": "sign-in@example.com",
        "Destination": {"ToAddresses": [to]},
        "Content": {"Simple": {
            "Subject": {"Data": "Subject", "Charset": "UTF-8"},
            "Body": {"Text": {"Data": "Text"}, "Html": {"Data": "<p>Html"}},
        }},
    })
}

#[test]
fn mails_are_kept_newest_first() {
    let mut mailbox = Mailbox::default();
    for n in 0..1_005 {
        mailbox.send_email(mail(&format!("{n}@example.com")).to_string().as_bytes(), Timestamp::UNIX_EPOCH).unwrap();
    }
    let kept: Vec<_> = mailbox.mails().collect();
    assert_eq!((kept.len(), &*kept[0].to, &*kept[999].to), (1_000, "1004@example.com", "5@example.com"));
    assert_eq!(
        json!(kept[0]),
        json!({
            "to": "1004@example.com", "from": "sign-in@example.com", "subject": "Subject", "text": "Text",
            "html": "<p>Html", "at": "1970-01-01T00:00:00Z",
        })
    );
}

#[test]
fn what_is_no_mail_to_one_recipient_is_refused() {
    let mut mailbox = Mailbox::default();
    let mut refuse = |path: &str, value: Value, message: &str| {
        let mut body = mail("alice@example.com");
        *body.pointer_mut(path).unwrap() = value;
        let error = mailbox.send_email(body.to_string().as_bytes(), Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!((error.kind, error.message), ("BadRequestException", message));
    };
    let one = "The local pool takes mails to one recipient only.";
    refuse("/Destination", json!({}), "There is no recipient.");
    refuse("/Destination", json!({"ToAddresses": ["a@example.com", "b@example.com"]}), one);
    refuse("/Destination", json!({"ToAddresses": ["a@example.com"], "BccAddresses": ["b@example.com"]}), one);
    refuse("/FromEmailAddress", json!(null), "There is no sender.");
    refuse("/Content", json!({"Raw": {"Data": ""}}), "The local pool takes simple content only.");
    refuse("/Content", json!(7), "The request is not the JSON that SendEmail takes.");
    assert_eq!(mailbox.mails().count(), 0);
}
