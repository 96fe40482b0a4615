//! Whole sign-ins through the API, with the functions as programs.

use local_pool::lambda::Program;
use serde_json::{Value, json};

use crate::running::{Running, start, start_with};

const ALICE: &str = "alice@example.com";

fn not_authorized() -> (String, String) {
    ("NotAuthorizedException".to_owned(), "Incorrect username or password.".to_owned())
}

fn parameters(challenge: &Value) -> Value {
    let mut parameters = challenge["ChallengeParameters"].clone();
    // The rest is the same for whoever signs in.
    parameters.as_object_mut().unwrap().remove("USERNAME");
    parameters
}

#[tokio::test]
async fn the_code_from_the_mail_gets_tokens() {
    let pool = start(&[]).await;
    let challenge = pool.initiate(ALICE).await.unwrap();
    assert_eq!(challenge["ChallengeName"], "CUSTOM_CHALLENGE");
    let code = pool.code(ALICE).await;
    let reply = pool.respond(&challenge, ALICE, &code, json!(null)).await.unwrap();
    assert!(reply["AuthenticationResult"]["IdToken"].is_string());
    assert_eq!(pool.mails().await.len(), 1);
}

#[tokio::test]
async fn the_code_is_understood_as_people_type_it() {
    let pool = start(&[("CODE_ALPHABET", "letters"), ("CODE_LENGTH", "10")]).await;
    let challenge = pool.initiate(ALICE).await.unwrap();
    let typed = format!(" {} ", pool.code(ALICE).await.to_lowercase().replace(' ', "-"));
    assert!(pool.respond(&challenge, ALICE, &typed, json!(null)).await.is_ok());
}

#[tokio::test]
async fn a_wrong_answer_can_be_followed_by_the_right_one() {
    let pool = start(&[]).await;
    let first = pool.initiate(ALICE).await.unwrap();
    let second = pool.respond(&first, ALICE, "0000 0000", json!(null)).await.unwrap();
    assert_eq!(second["ChallengeParameters"]["errorCode"], "CODE_MISMATCH");
    assert_eq!(second["ChallengeParameters"]["attemptsLeft"], "2");
    let code = pool.code(ALICE).await;
    assert!(pool.respond(&second, ALICE, &code, json!(null)).await.unwrap()["AuthenticationResult"].is_object());
    assert_eq!(pool.mails().await.len(), 1, "a wrong answer does not send another mail");
}

#[tokio::test]
async fn three_wrong_answers_end_the_sign_in() {
    let pool = start(&[]).await;
    let mut challenge = pool.initiate(ALICE).await.unwrap();
    for _ in 0..2 {
        challenge = pool.respond(&challenge, ALICE, "0000 0000", json!(null)).await.unwrap();
    }
    let code = pool.code(ALICE).await;
    let last = pool.respond(&challenge, ALICE, "0000 0000", json!(null)).await;
    assert_eq!(last, Err(not_authorized()));
    let after = pool.respond(&challenge, ALICE, &code, json!(null)).await.unwrap_err();
    assert_eq!(after.1, "Invalid session for the user, session can only be used once.");
}

#[tokio::test]
async fn a_resend_too_soon_is_told_and_costs_nothing() {
    let pool = start(&[]).await;
    let mut challenge = pool.initiate(ALICE).await.unwrap();
    for _ in 0..4 {
        challenge = pool.respond(&challenge, ALICE, "-", json!({"action": "RESEND"})).await.unwrap();
        assert_eq!(challenge["ChallengeParameters"]["errorCode"], "RESEND_TOO_SOON");
        assert_eq!(challenge["ChallengeParameters"]["attemptsLeft"], "3");
    }
    assert_eq!(pool.mails().await.len(), 1);
    let code = pool.code(ALICE).await;
    assert!(pool.respond(&challenge, ALICE, &code, json!(null)).await.is_ok());
}

#[tokio::test]
async fn a_parameter_round_comes_before_the_mail() {
    let pool = start(&[("PARAMETER_ROUND", "true")]).await;
    let first = pool.initiate(ALICE).await.unwrap();
    assert_eq!(first["ChallengeParameters"]["nextStep"], "PROVIDE_AUTH_PARAMETERS");
    assert_eq!(pool.mails().await.len(), 0);
    let second = pool.respond(&first, ALICE, "__dummy__", json!({"locale": "en"})).await.unwrap();
    assert_eq!(second["ChallengeParameters"]["nextStep"], "PROVIDE_CODE");
    assert_eq!(second["ChallengeParameters"]["attemptsLeft"], "3");
    let code = pool.code(ALICE).await;
    assert!(pool.respond(&second, ALICE, &code, json!(null)).await.unwrap()["AuthenticationResult"].is_object());
}

#[tokio::test]
async fn the_client_or_the_user_chooses_the_language_of_the_mail() {
    let settings = [
        ("PARAMETER_ROUND", "true"),
        ("DEFAULT_LOCALE", "ko"),
        ("GREETING_ATTRIBUTE", "given_name"),
        ("SES_REPLY_TO_ADDRESS", "help@example.com"),
        ("SES_CONFIGURATION_SET", "codes"),
        ("SES_FROM_ADDRESS", "サインイン <sign-in@example.com>"),
        ("APP_NAME", "Acme"),
    ];
    let pool = start(&settings).await;
    for (username, metadata, language, subject) in [
        (ALICE, json!({"locale": "ja-JP"}), "ja", "Acme へのサインイン用コード"),
        (ALICE, json!({"Amplify.Passwordless.locale": "ar"}), "ar", "رمز تسجيل الدخول إلى \u{2068}Acme\u{2069}"),
        (ALICE, json!({"locale": "xx"}), "ko", "Acme 로그인 코드"),
        (ALICE, json!(null), "ko", "Acme 로그인 코드"),
        ("portuguese@example.com", json!(null), "pt-BR", "Seu código para entrar em Acme"),
        ("portuguese@example.com", json!({"locale": "de_AT"}), "de", "Ihr Code zur Anmeldung bei Acme"),
    ] {
        let asked = pool.initiate(username).await.unwrap();
        let challenge = pool.respond(&asked, username, "-", metadata).await.unwrap();
        let mail = pool.mails().await.remove(0);
        assert_eq!((&*mail.tags["locale"], &*mail.subject), (language, subject));
        assert!(mail.html.contains(&format!("lang=\"{language}\"")));
        assert_eq!(mail.text.contains("Inês"), username != ALICE);
        assert_eq!(
            (mail.reply_to, mail.configuration_set),
            (vec!["help@example.com".to_owned()], Some("codes".to_owned()))
        );
        assert_eq!(mail.from, "=?UTF-8?B?44K144Kk44Oz44Kk44Oz?= <sign-in@example.com>");
        assert_eq!(mail.headers["Auto-Submitted"], "auto-generated");
        let is_code = |line: &&str| line.chars().filter(char::is_ascii_digit).count() == 8 && !line.contains("UTC");
        let code = mail.text.lines().find(is_code).unwrap();
        // As it was copied, with whatever stands around it.
        assert!(
            pool.respond(&challenge, username, code, json!(null)).await.unwrap()["AuthenticationResult"].is_object()
        );
    }
}

#[tokio::test]
async fn r23_without_their_table_nobody_signs_in_and_the_log_says_why() {
    let nowhere = |options: &mut local_pool::server::Options| {
        options.variables.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), "http://127.0.0.1:1".to_owned());
    };
    let pool = start_with(&[("LIMITS_TABLE", "limits")], nowhere).await;
    let words = "CreateAuthChallenge failed with error Something went wrong, please try again.";
    for username in [ALICE, "nobody@example.com", "unverified@example.com"] {
        let refused = pool.initiate(username).await.unwrap_err();
        assert_eq!(refused, ("UserLambdaValidationException".to_owned(), words.to_owned()));
    }
    assert_eq!(pool.mails().await.len(), 0);
    let lines = pool.lines.lock().unwrap().clone();
    let said = lines.iter().filter(|line| line.contains(r#""message":"limits_unavailable""#));
    assert_eq!(said.count(), 3, "{lines:#?}");
}

#[tokio::test]
async fn t22_codes_do_not_serve_for_another_user_or_sign_in() {
    let pool = start(&[]).await;
    let one = pool.initiate(ALICE).await.unwrap();
    let code_of_one = pool.code(ALICE).await;
    let two = pool.initiate(ALICE).await.unwrap();
    let bobs = pool.initiate("user1@example.com").await.unwrap();
    for (challenge, username) in [(&two, ALICE), (&bobs, "user1@example.com")] {
        let reply = pool.respond(challenge, username, &code_of_one, json!(null)).await.unwrap();
        assert_eq!(reply["ChallengeParameters"]["errorCode"], "CODE_MISMATCH");
    }
    // The older sign-in is still good.
    assert!(pool.respond(&one, ALICE, &code_of_one, json!(null)).await.unwrap()["AuthenticationResult"].is_object());
}

/// What a client sees of a sign-in in which every answer is wrong, clocks taken out.
async fn seen(pool: &Running, username: &str) -> Vec<Result<Value, (String, String)>> {
    let settle = |reply: Result<Value, (String, String)>| {
        reply.map(|reply| {
            let mut parameters = parameters(&reply);
            for clock in ["expiresAt", "resendAfter"] {
                let text = parameters[clock].as_str().unwrap().to_owned();
                assert_eq!(text.len(), 10);
                parameters[clock] = json!(text.parse::<u64>().unwrap() / 100_000);
            }
            json!([reply["ChallengeName"], parameters, reply["Session"].as_str().unwrap().len()])
        })
    };
    let mut challenge = pool.initiate(username).await;
    let mut seen = vec![settle(challenge.clone())];
    for metadata in [json!(null), json!({"action": "RESEND"}), json!(null), json!(null)] {
        challenge = pool.respond(&challenge.unwrap(), username, "0000 0000", metadata).await;
        seen.push(settle(challenge.clone()));
    }
    seen
}

#[tokio::test]
async fn r30_unknown_and_unverified_users_see_what_everybody_sees() {
    let pool = start(&[("BLOCKED_EMAIL_DOMAINS", "blocked.example")]).await;
    let alices = seen(&pool, ALICE).await;
    assert_eq!(alices.last(), Some(&Err(not_authorized())));
    assert_eq!(seen(&pool, "unverified@example.com").await, alices);
    assert_eq!(seen(&pool, "nobody@example.com").await, alices);
    assert_eq!(seen(&pool, "carol@blocked.example").await, alices);
    assert_eq!(seen(&pool, "federated@example.com").await, alices);
    let recipients: Vec<_> = pool.mails().await.into_iter().map(|mail| mail.to).collect();
    assert_eq!(recipients, [ALICE]);
}

#[tokio::test]
async fn r64_maintenance_refuses_new_sign_ins() {
    let pool = start(&[("MAINTENANCE", "true")]).await;
    assert_eq!(pool.initiate(ALICE).await, Err(not_authorized()));
    assert_eq!(pool.mails().await.len(), 0);
}

#[tokio::test]
async fn a_client_may_open_with_srp_although_no_password_is_wanted() {
    let pool = start(&[]).await;
    let opening = json!({
        "AuthFlow": "CUSTOM_AUTH",
        "AuthParameters": {"USERNAME": ALICE, "CHALLENGE_NAME": "SRP_A", "SRP_A": "1f2e3d"},
        "ClientMetadata": {"tenant": "acme"},
    });
    let challenge = pool.call("InitiateAuth", opening).await.unwrap();
    let code = pool.code(ALICE).await;
    assert!(pool.respond(&challenge, ALICE, &code, json!(null)).await.unwrap()["AuthenticationResult"].is_object());
}

#[tokio::test]
async fn f26_fifty_people_at_once_each_get_their_own_tokens() {
    let pool = start(&[]).await;
    let sign_in = async |n: u32| {
        let username = format!("user{n}@example.com");
        let challenge = pool.initiate(&username).await.unwrap();
        let code = pool.code(&username).await;
        let reply = pool.respond(&challenge, &username, &code, json!(null)).await.unwrap();
        let id_token = reply["AuthenticationResult"]["IdToken"].as_str().unwrap().to_owned();
        let claims: Value = jsonwebtoken::dangerous::insecure_decode(id_token).unwrap().claims;
        assert_eq!(claims["email"], username);
    };
    futures_util::future::join_all((0..50).map(sign_in)).await;
    assert_eq!(pool.mails().await.len(), 50);
}

#[tokio::test]
async fn of_two_answers_to_one_session_at_once_one_is_judged() {
    let pool = start(&[]).await;
    let race = async |n: u32| {
        let username = format!("user{n}@example.com");
        for _ in 0..5 {
            let challenge = pool.initiate(&username).await.unwrap();
            let code = pool.code(&username).await;
            let answer = || pool.respond(&challenge, &username, &code, json!(null));
            let mut replies = <[_; 2]>::from(tokio::join!(answer(), answer()));
            replies.sort_by_key(Result::is_err);
            let [judged, refused] = replies;
            assert!(judged.unwrap()["AuthenticationResult"].is_object());
            assert_eq!(refused.unwrap_err().1, "Invalid session for the user, session can only be used once.");
        }
    };
    futures_util::future::join_all((0..50).map(race)).await;
}

#[tokio::test]
async fn browsers_may_call_the_api_and_read_its_errors_but_not_the_mailbox() {
    let pool = start(&[]).await;
    let ask = async |path: &str| {
        let url = format!("{}{path}", pool.addresses.endpoint);
        let request = pool
            .http
            .request(reqwest::Method::OPTIONS, url)
            .header("origin", "http://app.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-amz-target,cache-control,x-amz-user-agent");
        request.send().await.unwrap()
    };
    let allowed = ask("/").await;
    assert!(allowed.status().is_success());
    assert_eq!(allowed.headers()["access-control-allow-origin"], "*");
    let get = async |path: &str, header: &'static str, value: &str| {
        let url = format!("{}{path}", pool.addresses.endpoint);
        pool.http.get(url).header(header, value).send().await.unwrap().status().as_u16()
    };
    assert!(!ask("/mailbox").await.headers().contains_key("access-control-allow-origin"));
    assert_eq!(get("/mailbox", "origin", "http://app.example").await, 403);
    assert_eq!(get("/mailbox", "origin", &pool.addresses.endpoint).await, 200);
    // A name of somebody else's that points to this machine.
    assert_eq!(get("/mailbox", "host", "app.example:9229").await, 403);
    assert_eq!(get("/", "host", "app.example").await, 403);
    assert_eq!(get("/mailbox", "host", "localhost:9229").await, 200);

    let error = pool.http.post(&pool.addresses.endpoint).header("origin", "http://app.example").send().await.unwrap();
    assert_eq!(error.status(), 400);
    assert_eq!(error.headers()["x-amzn-errortype"], "UnknownOperationException:");
    assert_eq!(error.headers()["x-amzn-requestid"].len(), 36);
    assert!(error.headers()["x-amzn-errormessage"].to_str().unwrap().starts_with("X-Amz-Target has to be"));
    let exposed = error.headers()["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("x-amzn-errortype"), "{exposed}");
}

#[tokio::test]
async fn r40_the_log_says_whose_invocation_it_was_and_counts_in_cloudwatchs_format() {
    let pool = start(&[("POWERTOOLS_SERVICE_NAME", "acme")]).await;
    let challenge = pool.initiate(ALICE).await.unwrap();
    let again = pool.respond(&challenge, ALICE, "0000 0000", json!(null)).await.unwrap();
    let code = pool.code(ALICE).await;
    pool.respond(&again, ALICE, &code, json!(null)).await.unwrap();
    pool.initiate("nobody@example.com").await.unwrap();
    let mut counted = std::collections::BTreeMap::new();
    for line in pool.lines.lock().unwrap().iter() {
        let (_, line) = line.split_once(' ').unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["function_request_id"].as_str().unwrap().len(), 36, "{line}");
        assert!(line["xray_trace_id"].as_str().unwrap().starts_with("1-"), "{line}");
        assert_eq!((&line["level"], &line["service"]), (&json!("INFO"), &json!("acme")));
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
            assert_eq!(directive["Namespace"], "CustomSignIn");
            let dimensions = directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap());
            for dimension in dimensions {
                assert!(line[dimension.as_str().unwrap()].is_string(), "{dimension} of {line}");
            }
            let [metric] = &directive["Metrics"].as_array().unwrap()[..] else { panic!("{line}") };
            let name = metric["Name"].as_str().unwrap().to_owned();
            assert!(line[&name].is_number(), "{line}");
            *counted.entry(name).or_insert(0) += 1;
        }
    }
    let cold = counted.remove("ColdStart").unwrap();
    assert!((3..=8).contains(&cold), "{cold} cold starts of three functions");
    let expected = ["ChallengeSent", "CodeAccepted", "CodeRejected", "SignedIn", "TimeToVerify", "UnknownUser"];
    assert_eq!(counted, expected.map(|name| (name.to_owned(), 1)).into());
}

/// `/dev/full` takes nothing, as a disk or a pipe of which nobody reads the end.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn f60_a_log_that_takes_nothing_more_keeps_nobody_from_signing_in() {
    let programs = crate::running::programs().await;
    let pool = start_with(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE")], |options| {
        for (name, path) in programs {
            let without_log = format!("exec '{}' >/dev/full", path.display());
            let arguments = vec!["-c".to_owned(), without_log];
            options.programs.insert(name.to_owned(), Program { arguments, ..Program::new("/bin/sh") });
        }
    })
    .await;
    let challenge = pool.initiate(ALICE).await.unwrap();
    let code = pool.code(ALICE).await;
    assert!(pool.respond(&challenge, ALICE, &code, json!(null)).await.unwrap()["AuthenticationResult"].is_object());
    assert!(!pool.lines.lock().unwrap().iter().any(|line| line.contains("challenge_sent")));
}
