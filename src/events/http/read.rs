//! Bodies of requests, read with bounds on bytes and time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::Request;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use serde::Deserialize;

use super::problem::Problem;
use super::query::{bad_token, is_token};
use crate::clock::{Clock, Sleep};
use crate::http::body::RequestBody;
use crate::sink::Charge;

/// The longest time for a body to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most bytes of an acknowledgement.
const MAX_ACK: usize = 4096;

/// All of a body, if it has at most `most` bytes. While it is gathered, they are on `charge`.
pub(super) async fn whole(
    request: Request<RequestBody>,
    most: usize,
    clock: &Arc<dyn Clock>,
    mut charge: Option<Charge>,
) -> Result<Vec<u8>, Problem> {
    let told =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|told| told > most as u64) {
        return Err(Problem::too_large(most));
    }
    let mut body = request.into_body();
    let mut patience = Sleep::lasting(Arc::clone(clock), PATIENCE);
    let mut bytes = Vec::new();
    std::future::poll_fn(|cx| {
        loop {
            match Pin::new(&mut body).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(std::mem::take(&mut bytes))),
                Poll::Ready(Some(Err(_))) => {
                    return Poll::Ready(Err(Problem::bad_request("cut", "The request's body ended early.")));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    let Some(data) = frame.data_ref() else { continue };
                    if bytes.len() + data.len() > most {
                        return Poll::Ready(Err(Problem::too_large(most)));
                    }
                    bytes.extend_from_slice(data);
                    if let Some(charge) = &mut charge {
                        charge.set(bytes.capacity() as u64);
                    }
                }
                Poll::Pending => {
                    return Pin::new(&mut patience).poll(cx).map(|()| Err(Problem::too_slow()));
                }
            }
        }
    })
    .await
}

/// What a subscriber acknowledges.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ack {
    pub(super) token: String,
    /// The last event it has.
    #[serde(alias = "last_id")]
    pub(super) id: String,
}

pub(super) async fn ack(request: Request<RequestBody>, clock: &Arc<dyn Clock>) -> Result<Ack, Problem> {
    let bytes = whole(request, MAX_ACK, clock, None).await?;
    let ack: Ack = serde_json::from_slice(&bytes).map_err(|error| {
        let detail = format!("An acknowledgement is {{\"token\": \"…\", \"id\": \"…\"}}: {error}.");
        Problem::bad_request("bad_json", detail)
    })?;
    if is_token(&ack.token) { Ok(ack) } else { Err(bad_token()) }
}
