//! The server's log, all of it, and what must be true of it.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::Value;

use super::publisher::Said;
use super::subscriber::Seen;
use crate::pace::get;

pub struct Log {
    /// Ids and data.
    pub events: Vec<(String, String)>,
    /// Where an id stands.
    pub places: HashMap<String, usize>,
}

impl Log {
    /// Publishes what tells subscribers that nothing follows.
    pub fn publish_end(addr: SocketAddr) {
        let answer = testkit::served::post(addr, "/events/s", "Content-Type: text/plain\r\n", "end");
        assert_eq!(answer.status(), 200, "{answer:?}");
    }

    /// What the server has, by polls from before the first event to the end.
    pub fn of(addr: SocketAddr) -> Self {
        let mut log = Self { events: Vec::new(), places: HashMap::new() };
        let mut after = "before-the-first".to_owned();
        while log.events.last().is_none_or(|(_, data)| data != "end") {
            let answer = get(addr, &format!("/events/s/poll?max=1000&after={after}"), "");
            let answer: Value = serde_json::from_slice(&answer.body).unwrap();
            for event in answer["events"].as_array().unwrap() {
                let text = |name: &str| event[name].as_str().unwrap().to_owned();
                let before = log.places.insert(text("id"), log.events.len());
                assert_eq!(before, None, "{} is there twice", text("id"));
                log.events.push((text("id"), text("data")));
                if text("data") == "end" {
                    // What a publisher had sent when it was killed may be behind it.
                    break;
                }
            }
            after = answer["last_id"].as_str().unwrap().to_owned();
        }
        log
    }

    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Every batch that was acknowledged is there once, and whole; the last one may be there without having been
    /// acknowledged, and then whole too. Events without ids are there once if they were acknowledged, and at
    /// most once if not.
    pub fn has_what_was_published(&self, said: &Said) {
        let (mut own, mut plain) = (0, HashMap::<&str, u32>::new());
        for (at, (id, data)) in self.events.iter().enumerate() {
            if let Some(number) = id.strip_prefix("own-") {
                assert_eq!(
                    (number, data.split(' ').next()),
                    (own.to_string().as_str(), Some(number)),
                    "at {at}"
                );
                // All three at once: nothing is between them.
                let begin = at - own as usize % 3;
                assert_eq!(self.events[begin].0, format!("own-{}", own - own % 3));
                own += 1;
            } else if let Some(name) = data.strip_prefix("plain ") {
                *plain.entry(name).or_default() += 1;
            } else {
                assert_eq!((data.as_str(), at), ("end", self.len() - 1));
            }
        }
        assert!(own % 3 == 0, "a batch is cut: {own} events");
        assert!(
            (said.batches..=said.batches + 1).contains(&(own / 3)),
            "{own} events, {} batches",
            said.batches
        );
        assert!(plain.values().all(|times| *times == 1), "{plain:?}");
        assert!(said.plain.keys().all(|name| plain.contains_key(name.as_str())), "{plain:?}");
    }

    /// What a subscriber saw is the log from where it began to the end, without holes that nobody named.
    /// Gives how many were named.
    pub fn was_read_by(&self, seen: &[Seen]) -> u64 {
        let (mut next, mut gaps) = (0, 0);
        for seen in seen {
            match seen {
                // The place before the first event is that of none.
                Seen::Begin(id) => next = self.places.get(id).map_or(0, |at| at + 1),
                Seen::Event(id) => {
                    assert_eq!(
                        self.places.get(id),
                        Some(&next),
                        "{id} came, expected {:?}",
                        self.events.get(next)
                    );
                    next += 1;
                }
                Seen::Open => {}
                Seen::Gap(missing) => {
                    gaps += 1;
                    next += missing.expect("the log was never lost") as usize;
                }
            }
        }
        assert_eq!(next, self.len(), "it has not come to the end");
        gaps
    }
}
