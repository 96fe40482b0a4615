//! One item for each account, replaced by compare and set.

use std::collections::HashMap;
use std::time::Duration;

use auth_challenge::challenge::UnixSeconds;
use auth_challenge::limits::{Account, Count, Limited};
use auth_challenge::settings::{AwsSettings, SettingsError};
use aws_connection::{Connection, NeverSent, sdk_config};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use rand::{Rng, RngExt as _};
use tokio::time::{Instant, sleep_until, timeout_at};

/// For the connection, with TLS.
const CONNECT: Duration = Duration::from_millis(500);
/// For one write.
const WRITE: Duration = Duration::from_millis(700);
/// For everything: with a mail behind it, and the 3 s that one may take, a trigger stays within Cognito's 5 s.
const BUDGET: Duration = Duration::from_millis(1_300);
/// A write is not begun with less time than this: if it were done and its answer came too late, something would be counted that
/// nobody was told.
const ENOUGH_FOR_A_WRITE: Duration = Duration::from_millis(400);
/// Before a write that failed is tried again.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest pause of one who comes too late again and again.
const LONGEST_PAUSE: Duration = Duration::from_millis(160);

/// No item has this version.
const NO_VERSION: &str = "none";

/// The attributes of an item.
const KEY: &str = "account";
/// By chance, a new one with each write: it tells one's own write from that of another.
const VERSION: &str = "version";
const COUNTS: &str = "counts";
/// Seconds since 1970, for DynamoDB's time to live.
const EXPIRES: &str = "expires";

pub(crate) struct Table {
    client: Client,
    connection: Connection,
    name: String,
}

/// An account as it was seen in the table.
#[derive(Default)]
struct Seen {
    /// `None`: it is not there.
    version: Option<String>,
    account: Account,
}

/// What became of one write.
enum Write {
    Done,
    /// Somebody else was faster, or this account was not what we supposed.
    Stale(Seen),
    /// It was not done, and may succeed a moment later.
    Failed(&'static str),
    /// Nobody knows whether it was done.
    Unknown(&'static str),
    /// It will not succeed.
    Refused(&'static str),
}

/// Why nothing was counted, as far as anybody knows.
#[derive(Debug)]
pub(crate) struct NotCounted {
    /// In words of ours.
    pub(crate) reason: &'static str,
    /// Whether a write may have been done all the same.
    pub(crate) in_doubt: bool,
}

/// How long to wait when somebody was faster: not at all at first, because the first write only finds out what there is; then, as
/// more are at it, longer and longer by chance, or all would come back together.
#[derive(Default)]
struct Pauses(u32);

impl Pauses {
    fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let longest = Duration::from_millis(5) * 2_u32.pow(self.0.min(6)).saturating_sub(1);
        self.0 += 1;
        Duration::from_nanos(rng.random_range(0..=longest.min(LONGEST_PAUSE).as_nanos() as u64))
    }
}

impl Table {
    /// # Errors
    ///
    /// `AWS_CA_BUNDLE` cannot be used.
    pub(crate) fn new(name: String, aws: AwsSettings) -> Result<Table, SettingsError> {
        let connection = Connection::new(&aws, CONNECT)?;
        let endpoint_url = aws.dynamodb_endpoint_url.clone();
        let client = Client::new(&sdk_config(aws, endpoint_url, connection.clone()));
        Ok(Table { client, connection, name })
    }

    /// Connects before there is something to count.
    pub(crate) async fn connect(&self) {
        let empty = self.client.update_item().table_name(&self.name).key(KEY, AttributeValue::S(String::new()));
        self.connection.rehearse(Box::pin(empty.send())).await;
    }

    /// # Errors
    ///
    /// [`NotCounted`] when the table cannot be used.
    pub(crate) async fn count<T>(
        &self,
        key: &str,
        expires: impl Fn(&Account) -> UnixSeconds,
        decide: impl Fn(&Account) -> Result<Count<T>, Limited>,
    ) -> Result<Result<T, Limited>, NotCounted> {
        let deadline = Instant::now() + BUDGET;
        let last_write = deadline - ENOUGH_FOR_A_WRITE;
        let mut pauses = Pauses::default();
        // Most accounts are there, but only a write tells what is in them; and a new one needs no second.
        let mut seen = Seen::default();
        // Writes of which nobody knew whether they were done: their versions, and what they came to. Once somebody else has written
        // on top, one's own cannot be told from another's, and a right answer is refused that was counted but not heard of.
        let mut tried: Vec<(String, T)> = Vec::new();
        let mut in_doubt = false;
        loop {
            let (account, value) = match decide(&seen.account) {
                Err(limited) => return Ok(Err(limited)),
                Ok(Count::Repeat(value)) => return Ok(Ok(value)),
                Ok(Count::Keep(account, value)) => (account, value),
            };
            let version = format!("{:016x}", UnwrapErr(SysRng).next_u64());
            let (pause, reason) = match self.write(key, &seen, &version, &account, expires(&account), deadline).await {
                Write::Done => return Ok(Ok(value)),
                Write::Stale(now) => {
                    match tried.drain(..).find(|(tried, _)| now.version.as_ref() == Some(tried)) {
                        Some((_, value)) => return Ok(Ok(value)),
                        None => seen = now,
                    }
                    (pauses.next(&mut UnwrapErr(SysRng)), "too_busy")
                }
                Write::Refused(reason) => return Err(NotCounted { reason, in_doubt }),
                Write::Failed(reason) => (PAUSE, reason),
                Write::Unknown(reason) => {
                    tried.push((version, value));
                    in_doubt = true;
                    (PAUSE, reason)
                }
            };
            // To sleep for no time at all is to sleep until the timer's next millisecond.
            if !pause.is_zero() {
                sleep_until(last_write.min(Instant::now() + pause)).await;
            }
            if Instant::now() >= last_write {
                return Err(NotCounted { reason, in_doubt });
            }
        }
    }

    /// An account as it is. It is asked for by a write that is always refused, because nobody may read.
    ///
    /// # Errors
    ///
    /// In words of ours, why the table cannot be used.
    pub(crate) async fn look(&self, key: &str) -> Result<Account, &'static str> {
        let never = Seen { version: Some(NO_VERSION.to_owned()), ..Seen::default() };
        let nothing = Account::default();
        match self.write(key, &never, NO_VERSION, &nothing, UnixSeconds(0), Instant::now() + WRITE).await {
            Write::Stale(seen) => Ok(seen.account),
            Write::Failed(reason) | Write::Unknown(reason) | Write::Refused(reason) => Err(reason),
            Write::Done => Err("look_not_refused"),
        }
    }

    /// Puts one account in the place of another, if that is there.
    async fn write(
        &self,
        key: &str,
        before: &Seen,
        version: &str,
        account: &Account,
        expires: UnixSeconds,
        deadline: Instant,
    ) -> Write {
        let Ok(counts) = serde_json::to_string(account) else { return Write::Refused("counts_not_written") };
        let condition = match before.version {
            None => "attribute_not_exists(#version)",
            Some(_) => "#version = :before",
        };
        let mut request = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(key.to_owned()))
            .update_expression("SET #version = :after, #counts = :counts, #expires = :expires")
            .condition_expression(condition)
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_names("#counts", COUNTS)
            .expression_attribute_names("#expires", EXPIRES)
            .expression_attribute_values(":after", AttributeValue::S(version.to_owned()))
            .expression_attribute_values(":counts", AttributeValue::S(counts))
            .expression_attribute_values(":expires", AttributeValue::N(expires.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        if let Some(before) = &before.version {
            request = request.expression_attribute_values(":before", AttributeValue::S(before.clone()));
        }
        // Boxed, because the future of a call is large, and of a type too deep for the compiler where it is nested.
        match timeout_at(deadline.min(Instant::now() + WRITE), Box::pin(request.send())).await {
            Ok(Ok(_)) => Write::Done,
            Ok(Err(error)) => judge(&error, before.version.is_some()),
            Err(_) => Write::Unknown("timed_out"),
        }
    }
}

/// Judges DynamoDB's answer. The texts in it are foreign and are never passed on; what comes out are words of ours.
fn judge(error: &SdkError<UpdateItemError>, was_there: bool) -> Write {
    match error {
        SdkError::ServiceError(answer) => match (answer.err(), answer.raw().status().as_u16()) {
            (UpdateItemError::ConditionalCheckFailedException(stale), _) => match stale.item() {
                Some(item) => Seen::read(item).map_or(Write::Refused("item_not_understood"), Write::Stale),
                // It was forgotten meanwhile.
                None if was_there => Write::Stale(Seen::default()),
                None => Write::Refused("old_item_not_returned"),
            },
            (UpdateItemError::ResourceNotFoundException(_), _) => Write::Refused("table_not_found"),
            (
                UpdateItemError::ProvisionedThroughputExceededException(_) | UpdateItemError::RequestLimitExceeded(_),
                _,
            ) => Write::Failed("throttled"),
            (error, _) if error.code() == Some("ThrottlingException") => Write::Failed("throttled"),
            (error, _) if error.code() == Some("AccessDeniedException") => Write::Refused("access_denied"),
            (_, 500..) => Write::Unknown("service_error"),
            _ => Write::Refused("refused"),
        },
        SdkError::ConstructionFailure(_) => Write::Refused("request_not_built"),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) if NeverSent::is_behind(error) => Write::Failed("not_connected"),
            _ => Write::Unknown("not_connected"),
        },
        // Time-outs, answers that could not be read, and whatever the SDK may come to distinguish.
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) | _ => Write::Unknown("no_answer"),
    }
}

impl Seen {
    fn read(item: &HashMap<String, AttributeValue>) -> Option<Seen> {
        let version = Some(item.get(VERSION)?.as_s().ok()?.clone());
        let account = serde_json::from_str(item.get(COUNTS)?.as_s().ok()?).ok()?;
        Some(Seen { version, account })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_too_late_waits_not_at_all_and_then_by_chance_longer_and_longer_up_to_a_bound() {
        let mut longest = [Duration::ZERO; 10];
        for _ in 0..2_000 {
            let mut pauses = Pauses::default();
            for (place, longest) in longest.iter_mut().enumerate() {
                let pause = pauses.next(&mut UnwrapErr(SysRng));
                let bound = Duration::from_millis(5 * (2_u64.pow(place as u32) - 1)).min(LONGEST_PAUSE);
                assert!(pause <= bound, "{pause:?} at {place}");
                *longest = pause.max(*longest);
            }
        }
        for (place, longest) in longest.into_iter().enumerate() {
            let bound = Duration::from_millis(5 * (2_u64.pow(place as u32) - 1)).min(LONGEST_PAUSE);
            assert!(longest >= bound * 9 / 10, "{longest:?} at {place}");
        }
    }
}
