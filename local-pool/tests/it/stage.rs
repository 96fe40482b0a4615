//! A pool on a clock of the test's own, with triggers that the test plays.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use auth_challenge::challenge::UnixSeconds;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use local_pool::api::{ApiError, Call};
use local_pool::pool::{Pool, PoolOptions, Step};
use local_pool::sealed::SealingKey;
use local_pool::settings::{ClientSettings, PoolSettings};
use local_pool::tokens::TokenSigner;
use local_pool::trigger::{Outcome, Trigger};
use local_pool::users::Users;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Map, Value, json};

pub(crate) const NOW: UnixSeconds = UnixSeconds(1_767_268_800);
pub(crate) const ISSUER: &str = "http://127.0.0.1:9229/eu-west-1_LocalPool";
pub(crate) const POOL_ID: &str = "eu-west-1_LocalPool";

/// A pool, and triggers that do what the test says.
pub(crate) struct Stage {
    pub(crate) pool: Pool,
    pub(crate) now: UnixSeconds,
    /// The events of the last call.
    pub(crate) events: Vec<(Trigger, Value)>,
}

/// Keys take a while to make, so all tests share one pair, those that run in other processes, too.
pub(crate) fn signer() -> TokenSigner {
    static SIGNER: LazyLock<TokenSigner> = LazyLock::new(|| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("signing-keys.json");
        let kept = fs::read(&file).ok().and_then(|kept| serde_json::from_slice::<[Vec<u8>; 2]>(&kept).ok());
        let signer = kept.and_then(|[id, access]| TokenSigner::from_pkcs8(ISSUER.to_owned(), [&id, &access]).ok());
        signer.unwrap_or_else(|| {
            let signer = TokenSigner::generate(ISSUER.to_owned()).unwrap();
            fs::write(file, serde_json::to_vec(&signer.to_pkcs8().unwrap()).unwrap()).unwrap();
            signer
        })
    });
    SIGNER.clone()
}

pub(crate) fn users() -> Users {
    static USERS: LazyLock<Users> = LazyLock::new(|| {
        let file = r#"
            [[user]]
            email = "alice@example.com"
            username = "alice"
            password = "Correct horse 1"
            groups = ["staff"]
            attributes = { "custom:tenant" = "acme", "custom:id_verified" = "2026-01-01" }
            [[user]]
            email = "bob@example.com"
            enabled = false
            [[user]]
            email = "carol@example.com"
            username = "carol"
            password = "Temporary horse 1"
            status = "FORCE_CHANGE_PASSWORD"
            [[user]]
            email = "dave@example.com"
            username = "dave"
            "#;
        Users::from_toml(file, POOL_ID, &mut UnwrapErr(SysRng)).unwrap()
    });
    USERS.clone()
}

/// The ARN of a function.
pub(crate) fn arn(function: &str) -> String {
    format!("arn:aws:lambda:eu-west-1:000000000000:function:{function}")
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// The four triggers of a custom flow.
pub(crate) fn lambda_config() -> Value {
    Trigger::OURS.iter().map(|trigger| (trigger.name().to_owned(), json!(arn(trigger.function())))).collect()
}

/// A client that allows every flow and hides who exists.
pub(crate) fn client_settings() -> Value {
    json!({
        "ExplicitAuthFlows": [
            "ALLOW_CUSTOM_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH",
            "ALLOW_REFRESH_TOKEN_AUTH",
        ],
        "PreventUserExistenceErrors": "ENABLED",
    })
}

impl Default for Stage {
    fn default() -> Stage {
        Stage::new(PoolOptions::default(), lambda_config(), client_settings(), None)
    }
}

impl Stage {
    fn new(options: PoolOptions, lambda_config: Value, client: Value, secret: Option<&str>) -> Stage {
        Stage::assemble(options, lambda_config, client, secret, users())
    }

    fn assemble(
        options: PoolOptions,
        lambda_config: Value,
        client: Value,
        secret: Option<&str>,
        users: Users,
    ) -> Stage {
        let mut settings = PoolSettings::new(&options.region, &options.user_pool_id);
        let chosen = json!({"LambdaConfig": lambda_config, "AutoVerifiedAttributes": ["email"]});
        settings.update(&object(chosen)).unwrap();
        let mut client_settings = ClientSettings::new(&options.user_pool_id, "1client", secret);
        client_settings.update(&object(client)).unwrap();
        let keys = [(); 2].map(|()| SealingKey::random(&mut UnwrapErr(SysRng)).unwrap());
        let pool = Pool::new(options, settings, client_settings, users, signer(), keys);
        Stage { pool, now: NOW, events: Vec::new() }
    }

    pub(crate) fn with_options(options: PoolOptions) -> Stage {
        Stage::new(options, lambda_config(), client_settings(), None)
    }

    /// With a client that has these settings instead of, or beside, [`client_settings`].
    pub(crate) fn with_client(settings: Value) -> Stage {
        let mut client = client_settings();
        client.as_object_mut().unwrap().extend(object(settings));
        Stage::new(PoolOptions::default(), lambda_config(), client, None)
    }

    /// With the users of this file.
    pub(crate) fn with_users(file: &str) -> Stage {
        let users = Users::from_toml(file, POOL_ID, &mut UnwrapErr(SysRng)).unwrap();
        Stage::assemble(PoolOptions::default(), lambda_config(), client_settings(), None, users)
    }

    /// With a client that has a secret.
    pub(crate) fn with_secret(secret: &str) -> Stage {
        Stage::new(PoolOptions::default(), lambda_config(), client_settings(), Some(secret))
    }

    /// With these triggers beside the four of a custom flow.
    pub(crate) fn with_triggers(more: Value) -> Stage {
        let mut triggers = lambda_config();
        triggers.as_object_mut().unwrap().extend(object(more));
        Stage::new(PoolOptions::default(), triggers, client_settings(), None)
    }

    /// Makes a call; `play` is given each event and says what the trigger makes of it. `ClientId` and `UserPoolId` are added
    /// where they are missing.
    pub(crate) fn call(
        &mut self,
        operation: &str,
        parameters: Value,
        play: impl FnMut(Trigger, &Value) -> Outcome,
    ) -> Result<Value, ApiError> {
        let step = self.first_step(operation, parameters)?;
        self.go_on(step, play)
    }

    /// Makes a call, but does not go on with it.
    pub(crate) fn first_step(&mut self, operation: &str, mut parameters: Value) -> Result<Step, ApiError> {
        for (name, value) in [("ClientId", "1client"), ("UserPoolId", POOL_ID)] {
            if parameters.get(name).is_none() {
                parameters[name] = json!(value);
            }
        }
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        let call = Call::read(&target, parameters.to_string().as_bytes(), true)?;
        self.events.clear();
        Ok(self.pool.handle(&call, self.now, &mut UnwrapErr(SysRng)))
    }

    /// Goes on with a call until there is a reply.
    pub(crate) fn go_on(
        &mut self,
        mut step: Step,
        mut play: impl FnMut(Trigger, &Value) -> Outcome,
    ) -> Result<Value, ApiError> {
        loop {
            match step {
                Step::Reply(reply) => return reply,
                Step::Invoke(invocation) => {
                    let outcome = play(invocation.trigger, &invocation.event);
                    self.events.push((invocation.trigger, invocation.event));
                    step = self.pool.resume(invocation.then, outcome, self.now, &mut UnwrapErr(SysRng));
                }
            }
        }
    }

    /// Makes a call that no trigger is asked about, or whose triggers agree.
    pub(crate) fn ask(&mut self, operation: &str, parameters: Value) -> Result<Value, ApiError> {
        self.call(operation, parameters, three_answers)
    }

    /// The message of a call that fails.
    pub(crate) fn complaint(&mut self, operation: &str, parameters: Value) -> String {
        self.ask(operation, parameters).unwrap_err().message
    }

    pub(crate) fn initiate(&mut self, parameters: Value, metadata: Value) -> Result<Value, ApiError> {
        let call = json!({"AuthFlow": "CUSTOM_AUTH", "AuthParameters": parameters, "ClientMetadata": metadata});
        self.ask("InitiateAuth", call)
    }

    pub(crate) fn begin(&mut self) -> Value {
        self.initiate(json!({"USERNAME": "alice@example.com"}), json!(null)).unwrap()
    }

    pub(crate) fn respond(&mut self, session: &Value, username: &str, answer: &str) -> Result<Value, ApiError> {
        let call = json!({
            "ChallengeName": "CUSTOM_CHALLENGE", "Session": session,
            "ChallengeResponses": {"USERNAME": username, "ANSWER": answer}, "ClientMetadata": {"locale": "ja"},
        });
        self.ask("RespondToAuthChallenge", call)
    }

    /// The tokens of a whole sign-in of Alice.
    pub(crate) fn sign_in(&mut self) -> Value {
        let session = self.begin()["Session"].clone();
        self.respond(&session, "alice", "right").unwrap()["AuthenticationResult"].clone()
    }

    pub(crate) fn triggers(&self) -> Vec<Trigger> {
        self.events.iter().map(|(trigger, _)| *trigger).collect()
    }

    /// The claims of a token that this pool signed.
    pub(crate) fn claims(&self, token: &Value) -> Value {
        let keys: JwkSet = serde_json::from_value(self.pool.jwks()).unwrap();
        let token = token.as_str().unwrap();
        let kid = decode_header(token).unwrap().kid.unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[ISSUER]);
        (validation.validate_aud, validation.validate_exp) = (false, false);
        decode(token, &DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap(), &validation).unwrap().claims
    }
}

pub(crate) fn returned(event: &Value, response: Value) -> Outcome {
    let mut reply = event.clone();
    reply["response"] = response;
    Outcome::Returned(reply.to_string().into_bytes())
}

/// Triggers that take the answer `right`, three times at most, ask for a password first if the sign-in opens with one, and
/// have nothing to say otherwise.
pub(crate) fn three_answers(trigger: Trigger, event: &Value) -> Outcome {
    let request = &event["request"];
    let response = match trigger {
        Trigger::PreSignUp | Trigger::PreAuthentication | Trigger::PreTokenGeneration | Trigger::PostAuthentication => {
            event["response"].clone()
        }
        Trigger::DefineAuthChallenge => {
            let rounds = request["session"].as_array().unwrap();
            match rounds.last() {
                Some(last) if last["challengeName"] == "CUSTOM_CHALLENGE" && last["challengeResult"] == true => {
                    json!({"challengeName": null, "issueTokens": true, "failAuthentication": false})
                }
                Some(last) if last["challengeName"] == "SRP_A" => json!({"challengeName": "PASSWORD_VERIFIER"}),
                _ if rounds.iter().filter(|round| round["challengeName"] == "CUSTOM_CHALLENGE").count() >= 3 => {
                    json!({"issueTokens": false, "failAuthentication": true})
                }
                _ => json!({"challengeName": "CUSTOM_CHALLENGE"}),
            }
        }
        Trigger::CreateAuthChallenge => {
            let round = request["session"].as_array().unwrap().len();
            json!({
                "publicChallengeParameters": {"round": round.to_string()},
                "privateChallengeParameters": {"answer": "right", "round": round.to_string()},
                "challengeMetadata": format!("ROUND-{round}"),
            })
        }
        Trigger::VerifyAuthChallengeResponse => {
            json!({"answerCorrect": request["challengeAnswer"] == request["privateChallengeParameters"]["answer"]})
        }
    };
    returned(event, response)
}
