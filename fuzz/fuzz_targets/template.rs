//! Templates of a team's own, and what is put into them.
//!
//! Holds: a template is used or refused with a short reason, and then makes mails of a bounded size whoever they are for, with the code in
//! them. What settings and people wrote comes into HTML escaped: with our templates its markup is the same for every name, and with others
//! nothing in it begins an element or an entity, unless the template says `autoescape`. A subject of ours is one line.
//!
//! The parts of an input have record separators between them: flags, app name, person's name, `subject.txt`, `body.txt`, `body.html`,
//! `layout.html`.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use auth_challenge::challenge::UnixSeconds;
use auth_challenge::code::{Alphabet, CodeFormat};
use auth_challenge::create_auth_challenge::Message;
use auth_challenge::recipient::{GreetingName, LanguageTag};
use auth_challenge::settings::MailSettings;
use libfuzzer_sys::fuzz_target;
use sign_in_mail::{Mail, Templates, example_message};

const LANGUAGES: [&str; 5] = ["en", "ar", "ja", "pl", "he"];

/// A folder with templates in it, and what they say. In memory where `TMPDIR` is.
static FOLDER: LazyLock<(PathBuf, Mutex<[String; 4]>)> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("fuzz-template-{}", std::process::id()));
    fs::create_dir_all(folder.join("en")).unwrap();
    for file in FILES {
        fs::write(folder.join(file), "").unwrap();
    }
    (folder, Mutex::default())
});
const FILES: [&str; 4] = ["en/subject.txt", "en/body.txt", "en/body.html", "layout.html"];

fuzz_target!(|text: &str| {
    let parts: Vec<&str> = text.split('\u{1e}').collect();
    let [flags, app_name, name, sources @ ..] = &parts[..] else { return };
    let flag = |place: usize| usize::from(flags.bytes().nth(place).unwrap_or_default());
    let settings = |app_name: &str, folder: Option<String>| {
        MailSettings::from_vars(&|variable| match variable {
            "SES_FROM_ADDRESS" => Some("sign-in@example.com".to_owned()),
            "APP_NAME" => Some(app_name.to_owned()),
            "TEMPLATE_DIR" => folder.clone(),
            "APP_DOMAIN" if flag(0) % 2 == 1 => Some("example.com".to_owned()),
            "CODE_IN_SUBJECT" => Some((flag(0) / 2 % 2 == 1).to_string()),
            _ => None,
        })
        .ok()
    };
    let message = |name: &str| {
        let letters = flag(0) / 4 % 2 == 1;
        let alphabet = if letters { Alphabet::Letters } else { Alphabet::Digits };
        let format = CodeFormat::new(alphabet, 6 + flag(1) % 11).unwrap();
        let language = LanguageTag::parse(LANGUAGES[flag(2) % LANGUAGES.len()]);
        let mut message = example_message(language, format);
        message.to.name = GreetingName::parse(name);
        message.valid_for = Duration::from_secs(flag(3) as u64 * 10);
        message.asked_at = UnixSeconds(u64::MAX >> (flag(4) % 64));
        message
    };

    let Some(given) = settings(app_name, None) else { return };
    let (message, nobody) = (message(name), message(""));
    if !sources.is_empty() {
        return own(settings(app_name, Some(write(sources))).unwrap(), sources, &message);
    }
    let mail = Templates::new(given).unwrap().render(&message).unwrap();
    let plain = Templates::new(settings("Acme", None).unwrap()).unwrap();
    let plain = plain.render(if message.to.name.is_some() { &message } else { &nobody }).unwrap();
    check(&mail, &message);
    assert!((1..=200).contains(&mail.subject.chars().count()) && !mail.subject.chars().any(char::is_control));
    for markup in ['<', '>', '"', '\''] {
        assert_eq!(mail.html.matches(markup).count(), plain.html.matches(markup).count(), "{markup} in {app_name:?}");
    }
});

/// With templates of a team's own.
fn own(settings: MailSettings, sources: &[&str], message: &Message) {
    let app_name = settings.app_name.clone();
    let templates = match Templates::new(settings) {
        Ok(templates) => templates,
        Err(error) => {
            let error = error.to_string();
            return assert!(error.starts_with("TEMPLATE_DIR: ") && error.chars().count() <= 2_000, "{error}");
        }
    };
    // A template may still not cope with this very name.
    let Ok(mail) = templates.render(message) else { return };
    assert_eq!(mail.language, "en");
    // What stands in a template itself is its author's affair.
    let all = sources.concat();
    if ["if", "for", "set", "with", "autoescape", "block", "[", "~"].iter().all(|tag| !all.contains(tag)) {
        check(&mail, message);
    }
    if !all.contains("autoescape")
        && app_name.contains(['<', '>', '&'])
        && app_name.len() > 3
        && !all.contains(&app_name)
    {
        assert!(!mail.html.contains(&app_name), "{app_name:?} as it is in HTML");
    }
}

fn check(mail: &Mail, message: &Message) {
    let code = message.code.grouped().replace(' ', "\u{a0}");
    assert!(mail.text.contains(&code) && mail.html.contains(&code), "no code");
    for part in [&mail.subject, &mail.text, &mail.html] {
        assert!(part.len() <= 1 << 20, "a mail of {} octets", part.len());
        assert!(!part.contains(message.to.address.as_str()), "an address in a mail");
    }
}

/// Writes templates, those that are other than before, and gives their folder.
fn write(sources: &[&str]) -> String {
    let (folder, before) = &*FOLDER;
    for (place, before) in before.lock().unwrap().iter_mut().enumerate() {
        let source = sources.get(place).copied().unwrap_or_default();
        if before != source {
            fs::write(folder.join(FILES[place]), source).unwrap();
            source.clone_into(before);
        }
    }
    folder.to_str().unwrap().to_owned()
}
