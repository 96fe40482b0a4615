//! A local pool with the real functions, inside the test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use local_pool::build;
use local_pool::invocation::Observer;
use local_pool::lambda::Program;
use local_pool::pool::PoolOptions;
use local_pool::server::{Addresses, Options, Server, bind};
use local_pool::ses::Mail;
use local_pool::trigger::{Outcome, Trigger};
use local_pool::users::Users;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

/// What the codes of these tests are derived with.
pub(crate) const KEY: &str = "a-key-of-the-tests-with-enough-characters";

/// Alice; people who are no ordinary users; fifty more.
fn users() -> Users {
    let mut file = "
        [[user]]
        email = \"alice@example.com\"
        [[user]]
        email = \"unverified@example.com\"
        email_verified = false
        [[user]]
        email = \"carol@blocked.example\"
        [[user]]
        email = \"federated@example.com\"
        status = \"EXTERNAL_PROVIDER\"
        [[user]]
        email = \"portuguese@example.com\"
        attributes = { locale = \"pt_PT\", given_name = \"Inês\" }
        [[user]]
        email = \"staff@example.com\"
        groups = [\"staff\"]
    "
    .to_owned();
    for n in 0..50 {
        file.push_str(&format!("[[user]]\nemail = \"user{n}@example.com\"\n"));
    }
    Users::from_toml(&file, &PoolOptions::default().user_pool_id, &mut UnwrapErr(SysRng)).unwrap()
}

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The functions, built once for all tests.
pub(crate) async fn programs() -> BTreeMap<&'static str, PathBuf> {
    static PROGRAMS: OnceCell<BTreeMap<&'static str, PathBuf>> = OnceCell::const_new();
    PROGRAMS.get_or_init(async || build::functions(workspace(), "dev", &Trigger::ALL).await.unwrap()).await.clone()
}

/// An event that a trigger was given, and what it made of it.
pub(crate) type Exchange = (Trigger, Value, Outcome);

pub(crate) struct Running {
    pub(crate) addresses: Addresses,
    pub(crate) http: reqwest::Client,
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
    pub(crate) exchanges: Arc<Mutex<Vec<Exchange>>>,
    server: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Starts the functions with these settings, behind a pool with [`users`].
pub(crate) async fn start(settings: &[(&str, &str)]) -> Running {
    start_with(settings, |_| ()).await
}

/// The same with other options.
pub(crate) async fn start_with(settings: &[(&str, &str)], change: impl FnOnce(&mut Options)) -> Running {
    let mut variables = BTreeMap::from([("CODE_KEY", KEY)]);
    variables.extend(settings.iter().copied());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let exchanges = Arc::new(Mutex::new(Vec::new()));
    let (sink, observed) = (Arc::clone(&lines), Arc::clone(&exchanges));
    let logs = Arc::new(move |function: &str, line: &str| sink.lock().unwrap().push(format!("[{function}] {line}")));
    let observer: Observer = Arc::new(move |seen| {
        observed.lock().unwrap().push((seen.trigger, seen.event.clone(), seen.outcome.clone()));
    });
    let mut options = Options::new(bind(0).await.unwrap(), logs);
    options.users = users();
    options.variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for trigger in Trigger::OURS {
        options.triggers.insert(trigger, trigger.function().to_owned());
    }
    for (name, path) in programs().await {
        options.programs.insert(name.to_owned(), Program::new(path));
    }
    options.observer = Some(observer);
    change(&mut options);
    let server = Server::start(options).await.unwrap();
    let addresses = server.addresses().clone();
    let server = tokio::spawn(async move { server.serve(std::future::pending()).await.unwrap() });
    Running { addresses, http: reqwest::Client::builder().no_proxy().build().unwrap(), lines, exchanges, server }
}

/// The code in a mail, as people read it: with plain spaces, and without the marks that keep directions apart.
pub(crate) fn code_in(mail: &Mail) -> String {
    mail.text.lines().nth(2).unwrap().replace('\u{a0}', " ").replace(['\u{2068}', '\u{2069}'], "")
}

impl Running {
    /// One operation of the user pool API: its reply, or its error's type and message.
    pub(crate) async fn call(&self, operation: &str, mut parameters: Value) -> Result<Value, (String, String)> {
        parameters["ClientId"] = self.addresses.client_id.as_str().into();
        let request = self
            .http
            .post(&self.addresses.endpoint)
            .header("x-amz-target", format!("AWSCognitoIdentityProviderService.{operation}"))
            .body(parameters.to_string());
        // The pool wants a signature of administrators, and does not check it.
        let signed = operation.starts_with("Admin");
        let request =
            if signed { request.header("authorization", "AWS4-HMAC-SHA256 Credential=local") } else { request };
        let reply = request.send().await.unwrap();
        let status = reply.status();
        let reply: Value = reply.json().await.unwrap();
        if status == StatusCode::OK {
            return Ok(reply);
        }
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let text = |field: &str| reply[field].as_str().unwrap().to_owned();
        Err((text("__type"), text("message")))
    }

    pub(crate) async fn initiate(&self, username: &str) -> Result<Value, (String, String)> {
        let parameters = json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": username}});
        self.call("InitiateAuth", parameters).await
    }

    pub(crate) async fn respond(
        &self,
        challenge: &Value,
        username: &str,
        answer: &str,
        metadata: Value,
    ) -> Result<Value, (String, String)> {
        let parameters = json!({
            "ChallengeName": "CUSTOM_CHALLENGE",
            "Session": challenge["Session"],
            "ChallengeResponses": {"USERNAME": username, "ANSWER": answer},
            "ClientMetadata": metadata,
        });
        self.call("RespondToAuthChallenge", parameters).await
    }

    /// The mails, newest first.
    pub(crate) async fn mails(&self) -> Vec<Mail> {
        self.http.get(self.addresses.mailbox()).send().await.unwrap().json().await.unwrap()
    }

    /// The code of the newest mail to `address`.
    pub(crate) async fn code(&self, address: &str) -> String {
        let mails = self.mails().await;
        code_in(mails.iter().find(|mail| mail.to == address).unwrap())
    }

    /// Lambda's Invoke operation: what the function returned, or the error that it failed with.
    pub(crate) async fn invoke(&self, function: &str, event: impl Into<reqwest::Body>) -> Result<Value, Value> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.addresses.endpoint);
        let reply = self.http.post(url).body(event).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        let failed = reply.headers().contains_key("x-amz-function-error");
        let reply: Value = reply.json().await.unwrap();
        if failed { Err(reply) } else { Ok(reply) }
    }
}
