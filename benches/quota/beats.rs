//! Heartbeats over gRPC, each client on a connection of its own, beside calls of the health service on the
//! same connections: the same way without the book.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use sluicegate::quota::client::{Calls, Channel, Connector};
use sluicegate::quota::server::{QuotaServer, QuotaServerSettings};
use sluicegate::quota::wire::{HeartbeatRequest, RegisterClientRequest};
use sluicegate::rt::{self, Listener};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::Effort;
use testkit::report::{Table, show};

/// Calls under way at a time.
const AT_ONCE: usize = 64;

struct Client {
    name: String,
    calls: Calls,
    health: HealthClient<Channel>,
}

#[derive(Clone, Copy, PartialEq)]
enum Call {
    Heartbeat,
    Health,
}

pub fn run(effort: &Effort) {
    let descriptors = rt::raise_descriptor_limit().unwrap_or(u64::MAX);
    // A client's end and the server's are both here.
    let clients = effort.clients.min((descriptors / 2) as usize - 100);
    let mut settings =
        QuotaServerSettings { limits: vec!["api=1000000/s".parse().expect("a limit")], ..Default::default() };
    settings.book.learning = Duration::ZERO;
    settings.book.heartbeat_timeout = Duration::from_secs(3600);
    let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).expect("a free port");
    let server = QuotaServer::new(settings, vec![listener]).expect("good settings");
    let (addr, handle) = (server.local_addrs()[0], server.handle());
    let serving = std::thread::spawn(move || rt::block_on(server.run()));

    let connector = Connector::new(format!("http://{addr}").parse().expect("an address"));
    let fleet: Vec<Client> = rt::block_on(async {
        let mut fleet = Vec::with_capacity(clients);
        for n in 0..clients {
            let channel = connector.open().await.expect("the server listens");
            let health = HealthClient::with_origin(channel.clone(), connector.endpoint.uri().clone());
            let mut calls = Calls::with_origin(channel, connector.endpoint.uri().clone());
            let name = format!("client-{n}");
            let message = RegisterClientRequest { client_id: name.clone(), instance: String::new() };
            calls.register_client(message).await.expect("room");
            fleet.push(Client { name, calls, health });
        }
        fleet
    });
    let fleet = Arc::new(fleet);
    measure(&fleet, Call::Heartbeat, clients);
    let mut readings = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for _ in 0..effort.readings {
        for (call, (rates, p99s)) in [Call::Health, Call::Heartbeat].into_iter().zip(&mut readings) {
            let (rate, p99) = measure(&fleet, call, effort.beats);
            rates.push(rate);
            p99s.push(p99);
        }
    }
    let mut table = Table::new("over gRPC | calls/s | ÷ health | p99 ms | ÷ health");
    let [(health_rates, health_p99s), (rates, p99s)] = &readings;
    let ratio = |own: &[f64], reference: &[f64]| {
        let ratios: Vec<f64> = own.iter().zip(reference).map(|(own, reference)| own / reference).collect();
        show(&ratios, 2)
    };
    table.row([
        "health check".to_owned(),
        show(health_rates, 0),
        "1".to_owned(),
        show(health_p99s, 1),
        "1".to_owned(),
    ]);
    table.row([
        format!("heartbeat of one of {clients} clients"),
        show(rates, 0),
        ratio(rates, health_rates),
        show(p99s, 1),
        ratio(p99s, health_p99s),
    ]);
    table.print();
    drop(fleet);
    handle.stop();
    serving.join().expect("the server ends");
}

/// Calls by the clients in turn; how many a second, and what 99 of 100 took at most, in milliseconds.
fn measure(fleet: &Arc<Vec<Client>>, call: Call, count: usize) -> (f64, f64) {
    let next = Arc::new(AtomicUsize::new(0));
    let (done, all) = channel();
    let began = Instant::now();
    for _ in 0..AT_ONCE {
        let (fleet, next, done) = (Arc::clone(fleet), Arc::clone(&next), done.clone());
        rt::spawn(async move {
            let mut times = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count {
                    break;
                }
                let client = &fleet[at % fleet.len()];
                let began = Instant::now();
                match call {
                    Call::Heartbeat => {
                        let resource_ids = vec!["api".to_owned()];
                        let client_id = client.name.clone();
                        let message = HeartbeatRequest { client_id, resource_ids, ..Default::default() };
                        client.calls.clone().heartbeat(message).await.expect("it lives");
                    }
                    Call::Health => {
                        let message = HealthCheckRequest { service: String::new() };
                        client.health.clone().check(message).await.expect("it serves");
                    }
                }
                times.push(began.elapsed().as_secs_f64() * 1000.0);
            }
            // Nobody listens only after a panic.
            let _ = done.send(times);
        });
    }
    drop(done);
    let mut times: Vec<f64> = all.iter().flatten().collect();
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    (rate, times[times.len() * 99 / 100])
}
