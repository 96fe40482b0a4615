//! Lambda may stop a function at any point.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

/// Where a future is stopped, one place after the other: after so many waits, at once or when what it had under way has gone out.
pub(crate) fn places() -> impl Iterator<Item = (usize, Duration)> {
    (0..100).flat_map(|waits| [0, 20].map(|linger| (waits, Duration::from_millis(linger))))
}

/// Stops a future once it has waited so often, `linger` after that; what came of it, if that was earlier.
pub(crate) async fn stopped_after<F: Future>(waits: usize, linger: Duration, future: F) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), waits);
    let output = poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await;
    // What was written to a connection goes out meanwhile.
    sleep(linger).await;
    output
}
