//! A server of one source: what it answers, how many requests at a time, and how it drains.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};

use super::pipe::{Client, End, Road};
use super::windows::{frame, get, hello, window_update};
use super::{From, World};
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::route::{Answer, Handler};
use crate::http::server::sole::SoleServer;
use crate::http::server::{Handle, Settings};

/// Requests at a time on one connection of HTTP/2.
const MAX_STREAMS: u32 = 3;

/// Error codes (RFC 9113, section 7).
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// Answers with the path that it was asked for.
struct Echo;

impl Handler for Echo {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        let path = request.uri().path().to_owned();
        let answer = Response::builder().header("content-length", path.len());
        Box::pin(async move { answer.body(Content::text(path)).unwrap() })
    }
}

/// A world of a server whose one source echoes paths, and that server.
fn world(settings: Settings) -> (World, SoleServer) {
    let mut world = World::new(Settings::default(), 1, 0);
    let sole = SoleServer::beside(&world.handle, settings, MAX_STREAMS, "echo", Echo);
    world.server = Arc::clone(&sole.0);
    world.handle = Handle(Arc::clone(&sole.0));
    (world, sole)
}

/// What a GET over HTTP/1.1 is answered.
fn asked(world: &mut World, client: &Client, path: &str) -> String {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
    world.settle();
    String::from_utf8(client.read(usize::MAX)).unwrap()
}

/// A frame that came: its stream, and an error code or the last stream that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Head(u32),
    Content(u32),
    Reset(u32, u32),
    GoAway(u32),
}

/// A client of HTTP/2, and all that came for it.
struct Asking {
    client: Client,
    unread: RefCell<Vec<u8>>,
    came: RefCell<Vec<Came>>,
}

impl Asking {
    fn new(client: Client) -> Self {
        Self { client, unread: RefCell::default(), came: RefCell::default() }
    }

    /// Reads what there is, and answers pings.
    fn came(&self) -> Vec<Came> {
        let mut unread = self.unread.borrow_mut();
        unread.extend(self.client.read(usize::MAX));
        while let Some(head) = unread.first_chunk::<9>().copied() {
            let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if unread.len() < 9 + len {
                break;
            }
            let payload = unread.drain(..9 + len).skip(9).collect::<Vec<u8>>();
            let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let came = match (head[3], head[4]) {
                (0, _) => Came::Content(stream),
                (1, _) => Came::Head(stream),
                (3, _) => Came::Reset(stream, number(0)),
                (7, _) => Came::GoAway(number(0)),
                (6, 0) => {
                    self.client.send(&frame(6, 1, 0, &payload));
                    continue;
                }
                _ => continue,
            };
            self.came.borrow_mut().push(came);
        }
        self.came.borrow().clone()
    }

    fn has(&self, frame: Came) -> bool {
        self.came().contains(&frame)
    }
}

#[test]
fn every_path_is_answered_as_it_was_spelt() {
    let (mut world, _sole) = world(Settings::default());
    let client = world.connect(Road::WIDE);
    for path in ["/", "/a//b", "/../a", "/%2e%2F", "/."] {
        let answer = asked(&mut world, &client, path);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{path}")), "{path}: {answer}");
    }
    client.half_close();
    world.settle();
    assert!(!world.lives(1));
}

#[test]
fn requests_at_a_time_have_a_bound() {
    let (mut world, _sole) = world(Settings::default());
    let asking = Asking::new(world.connect(Road::WIDE));
    // Without a window no answer comes to its end.
    let gets: Vec<u8> = [1, 3, 5, 7].iter().flat_map(|stream| get(*stream, "/")).collect();
    asking.client.send(&[hello(0), gets].concat());
    world.until("the refusal", |_| asking.has(Came::Reset(7, REFUSED_STREAM)));
    world.until("the others' heads", |_| [1, 3, 5].iter().all(|stream| asking.has(Came::Head(*stream))));
    asking.client.send(&window_update(1, 100));
    world.until("the end of one", |_| asking.has(Came::Content(1)));
    asking.client.send(&get(9, "/"));
    world.until("one in its place", |_| asking.has(Came::Head(9)));
    world.cut(1);
    world.until("the end of its streams", |world| world.handle.connections() == 0);
}

#[test]
fn a_client_that_takes_nothing_is_given_up_with_its_stream() {
    let mut settings = Settings { idle_timeout: Duration::from_secs(30), ..Settings::default() };
    settings.sink.stall_timeout = Duration::from_secs(10);
    let (mut world, _sole) = world(settings);
    let asking = Asking::new(world.connect(Road::WIDE));
    asking.client.send(&[hello(0), get(1, "/")].concat());
    world.until("the head", |_| asking.has(Came::Head(1)));
    world.pass(Duration::from_millis(9_000));
    assert!(!asking.has(Came::Reset(1, CANCEL)), "it has a second left");
    world.pass(Duration::from_millis(1_000));
    world.until("the reset", |_| asking.has(Came::Reset(1, CANCEL)));
    // Then the connection is idle.
    world.until("the end of its exchange", |world| world.server.registry.all()[0].idle_since().is_some());
    world.pass(Duration::from_secs(29));
    assert!(world.lives(1));
    world.pass(Duration::from_secs(2));
    assert!(!world.lives(1));
    world.until("the end of its streams", |world| world.handle.connections() == 0);
}

#[test]
fn while_it_drains_each_connection_has_one_more_answer_by_either_version() {
    let (mut world, sole) = world(Settings::default());
    let (kept, kept_2) = (world.connect(Road::WIDE), Asking::new(world.connect(Road::WIDE)));
    assert!(!asked(&mut world, &kept, "/").contains("connection: close"));
    kept_2.client.send(&[hello(100), get(1, "/")].concat());
    world.until("the answer", |_| kept_2.has(Came::Content(1)));
    sole.drain();
    world.settle();
    // One that has asked is told to ask elsewhere.
    world.until("its end", |_| kept_2.has(Came::GoAway(1)));
    world.until("its close", |world| !world.lives(2));
    assert!(asked(&mut world, &kept, "/").contains("\r\nconnection: close\r\n"));
    world.settle();
    assert!(!world.lives(1) && kept.end() == Some(End::Clean));

    let (new, new_2) = (world.connect(Road::WIDE), Asking::new(world.connect(Road::WIDE)));
    new_2.client.send(&hello(100));
    world.pass(Duration::from_secs(5));
    assert!(world.lives(3) && world.lives(4) && new_2.came().is_empty(), "they have not asked yet");
    assert!(asked(&mut world, &new, "/x").ends_with("\r\n\r\n/x"));
    new_2.client.send(&get(1, "/"));
    world.until("its answer and its end", |_| new_2.has(Came::Content(1)) && new_2.has(Came::GoAway(1)));
    world.until("the close of both", |world| !world.lives(3) && !world.lives(4));
    world.until("the end of their streams", |world| world.handle.connections() == 0);
}
