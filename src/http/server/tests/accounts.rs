//! What is said of a response afterwards: how it ended, how long it took, and what held it.

use std::time::Duration;

use super::pipe::Road;
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
            let mut world = World::of(logged(), Page { bytes: content(38_400), sized }, PACE);
            let client = world.connect(Road::WIDE);
            client.send(request);
            world.pass(Duration::from_secs(1));
            let [line] = &record::taken()[..] else { panic!("one response") };
            assert_eq!((line.number("bytes"), line.field("outcome")), (38_400, "complete"), "{line:?}");
            assert!(world.handle.telemetry().routes().all(|route| route.aborted() == 0));
        }
    }
}
