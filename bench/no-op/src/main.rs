//! The least that a function with `lambda_runtime` can be: it returns its event. What ours take beyond that is ours.

use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    Runtime::new(service_fn(async |event: LambdaEvent<Value>| Ok::<_, lambda_runtime::Error>(event.payload)))
        .run()
        .await
}
