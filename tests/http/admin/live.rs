//! The live view as a stream: a whole state, then changes of it, for as many viewers as there may be.

use std::io::Read;
use std::net::TcpStream;

use serde_json::{Map, Value, json};
use sluicegate::http::route::Route;
use sluicegate::limit::Rate;

use testkit::served::{connect, files};
use testkit::sse::{Answer, Event};
use testkit::watched::{TOKEN, Watched, folder};

/// Who looks on, with the state as far as it has come.
struct Viewer {
    stream: TcpStream,
    answer: Answer,
    state: Value,
    /// The id of the last frame.
    last: String,
}

impl Viewer {
    fn new(watched: &Watched, fields: &str) -> Self {
        let mut stream = connect(watched.admin);
        let request = format!("GET /v1/live HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        Self { stream, answer: Answer::default(), state: Value::Null, last: String::new() }
    }

    /// The next event, as it is.
    fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.answer.next() {
                if let Some(id) = &event.id {
                    self.last.clone_from(id);
                }
                return event;
            }
            let mut bytes = [0; 16 * 1024];
            let read = self.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the stream ended: {}", self.answer.head);
            self.answer.push(&bytes[..read]);
        }
    }

    /// The type of the next frame, which is taken into the state.
    fn frame(&mut self) -> String {
        let event = self.event();
        match event.kind.as_str() {
            "full" => self.state = event.json(),
            "change" => merge(&mut self.state, &event.json()),
            _ => {}
        }
        event.kind
    }

    /// The state as soon as it is as wished.
    fn when(&mut self, what: &str, wished: impl Fn(&Value) -> bool) -> &Value {
        for _ in 0..300 {
            self.frame();
            if wished(&self.state) {
                return &self.state;
            }
        }
        panic!("{what}: {:#}", self.state);
    }
}

/// Applies a merge patch (RFC 7396).
fn merge(state: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return patch.clone_into(state) };
    if !state.is_object() {
        *state = Value::Object(Map::new());
    }
    let members = state.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            members.remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The only transfer of a state.
fn transfer(state: &Value) -> &Value {
    state["transfers"].as_object().and_then(|all| all.values().next()).unwrap_or(&Value::Null)
}

#[test]
fn a_viewer_gets_the_whole_state_and_then_what_changes() {
    let folder = folder();
    let watched = Watched::new(vec![files(&folder, 100_000)]);
    let mut viewer = Viewer::new(&watched, "");
    assert_eq!(viewer.frame(), "sluicegate.open");
    assert!(viewer.answer.head.to_lowercase().contains("\r\ncontent-type: text/event-stream\r\n"));
    assert_eq!(viewer.frame(), "full");
    assert_eq!(viewer.state["transfers"], json!({}));
    assert_eq!(viewer.state["limits"]["/v1/limits/routes/%2F/response"]["rate"], 100_000);

    let stream = watched.served.begin("/large.bin?a=%3Cb%3E");
    let held = viewer.when("held by its pace", |state| transfer(state)["held_by"] == "pace");
    let seen = transfer(held).clone();
    assert_eq!(seen["target"], "/large.bin?a=%3Cb%3E");
    assert_eq!(
        (&seen["method"], &seen["status"], &seen["length"], &seen["rate_set"]),
        (&json!("GET"), &json!(200), &json!(1_000_000), &json!(100_000))
    );
    assert_eq!(seen["limit"], "/v1/limits/routes/%2F/response");
    assert_eq!(held["clients"]["127.0.0.1"]["transfers"], 1);
    assert_eq!(held["routes"]["/"]["transfers"], 1);
    assert_eq!(held["server"]["transfers"], 1);
    let (from, at) = (seen["bytes"].as_u64().unwrap(), held["at"].as_u64().unwrap());
    let later = viewer.when("more bytes", |state| transfer(state)["bytes"].as_u64() >= Some(from + 60_000));
    let (bytes, took) =
        (transfer(later)["bytes"].as_u64().unwrap() - from, later["at"].as_u64().unwrap() - at);
    // Chunks of a fifth of a second at either end.
    assert!((bytes as f64 - took as f64 * 100.0).abs() < 41_000.0, "{bytes} bytes in {took} ms");
    for (row, member) in [("clients", "127.0.0.1"), ("routes", "/")] {
        let passed = later[row][member]["bytes"].as_u64().unwrap();
        assert!((60_000..=bytes + from).contains(&passed), "{row}: {passed} of {bytes}");
    }
    drop(stream);
    viewer.when("the end", |state| state["transfers"] == json!({}) && state["clients"] == json!({}));
}

#[test]
fn a_limit_that_is_set_is_seen() {
    let folder = folder();
    let watched = Watched::new(vec![files(&folder, 0)]);
    let mut viewer = Viewer::new(&watched, "");
    viewer.when("a state", |state| state.is_object());
    crate::admin_api::asking::patch(&watched, "/v1/limits/server", "{\"rate\": 5000}");
    let state = viewer.when("the rate", |state| state["limits"]["/v1/limits/server"]["rate"] == 5000);
    assert_eq!(state["limits"]["/v1/limits/server"]["kind"], "server");
    let _stream = watched.served.begin("/large.bin");
    viewer.when("held by the server's limit", |state| {
        transfer(state)["held_by"] == "server" && transfer(state)["limit"] == "/v1/limits/server"
    });
}

#[test]
fn without_a_change_there_is_no_frame_but_heartbeats() {
    let watched = Watched::new(vec![files(&folder(), 0)]);
    let mut viewer = Viewer::new(&watched, "");
    viewer.when("a state", |state| state.is_object());
    let mut raw = Vec::new();
    let heartbeat = b"\r\n:\n\r\n";
    while !raw.windows(heartbeat.len()).any(|bytes| bytes == heartbeat) {
        let mut bytes = [0; 1024];
        let read = viewer.stream.read(&mut bytes).unwrap();
        assert!(read > 0, "the stream ended");
        raw.extend_from_slice(&bytes[..read]);
    }
    let raw = String::from_utf8(raw).unwrap();
    assert_eq!(raw.matches("event: ").count(), 0, "in the five seconds before a heartbeat: {raw}");
}

#[test]
fn a_viewer_that_comes_back_gets_what_it_missed() {
    let folder = folder();
    let watched = Watched::new(vec![files(&folder, 50_000)]);
    let mut viewer = Viewer::new(&watched, "");
    let _stream = watched.served.begin("/large.bin");
    viewer.when("a transfer", |state| transfer(state)["held_by"] == "pace");
    let (state, id) = (viewer.state.clone(), viewer.last.clone());
    drop(viewer);
    let mut other = Viewer::new(&watched, "");
    other.when("a state of its own", |state| transfer(state)["bytes"].as_u64() >= Some(20_000));

    let mut back = Viewer::new(&watched, &format!("Last-Event-ID: {id}\r\n"));
    back.state = state;
    assert_eq!(back.frame(), "sluicegate.open");
    assert!(back.frame() == "full" || back.state["at"].as_u64() > Some(0), "what came after");
    let expected = other.when("more", |state| transfer(state)["bytes"].as_u64() >= Some(60_000)).clone();
    let at = expected["at"].clone();
    back.when("the same", |state| state["at"] == at);
    assert_eq!(back.state, expected);

    let mut unknown = Viewer::new(&watched, "Last-Event-ID: 0123456789-7\r\n");
    assert_eq!(unknown.frame(), "sluicegate.open");
    assert_eq!(unknown.frame(), "sluicegate.gap");
    unknown.when("a whole state", |state| state["server"].is_object());
}

#[test]
fn only_those_who_may_look_do() {
    let watched = Watched::with_token(vec![files(&folder(), 0)]);
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    let wrong = format!("Authorization: Bearer {TOKEN}0\r\n");
    for path in ["/v1/live", "/v1/live/poll"] {
        assert_eq!(watched.get(path, "").status(), 401, "{path}");
        assert_eq!(watched.get(path, &wrong).status(), 401, "{path}");
    }
    let mut viewer = Viewer::new(&watched, &right);
    viewer.when("a state", |state| state["server"].is_object());
    assert_eq!(watched.get("/v1/live/poll", &right).status(), 200);
    for (request, status) in [
        ("POST /v1/live HTTP/1.1", 405),
        ("DELETE /v1/live/poll HTTP/1.1", 405),
        ("GET /v1/live?window=1 HTTP/1.1", 400),
        ("GET /v1/live/ack HTTP/1.1", 404),
        ("GET /v1/lively HTTP/1.1", 404),
        ("HEAD /v1/live HTTP/1.1", 200),
    ] {
        let answer = watched.ask(&format!("{request}\r\nHost: any\r\nContent-Length: 0\r\n{right}\r\n"));
        assert_eq!(answer.status(), status, "{request}");
    }
    assert_eq!(watched.served.get("/v1/live", &right).status(), 404, "nobody else answers it");
    let open = Watched::new(Vec::new());
    assert_eq!(open.ask("GET /v1/live HTTP/1.1\r\nHost: rebound.example\r\n\r\n").status(), 421);
}

#[test]
fn thousands_of_transfers_are_the_largest_ones_and_a_rest() {
    const SMALL: usize = 520;
    let folder = folder();
    let slow = Route::files("/", folder.path()).unwrap().rate(Rate::or_unlimited(2_000));
    let fast = Route::files("/fast/", folder.path()).unwrap().rate(Rate::or_unlimited(200_000));
    let watched = Watched::new(vec![slow, fast]);
    let _small: Vec<_> = (0..SMALL).map(|_| watched.served.begin("/large.bin")).collect();
    let mut viewer = Viewer::new(&watched, "");
    viewer.when("all of them", |state| state["server"]["transfers"] == SMALL);
    let _fast = watched.served.begin("/fast/large.bin");
    let is_listed = |state: &Value| {
        let all = state["transfers"].as_object().unwrap();
        all.values().any(|transfer| transfer["route"] == "/fast/" && transfer["bytes"].as_u64() > Some(0))
    };
    let state = viewer.when("the fast one among the listed", |state| {
        state["server"]["transfers"] == SMALL + 1 && is_listed(state)
    });
    assert_eq!(state["transfers"].as_object().unwrap().len(), 500);
    assert_eq!(state["rest"]["transfers"], SMALL + 1 - 500);
    let before = state["rest"]["bytes"].as_u64().unwrap();
    viewer.when("what the rest moves", |state| state["rest"]["bytes"].as_u64() > Some(before));
}

/// The listener's file has another token: who sent the old one looks on no more.
#[test]
fn a_token_that_is_replaced_ends_the_streams_that_it_opened() {
    const NEXT: &str = "fedcba9876543210fedcba9876543210";
    let folder = folder();
    let path = folder.path().join("token");
    testkit::token_file::write(&path, TOKEN);
    let clock = std::sync::Arc::new(sluicegate::clock::ManualClock::new());
    let token =
        sluicegate::token::Token::from_file(&path).unwrap().run_on(std::sync::Arc::clone(&clock) as _);
    let watched = Watched::made(Default::default(), vec![files(&folder, 50_000)], |listener, handle| {
        sluicegate::admin::Admin::new(vec![listener], Some(token), handle).unwrap()
    });
    let _stream = watched.served.begin("/large.bin");
    let [old, new] = [TOKEN, NEXT].map(|token| format!("Authorization: Bearer {token}\r\n"));
    let mut viewer = Viewer::new(&watched, &old);
    viewer.when("a state", |state| state["server"].is_object());
    testkit::token_file::write(&path, NEXT);
    clock.advance(std::time::Duration::from_secs(1));
    // Frames that are on their way may still come.
    while !viewer.answer.ended {
        let mut bytes = [0; 16 * 1024];
        let read = viewer.stream.read(&mut bytes).unwrap();
        assert!(read > 0, "the response ends as such");
        viewer.answer.push(&bytes[..read]);
        viewer.answer.by_ref().for_each(drop);
    }
    assert_eq!(watched.get("/v1/live", &old).status(), 401);
    Viewer::new(&watched, &new).when("a state", |state| state["server"].is_object());
}
