//! G4: facts that are shown by trying all there is: every value of a small domain, and of a large one every value near where
//! something changes. What is expected is written from the rule, in arithmetic without bounds where the code's has some.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, PRIVATE_KEY, UnixSeconds};
use auth_challenge::client_metadata::{Action, ClientMetadata, SignInMethod};
use auth_challenge::create_auth_challenge::{self, Deliver};
use auth_challenge::define_auth_challenge::{self, NextStep};
use auth_challenge::limits::{Account, Answered, Count, Limited, Limits};
use auth_challenge::pre_authentication::{self, Admission};
use auth_challenge::pre_token_generation::{self, Source, Tokens};
use auth_challenge::recipient::Recipient;
use auth_challenge::rounds::{Round, Rounds, Standing};
use auth_challenge::settings::{
    LimitsSettings, PreAuthenticationSettings, PreTokenGenerationSettings, RecipientSettings,
};
use auth_challenge::trigger::TriggerError;
use auth_challenge::user::{SignIn, User, WhyUnknown};
use auth_challenge::verify_auth_challenge::{self, Refusal, Verdict};

use crate::example::{Counter, NOW, alice, create, define, keys, later, nobody, settings, sign_in, state, verify};

const BASE64URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Seconds at both ends of the clock, and about now.
fn moments(within: u64) -> impl Iterator<Item = u64> + Clone {
    (0..=within).chain(NOW.0 - within..=NOW.0 + within).chain(u64::MAX - within..=u64::MAX)
}

fn every_user() -> Vec<User> {
    let whys = [
        WhyUnknown::UserNotFound,
        WhyUnknown::EmailNotVerified,
        WhyUnknown::EmailNotUsable,
        WhyUnknown::DomainNotAdmitted,
        WhyUnknown::StatusNotAdmitted,
    ];
    std::iter::once(alice()).chain(whys.map(User::Unknown)).collect()
}

fn every_metadata() -> Vec<ClientMetadata> {
    let methods = [SignInMethod::EmailOtp, SignInMethod::Unsupported];
    let actions = [Action::Answer, Action::Resend];
    actions
        .into_iter()
        .flat_map(|action| methods.map(|sign_in_method| ClientMetadata { action, sign_in_method, locale: None }))
        .collect()
}

/// Every kind of state, at both ends of each count and of the clock, and about where a code begins and ends.
fn every_state() -> Vec<ChallengeState> {
    let mut states = Vec::new();
    let kinds = [(ChallengeKind::Code, false), (ChallengeKind::Code, true), (ChallengeKind::Parameters, false)];
    for (kind, repeated) in kinds {
        for issued_at in [0, NOW.0 - 600, NOW.0 - 599, NOW.0, NOW.0 + 30, NOW.0 + 31, u64::MAX].map(UnixSeconds) {
            for attempts in [0, 1, 2, 3, u8::MAX] {
                for mails in [0, 1, 3, u8::MAX] {
                    for last_sent in [UnixSeconds(0), issued_at, NOW, UnixSeconds(u64::MAX)] {
                        let state = ChallengeState { kind, repeated, issued_at, attempts, mails, last_sent, ..state() };
                        states.push(state);
                    }
                }
            }
        }
    }
    states
}

/// Whether a challenge of ten minutes can be answered at `now`, by a clock that has no end.
fn lives(state: &ChallengeState, now: UnixSeconds) -> bool {
    let (issued_at, now) = (u128::from(state.issued_at.0), u128::from(now.0));
    // The last second that a clock can show is over for whatever would live beyond it.
    issued_at <= now + 30 && now < (issued_at + 600).min(u64::MAX.into())
}

#[test]
fn g4_r05_r59_a_challenge_lives_from_its_beginning_to_its_end_wherever_on_the_clock_they_are() {
    for issued_at in moments(40) {
        let state = ChallengeState { issued_at: UnixSeconds(issued_at), ..state() };
        for now in moments(640) {
            let alive = state.is_live(UnixSeconds(now), Duration::from_secs(600));
            assert_eq!(alive, lives(&state, UnixSeconds(now)), "from {issued_at} at {now}");
        }
    }
}

#[test]
fn g4_f53_a_moment_and_a_time_make_a_later_moment_or_the_last_there_is() {
    for at in moments(100) {
        for seconds in (0..=100).chain([600, 86_400, u64::MAX - 1, u64::MAX]) {
            let after = UnixSeconds(at).plus(Duration::from_secs(seconds));
            assert_eq!(u128::from(after.0), (u128::from(at) + u128::from(seconds)).min(u64::MAX.into()));
        }
    }
}

#[test]
fn f53_a_clock_before_1970_is_at_its_beginning() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_millis(seconds);
    assert_eq!([0, 999, 1_000, 1_767_268_800_999].map(|ms| UnixSeconds::from(at(ms)).0), [0, 0, 1, NOW.0]);
    assert_eq!(UnixSeconds::from(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), UnixSeconds(0));
}

#[test]
fn g4_r13_attempts_go_up_by_one_for_an_answer_to_a_code_and_never_down() {
    for state in every_state() {
        for attempts in 0..=u8::MAX {
            let state = ChallengeState { attempts, ..state };
            let answered = u8::from(state.kind == ChallengeKind::Code && attempts < u8::MAX);
            assert_eq!(state.attempts_after(Action::Answer), attempts + answered);
            assert_eq!(state.attempts_after(Action::Resend), attempts);
        }
    }
    for max_attempts in 1..=u8::MAX {
        let allowed = |repeated| ChallengeState { repeated, ..state() }.allowed_attempts(max_attempts);
        assert_eq!(allowed(false), max_attempts);
        // One is left to whoever was first, and whoever shares a challenge has one at least.
        assert_eq!(allowed(true), if max_attempts == 1 { 1 } else { max_attempts - 1 });
    }
}

#[test]
fn g4_r12_a_number_in_a_state_has_one_spelling() {
    let parsed = |attempts: &str| {
        let text = state().to_string().replacen(".0.1.", &format!(".{attempts}.1."), 1);
        text.parse::<ChallengeState>().ok().map(|state| state.attempts)
    };
    let canonical: HashMap<String, u8> = (0..=u8::MAX).map(|number| (number.to_string(), number)).collect();
    let mut texts = vec![String::new()];
    for _ in 0..4 {
        for text in &texts {
            assert_eq!(parsed(text), canonical.get(text).copied(), "{text:?}");
        }
        texts = texts.iter().flat_map(|text| "0123456789+- ".chars().map(move |c| format!("{text}{c}"))).collect();
    }
}

#[test]
fn g4_r12_t45_base64_in_a_state_has_one_spelling() {
    let opens = |text: &str| ChallengeState::open(text, &keys(), &sign_in()).is_some();
    for nonce in (0..=u8::MAX).map(|last| Nonce::from([7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, last])) {
        let state = ChallengeState { nonce, ..state() };
        let text = state.to_string();
        let (before, behind) = text.rsplit_once(".1767268800.0.").unwrap();
        // Sixteen bytes are 21 characters and two bits of another, whose other four bits say nothing and must be nothing.
        let last = before.len() - 1;
        let of_last: Vec<char> = BASE64URL
            .chars()
            .filter(|c| format!("{}{c}.1767268800.0.{behind}", &text[..last]).parse::<ChallengeState>().is_ok())
            .collect();
        assert_eq!(of_last, ['A', 'Q', 'g', 'w']);

        if nonce.bytes()[15] % 64 > 0 {
            continue;
        }
        let sealed = state.seal(&keys(), &sign_in()).unwrap();
        let (without_last, last) = sealed.split_at(sealed.len() - 1);
        for c in (0..0x3000).filter_map(char::from_u32) {
            assert_eq!(opens(&format!("{without_last}{c}")), last == c.to_string(), "{c:?}");
        }
        for padding in ["=", "==", "A", "AA", ".", " ", "\n"] {
            assert!(!opens(&format!("{sealed}{padding}")), "{padding:?}");
        }
    }
}

#[test]
fn g4_r26_define_has_an_answer_at_every_moment_and_tokens_only_for_a_live_right_code_of_somebody_known() {
    for (given, max_attempts) in [(&[][..], 3), (&[("MAX_ATTEMPTS", "1")], 1), (&[("PASSWORD_FIRST", "true")], 3)] {
        let settings = define(given);
        for state in every_state() {
            for (correct, password) in [(false, false), (true, false), (false, true), (true, true)] {
                let before: &[Round] = if password { &[Round::SrpA, Round::PasswordVerified] } else { &[] };
                let challenge = Round::CustomChallenge { state, correct };
                let rounds: Rounds = before.iter().copied().chain([challenge]).collect();
                for user in &every_user() {
                    for metadata in &every_metadata() {
                        for now in [UnixSeconds(0), NOW, UnixSeconds(u64::MAX)] {
                            let must_change = state.attempts % 2 == 1;
                            let step = define_auth_challenge::decide(
                                &settings,
                                &sign_in(),
                                user,
                                must_change,
                                &rounds,
                                metadata,
                                now,
                            );
                            let allowed = if state.repeated { 1.max(max_attempts - 1) } else { max_attempts };
                            let due = correct
                                && state.kind == ChallengeKind::Code
                                && state.attempts < allowed
                                && lives(&state, now)
                                && matches!(user, User::Known(_))
                                && (password || !settings.password_first)
                                && metadata.sign_in_method == SignInMethod::EmailOtp
                                && metadata.action == Action::Answer;
                            assert_eq!(step == NextStep::IssueTokens, due, "{state:?} {correct} {user:?} at {now}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn g4_r26_create_makes_a_challenge_after_every_history_that_goes_on_and_after_no_other() {
    let mut letters = vec![Round::SrpA, Round::PasswordVerified, Round::Unrecognized];
    for state in every_state() {
        letters.extend([true, false].map(|correct| Round::CustomChallenge { state, correct }));
    }
    let mut histories: Vec<Rounds> = vec![Rounds::default()];
    histories.extend(letters.iter().map(|round| [*round].into_iter().collect()));
    histories.extend(letters.iter().map(|round| [Round::SrpA, Round::PasswordVerified, *round].into_iter().collect()));
    let now = UnixSeconds;
    for given in [&[][..], &[("PARAMETER_ROUND", "true"), ("SHOW_DESTINATION", "masked"), ("MAX_MAILS", "5")]] {
        let settings = create(given);
        for rounds in &histories {
            for metadata in every_metadata() {
                for now in [now(0), NOW, later(30), now(u64::MAX)] {
                    let make = |user: &User| {
                        let chance = &mut Counter(0);
                        create_auth_challenge::decide(&settings, &sign_in(), user, rounds, &metadata, now, chance)
                    };
                    let before = match rounds.standing() {
                        Standing::Begun | Standing::SrpBegun | Standing::PasswordVerified => None,
                        Standing::Answered { state, correct: false, .. } => Some(state),
                        Standing::Answered { correct: true, .. } | Standing::Impossible => {
                            assert_eq!(make(&alice()).unwrap_err(), TriggerError::Internal);
                            continue;
                        }
                    };
                    let (known, unknown) = (make(&alice()).unwrap(), make(&nobody()).unwrap());
                    assert_eq!(known.state, unknown.state);
                    match before.filter(|before| before.kind == ChallengeKind::Code) {
                        None => assert_eq!((known.state.issued_at, known.state.attempts), (now, 0)),
                        Some(before) => {
                            let same = |state: &ChallengeState| (state.key_id, state.nonce, state.issued_at);
                            assert_eq!(same(&known.state), same(&before));
                            assert!(known.state.attempts >= before.attempts);
                            let mailed = known.state.mails != before.mails;
                            assert!(
                                !mailed || (known.state.mails == before.mails + 1 && before.mails < settings.max_mails)
                            );
                            assert_eq!(mailed, matches!(known.deliver, Deliver::Mail(_)));
                        }
                    }
                    // Whoever signs in: a mail, or as long as one takes, and the same words.
                    assert_eq!(
                        matches!(known.deliver, Deliver::Mail(_)),
                        matches!(unknown.deliver, Deliver::Pretend(WhyUnknown::UserNotFound))
                    );
                    let told = |challenge: create_auth_challenge::Challenge| {
                        let mut told: HashMap<String, String> = challenge.public.into();
                        let destination = told.remove("destination").map(|masked| masked.len());
                        (told, destination)
                    };
                    assert_eq!(told(known), told(unknown));
                }
            }
        }
    }
}

#[test]
fn g4_r26_t31_verify_accepts_the_right_code_of_this_sign_in_in_time_from_somebody_known_and_nothing_else() {
    let settings = verify(&[]);
    let elsewhere = SignIn { user_name: "bob".to_owned(), ..sign_in() };
    // Mails are nothing to it.
    for state in every_state().into_iter().filter(|state| state.mails == 1 && state.last_sent == NOW) {
        let ours = state.seal(&keys(), &sign_in()).unwrap();
        let foreign = state.seal(&keys(), &elsewhere).unwrap();
        let right = state.code(&keys(), &sign_in(), settings.challenge.format).unwrap().grouped();
        for (sealed, is_ours) in
            [(Some(ours.as_str()), true), (Some(foreign.as_str()), false), (Some(""), false), (None, false)]
        {
            let private: HashMap<_, _> =
                sealed.map(|sealed| (PRIVATE_KEY.to_owned(), sealed.to_owned())).into_iter().collect();
            for answer in [right.as_str(), "", "0"] {
                for user in &every_user() {
                    for metadata in &every_metadata() {
                        for now in [UnixSeconds(0), NOW, UnixSeconds(u64::MAX)] {
                            let (verdict, read) = verify_auth_challenge::decide(
                                &settings,
                                &sign_in(),
                                user,
                                &private,
                                answer,
                                metadata,
                                now,
                            );
                            let looked_at = is_ours
                                && metadata.action == Action::Answer
                                && metadata.sign_in_method == SignInMethod::EmailOtp
                                && state.kind == ChallengeKind::Code
                                && lives(&state, now);
                            let due = looked_at && answer == right.as_str() && matches!(user, User::Known(_));
                            assert_eq!(verdict == Verdict::Accept, due, "{state:?} {answer:?} {user:?} at {now}");
                            assert_eq!(verdict.is_about_the_answer(), looked_at, "{verdict:?}");
                            assert_eq!(read, is_ours.then_some(state));
                        }
                    }
                }
            }
        }
    }
    // This one comes of the counts, and the handler's own.
    for limited in [Limited::Used, Limited::Attempts, Limited::Failures, Limited::Mails] {
        assert!(!Verdict::Reject(Refusal::Limited(limited)).is_about_the_answer());
    }
}

#[test]
fn g4_r26_pre_authentication_admits_who_meets_every_rule_that_is_set_and_nobody_else() {
    let rules = [
        ("MAINTENANCE", "true"),
        ("ALLOWED_CLIENT_IDS", "another"),
        ("ALLOWED_EMAIL_DOMAINS", "example.org"),
        ("BLOCKED_EMAIL_DOMAINS", "example.com"),
        ("REQUIRED_CLIENT_METADATA", "terms"),
        ("REQUIRED_CLIENT_METADATA", "tenant=custom:tenant"),
    ];
    let attribute = |name: &str, value: Option<&str>| value.map(|value| (name.to_owned(), value.to_owned()));
    for chosen in 0..1_u8 << rules.len() {
        let given: Vec<_> = (0..rules.len()).filter(|rule| chosen >> rule & 1 == 1).map(|rule| rules[rule]).collect();
        // Of two rules for one variable the later one holds.
        let given: HashMap<_, _> = given.into_iter().collect();
        let given: Vec<_> = given.into_iter().collect();
        let is_set = |rule: (&str, &str)| given.contains(&rule);
        let settings = settings(PreAuthenticationSettings::from_vars, &given).unwrap();
        for client_id in ["another", "1example23456789"] {
            for domain in ["example.com", "example.org", "example.net"] {
                for terms in [None, Some(""), Some("yes")] {
                    for (tenant, own) in [
                        (None, None),
                        (Some("a"), None),
                        (None, Some("a")),
                        (Some("a"), Some("b")),
                        (Some("a"), Some("a")),
                    ] {
                        let email = format!("alice@{domain}");
                        let attributes =
                            attribute("email", Some(&email)).into_iter().chain(attribute("custom:tenant", own));
                        let said = attribute("terms", terms).into_iter().chain(attribute("tenant", tenant));
                        let sign_in = SignIn { client_id: client_id.to_owned(), ..sign_in() };
                        let admission =
                            pre_authentication::decide(&settings, &sign_in, &attributes.collect(), &said.collect());
                        let due = !is_set(rules[0])
                            && (!is_set(rules[1]) || client_id == "another")
                            && (!is_set(rules[2]) || domain == "example.org")
                            && (!is_set(rules[3]) || domain != "example.com")
                            && (!is_set(rules[4]) || terms == Some("yes"))
                            && (!is_set(rules[5]) || (tenant.is_some() && tenant == own));
                        assert_eq!(
                            admission == Admission::Admit,
                            due,
                            "{given:?} {client_id} {email} {terms:?} {tenant:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn g4_r26_pre_token_generation_has_an_answer_to_every_source_user_and_setting() {
    let switches = ["ONLY_BY_CODE", "SIGN_IN_CLAIMS", "PASSWORD_FIRST"];
    for chosen in 0..1_u8 << switches.len() {
        let on = |switch: usize| chosen >> switch & 1 == 1;
        let mut given: Vec<_> = (0..3).filter(|n| on(*n)).map(|n| (switches[n], "true")).collect();
        given.push(("ALLOWED_CLIENT_IDS", "1example23456789"));
        let settings = settings(PreTokenGenerationSettings::from_vars, &given).unwrap();
        for (source, is_sign_in, may_be_ours) in [
            (Source::Authentication, true, true),
            (Source::AuthenticateDevice, true, true),
            (Source::RefreshTokens, false, true),
            (Source::ClientCredentials, false, true),
            (Source::NewPasswordChallenge, false, false),
            (Source::HostedAuth, false, false),
            (Source::Unheard, false, false),
        ] {
            for (client_id, is_listed) in [("1example23456789", true), ("another", false)] {
                for user in &every_user() {
                    let tokens = pre_token_generation::decide(&settings, source, client_id, user, NOW);
                    let known = matches!(user, User::Known(_));
                    let ours =
                        may_be_ours && (is_listed || source == Source::ClientCredentials) && (known || !is_sign_in);
                    match tokens {
                        Tokens::Refuse(_) => assert!(on(0) && !ours, "{source:?} {client_id} {user:?}"),
                        Tokens::Issue(claims) => {
                            assert!(ours || !on(0), "{source:?} {client_id} {user:?}");
                            let by = claims.map(|claims| (claims.by, claims.at));
                            let expected =
                                (on(1) && ours && is_sign_in).then_some((if on(2) { "pwd otp" } else { "otp" }, NOW));
                            assert_eq!(by, expected, "{source:?} {client_id} {user:?}");
                        }
                    }
                }
            }
        }
    }
}

fn limits() -> Limits {
    settings(LimitsSettings::from_vars, &[]).unwrap().limits
}

/// An account after wrong answers that have come to this level, the last of them at this moment.
fn at_level(level: u32, last_failure: u64) -> Account {
    let mut account = serde_json::to_value(Account::default()).unwrap();
    account["failures"] = level.min(limits().latch_after - 1).into();
    account["level"] = level.into();
    account["last_failure"] = last_failure.into();
    serde_json::from_value(account).unwrap()
}

fn begin(account: &Account, now: u64) -> Result<Count<ChallengeState>, Limited> {
    let fresh = ChallengeState { issued_at: UnixSeconds(now), last_sent: UnixSeconds(now), ..state() };
    account.start(&limits(), "1example23456789", fresh, UnixSeconds(now))
}

#[test]
fn g4_r15_r17_the_wait_before_a_sign_in_doubles_from_half_a_minute_to_an_hour_and_is_over_to_the_second() {
    for level in 0..=200_u32 {
        let doublings = level.checked_sub(10);
        let wait = doublings.map_or(0, |doublings| (30 * 2_u64.pow(doublings.min(20))).min(3_600));
        for seconds in (0..3).chain(wait.saturating_sub(2)..=wait + 2) {
            let begun = begin(&at_level(level, NOW.0), NOW.0 + seconds);
            assert_eq!(begun == Err(Limited::Failures), seconds < wait, "level {level} after {seconds} s: {begun:?}");
        }
    }
}

#[test]
fn g4_f53_counts_hold_at_both_ends_of_the_clock_and_when_it_goes_back() {
    let of_the_end = [90_000, 86_400, 600, 61, 60, 1, 0].map(|before| u64::MAX - before);
    let ends = [&[0, 1, 599, 600, 86_399, 86_400, NOW.0][..], &of_the_end].concat();
    for first in &ends {
        for second in &ends {
            for level in [0, 9, 10, 17] {
                let account = at_level(level, *first);
                let Ok(Count::Keep(account, state)) = begin(&account, *second) else { continue };
                for now in &ends {
                    for (tag, right) in [("1", false), ("2", true)] {
                        let answer = Answered { tag, right, proof: Some("proof") };
                        let answered = account.answer(&limits(), "1example23456789", &state, answer, UnixSeconds(*now));
                        let Ok(Count::Keep(after, ())) = answered else { panic!("{answered:?}") };
                        assert_eq!(after.has("proof", UnixSeconds(*now)), right && *now < u64::MAX, "at {now}");
                        assert!(after.expires_at(&limits()) >= state.issued_at);
                    }
                    let again = ChallengeState { mails: 2, last_sent: UnixSeconds(*now), ..state };
                    let _ = account.resend(&limits(), "1example23456789", again, UnixSeconds(*now));
                    let _ = begin(&account, *now);
                }
            }
        }
    }
}

#[test]
fn g4_f28_a_call_is_taken_for_cognitos_repeat_from_four_seconds_on_and_for_less_than_fifteen() {
    for first in moments(3) {
        let Ok(Count::Keep(account, _)) = begin(&Account::default(), first) else { panic!("at {first}") };
        for second in moments(30) {
            let fresh = ChallengeState { nonce: Nonce::from([9; 16]), issued_at: UnixSeconds(second), ..state() };
            let begun = account.start(&limits(), "1example23456789", fresh, UnixSeconds(second));
            let (first, second) = (u128::from(first), u128::from(second));
            let repeats = (first + 4).min(u64::MAX.into()) <= second && second < (first + 15).min(u64::MAX.into());
            assert_eq!(matches!(begun, Ok(Count::Repeat(_))), repeats, "{first} and {second}");
        }
    }
}

#[test]
fn g4_t27_a_masked_address_shows_the_first_letters_of_its_halves_and_nothing_else() {
    let settings = create(&[("SHOW_DESTINATION", "masked")]);
    let mut texts = vec![String::new()];
    let mut masked = 0;
    for _ in 0..=6 {
        for text in &texts {
            let given = [("email", text.as_str()), ("email_verified", "true")];
            let attributes = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            let user = User::read(false, &attributes, &RecipientSettings::default());
            let User::Known(Recipient { address, .. }) = &user else { continue };
            let challenge = create_auth_challenge::decide(
                &settings,
                &sign_in(),
                &user,
                &Rounds::default(),
                &every_metadata()[0],
                NOW,
                &mut Counter(0),
            );
            let shown = challenge.unwrap().public.destination.unwrap();
            let first = |half: &str| half[..1].to_lowercase();
            assert_eq!(shown, format!("{}***@{}***", first(address.as_str()), first(address.domain())));
            assert_eq!((shown.len(), address.as_str()), (9, text.as_str()));
            masked += 1;
        }
        texts = texts.iter().flat_map(|text| "aZ.@-'é\n".chars().map(move |c| format!("{text}{c}"))).collect();
    }
    assert!(masked >= 200, "{masked}");
    // And those whom nobody knows look the same.
    let shown = |user_name: String| {
        let sign_in = SignIn { user_name, ..sign_in() };
        let metadata = &every_metadata()[0];
        let made = create_auth_challenge::decide(
            &settings,
            &sign_in,
            &nobody(),
            &Rounds::default(),
            metadata,
            NOW,
            &mut Counter(0),
        );
        made.unwrap().public.destination.unwrap()
    };
    let mut letters = BTreeSet::new();
    for user_name in (0..0x3000).filter_map(char::from_u32).map(String::from) {
        let shown = shown(user_name).into_bytes();
        let [local, b'*', b'*', b'*', b'@', domain, b'*', b'*', b'*'] = shown[..] else { panic!("{shown:?}") };
        letters.extend([local, domain]);
    }
    assert!(letters.into_iter().eq(b'a'..=b'z'));
}
