//! Content of requests that nobody reads, beside others on its HTTP/2 connection.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Request, Response};

use super::{SECOND, Taking};
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::route::{Answer, Handler, Route};
use crate::http::server::Settings;
use crate::http::server::tests::pipe::{Client, Road};
use crate::http::server::tests::windows::{frame, hello};
use crate::http::server::tests::{From, World};

/// What a connection begins with (RFC 9113, section 6.9.2).
const WINDOW: usize = 65_535;

/// Takes all content, except that of `/hold`, which it never reads.
#[derive(Default)]
struct Choosy(Taking);

impl Handler for Choosy {
    fn respond<'a>(&'a self, request: Request<RequestBody>, from: &'a From) -> Answer<'a> {
        if request.uri().path() != "/hold" {
            return self.0.respond(request, from);
        }
        Box::pin(async move {
            let _unread = request;
            std::future::pending::<Response<Content>>().await
        })
    }
}

/// A client that sends no more than its windows allow.
pub(super) struct Obedient {
    client: Client,
    unread: Vec<u8>,
    /// Bytes of content that the connection may be sent.
    pub(super) window: usize,
    /// The same of a stream, at its beginning.
    pub(super) of_stream: usize,
    /// The same that each stream was given since its beginning.
    pub(super) given: BTreeMap<u8, usize>,
    /// The first byte of each answer's head, by stream.
    pub(super) heads: BTreeMap<u8, u8>,
}

impl Obedient {
    pub(super) fn new(client: Client) -> Self {
        client.send(&hello(65_535));
        Self {
            client,
            unread: Vec::new(),
            window: WINDOW,
            of_stream: WINDOW,
            given: BTreeMap::new(),
            heads: BTreeMap::new(),
        }
    }

    pub(super) fn read(&mut self) -> &mut Self {
        self.unread.extend(self.client.read(usize::MAX));
        while let Some(head) = self.unread.first_chunk::<9>().copied() {
            let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if self.unread.len() < 9 + len {
                break;
            }
            let payload: Vec<u8> = self.unread.drain(..9 + len).skip(9).collect();
            let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap()) as usize;
            match (head[3], head[8]) {
                (1, stream) => {
                    self.heads.entry(stream).or_insert(payload[0]);
                }
                // Settings hold once they are acknowledged.
                (4, _) if head[4] == 0 => {
                    self.client.send(&frame(4, 1, 0, &[]));
                    for at in (0..len).step_by(6).filter(|at| payload[at + 1] == 4) {
                        self.of_stream = number(at + 2);
                    }
                }
                (8, 0) => self.window += number(0),
                (8, stream) => *self.given.entry(stream).or_default() += number(0),
                _ => {}
            }
        }
        self
    }

    pub(super) fn post(&self, stream: u8, path: &str) {
        let head = [b"\x83\x86\x04", &[path.len() as u8][..], path.as_bytes(), b"\x01\x01t"].concat();
        self.client.send(&frame(1, 4, stream.into(), &head));
    }

    pub(super) fn send(&mut self, stream: u8, len: usize, is_last: bool) {
        assert!(len <= self.window, "{len} bytes of {stream} and a window of {}", self.window);
        self.window -= len;
        let content = vec![b'x'; len];
        for chunk in content.chunks(16_384) {
            self.client.send(&frame(0, 0, stream.into(), chunk));
        }
        if is_last {
            self.client.send(&frame(0, 1, stream.into(), &[]));
        }
    }
}

/// Lets much time pass, and a little for the executor's threads, where the streams are served.
fn linger(world: &mut World) {
    for _ in 0..100 {
        world.pass(SECOND / 2);
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Whether a head begins with the status 200 of HPACK's table.
pub(super) fn is_ok(head: Option<&u8>) -> bool {
    head == Some(&0x88)
}

#[test]
fn content_that_nobody_reads_leaves_other_requests_of_its_connection_a_window_or_their_time() {
    let settings = Settings { body_timeout: 5 * SECOND, ..Settings::default() };
    let mut world = World::on(settings, Route::handler("/", Choosy::default()));
    let client = std::cell::RefCell::new(Obedient::new(world.connect(Road::WIDE)));
    world.until("the windows", |_| client.borrow_mut().read().window == 512 * 1024);
    // One has all that it may, and the next one is served.
    let each = client.borrow().of_stream;
    client.borrow().post(1, "/hold");
    client.borrow_mut().send(1, each, false);
    client.borrow().post(3, "/page");
    client.borrow_mut().send(3, 10, true);
    world.until("the answer beside one", |_| is_ok(client.borrow_mut().read().heads.get(&3)));
    // Several have all that the connection may have.
    for stream in [5, 7, 9, 11] {
        client.borrow().post(stream, "/hold");
        let len = client.borrow_mut().read().window.min(each);
        client.borrow_mut().send(stream, len, false);
    }
    client.borrow().post(13, "/page");
    linger(&mut world);
    assert_eq!(client.borrow_mut().read().heads.get(&13), None);
    assert!(client.borrow().window <= 10, "{}", client.borrow().window);
    // RST_STREAM: its window is the others'.
    client.borrow().client.send(&frame(3, 0, 1, &[0, 0, 0, 8]));
    world.until("the window", |_| client.borrow_mut().read().window >= 16_384);
    client.borrow_mut().send(13, 10, true);
    world.until("the answer beside several", |_| is_ok(client.borrow_mut().read().heads.get(&13)));
    // One that could send has its time as ever.
    client.borrow().post(15, "/page");
    linger(&mut world);
    assert!(client.borrow_mut().read().heads.get(&15).is_some_and(|head| !is_ok(Some(head))));
    world.cut(1);
    world.until("the end of its streams", |world| world.handle.connections() == 0);
}
