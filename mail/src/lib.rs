//! What the mail with the code says.
//!
//! A mail is written from three templates of its language, `<language>/subject.txt`, `body.txt` and `body.html`. `docs/mail.md` lists the
//! values that they may use; nothing else reaches a mail: no address, no client metadata, no attribute but the one to greet by.
//!
//! - [`Templates`]: where templates come from, and what is asked of them
//! - [`Mail`]: a mail, rendered for one [`Message`]
//!
//! [`Message`]: auth_challenge::create_auth_challenge::Message

mod languages;
mod render;
mod templates;

pub use render::Mail;
pub use templates::{TemplateError, Templates, example_message};
