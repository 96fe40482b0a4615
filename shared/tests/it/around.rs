//! The decisions around a sign-in: who may sign up, who gets which tokens, and whose address is proved.

use std::collections::HashMap;

use auth_challenge::challenge::{ChallengeState, UnixSeconds};
use auth_challenge::code::CodeKey;
use auth_challenge::email_address::EmailAddress;
use auth_challenge::limits::{Account, AccountKey, Answered, Count};
use auth_challenge::post_authentication::{self, Marking, Place};
use auth_challenge::pre_authentication;
use auth_challenge::pre_token_generation::{self, SignInClaims, Source, Tokens, WayRound, response};
use auth_challenge::recipient::Recipient;
use auth_challenge::settings::{
    LimitsSettings, PostAuthenticationSettings, PreSignUpSettings, PreTokenGenerationSettings,
};
use auth_challenge::trigger::TriggerError;
use auth_challenge::user::{SignIn, User, WhyUnknown};
use serde_json::{Value, json};

use crate::example::{NOW, alice, define, keys, later, nobody, settings, sign_in, state};

mod pre_sign_up_decides {
    use super::*;
    use auth_challenge::pre_sign_up::{Refusal, SignUp, decide};
    use aws_lambda_events::cognito::CognitoEventUserPoolsPreSignupTriggerSource as By;

    const ADMITTED: SignUp = SignUp::Admit { auto_confirm: false };
    const BY_DOMAIN: SignUp = SignUp::Refuse(Refusal::DomainNotAdmitted);

    fn sign_up(by: By, given: &[(&str, &str)], user_name: &str, email: Option<&str>) -> SignUp {
        let settings = settings(PreSignUpSettings::from_vars, given).unwrap();
        let attributes: HashMap<_, _> = email.map(|email| ("email".to_owned(), email.to_owned())).into_iter().collect();
        decide(&settings, &by, "1example23456789", user_name, &attributes)
    }

    #[test]
    fn everybody_may_sign_up_by_default_and_has_to_confirm() {
        assert_eq!(sign_up(By::SignUp, &[], "alice", Some("alice@example.com")), ADMITTED);
        assert_eq!(sign_up(By::SignUp, &[], "alice", None), ADMITTED);
    }

    #[test]
    fn accounts_are_confirmed_when_the_settings_ask_for_it() {
        let asked = [("AUTO_CONFIRM", "true")];
        let confirmed = SignUp::Admit { auto_confirm: true };
        assert_eq!(sign_up(By::SignUp, &asked, "alice", Some("alice@example.com")), confirmed);
    }

    #[test]
    fn domains_are_allowed_and_blocked() {
        let allowed = [("ALLOWED_EMAIL_DOMAINS", "example.com,*.example.org")];
        let blocked = [("BLOCKED_EMAIL_DOMAINS", "evil.example")];
        for (rules, email, expected) in [
            (allowed, "alice@example.com", ADMITTED),
            (allowed, "alice@EXAMPLE.com.", ADMITTED),
            (allowed, "alice@mail.example.org", ADMITTED),
            (allowed, "alice@example.org", BY_DOMAIN),
            (allowed, "alice@example.com@evil.example", BY_DOMAIN),
            (allowed, "example.com", BY_DOMAIN),
            (allowed, "", BY_DOMAIN),
            (blocked, "eve@evil.example", BY_DOMAIN),
            (blocked, "eve@EVIL.example.", BY_DOMAIN),
            (blocked, "\"alice@example.com\"@evil.example", BY_DOMAIN),
            (blocked, "alice@example.com", ADMITTED),
        ] {
            assert_eq!(sign_up(By::SignUp, &rules, "7d5ba2f0", Some(email)), expected, "{rules:?} {email}");
        }
    }

    #[test]
    fn who_gives_no_address_does_not_slip_through_a_list_of_allowed_domains() {
        let allowed = [("ALLOWED_EMAIL_DOMAINS", "example.com")];
        assert_eq!(sign_up(By::SignUp, &allowed, "eve", None), BY_DOMAIN);
        assert_eq!(sign_up(By::SignUp, &allowed, "eve@example.com", None), ADMITTED);
        // The address counts, whatever the account is called.
        assert_eq!(sign_up(By::SignUp, &allowed, "eve@example.com", Some("eve@evil.example")), BY_DOMAIN);
        assert_eq!(sign_up(By::SignUp, &[("BLOCKED_EMAIL_DOMAINS", "evil.example")], "eve", None), ADMITTED);
    }

    #[test]
    fn who_could_not_begin_a_sign_in_does_not_sign_up() {
        let refused = |why| SignUp::Refuse(Refusal::NotAdmitted(why));
        let alice = Some("alice@example.com");
        let maintenance = [("MAINTENANCE", "true")];
        assert_eq!(sign_up(By::SignUp, &maintenance, "", alice), refused(pre_authentication::Refusal::Maintenance));
        let others = [("ALLOWED_CLIENT_IDS", "2example")];
        assert_eq!(sign_up(By::SignUp, &others, "", alice), refused(pre_authentication::Refusal::ClientNotAllowed));
    }

    #[test]
    fn administrators_and_identity_providers_make_whom_they_want() {
        let rules = [
            ("MAINTENANCE", "true"),
            ("ALLOWED_CLIENT_IDS", "2example"),
            ("ALLOWED_EMAIL_DOMAINS", "example.com"),
            ("AUTO_CONFIRM", "true"),
        ];
        for by in [By::AdminCreateUser, By::ExternalProvider] {
            assert_eq!(sign_up(by.clone(), &rules, "", Some("eve@evil.example")), ADMITTED, "{by:?}");
        }
    }

    #[test]
    fn r39_a_refusal_does_not_say_which_rule_it_was() {
        let told = |refusal: Refusal| TriggerError::from(refusal);
        assert_eq!(told(Refusal::DomainNotAdmitted), TriggerError::SignUpNotAllowed);
        let not_admitted = |why| told(Refusal::NotAdmitted(why));
        assert_eq!(not_admitted(pre_authentication::Refusal::ClientNotAllowed), TriggerError::SignUpNotAllowed);
        assert_eq!(not_admitted(pre_authentication::Refusal::Maintenance), TriggerError::Maintenance);
    }
}

const SOURCES: [Source; 7] = [
    Source::Authentication,
    Source::AuthenticateDevice,
    Source::NewPasswordChallenge,
    Source::HostedAuth,
    Source::RefreshTokens,
    Source::ClientCredentials,
    Source::Unheard,
];

fn tokens(given: &[(&str, &str)], source: Source, client_id: &str, user: &User) -> Tokens {
    let settings = settings(PreTokenGenerationSettings::from_vars, given).unwrap();
    pre_token_generation::decide(&settings, source, client_id, user, NOW)
}

#[test]
fn r39_a_refusal_of_tokens_does_not_say_which_way_round_it_was() {
    for way_round in [WayRound::NewPassword, WayRound::ClientNotAllowed, WayRound::Unheard] {
        assert_eq!(TriggerError::from(way_round), TriggerError::SignInNotAllowed);
    }
}

#[test]
fn without_settings_tokens_are_issued_as_if_nobody_had_been_asked() {
    for source in SOURCES {
        for user in [alice(), nobody()] {
            assert_eq!(tokens(&[], source, "any", &user), Tokens::Issue(None), "{source:?}");
        }
    }
}

/// Every source, with a client that may sign in and one that may not, for a user who gets codes and one who does not.
#[test]
fn t09_only_by_code_refuses_whatever_certainly_came_round_the_challenge() {
    use WayRound::{ClientNotAllowed, HostedPages, NewPassword, NoCodeForUser, Unheard};
    let no_code = Some(NoCodeForUser(WhyUnknown::UserNotFound));
    let not_allowed = Some(ClientNotAllowed);
    for (source, [ours_alice, ours_nobody, theirs_alice, theirs_nobody]) in [
        (Source::Authentication, [None, no_code, not_allowed, not_allowed]),
        (Source::AuthenticateDevice, [None, no_code, not_allowed, not_allowed]),
        (Source::RefreshTokens, [None, None, not_allowed, not_allowed]),
        (Source::NewPasswordChallenge, [Some(NewPassword); 4]),
        (Source::HostedAuth, [Some(HostedPages); 4]),
        (Source::ClientCredentials, [None; 4]),
        (Source::Unheard, [Some(Unheard); 4]),
    ] {
        let given = [("ONLY_BY_CODE", "true"), ("ALLOWED_CLIENT_IDS", "ours")];
        for (client, user, expected) in [
            ("ours", alice(), ours_alice),
            ("ours", nobody(), ours_nobody),
            ("theirs", alice(), theirs_alice),
            ("theirs", nobody(), theirs_nobody),
        ] {
            let expected = expected.map_or(Tokens::Issue(None), Tokens::Refuse);
            assert_eq!(tokens(&given, source, client, &user), expected, "{source:?} {client} {user:?}");
        }
        // A pool in which every client may.
        let expected = ours_alice.map_or(Tokens::Issue(None), Tokens::Refuse);
        assert_eq!(tokens(&given[..1], source, "theirs", &alice()), expected, "{source:?}");
    }
}

#[test]
fn claims_are_told_of_sign_ins_by_code_alone() {
    let given = [("SIGN_IN_CLAIMS", "true"), ("ALLOWED_CLIENT_IDS", "ours")];
    for source in SOURCES {
        let is_sign_in = matches!(source, Source::Authentication | Source::AuthenticateDevice);
        let claims = is_sign_in.then_some(SignInClaims { by: "otp", at: NOW });
        assert_eq!(tokens(&given, source, "ours", &alice()), Tokens::Issue(claims), "{source:?}");
        assert_eq!(tokens(&given, source, "ours", &nobody()), Tokens::Issue(None), "{source:?}");
        assert_eq!(tokens(&given, source, "theirs", &alice()), Tokens::Issue(None), "{source:?}");
    }
    let after_password = [("SIGN_IN_CLAIMS", "true"), ("PASSWORD_FIRST", "true")];
    let both = Tokens::Issue(Some(SignInClaims { by: "pwd otp", at: NOW }));
    assert_eq!(tokens(&after_password, Source::Authentication, "ours", &alice()), both);
}

#[test]
fn sources_are_read_as_cognito_writes_them_and_no_others() {
    for source in SOURCES {
        let name = format!("TokenGeneration_{source:?}");
        assert_eq!(Source::read(Some(&name)), Ok(source), "{name}");
    }
    assert_eq!(Source::read(Some("TokenGeneration_authentication")), Ok(Source::Unheard));
    for other in [None, Some(""), Some("Authentication"), Some("PostAuthentication_Authentication")] {
        assert_eq!(Source::read(other), Err(TriggerError::MalformedEvent), "{other:?}");
    }
}

fn groups() -> Value {
    json!({"groupsToOverride": ["staff"], "iamRolesToOverride": ["arn:aws:iam::111122223333:role/staff"], "preferredRole": "arn:x"})
}

#[test]
fn each_version_of_the_event_gets_its_own_shape_and_groups_are_kept() {
    let claims = Some(SignInClaims { by: "otp", at: NOW });
    let added = json!({"claimsToAddOrOverride": {"signed_in_by": "otp", "signed_in_at": NOW.to_string()}});
    let mut one = added.clone();
    one["groupOverrideDetails"] = groups();
    let both = json!({"idTokenGeneration": added, "accessTokenGeneration": added, "groupOverrideDetails": groups()});
    for (version, member, changes) in [
        ("1", "claimsOverrideDetails", one),
        ("2", "claimsAndScopeOverrideDetails", both.clone()),
        ("3", "claimsAndScopeOverrideDetails", both),
    ] {
        let answer = |claims, groups: &Value| Value::from(response(Some(version), claims, groups).unwrap());
        assert_eq!(answer(claims, &groups()), json!({member: changes}), "{version}");
        // Nothing is changed, so nothing is said; groups that are named as none would be taken away.
        assert_eq!(answer(None, &groups()), json!({member: null}), "{version}");
        for no_groups in [json!(null), json!({}), json!([])] {
            let answer = answer(claims, &no_groups);
            assert!(answer[member].get("groupOverrideDetails").is_none(), "{version}: {answer}");
        }
    }
    for version in [None, Some("0"), Some("4"), Some("V1_0"), Some("")] {
        assert_eq!(response(version, claims, &groups()), Err(TriggerError::MalformedEvent), "{version:?}");
    }
}

fn unproved(address: &str) -> User {
    let address = EmailAddress::parse(address).unwrap();
    User::Known(Recipient { address, verified: false, locale: None, name: None })
}

/// A sign-in of this user, in which an answer was given.
fn answered(user: &User, right: bool, at: UnixSeconds) -> Account {
    let limits = settings(LimitsSettings::from_vars, &[]).unwrap().limits;
    let proof = sign_in().of(user).proof(&keys().current);
    let answer = Answered { tag: "an answer", right, proof: proof.as_deref() };
    let account = Account::default();
    match account.answer(&limits, &sign_in().client_id, &ChallengeState { issued_at: at, ..state() }, answer, at) {
        Ok(Count::Keep(account, ())) => account,
        other => panic!("{other:?}"),
    }
}

/// What becomes of the user's address when this is what is found of the account.
fn marking(sign_in: &SignIn, user: &User, found: &Account, now: UnixSeconds) -> Marking {
    let sign_in = sign_in.clone().of(user);
    let places = post_authentication::places(&keys(), &sign_in, user);
    let mut decided = places.iter().map(|place| post_authentication::decide(&sign_in, place, found, now));
    decided.find(|marking| *marking != Marking::Leave).unwrap_or(Marking::Leave)
}

#[test]
fn an_address_is_marked_after_a_right_answer_and_after_nothing_else() {
    let user = unproved("alice@example.com");
    let marked = Marking::Mark(EmailAddress::parse("alice@example.com").unwrap());
    let proved = answered(&user, true, NOW);
    assert_eq!(marking(&sign_in(), &user, &proved, NOW), marked);
    // Cognito's repeats come within a minute, and so does another sign-in, for which it is as true.
    assert_eq!(marking(&sign_in(), &user, &proved, later(59)), marked);
    assert_eq!(marking(&SignIn { client_id: "another".to_owned(), ..sign_in() }, &user, &proved, NOW), marked);
    assert_eq!(marking(&sign_in(), &user, &proved, later(60)), Marking::Leave);

    assert_eq!(marking(&sign_in(), &user, &Account::default(), NOW), Marking::Leave);
    assert_eq!(marking(&sign_in(), &user, &answered(&user, false, NOW), NOW), Marking::Leave);
}

#[test]
fn t31_a_proof_is_of_one_address_of_one_account() {
    let user = unproved("alice@example.com");
    let proved = answered(&user, true, NOW);
    for other in ["victim@example.com", "Alice@example.com", "alice@example.co"] {
        assert_eq!(marking(&sign_in(), &unproved(other), &proved, NOW), Marking::Leave, "{other}");
    }
    for other in [
        SignIn { user_name: "bob".to_owned(), ..sign_in() },
        SignIn { user_pool_id: "eu-west-1_OTHER".to_owned(), ..sign_in() },
    ] {
        assert_eq!(marking(&other, &user, &proved, NOW), Marking::Leave, "{other:?}");
    }
    // What an answer proves of a verified address is nothing new.
    assert_eq!(marking(&sign_in(), &user, &answered(&alice(), true, NOW), NOW), Marking::Leave);
}

#[test]
fn there_is_nothing_to_look_for_where_nothing_is_to_be_proved() {
    for user in [alice(), nobody()] {
        assert_eq!(post_authentication::places(&keys(), &sign_in().of(&user), &user), []);
    }
    let user = unproved("alice@example.com");
    let places = post_authentication::places(&keys(), &sign_in().of(&user), &user);
    let [current, previous] = [&keys().current, keys().previous.as_ref().unwrap()].map(|key| Place {
        account: AccountKey::new(key, &sign_in(), &user),
        proof: sign_in().of(&user).proof(key).unwrap(),
    });
    assert_eq!(places, [current, previous]);
}

/// Who changed the address after the mail went out has a code of the old one.
#[test]
fn t31_f48_a_code_that_went_to_one_address_is_none_of_another() {
    let [evil, victim] = ["eve@evil.example", "victim@example.com"].map(|address| sign_in().of(&unproved(address)));
    let (sealed, format) = (state().seal(&keys(), &evil).unwrap(), define(&[]).challenge.format);
    assert_eq!(ChallengeState::open(&sealed, &keys(), &evil), Some(state()));
    for other in [&victim, &sign_in()] {
        assert_eq!(ChallengeState::open(&sealed, &keys(), other), None);
        let [ours, theirs] = [&evil, other].map(|sign_in| state().code(&keys(), sign_in, format).unwrap());
        assert_ne!(*ours.grouped(), *theirs.grouped());
    }
    // Yet counts go on, whatever address somebody takes.
    let account = |sign_in: &SignIn, address: &str| AccountKey::new(&keys().current, sign_in, &unproved(address));
    let counted = account(&evil, "eve@evil.example");
    assert_eq!(account(&victim, "victim@example.com"), counted);
    assert_eq!(AccountKey::new(&keys().current, &sign_in(), &alice()), counted);
}

#[test]
fn a_proof_tells_nothing_without_the_key() {
    let user = unproved("alice@example.com");
    let proofs = [b"one key", b"another"].map(|key| sign_in().of(&user).proof(&CodeKey::new(key)).unwrap());
    assert_ne!(proofs[0], proofs[1]);
    assert_eq!(proofs.map(|proof| proof.len()), [22, 22]);
    let text = format!("{:?}", sign_in().of(&user));
    assert!(!text.contains("alice"), "{text}");
}

#[test]
fn t47_without_a_table_for_the_proof_no_address_is_proved() {
    let asked = [("VERIFY_BY_CODE", "true"), ("LIMITS_TABLE", "")];
    let says = "VERIFY_BY_CODE must be false without a LIMITS_TABLE, which keeps the proof of an address";
    assert_eq!(settings(LimitsSettings::from_vars, &asked).unwrap_err().to_string(), says);
    assert_eq!(settings(PostAuthenticationSettings::from_vars, &asked).unwrap_err().to_string(), says);
    assert!(settings(PostAuthenticationSettings::from_vars, &asked[..1]).is_ok());
    assert!(settings(PostAuthenticationSettings::from_vars, &asked[1..]).is_ok());
}
