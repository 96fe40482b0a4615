//! The derivation of codes.

use auth_challenge::challenge::{Nonce, UnixSeconds};
use auth_challenge::code::{Alphabet, Answer, CodeFormat, CodeKey};
use auth_challenge::user::SignIn;
use serde_json::{Map, json};

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

/// What chi-square says of codes of eight symbols, in sigmas.
#[derive(Clone, Copy)]
struct Worst {
    /// Of the symbols at the worst place.
    place: f64,
    /// Of the pairs of symbols at the worst two places.
    pair: f64,
}

fn worst(alphabet: Alphabet, codes: impl Iterator<Item = String>) -> Worst {
    let symbols = alphabet.symbols();
    let two_places = || (1..LENGTH).flat_map(|later| (0..later).map(move |earlier| (earlier, later)));
    let mut places = vec![vec![0; symbols.len()]; LENGTH];
    let mut pairs = vec![vec![0; symbols.len() * symbols.len()]; two_places().count()];
    for code in codes {
        let read = |symbol| symbols.iter().position(|known| *known == symbol).unwrap();
        let code: Vec<usize> = code.bytes().map(read).collect();
        assert_eq!(code.len(), LENGTH);
        for (seen, symbol) in places.iter_mut().zip(&code) {
            seen[*symbol] += 1;
        }
        for (seen, (earlier, later)) in pairs.iter_mut().zip(two_places()) {
            seen[code[earlier] * symbols.len() + code[later]] += 1;
        }
    }
    let worst = |seen: &[Vec<u64>]| seen.iter().map(|counts| chi_square_in_sigmas(counts)).fold(f64::MIN, f64::max);
    Worst { place: worst(&places), pair: worst(&pairs) }
}

const LENGTH: usize = 8;
const CODES: u64 = 1_000_000;
/// A fair generator exceeds this at one of 16 places about once in 1,400 times (chi-square of 9 and 19 degrees of freedom), and at
/// one of 56 pairs (of 99 and 399) less often. The codes are the same in every run, so that this test does not fail by chance.
const BOUND: f64 = 6.0;

/// A million codes, or as many more as `CODES` in the environment says.
#[test]
#[expect(clippy::disallowed_methods, reason = "how much to try is no setting of a function")]
fn r03_t19_codes_have_no_likelier_symbols_and_no_likelier_pairs_of_them() {
    let count = std::env::var("CODES").map_or(CODES, |count| count.parse().unwrap());
    assert!(count >= CODES);
    for alphabet in [Alphabet::Digits, Alphabet::Letters] {
        let key = CodeKey::new(KEY.as_bytes());
        let format = CodeFormat::new(alphabet, LENGTH).unwrap();
        let sign_in = sign_in();
        let codes = (0..count).map(|n| {
            let nonce = Nonce::from(u128::from(n).to_be_bytes());
            key.code(&sign_in, &nonce, NOW, format).grouped().replace(' ', "")
        });
        let Worst { place, pair } = worst(alphabet, codes);
        assert!(place < BOUND && pair < BOUND, "{alphabet:?}: {place} sigmas, {pair} of pairs");
        let figures = json!({"places": format!("{place:.1}"), "pairs": format!("{pair:.1}")});
        println!("{}", json!({"gate": "G8", "codes": count, alphabet.name(): figures}));
    }
}

#[test]
fn r03_the_check_catches_modulo_bias_a_missing_digit_and_digits_that_never_repeat() {
    // 64 bits that are as good as random, without another dependency (SplitMix64).
    let random = |n: u64| {
        let mut z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let digits = |count: u64, generate: fn(u64) -> [u8; LENGTH]| {
        let code = |digits: [u8; LENGTH]| digits.map(|digit| char::from(b'0' + digit)).iter().collect();
        worst(Alphabet::Digits, (1..=count).map(move |n| code(generate(random(n)))))
    };
    let modulo = digits(CODES, |bits| bits.to_be_bytes().map(|byte| byte % 10)).place;
    assert!(modulo > BOUND, "byte % 10: {modulo} sigmas");
    let without_nine = digits(1_000, |bits| bits.to_be_bytes().map(|byte| byte % 9)).place;
    assert!(without_nine > BOUND, "no 9: {without_nine} sigmas");
    // Each digit differs from the one before it, as in a code that is to look random: no place shows it.
    let never_twice = digits(10_000, |bits| {
        let mut digits = [(bits % 10) as u8; LENGTH];
        let mut rest = bits / 10;
        for place in 1..LENGTH {
            digits[place] = (digits[place - 1] + 1 + (rest % 9) as u8) % 10;
            rest /= 9;
        }
        digits
    });
    assert!(never_twice.place < BOUND && never_twice.pair > BOUND, "{} and {}", never_twice.place, never_twice.pair);
    let control = [("modulo", modulo), ("without_nine", without_nine), ("never_twice", never_twice.pair)]
        .map(|(name, sigmas)| (name.to_owned(), format!("{sigmas:.0}").into()));
    println!("{}", json!({"gate": "G8", "bound": BOUND, "control": Map::from_iter(control)}));
}
