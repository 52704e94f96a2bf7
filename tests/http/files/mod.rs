//! The files room, asked directly: what comes back for which request, byte by byte.

mod confined;
mod kept;
mod replaced;
mod selected;
mod site;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use futures_lite::future::block_on;
use http::{Method, Request, StatusCode};
use sluicegate::http::files::Files;

use site::{MODIFIED, Site, ask, collect, read};

#[test]
fn a_file_comes_whole_and_described() {
    let site = Site::new();
    let answer = site.get("digits.txt");
    assert_eq!((answer.status(), answer.text()), (200, "0123456789"));
    for (name, value) in [
        ("content-length", "10"),
        ("content-type", "text/plain; charset=utf-8"),
        ("accept-ranges", "bytes"),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("etag", &format!("\"{:x}-a\"", u128::from(MODIFIED) * 1_000_000_000)),
    ] {
        assert_eq!(answer.field(name), value, "{name}");
    }

    let empty = site.get("empty");
    assert_eq!((empty.status(), empty.text(), empty.field("content-length")), (200, "", "0"));
    assert_eq!(site.get("caf%C3%A9.txt").text(), "coffee");
}

#[test]
fn segments_of_streams_have_the_types_that_players_know_and_ones_own_come_first() {
    let mut site = Site::new();
    for name in ["a.ts", "a.m3u8", "a.m4s", "a.gpx"] {
        site.write(&format!("root/{name}"), name);
    }
    let types = |site: &Site| {
        ["a.ts", "a.m3u8", "a.m4s", "a.gpx"].map(|name| site.get(name).field("content-type").to_owned())
    };
    let [ts, m3u8, m4s] = ["video/mp2t", "application/vnd.apple.mpegurl", "video/iso.segment"];
    assert_eq!(types(&site)[..3], [ts, m3u8, m4s]);
    site.files = site.files.media_type("ts", "text/x-typescript").media_type("GPX", "application/gpx+xml");
    assert_eq!(
        types(&site),
        ["text/x-typescript; charset=utf-8", m3u8, m4s, "application/gpx+xml; charset=utf-8"]
    );
}

#[test]
fn a_large_file_comes_in_order() {
    let site = Site::new();
    let content: Vec<u8> = (0..1_000_003_u32).map(|at| (at % 241) as u8).collect();
    site.write("root/large", &content);
    assert!(site.get("large").body.unwrap() == content);
}

#[test]
fn a_folder_is_answered_with_its_index() {
    let site = Site::new();
    assert_eq!(site.get("").text(), "<h1>root</h1>");
    assert_eq!(site.get("sub/").text(), "<h1>sub</h1>");
    assert_eq!(site.get("sub/").field("content-type"), "text/html; charset=utf-8");
    for path in ["bare/", "nothing/", "digits.txt/"] {
        assert_eq!(site.get(path).status(), 404, "{path}");
    }

    let other = site.files.clone().index("digits.txt");
    assert_eq!(ask(&other, Method::GET, "", &[]).text(), "0123456789");
    for index in ["", "sub", "..", "../outside/secret.txt", "sub/index.html", ".secret"] {
        let other = site.files.clone().index(index);
        assert_eq!(ask(&other, Method::GET, "", &[]).status(), 404, "{index}");
    }
}

#[test]
fn a_folder_without_its_slash_is_redirected() {
    let site = Site::new();
    for (path, location) in [("sub", "/sub/"), ("sub?a=b", "/sub/?a=b"), ("bare/inner", "/bare/inner/")] {
        let answer = site.get(path);
        assert_eq!((answer.status(), answer.field("location")), (301, location), "{path}");
    }
    // As `//sub` would be asked for: not a redirect to a host called "sub".
    let (request, ()) = Request::get("//sub").body(()).unwrap().into_parts();
    assert_eq!(read(site.files.respond(&request, "/sub")).status(), 404);
    assert_eq!(read(site.files.respond(&request, "sub")).field("location"), "/sub/");
    // A route at /pages/, asked for without its slash.
    let (request, ()) = Request::get("/pages?x").body(()).unwrap().into_parts();
    assert_eq!(read(site.files.respond(&request, "")).field("location"), "/pages/?x");
}

#[test]
fn other_methods_get_405_with_allow() {
    let site = Site::new();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::TRACE, Method::PATCH] {
        let answer = site.ask(method.clone(), "digits.txt", &[]);
        assert_eq!((answer.status(), answer.field("allow")), (405, "GET, HEAD, OPTIONS"), "{method}");
    }
    let answer = site.ask(Method::OPTIONS, "digits.txt", &[]);
    assert_eq!((answer.status(), answer.field("allow"), answer.empty), (204, "GET, HEAD, OPTIONS", true));
    assert!(!answer.head.headers.contains_key("content-length"), "RFC 9110 §8.6: none with 204");
}

#[test]
fn head_has_the_fields_of_get_and_no_content() {
    let mut site = Site::new();
    site.files = site.files.list(true);
    let tag = site.get("digits.txt").field("etag").to_owned();
    for (path, fields) in [
        ("", &[][..]),
        ("digits.txt", &[]),
        ("empty", &[]),
        ("sub", &[]),
        ("bare/", &[]),
        ("nothing", &[]),
        ("digits.txt", &[("if-none-match", tag.as_str())]),
        ("digits.txt", &[("if-match", "\"x\"")]),
    ] {
        let [get, head] = [Method::GET, Method::HEAD].map(|method| site.ask(method, path, fields));
        assert_eq!((get.head.status, &get.head.headers), (head.head.status, &head.head.headers), "{path}");
        assert!(head.empty, "{path}");
    }
    // Range is for GET only (RFC 9110 §14.2).
    let head = site.ask(Method::HEAD, "digits.txt", &[("range", "bytes=1-2")]);
    assert_eq!((head.status(), head.field("content-length")), (200, "10"));
}

#[test]
fn a_list_shows_what_is_served_and_is_off_unless_asked_for() {
    let mut site = Site::new();
    assert_eq!(site.get("bare/").status(), 404);
    site.files = site.files.list(true);
    site.write("root/bare/<img src=x onerror=alert(1)>", "");
    site.write("root/bare/.dotted", "");
    symlink("../../outside/secret.txt", site.dir.path().join("root/bare/leak")).unwrap();
    let answer = site.get("bare/");
    assert_eq!((answer.status(), answer.field("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(answer.field("x-content-type-options"), "nosniff");
    assert_eq!(answer.field("content-length"), answer.text().len().to_string());
    let page = answer.text();
    for shown in
        ["<a href=\"inner/\">inner/</a>", "<a href=\"a%20%26%20b.txt\">a &amp; b.txt</a>", "&lt;img src=x"]
    {
        assert!(page.contains(shown), "{shown}\n{page}");
    }
    for hidden in ["<img", "dotted", "leak", "secret"] {
        assert!(!page.contains(hidden), "{hidden}\n{page}");
    }
    assert_eq!(site.get("bare/a%20%26%20b.txt").text(), "bare", "the link works");
    assert_eq!(site.get("sub/").text(), "<h1>sub</h1>", "an index comes first");
    assert_eq!(site.get("nothing/").status(), 404);
    assert_eq!(site.get("digits.txt/").status(), 404);
}

#[test]
fn a_file_that_shrinks_is_an_error_and_never_a_short_success() {
    let site = Site::new();
    let path = site.dir.path().join("root/large");
    site.write("root/large", vec![b'x'; 200_000]);
    let (request, ()) = Request::get("/large").body(()).unwrap().into_parts();
    let response = block_on(site.files.respond(&request, "large"));
    assert_eq!(
        (response.status(), &response.headers()["content-length"]),
        (StatusCode::OK, &"200000".parse().unwrap())
    );
    File::options().write(true).open(path).unwrap().set_len(100_000).unwrap();
    let error = collect(response.into_body()).unwrap_err();
    assert!(error.contains("shrank") && error.contains("byte 100000"), "{error}");
}

#[test]
fn a_file_replaced_while_it_is_served_stays_the_one_it_was() {
    let site = Site::new();
    let (request, ()) = Request::get("/digits.txt").body(()).unwrap().into_parts();
    let response = block_on(site.files.respond(&request, "digits.txt"));
    site.write("outside/new", "completely new");
    fs::rename(site.dir.path().join("outside/new"), site.dir.path().join("root/digits.txt")).unwrap();
    assert_eq!(collect(response.into_body()).unwrap(), b"0123456789");
    assert_eq!(site.get("digits.txt").text(), "completely new");
}

#[test]
fn every_link_of_the_site_in_fixtures_leads_somewhere() {
    let files = Files::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/site")).unwrap();
    let mut seen = vec!["".to_owned()];
    let mut next = 0;
    while let Some(path) = seen.get(next).cloned() {
        next += 1;
        let answer = ask(&files, Method::GET, &path, &[]);
        assert_eq!(answer.status(), 200, "{path}");
        if !answer.field("content-type").starts_with("text/html") {
            continue;
        }
        for link in answer.text().split(['\n', ' ', '>']).filter_map(|attribute| {
            attribute.strip_prefix("href=\"").or(attribute.strip_prefix("src=\""))?.strip_suffix('"')
        }) {
            let path = resolve(&path, link);
            if !seen.contains(&path) {
                seen.push(path);
            }
        }
    }
    seen.sort();
    let pages = ["", "guide/", "guide/%C3%A9cluses.html", "guide/bursts.html", "guide/slow-sources.html"];
    assert_eq!(seen, [&pages[..], &["images/staircase.png", "logs/app.log", "style.css"]].concat());
    assert!(ask(&files, Method::GET, "logs/app.log", &[]).body.unwrap().len() >= 2 << 20);
}

/// Where a relative `link` on the page at `base` leads.
fn resolve(base: &str, link: &str) -> String {
    let mut folder: Vec<&str> = base.split('/').collect();
    folder.pop();
    let mut link = link.strip_prefix("./").unwrap_or(link);
    while let Some(rest) = link.strip_prefix("../") {
        folder.pop();
        link = rest;
    }
    folder.push(link);
    folder.join("/")
}
