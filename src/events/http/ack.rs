//! Tokens of subscribers, and the acknowledgements they send with them.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use serde::Deserialize;

use crate::clock::Clock;
use crate::http::api::{Problem, Query, read_content};
use crate::http::body::RequestBody;

/// Characters of the shortest token: 128 bits in base64, so that it cannot be guessed.
const MIN_TOKEN: usize = 22;

const MAX_TOKEN: usize = 128;

const MAX_ACK: usize = 4096;

/// Time for a request's content to arrive.
pub(super) const CONTENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A subscriber's acknowledgement of an event and all before it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ack {
    pub(super) token: String,
    /// The last event that the subscriber has.
    #[serde(alias = "last_id")]
    pub(super) id: String,
}

pub(super) async fn read(request: Request<RequestBody>, clock: &Arc<dyn Clock>) -> Result<Ack, Problem> {
    let (head, body) = request.into_parts();
    let bytes =
        read_content(&head.headers, body, MAX_ACK, CONTENT_TIMEOUT, clock, None, RequestBody::is_held)
            .await?;
    let ack: Ack = serde_json::from_slice(&bytes).map_err(|error| {
        let detail = format!("An acknowledgement is {{\"token\": \"…\", \"id\": \"…\"}}: {error}.");
        Problem::bad_request(detail).with_code("bad_json")
    })?;
    if is_token(&ack.token) { Ok(ack) } else { Err(bad_token()) }
}

/// The token in a query, if there is one.
pub(super) fn token_of(query: &Query) -> Result<Option<String>, Problem> {
    match query.text("token") {
        Some(token) if !is_token(token) => Err(bad_token()),
        token => Ok(token.map(str::to_owned)),
    }
}

/// Whether `text` can be a subscriber's token.
fn is_token(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    is_plain && (MIN_TOKEN..=MAX_TOKEN).contains(&text.len())
}

fn bad_token() -> Problem {
    let detail = format!(
        "A token has {MIN_TOKEN} to {MAX_TOKEN} letters, digits and -._~, and must be hard to guess."
    );
    Problem::bad_request(detail).with_code("bad_token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_enough_and_plain() {
        let read = |text: &str| {
            let query = Query::parse(&format!("/a?token={text}").parse().unwrap()).unwrap();
            token_of(&query).map_err(|_| ())
        };
        for len in [MIN_TOKEN, MAX_TOKEN] {
            assert_eq!(read(&"t".repeat(len)), Ok(Some("t".repeat(len))));
        }
        for bad in ["t".repeat(MIN_TOKEN - 1), "t".repeat(MAX_TOKEN + 1), format!("{}%00", "t".repeat(30))] {
            assert_eq!(read(&bad), Err(()), "{bad}");
        }
    }
}
