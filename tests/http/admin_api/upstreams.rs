//! Backends, as the API and the metrics show them, and what of that a reload keeps.

use std::io::Write;
use std::net::TcpListener;

use serde_json::json;
use sluicegate::config::ProxySource;
use testkit::backend::{Backend, routed};
use testkit::wait::{soon, until};
use testkit::watched::{Watched, folder};

use super::asking::get;

#[test]
fn each_backend_is_listed_with_its_state() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let backend = Backend::new(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    });
    let [first, second] = [closed, backend.addr].map(|addr| format!("http://{addr}"));
    let source =
        ProxySource { others: vec![second.parse().unwrap()], ..ProxySource::new(first.parse().unwrap()) };
    let site = folder();
    let watched = Watched::new(vec![routed("/api/", source, None), testkit::served::files(&site, 0)]);
    assert_eq!(watched.served.get("/api/x", "").body, b"ok");
    let list = soon("the request is over", || {
        let told = get(&watched, "/v1/upstreams");
        (told["upstreams"][1]["active"] == 0).then_some(told)
    });
    let mut out = list["upstreams"][0].clone();
    let left = out["out_for_ms"].take().as_u64().unwrap();
    assert!(left <= 1000, "{left}");
    assert_eq!(
        out,
        json!({
            "route": "/api/", "upstream": first, "up": false, "out_for_ms": null, "active": 0,
            "idle_connections": 0, "requests": 1, "connect_failures": 1, "retries": 1,
            "last_error": "cannot connect: Connection refused (os error 111)",
        })
    );
    assert_eq!(
        list["upstreams"].as_array().unwrap()[1..],
        [json!({
            "route": "/api/", "upstream": second, "up": true, "out_for_ms": null, "active": 0,
            "idle_connections": 0, "requests": 1, "connect_failures": 0, "retries": 0, "last_error": null,
        })]
    );
    let page = watched.metrics();
    for (name, values) in [
        ("upstream_requests_total", [1.0, 1.0]),
        ("upstream_connect_failures_total", [1.0, 0.0]),
        ("upstream_retries_total", [1.0, 0.0]),
        ("upstream_up", [0.0, 1.0]),
        ("upstream_active", [0.0, 0.0]),
        ("upstream_idle_connections", [0.0, 0.0]),
    ] {
        for (url, value) in [&first, &second].into_iter().zip(values) {
            let sample = format!("sluicegate_{name}{{route=\"/api/\",upstream=\"{url}\"}}");
            assert_eq!(page.value(&sample), value, "{sample}");
        }
    }
}

#[test]
fn a_reload_keeps_what_is_known_of_backends_that_stay() {
    use sluicegate::config::{FilterKinds, Loader};
    use sluicegate::http::proxy::Proxy;
    use sluicegate::http::server::Server;
    use testkit::served::Served;

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = |urls: &str| {
        let text = format!("listen = '127.0.0.1:0'\n[[route]]\npath = '/'\nproxy = {urls}\n");
        Loader::new().parse(&text, "test.toml", ".").unwrap()
    };
    let one = format!("'http://{closed}'");
    let kinds = FilterKinds::default();
    let served = Served::running(Server::from_config(&config(&one), &kinds).unwrap());
    assert_eq!(served.get("/", "").status(), 502);
    let two = format!("[{one}, 'unix:app.sock']");
    let reloaded = served.handle.reload(&config(&two), &kinds).unwrap();
    assert_eq!(reloaded.changes, ["route / changed"]);
    until("it is there", || {
        let routes = served.handle.routes();
        let upstreams: Vec<_> = routes[0].source::<Proxy>().unwrap().upstreams().collect();
        let counts: Vec<_> =
            upstreams.iter().map(|one| (one.requests, one.failed_connects, one.is_out)).collect();
        counts == [(1, 1, true), (0, 0, false)] && upstreams[1].name.ends_with("/app.sock")
    });
}
