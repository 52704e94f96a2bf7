//! Who may publish, and whose pages may read.

use serde_json::json;
use sluicegate::config::EventSettings;

use crate::client::{ask, assert_problem, named, route, serve};
use crate::served::Served;

const EVENT: &str = "{\"data\": \"a\"}";

#[test]
fn publishing_needs_the_token() {
    let served = Served::new(vec![route(named(), Some("0123456789abcdef"))]);
    let publish = |fields: &str| {
        ask(&served, "POST", "/events/s", &format!("Content-Type: application/json\r\n{fields}"), EVENT)
    };
    for fields in
        ["", "Authorization: Bearer 0123456789abcdee\r\n", "Authorization: Basic 0123456789abcdef\r\n"]
    {
        let refused = publish(fields);
        assert_problem(&refused, 401, "no_token");
        assert_eq!(refused.field("www-authenticate"), Some("Bearer realm=\"publish\""));
    }
    assert_eq!(publish("Authorization: Bearer 0123456789abcdef\r\n").status(), 200);
    assert_eq!(served.get("/events/s/poll", "").status(), 200, "reading needs none");
}

#[test]
fn without_a_token_only_programs_on_this_machine_publish() {
    let served = serve(named());
    let publish = |fields: &str| {
        ask(&served, "POST", "/events/s", &format!("Content-Type: application/json\r\n{fields}"), EVENT)
    };
    assert_eq!(publish("").status(), 200);
    for fields in [
        "X-Forwarded-For: 192.0.2.1\r\n",
        "Forwarded: for=192.0.2.1\r\n",
        "Via: 1.1 proxy\r\n",
        "Origin: http://t\r\n",
        "Sec-Fetch-Site: same-origin\r\n",
    ] {
        assert_problem(&publish(fields), 403, "not_local");
    }
}

#[test]
fn pages_of_other_origins_are_told_by_a_list() {
    let served = serve(EventSettings { origins: vec!["https://app.example".to_owned()], ..named() });
    let poll = |origin: &str| served.get("/events/s/poll", &format!("Origin: {origin}\r\n"));
    let listed = poll("https://app.example");
    assert_eq!(
        (listed.status(), listed.field("access-control-allow-origin")),
        (200, Some("https://app.example"))
    );
    assert_eq!(listed.field("vary"), Some("origin"));
    let own = poll("http://t");
    assert_eq!((own.status(), own.field("access-control-allow-origin")), (200, None));
    let foreign = poll("https://evil.example");
    assert_problem(&foreign, 403, "foreign_origin");
    assert_eq!(foreign.field("access-control-allow-origin"), None);

    let preflight = |origin: &str| {
        let fields = format!("Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\n");
        ask(&served, "OPTIONS", "/events/s/ack", &fields, "")
    };
    let allowed = preflight("https://app.example");
    assert_eq!((allowed.status(), allowed.field("access-control-allow-methods")), (204, Some("GET, POST")));
    assert!(allowed.field("access-control-allow-headers").unwrap().contains("content-type"));
    assert_eq!(preflight("https://evil.example").status(), 403);
    let _ = json!(null);
}
