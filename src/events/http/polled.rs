//! The answer to a poll, encoded piece by piece as it is read, so that a client that does not read holds no memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::Serialize;

use crate::brigade::{Brigade, Bucket};
use crate::events::event::Event;
use crate::events::queue::Gap;
use crate::events::stream::Polled;
use crate::generator::Generator;

/// Up to this many bytes of data are encoded at once, with a Content-Length: 16 KiB.
const SHORT: u64 = 16 * 1024;

const BEGIN: &[u8] = b"{\"events\":[";

/// `{"events":[…],"last_id":…}` and a line feed.
pub(super) struct PolledText {
    /// `None` once it was sent.
    begin: Option<&'static [u8]>,
    events: VecDeque<Arc<Event>>,
    /// The text after the events; `None` once it was sent.
    end: Option<Vec<u8>>,
    /// Bytes of data left; escapes add to them.
    left: u64,
}

#[derive(Serialize)]
struct EventText<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
    data: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

#[derive(Serialize)]
struct Rest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<&'a Gap>,
    last_id: Option<&'a str>,
    suspended: bool,
    may_resume: bool,
}

impl PolledText {
    pub(super) fn new(polled: Polled) -> Self {
        let rest = Rest {
            gap: polled.gap.as_ref(),
            last_id: polled.last_id.as_deref(),
            suspended: polled.suspended,
            may_resume: polled.may_resume,
        };
        let mut end = b"],".to_vec();
        let rest = serde_json::to_vec(&rest).unwrap_or_default();
        // The object goes on in the one around the events.
        end.extend_from_slice(rest.get(1..).unwrap_or_default());
        end.push(b'\n');
        let left = polled.events.iter().map(|event| event.data.len() as u64).sum();
        Self { begin: Some(BEGIN), events: polled.events.into(), end: Some(end), left }
    }

    /// The whole text, if it is short.
    pub(super) fn short(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        if self.left > SHORT {
            return None;
        }
        while self.append(&mut text, usize::MAX) {}
        Some(text)
    }

    /// Appends the next piece to `text` if it fits into `room` or `text` is empty. Returns whether it did.
    fn append(&mut self, text: &mut Vec<u8>, room: usize) -> bool {
        let fits = |len: usize| text.is_empty() || text.len() + len <= room;
        if let Some(begin) = self.begin.take() {
            text.extend_from_slice(begin);
            return true;
        }
        if let Some(event) = self.events.front() {
            // Escapes may make it longer.
            let fits = fits(event.data.len());
            if fits && let Some(event) = self.events.pop_front() {
                self.left -= event.data.len() as u64;
                write_event(&event, self.events.is_empty(), text);
            }
            return fits;
        }
        let Some(end) = self.end.take_if(|end| fits(end.len())) else { return false };
        text.extend_from_slice(&end);
        true
    }
}

impl Generator for PolledText {
    fn poll_fill(&mut self, _cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        let room = usize::try_from(brigade.room()).unwrap_or(usize::MAX);
        let mut text = Vec::new();
        while self.append(&mut text, room) {}
        brigade.push(Bucket::Data(text.into()));
        if self.end.is_none() {
            brigade.push(Bucket::Eos);
        }
        Poll::Ready(())
    }

    fn min_remaining(&self) -> u64 {
        self.left
    }
}

fn write_event(event: &Event, is_last: bool, to: &mut Vec<u8>) {
    let text = EventText {
        id: &event.id,
        r#type: event.kind.as_deref(),
        // It was a string when it was published.
        data: std::str::from_utf8(&event.data).unwrap_or_default(),
        traceparent: event.trace.map(|trace| trace.to_string()),
    };
    // Writing strings to memory cannot fail.
    let _ = serde_json::to_writer(&mut *to, &text);
    if !is_last {
        to.push(b',');
    }
}
