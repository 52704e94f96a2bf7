//! Clients of HTTP/1 that send more, or faster, than is wanted.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;

use super::pipe::{Client, End, Road};
use super::{From, Page, World, content};
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::route::{Answer, Handler};
use crate::http::server::Settings;

const SECOND: Duration = Duration::from_secs(1);

fn page() -> Page {
    Page { status: 200, bytes: content(10), sized: true }
}

fn text(client: &Client) -> String {
    String::from_utf8_lossy(&client.read(usize::MAX)).into_owned()
}

/// Takes all of a request's content, and counts its pieces.
struct Counting(Arc<AtomicUsize>);

impl Handler for Counting {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        Box::pin(async move {
            let mut body = request.into_body();
            while let Some(Ok(_)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
            Response::new(Content::text("all"))
        })
    }
}

#[test]
fn an_upload_in_small_chunks_leaves_other_tasks_their_turn() {
    const CHUNKS: usize = 1_000;
    let pieces = Arc::new(AtomicUsize::new(0));
    let mut world = World::of(Settings::default(), Counting(Arc::clone(&pieces)), 0);
    let client = world.connect(Road::WIDE);
    let head = "POST /page HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send([head, &"1\r\na\r\n".repeat(CHUNKS), "0\r\n\r\n"].concat().as_bytes());
    let mut most = 0;
    loop {
        let before = pieces.load(Ordering::SeqCst);
        if !world.poll(1) {
            break;
        }
        most = most.max(pieces.load(Ordering::SeqCst) - before);
    }
    assert_eq!(pieces.load(Ordering::SeqCst), CHUNKS);
    assert!((1..=16).contains(&most), "{most} in one turn");
    assert!(text(&client).ends_with("\r\n\r\nall"));
}

#[test]
fn what_is_skipped_of_a_request_is_bounded_with_its_framing() {
    let mut world = World::of(Settings::default(), page(), 0);
    let client = world.connect(Road::WIDE);
    let chunk = format!("1;{}\r\na\r\n", "e".repeat(4_000));
    client.send(b"GET /page HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..40 {
        client.send(chunk.as_bytes());
        world.settle();
    }
    assert!(text(&client).starts_with("HTTP/1.1 200 "));
    assert!(
        matches!(client.end(), Some(End::Clean)),
        "160 KB of framing are more than 64 KiB beside the content"
    );
}

#[test]
fn a_head_behind_content_that_was_skipped_has_its_own_time() {
    let settings = Settings { header_timeout: 3 * SECOND, idle_timeout: 4 * SECOND, ..Settings::default() };
    let mut world = World::of(settings, page(), 0);
    let client = world.connect(Road::WIDE);
    client.send(b"GET /page HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n");
    world.pass(SECOND / 2);
    client.send(b"xxxxxxxxxx\r\n");
    world.pass(22 * SECOND / 10);
    client.send(b"GET /page HTTP/1.1\r\n");
    world.pass(12 * SECOND / 10);
    client.send(b"Host: t\r\n\r\nGET /pa");
    world.settle();
    assert_eq!(text(&client).matches("HTTP/1.1 200 ").count(), 2);
    // What came of the next one with the last has its time from then on, and not that of a silent connection.
    world.pass(3 * SECOND - Duration::from_nanos(1));
    assert_eq!(text(&client), "");
    world.pass(Duration::from_nanos(1));
    assert!(text(&client).starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_drain_does_not_wait_for_content_that_nobody_wants() {
    for sent in ["GET /page HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n", "\r"] {
        let mut world = World::of(Settings::default(), page(), 0);
        let client = world.connect(Road::WIDE);
        client.send(sent.as_bytes());
        world.settle();
        assert_eq!((text(&client).matches("HTTP/1.1 200 ").count(), client.end()), (sent.len() / 40, None));
        world.handle.drain();
        world.settle();
        assert_eq!(client.end(), Some(End::Clean), "{sent:?}");
        // What it still sends is thrown away, for a while.
        world.pass(5 * SECOND);
        assert!(!world.lives(1));
    }
}
