//! The decisions around a sign-in.

use std::collections::HashMap;

use auth_challenge::challenge::ChallengeState;
use auth_challenge::email_address::EmailAddress;
use auth_challenge::limits::{Account, Answered, Count};
use auth_challenge::post_authentication::{self, Marking};
use auth_challenge::pre_authentication::{self, Admission};
use auth_challenge::pre_sign_up::{self, Refusal, SignUp};
use auth_challenge::pre_token_generation::{self, SIGNED_IN_AT, SIGNED_IN_BY, SignInClaims, Source, Tokens, response};
use auth_challenge::recipient::Recipient;
use auth_challenge::settings::{
    EmailDomains, PreAuthenticationSettings, PreSignUpSettings, PreTokenGenerationSettings,
};
use auth_challenge::user::{SignIn, User};
use aws_lambda_events::cognito::CognitoEventUserPoolsPreSignupTriggerSource as By;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{unknown, users};
use crate::example::{NOW, alice, keys, later, settings, sign_in, state};
use crate::limits::LIMITS;

const DOMAINS: [&str; 6] =
    ["example.com", "example.org", "evil.example", "*.example.com", "*.example.org", "mail.example.com"];

fn domain_lists() -> impl Strategy<Value = (Vec<&'static str>, Vec<&'static str>)> {
    let list = || prop::sample::subsequence(&DOMAINS[..], 0..4);
    (list(), list())
}

/// A domain as somebody may write it.
fn domains() -> impl Strategy<Value = String> {
    let names = prop::sample::select(
        &["example.com", "mail.example.com", "a.b.example.org", "evil.example", "notexample.com", "com"][..],
    );
    (names, any::<bool>(), any::<bool>()).prop_map(|(name, shouted, ended)| {
        let name = if shouted { name.to_uppercase() } else { name.to_owned() };
        if ended { name + "." } else { name }
    })
}

/// Whether a list has the domain.
fn has(list: &[&str], domain: &str) -> bool {
    let domain = domain.trim_end_matches('.').to_lowercase();
    list.iter().any(|pattern| match pattern.strip_prefix("*.") {
        Some(above) => domain.strip_suffix(above).is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        None => domain == *pattern,
    })
}

fn vars(allowed: &[&str], blocked: &[&str]) -> [(&'static str, String); 2] {
    [("ALLOWED_EMAIL_DOMAINS", allowed.join(",")), ("BLOCKED_EMAIL_DOMAINS", blocked.join(" , "))]
}

proptest! {
    #[test]
    fn a_domain_is_admitted_if_it_is_on_the_one_list_and_not_on_the_other(
        (allowed, blocked) in domain_lists(), domain in domains(),
    ) {
        let vars = vars(&allowed, &blocked);
        let lookup = |name: &str| vars.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.clone());
        let admitted = (allowed.is_empty() || has(&allowed, &domain)) && !has(&blocked, &domain);
        prop_assert_eq!(EmailDomains::from_vars(&lookup).unwrap().admit(&domain), admitted);
    }

    #[test]
    fn who_signs_up_is_of_an_admitted_domain(
        (allowed, blocked) in domain_lists(), domain in domains(), by_name: bool, user_name in "[a-z]{1,9}",
    ) {
        let vars = vars(&allowed, &blocked);
        let given = vars.each_ref().map(|(name, value)| (*name, value.as_str()));
        let settings = settings(PreSignUpSettings::from_vars, &given).unwrap();
        let address = format!("{user_name}@{domain}");
        let (name, attributes) = match by_name {
            true => (address, HashMap::new()),
            false => (user_name, HashMap::from([("email".to_owned(), address)])),
        };
        let decided = pre_sign_up::decide(&settings, &By::SignUp, "any", &name, &attributes);
        let admitted = (allowed.is_empty() || has(&allowed, &domain)) && !has(&blocked, &domain);
        let expected = if admitted { SignUp::Admit { auto_confirm: false } } else { SignUp::Refuse(Refusal::DomainNotAdmitted) };
        prop_assert_eq!(decided, expected);
    }

    #[test]
    fn required_metadata_is_there_and_says_what_the_attribute_says(
        sent in prop::option::of("[a-c]{0,2}"), held in prop::option::of("[a-c]{0,2}"), more in "\\PC{0,9}",
    ) {
        let required = [("REQUIRED_CLIENT_METADATA", "tenant=custom:tenant")];
        let settings = settings(PreAuthenticationSettings::from_vars, &required).unwrap();
        let map = |key: &str, value: &Option<String>| -> HashMap<String, String> {
            let other = ("other".to_owned(), more.clone());
            value.iter().map(|value| (key.to_owned(), value.clone())).chain([other]).collect()
        };
        let decided = pre_authentication::decide(&settings, &sign_in(), &map("custom:tenant", &held), &map("tenant", &sent));
        let admitted = sent.is_some() && sent == held && sent.as_deref() != Some("");
        let refused = Admission::Refuse(pre_authentication::Refusal::MetadataNotAccepted);
        prop_assert_eq!(decided, if admitted { Admission::Admit } else { refused });
    }

    #[test]
    fn t46_tokens_get_our_two_claims_and_the_groups_that_there_were(
        version in 1..=3_u8, groups in prop::collection::vec("\\PC{0,20}", 0..4),
        role in prop::option::of("\\PC{1,20}"), at: u64,
    ) {
        let groups = json!({"groupsToOverride": groups, "preferredRole": role});
        let claims = SignInClaims { by: "otp", at: auth_challenge::challenge::UnixSeconds(at) };
        let answer = Value::from(response(Some(&version.to_string()), Some(claims), &groups).unwrap());
        let added = json!({"claimsToAddOrOverride": {SIGNED_IN_BY: "otp", SIGNED_IN_AT: at.to_string()}});
        let changes = match version {
            1 => json!({"claimsOverrideDetails": {
                "claimsToAddOrOverride": added["claimsToAddOrOverride"], "groupOverrideDetails": groups,
            }}),
            _ => json!({"claimsAndScopeOverrideDetails": {
                "idTokenGeneration": added, "accessTokenGeneration": added, "groupOverrideDetails": groups,
            }}),
        };
        prop_assert_eq!(answer, changes);
    }

    #[test]
    fn t09_a_source_that_nobody_has_heard_of_gets_no_tokens_where_only_codes_count(
        word in "[A-Za-z]{0,20}", user in users(), client_id in "[a-z]{1,9}",
    ) {
        let settings = settings(PreTokenGenerationSettings::from_vars, &[("ONLY_BY_CODE", "true")]).unwrap();
        let source = Source::read(Some(&format!("TokenGeneration_{word}"))).unwrap();
        let known = [
            "Authentication", "AuthenticateDevice", "NewPasswordChallenge", "HostedAuth", "RefreshTokens", "ClientCredentials",
        ];
        prop_assert_eq!(source == Source::Unheard, !known.contains(&&*word));
        let decided = pre_token_generation::decide(&settings, source, &client_id, &user, NOW);
        prop_assert!(source != Source::Unheard || matches!(decided, Tokens::Refuse(_)));
        prop_assert!(Source::read(Some(&word)).is_err());
    }

    #[test]
    fn t09_who_gets_no_code_gets_no_tokens_of_a_sign_in_where_only_codes_count(
        user in unknown(), device: bool, client_id in "[a-z]{1,9}",
    ) {
        let settings = settings(PreTokenGenerationSettings::from_vars, &[("ONLY_BY_CODE", "true")]).unwrap();
        let source = if device { Source::AuthenticateDevice } else { Source::Authentication };
        let decide = |user: &User| pre_token_generation::decide(&settings, source, &client_id, user, NOW);
        prop_assert!(matches!(decide(&user), Tokens::Refuse(_)));
        prop_assert_eq!(decide(&alice()), Tokens::Issue(None));
    }

    /// T31: for this address of this account, within a minute of a right answer.
    #[test]
    fn t31_an_address_is_marked_if_this_one_was_proved_a_moment_ago_and_only_then(
        right: bool, address in "[a-c]@example\\.com", later_address in "[a-c]@example\\.com", user in "[ab]",
        later_user in "[ab]",
        client in "[a-z]{1,5}", seconds in 0..120_u64,
    ) {
        let unproved = |address: &str| {
            let address = EmailAddress::parse(address).unwrap();
            User::Known(Recipient { address, verified: false, locale: None, name: None })
        };
        let signs_in = |user_name: &str, address: &str| {
            SignIn { user_name: user_name.to_owned(), ..sign_in() }.of(&unproved(address))
        };
        let proof = signs_in(&user, &address).proof(&keys().current);
        let answer = Answered { tag: "an answer", right, proof: proof.as_deref() };
        let challenge = ChallengeState { issued_at: NOW, ..state() };
        let counted = Account::default().answer(&LIMITS, &client, &challenge, answer, NOW);
        let Ok(Count::Keep(account, ())) = counted else { unreachable!("{counted:?}") };
        let then = SignIn { client_id: client, ..signs_in(&later_user, &later_address) };
        let places = post_authentication::places(&keys(), &then, &unproved(&later_address));
        let marks = places.iter().any(|place| {
            post_authentication::decide(&then, place, &account, later(seconds)) != Marking::Leave
        });
        prop_assert_eq!(marks, right && address == later_address && user == later_user && seconds < 60);
    }
}
