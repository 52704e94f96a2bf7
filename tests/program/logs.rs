//! The log, the access log, and standard errors that fail.

use std::fs::OpenOptions;
use std::io::{BufRead, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use rustix::process::Signal;

use testkit::backend::once;
use testkit::message::read_head;
use testkit::program::{Program, command, get, site, text};
use testkit::records::{Record, records};
use testkit::served::connect;
use testkit::wait::{soon, until};

/// What the access log says of one response.
pub fn record(log: &str) -> Record {
    records(log, "response").into_iter().next().unwrap_or_else(|| panic!("{log}"))
}

#[test]
fn each_response_has_its_line_with_all_there_is_to_know() {
    let site = site(30_000);
    let program = Program::start(&["serve", text(site.path()), "--rate", "60", "--access-log", "stderr"]);
    let stream = program.connect();
    let client = stream.local_addr().unwrap().to_string();
    assert_eq!(get(stream, "/a.bin?q=1", "").1.len(), 30_000);
    let log = program.end();
    let record = record(&log);
    record.assert_says(&[
        ("client", &client),
        ("peer", &client),
        ("method", "GET"),
        ("target", "/a.bin?q=1"),
        ("version", "HTTP/1.1"),
        ("status", "200"),
        ("bytes", "30000"),
        ("rate_set", "60k"),
        ("outcome", "complete"),
    ]);
    // Two chunks and a remainder: 200 ms or more, so at most 150 000 bytes/s, and what is behind the point
    // of the milliseconds.
    let (lasted, pace) = (record.number("duration_ms"), record.number("bytes_per_second"));
    assert!(lasted >= 200 && pace <= 30_000 * 1_000 / lasted && pace >= 30_000 * 1_000 / (lasted + 1));
}

#[test]
fn a_head_without_a_route_is_complete_and_a_cut_transfer_is_not() {
    let site = site(1_000_000);
    let config = site.path().join("c.toml");
    let text_of = "access_log = 'stderr'\n[[route]]\npath = '/files/'\nfiles = '.'\nrate = '1000B'\n";
    std::fs::write(&config, text_of).unwrap();
    for (request, outcome) in [
        ("HEAD /nowhere HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "complete"),
        ("HEAD /files/a.bin HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "complete"),
        ("GET /files/a.bin HTTP/1.1\r\nHost: t\r\n\r\n", "aborted"),
    ] {
        let program = Program::start(&["run", text(&config)]);
        let mut stream = program.connect();
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_exact(&mut [0; 20]).unwrap();
        program.signal(Signal::TERM);
        if outcome == "aborted" {
            until("the listener is closed", || std::net::TcpStream::connect(program.addr()).is_err());
            program.signal(Signal::TERM);
        }
        let (status, log, _) = program.wait();
        assert_eq!(status.code(), Some(0));
        assert_eq!(record(&log).value("outcome"), outcome, "{request}");
    }
}

// The logger panics if it cannot write, and blocks if nobody reads: neither may hurt a transfer.
#[test]
fn a_log_that_nobody_reads_or_takes_does_not_stop_the_serving() {
    let site = site(5_000);
    let mut program =
        Program::start(&["serve", text(site.path()), "--access-log", "stderr", "--log-level", "debug"]);
    let addr = program.addr();
    // Nobody reads: the pipe holds 64 KiB, and each response logs some hundred bytes.
    for _ in 0..300 {
        assert_eq!(get(connect(addr), "/a.bin", "").1.len(), 5_000);
    }
    // Nobody can: the other end is closed.
    let mut line = String::new();
    program.log.take().unwrap().read_line(&mut line).unwrap();
    for _ in 0..20 {
        assert_eq!(get(connect(addr), "/a.bin", "").1.len(), 5_000);
    }
    assert!(program.runs());
    program.end();
}

#[test]
fn a_standard_error_that_is_full_or_closed_does_not_stop_the_serving() {
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    // A reader that left before the program began.
    let closed = || Stdio::from(rustix::pipe::pipe().unwrap().1);
    for stderr in [full(), closed()] {
        let site = site(5_000);
        let socket = site.path().join("s");
        let listen = format!("unix:{}", socket.display());
        let mut program = Program::start_with(
            &["serve", text(site.path()), "--listen", &listen, "--access-log", "stderr"],
            stderr,
        );
        for _ in 0..20 {
            let stream = soon("it listens", || {
                assert!(program.runs(), "it ended");
                UnixStream::connect(&socket).ok()
            });
            assert_eq!(get(stream, "/a.bin", "").1.len(), 5_000);
        }
        program.signal(Signal::TERM);
        let (status, ..) = program.wait();
        assert_eq!(status.code(), Some(0));
        assert!(!socket.exists());
    }
}

#[test]
fn first_lines_that_nobody_reads_do_not_hold_up_the_start() {
    let site = site(5_000);
    let (socket, config) = (site.path().join("s"), site.path().join("c.toml"));
    let mut text_of = format!("listen = 'unix:{}'\n[[route]]\npath = '/'\nfiles = '.'\n", socket.display());
    for number in 0..500 {
        let name = "x".repeat(200);
        text_of += &format!("[[route]]\npath = '/{name}{number}/'\nfiles = '.'\n");
    }
    std::fs::write(&config, text_of).unwrap();
    // A pipe holds 64 KiB.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut program = Program::start_with(&["run", text(&config)], writer);
    let stream = soon("it listens", || {
        assert!(program.runs(), "it ended");
        UnixStream::connect(&socket).ok()
    });
    assert_eq!(get(stream, "/a.bin", "").1.len(), 5_000);
    program.signal(Signal::TERM);
    let reading = std::thread::spawn(move || {
        let mut read = String::new();
        reader.read_to_string(&mut read).map(|_| read)
    });
    assert_eq!(program.wait().0.code(), Some(0));
    let read = reading.join().unwrap().unwrap();
    let messages: Vec<String> = read.lines().map(testkit::records::message).collect();
    assert!(messages[0].starts_with("listening on unix:"), "{}", messages[0]);
    assert_eq!(messages.iter().filter(|line| line.starts_with("  /x")).count(), 500);
    assert_eq!(messages.last().map(String::as_str), Some("stopped"));
}

#[test]
fn the_error_that_ends_a_server_is_a_record_where_json_is_asked_for() {
    let site = site(100);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    for (format, is_record) in [("json", true), ("text", false), ("auto", false)] {
        let args = ["serve", text(site.path()), "--listen", &listen, "--log-format", format];
        let output = command(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        if is_record {
            let record = testkit::records::record(&error).unwrap_or_else(|| panic!("{error}"));
            assert_eq!((record.value("level"), error.lines().count()), ("error", 1));
            assert!(record.value("msg").contains(&listen), "{error}");
        } else {
            assert!(error.starts_with("sluicegate: ") && error.contains(&listen), "{error}");
        }
    }
}

// A backend that is down, and clients that ask on: at 20 000 requests a second it was as many lines.
#[test]
fn a_dead_backend_has_twenty_lines_however_often_it_is_asked() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let program = Program::start(&["proxy", &format!("http://{dead}")]);
    for _ in 0..25 {
        assert!(get(program.connect(), "/", "").0.starts_with("HTTP/1.1 502 "));
    }
    let log = program.end();
    let lines = records(&log, "upstream failed");
    assert_eq!(lines.len(), 20, "{log}");
    lines.iter().for_each(|line| line.assert_says(&[("upstream", &format!("http://{dead}"))]));
}

#[test]
fn a_tunnel_that_is_cut_for_its_silence_says_so() {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("http://{}", backend.local_addr().unwrap());
    let program = Program::start(&["proxy", &upstream, "--tunnel-timeout", "100ms", "--idle-timeout", "1h"]);
    let mut stream = program.connect();
    let client = stream.local_addr().unwrap().to_string();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .unwrap();
    let mut behind = backend.accept().unwrap().0;
    let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    behind.write_all(head).unwrap();
    let mut seen = Vec::new();
    // To the cut, which may be a reset.
    let _ = stream.read_to_end(&mut seen);
    assert!(seen.starts_with(b"HTTP/1.1 101 "));
    let lines = records(&program.end(), "tunnel cut: no traffic for tunnel_timeout");
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].assert_says(&[("client", &client), ("route", "/"), ("timeout", "100ms")]);
}

#[test]
fn a_tunnel_has_its_line_at_its_end_with_the_bytes_of_both_ways() {
    let (upstream, backend) = once(|stream| {
        read_head(stream).unwrap();
        let switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello";
        stream.write_all(switching.as_bytes()).unwrap();
        stream.read_exact(&mut [0; 3]).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let program = Program::start(&["proxy", &upstream, "--access-log", "stderr"]);
    let mut stream = program.connect();
    stream.write_all(b"GET /chat HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").unwrap();
    read_head(&mut stream).unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    stream.write_all(b"bye").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    backend.join().unwrap();
    let log = program.end();
    let [record] = &records(&log, "response")[..] else { panic!("{log}") };
    record.assert_says(&[("status", "101"), ("target", "/chat"), ("outcome", "complete")]);
    record.assert_says(&[("bytes", "5"), ("bytes_up", "3")]);
}

#[test]
fn all_of_the_log_is_on_standard_error_as_json_lines_with_times_and_names_of_levels() {
    let site = site(100);
    let program = Program::start(&["serve", text(site.path()), "--rate", "60"]);
    program.signal(Signal::USR1);
    program.signal(Signal::TERM);
    // Standard output is empty: `wait` looks at it.
    let (status, log, error) = program.wait();
    assert_eq!((status.code(), error.as_str()), (Some(0), ""));
    for (message, level) in [("stopped", "info"), ("SIGUSR2 starts a new program", "warn")] {
        let [record] = &records(&log, message)[..] else { panic!("{message}: {log}") };
        assert_eq!(record.value("level"), level);
        // 2026-11-29T02:24:26.123Z
        let shape: String =
            record.value("time").chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000Z");
    }
}

#[test]
fn text_can_be_asked_for_and_has_no_colours_where_there_is_no_terminal() {
    let site = site(100);
    let mut command =
        command(&["serve", text(site.path()), "--log-format", "text", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert!(first.starts_with("listening on http://127.0.0.1:"), "{first}");
    let mut rest = String::new();
    while !rest.contains("Ctrl-C stops") {
        assert_ne!(lines.read_line(&mut rest).unwrap(), 0, "{rest}");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    rest.clear();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let (time, last) = rest.lines().next_back().unwrap().split_at("2026-11-29T02:24:26.123Z".len());
    assert!(time.ends_with('Z') && last == "  INFO stopped", "{rest}");
    assert!(!rest.contains('\x1b'), "{rest}");
}
