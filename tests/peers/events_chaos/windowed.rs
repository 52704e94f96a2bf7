//! Subscribers with windows that go from server to server and acknowledge at any.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use testkit::sse::Answer;
use testkit::wait::{joined, until};

use super::event_server;
use crate::chaos::Dice;
use crate::chaos::server_log::Log;

/// A subscriber may have so many events that it has not acknowledged.
const WINDOW: u64 = 8;

/// The most events that it reads on a connection.
const EVENTS: u64 = 80;

/// What happened to it, in order.
enum Happened {
    /// It came to a server.
    Came,
    Event(String),
    /// It was suspended, and this came by a poll.
    Polled(String),
    /// It says that it has all that came; whether that was answered 204.
    Acknowledges(bool),
}

pub struct Windowed {
    thread: JoinHandle<Vec<Happened>>,
}

/// What became of all that it did.
#[derive(Debug, Default)]
pub struct Sums {
    connections: u64,
    acknowledged: u64,
    refused: u64,
    polled: u64,
    /// Events that came again.
    again: u64,
}

struct Client {
    fronts: Vec<SocketAddr>,
    token: String,
    dice: Dice,
    happened: Vec<Happened>,
    last: String,
}

impl Windowed {
    /// One that begins behind the event with the id `begin`, and comes by any of `fronts`.
    pub fn start(fronts: Vec<SocketAddr>, nth: usize, begin: String, dice: Dice) -> Self {
        let token = format!("windowed-subscriber-in-chaos-{nth:02}");
        let mut client = Client { fronts, token, dice, happened: Vec::new(), last: begin };
        let thread = std::thread::spawn(move || {
            while !client.live().unwrap_or_default() {
                // The server may be away.
                std::thread::sleep(Duration::from_millis(5));
            }
            client.happened
        });
        Self { thread }
    }

    /// Checks that it had all of the log, in order, and never more than its window.
    pub fn had_all_of(self, log: &Log) -> Sums {
        let mut sums = Sums::default();
        // Up to where it had all, and said that it has; on this connection where it is, and how much it had.
        let (mut had, mut said, mut at, mut open) = (0, 0, None, 0);
        for happened in joined("a subscriber with a window", self.thread) {
            match happened {
                Happened::Came => {
                    sums.connections += 1;
                    (at, open) = (None, 0);
                }
                Happened::Event(id) => {
                    let place = log.places[&id];
                    assert!(place <= had, "{id} is behind what it never had, {had}");
                    assert!(at.is_none_or(|at| at < place), "{id} is not in order");
                    (at, open) = (Some(place), open + 1);
                    assert!(open <= WINDOW, "{open} events of {WINDOW} are not acknowledged");
                    sums.again += u64::from(place < had);
                    had = had.max(place + 1);
                }
                Happened::Polled(id) => {
                    let place = log.places[&id];
                    assert!(place <= had, "{id} is behind what it never had, {had}");
                    sums.polled += 1;
                    had = had.max(place + 1);
                }
                Happened::Acknowledges(is_kept) => {
                    (said, open) = (had, 0);
                    *if is_kept { &mut sums.acknowledged } else { &mut sums.refused } += 1;
                }
            }
        }
        assert_eq!((had, said), (log.len(), log.len()));
        sums
    }
}

impl Client {
    fn front(&mut self) -> SocketAddr {
        self.fronts[self.dice.below(self.fronts.len() as u64) as usize]
    }

    /// One connection. Whether the end of all was there; `None` if the server was not.
    fn live(&mut self) -> Option<bool> {
        let mut stream = TcpStream::connect(self.front()).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (token, last) = (&self.token, &self.last);
        let fields = format!("Host: localhost\r\nLast-Event-ID: {last}\r\n");
        write!(stream, "GET /events/s?window={WINDOW}&token={token} HTTP/1.1\r\n{fields}\r\n").ok()?;
        self.happened.push(Happened::Came);
        let most = 1 + self.dice.below(EVENTS);
        let mut answer = Answer::default();
        while answer.head.is_empty() {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            answer.push(&byte);
        }
        if !answer.head.starts_with("HTTP/1.1 200 ") {
            // The proxy's own: it has no server.
            return None;
        }
        let mut piece = [0; 65_536];
        let (mut events, mut patience) = (0, self.patience());
        while events < most && !answer.ended {
            let len = stream.read(&mut piece).ok().filter(|len| *len > 0)?;
            answer.push(&piece[..len]);
            for event in answer.by_ref() {
                match &*event.kind {
                    "message" => {}
                    "sluicegate.pause" => return Some(self.poll()),
                    "sluicegate.gap" => panic!("{event:?}"),
                    _ => continue,
                }
                self.last = event.id.unwrap();
                self.happened.push(Happened::Event(self.last.clone()));
                (events, patience) = (events + 1, patience - 1);
                if event.data == "end" {
                    until("its last acknowledgement", || self.acknowledge());
                    return Some(true);
                }
                if patience == 0 {
                    if !self.acknowledge() {
                        // It would wait for more in vain.
                        return Some(false);
                    }
                    patience = self.patience();
                }
            }
        }
        Some(false)
    }

    /// Polls to the head, at any server. Whether the end of all was there.
    fn poll(&mut self) -> bool {
        loop {
            let query = format!("max=1000&token={}&after={}", self.token, self.last);
            let front = self.front();
            let Some(answer) = event_server::polled(front, &query) else { return false };
            assert!(answer["gap"].is_null(), "{answer}");
            for event in answer["events"].as_array().unwrap() {
                self.last = event["id"].as_str().unwrap().to_owned();
                self.happened.push(Happened::Polled(self.last.clone()));
                if event["data"] == "end" {
                    until("its last acknowledgement", || self.acknowledge());
                    return true;
                }
            }
            if answer["may_resume"] == true || answer["suspended"] == false {
                return false;
            }
        }
    }

    /// After how many events it acknowledges.
    fn patience(&mut self) -> u64 {
        1 + self.dice.below(WINDOW)
    }

    fn acknowledge(&mut self) -> bool {
        let content = json!({"token": self.token, "id": self.last}).to_string();
        let front = self.front();
        let is_kept = event_server::acknowledged(front, &content);
        self.happened.push(Happened::Acknowledges(is_kept));
        is_kept
    }
}
