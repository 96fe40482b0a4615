//! Who may invoke which function: resource policies, as Lambda keeps them.
//!
//! They are kept and told, so that tools which give permissions can be tried. Nobody is refused for the lack of one: there is no
//! IAM here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The policies of all functions and their aliases.
#[derive(Debug, Default)]
pub(crate) struct Permissions(BTreeMap<Resource, Vec<Value>>);

/// A function, or an alias of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource {
    /// The ARN of the function.
    pub(crate) function: String,
    /// The alias or version.
    pub(crate) qualifier: Option<String>,
}

impl Resource {
    /// From what a function is called in a request: a name or an ARN, with a qualifier or beside one.
    pub(crate) fn new(region: &str, name: &str, qualifier: Option<&str>) -> Resource {
        let parts: Vec<&str> = name.split(':').collect();
        let (name, own) = match parts[..] {
            [.., "function", name] => (name, None),
            [.., "function", name, own] => (name, Some(own)),
            [name, own] => (name, Some(own)),
            _ => (name, None),
        };
        let account = if parts.len() >= 7 { parts[4] } else { "000000000000" };
        let function = format!("arn:aws:lambda:{region}:{account}:function:{name}");
        Resource { function, qualifier: qualifier.or(own).map(str::to_owned) }
    }

    /// The name of the function.
    pub(crate) fn name(&self) -> &str {
        self.function.rsplit(':').next().unwrap_or_default()
    }

    /// Its ARN, with the qualifier.
    pub(crate) fn arn(&self) -> String {
        let qualifier = self.qualifier.as_ref().map(|qualifier| format!(":{qualifier}"));
        format!("{}{}", self.function, qualifier.unwrap_or_default())
    }
}

/// What Lambda answers to what it does not do: the status, the error's name and its text.
pub(crate) type Refusal = (u16, &'static str, String);

impl Permissions {
    /// Takes the body of an `AddPermission`, and gives the statement that it has become.
    pub(crate) fn add(&mut self, resource: &Resource, request: &Value) -> Result<Value, Refusal> {
        let text = |name: &str| request[name].as_str();
        let (Some(id), Some(action), Some(principal)) = (text("StatementId"), text("Action"), text("Principal")) else {
            let message = "StatementId, Action and Principal must not be null".to_owned();
            return Err((400, "InvalidParameterValueException", message));
        };
        let is_id = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if !(1..=100).contains(&id.len()) || !id.chars().all(is_id) {
            return Err((400, "ValidationException", "StatementId must satisfy ([a-zA-Z0-9-_]+)".to_owned()));
        }
        let statements = self.0.entry(resource.clone()).or_default();
        if statements.iter().any(|statement| statement["Sid"] == id) {
            let message = format!(
                "The statement id ({id}) provided already exists. Please provide a new statement id, or remove the \
                 existing statement."
            );
            return Err((409, "ResourceConflictException", message));
        }
        let mut statement = json!({
            "Sid": id,
            "Effect": "Allow",
            "Principal": {"Service": principal},
            "Action": action,
            "Resource": resource.arn(),
        });
        if let Some(account) = text("SourceAccount") {
            statement["Condition"]["StringEquals"]["AWS:SourceAccount"] = json!(account);
        }
        if let Some(arn) = text("SourceArn") {
            statement["Condition"]["ArnLike"]["AWS:SourceArn"] = json!(arn);
        }
        statements.push(statement.clone());
        Ok(statement)
    }

    /// The policy, which is a text in Lambda's reply.
    pub(crate) fn policy(&self, resource: &Resource) -> Result<Value, Refusal> {
        match self.0.get(resource).map(Vec::as_slice) {
            None | Some([]) => Err(not_found("No policy is associated with the given resource.")),
            Some(statements) => Ok(json!({"Version": "2012-10-17", "Id": "default", "Statement": statements})),
        }
    }

    /// Takes a statement away.
    pub(crate) fn remove(&mut self, resource: &Resource, id: &str) -> Result<(), Refusal> {
        let statements = self.0.entry(resource.clone()).or_default();
        let before = statements.len();
        statements.retain(|statement| statement["Sid"] != id);
        if statements.len() < before {
            return Ok(());
        }
        Err(not_found(&format!("Statement {id:.100} is not found in resource policy.")))
    }
}

/// What is not there.
pub(crate) fn not_found(message: &str) -> Refusal {
    (404, "ResourceNotFoundException", message.to_owned())
}
