//! G11: the code is in the mail and nowhere else; an address is nowhere but where Cognito put it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use local_pool::trigger::Outcome;
use serde_json::{Value, json};

use crate::running::{KEY, Running, code_in, start};
use crate::spellings::find;

/// Not zeros, which an ARN here has as many of.
const WRONG: &str = "9182 7364 5546";

/// Signs in in every way there is, and gives all that the client was told.
async fn live(pool: &Running) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |reply: &Result<Value, (String, String)>| {
        let mut reply = reply.clone();
        if let Ok(reply) = &mut reply {
            // The ID token holds the address on purpose.
            reply.as_object_mut().unwrap().remove("AuthenticationResult");
        }
        told.push(format!("{reply:?}"));
    };
    for (username, answers) in [
        ("alice@example.com", &["right"][..]),
        ("user1@example.com", &[WRONG, "resend", "right"]),
        ("user2@example.com", &["", WRONG, "right and resend", "1234"]),
        ("unverified@example.com", &[WRONG, "resend"]),
        ("nobody@example.com", &[WRONG, "resend", "1", "2"]),
    ] {
        let mut challenge = pool.initiate(username).await;
        tell(&challenge);
        for answer in answers {
            let code = match pool.mails().await.iter().find(|mail| mail.to == username) {
                Some(_) => pool.code(username).await,
                None => "-".to_owned(),
            };
            let metadata =
                if answer.contains("resend") { json!({"action": "RESEND"}) } else { json!({"note": "kept"}) };
            let answer = if answer.contains("right") { &*code } else { answer };
            let Ok(before) = &challenge else { break };
            challenge = pool.respond(before, username, answer, metadata).await;
            tell(&challenge);
        }
    }
    told
}

#[tokio::test]
async fn g11_r38_t16_to_t18_neither_code_nor_address_leaks_at_any_log_level() {
    let (mut lines, mut others) = (0, 0);
    for level in ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"] {
        // Twelve digits, so that none of them is a code by chance.
        let pool = start(&[("AWS_LAMBDA_LOG_LEVEL", level), ("CODE_LENGTH", "12")]).await;
        let told = live(&pool).await;
        let mails = pool.mails().await;
        assert_eq!(mails.len(), 3, "{level}");
        let mut secrets: Vec<String> =
            ["alice", "user1", "user2", "unverified", "nobody"].map(|name| format!("{name}@example.com")).to_vec();
        let codes: Vec<String> = mails.iter().map(code_in).collect();
        secrets.extend(codes.iter().cloned());
        secrets.push(KEY.to_owned());

        let mut texts: Vec<(&str, String)> = told.into_iter().map(|text| ("told to the client", text)).collect();
        texts.extend(pool.lines.lock().unwrap().iter().map(|line| ("logged", line.clone())));
        for (_, event, outcome) in pool.exchanges.lock().unwrap().iter() {
            let Outcome::Returned(reply) = outcome else { panic!("{outcome:?}") };
            let reply: Value = serde_json::from_slice(reply).unwrap();
            texts.push(("returned by a trigger", reply["response"].to_string()));
            // What Cognito itself puts into events: the user's attributes, and the answer that was typed.
            let mut event = event.clone();
            let request = event["request"].as_object_mut().unwrap();
            request.remove("userAttributes");
            request.remove("challengeAnswer");
            texts.push(("in an event", event.to_string()));
        }
        assert!(texts.iter().any(|(place, _)| *place == "logged") || level == "WARN" || level == "ERROR");
        let logged = texts.iter().filter(|(place, _)| *place == "logged").count();
        (lines, others) = (lines + logged, others + texts.len() - logged);
        for (place, text) in &texts {
            for secret in &secrets {
                assert_eq!(find(secret, text), None, "{place} at level {level}: {text}");
            }
        }
        // Nor does a log have the key, a value of the client's metadata, a wrong answer, a sealed state or a `Session`.
        let mut never_logged = [KEY, "kept", WRONG].map(str::to_owned).to_vec();
        for (place, text) in &texts {
            let parts = match *place {
                "told to the client" => text.split("\"Session\": String(\"").skip(1),
                "returned by a trigger" => text.split("\"challengeMetadata\":\"").skip(1),
                _ => continue,
            };
            never_logged.extend(parts.map(|part| part.split('"').next().unwrap().to_owned()));
        }
        assert!(
            never_logged.len() > 3 + 10 + 10 && never_logged.iter().all(|text| text.len() >= 4),
            "{never_logged:?}"
        );
        for text in never_logged {
            let repeated = texts.iter().find(|(place, line)| *place == "logged" && find(&text, line).is_some());
            assert_eq!(repeated, None, "{level}: {text}");
        }
    }
    println!("{}", json!({"gate": "G11", "lines": lines, "texts": others}));
}

/// R39: what SES says of a failure is as foreign as what a stranger says.
#[tokio::test]
async fn r39_t29_an_error_of_ses_puts_no_word_into_reply_or_log() {
    let foreign = "alice@example.com is not verified, says eve";
    let refuse = axum::Router::new().fallback(async move || {
        let body = json!({"__type": "AccountSuspendedException", "message": foreign});
        (axum::http::StatusCode::BAD_REQUEST, body.to_string())
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, refuse).await });
    let pool = start(&[("AWS_ENDPOINT_URL_SESV2", &url), ("AWS_LAMBDA_LOG_LEVEL", "TRACE")]).await;
    let message = "CreateAuthChallenge failed with error The code could not be sent, please try again.";
    let expected = Err(("UserLambdaValidationException".to_owned(), message.to_owned()));
    assert_eq!(pool.initiate("alice@example.com").await, expected);
    // T29: nor does it tell who has an account.
    assert_eq!(pool.initiate("nobody@example.com").await, expected);
    let lines = pool.lines.lock().unwrap();
    assert!(lines.iter().any(|line| line.contains("mail_not_sent") && line.contains("account_suspended")), "{lines:?}");
    for word in ["says", "alice", "AccountSuspendedException"] {
        assert!(!lines.iter().any(|line| line.contains(word)), "{word}: {lines:?}");
    }
}

#[test]
fn the_search_finds_what_is_there() {
    let code = "4831 0937";
    for text in [
        "the code is 48310937",
        "4831-0937",
        "4 8 3 1 0 9 3 7",
        "4831%200937 or 4831.0937",
        "3438333130393337",
        "[52, 56, 51, 49, 48, 57, 51, 55]",
    ] {
        assert!(find(code, text).is_some(), "{text}");
    }
    for before in ["", "a", "ab", "abc"] {
        for secret in ["48310937", "4831 0937", "alice@example.com"] {
            let text = STANDARD.encode(format!("{before}{secret}, and more"));
            assert!(find(secret, &text).is_some(), "{text}");
        }
    }
    assert!(find("alice@example.com", "user=ALICE").is_none());
    assert!(find("alice@example.com", "email=alice%40example.com").is_some());
    assert!(find(code, "4831 0938 48310 937").is_none());
}
