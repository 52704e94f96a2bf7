//! What is promised of clients holds for the client a request is from, whatever connection it came on.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::pipe::{Client, Road};
use super::{World, content, ends_of};
use crate::budget::ClientKey;
use crate::http::classes::Asked;
use crate::http::peer::{PeerAddr, TrustedPeers};
use crate::http::request_path::RequestPath;
use crate::http::server::Settings;
use crate::http::server::clients::{ProxiedClients, Refusal, Requester};
use crate::limit::{Budget, Rate};
use crate::sink::SinkSettings;
use testkit::recorder::{self, Record};

const PACE: u64 = 61_440;
const BURST: u64 = 262_144;
const LEN: usize = 300_000;

/// The peers of a [`World`] are proxies of ours.
fn behind_a_proxy(settings: Settings) -> Settings {
    let trusted: TrustedPeers = ["192.0.2.0/24".parse().unwrap()].into_iter().collect();
    Settings { trusted, access_log: true, ..settings }
}

fn world(settings: Settings) -> World {
    let world = World::new(settings, LEN, PACE);
    world.server.setup().routes.iter().for_each(|route| route.limit().set_burst(BURST));
    world
}

fn get(client: &Client, fields: &str) {
    client.send(format!("GET /page HTTP/1.1\r\nHost: t\r\n{fields}\r\n").as_bytes());
}

/// Milliseconds until one whole answer came on a connection.
fn lasts(world: &mut World, client: &Client, fields: &str) -> u64 {
    let began = world.millis();
    get(client, fields);
    let mut came = Vec::new();
    for _ in 0..2000 {
        world.pass(Duration::from_millis(5));
        came.extend(client.read(usize::MAX));
        let head = came.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| at + 4);
        if head > 0 && came.len() >= head + LEN {
            assert!(came[head..] == content(LEN)[..]);
            return world.millis() - began;
        }
    }
    panic!("{} bytes came", came.len());
}

fn lines(text: &str) -> Vec<Record> {
    recorder::taken().into_iter().filter(|record| record.text == text).collect()
}

// A chunk and the burst at once, two chunks and a remainder: 400 ms, as 300 000 = 262 144 + 3 × 12 288 + 992.
const WITH_BURST: u64 = 405;
// What the burst gave is owed for: without it there are 24 chunks and a remainder to wait for.
const WITHOUT: std::ops::RangeInclusive<u64> = 4_700..=4_900;

#[test]
fn each_client_behind_a_trusted_proxys_one_connection_has_its_own_burst_and_pace() {
    for kind in ["X-Forwarded-For: ", "Forwarded: for="] {
        let mut world = world(behind_a_proxy(Settings::default()));
        let proxy = world.connect(Road::WIDE);
        for client in 1..=3 {
            let lasted = lasts(&mut world, &proxy, &format!("{kind}198.51.100.{client}\r\n"));
            assert!(lasted <= WITH_BURST, "{kind}{client}: {lasted} ms");
        }
        // And each has its own only once.
        let lasted = lasts(&mut world, &proxy, &format!("{kind}198.51.100.3\r\n"));
        assert!(WITHOUT.contains(&lasted), "{kind}: {lasted} ms");
    }
}

#[test]
fn a_client_is_never_ahead_by_more_than_two_bursts_however_many_connections_it_opens() {
    // By itself, and behind a proxy with a connection for each request.
    for (trusting, fields) in [(false, ""), (true, "X-Forwarded-For: 198.51.100.1\r\n")] {
        for closes in [false, true] {
            let settings = if trusting { behind_a_proxy(Settings::default()) } else { Settings::default() };
            let mut world = world(settings);
            let anew = |world: &mut World| {
                let client = world.connect(Road::WIDE);
                let lasted = lasts(world, &client, fields);
                // The same connection has no second one.
                if closes {
                    client.half_close();
                    world.settle();
                }
                (lasted, client)
            };
            let (lasted, _) = anew(&mut world);
            assert!(lasted <= WITH_BURST, "{lasted} ms");
            // The pace goes on where the last response left it.
            let (lasted, second) = anew(&mut world);
            assert!(lasted <= WITH_BURST + 2 * 200 + 20, "{lasted} ms");
            let (lasted, _) = anew(&mut world);
            assert!((3_900..=4_900).contains(&lasted), "{lasted} ms");
            if !closes {
                let lasted = lasts(&mut world, &second, fields);
                assert!(WITHOUT.contains(&lasted), "{lasted} ms");
            }
            // Two bursts are earned back in 8.5 s, besides what is still owed.
            world.pass(Duration::from_millis(9_000));
            assert!(anew(&mut world).0 <= WITH_BURST);
        }
    }
}

#[test]
fn responses_of_one_client_side_by_side_have_a_pace_and_a_burst_each() {
    let mut world = world(Settings::default());
    let browser: Vec<Client> = (0..6).map(|_| world.connect(Road::WIDE)).collect();
    browser.iter().for_each(|client| get(client, ""));
    world.pass(Duration::from_millis(WITH_BURST));
    for client in &browser {
        assert!(client.read(usize::MAX).ends_with(&content(LEN)[LEN - 1000..]));
    }
    // The next six have none.
    browser.iter().for_each(|client| get(client, ""));
    world.pass(Duration::from_secs(4));
    for client in &browser {
        let came = client.read(usize::MAX).len() as u64;
        assert!((4 * PACE - 30_000..=4 * PACE + 20_000).contains(&came), "{came}");
    }
    world.pass(Duration::from_secs(2));
}

#[test]
fn what_a_client_left_outlives_a_reload_of_the_same_route() {
    let mut world = world(Settings::default());
    let client = world.connect(Road::WIDE);
    assert!(lasts(&mut world, &client, "") <= WITH_BURST);
    let route = crate::http::route::Route::handler(
        "/",
        super::Page { status: 200, bytes: content(LEN), sized: true },
    );
    let route = route.rate(Rate::or_unlimited(PACE)).burst(BURST);
    world.handle.replace(Settings::default(), vec![route], Default::default(), None);
    let lasted = lasts(&mut world, &client, "");
    assert!(WITHOUT.contains(&lasted), "{lasted} ms");
}

/// The status of the answer that is there.
fn status(client: &Client) -> u16 {
    let head = String::from_utf8_lossy(&client.read(12)).into_owned();
    head[9..12].parse().unwrap()
}

#[test]
fn a_client_is_on_as_many_of_a_proxys_connections_as_it_asks_on() {
    let settings = Settings { client_connections: Some(2), ..Settings::default() };
    let mut world = world(behind_a_proxy(settings));
    let wires: Vec<Client> = (0..4).map(|_| world.connect(Road::WIDE)).collect();
    let asks = |world: &mut World, at: usize, client: &str| {
        get(&wires[at], &format!("X-Forwarded-For: {client}\r\n"));
        world.settle();
        status(&wires[at])
    };
    // However many clients the proxy asks for, and one of a /64 is the other.
    assert_eq!(asks(&mut world, 0, "2001:db8::1"), 200);
    assert_eq!(asks(&mut world, 1, "2001:db8::2"), 200);
    assert_eq!(asks(&mut world, 2, "2001:db8::3"), 429);
    assert_eq!(asks(&mut world, 3, "198.51.100.1"), 200);
    // The proxy's connection is kept, for others.
    wires[2].read(usize::MAX);
    assert_eq!(asks(&mut world, 2, "198.51.100.1"), 200);
    // When an answer is over there is room again.
    world.pass(Duration::from_secs(1));
    wires.iter().for_each(|wire| drop(wire.read(usize::MAX)));
    world.pass(Duration::from_secs(20));
    wires.iter().for_each(|wire| drop(wire.read(usize::MAX)));
    assert!(world.server.clients.is_empty());
    assert_eq!(asks(&mut world, 2, "2001:db8::3"), 200);
}

#[test]
fn a_proxy_that_names_nobody_is_the_client_itself() {
    let settings = Settings { client_connections: Some(1), ..Settings::default() };
    let mut world = world(behind_a_proxy(settings));
    let wires: Vec<Client> = (0..2).map(|_| world.connect(Road::WIDE)).collect();
    for (wire, expected) in wires.iter().zip([200, 429]) {
        get(wire, "");
        world.settle();
        assert_eq!(status(wire), expected);
    }
}

#[test]
fn every_line_about_a_client_names_the_client_and_the_peer_beside_it() {
    // Slow enough that its reader is given up.
    let sink = SinkSettings { stall_timeout: Duration::from_secs(5), ..SinkSettings::default() };
    let mut world = World::new(behind_a_proxy(Settings { sink, ..Settings::default() }), LEN, 0);
    let small = Road { capacity: 4096, ..Road::WIDE };
    let client = world.connect(small);
    get(&client, "X-Forwarded-For: 198.51.100.7\r\n");
    world.settle();
    world.pass(Duration::from_secs(6));
    assert!(!world.lives(1));
    let records = recorder::taken();
    for (text, level) in [
        ("response", log::Level::Info),
        ("the reader takes nothing, or too little: connection reset", log::Level::Warn),
        ("connection ended", log::Level::Debug),
    ] {
        let told: Vec<&Record> = records.iter().filter(|record| record.text == text).collect();
        assert_eq!(told.len(), 1, "{text}: {records:?}");
        assert_eq!(told[0].level, level);
        assert_eq!((told[0].field("client"), told[0].field("peer")), ("198.51.100.7", "192.0.2.1:9001"));
    }
    let ip: IpAddr = "198.51.100.7".parse().unwrap();
    assert_eq!(world.server.drops.clients(), [Some(ip)], "and the sum of the sweep is its own");
}

#[test]
fn a_client_that_connects_itself_is_its_peer_whatever_it_says() {
    let mut world = World::new(Settings { access_log: true, ..Settings::default() }, 10, 0);
    let client = world.connect(Road::WIDE);
    get(&client, "X-Forwarded-For: 198.51.100.7\r\nForwarded: for=198.51.100.7\r\n");
    world.settle();
    let line = &lines("response")[0];
    assert_eq!((line.field("client"), line.field("peer")), ("192.0.2.1:9001", "192.0.2.1:9001"));
}

#[test]
fn a_proxy_that_contradicts_itself_is_not_believed_and_told_of_now_and_then() {
    let mut world = World::new(behind_a_proxy(Settings::default()), 10, 0);
    let proxy = world.connect(Road::WIDE);
    let mut told = Vec::new();
    for second in 0..25 {
        get(&proxy, "X-Forwarded-For: 198.51.100.7\r\nForwarded: for=203.0.113.9\r\n");
        world.settle();
        for record in recorder::taken() {
            match record.text.as_str() {
                "response" => assert_eq!(record.field("client"), "192.0.2.1:9001"),
                text if text.starts_with("Forwarded and X-Forwarded-*") => {
                    told.push((second, record.number("requests"), record.field("peer").to_owned()));
                }
                _ => {}
            }
        }
        world.pass(Duration::from_secs(1));
    }
    let peer = || "192.0.2.1:9001".to_owned();
    assert_eq!(told, [(0, 1, peer()), (10, 10, peer()), (20, 10, peer())]);
}

// What was written beside content was charged to whoever's answer ended next on the connection.
#[test]
fn each_client_is_charged_for_its_own_heads() {
    let mut settings = behind_a_proxy(Settings::default());
    settings.limits.client = Budget::of(Rate::or_unlimited(1 << 30));
    let mut world = World::new(settings, 100, 0);
    let proxy = world.connect(Road::WIDE);
    for client in ["198.51.100.1", "198.51.100.2", "198.51.100.1"] {
        let key = ClientKey::address(client.parse().unwrap());
        let passed = |world: &World| {
            let passed = world.handle.budgets().clients().lookup(&key).1;
            passed.map_or(0, |passed| passed.bytes)
        };
        let before = passed(&world);
        get(&proxy, &format!("X-Forwarded-For: {client}\r\n"));
        world.settle();
        let came = proxy.read(usize::MAX).len() as u64;
        assert!(came > 150);
        assert_eq!(passed(&world) - before, came, "{client}");
    }
}

// As many streams as one likes on one connection are one place, as they are for a client that connects itself.
#[test]
fn requests_side_by_side_on_one_connection_take_one_place() {
    let world = World::new(behind_a_proxy(Settings::default()), 10, 0);
    let (server, setup) = (&world.server, world.server.setup());
    let proxies: Vec<Option<Arc<ProxiedClients>>> = (0..3).map(|_| Some(Arc::default())).collect();
    let path = RequestPath::new("/");
    let ask = |client: &str, at: usize| {
        let request = http::Request::get("/").header("x-forwarded-for", client).body(()).unwrap();
        let mut requester = Requester::of(
            server,
            &setup,
            (Asked::of(&request, &path), &path),
            &ends_of(PeerAddr::Tcp("192.0.2.1:5000".parse().unwrap())),
            None,
        );
        requester.admit(server, &proxies[at], Some(2)).map(|()| requester)
    };
    let mut first: Vec<Requester> = (0..100).map(|_| ask("198.51.100.1", 0).unwrap()).collect();
    let second = ask("198.51.100.1", 1).unwrap();
    assert_eq!(ask("198.51.100.1", 2).err(), Some(Refusal::ClientFull));
    assert!(ask("198.51.100.2", 2).is_ok());
    // What became of a request, a tunnel for example, keeps its place.
    let tunnel = first[0].clone();
    first.clear();
    assert_eq!(ask("198.51.100.1", 2).err(), Some(Refusal::ClientFull));
    drop(tunnel);
    let third = ask("198.51.100.1", 2).unwrap();
    drop((second, third));
    assert!(server.clients.is_empty());
}
