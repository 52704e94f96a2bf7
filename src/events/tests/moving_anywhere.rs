//! Any interleaving of publishing, reading, acknowledging at any server, coming to any, notices that are late, and servers
//! that are killed: a subscriber with a window has all events in order, and no more than its window.

use proptest::prelude::*;

use super::super::stream::SubscribeRequest;
use super::moving::{Fleet, TOKEN, visit};
use super::scene::{Connection, Scene};
use crate::events::EventSettings;

/// What happens to one subscriber with a window and its servers.
#[derive(Clone, Debug)]
enum Op {
    Publish(usize),
    /// It comes to a server.
    Come(usize),
    Read(usize),
    /// It acknowledges the last that it has, at a server.
    Ack(usize),
    Leave,
    /// A server writes what it has to.
    Write(usize),
    Hear,
    /// A server is killed, and another one begins in its place.
    Kill(usize),
}

const SERVERS: usize = 3;

fn op() -> impl Strategy<Value = Op> {
    let server = 0usize..SERVERS;
    prop_oneof![
        4 => (1usize..4).prop_map(Op::Publish),
        3 => server.clone().prop_map(Op::Come),
        6 => (1usize..6).prop_map(Op::Read),
        4 => server.clone().prop_map(Op::Ack),
        1 => Just(Op::Leave),
        3 => server.clone().prop_map(Op::Write),
        2 => Just(Op::Hear),
        1 => server.prop_map(Op::Kill),
    ]
}

/// The subscriber, and what it had.
#[derive(Default)]
struct Client {
    connection: Option<(usize, Connection)>,
    /// The last event that it had on any connection, and on this one.
    had: u64,
    last: u64,
    acked: u64,
    /// Events of this connection that it has not acknowledged.
    open: u64,
}

fn run(window: usize, ops: Vec<Op>) {
    let settings = EventSettings { queue: 1000, log: 1000, ..EventSettings::default() };
    let mut fleet = Fleet::new(SERVERS, settings.clone());
    let mut client = Client::default();
    let name: Box<str> = format!("name of {TOKEN}").into();
    let mut published = 0;
    for op in ops.into_iter().chain([Op::Come(0), Op::Hear]) {
        match op {
            Op::Publish(count) => {
                published += count as u64;
                fleet.publish(&vec!["x"; count]);
            }
            Op::Come(at) => {
                let last_id = (client.had > 0).then(|| format!("x-{}", client.had));
                let visit = SubscribeRequest {
                    last_id: Some(last_id.unwrap_or("x-0".into())),
                    ..visit(Some(window))
                };
                client.connection = Some((at, fleet.comes(at, &visit)));
                (client.last, client.open) = (u64::MAX, 0);
            }
            Op::Read(most) => {
                let Some((at, connection)) = &mut client.connection else { continue };
                for event in fleet.servers[*at].take(connection, most).events {
                    let seq: u64 = event.last_id.strip_prefix("x-").unwrap().parse().unwrap();
                    if client.last == u64::MAX {
                        assert!(seq <= client.had + 1, "nothing is left out: {seq} behind {}", client.had);
                        assert!(seq > client.acked, "what is acknowledged is not sent again");
                    } else {
                        assert!(seq > client.last, "in order");
                        assert!(seq <= client.had + 1, "nothing is left out");
                    }
                    client.last = seq;
                    client.had = client.had.max(seq);
                    client.open += 1;
                    assert!(client.open <= window as u64, "the window holds");
                }
            }
            Op::Ack(at) => {
                // By the store, as a balancer leads it anywhere; what it has not is acknowledged nowhere.
                let is_known = fleet.servers[at].stream.has_token(TOKEN);
                let here = fleet.servers[at].ack(TOKEN, &format!("x-{}", client.had)).is_ok();
                let Some((owner, record)) = fleet.records.get_mut(&name) else { continue };
                let owner = owner.0;
                assert!(here || !is_known || owner != at, "its own server takes it");
                record.acked = record.acked.max(client.had);
                (client.acked, client.open) = (client.had, 0);
                let acked = client.acked;
                fleet.servers[owner].with(|stream, context| {
                    let generation = stream.generation();
                    stream.acknowledged_elsewhere(&name, acked, generation, context)
                });
            }
            Op::Leave => {
                if let Some((at, connection)) = client.connection.take() {
                    fleet.servers[at].leave(&connection);
                }
            }
            Op::Write(at) => fleet.write(at),
            Op::Hear => fleet.hear_all(),
            Op::Kill(at) => {
                let mut fresh = Scene::shared(settings.clone());
                fresh.now = fleet.servers[at].now;
                (0..published).for_each(|_| fresh.publish(&["x"]));
                fleet.servers[at] = fresh;
                _ = client.connection.take_if(|(of, _)| *of == at);
            }
        }
    }
    let (at, mut connection) = client.connection.take().unwrap();
    while client.had < published {
        let came = fleet.servers[at].take(&mut connection, 1000).events;
        let last = came.last().expect("it has all in the end").last_id.clone();
        fleet.servers[at].ack(TOKEN, &last).unwrap();
        client.had = last.strip_prefix("x-").unwrap().parse().unwrap();
    }
}

proptest! {
    #[test]
    fn wherever_a_subscriber_comes_it_has_all_and_its_window_holds(
        window in 1usize..5,
        ops in prop::collection::vec(op(), 1..80),
    ) {
        run(window, ops);
    }
}
