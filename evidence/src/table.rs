//! A table on this machine in which functions count, and under which names accounts are found in it.

use std::sync::{MutexGuard, PoisonError};

use auth_challenge::code::CodeKey;
use auth_challenge::limits::AccountKey;
use auth_challenge::settings::RecipientSettings;
use auth_challenge::user::{SignIn, User};

use crate::dynamodb::{DynamoDb, Fault, Tables};
use crate::stage::{CODE_KEY, Client};

/// The table.
pub(crate) struct Table(DynamoDb);

impl Table {
    pub(crate) async fn start() -> Table {
        Table(DynamoDb::start().await)
    }

    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans what goes wrong with the next requests about an account.
    pub(crate) fn plan(&self, account: &str, faults: &[Fault]) {
        self.tables().faults_of.insert(account.to_owned(), faults.iter().copied().collect());
    }

    /// Forgets what was planned. Whether all of it has happened.
    pub(crate) fn happened(&self, account: &str) -> bool {
        self.tables().faults_of.remove(account).is_none_or(|faults| faults.is_empty())
    }

    /// Forgets an account, as DynamoDB does in the end.
    pub(crate) fn forget(&self, account: &str) {
        self.tables().items.remove(account);
    }
}

/// The name under which what is counted for a user is kept.
pub(crate) fn account(pool: &Client, user_name: String, user: &User) -> String {
    let sign_in = SignIn {
        user_pool_id: pool.addresses.user_pool_id.clone(),
        client_id: pool.addresses.client_id.clone(),
        user_name,
        unproved: None,
    };
    AccountKey::new(&CodeKey::new(CODE_KEY.as_bytes()), &sign_in, user).name
}

/// The user with this verified address, as functions see one.
pub(crate) fn known(address: &str) -> User {
    let attributes = [("email", address), ("email_verified", "true")];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    User::read(false, &attributes, &RecipientSettings::default())
}
