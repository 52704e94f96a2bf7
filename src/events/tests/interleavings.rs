//! Any interleaving of publishing, acknowledging, expiring, stalling, leaving and coming again: each live
//! event arrives in order, once for each acknowledgement it was owed, or a gap names it. And what was written
//! of traced events is in their spans, each write once.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::encoding;
use super::super::event::Draft;
use super::super::log::Located;
use super::super::stream::{After, SubscribeRequest};
use super::parser::{Parser, Read};
use super::scene::{Connection, Scene, json};
use super::traces::{SAMPLED, delivered, traced};
use crate::events::{EventRate, EventSettings};

#[derive(Clone, Debug)]
enum Op {
    /// So many events; some with a short life, some with ids of their own.
    Publish(usize, Option<u64>, bool),
    Pass(u64),
    /// A client reads so many pieces.
    Read(usize, usize),
    Ack(usize),
    Leave(usize),
    Come(usize),
    /// It asks by poll for so many, if it is suspended.
    Poll(usize, usize),
    Sweep,
}

fn op() -> impl Strategy<Value = Op> {
    let client = 0usize..CLIENTS;
    prop_oneof![
        4 => (1usize..6, prop::option::weighted(0.2, 50u64..3_000), any::<bool>())
            .prop_map(|(n, ttl, own)| Op::Publish(n, ttl, own)),
        2 => (1u64..900).prop_map(Op::Pass),
        6 => (client.clone(), 1usize..8).prop_map(|(client, n)| Op::Read(client, n)),
        2 => client.clone().prop_map(Op::Ack),
        1 => client.clone().prop_map(Op::Leave),
        2 => client.clone().prop_map(Op::Come),
        2 => (client, 1usize..6).prop_map(|(client, n)| Op::Poll(client, n)),
        1 => Just(Op::Sweep),
    ]
}

const CLIENTS: usize = 3;

/// A client that checks what it gets. Data is the event's number.
struct Client {
    window: Option<usize>,
    token: String,
    connection: Option<Connection>,
    suspended: bool,
    /// Everything up to here came, or was named.
    position: u64,
    acked: u64,
    last_id: Option<String>,
    /// A gap of unknown size was named.
    lost_count: bool,
}

impl Client {
    fn came(&mut self, read: &Read, numbers: &HashMap<String, u64>) {
        match read.kind.as_str() {
            "message" => {
                let number: u64 = read.data.parse().unwrap();
                assert_eq!(numbers[&read.last_id], number);
                if std::mem::take(&mut self.lost_count) {
                    assert!(number > self.position, "{number} again");
                } else {
                    assert_eq!(number, self.position + 1, "in order, none twice, none missing");
                }
                self.position = number;
                self.last_id = Some(read.last_id.clone());
            }
            "sluicegate.gap" => self.gap(&json(read), numbers),
            "sluicegate.pause" => {
                self.suspended = true;
                self.connection = None;
            }
            other => panic!("{other}"),
        }
    }

    fn gap(&mut self, gap: &serde_json::Value, numbers: &HashMap<String, u64>) {
        match gap["missing"].as_u64() {
            Some(missing) => {
                let after = gap["after"].as_str().map_or(0, |id| number_of(numbers, id));
                assert!(
                    missing > 0 && (self.lost_count || after <= self.position),
                    "{gap} behind {}",
                    self.position
                );
                self.position = after + missing;
            }
            None => self.lost_count = true,
        }
    }
}

struct World {
    scene: Scene,
    clients: Vec<Client>,
    numbers: HashMap<String, u64>,
    published: u64,
    /// Traced events read from streams, those that came again too.
    traced: u32,
}

impl World {
    fn new(settings: EventSettings) -> Self {
        let mut scene = traced(settings, 1 << 20);
        let clients = (0..CLIENTS).map(|n| {
            let window = [None, Some(2), Some(5)][n];
            let token = format!("{n}").repeat(30);
            let visit = SubscribeRequest { window, token: Some(token.clone()), ..scene.visit() };
            let connection = scene.open(&visit);
            let last_id = Some(connection.opened.last_id.clone());
            Client {
                window,
                token,
                connection: Some(connection),
                suspended: false,
                position: 0,
                acked: 0,
                last_id,
                lost_count: false,
            }
        });
        let clients = clients.collect();
        Self { scene, clients, numbers: HashMap::new(), published: 0, traced: 0 }
    }

    fn publish(&mut self, n: usize, ttl: Option<u64>, own: bool) {
        let batch: Vec<Draft> = (1..=n as u64)
            .map(|at| {
                let number = self.published + at;
                let mut draft = Draft::new(number.to_string(), 100).unwrap();
                if is_traced(number) {
                    draft = draft.trace(SAMPLED.parse().ok());
                }
                if let Some(millis) = ttl.filter(|_| number.is_multiple_of(2)) {
                    draft = draft.ttl(Duration::from_millis(millis)).unwrap();
                }
                if own { draft.id(format!("own {number}")).unwrap() } else { draft }
            })
            .collect();
        let ids = self.scene.with(|stream, context| stream.publish(batch, context)).unwrap().ids;
        for id in ids {
            self.published += 1;
            self.numbers.insert(id.into(), self.published);
        }
        let log = self.scene.stream.log();
        assert!(log.len() <= self.scene.settings.log && log.bytes() <= self.scene.settings.log_bytes as u64);
    }

    fn read(&mut self, at: usize, most: usize) {
        let client = &mut self.clients[at];
        let Some(mut connection) = client.connection.take() else { return };
        let came = self.scene.take(&mut connection, most);
        let ended = came.events.iter().any(|read| read.kind == "sluicegate.pause");
        client.connection = (!ended).then_some(connection);
        for read in &came.events {
            client.came(read, &self.numbers);
            self.traced += u32::from(read.data.parse().is_ok_and(is_traced));
        }
        if let Some(window) = client.window {
            let out = client.position - client.acked;
            let is_gap = |read: &Read| read.kind == "sluicegate.gap";
            assert!(out <= window as u64 || came.events.iter().any(is_gap) || out > 0);
        }
    }

    fn come(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let visit = SubscribeRequest {
            window: client.window,
            token: Some(client.token.clone()),
            last_id: client.last_id.clone(),
            ..self.scene.visit()
        };
        // Ids of publishers' own leave with their events: who brings one of these is heard no more.
        let is_heard =
            client.last_id.as_ref().is_none_or(|id| self.scene.stream.log().locate(id) != Located::Unknown);
        match self.scene.subscribe(&visit) {
            Err(pause) => {
                assert_eq!(pause.kind, "sluicegate.pause");
                client.suspended = true;
                client.connection = None;
            }
            Ok(connection) => {
                let opened = json(&connection.opened);
                assert_eq!(connection.opened.kind == "sluicegate.resume", client.suspended);
                client.suspended = false;
                // It says from where it goes on: behind what it knows to be here.
                let from = opened["last_id"].as_str().map_or(0, |id| self.number(id));
                let client = &mut self.clients[at];
                let known = opened["known"].as_bool().unwrap();
                if known {
                    assert!(
                        client.lost_count || from <= client.position,
                        "{from} skips what never came, {}",
                        client.position
                    );
                    if client.window.is_some() {
                        assert!(from >= client.acked, "{from} was acknowledged: {}", client.acked);
                    } else {
                        assert!(
                            !is_heard || client.lost_count || from + 1 >= client.received(&self.numbers),
                            "no duplicates"
                        );
                    }
                }
                client.position = from;
                client.lost_count = false;
                client.acked = client.acked.max(from);
                client.last_id = Some(connection.opened.last_id.clone());
                client.connection = Some(connection);
            }
        }
    }

    fn number(&self, id: &str) -> u64 {
        number_of(&self.numbers, id)
    }

    fn poll(&mut self, at: usize, max: usize) {
        let client = &mut self.clients[at];
        if !client.suspended {
            return;
        }
        let after = client.last_id.clone().map_or(After::Known, After::Id);
        let Ok(polled) = self.scene.poll(&client.token, after.clone(), max) else { return };
        if let After::Id(id) = &after {
            client.position = number_of(&self.numbers, id);
        }
        if let Some(gap) = &polled.gap {
            client.gap(&serde_json::to_value(gap).unwrap(), &self.numbers);
        }
        for event in &polled.events {
            let data = String::from_utf8(event.data.to_vec()).unwrap();
            let read = Read { kind: "message".into(), data, last_id: event.id.to_string() };
            client.came(&read, &self.numbers);
        }
        if polled.events.is_empty() && polled.gap.is_some() {
            // All that is left is the place to go on from.
            client.last_id = polled.last_id;
        }
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Publish(n, ttl, own) => self.publish(n, ttl, own),
            Op::Pass(millis) => self.scene.pass(millis),
            Op::Read(at, most) => self.read(at, most),
            Op::Ack(at) => {
                let client = &mut self.clients[at];
                if let Some(id) = client.last_id.clone().filter(|_| client.window.is_some())
                    && self.scene.ack(&client.token, &id).is_ok()
                {
                    client.acked = client.acked.max(number_of(&self.numbers, &id));
                    // It may have come on the connection before: then it does not come again.
                    client.position = client.position.max(client.acked);
                }
            }
            Op::Leave(at) => {
                if let Some(connection) = self.clients[at].connection.take() {
                    self.scene.leave(&connection);
                }
            }
            Op::Come(at) => self.come(at),
            Op::Poll(at, max) => self.poll(at, max),
            Op::Sweep => _ = self.scene.sweep(),
        }
    }
}

impl Client {
    fn received(&self, numbers: &HashMap<String, u64>) -> u64 {
        self.last_id.as_ref().map_or(0, |id| number_of(numbers, id))
    }
}

fn is_traced(number: u64) -> bool {
    number % 3 == 1
}

/// The number of an event by its id, which may be the one the server gives when its own is gone.
fn number_of(numbers: &HashMap<String, u64>, id: &str) -> u64 {
    let given = numbers.get(id).copied();
    given.or_else(|| id.strip_prefix("x-")?.parse().ok()).unwrap_or_else(|| panic!("{id}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn each_live_event_arrives_in_order_or_is_named(ops in prop::collection::vec(op(), 1..120), paced: bool) {
        let settings = EventSettings {
            queue: 6,
            batch: 6,
            log: 20,
            log_bytes: 6_000,
            log_ttl: Duration::from_secs(20),
            ttl: Duration::from_secs(5),
            suspend_retry: Duration::from_secs(100),
            rate: EventRate::or_unlimited(50).filter(|_| paced),
            burst: 3,
            ..EventSettings::default()
        };
        let mut world = World::new(settings);
        for op in &ops {
            world.run(op);
        }
        // In the end everyone reads and acknowledges: all that was published came, or was named.
        for at in 0..CLIENTS {
            for _ in 0..400 {
                if world.clients[at].suspended {
                    world.poll(at, 5);
                    world.come(at);
                } else if world.clients[at].connection.is_none() {
                    world.come(at);
                }
                world.run(&Op::Read(at, 3));
                world.run(&Op::Ack(at));
                world.scene.pass(30);
            }
            prop_assert!(world.clients[at].connection.is_some(), "client {at} is not back");
            prop_assert_eq!(world.clients[at].position, world.published, "client {}", at);
        }
        let left: Vec<_> = world.clients.iter_mut().filter_map(|client| client.connection.take()).collect();
        left.iter().for_each(|connection| world.scene.leave(connection));
        world.scene.pass(600_000);
        world.scene.sweep();
        prop_assert_eq!((world.scene.stream.log().len(), world.scene.stream.log().bytes()), (0, 0));
        prop_assert_eq!(world.scene.stream.subscribers().count(), 0);
        let local = crate::budget::ClientKey::Local;
        for client in [None, Some(&local)] {
            let forgotten = world.scene.with(|stream, context| stream.forget_one(client, context));
            prop_assert_eq!(forgotten, None, "nobody is idle who is not there");
        }
        let spans = delivered(&world.scene);
        let writes: u32 = spans.iter().filter_map(|span| span.2).map(|(_, times)| times).sum();
        prop_assert_eq!(writes, world.traced, "{:?}", spans);
        prop_assert!(spans.iter().all(|span| span.2.is_some() || span.4.is_loss()), "{:?}", spans);
        prop_assert_eq!(world.scene.tracing.as_ref().unwrap().tracer.open(), 0);
    }

    #[test]
    fn an_encoded_event_is_read_as_it_was_published(
        events in prop::collection::vec(("[^\\p{Cc}]{1,20}", prop::option::of("[^\\p{Cc}]{1,20}"), "(\\PC|[\n\r\t:\u{feff}])*"), 1..8),
    ) {
        let (mut text, mut expected) = (String::new(), Vec::new());
        for (id, kind, data) in events {
            // One with a blank at an end is none.
            let id = id.trim_matches(' ').to_owned();
            let Ok(mut draft) = Draft::new(data.clone(), 10_000).unwrap().id(id.clone()) else { continue };
            if let Some(kind) = &kind {
                match draft.clone().kind(kind.clone()) {
                    Ok(of_kind) => draft = of_kind,
                    Err(_) => continue,
                }
            }
            let now = crate::clock::Instant::ZERO;
            let event = draft.publish(1, id.clone(), now, Duration::from_secs(1));
            text.push_str(std::str::from_utf8(&event.wire).unwrap());
            text.push_str(std::str::from_utf8(&encoding::HEARTBEAT).unwrap());
            let data = data.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(&event.data[..], data.as_bytes());
            expected.push(Read { kind: kind.unwrap_or("message".into()), data, last_id: id });
        }
        prop_assert_eq!(Parser::default().read(&text), expected);
    }
}
