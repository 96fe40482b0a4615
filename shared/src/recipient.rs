//! Who gets a mail, and what is said to them beside the code.

use std::fmt;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::email_address::EmailAddress;

/// A user who may be sent a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The verified address.
    pub address: EmailAddress,
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

/// A name that users gave themselves, and that is nothing but a name: it cannot pass for a link, an address, a sentence with
/// numbers, or markup.
#[derive(Clone, PartialEq, Eq)]
pub struct GreetingName(String);

impl GreetingName {
    /// Longest name in characters.
    pub const MAX_LENGTH: usize = 40;
    /// Marks in a row: the most that a letter of a living language carries, and less than what scribbles over other lines.
    const MAX_MARKS: usize = 4;

    /// Reads letters of any script and their marks, with single spaces, hyphens, apostrophes and middle dots between them. A dot
    /// ends a word (`J. R. Smith`), so that no mail program makes a link of it. `None` for anything else.
    pub fn parse(text: &str) -> Option<GreetingName> {
        let text = text.trim();
        let mut before = None;
        let mut marks = 0;
        for c in text.chars() {
            let group = c.general_category_group();
            marks = if group == GeneralCategoryGroup::Mark { marks + 1 } else { 0 };
            let after_a_letter = before.is_some_and(is_in_a_word);
            let fits = match c {
                ' ' => after_a_letter || before == Some('.'),
                '-' | '\'' | '’' | '·' | '・' | '.' => after_a_letter,
                // Joiners that some scripts need inside words (Unicode standard §23.2).
                '\u{200c}' | '\u{200d}' => after_a_letter,
                _ if group == GeneralCategoryGroup::Letter => before != Some('.'),
                _ => group == GeneralCategoryGroup::Mark && after_a_letter && marks <= Self::MAX_MARKS,
            };
            if !fits {
                return None;
            }
            before = Some(c);
        }
        let ends_well = before.is_some_and(|last| is_in_a_word(last) || last == '.');
        (ends_well && text.chars().count() <= Self::MAX_LENGTH).then(|| GreetingName(text.to_owned()))
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

fn is_in_a_word(c: char) -> bool {
    matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark)
        || matches!(c, '\u{200c}' | '\u{200d}')
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
            &long,
        ] {
            assert_eq!(GreetingName::parse(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn r55_nothing_of_a_recipient_prints_itself() {
        let recipient = Recipient {
            address: EmailAddress::parse("alice@example.com").unwrap(),
            locale: LanguageTag::parse("ja"),
            name: GreetingName::parse("Alice"),
        };
        let printed = "Recipient { address: EmailAddress, locale: Some(LanguageTag), name: Some(GreetingName) }";
        assert_eq!(format!("{recipient:?}"), printed);
    }
}
