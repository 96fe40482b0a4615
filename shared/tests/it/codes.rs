//! The derivation of codes.

use auth_challenge::challenge::{Nonce, UnixSeconds};
use auth_challenge::code::{Alphabet, Answer, CodeFormat, CodeKey};
use auth_challenge::user::SignIn;
use serde_json::json;

use crate::example::{KEY, NOW, sign_in, vectors};

#[test]
fn r10_f49_the_published_vectors_hold() {
    let vectors = vectors("codes");
    assert!(vectors.len() >= 10);
    for vector in vectors {
        let alphabet = if vector.text("alphabet") == "letters" { Alphabet::Letters } else { Alphabet::Digits };
        let format = CodeFormat::new(alphabet, vector.number("length") as usize).unwrap();
        let code =
            vector.key().code(&vector.sign_in(), &vector.nonce(), UnixSeconds(vector.number("issued_at")), format);
        assert_eq!(code.grouped().replace(' ', ""), vector.text("code"), "{vector:?}");
    }
}

#[test]
fn r01_a_format_knows_its_bits() {
    for (alphabet, length, bits) in
        [(Alphabet::Digits, 6, 19.93), (Alphabet::Digits, 16, 53.15), (Alphabet::Letters, 10, 43.22)]
    {
        let found = CodeFormat::new(alphabet, length).unwrap().bits();
        assert!((found - bits).abs() < 0.01, "{found} for {length} {alphabet:?}");
    }
}

/// By it the same answer is known again, of which nothing else may be kept.
#[test]
fn r14_r10_the_tag_of_an_answer_is_that_of_no_other_answer_challenge_or_sign_in_and_says_nothing() {
    let (key, nonce) = (CodeKey::new(KEY.as_bytes()), Nonce::from([7; 16]));
    let tag = |typed: &str| Answer::read(typed, Alphabet::Digits).tag(&key, &sign_in(), &nonce);
    let ours = tag("48310937");
    assert_eq!(tag(" 4831-0937 "), ours);
    let answer = Answer::read("48310937", Alphabet::Digits);
    let bob = SignIn { user_name: "bob".to_owned(), ..sign_in() };
    let mut tags = vec![
        tag("48310938"),
        tag(""),
        // Understood and not: the symbols are the same.
        tag("4831093"),
        tag("4831093x"),
        answer.tag(&CodeKey::new(b"another key"), &sign_in(), &nonce),
        answer.tag(&key, &bob, &nonce),
        answer.tag(&key, &sign_in(), &Nonce::from([8; 16])),
    ];
    tags.push(ours.clone());
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 8);
    assert!(ours.len() == 16 && !ours.contains("4831"), "{ours}");
}

/// Pearson's statistic of `observed` against equal shares, in standard deviations of its distribution.
fn chi_square_in_sigmas(observed: &[u64]) -> f64 {
    let expected = observed.iter().sum::<u64>() as f64 / observed.len() as f64;
    let statistic: f64 = observed.iter().map(|n| (*n as f64 - expected).powi(2) / expected).sum();
    let freedom = (observed.len() - 1) as f64;
    (statistic - freedom) / (2.0 * freedom).sqrt()
}

/// How often each pair of (place, symbol) occurs in `codes`, as chi-square in sigmas for the worst place.
fn worst_place(alphabet: Alphabet, codes: impl Iterator<Item = String>) -> f64 {
    let symbols = alphabet.symbols();
    let mut seen = vec![vec![0; symbols.len()]; 8];
    for code in codes {
        for (place, symbol) in code.bytes().enumerate() {
            seen[place][symbols.iter().position(|known| *known == symbol).unwrap()] += 1;
        }
    }
    seen.iter().map(|place| chi_square_in_sigmas(place)).fold(f64::MIN, f64::max)
}

const CODES: u64 = 1_000_000;
/// A fair generator exceeds this at one of 16 places about once in 1,400 times (chi-square of 9 and 19 degrees of freedom). The
/// codes are the same in every run, so that this test does not fail by chance.
const BOUND: f64 = 6.0;

#[test]
fn r03_t19_a_million_codes_have_no_likelier_symbols() {
    for alphabet in [Alphabet::Digits, Alphabet::Letters] {
        let key = CodeKey::new(KEY.as_bytes());
        let format = CodeFormat::new(alphabet, 8).unwrap();
        let sign_in = sign_in();
        let codes = (0..CODES).map(|n| {
            let nonce = Nonce::from(u128::from(n).to_be_bytes());
            key.code(&sign_in, &nonce, NOW, format).grouped().replace(' ', "")
        });
        let worst = worst_place(alphabet, codes);
        assert!(worst < BOUND, "{alphabet:?}: {worst} sigmas");
        println!("{}", json!({"gate": "G8", "codes": CODES, alphabet.name(): format!("{worst:.1}")}));
    }
}

#[test]
fn r03_the_check_catches_modulo_bias_and_a_missing_digit() {
    // 64 bits that are as good as random, without another dependency (SplitMix64).
    let random = |n: u64| {
        let mut z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).to_be_bytes()
    };
    let digits = |generate: fn(u8) -> u8| {
        worst_place(
            Alphabet::Digits,
            (1..=CODES).map(move |n| random(n).map(generate).map(|digit| char::from(b'0' + digit)).iter().collect()),
        )
    };
    let modulo = digits(|byte| byte % 10);
    println!("{}", json!({"gate": "G8", "bound": BOUND, "modulo": format!("{modulo:.0}")}));
    assert!(modulo > BOUND, "byte % 10: {modulo} sigmas");
    let without_nine = digits(|byte| byte % 9);
    assert!(without_nine > BOUND, "no 9: {without_nine} sigmas");
}
