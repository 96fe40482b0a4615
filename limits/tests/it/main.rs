//! Counting in a table that does what DynamoDB does with our one kind of write, and what it does on bad days. `.ci/limits` does the
//! same with a DynamoDB of somebody else.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at a surprise")]

mod counts;
mod dynamodb;
