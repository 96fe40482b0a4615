//! `custom-auth mail`: what the mails look like, without sending one.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use auth_challenge::create_auth_challenge::Message;
use auth_challenge::recipient::LanguageTag;
use auth_challenge::settings::{CODE_KEY, CreateSettings, MailSettings, SES_FROM_ADDRESS, SesSettings};
use clap::ValueEnum;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::raw::Raw;
use sign_in_mail::{Mail, Templates, example_message};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Language that the mail is asked for in, such as ja or pt-PT; the default language unless given
    #[arg(long, value_name = "TAG", value_parser = language_tag)]
    locale: Option<LanguageTag>,
    /// What to print
    #[arg(long, value_name = "WORD", value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write to this file instead of the terminal
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write every language in every format to this folder, and index.html to see them side by side
    #[arg(long, value_name = "DIR", conflicts_with_all = ["locale", "format", "output"])]
    all: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// The subject, and the text part
    Text,
    /// The HTML part
    Html,
    /// The whole mail, for a mail program to open
    Eml,
}

fn language_tag(text: &str) -> Result<LanguageTag, String> {
    LanguageTag::parse(text).ok_or_else(|| "a language tag is such as en or pt-BR".to_owned())
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let vars = |name: &str| {
        std::env::var(name).ok().or_else(|| match name {
            // As the local pool has it.
            SES_FROM_ADDRESS => Some("Example <sign-in@example.com>".to_owned()),
            CODE_KEY => Some("a-key-for-mails-that-nobody-gets".to_owned()),
            _ => None,
        })
    };
    let templates = Templates::new(MailSettings::from_vars(&vars)?)?;
    let (ses, create) = (SesSettings::from_vars(&vars)?, CreateSettings::from_vars(&vars)?);
    let mail_in = |locale: Option<LanguageTag>| {
        let mut message = example_message(locale, create.challenge.format);
        message.valid_for = create.challenge.validity;
        message.to.name = message.to.name.filter(|_| create.greeting_attribute.is_some());
        templates.render(&message).map(|mail| Example { mail, message, ses: &ses })
    };
    if let Some(folder) = &arguments.all {
        let mails: Result<Vec<Example<'_>>, _> = templates.languages().map(LanguageTag::parse).map(mail_in).collect();
        return write_all(folder, &mails?);
    }
    let example = mail_in(arguments.locale.clone())?;
    let text = example.format(arguments.format)?;
    match &arguments.output {
        Some(file) => write(file, &text),
        None => {
            print!("{text}");
            Ok(())
        }
    }
}

/// A mail to nobody.
struct Example<'a> {
    mail: Mail,
    message: Message,
    ses: &'a SesSettings,
}

impl Example<'_> {
    fn format(&self, format: Format) -> Result<String, Box<dyn Error>> {
        match format {
            Format::Text => {
                let Mail { language, subject, text, .. } = &self.mail;
                Ok(format!("Language: {language}\nSubject: {}\n\n{}", **subject, **text))
            }
            Format::Html => Ok(self.mail.html.to_string()),
            Format::Eml => self.eml(),
        }
    }

    /// The mail as SES would put it together (RFC 5322).
    fn eml(&self) -> Result<String, Box<dyn Error>> {
        let address = self.message.to.address.as_str();
        let from = &self.ses.from;
        // Also where it is encoded, text has lines that end so (RFC 2045 §6.8).
        let canonical = |text: &str| text.replace('\n', "\r\n");
        let mut eml = MessageBuilder::new()
            .from(Address::new_address(from.name.as_deref(), from.address.as_str()))
            .to(address)
            .subject(self.mail.subject.as_str())
            .date(i64::try_from(self.message.asked_at.0)?)
            .message_id(format!("{}@example.com", self.mail.language))
            .header("Auto-Submitted", Raw::new("auto-generated"))
            .text_body(canonical(&self.mail.text))
            .html_body(canonical(&self.mail.html));
        if let Some(reply_to) = &self.ses.reply_to {
            eml = eml.reply_to(reply_to.as_str());
        }
        Ok(eml.write_to_string()?)
    }
}

fn write_all(folder: &Path, examples: &[Example<'_>]) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let mut sections = String::new();
    for example in examples {
        let Mail { language, subject, text, html } = &example.mail;
        for (format, extension) in [(Format::Text, "txt"), (Format::Html, "html"), (Format::Eml, "eml")] {
            write(&folder.join(format!("{language}.{extension}")), &example.format(format)?)?;
        }
        sections.push_str(&format!(
            "<section lang=\"{language}\">\n\
             <h2>{language}: <bdi>{subject}</bdi></h2>\n\
             <iframe class=\"light\" title=\"{language}, light\" src=\"{language}.html\"></iframe>\n\
             <iframe class=\"dark\" title=\"{language}, dark\" src=\"{language}.html\"></iframe>\n\
             <pre dir=\"{direction}\">{text}</pre>\n\
             </section>\n",
            direction = if html.contains("dir=\"rtl\"") { "rtl" } else { "ltr" },
            subject = escape(subject),
            text = escape(text),
        ));
    }
    let index = folder.join("index.html");
    write(&index, &INDEX.replace("SECTIONS", &sections))?;
    println!("{} languages are side by side in {}", examples.len(), index.display());
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()).into())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const INDEX: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>The mails, in every language</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; margin: 1rem; }
  section { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); margin-bottom: 2rem; }
  h2 { font-size: 1.1rem; grid-column: 1 / -1; margin: 0; }
  iframe { border: 1px solid #c8ccd2; height: 30rem; width: 100%; }
  .light { color-scheme: light; }
  .dark { color-scheme: dark; }
  pre { border: 1px solid #c8ccd2; margin: 0; padding: 1rem; white-space: pre-wrap; }
</style>
</head>
<body>
<h1>The mails, in every language</h1>
<p>As HTML in light and dark mode (where the browser lets a page choose), and as text.</p>
SECTIONS</body>
</html>
";

#[cfg(test)]
mod tests {
    #[test]
    fn a_mail_is_text_on_the_page_of_all() {
        assert_eq!(super::escape("<b>Tom & Söhne</b> &lt;"), "&lt;b>Tom &amp; Söhne&lt;/b> &amp;lt;");
    }
}
