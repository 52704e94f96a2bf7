//! What is said of a response afterwards: how it ended, how long it took, and what held it.

use std::time::Duration;

use super::pipe::{End, Road};
use super::record;
use super::{GET, Page, World, content};
use crate::http::server::Settings;

const PACE: u64 = 61_440;

fn logged() -> Settings {
    Settings { access_log: true, ..Settings::default() }
}

// With the last bytes it is known that they are the last, and nobody asks for more.
#[test]
fn an_answer_of_unknown_length_is_complete_with_its_last_bytes() {
    for sized in [true, false] {
        for request in [GET, b"GET /page HTTP/1.0\r\n\r\n"] {
            let mut world = World::of(logged(), Page { status: 200, bytes: content(38_400), sized }, PACE);
            let client = world.connect(Road::WIDE);
            client.send(request);
            world.pass(Duration::from_secs(1));
            let [line] = &record::taken()[..] else { panic!("one response") };
            assert_eq!((line.number("bytes"), line.field("outcome")), (38_400, "complete"), "{line:?}");
            assert!(world.handle.telemetry().routes().all(|route| route.aborted() == 0));
        }
    }
}

// A handler may give content with it all the same; it is not sent.
#[test]
fn an_answer_that_cannot_have_content_is_complete_without_it_and_its_connection_is_kept() {
    for (status, head) in [(204, "HTTP/1.1 204 No Content\r\n"), (304, "HTTP/1.1 304 Not Modified\r\n")] {
        let mut world = World::of(logged(), Page { status, bytes: content(9), sized: false }, 0);
        let client = world.connect(Road::WIDE);
        for _ in 0..2 {
            client.send(GET);
            world.settle();
            let came = String::from_utf8(client.read(usize::MAX)).unwrap();
            assert!(came.starts_with(head) && came.ends_with("\r\n\r\n"), "{came:?}");
            let [line] = &record::taken()[..] else { panic!("one response") };
            assert_eq!((line.number("bytes"), line.field("outcome")), (0, "complete"), "{line:?}");
        }
        assert!(world.lives(1));
        client.half_close();
        world.settle();
        assert_eq!(client.end(), Some(End::Clean));
    }
}
