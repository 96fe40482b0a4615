//! Cognito's VerifyAuthChallengeResponse trigger: is this answer right? The rules are in
//! [`auth_challenge::verify_auth_challenge`].

mod handler;

use std::time::SystemTime;

use auth_challenge::settings::{AwsSettings, LimitsSettings, VerifySettings};
use auth_challenge::trigger;
use limits_table::Counts;

use crate::handler::Handler;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = |name: &str| std::env::var(name).ok();
    trigger::init(&env)?;
    let settings = VerifySettings::from_vars(&env)?;
    let limits = LimitsSettings::from_vars(&env)?;
    let counts = Counts::new(limits, settings.challenge.format, || AwsSettings::from_vars(&env))?;
    if let Some(counts) = &counts {
        counts.connect().await;
    }
    let handler = Handler { settings, counts };
    trigger::serve(async |event| handler.handle(&event, SystemTime::now().into()).await).await
}
