//! Sign-ins with a password, sent or proved (Secure Remote Password), alone or before a custom challenge.

use auth_challenge::challenge::UnixSeconds;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use local_pool::api::ApiError;
use local_pool::trigger::Trigger;
use num_bigint::BigUint;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::stage::{NOW, Stage, client_settings, returned, three_answers};

/// RFC 3526 §4.
const PRIME: &str = concat!(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD",
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F",
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B",
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510",
    "15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7",
    "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C",
    "BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
);
const TIMESTAMP: &str = "Thu Jan 1 12:00:00 UTC 2026";

fn number(hex: &str) -> BigUint {
    BigUint::parse_bytes(hex.as_bytes(), 16).unwrap()
}

/// Hexadecimal with an even number of digits, the first of which is below 8: as Cognito's clients write numbers into hashes.
fn padded(number: &BigUint) -> Vec<u8> {
    let mut octets = number.to_bytes_be();
    if octets[0] >= 0x80 {
        octets.insert(0, 0);
    }
    octets
}

fn hash(parts: &[&[u8]]) -> BigUint {
    BigUint::from_bytes_be(&Sha256::digest(parts.concat()))
}

/// The client's secret number, and the public one that goes with it.
fn keys() -> (BigUint, BigUint) {
    let secret = hash(&[b"the client's secret number"]);
    (secret.clone(), BigUint::from(2u8).modpow(&secret, &number(PRIME)))
}

/// The responses to `PASSWORD_VERIFIER` of somebody who believes that this is the password.
fn proof(challenge: &Value, password: &str) -> Value {
    let parameter = |name: &str| challenge["ChallengeParameters"][name].as_str().unwrap();
    let prime = number(PRIME);
    let generator = BigUint::from(2u8);
    let (secret, a) = keys();
    let b = number(parameter("SRP_B"));
    let user = parameter("USER_ID_FOR_SRP");
    let u = hash(&[&padded(&a), &padded(&b)]);
    let identity = Sha256::digest(format!("LocalPool{user}:{password}"));
    let x = hash(&[&padded(&number(parameter("SALT"))), &identity]);
    let k = hash(&[&padded(&prime), &padded(&generator)]);
    // B - k·g^x, kept above zero.
    let base = (b + &k * (&prime - generator.modpow(&x, &prime))) % &prime;
    let session = base.modpow(&(secret + &u * x), &prime);
    let mut key = [0; 16];
    Hkdf::<Sha256>::new(Some(&padded(&u)), &padded(&session)).expand(b"Caldera Derived Key", &mut key).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    for part in
        [b"LocalPool", user.as_bytes(), &STANDARD.decode(parameter("SECRET_BLOCK")).unwrap(), TIMESTAMP.as_bytes()]
    {
        mac.update(part);
    }
    json!({
        "USERNAME": user, "TIMESTAMP": TIMESTAMP, "PASSWORD_CLAIM_SECRET_BLOCK": parameter("SECRET_BLOCK"),
        "PASSWORD_CLAIM_SIGNATURE": STANDARD.encode(mac.finalize().into_bytes()),
    })
}

fn open(stage: &mut Stage, flow: &str, username: &str) -> Value {
    let parameters = json!({"USERNAME": username, "CHALLENGE_NAME": "SRP_A", "SRP_A": keys().1.to_str_radix(16)});
    let call = json!({"AuthFlow": flow, "AuthParameters": parameters, "ClientMetadata": {"a": "b"}});
    let challenge = stage.ask("InitiateAuth", call).unwrap();
    assert_eq!(challenge["ChallengeName"], "PASSWORD_VERIFIER");
    challenge
}

fn prove(stage: &mut Stage, challenge: &Value, responses: &Value) -> Result<Value, ApiError> {
    let call = json!({
        "ChallengeName": "PASSWORD_VERIFIER", "Session": challenge["Session"], "ChallengeResponses": responses,
        "ClientMetadata": {"locale": "ja"},
    });
    stage.ask("RespondToAuthChallenge", call)
}

fn wrong() -> ApiError {
    ApiError { kind: "NotAuthorizedException", message: "Incorrect username or password.".to_owned() }
}

#[test]
fn a_password_that_is_proved_gets_tokens() {
    let mut stage = Stage::default();
    let challenge = open(&mut stage, "USER_SRP_AUTH", "alice@example.com");
    assert_eq!(stage.triggers(), [Trigger::PreAuthentication]);
    assert_eq!(stage.events[0].1["request"]["validationData"], json!({"a": "b"}));
    assert_eq!(challenge["ChallengeParameters"]["USERNAME"], "alice");
    // A member of the group, as clients may insist.
    assert!(number(challenge["ChallengeParameters"]["SRP_B"].as_str().unwrap()) < number(PRIME));
    // As with AWS there is none; clients that insist on one find all in the secret block.
    assert_eq!(challenge.get("Session"), None);
    let responses = proof(&challenge, "Correct horse 1");
    let reply = prove(&mut stage, &challenge, &responses).unwrap();
    assert!(reply["AuthenticationResult"]["IdToken"].is_string());
    assert_eq!(stage.triggers(), []);
}

#[test]
fn what_proves_nothing_is_refused_and_serves_once() {
    let mut stage = Stage::default();
    for (username, password) in [
        ("alice", "Correct horse 2"),
        ("dave", ""),
        ("nobody@example.com", "Correct horse 1"),
        ("nobody@example.com", ""),
    ] {
        let challenge = open(&mut stage, "USER_SRP_AUTH", username);
        let responses = proof(&challenge, password);
        assert_eq!(prove(&mut stage, &challenge, &responses), Err(wrong()), "{username}");
        let again = prove(&mut stage, &challenge, &responses).unwrap_err().message;
        assert_eq!(again, "Invalid session for the user, session can only be used once.");
    }
    for (name, value) in [
        ("TIMESTAMP", "Thu Jan 1 12:00:01 UTC 2026"),
        ("PASSWORD_CLAIM_SIGNATURE", "AAAA"),
        ("PASSWORD_CLAIM_SIGNATURE", ""),
    ] {
        let challenge = open(&mut stage, "USER_SRP_AUTH", "alice");
        let mut responses = proof(&challenge, "Correct horse 1");
        responses[name] = json!(value);
        assert_eq!(prove(&mut stage, &challenge, &responses), Err(wrong()), "{name}");
    }
    // The secret block is what stands for the exchange.
    for block in ["AAAA", "no base64", ""] {
        let challenge = open(&mut stage, "USER_SRP_AUTH", "alice");
        let mut responses = proof(&challenge, "Correct horse 1");
        responses["PASSWORD_CLAIM_SECRET_BLOCK"] = json!(block);
        let message = prove(&mut stage, &challenge, &responses).unwrap_err().message;
        assert_eq!(message, "Invalid session for the user.");
    }
    // A proof for one exchange is none for the next.
    let first = open(&mut stage, "CUSTOM_AUTH", "alice");
    let second = open(&mut stage, "CUSTOM_AUTH", "alice");
    assert_eq!(prove(&mut stage, &second, &proof(&first, "Correct horse 1")), Err(wrong()));
    // Nor is one over a block that the client made up, where a Session says which exchange it is.
    let challenge = open(&mut stage, "CUSTOM_AUTH", "alice");
    let mut made_up = challenge.clone();
    made_up["ChallengeParameters"]["SECRET_BLOCK"] = json!(STANDARD.encode("made up"));
    assert_eq!(prove(&mut stage, &challenge, &proof(&made_up, "Correct horse 1")), Err(wrong()));
}

#[test]
fn the_time_of_a_proof_is_written_in_english_whatever_its_user_speaks() {
    let mut stage = Stage::default();
    let malformed = "TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english.";
    let challenge = open(&mut stage, "USER_SRP_AUTH", "alice");
    for timestamp in [
        "",
        "2026-01-01T12:00:00Z",
        "Thu, 01 Jan 2026 12:00:00 GMT",
        "tor jan 1 12:00:00 UTC 2026",
        "Thu jan. 1 12:00:00 UTC 2026",
        "Thu Jan  1 12:00:00 UTC 2026",
        "Thu Jan 0 12:00:00 UTC 2026",
        "Thu Jan 32 12:00:00 UTC 2026",
        "Thu Jan 001 12:00:00 UTC 2026",
        "Thu Jan +1 12:00:00 UTC 2026",
        "Thu Jan 1 24:00:00 UTC 2026",
        "Thu Jan 1 12:60:00 UTC 2026",
        "Thu Jan 1 12:00:60 UTC 2026",
        "Thu Jan 1 2:00:00 UTC 2026",
        "Thu Jan 1 12:0:00 UTC 2026",
        "Thu Jan 1 12:00:9 UTC 2026",
        "Thu Jan 1 12:00 UTC 2026",
        "Thu Jan 1 12:00:00:00 UTC 2026",
        "Thu Jan 1 12:00:00 +05:30 2026",
        "Thu Jan 1 12:00:00  2026",
        "Thu Jan 1 12:00:00 2026",
        "Thu Jan 1 12:00:00 UTC 26",
        "Thu Jan 1 12:00:00 UTC 20260",
        "Thu Jan 1 12:00:00 UTC 2026 ",
        " Thu Jan 1 12:00:00 UTC 2026",
    ] {
        let mut responses = proof(&challenge, "Correct horse 1");
        responses["TIMESTAMP"] = json!(timestamp);
        let error = prove(&mut stage, &challenge, &responses).unwrap_err();
        assert_eq!((error.kind, &*error.message), ("InvalidParameterException", malformed), "{timestamp}");
    }
    // Nothing of it was an answer.
    let responses = proof(&challenge, "Correct horse 1");
    assert!(prove(&mut stage, &challenge, &responses).is_ok());
    // Another time than was signed: read, and refused for that.
    for timestamp in [
        "Mon Feb 01 00:00:00 GMT 1999",
        "Tue Mar 2 23:59:59 CEST 2026",
        "Wed Apr 9 01:02:03 utc 2026",
        "Fri Dec 31 10:20:30 UTC 2099",
        "Sat Sep 30 10:20:30 UTC 2026",
        "Sun May 10 10:20:30 UTC 2026",
    ] {
        let challenge = open(&mut stage, "USER_SRP_AUTH", "alice");
        let mut responses = proof(&challenge, "Correct horse 1");
        responses["TIMESTAMP"] = json!(timestamp);
        assert_eq!(prove(&mut stage, &challenge, &responses), Err(wrong()), "{timestamp}");
    }
}

#[test]
fn a_public_number_with_which_no_password_is_needed_is_refused() {
    let mut stage = Stage::default();
    let long = "1".repeat(2_000);
    for number in ["0", PRIME, &format!("{PRIME}0"), "", "-1", "xyz", &long] {
        let parameters = json!({"USERNAME": "alice", "SRP_A": number});
        let call = json!({"AuthFlow": "USER_SRP_AUTH", "AuthParameters": parameters});
        assert_eq!(stage.complaint("InitiateAuth", call), "SRP_A is not a number that it can be.", "{number:.20}");
    }
}

#[test]
fn a_public_number_has_at_most_twice_as_many_digits_as_the_prime() {
    let mut stage = Stage::default();
    let a = keys().1.to_str_radix(16);
    let longest = 2 * PRIME.len();
    for (length, is_taken) in [(longest, true), (longest + 1, false)] {
        let parameters = json!({"USERNAME": "alice", "SRP_A": format!("{a:0>length$}")});
        let call = json!({"AuthFlow": "USER_SRP_AUTH", "AuthParameters": parameters});
        assert_eq!(stage.ask("InitiateAuth", call).is_ok(), is_taken, "{length}");
    }
}

#[test]
fn somebody_who_does_not_exist_has_the_same_salt_at_every_try() {
    let mut stage = Stage::default();
    let salt =
        |stage: &mut Stage, name: &str| open(stage, "USER_SRP_AUTH", name)["ChallengeParameters"]["SALT"].clone();
    assert_eq!(salt(&mut stage, "nobody@example.com"), salt(&mut stage, "Nobody@example.com"));
    assert_ne!(salt(&mut stage, "nobody@example.com"), salt(&mut stage, "noone@example.com"));
    assert_eq!(salt(&mut stage, "alice"), salt(&mut stage, "alice"));
    // Sixteen octets, give or take a zero in front.
    for name in ["alice", "nobody@example.com", "noone@example.com", "dave"] {
        assert!((28..=32).contains(&salt(&mut stage, name).as_str().unwrap().len()), "{name}");
    }
}

#[test]
fn a_password_may_come_before_a_custom_challenge() {
    use Trigger::{CreateAuthChallenge as Create, DefineAuthChallenge as Define, PreAuthentication};
    let mut stage = Stage::default();
    let challenge = open(&mut stage, "CUSTOM_AUTH", "alice");
    assert_eq!(stage.triggers(), [PreAuthentication, Define]);
    let responses = proof(&challenge, "Correct horse 1");
    let custom = prove(&mut stage, &challenge, &responses).unwrap();
    assert_eq!(stage.triggers(), [Define, Create]);
    let entry = |name: &str| json!({"challengeName": name, "challengeResult": true, "challengeMetadata": null});
    assert_eq!(stage.events[0].1["request"]["session"], json!([entry("SRP_A"), entry("PASSWORD_VERIFIER")]));
    assert_eq!(stage.events[1].1["request"]["session"], stage.events[0].1["request"]["session"]);
    assert_eq!(stage.events[0].1["request"]["clientMetadata"], json!({"locale": "ja"}));
    // That was told with the challenge that the sign-in began with.
    assert_eq!(custom["ChallengeParameters"].get("USERNAME"), None);
    assert!(stage.respond(&custom["Session"], "alice", "right").unwrap()["AuthenticationResult"].is_object());

    // A proof takes a program no time.
    let challenge = open(&mut stage, "CUSTOM_AUTH", "alice");
    stage.now = UnixSeconds(NOW.0 + 30);
    let late = prove(&mut stage, &challenge, &proof(&challenge, "Correct horse 1")).unwrap_err().message;
    assert_eq!(late, "Invalid session for the user, session is expired.");
    stage.now = NOW;

    // Define is not asked about a wrong password.
    let challenge = open(&mut stage, "CUSTOM_AUTH", "alice");
    let responses = proof(&challenge, "Correct horse 2");
    assert_eq!(prove(&mut stage, &challenge, &responses), Err(wrong()));
    assert_eq!(stage.triggers(), []);
}

#[test]
fn a_sign_in_opens_with_srp_if_it_says_so() {
    let mut stage = Stage::default();
    let first_round = |stage: &mut Stage, parameters: Value| {
        let challenge = stage.initiate(parameters, json!(null)).map_err(|error| error.message)?;
        Ok(challenge["ChallengeName"].clone())
    };
    let a = keys().1.to_str_radix(16);
    let (custom, proof) = (Ok(json!("CUSTOM_CHALLENGE")), Ok(json!("PASSWORD_VERIFIER")));
    for (parameters, expected) in [
        (json!({"USERNAME": "alice", "CHALLENGE_NAME": "SRP_A", "SRP_A": a}), proof.clone()),
        (json!({"USERNAME": "alice", "ChallengeName": "SRP_A", "SRP_A": a}), proof),
        (json!({"USERNAME": "alice", "SRP_A": a}), custom.clone()),
        (json!({"USERNAME": "alice", "CHALLENGE_NAME": "CUSTOM_CHALLENGE"}), custom),
        (json!({"USERNAME": "alice", "CHALLENGE_NAME": "SRP_A"}), Err("Missing required parameter SRP_A".to_owned())),
    ] {
        assert_eq!(first_round(&mut stage, parameters.clone()), expected, "{parameters}");
    }
    // Define can ask for nothing else of Cognito's here.
    let call = json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": "alice", "CHALLENGE_NAME": "SRP_A", "SRP_A": a}});
    let other = stage.call("InitiateAuth", call, |trigger, event| {
        if trigger == Trigger::DefineAuthChallenge {
            returned(event, json!({"challengeName": "SMS_MFA"}))
        } else {
            three_answers(trigger, event)
        }
    });
    let message = "The local pool does not emulate challenge SMS_MFA at this point of a sign-in.";
    assert_eq!(other.unwrap_err().message, message);
}

#[test]
fn a_temporary_password_has_to_be_replaced_and_then_define_is_not_asked() {
    let mut stage = Stage::default();
    let challenge = open(&mut stage, "CUSTOM_AUTH", "carol");
    let responses = proof(&challenge, "Temporary horse 1");
    let asked = prove(&mut stage, &challenge, &responses).unwrap();
    assert_eq!(asked["ChallengeName"], "NEW_PASSWORD_REQUIRED");
    let parameters = &asked["ChallengeParameters"];
    assert_eq!((&parameters["USER_ID_FOR_SRP"], &parameters["requiredAttributes"]), (&json!("carol"), &json!("[]")));
    let attributes: Value = serde_json::from_str(parameters["userAttributes"].as_str().unwrap()).unwrap();
    assert_eq!(attributes["email"], "carol@example.com");
    let answer = |password: &str| {
        json!({
            "ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": asked["Session"],
            "ChallengeResponses": {"USERNAME": "carol", "NEW_PASSWORD": password, "userAttributes.name": "Carol"},
        })
    };
    let weak = stage.ask("RespondToAuthChallenge", answer("horse")).unwrap_err();
    assert_eq!(weak.kind, "InvalidPasswordException");
    assert_eq!(weak.message, "Password did not conform with policy: Password not long enough");
    let reply = stage.ask("RespondToAuthChallenge", answer("Correct horse 3")).unwrap();
    assert!(reply["AuthenticationResult"].is_object());
    assert_eq!(stage.triggers(), []);
    let carol = stage.ask("AdminGetUser", json!({"Username": "carol"})).unwrap();
    assert_eq!(carol["UserStatus"], "CONFIRMED");
    assert!(carol["UserAttributes"].as_array().unwrap().contains(&json!({"Name": "name", "Value": "Carol"})));
}

#[test]
fn a_password_may_be_sent() {
    let mut stage = Stage::default();
    let call = |flow: &str, username: &str, password: &str| json!({"AuthFlow": flow, "AuthParameters": {"USERNAME": username, "PASSWORD": password}});
    for (operation, flow) in [
        ("InitiateAuth", "USER_PASSWORD_AUTH"),
        ("AdminInitiateAuth", "USER_PASSWORD_AUTH"),
        ("AdminInitiateAuth", "ADMIN_USER_PASSWORD_AUTH"),
        ("AdminInitiateAuth", "ADMIN_NO_SRP_AUTH"),
    ] {
        let reply = stage.ask(operation, call(flow, "alice", "Correct horse 1")).unwrap();
        assert!(reply["AuthenticationResult"].is_object(), "{operation} {flow}");
        assert_eq!(stage.triggers(), [Trigger::PreAuthentication]);
        for (username, password) in [("alice", "Correct horse 2"), ("alice", ""), ("dave", ""), ("nobody", "x")] {
            assert_eq!(stage.ask(operation, call(flow, username, password)), Err(wrong()), "{username} {password}");
        }
    }
    for flow in ["ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH"] {
        let message = stage.complaint("InitiateAuth", call(flow, "alice", "Correct horse 1"));
        assert_eq!(message, "Initiate Auth method not supported.");
    }
    let reply = stage.ask("InitiateAuth", call("USER_PASSWORD_AUTH", "carol", "Temporary horse 1")).unwrap();
    assert_eq!(reply["ChallengeName"], "NEW_PASSWORD_REQUIRED");
}

#[test]
fn only_flows_that_the_client_allows_begin() {
    let mut stage = Stage::with_client(json!({"ExplicitAuthFlows": ["ALLOW_USER_AUTH"]}));
    let parameters = json!({"USERNAME": "alice", "PASSWORD": "Correct horse 1", "SRP_A": "1f", "REFRESH_TOKEN": "x"});
    for (operation, flow, message) in [
        ("InitiateAuth", "CUSTOM_AUTH", "CUSTOM_AUTH is not enabled for the client."),
        ("InitiateAuth", "USER_SRP_AUTH", "USER_SRP_AUTH is not enabled for the client."),
        ("InitiateAuth", "USER_PASSWORD_AUTH", "USER_PASSWORD_AUTH flow not enabled for this client"),
        ("AdminInitiateAuth", "ADMIN_NO_SRP_AUTH", "Auth flow not enabled for this client"),
        ("InitiateAuth", "REFRESH_TOKEN", "Auth flow not enabled for this client"),
        ("InitiateAuth", "USER_AUTH", "The local pool does not emulate AuthFlow USER_AUTH."),
    ] {
        let error = stage.ask(operation, json!({"AuthFlow": flow, "AuthParameters": parameters})).unwrap_err();
        assert_eq!((error.kind, &*error.message), ("InvalidParameterException", message));
    }
}

#[test]
fn a_password_that_has_to_be_reset_does_not_serve() {
    let erin = "[[user]]\nemail = \"erin@example.com\"\npassword = \"Correct horse 1\"\nstatus = \"RESET_REQUIRED\"";
    let mut stage = Stage::with_users(erin);
    let parameters = json!({"USERNAME": "erin@example.com", "PASSWORD": "Correct horse 1", "SRP_A": "1f2e3d"});
    let call = |flow: &str| json!({"AuthFlow": flow, "AuthParameters": parameters});
    // The client hides who exists.
    assert_eq!(stage.ask("InitiateAuth", call("USER_PASSWORD_AUTH")), Err(wrong()));
    let challenge = open(&mut stage, "USER_SRP_AUTH", "erin@example.com");
    let responses = proof(&challenge, "Correct horse 1");
    assert_eq!(prove(&mut stage, &challenge, &responses), Err(wrong()));
    assert!(stage.initiate(json!({"USERNAME": "erin@example.com"}), json!(null)).is_ok());

    let mut client = client_settings();
    client["PreventUserExistenceErrors"] = json!("LEGACY");
    stage.ask("UpdateUserPoolClient", client).unwrap();
    for flow in ["USER_PASSWORD_AUTH", "USER_SRP_AUTH"] {
        let error = stage.ask("InitiateAuth", call(flow)).unwrap_err();
        let expected = ("PasswordResetRequiredException", "Password reset required for the user");
        assert_eq!((error.kind, &*error.message), expected, "{flow}");
    }
    assert!(stage.initiate(json!({"USERNAME": "erin@example.com"}), json!(null)).is_ok());
}

#[test]
fn a_client_with_a_secret_has_to_prove_it_with_the_name_that_it_sends() {
    let hash = |name: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"the client's secret").unwrap();
        mac.update(name.as_bytes());
        mac.update(b"1client");
        STANDARD.encode(mac.finalize().into_bytes())
    };
    let mut stage = Stage::with_secret("the client's secret");
    let initiate = |parameters: Value| json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": parameters});
    let missing = "Client 1client is configured with secret but SECRET_HASH was not received";
    let wrong = "Unable to verify secret hash for client 1client";
    assert_eq!(stage.complaint("InitiateAuth", initiate(json!({"USERNAME": "alice"}))), missing);
    for other in [hash("bob"), hash("ALICE"), "no base64".to_owned(), String::new()] {
        let parameters = json!({"USERNAME": "alice", "SECRET_HASH": other});
        assert_eq!(stage.complaint("InitiateAuth", initiate(parameters)), wrong);
    }
    let parameters = json!({"USERNAME": "alice@example.com", "SECRET_HASH": hash("alice@example.com")});
    let session = stage.ask("InitiateAuth", initiate(parameters)).unwrap()["Session"].clone();
    let respond = |username: &str, hash: Option<String>| {
        let mut responses = json!({"USERNAME": username, "ANSWER": "right"});
        if let Some(hash) = hash {
            responses["SECRET_HASH"] = json!(hash);
        }
        json!({"ChallengeName": "CUSTOM_CHALLENGE", "Session": session, "ChallengeResponses": responses})
    };
    assert_eq!(stage.complaint("RespondToAuthChallenge", respond("alice", None)), missing);
    assert_eq!(stage.complaint("RespondToAuthChallenge", respond("alice", Some(hash("alice@example.com")))), wrong);
    let tokens = stage.ask("RespondToAuthChallenge", respond("alice", Some(hash("alice")))).unwrap();
    let token = tokens["AuthenticationResult"]["RefreshToken"].clone();

    // Tokens are refreshed without a name; the hash is that of the user's own.
    let refresh = |hash: String| json!({"AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": {"REFRESH_TOKEN": token, "SECRET_HASH": hash}});
    assert_eq!(stage.complaint("InitiateAuth", refresh(hash("alice@example.com"))), wrong);
    assert!(stage.ask("InitiateAuth", refresh(hash("alice"))).is_ok());
    // Some calls bring the secret itself.
    let unverified = "Unable to verify secret for client 1client";
    for (operation, name) in [("GetTokensFromRefreshToken", "RefreshToken"), ("RevokeToken", "Token")] {
        assert_eq!(stage.complaint(operation, json!({name: token})), unverified);
        assert_eq!(stage.complaint(operation, json!({name: token, "ClientSecret": "another"})), unverified);
        assert!(stage.ask(operation, json!({name: token, "ClientSecret": "the client's secret"})).is_ok());
    }
    let sign_up = json!({"Username": "new@example.com", "Password": "Correct horse 1"});
    assert_eq!(stage.complaint("SignUp", sign_up), missing);
}
