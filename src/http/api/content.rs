//! Request content, read whole with bounds on bytes and time.

use std::fmt;
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

/// Why content was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentError {
    /// It has more bytes than this.
    TooLarge(usize),
    /// It took longer than this.
    TooSlow(Duration),
    /// It ended early.
    Cut,
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(max) => write!(f, "The content has more than {max} bytes."),
            Self::TooSlow(limit) => write!(f, "The content took longer than {} s.", limit.as_secs()),
            Self::Cut => f.write_str("The content ended early."),
        }
    }
}

impl From<ContentError> for Problem {
    fn from(error: ContentError) -> Self {
        let (status, code) = match error {
            ContentError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            ContentError::TooSlow(_) => (StatusCode::REQUEST_TIMEOUT, "too_slow"),
            ContentError::Cut => (StatusCode::BAD_REQUEST, "cut"),
        };
        Self::new(status, error.to_string()).with_code(code)
    }
}

/// Reads content of at most `max` bytes that arrives within `timeout` of `clock`. What is held meanwhile is on
/// `charge`.
pub(crate) async fn read_content<B>(
    headers: &HeaderMap,
    mut content: B,
    max: usize,
    timeout: Duration,
    clock: &Arc<dyn Clock>,
    mut charge: Option<Charge>,
) -> Result<Vec<u8>, ContentError>
where
    B: Body<Data = bytes::Bytes> + Unpin,
{
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > max as u64) {
        return Err(ContentError::TooLarge(max));
    }
    let mut too_late = Sleep::lasting(Arc::clone(clock), timeout);
    let mut bytes = Vec::new();
    std::future::poll_fn(|cx| {
        loop {
            match Pin::new(&mut content).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(std::mem::take(&mut bytes))),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(ContentError::Cut)),
                Poll::Ready(Some(Ok(frame))) => {
                    let Some(data) = frame.data_ref() else { continue };
                    if bytes.len() + data.len() > max {
                        return Poll::Ready(Err(ContentError::TooLarge(max)));
                    }
                    bytes.extend_from_slice(data);
                    if let Some(charge) = &mut charge {
                        charge.set(bytes.capacity() as u64);
                    }
                }
                Poll::Pending => {
                    return Pin::new(&mut too_late).poll(cx).map(|()| Err(ContentError::TooSlow(timeout)));
                }
            }
        }
    })
    .await
}
