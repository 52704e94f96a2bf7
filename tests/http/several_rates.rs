//! Rates that follow one another by the bytes sent, on real sockets: the same from every source over every protocol, shown by the
//! admin API, and changed under a live transfer.
//!
//! That nothing comes early is asserted without tolerance. The exact timelines are asserted on the manual clock in `core`.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluicegate::filter::EndOfStream;
use sluicegate::http::route::Route;
use sluicegate::limit::Rates;
use sluicegate::rt;
use sluicegate::tcp::Service;
use testkit::backend::{Backend, routed};
use testkit::h2::{WIDE, connect, get as get_h2, read};
use testkit::message::response_head;
use testkit::served::Served;
use testkit::watched::{Watched, folder};
use testkit::wire::content;

use crate::admin_api::asking::{connection_when, get, patch};
use crate::intervals::watch;
use crate::tcp::fixture::{Ported, file, relay_to, upstream};

/// The first part takes 400 ms, the rest 800 ms; at the slow rate all would take more than six minutes.
const LEN: usize = 400_800;

fn rates() -> Rates {
    "1000000B for 400000B, 1000B".parse().unwrap()
}

/// What may have come `at` an instant: what both rates give until the end of the interval.
fn most(at: Duration) -> usize {
    let micros = at.as_micros() as usize + 200_000;
    if micros <= 400_000 { micros } else { 400_000 + (micros - 400_000) / 1_000 }
}

fn assert_both_rates_held(name: &str, arrivals: &[(Duration, usize)]) {
    for &(at, bytes) in arrivals {
        assert!(bytes <= most(at), "{name}: early at {at:?}: {arrivals:?}");
    }
    let &(lasted, bytes) = arrivals.last().unwrap();
    assert_eq!(bytes, LEN, "{name}");
    assert!(lasted < Duration::from_secs(120), "{name}: the first rate did not hold: {arrivals:?}");
}

#[test]
fn each_rate_holds_for_its_bytes_over_every_protocol_from_every_source() {
    let body = content(LEN);
    let (folder, path) = file(&body);
    let backend = Backend::saying([response_head(LEN as u64).as_bytes(), &body].concat());
    let paced = |route: Route| route.rate(rates()).end_of_stream(EndOfStream::Paced);
    let files = |path| paced(Route::files(path, folder.path()).unwrap());
    let proxied = |path| paced(routed(path, backend.source(), None));
    let served = Served::new(vec![files("/one/"), files("/two/"), proxied("/three/"), proxied("/four/")]);
    let port = |service: Service| Ported::new(service.rate(rates()).end_of_stream(EndOfStream::Paced));
    let peer = upstream(move |mut stream| stream.write_all(&body).unwrap());
    let (file, relay) = (port(Service::file(&path)), port(relay_to(peer)));
    let served = &served;
    let all = std::thread::scope(|scope| {
        let h1 = ["/one/a", "/three/a"].map(|path| (path, scope.spawn(|| served.get(path, "").arrivals)));
        let over_h2 = |path| {
            rt::block_on(async {
                let mut sender = connect(served.addr, WIDE).await;
                let began = Instant::now();
                read(get_h2(&mut sender, path).await, began).await.arrivals
            })
        };
        let h2 = ["/two/a", "/four/a"].map(|path| (path, scope.spawn(move || over_h2(path))));
        let tcp = [("file", &file), ("relay", &relay)]
            .map(|(name, ported)| (name, scope.spawn(|| watch(Instant::now(), ported.connect()))));
        h1.into_iter()
            .chain(h2)
            .chain(tcp)
            .map(|(name, read)| (name, read.join().unwrap()))
            .collect::<Vec<_>>()
    });
    for (name, arrivals) in all {
        assert_both_rates_held(name, &arrivals);
    }
}

#[test]
fn the_rate_that_holds_is_shown_and_a_rate_that_is_set_takes_the_place_of_all() {
    let folder = folder();
    let route =
        Route::files("/", folder.path()).unwrap().rate("off for 20000B, 5000B".parse::<Rates>().unwrap());
    let slow = Route::files("/slow/", folder.path()).unwrap();
    let slow = slow.rate("2000B for 500000B, 5000B".parse::<Rates>().unwrap());
    let watched = Watched::new(vec![route, slow]);
    let _behind = watched.served.begin("/large.bin");
    let rate_of = |target: &str, at_least: u64| {
        let told = connection_when(&watched, |told| {
            let transfer = &told["transfers"][0];
            transfer["target"] == target && transfer["bytes"].as_u64() >= Some(at_least)
        });
        told["transfers"][0]["rate_set"].clone()
    };
    assert_eq!(rate_of("/large.bin", 20_000), 5_000);
    let _before = watched.served.begin("/slow/large.bin");
    assert_eq!(rate_of("/slow/large.bin", 1), 2_000);

    let path = "/v1/limits/routes/%2F/response";
    let told = get(&watched, path);
    assert_eq!(
        (&told["rate"], &told["rates"], &told["burst"]),
        (&json!(5_000), &json!(["off for 20000B", "5000B"]), &json!(0))
    );
    let told = patch(&watched, path, "{\"burst\": 7}");
    assert_eq!((&told["rates"][0], &told["burst"]), (&json!("off for 20000B"), &json!(7)));
    let told = patch(&watched, path, "{\"rate\": 6000}");
    assert_eq!((&told["rate"], &told["rates"], &told["burst"]), (&json!(6_000), &Value::Null, &json!(7)));
    assert_eq!(rate_of("/large.bin", 20_000), 6_000);
}
