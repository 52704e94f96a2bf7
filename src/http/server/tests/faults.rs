//! Faults at exact places, those among them that no socket makes. After each nothing is left: the world
//! checks connections, bytes held and timers when it ends.

use std::time::Duration;

use super::pipe::{Client, End, Road};
use super::{GET, World, content};
use crate::http::server::Settings;
use crate::limit::Rate;
use crate::sink::SinkSettings;

const PACE: u64 = 61_440;
const CHUNK: usize = 12_288;
const LEN: usize = 100_000;
const NARROW: Road = Road { capacity: 4096, ..Road::WIDE };

fn paced() -> World {
    World::new(Settings::default(), LEN, PACE)
}

/// A world, one connection of it, and how many timers it has set.
struct Scene {
    world: World,
    client: Client,
    timers: usize,
    /// Bytes of an answer are missing.
    is_cut: bool,
}

impl Scene {
    fn new(mut world: World, road: Road, sent: &[u8], timers: usize) -> Self {
        let client = world.connect(road);
        client.send(sent);
        world.settle();
        let is_cut = sent == GET;
        Self { world, client, timers, is_cut }
    }
}

fn limited(rate: u64, burst: u64) -> World {
    let sink = SinkSettings { rate: Rate::new(rate), burst, ..SinkSettings::default() };
    World::new(Settings { sink, ..Settings::default() }, LEN, 0)
}

/// All that a connection can wait for; the silence of its client is waited for besides.
fn waiting() -> [(&'static str, Scene); 7] {
    let whole = |mut scene: Scene| {
        assert!(scene.client.read(usize::MAX).ends_with(&content(LEN)));
        scene.is_cut = false;
        scene
    };
    [
        ("the first byte", Scene::new(paced(), Road::WIDE, b"", 1)),
        ("the rest of a head", Scene::new(paced(), Road::WIDE, &GET[..20], 1)),
        ("the pace", Scene::new(paced(), Road::WIDE, GET, 2)),
        ("tokens", Scene::new(limited(1000, 5000), Road::WIDE, GET, 2)),
        ("the reader", Scene::new(World::new(Settings::default(), LEN, 0), NARROW, GET, 2)),
        ("the reader and the pace", Scene::new(paced(), NARROW, GET, 3)),
        ("the next request", whole(Scene::new(World::new(Settings::default(), LEN, 0), Road::WIDE, GET, 1))),
    ]
}

#[test]
fn dropped_whatever_it_waits_for_it_leaves_nothing_and_no_answer_looks_complete() {
    for (what, mut scene) in waiting() {
        assert_eq!(scene.world.clock.sleepers(), scene.timers, "{what}");
        scene.world.cut(1);
        assert_eq!(scene.world.clock.sleepers(), 0, "{what}");
        scene.world.assert_nothing_left();
        let end = if scene.is_cut { End::Reset } else { End::Clean };
        assert_eq!(scene.client.end(), Some(end), "{what}");
    }
}

#[test]
fn a_client_that_resets_is_noticed_at_the_next_byte_for_it() {
    for (what, mut scene) in waiting() {
        scene.client.reset();
        // No answer is written sooner than that, and over HTTP/1 only a write finds it out.
        scene.world.pass(Duration::from_millis(200));
        assert!(!scene.world.lives(1), "{what}");
        assert_eq!(scene.world.clock.sleepers(), 0, "{what}");
    }
}

#[test]
fn a_wire_that_writes_nothing_ends_its_connection() {
    for (what, mut scene) in waiting() {
        scene.client.write_nothing();
        scene.client.send(&GET[if what == "the rest of a head" { 20 } else { 0 }..]);
        scene.world.pass(Duration::from_millis(200));
        assert!(!scene.world.lives(1), "{what}");
        assert_eq!(scene.client.end(), Some(End::Reset), "{what}");
        assert_eq!(scene.world.clock.sleepers(), 0, "{what}");
    }
}

#[test]
fn one_byte_at_a_time_both_ways_is_whole() {
    for capacity in [1, 100, usize::MAX] {
        let mut world = paced();
        let client = world.connect(Road { capacity, step: 1 });
        let tail = content(LEN).split_off(LEN - 9);
        let mut came = Vec::new();
        for byte in GET {
            assert!(came.is_empty());
            client.send(&[*byte]);
            world.settle();
            came.extend(client.read(usize::MAX));
        }
        while !came.ends_with(&tail) {
            assert!(world.millis() < 3000, "{} bytes", came.len());
            world.pass(Duration::from_millis(100));
            while client.unread() > 0 {
                came.extend(client.read(1));
                world.settle();
            }
        }
        let head = came.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert!(came[head..] == content(LEN));
        // 8.1 chunks: the rest is on credit with the last whole one.
        assert_eq!(world.millis(), 200 * (LEN / CHUNK - 1) as u64);
        client.half_close();
        world.settle();
        assert_eq!((world.lives(1), client.end()), (false, Some(End::Clean)));
    }
}

#[test]
fn a_client_that_says_no_more_gets_its_answer_whole() {
    let mut world = paced();
    let client = world.connect(Road::WIDE);
    client.send(GET);
    client.half_close();
    world.pass(Duration::from_secs(2));
    assert!(client.read(usize::MAX).ends_with(&content(LEN)));
    assert_eq!((world.lives(1), client.end()), (false, Some(End::Clean)));
}

#[test]
fn a_reader_whose_window_stays_shut_has_its_timeout_to_the_nanosecond() {
    let mut world = World::new(Settings::default(), LEN, 0);
    let client = world.connect(NARROW);
    client.send(GET);
    world.pass(Duration::from_nanos(59_999_999_999));
    assert!(world.lives(1));
    world.pass(Duration::from_nanos(1));
    assert_eq!((world.lives(1), client.end()), (false, Some(End::Reset)));
    assert_eq!(client.unread(), 4096);
}
