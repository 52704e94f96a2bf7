//! Request content, read whole with bounds on bytes and time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http_body::Body;

use super::Problem;
use crate::clock::{Clock, Sleep};
use crate::sink::Charge;

/// Reads content of at most `max` bytes that arrives within `timeout` of `clock`. Time in which it `is_held` by a limit of
/// uploads does not count. What is held meanwhile is on `charge`.
pub(crate) async fn read_content<B>(
    headers: &HeaderMap,
    mut content: B,
    max: usize,
    timeout: Duration,
    clock: &Arc<dyn Clock>,
    mut charge: Option<Charge>,
    is_held: impl Fn(&B) -> bool,
) -> Result<Vec<u8>, Problem>
where
    B: Body<Data = bytes::Bytes> + Unpin,
{
    let too_large = || {
        let detail = format!("The content has more than {max} bytes.");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).with_code("too_large")
    };
    let too_slow = || {
        let detail = format!("The content took longer than {} s.", timeout.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail).with_code("too_slow")
    };
    let cut = || Problem::bad_request("The content ended early.").with_code("cut");
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > max as u64) {
        return Err(too_large());
    }
    let mut too_late = Sleep::lasting(Arc::clone(clock), timeout);
    let mut held_since = None;
    let mut bytes = Vec::new();
    std::future::poll_fn(|cx| {
        if let Some(since) = held_since.take() {
            too_late.reset(too_late.deadline() + (clock.now() - since));
        }
        loop {
            match Pin::new(&mut content).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(std::mem::take(&mut bytes))),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(cut())),
                Poll::Ready(Some(Ok(frame))) => {
                    let Some(data) = frame.data_ref() else { continue };
                    if bytes.len() + data.len() > max {
                        return Poll::Ready(Err(too_large()));
                    }
                    bytes.extend_from_slice(data);
                    if let Some(charge) = &mut charge {
                        charge.set(bytes.capacity() as u64);
                    }
                }
                Poll::Pending if is_held(&content) => {
                    held_since = Some(clock.now());
                    return Poll::Pending;
                }
                Poll::Pending => {
                    return Pin::new(&mut too_late).poll(cx).map(|()| Err(too_slow()));
                }
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use bytes::Bytes;
    use futures_lite::future::{block_on, poll_once};
    use http_body::Frame;
    use std::cell::Cell;
    use std::task::Context;

    /// Gives nothing.
    struct Silent<'a>(&'a Cell<bool>);

    impl Body for Silent<'_> {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }

    #[test]
    fn time_in_which_a_limit_holds_content_does_not_count() {
        const SECOND: Duration = Duration::from_secs(1);
        let manual = Arc::new(ManualClock::new());
        let clock: Arc<dyn Clock> = manual.clone();
        let (fields, held) = (HeaderMap::new(), Cell::new(false));
        let mut reading = Box::pin(read_content(
            &fields,
            Silent(&held),
            10,
            10 * SECOND,
            &clock,
            None,
            |body: &Silent<'_>| body.0.get(),
        ));
        let mut after = |seconds: u32, is_held: bool| {
            manual.advance(seconds * SECOND);
            held.set(is_held);
            block_on(poll_once(&mut reading)).map(|read| read.unwrap_err().into_response().status())
        };
        assert_eq!(after(0, false), None);
        assert_eq!(after(9, true), None);
        assert_eq!((after(1_000, true), after(1_000, false)), (None, None));
        assert_eq!(after(1, false), Some(StatusCode::REQUEST_TIMEOUT));
    }
}
