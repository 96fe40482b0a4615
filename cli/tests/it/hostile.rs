//! Addresses, names, attributes and client metadata from people who want something else than to sign in: each makes one mail, to
//! the stored address and with our words alone, or none. (G19)

use std::collections::BTreeSet;
use std::fs;

use auth_challenge::code::{Alphabet, CodeFormat};
use auth_challenge::recipient::{GreetingName, LanguageTag};
use auth_challenge::settings::MailSettings;
use local_pool::ses::Mail;
use serde_json::{Value, json};
use sign_in_mail::{Templates, example_message};

use crate::running::{Running, start_with, workspace};

/// What does harm in one place or another, or looks as if it could.
const PIECES: [&str; 77] = [
    "\r\nBcc: eve@evil.example",
    "\r\n\r\nClick here",
    "\n",
    "\r",
    "\0",
    "\t",
    " ",
    "\u{a0}",
    "\u{2028}",
    "\u{85}",
    ",eve@evil.example",
    ";eve@evil.example",
    ", ",
    ",",
    ";",
    ":",
    "<",
    ">",
    "]",
    ",eve",
    "<eve@evil.example>",
    " <eve@evil.example>",
    "(comment)",
    "(",
    "\"",
    "\"eve@evil.example\"",
    "\"\"",
    "\\",
    "\\\"",
    "@",
    "@evil.example",
    "＠",
    "﹫",
    "%40evil.example",
    "%",
    "!",
    "evil.example!",
    "\u{202e}",
    "\u{200f}",
    "\u{2066}",
    "\u{200b}",
    "\u{feff}",
    "é",
    "\u{430}",
    "İ",
    "ſ",
    "\u{212a}",
    "．",
    "。",
    "{{ code }}",
    "{% raw %}",
    "{# #}",
    "${CODE_KEY}",
    "$(id)",
    "`id`",
    "%n%s",
    "<b>bold</b>",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)",
    "&lt;b&gt;",
    "&#64;",
    "=?utf-8?q?=40evil.example?=",
    "=?utf-8?b?QGV2aWw=?=",
    "[127.0.0.1]",
    "..",
    "https://evil.example/",
    "www.evil.example",
    "../../etc/passwd",
    "😀",
    "' OR 1=1 --",
    "evilꓸcom",
    "\u{3164}",
    "Ｅｖｉｌ",
    "\u{20dd}",
    " Please call Eve right now",
    "\u{301}\u{301}\u{301}\u{301}\u{200d}\u{301}\u{301}",
];

/// What is in nobody's address that a mail service may be given.
fn is_dangerous(c: char) -> bool {
    !c.is_ascii_graphic() || "()<>[]:;,\\\"%!".contains(c)
}

async fn pool() -> Running {
    start_with(&[("GREETING_ATTRIBUTE", "given_name"), ("APP_NAME", "Acme & Söhne")], |_| ()).await
}

/// What create-auth-challenge does with an event of a first code, changed.
async fn create(pool: &Running, change: impl FnOnce(&mut Value)) -> Result<Value, Value> {
    let path = workspace().join("events/create-auth-challenge/first-round.json");
    let mut event: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    change(&mut event["request"]);
    pool.invoke("create-auth-challenge", event.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn g19_t34_t52_a_hostile_address_gets_one_mail_or_none() {
    let pool = pool().await;
    let mut addresses = BTreeSet::new();
    for piece in PIECES {
        let double = format!("{piece}{piece}");
        for piece in [piece, &double] {
            addresses.extend([
                format!("{piece}alice@example.com"),
                format!("ali{piece}ce@example.com"),
                format!("alice{piece}@example.com"),
                format!("alice@{piece}example.com"),
                format!("alice@exa{piece}mple.com"),
                format!("alice@example{piece}.com"),
                format!("alice@example.com{piece}"),
                format!("\"alice{piece}\"@example.com"),
                format!("Alice <alice{piece}@example.com>"),
            ]);
        }
    }
    assert!(addresses.len() >= 500, "{}", addresses.len());
    // Those who get no mail wait as long as it took to send the last ones: the first are quick to send.
    for _ in 0..8 {
        create(&pool, |_| ()).await.unwrap();
    }
    let ours = pool.mails().await.len();
    for address in &addresses {
        let reply = create(&pool, |request| request["userAttributes"]["email"] = json!(address)).await.unwrap();
        assert_eq!(reply["response"]["publicChallengeParameters"]["nextStep"], "PROVIDE_CODE", "{address:?}");
    }
    let mut mails = pool.mails().await;
    mails.truncate(mails.len() - ours);
    let mailed: BTreeSet<&String> = mails.iter().map(|mail| &mail.to).collect();
    assert_eq!(mailed.len(), mails.len(), "two mails to one address");
    for address in &mailed {
        assert!(addresses.contains(*address), "nobody asked for a mail to {address:?}");
        assert!(!address.contains(is_dangerous) && address.matches('@').count() == 1, "{address:?}");
    }
    // Most are refused, and harmless ones are not.
    assert!(mailed.len() > 20 && addresses.len() - mailed.len() > 500, "{} of {}", mailed.len(), addresses.len());
    println!("{}", json!({"gate": "G19", "addresses": addresses.len(), "mailed": mailed.len()}));
}

fn eight_digits() -> CodeFormat {
    CodeFormat::new(Alphabet::Digits, 8).unwrap()
}

/// A mail without what differs from one to the next: its code and its time.
fn normal(text: &str, code: &str) -> String {
    let mut text = text.replace(code, "CODE");
    while let Some(place) = text.find(" UTC") {
        text.replace_range(place - "2026-01-01 12:00".len()..place + " UTC".len(), "TIME");
    }
    text
}

/// The code of a mail in any language, greeted or not: the line of digits.
fn code(text: &str) -> String {
    let is_digits = |line: &&str| {
        !line.is_empty() && line.chars().all(|c| c.is_ascii_digit() || "\u{a0}\u{2068}\u{2069}".contains(c))
    };
    text.lines().find(is_digits).unwrap().replace(['\u{2068}', '\u{2069}'], "")
}

#[tokio::test(flavor = "multi_thread")]
async fn g19_t35_hostile_names_attributes_and_metadata_change_nothing_in_a_mail() {
    let pool = pool().await;
    let vars = |name: &str| match name {
        "SES_FROM_ADDRESS" => Some("sign-in@example.com".to_owned()),
        "APP_NAME" => Some("Acme & Söhne".to_owned()),
        _ => None,
    };
    let templates = Templates::new(MailSettings::from_vars(&vars).unwrap()).unwrap();
    let mut values: BTreeSet<String> = PIECES
        .iter()
        .flat_map(|piece| {
            [
                (*piece).to_owned(),
                format!("Ana{piece}"),
                format!("{piece}Ana"),
                format!("An{piece}a"),
                format!("ja{piece}"),
            ]
        })
        .collect();
    values.extend([
        "x".repeat(2_048),
        "é".repeat(40),
        "é".repeat(41),
        "ja".to_owned(),
        "pt-PT".to_owned(),
        "a.b".to_owned(),
    ]);
    assert!(values.len() >= 300, "{}", values.len());
    for value in &values {
        let set = |request: &mut Value| {
            for attribute in
                ["given_name", "name", "nickname", "locale", "zoneinfo", "custom:tenant", "phone_number", value]
            {
                request["userAttributes"][attribute] = json!(value);
            }
            // Whoever names an attribute like one that counts.
            request["userAttributes"]["email"] = json!("alice@example.com");
            request["userAttributes"]["email_verified"] = json!("true");
            request["clientMetadata"] = json!({
                "locale": value, "action": value, "signInMethod": value, "name": value, "app_name": value, "to": value,
                "Amplify.Passwordless.locale": value,
            });
        };
        create(&pool, set).await.unwrap();
    }
    let mails = pool.mails().await;
    assert_eq!(mails.len(), values.len());
    let mut greeted = 0;
    for (value, mail) in values.iter().rev().zip(&mails) {
        let Mail { to, from, subject, text, html, reply_to, headers, tags, .. } = mail;
        let name = GreetingName::parse(value);
        greeted += usize::from(name.is_some());
        let mut message = example_message(LanguageTag::parse(value), eight_digits());
        message.to.name = name;
        let expected = templates.render(&message).unwrap();
        let [code, example] = [text, &*expected.text].map(|text| code(text));
        assert_eq!(normal(text, &code), normal(&expected.text, &example), "{value:?}");
        assert_eq!(normal(html, &code), normal(&expected.html, &example), "{value:?}");
        assert_eq!(*subject, *expected.subject, "{value:?}");
        assert_eq!((&**to, &**from), ("alice@example.com", "\"Example\" <sign-in@example.com>"));
        assert!(reply_to.is_empty());
        assert_eq!(json!(headers), json!({"Auto-Submitted": "auto-generated"}));
        assert_eq!(tags.get("locale"), Some(&expected.language));
        assert!(tags.keys().all(|tag| ["locale", "function-version"].contains(&&**tag)));
    }
    // Some are names after all.
    assert!(greeted > 5 && greeted < 100, "{greeted}");
    println!("{}", json!({"gate": "G19", "values": values.len()}));
    for mail in mails {
        for markup in ["<script", "<img", "<b>", "evil", "{{", "{%", "Ｅｖｉｌ", "\u{3164}", "\u{20dd}", "call Eve"]
        {
            assert!(!mail.html.contains(markup) && !mail.text.contains(markup), "{markup} in {}", mail.text);
        }
    }
}
