//! Event servers on one Redis, of which something is killed again and again: servers, publishers, subscribers, Redis itself, and its
//! primary in favour of its replica.
//!
//! `SLUICEGATE_CHAOS_SECONDS` is how long each test goes on at least (5), `SLUICEGATE_CHAOS_SEED` repeats what a seed that was printed did, as
//! far as time lets it.
//!
//! What is asserted of the log in the end: a batch that is repeated under its ids is there once; an event without an id is there at most
//! once; whatever was answered 200 is there, unless Redis was made to lose it; each subscriber had the log in its order to the end, or was
//! sent a gap where it could not go on.

mod clients;
mod event_server;
mod failover;
mod history;
mod last_second;
mod store_pair;
mod windowed;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::sse::Answer;
use testkit::wait::{soon, until};

use crate::chaos::publisher::Publisher;
use crate::chaos::server_log::Log;
use crate::chaos::subscriber::{Seen, Subscriber};
use crate::chaos::{Dice, number};
use crate::haproxy::{blocks, haproxy, with};
use crate::nginx::Nginx;
use crate::program::{Running, loud};
use event_server::EventServer;
use history::{Excuse, Told, has_what_was_published, told_to};
use store_pair::StorePair;
use windowed::Windowed;

pub const PAGE: &str = include_str!("../../../docs/events-many-servers.md");

const SUBSCRIBERS: usize = 8;

/// Besides, as long as Redis loses nothing.
const WINDOWED: usize = 4;

/// The longest time between two blows, and for which a server is away, in milliseconds.
const PAUSE: u64 = 120;

/// What is done in each round, in another order each time.
const ROUND: [Blow; 10] = [
    Blow::Publisher,
    Blow::Publisher,
    Blow::Subscriber,
    Blow::Subscriber,
    Blow::Subscriber,
    Blow::Subscriber,
    Blow::Server,
    Blow::Server,
    Blow::Store,
    Blow::Failover,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Blow {
    Publisher,
    Subscriber,
    Server,
    Store,
    Failover,
}

/// HAProxy and nginx by the blocks of the page, in front of the servers.
struct Fronts {
    haproxy: SocketAddr,
    nginx: Nginx,
    _folder: tempfile::TempDir,
    _haproxy: Running,
}

impl Fronts {
    fn of(servers: [SocketAddr; 3]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let servers = servers.map(|addr| addr.to_string());
        let named: Vec<_> =
            ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"].into_iter().zip(servers.iter()).collect();
        let with_servers = |block: &str, listen: [&str; 2]| {
            let servers = named.iter().map(|(old, new)| (*old, new.as_str()));
            let changes: Vec<_> = servers.chain([(listen[0], listen[1])]).collect();
            with(block, &changes)
        };
        let block = blocks(PAGE, "A proxy before the servers", "haproxy")[0];
        let (haproxy, process) =
            haproxy(folder.path(), |addr| with_servers(block, [":80\n", &format!("{addr}\n")]));
        let block = blocks(PAGE, "A proxy before the servers", "nginx")[0];
        let nginx =
            Nginx::start_http(|addr, _| with_servers(block, ["listen 80;", &format!("listen {addr};")]));
        Self { haproxy, nginx, _folder: folder, _haproxy: process }
    }

    fn addrs(&self) -> [SocketAddr; 2] {
        [self.haproxy, self.nginx.addr]
    }
}

/// Publishes until it is taken; it has an id of its own.
fn publish_at_last(at: SocketAddr, data: &str) {
    let event = json!({"data": data, "id": data}).to_string();
    until("the store to take it", || event_server::post(at, &event).is_some_and(|status| status == 200));
}

/// Where the stream begins, for who has none of it.
fn beginning(at: SocketAddr) -> String {
    soon("a stream", || {
        let mut answer = Answer::default();
        let bytes = event_server::first_bytes(at, "/events/s")?;
        answer.push(&bytes);
        answer.next().filter(|event| event.kind == "sluicegate.open")?.id
    })
}

/// All that takes part.
struct Scene {
    stores: StorePair,
    servers: Vec<EventServer>,
    publishers: [Publisher; 2],
    subscribers: Vec<Arc<Subscriber>>,
    windowed: Vec<Windowed>,
    excuses: Vec<Excuse>,
    dice: Dice,
    blows: [u32; 5],
}

impl Scene {
    fn start(mut dice: Dice, loses: bool) -> (Self, Fronts) {
        let stores = StorePair::start();
        let servers: Vec<_> = (0..3).map(|nth| EventServer::start(&stores.url(), nth)).collect();
        let addrs = [servers[0].addr, servers[1].addr, servers[2].addr];
        let fronts = Fronts::of(addrs);
        let first = beginning(addrs[0]);
        let [haproxy, nginx] = fronts.addrs();
        let subscribers = (0..SUBSCRIBERS)
            .map(|at| {
                // Half of them have a token, by which they are known at any server.
                let token = (!loses && at < SUBSCRIBERS / 2).then(|| format!("subscriber-in-chaos-{at:02}"));
                Subscriber::start_after(fronts.addrs()[at % 2], token, first.clone(), at % 4 == 0)
            })
            .collect();
        let windowed = (0..if loses { 0 } else { WINDOWED })
            .map(|nth| {
                let dice = Dice(dice.below(u64::MAX));
                Windowed::start([&fronts.addrs()[..], &addrs].concat(), nth, first.clone(), dice)
            })
            .collect();
        let publishers = [("a", haproxy, addrs[0]), ("b", nginx, addrs[1])]
            .map(|(name, front, server)| Publisher::start(name, &[front, server], Some(event_server::TOKEN)));
        (
            Self {
                stores,
                servers,
                publishers,
                subscribers,
                windowed,
                excuses: Vec::new(),
                dice,
                blows: [0; 5],
            },
            fronts,
        )
    }

    fn strike(&mut self, blow: Blow, loses: bool) {
        match blow {
            Blow::Publisher => {
                let at = self.dice.below(2) as usize;
                // One that has not begun to publish is left alone.
                if !self.publishers[at].is_replaced() {
                    return;
                }
            }
            Blow::Subscriber => {
                if !self.subscribers[self.dice.below(SUBSCRIBERS as u64) as usize].kill() {
                    return;
                }
            }
            Blow::Server => {
                let at = self.dice.below(3) as usize;
                let away = Duration::from_millis(self.dice.below(PAUSE));
                self.servers[at].is_killed(away);
            }
            Blow::Store => self.stores.primary_is_killed(),
            Blow::Failover if loses => {
                // The copy has what it has; what comes after that may be lost.
                let kept = self.publishers.each_ref().map(|publisher| self.stores.kept_of(publisher));
                self.fail_over();
                let said = self.publishers.each_ref().map(Publisher::batches);
                for (at, publisher) in self.publishers.iter().enumerate() {
                    // One that was under way, and what it did before the next was answered.
                    let batches = kept[at]..said[at] + 2;
                    self.excuses.push(Excuse { publisher: publisher.name, batches });
                }
            }
            Blow::Failover => self.stores.changes_parts(),
        }
        self.blows[blow as usize] += 1;
    }

    /// The copy takes over, and something is lost, or given back by servers.
    fn fail_over(&mut self) {
        match self.blows[Blow::Failover as usize] % 3 {
            0 => {
                self.stores.has_two_primaries();
                // What they publish now is forgotten.
                self.publishers_get_on();
                self.servers.iter_mut().for_each(EventServer::dies);
                self.stores.leads_to_copy();
                self.servers.iter_mut().for_each(EventServer::begins);
            }
            1 => {
                self.stores.has_two_primaries();
                sleep(Duration::from_millis(self.dice.below(PAUSE)));
                self.stores.leads_to_copy();
            }
            _ => self.stores.primary_dies(),
        }
    }

    fn publishers_get_on(&self) {
        let before = self.publishers.each_ref().map(Publisher::batches);
        until("publishers to get on", || {
            self.publishers.iter().zip(before).all(|(publisher, before)| publisher.batches() > before)
        });
    }

    /// Does all of it once, and waits until publishers get on again.
    fn round(&mut self, loses: bool) {
        let mut blows = ROUND;
        for left in (1..blows.len()).rev() {
            blows.swap(left, self.dice.below(left as u64 + 1) as usize);
        }
        for blow in blows {
            sleep(Duration::from_millis(self.dice.below(PAUSE)));
            self.strike(blow, loses);
        }
        self.publishers_get_on();
    }

    /// Ends it, and looks at what everybody had.
    fn end(self) -> Told {
        let names = self.publishers.each_ref().map(|publisher| publisher.name);
        let said = self.publishers.map(Publisher::end);
        publish_at_last(self.servers[0].addr, "end");
        let logs = self.servers.iter().map(|server| {
            until("all to be read", || event_server::has_end(server.addr));
            Log::of(server.addr)
        });
        let logs: Vec<Log> = logs.collect();
        let log = &logs[0];
        for other in &logs[1..] {
            assert_eq!(log.events, other.events, "one log at each server");
        }
        assert_eq!(self.stores.entries(), log.len(), "and in Redis");
        let mut told = Told::default();
        for (name, said) in names.iter().zip(&said) {
            told.acknowledged_and_lost += has_what_was_published(log, name, said, &self.excuses);
        }
        for subscriber in self.subscribers {
            let seen: Vec<Seen> = Subscriber::join(subscriber);
            told.add(&told_to(log, &seen));
        }
        for windowed in self.windowed {
            println!("{:?}", windowed.had_all_of(log));
        }
        let acknowledged: u64 = said.iter().map(|said| said.batches * 3 + said.plain.len() as u64).sum();
        println!(
            "{:?} of {:?}; {} events in the log, {acknowledged} acknowledged; {told:?}",
            self.blows,
            [Blow::Publisher, Blow::Subscriber, Blow::Server, Blow::Store, Blow::Failover],
            log.len()
        );
        told
    }
}

fn chaos(loses: bool) -> Told {
    let _machine = loud();
    let seconds = number("SLUICEGATE_CHAOS_SECONDS").unwrap_or(5);
    let seed = number("SLUICEGATE_CHAOS_SEED")
        .unwrap_or_else(|| std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    println!("SLUICEGATE_CHAOS_SEED={seed} for {seconds} s");
    let (mut scene, _fronts) = Scene::start(Dice(seed), loses);
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        scene.round(loses);
        if Instant::now() > end {
            break scene.end();
        }
    }
}

#[test]
fn whatever_is_killed_nothing_is_lost_as_long_as_redis_loses_nothing() {
    let told = chaos(false);
    // Ids of publishers' own are in doubt after each change: some is sent again.
    assert_eq!(told, Told { back: told.back, again: told.again, ..Told::default() });
    assert!(told.back > 0 || told.again == 0, "{told:?}");
}

#[test]
fn what_redis_loses_is_told_to_those_who_had_it_and_nothing_else_is_lost() {
    let told = chaos(true);
    assert!(told.acknowledged_and_lost > 0, "Redis was made to lose what it had answered: {told:?}");
}
