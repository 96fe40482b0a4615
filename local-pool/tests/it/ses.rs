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
fn what_belongs_to_a_mail_is_kept_with_it() {
    let mut body = mail("alice@example.com");
    body["FromEmailAddressIdentityArn"] = json!("arn:aws:ses:eu-west-1:111122223333:identity/example.com");
    body["ReplyToAddresses"] = json!(["help@example.com"]);
    body["ConfigurationSetName"] = json!("codes");
    body["EmailTags"] = json!([{"Name": "locale", "Value": "pt-BR"}]);
    body["Content"]["Simple"]["Headers"] = json!([{"Name": "Auto-Submitted", "Value": "auto-generated"}]);
    let mut mailbox = Mailbox::default();
    let kept = json!(mailbox.send_email(body.to_string().as_bytes(), Timestamp::UNIX_EPOCH).unwrap());
    assert_eq!(kept["identity_arn"], "arn:aws:ses:eu-west-1:111122223333:identity/example.com");
    assert_eq!(kept["reply_to"], json!(["help@example.com"]));
    assert_eq!(kept["configuration_set"], "codes");
    assert_eq!(kept["tags"], json!({"locale": "pt-BR"}));
    assert_eq!(kept["headers"], json!({"Auto-Submitted": "auto-generated"}));
}

#[test]
fn what_ses_does_not_take_is_refused() {
    let ascii = "Addresses have to be printable ASCII characters.";
    let header = "A header's name has to be 1 to 126 and its value up to 870 printable ASCII characters.";
    let tag = "Tags have to be 1 to 256 letters, digits, hyphens and underscores.";
    for (pointer, value, message) in [
        ("/FromEmailAddress", json!("Söhne <a@example.com>"), ascii),
        ("/ReplyToAddresses", json!(["a@example.com\r\nBcc: b@example.com"]), ascii),
        ("/Content/Simple/Headers", json!([{"Name": "X:", "Value": ""}]), header),
        ("/Content/Simple/Headers", json!([{"Name": "X", "Value": "a\r\nBcc: b@example.com"}]), header),
        ("/EmailTags", json!([{"Name": "version", "Value": "$LATEST"}]), tag),
        ("/EmailTags", json!([{"Name": "version", "Value": ""}]), tag),
    ] {
        let mut body = mail("alice@example.com");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value;
        let mut mailbox = Mailbox::default();
        let error = mailbox.send_email(body.to_string().as_bytes(), Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!((error.kind, error.message), ("BadRequestException", message), "{pointer}");
        assert_eq!(mailbox.mails().count(), 0);
    }
}

#[test]
fn a_refusal_has_a_kind_and_a_message() {
    let error = Mailbox::default().send_email(b"{}", Timestamp::UNIX_EPOCH).unwrap_err();
    let message = "The request is not the JSON that SendEmail takes.";
    assert_eq!(error.body(), json!({"__type": "BadRequestException", "message": message}));
    assert_eq!(error.to_string(), format!("BadRequestException: {message}"));
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
