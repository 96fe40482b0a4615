//! Who gets a mail, and what is said to them beside the code.

use std::fmt;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::email_address::EmailAddress;

/// A user who may be sent a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub address: EmailAddress,
    /// Whether it is known to be the user's; if not, a right answer proves it.
    pub verified: bool,
    /// The language that the user's `locale` attribute names.
    pub locale: Option<LanguageTag>,
    /// How a mail may greet the user, if the settings want one to.
    pub name: Option<GreetingName>,
}

/// Something that looks like a language tag (BCP 47), from an attribute or from client metadata.
#[derive(Clone, PartialEq, Eq)]
pub struct LanguageTag(String);

impl LanguageTag {
    /// Longest tag in bytes: room for every tag that is in use (BCP 47 §4.4.1).
    pub const MAX_LENGTH: usize = 35;

    /// Reads subtags of 1 to 8 ASCII letters and digits, the first of 2 to 8 letters. Underscores count as hyphens (`pt_BR`),
    /// because that is how many write the `locale` attribute (OpenID Connect Core §5.1).
    pub fn parse(text: &str) -> Option<LanguageTag> {
        let tag = text.replace('_', "-");
        let is_subtag = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
        let language = tag.split('-').next().unwrap_or_default();
        let fits = text.len() <= Self::MAX_LENGTH
            && tag.split('-').all(is_subtag)
            && language.len() >= 2
            && language.bytes().all(|b| b.is_ascii_alphabetic());
        fits.then_some(LanguageTag(tag))
    }

    /// English.
    pub fn english() -> LanguageTag {
        LanguageTag("en".to_owned())
    }

    /// The tag, with hyphens, otherwise as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LanguageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LanguageTag")
    }
}

/// A name that users gave themselves. It is made of letters, so it is no link, no address, no number and no markup; it can still
/// be words of another kind.
#[derive(Clone, PartialEq, Eq)]
pub struct GreetingName(String);

impl GreetingName {
    /// Longest name in characters.
    pub const MAX_LENGTH: usize = 40;
    /// Most words: enough for a name, and few for a message.
    pub const MAX_WORDS: usize = 4;
    /// Marks on one letter: the most that a letter of a living language carries, and less than what scribbles over other lines.
    const MAX_MARKS: usize = 4;

    /// Reads letters of any script and their marks, with single spaces, hyphens, apostrophes and middle dots between them. A dot
    /// ends a word (`J. R. Smith`), so that no mail program makes a link of it. `None` for anything else.
    pub fn parse(text: &str) -> Option<GreetingName> {
        let text = text.trim();
        let mut before = Kind::Space;
        let mut marks = 0;
        for c in text.chars() {
            let kind = Kind::of(c)?;
            let fits = match kind {
                Kind::Letter => before != Kind::Dot,
                Kind::Mark => {
                    marks += 1;
                    matches!(before, Kind::Letter | Kind::Mark) && marks <= Self::MAX_MARKS
                }
                Kind::Joiner | Kind::Hyphen | Kind::Dot => matches!(before, Kind::Letter | Kind::Mark),
                Kind::Space => matches!(before, Kind::Letter | Kind::Mark | Kind::Dot),
            };
            if !fits {
                return None;
            }
            if kind == Kind::Letter {
                marks = 0;
            }
            before = kind;
        }
        let ends_well = matches!(before, Kind::Letter | Kind::Mark | Kind::Dot);
        let is_short = text.chars().count() <= Self::MAX_LENGTH && text.split(' ').count() <= Self::MAX_WORDS;
        (ends_well && is_short).then(|| GreetingName(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for GreetingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GreetingName")
    }
}

/// What names are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    /// Accents, vowel signs.
    Mark,
    /// Joins letters or keeps them apart inside words, as some scripts need (Unicode standard §23.2).
    Joiner,
    /// What stands between the parts of one name.
    Hyphen,
    /// The end of an abbreviation.
    Dot,
    Space,
}

impl Kind {
    fn of(c: char) -> Option<Kind> {
        use GeneralCategory::{
            LowercaseLetter, NonspacingMark, OtherLetter, SpacingMark, TitlecaseLetter, UppercaseLetter,
        };
        match c {
            ' ' => Some(Kind::Space),
            '-' | '\'' | '’' | '·' | '・' => Some(Kind::Hyphen),
            '.' => Some(Kind::Dot),
            '\u{200c}' | '\u{200d}' => Some(Kind::Joiner),
            // Modifier letters look like punctuation, but for these: the okina of Hawaii, and two of Japan.
            'ʻ' | 'ʼ' | '々' | 'ー' => Some(Kind::Letter),
            // Letters that are not seen, look like punctuation, or are another form of what there is.
            '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
            | 'ǀ'..='ǃ'
            | '\u{2100}'..='\u{214f}'
            | '\u{ff21}'..='\u{ff5a}'
            | '\u{1d400}'..='\u{1d7ff}'
            // Variation selectors.
            | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => None,
            _ => {
                let category = c.general_category();
                let is_letter = matches!(category, UppercaseLetter | LowercaseLetter | TitlecaseLetter | OtherLetter);
                let is_mark = matches!(category, NonspacingMark | SpacingMark);
                is_letter.then_some(Kind::Letter).or(is_mark.then_some(Kind::Mark))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_tags_are_read_with_hyphens_or_underscores() {
        for (text, tag) in [
            ("en", "en"),
            ("pt-BR", "pt-BR"),
            ("pt_BR", "pt-BR"),
            ("zh-Hans-CN", "zh-Hans-CN"),
            ("de-DE-u-co-phonebk", "de-DE-u-co-phonebk"),
            ("EN-us", "EN-us"),
        ] {
            assert_eq!(LanguageTag::parse(text).expect(text).as_str(), tag);
        }
        let long = format!("en{}", "-x".repeat(17));
        for refused in [
            "",
            "-",
            "e",
            "en-",
            "-en",
            "en--US",
            "e1",
            "en US",
            "en\r\nBcc: eve",
            "英語",
            "en-abcdefghi",
            "*",
            "../en",
            "en.",
            &long,
        ] {
            assert_eq!(LanguageTag::parse(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn t35_a_greeting_is_a_name_and_nothing_else() {
        for name in [
            "Ana",
            "Jean-Luc",
            "O'Neill",
            "O’Neill",
            "J. R. Smith",
            "Dr. Ana María Ñúñez",
            "Łukasz",
            "İbrahim",
            "田中 太郎",
            "ジョン・スミス",
            "김민준",
            "محمد علي",
            "שׂרה",
            "प्रिया",
            "Nguyễn Thị Mai",
            "L·lúcia",
            "Sammy Davis Jr.",
            "می‌نا",
            "Kaʻiulani",
            "佐々木",
            "スーザン",
        ] {
            assert_eq!(GreetingName::parse(name).expect(name).as_str(), name);
        }
        assert_eq!(GreetingName::parse("  Ana ").expect("trimmed").as_str(), "Ana");
        let long = "x".repeat(GreetingName::MAX_LENGTH + 1);
        for refused in [
            "",
            " ",
            "-",
            "4711",
            "Ana 2",
            "evil.example",
            "www.evil.example",
            "https://evil.example",
            "eve@evil.example",
            "<b>Ana</b>",
            "{{ code }}",
            "{% raw %}",
            "Ana\nBcc: eve",
            "Ana\u{202e}",
            "\u{2066}Ana",
            "Ana!",
            "Ana, your code",
            "Ana  Maria",
            "a\u{301}\u{301}\u{301}\u{301}\u{301}",
            "\u{301}a",
            "Ana\0",
            "Ana😀",
            "Ana/Eva",
            "&amp;",
            "Ana\u{200b}",
            "\u{200d}Ana",
            "Ana-",
            "$Ana",
            "A．B",
            "evilꓸcom",
            "httpsꓽ",
            "Stopǃ",
            "\u{3164}",
            "\u{115f}\u{1160}",
            "𝐘𝐨𝐮𝐫",
            "ｅｖｉｌ",
            "ℂ",
            "a\u{20dd}",
            "a\u{fe0f}",
            "a\u{200d}",
            "a\u{200d}\u{200d}b",
            "a\u{301}\u{301}\u{301}\u{301}\u{200d}\u{301}b",
            "Please call Eve right now",
            &long,
        ] {
            assert_eq!(GreetingName::parse(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn r55_nothing_of_a_recipient_prints_itself() {
        let recipient = Recipient {
            address: EmailAddress::parse("alice@example.com").unwrap(),
            verified: true,
            locale: LanguageTag::parse("ja"),
            name: GreetingName::parse("Alice"),
        };
        let printed =
            "Recipient { address: EmailAddress, verified: true, locale: Some(LanguageTag), name: Some(GreetingName) }";
        assert_eq!(format!("{recipient:?}"), printed);
    }
}
