//! Publishing: who may publish, and reading what is published.

use std::fmt::Display;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderMap, ORIGIN};
use http::{Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::super::event::{BadDraft, Draft};
use super::super::trace::{BadTrace, TraceParent};
use super::ack::CONTENT_TIMEOUT;
use crate::clock::Clock;
use crate::duration;
use crate::events::EventSettings;
use crate::http::api::{Problem, Query, read_content};
use crate::http::body::RequestBody;
use crate::http::peer::PeerAddr;
use crate::http1::is_claim;
use crate::sink::{Charge, HeldAs, SinkState};
use crate::token::Token;

/// Who may publish.
pub(super) enum Publishers {
    Bearer(Token),
    Local,
}

impl Publishers {
    pub(super) fn new(token: Option<Token>) -> Self {
        token.map_or(Self::Local, Self::Bearer)
    }

    /// Checks that a request may publish.
    ///
    /// A program on this machine connects over loopback or a Unix socket, and its request has no field that a proxy
    /// or a browser adds.
    pub(super) async fn admit(&self, headers: &HeaderMap, peer: &PeerAddr) -> Result<(), Problem> {
        if let Self::Bearer(token) = self {
            token.renew().await;
        }
        match self {
            Self::Bearer(token) if token.admits(headers) => Ok(()),
            Self::Bearer(_) => Err(Problem::no_token()),
            Self::Local => {
                let is_near = peer.ip().is_none_or(|ip| ip.to_canonical().is_loopback());
                let passed_on = ["via", "sec-fetch-site", ORIGIN.as_str()];
                let is_direct =
                    !headers.keys().any(|name| is_claim(name) || passed_on.contains(&name.as_str()));
                if is_near && is_direct { Ok(()) } else { Err(Problem::not_local()) }
            }
        }
    }
}

/// An event in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    /// A string is sent as it is, any other value as JSON.
    data: Value,
    #[serde(rename = "type", alias = "event")]
    kind: Option<String>,
    id: Option<String>,
    ttl: Option<String>,
    traceparent: Option<String>,
}

/// Bytes of the largest content: an event of full size with every character escaped, or a batch.
fn max_content(settings: &EventSettings) -> usize {
    settings.event_size.saturating_mul(6).saturating_add(4096).max(1 << 20)
}

/// Reads what a request publishes: JSON of an event or a list of events, or text that is the data of one event.
pub(super) async fn read(
    request: Request<RequestBody>,
    settings: &EventSettings,
    clock: &Arc<dyn Clock>,
    sink: &Arc<SinkState>,
) -> Result<Vec<Draft>, Problem> {
    let kind =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let trace = trace_of(request.headers());
    let query = Query::parse(request.uri())?;
    let charge = Some(Charge::new(sink, HeldAs::Request));
    let (head, body) = request.into_parts();
    let whole =
        |max| read_content(&head.headers, body, max, CONTENT_TIMEOUT, clock, charge, RequestBody::is_held);
    match kind.as_str() {
        "application/json" => {
            let bytes = whole(max_content(settings)).await?;
            drafts(&bytes, trace, settings)
        }
        "text/plain" => {
            let bytes = whole(settings.event_size).await?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Problem::bad_request("The text is not UTF-8.").with_code("not_utf8"))?;
            let given = Given {
                data: Value::String(text),
                kind: query.text("type").map(str::to_owned),
                id: query.text("id").map(str::to_owned),
                ttl: query.text("ttl").map(str::to_owned),
                traceparent: None,
            };
            draft(given, 0, trace, settings).map(|draft| vec![draft])
        }
        _ => Err(Problem::unsupported(
            "Send application/json, {\"data\": \"…\", \"type\": \"…\", \"id\": \"…\", \"ttl\": \"30s\"} or a list \
             of these, or text/plain with type, id and ttl in the query.",
        )),
    }
}

fn trace_of(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get("traceparent")?.to_str().ok()?.parse().ok()
}

fn drafts(bytes: &[u8], trace: Option<TraceParent>, settings: &EventSettings) -> Result<Vec<Draft>, Problem> {
    let bad = |error: serde_json::Error| {
        let detail = format!(
            "An event is {{\"data\": …}} with optional type, id, ttl and traceparent, and a batch is a list of \
             events: {error}. Nothing was published."
        );
        Problem::bad_request(detail).with_code("bad_json")
    };
    let is_list = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let given: Vec<Given> = match is_list {
        true => serde_json::from_slice(bytes).map_err(bad)?,
        false => vec![serde_json::from_slice(bytes).map_err(bad)?],
    };
    if given.len() > settings.batch {
        let detail = format!("A batch has at most {} events, this one has {}.", settings.batch, given.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).with_code("batch_too_large"));
    }
    given.into_iter().enumerate().map(|(at, given)| draft(given, at, trace, settings)).collect()
}

fn draft(
    given: Given,
    at: usize,
    trace: Option<TraceParent>,
    settings: &EventSettings,
) -> Result<Draft, Problem> {
    let data = match given.data {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let bad =
        |code, error: &dyn Display| Problem::bad_event(at, StatusCode::UNPROCESSABLE_ENTITY, code, error);
    let ttl = given.ttl.as_deref().map(duration::parse).transpose();
    let ttl = ttl.map_err(|error| bad("bad_ttl", &error))?;
    let own = given.traceparent.as_deref().map(str::parse).transpose();
    let own = own.map_err(|error: BadTrace| bad("bad_traceparent", &error))?;
    let checked = || -> Result<Draft, BadDraft> {
        let mut draft = Draft::new(data, settings.event_size)?.trace(own.or(trace));
        if let Some(kind) = given.kind {
            draft = draft.kind(kind)?;
        }
        if let Some(id) = given.id {
            draft = draft.id(id)?;
        }
        if let Some(ttl) = ttl {
            draft = draft.ttl(ttl)?;
        }
        Ok(draft)
    };
    checked().map_err(|error| Problem::bad_draft(at, &error))
}
