//! Codes, and the answers that are compared with them.

use auth_challenge::challenge::{Nonce, UnixSeconds};
use auth_challenge::code::{Alphabet, Answer, CodeFormat, CodeKey, MAX_LENGTH};
use auth_challenge::user::SignIn;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{alphabets, formats};
use crate::example::{KEY, NOW, sign_in};

/// The code of the example's sign-in, without spaces.
fn code(nonce: [u8; 16], format: CodeFormat) -> String {
    CodeKey::new(KEY.as_bytes()).code(&sign_in(), &Nonce::from(nonce), NOW, format).grouped().replace(' ', "")
}

fn opens(nonce: [u8; 16], format: CodeFormat, typed: &str) -> bool {
    let code = CodeKey::new(KEY.as_bytes()).code(&sign_in(), &Nonce::from(nonce), NOW, format);
    code.is_answered_by(&Answer::read(typed, format.alphabet))
}

fn tag(nonce: [u8; 16], typed: &str, alphabet: Alphabet) -> String {
    Answer::read(typed, alphabet).tag(&CodeKey::new(KEY.as_bytes()), &sign_in(), &Nonce::from(nonce))
}

/// What an answer in ASCII says. `None` if it is none.
fn understood(typed: &str, alphabet: Alphabet) -> Option<String> {
    let symbols = typed.replace([' ', '-'], "").to_uppercase();
    let fits = symbols.len() <= MAX_LENGTH && symbols.bytes().all(|symbol| alphabet.symbols().contains(&symbol));
    fits.then_some(symbols)
}

proptest! {
    #[test]
    fn r09_t22_f49_a_code_opens_nothing_but_its_own_sign_in(
        nonce: [u8; 16], other_nonce: [u8; 16], issued_at in 0..u64::MAX, later in 1..600u64,
        pool in "[a-z]{2}-[a-z]{4}-[0-9]_[A-Za-z0-9]{1,9}", client in "[a-z0-9]{1,26}", user in "\\PC{1,128}",
        alphabet in prop_oneof![Just(Alphabet::Digits), Just(Alphabet::Letters)],
    ) {
        prop_assume!(nonce != other_nonce);
        // Sixteen symbols, so that two codes are not equal by chance.
        let format = CodeFormat::new(alphabet, 16).unwrap();
        let key = CodeKey::new(KEY.as_bytes());
        let sign_in = sign_in();
        let code = key.code(&sign_in, &Nonce::from(nonce), UnixSeconds(issued_at), format);
        let opens = |key: &CodeKey, sign_in: &SignIn, nonce, issued_at| {
            let other = key.code(sign_in, &Nonce::from(nonce), UnixSeconds(issued_at), format);
            code.is_answered_by(&Answer::read(&other.grouped(), alphabet))
        };
        prop_assert!(opens(&key, &sign_in, nonce, issued_at));
        prop_assert!(!opens(&CodeKey::new(b"another key"), &sign_in, nonce, issued_at));
        prop_assert!(!opens(&key, &sign_in, other_nonce, issued_at));
        prop_assert!(!opens(&key, &sign_in, nonce, issued_at.wrapping_add(later)));
        let elsewhere = [
            SignIn { user_pool_id: pool, ..sign_in.clone() },
            SignIn { client_id: client, ..sign_in.clone() },
            SignIn { user_name: user, ..sign_in },
        ];
        for other in &elsewhere {
            prop_assert!(!opens(&key, other, nonce, issued_at));
        }
    }

    #[test]
    fn r04_separators_case_and_script_do_not_matter(
        nonce: [u8; 16], length in 6usize..=16,
        alphabet in prop_oneof![Just(Alphabet::Digits), Just(Alphabet::Letters)],
        between in proptest::collection::vec("[ \t\u{a0}\u{2009}\u{3000}\\-\u{2010}-\u{2015}]{0,3}", 17),
        zero in prop_oneof![Just('0'), Just('\u{660}'), Just('\u{966}'), Just('\u{ff10}'), Just('\u{1d7ce}')],
        lower: u16,
    ) {
        let format = CodeFormat::new(alphabet, length).unwrap();
        let code = CodeKey::new(KEY.as_bytes()).code(&sign_in(), &Nonce::from(nonce), NOW, format);
        let mut typed = between[16].clone();
        for (place, symbol) in code.grouped().replace(' ', "").chars().enumerate() {
            typed.push(match symbol.to_digit(10) {
                Some(digit) => char::from_u32(u32::from(zero) + digit).unwrap(),
                None if lower >> place & 1 == 1 => symbol.to_ascii_lowercase(),
                None => symbol,
            });
            typed.push_str(&between[place]);
        }
        prop_assert!(code.is_answered_by(&Answer::read(&typed, alphabet)), "{:?}", typed);
    }

    #[test]
    fn f39_reading_an_answer_never_panics(typed in "\\PC*|[\\s\\S]{0,200}") {
        for alphabet in [Alphabet::Digits, Alphabet::Letters] {
            let code = CodeKey::new(KEY.as_bytes()).code(
                &sign_in(), &Nonce::from([1; 16]), NOW, CodeFormat::new(alphabet, 8).unwrap(),
            );
            // Eight random symbols are the code once in a hundred million cases.
            prop_assert!(!code.is_answered_by(&Answer::read(&typed, alphabet)));
        }
    }

    #[test]
    fn p04_a_code_has_as_many_symbols_as_asked_for_in_groups_of_three_or_four(
        secret in prop::collection::vec(any::<u8>(), 0..100), nonce: [u8; 16], issued_at: u64, format in formats(),
    ) {
        let code = CodeKey::new(&secret).code(&sign_in(), &Nonce::from(nonce), UnixSeconds(issued_at), format).grouped();
        let groups: Vec<usize> = code.split(' ').map(str::len).collect();
        prop_assert_eq!(groups.iter().sum::<usize>(), format.length());
        prop_assert!(groups.iter().all(|length| [3, 4].contains(length)) && groups.is_sorted_by(|a, b| a >= b), "{:?}", groups);
        prop_assert!(code.bytes().all(|symbol| symbol == b' ' || format.alphabet.symbols().contains(&symbol)));
    }

    #[test]
    fn p03_exactly_the_code_opens_whatever_is_made_of_it(
        nonce: [u8; 16], format in formats(),
        edits in prop::collection::vec((0..4_u8, any::<Index>(), "[0-9A-Za-z. -]"), 0..4),
    ) {
        let code = code(nonce, format);
        let mut typed = code.clone();
        for (edit, place, piece) in edits {
            let place = place.index(typed.len() + 1);
            match edit {
                0 => typed.insert_str(place, &piece),
                1 if place < typed.len() => drop(typed.remove(place)),
                2 if place < typed.len() => typed.replace_range(place..=place, &piece),
                _ => typed = typed.to_lowercase(),
            }
        }
        prop_assert_eq!(opens(nonce, format, &typed), understood(&typed, format.alphabet) == Some(code), "{:?}", typed);
    }

    #[test]
    fn t08_a_symbol_more_or_fewer_is_wrong(nonce: [u8; 16], format in formats(), place: Index, symbol: Index) {
        let code = code(nonce, format);
        let (mut fewer, mut more) = (code.clone(), code);
        fewer.remove(place.index(fewer.len()));
        more.insert(place.index(more.len() + 1), char::from(*symbol.get(format.alphabet.symbols())));
        prop_assert!(!opens(nonce, format, &fewer) && !opens(nonce, format, &more));
    }

    #[test]
    fn t19_another_symbol_at_any_place_is_wrong(nonce: [u8; 16], format in formats(), place: Index, other: Index) {
        let right = code(nonce, format);
        let mut wrong = right.clone();
        let place = place.index(wrong.len());
        wrong.replace_range(place..=place, &char::from(*other.get(format.alphabet.symbols())).to_string());
        prop_assert_eq!(opens(nonce, format, &wrong), wrong == right);
    }

    #[test]
    fn r14_two_answers_have_one_tag_if_they_say_the_same_and_only_then(
        nonce: [u8; 16], alphabet in alphabets(),
        (one, other) in ("[0-9]{0,18}", "[0-9A-Zb-d -]{0,18}"), spaces in 0..3_usize, same: bool,
    ) {
        let other = if same { format!("{}{one}-", " ".repeat(spaces)) } else { other };
        let says = [&one, &other].map(|typed| understood(typed, alphabet));
        let tags = [&one, &other].map(|typed| tag(nonce, typed, alphabet));
        match says {
            // What is not understood is no answer, whatever it was.
            [None, None] => {}
            [one, other] => prop_assert_eq!(tags[0] == tags[1], one == other),
        }
    }

    #[test]
    fn r14_the_same_answer_has_another_tag_for_another_challenge(
        nonce: [u8; 16], other: [u8; 16], typed in "\\PC{0,20}", alphabet in alphabets(),
    ) {
        prop_assume!(nonce != other);
        prop_assert_ne!(tag(nonce, &typed, alphabet), tag(other, &typed, alphabet));
    }

    #[test]
    fn r10_one_secret_makes_one_key_and_another_secret_another(
        secret in prop::collection::vec(1..=255_u8, 1..64), other in prop::collection::vec(1..=255_u8, 1..64),
        nonce: [u8; 16],
    ) {
        let [key, again, another] = [&secret, &secret, &other].map(|secret| CodeKey::new(secret));
        let code = |key: &CodeKey| {
            let format = CodeFormat::new(Alphabet::Letters, 16).unwrap();
            key.code(&sign_in(), &Nonce::from(nonce), NOW, format).grouped().to_string()
        };
        prop_assert_eq!((key.id(), code(&key)), (again.id(), code(&again)));
        prop_assert_eq!(key.id() == another.id(), secret == other);
        prop_assert_eq!(code(&key) == code(&another), secret == other);
    }

    #[test]
    fn t08_an_answer_in_the_other_alphabet_is_wrong(
        nonce: [u8; 16], format in formats(), digits in "[0-9]{6,16}", letters in "[BCDFGHJKLMNPQRSTVWXZ]{6,16}",
    ) {
        let typed = match format.alphabet {
            Alphabet::Digits => letters,
            Alphabet::Letters => digits,
        };
        prop_assert!(!opens(nonce, format, &typed));
    }
}
