//! `custom-auth sign-in`: one whole sign-in, step by step.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use local_pool::server::{Options, bind};
use local_pool::ses::Mail;
use parking_lot::Mutex;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::local::{self, DEFAULT_PORT};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Who signs in
    #[arg(long, default_value = "alice@example.com")]
    username: String,
    /// Local pool that runs already; without it, the one on port 9229, or else one that is started for this sign-in
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Start a pool for this sign-in, even if one runs on port 9229
    #[arg(long, conflicts_with = "endpoint_url")]
    new: bool,
}

/// What `local --json` prints.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pool {
    endpoint: String,
    client_id: String,
    user_pool_id: String,
    jwks_uri: String,
    mailbox: String,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    // The pool is on this machine, and no trigger keeps it longer than three times 5 s.
    let http = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    let default = format!("http://127.0.0.1:{DEFAULT_PORT}");
    let running = match &arguments.endpoint_url {
        Some(endpoint) => Some(pool_at(&http, endpoint).await.map_err(|error| {
            format!("no local pool at {endpoint} ({error}): give the URL that `cargo run` prints, with http://")
        })?),
        None if arguments.new => None,
        None => pool_at(&http, &default).await.ok(),
    };
    if let Some(pool) = running {
        println!("Using the pool that runs at {}, with its settings.", pool.endpoint);
        return sign_in(&http, &pool, &arguments.username).await;
    }

    println!("Starting the functions and a pool for this sign-in.");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let logs = Arc::new(move |function: &str, line: &str| kept.lock().push(format!("[{function}] {line}")));
    let mut options = Options::new(bind(0).await?, logs);
    options.triggers = local::ours();
    let server = local::start(options).await?;
    let pool: Pool = serde_json::from_value(server.addresses().to_json())?;
    let done = tokio::select! {
        done = sign_in(&http, &pool, &arguments.username) => done,
        served = server.serve(std::future::pending()) => Err(format!("the pool ended: {served:?}").into()),
    };
    if done.is_err() {
        for line in lines.lock().iter() {
            eprintln!("{line}");
        }
    }
    done
}

async fn pool_at(http: &Client, endpoint: &str) -> Result<Pool, reqwest::Error> {
    let url = format!("{}/local-pool.json", endpoint.trim_end_matches('/'));
    // Somebody else may listen there, and never answer.
    http.get(url).timeout(Duration::from_secs(2)).send().await?.error_for_status()?.json().await
}

async fn sign_in(http: &Client, pool: &Pool, username: &str) -> Result<(), Box<dyn Error>> {
    let mails_before = mails(http, pool).await?.len();
    println!("\n1. InitiateAuth, CUSTOM_AUTH, USERNAME={username}");
    let parameters = json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": username}});
    let mut reply = call(http, pool, "InitiateAuth", parameters).await?;
    let user_id = text(&reply, "/ChallengeParameters/USERNAME")?;
    if reply["ChallengeParameters"]["nextStep"] == "PROVIDE_AUTH_PARAMETERS" {
        println!("   asked for parameters; answering with none");
        reply = respond(http, pool, &reply, &user_id, "-").await?;
    }
    let told = &reply["ChallengeParameters"];
    let length = text(told, "/codeLength")?;
    println!(
        "   {}: a code of {length} {} by {}, {} tries",
        text(&reply, "/ChallengeName")?,
        text(told, "/codeAlphabet")?,
        text(told, "/deliveryMedium")?,
        text(told, "/attemptsLeft")?,
    );

    println!("2. Mailbox");
    let mut mails = mails(http, pool).await?;
    mails.truncate(mails.len().saturating_sub(mails_before));
    // The user may have been called by another name than the address.
    let to_username = mails.iter().find(|mail| mail.to.eq_ignore_ascii_case(username));
    let mail = to_username.or(mails.first());
    let mail = mail.ok_or_else(|| format!("no mail for {username}: is there a user with this verified address?"))?;
    let code = code_in(&mail.text, &length).ok_or("there is no code in the mail")?;
    println!("   \"{}\" to {}: {code}", mail.subject, mail.to);

    println!("3. RespondToAuthChallenge, CUSTOM_CHALLENGE, ANSWER={code}");
    let reply = respond(http, pool, &reply, &user_id, code).await?;
    let id_token = text(&reply, "/AuthenticationResult/IdToken")
        .map_err(|_| format!("the code was not accepted: {}", reply["ChallengeParameters"]["errorCode"]))?;
    let access_token = text(&reply, "/AuthenticationResult/AccessToken")?;
    println!("   tokens");

    println!("4. Tokens, verified with the keys of {}", pool.jwks_uri);
    let keys: JwkSet = http.get(&pool.jwks_uri).send().await?.error_for_status()?.json().await?;
    let id = verify(&keys, pool, &id_token, "id")?;
    let access = verify(&keys, pool, &access_token, "access")?;
    println!("   ID token       sub={} email={}", id["sub"], id["email"]);
    println!("   access token   sub={} scope={}", access["sub"], access["scope"]);
    println!("\n{username} is signed in.");
    Ok(())
}

/// The mails, newest first.
async fn mails(http: &Client, pool: &Pool) -> Result<Vec<Mail>, reqwest::Error> {
    http.get(&pool.mailbox).send().await?.error_for_status()?.json().await
}

/// The line of a mail that is a code of that length, and nothing else.
fn code_in<'a>(text: &'a str, length: &str) -> Option<&'a str> {
    text.lines().find(|line| {
        // Spaces join its groups; marks of direction stand around it where text runs from right to left.
        let is_between = |c: &char| matches!(c, '\u{a0}' | '\u{2068}' | '\u{2069}');
        let symbols: Vec<char> = line.chars().filter(|c| !is_between(c)).collect();
        symbols.len().to_string() == length && symbols.iter().all(char::is_ascii_alphanumeric)
    })
}

async fn respond(
    http: &Client,
    pool: &Pool,
    challenge: &Value,
    username: &str,
    answer: &str,
) -> Result<Value, Box<dyn Error>> {
    let parameters = json!({
        "ChallengeName": "CUSTOM_CHALLENGE",
        "Session": challenge["Session"],
        "ChallengeResponses": {"USERNAME": username, "ANSWER": answer},
    });
    call(http, pool, "RespondToAuthChallenge", parameters).await
}

/// One operation of the user pool API (AWS JSON 1.1).
async fn call(http: &Client, pool: &Pool, operation: &str, mut parameters: Value) -> Result<Value, Box<dyn Error>> {
    parameters["ClientId"] = pool.client_id.as_str().into();
    let request = http
        .post(&pool.endpoint)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("AWSCognitoIdentityProviderService.{operation}"))
        .body(parameters.to_string());
    let reply = request.send().await?;
    let succeeded = reply.status().is_success();
    let reply: Value = reply.json().await?;
    if succeeded {
        return Ok(reply);
    }
    Err(format!("{operation}: {}: {}", text(&reply, "/__type")?, text(&reply, "/message")?).into())
}

fn text(reply: &Value, path: &str) -> Result<String, Box<dyn Error>> {
    let found = reply.pointer(path).and_then(Value::as_str);
    found.map(ToOwned::to_owned).ok_or_else(|| format!("the pool's reply has no {path}").into())
}

/// The claims of a token that this pool signed for this client, of this use, and still valid.
fn verify(keys: &JwkSet, pool: &Pool, token: &str, token_use: &str) -> Result<Value, Box<dyn Error>> {
    let kid = decode_header(token)?.kid.ok_or("the token names no key")?;
    let key = DecodingKey::from_jwk(keys.find(&kid).ok_or("the token's key is not among the pool's")?)?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[format!("{}/{}", pool.endpoint, pool.user_pool_id)]);
    // Access tokens have no audience but a client_id.
    validation.validate_aud = false;
    let claims: Value = decode(token, &key, &validation)?.claims;
    let client = if token_use == "id" { &claims["aud"] } else { &claims["client_id"] };
    if claims["token_use"] != token_use || *client != pool.client_id.as_str() {
        return Err(format!("the {token_use} token is not for this client and use").into());
    }
    Ok(claims)
}
