//! The live view's stream: events to states, and again from the beginning when the server has gone away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use sluicegate::clock::Sleep;
use sluicegate::rt;

use super::live::Live;
use super::state::Link;
use crate::cli::CliError;
use crate::cli::admin_args::Top;

/// The time between two attempts.
const RETRY: Duration = Duration::from_secs(1);

/// Heartbeats come every five seconds: after a longer silence the connection is dead.
const SILENCE: Duration = Duration::from_secs(15);

/// What came, until it is taken.
#[derive(Default)]
pub(super) struct Inbox(Mutex<(Option<Live>, Option<Link>)>);

impl Inbox {
    /// The newest state since the last call, and whether states come, if that changed.
    pub(super) fn take(&self) -> (Option<Live>, Option<Link>) {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put_state(&self, live: Live) {
        self.put(|(newest, _)| *newest = Some(live.in_place_of(newest.as_ref())));
    }

    fn put(&self, change: impl FnOnce(&mut (Option<Live>, Option<Link>))) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Follows the stream of the listener that was typed, without end.
pub(super) async fn run(typed: Arc<Top>, inbox: Arc<Inbox>) {
    let mut feed = Feed::default();
    loop {
        // Made anew each time: the token's file may have another token by now.
        let why = match typed.client() {
            Ok(client) => {
                let last = feed.last.clone();
                let take = |piece: &[u8]| {
                    let told = feed.push(piece, |live| inbox.put_state(live));
                    // Of a stream that resumed nothing comes but heartbeats until something changes.
                    if told.is_ok() && feed.state.is_some() {
                        inbox.put(|(_, link)| *link = Some(Link::Live));
                    }
                    told
                };
                client.follow("/v1/live", last.as_deref(), SILENCE, take).await
            }
            Err(error) => error,
        };
        inbox.put(|(_, link)| *link = Some(Link::Lost(reason(&why))));
        feed.text.clear();
        Sleep::lasting(rt::clock(), RETRY).await;
    }
}

/// Why no states come, in a few words.
fn reason(why: &CliError) -> String {
    let (CliError::Usage(text) | CliError::Failed(text)) = why;
    let text = text
        .split_once(": ")
        .filter(|(who, _)| who.starts_with("the admin listener at "))
        .map_or(&**text, |(_, why)| why);
    let text = text.split(';').next().unwrap_or(text).trim_end_matches('.');
    format!("no states ({text}), trying again")
}

/// The stream, as far as it has come.
#[derive(Default)]
struct Feed {
    /// Bytes of lines that are no whole event yet.
    text: Vec<u8>,
    state: Option<Value>,
    /// The id of the last frame.
    last: Option<String>,
}

impl Feed {
    /// Takes what came; `then` is called with each state.
    ///
    /// # Errors
    /// Events were missed in mid-stream: the next stream begins with the whole state.
    fn push(&mut self, piece: &[u8], mut then: impl FnMut(Live)) -> Result<(), CliError> {
        self.text.extend_from_slice(piece);
        while let Some(end) = memchr::memmem::find(&self.text, b"\n\n") {
            let event: Vec<u8> = self.text.drain(..end + 2).collect();
            if let Some(live) = self.event(&String::from_utf8_lossy(&event))? {
                then(live);
            }
        }
        Ok(())
    }

    /// The state that an event makes, if it is a frame.
    fn event(&mut self, event: &str) -> Result<Option<Live>, CliError> {
        let (mut kind, mut id, mut data) = ("message", None, String::new());
        for line in event.lines() {
            match line.split_once(": ") {
                Some(("event", value)) => kind = value,
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("data", value)) => data.push_str(value),
                _ => {}
            }
        }
        match (kind, &mut self.state) {
            ("full", state) => *state = serde_json::from_str(&data).ok(),
            ("change", Some(state)) => {
                let Ok(patch) = serde_json::from_str(&data) else { return Ok(None) };
                merge(state, patch);
            }
            ("change", None) => return Err(CliError::Failed("events were missed".to_owned())),
            // What was missed is not known: if this is the answer's first event, the whole state comes next.
            ("sluicegate.gap", _) => {
                (self.state, self.last) = (None, None);
                return Ok(None);
            }
            _ => return Ok(None),
        }
        self.last = id.or(self.last.take());
        let live = self.state.as_ref().and_then(|state| Live::deserialize(state).ok());
        Ok(live.map(|live| match kind {
            // When the state before a whole one was sent is not known.
            "full" => live,
            _ => Live { quiet_until: live.at.saturating_sub(live.elapsed), ..live },
        }))
    }
}

/// Makes the next state of `state`, by a merge patch (RFC 7396).
fn merge(state: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *state = patch;
        return;
    };
    if !state.is_object() {
        *state = Value::Object(Map::new());
    }
    let Some(members) = state.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            members.remove(&key);
        } else {
            merge(members.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type States = Vec<(u64, u64, Vec<String>)>;

    /// When each state was sampled, until when nothing had changed, and its transfers; as an error those before events were missed.
    fn states(feed: &mut Feed, text: &str) -> Result<States, States> {
        let mut states = Vec::new();
        // Byte by byte: pieces end anywhere.
        for byte in text.as_bytes() {
            let then =
                |live: Live| states.push((live.at, live.quiet_until, live.transfers.into_keys().collect()));
            if feed.push(&[*byte], then).is_err() {
                return Err(states);
            }
        }
        Ok(states)
    }

    #[test]
    fn frames_become_states() {
        let mut feed = Feed::default();
        let text = "retry: 1000\nevent: sluicegate.open\ndata: {}\n\n:\n\n\
                    event: full\nid: a-1\ndata: {\"at\": 1000, \"elapsed\": 0, \"transfers\": {\"1.1\": {}, \"2.1\": {}}}\n\n\
                    event: change\nid: a-2\ndata: {\"at\": 2000, \"elapsed\": 200, \"transfers\": {\"1.1\": null, \"3.1\": {\"bytes\": 5}}}\n\n";
        let both = vec!["1.1".to_owned(), "2.1".to_owned()];
        let next = vec!["2.1".to_owned(), "3.1".to_owned()];
        assert_eq!(states(&mut feed, text), Ok(vec![(1_000, 0, both), (2_000, 1_800, next)]));
        assert_eq!(feed.last.as_deref(), Some("a-2"));
        // The server began anew.
        let text =
            "event: sluicegate.gap\ndata: {}\n\nevent: full\nid: b-1\ndata: {\"at\": 10, \"elapsed\": 3}\n\n";
        assert_eq!(states(&mut feed, text), Ok(vec![(10, 0, Vec::new())]));
        assert_eq!(feed.last.as_deref(), Some("b-1"));
        // After a gap in mid-stream changes are of something that is not known.
        let text = "event: sluicegate.gap\ndata: {}\n\nevent: change\nid: b-9\ndata: {\"at\": 19}\n\n";
        assert_eq!(states(&mut feed, text), Err(Vec::new()));
        assert_eq!(feed.last, None);
    }

    #[test]
    fn a_state_that_nobody_took_was_no_quiet_time() {
        let inbox = Inbox::default();
        let put = |at, quiet_until| inbox.put_state(Live { at, quiet_until, ..Live::default() });
        let take = || inbox.take().0.map(|live| (live.at, live.quiet_until));
        put(1_000, 800);
        assert_eq!(take(), Some((1_000, 800)));
        put(9_000, 8_800);
        put(9_200, 9_000);
        put(9_400, 9_200);
        assert_eq!((take(), take()), (Some((9_400, 8_800)), None));
    }

    #[test]
    fn why_nothing_comes_is_said_in_a_few_words() {
        for (text, expected) in [
            (
                "the admin listener at [::1]:9: refused (os error 111); start it",
                "no states (refused (os error 111)), trying again",
            ),
            ("32 look on already.", "no states (32 look on already), trying again"),
        ] {
            assert_eq!(reason(&CliError::Failed(text.to_owned())), expected);
        }
    }
}
