//! The templates that are part of the program.

use std::time::Duration;

use auth_challenge::code::{Alphabet, CodeFormat};
use auth_challenge::create_auth_challenge::Message;
use auth_challenge::recipient::{GreetingName, LanguageTag};
use auth_challenge::settings::MailSettings;
use sign_in_mail::{Mail, Templates, example_message};
use unicode_bidi::{BidiInfo, Level};
use unicode_width::UnicodeWidthStr;

pub(crate) fn templates(given: &[(&str, &str)]) -> Templates {
    let vars = |name: &str| match given.iter().find(|(variable, _)| *variable == name) {
        Some((_, value)) => Some((*value).to_owned()),
        None => (name == "SES_FROM_ADDRESS").then(|| "Acme & Söhne <sign-in@example.com>".to_owned()),
    };
    Templates::new(MailSettings::from_vars(&vars).unwrap()).unwrap()
}

fn eight_digits() -> CodeFormat {
    CodeFormat::new(Alphabet::Digits, 8).unwrap()
}

fn message(language: &str) -> Message {
    example_message(LanguageTag::parse(language), eight_digits())
}

/// The mails of all languages.
fn mails(given: &[(&str, &str)]) -> Vec<Mail> {
    let templates = templates(given);
    templates.languages().map(|language| templates.render(&message(language)).unwrap()).collect()
}

/// The code of the example, as mails show it.
fn code() -> String {
    message("en").code.grouped().replace(' ', "\u{a0}")
}

/// What a person reads of HTML: the text of the body, its paragraphs on lines of their own.
fn read_html(html: &str) -> String {
    let (_, body) = html.split_once("<body").unwrap();
    let mut text = String::new();
    for (place, piece) in body.split('<').enumerate() {
        let (tag, after) = piece.split_once('>').unwrap();
        if place > 0 && tag == "/p" {
            text.push('\n');
        }
        text.push_str(after.trim_matches('\n'));
    }
    for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&amp;", "&")] {
        text = text.replace(entity, character);
    }
    text
}

/// The same text without the characters that keep directions apart.
fn without_isolates(text: &str) -> String {
    text.replace(['\u{2066}', '\u{2068}', '\u{2069}'], "")
}

#[test]
fn every_template_can_be_used() {
    let templates = templates(&[]);
    assert_eq!(templates.check(), Ok(()));
    let languages: Vec<&str> = templates.languages().collect();
    let expected = ["ar", "de", "en", "es", "fr", "he", "it", "ja", "ko", "nl", "pl", "pt-BR", "tr", "zh-Hans"];
    assert_eq!(languages, expected);
}

#[test]
fn the_mails_are_these() {
    for mail in mails(&[("CODE_IN_SUBJECT", "true"), ("APP_DOMAIN", "example.com")]) {
        let shown = format!("{}\n\n{}\n{}", *mail.subject, *mail.text, *mail.html);
        insta::assert_snapshot!(mail.language.clone(), shown);
    }
}

#[test]
fn text_and_html_say_the_same() {
    for mail in mails(&[("APP_DOMAIN", "example.com")]) {
        let lines = |text: &str| -> Vec<String> {
            let lines = text.lines().map(|line| without_isolates(line.trim())).filter(|line| !line.is_empty());
            lines.collect()
        };
        assert_eq!(lines(&mail.text), lines(&read_html(&mail.html)), "{}", mail.language);
    }
}

#[test]
fn r38_a_mail_shows_nothing_of_itself_to_a_log() {
    for mail in mails(&[]) {
        assert_eq!(format!("{mail:?}"), "Mail");
    }
}

#[test]
fn t14_what_a_lock_screen_shows_of_a_mail_is_not_the_code() {
    for mail in mails(&[]) {
        let before = |text: &str| text.split(&code()).next().unwrap().width();
        assert!(!mail.subject.contains(&code()), "{}", mail.language);
        assert!(before(&mail.text) > 80, "{}", mail.language);
        assert!(before(&read_html(&mail.html)) > 80, "{}", mail.language);
    }
}

#[test]
fn the_code_comes_early_and_stands_alone() {
    let templates = templates(&[]);
    for language in templates.languages() {
        let greeted = templates.render(&message(language)).unwrap();
        let mut message = message(language);
        message.to.name = None;
        let mail = templates.render(&message).unwrap();
        assert_eq!(without_isolates(mail.text.lines().nth(2).unwrap()), code(), "{language}");
        assert_eq!(without_isolates(greeted.text.lines().nth(4).unwrap()), code(), "{language}");
        assert!(mail.html.contains(&format!(">{}</p>", code())), "{language}");
    }
}

#[test]
fn r43_t15_there_is_no_link_no_picture_and_nothing_to_load() {
    for mail in mails(&[]) {
        for text in [&mail.subject, &mail.text, &mail.html] {
            for found in
                ["http", "//", "www.", "href", "src", "url(", "<img", "<a ", "<link", "<script", "@import", "mailto"]
            {
                assert!(!text.contains(found), "{}: {found}", mail.language);
            }
        }
    }
}

#[test]
fn r44_a_mail_tells_for_what_and_when_it_was_asked_for_and_how_long_it_is_good() {
    for mail in mails(&[]) {
        for text in [&*mail.text, &read_html(&mail.html)] {
            for part in ["Acme & Söhne", "2026-01-01 12:00 UTC", "10", "Alice"] {
                assert!(text.contains(part), "{}: {part}", mail.language);
            }
        }
        assert!(mail.html.contains("<bdi>Acme &amp; Söhne</bdi>"), "{}", mail.language);
        assert!(mail.subject.contains("Acme & Söhne"), "{}", mail.language);
    }
}

#[test]
fn minutes_have_the_forms_of_their_language() {
    let templates = templates(&[]);
    for (language, minutes, words) in [
        ("en", 0, "for less than a minute, and"),
        ("en", 1, "for 1 minute, and"),
        ("en", 2, "for 2 minutes, and"),
        ("de", 1, "gilt 1 Minute lang"),
        ("de", 10, "gilt 10 Minuten lang"),
        ("es", 1, "durante 1 minuto y"),
        ("fr", 0, "valable moins d’une minute, et"),
        ("fr", 1, "valable 1 minute, et"),
        ("it", 2, "per 2 minuti e"),
        ("nl", 1, "is 1 minuut geldig"),
        ("pt-BR", 1, "por 1 minuto e"),
        ("pl", 0, "ważny krócej niż minutę i"),
        ("pl", 1, "ważny 1 minutę i"),
        ("pl", 2, "ważny 2 minuty i"),
        ("pl", 4, "ważny 4 minuty i"),
        ("pl", 5, "ważny 5 minut i"),
        ("pl", 10, "ważny 10 minut i"),
        ("tr", 3, "Kod 3 dakika boyunca"),
        ("ja", 1, "有効期間は 1 分です"),
        ("ko", 7, "유효 시간은 7분이며"),
        ("zh-Hans", 9, "有效期为 9 分钟，"),
        ("ar", 0, "لمدة أقل من دقيقة،"),
        ("ar", 1, "لمدة دقيقة واحدة،"),
        ("ar", 2, "لمدة دقيقتين،"),
        ("ar", 3, "لمدة 3 دقائق،"),
        ("ar", 10, "لمدة 10 دقائق،"),
        ("he", 1, "למשך דקה אחת,"),
        ("he", 2, "למשך שתי דקות,"),
        ("he", 3, "למשך 3 דקות,"),
    ] {
        let mut message = message(language);
        // A second before the next minute: nobody is promised more than there is.
        message.valid_for = Duration::from_secs(minutes * 60 + 59);
        let mail = templates.render(&message).unwrap();
        assert!(mail.text.contains(words), "{language}, {minutes}: {}", *mail.text);
        assert!(mail.html.contains(words), "{language}, {minutes}");
    }
}

/// How a line looks in a mail program that gives it the direction of its language (UAX #9).
fn seen(line: &str, right_to_left: bool) -> String {
    let level = if right_to_left { Level::rtl() } else { Level::ltr() };
    let bidi = BidiInfo::new(line, Some(level));
    let seen = bidi.paragraphs.iter().map(|paragraph| bidi.reorder_line(paragraph, paragraph.range.clone()));
    without_isolates(&seen.collect::<String>())
}

#[test]
fn codes_and_times_are_read_from_left_to_right_in_every_language() {
    for mail in mails(&[]) {
        let right_to_left = ["ar", "he"].contains(&&*mail.language);
        assert_eq!(mail.html.contains("dir=\"rtl\""), right_to_left, "{}", mail.language);
        let lines: Vec<String> =
            mail.text.lines().filter(|line| !line.is_empty()).map(|line| seen(line, right_to_left)).collect();
        for whole in [&*code(), "2026-01-01 12:00 UTC", "Acme & Söhne"] {
            assert!(lines.iter().any(|line| line.contains(whole)), "{}: {whole} is not in {lines:#?}", mail.language);
        }
    }
    // Without care it would be otherwise.
    assert_eq!(seen("4831 0937", true), "0937 4831");
}

#[test]
fn a_name_that_runs_the_other_way_does_not_turn_the_text_round() {
    let templates = templates(&[("APP_NAME", "אקמה")]);
    for language in templates.languages() {
        let right_to_left = ["ar", "he"].contains(&language);
        let mut message = message(language);
        message.to.name = GreetingName::parse("محمد");
        let mail = templates.render(&message).unwrap();
        for text in [&*mail.subject, &*mail.text] {
            // As mail programs see it that tell the direction of each paragraph by its first letter (UAX #9, rule P2).
            for line in text.lines().filter(|line| line.chars().any(char::is_alphabetic)) {
                let bidi = BidiInfo::new(line, None);
                assert_eq!(bidi.paragraphs[0].level.is_rtl(), right_to_left, "{language}: {line}");
            }
        }
    }
}

#[test]
fn r42_the_subject_holds_the_code_only_where_it_is_asked_to() {
    for mail in mails(&[("CODE_IN_SUBJECT", "true")]) {
        assert!(without_isolates(&mail.subject).starts_with(&format!("{} – ", code())), "{}", mail.language);
        // The title repeats the subject, and is no place for a code.
        assert!(!mail.html.split("</title>").next().unwrap().contains(&code()));
    }
}

#[test]
fn the_last_line_binds_the_code_to_a_domain() {
    let plain = code().replace('\u{a0}', "");
    for mail in mails(&[("APP_DOMAIN", "Example.com")]) {
        assert_eq!(mail.text.lines().last(), Some(&*format!("@example.com #{plain}")), "{}", mail.language);
        assert!(read_html(&mail.html).trim_end().ends_with(&format!("@example.com #{plain}")), "{}", mail.language);
    }
    for mail in mails(&[]) {
        assert!(!mail.text.contains('#') && !read_html(&mail.html).contains('#'), "{}", mail.language);
    }
}

#[test]
fn nobody_is_greeted_unless_there_is_a_name() {
    let templates = templates(&[]);
    for language in templates.languages() {
        let mut message = message(language);
        for name in ["Ana", "O'Neill", "محمد", "田中"] {
            message.to.name = GreetingName::parse(name);
            let mail = templates.render(&message).unwrap();
            assert!(without_isolates(mail.text.lines().next().unwrap()).contains(name), "{language}");
            assert!(read_html(&mail.html).contains(name) && mail.html.contains("<bdi>"), "{language}");
        }
        message.to.name = None;
        let mail = templates.render(&message).unwrap();
        assert_eq!(mail.text.matches("\n\n").count(), 3, "{language}");
        assert_eq!(read_html(&mail.html).trim().lines().count(), 4, "{language}");
    }
}

#[test]
fn the_language_is_the_clients_or_the_users_or_the_default() {
    let language = |default: &str, client: &str, user: &str| {
        let mut message = message(client);
        message.to.locale = LanguageTag::parse(user);
        templates(&[("DEFAULT_LOCALE", default)]).render(&message).unwrap().language
    };
    assert_eq!(language("de", "ja-JP", "fr"), "ja");
    assert_eq!(language("de", "", "fr-CA"), "fr");
    assert_eq!(language("de", "ru", "pt_PT"), "pt-BR");
    assert_eq!(language("de", "ru", "zh-TW"), "de");
    assert_eq!(language("de", "", ""), "de");
    assert_eq!(language("en-GB", "", ""), "en");
    assert_eq!(language("", "", ""), "en");
}

#[test]
fn every_length_of_code_is_shown_whole() {
    use auth_challenge::challenge::Nonce;
    use auth_challenge::code::{CodeKey, MAX_LENGTH, MIN_LENGTH};
    use auth_challenge::user::SignIn;

    let templates = templates(&[("APP_DOMAIN", "example.com")]);
    let sign_in =
        SignIn { user_pool_id: "p".to_owned(), client_id: "c".to_owned(), user_name: "u".to_owned(), unproved: None };
    for alphabet in [Alphabet::Digits, Alphabet::Letters] {
        for length in MIN_LENGTH..=MAX_LENGTH {
            let mut message = message("ar");
            let format = CodeFormat::new(alphabet, length).unwrap();
            message.code = CodeKey::new(b"key").code(&sign_in, &Nonce::from([0; 16]), message.asked_at, format);
            let code = message.code.grouped().replace(' ', "\u{a0}");
            let mail = templates.render(&message).unwrap();
            assert!(mail.text.lines().any(|line| seen(line, true) == code), "{}", *mail.text);
            assert!(mail.text.ends_with(&format!("#{}\n", code.replace('\u{a0}', ""))));
        }
    }
}
