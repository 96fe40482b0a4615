//! The rules, as tables, properties and exhaustive checks. Ids such as T34 and R25 are those of the threat and requirement
//! lists that the rules come from.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at a surprise"
)]

mod around;
mod codes;
mod contract;
mod decisions;
mod every_history;
mod example;
mod limits;
mod metrics;
mod properties;
mod risk;
mod settings;
mod states;
mod whole_domains;
