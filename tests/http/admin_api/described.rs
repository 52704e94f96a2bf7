//! The OpenAPI document and the answers agree: the same paths, methods, and members.
//!
//! schemathesis looks closer, where packages can be installed (`tests/peers/admin_schemathesis.rs`).

use std::io::{Read, Write};

use serde_json::Value;
use sluicegate::config::{ClassLimits, ClassMatch, ClassSettings};

use super::asking::{connection_when, get, send};
use testkit::watched::{Watched, folder};

/// Checks that an object has exactly the members its schema has, of the types it says.
fn conforms(value: &Value, schema: &Value, document: &Value) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => {
            document.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => schema,
    };
    let types: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
        _ => Vec::new(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.is_empty() || types.contains(&kind), "{value} is not of {types:?}");
    if let Some(known) = schema["enum"].as_array() {
        assert!(known.contains(value), "{value} is not one of {known:?}");
    }
    if let (Some(object), Some(members)) = (value.as_object(), schema["properties"].as_object()) {
        let required = schema["required"].as_array().unwrap();
        assert!(required.iter().all(|name| object.contains_key(name.as_str().unwrap())), "{value:#}");
        for (name, value) in object {
            conforms(value, members.get(name).unwrap_or_else(|| panic!("{name} is not told of")), document);
        }
    }
    for value in value.as_array().into_iter().flatten() {
        conforms(value, &schema["items"], document);
    }
    if schema["additionalProperties"].is_object() {
        for value in value.as_object().into_iter().flat_map(|object| object.values()) {
            conforms(value, &schema["additionalProperties"], document);
        }
    }
}

/// The data of the first whole state of a stream, which has a transfer in it.
fn first_frame(watched: &Watched, path: &str) -> Value {
    let mut stream = testkit::served::connect(watched.admin);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = testkit::sse::Answer::default();
    let mut bytes = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "the stream ended");
        answer.push(&bytes[..read]);
        if let Some(full) = answer.by_ref().find(|event| event.kind == "full") {
            let state = full.json();
            assert!(!state["transfers"].as_object().unwrap().is_empty(), "{state:#}");
            return state;
        }
    }
}

#[test]
fn described_paths_exist_and_their_answers_fit_the_schema() {
    let folder = folder();
    let watched = Watched::new(vec![testkit::served::files(&folder, 10_000)]);
    let network = ClassMatch { network: vec!["127.0.0.0/8".parse().unwrap()], ..ClassMatch::default() };
    let class = ClassSettings {
        name: "near".parse().unwrap(),
        matches: network,
        except: ClassMatch::default(),
        required: false,
        limits: ClassLimits::default(),
    };
    watched.served.handle.set_classes(&[class]).unwrap();
    let _stream = watched.served.begin("/large.bin");
    let told = connection_when(&watched, |told| told["transfers"][0]["held_by"] == "pace");
    send(&watched, "PATCH", "/v1/limits/clients/192.0.2.1", "", "{\"rate\": 1}");

    let document = get(&watched, "/v1/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let real = path
            .replace("{key}", "192.0.2.1")
            .replace("{route}", "%2F")
            .replace("{class}", "near")
            .replace("{id}", &told["id"].to_string());
        let allow = send(&watched, "FOO", &real, "", "")
            .field("allow")
            .unwrap_or_else(|| panic!("{path}"))
            .to_owned();
        let described: Vec<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
        for method in allow.split(", ").filter(|method| *method != "HEAD") {
            assert!(described.contains(&method.to_lowercase().as_str()), "{method} {path} is not described");
            let operation = &item[method.to_lowercase()];
            operations += 1;
            for status in ["400", "401", "405", "421"] {
                assert!(!operation["responses"][status].is_null(), "{method} {path}: {status}");
            }
        }
        for method in described.iter().filter(|name| **name != "parameters") {
            assert!(allow.contains(&method.to_uppercase()), "{method} {path} is not there");
        }
        let content = &item["get"]["responses"]["200"]["content"];
        if content["text/event-stream"].is_object() {
            let schema = &document["components"]["schemas"]["LiveState"];
            conforms(&first_frame(&watched, &real), schema, &document);
            continue;
        }
        let schema = &content["application/json"]["schema"];
        conforms(&get(&watched, &real), schema, &document);
    }
    assert_eq!(operations, 80);
    let problem: Value = serde_json::from_slice(&watched.get("/v1/none", "").body).unwrap();
    conforms(&problem, &document["components"]["schemas"]["Problem"], &document);
}

/// What schemathesis leaves out, since it waits for the end of an answer: each status comes with a content type that is described.
#[test]
fn answers_of_the_live_view_are_those_that_are_described() {
    let folder = folder();
    let open = Watched::new(vec![testkit::served::files(&folder, 10_000)]);
    let closed = Watched::with_token(vec![testkit::served::files(&folder, 10_000)]);
    let document = get(&open, "/v1/openapi.json");
    let _stream = open.served.begin("/large.bin");
    // A request, and the status and content type of its answer, if those are described.
    let answered = |watched: &Watched, path: &str, request: &str| {
        let mut stream = testkit::served::connect(watched.admin);
        write!(stream, "{request}\r\n").unwrap();
        let head = head_of(&mut stream);
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        let kind = kind.split(';').next().unwrap().to_owned();
        let mut described = &document["paths"][path]["get"]["responses"][status.to_string()];
        if let Some(reference) = described["$ref"].as_str() {
            described = document.pointer(&reference[1..]).unwrap();
        }
        assert!(described["content"][&kind].is_object(), "{request}: {kind} of {status} is not described");
        (status, kind, stream)
    };
    let get = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}");
    for (path, kind) in [("/v1/live", "text/event-stream"), ("/v1/live/poll", "application/json")] {
        let foreign = format!("GET {path} HTTP/1.1\r\nHost: rebound.example\r\n");
        let put = format!("PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n");
        for (watched, request, status) in [
            (&open, get(path, ""), 200),
            (&open, get(&format!("{path}?window=1"), ""), 400),
            (&open, get(&format!("{path}?after=a&after=b"), ""), 400),
            (&closed, get(path, ""), 401),
            (&open, put, 405),
            (&open, foreign, 421),
        ] {
            let (is, of, _) = answered(watched, path, &request);
            let kind = if status == 200 { kind } else { "application/problem+json" };
            assert_eq!((is, &*of), (status, kind), "{request}");
        }
    }
    // One more than may look on.
    let viewers: Vec<_> = (0..33).map(|_| answered(&open, "/v1/live", &get("/v1/live", ""))).collect();
    let refused: Vec<u16> =
        viewers.iter().map(|(status, ..)| *status).filter(|status| *status != 200).collect();
    // The one before may be remembered still.
    assert!((1..=3).contains(&refused.len()) && refused.iter().all(|status| *status == 429), "{refused:?}");
}

/// The head of a response, whose fields are in lower case.
fn head_of(stream: &mut std::net::TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let (first, rest) = head.split_once("\r\n").unwrap();
    format!("{first}\r\n{}", rest.to_lowercase())
}
