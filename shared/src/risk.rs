//! What it costs to guess a code, in numbers.
//!
//! Every sign-in gives an attacker `a` different guesses at one of `N` codes, and a new sign-in a new code. So of `g` guesses in a
//! year at one account none succeeds with the chance `(1 − a/N)^(g/a)`, and one at least with
//!
//! ```text
//! p = 1 − (1 − a/N)^(g/a)
//! ```
//!
//! which is RFC 4226's `s·v/10^d` (§E.4, appendix D) for small chances. Guesses spread over many accounts break `G/N` of them in a
//! year, whatever is counted for each: against that only `N` helps, and that somebody looks.

use crate::code::CodeFormat;
use crate::limits::Limits;

/// Mails in a second that an attacker can cause: what SES grants at first outside of its sandbox. Without counts for accounts
/// nothing else limits the sign-ins that are begun.
pub const MAILS_PER_SECOND: f64 = 14.0;

const DAYS_PER_YEAR: f64 = 365.25;

/// What an attacker who knows an address, and never stops, comes to in a year.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Risk {
    /// How many codes there are.
    pub codes: f64,
    /// Guesses at one account.
    pub guesses: f64,
    /// The chance that one of them is right.
    pub chance: f64,
    /// Guesses at any accounts, at [`MAILS_PER_SECOND`].
    pub spread_guesses: f64,
    /// How many accounts they open.
    pub accounts: f64,
}

/// The risk of codes of this format. `counted`: whether mails are counted for accounts.
pub fn risk(format: CodeFormat, limits: &Limits, counted: bool) -> Risk {
    let codes = (format.alphabet.symbols().len() as f64).powi(format.length() as i32);
    // With counts two sign-ins may share a code, and each can answer once at least.
    let attempts = f64::from(limits.max_attempts.max(if counted { 2 } else { 1 }));
    let spread_guesses = MAILS_PER_SECOND * 86_400.0 * DAYS_PER_YEAR * attempts;
    // Each sign-in takes a mail, and wrong answers in a row slow them down besides.
    let guesses = match counted {
        true => limits.mails_per_day as f64 * DAYS_PER_YEAR * attempts,
        false => spread_guesses,
    };
    let sign_ins = guesses / attempts;
    // Exact also where the chance is tiny.
    let chance = -(sign_ins * (-attempts / codes).ln_1p()).exp_m1();
    Risk { codes, guesses, chance, spread_guesses, accounts: spread_guesses / codes }
}
