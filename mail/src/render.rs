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
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, escape_formatter};
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

/// The templates of one language, parsed.
pub(crate) struct Parts {
    language: Language,
    tag: String,
    text: Environment<'static>,
    html: Environment<'static>,
}

impl Parts {
    /// # Errors
    ///
    /// When a template does not parse.
    pub(crate) fn parse(files: &Files, language: &Language) -> Result<Parts, Error> {
        let text = environment(files, language, Form::Text)?;
        let html = environment(files, language, Form::Html)?;
        Ok(Parts { language: language.clone(), tag: language.id.to_string(), text, html })
    }

    /// Writes the mail for `message`.
    ///
    /// # Errors
    ///
    /// When a template uses what there is not.
    pub(crate) fn render(&self, settings: &MailSettings, message: &Message) -> Result<Mail, Error> {
        // Spaces that do not break keep the groups of digits in order also where text runs from right to left: to the
        // bidirectional algorithm they are part of one number (UAX #9, rule W4).
        let code = Zeroizing::new(message.code.grouped().replace(' ', "\u{a0}"));
        let domain_bound_code = settings.app_domain.as_ref().map(|domain| {
            // https://wicg.github.io/sms-one-time-codes/
            Zeroizing::new(format!("@{domain} #{}", message.code.grouped().replace(' ', "")))
        });
        let asked_at = utc(message.asked_at);
        let name = message.to.name.as_ref().map(|name| name.as_str());
        let values = |form: Form| {
            let isolated = |text: &str| match form {
                Form::Text if self.language.right_to_left || text.contains(is_right_to_left) => {
                    format!("\u{2068}{text}\u{2069}")
                }
                Form::Text | Form::Html => text.to_owned(),
            };
            BTreeMap::from([
                ("app_name", isolated(&settings.app_name).into()),
                ("asked_at", isolated(&asked_at).into()),
                // Rounded down, so that nobody is promised more than there is.
                ("minutes", Value::from(message.valid_for.as_secs() / 60)),
                ("code", isolated(&code).into()),
                ("name", optional(name.map(isolated))),
                ("domain_bound_code", optional(domain_bound_code.as_ref().map(|line| line.to_string()))),
                ("language", self.tag.as_str().into()),
                ("direction", if self.language.right_to_left { "rtl" } else { "ltr" }.into()),
            ])
        };
        // What does not get a code cannot show it.
        let mut without_code = values(Form::Text);
        without_code.extend([("code", optional(None)), ("domain_bound_code", optional(None))]);
        let plain_subject = self.part(&self.text, SUBJECT, without_code)?;
        let text = self.part(&self.text, BODY_TEXT, values(Form::Text))?;
        let mut for_html = values(Form::Html);
        for_html.insert("subject", plain_subject.as_str().into());
        let html = self.part(&self.html, BODY_HTML, for_html)?;
        let subject = match settings.code_in_subject {
            true => self.part(&self.text, SUBJECT, values(Form::Text))?,
            false => plain_subject,
        };
        let ended = |mut text: Zeroizing<String>| {
            text.push('\n');
            text
        };
        Ok(Mail { language: self.tag.clone(), subject, text: ended(text), html: ended(html) })
    }

    fn part(
        &self,
        environment: &Environment<'_>,
        part: &str,
        values: BTreeMap<&'static str, Value>,
    ) -> Result<Zeroizing<String>, Error> {
        let text = environment.get_template(&format!("{}/{part}", self.language.folder))?.render(values)?;
        Ok(Zeroizing::new(text.trim().to_owned()))
    }
}

/// What a part of a mail is written in.
#[derive(Clone, Copy)]
enum Form {
    /// Values are kept apart from the text around them by characters that nobody sees, where the two may run in different
    /// directions.
    Text,
    /// Values are escaped. The templates have elements that keep them apart.
    Html,
}

fn optional(text: Option<String>) -> Value {
    text.map_or(Value::from(()), Value::from)
}

/// Letters of Hebrew, Arabic and the other scripts that run from right to left (UAX #9, classes R and AL): their blocks.
fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// The templates that a part in this form may use: those of its language, and the shared ones.
fn environment(files: &Files, language: &Language, form: Form) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // By the part that is rendered: it escapes also what it includes, whatever the name of that.
    environment.set_auto_escape_callback(move |_| match form {
        Form::Text => AutoEscape::None,
        Form::Html => AutoEscape::Html,
    });
    environment.set_formatter(|out, state, value| match value.is_none() {
        true => Err(Error::new(ErrorKind::InvalidOperation, "there may be no such value: put it into an {% if %}")),
        false => escape_formatter(out, state, value),
    });
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    let id = language.id.clone();
    environment.add_function("plural", move |count: u64, forms: Kwargs| plural(&id, count, &forms));
    for (name, source) in files {
        let is_wanted = match (name.rsplit_once('/'), form) {
            (None, Form::Text) => !name.ends_with(".html"),
            (None, Form::Html) => true,
            (Some((folder, part)), Form::Text) => folder == language.folder && part != BODY_HTML,
            (Some((folder, part)), Form::Html) => folder == language.folder && part == BODY_HTML,
        };
        if is_wanted {
            environment.add_template_owned(name.clone(), source.clone())?;
        }
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
