//! The users of the pool.

use std::collections::BTreeMap;
use std::fmt;

use rand::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Builder;

use crate::srp::Verifier;

/// A user, or one who does not exist and whom the pool pretends to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The immutable name: a UUID unless the users' file gives one.
    pub username: String,
    /// Attributes, `sub` among them, all of them texts.
    pub attributes: BTreeMap<String, String>,
    /// How far the account has come.
    pub status: UserStatus,
    /// Whether the user may sign in at all.
    pub enabled: bool,
    /// Whether the pool has this user.
    pub exists: bool,
    /// Groups, for the tokens.
    pub groups: Vec<String>,
    /// What is kept of the password, if there is one.
    pub password: Option<Verifier>,
    /// What confirms the account, while it is not confirmed.
    pub confirmation: Option<Confirmation>,
    /// Changes when the user signs out of everything: tokens of another epoch are revoked.
    pub epoch: u64,
}

/// A code that was mailed to confirm an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The code.
    pub code: String,
    /// The address that it was mailed to, and proves.
    pub email: String,
}

/// How far an account has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UserStatus {
    /// Signed up, and has not shown the code from the mail.
    Unconfirmed,
    /// May sign in.
    Confirmed,
    /// Comes from an identity provider, and has no password here.
    ExternalProvider,
    /// Has a temporary password.
    ForceChangePassword,
    /// Has a password that no longer serves.
    ResetRequired,
}

impl UserStatus {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            UserStatus::Unconfirmed => "UNCONFIRMED",
            UserStatus::Confirmed => "CONFIRMED",
            UserStatus::ExternalProvider => "EXTERNAL_PROVIDER",
            UserStatus::ForceChangePassword => "FORCE_CHANGE_PASSWORD",
            UserStatus::ResetRequired => "RESET_REQUIRED",
        }
    }
}

/// The attributes that a pool has without further ado, except `sub`, which nobody sets.
const STANDARD_ATTRIBUTES: [&str; 19] = [
    "address",
    "birthdate",
    "email",
    "email_verified",
    "family_name",
    "gender",
    "given_name",
    "locale",
    "middle_name",
    "name",
    "nickname",
    "phone_number",
    "phone_number_verified",
    "picture",
    "preferred_username",
    "profile",
    "updated_at",
    "website",
    "zoneinfo",
];

/// Whether an attribute of that name can be set: the others are claims that tokens have for other reasons.
pub(crate) fn is_attribute(name: &str) -> bool {
    STANDARD_ATTRIBUTES.contains(&name) || name.strip_prefix("custom:").is_some_and(|name| !name.is_empty())
}

/// Whether an attribute says that another one is verified: a text in events, and a flag in tokens.
pub(crate) fn is_verification(name: &str) -> bool {
    matches!(name, "email_verified" | "phone_number_verified")
}

impl User {
    /// A confirmed user with this address, and a `sub` that is the same at every start, so that what an application keeps
    /// of it stays true.
    pub fn new(email: &str) -> User {
        let sub = Builder::from_random_bytes(octets(&["sub", &email.to_lowercase()])).into_uuid().to_string();
        let attributes = [("sub", sub.as_str()), ("email", email), ("email_verified", "true")];
        User {
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            username: sub,
            status: UserStatus::Confirmed,
            enabled: true,
            exists: true,
            groups: Vec::new(),
            password: None,
            confirmation: None,
            epoch: 0,
        }
    }

    /// Somebody whom the pool does not have, with a name that is the same at every try, however it is typed.
    pub fn missing(user_pool_id: &str, typed: &str) -> User {
        // Cognito's looks like a name-based UUID (version 3).
        let name = Builder::from_md5_bytes(octets(&[user_pool_id, &typed.to_lowercase()])).into_uuid();
        User::nobody(&name.to_string())
    }

    /// Somebody of that name whom the pool does not have: no attributes, and no password is right.
    pub(crate) fn nobody(username: &str) -> User {
        User { username: username.to_owned(), attributes: BTreeMap::new(), exists: false, ..User::new(username) }
    }

    /// Whether `name` is one that the user may be called by: the user name, the address, or the `sub`, large or small.
    pub fn is_called(&self, name: &str) -> bool {
        let is = |attribute: &str| self.attributes.get(attribute);
        self.username.eq_ignore_ascii_case(name)
            || is("sub").is_some_and(|sub| sub.eq_ignore_ascii_case(name))
            || is("email").is_some_and(|email| email.eq_ignore_ascii_case(name))
    }

    /// What is kept of the password, if there is one that serves.
    pub(crate) fn serving_password(&self) -> Option<&Verifier> {
        self.password.as_ref().filter(|_| self.exists && self.status != UserStatus::ResetRequired)
    }

    /// The attributes as events show them.
    pub fn event_attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = self.attributes.clone();
        if self.exists {
            attributes.insert("cognito:user_status".to_owned(), self.status.name().to_owned());
        }
        attributes
    }
}

/// The users of a pool in which people sign in with their address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users(Vec<User>);

impl Default for Users {
    /// Alice, with a verified address.
    fn default() -> Users {
        Users(vec![User::new("alice@example.com")])
    }
}

/// What is wrong with a users' file.
#[derive(Debug, PartialEq, Eq)]
pub struct UsersError(String);

impl fmt::Display for UsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsersError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "user")]
    users: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    email: String,
    username: Option<String>,
    email_verified: Option<bool>,
    enabled: Option<bool>,
    status: Option<UserStatus>,
    password: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl Users {
    /// Reads a users' file. Of each user only the address is required:
    ///
    /// ```toml
    /// [[user]]
    /// email = "bob@example.com"
    /// username = "bob"                            # a UUID if left out
    /// email_verified = false                      # true if left out
    /// enabled = true                              # true if left out
    /// status = "FORCE_CHANGE_PASSWORD"            # CONFIRMED if left out
    /// password = "Correct horse 1"                # none if left out
    /// groups = ["staff"]                          # none if left out
    /// attributes = { "custom:tenant" = "acme" }   # none if left out
    /// ```
    ///
    /// # Errors
    ///
    /// Says what is wrong and where.
    pub fn from_toml(text: &str, user_pool_id: &str, rng: &mut impl Rng) -> Result<Users, UsersError> {
        let file: File = toml::from_str(text).map_err(|error| UsersError(error.to_string()))?;
        let mut users = Users(Vec::new());
        for entry in file.users {
            let mut user = User::new(&entry.email);
            user.username = entry.username.unwrap_or(user.username);
            let verified = entry.email_verified.unwrap_or(true).to_string();
            user.attributes.insert("email_verified".to_owned(), verified);
            if let Some(name) = entry.attributes.keys().find(|name| !is_attribute(name) || name.starts_with("email")) {
                return Err(UsersError(format!("{} cannot have the attribute {name}", entry.email)));
            }
            user.attributes.extend(entry.attributes);
            user.enabled = entry.enabled.unwrap_or(true);
            user.status = entry.status.unwrap_or(user.status);
            user.groups = entry.groups;
            user.password =
                entry.password.map(|password| Verifier::new(short_id(user_pool_id), &user.username, &password, rng));
            let names = [&entry.email, &user.username].into_iter().chain(user.attributes.get("sub"));
            if let Some(name) = names.into_iter().find(|name| users.find(name).is_some()) {
                return Err(UsersError(format!("two users are called {name}")));
            }
            users.0.push(user);
        }
        Ok(users)
    }

    /// The user whom somebody calls by this name, address or `sub`.
    pub fn find(&self, name: &str) -> Option<&User> {
        self.0.iter().find(|user| user.is_called(name))
    }

    /// The same, to be changed.
    pub(crate) fn find_mut(&mut self, name: &str) -> Option<&mut User> {
        self.0.iter_mut().find(|user| user.is_called(name))
    }

    /// The user with this very user name.
    pub(crate) fn get(&self, username: &str) -> Option<&User> {
        self.0.iter().find(|user| user.username == username)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, username: &str) -> Option<&mut User> {
        self.0.iter_mut().find(|user| user.username == username)
    }

    pub(crate) fn add(&mut self, user: User) {
        self.0.push(user);
    }

    pub(crate) fn remove(&mut self, username: &str) {
        self.0.retain(|user| user.username != username);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The part of a pool's id that passwords are hashed with.
pub(crate) fn short_id(user_pool_id: &str) -> &str {
    user_pool_id.split_once('_').map_or(user_pool_id, |(_, id)| id)
}

fn octets(parts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut octets = [0; 16];
    octets.copy_from_slice(&hash.finalize()[..16]);
    octets
}
