//! What is counted, whatever happens at the same time and whatever fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, UnixSeconds};
use auth_challenge::code::{Alphabet, CodeFormat, CodeKey};
use auth_challenge::limits::{Account, AccountKey, Answered, Limited};
use auth_challenge::settings::{AwsSettings, LimitsSettings};
use futures_util::future::join_all;
use limits_table::{Counts, Proofs, Unavailable};
use tokio::time::timeout;

use crate::dynamodb::{DynamoDb, Fault};

const NOW: UnixSeconds = UnixSeconds(1_767_268_800);
const DIGITS: usize = 8;
const LETTERS: usize = 12;

fn counts_at(url: &str, length: usize, given: &[(&str, &str)]) -> Counts {
    let vars = |name: &str| {
        let value = match name {
            "CODE_KEY" => "a-key-of-the-tests-with-enough-characters",
            "LIMITS_TABLE" => "limits",
            "AWS_REGION" => "eu-west-1",
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "example",
            "AWS_ENDPOINT_URL_DYNAMODB" => url,
            _ => given.iter().find(|(variable, _)| *variable == name)?.1,
        };
        Some(value.to_owned())
    };
    let alphabet = if length == DIGITS { Alphabet::Digits } else { Alphabet::Letters };
    let format = CodeFormat::new(alphabet, length).unwrap();
    Counts::new(LimitsSettings::from_vars(&vars).unwrap(), format, || AwsSettings::from_vars(&vars)).unwrap().unwrap()
}

fn counts(dynamodb: &DynamoDb) -> Counts {
    counts_at(&dynamodb.url, DIGITS, &[])
}

fn challenge(n: u64) -> ChallengeState {
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

fn alice() -> AccountKey {
    AccountKey { name: "alice".to_owned(), exists: true }
}

async fn give(
    counts: &Counts,
    state: &ChallengeState,
    answer: Answered<'_>,
) -> Result<Result<(), Limited>, Unavailable> {
    let limits = *counts.limits();
    counts.count(&alice(), NOW, |account| account.answer(&limits, "client", state, answer, NOW)).await
}

const SURELY_NOT: Unavailable = Unavailable { in_doubt: false };
const IN_DOUBT: Unavailable = Unavailable { in_doubt: true };

async fn answer(counts: &Counts, state: &ChallengeState, tag: &str) -> Result<Result<(), Limited>, Unavailable> {
    give(counts, state, Answered { tag, right: false, proof: None }).await
}

async fn accept(counts: &Counts, state: &ChallengeState) -> Result<Result<(), Limited>, Unavailable> {
    give(counts, state, Answered { tag: "right", right: true, proof: None }).await
}

#[tokio::test]
async fn an_account_can_be_looked_at_without_the_right_to_read_and_is_left_as_it_was() {
    let dynamodb = DynamoDb::start().await;
    let vars = |name: &str| match name {
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        "AWS_ENDPOINT_URL_DYNAMODB" => Some(dynamodb.url.clone()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("example".to_owned()),
        _ => None,
    };
    let proofs = Proofs::new("limits".to_owned(), AwsSettings::from_vars(&vars).unwrap()).unwrap();
    assert_eq!(proofs.look(&alice()).await, Ok(Account::default()));
    assert!(dynamodb.tables.lock().unwrap().items.is_empty(), "nobody was there, and nobody is now");

    let answer = Answered { tag: "right", right: true, proof: Some("a proof") };
    give(&counts(&dynamodb), &challenge(1), answer).await.unwrap().unwrap();
    let before = dynamodb.tables.lock().unwrap().items.clone();
    let account = proofs.look(&alice()).await.unwrap();
    assert!(account.has("a proof", NOW) && !account.has("another", NOW));
    assert_eq!(dynamodb.tables.lock().unwrap().items, before);

    for (status, error, reason) in [
        (400, "AccessDeniedException", "access_denied"),
        (400, "ResourceNotFoundException", "table_not_found"),
        (400, "ProvisionedThroughputExceededException", "throttled"),
        (400, "ThrottlingException", "throttled"),
        (400, "ValidationException", "refused"),
        (500, "InternalServerError", "service_error"),
    ] {
        dynamodb.tables.lock().unwrap().always = Some(Fault::Error(status, error));
        assert_eq!(proofs.look(&alice()).await, Err(reason), "{error}");
    }
}

/// Else a table whose refusals come without the old item would be asked until the time is over, and by every call.
#[tokio::test]
async fn f55_a_refusal_that_does_not_say_what_is_there_fails_closed_at_once() {
    let dynamodb = DynamoDb::start().await;
    dynamodb.tables.lock().unwrap().faults.push_back(Fault::Error(400, "ConditionalCheckFailedException"));
    assert_eq!(answer(&counts(&dynamodb), &challenge(1), "1").await, Err(SURELY_NOT));
    assert_eq!(dynamodb.tables.lock().unwrap().requests, 1);
}

#[tokio::test]
async fn to_connect_asks_for_nothing_and_the_first_count_needs_no_second_connection() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let counts = counts_at(&format!("http://{}", listener.local_addr().unwrap()), DIGITS, &[]);
    let connecting = async { tokio::join!(counts.connect(), listener.accept()).1 };
    let (stream, _) = timeout(Duration::from_secs(10), connecting).await.expect("a connection").unwrap();
    let mut octets = [0; 1];
    assert!(stream.try_read(&mut octets).is_err(), "something was asked for");
    let challenge = challenge(1);
    let counting = answer(&counts, &challenge, "1");
    tokio::select! {
        _ = counting => panic!("nobody has answered"),
        _ = listener.accept() => panic!("a second connection"),
        readable = stream.readable() => readable.unwrap(),
    }
}

async fn start(counts: &Counts, n: u64) -> Result<Result<ChallengeState, Limited>, Unavailable> {
    let limits = *counts.limits();
    // Each of a client of its own, so that none is a repeat of another.
    let client = n.to_string();
    counts.count(&alice(), NOW, |account| account.start(&limits, &client, challenge(n), NOW)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn g14_r14_t02_of_many_answers_at_once_exactly_as_many_are_judged_as_the_limit() {
    let dynamodb = DynamoDb::start().await;
    let counts = Arc::new(counts(&dynamodb));
    let challenge = challenge(1);
    let calls = (0..300).map(|n| {
        let counts = Arc::clone(&counts);
        tokio::spawn(async move { answer(&counts, &challenge, &n.to_string()).await })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let judged = answers.iter().filter(|answer| **answer == Ok(Ok(()))).count();
    assert_eq!(judged, 3);
    assert!(
        answers.iter().all(|answer| matches!(answer, Ok(Ok(()) | Err(Limited::Attempts)) | Err(Unavailable { .. })))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_of_many_right_answers_at_once_one_is_accepted() {
    let dynamodb = DynamoDb::start().await;
    let counts = Arc::new(counts(&dynamodb));
    let challenge = challenge(1);
    let calls = (0..300).map(|_| {
        let counts = Arc::clone(&counts);
        tokio::spawn(async move { accept(&counts, &challenge).await })
    });
    let accepted = join_all(calls).await.into_iter().filter(|call| *call.as_ref().unwrap() == Ok(Ok(()))).count();
    assert_eq!(accepted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn g14_faults_among_many_calls_let_nobody_hear_more_than_was_counted() {
    for right in [false, true] {
        let dynamodb = DynamoDb::start().await;
        let (counts, challenge) = (Arc::new(counts(&dynamodb)), challenge(1));
        let faults = (0..200).map(|n| match n % 5 {
            0 => Fault::Error(500, "InternalServerError"),
            1 => Fault::Error(400, "ThrottlingException"),
            2 => Fault::Slow(Duration::from_millis(30)),
            // Done, and nobody is told.
            3 => Fault::Lost,
            _ => Fault::Slow(Duration::ZERO),
        });
        dynamodb.tables.lock().unwrap().faults.extend(faults);
        let calls = (0..200).map(|n| {
            let counts = Arc::clone(&counts);
            tokio::spawn(async move {
                give(&counts, &challenge, Answered { tag: &n.to_string(), right, proof: None }).await
            })
        });
        let heard = join_all(calls).await.into_iter().filter(|call| *call.as_ref().unwrap() == Ok(Ok(()))).count();
        assert!(heard <= if right { 1 } else { 3 }, "{heard}");
        // Whoever comes later, when all is well again.
        let _ = join_all(
            (0..4).map(|n| give(&counts, &challenge, Answered { tag: ["a", "b", "c", "d"][n], right, proof: None })),
        )
        .await;
        let item = dynamodb.tables.lock().unwrap().items["alice"]["counts"]["S"].as_str().unwrap().to_owned();
        assert!(item.contains(if right { "\"accepted\":{" } else { "\"failures\":3" }), "{item}");
    }
}

/// Two that count the same write the same account; only one of them may believe that what it finds is its own write.
#[tokio::test]
async fn r07_a_call_whose_write_failed_does_not_take_its_twins_for_its_own() {
    let dynamodb = DynamoDb::start().await;
    let (counts, challenge) = (Arc::new(counts(&dynamodb)), challenge(1));
    assert!(start(&counts, 7).await.unwrap().is_ok());
    // The first learns what there is, and its write fails.
    dynamodb
        .tables
        .lock()
        .unwrap()
        .faults
        .extend([Fault::Slow(Duration::ZERO), Fault::Error(500, "InternalServerError")]);
    let first = tokio::spawn({
        let counts = Arc::clone(&counts);
        async move { accept(&counts, &challenge).await }
    });
    while dynamodb.tables.lock().unwrap().requests < 3 {
        tokio::task::yield_now().await;
    }
    // Before it tries again, the second is accepted.
    assert_eq!(accept(&counts, &challenge).await, Ok(Ok(())));
    assert_eq!(first.await.unwrap(), Ok(Err(Limited::Used)));
}

#[tokio::test]
async fn a_new_account_takes_one_write_and_a_known_one_two() {
    let dynamodb = DynamoDb::start().await;
    let counts = counts(&dynamodb);
    assert!(start(&counts, 1).await.unwrap().is_ok());
    assert_eq!(dynamodb.tables.lock().unwrap().requests, 1);
    assert!(start(&counts, 2).await.unwrap().is_ok());
    assert_eq!(dynamodb.tables.lock().unwrap().requests, 3);
    assert!(start(&counts, 3).await.unwrap().is_ok());
    assert_eq!(start(&counts, 4).await, Ok(Err(Limited::Mails)));
    let item = dynamodb.tables.lock().unwrap().items["alice"].clone();
    assert!(item["version"]["S"].is_string());
    let expires: u64 = item["expires"]["N"].as_str().unwrap().parse().unwrap();
    assert!(expires >= NOW.0 + 86_400);
}

/// Without the pauses between its writes it would make hundreds.
#[tokio::test]
async fn who_is_overtaken_again_and_again_waits_between_writes_and_gives_up() {
    let dynamodb = DynamoDb::start().await;
    let counts = counts(&dynamodb);
    assert!(start(&counts, 1).await.unwrap().is_ok());
    dynamodb.tables.lock().unwrap().always = Some(Fault::Overtaken);
    assert_eq!(start(&counts, 2).await, Err(SURELY_NOT));
    let requests = dynamodb.tables.lock().unwrap().requests;
    assert!(requests < 60, "{requests}");
    // What was written unheard may lie beneath what others wrote.
    dynamodb.tables.lock().unwrap().faults.push_back(Fault::Lost);
    assert_eq!(start(&counts, 2).await, Err(IN_DOUBT));
}

#[tokio::test]
async fn f54_a_write_that_fails_is_tried_again_and_counted_once() {
    for fault in [
        Fault::Error(400, "ProvisionedThroughputExceededException"),
        Fault::Error(400, "ThrottlingException"),
        Fault::Error(500, "InternalServerError"),
        Fault::Slow(Duration::from_millis(300)),
        // Nobody knows whether it was done; it was.
        Fault::Lost,
    ] {
        let dynamodb = DynamoDb::start().await;
        let counts = counts(&dynamodb);
        dynamodb.tables.lock().unwrap().faults.push_back(fault);
        let failures = || {
            let item = dynamodb.tables.lock().unwrap().items["alice"]["counts"]["S"].clone();
            serde_json::from_str::<serde_json::Value>(item.as_str().unwrap()).unwrap()["failures"].clone()
        };
        assert_eq!(answer(&counts, &challenge(1), "1").await, Ok(Ok(())));
        assert_eq!(failures(), 1);
        // The known account, too: the first write only finds out what there is.
        dynamodb.tables.lock().unwrap().faults.extend([Fault::Slow(Duration::ZERO), fault]);
        assert_eq!(answer(&counts, &challenge(1), "2").await, Ok(Ok(())));
        assert_eq!(failures(), 2);
    }
}

/// Or the right answer would be taken for that of somebody who was faster.
#[tokio::test]
async fn f54_a_write_that_was_done_unnoticed_is_known_again_behind_one_that_failed() {
    let dynamodb = DynamoDb::start().await;
    let counts = counts(&dynamodb);
    dynamodb.tables.lock().unwrap().faults.extend([Fault::Lost, Fault::Error(500, "InternalServerError")]);
    assert_eq!(accept(&counts, &challenge(1)).await, Ok(Ok(())));
    assert_eq!(dynamodb.tables.lock().unwrap().requests, 3);
}

#[tokio::test]
async fn r23_f56_short_codes_fail_closed_and_long_ones_go_on_with_limits_of_their_own() {
    for (fault, expected) in [
        (Fault::Error(400, "ResourceNotFoundException"), SURELY_NOT),
        (Fault::Error(400, "AccessDeniedException"), SURELY_NOT),
        (Fault::Error(400, "ValidationException"), SURELY_NOT),
        (Fault::Error(400, "ThrottlingException"), SURELY_NOT),
        (Fault::Error(500, "InternalServerError"), IN_DOUBT),
        (Fault::Slow(Duration::from_secs(5)), IN_DOUBT),
        (Fault::Lost, IN_DOUBT),
    ] {
        let dynamodb = DynamoDb::start().await;
        dynamodb.tables.lock().unwrap().always = Some(fault);
        let begun = Instant::now();
        assert_eq!(answer(&counts(&dynamodb), &challenge(1), "1").await, Err(expected));
        // Not a measurement: Cognito gives up after 5 s, and a mail may have to be sent after this.
        assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
        let long = counts_at(&dynamodb.url, LETTERS, &[("MAX_ATTEMPTS", "2")]);
        for (tag, expected) in [("1", Ok(())), ("2", Ok(())), ("3", Err(Limited::Attempts))] {
            assert_eq!(answer(&long, &challenge(1), tag).await, Ok(expected), "{tag}");
        }
    }
    let nobody_listens = counts_at("http://127.0.0.1:1", DIGITS, &[]);
    assert_eq!(start(&nobody_listens, 1).await, Err(SURELY_NOT));
}

#[tokio::test]
async fn f55_an_item_that_is_not_ours_fails_closed_and_stays() {
    let dynamodb = DynamoDb::start().await;
    for item in [
        serde_json::json!({"account": {"S": "alice"}, "version": {"S": "1"}, "counts": {"S": "{}"}}),
        serde_json::json!({"account": {"S": "alice"}, "version": {"N": "1"}, "counts": {"S": "{}"}}),
        serde_json::json!({"account": {"S": "alice"}, "version": {"S": "1"}}),
        serde_json::json!({"account": {"S": "alice"}, "version": {"S": "1"}, "counts": {"N": "7"}}),
    ] {
        dynamodb.tables.lock().unwrap().items.insert("alice".to_owned(), item.clone());
        assert_eq!(answer(&counts(&dynamodb), &challenge(1), "1").await, Err(SURELY_NOT));
        assert_eq!(dynamodb.tables.lock().unwrap().items["alice"], item);
    }
}

#[tokio::test]
async fn without_a_table_no_client_is_made() {
    let vars = |name: &str| (name == "CODE_KEY").then(|| "a-key-of-the-tests-with-enough-characters".to_owned());
    let format = CodeFormat::new(Alphabet::Digits, DIGITS).unwrap();
    let settings = LimitsSettings::from_vars(&vars).unwrap();
    // Lambda's variables are not even asked for.
    let counts = Counts::new(settings, format, || panic!("asked for"));
    assert!(counts.unwrap().is_none());
}
