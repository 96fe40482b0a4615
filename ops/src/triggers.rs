//! The pool's triggers: which of them are ours, which function has them now, and what becomes of them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::settings::Members;

/// A trigger that one of our functions can have. The first four make a sign-in; the others are optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are called what Cognito calls them")]
pub enum Trigger {
    PreAuthentication,
    DefineAuthChallenge,
    CreateAuthChallenge,
    VerifyAuthChallengeResponse,
    PreSignUp,
    PostAuthentication,
    PreTokenGeneration,
}

/// The member of `LambdaConfig` that tells the version of the events of `PreTokenGeneration`. AWS wants both to name one function.
const PRE_TOKEN_GENERATION_CONFIG: &str = "PreTokenGenerationConfig";

impl Trigger {
    /// All of them.
    pub const ALL: [Trigger; 7] = [
        Trigger::PreAuthentication,
        Trigger::DefineAuthChallenge,
        Trigger::CreateAuthChallenge,
        Trigger::VerifyAuthChallengeResponse,
        Trigger::PreSignUp,
        Trigger::PostAuthentication,
        Trigger::PreTokenGeneration,
    ];

    /// Its name in `LambdaConfig`.
    pub fn name(self) -> &'static str {
        self.names().0
    }

    /// Its function's logical id in `template.yaml`.
    pub fn logical_id(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Trigger::PreAuthentication => ("PreAuthentication", "PreAuthenticationFunction"),
            Trigger::DefineAuthChallenge => ("DefineAuthChallenge", "DefineAuthChallengeFunction"),
            Trigger::CreateAuthChallenge => ("CreateAuthChallenge", "CreateAuthChallengeFunction"),
            Trigger::VerifyAuthChallengeResponse => ("VerifyAuthChallengeResponse", "VerifyAuthChallengeFunction"),
            Trigger::PreSignUp => ("PreSignUp", "PreSignUpFunction"),
            Trigger::PostAuthentication => ("PostAuthentication", "PostAuthenticationFunction"),
            Trigger::PreTokenGeneration => ("PreTokenGeneration", "PreTokenGenerationFunction"),
        }
    }

    /// The trigger of this name.
    pub fn named(name: &str) -> Option<Trigger> {
        Trigger::ALL.into_iter().find(|trigger| trigger.name() == name)
    }

    /// Without which no code can be asked for.
    pub fn is_required(self) -> bool {
        [Trigger::DefineAuthChallenge, Trigger::CreateAuthChallenge, Trigger::VerifyAuthChallengeResponse]
            .contains(&self)
    }

    /// The function that has the trigger in this `LambdaConfig`.
    pub fn function(self, config: &Value) -> Option<&str> {
        let versioned = &config[PRE_TOKEN_GENERATION_CONFIG]["LambdaArn"];
        let versioned = versioned.as_str().filter(|_| self == Trigger::PreTokenGeneration);
        versioned.or(config[self.name()].as_str()).filter(|arn| !arn.is_empty())
    }

    /// Gives the trigger to a function, with events of this version if it has versions, or else of the one that it has.
    fn attach(self, config: &mut Value, arn: &str, version: Option<&str>) {
        config[self.name()] = json!(arn);
        if self != Trigger::PreTokenGeneration {
            return;
        }
        if let Some(version) = version {
            config[PRE_TOKEN_GENERATION_CONFIG] = json!({"LambdaArn": arn, "LambdaVersion": version});
        } else if config[PRE_TOKEN_GENERATION_CONFIG].is_object() {
            config[PRE_TOKEN_GENERATION_CONFIG]["LambdaArn"] = json!(arn);
        }
    }

    /// Makes of the trigger what it is in another `LambdaConfig`.
    pub fn restore(self, config: &mut Value, other: &Value) {
        let versioned = (self == Trigger::PreTokenGeneration).then_some(PRE_TOKEN_GENERATION_CONFIG);
        let Some(config) = config.as_object_mut() else { return };
        for member in [self.name()].into_iter().chain(versioned) {
            match other[member].is_null() {
                true => _ = config.remove(member),
                false => _ = config.insert(member.to_owned(), other[member].clone()),
            }
        }
    }
}

/// The version of `PreTokenGeneration`'s events in this `LambdaConfig`: `V1_0` unless it says more.
pub fn events_version(config: &Value) -> &str {
    config[PRE_TOKEN_GENERATION_CONFIG]["LambdaVersion"].as_str().unwrap_or("V1_0")
}

/// Functions by trigger.
pub type Functions = BTreeMap<Trigger, Arn>;

/// The ARN of a function, perhaps of one of its aliases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arn {
    whole: String,
    /// Where the qualifier begins.
    unqualified: usize,
}

impl Arn {
    /// Reads `arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]`.
    ///
    /// # Errors
    ///
    /// When the text is none.
    pub fn parse(text: &str) -> Result<Arn, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let is_function = matches!(
            parts[..],
            ["arn", _, "lambda", _, _, "function", _] | ["arn", _, "lambda", _, _, "function", _, _]
        );
        if !is_function || parts.iter().any(|part| part.is_empty()) {
            return Err(format!(
                "{text:?} is no function's ARN, such as arn:aws:lambda:eu-west-1:111122223333:function:name"
            ));
        }
        let unqualified = parts[..7].iter().map(|part| part.len() + 1).sum::<usize>() - 1;
        Ok(Arn { whole: text.to_owned(), unqualified })
    }

    /// The ARN as it was given.
    pub fn as_str(&self) -> &str {
        &self.whole
    }

    /// The ARN of the function itself.
    pub fn unqualified(&self) -> &str {
        &self.whole[..self.unqualified]
    }

    /// The alias, if it is one. Permissions of the function itself do not hold for it.
    pub fn qualifier(&self) -> Option<&str> {
        self.whole[self.unqualified..].strip_prefix(':')
    }

    /// The region that the function is in.
    pub fn region(&self) -> &str {
        self.whole.split(':').nth(3).unwrap_or_default()
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

/// What becomes of a trigger: `from` and `to` are the functions that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which trigger.
    pub trigger: Trigger,
    /// Before.
    pub from: Option<String>,
    /// Afterwards.
    pub to: Option<String>,
}

impl Change {
    /// Whether anything changes at all.
    pub fn is_one(&self) -> bool {
        self.from != self.to
    }

    /// Whether another function loses the trigger.
    pub fn replaces(&self) -> bool {
        self.from.is_some() && self.is_one()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |function: &Option<String>| function.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{:<28}", self.trigger.name())?;
        match self.is_one() {
            true => write!(f, "{} -> {}", name(&self.from), name(&self.to)),
            false => write!(f, "{} already", name(&self.from)),
        }
    }
}

/// What a command makes of the pool's triggers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// `LambdaConfig` as it has to become.
    pub config: Value,
    /// One for each trigger of ours.
    pub changes: Vec<Change>,
    /// Triggers of ours that another function has by now.
    pub left_alone: Vec<Change>,
}

/// Gives their triggers to our functions, and to that before tokens events of this version, or those that it has.
pub fn attach(config: &Value, ours: &Functions, version: Option<&str>) -> Plan {
    let mut plan = Plan { config: object(config), changes: Vec::new(), left_alone: Vec::new() };
    for (trigger, arn) in ours {
        let from = trigger.function(config).map(str::to_owned);
        if from.as_deref() != Some(arn.as_str()) || version.is_some_and(|version| version != events_version(config)) {
            trigger.attach(&mut plan.config, arn.as_str(), version);
        }
        plan.changes.push(Change { trigger: *trigger, from, to: Some(arn.to_string()) });
    }
    plan
}

/// Takes their triggers from our functions, and gives each back to whoever had it in `before`.
pub fn detach(config: &Value, ours: &Functions, before: &Value) -> Plan {
    let mut plan = Plan { config: object(config), changes: Vec::new(), left_alone: Vec::new() };
    for (trigger, arn) in ours {
        let from = trigger.function(config).map(str::to_owned);
        if from.as_deref() == Some(arn.as_str()) {
            trigger.restore(&mut plan.config, before);
            let to = trigger.function(before).map(str::to_owned);
            plan.changes.push(Change { trigger: *trigger, from, to });
        } else {
            plan.left_alone.push(Change { trigger: *trigger, to: from.clone(), from });
        }
    }
    plan
}

fn object(config: &Value) -> Value {
    if config.is_object() { config.clone() } else { json!({}) }
}

/// What an update leaves of `LambdaConfig`: the SDK's own order does not matter, nor do members that are `null`.
pub fn lambda_config(pool: &Members) -> Value {
    pool.get("LambdaConfig").filter(|config| config.is_object()).cloned().unwrap_or_else(|| json!({}))
}
