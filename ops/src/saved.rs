//! The file that remembers what a pool was like before `attach`.
//!
//! A file, because every place in the account is worse: the pool's own tags are settings of the pool, of which we promise to
//! change nothing but the triggers, and take 256 characters; tags of functions and parameters belong to somebody's stack, which
//! takes them for drift. A file can be read, kept in a repository, and used by hand if all else fails, since it holds the whole
//! description of the pool.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::settings::Members;
use crate::triggers::{Arn, Functions, Trigger, lambda_config};

/// What is in the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Saved {
    user_pool_id: String,
    /// The functions that `attach` has given triggers to.
    attached: BTreeMap<String, String>,
    /// The pool, as it was described before that.
    before: Members,
    /// What was told of MFA, of which the description has a part only; nothing if that might not be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mfa: Option<Members>,
}

/// Where the file is unless told otherwise.
pub(crate) fn default_path(user_pool_id: &str) -> PathBuf {
    format!("custom-auth.{user_pool_id}.json").into()
}

impl Saved {
    /// Reads the file, if there is one.
    pub(crate) fn read(path: &Path, user_pool_id: &str) -> Result<Option<Saved>, String> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let saved: Saved = serde_json::from_str(&text)
            .map_err(|error| format!("{} was not written by `attach`: {error}", path.display()))?;
        if saved.user_pool_id != user_pool_id {
            return Err(format!("{} is about the pool {}, not {user_pool_id}", path.display(), saved.user_pool_id));
        }
        Ok(Some(saved))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        let written = self::write(path, &format!("{text}\n"));
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    /// What to remember when `ours` are attached to `pool`, and `earlier` was remembered when others or the same were.
    pub(crate) fn of(
        user_pool_id: &str,
        pool: &Members,
        mfa: Option<&Members>,
        ours: &Functions,
        earlier: Option<Saved>,
    ) -> Saved {
        let mut config = lambda_config(pool);
        let mut attached = BTreeMap::new();
        let before_that = earlier.as_ref().map(|saved| lambda_config(&saved.before)).unwrap_or_default();
        let earlier = earlier.map(|saved| saved.attached).unwrap_or_default();
        for (trigger, function) in by_trigger(&earlier) {
            // What stands there now is our own doing.
            if trigger.function(&config) == Some(function) {
                trigger.restore(&mut config, &before_that);
                attached.insert(trigger.name().to_owned(), function.to_owned());
            }
        }
        for (trigger, arn) in ours {
            // Attached already, and nobody knows what was there before.
            if trigger.function(&config) == Some(arn.as_str()) {
                trigger.restore(&mut config, &Value::Null);
            }
            attached.insert(trigger.name().to_owned(), arn.to_string());
        }
        let mut before = pool.clone();
        before.insert("LambdaConfig".to_owned(), config);
        Saved { user_pool_id: user_pool_id.to_owned(), attached, before, mfa: mfa.cloned() }
    }

    /// The functions that were attached.
    pub(crate) fn functions(&self) -> Result<Functions, String> {
        by_trigger(&self.attached).map(|(trigger, function)| Ok((trigger, Arn::parse(function)?))).collect()
    }

    /// The triggers before that.
    pub(crate) fn lambda_config(&self) -> Value {
        lambda_config(&self.before)
    }
}

/// Writes the file. What was there before may be all there is to go back to, so it is copied to another name first, and the new one is
/// renamed into its place.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut names = (1..).map(|n| path.with_extension(format!("{n}.json")));
    if let Some(earlier) = names.find(|earlier| !earlier.exists()).filter(|_| path.exists()) {
        fs::copy(path, earlier)?;
    }
    let new = path.with_extension("json.new");
    fs::write(&new, text)?;
    fs::rename(&new, path)
}

fn by_trigger(attached: &BTreeMap<String, String>) -> impl Iterator<Item = (Trigger, &str)> {
    attached.iter().filter_map(|(name, function)| Some((Trigger::named(name)?, function.as_str())))
}
