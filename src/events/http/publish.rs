//! Publishing: who may, and what they send.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderMap, ORIGIN};
use http::{Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::super::event::{BadDraft, Draft};
use super::super::trace::TraceParent;
use super::problem::Problem;
use super::query::Query;
use super::read;
use crate::clock::Clock;
use crate::duration;
use crate::events::EventSettings;
use crate::http::body::RequestBody;
use crate::http::peer::PeerAddr;
use crate::http1::is_claim;
use crate::sink::{Charge, HeldAs, SinkState};
use crate::token::Token;

/// Who may publish.
pub(super) enum Publishers {
    /// Who brings the token.
    Bearer(Token),
    /// Programs on this machine.
    Local,
}

impl Publishers {
    pub(super) fn new(token: Option<Token>) -> Self {
        token.map_or(Self::Local, Self::Bearer)
    }

    /// Whether a request may publish.
    ///
    /// From this machine means: over loopback or a Unix socket, not passed on by a proxy that says so, and not
    /// by a page in a browser.
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

/// An event as publishers write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    /// A text goes out as it is, anything else as JSON.
    data: Value,
    #[serde(rename = "type", alias = "event")]
    kind: Option<String>,
    id: Option<String>,
    ttl: Option<String>,
    traceparent: Option<String>,
}

/// The most bytes of a request that publishes: a full event whose every character is escaped, or a batch.
fn most_bytes(settings: &EventSettings) -> usize {
    settings.event_size.saturating_mul(6).saturating_add(4096).max(1 << 20)
}

/// What a request publishes: JSON, an event or a list; or a text, which is the data of one.
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
    let query = Query::of(request.uri())?;
    let charge = Charge::new(sink, HeldAs::Request);
    match kind.as_str() {
        "application/json" => {
            let bytes = read::whole(request, most_bytes(settings), clock, Some(charge)).await?;
            drafts(&bytes, trace, settings)
        }
        "text/plain" => {
            let bytes = read::whole(request, settings.event_size, clock, Some(charge)).await?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Problem::bad_request("not_utf8", "The text is not UTF-8."))?;
            let given = Given {
                data: Value::String(text),
                kind: query.text("type"),
                id: query.text("id"),
                ttl: query.text("ttl"),
                traceparent: None,
            };
            draft(given, 0, trace, settings).map(|draft| vec![draft])
        }
        _ => Err(Problem::unsupported(
            "Send application/json, {\"data\": \"…\", \"type\": \"…\", \"id\": \"…\", \"ttl\": \"30s\"} or a list \
             of such, or text/plain, with type, id and ttl in the query.",
        )),
    }
}

fn trace_of(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get("traceparent")?.to_str().ok()?.parse().ok()
}

fn drafts(bytes: &[u8], trace: Option<TraceParent>, settings: &EventSettings) -> Result<Vec<Draft>, Problem> {
    let bad = |error: serde_json::Error| {
        let detail = format!(
            "An event is {{\"data\": …}}, with type, id, ttl and traceparent if it has them, and a batch a list \
             of such: {error}. Nothing was published."
        );
        Problem::bad_request("bad_json", detail)
    };
    let is_list = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let given: Vec<Given> = match is_list {
        true => serde_json::from_slice(bytes).map_err(bad)?,
        false => vec![serde_json::from_slice(bytes).map_err(bad)?],
    };
    if given.len() > settings.batch {
        let detail = format!("A batch may have {} events, and this has {}.", settings.batch, given.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", detail));
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
    let refused = |code, error: &dyn std::fmt::Display| {
        let detail = format!("Event {at} of the batch: {error}. Nothing was published.");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    };
    let ttl =
        given.ttl.as_deref().map(duration::parse).transpose().map_err(|error| refused("bad_ttl", &error))?;
    let own = given.traceparent.as_deref().map(str::parse).transpose();
    let own = own.map_err(|error: super::super::trace::BadTrace| refused("bad_traceparent", &error))?;
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
