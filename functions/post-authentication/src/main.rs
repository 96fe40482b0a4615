//! Cognito's PostAuthentication trigger: has this user proved an address? The rules are in
//! [`auth_challenge::post_authentication`]; how an address is marked is in [`marking`].

mod handler;
mod marking;

use std::time::SystemTime;

use auth_challenge::settings::{AwsSettings, PostAuthenticationSettings};
use auth_challenge::trigger;

use crate::handler::Handler;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = |name: &str| std::env::var(name).ok();
    trigger::init(&env)?;
    let handler = Handler::new(PostAuthenticationSettings::from_vars(&env)?, AwsSettings::from_vars(&env)?)?;
    trigger::serve(async |event| handler.handle(&event, SystemTime::now().into()).await).await
}
