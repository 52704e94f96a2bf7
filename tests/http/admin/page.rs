//! The page for browsers: its files, and the fields that they are sent with.

use testkit::watched::{TOKEN, Watched};

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";

#[test]
fn a_browser_gets_the_page_and_other_programs_the_list() {
    let watched = Watched::new(Vec::new());
    let page = watched.get("/", BROWSER);
    assert_eq!((page.status(), page.field("content-type")), (200, Some("text/html; charset=utf-8")));
    let list = watched.get("/", "Accept: */*\r\n");
    assert_eq!((list.status(), list.field("content-type")), (200, Some("text/plain; charset=utf-8")));
    let text = String::from_utf8(page.body).unwrap();
    assert!(
        text.contains("type=\"password\" autocomplete=\"off\""),
        "no browser is invited to keep the token"
    );
    // All that the page names is there, by relative addresses.
    let named = text.split('"').filter(|part| part.starts_with("page/"));
    let mut count = 0;
    for path in named {
        count += 1;
        assert_eq!(watched.get(&format!("/{path}"), "").status(), 200, "{path}");
    }
    assert!(count >= 3, "{text}");
    for policy in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
        let fields = watched.get("/", BROWSER);
        assert!(fields.field("content-security-policy").unwrap().contains(policy), "{policy}");
        assert_eq!(fields.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(fields.field("referrer-policy"), Some("no-referrer"));
    }
    for (request, status) in [
        ("POST / HTTP/1.1", 405),
        ("PUT /page/main.js HTTP/1.1", 405),
        ("GET /page/none.js HTTP/1.1", 404),
        ("HEAD /page/main.js HTTP/1.1", 200),
    ] {
        let answer =
            watched.ask(&format!("{request}\r\nHost: localhost\r\n{BROWSER}Content-Length: 0\r\n\r\n"));
        assert_eq!(answer.status(), status, "{request}");
    }
}

#[test]
fn the_page_says_nothing_of_the_server_and_needs_no_token() {
    let (open, closed) = (Watched::new(Vec::new()), Watched::with_token(Vec::new()));
    for path in ["/", "/page/main.js", "/page/style.css"] {
        let text = closed.get(path, BROWSER);
        assert_eq!(text.status(), 200, "{path}");
        assert_eq!(text.body, open.get(path, BROWSER).body, "{path}: the same for everybody");
    }
    assert_eq!(closed.get("/", "").status(), 401);
    assert_eq!(closed.get("/", &format!("Authorization: Bearer {TOKEN}\r\n")).status(), 200);
    // Without a token a page of another name reads nothing through a browser here.
    let rebound = format!("GET / HTTP/1.1\r\nHost: rebound.example\r\n{BROWSER}\r\n");
    assert_eq!(open.ask(&rebound).status(), 421);
    assert_eq!(closed.ask(&rebound).status(), 200);
}

#[test]
fn nobody_else_answers_with_it() {
    let watched = Watched::new(Vec::new());
    for path in ["/", "/page/main.js", "/v1/live", "/v1/changes"] {
        assert_eq!(watched.served.get(path, BROWSER).status(), 404, "{path}");
    }
}
