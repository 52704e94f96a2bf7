//! The long test of simulations: what one says, beside a real server with real clients under the same configuration.
//!
//! Real time, because that is what is compared. `cargo test --test http simulate::real -- --ignored --nocapture` runs it and prints
//! both.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sluicegate::config::{Config, Draft, FilterKinds, Loader, Source};
use sluicegate::http::server::Server;
use sluicegate::schedule::Zone;
use sluicegate::simulate::spec::Spec;
use sluicegate::simulate::{Environment, Simulation};
use testkit::served::{Served, connect_from};

const SECONDS: u64 = 6;

const CONFIG: &str = "
    listen = '127.0.0.1:0'

    [limits]
    server = { rate = '2m' }

    [[class]]
    name = 'gold'
    match = { network = '127.1.0.0/16' }
    limits.total = { weight = 3 }

    [[class]]
    name = 'capped'
    match = { network = '127.2.0.0/16' }
    limits.client = { rate = '150k' }

    [[route]]
    path = '/'
    files = 'FOLDER'

    [[route]]
    path = '/paced/'
    files = 'FOLDER'
    rate = '100k'
";

/// Name, network, clients, connections of each, path.
const GROUPS: [(&str, u8, u8, usize, &str); 4] = [
    ("gold", 1, 3, 1, "/file"),
    ("capped", 2, 2, 2, "/file"),
    ("others", 3, 1, 4, "/file"),
    ("paced", 4, 2, 1, "/paced/file"),
];

/// Bytes that each group is sent in a real second.
fn real(config: &Config) -> Vec<f64> {
    let served = Served::running(Server::from_config(config, &FilterKinds::default()).unwrap());
    let stop = AtomicBool::new(false);
    let sums: Vec<AtomicU64> = GROUPS.iter().map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for ((_, network, clients, connections, path), sum) in GROUPS.iter().zip(&sums) {
            for client in 0..*clients {
                for _ in 0..*connections {
                    let (addr, stop): (SocketAddr, _) = (served.addr, &stop);
                    scope.spawn(move || {
                        let mut stream = connect_from([127, *network, 0, client + 1], addr);
                        write!(stream, "GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
                        let mut buf = vec![0; 65_536];
                        while !stop.load(Ordering::Relaxed) {
                            sum.fetch_add(stream.read(&mut buf).unwrap() as u64, Ordering::Relaxed);
                        }
                    });
                }
            }
        }
        // The first second fills buffers and finds the shares.
        let read = || sums.iter().map(|sum| sum.load(Ordering::Relaxed)).collect::<Vec<_>>();
        std::thread::sleep(Duration::from_secs(1));
        let (before, began) = (read(), std::time::Instant::now());
        std::thread::sleep(Duration::from_secs(SECONDS - 1));
        let (after, lasted) = (read(), began.elapsed().as_secs_f64());
        stop.store(true, Ordering::Relaxed);
        after.iter().zip(before).map(|(after, before)| (after - before) as f64 / lasted).collect()
    })
}

/// The same as a simulation says.
fn simulated(config: &Config) -> Vec<f64> {
    let environment = Environment::at(Zone::default().moment("2026-01-05 12:00").unwrap()).unwrap();
    let (clock, observer) = (environment.clock(), environment.observer());
    let server = Server::simulated_from_config(config, &FilterKinds::default(), clock, observer, |route| {
        environment.source(matches!(route.source, Source::Files(_)))
    });
    let group = |(name, network, clients, connections, path): &(&str, u8, u8, usize, &str)| {
        format!(
            "[[clients]]\nname = '{name}'\naddresses = '127.{network}.0.0/16'\ncount = {clients}\n\
             connections = {connections}\npath = '{path}'\nsize = '1g'\nlatency = '1ms'\n"
        )
    };
    let text: String = GROUPS.iter().map(group).collect();
    let spec = Spec::read(&Draft::from_toml(&text, "clients.toml", "")).unwrap();
    let outcome =
        Simulation::new(environment, &server.unwrap(), &spec, 1, Duration::from_secs(SECONDS)).run(|_| {});
    let mean = |seconds: &[u64]| seconds[1..].iter().sum::<u64>() as f64 / (SECONDS - 1) as f64;
    outcome.groups.iter().map(|group| mean(&group.seconds)).collect()
}

#[test]
#[ignore = "takes 6 s; .ci/run runs it"]
fn a_simulation_says_within_some_per_cent_what_a_real_server_does() {
    let folder = testkit::folder::sparse("file", 1 << 30);
    let text = CONFIG.replace("FOLDER", folder.path().to_str().unwrap());
    let config = Loader::new().parse(&text, "server.toml", ".").unwrap();
    let (real, simulated) = (real(&config), simulated(&config));
    for (((name, ..), real), simulated) in GROUPS.iter().zip(&real).zip(&simulated) {
        println!("{name:<8} real {:>8.1} KiB/s, simulated {:>8.1} KiB/s", real / 1024.0, simulated / 1024.0);
    }
    for (((name, ..), real), simulated) in GROUPS.iter().zip(&real).zip(&simulated) {
        assert!((real / simulated - 1.0).abs() < 0.05, "{name}: {real} bytes/s, simulated {simulated}");
    }
}
