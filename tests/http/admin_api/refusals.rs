//! What is not done, and how that is said.

use std::io::{Read, Write};

use serde_json::{Value, json};
use sluicegate::budget::{ClientKey, Clients};
use sluicegate::http::route::Route;
use sluicegate::limit::Budget;

use super::asking::{get, json, send};
use testkit::served::connect;
use testkit::watched::{TOKEN, Watched, folder};
use testkit::wire;

fn watched() -> (tempfile::TempDir, Watched) {
    let folder = folder();
    let watched = Watched::new(vec![Route::files("/", folder.path()).unwrap()]);
    (folder, watched)
}

/// The problem of an answer, which has all it must have.
fn problem(response: &testkit::wire::Answer, status: u16) -> Value {
    let problem = json(response, status);
    assert_eq!((&problem["type"], &problem["status"]), (&json!("about:blank"), &json!(status)));
    assert!(
        !problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty()
    );
    problem
}

#[test]
fn content_is_json_short_and_strict() {
    let (_folder, watched) = watched();
    let path = "/v1/limits/server";
    let before = get(&watched, path);
    for (content, status, pointer, said) in [
        ("", 400, None, "not JSON"),
        ("{", 400, None, "not JSON"),
        ("{} {}", 400, None, "not JSON"),
        ("[]", 422, None, "must be an object"),
        ("{\"rate\": 0}", 422, Some("#/rate"), "not a rate"),
        ("{\"rate\": \"60\"}", 422, Some("#/rate"), "does not say its unit"),
        ("{\"rate\": \"fast\"}", 422, Some("#/rate"), "is not a rate"),
        ("{\"weight\": 2}", 422, Some("#/weight"), "no weight"),
        ("{\"rte\": 1}", 422, Some("#/rte"), "not known here; known: rate"),
        (
            "{\"rate\": 1, \"burst\": 2, \"rate\": 3}",
            422,
            Some("#/rate"),
            "\"rate\" stands in the object twice",
        ),
        ("{\"a/b\": 1, \"a\\/b\": 1}", 422, Some("#/a~1b"), "twice"),
        ("{\"rate\": 1, \"burst\": -1}", 422, Some("#/burst"), "not a burst"),
    ] {
        let problem = problem(&send(&watched, "PATCH", path, "", content), status);
        assert_eq!(problem["pointer"].as_str(), pointer, "{content}");
        assert!(problem["detail"].as_str().unwrap().contains(said), "{content}: {problem}");
    }
    let whole = problem(&send(&watched, "PUT", path, "", "{\"burst\": 1}"), 422);
    assert_eq!(whole["pointer"], "#/rate", "PUT replaces, so the rate must be said");
    let deep = "[".repeat(10_000);
    problem(&send(&watched, "PATCH", path, "", &deep), 400);
    let nulls = "{\"\\u0000\": 1}";
    problem(&send(&watched, "PATCH", path, "", nulls), 422);

    let padded = |len: usize| format!("{{\"rate\": null{}}}", " ".repeat(len - 14));
    assert_eq!(send(&watched, "PATCH", path, "", &padded(16 * 1024)).status(), 200, "16 KiB are read");
    problem(&send(&watched, "PATCH", path, "", &padded(16 * 1024 + 1)), 413);
    let chunked = watched.ask(&format!(
        "PATCH {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n4001\r\n{}\r\n0\r\n\r\n",
        " ".repeat(0x4001)
    ));
    problem(&chunked, 413);
    assert_eq!(get(&watched, path), before, "nothing was changed");
}

#[test]
fn a_form_or_a_page_of_another_origin_changes_nothing() {
    let (_folder, watched) = watched();
    let path = "/v1/limits/server";
    for kind in
        ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"]
    {
        let field = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
        let request = format!(
            "PATCH {path} HTTP/1.1\r\nHost: localhost\r\n{field}Content-Length: 10\r\n\r\n{{\"rate\":1}}"
        );
        problem(&watched.ask(&request), 415);
    }
    problem(&send(&watched, "PATCH", path, "Content-Encoding: gzip\r\n", "{}"), 415);
    for kind in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"] {
        let request = format!(
            "PATCH {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        assert_eq!(watched.ask(&request).status(), 200, "{kind}");
    }
    for origin in ["http://evil.example", "null", "http://localhost:1"] {
        problem(&send(&watched, "PATCH", path, &format!("Origin: {origin}\r\n"), "{\"rate\":1}"), 403);
        let close =
            format!("DELETE /v1/connections/1 HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n");
        problem(&watched.ask(&close), 403);
        assert_eq!(
            watched.get(path, &format!("Origin: {origin}\r\n")).status(),
            200,
            "reading is the browser's matter"
        );
    }
    let rebound = watched.ask(
        "PATCH /v1/limits/server HTTP/1.1\r\nHost: rebound.example\r\nContent-Type: application/json\r\n\
         Content-Length: 10\r\n\r\n{\"rate\":1}",
    );
    problem(&rebound, 421);
    assert_eq!(send(&watched, "PATCH", path, "Origin: http://localhost\r\n", "{}").status(), 200);
    assert_eq!(get(&watched, path)["rate"], Value::Null, "nothing was changed");
}

#[test]
fn unknown_paths_and_methods_are_refused_with_the_allowed_methods() {
    let (_folder, watched) = watched();
    let absent = "/v1 /v1/ /v1/limit /v1/limits/ /v1/limits/servers /v1/limits/clients/ \
                  /v1/limits/clients/nobody /v1/limits/clients/127.0.0.1%2F64 /v1/limits/clients/%FF \
                  /v1/limits/routes/%2F /v1/limits/routes/%2F/rate /v1/limits/routes/%2Fnone/total \
                  /v1/limits/routes///total /v1/connections/0 /v1/connections/99 /v1/connections/-1 \
                  /v1/connections/x /v1/connections/18446744073709551616";
    for path in absent.split(' ') {
        problem(&watched.get(path, ""), 404);
    }
    for (path, allow) in [
        ("/v1/openapi.json", "GET, HEAD"),
        ("/v1/limits", "GET, HEAD, DELETE"),
        ("/v1/limits/clients", "GET, HEAD"),
        ("/v1/limits/server", "GET, HEAD, PUT, PATCH, DELETE"),
        ("/v1/limits/routes/%2F/total", "GET, HEAD, PUT, PATCH, DELETE"),
        ("/v1/limits/clients/192.0.2.1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("/v1/connections", "GET, HEAD"),
        ("/v1/connections/1", "GET, HEAD, DELETE"),
    ] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"] {
            if allow.contains(method) {
                continue;
            }
            let answer = send(&watched, method, path, "", "{}");
            problem(&answer, 405);
            assert_eq!(answer.field("allow"), Some(allow), "{method} {path}");
            assert!(answer.field("access-control-allow-origin").is_none());
        }
    }
    for query in
        ["limit=0", "limit=501", "limit=x", "after=-1", "after=9007199254740992", "limit=1&limit=2", "page=2"]
    {
        problem(&watched.get(&format!("/v1/connections?{query}"), ""), 400);
    }
    problem(&watched.get("/v1/limits?limit=1", ""), 400);
    let head = watched.ask("HEAD /v1/limits HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((head.status(), head.body.len()), (200, 0));
}

#[test]
fn no_more_clients_have_limits_of_their_own_than_may() {
    let (_folder, watched) = watched();
    let clients = watched.served.handle.budgets().clients();
    for n in 0..Clients::MAX_OVERRIDES as u32 {
        clients
            .set_override(
                &ClientKey::address(std::net::Ipv4Addr::from_bits(n).into()),
                Some(Budget::default()),
            )
            .unwrap();
    }
    let one_more = send(&watched, "PATCH", "/v1/limits/clients/192.0.2.1", "", "{\"rate\": 1}");
    assert!(problem(&one_more, 409)["detail"].as_str().unwrap().contains("10000"));
    assert_eq!(send(&watched, "PATCH", "/v1/limits/clients/0.0.0.1", "", "{\"rate\": 1}").status(), 200);
}

#[test]
fn with_a_token_nothing_of_the_api_goes_without_it() {
    let watched = Watched::with_token(Vec::new());
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    for path in ["/v1/openapi.json", "/v1/limits", "/v1/limits/server", "/v1/connections", "/v1/none"] {
        let answer = watched.get(path, "");
        problem(&answer, 401);
        assert!(answer.field("www-authenticate").unwrap().starts_with("Bearer"));
        let expected = if path == "/v1/none" { 404 } else { 200 };
        assert_eq!(watched.get(path, &right).status(), expected);
    }
    problem(&send(&watched, "PATCH", "/v1/limits/server", "", "{\"rate\": 1}"), 401);
    assert_eq!(send(&watched, "PATCH", "/v1/limits/server", &right, "{\"rate\": 1}").status(), 200);
}

#[test]
fn a_process_that_handed_on_its_listeners_changes_no_limit() {
    let folder = folder();
    let watched = Watched::new(vec![testkit::served::files(&folder, 5_000)]);
    // A download that keeps it from ending.
    let mut download = watched.served.begin("/large.bin");
    download.read_exact(&mut [0; 1]).unwrap();
    let mut stream = connect(watched.admin);
    // It waits for the content when the listeners are handed on.
    let head = "PATCH /v1/limits/server HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 13\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(interim, *b"HTTP/1.1 100 Continue\r\n\r\n");
    watched.served.handle.hand_over();
    stream.write_all(b"{\"rate\": 100}").unwrap();
    let answer = wire::answer(&mut stream);
    let detail = problem(&answer, 503)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("Another process has taken over") && detail.ends_with("Nothing was changed."));
    assert_eq!(watched.served.handle.budgets().server().budget().rate, None);
}
