//! Somebody who does not stop, against the functions as programs. (G18)

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::{interval, sleep};

use crate::dynamodb::DynamoDb;
use crate::running::{Running, code_in, start_with};

const ALICE: &str = "alice@example.com";
/// The shortest that there is: seconds after which an account may have one more mail.
const REFILL: u64 = 10;
const TOO_MANY: &str = "CreateAuthChallenge failed with error There were too many sign-ins, please try again later.";

async fn counting(dynamodb: &DynamoDb, settings: &[(&str, &str)]) -> Running {
    let given = [&[("LIMITS_TABLE", "limits"), ("MAIL_INTERVAL_SECONDS", "10")], settings].concat();
    let url = dynamodb.url.clone();
    start_with(&given, |options| {
        options.variables.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), url);
    })
    .await
}

fn refused(reply: &Result<Value, (String, String)>) -> bool {
    matches!(reply, Err((kind, words)) if kind == "UserLambdaValidationException" && words == TOO_MANY)
}

/// How often a function wrote this to its log.
fn logged(pool: &Running, what: &str) -> u64 {
    pool.lines.lock().unwrap().iter().filter(|line| line.contains(what)).count() as u64
}

#[tokio::test]
async fn p16_t36_t38_f41_whose_mails_are_used_up_at_ten_times_the_cap_signs_in_within_a_refill() {
    let dynamodb = DynamoDb::start().await;
    let pool = counting(&dynamodb, &[]).await;
    let attack = async {
        let mut tenth = interval(Duration::from_secs(REFILL) / 10);
        loop {
            tenth.tick().await;
            let _ = pool.initiate(ALICE).await;
        }
    };
    let owner = async {
        // The mails that an account may have at once are used up by then.
        while !refused(&pool.initiate(ALICE).await) {
            sleep(Duration::from_millis(50)).await;
        }
        let before = pool.mails().await.len();
        for sign_in in 1.. {
            let mut reply = loop {
                let reply = pool.initiate(ALICE).await;
                if reply.is_ok() {
                    break reply;
                }
                assert!(refused(&reply), "{reply:?}");
                sleep(Duration::from_millis(50)).await;
            };
            let refills = pool.mails().await.len() - before;
            // Her own, or the attacker's, whose challenge she shares.
            assert!(refills <= sign_in, "{refills} refills");
            for mail in pool.mails().await.iter().filter(|mail| mail.to == ALICE) {
                let Ok(challenge) = reply else { break };
                reply = pool.respond(&challenge, ALICE, &code_in(mail), json!(null)).await;
                if reply.as_ref().is_ok_and(|reply| reply["AuthenticationResult"].is_object()) {
                    return;
                }
            }
            // Of mails that were sent in the same second the newest need not be the one that belongs here, and a shared challenge has
            // two answers: she begins again.
        }
    };
    tokio::select! {
        () = attack => unreachable!("it does not stop"),
        () = owner => {}
    }
}

#[tokio::test]
async fn g18_t01_t07_with_a_table_guessing_stops_at_the_cap_and_the_owner_answers_what_she_has() {
    let dynamodb = DynamoDb::start().await;
    let pool = counting(&dynamodb, &[("SLOW_DOWN_AFTER_FAILURES", "6")]).await;
    let (begun, hers) = (Instant::now(), pool.initiate(ALICE).await.unwrap());
    let code = pool.code(ALICE).await;
    // Until it is refused, however often that takes.
    let guess = async |n: u32| {
        let Ok(mut challenge) = pool.initiate(ALICE).await else { return };
        for wrong in 0..20 {
            match pool.respond(&challenge, ALICE, &format!("{n:04}{wrong:04}"), json!(null)).await {
                Ok(next) => challenge = next,
                Err(_) => return,
            }
        }
        panic!("twenty wrong answers in one sign-in");
    };
    futures_util::future::join_all((0..40).map(guess)).await;
    // As many mails as at once, and those that time allows; each with three answers, but hers, at which nobody guesses.
    let mails = pool.mails().await.len() as u64;
    let judged = logged(&pool, r#""reason":"CodeMismatch""#);
    assert!(mails >= 3 && mails <= 3 + begun.elapsed().as_secs() / REFILL, "{mails} mails");
    assert!(judged >= 6 && judged <= 3 * (mails - 1), "{judged} of {mails}");
    // From the sixth on nobody begins.
    assert!(refused(&pool.initiate(ALICE).await) && logged(&pool, r#""reason":"Failures""#) > 0);
    let reply = pool.respond(&hers, ALICE, &code, json!(null)).await.unwrap();
    assert!(reply["AuthenticationResult"].is_object());
    let item = dynamodb.tables.lock().unwrap().items.values().next().unwrap()["counts"]["S"].clone();
    let counts: Value = serde_json::from_str(item.as_str().unwrap()).unwrap();
    assert_eq!(counts["failures"], 0, "a right answer ends the row");
}
