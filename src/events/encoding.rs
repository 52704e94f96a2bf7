//! Events as text (WHATWG HTML, server-sent events). Pure: texts in, bytes out.
//!
//! What goes in has been checked: no field has a control character, and data has no line end but LF. So no
//! field can end early or begin another.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::trace::TraceParent;

/// A line that says nothing, and keeps whatever stands between from giving the stream up. No empty line behind
/// it: that ends an event, and a client that has an id already may make an empty one of it (httpx-sse does).
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b":\n");

/// An event for subscribers. A trace goes in a field of its own, which clients that do not know it ignore.
pub(super) fn event(id: &str, kind: Option<&str>, data: &str, trace: Option<TraceParent>) -> Bytes {
    let mut text = String::with_capacity(24 + id.len() + kind.map_or(0, str::len) + data.len());
    field(&mut text, "id", id);
    if let Some(kind) = kind {
        field(&mut text, "event", kind);
    }
    if let Some(trace) = trace {
        // Writing to a string does not fail.
        let _ = writeln!(text, "traceparent: {trace}");
    }
    for line in data.split('\n') {
        field(&mut text, "data", line);
    }
    text.push('\n');
    text.into()
}

/// The first event of a stream. Its id is the place from which the stream goes on: a client that loses the
/// connection before it has read anything else comes again with that, and misses nothing.
pub(super) fn opening(kind: &str, at: Option<&str>, data: &impl Serialize, retry: Duration) -> Bytes {
    let mut text = String::new();
    if let Some(at) = at {
        field(&mut text, "id", at);
    }
    said(text, kind, data, Some(retry))
}

/// An event that the server says itself. It has no id: the last one of the stream stays the client's.
///
/// With it goes when a client that lost the stream is to come again. Alone this would be an event without data,
/// which browsers pass over, and some other clients do not.
pub(super) fn control(kind: &str, data: &impl Serialize, retry: Option<Duration>) -> Bytes {
    said(String::new(), kind, data, retry)
}

fn said(mut text: String, kind: &str, data: &impl Serialize, retry: Option<Duration>) -> Bytes {
    if let Some(retry) = retry {
        field(&mut text, "retry", &retry.as_millis().to_string());
    }
    field(&mut text, "event", kind);
    // Only maps with odd keys fail, and there are none.
    let json = serde_json::to_string(data).unwrap_or_default();
    field(&mut text, "data", &json);
    text.push('\n');
    text.into()
}

/// When a client that loses the stream is to come again, as the last there is of it: a line that nothing
/// follows is heard, and no event.
pub(super) fn retry(after: Duration) -> Bytes {
    format!("retry: {}\n", after.as_millis()).into()
}

/// `around`, a fifth more or less, as `random` has it: clients that lost a server together do not come back
/// together.
pub(super) fn jittered(context: Duration, random: u64) -> Duration {
    let fifth = (context.as_millis() / 5) as u64;
    let context = context.as_millis() as u64;
    Duration::from_millis(context - fifth + random % (2 * fifth + 1))
}

fn field(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    // With the space a value may begin with one.
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
