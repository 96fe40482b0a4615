//! What the mails say, in every language, and what is asked of templates.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test stops at a surprise")]

mod built_in;
mod folders;
mod properties;
