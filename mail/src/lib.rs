//! What the mail with the code says.
//!
//! A mail is written from three templates of its language, `<language>/subject.txt`, `body.txt` and `body.html`, in the template
//! language of [minijinja](https://docs.rs/minijinja), which is Jinja's. What stands in the folder beside the languages is
//! shared: `{% extends "layout.html" %}`. Values are escaped in files whose names end in `.html`. There are these:
//!
//! | value | |
//! |---|---|
//! | `code` | the code, in groups: `4831 0937`; `none` in a subject unless `CODE_IN_SUBJECT` is set |
//! | `minutes` | how long it is good for, in whole minutes, rounded down |
//! | `asked_at` | when it was asked for: `2026-01-01 12:00 UTC` |
//! | `app_name` | what people sign in to |
//! | `name` | whom to greet, or `none` |
//! | `domain_bound_code` | `@example.com #48310937`, for the last line, or `none` |
//! | `subject` | in HTML only: the subject, without a code |
//! | `language`, `direction` | for HTML's attributes: `ar`, `rtl` |
//! | `plural(minutes, one="# minute", other="# minutes")` | one of several forms, by the rules of the language (CLDR's cardinal categories); `zero` stands for 0 in every language |
//!
//! Nothing else reaches a mail: no address, no client metadata, no attribute but the one to greet by.
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
