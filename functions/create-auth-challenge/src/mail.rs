//! What a mail says.

use std::time::Duration;

use auth_challenge::create_auth_challenge::Message;
use zeroize::Zeroizing;

/// One mail, written.
pub(crate) struct Mail {
    /// Never holds the code: subjects show on lock screens.
    pub(crate) subject: String,
    pub(crate) text: Zeroizing<String>,
    pub(crate) html: Zeroizing<String>,
}

/// Writes the mail for `message`. There is no link in it, and nothing that a user chose; and it does not begin with the code,
/// because lock screens show how mails begin.
pub(crate) fn write(message: &Message, app_name: &str) -> Mail {
    let code = message.code.grouped();
    let minutes = minutes(message.valid_for);
    let text = format!(
        "Somebody, probably you, is about to sign in to {app_name} with this address. This is the code for it:\n\
         \n\
         {code}\n\
         \n\
         It can be used for {minutes}, and only where it was asked for. Never give it to anybody who asks you for it.\n\
         \n\
         If it was not you, you need not do anything: without this code nobody can sign in.\n",
        code = *code,
    );
    let html = format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{subject}</title>\n\
         </head>\n\
         <body style=\"font-family: sans-serif; line-height: 1.5; max-width: 36em; margin: 2em auto; padding: 0 1em\">\n\
         <p>Somebody, probably you, is about to sign in to {app_name} with this address. This is the code for it:</p>\n\
         <p style=\"font: bold 2em monospace; white-space: nowrap\">{code}</p>\n\
         <p>It can be used for {minutes}, and only where it was asked for. Never give it to anybody who asks you for it.</p>\n\
         <p>If it was not you, you need not do anything: without this code nobody can sign in.</p>\n\
         </body>\n\
         </html>\n",
        subject = escape(&subject(app_name)),
        app_name = escape(app_name),
        code = *code,
    );
    Mail { subject: subject(app_name), text: Zeroizing::new(text), html: Zeroizing::new(html) }
}

fn subject(app_name: &str) -> String {
    format!("Your code to sign in to {app_name}")
}

/// Whole minutes, rounded down, so that nobody is promised more than there is.
fn minutes(valid_for: Duration) -> String {
    match valid_for.as_secs() / 60 {
        0 => "less than a minute".to_owned(),
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
