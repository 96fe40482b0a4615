//! The account: every call that these commands make.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc as Shared;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudformation as cloudformation;
use aws_sdk_cognitoidentityprovider as cognito;
use aws_sdk_cognitoidentityprovider::config::Credentials;
use aws_sdk_lambda as lambda;
use aws_sdk_sesv2 as ses;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde_json::Value;

use crate::permission::{COGNITO, INVOKE, statement_id};
use crate::settings::Members;
use crate::triggers::Arn;

/// How long to wait for one reply before a call is made again.
const ATTEMPT: Duration = Duration::from_secs(20);

/// Which pool, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// The user pool
    #[arg(long, value_name = "ID", value_parser = pool_id)]
    pub user_pool_id: String,
    /// Its region; without it, the one in its id
    #[arg(long)]
    pub region: Option<String>,
    /// Something else than AWS to talk to, such as a local pool at http://127.0.0.1:9229, which needs no credentials
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
}

fn pool_id(text: &str) -> Result<String, String> {
    let is_one = text.split_once('_').is_some_and(|(region, id)| {
        let is_of = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        is_of(region, "-") && is_of(id, "")
    });
    if is_one {
        Ok(text.to_owned())
    } else {
        Err("an id has its region in front, as in eu-west-1_AbCdEfGhI".to_owned())
    }
}

impl Target {
    /// The region that the pool is in, which its id begins with.
    pub fn region(&self) -> &str {
        let of_id = self.user_pool_id.split('_').next().unwrap_or_default();
        self.region.as_deref().unwrap_or(of_id)
    }

    /// Whether the endpoint is on this machine, and needs no credentials of an account.
    fn is_here(&self) -> bool {
        let host = self.endpoint_url.as_deref().and_then(|url| url.strip_prefix("http://")).unwrap_or_default();
        ["127.0.0.1", "localhost"].contains(&host.split(['/', ':']).next().unwrap_or_default())
    }
}

/// The clients, ready for one pool.
pub struct Account {
    config: SdkConfig,
    cognito: cognito::Client,
    lambda: lambda::Client,
    cloudformation: cloudformation::Client,
    user_pool_id: String,
    is_here: bool,
}

impl Account {
    /// Takes credentials from where the AWS CLI takes them: environment, profiles, SSO, container, instance.
    pub async fn connect(target: &Target) -> Account {
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build())
            .region(Region::new(target.region().to_owned()));
        if let Some(url) = &target.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if target.is_here() {
            loader = loader.credentials_provider(Credentials::new("local", "local", None, None, "local"));
        }
        let config = loader.load().await;
        Account {
            cognito: cognito::Client::new(&config),
            lambda: lambda::Client::new(&config),
            cloudformation: cloudformation::Client::new(&config),
            config,
            user_pool_id: target.user_pool_id.clone(),
            is_here: target.is_here(),
        }
    }

    /// The pool as `DescribeUserPool` tells it, with all that the SDK does not know.
    ///
    /// # Errors
    ///
    /// When it cannot be described.
    pub async fn pool(&self) -> Result<Members, String> {
        self.described().await.map(|(pool, _)| pool)
    }

    /// The same, and by how many seconds our clock is ahead of AWS's.
    ///
    /// # Errors
    ///
    /// When it cannot be described.
    pub async fn pool_and_clock(&self, now: impl Fn() -> SystemTime) -> Result<(Members, Result<i64, String>), String> {
        let (pool, reply) = self.described().await?;
        let now = DateTime::from(now()).secs();
        let ahead = reply.date().map(|date| now - date.secs()).ok_or_else(|| "the reply has no date".to_owned());
        Ok((pool, ahead))
    }

    async fn described(&self) -> Result<(Members, Reply), String> {
        let reply = Reply::default();
        let call = self.cognito.describe_user_pool().user_pool_id(&self.user_pool_id);
        call.customize().interceptor(reply.clone()).send().await.map_err(|error| told("DescribeUserPool", &error))?;
        match reply.json().map(|mut reply| reply["UserPool"].take()) {
            Some(Value::Object(pool)) => Ok((pool, reply)),
            _ => Err("DescribeUserPool: the reply is no pool".to_owned()),
        }
    }

    /// What `GetUserPoolMfaConfig` tells of the pool: the part of its settings that is not in its description.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    pub async fn mfa(&self) -> Result<Members, String> {
        let reply = Reply::default();
        let call = self.cognito.get_user_pool_mfa_config().user_pool_id(&self.user_pool_id);
        call.customize()
            .interceptor(reply.clone())
            .send()
            .await
            .map_err(|error| told("GetUserPoolMfaConfig", &error))?;
        match reply.json() {
            Some(Value::Object(mfa)) => Ok(mfa),
            _ => Err("GetUserPoolMfaConfig: the reply is no object".to_owned()),
        }
    }

    /// Sets all of the pool's settings.
    ///
    /// # Errors
    ///
    /// When AWS does not, or does not say so.
    pub async fn update_pool(&self, update: &Members) -> Result<(), String> {
        let body = Value::Object(update.clone()).to_string();
        let call = self.cognito.update_user_pool().user_pool_id(&self.user_pool_id).customize();
        // The SDK makes, signs, sends and repeats the request; what it says is ours, with members that the SDK does not know.
        let call = call.mutate_request(move |request| {
            request.headers_mut().insert("content-length", body.len().to_string());
            *request.body_mut() = SdkBody::from(body.as_str());
        });
        call.send().await.map(drop).map_err(|error| told("UpdateUserPool", &error))
    }

    /// An app client's settings.
    ///
    /// # Errors
    ///
    /// When they cannot be had.
    pub async fn client(&self, client_id: &str) -> Result<Members, String> {
        let reply = Reply::default();
        let call = self.cognito.describe_user_pool_client().user_pool_id(&self.user_pool_id).client_id(client_id);
        call.customize()
            .interceptor(reply.clone())
            .send()
            .await
            .map_err(|error| told("DescribeUserPoolClient", &error))?;
        match reply.json().map(|mut reply| reply["UserPoolClient"].take()) {
            Some(Value::Object(client)) => Ok(client),
            _ => Err("DescribeUserPoolClient: the reply is no client".to_owned()),
        }
    }

    /// A function's resource policy; `null` if it has none.
    ///
    /// # Errors
    ///
    /// When there is no such function, or its policy cannot be had.
    pub async fn policy(&self, function: &Arn) -> Result<Value, String> {
        let call = self.lambda.get_policy().function_name(function.unqualified());
        match call.set_qualifier(function.qualifier().map(str::to_owned)).send().await {
            Ok(reply) => serde_json::from_str(reply.policy().unwrap_or("null"))
                .map_err(|error| format!("GetPolicy of {function}: the reply is no policy: {error}")),
            Err(error) => {
                let is_missing = error.message().is_some_and(|message| message.contains("unction not found"));
                match error.as_service_error() {
                    Some(reason) if reason.is_resource_not_found_exception() && !is_missing => Ok(Value::default()),
                    _ => Err(told(&format!("GetPolicy of {function}"), &error)),
                }
            }
        }
    }

    /// Lets the pool invoke a function. `false` if our statement was there, or somebody else is changing the function at the moment:
    /// Lambda says the same to both.
    ///
    /// # Errors
    ///
    /// When it cannot be added.
    pub async fn grant(&self, function: &Arn, pool: &PoolArn) -> Result<bool, String> {
        let call = self
            .lambda
            .add_permission()
            .function_name(function.unqualified())
            .set_qualifier(function.qualifier().map(str::to_owned))
            .statement_id(statement_id(&self.user_pool_id))
            .action(INVOKE)
            .principal(COGNITO)
            .source_arn(&pool.whole)
            .source_account(pool.account());
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|reason| reason.is_resource_conflict_exception()) => {
                Ok(false)
            }
            Err(error) => Err(told(&format!("AddPermission to {function}"), &error)),
        }
    }

    /// Takes our statement away. `false` if there was none.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub async fn revoke(&self, function: &Arn) -> Result<bool, String> {
        let call = self
            .lambda
            .remove_permission()
            .function_name(function.unqualified())
            .set_qualifier(function.qualifier().map(str::to_owned))
            .statement_id(statement_id(&self.user_pool_id));
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|reason| reason.is_resource_not_found_exception()) => {
                Ok(false)
            }
            Err(error) => Err(told(&format!("RemovePermission from {function}"), &error)),
        }
    }

    /// The functions of a CloudFormation stack: their names by logical id.
    ///
    /// # Errors
    ///
    /// When the stack cannot be listed.
    pub async fn stack(&self, name: &str) -> Result<BTreeMap<String, String>, String> {
        let mut pages = self.cloudformation.list_stack_resources().stack_name(name).into_paginator().send();
        let mut found = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                // What has no stacks does not even refuse in CloudFormation's language.
                let hint = match error.code() {
                    None if self.is_here => {
                        ": a local pool has no stacks, name each function with --function TRIGGER=ARN"
                    }
                    _ => "",
                };
                format!("{}{hint}", told(&format!("ListStackResources of {name}"), &error))
            })?;
            for resource in page.stack_resource_summaries() {
                let [logical, kind] =
                    [resource.logical_resource_id(), resource.resource_type()].map(Option::unwrap_or_default);
                if let Some(physical) = resource.physical_resource_id().filter(|_| kind == "AWS::Lambda::Function") {
                    found.insert(logical.to_owned(), physical.to_owned());
                }
            }
        }
        Ok(found)
    }

    /// A function's configuration. `None` if there is no such function.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    pub async fn function(&self, function: &Arn) -> Result<Option<FunctionFacts>, String> {
        let call = self.lambda.get_function_configuration().function_name(function.unqualified());
        let reply = match call.set_qualifier(function.qualifier().map(str::to_owned)).send().await {
            Ok(reply) => reply,
            Err(error) if error.as_service_error().is_some_and(|reason| reason.is_resource_not_found_exception()) => {
                return Ok(None);
            }
            Err(error) => return Err(told(&format!("GetFunctionConfiguration of {function}"), &error)),
        };
        let environment = reply.environment();
        let variables = match environment.and_then(|environment| environment.error()) {
            // As to somebody who may not use the key that they are encrypted with.
            Some(error) => {
                let why = error.message().or(error.error_code()).unwrap_or("no reason given");
                Err(format!("GetFunctionConfiguration of {function}: the environment is not told: {why}"))
            }
            None => Ok(environment.and_then(|environment| environment.variables().cloned()).unwrap_or_default()),
        };
        Ok(Some(FunctionFacts {
            state: reply.state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
            last_update: reply.last_update_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            timeout: reply.timeout().unwrap_or_default(),
            variables: variables.map(|variables| variables.into_iter().collect()),
        }))
    }

    /// SES in a region, or in the pool's.
    pub fn ses(&self, region: Option<&str>) -> Ses {
        let mut config = ses::config::Builder::from(&self.config);
        config
            .set_region(region.map(|region| Region::new(region.to_owned())).or_else(|| self.config.region().cloned()));
        Ses(ses::Client::from_conf(config.build()))
    }
}

/// What Lambda tells of a function.
#[derive(Clone, Debug)]
pub struct FunctionFacts {
    /// `Active`, if it can be invoked.
    pub state: String,
    /// `Successful`, if its last update is done.
    pub last_update: String,
    /// In seconds.
    pub timeout: i32,
    /// Its environment, or why that is not told. The values may be secret.
    pub variables: Result<BTreeMap<String, String>, String>,
}

/// SES, as far as `doctor` looks at it.
pub struct Ses(ses::Client);

impl Ses {
    /// The account's sending.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    pub async fn account(&self) -> Result<Members, String> {
        let reply = Reply::default();
        let sent = self.0.get_account().customize().interceptor(reply.clone()).send().await;
        sent.map_err(|error| told("ses GetAccount", &error))?;
        reply.object("ses GetAccount")
    }

    /// An identity: a domain or an address.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    pub async fn identity(&self, name: &str) -> Result<Option<Members>, String> {
        let reply = Reply::default();
        let sent = self.0.get_email_identity().email_identity(name).customize().interceptor(reply.clone()).send().await;
        match sent {
            Ok(_) => reply.object("ses GetEmailIdentity").map(Some),
            Err(error) if error.as_service_error().is_some_and(|reason| reason.is_not_found_exception()) => Ok(None),
            Err(error) => Err(told(&format!("ses GetEmailIdentity of {name}"), &error)),
        }
    }

    /// A configuration set.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    pub async fn configuration_set(&self, name: &str) -> Result<Option<Members>, String> {
        let reply = Reply::default();
        let call = self.0.get_configuration_set().configuration_set_name(name);
        match call.customize().interceptor(reply.clone()).send().await {
            Ok(_) => reply.object("ses GetConfigurationSet").map(Some),
            Err(error) if error.as_service_error().is_some_and(|reason| reason.is_not_found_exception()) => Ok(None),
            Err(error) => Err(told(&format!("ses GetConfigurationSet of {name}"), &error)),
        }
    }
}

/// The ARN of a pool.
#[derive(Clone, Debug)]
pub struct PoolArn {
    whole: String,
}

impl PoolArn {
    /// The one that a pool is described with.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn of(pool: &Members) -> Result<PoolArn, String> {
        let whole = pool.get("Arn").and_then(Value::as_str).unwrap_or_default();
        if whole.split(':').count() != 6 {
            return Err("DescribeUserPool: the pool has no ARN".to_owned());
        }
        Ok(PoolArn { whole: whole.to_owned() })
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.whole
    }

    /// The account that the pool is in.
    pub fn account(&self) -> &str {
        self.part(4)
    }

    /// The region that the pool is in.
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// The ARN of a function beside the pool.
    ///
    /// # Errors
    ///
    /// When that is no function's name.
    pub fn function(&self, name: &str) -> Result<Arn, String> {
        Arn::parse(&format!("arn:{}:lambda:{}:{}:function:{name}", self.part(1), self.region(), self.account()))
    }

    fn part(&self, at: usize) -> &str {
        self.whole.split(':').nth(at).unwrap_or_default()
    }
}

/// Keeps a reply as it came.
#[derive(Clone, Debug, Default)]
struct Reply(Shared<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    body: Vec<u8>,
    date: Option<String>,
}

impl Reply {
    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.0.lock().ok()?.body).ok()
    }

    fn date(&self) -> Option<DateTime> {
        DateTime::from_str(self.0.lock().ok()?.date.as_ref()?, Format::HttpDate).ok()
    }

    fn object(&self, operation: &str) -> Result<Members, String> {
        match self.json() {
            Some(Value::Object(members)) => Ok(members),
            _ => Err(format!("{operation}: the reply is no object")),
        }
    }
}

impl Intercept for Reply {
    fn name(&self) -> &'static str {
        "Reply"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if let (Some(body), Ok(mut kept)) = (response.body().bytes(), self.0.lock()) {
            *kept = Kept { body: body.to_vec(), date: response.headers().get("date").map(str::to_owned) };
        }
        Ok(())
    }
}

/// An error in one line, with AWS's own words.
fn told<E: ProvideErrorMetadata + Error + 'static>(operation: &str, error: &SdkError<E, HttpResponse>) -> String {
    let mut words = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => causes(error).map(ToString::to_string).fold(String::new(), said_once),
    };
    if causes(error).any(|cause| cause.is::<CredentialsError>()) {
        words
            .push_str(
            " (sign in as for the AWS CLI: AWS_PROFILE, `aws sso login`, or AWS_ACCESS_KEY_ID and its like; after `aws login`: \
             eval \"$(aws configure export-credentials --format env)\")",
        );
    }
    format!("{operation}: {}", words.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// An error, what caused it, what caused that, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What errors say so far, and what the next one says, unless they have said it.
fn said_once(words: String, more: String) -> String {
    match words.as_str() {
        "" => more,
        _ if words.contains(&more) => words,
        _ => format!("{words}: {more}"),
    }
}
