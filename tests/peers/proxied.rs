//! nginx behind us and before us: the same pace, the same bytes.

use std::io::Read;
use std::process::Command;
use std::time::Duration;

use flate2::read::GzDecoder;

use crate::nginx::Nginx;
use crate::pace::{CHUNK, RATE, assert_on_grid, assert_paced, assert_same_pace, get};
use crate::program::{fixture, make_file, program, succeeded, timed};
use crate::sluicegate::Sluicegate;

#[test]
fn a_file_and_the_same_file_behind_nginx_have_one_pace() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        let content = make_file(folder.path(), "a.txt", 15 * CHUNK);
        let nginx = Nginx::serve(folder.path(), "");
        let direct = Sluicegate::serve(folder.path(), &["--rate", "60"]);
        let proxied = Sluicegate::proxy(nginx.addr, &["--rate", "60"]);
        let other = std::thread::spawn(move || (get(proxied.addr, "/a.txt", ""), proxied));
        let one = get(direct.addr, "/a.txt", "");
        let (other, _proxied) = other.join().unwrap();
        assert!(one.body == content && other.body == content);
        assert_paced(&one, RATE, 0);
        assert_paced(&other, RATE, 0);
        assert_same_pace(&one, &other);
        // Fifteen chunks, the first at once: 2.8 s; 2.6 s if the first came in two pieces, for the last is
        // then a remainder.
        for response in [one, other] {
            let last = response.timeline().last().unwrap().0;
            assert!((Duration::from_millis(2_590)..Duration::from_millis(3_000)).contains(&last), "{last:?}");
        }
    });
}

#[test]
fn chunks_of_a_file_leave_on_the_grid() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        make_file(folder.path(), "a.txt", 15 * CHUNK + CHUNK / 2);
        let direct = Sluicegate::serve(folder.path(), &["--rate", "60"]);
        assert_on_grid(&get(direct.addr, "/a.txt", ""));
    });
}

#[test]
fn chunks_from_nginx_leave_on_the_grid() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        make_file(folder.path(), "a.txt", 15 * CHUNK + CHUNK / 2);
        let nginx = Nginx::serve(folder.path(), "");
        let proxied = Sluicegate::proxy(nginx.addr, &["--rate", "60"]);
        assert_on_grid(&get(proxied.addr, "/a.txt", ""));
    });
}

#[test]
fn content_that_nginx_has_coded_is_paced_as_it_is() {
    timed(|| {
        let nginx = Nginx::serve(
            &fixture("site/logs"),
            "gzip on; gzip_types text/plain; gzip_proxied any; gzip_comp_level 1;",
        );
        let front = Sluicegate::proxy(nginx.addr, &["--rate", "256"]);
        let response = get(front.addr, "/app.log", "Accept-Encoding: gzip\r\n");
        assert_eq!(response.field("content-encoding"), Some("gzip"));
        assert_eq!(response.field("transfer-encoding"), Some("chunked"));
        assert_eq!(response.field("content-length"), None);
        let log = std::fs::read(fixture("site/logs/app.log")).unwrap();
        assert!(response.body.len() < log.len() / 2);
        let mut decoded = Vec::new();
        GzDecoder::new(&response.body[..]).read_to_end(&mut decoded).unwrap();
        assert!(decoded == log);
        assert_paced(&response, 256 * 1024, 0);
    });
}

#[test]
fn nginx_may_set_the_pace_of_a_response_by_its_own_field() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        // 30 KiB/s: six chunks of 6 144 bytes and a half.
        let content = make_file(folder.path(), "a.txt", 6 * 6_144 + 3_072);
        let nginx = Nginx::serve(folder.path(), "add_header X-Accel-Limit-Rate 30720;");
        for (flags, slow) in [(&["--rate", "1m"][..], true), (&[], true), (&["--ignore-accel"], false)] {
            let front = Sluicegate::proxy(nginx.addr, flags);
            let response = get(front.addr, "/a.txt", "");
            assert!(response.body == content);
            assert_eq!(response.field("x-accel-limit-rate"), None);
            let last = response.timeline().last().unwrap().0;
            if slow {
                assert_paced(&response, 30_720, 0);
                assert!(last > Duration::from_millis(900), "{flags:?}: {last:?}");
            } else {
                assert!(last < Duration::from_millis(600), "{flags:?}: {last:?}");
            }
        }
    });
}

#[test]
fn nginx_may_lift_the_pace_of_a_response() {
    timed(|| {
        let nginx = Nginx::serve(&fixture("site/logs"), "add_header X-Accel-Limit-Rate 0;");
        let front = Sluicegate::proxy(nginx.addr, &["--rate", "60"]);
        // At 60 KiB/s these 2.4 MB take 40 s.
        let response = get(front.addr, "/app.log", "");
        assert!(
            response.timeline().last().unwrap().0 < Duration::from_secs(8),
            "{:?}",
            response.timeline().last()
        );
    });
}

/// Both ways in which nginx asks an upstream: HTTP/1.0 closed after each answer, which is its default,
/// and HTTP/1.1.
#[test]
fn the_pace_passes_through_nginx_in_front() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        let content = make_file(folder.path(), "a.txt", 10 * CHUNK + 100);
        let paced = Sluicegate::serve(folder.path(), &["--rate", "60"]);
        // Where nginx buffers, it hands on what fills one of its buffers; two of 4 KiB may be under way.
        for (settings, held) in [
            ("proxy_buffering on;", 8_192),
            ("proxy_buffering off;", 0),
            ("proxy_buffering on; proxy_http_version 1.1; proxy_set_header Connection '';", 8_192),
            ("proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection '';", 0),
        ] {
            let nginx =
                Nginx::start(&format!("location / {{ proxy_pass http://{}; {settings} }}", paced.addr));
            let response = get(nginx.addr, "/a.txt", "");
            assert_eq!(response.status(), 200, "{settings}");
            assert!(response.body == content, "{settings}: {} bytes", response.body.len());
            assert_paced(&response, RATE, held);
        }
    });
}

#[test]
fn nginx_on_both_sides_takes_an_upload() {
    let folder = tempfile::tempdir().unwrap();
    let content = std::fs::read(fixture("site/logs/app.log")).unwrap();
    let backend =
        Nginx::serve(folder.path(), "dav_methods PUT; create_full_put_path on; client_max_body_size 8m;");
    let middle = Sluicegate::proxy(backend.addr, &["--rate", "60"]);
    let front = Nginx::start(&format!(
        "client_max_body_size 8m; location / {{ proxy_pass http://{}; proxy_request_buffering off; \
         proxy_http_version 1.1; }}",
        middle.addr
    ));
    let status = succeeded(
        Command::new(program("curl"))
            .args(["-sS", "-w", "%{http_code}", "-T"])
            .arg(fixture("site/logs/app.log"))
            .arg(front.url("/up/app.log")),
    );
    assert_eq!(String::from_utf8_lossy(&status), "201");
    assert!(std::fs::read(folder.path().join("up/app.log")).unwrap() == content);
}
