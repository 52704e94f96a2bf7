//! Asking the API, and waiting for it to tell something.

use serde_json::Value;

use testkit::wait::soon;
use testkit::watched::Watched;
use testkit::wire::Answer;

/// Sends a request with JSON, and further header lines.
pub fn send(watched: &Watched, method: &str, path: &str, fields: &str, content: &str) -> Answer {
    let length = content.len();
    watched.ask(&format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{fields}\r\n{content}"
    ))
}

/// The JSON of an answer with this status.
pub fn json(response: &Answer, status: u16) -> Value {
    let body = String::from_utf8_lossy(&response.body);
    assert_eq!(response.status(), status, "{body}");
    let expected = if status < 400 { "application/json" } else { "application/problem+json" };
    assert_eq!(response.field("content-type"), Some(expected));
    assert_eq!(response.field("cache-control"), Some("no-store"));
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

pub fn get(watched: &Watched, path: &str) -> Value {
    json(&watched.get(path, ""), 200)
}

/// Changes a part of a limit, and says what it is then.
pub fn patch(watched: &Watched, path: &str, content: &str) -> Value {
    json(&send(watched, "PATCH", path, "", content), 200)
}

/// The first connection that is as wished, as soon as there is one.
pub fn connection_when(watched: &Watched, wished: impl Fn(&Value) -> bool) -> Value {
    soon("a connection as wished", || {
        let told = get(watched, "/v1/connections");
        told["connections"].as_array().unwrap().iter().find(|told| wished(told)).cloned()
    })
}

/// The one transfer of a connection, as soon as it is as wished.
pub fn transfer_when(watched: &Watched, wished: impl Fn(&Value) -> bool) -> Value {
    let connection = connection_when(watched, |told| wished(&told["transfers"][0]));
    connection["transfers"][0].clone()
}
