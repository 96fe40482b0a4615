//! UpdateItem, as far as counting needs it, on a real socket.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio::time::sleep;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "another package's tests use this on good days only")]
pub(crate) enum Fault {
    /// The answer is this error.
    Error(u16, &'static str),
    /// Done, but answered late.
    Slow(Duration),
    /// Done, but the answer is lost.
    Lost,
    /// Neither done nor answered.
    Ignored,
    /// Somebody else writes to the account a moment before.
    Overtaken,
}

type Item = serde_json::Value;

#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) items: HashMap<String, Item>,
    /// What goes wrong with the next requests.
    pub(crate) faults: VecDeque<Fault>,
    /// What goes wrong with the next requests about one account.
    pub(crate) faults_of: HashMap<String, VecDeque<Fault>>,
    /// What happens when there is no fault left in the queue.
    pub(crate) always: Option<Fault>,
    pub(crate) requests: usize,
}

#[derive(Clone)]
pub(crate) struct DynamoDb {
    pub(crate) url: String,
    pub(crate) tables: Arc<Mutex<Tables>>,
}

impl DynamoDb {
    pub(crate) async fn start() -> DynamoDb {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let tables = Arc::new(Mutex::new(Tables::default()));
        let router = Router::new().route("/", post(update_item)).with_state(Arc::clone(&tables));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        DynamoDb { url, tables }
    }
}

fn error(status: u16, kind: &str, item: Option<&Item>) -> (StatusCode, Json<Item>) {
    let mut body = serde_json::json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": "eve@evil.example"});
    if let Some(item) = item {
        body["Item"] = item.clone();
    }
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

async fn update_item(State(tables): State<Arc<Mutex<Tables>>>, body: String) -> (StatusCode, Json<Item>) {
    let request: Item = serde_json::from_str(&body).unwrap();
    let key = request["Key"]["account"]["S"].as_str().unwrap().to_owned();
    let fault = {
        let mut tables = tables.lock().unwrap();
        tables.requests += 1;
        let of_account = tables.faults_of.get_mut(&key).and_then(VecDeque::pop_front);
        of_account.or_else(|| tables.faults.pop_front()).or(tables.always)
    };
    if let Some(Fault::Error(status, kind)) = fault {
        return error(status, kind, None);
    }
    if let Some(Fault::Ignored) = fault {
        sleep(Duration::from_secs(60)).await;
        return error(500, "InternalServerError", None);
    }
    let answer = {
        let mut tables = tables.lock().unwrap();
        let values = &request["ExpressionAttributeValues"];
        if let (Some(Fault::Overtaken), version) = (fault, tables.requests.to_string()) {
            tables.items.entry(key.clone()).and_modify(|item| item["version"] = serde_json::json!({"S": version}));
        }
        let before = tables.items.get(&key);
        let holds = match request["ConditionExpression"].as_str().unwrap() {
            "attribute_not_exists(#version)" => before.is_none(),
            "#version = :before" => before.is_some_and(|item| item["version"] == values[":before"]),
            // As a careless one would be.
            "attribute_exists(#version)" => before.is_some(),
            other => panic!("{other}"),
        };
        assert_eq!(request["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
        assert_eq!(request["UpdateExpression"], "SET #version = :after, #counts = :counts, #expires = :expires");
        if holds {
            let item = serde_json::json!({
                "account": {"S": key}, "version": values[":after"], "counts": values[":counts"], "expires": values[":expires"],
            });
            tables.items.insert(key, item);
            (StatusCode::OK, Json(serde_json::json!({})))
        } else {
            error(400, "ConditionalCheckFailedException", before)
        }
    };
    match fault {
        Some(Fault::Slow(pause)) => sleep(pause).await,
        Some(Fault::Lost) => sleep(Duration::from_secs(60)).await,
        Some(Fault::Error(..) | Fault::Ignored | Fault::Overtaken) | None => {}
    }
    answer
}
