//! Pages for errors of files and of the proxy: whole, with the status, over HTTP/1 and HTTP/2.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use sluicegate::config::{FilterKinds, Loader};
use sluicegate::http::server::Server;
use sluicegate::rt;
use testkit::backend::Backend;
use testkit::h2::{WIDE, connect};
use testkit::served::Served;
use testkit::wait::until;
use testkit::wire::{Answer, answer_to};

const LOST: &str = "<h1>Lost</h1>\n";
const DOWN: &str = "{\"error\":\"down\"}";

fn load(folder: &tempfile::TempDir, text: &str) -> Result<sluicegate::config::Config, String> {
    let text = format!("listen = '127.0.0.1:0'\n{text}");
    Loader::new().parse(&text, "f", folder.path()).map_err(|error| error.to_string())
}

fn serving(folder: &tempfile::TempDir, text: &str) -> Served {
    Served::running(Server::from_config(&load(folder, text).unwrap(), &FilterKinds::default()).unwrap())
}

fn ask(served: &Served, method: &str, target: &str, fields: &str) -> Answer {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{fields}\r\n");
    answer_to(served.send(request), method)
}

fn pages() -> tempfile::TempDir {
    testkit::folder::folder(&[
        ("pages/404.html", LOST.as_bytes()),
        ("pages/down.json", DOWN.as_bytes()),
        ("site/a.txt", b"0123456789"),
    ])
}

const PAGES: &str = "error_pages = { 404 = 'pages/404.html', 405 = 'pages/404.html', 416 = 'pages/404.html', \
                     502 = 'pages/down.json' }";

#[test]
fn errors_of_files_and_of_the_proxy_have_their_pages_and_those_of_backends_not() {
    let folder = pages();
    let backend = Backend::saying("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
    let text = format!(
        "[[route]]\npath='/'\nfiles='site'\n{PAGES}\n[[route]]\npath='/b/'\nproxy='http://{}'\n{PAGES}\n\
         [[route]]\npath='/dead/'\nproxy='http://127.0.0.1:1'\n{PAGES}\n",
        backend.addr
    );
    let served = serving(&folder, &text);
    let (html, json) = ("text/html; charset=utf-8", "application/json; charset=utf-8");
    for (method, target, fields, status, media_type, content) in [
        ("GET", "/none", "", 404, html, LOST),
        ("HEAD", "/none", "", 404, html, ""),
        // Neither parts of the page nor conditions about it.
        ("GET", "/none", "Range: bytes=0-1\r\nIf-None-Match: *\r\n", 404, html, LOST),
        ("POST", "/a.txt", "Content-Length: 0\r\n", 405, html, LOST),
        ("GET", "/a.txt", "Range: bytes=20-\r\n", 416, html, LOST),
        ("GET", "/dead/x", "", 502, json, DOWN),
        ("HEAD", "/dead/x", "", 502, json, ""),
    ] {
        let answer = ask(&served, method, target, fields);
        assert_eq!((answer.status(), answer.text()), (status, content), "{method} {target}");
        assert_eq!(answer.field("content-type"), Some(media_type), "{method} {target}");
        let whole = if media_type == html { LOST } else { DOWN };
        assert_eq!(answer.field("content-length"), Some(whole.len().to_string().as_str()));
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
        assert_eq!([answer.field("etag"), answer.field("accept-ranges")], [None, None], "{method} {target}");
    }
    // What explains the status stays.
    assert_eq!(
        ask(&served, "POST", "/a.txt", "Content-Length: 0\r\n").field("allow"),
        Some("GET, HEAD, OPTIONS")
    );
    let range = ask(&served, "GET", "/a.txt", "Range: bytes=20-\r\n");
    assert_eq!(range.field("content-range"), Some("bytes */10"));
    // A backend's own error is its own, and what is no error has no page.
    let own = ask(&served, "GET", "/b/x", "");
    assert_eq!((own.status(), own.text()), (404, "no"));
    assert_eq!(ask(&served, "GET", "/a.txt", "").text(), "0123456789");

    let (status, content) = rt::block_on(async {
        let mut sender = connect(served.addr, WIDE).await;
        let request = Request::builder().method(Method::GET).uri("http://t/none").body(Empty::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    });
    assert_eq!((status, &content[..]), (404, LOST.as_bytes()));
}

#[test]
fn refusals_of_content_have_the_pages_and_fields_of_their_route() {
    let folder = pages();
    // It never answers.
    let backend = Backend::new(|stream, _| {
        let _ = std::io::copy(stream, &mut std::io::sink());
    });
    let text = format!(
        "body_timeout='200ms'\n[[route]]\npath='/'\nproxy='http://{}'\nmax_body='10B'\nheaders={{ set = {{ 'x-of' = 'route' }} }}\n\
         error_pages = {{ 413 = 'pages/404.html', 408 = 'pages/404.html', 502 = 'pages/down.json' }}\n\
         [[route]]\npath='/f/'\nfiles='site'\nmax_body='10B'\nheaders={{ set = {{ 'x-of' = 'route' }} }}\n\
         error_pages = {{ 413 = 'pages/404.html' }}\n",
        backend.addr
    );
    let served = serving(&folder, &text);
    for (target, fields, status) in [
        ("/", "Content-Length: 11\r\n\r\n01234567890", 413),
        ("/f/a.txt", "Content-Length: 11\r\n\r\n01234567890", 413),
        ("/", "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n", 413),
        ("/", "Content-Length: 5\r\n\r\n0", 408),
    ] {
        let answer = ask(&served, "POST", target, fields);
        assert_eq!((answer.status(), answer.text()), (status, LOST), "{target} {fields}");
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"), "{target} {fields}");
        assert_eq!(answer.field("x-of"), Some("route"), "{target} {fields}");
        assert_eq!(answer.field("connection"), Some("close"), "{target} {fields}");
    }
}

#[test]
fn a_page_is_paced_like_other_responses() {
    let folder = pages();
    std::fs::write(folder.path().join("pages/404.html"), vec![b'x'; 4000]).unwrap();
    let served = serving(&folder, &format!("[[route]]\npath='/'\nfiles='site'\nrate='5k'\n{PAGES}"));
    let answer = ask(&served, "GET", "/none", "");
    assert_eq!((answer.status(), answer.body.len()), (404, 4000));
    // Chunks of 1 KiB each 200 ms: the third leaves after two intervals, the rest with it.
    assert!(answer.lasted() >= Duration::from_millis(390), "{:?}", answer.lasted());
}

#[test]
fn a_page_that_changes_is_read_anew_and_one_that_is_lost_stays() {
    let folder = pages();
    let served = serving(&folder, &format!("[[route]]\npath='/'\nfiles='site'\n{PAGES}"));
    let text = || ask(&served, "GET", "/none", "").text().to_owned();
    assert_eq!(text(), LOST);
    let page = folder.path().join("pages/404.html");
    std::fs::write(folder.path().join("new"), "other").unwrap();
    std::fs::rename(folder.path().join("new"), &page).unwrap();
    until("the new page", || text() == "other");
    std::fs::remove_file(&page).unwrap();
    assert_eq!(text(), "other");
}

#[test]
fn a_page_that_cannot_be_sent_is_a_fault_at_the_start() {
    let folder = pages();
    std::fs::write(folder.path().join("large"), vec![0; (1 << 20) + 1]).unwrap();
    let route = |source: &str, pages: &str| format!("[[route]]\npath='/'\n{source}\nerror_pages={pages}");
    for (source, pages, why) in [
        ("files='site'", "{404='none.html'}", "f:5:18: error_pages in [[route]] \"/\": there is no file"),
        ("files='site'", "{404='pages'}", "is a folder; give a file in it"),
        ("files='site'", "{200='pages/404.html'}", "\"200\" is not the status of an error, 400 to 599"),
        ("files='site'", "{4xx='pages/404.html'}", "\"4xx\" is not the status of an error, 400 to 599"),
        ("files='site'", "{404=5}", "expected a string"),
        ("files='site'", "'404.html'", "expected a table such as { 404 = \"404.html\" }"),
        ("redirect='https://a.test'", "{404='pages/404.html'}", "does nothing without files or proxy"),
    ] {
        let error = load(&folder, &route(source, pages)).unwrap_err();
        assert!(error.contains(why), "{pages}: {error}");
    }
    let config = load(&folder, &route("files='site'", "{404='large'}")).unwrap();
    let error = Server::from_config(&config, &FilterKinds::default()).err().unwrap().to_string();
    assert!(error.contains("route /: error_pages: ") && error.contains("1048576 bytes"), "{error}");
}
