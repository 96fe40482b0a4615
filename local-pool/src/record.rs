//! The events that triggers are given, written down as fixtures.
//!
//! A fixture is read by people and kept in repositories, so whatever belongs to a person or to a sign-in is replaced, but for
//! what says nothing of whose it is (languages, flags, groups): by a placeholder that says what was there, the same for the same
//! text. Two runs of the same sign-ins give the same files.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde_json::Value;

use crate::trigger::Trigger;

/// Attributes that say nothing of whose they are, and that triggers decide by.
const PLAIN_ATTRIBUTES: [&str; 5] =
    ["email_verified", "phone_number_verified", "cognito:user_status", "locale", "zoneinfo"];
/// Client metadata that functions of this project choose by. The rest may be anything, such as the token of a captcha.
const PLAIN_METADATA: [&str; 3] = ["action", "locale", "signInMethod"];
/// How else the same is written.
const METADATA_PREFIX: &str = "Amplify.Passwordless.";

/// Writes fixtures into a folder, like the ones in `events/`: a folder for each function, numbered files in it.
pub struct Recorder {
    folder: PathBuf,
    placeholders: Mutex<Placeholders>,
}

/// What has been replaced, and how many fixtures there are of each trigger.
#[derive(Default)]
struct Placeholders {
    texts: HashMap<(&'static str, String), usize>,
    kinds: HashMap<&'static str, usize>,
    fixtures: HashMap<&'static str, usize>,
}

impl Recorder {
    /// Writes into `folder`, which is made if need be.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn new(folder: &Path) -> io::Result<Recorder> {
        fs::create_dir_all(folder)?;
        Ok(Recorder { folder: folder.to_owned(), placeholders: Mutex::default() })
    }

    /// Writes an event down. With a trigger's first event the files of an earlier run go.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn record(&self, trigger: Trigger, event: &Value) -> io::Result<()> {
        let mut placeholders = self.placeholders.lock();
        let number = placeholders.fixtures.entry(trigger.function()).or_default();
        *number += 1;
        let number = *number;
        let event = placeholders.replace(event);
        let folder = self.folder.join(trigger.function());
        fs::create_dir_all(&folder)?;
        if number == 1 {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "json") && is_number(path.file_stem()) {
                    fs::remove_file(path)?;
                }
            }
        }
        fs::write(folder.join(format!("{number:04}.json")), format!("{event:#}\n"))
    }
}

fn is_number(name: Option<&OsStr>) -> bool {
    name.and_then(OsStr::to_str).is_some_and(|name| name.parse::<usize>().is_ok())
}

impl Placeholders {
    fn replace(&mut self, event: &Value) -> Value {
        let mut event = event.clone();
        self.text(event.get_mut("userName"), uuid);
        let Some(request) = event.get_mut("request") else { return event };
        self.text(request.get_mut("challengeAnswer"), |n| ("answer", format!("ANSWER-{n}")));
        for private in members(request.get_mut("privateChallengeParameters")) {
            self.text(Some(private.1), state);
        }
        for entry in request.get_mut("session").and_then(Value::as_array_mut).into_iter().flatten() {
            self.text(entry.get_mut("challengeMetadata"), state);
        }
        for (name, value) in members(request.get_mut("userAttributes")) {
            match name.as_str() {
                name if PLAIN_ATTRIBUTES.contains(&name) => {}
                "sub" => self.text(Some(value), uuid),
                "email" => self.text(Some(value), |n| ("email", format!("user{n}@example.com"))),
                "phone_number" => self.text(Some(value), |n| ("phone_number", format!("+1555{n:07}"))),
                _ => self.text(Some(value), |n| ("attribute", format!("ATTRIBUTE-{n}"))),
            }
        }
        for member in ["clientMetadata", "validationData"] {
            for (name, value) in members(request.get_mut(member)) {
                if !PLAIN_METADATA.contains(&name.strip_prefix(METADATA_PREFIX).unwrap_or(name)) {
                    self.text(Some(value), |n| ("metadata", format!("METADATA-{n}")));
                }
            }
        }
        event
    }

    /// Replaces a text by the placeholder of its kind that it has had before, or the next.
    fn text(&mut self, value: Option<&mut Value>, placeholder: fn(usize) -> (&'static str, String)) {
        let Some(Value::String(text)) = value else { return };
        let (kind, _) = placeholder(0);
        let count = self.kinds.entry(kind).or_default();
        let number = self.texts.entry((kind, std::mem::take(text))).or_insert_with(|| {
            *count += 1;
            *count
        });
        *text = placeholder(*number).1;
    }
}

/// `userName` and `sub` may be the same, and are then replaced by the same.
fn uuid(number: usize) -> (&'static str, String) {
    ("uuid", format!("00000000-0000-4000-8000-{number:012}"))
}

fn state(number: usize) -> (&'static str, String) {
    ("state", format!("STATE-{number}"))
}

fn members(object: Option<&mut Value>) -> impl Iterator<Item = (&String, &mut Value)> {
    object.and_then(Value::as_object_mut).into_iter().flatten()
}
