//! The plainest of subscribers, and requests with a body.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::Value;
use sluicegate::config::EventSettings;
use sluicegate::events::Events;
use sluicegate::http::Token;
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::rt;

use crate::served::{Response, Served};

/// A server of event streams at `/events/`.
pub fn serve(settings: EventSettings) -> Served {
    Served::new(vec![route(settings, None)])
}

pub fn serve_with(server: Settings, settings: EventSettings) -> Served {
    Served::with(server, vec![route(settings, None)])
}

pub fn route(settings: EventSettings, token: Option<&str>) -> Route {
    let settings = settings.checked().unwrap();
    let token = token.map(|token| Token::new(token).unwrap());
    Route::events("/events/", Events::new("/events/", settings, token, rt::clock()))
}

/// Settings with the stream `s`.
pub fn named() -> EventSettings {
    EventSettings { names: vec!["s".to_owned()], ..EventSettings::default() }
}

/// Asks on a connection of its own.
pub fn ask(served: &Served, method: &str, target: &str, fields: &str, body: &str) -> Response {
    let mut stream = served.connect();
    let length = body.len();
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: t\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    Response::read_for(&mut stream, method).unwrap()
}

/// Publishes JSON on a stream; gives the ids.
pub fn publish(served: &Served, name: &str, json: &Value) -> Vec<String> {
    let response = post(served, &format!("/events/{name}"), json);
    assert_eq!(response.status(), 200, "{response:?} {}", text(&response));
    let ids = body(&response)["ids"].clone();
    serde_json::from_value(ids).unwrap()
}

pub fn post(served: &Served, target: &str, json: &Value) -> Response {
    ask(served, "POST", target, "Content-Type: application/json\r\n", &json.to_string())
}

pub fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

pub fn body(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{}", text(response)))
}

/// Checks that an answer is a problem of this status and code.
#[track_caller]
pub fn assert_problem(response: &Response, status: u16, code: &str) {
    assert_eq!(
        (response.status(), body(response)["code"].as_str()),
        (status, Some(code)),
        "{}",
        text(response)
    );
    assert_eq!(response.field("content-type"), Some("application/problem+json"));
    let problem = body(response);
    assert_eq!(
        (problem["type"].as_str(), problem["status"].as_u64()),
        (Some("about:blank"), Some(status.into()))
    );
    assert!(problem["detail"].as_str().unwrap().ends_with('.'), "{problem}");
}

/// An event as a client has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: String,
    pub data: String,
    pub id: Option<String>,
}

impl Event {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

/// A subscriber over HTTP/1.
pub struct Subscriber {
    pub stream: TcpStream,
    pub head: String,
    is_chunked: bool,
    raw: Vec<u8>,
    text: String,
    pub retry: Option<u64>,
    pub comments: usize,
    /// All lines came, with the end of the response.
    pub ended: bool,
}

impl Subscriber {
    pub fn new(served: &Served, target: &str, fields: &str) -> Self {
        Self::asking(served, &format!("GET {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"))
    }

    pub fn asking(served: &Served, request: &str) -> Self {
        let mut stream = served.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let is_chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        Self {
            stream,
            head,
            is_chunked,
            raw: Vec::new(),
            text: String::new(),
            retry: None,
            comments: 0,
            ended: false,
        }
    }

    /// The next event; none at the end.
    pub fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(event) = self.block(&block) {
                    return Some(event);
                }
                continue;
            }
            if self.ended {
                let rest = std::mem::take(&mut self.text);
                assert!(
                    self.block(&rest).is_none() && (rest.is_empty() || rest.ends_with('\n')),
                    "cut: {rest:?}"
                );
                return None;
            }
            self.read();
        }
    }

    fn block(&mut self, block: &str) -> Option<Event> {
        let (mut kind, mut data, mut id) = (None, Vec::new(), None);
        for line in block.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")) {
                ("", _) => self.comments += 1,
                ("retry", value) => self.retry = Some(value.parse().unwrap()),
                ("event", value) => kind = Some(value.to_owned()),
                ("data", value) => data.push(value.to_owned()),
                ("id", value) => id = Some(value.to_owned()),
                ("traceparent", _) => {}
                other => panic!("{other:?}"),
            }
        }
        (!data.is_empty()).then(|| Event {
            kind: kind.unwrap_or("message".into()),
            data: data.join("\n"),
            id,
        })
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
        self.raw.extend_from_slice(&piece[..len]);
        if !self.is_chunked {
            self.text.push_str(std::str::from_utf8(&self.raw).unwrap());
            self.raw.clear();
            self.ended = len == 0;
            return;
        }
        assert!(len > 0, "the connection ended within a response");
        while let Some(end) = self.raw.windows(2).position(|pair| pair == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&self.raw[..end]).unwrap(), 16).unwrap();
            if self.raw.len() < end + 2 + size + 2 {
                break;
            }
            self.text.push_str(std::str::from_utf8(&self.raw[end + 2..end + 2 + size]).unwrap());
            self.raw.drain(..end + 2 + size + 2);
            self.ended |= size == 0;
        }
    }
}

/// Waits for what `look` finds.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < crate::served::PATIENCE, "waited in vain for {what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
