//! E-mail addresses that are safe to hand to a mail service.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// An e-mail address that is safe to hand to a mail service: one mailbox, plain ASCII, nothing quoted, commented or routed.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress {
    address: String,
    at: usize,
}

impl EmailAddress {
    /// Longest address in bytes (RFC 5321 §4.5.3.1, erratum 1690).
    pub const MAX_LENGTH: usize = 254;

    /// Reads an address exactly as it is written; nothing is trimmed or normalised.
    ///
    /// The local part is 1 to 64 letters, digits, dots, backquotes and `#$&'*+-/=?^_{|}~`. `%` and `!`, which used to route
    /// mail onwards (RFC 5321 appendix F.2), are refused, as are quotes, comments, and what begins an encoded word (`=?`,
    /// RFC 2047), because some mail servers decode those where they must not. The domain is two or more labels of letters,
    /// digits and hyphens; an international one must be in its A-label form (`xn--…`).
    pub fn parse(text: &str) -> Option<EmailAddress> {
        let (local, domain) = text.split_once('@')?;
        let local_is_plain = (1..=64).contains(&local.len())
            && !local.contains("=?")
            && local.bytes().all(|b| b.is_ascii_alphanumeric() || b".#$&'*+-/=?^_`{|}~".contains(&b));
        (text.len() <= Self::MAX_LENGTH && local_is_plain && is_domain(domain))
            .then(|| EmailAddress { address: text.to_owned(), at: local.len() })
    }

    /// The whole address, as it was written.
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        &self.address[self.at + 1..]
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress")
    }
}

/// The sender of mails: an address, perhaps with the name that mail programs show for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The name, in any script.
    pub name: Option<String>,
    /// The address that SES may send from.
    pub address: EmailAddress,
}

impl Sender {
    /// Reads `sign-in@example.com`, `Acme <sign-in@example.com>` or `"Acme, Inc." <sign-in@example.com>`. A name has 1 to 64
    /// characters, none of them a control character, a quotation mark or an angle bracket.
    pub fn parse(text: &str) -> Option<Sender> {
        let text = text.trim();
        let Some((name, address)) = text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) else {
            return Some(Sender { name: None, address: EmailAddress::parse(text)? });
        };
        let name = name.trim();
        let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name).trim();
        let fits =
            (1..=64).contains(&name.chars().count()) && is_plain_line(name) && !name.contains(['"', '<', '>', '\\']);
        let address = EmailAddress::parse(address.trim())?;
        match name {
            "" => Some(Sender { name: None, address }),
            _ => fits.then(|| Sender { name: Some(name.to_owned()), address }),
        }
    }
}

impl fmt::Display for Sender {
    /// The sender as the header of a mail has it, in ASCII: a name in another script becomes encoded words (RFC 2047 §5).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => {}
            Some(name) if name.is_ascii() => write!(f, "\"{name}\" ")?,
            Some(name) => {
                for word in chunks(name, MAX_ENCODED) {
                    write!(f, "=?UTF-8?B?{}?= ", STANDARD.encode(word))?;
                }
            }
        }
        match self.name {
            None => f.write_str(self.address.as_str()),
            Some(_) => write!(f, "<{}>", self.address.as_str()),
        }
    }
}

/// Most bytes of an encoded word: it may have 75 characters, of which 12 mark it as one (RFC 2047 §2).
const MAX_ENCODED: usize = (75 - 12) / 4 * 3;

/// Cuts a text between characters into pieces of at most `longest` bytes.
fn chunks(mut text: &str, longest: usize) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (chunk, rest) = text.split_at(text.floor_char_boundary(longest));
        text = rest;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Whether a name is one line, without characters that rule over the text around it.
pub(crate) fn is_plain_line(text: &str) -> bool {
    let rules_the_text = |c| matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !text.chars().any(|c| c.is_control() || rules_the_text(c))
}

/// Whether `text` is a domain name of two or more labels, in ASCII, that is not an IP address.
pub(crate) fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253
        && text.contains('.')
        && text.split('.').all(is_label)
        && text.rsplit('.').next().is_some_and(|top| !top.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t34_f44_f45_an_address_is_one_plain_mailbox_or_none() {
        for usable in [
            "alice@example.com",
            "a.b+tag@sub.example.co.uk",
            "o'neill@example.ie",
            "x@xn--bcher-kva.example",
            "A_B-c@EXAMPLE.COM",
        ] {
            let address = EmailAddress::parse(usable).expect(usable);
            assert_eq!(address.as_str(), usable);
            assert_eq!(address.domain(), usable.split('@').nth(1).unwrap());
        }
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}.com", "a.".repeat(126));
        for refused in [
            "",
            "@",
            "a@",
            "@example.com",
            "alice",
            "alice@localhost",
            "alice@example.com ",
            " alice@example.com",
            "alice@example.com\n",
            "alice@example.com\r\nBcc: eve@evil.example",
            "a@b@example.com",
            "\"e@evil.example\"@example.com",
            "alice@example.com,eve@evil.example",
            "alice@example.com;eve@evil.example",
            "<alice@example.com>",
            "Alice <alice@example.com>",
            "alice(comment)@example.com",
            "alice@(c)example.com",
            "alice%evil.example@example.com",
            "evil.example!alice@example.com",
            "alice@[192.0.2.1]",
            "alice@192.0.2.1",
            "alice@example..com",
            "alice@.example.com",
            "alice@example.com.",
            "alice@-example.com",
            "alice@example-.com",
            "alice＠example.com",
            "alice@ex\u{430}mple.com",
            "ali\u{0}ce@example.com",
            "ali\u{202e}ce@example.com",
            "jürgen@example.com",
            "=?utf-8?q?eve=40evil.example=3e=00?=@example.com",
            "alice@bücher.example",
            "alice @example.com",
            "alice\\@example.com",
            &long,
            &longer,
        ] {
            assert_eq!(EmailAddress::parse(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn a_sender_may_have_a_name_in_any_script() {
        for (text, name) in [
            ("sign-in@example.com", None),
            (" sign-in@example.com ", None),
            ("<sign-in@example.com>", None),
            ("Acme <sign-in@example.com>", Some("Acme")),
            ("\"Acme, Inc.\" <sign-in@example.com>", Some("Acme, Inc.")),
            ("Acme, Inc. <sign-in@example.com>", Some("Acme, Inc.")),
            ("サインイン<sign-in@example.com>", Some("サインイン")),
            ("تسجيل الدخول <sign-in@example.com>", Some("تسجيل الدخول")),
        ] {
            let sender = Sender::parse(text).expect(text);
            assert_eq!((sender.name.as_deref(), sender.address.as_str()), (name, "sign-in@example.com"), "{text}");
        }
        let long = format!("{} <sign-in@example.com>", "x".repeat(65));
        for refused in [
            "",
            "Acme",
            "Acme <>",
            "Acme <sign-in@example.com",
            "Acme <sign-in@example.com>, Eve <eve@evil.example>",
            "Acme\r\nBcc: eve@evil.example <sign-in@example.com>",
            "Ac\"me <sign-in@example.com>",
            "Acme <eve@evil.example> <sign-in@example.com>",
            "Acme\\ <sign-in@example.com>",
            "Acme\u{2028}Bcc <sign-in@example.com>",
            "Acme\u{202e} <sign-in@example.com>",
            &long,
        ] {
            assert_eq!(Sender::parse(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn a_sender_is_written_in_ascii() {
        for (text, header) in [
            ("sign-in@example.com", "sign-in@example.com"),
            ("Acme, Inc. <sign-in@example.com>", "\"Acme, Inc.\" <sign-in@example.com>"),
            ("Söhne <sign-in@example.com>", "=?UTF-8?B?U8O2aG5l?= <sign-in@example.com>"),
        ] {
            assert_eq!(Sender::parse(text).expect(text).to_string(), header);
        }
        let name = "サインイン".repeat(12);
        let header = Sender::parse(&format!("{name} <sign-in@example.com>")).unwrap().to_string();
        let mut words: Vec<&str> = header.split(' ').collect();
        assert_eq!(words.pop(), Some("<sign-in@example.com>"));
        // 180 bytes in as few words as they fit into.
        assert!(words.len() == 4 && words.iter().all(|word| word.len() <= 75), "{words:?}");
        // Each word is whole characters: mail programs decode them one by one.
        let decoded = words.iter().map(|word| {
            let encoded = word.strip_prefix("=?UTF-8?B?").and_then(|word| word.strip_suffix("?=")).unwrap();
            String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
        });
        assert_eq!(decoded.collect::<String>(), name);
    }
}
