//! Live connections: listed in pages, and closed with a reset.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::asking::{connection_when, get, json};
use testkit::wait::until;
use testkit::watched::{Watched, folder};
use testkit::wire::read_to_reset;

fn watched(rate: u64) -> (tempfile::TempDir, Watched) {
    let folder = folder();
    let watched = Watched::new(vec![testkit::served::files(&folder, rate)]);
    (folder, watched)
}

fn delete(watched: &Watched, id: &Value) -> u16 {
    watched.ask(&format!("DELETE /v1/connections/{id} HTTP/1.1\r\nHost: localhost\r\n\r\n")).status()
}

#[test]
fn a_connection_is_reported_with_its_transfer() {
    let (_folder, watched) = watched(20_000);
    let mut stream = watched.served.connect();
    let peer = stream.local_addr().unwrap().to_string();
    let silent = connection_when(&watched, |told| told["peer"] == peer.as_str());
    assert_eq!((&silent["protocol"], &silent["transfers"]), (&Value::Null, &json!([])));
    assert_eq!(
        (&silent["bytes_read"], &silent["bytes_written"], &silent["held_by"]),
        (&json!(0), &json!(0), &json!("nothing"))
    );

    let request = b"GET /large.bin?a=b HTTP/1.1\r\nHost: t\r\n\r\n";
    stream.write_all(request).unwrap();
    // A chunk that was handed over may be on its way to the socket just then.
    let told = connection_when(&watched, |told| {
        let bytes = told["transfers"][0]["bytes"].as_u64();
        bytes > Some(8_000) && told["bytes_written"].as_u64() > bytes
    });
    assert_eq!(
        (&told["id"], &told["protocol"], &told["requests"]),
        (&silent["id"], &json!("http/1"), &json!(1))
    );
    assert_eq!(told["bytes_read"], request.len());
    assert_eq!(told["local"], watched.served.addr.to_string());
    let transfer = &told["transfers"][0];
    let bytes = transfer["bytes"].as_u64().unwrap();
    assert!(told["bytes_written"].as_u64().unwrap() > bytes, "heads are counted too: {told:#}");
    for (name, expected) in [
        ("number", json!(1)),
        ("method", json!("GET")),
        ("target", json!("/large.bin?a=b")),
        ("route", json!("/")),
        ("client", json!("127.0.0.1")),
        ("status", json!(200)),
        ("tunnel", json!(false)),
        ("length", json!(1_000_000)),
        ("rate_set", json!(20_000)),
        ("rate_set_by", json!("route")),
    ] {
        assert_eq!(transfer[name], expected, "{name}");
    }
    let (now, mean) = (transfer["rate_now"].as_u64().unwrap(), transfer["rate_mean"].as_u64().unwrap());
    assert!(now > 0 && mean > 0, "{transfer:#}");
    let age = transfer["age_ms"].as_u64().unwrap();
    assert!(mean <= bytes * 1_000 / age.max(1), "{transfer:#}");
    assert_eq!(get(&watched, &format!("/v1/connections/{}", told["id"]))["peer"], peer.as_str());

    drop(stream);
    connection_gone(&watched, &told["id"]);
    let gone = json(&watched.get(&format!("/v1/connections/{}", told["id"]), ""), 404);
    assert!(gone["detail"].as_str().unwrap().contains("may have ended"));
}

#[test]
fn what_set_the_rate_of_a_transfer_is_told() {
    use sluicegate::http::route::{PaceRule, When};
    let folder = folder();
    let when = When { extension: vec!["bin".parse().unwrap()], ..When::default() };
    let rule = PaceRule { name: None, when, rates: "4000B".parse().unwrap(), burst: 0 };
    let ruled = testkit::served::files(&folder, 20_000).pace_rules(vec![rule]);
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\nX-Accel-Limit-Rate: 5000\r\n\r\n";
    let backend = testkit::backend::Backend::saying([head.as_bytes(), &[0; 60_000]].concat());
    for (route, rate, by) in [(ruled, 4_000, "rule"), (backend.route(20_000), 5_000, "backend")] {
        let watched = Watched::new(vec![route]);
        let _stream = watched.served.begin("/large.bin");
        let told = connection_when(&watched, |told| told["transfers"][0]["rate_set"].is_u64());
        let transfer = &told["transfers"][0];
        assert_eq!((&transfer["rate_set"], &transfer["rate_set_by"]), (&json!(rate), &json!(by)));
    }
}

fn connection_gone(watched: &Watched, id: &Value) {
    until("its end", || watched.get(&format!("/v1/connections/{id}"), "").status() != 200);
}

#[test]
fn pages_follow_one_another_and_miss_nobody() {
    let (_folder, watched) = watched(1_000);
    let streams: Vec<_> = (0..7).map(|_| watched.served.connect()).collect();
    let peers: Vec<String> = streams.iter().map(|stream| stream.local_addr().unwrap().to_string()).collect();
    for peer in &peers {
        connection_when(&watched, |told| told["peer"] == peer.as_str());
    }
    for limit in [1, 3, 7, 500] {
        let (mut seen, mut after) = (Vec::new(), json!(0));
        loop {
            let page = get(&watched, &format!("/v1/connections?limit={limit}&after={after}"));
            let connections = page["connections"].as_array().unwrap();
            assert!(connections.len() <= limit);
            seen.extend(connections.iter().map(|told| told["peer"].as_str().unwrap().to_owned()));
            after = page["next"].clone();
            if after.is_null() {
                break;
            }
        }
        seen.sort();
        let mut expected = peers.clone();
        expected.sort();
        assert_eq!(seen, expected, "{limit}");
    }
}

#[test]
fn closing_is_a_reset_in_mid_transfer_between_requests_and_before_the_first() {
    let (_folder, watched) = watched(20_000);
    for request in ["", "GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: t\r\n\r\n"] {
        let mut stream = watched.served.connect();
        let peer = stream.local_addr().unwrap().to_string();
        stream.write_all(request.as_bytes()).unwrap();
        if !request.is_empty() {
            let mut first = [0; 1];
            stream.read_exact(&mut first).unwrap();
        }
        let told = connection_when(&watched, |told| {
            let requests = told["requests"].as_u64().unwrap();
            told["peer"] == peer.as_str() && (request.is_empty() || requests == 1)
        });
        assert_eq!(delete(&watched, &told["id"]), 204);
        read_to_reset(&mut stream);
        connection_gone(&watched, &told["id"]);
        assert_eq!(delete(&watched, &told["id"]), 404, "it is gone");
    }
    watched
        .metrics_when(|metrics| metrics.value("sluicegate_http_responses_aborted_total{route=\"/\"}") == 1.0);
}

#[test]
fn a_transfer_says_its_filters_and_how_long_it_waited_for_what() {
    use sluicegate::filter::{Count, Counts, EndOfStream, factory_fn};
    use sluicegate::limit::{Budget, Interval, Limit, Rate};
    let folder = folder();
    let (counts, limit) = (Counts::default(), Limit::new(Rate::or_unlimited(1_000_000)));
    let route = testkit::served::files(&folder, 20_000)
        .filter(factory_fn(move || Count::new(counts.clone())))
        .pace(limit, Interval::DEFAULT, EndOfStream::default());
    let watched = Watched::new(vec![route]);
    let server = watched.served.handle.budgets().server();
    let (_folder, plain) = self::watched(20_000);
    let streams = [&watched, &plain].map(|watched| watched.served.begin("/large.bin"));
    let waited = |told: &Value, by: &str| told["waited_ms"][by].as_u64().unwrap_or(0);
    let told = super::asking::transfer_when(&watched, |told| waited(told, "pace") >= 400);
    assert_eq!(told["filters"], json!(["filter", "rate"]));
    assert!(waited(&told, "pace") <= told["age_ms"].as_u64().unwrap(), "{told}");
    assert_eq!((waited(&told, "server"), waited(&told, "reader")), (0, 0), "{told}");
    // From now on the server's limit is what it waits for; what was is kept.
    server.set(Budget::of(Rate::or_unlimited(2_000)));
    let later = super::asking::transfer_when(&watched, |told| waited(told, "server") >= 400);
    assert!(waited(&later, "pace") >= waited(&told, "pace"), "{later}");
    let sum: u64 =
        later["waited_ms"].as_object().unwrap().values().map(|waited| waited.as_u64().unwrap()).sum();
    assert!(sum <= later["age_ms"].as_u64().unwrap(), "{later}");
    let told = super::asking::transfer_when(&plain, |told| waited(told, "pace") > 0);
    assert_eq!(told["filters"], json!([]));
    drop(streams);
}
