//! The plainest of subscribers, and requests with a body.

use std::io::Read;
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde_json::Value;
use sluicegate::config::EventSettings;
use sluicegate::events::{Events, Hub};
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::rt;
use sluicegate::token::Token;

use testkit::served::Served;
use testkit::sse::{Answer, Event};
use testkit::wire;

/// A server of event streams at `/events/`.
pub fn serve(settings: EventSettings) -> Served {
    Served::new(vec![route(settings, None)])
}

pub fn serve_with(server: Settings, settings: EventSettings) -> Served {
    Served::with(server, vec![route(settings, None)])
}

pub fn route(settings: EventSettings, token: Option<&str>) -> Route {
    guarded(settings, token.map(|token| Token::new(token).unwrap()))
}

pub fn guarded(settings: EventSettings, token: Option<Token>) -> Route {
    // What requests of these tests have in Host.
    let server_names =
        if settings.server_names.is_empty() { vec!["t".to_owned()] } else { settings.server_names };
    let settings = EventSettings { server_names, ..settings }.checked().unwrap();
    Route::events("/events/", Events::new("/events/", settings, token, rt::clock()))
}

/// Settings with the stream `s`.
pub fn named() -> EventSettings {
    EventSettings { names: vec!["s".to_owned()], ..EventSettings::default() }
}

/// Asks on a connection of its own.
pub fn ask(served: &Served, method: &str, target: &str, fields: &str, body: &str) -> wire::Answer {
    let length = body.len();
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: t\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
    wire::answer_to(served.send(request), method)
}

/// Publishes JSON on a stream; gives the ids.
pub fn publish(served: &Served, name: &str, json: &Value) -> Vec<String> {
    let response = post(served, &format!("/events/{name}"), json);
    assert_eq!(response.status(), 200, "{response:?} {}", response.text());
    let ids = body(&response)["ids"].clone();
    serde_json::from_value(ids).unwrap()
}

pub fn post(served: &Served, target: &str, json: &Value) -> wire::Answer {
    ask(served, "POST", target, "Content-Type: application/json\r\n", &json.to_string())
}

pub fn body(response: &wire::Answer) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{}", response.text()))
}

/// Checks that an answer is a problem of this status and code.
#[track_caller]
pub fn assert_problem(response: &wire::Answer, status: u16, code: &str) {
    assert_eq!(
        (response.status(), body(response)["code"].as_str()),
        (status, Some(code)),
        "{}",
        response.text()
    );
    assert_eq!(response.field("content-type"), Some("application/problem+json"));
    let problem = body(response);
    assert_eq!(
        (problem["type"].as_str(), problem["status"].as_u64()),
        (Some("about:blank"), Some(status.into()))
    );
    assert!(problem["detail"].as_str().unwrap().ends_with('.'), "{problem}");
}

/// A subscriber over HTTP/1.
pub struct Subscriber {
    pub stream: TcpStream,
    answer: Answer,
}

impl Deref for Subscriber {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.answer
    }
}

impl DerefMut for Subscriber {
    fn deref_mut(&mut self) -> &mut Answer {
        &mut self.answer
    }
}

impl Subscriber {
    pub fn new(served: &Served, target: &str, fields: &str) -> Self {
        Self::asking(served, &format!("GET {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"))
    }

    /// One that has read the opening.
    pub fn opened(served: &Served, target: &str, fields: &str) -> Self {
        let mut subscriber = Self::new(served, target, fields);
        assert_eq!(subscriber.event().kind, "sluicegate.open");
        subscriber
    }

    pub fn asking(served: &Served, request: &str) -> Self {
        let mut stream = served.send(request);
        let mut answer = Answer::default();
        // Byte for byte: what is behind the head may not be text.
        let mut byte = [0];
        while answer.head.is_empty() {
            stream.read_exact(&mut byte).unwrap();
            answer.push(&byte);
        }
        Self { stream, answer }
    }

    /// The next event; none at the end.
    pub fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.answer.next() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            self.read();
        }
    }

    /// The next event, which must come.
    #[track_caller]
    pub fn event(&mut self) -> Event {
        self.next().unwrap_or_else(|| panic!("the stream ended"))
    }

    /// The data of the next so many events, which must be ordinary.
    #[track_caller]
    pub fn data(&mut self, count: usize) -> Vec<String> {
        (0..count)
            .map(|_| {
                let event = self.event();
                assert_eq!(event.kind, "message", "{event:?}");
                event.data
            })
            .collect()
    }

    /// Reads once.
    pub fn read(&mut self) {
        let mut piece = [0; 65_536];
        let len = self.stream.read(&mut piece).unwrap();
        self.answer.push(&piece[..len]);
        if len == 0 {
            let is_chunked = self.head.to_lowercase().contains("transfer-encoding: chunked");
            assert!(!is_chunked, "the connection ended within a response");
            self.ended = true;
        }
    }
}

/// What the one stream of events counts and measures.
pub fn hub(served: &Served) -> Arc<Hub> {
    Arc::clone(served.handle.routes()[0].hub().unwrap())
}
