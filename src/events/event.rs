//! Events: checked drafts of publishers, and published events.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::encoding;
use super::place::Place;
use super::settings::{MAX_STREAM_NAME, is_stream_name};
use super::trace::TraceParent;
use crate::clock::Instant;
use crate::tracing::Origin;

/// Bytes of the longest id or type: both are sent in headers and in each event.
pub(super) const MAX_NAME: usize = 128;

/// Prefix of the types of the server's own events, reserved so that subscribers can trust them.
const OWN: &str = "sluicegate.";

/// Types of the server's own events: the first of a stream, the last of a suspended one, the first of a resumed one, and
/// missing events.
pub(super) const OPEN: &str = "sluicegate.open";
pub(super) const PAUSE: &str = "sluicegate.pause";
pub(super) const RESUME: &str = "sluicegate.resume";
pub(super) const GAP: &str = "sluicegate.gap";
/// No events can come for a while, and they can again.
pub(super) const STALLED: &str = "sluicegate.stalled";
pub(super) const FLOWING: &str = "sluicegate.flowing";
/// The position of the stream, behind an event whose own id does not say it.
pub(super) const POSITION: &str = "sluicegate.position";

/// Types that an `EventSource` dispatches itself or for events without a type: a listener could not distinguish these from
/// a publisher's (WHATWG HTML, section 9.2).
const DISPATCHED: [&str; 3] = ["open", "error", "message"];

/// The name of a stream: 1 to 64 letters, digits and `-._~`; not `.`, `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Box<str>);

impl StreamName {
    /// Bytes of the longest name.
    pub const MAX_LEN: usize = MAX_STREAM_NAME;

    /// The name `text`, if it is valid.
    pub fn new(text: &str) -> Option<Self> {
        is_stream_name(text).then(|| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A checked event to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    data: String,
    kind: Option<String>,
    id: Option<String>,
    ttl: Option<Duration>,
    trace: Option<TraceParent>,
}

/// Why an event is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadDraft {
    /// The data is too large.
    TooLarge {
        /// Bytes of the data.
        bytes: usize,
        /// The largest number of bytes.
        most: usize,
    },
    /// The id is empty, longer than 128 bytes, or has a control character or a blank at an end. NUL and line ends would break
    /// the stream, and a header field that carries the id back cannot hold them and loses blanks at its ends.
    BadId,
    /// The type is empty, longer than 128 bytes, or has a control character.
    BadKind,
    /// The type is reserved for the server's own events, or dispatched by browsers themselves.
    ReservedKind(String),
    /// The ttl is zero.
    ZeroTtl,
}

impl Draft {
    /// Creates an event of `data`, which may have at most `most` bytes. CRLF and CR become LF, the format's only line end.
    ///
    /// # Errors
    /// [`BadDraft::TooLarge`].
    pub fn new(data: impl Into<String>, most: usize) -> Result<Self, BadDraft> {
        let mut data = data.into();
        if data.len() > most {
            return Err(BadDraft::TooLarge { bytes: data.len(), most });
        }
        if data.contains('\r') {
            data = data.replace("\r\n", "\n").replace('\r', "\n");
        }
        Ok(Self { data, kind: None, id: None, ttl: None, trace: None })
    }

    /// Sets the type, which listeners of an `EventSource` are added for; the default is `message`.
    ///
    /// # Errors
    /// The type is invalid or reserved.
    pub fn kind(mut self, kind: impl Into<String>) -> Result<Self, BadDraft> {
        let kind = kind.into();
        if !is_name(&kind) {
            return Err(BadDraft::BadKind);
        }
        if kind.starts_with(OWN) || DISPATCHED.contains(&kind.as_str()) {
            return Err(BadDraft::ReservedKind(kind));
        }
        self.kind = Some(kind);
        Ok(self)
    }

    /// Sets the publisher's own id.
    ///
    /// # Errors
    /// The id is invalid.
    pub fn id(mut self, id: impl Into<String>) -> Result<Self, BadDraft> {
        let id = id.into();
        if !is_id(&id) {
            return Err(BadDraft::BadId);
        }
        self.id = Some(id);
        Ok(self)
    }

    /// Sets a ttl of its own instead of the log's.
    ///
    /// # Errors
    /// The ttl is zero.
    pub fn ttl(mut self, ttl: Duration) -> Result<Self, BadDraft> {
        if ttl.is_zero() {
            return Err(BadDraft::ZeroTtl);
        }
        self.ttl = Some(ttl);
        Ok(self)
    }

    /// Sets the publisher's trace.
    #[must_use]
    pub fn trace(mut self, trace: Option<TraceParent>) -> Self {
        self.trace = trace;
        self
    }

    /// Type, data and trace.
    pub(super) fn texts(&self) -> (Option<&str>, &str, Option<String>) {
        (self.kind.as_deref(), &self.data, self.trace.map(|trace| trace.to_string()))
    }

    pub(super) fn ttl_or(&self, ttl: Duration) -> Duration {
        self.ttl.unwrap_or(ttl)
    }

    /// Bytes of its text.
    pub(super) fn size(&self) -> usize {
        self.data.len() + self.kind.as_ref().map_or(0, String::len) + self.id.as_ref().map_or(0, String::len)
    }

    /// What was checked when it was published, and is kept by a store.
    pub(super) fn kept(data: String, kind: Option<String>, trace: Option<TraceParent>) -> Self {
        Self { data, kind, id: None, ttl: None, trace }
    }

    pub(super) fn given_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether it has the same content as `event`.
    pub(super) fn says(&self, event: &Event) -> bool {
        self.data.as_bytes() == &event.data[..] && self.kind.as_deref() == event.kind.as_deref()
    }

    /// The event of this number and id, born `now`.
    pub(super) fn publish(self, seq: u64, id: String, now: Instant, ttl: Duration) -> Event {
        let wire = encoding::event(&id, self.kind.as_deref(), &self.data, self.trace);
        // Most data has one line and is part of the wire form as it is: then it is stored once.
        let at = wire.len() - 2 - self.data.len().min(wire.len() - 2);
        let data = match wire.get(at..at + self.data.len()) {
            Some(same) if same == self.data.as_bytes() => wire.slice(at..at + self.data.len()),
            _ => Bytes::from(self.data),
        };
        Event {
            seq,
            id: id.into(),
            kind: self.kind.map(Into::into),
            data,
            wire,
            before: 0,
            born: now,
            expires: now + self.ttl.unwrap_or(ttl),
            trace: self.trace,
            origin: None,
            place: None,
        }
    }
}

/// Whether `text` is a valid id.
pub(super) fn is_id(text: &str) -> bool {
    // Optional whitespace of fields (RFC 9110 section 5.6.3); a tab is a control character.
    is_name(text) && !text.starts_with(' ') && !text.ends_with(' ')
}

/// Whether `text` is a valid type, or apart from blanks a valid id.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[derive(Debug)]
pub(super) struct Event {
    /// Its number in the stream, from 1.
    pub(super) seq: u64,
    pub(super) id: Box<str>,
    pub(super) kind: Option<Box<str>>,
    pub(super) data: Bytes,
    /// As it is sent to subscribers.
    pub(super) wire: Bytes,
    /// The cost of all events published before. Set by the log.
    pub(super) before: u64,
    pub(super) born: Instant,
    pub(super) expires: Instant,
    pub(super) trace: Option<TraceParent>,
    /// The origin of its spans, if it is traced.
    pub(super) origin: Option<Arc<Origin>>,
    /// Of one with its publisher's id, in a shared store.
    pub(super) place: Option<Box<Place>>,
}

/// Memory of an event beside its bytes: its fields and its entry in the log.
const OVERHEAD: usize = 200;

impl Event {
    /// Bytes that it uses in the log.
    pub(super) fn cost(&self) -> u64 {
        let apart = if self.data.is_empty() || self.wire.ends_with(b"\n\n") && self.is_inside() {
            0
        } else {
            self.data.len()
        };
        let traced = self.origin.as_ref().map_or(0, |origin| origin.cost());
        (self.wire.len() + apart + self.id.len() + OVERHEAD) as u64 + traced
    }

    /// Whether the data is a slice of the wire form.
    fn is_inside(&self) -> bool {
        self.data_at().is_some()
    }

    /// Where in the wire form the data is, if it is a slice of that.
    pub(super) fn data_at(&self) -> Option<usize> {
        let (wire, data) = (self.wire.as_ptr() as usize, self.data.as_ptr() as usize);
        (wire..wire + self.wire.len()).contains(&data).then(|| data - wire)
    }

    pub(super) fn is_live(&self, now: Instant) -> bool {
        now < self.expires
    }
}

impl fmt::Display for BadDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, most } => {
                write!(f, "an event's data has at most {most} bytes, this has {bytes}")
            }
            Self::BadId => {
                write!(f, "an id has 1 to {MAX_NAME} bytes, no control characters, and no blank at its ends")
            }
            Self::BadKind => {
                write!(
                    f,
                    "a type has 1 to {MAX_NAME} bytes and no control characters; leave it out for `message`"
                )
            }
            Self::ReservedKind(kind) => {
                write!(
                    f,
                    "the type {kind:?} is reserved: types of the server's own events begin with {OWN:?}, and browsers \
                     dispatch open, error and message themselves; choose another type"
                )
            }
            Self::ZeroTtl => {
                f.write_str("a ttl of zero would expire the event at once; leave it out or set a longer one")
            }
        }
    }
}

impl std::error::Error for BadDraft {}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(data: &str) -> Event {
        Draft::new(data, 1000).unwrap().publish(1, "i".into(), Instant::ZERO, Duration::from_secs(1))
    }

    #[test]
    fn names_of_streams_are_plain_and_short() {
        for (text, good) in [
            ("news", true),
            ("a.b-c_d~1", true),
            ("", false),
            (".", false),
            ("..", false),
            ("a/b", false),
            ("a b", false),
            ("é", false),
            ("%41", false),
        ] {
            assert_eq!(StreamName::new(text).is_some(), good, "{text:?}");
        }
        let longest = "n".repeat(StreamName::MAX_LEN);
        assert!(StreamName::new(&longest).is_some() && StreamName::new(&format!("{longest}n")).is_none());
    }

    #[test]
    fn data_has_a_bound_and_one_kind_of_line_end() {
        assert_eq!(Draft::new("abc", 2), Err(BadDraft::TooLarge { bytes: 3, most: 2 }));
        assert!(Draft::new("ab", 2).is_ok());
        assert_eq!(&published("a\r\nb\rc\n\r\rd").data[..], b"a\nb\nc\n\n\nd");
    }

    #[test]
    fn ids_and_types_are_short_and_without_control_characters() {
        let draft = || Draft::new("", 1).unwrap();
        let longest = "x".repeat(MAX_NAME);
        for (text, good) in [
            ("a", true),
            ("Open", true),
            ("sluicegate", true),
            ("pause", true),
            ("ü 1", true),
            (longest.as_str(), true),
            ("", false),
            ("a\0", false),
            ("a\nb", false),
            ("a\rb", false),
            (&format!("{longest}x"), false),
        ] {
            assert_eq!(draft().id(text).is_ok(), good, "{text:?}");
            assert_eq!(draft().kind(text).is_ok(), good, "{text:?}");
        }
        for kind in [OPEN, PAUSE, RESUME, GAP, "sluicegate.", "sluicegate.x", "open", "error", "message"] {
            assert_eq!(draft().kind(kind), Err(BadDraft::ReservedKind(kind.into())));
            assert!(draft().id(kind).is_ok(), "{kind}");
        }
        for (text, good) in [(" a", false), ("a ", false), (" ", false), ("a b", true), ("\u{a0}a", true)] {
            assert_eq!(draft().id(text).is_ok(), good, "{text:?}: a field that brings it back loses blanks");
            assert!(draft().kind(text).is_ok(), "{text:?}");
        }
        assert_eq!(draft().ttl(Duration::ZERO), Err(BadDraft::ZeroTtl));
    }

    #[test]
    fn data_of_one_line_is_held_once() {
        for (data, inside) in [("one line", true), ("two\nlines", false), ("", false), ("\n", false)] {
            let event = published(data);
            assert_eq!(&event.data[..], data.as_bytes());
            let apart = if inside { 0 } else { data.len() };
            assert_eq!(event.cost() as usize, event.wire.len() + apart + 1 + OVERHEAD, "{data:?}");
        }
    }

    #[test]
    fn an_event_lives_to_the_nanosecond() {
        let event = published("a");
        assert!(
            event.is_live(Instant::from_nanos(999_999_999)) && !event.is_live(Instant::from_millis(1000))
        );
    }
}
