//! Who may publish, and whose pages may read.

use sluicegate::config::EventSettings;

use crate::client::{ask, assert_problem, guarded, named, route, serve};
use testkit::served::Served;
use testkit::token_file::assert_replaced;
use testkit::wire::{self, Answer};

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
fn a_token_that_is_replaced_in_its_file_needs_no_restart() {
    assert_replaced(
        |token| Served::new(vec![guarded(named(), Some(token))]),
        |served, token| {
            let fields = format!("Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n");
            ask(served, "POST", "/events/s", &fields, EVENT).status()
        },
    );
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
        "X_Forwarded-For: 192.0.2.1\r\n",
        "X-Forwarded-Proto: https\r\n",
        "Forwarded: for=192.0.2.1\r\n",
        "Via: 1.1 proxy\r\n",
        "Origin: http://t\r\n",
        "Sec-Fetch-Site: same-origin\r\n",
    ] {
        assert_problem(&publish(fields), 403, "not_local");
    }
}

#[test]
fn a_list_names_allowed_origins() {
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

    let allowed = preflight(&served, "https://app.example", "X-Tenant, X-Forwarded-For");
    assert_eq!((allowed.status(), allowed.field("access-control-allow-methods")), (204, Some("GET, POST")));
    assert_eq!(
        (allowed.field("access-control-allow-headers"), allowed.field("access-control-allow-credentials")),
        (
            Some("authorization, cache-control, content-type, last-event-id, traceparent, x-tenant"),
            Some("true")
        )
    );
    let own = preflight(&served, "http://t", "x-tenant");
    assert_eq!((own.status(), own.field("access-control-allow-headers")), (204, None));
    assert_eq!(preflight(&served, "https://evil.example", "x-tenant").status(), 403);
}

fn preflight(served: &Served, origin: &str, asked: &str) -> Answer {
    let fields = format!(
        "Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: {asked}\r\n"
    );
    ask(served, "OPTIONS", "/events/s", &fields, "")
}

#[test]
fn pages_of_any_origin_read_where_all_may_but_not_with_credentials() {
    let served = serve(EventSettings { origins: vec!["*".to_owned()], ..named() });
    let read = served.get("/events/s/poll", "Origin: https://any.example\r\n");
    assert_eq!(
        (
            read.status(),
            read.field("access-control-allow-origin"),
            read.field("access-control-allow-credentials")
        ),
        (200, Some("*"), None)
    );
    let allowed = preflight(&served, "https://any.example", "cache-control,last-event-id,authorization");
    assert_eq!(
        (
            allowed.status(),
            allowed.field("access-control-allow-headers"),
            allowed.field("access-control-allow-credentials")
        ),
        (204, Some("authorization, cache-control, content-type, last-event-id, traceparent"), None)
    );
    let fields = "Content-Type: application/json\r\nOrigin: https://any.example\r\n";
    assert_problem(&ask(&served, "POST", "/events/s", fields, EVENT), 403, "not_local");
}

#[test]
fn a_page_that_has_its_name_bound_to_this_machine_gets_nothing() {
    let send = |served: &Served, request: &str| {
        wire::answer_to(served.send(request), request.split(' ').next().unwrap())
    };
    let [near, named_one] = [vec!["unused.example".to_owned()], vec!["app.example".to_owned()]]
        .map(|server_names| serve(EventSettings { server_names, ..named() }));
    let json = "Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"data\": \"a\"}";
    for (what, fine) in [
        ("POST /events/s", 200),
        ("GET /events/s/poll", 200),
        ("HEAD /events/s", 200),
        ("OPTIONS /events/s", 204),
    ] {
        let rest = if what.starts_with("POST") { json } else { "\r\n" };
        for (served, host, expected) in [
            (&near, "localhost:8080", fine),
            (&near, "127.0.0.1", fine),
            (&near, "[::1]:80", fine),
            (&near, "evil.example", 421),
            (&near, "localhost.evil.example", 421),
            (&near, "app.example", 421),
            (&named_one, "localhost", fine),
            (&named_one, "App.Example:8080", fine),
            (&named_one, "evil.example", 421),
        ] {
            let request = format!("{what} HTTP/1.1\r\nHost: {host}\r\nOrigin-Trial: x\r\n{rest}");
            assert_eq!(send(served, &request).status(), expected, "{what} for {host}");
        }
    }
    let refused =
        send(&near, "GET /events/s HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n\r\n");
    assert_problem(&refused, 421, "foreign_host");
    assert_eq!(refused.field("access-control-allow-origin"), None);
}
