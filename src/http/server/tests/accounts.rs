//! What is said of a response afterwards: how it ended, how long it took, and what held it.

use std::sync::Arc;
use std::time::Duration;

use http::Request;

use super::pipe::{Client, End, Road};
use super::{From, GET, Page, World, content};
use crate::clock::{Clock, ManualClock, Sleep};
use crate::http::body::RequestBody;
use crate::http::route::{Answer, Handler, Route};
use crate::http::server::Settings;
use crate::limit::Rate;
use crate::sink::SinkSettings;
use testkit::recorder::{self, Record};

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
            let line = the_line();
            assert_eq!((line.number("bytes"), line.field("outcome")), (38_400, "complete"), "{line:?}");
            assert!(world.handle.telemetry().routes().iter().all(|route| route.aborted() == 0));
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
            let line = the_line();
            assert_eq!((line.number("bytes"), line.field("outcome")), (0, "complete"), "{line:?}");
        }
        assert!(world.lives(1));
        client.half_close();
        world.settle();
        assert_eq!(client.end(), Some(End::Clean));
    }
}

/// A connection whose answer is over for its source at once, and what lies before the client then.
fn handed_on(sink: SinkSettings, len: usize) -> (World, Client) {
    let mut world = World::new(Settings { sink, ..logged() }, len, 0);
    let client = world.connect(Road { capacity: 4096, ..Road::WIDE });
    client.send(GET);
    world.settle();
    (world, client)
}

fn the_line() -> Record {
    let mut lines = recorder::taken().into_iter().filter(|record| record.text == "response");
    let line = lines.next().expect("a response");
    assert_eq!(lines.next(), None);
    line
}

#[test]
fn an_answer_lasts_until_its_last_byte_went_to_the_socket() {
    let (mut world, client) = handed_on(SinkSettings::default(), 15_000);
    world.pass(Duration::from_secs(7));
    assert_eq!(recorder::taken(), [], "the sink has all of it, and the client 4 KiB");
    client.read(usize::MAX);
    world.pass(Duration::from_secs(2));
    while client.unread() > 0 {
        client.read(usize::MAX);
        world.settle();
    }
    let line = the_line();
    assert_eq!((line.number("duration_ms"), line.field("held_by")), (9_000, "reader"));
    assert_eq!((line.number("bytes"), line.field("outcome")), (15_000, "complete"));
}

#[test]
fn the_rate_of_the_connection_is_what_held_a_small_answer() {
    let sink = SinkSettings { rate: Rate::or_unlimited(1_000), burst: 5_000, ..SinkSettings::default() };
    let mut world = World::new(Settings { sink, ..logged() }, 15_000, 0);
    let client = world.connect(Road::WIDE);
    client.send(GET);
    world.pass(Duration::from_secs(20));
    let sent = client.read(usize::MAX).len() as u64;
    let line = the_line();
    assert_eq!((line.number("duration_ms"), line.field("held_by")), (sent - 5_000, "connection_rate"));
}

#[test]
fn what_is_cut_before_its_last_byte_went_to_the_socket_is_aborted() {
    let cuts: [fn(&mut World, &Client); 4] = [
        |_, client| client.reset(),
        |world, _| world.cut(1),
        |world, _| world.handle.stop(),
        |world, _| world.pass(Duration::from_secs(60)),
    ];
    for cut in cuts {
        let (mut world, client) = handed_on(SinkSettings::default(), 15_000);
        world.pass(Duration::from_secs(3));
        cut(&mut world, &client);
        world.settle();
        assert!(!world.lives(1));
        let line = the_line();
        assert_eq!((line.field("outcome"), line.field("held_by")), ("aborted", "reader"));
        assert!(world.handle.telemetry().routes().iter().any(|route| route.aborted() == 1));
    }
}

// The first has not gone when the second begins: one end of both is told.
#[test]
fn of_two_requests_sent_together_each_has_its_line() {
    let mut world = World::new(logged(), 100, 0);
    let client = world.connect(Road { capacity: 4096, ..Road::WIDE });
    client.send(&[GET, GET].concat());
    world.settle();
    let outcomes: Vec<String> =
        recorder::taken().iter().map(|line| line.field("outcome").to_owned()).collect();
    assert_eq!(outcomes, ["complete", "complete"]);
}

/// Answers with a page after 700 ms.
struct Late(Arc<ManualClock>, Page);

impl Handler for Late {
    fn respond<'a>(&'a self, request: Request<RequestBody>, client: &'a From) -> Answer<'a> {
        Box::pin(async move {
            let clock = Arc::clone(&self.0) as Arc<dyn Clock>;
            Sleep::lasting(clock, Duration::from_millis(700)).await;
            self.1.respond(request, client).await
        })
    }
}

#[test]
fn the_time_to_the_first_byte_is_the_sources_and_not_the_paces() {
    let mut world = World::new(logged(), 0, 0);
    let page = || Page { status: 200, bytes: content(38_400), sized: true };
    let late = Late(Arc::clone(&world.clock), page());
    let route = |path, rate| Route::handler(path, page()).rate(Rate::or_unlimited(rate));
    let routes = vec![
        route("/", PACE),
        Route::handler("/late", late).rate(Rate::or_unlimited(PACE)),
        route("/free", 0),
    ];
    world.handle.replace(logged(), routes, Default::default(), None);
    let client = world.connect(Road::WIDE);
    for (target, first, lasts) in [("/late", 700, 1_100), ("/page", 0, 400), ("/free", 0, 0)] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
        world.pass(Duration::from_secs(2));
        let line = the_line();
        let times = ["first_byte_ms", "duration_ms"].map(|name| line.number(name));
        assert_eq!((times, line.number("bytes")), ([first, lasts], 38_400), "{target}");
    }
}
