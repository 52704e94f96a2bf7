//! What it says when it starts, and that it serves what it says.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use testkit::backend::once;
use testkit::message::read_head;
use testkit::program::{Program, command, get, site, text};
use testkit::served::connect;
use testkit::token_file;

#[test]
fn serve_says_where_what_and_how_fast() {
    let site = site(20_000);
    let root = text(site.path());
    let program = Program::start(&["serve", root, "--rate", "60", "--burst", "256"]);
    assert_ne!(program.addr().port(), 0);
    assert_eq!(
        program.started[1..],
        [
            format!("  /  files in {root}, index index.html"),
            "     each response: 60k (61440 bytes/s), burst 256k (262144 bytes), end of stream immediate"
                .into(),
            "Ctrl-C stops; transfers under way then have 30s".into(),
        ]
    );
    let (head, body) = get(program.connect(), "/a.bin", "");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == vec![0; 20_000], "{head}");
    program.end();
}

#[test]
fn check_and_the_start_show_every_key_of_a_pace() {
    let site = site(20_000);
    let config = site.path().join("pace.toml");
    let routes = "[[route]]\npath = '/'\nfiles = '.'\nrate = '1m for 10m, 100k'\nburst = '64k'\ninterval = '50ms'\n\
                  catch_up = '2s'\nsmooth = true\nend_of_stream = 'paced'\nlimits.response.report_only = true\n\
                  [[route]]\npath = '/plain/'\nfiles = '.'\nrate = '1m'\nsmooth = false\n\
                  [[route]]\npath = '/shared/'\nfiles = '.'\nsmooth = true\n\
                  [[route]]\npath = '/app/'\nproxy = 'http://127.0.0.1:9'\nrate = '1m'\nsmooth = true\nhonour_accel = true\n";
    std::fs::write(&config, routes).unwrap();
    let checked = command(&["check", text(&config)]).output().unwrap();
    let checked = String::from_utf8(checked.stdout).unwrap();
    let paces: Vec<_> = checked.lines().filter_map(|line| line.strip_prefix("  pace         ")).collect();
    let expected = [
        "1m for 10m, 100k, burst 64k (65536 bytes), interval 50ms, makes up 2s, end of stream paced, smooth, only reported",
        "1m (1048576 bytes/s), end of stream immediate",
        "unlimited, smooth",
        "1m (1048576 bytes/s), end of stream immediate, smooth; X-Accel-Limit-Rate overrides it",
    ];
    assert_eq!(paces, expected, "{checked}");
    let program = Program::start(&["run", text(&config)]);
    let shown = program.started.iter().filter_map(|line| line.split_once("each response: "));
    assert_eq!(shown.map(|(_, pace)| pace).collect::<Vec<_>>(), expected, "{:?}", program.started);
    program.end();
    let program = Program::start(&["serve", text(site.path()), "--rate", "1m", "--smooth"]);
    assert_eq!(
        program.started[2],
        "     each response: 1m (1048576 bytes/s), end of stream immediate, smooth"
    );
    program.end();
}

#[test]
fn proxy_says_its_backend_and_passes_requests_on() {
    let (url, answering) = once(|stream| {
        let asked = read_head(stream).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").unwrap();
        asked
    });
    let program = Program::start(&["proxy", &url, "--rate", "1.5m", "--upstream-host", "client"]);
    assert!(program.started[1].starts_with(&format!("  /  backend {url}, Host client, timeouts: ")));
    assert_eq!(
        program.started[2],
        "     each response: 1.5m (1572864 bytes/s), end of stream immediate; X-Accel-Limit-Rate overrides it"
    );
    assert_eq!(get(program.connect(), "/x?y", "").1, b"hello");
    let asked = answering.join().unwrap();
    assert!(asked.starts_with("GET /x?y HTTP/1.1\r\n") && asked.to_lowercase().contains("\r\nhost: t\r\n"));
    program.end();
}

#[test]
fn run_serves_a_file_with_all_filters() {
    let site = site(20_000);
    let config = site.path().join("all.toml");
    let routes = "access_log = 'off'
        [filter.redact]
        kind = \"replace\"
        from = \"secret\"
        to = \"******\"
        [filter.squeeze]
        kind = \"gzip\"
        level = 9
        min_size = \"1B\"
        [filter.brake]
        kind = \"rate\"
        rate = \"10m\"
        [[route]]
        path = \"/\"
        files = \".\"
        rate = \"1m\"
        burst = \"64k\"
        filters = [\"count\", \"redact\", \"brake\", \"squeeze\", \"rate\"]
        [[route]]
        path = \"/plain/\"
        files = \".\"\n";
    std::fs::write(&config, routes).unwrap();
    let program = Program::start(&["run", text(&config)]);
    let (head, body) = get(program.connect(), "/a.txt", "");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let redacted = "the ****** text\n".repeat(100);
    assert_eq!(String::from_utf8(body).unwrap(), redacted);
    let (head, body) = get(program.connect(), "/a.txt", "Accept-Encoding: gzip\r\nRange: bytes=0-5\r\n");
    // A range of other bytes is none; and where one is asked for nothing is coded.
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("gzip"), "{head}");
    assert_eq!(String::from_utf8(body).unwrap(), redacted);
    let (head, body) = get(program.connect(), "/a.txt", "Accept-Encoding: gzip\r\n");
    assert!(head.to_lowercase().contains("content-encoding: gzip\r\n"), "{head}");
    let mut text = String::new();
    flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, redacted);
    assert_eq!(get(program.connect(), "/plain/a.txt", "").1, "the secret text\n".repeat(100).as_bytes());
    program.end();
}

#[test]
fn the_start_and_check_name_all_hosts_of_a_route_within_80_columns() {
    let site = site(20);
    let config = site.path().join("hosts.toml");
    let long: Vec<_> = (1..=6).map(|n| format!("number-{n}.of-many.example")).collect();
    let text_of_file = format!(
        "[[route]]\npath = \"/\"\nfiles = \".\"\n\
         [[route]]\npath = \"/\"\nhost = \"one.test\"\nfiles = \".\"\n\
         [[route]]\npath = \"/a/\"\nhost = [\"a.test\", \"*.a.test\"]\nfiles = \".\"\n\
         [[route]]\npath = \"/b/\"\nhost = {long:?}\nfiles = \".\"\n"
    );
    std::fs::write(&config, text_of_file).unwrap();
    let [a, b, c, d, e, f] = &long[..] else { panic!() };
    let checked = command(&["check", text(&config)]).output().unwrap();
    let checked = String::from_utf8(checked.stdout).unwrap();
    for part in [
        "\n/\n  source  ",
        "\none.test/\n  source  ",
        "\na.test/a/\n  hosts        a.test, *.a.test\n  source  ",
        &format!("\n{a}/b/\n  hosts        {a}, {b},\n{0:15}{c}, {d},\n{0:15}{e}, {f}\n  source  ", ""),
    ] {
        assert!(checked.contains(part), "{part}\nin\n{checked}");
    }
    let program = Program::start(&["run", text(&config)]);
    let started = program.started.join("\n");
    for part in [
        "\n  /  files in ".to_owned(),
        "\n  one.test/  files in ".to_owned(),
        format!("\n  a.test/a/  files in {}", text(site.path())),
        format!("\n{:13}hosts: a.test, *.a.test\n  {a}/b/  files", ""),
        format!("\n{0:31}hosts: {a},\n{0:38}{b},\n", ""),
    ] {
        assert!(started.contains(&part), "{part}\nin\n{started}");
    }
    program.end();
}

#[test]
fn all_addresses_are_listened_on_and_a_unix_socket_is_removed_at_the_end() {
    let site = site(5_000);
    let socket = site.path().join("s");
    let listen = format!("unix:{}", socket.display());
    let program = Program::start(&["serve", text(site.path()), "--listen", &listen]);
    assert_eq!(program.started[0], format!("listening on {listen}"));
    assert!(program.started[1].starts_with("listening on http://127.0.0.1:"));
    for _ in 0..2 {
        let (_, body) = get(UnixStream::connect(&socket).unwrap(), "/a.bin", "");
        assert_eq!(body.len(), 5_000);
    }
    assert_eq!(get(program.connect(), "/a.bin", "").1.len(), 5_000);
    program.end();
    assert!(!socket.exists());
}

#[test]
fn a_port_in_use_ends_with_1_and_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = command(&["serve", ".", "--listen", &addr]).stdout(Stdio::piped()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{error}");
    assert!(error.starts_with(&format!("sluicegate: cannot listen on {addr}: ")), "{error}");
    assert!(error.contains("choose another address or port 0"), "{error}");
}

#[test]
fn connections_above_the_bound_get_retry_after() {
    // A response under way: a connection that is idle would make room.
    let site = site(1_000_000);
    let flags = ["--max-connections", "1", "--rate", "60"];
    let program = Program::start(&[&["serve", text(site.path())][..], &flags].concat());
    let mut kept = program.connect();
    kept.write_all(b"GET /a.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    kept.read_exact(&mut [0; 12]).unwrap();
    let (head, _) = get(connect(program.addr()), "/a.bin", "");
    assert!(head.starts_with("HTTP/1.1 503 ") && head.to_lowercase().contains("\r\nretry-after: "), "{head}");
    drop(kept);
    testkit::wait::until("room again", || {
        let mut next = connect(program.addr());
        next.write_all(b"HEAD /a.bin HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
        let mut head = String::new();
        next.read_to_string(&mut head).unwrap();
        head.starts_with("HTTP/1.1 200 ")
    });
    program.end();
}

#[test]
fn an_admin_listener_shows_what_the_server_did_and_asks_for_its_token() {
    let site = site(5_000);
    let token = site.path().join("token");
    token_file::write(&token, "a-token-of-some-length\n");
    let flags = ["--admin", "127.0.0.1:0", "--admin-token-file", text(&token)];
    let program = Program::start(&[&["serve", text(site.path())][..], &flags].concat());
    let admin = program.admin();
    assert_eq!(get(program.connect(), "/a.bin", "").1.len(), 5_000);
    assert!(get(connect(admin), "/healthz", "").0.starts_with("HTTP/1.1 200 "));
    assert!(get(connect(admin), "/metrics", "").0.starts_with("HTTP/1.1 401 "));
    // Counted when the last byte has gone, which the client may have before that.
    testkit::wait::until("the response is counted", || {
        let (head, body) =
            get(connect(admin), "/metrics", "Authorization: Bearer a-token-of-some-length\r\n");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        let body = String::from_utf8(body).unwrap();
        body.contains("\nsluicegate_http_response_body_bytes_total{route=\"/\"} 5000\n")
    });
    program.end();
}

#[test]
fn a_fifo_in_the_place_of_a_named_file_ends_the_start_at_once() {
    let site = site(100);
    let at = |name: &str| site.path().join(name);
    mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let (fifo, file) = (at("fifo"), at("site.toml"));
    let (fifo, file) = (text(&fifo), text(&file));
    let route = "[[route]]\npath = '/'\nfiles = '.'\n";
    let quota = "[quota]\nserver = 'https://127.0.0.1:1'\nclient_id = 'a'\n";
    for (configuration, place) in [
        (format!("admin = '127.0.0.1:0'\nadmin_token_file = 'fifo'\n{route}"), "site.toml:2:20"),
        ("[[route]]\npath = '/'\nevents = { publish_token_file = 'fifo' }\n".to_owned(), "site.toml:3:33"),
        ("[[tcp]]\nlisten = '127.0.0.1:0'\nfile = 'fifo'\n".to_owned(), "site.toml:3:8"),
        (format!("{quota}tls_ca = 'fifo'\n{route}"), "site.toml:4:10"),
        (format!("{quota}tls_ca = 'a.txt'\ntls_cert = 'a.txt'\ntls_key = 'fifo'\n{route}"), "site.toml:6:11"),
        (format!("{quota}tls_ca = 'a.txt'\ntoken_file = 'fifo'\n{route}"), "site.toml:5:14"),
    ] {
        std::fs::write(file, &configuration).unwrap();
        let (status, _, error) = Program::start_with(&["run", file], Stdio::piped()).wait();
        assert_eq!(status.code(), Some(1), "{configuration}: {error}");
        assert!(error.contains(place) && error.contains("this is a FIFO"), "{configuration}: {error}");
    }
    for args in [
        &["run", fifo][..],
        &["check", fifo],
        &["tcp", "--file", fifo, "--listen", "127.0.0.1:0"],
        &["serve", ".", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-token-file", fifo],
        &["quota", "serve", "--listen", "127.0.0.1:0", "--token-file", fifo],
        &["quota", "serve", "--listen", "127.0.0.1:0", "--tls-cert", fifo, "--tls-key", fifo],
        &["quota", "list", "--token-file", fifo],
        &["limits", "list", "--token-file", fifo],
    ] {
        let (status, _, error) = Program::start_with(args, Stdio::piped()).wait();
        assert_eq!(status.code(), Some(1), "{args:?}: {error}");
        assert!(error.contains("this is a FIFO, not a regular file"), "{args:?}: {error}");
    }
}

#[test]
fn files_sockets_and_live_servers_at_a_unix_path_are_told_apart_without_waiting() {
    let site = site(100);
    let at = |name: &str| site.path().join(name);
    let full = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    full.bind(&socket2::SockAddr::unix(at("full")).unwrap()).unwrap();
    full.listen(0).unwrap();
    let _queued = UnixStream::connect(at("full")).unwrap();
    for (name, expected) in [
        ("full", "something listens there already"),
        ("a.txt", "a.txt\" is there and is no socket; move it away, or choose another path"),
        ("none/s", "/none\"; create it or correct the path"),
    ] {
        let listen = format!("unix:{}", text(&at(name)));
        let args = ["serve", text(site.path()), "--listen", &listen];
        let (status, _, error) = Program::start_with(&args, Stdio::piped()).wait();
        assert!(status.code() == Some(1) && error.contains(expected), "{name}: {error}");
    }
    assert_eq!(std::fs::read(at("a.txt")).unwrap().len(), 1600, "it is still there");
}
