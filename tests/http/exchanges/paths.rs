//! One path, many spellings: each is answered by the route of its normal form, and by nothing else.

use std::io::Write;

use http_body_util::BodyExt;
use sluicegate::config::ProxySource;
use sluicegate::http::route::Route;
use sluicegate::rt;

use testkit::backend::{Backend, routed};
use testkit::h2::{WIDE, connect, get};
use testkit::served::Served;
use testkit::wire::Client;

/// Spellings of `/slow/x`.
const SPELLINGS: [&str; 8] = [
    "/slow/x",
    "/%73low/x",
    "/slo%77/%78",
    "//slow//x",
    "/./slow/%2e/x",
    "/y/../slow/x",
    "/y/%2E%2e/slow/x",
    "/slow/y/../x",
];

/// Two routes over one folder: who gets to `slow/x` by the other one reads `escaped`.
fn files() -> (tempfile::TempDir, Served) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in
        [("all/slow/x", "escaped"), ("all/a/b", "b"), ("all/index.html", "index"), ("slow/x", "kept")]
    {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let route = |path, root| Route::files(path, folder.path().join(root)).unwrap();
    let served = Served::new(vec![route("/", "all"), route("/slow/", "slow")]);
    (folder, served)
}

#[test]
fn each_spelling_takes_the_route_of_its_normal_form() {
    let (_folder, served) = files();
    let mut client = Client::new(served.connect());
    for target in SPELLINGS {
        let answer = client.get(target, "");
        assert_eq!((answer.status(), &answer.body[..]), (200, &b"kept"[..]), "{target}");
    }
    rt::block_on(async {
        let mut sender = connect(served.addr, WIDE).await;
        for target in SPELLINGS {
            let response = get(&mut sender, target).await;
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "kept", "{target} over HTTP/2");
        }
    });
}

#[test]
fn empty_segments_mean_nothing_and_an_encoded_slash_is_none() {
    let (_folder, served) = files();
    let mut client = Client::new(served.connect());
    for (target, status, body) in [
        ("//a/b", 200, "b"),
        ("/./a/b", 200, "b"),
        ("/a//b", 200, "b"),
        ("/index.html", 200, "index"),
        ("//", 200, "index"),
        ("/a/../index.html", 200, "index"),
        ("/a%2Fb", 404, "There is nothing here by this name.\n"),
        ("/slow%2fx", 404, "There is nothing here by this name.\n"),
        ("/%%37%33low/x", 404, "There is nothing here by this name.\n"),
    ] {
        let answer = client.get(target, "");
        assert_eq!((answer.status(), std::str::from_utf8(&answer.body).unwrap()), (status, body), "{target}");
    }
    for (target, location) in
        [("/%73low?x=//", "/slow/?x=//"), ("//a", "/a/"), ("/.//evil.example/..//a", "/a/")]
    {
        let answer = client.get(target, "");
        assert_eq!((answer.status(), answer.field("location")), (301, Some(location)), "{target}");
    }
}

#[test]
fn a_target_that_is_no_path_leads_nowhere() {
    let (_folder, served) = files();
    for (line, status) in [
        ("GET index.html", 400),
        ("GET *", 400),
        ("GET /..", 400),
        ("GET /a/../../index.html", 400),
        ("OPTIONS *", 204),
        ("CONNECT a:80", 501),
        ("POST a.example", 400),
    ] {
        let answer = served.ask(&format!("{line} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"));
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("\nlocation:"), "{line}: {answer}");
    }
}

/// A backend that tells its name and the target it was asked for.
fn telling(name: &'static str) -> Backend {
    Backend::new(move |stream, head| {
        let told = format!("{name} {}", head.split(' ').nth(1).unwrap());
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{told}", told.len());
        let _ = stream.write_all(answer.as_bytes());
    })
}

#[test]
fn a_backend_gets_no_path_that_another_route_is_there_for() {
    let (open, guarded) = (telling("open"), telling("guarded"));
    let based = ProxySource::new(format!("http://{}/base/", open.addr).parse().unwrap());
    let served = Served::new(vec![
        routed("/p/", open.source(), None),
        routed("/p/admin/", guarded.source(), None),
        routed("/b/", based, None),
    ]);
    let cases = [
        ("/p/%61dmin/x", "guarded /p/admin/x"),
        ("/p//admin/x", "guarded /p/admin/x"),
        ("/p/./admin/x?a=/../b", "guarded /p/admin/x?a=/../b"),
        ("/p/y/../admin/x", "guarded /p/admin/x"),
        ("/p/admin/../x", "open /p/x"),
        ("/p/admin%2Fx", "400"),
        ("/p/y%2F..%2Fadmin", "400"),
        ("/p/y%5c..%5cx", "400"),
        ("/p/../x", "404"),
        // What means the same on the same route is not touched.
        ("/p/a%2Fb//c;d%3B%7e", "open /p/a%2Fb//c;d%3B%7e"),
        ("/p/admin/%61", "guarded /p/admin/%61"),
        ("/b//x", "open /base//x"),
        ("/b/../b/x", "open /base/x"),
        ("/%62/x%2By", "open /base/x+y"),
    ];
    let mut client = Client::new(served.connect());
    for (target, expected) in cases {
        let answer = client.get(target, "");
        let told = match answer.status() {
            200 => String::from_utf8(answer.body).unwrap(),
            status => status.to_string(),
        };
        assert_eq!(told, expected, "{target}");
    }
    rt::block_on(async {
        let mut sender = connect(served.addr, WIDE).await;
        for (target, expected) in cases {
            let response = get(&mut sender, target).await;
            let status = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let told = if status == 200 {
                String::from_utf8(body.to_vec()).unwrap()
            } else {
                status.as_u16().to_string()
            };
            assert_eq!(told, expected, "{target} over HTTP/2");
        }
    });
}
