//! The users of the pool.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// A user, or one who does not exist and whom the pool pretends to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The immutable name: a UUID unless the users' file gives one.
    pub username: String,
    /// Attributes as events show them: all of them texts.
    pub attributes: BTreeMap<String, String>,
    /// Whether the pool has this user.
    pub exists: bool,
    /// Whether the user may sign in at all.
    pub enabled: bool,
}

impl User {
    /// Somebody whom the pool does not have: no attributes, and a name that is the same at every try, however it is typed.
    pub fn missing(user_pool_id: &str, typed: &str) -> User {
        // Cognito's looks like a name-based UUID (version 3).
        let username = Builder::from_md5_bytes(octets(&[user_pool_id, &typed.to_lowercase()])).into_uuid().to_string();
        User { username, attributes: BTreeMap::new(), exists: false, enabled: true }
    }

    /// Whether `name` is the user's address or `sub`.
    pub fn has_alias(&self, name: &str) -> bool {
        let is = |attribute: &str| self.attributes.get(attribute);
        is("sub").is_some_and(|sub| sub == name) || is("email").is_some_and(|email| email.eq_ignore_ascii_case(name))
    }
}

/// The users of a pool in which people sign in with their address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users(Vec<User>);

impl Default for Users {
    /// Alice, with a verified address.
    fn default() -> Users {
        Users(vec![user("alice@example.com", None, true, true, BTreeMap::new())])
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
    #[serde(default = "yes")]
    email_verified: bool,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

impl Users {
    /// Reads a users' file:
    ///
    /// ```toml
    /// [[user]]
    /// email = "bob@example.com"
    /// username = "bob"                            # a UUID if left out
    /// email_verified = false                      # true if left out
    /// enabled = true                              # true if left out
    /// attributes = { "custom:tenant" = "acme" }   # none if left out
    /// ```
    ///
    /// # Errors
    ///
    /// Says what is wrong and where.
    pub fn from_toml(text: &str) -> Result<Users, UsersError> {
        let file: File = toml::from_str(text).map_err(|error| UsersError(error.to_string()))?;
        let mut users = Users(Vec::new());
        for entry in file.users {
            let user = user(&entry.email, entry.username, entry.email_verified, entry.enabled, entry.attributes);
            if let Some(name) = [&entry.email, &user.username].into_iter().find(|name| users.find(name).is_some()) {
                return Err(UsersError(format!("two users are called {name}")));
            }
            users.0.push(user);
        }
        Ok(users)
    }

    /// The user with this name, address or `sub`.
    pub fn find(&self, typed: &str) -> Option<&User> {
        self.0.iter().find(|user| user.username == typed || user.has_alias(typed))
    }
}

fn user(
    email: &str,
    username: Option<String>,
    email_verified: bool,
    enabled: bool,
    attributes: BTreeMap<String, String>,
) -> User {
    // The same at every start, so that what an application keeps of it stays true.
    let sub: Uuid = Builder::from_random_bytes(octets(&["sub", email])).into_uuid();
    let standard = [
        ("sub", sub.to_string()),
        ("cognito:user_status", "CONFIRMED".to_owned()),
        ("email", email.to_owned()),
        ("email_verified", email_verified.to_string()),
    ];
    let standard = standard.map(|(name, value)| (name.to_owned(), value));
    User {
        username: username.unwrap_or_else(|| sub.to_string()),
        // What the file says of an attribute wins.
        attributes: standard.into_iter().chain(attributes).collect(),
        exists: true,
        enabled,
    }
}

fn octets(parts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let [octets @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = <[u8; 32]>::from(hash.finalize());
    octets
}
