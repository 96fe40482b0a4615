//! Can a stranger tell, by how long it takes or by what is told, whether there is a user? Tried on a clock that only sleep
//! moves, so that what is measured is what we wait for, and not how busy this machine is.

use std::collections::HashMap;

use aws_sdk_sesv2::config::RuntimeComponents;
use aws_sdk_sesv2::config::http::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

/// Calls for each kind of user.
const CALLS: usize = 20_000;

/// A mail service whose delay varies as that of a real one: around 80 ms, lognormal with σ 0.4, slower and faster in the course of
/// a day, and now and then several times as slow.
#[derive(Clone, Debug)]
struct Service(Arc<Mutex<(StdRng, u32)>>);

impl Service {
    fn delay(&self) -> Duration {
        let (chance, calls) = &mut *self.0.lock().unwrap();
        *calls += 1;
        let [a, b]: [f64; 2] = [chance.random_range(f64::EPSILON..1.0), chance.random_range(0.0..1.0)];
        // Box and Muller.
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        let of_the_day = 1.0 + 0.5 * (f64::from(*calls) / 3_000.0 * std::f64::consts::TAU).sin();
        let slow = if chance.random_range(0..100) == 0 { 6.0 } else { 1.0 };
        Duration::from_secs_f64(0.08 * (0.4 * normal).exp() * of_the_day * slow)
    }
}

impl HttpConnector for Service {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let delay = self.delay();
        HttpConnectorFuture::new(async move {
            sleep(delay).await;
            Ok(HttpResponse::new(200.try_into().unwrap(), r#"{"MessageId": "1"}"#.into()))
        })
    }
}

impl HttpClient for Service {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// The chance that a call of the second kind lasts longer than one of the first (Mann and Whitney): 0.5 where the two cannot be
/// told apart.
fn auc(one: &[Duration], other: &[Duration]) -> f64 {
    let mut one = one.to_vec();
    one.sort_unstable();
    let shorter = |duration: &Duration| {
        let [below, up_to] = [one.partition_point(|d| d < duration), one.partition_point(|d| d <= duration)];
        (below + up_to) as f64 / 2.0
    };
    other.iter().map(shorter).sum::<f64>() / (one.len() * other.len()) as f64
}

fn is_told_apart(one: &[Duration], other: &[Duration]) -> bool {
    (auc(one, other) - 0.5).abs() > 0.02
}

#[tokio::test(start_paused = true)]
async fn g10_r31_nobody_can_tell_who_is_known() {
    let vars = environment("http://ses.invalid");
    let templates = Templates::new(MailSettings::from_vars(&vars).unwrap()).unwrap();
    let mut chance = StdRng::seed_from_u64(4);
    let service = Service(Arc::new(Mutex::new((StdRng::seed_from_u64(1), 0))));
    let ses = SesSettings::from_vars(&vars).unwrap();
    let delivery = Delivery::over(service, ses, templates, AwsSettings::from_vars(&vars).unwrap());
    let users = [
        alice(),
        nobody(),
        User::Unknown(WhyUnknown::EmailNotVerified),
        // As which Cognito's other states of a user count. Those who are disabled it refuses itself.
        User::Unknown(WhyUnknown::StatusNotAdmitted),
    ];
    let mut lasted = users.each_ref().map(|_| Vec::with_capacity(CALLS));
    let mut told = Vec::new();
    while lasted.iter().any(|calls| calls.len() < CALLS) {
        // In no order.
        let kind = chance.random_range(0..users.len());
        let challenge = first(&users[kind]);
        let begun = Instant::now();
        delivery.perform(&challenge, &mut chance).await.unwrap();
        lasted[kind].push(begun.elapsed());

        let mut public: Vec<(String, usize)> = HashMap::from(challenge.public)
            .into_iter()
            .map(|(key, value): (String, String)| (key, value.len()))
            .collect();
        public.sort_unstable();
        told.push((public, challenge.sealed_state.len()));
    }
    told.dedup();
    assert_eq!(told.len(), 1, "keys and lengths differ: {told:?}");
    let [known, unknown @ ..] = &lasted;
    for calls in unknown {
        assert!(!is_told_apart(known, calls), "AUC {}", auc(known, calls));
    }

    // The statistic sees what others do instead: a random sleep, none, always the same.
    let mut sleeps = StdRng::seed_from_u64(7);
    let random: Vec<Duration> = (0..CALLS).map(|_| Duration::from_millis(sleeps.random_range(0..200))).collect();
    for other in [random, vec![Duration::ZERO; CALLS], vec![Duration::from_millis(100); CALLS]] {
        assert!(is_told_apart(known, &other), "AUC {}", auc(known, &other));
    }
}
