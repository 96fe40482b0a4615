//! Where templates come from, and what is asked of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use auth_challenge::challenge::{Nonce, UnixSeconds};
use auth_challenge::code::{Alphabet, CodeFormat, CodeKey};
use auth_challenge::create_auth_challenge::Message;
use auth_challenge::email_address::EmailAddress;
use auth_challenge::recipient::{GreetingName, LanguageTag, Recipient};
use auth_challenge::settings::{MailSettings, TEMPLATE_DIR};
use auth_challenge::user::SignIn;

use crate::languages::{Language, choose};
use crate::render::{Mail, render};

/// Sources by name: `layout.html`, `en/body.txt`.
pub(crate) type Files = BTreeMap<Cow<'static, str>, Cow<'static, str>>;

pub(crate) const SUBJECT: &str = "subject.txt";
pub(crate) const BODY_TEXT: &str = "body.txt";
pub(crate) const BODY_HTML: &str = "body.html";

/// Longest subject in characters: what mail programs show of one, generously.
const MAX_SUBJECT_LENGTH: usize = 200;

macro_rules! built_in {
    ($($language:literal)*) => {
        [
            ("layout.html", include_str!("../templates/layout.html")),
            $(
                (concat!($language, "/subject.txt"), include_str!(concat!("../templates/", $language, "/subject.txt"))),
                (concat!($language, "/body.txt"), include_str!(concat!("../templates/", $language, "/body.txt"))),
                (concat!($language, "/body.html"), include_str!(concat!("../templates/", $language, "/body.html"))),
            )*
        ]
    };
}

/// The templates that are part of the program.
const BUILT_IN: [(&str, &str); 1 + 3 * 14] =
    built_in!("ar" "de" "en" "es" "fr" "he" "it" "ja" "ko" "nl" "pl" "pt-BR" "tr" "zh-Hans");

/// Templates that can be used: each language has all it needs, and each mail will hold its code.
pub struct Templates {
    files: Files,
    languages: Vec<Language>,
    /// Place in `languages`.
    default: usize,
    settings: MailSettings,
}

impl Templates {
    /// The templates in the folder that `settings` name, or else the built-in ones.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read; when a template is missing, does not parse, uses what there is not, or leaves the code
    /// out; when there are none in the default language.
    pub fn new(settings: MailSettings) -> Result<Templates, TemplateError> {
        let files = match &settings.template_dir {
            Some(folder) => read(folder)?,
            None => BUILT_IN.map(|(name, source)| (Cow::Borrowed(name), Cow::Borrowed(source))).into(),
        };
        let tags: BTreeSet<&str> = files.keys().filter_map(|name| Some(name.split_once('/')?.0)).collect();
        let mut languages = Vec::new();
        for tag in tags {
            languages.push(Language::read(tag).ok_or_else(|| TemplateError::of(tag, "this is no language tag"))?);
        }
        let preferred = choose(&languages, &settings.default_locale);
        let default = preferred.and_then(|preferred| languages.iter().position(|language| language == preferred));
        let default = default.ok_or_else(|| {
            let missing = format!("{}/{BODY_TEXT}", settings.default_locale.as_str());
            TemplateError::of(&missing, "there is no such file, and its language is the default")
        })?;
        let templates = Templates { files, languages, default, settings };
        // Those of the program are checked before it is built.
        if templates.settings.template_dir.is_some() {
            templates.check()?;
        }
        Ok(templates)
    }

    /// The mail for `message`, in the language that the client wants, or else the recipient, or else in the default one.
    ///
    /// # Errors
    ///
    /// When a template cannot cope with this mail's values, although it coped with others.
    pub fn render(&self, message: &Message) -> Result<Mail, TemplateError> {
        let wished = message.locale.iter().chain(&message.to.locale);
        let mut found = wished.filter_map(|tag| choose(&self.languages, tag));
        let language = found.next().unwrap_or(&self.languages[self.default]);
        render(&self.files, language, &self.settings, message)
            .map_err(|error| TemplateError::from_minijinja(&error, &language.tag))
    }

    /// The languages' tags, in order.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.iter().map(|language| language.tag.as_str())
    }

    /// Tries every template on a mail with all that a mail can have, and on one with as little as there can be.
    ///
    /// # Errors
    ///
    /// Names the first template that cannot be used.
    pub fn check(&self) -> Result<(), TemplateError> {
        for language in &self.languages {
            for part in [SUBJECT, BODY_TEXT, BODY_HTML] {
                let name = format!("{}/{part}", language.tag);
                if !self.files.contains_key(&*name) {
                    return Err(TemplateError::of(&name, "there is no such file"));
                }
            }
            for (code_in_subject, domain) in [(false, None), (true, Some("example.com"))] {
                let settings =
                    MailSettings { code_in_subject, app_domain: domain.map(str::to_owned), ..self.settings.clone() };
                let mut message = example_message(None);
                if domain.is_none() {
                    message.to.name = None;
                    message.valid_for = Duration::ZERO;
                }
                let mail = render(&self.files, language, &settings, &message)
                    .map_err(|error| TemplateError::from_minijinja(&error, &language.tag))?;
                check_mail(&mail, &settings, &message)
                    .map_err(|(part, what)| TemplateError::of(&format!("{}/{part}", language.tag), what))?;
            }
        }
        Ok(())
    }
}

/// What is wrong with a mail, and in which part.
fn check_mail(mail: &Mail, settings: &MailSettings, message: &Message) -> Result<(), (&'static str, &'static str)> {
    let code = message.code.grouped().replace(' ', "\u{a0}");
    let has_code = |text: &str| text.contains(&code);
    let length = mail.subject.chars().count();
    if length == 0 || length > MAX_SUBJECT_LENGTH || mail.subject.chars().any(char::is_control) {
        return Err((SUBJECT, "a subject is one line of 1 to 200 characters"));
    }
    match (has_code(&mail.subject), settings.code_in_subject) {
        (true, false) => return Err((SUBJECT, "the code is shown although CODE_IN_SUBJECT is not set")),
        (false, true) => return Err((SUBJECT, "the code is not shown when CODE_IN_SUBJECT is set")),
        (true, true) | (false, false) => {}
    }
    for (part, text) in [(BODY_TEXT, &mail.text), (BODY_HTML, &mail.html)] {
        if !has_code(text) {
            return Err((part, "the code is not shown"));
        }
    }
    let last_line = mail.text.lines().last().unwrap_or_default();
    if let Some(domain) = &settings.app_domain
        && !last_line.starts_with(&format!("@{domain} #"))
    {
        return Err((BODY_TEXT, "domain_bound_code is not the last line when APP_DOMAIN is set"));
    }
    Ok(())
}

/// A mail to somebody who is not there, to try templates on. The code is the same each time, and opens nothing.
#[expect(clippy::missing_panics_doc, clippy::expect_used, reason = "the examples are well-formed")]
pub fn example_message(locale: Option<LanguageTag>) -> Message {
    let sign_in = SignIn {
        user_pool_id: "eu-west-1_EXAMPLE".to_owned(),
        client_id: "1example23456789".to_owned(),
        user_name: "example".to_owned(),
    };
    let asked_at = UnixSeconds(1_767_268_800);
    let format = CodeFormat::new(Alphabet::Digits, 8).expect("eight digits");
    Message {
        to: Recipient {
            address: EmailAddress::parse("alice@example.com").expect("an address"),
            locale: None,
            name: GreetingName::parse("Alice"),
        },
        locale,
        code: CodeKey::new(b"the key of the example").code(&sign_in, &Nonce::from([0; 16]), asked_at, format),
        asked_at,
        valid_for: Duration::from_secs(600),
    }
}

/// The files of a folder: its own templates, and those of each folder in it. Hidden ones are passed over.
fn read(folder: &Path) -> Result<Files, TemplateError> {
    let mut files = Files::new();
    for (name, path) in entries(folder, "")? {
        if path.is_dir() {
            for (name, path) in entries(&path, &format!("{name}/"))? {
                files.insert(name.clone().into(), text(&path, &name)?.into());
            }
        } else if name.ends_with(".html") || name.ends_with(".txt") {
            files.insert(name.clone().into(), text(&path, &name)?.into());
        }
    }
    Ok(files)
}

fn entries(folder: &Path, prefix: &str) -> Result<Vec<(String, PathBuf)>, TemplateError> {
    let unreadable = |error: io::Error| TemplateError::of(prefix, format!("cannot read this folder: {error}"));
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            entries.push((format!("{prefix}{name}"), entry.path()));
        }
    }
    Ok(entries)
}

fn text(path: &Path, name: &str) -> Result<String, TemplateError> {
    fs::read_to_string(path).map_err(|error| TemplateError::of(name, format!("cannot read this file: {error}")))
}

/// A template that cannot be used: which, in which line, and why.
#[derive(Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// File, below the folder; empty for the folder itself.
    pub file: String,
    /// Line, from 1 on, where one is to blame.
    pub line: Option<usize>,
    what: String,
}

impl TemplateError {
    fn of(file: &str, what: impl Into<String>) -> TemplateError {
        TemplateError { file: file.to_owned(), line: None, what: what.into() }
    }

    fn from_minijinja(error: &minijinja::Error, language: &str) -> TemplateError {
        let kind = error.kind().to_string();
        let what = error.detail().map_or(kind.clone(), |detail| format!("{kind}: {detail}"));
        let file = error.name().unwrap_or(language).to_owned();
        TemplateError { file, line: error.line(), what }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TEMPLATE_DIR}: ")?;
        match self.line {
            _ if self.file.is_empty() => {}
            None => write!(f, "{}: ", self.file)?,
            Some(line) => write!(f, "{}, line {line}: ", self.file)?,
        }
        f.write_str(&self.what)
    }
}

/// The same text as `Display`, because `main` prints the error that it returns in this form.
impl fmt::Debug for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for TemplateError {}
