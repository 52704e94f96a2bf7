//! curl after curl: each goes on behind the last whole event that the one before it read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{PATIENCE, program};
use testkit::sse::Answer;
use testkit::wire::{Client, End};

pub struct Subscriber {
    front: SocketAddr,
    token: Option<String>,
    /// The event that it begins behind; nothing for the head.
    begin: String,
    /// Whether it resumes by the last event, also where the server sends a position behind that.
    is_by_events: bool,
    child: Mutex<Option<Child>>,
    thread: Mutex<Option<JoinHandle<Vec<Seen>>>>,
}

/// What it was given, in order.
#[derive(Debug)]
pub enum Seen {
    /// Where its first stream began: behind the event with this id.
    Begin(String),
    /// An event, by its id.
    Event(String),
    /// So many are missing; `None` if nobody knows.
    Gap(Option<u64>),
    /// A stream began.
    Open,
}

impl Subscriber {
    pub fn start(front: SocketAddr, token: Option<String>) -> Arc<Self> {
        Self::start_after(front, token, String::new(), false)
    }

    /// One that begins behind the event with the id `begin`, and resumes by events alone if it is to.
    pub fn start_after(
        front: SocketAddr,
        token: Option<String>,
        begin: String,
        is_by_events: bool,
    ) -> Arc<Self> {
        let (child, thread) = (Mutex::default(), Mutex::default());
        let this = Self { front, token, begin, is_by_events, child, thread };
        let this = Arc::new(this);
        let reader = Arc::clone(&this);
        *this.thread.lock().unwrap() = Some(std::thread::spawn(move || reader.read()));
        this
    }

    /// Kills the curl that there is, if there is one.
    pub fn kill(&self) -> bool {
        // One that has been waited for is not in its place any more.
        self.child.lock().unwrap().as_mut().is_some_and(|child| child.kill().is_ok())
    }

    /// What it has seen, once it has seen the end.
    pub fn join(this: Arc<Self>) -> Vec<Seen> {
        let thread = this.thread.lock().unwrap().take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !thread.is_finished() {
            assert!(Instant::now() < deadline, "a subscriber does not come to the end");
            std::thread::sleep(Duration::from_millis(10));
        }
        thread.join().unwrap()
    }

    fn read(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        let mut last = self.begin.clone();
        while !self.live(&mut seen, &mut last) {
            // The proxy may be away.
            std::thread::sleep(Duration::from_millis(5));
        }
        seen
    }

    /// One curl's life. Whether the end of all was there.
    fn live(&self, seen: &mut Vec<Seen>, last: &mut String) -> bool {
        let token = self.token.as_ref().map_or(String::new(), |token| format!("token={token}"));
        let mut command = Command::new(program("curl"));
        // An answer that is an error is nothing to be read.
        command.args(["-sfN", &format!("http://{}/events/s?{token}", self.front)]);
        if !last.is_empty() {
            command.args(["-H", &format!("Last-Event-ID: {last}")]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        *self.child.lock().unwrap() = Some(child);
        let mut answer = Answer::content();
        let mut piece = [0; 65_536];
        let mut ended = false;
        let mut pause = None;
        while !ended {
            let len = stdout.read(&mut piece).unwrap();
            if len == 0 {
                break;
            }
            answer.push(&piece[..len]);
            for event in answer.by_ref() {
                match event.kind.as_str() {
                    "message" => {
                        ended |= event.data == "end";
                        *last = event.id.unwrap();
                        seen.push(Seen::Event(last.clone()));
                        if ended {
                            // What a publisher had sent when it was killed may be behind it.
                            break;
                        }
                    }
                    "sluicegate.gap" => seen.push(gap(&event.json())),
                    "sluicegate.pause" => pause = Some(event.json()),
                    "sluicegate.position" if !self.is_by_events => *last = event.id.unwrap(),
                    "sluicegate.open" | "sluicegate.resume" => {
                        if last.is_empty() {
                            *last = event.id.expect("where its stream begins");
                            seen.push(Seen::Begin(last.clone()));
                        }
                        seen.push(Seen::Open);
                    }
                    _ => {}
                }
            }
        }
        let mut child = self.child.lock().unwrap().take().unwrap();
        let _ = child.kill();
        let _ = child.wait();
        if let Some(pause) = pause {
            ended |= self.poll(pause["poll"].as_str().unwrap(), seen, last);
        }
        ended
    }

    /// Polls to the head, or until the proxy is killed.
    fn poll(&self, at: &str, seen: &mut Vec<Seen>, last: &mut String) -> bool {
        let token = at.split_once("token=").unwrap().1.split('&').next().unwrap();
        let mut ended = false;
        loop {
            let target = format!("/events/s/poll?token={token}&after={last}");
            let Some(answer) = self.ask(&target) else { return ended };
            if answer["gap"].is_object() {
                seen.push(gap(&answer["gap"]));
            }
            let events = answer["events"].as_array().unwrap();
            for event in events {
                ended |= event["data"] == "end";
                *last = event["id"].as_str().unwrap().to_owned();
                seen.push(Seen::Event(last.clone()));
                if ended {
                    break;
                }
            }
            if ended || answer["may_resume"] == true && events.is_empty() || answer["suspended"] == false {
                return ended;
            }
        }
    }
}

impl Subscriber {
    /// An answer in JSON, if the proxy lives long enough.
    fn ask(&self, target: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(self.front).ok()?;
        write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let answer = Client::new(stream).try_answer_to("GET").ok()?;
        if (answer.status(), answer.end) == (200, End::Complete) {
            serde_json::from_slice(&answer.body).ok()
        } else {
            None
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.kill();
    }
}

fn gap(of: &Value) -> Seen {
    Seen::Gap(of["missing"].as_u64())
}
