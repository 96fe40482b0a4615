//! `custom-auth sign-in`: one whole sign-in, step by step. At a local pool the code is taken from the mailbox; at any other, from the
//! person who has got the mail.

use std::error::Error;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, dangerous, decode, decode_header};
use local_pool::server::{Options, bind};
use local_pool::ses::Mail;
use parking_lot::Mutex;
use reqwest::{Client, Url};
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
    /// App client of a user pool in AWS, or at the endpoint; you are asked for the code that is mailed
    #[arg(long, value_name = "ID", conflicts_with = "new")]
    client_id: Option<String>,
    /// Region of that pool
    #[arg(long, value_parser = region, requires = "client_id")]
    region: Option<String>,
}

/// Reads a region, which becomes part of a host's name.
fn region(text: &str) -> Result<String, String> {
    let is_one = text.contains('-') && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if is_one { Ok(text.to_owned()) } else { Err("a region is called like eu-west-1".to_owned()) }
}

/// Where to sign in.
struct Pool {
    endpoint: String,
    client_id: String,
    /// The id of the pool, if it is known before there is a token.
    user_pool_id: Option<String>,
    codes: Codes,
}

/// Where codes come from.
enum Codes {
    /// The mailbox of a local pool, at this address.
    Mailbox(String),
    /// The person at the terminal.
    Terminal,
}

/// What `local --json` prints.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Local {
    endpoint: String,
    client_id: String,
    user_pool_id: String,
    mailbox: String,
}

impl From<Local> for Pool {
    fn from(local: Local) -> Pool {
        let Local { endpoint, client_id, user_pool_id, mailbox } = local;
        Pool { endpoint, client_id, user_pool_id: Some(user_pool_id), codes: Codes::Mailbox(mailbox) }
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    if let Some(client_id) = arguments.client_id {
        // A trigger keeps Cognito waiting for three times 5 s at most.
        let http = Client::builder().timeout(Duration::from_secs(30));
        let (endpoint, http) = match (arguments.endpoint_url, &arguments.region) {
            (Some(url), _) => (url.trim_end_matches('/').to_owned(), http.no_proxy().build()?),
            (None, Some(region)) => (aws(region), http.build()?),
            (None, None) => return Err("say where the app client is: --region, or --endpoint-url".into()),
        };
        println!("Using the app client {client_id} at {endpoint}.");
        let pool = Pool { endpoint, client_id, user_pool_id: None, codes: Codes::Terminal };
        return sign_in(&http, &pool, &arguments.username).await;
    }
    // The pool is on this machine, and waits as long for a trigger as it was told to.
    let http = Client::builder().no_proxy().build()?;
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
    let pool = serde_json::from_value::<Local>(server.addresses().to_json())?.into();
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

/// Cognito's address in a region.
fn aws(region: &str) -> String {
    let of_china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://cognito-idp.{region}.amazonaws.com{of_china}")
}

async fn pool_at(http: &Client, endpoint: &str) -> Result<Pool, reqwest::Error> {
    let url = format!("{}/local-pool.json", endpoint.trim_end_matches('/'));
    // Somebody else may listen there, and never answer.
    let reply = http.get(url).timeout(Duration::from_secs(2)).send().await?.error_for_status()?;
    Ok(reply.json::<Local>().await?.into())
}

async fn sign_in(http: &Client, pool: &Pool, username: &str) -> Result<(), Box<dyn Error>> {
    let newest_before = match &pool.codes {
        Codes::Mailbox(mailbox) => mails(http, mailbox).await?.into_iter().next(),
        Codes::Terminal => None,
    };
    println!("\n1. InitiateAuth, CUSTOM_AUTH, USERNAME={username}");
    let parameters = json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": username}});
    let mut reply = call(http, pool, "InitiateAuth", parameters).await?;
    let user_id = text(&reply, "/ChallengeParameters/USERNAME")?;
    if reply["ChallengeParameters"]["nextStep"] == "PROVIDE_AUTH_PARAMETERS" {
        println!("   asked for parameters; answering with none");
        reply = respond(http, pool, &reply, &user_id, Say::Answer("-")).await?;
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
    let reply = match &pool.codes {
        Codes::Mailbox(mailbox) => {
            println!("2. Mailbox");
            let mails = mails(http, mailbox).await?;
            // A mailbox that is full has as many mails as before.
            let new: Vec<&Mail> = mails.iter().take_while(|mail| Some(*mail) != newest_before.as_ref()).collect();
            let code = code_from(&new, username, &length)?;
            println!("3. RespondToAuthChallenge, CUSTOM_CHALLENGE, ANSWER={code}");
            respond(http, pool, &reply, &user_id, Say::Answer(code)).await?
        }
        Codes::Terminal => answer_from_terminal(http, pool, reply, &user_id).await?,
    };
    let id_token = text(&reply, "/AuthenticationResult/IdToken")
        .map_err(|_| format!("the code was not accepted: {}", reply["ChallengeParameters"]["errorCode"]))?;
    let access_token = text(&reply, "/AuthenticationResult/AccessToken")?;
    println!("   tokens");

    let (issuer, id) = match &pool.user_pool_id {
        Some(id) => (format!("{}/{id}", pool.endpoint), id.clone()),
        None => issuer(&id_token, &pool.endpoint)?,
    };
    let jwks_uri = format!("{}/{id}/.well-known/jwks.json", pool.endpoint);
    println!("4. Tokens, verified with the keys of {jwks_uri}");
    let keys: JwkSet = http.get(&jwks_uri).send().await?.error_for_status()?.json().await?;
    let id = verify(&keys, pool, &issuer, &id_token, "id")?;
    let access = verify(&keys, pool, &issuer, &access_token, "access")?;
    println!("   ID token       sub={} email={}", id["sub"], id["email"]);
    println!("   access token   sub={} scope={}", access["sub"], access["scope"]);
    println!("\n{username} is signed in.");
    Ok(())
}

/// The code in the first of these mails that is to the user.
fn code_from<'a>(mails: &[&'a Mail], username: &str, length: &str) -> Result<&'a str, Box<dyn Error>> {
    // The user may have been called by another name than the address.
    let to_username = mails.iter().find(|mail| mail.to.eq_ignore_ascii_case(username));
    let mail = to_username.or(mails.first()).copied();
    let mail = mail.ok_or_else(|| format!("no mail for {username}: is there a user with this verified address?"))?;
    let code = code_in(&mail.text, length).ok_or("there is no code in the mail")?;
    println!("   \"{}\" to {}: {code}", mail.subject, mail.to);
    Ok(code)
}

/// Asks for the code, and for another if it is not right, until there are tokens or an error.
async fn answer_from_terminal(
    http: &Client,
    pool: &Pool,
    mut challenge: Value,
    user_id: &str,
) -> Result<Value, Box<dyn Error>> {
    println!("2. Your mail");
    loop {
        print!("   The code, or `{RESEND}` for another mail: ");
        io::stdout().flush()?;
        let mut line = String::new();
        if io::stdin().read_line(&mut line)? == 0 {
            return Err("no code was typed".into());
        }
        let answer = line.trim();
        if answer.is_empty() {
            continue;
        }
        let is_resend = answer.eq_ignore_ascii_case(RESEND);
        println!("3. RespondToAuthChallenge, CUSTOM_CHALLENGE, {}", if is_resend { "action=RESEND" } else { "ANSWER" });
        let say = if is_resend { Say::Resend } else { Say::Answer(answer) };
        challenge = respond(http, pool, &challenge, user_id, say).await?;
        if challenge.get("AuthenticationResult").is_some_and(|result| !result.is_null()) {
            return Ok(challenge);
        }
        let told = &challenge["ChallengeParameters"];
        match told["errorCode"].as_str() {
            Some(error) => println!("   {error}; {} tries left", text(told, "/attemptsLeft")?),
            None => println!("   another mail with the same code is on its way"),
        }
    }
}

/// What is typed for another mail. It is no code: those have no vowels.
const RESEND: &str = "resend";

/// The issuer that a token names, and the pool's id in it, if the pool can be one at this endpoint. No more is taken from the token: the
/// keys are those that the endpoint has for this id, and show whether it is true.
fn issuer(token: &str, endpoint: &str) -> Result<(String, String), Box<dyn Error>> {
    let claims: Value = dangerous::insecure_decode(token)?.claims;
    let issuer = claims["iss"].as_str().unwrap_or_default();
    let (origin, id) = issuer.rsplit_once('/').unwrap_or_default();
    if !(is_pool_id(id) && is_at(origin, id, endpoint)) {
        return Err(format!("the ID token was issued by {issuer:?}, which is no pool at {endpoint}").into());
    }
    Ok((issuer.to_owned(), id.to_owned()))
}

/// Whether this is in the form of a pool's id, and nothing that changes the meaning of a URL.
fn is_pool_id(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    text.rsplit_once('_').is_some_and(|(region, rest)| {
        let is_rest = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric());
        is_rest && !region.is_empty() && region.bytes().all(is_word)
    })
}

/// Whether the pool that is asked at `endpoint` may name an issuer at `origin`.
fn is_at(origin: &str, id: &str, endpoint: &str) -> bool {
    if origin == endpoint {
        return true;
    }
    let (Ok(named), Ok(asked)) = (Url::parse(origin), Url::parse(endpoint)) else { return false };
    if named.origin().ascii_serialization() != origin {
        return false;
    }
    named.origin() == asked.origin() || (is_loopback(&named) && is_loopback(&asked)) || is_of_aws(origin, id, &asked)
}

/// Whether a URL is of this machine, which has several names.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether AWS's pools of that region have this issuer. They have one of two, and neither is told by the endpoint: a pool's own
/// `IssuerConfiguration` chooses, and endpoints for FIPS or in a VPC have hosts of their own.
fn is_of_aws(origin: &str, id: &str, endpoint: &Url) -> bool {
    let region = id.split('_').next().unwrap_or_default();
    let host = endpoint.host_str().unwrap_or_default();
    let is_in_region = [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|domain| host.ends_with(domain))
        && host.split('.').any(|label| label == region)
        && endpoint.scheme() == "https";
    let original = aws(region);
    let updated = original.replacen("cognito-idp", "issuer-cognito-idp", 1);
    is_in_region && [original, updated].iter().any(|issuer| issuer == origin)
}

/// The mails, newest first.
async fn mails(http: &Client, mailbox: &str) -> Result<Vec<Mail>, reqwest::Error> {
    http.get(mailbox).send().await?.error_for_status()?.json().await
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

/// What is said to a challenge.
enum Say<'a> {
    Answer(&'a str),
    Resend,
}

async fn respond(
    http: &Client,
    pool: &Pool,
    challenge: &Value,
    username: &str,
    say: Say<'_>,
) -> Result<Value, Box<dyn Error>> {
    // Cognito wants an answer in any case.
    let (answer, metadata) = match say {
        Say::Answer(answer) => (answer, json!({})),
        Say::Resend => ("-", json!({"action": "RESEND"})),
    };
    let parameters = json!({
        "ChallengeName": "CUSTOM_CHALLENGE",
        "Session": challenge["Session"],
        "ChallengeResponses": {"USERNAME": username, "ANSWER": answer},
        "ClientMetadata": metadata,
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
    let reply = request.send().await.map_err(|error| format!("no answer from {}: {}", pool.endpoint, cause(&error)))?;
    let succeeded = reply.status().is_success();
    let reply: Value = reply.json().await?;
    if succeeded {
        return Ok(reply);
    }
    Err(format!("{operation}: {}: {}", text(&reply, "/__type")?, text(&reply, "/message")?).into())
}

/// What an error comes from in the end.
fn cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}

fn text(reply: &Value, path: &str) -> Result<String, Box<dyn Error>> {
    let found = reply.pointer(path).and_then(Value::as_str);
    found.map(ToOwned::to_owned).ok_or_else(|| format!("the pool's reply has no {path}").into())
}

/// The claims of a token that this issuer signed for this client, of this use, and still valid.
fn verify(keys: &JwkSet, pool: &Pool, issuer: &str, token: &str, token_use: &str) -> Result<Value, Box<dyn Error>> {
    let kid = decode_header(token)?.kid.ok_or("the token names no key")?;
    let key = DecodingKey::from_jwk(keys.find(&kid).ok_or("the token's key is not among the pool's")?)?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[issuer]);
    // Access tokens have no audience but a client_id.
    validation.validate_aud = false;
    let claims: Value = decode(token, &key, &validation)?.claims;
    if is_for(&claims, &pool.client_id, token_use) {
        return Ok(claims);
    }
    Err(format!("the {token_use} token is not for this client and use").into())
}

fn is_for(claims: &Value, client_id: &str, token_use: &str) -> bool {
    let client = if token_use == "id" { &claims["aud"] } else { &claims["client_id"] };
    claims["token_use"] == token_use && *client == client_id
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at a surprise")]

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_region_is_a_part_of_a_hosts_name_and_no_more() {
        for good in ["eu-west-1", "us-gov-west-1", "cn-north-1"] {
            assert_eq!(region(good).as_deref(), Ok(good));
        }
        for bad in ["", "1", "ireland", "EU-WEST-1", "eu_west_1", "eu-west-1.evil.example", "eu-west-1/", "eu-ouest-é"]
        {
            assert_eq!(region(bad), Err("a region is called like eu-west-1".to_owned()), "{bad}");
        }
        assert_eq!(aws("eu-west-1"), "https://cognito-idp.eu-west-1.amazonaws.com");
        assert_eq!(aws("cn-north-1"), "https://cognito-idp.cn-north-1.amazonaws.com.cn");
    }

    /// The pool's id, of which the keys are fetched from the endpoint, if it is taken from a token that names this issuer.
    fn id_from(issuer: &str, endpoint: &str) -> Option<String> {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"iss": issuer, "exp": 4_102_444_800_u64});
        let token = format!("{}.{}.c2ln", part(json!({"alg": "RS256"})), part(claims));
        let (named, id) = super::issuer(&token, endpoint).ok()?;
        assert_eq!(named, issuer);
        Some(id)
    }

    #[test]
    fn keys_are_fetched_from_the_endpoint_and_from_nowhere_else() {
        let endpoint = "https://cognito-idp.eu-west-1.amazonaws.com";
        let good = format!("{endpoint}/eu-west-1_AbC");
        assert_eq!(id_from(&good, endpoint).as_deref(), Some("eu-west-1_AbC"));
        for bad in [
            "",
            "/",
            "/eu-west-1_AbC/..",
            "/../eu-west-1_AbC",
            "/eu-west-1_AbC?b",
            "/eu-west-1_AbC#b",
            "/eu-west-1_AbC%2f..",
            "/eu-west-1_",
            "/_AbC",
            "/eu-west-1",
            "/a?b",
            "/a/eu-west-1_AbC",
            ":444/eu-west-1_AbC",
            ".evil.example/eu-west-1_AbC",
            "@evil.example/eu-west-1_AbC",
        ] {
            assert_eq!(id_from(&format!("{endpoint}{bad}"), endpoint), None, "{bad}");
        }
        for bad in [
            "https://evil.example/eu-west-1_AbC",
            "https://a@cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC",
            "http://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC",
            "http://127.0.0.1:9229/eu-west-1_AbC",
            "eu-west-1_AbC",
        ] {
            assert_eq!(id_from(bad, endpoint), None, "{bad}");
        }
    }

    #[test]
    fn an_issuer_may_have_another_of_the_names_of_this_machine() {
        for (endpoint, issuer) in [
            ("http://localhost:9229", "http://127.0.0.1:9229"),
            ("http://127.0.0.1:9229", "http://localhost:9229"),
            ("http://[::1]:9229", "http://localhost:9229"),
            ("http://127.0.0.2:4566", "http://localhost:9229"),
            ("HTTP://LOCALHOST:9229", "http://localhost:9229"),
            ("https://idp.example:443", "https://idp.example"),
            ("http://idp.example/cognito", "http://idp.example/cognito"),
        ] {
            let id = id_from(&format!("{issuer}/local_AbC"), endpoint);
            assert_eq!(id.as_deref(), Some("local_AbC"), "{endpoint} {issuer}");
        }
        for (endpoint, issuer) in [
            ("http://localhost:9229", "http://localhost.evil.example:9229"),
            ("http://localhost:9229", "http://127.0.0.1.evil.example"),
            ("http://localhost:9229", "http://10.0.0.1:9229"),
            ("http://localhost:9229", "https://cognito-idp.eu-west-1.amazonaws.com"),
            ("https://evil.example", "http://127.0.0.1:9229"),
            ("http://idp.example", "https://idp.example"),
        ] {
            assert_eq!(id_from(&format!("{issuer}/eu-west-1_AbC"), endpoint), None, "{endpoint} {issuer}");
        }
    }

    #[test]
    fn a_pool_in_aws_has_one_of_two_issuers_whichever_endpoint_of_its_region_is_asked() {
        let fips = "https://cognito-idp-fips.us-west-2.amazonaws.com";
        let vpc = "https://vpce-0123456789abcdef0-abcdefgh.cognito-idp.us-west-2.vpce.amazonaws.com";
        let issuers =
            ["https://cognito-idp.us-west-2.amazonaws.com", "https://issuer-cognito-idp.us-west-2.amazonaws.com"];
        for endpoint in [&aws("us-west-2"), fips, vpc] {
            for issuer in issuers {
                let id = id_from(&format!("{issuer}/us-west-2_AbC"), endpoint);
                assert_eq!(id.as_deref(), Some("us-west-2_AbC"), "{endpoint} {issuer}");
            }
            for issuer in [
                "https://cognito-idp.us-east-1.amazonaws.com/us-west-2_AbC",
                "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbC",
                "https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_AbC",
                "https://cognito-idp.us-west-2.amazonaws.com.cn/us-west-2_AbC",
                "https://other-cognito-idp.us-west-2.amazonaws.com/us-west-2_AbC",
                "http://issuer-cognito-idp.us-west-2.amazonaws.com/us-west-2_AbC",
            ] {
                assert_eq!(id_from(issuer, endpoint), None, "{endpoint} {issuer}");
            }
        }
        let china = "https://issuer-cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbC";
        assert!(id_from(china, &aws("cn-north-1")).is_some());
        for endpoint in [
            "https://evil.example",
            "https://us-west-2.evil.example",
            "https://cognito-idp.us-west-2.amazonaws.com.evil.example",
            "http://cognito-idp.us-west-2.amazonaws.com",
        ] {
            assert_eq!(id_from(&format!("{}/us-west-2_AbC", issuers[0]), endpoint), None, "{endpoint}");
        }
    }

    #[test]
    fn a_token_is_for_one_client_and_one_use() {
        let id = json!({"token_use": "id", "aud": "ours"});
        let access = json!({"token_use": "access", "client_id": "ours"});
        assert!(is_for(&id, "ours", "id") && is_for(&access, "ours", "access"));
        for (claims, client_id, token_use) in
            [(&id, "theirs", "id"), (&access, "theirs", "access"), (&id, "ours", "access"), (&access, "ours", "id")]
        {
            assert!(!is_for(claims, client_id, token_use), "{claims} {client_id} {token_use}");
        }
        let of_others = json!({"token_use": "access", "aud": "ours", "client_id": "ours"});
        assert!(!is_for(&of_others, "ours", "id"));
    }

    #[test]
    fn a_code_is_a_line_of_its_own_and_as_long_as_the_pool_says() {
        let mail = "Hello 12345678,\n\u{2068}1234\u{a0}5678\u{2069}\n12345\nvalid for 10 minutes\nBCDFG\u{a0}HJKLM\n1234-5678\n";
        assert_eq!(code_in(mail, "8"), Some("\u{2068}1234\u{a0}5678\u{2069}"));
        assert_eq!(code_in(mail, "10"), Some("BCDFG\u{a0}HJKLM"));
        assert_eq!(code_in(mail, "5"), Some("12345"));
        assert_eq!(code_in(mail, "9"), None);
    }

    #[test]
    fn the_mail_is_the_users_or_else_the_newest() {
        let mail = |to: &str, text: &str| -> Mail {
            let mail = json!({
                "to": to, "text": text, "from": "a@example.com", "subject": "", "html": "", "at": "2026-01-01T00:00:00Z",
            });
            serde_json::from_value(mail).unwrap()
        };
        let (other, hers) = (mail("bob@example.com", "11111111"), mail("Alice@example.com", "22222222"));
        assert_eq!(code_from(&[&other, &hers], "alice@example.com", "8").ok(), Some("22222222"));
        assert_eq!(code_from(&[&other, &hers], "alice", "8").ok(), Some("11111111"));
        let none = code_from(&[], "alice", "8").map_err(|error| error.to_string());
        assert_eq!(none, Err("no mail for alice: is there a user with this verified address?".to_owned()));
    }
}
