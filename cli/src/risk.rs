//! `custom-auth risk`: what guessing comes to with the settings at hand.

use std::error::Error;

use auth_challenge::code::CodeFormat;
use auth_challenge::limits::Limits;
use auth_challenge::risk::{MAILS_PER_SECOND, Risk, risk};
use auth_challenge::settings::{ACCEPT_RISK, CODE_KEY, ChallengeSettings, LimitsSettings};

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let vars = |name: &str| match name {
        // Its value does not matter here.
        CODE_KEY => Some("a-key-that-makes-no-codes-at-all".to_owned()),
        // To be told the risk, and not that it is too great.
        ACCEPT_RISK => Some("1".to_owned()),
        _ => std::env::var(name).ok(),
    };
    let format = ChallengeSettings::from_vars(&vars)?.format;
    let LimitsSettings { table, limits } = LimitsSettings::from_vars(&vars)?;
    print!("{}", report(format, &limits, table.is_some()));
    Ok(())
}

fn report(format: CodeFormat, limits: &Limits, counted: bool) -> String {
    let Risk { codes, guesses, chance, spread_guesses, accounts } = risk(format, limits, counted);
    let sign_ins = match counted {
        true => format!("counted for accounts, {} a day", limits.mails_per_day),
        false => format!("not counted for accounts, as many as mails are sent: {MAILS_PER_SECOND} a second"),
    };
    format!(
        "Codes                            {length} {alphabet}: {codes:.1e} of them, {bits:.1} bits\n\
         Sign-ins                         {sign_ins}\n\
         Answers per sign-in              {attempts}\n\
         \n\
         Guesses at one account a year    {guesses:.1e}\n\
         Chance that one is right         {chance:.1e}\n\
         Guesses at any account a year    {spread_guesses:.1e}, if mails are sent at {MAILS_PER_SECOND} a second\n\
         Accounts that they open          {accounts:.1e}\n\
         \n\
         1 − (1 − a/N)^s for s sign-ins with a answers each and N codes; G/N for G guesses at any accounts (RFC 4226, appendix D)\n",
        length = format.length(),
        alphabet = format.alphabet.name(),
        bits = format.bits(),
        attempts = limits.max_attempts,
    )
}
