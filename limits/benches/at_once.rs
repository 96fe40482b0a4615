//! Ten thousand answers, 256 of them at once, a hundred times: exactly as many are judged as the limits allow.
//!
//!     cargo bench -p limits-table --bench at_once [-- [--rounds N] [--answers N] [--at-once N] [--endpoint URL]]
//!
//! Without an endpoint it counts in the table of the tests, over real sockets; with one in the table there that
//! `LIMITS_TABLE` names, or else `sign-in-limits`. The calls are spread over as many clients as there would be functions. Each
//! round has accounts of its own.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark tells what it measured, and stops at a surprise"
)]

#[path = "../tests/it/dynamodb.rs"]
#[allow(dead_code, reason = "nothing fails here")]
mod dynamodb;

use std::sync::Arc;
use std::time::Instant;

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, UnixSeconds};
use auth_challenge::code::{Alphabet, CodeFormat, CodeKey};
use auth_challenge::limits::{AccountKey, Answered, Limited};
use auth_challenge::settings::{AwsSettings, LimitsSettings};
use futures_util::StreamExt as _;
use futures_util::stream;
use limits_table::Counts;
use serde_json::json;

use crate::dynamodb::DynamoDb;

const FUNCTIONS: usize = 64;
const NOW: UnixSeconds = UnixSeconds(1_767_268_800);

fn counts(endpoint: &str) -> Counts {
    let vars = |name: &str| {
        Some(match name {
            "CODE_KEY" => "a-key-of-the-tests-with-enough-characters".to_owned(),
            "LIMITS_TABLE" => std::env::var(name).unwrap_or_else(|_| "sign-in-limits".to_owned()),
            "AWS_REGION" => "eu-west-1".to_owned(),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "example".to_owned(),
            "AWS_ENDPOINT_URL_DYNAMODB" => endpoint.to_owned(),
            _ => return None,
        })
    };
    let format = CodeFormat::new(Alphabet::Digits, 8).unwrap();
    Counts::new(LimitsSettings::from_vars(&vars).unwrap(), format, || AwsSettings::from_vars(&vars)).unwrap().unwrap()
}

fn challenge(n: usize) -> ChallengeState {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&n.to_be_bytes());
    ChallengeState {
        kind: ChallengeKind::Code,
        key_id: CodeKey::new(b"key").id(),
        nonce: Nonce::from(nonce),
        issued_at: NOW,
        attempts: 0,
        mails: 1,
        last_sent: NOW,
        repeated: false,
    }
}

/// What became of many answers.
#[derive(Debug, Default)]
struct Tally {
    judged: usize,
    refused: usize,
    /// Could not be counted in time, and was not judged.
    unavailable: usize,
}

/// Gives the answers of a round.
async fn give(
    (functions, at_once): (&[Arc<Counts>], usize),
    account: &str,
    answers: usize,
    right: bool,
    challenge_of: impl Fn(usize) -> usize,
) -> Tally {
    let calls = (0..answers).map(|n| {
        let counts = Arc::clone(&functions[n % functions.len()]);
        let account = AccountKey { name: account.to_owned(), exists: true };
        let state = challenge(challenge_of(n));
        tokio::spawn(async move {
            let (limits, tag) = (*counts.limits(), format!("{n}"));
            let answer = Answered { tag: &tag, right, proof: None };
            counts.count(&account, NOW, |account| account.answer(&limits, "client", &state, answer, NOW)).await
        })
    });
    let mut tally = Tally::default();
    let mut calls = stream::iter(calls).buffer_unordered(at_once);
    while let Some(call) = calls.next().await {
        match call.unwrap() {
            Ok(Ok(())) => tally.judged += 1,
            Ok(Err(Limited::Attempts | Limited::Failures | Limited::Used)) => tally.refused += 1,
            Ok(Err(Limited::Mails)) => panic!("an answer is no mail"),
            Err(_) => tally.unavailable += 1,
        }
    }
    tally
}

#[tokio::main]
async fn main() {
    let (mut rounds, mut answers, mut at_once, mut endpoint) = (100, 10_000, 256, None);
    // Cargo adds `--bench`.
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(option) = given.next() {
        let value = given.next().unwrap();
        match &*option {
            "--rounds" => rounds = value.parse().unwrap(),
            "--answers" => answers = value.parse().unwrap(),
            "--at-once" => at_once = value.parse().unwrap(),
            "--endpoint" => endpoint = Some(value),
            other => panic!("{other}?"),
        }
    }
    let ours = DynamoDb::start().await;
    let endpoint = endpoint.unwrap_or(ours.url);
    let functions: Vec<_> = (0..FUNCTIONS).map(|_| Arc::new(counts(&endpoint))).collect();
    let sign_ins = answers / 10;
    let begun = Instant::now();
    let (mut judged, mut unavailable) = (0, 0);
    for round in 0..rounds {
        let one = give((&functions, at_once), &format!("{round} one"), answers, false, |_| 0).await;
        assert_eq!(one.judged, 3, "round {round}: {one:?}");
        // Each sign-in has ten answers, at the same time as all the others.
        let all = give((&functions, at_once), &format!("{round} all"), answers, false, |n| n % sign_ins).await;
        assert_eq!(all.judged, 100.min(3 * sign_ins), "round {round}: {all:?}");
        let right = give((&functions, at_once), &format!("{round} right"), sign_ins, true, |_| 0).await;
        assert_eq!(right.judged, 1, "round {round}: {right:?}");
        judged += one.judged + all.judged + right.judged;
        unavailable += one.unavailable + all.unavailable + right.unavailable;
    }
    println!(
        "{rounds} times: of {answers} wrong answers to one challenge 3 were judged, of {answers} to {sign_ins} challenges of one account {all}, \
         of {sign_ins} right ones 1 was accepted; {unavailable} were not counted in time and not judged ({seconds:.0} s, {at_once} at once)",
        all = 100.min(3 * sign_ins),
        seconds = begun.elapsed().as_secs_f64(),
    );
    let (given, allowed) = (rounds * (answers * 2 + sign_ins), rounds * (3 + 100.min(3 * sign_ins) + 1));
    println!(
        "{}",
        json!({"gate": "G14", "rounds": rounds, "answers": given, "judged": judged, "allowed": allowed, "unavailable": unavailable, "at_once": at_once})
    );
}
