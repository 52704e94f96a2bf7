//! Why a transfer is slow: what holds it is told by its name, with the limit that is to be changed; and when
//! that is changed, the transfer is held no more.

use std::task::{Context, Poll};

use http::{Request, Response};
use serde_json::{Value, json};
use sluicegate::brigade::Brigade;
use sluicegate::config::SharedLimits;
use sluicegate::generator::Generator;
use sluicegate::http::body::RequestBody;
use sluicegate::http::content::Content;
use sluicegate::http::proxy::Client;
use sluicegate::http::route::{Answer, Handler, Route};
use sluicegate::http::server::Settings;
use sluicegate::limit::{Budget, Rate};
use sluicegate::rt;
use sluicegate::sink::SinkSettings;

use super::asking::{patch, transfer_when};
use testkit::h2;
use testkit::served::files;
use testkit::watched::{Watched, folder};
use testkit::wire;

/// At this rate the large file takes 100 s: five times a test's patience.
const SLOW: u64 = 10_000;
const LARGE: usize = 1_000_000;

fn slow() -> Budget {
    Budget::of(Rate::or_unlimited(SLOW))
}

/// Waits for the transfer to be held by `by`, and until then by nothing else; by its source while there is
/// no answer.
fn held(watched: &Watched, by: &str) -> Value {
    let told = transfer_when(watched, |told| {
        let now = told["held_by"].as_str().unwrap_or("nothing");
        let begins = told["status"].is_null() && now == "source";
        assert!([by, "nothing"].contains(&now) || begins, "{told:#}");
        now == by
    });
    assert!(told["limit"].is_null() || told["limit"].as_str().unwrap().starts_with("/v1/limits/"));
    told
}

/// For each limit: a transfer of the large file that is held by it alone until it is lifted.
#[test]
fn by_each_limit_that_is_slow() {
    let folder = folder();
    let files = || files(&folder, 0);
    let server = SharedLimits { server: slow(), ..SharedLimits::default() };
    let client = SharedLimits { client: slow(), ..SharedLimits::default() };
    let sink = SinkSettings { rate: Rate::or_unlimited(SLOW), burst: 2_000, ..SinkSettings::default() };
    let shared = |limits| Settings { limits, ..Settings::default() };
    let none = Settings::default;
    for (by, limit, is_estimate, settings, route) in [
        ("pace", "/v1/limits/routes/%2F/response", false, none(), files().rate(Rate::or_unlimited(SLOW))),
        ("server", "/v1/limits/server", true, shared(server), files()),
        ("client", "/v1/limits/client", true, shared(client), files()),
        ("route", "/v1/limits/routes/%2F/total", true, none(), files().total(slow())),
        ("route_client", "/v1/limits/routes/%2F/client", true, none(), files().per_client(slow())),
        ("connection_rate", "/v1/limits/connection", false, Settings { sink, ..none() }, files()),
    ] {
        let watched = Watched::with(settings, vec![route]);
        let mut stream = watched.served.begin("/large.bin");
        let reading = std::thread::spawn(move || wire::answer(&mut stream));
        let told = held(&watched, by);
        assert_eq!(told["limit"], limit, "{told:#}");
        // A chunk, or a piece for the socket, is due within an interval and a little.
        let next = told["next_send_ms"].as_u64().unwrap_or_else(|| panic!("{told:#}"));
        assert!(next <= 400, "{told:#}");
        assert_eq!(told["next_send_is_estimate"], is_estimate, "{told:#}");
        assert_eq!((&told["target"], &told["length"]), (&json!("/large.bin"), &json!(LARGE)));
        patch(&watched, limit, "{\"rate\": \"off\"}");
        let response = reading.join().unwrap();
        assert_eq!((response.status(), response.body.len()), (200, LARGE), "within the test's patience");
        assert!(response.body.iter().all(|byte| *byte == b'y'));
    }
}

#[test]
fn by_a_limit_of_the_clients_own() {
    let folder = folder();
    let watched = Watched::new(vec![files(&folder, 0)]);
    patch(&watched, "/v1/limits/clients/127.0.0.1", "{\"rate\": 10000}");
    let _stream = watched.served.begin("/large.bin");
    assert_eq!(held(&watched, "client")["limit"], "/v1/limits/clients/127.0.0.1");
}

#[test]
fn by_a_client_that_does_not_read() {
    let folder = testkit::folder::folder(&[("huge.bin", &vec![0; 32 << 20])]);
    let sink = SinkSettings { send_buffer: Some(4096), ..SinkSettings::default() };
    let watched = Watched::with(Settings { sink, ..Settings::default() }, vec![files(&folder, 0)]);
    let stream = watched.served.begin("/huge.bin");
    let told = held(&watched, "reader");
    assert_eq!((&told["next_send_ms"], &told["limit"]), (&Value::Null, &Value::Null));
    drop(stream);
}

/// Answers below `/head` with nothing at all, elsewhere with a head and no content.
struct Silent;

struct Never;

impl Generator for Never {
    fn poll_fill(&mut self, _: &mut Context<'_>, _: &mut Brigade) -> Poll<()> {
        Poll::Pending
    }
}

impl Handler for Silent {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a Client) -> Answer<'a> {
        Box::pin(async move {
            if request.uri().path() == "/head" {
                std::future::pending::<()>().await;
            }
            Response::new(Content::Stream(Box::new(Never)))
        })
    }
}

#[test]
fn by_the_source() {
    for (path, status) in [("/head", Value::Null), ("/content", json!(200))] {
        let watched = Watched::new(vec![Route::handler("/", Silent).rate(Rate::or_unlimited(SLOW))]);
        let stream = watched.served.begin(path);
        held(&watched, "source");
        // It may have been seen before its route was found.
        let told = transfer_when(&watched, |told| {
            told["status"] == status && told["held_by"] == "source" && told["route"] == "/"
        });
        assert_eq!(
            (&told["next_send_ms"], &told["limit"], &told["bytes"]),
            (&Value::Null, &Value::Null, &json!(0))
        );
        assert_eq!(told["rate_set"], if path == "/head" { Value::Null } else { json!(SLOW) });
        drop(stream);
    }
}

/// Over HTTP/2 a stream may be held by its window while the connection is free.
#[test]
fn by_a_window_that_stays_shut() {
    let folder = folder();
    let watched = Watched::new(vec![files(&folder, 0)]);
    let response = rt::block_on(async {
        h2::get(&mut h2::connect(watched.served.addr, 1024).await, "/large.bin").await
    });
    let told = held(&watched, "reader");
    assert_eq!((&told["status"], &told["next_send_ms"]), (&json!(200), &Value::Null));
    let list = super::asking::get(&watched, "/v1/connections");
    assert_eq!(list["connections"][0]["protocol"], "http/2");
    assert_eq!(list["connections"][0]["held_by"], "nothing", "the connection is free: {list:#}");
    drop(response);
}
