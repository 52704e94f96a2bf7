//! Why a transfer is slow: what holds it is told by its name, with the limit that is to be changed; and when
//! that is changed, the transfer is held no more.

use std::io::Write;
use std::net::TcpStream;
use std::task::{Context, Poll};

use http::{Request, Response};
use serde_json::{Value, json};
use sluicegate::admin::Admin;
use sluicegate::brigade::Brigade;
use sluicegate::config::SharedLimits;
use sluicegate::generator::Generator;
use sluicegate::http::body::RequestBody;
use sluicegate::http::content::Content;
use sluicegate::http::proxy::Client;
use sluicegate::http::route::{Answer, Handler, Route};
use sluicegate::http::server::Settings;
use sluicegate::limit::{Budget, Rate};
use sluicegate::sink::SinkSettings;

use super::asking::{patch, transfer_when};
use testkit::served;
use testkit::watched::{Watched, folder};

/// At this rate the large file takes 100 s: five times a test's patience.
const SLOW: u64 = 10_000;
const LARGE: usize = 1_000_000;

fn slow() -> Budget {
    Budget::of(Rate::or_unlimited(SLOW))
}

fn watched(settings: Settings, route: Route) -> Watched {
    Watched::with(settings, vec![route], |listener, handle| Admin::new(vec![listener], None, handle).unwrap())
}

fn files(folder: &tempfile::TempDir) -> Route {
    Route::files("/", folder.path()).unwrap()
}

/// Asks for a path and reads nothing yet.
fn asked(watched: &Watched, path: &str) -> TcpStream {
    let mut stream = watched.served.connect();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).unwrap();
    stream
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

/// A transfer of the large file that is held by one limit, which is then lifted.
fn is_held_by(by: &str, limit: &str, shared: bool, settings: Settings, route: Route) {
    let watched = watched(settings, route);
    let mut stream = asked(&watched, "/large.bin");
    let reading = std::thread::spawn(move || served::Response::read(&mut stream).unwrap());
    let told = held(&watched, by);
    assert_eq!(told["limit"], limit, "{told:#}");
    // A chunk, or a piece for the socket, is due within an interval and a little.
    let next = told["next_send_ms"].as_u64().unwrap_or_else(|| panic!("{told:#}"));
    assert!(next <= 400, "{told:#}");
    assert_eq!(told["next_send_is_estimate"], shared, "{told:#}");
    assert_eq!((&told["target"], &told["length"]), (&json!("/large.bin"), &json!(LARGE)));
    patch(&watched, limit, "{\"rate\": \"off\"}");
    let response = reading.join().unwrap();
    assert_eq!((response.status(), response.body.len()), (200, LARGE), "within the test's patience");
    assert!(response.body.iter().all(|byte| *byte == b'y'));
}

#[test]
fn by_the_pace_of_the_response() {
    let folder = folder();
    let route = files(&folder).rate(Rate::or_unlimited(SLOW));
    is_held_by("pace", "/v1/limits/routes/%2F/response", false, Settings::default(), route);
}

#[test]
fn by_what_all_responses_share() {
    let folder = folder();
    let limits = SharedLimits { server: slow(), ..SharedLimits::default() };
    let settings = Settings { limits, ..Settings::default() };
    is_held_by("server", "/v1/limits/server", true, settings, files(&folder));
}

#[test]
fn by_what_the_client_may_have() {
    let folder = folder();
    let limits = SharedLimits { client: slow(), ..SharedLimits::default() };
    let settings = Settings { limits, ..Settings::default() };
    is_held_by("client", "/v1/limits/client", true, settings, files(&folder));
}

#[test]
fn by_what_responses_of_the_route_share() {
    let folder = folder();
    let route = files(&folder).total(slow());
    is_held_by("route", "/v1/limits/routes/%2F/total", true, Settings::default(), route);
}

#[test]
fn by_what_the_client_may_have_of_the_route() {
    let folder = folder();
    let route = files(&folder).per_client(slow());
    is_held_by("route_client", "/v1/limits/routes/%2F/client", true, Settings::default(), route);
}

#[test]
fn by_the_rate_of_the_connection() {
    let folder = folder();
    let sink = SinkSettings { rate: Rate::or_unlimited(SLOW), burst: 2_000, ..SinkSettings::default() };
    let settings = Settings { sink, ..Settings::default() };
    is_held_by("connection_rate", "/v1/limits/connection", false, settings, files(&folder));
}

#[test]
fn by_a_limit_of_the_clients_own() {
    let folder = folder();
    let watched = watched(Settings::default(), files(&folder));
    patch(&watched, "/v1/limits/clients/127.0.0.1", "{\"rate\": 10000}");
    let _stream = asked(&watched, "/large.bin");
    assert_eq!(held(&watched, "client")["limit"], "/v1/limits/clients/127.0.0.1");
}

#[test]
fn by_a_client_that_does_not_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("huge.bin"), vec![0; 32 << 20]).unwrap();
    let sink = SinkSettings { send_buffer: Some(4096), ..SinkSettings::default() };
    let watched = watched(Settings { sink, ..Settings::default() }, files(&folder));
    let stream = asked(&watched, "/huge.bin");
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
        let watched =
            watched(Settings::default(), Route::handler("/", Silent).rate(Rate::or_unlimited(SLOW)));
        let stream = asked(&watched, path);
        let told = held(&watched, "source");
        let told = if told["status"] == status {
            told
        } else {
            transfer_when(&watched, |told| told["status"] == status && told["held_by"] == "source")
        };
        assert_eq!(
            (&told["next_send_ms"], &told["limit"], &told["bytes"]),
            (&Value::Null, &Value::Null, &json!(0))
        );
        assert_eq!(
            (&told["route"], &told["rate_set"]),
            (&json!("/"), &if path == "/head" { Value::Null } else { json!(SLOW) })
        );
        drop(stream);
    }
}

/// Over HTTP/2 a stream may be held by its window while the connection is free.
#[test]
fn by_a_window_that_stays_shut() {
    use bytes::Bytes;
    use http_body_util::Empty;
    use sluicegate::rt;

    let folder = folder();
    let watched = watched(Settings::default(), files(&folder));
    let response = rt::block_on(async {
        let mut sender = testkit::h2::connect(watched.served.addr, 1024).await;
        let request = Request::get(format!("http://{}/large.bin", watched.served.addr));
        sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
    });
    let told = held(&watched, "reader");
    assert_eq!((&told["status"], &told["next_send_ms"]), (&json!(200), &Value::Null));
    let list = super::asking::get(&watched, "/v1/connections");
    assert_eq!(list["connections"][0]["protocol"], "http/2");
    assert_eq!(list["connections"][0]["held_by"], "nothing", "the connection is free: {list:#}");
    drop(response);
}
