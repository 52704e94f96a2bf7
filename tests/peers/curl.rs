//! curl, with the options people use.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::backend::backend;
use crate::nginx::Nginx;
use crate::program::{ended, fixture, make_file, program, site, succeeded, timed};
use crate::sluicegate::Sluicegate;

/// curl without a progress meter, but with its errors.
fn curl() -> Command {
    let mut command = Command::new(program("curl"));
    // -q: nobody's own settings.
    command.args(["-q", "-sS"]);
    command
}

/// What curl prints with these arguments, when all goes well.
fn prints<const N: usize>(args: [&str; N]) -> String {
    String::from_utf8(succeeded(curl().args(args))).unwrap()
}

fn log() -> Vec<u8> {
    std::fs::read(fixture("site/logs/app.log")).unwrap()
}

#[test]
fn ranges_are_the_slices_asked_for() {
    let server = Sluicegate::serve(&site(), &["--rate", "1m"]);
    let (url, log) = (server.url("/logs/app.log"), log());
    for (range, slice) in [
        ("0-0", &log[..1]),
        ("100-199", &log[100..200]),
        ("2468000-", &log[2_468_000..]),
        ("-100", &log[log.len() - 100..]),
        ("1000000-1000999", &log[1_000_000..1_001_000]),
    ] {
        assert!(succeeded(curl().args(["-f", "-r", range, &url])) == slice, "{range}");
    }
    assert_eq!(prints(["-r", "0-9", "-o", "/dev/null", "-w", "%{http_code}", &url]), "206");
    assert_eq!(prints(["-r", "9999999-", "-o", "/dev/null", "-w", "%{http_code}", &url]), "416");
    let parts = succeeded(curl().args(["-r", "0-9,-10", &url]));
    let text = String::from_utf8(parts).unwrap();
    for (range, slice) in [("0-9", &log[..10]), ("2468409-2468418", &log[log.len() - 10..])] {
        let slice = std::str::from_utf8(slice).unwrap();
        assert!(text.contains(&format!("bytes {range}/2468419\r\n\r\n{slice}\r\n--")), "{text}");
    }
}

#[test]
fn an_interrupted_download_is_resumed() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        let content = make_file(folder.path(), "a.txt", 140_000);
        let server = Sluicegate::serve(folder.path(), &["--rate", "60"]);
        let copy = folder.path().join("copy");
        let resume = |further: &[&str]| -> Output {
            ended(curl().args(further).args(["-C", "-", "-o"]).arg(&copy).arg(server.url("/a.txt")))
        };
        let cut = resume(&["--max-time", "0.7"]);
        assert_eq!(cut.status.code(), Some(28), "{cut:?}");
        let len = std::fs::metadata(&copy).unwrap().len();
        assert!((12_288..100_000).contains(&len), "{len}");
        let rest = resume(&["-w", "%{http_code} %{size_download}"]);
        assert_eq!(String::from_utf8_lossy(&rest.stdout), format!("206 {}", content.len() as u64 - len));
        assert!(std::fs::read(&copy).unwrap() == content);
        server.logged(&[("status", "206"), ("bytes", &(content.len() as u64 - len).to_string())]);
    });
}

/// At once on four connections. (Several on one connection are for h2load: this curl, 7.88, breaks the
/// second stream of a connection by prior knowledge itself, with nginx too.)
#[test]
fn http2_by_prior_knowledge_is_paced() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        let server = Sluicegate::serve(folder.path(), &["--rate", "60"]);
        let mut command = curl();
        command.args(["--http2-prior-knowledge", "--parallel", "--parallel-immediate"]);
        let copy = |name: &str| folder.path().join(format!("{name}.copy"));
        // Six chunks each: 1 s.
        let names = ["a", "b", "c", "d"];
        let files = names.map(|name| make_file(folder.path(), name, 6 * 12_288));
        for name in names {
            command.arg("-o").arg(copy(name)).arg(server.url(&format!("/{name}")));
        }
        command.args(["-w", "%{http_version} %{num_connects}\n"]);
        let begin = Instant::now();
        let versions = String::from_utf8(succeeded(&mut command)).unwrap();
        let lasted = begin.elapsed();
        assert_eq!(versions, "2 1\n".repeat(4));
        for (name, content) in names.iter().zip(files) {
            assert!(std::fs::read(copy(name)).unwrap() == content, "{name}");
        }
        assert!((Duration::from_millis(990)..Duration::from_millis(1_700)).contains(&lasted), "{lasted:?}");
    });
}

#[test]
fn http2_carries_all_methods_the_proxy_does() {
    let folder = tempfile::tempdir().unwrap();
    let nginx = Nginx::serve(folder.path(), "dav_methods PUT DELETE; client_max_body_size 8m;");
    let front = Sluicegate::proxy(nginx.addr, &["--rate", "10m"]);
    let url = front.url("/app.log");
    let with = |further: &[&str]| {
        let args = ["--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"];
        String::from_utf8(succeeded(curl().args(args).args(further).arg(&url))).unwrap()
    };
    // nghttp uploads: this curl's HTTP/2 is not sound enough to tell whose fault a broken stream is.
    let mut upload = Command::new(program("nghttp"));
    upload.args(["-n", "-s", "-H", ":method: PUT", "-d"]).arg(fixture("site/logs/app.log")).arg(&url);
    let report = String::from_utf8(succeeded(&mut upload)).unwrap();
    assert!(report.contains(" 201 ") && report.contains("/app.log"), "{report}");
    assert!(std::fs::read(folder.path().join("app.log")).unwrap() == log());
    assert!(succeeded(curl().args(["--http2-prior-knowledge", &url])) == log());
    assert_eq!(with(&["-I"]), "2 200");
    assert_eq!(with(&["-X", "DELETE"]), "2 204");
    assert_eq!(with(&[]), "2 404");
}

#[test]
fn a_coded_answer_is_decoded_to_the_file() {
    let server = Sluicegate::serve(&site(), &["--rate", "2m", "--filter", "gzip"]);
    let url = server.url("/logs/app.log");
    assert!(succeeded(curl().args(["--compressed", &url])) == log());
    let size: usize =
        prints(["--compressed", "-o", "/dev/null", "-w", "%{size_download}", &url]).parse().unwrap();
    assert!(size < log().len() / 2, "{size}");
    // Who does not ask for it does not get it.
    assert!(succeeded(curl().arg(&url)) == log());
}

#[test]
fn an_upload_passes_the_proxy_with_and_without_a_length() {
    let folder = tempfile::tempdir().unwrap();
    let nginx =
        Nginx::serve(folder.path(), "dav_methods PUT; create_full_put_path on; client_max_body_size 8m;");
    // The pace is for what goes out to the client; an upload is not held by it.
    let front = Sluicegate::proxy(nginx.addr, &["--rate", "60"]);
    let file = fixture("site/logs/app.log");
    let upload = |target: &str, further: &[&str]| {
        let args = ["-f", "-w", "%{http_code}", "-T"];
        let mut command = curl();
        command.args(args).arg(&file).args(further).arg(front.url(target));
        String::from_utf8(succeeded(&mut command)).unwrap()
    };
    assert_eq!(upload("/sized.log", &[]), "201");
    assert_eq!(upload("/chunked.log", &["-H", "Transfer-Encoding: chunked"]), "201");
    assert_eq!(upload("/old.log", &["-0"]), "201");
    for name in ["sized.log", "chunked.log", "old.log"] {
        assert!(std::fs::read(folder.path().join(name)).unwrap() == log(), "{name}");
    }
}

#[test]
fn http_1_0_gets_the_file_and_the_end_of_the_connection() {
    let server = Sluicegate::serve(&site(), &["--rate", "2m"]);
    assert!(succeeded(curl().args(["-0", &server.url("/logs/app.log")])) == log());
    // Without a length, coded on the way: the end of the connection is the end of the body.
    let coded = Sluicegate::serve(&site(), &["--filter", "gzip"]);
    assert!(succeeded(curl().args(["-0", "--compressed", &coded.url("/logs/app.log")])) == log());
}

#[test]
fn a_head_is_the_head_of_the_answer_to_get() {
    timed(|| {
        let server = Sluicegate::serve(&site(), &["--rate", "1"]);
        let nginx = Nginx::serve(&site(), "");
        let front = Sluicegate::proxy(nginx.addr, &["--rate", "1"]);
        for url in [server.url("/logs/app.log"), front.url("/logs/app.log")] {
            let begin = Instant::now();
            let head = prints(["-I", &url]).to_ascii_lowercase();
            assert!(begin.elapsed() < Duration::from_secs(2));
            for line in
                ["http/1.1 200 ok\r\n", "content-length: 2468419\r\n", "accept-ranges: bytes\r\n", "etag: "]
            {
                assert!(head.contains(line), "{line:?} in {head}");
            }
        }
    });
}

#[test]
fn many_small_files_on_one_connection_keep_the_rate_together() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        let count = 12;
        let server = Sluicegate::serve(folder.path(), &["--rate", "60"]);
        let mut command = curl();
        for n in 0..count {
            make_file(folder.path(), &format!("{n}"), 10_240);
            command.arg("-o").arg(folder.path().join(format!("{n}.copy"))).arg(server.url(&format!("/{n}")));
        }
        command.args(["-w", "%{num_connects}"]);
        let begin = Instant::now();
        let connects = String::from_utf8(succeeded(&mut command)).unwrap();
        let lasted = begin.elapsed();
        assert_eq!(connects, format!("1{}", "0".repeat(count - 1)));
        for n in 0..count {
            let read = |name: String| std::fs::read(folder.path().join(name)).unwrap();
            assert!(read(n.to_string()) == read(format!("{n}.copy")));
        }
        // They leave at 0, 0, 133.3, 300 ms, then one each 166.7 ms: the twelfth after 1.633 s.
        assert!((Duration::from_millis(1_630)..Duration::from_millis(2_200)).contains(&lasted), "{lasted:?}");
    });
}

#[test]
fn trailers_reach_clients_that_ask_for_them() {
    let upstream = backend(|stream| {
        use std::io::Write;
        stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n4\r\nbody\r\n0\r\nX-End: well\r\n\r\n",
        )
    });
    let front = Sluicegate::proxy(upstream, &["--rate", "60"]);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let all = prints([version, "-H", "TE: trailers", "-D", "-", &front.url("/")]).to_ascii_lowercase();
        assert!(all.contains("x-end: well") && all.contains("body"), "{version}: {all}");
    }
}

#[test]
fn a_unix_socket_is_listened_on() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("gate");
    let listen = format!("unix:{}", socket.display());
    let server = Sluicegate::serve(&site(), &["--listen", &listen]);
    let mut command = curl();
    command.arg("--unix-socket").arg(&socket).arg("http://site/logs/app.log");
    assert!(succeeded(&mut command) == log());
    // The other way in is open too.
    assert!(succeeded(curl().arg(server.url("/logs/app.log"))) == log());
}

/// A backend that takes requests with a length, each on a connection of its own.
fn taking_uploads() -> std::net::SocketAddr {
    let backend = testkit::backend::Backend::new(|stream, head| {
        use std::io::{Read, Write};
        let mut left: usize = testkit::wire::field(head, "content-length").unwrap().parse().unwrap();
        let mut buf = vec![0; 65_536];
        while left > 0 {
            let Ok(n @ 1..) = stream.read(&mut buf) else { return };
            left -= n;
        }
        let _ = stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    backend.addr
}

/// In real time: curl's own clock says how long it took. A pace is exact but for one chunk ahead at its start.
#[test]
fn uploads_keep_their_pace_over_15_seconds_within_a_percent() {
    const RATE: u64 = 200 * 1024;
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        // The first chunk of 200 ms is ahead of the pace, and the half chunk at the end leaves with the one before it.
        let file = folder.path().join("a.bin");
        make_file(folder.path(), "a.bin", RATE as usize * 15 + RATE as usize * 3 / 10);
        let backend = taking_uploads();
        let plain = Sluicegate::proxy(backend, &["--upload-rate", "200"]);
        let tls = Sluicegate::proxy(backend, &["--upload-rate", "200", "--tls-self-signed"]);
        let secured = tls.url("/a.bin").replace("http://", "https://");
        let ways = [
            (["--http1.1", "-sS"], plain.url("/a.bin"), "1.1"),
            (["--http2-prior-knowledge", "-sS"], plain.url("/a.bin"), "2"),
            (["--http1.1", "-k"], secured.clone(), "1.1"),
            (["--http2", "-k"], secured, "2"),
        ];
        let running = ways.map(|(args, url, version)| {
            let mut command = curl();
            command.args(args).args(["-f", "-w", "%{http_code} %{http_version} %{time_total}", "-T"]);
            command.arg(&file).arg(url);
            (std::thread::spawn(move || String::from_utf8(succeeded(&mut command)).unwrap()), version)
        });
        for (running, version) in running {
            let said = running.join().unwrap();
            let [status, seen, time] = said.split(' ').collect::<Vec<_>>()[..] else { panic!("{said}") };
            assert_eq!((status, seen), ("201", version));
            let seconds: f64 = time.parse().unwrap();
            assert!((14.85..15.15).contains(&seconds), "HTTP/{version}: {seconds} s");
        }
    });
}

#[test]
fn too_large_an_upload_is_answered_though_curl_sends_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.bin");
    make_file(folder.path(), "a.bin", 5_000_000);
    let server = Sluicegate::proxy(taking_uploads(), &["--max-body", "1m"]);
    // Of HTTP/1: this curl, 7.88, takes the end of the stream behind an early answer for an error, of nginx too.
    for version in ["--http1.1", "-0"] {
        // With and without an expectation of 100.
        for expect in ["Expect: 100-continue", "Expect:"] {
            let mut command = curl();
            command.args([version, "-o", "/dev/null", "-w", "%{http_code}", "-H", expect, "-T"]);
            command.arg(&file).arg(server.url("/a.bin"));
            let said = String::from_utf8(succeeded(&mut command)).unwrap();
            assert_eq!(said, "413", "{version} {expect}");
        }
    }
}
