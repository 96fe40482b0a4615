//! What the functions write to their log: one JSON object a line, with the key names of Powertools for AWS Lambda, and what is to be
//! counted in CloudWatch's embedded metric format, which costs no call.
//!
//! `message` says what happened. Nothing is written but what our own code says: at their lower levels other crates write
//! whole events, requests and replies.

use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use lambda_runtime::Context;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::metrics::{self, Metric};
use crate::settings::LogSettings;

/// Our own crates.
const OURS: [&str; 9] = [
    "auth_challenge",
    "pre_sign_up",
    "pre_authentication",
    "define_auth_challenge",
    "create_auth_challenge",
    "verify_auth_challenge",
    "pre_token_generation",
    "post_authentication",
    "limits_table",
];

tokio::task_local! {
    /// The invocation that is under way.
    pub(crate) static INVOCATION: Invocation;
}

/// What each line says about the invocation that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    request_id: String,
    function_arn: String,
    /// `Root` of the X-Ray header.
    xray_trace_id: Option<String>,
    pub(crate) cold_start: bool,
}

impl Invocation {
    /// The invocation that Lambda describes so. The first of a process is a cold start.
    pub(crate) fn new(context: &Context) -> Invocation {
        static WARM: AtomicBool = AtomicBool::new(false);
        let header = context.xray_trace_id.as_deref().unwrap_or_default();
        Invocation {
            request_id: context.request_id.clone(),
            function_arn: context.invoked_function_arn.clone(),
            xray_trace_id: header.split(';').find_map(|part| part.strip_prefix("Root=")).map(str::to_owned),
            cold_start: !WARM.swap(true, Ordering::Relaxed),
        }
    }
}

/// Writes lines, one at a time.
pub(crate) struct Lines {
    settings: LogSettings,
    write: fn(&str),
}

impl Lines {
    /// Lines on standard output, where Lambda collects them.
    pub(crate) fn new(settings: LogSettings) -> Lines {
        // A log that takes no more is no reason to refuse a sign-in.
        let write = |line: &str| drop(writeln!(std::io::stdout().lock(), "{line}"));
        Lines { settings, write }
    }

    /// The line for what was said at a place, if it is wanted.
    fn line(&self, level: Level, place: &str, fields: &[(&str, Value)], now: SystemTime) -> Option<String> {
        let namespace = self.settings.metrics_namespace.as_deref();
        let counted = namespace.and_then(|namespace| Some((namespace, metrics::of(fields)?)));
        // What is counted is counted at every level.
        if counted.is_none() && level > self.settings.level {
            return None;
        }
        let (settings, counted) = (&self.settings, counted.as_ref());
        let line = |invocation: Option<&Invocation>| {
            serde_json::to_string(&Line { settings, level, place, now, invocation, fields, counted }).ok()
        };
        INVOCATION.try_with(|invocation| line(Some(invocation))).unwrap_or_else(|_| line(None))
    }
}

/// One line of the log. It is written as it is read here, because to gather it first costs as much as a whole decision.
struct Line<'a> {
    settings: &'a LogSettings,
    level: Level,
    place: &'a str,
    now: SystemTime,
    invocation: Option<&'a Invocation>,
    fields: &'a [(&'a str, Value)],
    /// The namespace, and what is counted there.
    counted: Option<&'a (&'a str, Vec<Metric>)>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("level", self.level.as_str())?;
        line.serialize_entry("timestamp", &humantime::format_rfc3339_millis(self.now).to_string())?;
        line.serialize_entry("service", &self.settings.service)?;
        line.serialize_entry("location", self.place)?;
        line.serialize_entry("function_name", &self.settings.function_name)?;
        line.serialize_entry("function_memory_size", &self.settings.function_memory_size)?;
        if let Some(invocation) = self.invocation {
            line.serialize_entry("function_arn", &invocation.function_arn)?;
            line.serialize_entry("function_request_id", &invocation.request_id)?;
            line.serialize_entry("xray_trace_id", &invocation.xray_trace_id)?;
            line.serialize_entry("cold_start", &invocation.cold_start)?;
        }
        for (name, value) in self.fields {
            line.serialize_entry(name, value)?;
        }
        if let Some((namespace, metrics)) = self.counted {
            for metric in metrics {
                line.serialize_entry(metric.name, &metric.value)?;
            }
            let milliseconds = self.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
            line.serialize_entry("_aws", &embedded(namespace, metrics, milliseconds))?;
        }
        line.end()
    }
}

/// What tells CloudWatch what it is to count of a line:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
fn embedded(namespace: &str, metrics: &[Metric], milliseconds: u64) -> Value {
    let directive = |metric: &Metric| {
        json!({
            "Namespace": namespace,
            "Dimensions": metric.dimensions,
            "Metrics": [{"Name": metric.name, "Unit": metric.unit}],
        })
    };
    let directives: Vec<Value> = metrics.iter().map(directive).collect();
    json!({"Timestamp": milliseconds, "CloudWatchMetrics": directives})
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let name = metadata.target().split("::").next().unwrap_or_default();
        // The runtime says that it cannot reach Lambda; its errors about a handler's are ours already.
        let runtime = name == "lambda_runtime" && *metadata.level() == Level::ERROR;
        metadata.is_event() && (OURS.contains(&name) || runtime)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.settings.level.max(LevelFilter::INFO))
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(Vec::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        let place = format!("{}:{}", metadata.target(), metadata.line().unwrap_or_default());
        #[expect(clippy::disallowed_methods, reason = "when a line is written is no decision")]
        let now = SystemTime::now();
        if let Some(line) = self.line(*metadata.level(), &place, &fields.0, now) {
            (self.write)(&line);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The fields of an event, as JSON.
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.push((field.name(), value));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;

    /// Collects what is said, as the functions' log would have it, for tests.
    pub(crate) struct Said(pub(crate) Mutex<Vec<Value>>);

    impl Said {
        /// What is said while `work` runs.
        pub(crate) fn while_running(work: impl FnOnce()) -> Vec<Value> {
            let said = Arc::new(Said(Default::default()));
            tracing::subscriber::with_default(Arc::clone(&said), work);
            std::mem::take(&mut *said.0.lock().unwrap())
        }
    }

    impl Subscriber for Said {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn event(&self, event: &Event<'_>) {
            let mut fields = Fields(Vec::new());
            event.record(&mut fields);
            self.0
                .lock()
                .unwrap()
                .push(Value::Object(fields.0.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()));
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn fields_are_json_of_their_own_types() {
        let said = Said::while_running(|| {
            tracing::info!(half = 0.5, less = -1_i64, more = u64::MAX, yes = true, client = "a \"b\"", reason = ?Some(1), "said");
        });
        let expected = json!({
            "message": "said", "half": 0.5, "less": -1, "more": u64::MAX, "yes": true, "client": "a \"b\"",
            "reason": "Some(1)",
        });
        assert_eq!(said, [expected]);
    }

    #[test]
    fn r40_an_event_is_written_as_one_line_that_says_where_it_was_and_one_of_a_lower_level_is_not() {
        static WRITTEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let lines = Lines { write: |line| WRITTEN.lock().unwrap().push(line.to_owned()), ..lines(&[]) };
        tracing::subscriber::with_default(lines, || {
            tracing::warn!(reason = "a\nb", "mail_may_be_lost");
            tracing::debug!("nothing");
        });
        let written = WRITTEN.lock().unwrap().clone();
        let [line] = &written[..] else { panic!("{written:?}") };
        assert!(!line.contains('\n'));
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["level"], &line["message"]), (&json!("WARN"), &json!("mail_may_be_lost")));
        assert_eq!((&line["reason"], &line["SendFailed"]), (&json!("a\nb"), &json!(1.0)));
        let place = line["location"].as_str().unwrap();
        assert!(place.starts_with("auth_challenge::log::tests:"), "{place}");
    }

    /// At their lower levels other crates write whole events, requests and replies.
    #[test]
    fn r38_t16_nobody_is_heard_but_ourselves_and_the_runtime_when_it_fails() {
        let heard = |level: &str| {
            tracing::subscriber::with_default(lines(&[("AWS_LAMBDA_LOG_LEVEL", level)]), || {
                [
                    tracing::event_enabled!(target: "create_auth_challenge::delivery", Level::INFO),
                    tracing::event_enabled!(target: "auth_challenge", Level::ERROR),
                    tracing::event_enabled!(target: "lambda_runtime::layers", Level::ERROR),
                    // And nobody else, at any.
                    tracing::event_enabled!(target: "lambda_runtime", Level::WARN),
                    tracing::event_enabled!(target: "lambda_runtime_api_client", Level::ERROR),
                    tracing::event_enabled!(target: "hyper::proto", Level::ERROR),
                    tracing::event_enabled!(target: "aws_smithy_runtime", Level::TRACE),
                    tracing::event_enabled!(target: "auth_challenge_of_others", Level::ERROR),
                    tracing::span_enabled!(target: "auth_challenge", Level::ERROR),
                ]
            })
        };
        for level in ["INFO", "TRACE"] {
            assert_eq!(heard(level), [true, true, true, false, false, false, false, false, false], "{level}");
        }
        let asked = |level: &str| lines(&[("AWS_LAMBDA_LOG_LEVEL", level)]).max_level_hint();
        // What is counted is said at this level.
        assert_eq!(["FATAL", "WARN", "INFO"].map(asked), [Some(LevelFilter::INFO); 3]);
        assert_eq!(["DEBUG", "TRACE"].map(asked), [Some(LevelFilter::DEBUG), Some(LevelFilter::TRACE)]);
        // Lambda's own is not asked where there is ours.
        let ours = |level: &str| {
            let both = [("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("POWERTOOLS_LOG_LEVEL", level)];
            lines(&both).settings.level
        };
        let expected = [LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::DEBUG, LevelFilter::TRACE];
        assert_eq!(["ERROR", "warn", "Debug", ""].map(ours), expected);
    }

    fn lines(given: &[(&str, &str)]) -> Lines {
        let vars =
            |name: &str| given.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned());
        Lines::new(LogSettings::from_vars(&vars).unwrap())
    }

    fn said(lines: &Lines, level: Level, fields: Value) -> Option<Value> {
        let Value::Object(fields) = fields else { panic!("{fields}") };
        let now = UNIX_EPOCH + Duration::from_millis(1_767_268_800_123);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let line = lines.line(level, "create_auth_challenge::delivery:106", &fields, now)?;
        assert!(!line.contains('\n'));
        Some(serde_json::from_str(&line).unwrap())
    }

    fn context(trace: Option<&str>) -> Context {
        let mut context = Context::default();
        context.request_id = "8476a536".to_owned();
        context.invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:create".to_owned();
        context.xray_trace_id = trace.map(str::to_owned);
        context
    }

    #[test]
    fn a_line_has_the_keys_of_powertools() {
        let given = [
            ("POWERTOOLS_SERVICE_NAME", "sign-in"),
            ("AWS_LAMBDA_FUNCTION_NAME", "create"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ];
        let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let invocation = Invocation { cold_start: true, ..Invocation::new(&context(Some(trace))) };
        let line = INVOCATION.sync_scope(invocation, || {
            said(&lines(&given), Level::INFO, json!({"message": "challenge_made", "challenge": "AAECAwQF"}))
        });
        let expected = json!({
            "level": "INFO",
            "timestamp": "2026-01-01T12:00:00.123Z",
            "service": "sign-in",
            "location": "create_auth_challenge::delivery:106",
            "function_name": "create",
            "function_memory_size": "256",
            "function_arn": "arn:aws:lambda:eu-west-1:123456789012:function:create",
            "function_request_id": "8476a536",
            "xray_trace_id": "1-5759e988-bd862e3fe1be46a994272793",
            "cold_start": true,
            "message": "challenge_made",
            "challenge": "AAECAwQF",
        });
        assert_eq!(line, Some(expected));
    }

    #[test]
    fn the_first_invocation_alone_is_cold() {
        let cold = [context(None), context(Some("garbage")), context(None)]
            .map(|context| Invocation::new(&context).cold_start);
        assert!(cold.into_iter().filter(|cold| *cold).count() <= 1);
        assert_eq!(Invocation::new(&context(Some("garbage"))).xray_trace_id, None);
    }

    #[test]
    fn r40_what_is_counted_stands_in_the_line_in_cloudwatchs_format() {
        let fields = json!({"message": "mail_not_sent", "reason": "throttled", "mail": 1});
        let line = said(&lines(&[]), Level::ERROR, fields).unwrap();
        assert_eq!(
            (&line["service"], &line["reason"], &line["SendFailed"]),
            (&json!("custom-sign-in"), &json!("throttled"), &json!(1.0))
        );
        let expected = json!({
            "Timestamp": 1_767_268_800_123_u64,
            "CloudWatchMetrics": [{
                "Namespace": "CustomSignIn",
                "Dimensions": [["service"], ["service", "reason"]],
                "Metrics": [{"Name": "SendFailed", "Unit": "Count"}],
            }],
        });
        assert_eq!(line["_aws"], expected);
    }

    #[test]
    fn what_is_counted_is_written_at_every_level_unless_nothing_is_to_be_counted() {
        let (sent, made) = (json!({"message": "challenge_sent", "mail": 1}), json!({"message": "challenge_made"}));
        let at = |level: &str, disabled: &str| {
            let lines = lines(&[("AWS_LAMBDA_LOG_LEVEL", level), ("POWERTOOLS_METRICS_DISABLED", disabled)]);
            [&sent, &made].map(|fields| said(&lines, Level::INFO, fields.clone()).is_some())
        };
        assert_eq!(at("INFO", "false"), [true, true]);
        assert_eq!(at("WARN", "false"), [true, false]);
        assert_eq!(at("FATAL", "true"), [false, false]);
        assert_eq!(at("unknown", "true"), [true, true]);
    }
}
