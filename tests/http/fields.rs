//! Fields that routes set, add and remove, and routes that redirect, over HTTP/1 and HTTP/2.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method, Request};
use http_body_util::Empty;
use sluicegate::config::{FilterKinds, Loader};
use sluicegate::http::server::Server;
use sluicegate::rt;
use testkit::backend::Backend;
use testkit::h2::{WIDE, connect};
use testkit::served::Served;
use testkit::wire::{Client, answer_to, field};

fn serving(folder: &tempfile::TempDir, text: &str) -> Served {
    let text = format!("listen = '127.0.0.1:0'\n{text}");
    let config = Loader::new().parse(&text, "test.toml", folder.path()).unwrap();
    Served::running(Server::from_config(&config, &FilterKinds::default()).unwrap())
}

/// Asks over HTTP/1.1: the head of the answer.
fn ask(served: &Served, method: &str, target: &str, fields: &str) -> String {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{fields}\r\n");
    answer_to(served.send(request), method).head
}

/// Asks over HTTP/2: status and fields.
fn ask_h2(served: &Served, method: Method, target: &str, fields: &[(&str, &str)]) -> (u16, HeaderMap) {
    rt::block_on(async {
        let mut sender = connect(served.addr, WIDE).await;
        let mut request = Request::builder().method(method).uri(format!("http://t{target}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        (response.status().as_u16(), response.headers().clone())
    })
}

const HEADERS: &str = "[route.headers]\n\
    remove = ['x-from', 'Last-Modified']\n\
    set = { Strict-Transport-Security = 'max-age=63072000', Cache-Control = 'no-cache' }\n\
    add = { Set-Cookie = ['a=1', 'b=2'], Vary = 'Origin' }\n";

#[test]
fn a_routes_fields_are_on_all_its_responses() {
    let folder = testkit::folder::folder(&[("a.txt", b"0123456789"), ("page.html", b"<p>")]);
    let backend = Backend::saying(
        "HTTP/1.1 404 Not Found\r\nX-From: b\r\nCache-Control: max-age=5\r\nSet-Cookie: c=3\r\nContent-Length: 2\r\n\r\nno",
    );
    let text = format!(
        "[[route]]\npath='/files/'\nfiles='.'\nfilters=['gzip']\n{HEADERS}\
         [[route]]\npath='/b/'\nproxy='http://{}'\n{HEADERS}\
         [[route]]\npath='/dead/'\nproxy='http://127.0.0.1:1'\n{HEADERS}\
         [[route]]\npath='/moved/'\nredirect='/files/'\n{HEADERS}\
         [[route]]\npath='/e/'\nevents={{}}\n{HEADERS}",
        backend.addr
    );
    let served = serving(&folder, &text);
    let etag = ask(&served, "GET", "/files/a.txt", "");
    let etag = field(&etag, "etag").unwrap().to_owned();
    for (method, target, sent, status) in [
        ("GET", "/files/a.txt", &[][..], 200),
        ("HEAD", "/files/a.txt", &[], 200),
        ("GET", "/files/a.txt", &[("if-none-match", etag.as_str())], 304),
        ("GET", "/files/a.txt", &[("range", "bytes=2-3")], 206),
        ("GET", "/files/a.txt", &[("range", "bytes=20-")], 416),
        ("GET", "/files/none", &[], 404),
        ("POST", "/files/a.txt", &[], 405),
        ("OPTIONS", "/files/a.txt", &[], 204),
        ("GET", "/files", &[], 301),
        ("GET", "/b/x", &[], 404),
        ("GET", "/dead/x", &[], 502),
        ("GET", "/moved/x", &[], 308),
        ("GET", "/e/none/poll", &[], 421),
    ] {
        let lines: String = sent.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = ask(&served, method, target, &lines);
        let (status2, fields) = ask_h2(&served, method.parse().unwrap(), target, sent);
        assert_eq!((testkit::wire::status(&head), status2), (status, status), "{method} {target}");
        for (name, expected) in [
            ("strict-transport-security", Some("max-age=63072000")),
            ("cache-control", Some("no-cache")),
            ("x-from", None),
            ("last-modified", None),
        ] {
            assert_eq!(field(&head, name), expected, "{name} of {method} {target}: {head}");
            let over_h2 = fields.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(over_h2, expected, "{name} of {method} {target}");
        }
        let cookies: Vec<_> =
            head.lines().filter(|line| line.to_ascii_lowercase().starts_with("set-cookie")).collect();
        let of_backend = usize::from(target == "/b/x");
        assert_eq!(cookies.len(), 2 + of_backend, "{method} {target}: {head}");
        assert_eq!(fields.get_all("set-cookie").iter().count(), 2 + of_backend);
        assert!(head.to_ascii_lowercase().contains("vary: origin"), "{method} {target}: {head}");
    }
    // What has no route has no fields of one.
    assert_eq!(field(&ask(&served, "GET", "/none", ""), "strict-transport-security"), None);
}

#[test]
fn a_backend_gets_the_requests_fields_as_the_route_changes_them() {
    let seen = Arc::new(Mutex::new(String::new()));
    let noted = Arc::clone(&seen);
    let backend = Backend::new(move |stream, head| {
        use std::io::Write;
        *noted.lock().unwrap() = head.to_owned();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[[route]]\npath='/'\nproxy='http://{}'\nupstream_host='b.test'\n[route.request_headers]\n\
         remove = ['Cookie', 'X-Forwarded-For']\nset = {{ X-Key = 'k', X-Forwarded-Proto = 'https' }}\n\
         add = {{ Accept-Language = 'de' }}\n",
        backend.addr
    );
    let served = serving(&folder, &text);
    let sent = "Cookie: a=1\r\nX-Key: stolen\r\nX-Key: twice\r\nAccept-Language: en\r\n";
    assert_eq!(testkit::wire::status(&ask(&served, "GET", "/x", sent)), 204);
    let head = seen.lock().unwrap().clone();
    let all = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": ").filter(|(known, _)| known.eq_ignore_ascii_case(name)))
            .map(|(_, value)| value.trim().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(all("host"), ["b.test"]);
    assert_eq!(all("x-key"), ["k"]);
    assert_eq!(all("x-forwarded-proto"), ["https"]);
    assert_eq!(all("accept-language"), ["en", "de"]);
    assert_eq!([all("cookie"), all("x-forwarded-for")], [[""; 0]; 2]);
    assert_eq!(all("x-forwarded-host"), ["t"]);
}

#[test]
fn a_route_redirects_with_path_and_query_and_whatever_the_method() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[route]]\nhost='old.test'\npath='/'\nredirect='https://new.test'\n\
                [[route]]\npath='/docs/'\nredirect='http://d.test:81/v2/'\nredirect_status=302\nrate='1k'\n\
                [[route]]\npath='/a/'\nredirect='/b/'\n";
    let served = serving(&folder, text);
    for (target, host, status, location) in [
        ("/x/y?q=1&r=//z", "old.test", 308, Some("https://new.test/x/y?q=1&r=//z")),
        ("/", "old.test", 308, Some("https://new.test/")),
        ("//evil.test/x", "old.test", 308, Some("https://new.test/evil.test/x")),
        ("/x/../y", "old.test", 308, Some("https://new.test/y")),
        ("/docs/x?q", "t", 302, Some("http://d.test:81/v2/x?q")),
        ("/docs", "t", 301, Some("/docs/")),
        ("/a/x", "t", 308, Some("/b/x")),
        ("/a//evil.test", "t", 308, Some("/b/evil.test")),
        ("/a/%5cevil.test", "t", 308, Some("/b/%5Cevil.test")),
        ("/a/%0d%0aset-cookie:x=1", "t", 308, Some("/b/%0D%0Aset-cookie:x=1")),
        ("/a/../../x", "t", 400, None),
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\n\r\nx");
            let mut connection = Client::new(served.connect());
            connection.send(request.as_bytes());
            let answer = connection.answer_to(method);
            let expected = if status == 301 && method == "POST" { 308 } else { status };
            assert_eq!(
                (answer.status(), answer.field("location")),
                (expected, location),
                "{method} {target}"
            );
            if method == "HEAD" {
                assert_eq!(answer.body, b"");
            }
        }
    }
    let (status, fields) = ask_h2(&served, Method::GET, "/docs/x", &[]);
    assert_eq!((status, &fields["location"]), (302, &"http://d.test:81/v2/x".parse().unwrap()));
}
