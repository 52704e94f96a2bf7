//! Faults at exact places, those among them that no socket makes. After each nothing is left: the world
//! checks connections, bytes held and timers when it ends.

use std::time::Duration;

use super::pipe::{Client, End, Road};
use super::{GET, GET_2, World, content};
use crate::http::SharedLimits;
use crate::http::server::Settings;
use crate::limit::{Budget, Rate};
use crate::sink::SinkSettings;

const PACE: u64 = 61_440;
const CHUNK: usize = 12_288;
const LEN: usize = 100_000;
const NARROW: Road = Road { capacity: 4096, ..Road::WIDE };

fn paced() -> World {
    World::new(Settings::default(), LEN, PACE)
}

/// A world, one connection of it, and how many timers it has set.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) client: Client,
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
    let sink = SinkSettings { rate: Rate::or_unlimited(rate), burst, ..SinkSettings::default() };
    World::new(Settings { sink, ..Settings::default() }, LEN, 0)
}

fn shared(rate: u64) -> World {
    let limits = SharedLimits { server: Budget::of(Rate::or_unlimited(rate)), ..SharedLimits::default() };
    World::new(Settings { limits, ..Settings::default() }, LEN, 0)
}

/// All that a connection can wait for; the silence of its client is waited for besides.
pub(super) fn waiting() -> [(&'static str, Scene); 8] {
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
        ("a turn", Scene::new(shared(1000), Road::WIDE, GET, 2)),
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
fn a_client_that_resets_is_noticed_at_once() {
    for (what, mut scene) in waiting() {
        scene.client.reset();
        scene.world.settle();
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
        let mut world = World::new(Settings::default(), 30_000, PACE);
        let client = world.connect(Road { capacity, step: 1 });
        let mut came = Vec::new();
        for byte in GET {
            assert!(came.is_empty());
            client.send(&[*byte]);
            world.settle();
            came.extend(client.read(usize::MAX));
        }
        while body_of(&came).is_none_or(|body| body.len() < 30_000) {
            assert!(world.millis() < 1000, "{} bytes", came.len());
            world.pass(Duration::from_millis(100));
            while client.unread() > 0 {
                came.extend(client.read(1));
                world.settle();
            }
        }
        assert!(body_of(&came).unwrap() == content(30_000));
        // Two chunks and what is less than one, on credit.
        assert_eq!(world.millis(), 200);
        client.half_close();
        world.settle();
        assert_eq!((world.lives(1), client.end()), (false, Some(End::Clean)));
    }
}

/// What came behind the head; `None` if that is not whole.
fn body_of(came: &[u8]) -> Option<&[u8]> {
    let head = came.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(&came[head + 4..])
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

#[test]
fn over_http2_too_a_fault_in_mid_body_leaves_nothing() {
    let faults: [fn(&mut World, &Client); 4] = [
        |_, client| client.write_nothing(),
        |_, client| client.reset(),
        |_, client| client.half_close(),
        |world, _| world.cut(1),
    ];
    for fault in faults {
        let mut world = paced();
        let client = world.connect(Road::WIDE);
        client.send(GET_2);
        let mut came = world.read_until("the first chunk", &client, |came| came.len() > CHUNK);
        fault(&mut world, &client);
        world.until("its end", |world| !world.lives(1));
        world.until("the end of its stream", |world| {
            (world.handle.connections(), world.clock.sleepers()) == (0, 0)
        });
        // However the connection ends: its streams have ends of their own, and this one had none.
        came.extend(client.read(usize::MAX));
        let (body, whole) = data(&came);
        assert!(client.end().is_some() && !whole && body == content(LEN)[..body.len()]);
    }
}

#[test]
fn over_http2_too_one_byte_at_a_time_both_ways_is_whole() {
    // No more than a stream's first window.
    let mut world = World::new(Settings::default(), 30_000, PACE);
    let client = world.connect(Road { capacity: 100, step: 1 });
    for byte in GET_2 {
        client.send(&[*byte]);
        world.settle();
    }
    let came = world.read_until("the last byte", &client, |came| data(came).1);
    assert!(data(&came).0 == content(30_000));
    client.half_close();
    world.until("its end", |world| (world.lives(1), world.handle.connections()) == (false, 0));
}

/// The content that whole frames brought, and whether the stream ended with it (RFC 9113 section 4.1).
fn data(mut frames: &[u8]) -> (Vec<u8>, bool) {
    let (mut body, mut ended) = (Vec::new(), false);
    while let Some((head, rest)) = frames.split_first_chunk::<9>() {
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(len) else { break };
        // DATA is 0, and its END_STREAM 1.
        if head[3] == 0 {
            body.extend_from_slice(payload);
            ended |= head[4] & 1 == 1;
        }
        frames = rest;
    }
    (body, ended)
}
