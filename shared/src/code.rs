//! The one-time code: how it is derived, what it is made of, and how an answer is compared with it.
//!
//! A code is never stored. It is a keyed function of the sign-in it belongs to, in the manner of HOTP (RFC 4226 §5.3):
//!
//! ```text
//! block(i) = HMAC-SHA-256(CODE_KEY, "code/v1" ‖ pool ‖ client ‖ user ‖ nonce ‖ issued_at ‖ i)
//! code     = symbols(block(0) ‖ block(1) ‖ …)
//! ```
//!
//! Every field is preceded by its length in bytes as a 32-bit big-endian number. `nonce` is 16 bytes, `issued_at` a 64-bit
//! and `i` a 32-bit big-endian number. `symbols` reads byte by byte: a byte below the largest multiple of the alphabet's
//! size that fits into 256 gives one symbol (`byte % size`), any other byte is skipped, so that no symbol is likelier than
//! another. Where a right answer is to prove the user's address (`VERIFY_BY_CODE`), the address is one more field behind `user`, here
//! and in all that is bound to a sign-in. `shared/test-vectors/vectors.json` holds vectors for ports.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::challenge::{Nonce, UnixSeconds};
use crate::user::SignIn;

/// Fewest symbols of a code. Six digits are the least that NIST SP 800-63B-4 allows (§3.1.3.2).
pub const MIN_LENGTH: usize = 6;
/// Most symbols of a code.
pub const MAX_LENGTH: usize = 16;

/// The symbols that a code is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// `0` to `9`.
    Digits,
    /// Twenty consonants that spell no words and are not taken for one another (RFC 8628 §6.1).
    Letters,
}

impl Alphabet {
    /// The symbols in the order in which derivation counts them.
    pub fn symbols(self) -> &'static [u8] {
        match self {
            Alphabet::Digits => b"0123456789",
            Alphabet::Letters => b"BCDFGHJKLMNPQRSTVWXZ",
        }
    }

    /// The name used in settings and public challenge parameters.
    pub fn name(self) -> &'static str {
        match self {
            Alphabet::Digits => "digits",
            Alphabet::Letters => "letters",
        }
    }

    /// The symbol that `typed` stands for: any Unicode decimal digit, a letter in either case.
    fn symbol(self, typed: char) -> Option<u8> {
        match self {
            Alphabet::Digits => decimal_digit(typed).map(|value| b'0' + value),
            Alphabet::Letters => {
                let letter = u8::try_from(typed).ok()?.to_ascii_uppercase();
                self.symbols().contains(&letter).then_some(letter)
            }
        }
    }
}

/// The alphabet and length of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeFormat {
    /// What the code is made of.
    pub alphabet: Alphabet,
    length: usize,
}

impl CodeFormat {
    /// A format of `length` symbols; `None` unless `length` is from [`MIN_LENGTH`] to [`MAX_LENGTH`].
    pub fn new(alphabet: Alphabet, length: usize) -> Option<CodeFormat> {
        (MIN_LENGTH..=MAX_LENGTH).contains(&length).then_some(CodeFormat { alphabet, length })
    }

    /// How many symbols a code has.
    pub fn length(self) -> usize {
        self.length
    }

    /// The entropy of a code in bits.
    pub fn bits(self) -> f64 {
        (self.alphabet.symbols().len() as f64).log2() * self.length as f64
    }
}

/// Names a key in a challenge's state without telling anything about it: the first 32 bits of a MAC under the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub(crate) u32);

/// A secret that codes are derived with.
#[derive(Clone)]
pub struct CodeKey {
    id: KeyId,
    hmac: Hmac<Sha256>,
}

impl CodeKey {
    /// A key from its secret. Bounds on the secret are [`settings`](crate::settings)' affair.
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "HMAC takes keys of any length (RFC 2104 §2)")]
    pub fn new(secret: &[u8]) -> CodeKey {
        let hmac = Hmac::new_from_slice(secret).expect("a key of any length");
        let [a, b, c, d, ..] = mac(&hmac, "key-id/v1", &[]);
        CodeKey { id: KeyId(u32::from_be_bytes([a, b, c, d])), hmac }
    }

    /// The key's name in challenge states.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// A MAC under this key over `label` (what it is for), the sign-in, and `fields`.
    pub(crate) fn mac(&self, label: &str, sign_in: &SignIn, fields: &[&[u8]]) -> [u8; 32] {
        let mut all = vec![sign_in.user_pool_id.as_bytes(), sign_in.client_id.as_bytes(), sign_in.user_name.as_bytes()];
        all.extend(sign_in.unproved.as_ref().map(|address| address.as_str().as_bytes()));
        all.extend_from_slice(fields);
        mac(&self.hmac, label, &all)
    }

    /// The code of one challenge of one sign-in. See the module's text for the derivation.
    pub fn code(&self, sign_in: &SignIn, nonce: &Nonce, issued_at: UnixSeconds, format: CodeFormat) -> Code {
        let mut code = Zeroizing::new([0; MAX_LENGTH]);
        let derived = (0u32..).flat_map(|block| {
            self.mac("code/v1", sign_in, &[nonce.bytes(), &issued_at.0.to_be_bytes(), &block.to_be_bytes()])
        });
        for (place, symbol) in code[..format.length].iter_mut().zip(fair_symbols(derived, format.alphabet)) {
            *place = symbol;
        }
        Code { symbols: code, format }
    }
}

impl fmt::Debug for CodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeKey")
    }
}

/// The symbols that random bytes stand for. Bytes that would make some symbols likelier than others are skipped.
fn fair_symbols(bytes: impl Iterator<Item = u8>, alphabet: Alphabet) -> impl Iterator<Item = u8> {
    let symbols = alphabet.symbols();
    let accepted = 256 - 256 % symbols.len();
    bytes.map(usize::from).filter(move |byte| *byte < accepted).map(|byte| symbols[byte % symbols.len()])
}

/// HMAC-SHA-256 over a label and fields, each preceded by its length, so that no two lists of fields look alike.
fn mac(key: &Hmac<Sha256>, label: &str, fields: &[&[u8]]) -> [u8; 32] {
    let mut hmac = key.clone();
    for field in std::iter::once(&label.as_bytes()).chain(fields) {
        hmac.update(&(field.len() as u32).to_be_bytes());
        hmac.update(field);
    }
    hmac.finalize().into_bytes().into()
}

/// The key that makes new challenges, and the one before it, whose challenges are still answered while keys change.
#[derive(Clone, Debug)]
pub struct CodeKeys {
    /// Makes new challenges (`CODE_KEY`).
    pub current: CodeKey,
    /// Still opens challenges made before a change of keys (`CODE_KEY_PREVIOUS`).
    pub previous: Option<CodeKey>,
}

impl CodeKeys {
    /// The key of that name, if we have it.
    pub fn find(&self, id: KeyId) -> Option<&CodeKey> {
        std::iter::once(&self.current).chain(&self.previous).find(|key| key.id == id)
    }
}

/// A one-time code in plain text. It leaves this type only on its way into a mail.
pub struct Code {
    /// The symbols, then zeroes.
    symbols: Zeroizing<[u8; MAX_LENGTH]>,
    format: CodeFormat,
}

impl Code {
    /// The code as people read it: in groups of three or four, the longer ones first (`4831 0937`).
    pub fn grouped(&self) -> Zeroizing<String> {
        let length = self.format.length;
        let groups = length.div_ceil(4);
        let mut text = Zeroizing::new(String::with_capacity(length + groups));
        let mut rest = &self.symbols[..length];
        for group in 0..groups {
            let (head, tail) = rest.split_at(length / groups + usize::from(group < length % groups));
            if group > 0 {
                text.push(' ');
            }
            text.extend(head.iter().copied().map(char::from));
            rest = tail;
        }
        text
    }

    /// Whether `answer` is this code, in a time that does not depend on where they differ.
    pub fn is_answered_by(&self, answer: &Answer) -> bool {
        (self.symbols[..].ct_eq(&answer.symbols[..]) & answer.understood.ct_eq(&1)).into()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

/// What a person typed, read as a code.
pub struct Answer {
    /// The symbols that were typed, then zeroes.
    symbols: Zeroizing<[u8; MAX_LENGTH]>,
    /// 1 if every character was a symbol or a separator and no more than [`MAX_LENGTH`] symbols were typed, else 0.
    understood: u8,
}

impl Answer {
    /// Reads an answer of any length. White space, hyphens and the marks of direction that come along when text is copied from a
    /// right-to-left mail are passed over; letters count in either case and digits in any script. Anything else makes an
    /// answer that is no code.
    pub fn read(typed: &str, alphabet: Alphabet) -> Answer {
        let mut answer = Answer { symbols: Zeroizing::new([0; MAX_LENGTH]), understood: 1 };
        let mut places = answer.symbols.iter_mut();
        for symbol in typed.chars().filter(|c| !is_separator(*c)).map(|c| alphabet.symbol(c)) {
            match (symbol, places.next()) {
                (Some(symbol), Some(place)) => *place = symbol,
                _ => answer.understood = 0,
            }
        }
        answer
    }
}

impl Answer {
    /// A short text that is the same for the same answer to the same challenge, and tells nothing without the key.
    pub fn tag(&self, key: &CodeKey, sign_in: &SignIn, nonce: &Nonce) -> String {
        let mac = key.mac("answer/v1", sign_in, &[nonce.bytes(), &self.symbols[..], &[self.understood]]);
        URL_SAFE_NO_PAD.encode(&mac[..12])
    }
}

fn is_separator(c: char) -> bool {
    // U+2010 to U+2015 are hyphens and dashes, U+2212 is the minus sign, U+FF0D the full-width hyphen.
    let is_hyphen = matches!(c, '-' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}');
    // The property Bidi_Control.
    let has_direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_whitespace() || is_hyphen || has_direction
}

/// The value of a decimal digit of any script.
fn decimal_digit(c: char) -> Option<u8> {
    let c = u32::from(c);
    let after = DIGIT_ZEROS.partition_point(|zero| *zero <= c);
    let value = c - DIGIT_ZEROS.get(after.checked_sub(1)?)?;
    u8::try_from(value).ok().filter(|value| *value < 10)
}

/// Where each run of ten decimal digits begins (general category Nd of Unicode 18).
#[rustfmt::skip]
const DIGIT_ZEROS: [u32; 77] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x10d40, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0, 0x11950, 0x11bf0, 0x11c50, 0x11d50, 0x11da0, 0x11de0, 0x11f50, 0x16130, 0x16a60, 0x16ac0, 0x16b50, 0x16d70, 0x1ccf0, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950, 0x1fbf0,
];

#[cfg(test)]
mod tests {
    use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

    use super::*;

    fn code(alphabet: Alphabet, symbols: &str) -> Code {
        let mut places = [0; MAX_LENGTH];
        places[..symbols.len()].copy_from_slice(symbols.as_bytes());
        Code { symbols: Zeroizing::new(places), format: CodeFormat::new(alphabet, symbols.len()).unwrap() }
    }

    fn answers(alphabet: Alphabet, symbols: &str, typed: &str) -> bool {
        code(alphabet, symbols).is_answered_by(&Answer::read(typed, alphabet))
    }

    #[test]
    fn r04_answers_are_read_as_people_write_them() {
        for typed in [
            "48310937",
            "4831 0937",
            " 4831-0937\n",
            "4 8 3 1 0 9 3 7",
            "4831\u{a0}0937",
            "4831\u{2009}0937",
            "4831–0937",
            "４８３１０９３７",
            "٤٨٣١٠٩٣٧",
            "۴۸۳۱۰۹۳۷",
            "४८३१०९३७",
            "４８31٠937",
            "4831\u{ad}0937",
            "\u{2066}4831\u{a0}0937\u{2069}",
            "\u{200e}4831 0937\u{200f}",
            "\u{61c}\u{202a}48310937\u{202c}",
        ] {
            assert!(answers(Alphabet::Digits, "48310937", typed), "{typed:?}");
        }
        for typed in ["BCDFGHJK", "bcdfghjk", "bcdf ghjk", "BCDF-ghjk"] {
            assert!(answers(Alphabet::Letters, "BCDFGHJK", typed), "{typed:?}");
        }
    }

    #[test]
    fn t08_anything_else_is_a_wrong_answer() {
        let long = "4".repeat(131_072);
        let separated = format!("48310937{}1", " ".repeat(131_072));
        for typed in [
            "",
            " ",
            "-",
            "4831093",
            "483109370",
            "48310937x",
            "x48310937",
            "4831.0937",
            "48310938",
            "73901384",
            "4831093７８",
            "null",
            "48310937\0",
            "\0\0\0\0\0\0\0\0",
            "4831０93",
            "४",
            "④⑧③①⓪⑨③⑦",
            "四八三一〇九三七",
            "48310937😀",
            "4831093\u{1d7d9}0",
            "{\"ANSWER\":\"48310937\"}",
            &long,
            &separated,
        ] {
            assert!(!answers(Alphabet::Digits, "48310937", typed), "{typed:.40?}");
        }
        for typed in ["BCDFGHJA", "BCDFGHJY", "BCDFGHJ1", "BCDFGHJ", "BCDFGHJKL", "ＢCDFGHJK", "ßCDFGHJK"] {
            assert!(!answers(Alphabet::Letters, "BCDFGHJK", typed), "{typed:?}");
        }
    }

    #[test]
    fn g4_r04_every_decimal_digit_of_unicode_has_its_value() {
        let mut zero = None;
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            if c.general_category() == GeneralCategory::DecimalNumber {
                // Decimal digits come in runs of ten, from 0 to 9 (Unicode standard §4.6).
                let start = *zero.get_or_insert(u32::from(c));
                assert_eq!(decimal_digit(c), Some((u32::from(c) - start) as u8), "{c:?}");
                if u32::from(c) - start == 9 {
                    zero = None;
                }
            } else {
                assert_eq!(decimal_digit(c), None, "{c:?}");
                assert_eq!(zero, None, "a run of fewer than ten digits before {c:?}");
            }
        }
    }

    #[test]
    fn codes_are_shown_in_even_groups_of_three_or_four() {
        let shown = |symbols| code(Alphabet::Digits, symbols).grouped().to_string();
        assert_eq!(shown("483109"), "483 109");
        assert_eq!(shown("4831093"), "4831 093");
        assert_eq!(shown("48310937"), "4831 0937");
        assert_eq!(shown("483109371"), "483 109 371");
        assert_eq!(shown("4831093712"), "4831 093 712");
        assert_eq!(shown("48310937123"), "4831 0937 123");
        assert_eq!(shown("483109371234"), "4831 0937 1234");
        assert_eq!(shown("4831093712345"), "4831 093 712 345");
        assert_eq!(shown("4831093712345678"), "4831 0937 1234 5678");
        for length in MIN_LENGTH..=MAX_LENGTH {
            let symbols = &"1234567890123456"[..length];
            assert!(answers(Alphabet::Digits, symbols, &shown(symbols)), "{length}");
        }
    }

    #[test]
    fn g4_r02_t19_every_symbol_stands_for_equally_many_bytes() {
        for alphabet in [Alphabet::Digits, Alphabet::Letters] {
            let symbols: Vec<u8> = fair_symbols(0..=255, alphabet).collect();
            for symbol in alphabet.symbols() {
                let bytes = symbols.iter().filter(|found| *found == symbol).count();
                assert_eq!(bytes, 256 / alphabet.symbols().len(), "{symbol}");
            }
        }
    }

    #[test]
    fn g4_r02_t19_of_all_pairs_of_bytes_equally_many_stand_for_each_pair_of_symbols() {
        for alphabet in [Alphabet::Digits, Alphabet::Letters] {
            let mut pairs = std::collections::HashMap::<Vec<u8>, usize>::new();
            for bytes in 0..=u16::MAX {
                *pairs.entry(fair_symbols(bytes.to_be_bytes().into_iter(), alphabet).collect()).or_default() += 1;
            }
            let size = alphabet.symbols().len();
            let (each, skipped) = (256 / size, 256 % size);
            for (symbols, found) in &pairs {
                let expected = match symbols.len() {
                    0 => skipped * skipped,
                    1 => 2 * skipped * each,
                    _ => each * each,
                };
                assert_eq!(*found, expected, "{symbols:?}");
            }
            assert_eq!(pairs.len(), 1 + size + size * size);
        }
    }

    /// A byte is skipped or makes a symbol at once, so a code needs a second block only where the first has too many to skip.
    #[test]
    fn g4_r02_a_code_ends_within_two_blocks_but_for_one_in_a_hundred_million_million() {
        for alphabet in [Alphabet::Digits, Alphabet::Letters] {
            for skipped in 0..=64_usize {
                let worst = std::iter::repeat_n(255, skipped).chain(std::iter::repeat_n(0, MAX_LENGTH));
                let mut read = 0;
                let symbols = fair_symbols(worst.inspect(|_| read += 1), alphabet).take(MAX_LENGTH).count();
                assert_eq!((symbols, read), (MAX_LENGTH, skipped + MAX_LENGTH));
            }
            let skip = (256 % alphabet.symbols().len()) as f64 / 256.0;
            // The chance of fewer than 16 symbols in so many bytes: the binomial distribution, term by term.
            let chance_of_too_few = |bytes: i32| {
                let term = |made: i32| {
                    let ways: f64 = (0..made).map(|n| f64::from(bytes - n) / f64::from(n + 1)).product();
                    ways * (1.0 - skip).powi(made) * skip.powi(bytes - made)
                };
                (0..MAX_LENGTH as i32).map(term).sum::<f64>()
            };
            assert!(chance_of_too_few(32) < 1e-11, "{:e}", chance_of_too_few(32));
            assert!(chance_of_too_few(64) < 1e-14, "{:e}", chance_of_too_few(64));
        }
    }

    #[test]
    fn g4_the_comparison_in_constant_time_says_what_the_ordinary_one_says() {
        let mut texts = vec![String::new()];
        for length in 0..=9 {
            if length >= MIN_LENGTH {
                for code in &texts {
                    for typed in &texts {
                        assert_eq!(answers(Alphabet::Digits, code, typed), code == typed, "{code} and {typed}");
                    }
                    let (shorter, longer) = (&code[1..], format!("{code}0"));
                    assert!(!answers(Alphabet::Digits, code, shorter) && !answers(Alphabet::Digits, code, &longer));
                }
            }
            texts = texts.iter().flat_map(|text| ["0", "9"].map(|symbol| format!("{text}{symbol}"))).collect();
        }
    }

    #[test]
    fn g4_one_bit_more_or_less_in_an_answer_makes_it_wrong_unless_it_is_the_case_of_a_letter() {
        for alphabet in [Alphabet::Digits, Alphabet::Letters] {
            for length in MIN_LENGTH..=MAX_LENGTH {
                let symbols: Vec<u8> = alphabet.symbols().iter().copied().cycle().skip(length).take(length).collect();
                let right = String::from_utf8(symbols.clone()).unwrap();
                assert!(answers(alphabet, &right, &right));
                for (place, bit) in (0..length).flat_map(|place| (0..8).map(move |bit| (place, bit))) {
                    let mut changed = symbols.clone();
                    changed[place] ^= 1 << bit;
                    let typed: String = changed.into_iter().map(char::from).collect();
                    let is_case = alphabet == Alphabet::Letters && bit == 5;
                    assert_eq!(answers(alphabet, &right, &typed), is_case, "{right} and {typed:?}");
                }
            }
        }
    }

    #[test]
    fn r01_formats_have_bounds() {
        assert_eq!(CodeFormat::new(Alphabet::Digits, MIN_LENGTH - 1), None);
        assert_eq!(CodeFormat::new(Alphabet::Digits, MAX_LENGTH + 1), None);
        assert_eq!(Alphabet::Letters.symbols().len(), 20);
    }

    #[test]
    fn r55_t42_secrets_do_not_print_themselves() {
        let key = CodeKey::new(b"a secret of thirty-two characters");
        let keys = CodeKeys { current: key.clone(), previous: Some(key) };
        assert_eq!(format!("{keys:?}"), "CodeKeys { current: CodeKey, previous: Some(CodeKey) }");
        assert_eq!(format!("{:?}", code(Alphabet::Digits, "48310937")), "Code");
    }
}
