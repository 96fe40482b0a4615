//! Where templates come from, and what is asked of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use auth_challenge::challenge::{Nonce, UnixSeconds};
use auth_challenge::code::{Alphabet, CodeFormat, CodeKey};
use auth_challenge::create_auth_challenge::Message;
use auth_challenge::email_address::EmailAddress;
use auth_challenge::recipient::{GreetingName, LanguageTag, Recipient};
use auth_challenge::settings::{DEFAULT_LOCALE, MailSettings, TEMPLATE_DIR};
use auth_challenge::user::SignIn;

use crate::languages::{Language, choose};
use crate::render::{Mail, Parts};

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
    /// Of each of these, what was parsed for its first mail.
    parsed: Vec<OnceLock<Parts>>,
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
        let (folders, files) = match &settings.template_dir {
            Some(folder) => read(folder)?,
            None => (
                BUILT_IN.iter().filter_map(|(name, _)| Some(name.split_once('/')?.0.to_owned())).collect(),
                BUILT_IN.map(|(name, source)| (Cow::Borrowed(name), Cow::Borrowed(source))).into(),
            ),
        };
        let mut languages: Vec<Language> = Vec::new();
        for folder in &folders {
            let language =
                Language::read(folder).ok_or_else(|| TemplateError::of(folder, "this is no language tag"))?;
            if let Some(twin) = languages.iter().find(|other| other.id == language.id) {
                return Err(TemplateError::of(folder, format!("this is the language of {}", twin.folder)));
            }
            languages.push(language);
        }
        if languages.is_empty() {
            return Err(TemplateError::of("", "there is no language's folder in it"));
        }
        let default = choose(&languages, &settings.default_locale).ok_or_else(|| TemplateError {
            variable: DEFAULT_LOCALE,
            ..TemplateError::of("", format!("there are no templates for {}", settings.default_locale.as_str()))
        })?;
        let parsed = languages.iter().map(|_| OnceLock::new()).collect();
        let templates = Templates { files, languages, parsed, default, settings };
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
        let place = found.next().unwrap_or(self.default);
        let mail = self.parts(place).and_then(|parts| parts.render(&self.settings, message));
        mail.map_err(|error| self.error(&error, &self.languages[place]))
    }

    fn parts(&self, place: usize) -> Result<&Parts, minijinja::Error> {
        if let Some(parts) = self.parsed[place].get() {
            return Ok(parts);
        }
        let parts = Parts::parse(&self.files, &self.languages[place])?;
        Ok(self.parsed[place].get_or_init(|| parts))
    }

    /// The languages' folders, in order.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.iter().map(|language| language.folder.as_str())
    }

    fn error(&self, error: &minijinja::Error, language: &Language) -> TemplateError {
        let error = innermost(error);
        let file = error.name().unwrap_or(&language.folder);
        let mut what = error.kind().to_string();
        if let Some(detail) = error.detail() {
            what = format!("{what}: {detail}");
        } else if let Some((source, line)) = self.files.get(file).zip(error.line()) {
            // The name of a value that there is not stands only there.
            let line = source.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
            what = format!("{what} in `{line:.500}`");
        }
        TemplateError { line: error.line(), ..TemplateError::of(file, what) }
    }

    /// Tries every template with the settings on mails with and without a name, for much, little and no time.
    ///
    /// # Errors
    ///
    /// Names the first template that cannot be used.
    pub fn check(&self) -> Result<(), TemplateError> {
        for language in &self.languages {
            let folder = &language.folder;
            for part in [SUBJECT, BODY_TEXT, BODY_HTML] {
                let name = format!("{folder}/{part}");
                if !self.files.contains_key(&*name) {
                    return Err(TemplateError::of(&name, "there is no such file"));
                }
            }
            let error = |error| self.error(&error, language);
            let parts = Parts::parse(&self.files, language).map_err(error)?;
            for (minutes, name) in [(10, "Alice"), (2, ""), (1, "Alice"), (0, "")] {
                let mut message = example_message(None, eight_digits());
                message.valid_for = Duration::from_secs(60 * minutes);
                message.to.name = GreetingName::parse(name);
                let mail = parts.render(&self.settings, &message).map_err(error)?;
                check_mail(&mail, &self.settings, &message)
                    .map_err(|(part, what)| TemplateError::of(&format!("{folder}/{part}"), what))?;
            }
        }
        Ok(())
    }
}

/// What is wrong with a mail, and in which part.
fn check_mail(mail: &Mail, settings: &MailSettings, message: &Message) -> Result<(), (&'static str, &'static str)> {
    let code = message.code.grouped().replace(' ', "\u{a0}");
    let length = mail.subject.chars().count();
    if length == 0 || length > MAX_SUBJECT_LENGTH || mail.subject.chars().any(char::is_control) {
        return Err((SUBJECT, "a subject is one line of 1 to 200 characters"));
    }
    if settings.code_in_subject && !mail.subject.contains(&code) {
        return Err((SUBJECT, "the code is not shown although CODE_IN_SUBJECT is set"));
    }
    for (part, text) in [(BODY_TEXT, &**mail.text), (BODY_HTML, &without_comments(&mail.html))] {
        if !text.contains(&code) {
            return Err((part, "the code is not shown, neither here nor in what this extends or includes"));
        }
    }
    let Some(domain) = &settings.app_domain else { return Ok(()) };
    if mail.text.lines().last() != Some(&*format!("@{domain} #{}", code.replace('\u{a0}', ""))) {
        return Err((BODY_TEXT, "domain_bound_code is not the last line although APP_DOMAIN is set"));
    }
    Ok(())
}

/// What of this HTML is shown, with the elements around it.
fn without_comments(html: &str) -> String {
    let (mut shown, mut rest) = (String::new(), html);
    while let Some((before, comment)) = rest.split_once("<!--") {
        shown.push_str(before);
        // `<!-->` and `<!--->` are comments with nothing in them.
        let empty = comment.strip_prefix('>').or_else(|| comment.strip_prefix("->"));
        rest = empty.unwrap_or_else(|| comment.split_once("-->").map_or("", |(_, after)| after));
    }
    shown + rest
}

/// The error of a file that is included or extended, where that is why its user cannot be rendered.
fn innermost(error: &minijinja::Error) -> &minijinja::Error {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<minijinja::Error>());
    cause.filter(|cause| cause.name().is_some()).map_or(error, innermost)
}

#[expect(clippy::expect_used, reason = "eight is a length that codes have")]
fn eight_digits() -> CodeFormat {
    CodeFormat::new(Alphabet::Digits, 8).expect("eight digits")
}

/// A mail to somebody who is not there, to try templates on. The code is the same each time, and opens nothing.
#[expect(clippy::missing_panics_doc, clippy::expect_used, reason = "the examples are well-formed")]
pub fn example_message(locale: Option<LanguageTag>, format: CodeFormat) -> Message {
    let sign_in = SignIn {
        user_pool_id: "eu-west-1_EXAMPLE".to_owned(),
        client_id: "1example23456789".to_owned(),
        user_name: "example".to_owned(),
        unproved: None,
    };
    let asked_at = UnixSeconds(1_767_268_800);
    Message {
        to: Recipient {
            address: EmailAddress::parse("alice@example.com").expect("an address"),
            verified: true,
            locale: None,
            name: GreetingName::parse("Alice"),
        },
        locale,
        code: CodeKey::new(b"the key of the example").code(&sign_in, &Nonce::from([0; 16]), asked_at, format),
        asked_at,
        valid_for: Duration::from_secs(600),
    }
}

/// The languages' folders in a folder, and all templates. Hidden files are passed over, and what is neither text nor HTML.
fn read(folder: &Path) -> Result<(BTreeSet<String>, Files), TemplateError> {
    let (mut folders, mut files) = (BTreeSet::new(), Files::new());
    let mut take = |name: String, path: &Path| {
        let is_template = name.ends_with(".html") || name.ends_with(".txt");
        if is_template && !path.is_dir() {
            files.insert(name.clone().into(), text(path, &name)?.into());
        }
        Ok(())
    };
    for (name, path) in entries(folder, "")? {
        if path.is_dir() {
            for (name, path) in entries(&path, &format!("{name}/"))? {
                take(name, &path)?;
            }
            folders.insert(name);
        } else {
            take(name, &path)?;
        }
    }
    Ok((folders, files))
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

/// Largest template in bytes: far more than mail programs show of a mail, and little to read.
const MAX_TEMPLATE: u64 = 256 * 1024;

fn text(path: &Path, name: &str) -> Result<String, TemplateError> {
    let unreadable = |error: io::Error| TemplateError::of(name, format!("cannot read this file: {error}"));
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_TEMPLATE {
        return Err(TemplateError::of(name, "this file is larger than 256 KiB"));
    }
    fs::read_to_string(path).map_err(unreadable)
}

/// A template that cannot be used: which, in which line, and why.
#[derive(Clone, PartialEq, Eq)]
pub struct TemplateError {
    variable: &'static str,
    /// File, below the folder; empty for the folder itself.
    pub file: String,
    /// Line, from 1 on, where one is to blame.
    pub line: Option<usize>,
    what: String,
}

impl TemplateError {
    fn of(file: &str, what: impl Into<String>) -> TemplateError {
        TemplateError { variable: TEMPLATE_DIR, file: file.to_owned(), line: None, what: what.into() }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.variable)?;
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
