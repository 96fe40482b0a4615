//! How a text that nobody may read can stand in another.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// The ways in which a text can stand in another.
fn spellings(secret: &str) -> Vec<String> {
    let plain = secret.replace(' ', "");
    let mut spellings = vec![secret.to_owned(), plain.clone(), plain.replace('@', "%40"), plain.to_lowercase()];
    for separator in [" ", "-", ".", ", ", ",", "\u{a0}", "\\u00a0", "\\u{a0}"] {
        spellings.push(plain.chars().map(String::from).collect::<Vec<_>>().join(separator));
        let groups: Vec<&str> = secret.split(' ').collect();
        spellings.push(groups.join(separator));
    }
    for text in [secret, &plain] {
        let octets = text.as_bytes();
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        spellings.extend([hex.to_uppercase(), hex]);
        // As a list of octets, as `{:?}` of bytes writes it.
        spellings.push(octets.iter().map(u8::to_string).collect::<Vec<_>>().join(", "));
        // base64, wherever in a longer text it begins: without the characters that its neighbours take part in.
        for offset in 0..3 {
            let padded = [vec![0; offset], octets.to_vec()].concat();
            for engine in [&STANDARD, &URL_SAFE] {
                let text = engine.encode(&padded);
                let from = [0, 2, 3][offset];
                let to = padded.len() * 8 / 6;
                spellings.push(text[from..to].to_owned());
            }
        }
    }
    spellings
}

/// The first spelling of a secret that is in a text.
pub(crate) fn find(secret: &str, text: &str) -> Option<String> {
    spellings(secret).into_iter().find(|spelling| text.contains(spelling.as_str()))
}
