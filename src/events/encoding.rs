//! Events as text (WHATWG HTML, server-sent events). Pure: texts in, bytes out.
//!
//! The input was checked: no field has a control character, and data has no line end but LF, so no field can end early
//! or begin another.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::event::POSITION;
use super::trace::TraceParent;

/// A comment line, which keeps proxies from closing an idle stream. No empty line follows: it would end an event, and some
/// clients (httpx-sse) would dispatch an empty one.
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b":\n");

/// Encodes an event. A trace is a field of its own, which clients that do not know it ignore.
pub(super) fn event(id: &str, kind: Option<&str>, data: &str, trace: Option<TraceParent>) -> Bytes {
    let mut text = String::with_capacity(24 + id.len() + kind.map_or(0, str::len) + data.len());
    field(&mut text, "id", id);
    if let Some(kind) = kind {
        field(&mut text, "event", kind);
    }
    if let Some(trace) = trace {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "traceparent: {trace}");
    }
    for line in data.split('\n') {
        field(&mut text, "data", line);
    }
    text.push('\n');
    text.into()
}

/// Encodes the first event of a connection. Its id is the position that the stream continues after, so that a client that
/// loses the connection before the next event resumes there.
pub(super) fn opening(kind: &str, at: Option<&str>, data: &impl Serialize, retry: Duration) -> Bytes {
    let mut text = String::new();
    if let Some(at) = at {
        field(&mut text, "id", at);
    }
    said(text, kind, data, Some(retry))
}

/// Encodes an event of the server. It has no id, so the client keeps the last one.
///
/// It can carry the reconnection time; alone that would be an event without data, which browsers ignore and some other
/// clients do not.
pub(super) fn control(kind: &str, data: &impl Serialize, retry: Option<Duration>) -> Bytes {
    said(String::new(), kind, data, retry)
}

/// Encodes the position of the stream, for clients to resume by. Some clients ignore an id without data.
pub(super) fn position(id: &str) -> Bytes {
    let mut text = String::new();
    field(&mut text, "id", id);
    said(text, POSITION, &serde_json::json!({}), None)
}

fn said(mut text: String, kind: &str, data: &impl Serialize, retry: Option<Duration>) -> Bytes {
    if let Some(retry) = retry {
        field(&mut text, "retry", &retry.as_millis().to_string());
    }
    field(&mut text, "event", kind);
    // Only maps whose keys are not strings fail, and there are none.
    let json = serde_json::to_string(data).unwrap_or_default();
    field(&mut text, "data", &json);
    text.push('\n');
    text.into()
}

/// Encodes the reconnection time as the last line of a stream: without an empty line it takes effect and is not an event.
pub(super) fn retry(after: Duration) -> Bytes {
    format!("retry: {}\n", after.as_millis()).into()
}

/// `around`, up to a fifth more or less by `random`, so that clients of a lost server do not all reconnect at once.
pub(super) fn jittered(context: Duration, random: u64) -> Duration {
    let fifth = (context.as_millis() / 5) as u64;
    let context = context.as_millis() as u64;
    Duration::from_millis(context - fifth + random % (2 * fifth + 1))
}

fn field(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    // After this space a value may itself begin with a space.
    text.push_str(": ");
    text.push_str(value);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::event::{GAP, OPEN, PAUSE};
    use super::*;

    #[test]
    fn events_are_to_the_letter() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (id, kind, data, trace, expected) in [
            ("1", None, "a", None, "id: 1\ndata: a\n\n"),
            ("1", Some("k"), "", None, "id: 1\nevent: k\ndata: \n\n"),
            ("1", None, "a\nb\n", None, "id: 1\ndata: a\ndata: b\ndata: \n\n"),
            ("1", None, " a: b", None, "id: 1\ndata:  a: b\n\n"),
            (
                "ü",
                None,
                "a",
                Some(trace),
                "id: ü\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\ndata: a\n\n",
            ),
        ] {
            let trace = trace.map(|text: &str| text.parse().unwrap());
            assert_eq!(event(id, kind, data, trace), expected, "{data:?}");
        }
        assert_eq!(
            control(GAP, &serde_json::json!({"a": "\n"}), None),
            "event: sluicegate.gap\ndata: {\"a\":\"\\n\"}\n\n"
        );
        let second = Some(Duration::from_secs(1));
        assert_eq!(control(PAUSE, &1, second), "retry: 1000\nevent: sluicegate.pause\ndata: 1\n\n");
        assert_eq!(position("x-7.0000000a"), "id: x-7.0000000a\nevent: sluicegate.position\ndata: {}\n\n");
        let second = Duration::from_secs(1);
        let open = "retry: 1000\nevent: sluicegate.open\ndata: 1\n\n";
        assert_eq!(opening(OPEN, None, &1, second), open);
        assert_eq!(opening(OPEN, Some("x-0"), &1, second), format!("id: x-0\n{open}"));
        assert_eq!(retry(Duration::from_secs(3)), "retry: 3000\n");
    }

    #[test]
    fn jitter_is_a_fifth_to_either_side() {
        let context = Duration::from_secs(3);
        for (random, millis) in [(0, 2400), (1, 2401), (1200, 3600), (1201, 2400), (u64::MAX, 3074)] {
            assert_eq!(jittered(context, random).as_millis(), millis, "{random}");
        }
        assert_eq!(jittered(Duration::ZERO, 7), Duration::ZERO);
    }
}
