//! Small files of the cache, which are sent in one step, beside the same files sent the ordinary way.

use std::time::Duration;

use super::pipe::{Client, End, Road};
use super::{World, content};
use crate::http::files::Files;
use crate::http::route::Route;
use crate::http::server::Settings;
use crate::limit::{Budget, Rate};
use crate::sink::SinkSettings;
use testkit::recorder;

/// A world with the file `f` of `len` bytes, which is in the cache if it is `kept`.
fn world(len: usize, kept: bool, settings: Settings) -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), content(len)).unwrap();
    let files = Files::new(folder.path()).unwrap();
    let route = Route::folder("/", files.clone());
    let mut world = World::on(Settings { access_log: true, ..settings }, route);
    // The root's name is looked at, whose look is fresh for a second.
    let client = world.connect(Road::WIDE);
    ask(&mut world, &client, "GET /none HTTP/1.1\r\nHost: t\r\n\r\n");
    if kept {
        files.keep("f");
    }
    client.half_close();
    world.settle();
    recorder::taken();
    (folder, world)
}

/// What comes for a request, without `Date` and what depends on the file's time.
fn ask(world: &mut World, client: &Client, request: &str) -> Vec<u8> {
    client.send(request.as_bytes());
    world.until("the answer", |_| client.unread() > 0);
    let mut came = Vec::new();
    loop {
        let some = client.read(usize::MAX);
        world.settle();
        if some.is_empty() && client.unread() == 0 {
            return came;
        }
        came.extend(some);
    }
}

/// Lines that differ from one time to another.
fn without_times(came: &[u8]) -> Vec<u8> {
    let lines = came.split_inclusive(|byte| *byte == b'\n');
    let is_of_a_time = |line: &&[u8]| {
        [&b"date: "[..], b"etag: ", b"last-modified: "].iter().any(|name| line.starts_with(name))
    };
    lines.filter(|line| !is_of_a_time(line)).flatten().copied().collect()
}

/// Status, bytes and outcome of each response.
type Lines = Vec<(String, u64, String)>;

/// What the access log says, and the metrics: bytes and aborted responses of each route.
fn account(world: &World) -> (Lines, Vec<(u64, u64)>) {
    let lines = recorder::taken().into_iter().filter(|record| record.text == "response");
    let lines = lines.map(|line| {
        (line.field("status").to_owned(), line.number("bytes"), line.field("outcome").to_owned())
    });
    let routes = world.handle.telemetry().routes();
    (lines.collect(), routes.iter().map(|route| (route.bytes(), route.aborted())).collect())
}

#[test]
fn a_small_file_of_the_cache_is_answered_as_any_other_file() {
    for len in [0, 1, 1024, 5_000, 60_000, 66_000] {
        for request in [
            "GET /f HTTP/1.1\r\nHost: t\r\n\r\n",
            "GET /f HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
            "GET /f HTTP/1.0\r\n\r\n",
            "GET /f HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "HEAD /f HTTP/1.1\r\nHost: t\r\n\r\n",
            "GET /f HTTP/1.1\r\nHost: t\r\nRange: bytes=0-2\r\n\r\n",
            "GET /f HTTP/1.1\r\nHost: t\r\nIf-None-Match: *\r\n\r\n",
            "GET /f HTTP/1.1\r\nHost: t\r\n\r\nGET /f HTTP/1.1\r\nHost: t\r\n\r\n",
            "GET /f HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabcGET /f HTTP/1.1\r\nHost: t\r\n\r\n",
        ] {
            let [expected, came] = [false, true].map(|kept| {
                let (_folder, mut world) = world(len, kept, Settings::default());
                let client = world.connect(Road::WIDE);
                let came = without_times(&ask(&mut world, &client, request));
                client.half_close();
                world.settle();
                (came, client.end(), account(&world))
            });
            assert_eq!(came, expected, "{len} {request:?}");
            assert!(!expected.0.is_empty());
        }
    }
}

#[test]
fn what_the_socket_does_not_take_at_once_follows() {
    for capacity in [1, 100, 700, 4096] {
        let [expected, came] = [false, true].map(|kept| {
            let (_folder, mut world) = world(30_000, kept, Settings::default());
            let client = world.connect(Road { capacity, ..Road::WIDE });
            let came = ask(&mut world, &client, "GET /f HTTP/1.1\r\nHost: t\r\n\r\n");
            assert!(came.ends_with(&content(30_000)));
            client.half_close();
            world.settle();
            (without_times(&came), client.end(), account(&world))
        });
        assert_eq!(came, expected, "{capacity}");
        assert_eq!(came.1, Some(End::Clean));
    }
}

#[test]
fn a_reader_that_leaves_in_the_middle_has_an_aborted_response() {
    let (_folder, mut world) = world(60_000, true, Settings::default());
    let client = world.connect(Road { capacity: 1000, ..Road::WIDE });
    client.send(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n");
    world.settle();
    client.reset();
    world.settle();
    assert_eq!(account(&world).0, [("200".to_owned(), 60_000, "aborted".to_owned())]);
}

#[test]
fn limits_hold_for_small_files_of_the_cache() {
    const RATE: u64 = 10_000;
    // Of the route, of the server, of each client, and of the connection.
    for which in 0..4 {
        let mut settings = Settings::default();
        if which == 3 {
            settings.sink = SinkSettings { rate: Rate::or_unlimited(RATE), burst: 1000, ..settings.sink };
        }
        let (_folder, mut world) = world(30_000, true, settings);
        let (rate, budgets) = (Rate::or_unlimited(RATE), world.handle.budgets().clients().clone());
        match which {
            0 => world.handle.routes()[0].limit().set_rate(rate),
            1 => budgets.parent().set(Budget::of(rate)),
            2 => budgets.set(Budget::of(rate)),
            _ => {}
        }
        let client = world.connect(Road::WIDE);
        client.send(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n");
        world.pass(Duration::from_secs(1));
        let came = client.read(usize::MAX).len() as u64;
        assert!((5_000..=2 * RATE).contains(&came), "{which}: {came}");
        world.pass(Duration::from_secs(4));
        assert!(client.read(usize::MAX).ends_with(&content(30_000)[29_000..]), "{which}");
    }
}

// A limit that is set later is not charged for it.
#[test]
fn what_passes_without_a_limit_is_counted_in_the_budgets() {
    let [expected, came] = [false, true].map(|kept| {
        let (_folder, mut world) = world(5_000, kept, Settings::default());
        let before = world.handle.budgets().clients().parent().passed().bytes;
        let client = world.connect(Road::WIDE);
        ask(&mut world, &client, "GET /f HTTP/1.1\r\nHost: t\r\n\r\n");
        let routes = world.handle.routes();
        let passed = [world.handle.budgets().clients().parent(), routes[0].clients().parent()];
        passed.map(|node| node.passed().bytes - before)
    });
    assert_eq!(came, expected);
    assert_eq!(came, [5_000, 5_000]);
}
