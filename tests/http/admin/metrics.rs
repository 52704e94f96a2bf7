//! The metrics: what there is, and that it is exact.

use std::io::Read;
use std::time::Duration;

use sluicegate::admin::Admin;
use sluicegate::config::FilterKinds;
use sluicegate::http::route::Route;
use sluicegate::http::server::{Server, Settings};
use sluicegate::limit::Rate;
use sluicegate::rt::{self, Listener};

use testkit::exposition::Exposition;
use testkit::watched::{Watched, ask, folder, text};

#[test]
fn every_family_is_there_from_the_start() {
    let watched = Watched::new(vec![Route::files("/", ".").unwrap()]);
    let metrics = watched.metrics();
    for (name, kind) in [
        ("sluicegate_build_info", "gauge"),
        ("sluicegate_uptime_seconds", "gauge"),
        ("sluicegate_tasks", "gauge"),
        ("sluicegate_timers", "gauge"),
        ("sluicegate_read_buffers_bytes", "gauge"),
        ("sluicegate_connections", "gauge"),
        ("sluicegate_connections_accepted", "counter"),
        ("sluicegate_connections_refused", "counter"),
        ("sluicegate_http2_streams_stalled", "counter"),
        ("sluicegate_http_responses", "counter"),
        ("sluicegate_http_responses_aborted", "counter"),
        ("sluicegate_http_requests_abandoned", "counter"),
        ("sluicegate_http_response_body_bytes", "counter"),
        ("sluicegate_http_request_duration_seconds", "histogram"),
        ("sluicegate_egress_bytes", "counter"),
        ("sluicegate_ingress_bytes", "counter"),
        ("sluicegate_egress_dropped_bytes", "counter"),
        ("sluicegate_egress_overflow_closes", "counter"),
        ("sluicegate_egress_stall_closes", "counter"),
        ("sluicegate_egress_would_block", "counter"),
        ("sluicegate_egress_buffered_bytes", "gauge"),
        ("sluicegate_egress_buffer_high_water_bytes", "gauge"),
        ("sluicegate_held_bytes", "gauge"),
        ("sluicegate_egress_token_wait_seconds", "counter"),
        ("sluicegate_egress_reader_wait_seconds", "counter"),
        ("sluicegate_shedding", "gauge"),
        ("process_cpu_seconds", "counter"),
        ("process_start_time_seconds", "gauge"),
        ("process_resident_memory_bytes", "gauge"),
        ("process_virtual_memory_bytes", "gauge"),
        ("process_open_fds", "gauge"),
        ("process_max_fds", "gauge"),
    ] {
        // A process may be without a bound of descriptors.
        if name != "process_max_fds" {
            assert_eq!(metrics.families.get(name).map(String::as_str), Some(kind), "{name}");
        }
    }
    let version = format!("sluicegate_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(metrics.value(&version), 1.0);
    // The listener, the admin's and this very connection among them.
    assert!(metrics.value("process_open_fds") >= 3.0);
    assert!(metrics.value("process_resident_memory_bytes") > 1e6);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - metrics.value("process_start_time_seconds");
    assert!((-2.0..3600.0).contains(&age), "it began {age} s ago");
}

#[test]
fn known_traffic_is_counted_exactly() {
    let folder = folder();
    let route = |path| Route::files(path, folder.path()).unwrap();
    let watched = Watched::new(vec![route("/files/"), route("/quo\"te\\/"), route("/files/")]);
    let mut sent = 0;
    let mut received = 0;
    let requests = [
        ("GET /files/small.bin", 200, "/files/", "2xx"),
        ("GET /files/small.bin", 200, "/files/", "2xx"),
        ("HEAD /files/small.bin", 200, "/files/", "2xx"),
        ("GET /files/large.bin", 200, "/files/", "2xx"),
        ("GET /files/none.bin", 404, "/files/", "4xx"),
        ("DELETE /files/small.bin", 405, "/files/", "4xx"),
        ("GET /files", 301, "none", "3xx"),
        ("GET /elsewhere", 404, "none", "4xx"),
    ];
    let mut bodies = [("/files/", 0), ("none", 0)];
    for (request, status, route, _) in requests {
        let request = format!("{request} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        let answer = watched.served.ask(&request);
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{request}");
        sent += request.len();
        received += answer.len();
        let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        bodies.iter_mut().find(|(path, _)| *path == route).unwrap().1 += answer.len() - head;
    }
    let count = requests.len() as f64;
    let metrics = watched.metrics_when(|metrics| {
        metrics.sum("sluicegate_http_responses_total") == count
            && metrics.value("sluicegate_connections") == 0.0
    });
    for (path, length) in bodies {
        for class in ["1xx", "2xx", "3xx", "4xx", "5xx"] {
            let expected =
                requests.iter().filter(|(_, _, route, code)| (*route, *code) == (path, class)).count();
            let sample = format!("sluicegate_http_responses_total{{route=\"{path}\",code=\"{class}\"}}");
            assert_eq!(metrics.value(&sample), expected as f64, "{sample}");
        }
        let of = |name: &str| metrics.value(&format!("sluicegate_{name}{{route=\"{path}\"}}"));
        let expected = requests.iter().filter(|(_, _, route, _)| *route == path).count();
        assert_eq!(of("http_response_body_bytes_total"), length as f64, "{path}");
        assert_eq!(of("http_request_duration_seconds_count"), expected as f64, "{path}");
        assert_eq!(of("http_responses_aborted_total") + of("http_requests_abandoned_total"), 0.0, "{path}");
    }
    assert_eq!(metrics.value("sluicegate_http_response_body_bytes_total{route=\"/quo\\\"te\\\\/\"}"), 0.0);
    assert_eq!(metrics.value("sluicegate_connections_accepted_total"), count);
    assert_eq!(metrics.value("sluicegate_connections_refused_total"), 0.0);
    assert_eq!(metrics.value("sluicegate_ingress_bytes_total"), sent as f64);
    assert_eq!(metrics.value("sluicegate_egress_bytes_total"), received as f64);
    assert_eq!(metrics.value("sluicegate_egress_buffered_bytes"), 0.0);
    assert_eq!(metrics.value("sluicegate_shedding"), 0.0);

    let again = watched.metrics();
    assert_eq!(
        again.value("sluicegate_egress_bytes_total"),
        received as f64,
        "what the admin listener sends is not the server's"
    );
    assert!(again.value("sluicegate_uptime_seconds") >= metrics.value("sluicegate_uptime_seconds"));
}

#[test]
fn cut_responses_and_refused_connections_are_counted() {
    let folder = folder();
    let settings = Settings { max_connections: 1, ..Settings::default() };
    let route = testkit::served::files(&folder, 100_000);
    let watched = Watched::with(settings, vec![route]);
    let mut cut = watched.served.begin("/large.bin");
    cut.read_exact(&mut [0; 100]).unwrap();
    assert_eq!(watched.metrics().value("sluicegate_connections"), 1.0);
    let refused = watched.served.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert!(refused.starts_with(b"HTTP/1.1 503 "));
    drop(cut);
    let aborted = "sluicegate_http_responses_aborted_total{route=\"/\"}";
    let metrics = watched.metrics_when(|metrics| {
        metrics.value(aborted) == 1.0 && metrics.sum("sluicegate_http_responses_total") == 2.0
    });
    assert_eq!(metrics.value("sluicegate_http_responses_total{route=\"/\",code=\"2xx\"}"), 1.0);
    assert_eq!(metrics.value("sluicegate_http_responses_total{route=\"none\",code=\"5xx\"}"), 1.0);
    assert_eq!(metrics.value("sluicegate_connections_accepted_total"), 1.0);
    assert_eq!(metrics.value("sluicegate_connections_refused_total"), 1.0);
    let bytes = metrics.value("sluicegate_http_response_body_bytes_total{route=\"/\"}");
    assert!((20_000.0..1_000_000.0).contains(&bytes), "{bytes}");
}

#[test]
fn bytes_are_counted_while_they_move_and_once() {
    let folder = folder();
    let routes = ["/a/", "/b/"]
        .map(|path| Route::files(path, folder.path()).unwrap().rate(Rate::or_unlimited(500_000)));
    let watched = Watched::new(routes.into());
    let body = |route: &str| format!("sluicegate_http_response_body_bytes_total{{route=\"{route}\"}}");
    let passed = |limit: &str, route: &str| {
        format!("sluicegate_limit_passed_bytes_total{{limit=\"{limit}\",route=\"{route}\"}}")
    };
    let mut stream =
        watched.served.send(b"GET /a/large.bin HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let mut before = 0.0;
    for part in 1..=4 {
        // Two seconds in all, at the route's pace: what is there so far has been counted.
        stream.read_exact(&mut vec![0; 200_000]).unwrap();
        let metrics = watched.metrics();
        let now = metrics.value(&body("/a/"));
        let least = f64::from(part) * 200_000.0 - 1_000.0;
        assert!(now > before && (least..1_000_000.0).contains(&now), "{now} after {least}");
        for limit in [passed("route", "/a/"), passed("route_client", "/a/"), passed("server", "all")] {
            assert!(metrics.value(&limit) >= least, "{limit}: {metrics:?}");
        }
        assert_eq!(metrics.value("sluicegate_http_responses_total{route=\"/a/\",code=\"2xx\"}"), 0.0);
        before = now;
    }
    stream.read_to_end(&mut Vec::new()).unwrap();
    let metrics = watched.metrics_when(|metrics| metrics.sum("sluicegate_http_responses_total") == 1.0);
    for name in [body("/a/"), passed("route", "/a/"), passed("client", "all"), passed("server", "all")] {
        assert_eq!(metrics.value(&name), 1_000_000.0, "{name}");
    }
    for name in [body("/b/"), passed("route", "/b/"), passed("route_client", "/b/")] {
        assert_eq!(metrics.value(&name), 0.0, "{name}");
    }
}

// The process's, so those of the tests beside this one may be among them.
#[test]
fn tasks_and_timers_of_sleeping_streams_are_counted() {
    let folder = folder();
    let route = testkit::served::files(&folder, 1_000);
    let watched = Watched::new(vec![route]);
    let streams: Vec<_> = (0..5)
        .map(|_| {
            let mut stream = watched.served.begin("/large.bin");
            stream.read_exact(&mut [0; 100]).unwrap();
            stream
        })
        .collect();
    // A listener's task too; and for each connection a second timer, should its client fall silent.
    let metrics = watched.metrics_when(|metrics| metrics.value("sluicegate_timers") >= 10.0);
    assert!(metrics.value("sluicegate_tasks") >= 6.0, "{metrics:?}");
    drop(streams);
}

#[test]
fn time_spent_waiting_for_tokens_is_counted() {
    let folder = folder();
    let mut settings = Settings::default();
    settings.sink.rate = Rate::or_unlimited(500_000);
    settings.sink.burst = 100_000;
    let watched = Watched::with(settings, vec![Route::files("/", folder.path()).unwrap()]);
    // A million bytes of which 100 000 are free: 1.8 s of tokens. Real time; the bounds are wide.
    watched.served.get("/large.bin", "");
    let metrics = watched.metrics_when(|metrics| metrics.sum("sluicegate_http_responses_total") == 1.0);
    let waited = Duration::from_secs_f64(metrics.value("sluicegate_egress_token_wait_seconds_total"));
    assert!((1_000..=3_000).contains(&waited.as_millis()), "{waited:?}");
    let lasted = metrics.value("sluicegate_http_request_duration_seconds_sum{route=\"/\"}");
    assert!((1.0..10.0).contains(&lasted), "{lasted}");
}

#[test]
fn count_filters_have_their_names() {
    let folder = folder();
    let config = "listen = '127.0.0.1:0'\n[filter.seen]\nkind = 'count'\n[[route]]\npath = '/'\nfiles = '.'\n\
                  filters = ['seen']\n";
    let kinds = FilterKinds::default();
    let config = kinds.loader().parse(config, "test.toml", folder.path()).unwrap();
    let server = Server::from_config(&config, &kinds).unwrap();
    let addr = server.local_addrs()[0];
    let handle = server.handle();
    let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
    let admin = Admin::new(vec![listener], None, handle.clone()).unwrap();
    let admin_addr = admin.local_addrs()[0];
    let thread = std::thread::spawn(move || {
        rt::block_on(futures_lite::future::zip(server.run(), admin.run()));
    });
    text(ask(addr, "GET /small.bin HTTP/1.1\r\nHost: t\r\n\r\n"));
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text\r\n\r\n";
    let metrics = Exposition::parse(&text(ask(admin_addr, request)));
    assert_eq!(metrics.value("sluicegate_filter_streams_total{filter=\"seen\"}"), 1.0);
    assert_eq!(metrics.value("sluicegate_filter_bytes_total{filter=\"seen\"}"), 1000.0);
    handle.stop();
    thread.join().unwrap();
}
