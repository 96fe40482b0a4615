//! What people type, read as a code.
//!
//! Holds: an answer is accepted if and only if a reader of another make finds the code's symbols in it and nothing else but separators;
//! reading what was read changes nothing; the code itself is accepted however it is grouped, spaced, cased or spelled in the digits of
//! other scripts, and refused with any one symbol changed, added or taken away.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use auth_challenge::challenge::{Nonce, UnixSeconds};
use auth_challenge::code::{Alphabet, Answer, CodeFormat, CodeKey, MAX_LENGTH, MIN_LENGTH};
use auth_challenge::settings::EXAMPLE_CODE_KEY;
use auth_challenge::user::SignIn;
use libfuzzer_sys::fuzz_target;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    letters: bool,
    length: u8,
    nonce: [u8; 4],
    /// What stands before each symbol, and in which way the symbol is written.
    ways: [u8; MAX_LENGTH],
    /// Which symbol is changed.
    place: u8,
    /// Anything, which is also put into the code.
    text: &'a str,
}

/// Zeroes of some scripts.
const ZEROS: [char; 5] = ['0', '\u{660}', '\u{966}', '\u{ff10}', '\u{1d7d8}'];
/// What is passed over: white space, hyphens and dashes, marks of direction.
const SEPARATORS: &str = "\t\n\u{b}\u{c}\r \u{85}\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\u{2007}\u{2008}\
    \u{2009}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}-\u{ad}\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2015}\u{2212}\u{ff0d}\
    \u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";

static KEY: LazyLock<CodeKey> = LazyLock::new(|| CodeKey::new(EXAMPLE_CODE_KEY.as_bytes()));
static SIGN_IN: LazyLock<SignIn> = LazyLock::new(|| SignIn {
    user_pool_id: "eu-west-1_EXAMPLE".to_owned(),
    client_id: "1example23456789".to_owned(),
    user_name: "7d5ba2f0-6d1b-4e0f-9d3f-2f1f0c6b9d11".to_owned(),
    unproved: None,
});

fuzz_target!(|input: Input| {
    let alphabet = if input.letters { Alphabet::Letters } else { Alphabet::Digits };
    let format =
        CodeFormat::new(alphabet, MIN_LENGTH + usize::from(input.length) % (MAX_LENGTH - MIN_LENGTH + 1)).unwrap();
    let mut nonce = [0; 16];
    nonce[..4].copy_from_slice(&input.nonce);
    let nonce = Nonce::from(nonce);
    let code = KEY.code(&SIGN_IN, &nonce, UnixSeconds(1_767_268_800), format);
    let symbols = code.grouped().replace(' ', "");
    assert_eq!(symbols.len(), format.length());
    assert!(symbols.bytes().all(|symbol| alphabet.symbols().contains(&symbol)));
    let accepts = |typed: &str| code.is_answered_by(&Answer::read(typed, alphabet));
    let tag = |typed: &str| Answer::read(typed, alphabet).tag(&KEY, &SIGN_IN, &nonce);

    assert!(accepts(&code.grouped()));
    let written = written(&symbols, &input.ways);
    assert!(accepts(&written), "{written:?} is {symbols}");
    assert_eq!(tag(&written), tag(&symbols), "one answer, one tag");

    let place = usize::from(input.place) % symbols.len();
    let other = alphabet.symbols().iter().copied().map(char::from).find(|other| !symbols[place..].starts_with(*other));
    let (before, after) = (&symbols[..place], &symbols[place + 1..]);
    for wrong in [
        format!("{before}{}{after}", other.unwrap()),
        format!("{before}{after}"),
        format!("{symbols}{}", &symbols[..1]),
    ] {
        assert!(!accepts(&wrong) && tag(&wrong) != tag(&symbols), "{wrong} is not {symbols}");
    }

    let (before, after) = symbols.split_at(place);
    for typed in [input.text, &format!("{before}{}{after}", input.text), &format!("{symbols}{}", input.text)] {
        match read(typed, alphabet) {
            Read::Code(read) => {
                assert_eq!(accepts(typed), read == symbols, "{typed:?}");
                assert_eq!(tag(typed), tag(&read), "{typed:?}");
            }
            Read::NoCode => assert!(!accepts(typed), "{typed:?}"),
            Read::Unknown => {}
        }
    }
});

/// A code, written in one of many ways.
fn written(symbols: &str, ways: &[u8; MAX_LENGTH]) -> String {
    let mut text = String::new();
    for (symbol, way) in symbols.chars().zip(ways.iter().copied().map(usize::from)) {
        if let Some(separator) = SEPARATORS.chars().nth(way / 5) {
            text.push(separator);
        }
        let zero = u32::from(ZEROS[way % 5]);
        text.push(match symbol.to_digit(10) {
            Some(value) => char::from_u32(zero + value).unwrap(),
            None if way % 2 == 0 => symbol.to_ascii_lowercase(),
            None => symbol,
        });
    }
    text
}

enum Read {
    Code(String),
    NoCode,
    /// There is a character that may be a digit of a Unicode that only one of the two readers knows.
    Unknown,
}

fn read(text: &str, alphabet: Alphabet) -> Read {
    let mut symbols = String::new();
    let mut is_code = true;
    for c in text.chars().filter(|c| !SEPARATORS.contains(*c)) {
        match (alphabet, c.general_category()) {
            (Alphabet::Digits, GeneralCategory::DecimalNumber) => symbols.push(digit(c)),
            (Alphabet::Digits, GeneralCategory::Unassigned) => return Read::Unknown,
            (Alphabet::Letters, _) if "bcdfghjklmnpqrstvwxz".contains(c.to_ascii_lowercase()) => {
                symbols.push(c.to_ascii_uppercase());
            }
            _ => is_code = false,
        }
    }
    if is_code && symbols.len() <= MAX_LENGTH { Read::Code(symbols) } else { Read::NoCode }
}

/// The digit that a decimal digit of any script stands for: its place in its run, which begins with a zero (Unicode standard §4.6).
fn digit(c: char) -> char {
    let is_digit = |c: &u32| char::from_u32(*c).is_some_and(|c| c.general_category() == GeneralCategory::DecimalNumber);
    let before = (0..u32::from(c)).rev().take_while(is_digit).count();
    char::from_digit((before % 10) as u32, 10).unwrap()
}
