//! How a mail is made of templates and values.

use std::collections::BTreeMap;
use std::fmt;

use auth_challenge::challenge::UnixSeconds;
use auth_challenge::create_auth_challenge::Message;
use auth_challenge::settings::MailSettings;
use icu_locale::LanguageIdentifier;
use icu_plurals::{PluralCategory, PluralRuleType, PluralRules};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::languages::Language;
use crate::templates::{BODY_HTML, BODY_TEXT, Files, SUBJECT};

/// One mail, written.
pub struct Mail {
    /// The language that it is written in: a BCP 47 tag.
    pub language: String,
    /// One line.
    pub subject: Zeroizing<String>,
    /// The text part, which says all by itself.
    pub text: Zeroizing<String>,
    /// The HTML part.
    pub html: Zeroizing<String>,
}

/// There is a code in it.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mail")
    }
}

/// Writes the mail for `message` in `language`.
pub(crate) fn render(
    files: &Files,
    language: &Language,
    settings: &MailSettings,
    message: &Message,
) -> Result<Mail, Error> {
    let environment = environment(files, language)?;
    // Spaces that do not break keep the groups of digits in order also where text runs from right to left: to the
    // bidirectional algorithm they are part of one number (UAX #9, rule W4).
    let code = Zeroizing::new(message.code.grouped().replace(' ', "\u{a0}"));
    let domain_bound_code = settings.app_domain.as_ref().map(|domain| {
        // https://wicg.github.io/sms-one-time-codes/
        Zeroizing::new(format!("@{domain} #{}", message.code.grouped().replace(' ', "")))
    });
    let asked_at = utc(message.asked_at);
    let name = message.to.name.as_ref().map(|name| name.as_str());
    let values = |form: Form, code: Option<&str>, subject: Option<&str>| {
        let isolated = |text: &str| match form {
            Form::Text if language.right_to_left => format!("\u{2068}{text}\u{2069}"),
            Form::Text | Form::Html => text.to_owned(),
        };
        let optional = |text: Option<String>| text.map_or(Value::from(()), Value::from);
        BTreeMap::from([
            ("app_name", isolated(&settings.app_name).into()),
            ("asked_at", isolated(&asked_at).into()),
            // Rounded down, so that nobody is promised more than there is.
            ("minutes", Value::from(message.valid_for.as_secs() / 60)),
            ("code", optional(code.map(isolated))),
            ("name", optional(name.map(isolated))),
            ("domain_bound_code", optional(domain_bound_code.as_ref().map(|line| line.to_string()))),
            ("subject", optional(subject.map(ToOwned::to_owned))),
            ("language", language.tag.as_str().into()),
            ("direction", if language.right_to_left { "rtl" } else { "ltr" }.into()),
        ])
    };
    let part = |part: &str, values| {
        let text = environment.get_template(&format!("{}/{part}", language.tag))?.render(values)?;
        Ok::<_, Error>(Zeroizing::new(text.trim().to_owned()))
    };
    let subject = part(SUBJECT, values(Form::Text, None, None))?;
    let mut text = part(BODY_TEXT, values(Form::Text, Some(&code), None))?;
    let mut html = part(BODY_HTML, values(Form::Html, Some(&code), Some(&subject)))?;
    text.push('\n');
    html.push('\n');
    let subject = match settings.code_in_subject {
        true => part(SUBJECT, values(Form::Text, Some(&code), None))?,
        false => subject,
    };
    Ok(Mail { language: language.tag.clone(), subject, text, html })
}

/// What a part of a mail is written in.
#[derive(Clone, Copy)]
enum Form {
    /// Values are kept apart from the text around them by characters that nobody sees, where the two may run in different
    /// directions.
    Text,
    /// The templates have elements for that.
    Html,
}

fn environment<'a>(files: &'a Files, language: &Language) -> Result<Environment<'a>, Error> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
        true => AutoEscape::Html,
        false => AutoEscape::None,
    });
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    let id = language.id.clone();
    environment.add_function("plural", move |count: u64, forms: Kwargs| plural(&id, count, &forms));
    let is_wanted = |name: &str| name.rsplit_once('/').is_none_or(|(folder, _)| folder == language.tag);
    for (name, source) in files.iter().filter(|(name, _)| is_wanted(name)) {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

/// Longest life of a code, in minutes: forms of words are needed for as many and for fewer.
const MOST_MINUTES: u64 = 10;

/// The form of words for `count`, with the number in place of `#`.
///
/// All forms that the language has for minutes have to be there, so that one that was forgotten is missed at once and not
/// when three minutes are left.
fn plural(language: &LanguageIdentifier, count: u64, forms: &Kwargs) -> Result<String, Error> {
    let rules = PluralRules::try_new(language.into(), PluralRuleType::Cardinal.into())
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, "the language has no rules of plural"))?;
    let zero: Option<String> = forms.get("zero")?;
    let form = |count: u64| match zero.clone() {
        Some(form) if count == 0 => Ok(form),
        _ => forms.get::<String>(category_name(rules.category_for(count))),
    };
    for count in 0..=MOST_MINUTES {
        form(count)?;
    }
    // CLDR has more of them for greater numbers, and for such as 1.5.
    for name in ["one", "two", "few", "many", "other"] {
        forms.get::<Option<String>>(name)?;
    }
    forms.assert_all_used()?;
    Ok(form(count)?.replace('#', &count.to_string()))
}

fn category_name(category: PluralCategory) -> &'static str {
    match category {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    }
}

/// A moment as everybody reads it, whatever the language: `2026-01-01 12:00 UTC`.
fn utc(moment: UnixSeconds) -> String {
    let moment = i64::try_from(moment.0).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let moment = moment.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, month) = (moment.date(), u8::from(moment.month()));
    format!("{}-{month:02}-{:02} {:02}:{:02} UTC", date.year(), date.day(), moment.hour(), moment.minute())
}
