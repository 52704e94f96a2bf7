//! The files room, asked directly: what comes back for which request, byte by byte.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_lite::future::{block_on, poll_fn};
use http::{Method, Request, Response, StatusCode};
use proptest::prelude::*;
use sluicegate::brigade::Bucket;
use sluicegate::http::content::Content;
use sluicegate::http::files::{Files, Root};
use sluicegate::rt::FileReader;

/// Sun, 06 Nov 1994 08:49:37 GMT
const MODIFIED: u64 = 784_111_777;

/// A root with a few files, long unmodified, and a folder next to it that is none of our business.
struct Site {
    dir: tempfile::TempDir,
    files: Files,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/sub/deep")).unwrap();
        fs::create_dir_all(dir.path().join("root/bare/inner")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        let files = Files::new(&dir.path().join("root")).unwrap();
        let site = Self { dir, files };
        for (name, content) in [
            ("root/index.html", "<h1>root</h1>"),
            ("root/sub/index.html", "<h1>sub</h1>"),
            ("root/digits.txt", "0123456789"),
            ("root/empty", ""),
            ("root/café.txt", "coffee"),
            ("root/.secret", "hidden"),
            ("root/bare/a & b.txt", "bare"),
            ("outside/secret.txt", "secret"),
        ] {
            site.write(name, content);
        }
        site
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        age(&path);
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[])
    }

    fn ask(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Answer {
        ask(&self.files, method, path, fields)
    }
}

fn age(path: &Path) {
    let time = UNIX_EPOCH + Duration::from_secs(MODIFIED);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// A response with its body read to the end.
struct Answer {
    head: http::response::Parts,
    body: Result<Vec<u8>, String>,
    empty: bool,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_ref().unwrap()).unwrap()
    }

    fn field(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn status(&self) -> u16 {
        self.head.status.as_u16()
    }
}

fn ask(files: &Files, method: Method, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("/{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (request, ()) = request.body(()).unwrap().into_parts();
    let path = path.split('?').next().unwrap();
    read(sendable(files.respond(&request, path)))
}

/// The server spawns what answers.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

fn read(response: impl Future<Output = Response<Content>>) -> Answer {
    let (head, content) = block_on(response).into_parts();
    let empty = matches!(content, Content::Empty);
    Answer { head, body: collect(content), empty }
}

fn collect(content: Content) -> Result<Vec<u8>, String> {
    let mut buckets = match content {
        Content::Empty => return Ok(Vec::new()),
        Content::Buckets(buckets) => buckets,
        Content::Stream(_) => panic!("files do not stream"),
    };
    let mut body = Vec::new();
    let mut reader = FileReader::new();
    while let Some(bucket) = buckets.pop() {
        match bucket {
            Bucket::Data(bytes) => body.extend_from_slice(&bytes),
            Bucket::File(mut slice) => {
                while !slice.is_empty() {
                    let read = block_on(poll_fn(|cx| reader.poll_read(cx, &slice)));
                    let bytes = read.map_err(|error| error.to_string())?;
                    let _read = slice.split_to(bytes.len() as u64);
                    body.extend_from_slice(&bytes);
                }
            }
            Bucket::Eos => assert!(buckets.is_empty()),
            other => panic!("{other:?}"),
        }
    }
    Ok(body)
}

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
fn what_is_not_served_is_not_there() {
    let site = Site::new();
    let root = site.dir.path().join("root");
    symlink("../outside", root.join("out")).unwrap();
    symlink(site.dir.path().join("outside/secret.txt"), root.join("absolute")).unwrap();
    symlink("sub/index.html", root.join("inside")).unwrap();
    let mode = rustix::fs::Mode::from(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let (long, deep) = ("n".repeat(256), "d/".repeat(3000));
    for path in [
        "nothing",
        ".secret",
        "%2esecret",
        "../outside/secret.txt",
        "..",
        "sub/../digits.txt",
        "sub/../../outside/secret.txt",
        "%2e%2e/outside/secret.txt",
        "%2E%2E%2Foutside%2Fsecret.txt",
        "sub/%2e%2e/%2e%2e/outside/secret.txt",
        "..%5coutside",
        "sub%5c..%5cdigits.txt",
        "/etc/passwd",
        "//etc/passwd",
        "%2fetc%2fpasswd",
        "digits.txt%00",
        "%00",
        "sub//index.html",
        "./digits.txt",
        "digits.txt/x",
        "out/secret.txt",
        "out/",
        "absolute",
        "fifo",
        "socket",
        &long,
        &deep,
    ] {
        let answer = site.get(path);
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.text(), "There is nothing here by this name.\n");
        assert_eq!(answer.field("x-content-type-options"), "nosniff");
        assert_eq!(answer.field("content-type"), "text/plain; charset=utf-8");
    }
    // Followed by the kernel's resolver, not by the walker; see `confine`.
    assert!([200, 404].contains(&site.get("inside").status()));
}

#[test]
fn without_openat2_the_same_is_served_but_for_links() {
    let site = Site::new();
    let root = site.dir.path().join("root");
    symlink("digits.txt", root.join("inside")).unwrap();
    symlink("sub", root.join("folder")).unwrap();
    symlink("../outside", root.join("out")).unwrap();
    let walking = Files::below(Root::walking(&root).unwrap());
    for (path, status) in [
        ("", 200),
        ("digits.txt", 200),
        ("sub/", 200),
        ("sub", 301),
        ("sub/index.html", 200),
        ("inside", 404),
        ("folder/index.html", 404),
        ("out/secret.txt", 404),
        ("../outside/secret.txt", 404),
        (".secret", 404),
        ("nothing", 404),
    ] {
        assert_eq!(ask(&walking, Method::GET, path, &[]).status(), status, "{path}");
    }
}

#[test]
fn an_unreadable_file_is_forbidden() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may read every file");
        return;
    }
    let site = Site::new();
    let path = site.dir.path().join("root/digits.txt");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let answer = site.get("digits.txt");
    assert_eq!((answer.status(), answer.text()), (403, "This file may not be read.\n"));
}

#[test]
fn other_methods_are_told_what_is_allowed() {
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
fn conditions_decide_before_ranges_and_in_their_order() {
    let site = Site::new();
    let tag = site.get("digits.txt").field("etag").to_owned();
    let weak = format!("W/{tag}");
    let (then, before) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:36 GMT");
    let part = ("range", "bytes=2-4");
    for (fields, status) in [
        (vec![("if-none-match", tag.as_str())], 304),
        (vec![("if-none-match", &weak), part], 304),
        (vec![("if-none-match", "\"other\""), ("if-modified-since", then)], 200),
        (vec![("if-modified-since", then)], 304),
        (vec![("if-modified-since", before)], 200),
        (vec![("if-modified-since", "not a date")], 200),
        (vec![("if-match", "\"other\""), ("if-none-match", &tag)], 412),
        (vec![("if-match", &tag), ("if-unmodified-since", before)], 200),
        (vec![("if-unmodified-since", before), part], 412),
        (vec![("if-unmodified-since", then), part], 206),
        (vec![("if-range", &tag), part], 206),
        (vec![("if-range", &weak), part], 200),
        (vec![("if-range", then), part], 206),
        (vec![("if-range", before), part], 200),
        (vec![("if-range", "\"other\""), ("range", "bytes=90-")], 200),
    ] {
        let answer = site.ask(Method::GET, "digits.txt", &fields);
        assert_eq!(answer.status(), status, "{fields:?}");
        assert_eq!(answer.field("etag"), tag);
        if status == 304 {
            assert!(answer.empty && answer.field("content-length").is_empty());
            assert_eq!(answer.field("last-modified"), then);
        }
    }
    assert_eq!(
        site.ask(Method::GET, "nothing", &[("if-match", "*")]).status(),
        404,
        "only what is there matches"
    );
}

#[test]
fn a_file_just_written_has_a_weak_tag() {
    let site = Site::new();
    let path = site.dir.path().join("root/digits.txt");
    let time = SystemTime::now() + Duration::from_secs(3600);
    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let answer = site.get("digits.txt");
    let tag = answer.field("etag");
    assert!(tag.starts_with("W/\""), "{tag}");
    let again = site.ask(Method::GET, "digits.txt", &[("if-range", tag), ("range", "bytes=0-1")]);
    assert_eq!(again.status(), 200);
    assert_eq!(site.ask(Method::GET, "digits.txt", &[("if-none-match", tag)]).status(), 304);
}

#[test]
fn one_range_comes_as_it_is() {
    let site = Site::new();
    for (range, content_range, text) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=-99", "bytes 0-9/10", "0123456789"),
        ("bytes=8-99", "bytes 8-9/10", "89"),
        ("bytes=0-3,2-5", "bytes 0-5/10", "012345"),
        ("bytes=3-4,50-", "bytes 3-4/10", "34"),
    ] {
        let answer = site.ask(Method::GET, "digits.txt", &[("range", range)]);
        assert_eq!((answer.status(), answer.text()), (206, text), "{range}");
        assert_eq!(answer.field("content-range"), content_range);
        assert_eq!(answer.field("content-length"), text.len().to_string());
        assert_eq!(answer.field("content-type"), "text/plain; charset=utf-8");
    }
}

#[test]
fn ranges_that_mean_nothing_are_ignored_and_those_that_miss_are_refused() {
    let site = Site::new();
    for range in
        ["bytes=4-2", "lines=1-2", "bytes=x", "bytes=1-2,x", &format!("bytes={}", "0-0,2-2,".repeat(9))]
    {
        let answer = site.ask(Method::GET, "digits.txt", &[("range", range)]);
        assert_eq!((answer.status(), answer.text()), (200, "0123456789"), "{range}");
        assert!(answer.field("content-range").is_empty());
    }
    let twice = site.ask(Method::GET, "digits.txt", &[("range", "bytes=0-0"), ("range", "bytes=1-1")]);
    assert_eq!(twice.status(), 200);
    for (path, range, content_range) in [
        ("digits.txt", "bytes=10-", "bytes */10"),
        ("digits.txt", "bytes=-0", "bytes */10"),
        ("empty", "bytes=0-", "bytes */0"),
    ] {
        let answer = site.ask(Method::GET, path, &[("range", range)]);
        assert_eq!((answer.status(), answer.field("content-range")), (416, content_range), "{range}");
        assert_eq!(answer.field("content-length"), answer.text().len().to_string());
    }
}

#[test]
fn several_ranges_come_as_multipart() {
    let site = Site::new();
    let answer = site.ask(Method::GET, "digits.txt", &[("range", "bytes=7-8, 0-1,-1")]);
    assert_eq!(answer.status(), 206);
    let boundary = answer.field("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, text: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/10\r\n\r\n{text}\r\n"
        )
    };
    let expected = [part("7-9", "789"), part("0-1", "01"), format!("--{boundary}--\r\n")].concat();
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.field("content-length"), expected.len().to_string());
    assert!(answer.field("content-range").is_empty(), "RFC 9110 §15.3.7.2: not in a multipart's head");
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

/// Regressions get a test of their own, not a file of seeds.
fn unrecorded() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// Whatever is asked for, the answer is a file of ours, a redirect, or 404.
#[test]
fn no_request_gets_what_lies_outside() {
    let site = Site::new();
    symlink("../outside", site.dir.path().join("root/out")).unwrap();
    let paths = "(sub|deep|out|digits.txt|outside|secret.txt|[.]{1,3}|%2e|%2[fF]|%00|/|\\\\){0,9}";
    proptest!(unrecorded(), |(path in paths)| {
        // What no URI can hold never gets here.
        if format!("/{path}").parse::<http::Uri>().is_ok() {
            let answer = site.get(&path);
            prop_assert!([200, 301, 404].contains(&answer.status()), "{}", answer.status());
            prop_assert!(!answer.text().contains("secret"));
        }
    });
}

/// Every part that is sent is what the file holds there.
#[test]
fn parts_are_what_the_file_holds() {
    let (site, digits) = (Site::new(), "0123456789");
    proptest!(unrecorded(), |(range in "bytes=[0-9]?-[0-9]?(,[0-9]?-[0-9]?){0,4}")| {
        let answer = site.ask(Method::GET, "digits.txt", &[("range", &range)]);
        let text = answer.text();
        match (answer.status(), answer.field("content-range")) {
            (200, _) => prop_assert_eq!(text, digits),
            (416, _) => {}
            (206, "") => {
                for part in text.split("Content-Range: bytes ").skip(1) {
                    let (range, rest) = part.split_once("/10\r\n\r\n").unwrap();
                    prop_assert_eq!(rest.split_once("\r\n").unwrap().0, cut(digits, range));
                }
            }
            (206, range) => {
                prop_assert_eq!(text, cut(digits, range.trim_start_matches("bytes ").trim_end_matches("/10")));
            }
            (status, _) => prop_assert!(false, "{}", status),
        }
        prop_assert_eq!(answer.field("content-length"), text.len().to_string());
    });
}

/// The bytes of `text` that a range like `2-4` means.
fn cut<'a>(text: &'a str, range: &str) -> &'a str {
    let (first, last) = range.split_once('-').unwrap();
    &text[first.parse().unwrap()..=last.parse().unwrap()]
}
