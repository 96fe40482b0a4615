//! post-authentication: has this sign-in's user proved an address that is not verified yet?
//!
//! Only with `VERIFY_BY_CODE` there is anything to prove: then confirmed users get codes also at an address that nobody has verified,
//! and whoever answers one rightly reads the mail there.
//!
//! Cognito calls this trigger after every sign-in, by whatever flow of whatever app client, and does not tell which it was. So a
//! sign-in is no proof of anything here. The proof is a fact that only a right answer produces: verify-auth-challenge writes it into
//! the table, beside its count, for this address of this account ([`SignIn::proof`](crate::user::SignIn::proof)). Somebody who signs in by
//! a password leaves none. Nor does somebody who had a code mailed to one address and then changed to another: the address is in the
//! code.
//!
//! What the proof does not show is who made the account. Whoever signed up with somebody else's address, and a password, has a
//! password for the account that its owner later takes over by a code. It is of no use where no app client takes passwords, and
//! that is the condition under which `VERIFY_BY_CODE` may be set.

use crate::challenge::UnixSeconds;
use crate::code::CodeKeys;
use crate::email_address::EmailAddress;
use crate::limits::{Account, AccountKey};
use crate::user::{SignIn, User};

/// Where a proof would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The account whose counts hold it.
    pub account: AccountKey,
    /// What it looks like.
    pub proof: String,
}

/// What is to be done about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marking {
    /// It is to be marked as verified.
    Mark(EmailAddress),
    /// It is to be left as it is.
    Leave,
}

/// Where to look for a proof: nowhere, when there is nothing to prove; else wherever one of our keys would have put it.
pub fn places(keys: &CodeKeys, sign_in: &SignIn, user: &User) -> Vec<Place> {
    let place = |key| Some(Place { account: AccountKey::new(key, sign_in, user), proof: sign_in.proof(key)? });
    std::iter::once(&keys.current).chain(&keys.previous).filter_map(place).collect()
}

/// Decides about the sign-in's address, by what was found in one place.
pub fn decide(sign_in: &SignIn, place: &Place, found: &Account, now: UnixSeconds) -> Marking {
    match &sign_in.unproved {
        Some(address) if found.has(&place.proof, now) => Marking::Mark(address.clone()),
        Some(_) | None => Marking::Leave,
    }
}
