//! Streams of HTTP/2 and their windows: what a source is asked for, and who has the connection's window.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};

use super::pipe::{Client, Road};
use super::{From, World};
use crate::brigade::{Brigade, Bucket};
use crate::generator::Generator;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::route::{Answer, Handler};
use crate::http::server::Settings;

/// The first window of a connection, and of a stream whose client says nothing of it (RFC 9113, section 6.9.2).
const WINDOW: usize = 65_535;

/// A source without an end that gives what there is room for, or one that says nothing.
#[derive(Clone, Default)]
pub(super) struct Endless {
    given: Arc<AtomicUsize>,
    /// Sources that live.
    live: Arc<AtomicUsize>,
}

struct Source(Endless, bool);

impl Drop for Source {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Generator for Source {
    fn poll_fill(&mut self, _: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        if self.1 {
            return Poll::Pending;
        }
        let room = brigade.room() as usize;
        self.0.given.fetch_add(room, Ordering::SeqCst);
        brigade.push(Bucket::Data(vec![b'x'; room].into()));
        Poll::Ready(())
    }
}

impl Handler for Endless {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        self.live.fetch_add(1, Ordering::SeqCst);
        let source = Source(self.clone(), request.uri().path() == "/none");
        Box::pin(async move { Response::new(Content::Stream(Box::new(source))) })
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The preface, and the window that streams begin with.
pub(super) fn hello(window: u32) -> Vec<u8> {
    let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, &setting)[..]].concat()
}

pub(super) fn get(stream: u32, path: &str) -> Vec<u8> {
    let head = [b"\x82\x86\x04", &[path.len() as u8][..], path.as_bytes(), b"\x01\x01t"].concat();
    frame(1, 5, stream, &head)
}

pub(super) fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(8, 0, stream, &bytes.to_be_bytes())
}

/// What came on a connection.
struct Came {
    client: Client,
    unread: Vec<u8>,
    /// Heads of answers.
    heads: usize,
    /// Bytes of content, by stream.
    content: [usize; 6],
}

impl Came {
    fn new(client: &Client) -> std::cell::RefCell<Self> {
        let client = client.clone();
        std::cell::RefCell::new(Self { client, unread: Vec::new(), heads: 0, content: [0; 6] })
    }

    fn read(&mut self) -> &Self {
        self.unread.extend(self.client.read(usize::MAX));
        while let Some(head) = self.unread.first_chunk::<9>().copied() {
            let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if self.unread.len() < 9 + len {
                break;
            }
            self.unread.drain(..9 + len);
            match head[3] {
                0 => self.content[usize::from(head[8])] += len,
                1 => self.heads += 1,
                _ => {}
            }
        }
        self
    }
}

/// Lets a while pass in which whatever is to happen on the executor's threads would have happened.
fn linger(world: &mut World) {
    for _ in 0..50 {
        world.pass(Duration::from_millis(1));
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn a_source_is_asked_when_its_stream_has_a_window_and_for_no_more_than_a_little_beyond_it() {
    let source = Endless::default();
    let given = || source.given.load(Ordering::SeqCst);
    let mut world = World::of(Settings::default(), source.clone(), 0);
    let client = world.connect(Road::WIDE);
    let came = Came::new(&client);
    client.send(&[hello(0), get(1, "/")].concat());
    world.until("the head", |_| came.borrow_mut().read().heads == 1);
    linger(&mut world);
    assert_eq!((given(), came.borrow_mut().read().content[1]), (0, 0));
    assert_eq!(world.handle.egress().held().total(), 0);

    let mut open = 0;
    for (more, most_given) in [(10, 4096), (1, 4096), (5000, 5011 + 4096), (20_000, 25_011 + 16_384)] {
        client.send(&window_update(1, more));
        open += more as usize;
        world.until("what fits the window", |_| came.borrow_mut().read().content[1] == open);
        linger(&mut world);
        assert_eq!(came.borrow_mut().read().content[1], open);
        assert!((open..=most_given).contains(&given()), "{} for {open}", given());
        // A chunk is charged whole until its last byte has gone.
        let held = world.handle.egress().held().total() as usize;
        assert!((given() - open..=16_384).contains(&held), "{held} of {} beyond {open}", given() - open);
    }
    // RST_STREAM: nothing is left of it at once.
    client.send(&frame(3, 0, 1, &[0, 0, 0, 8]));
    world.until("the source's end", |_| source.live.load(Ordering::SeqCst) == 0);
    world.until("what it held", |world| world.handle.egress().held().total() == 0);
    world.cut(1);
    world.until("the end of its streams", |world| world.handle.connections() == 0);
}

#[test]
fn a_stream_that_waits_for_its_source_leaves_the_connections_window_to_the_others() {
    let source = Endless::default();
    let mut world = World::of(Settings::default(), source.clone(), 0);
    let client = world.connect(Road::WIDE);
    let came = Came::new(&client);
    client.send(&[hello(1 << 20), get(1, "/none"), get(3, "/none")].concat());
    world.until("the heads", |_| came.borrow_mut().read().heads == 2);
    linger(&mut world);
    client.send(&get(5, "/"));
    world.until("all of the window", |_| came.borrow_mut().read().content[5] == WINDOW);
    world.cut(1);
    world.until("the end of its streams", |world| world.handle.connections() == 0);
}
