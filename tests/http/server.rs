//! The server on real sockets: what HTTP promises, and what becomes of connections.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use sluicegate::config::SharedLimits;
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::limit::{Budget, Rate};
use testkit::served::{Response, Served};

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.txt"), "hello\n").unwrap();
    std::fs::write(folder.path().join("38400.bin"), vec![b'x'; 38_400]).unwrap();
    std::fs::write(folder.path().join("10240.bin"), vec![b'y'; 10_240]).unwrap();
    std::fs::write(folder.path().join("large.bin"), vec![b'z'; 1_000_000]).unwrap();
    folder
}

fn unpaced() -> (tempfile::TempDir, Served) {
    let folder = folder();
    let served = Served::new(vec![Route::files("/", folder.path()).unwrap()]);
    (folder, served)
}

fn paced(rate: u64) -> (tempfile::TempDir, Served) {
    let folder = folder();
    let route = Route::files("/", folder.path()).unwrap().rate(Rate::or_unlimited(rate));
    (folder, Served::new(vec![route]))
}

#[test]
fn a_file_comes_whole_and_the_connection_is_kept() {
    let (_folder, served) = unpaced();
    let mut stream = served.connect();
    for _ in 0..3 {
        stream.write_all(b"GET /38400.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let response = Response::read(&mut stream).unwrap();
        assert_eq!((response.status(), response.field("content-length")), (200, Some("38400")));
        assert!(response.body == vec![b'x'; 38_400]);
    }
    stream.write_all(b"HEAD /38400.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let head = Response::read_for(&mut stream, "HEAD").unwrap();
    assert_eq!((head.status(), head.field("content-length"), head.body.len()), (200, Some("38400"), 0));
    stream.write_all(b"GET /small.txt HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(Response::read(&mut stream).unwrap().body, b"hello\n", "the answer to HEAD had no body");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (_folder, served) = unpaced();
    let mut stream = served.connect();
    let one = "GET /small.txt HTTP/1.1\r\nHost: t\r\n\r\n";
    let last = "GET /nowhere HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{one}{one}{last}").as_bytes()).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let statuses: Vec<_> = all.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect();
    assert_eq!(statuses, ["HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"]);
}

#[test]
fn http_1_0_gets_its_answer_and_the_end_of_the_connection() {
    let (_folder, served) = unpaced();
    let answer = String::from_utf8(served.ask("GET /small.txt HTTP/1.0\r\n\r\n")).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\nhello\n"), "{answer}");
}

#[test]
fn a_malformed_request_is_answered_400() {
    let (_folder, served) = unpaced();
    let answer = String::from_utf8(served.ask("what is this\r\n\r\n")).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
}

#[test]
fn a_head_may_have_32_kib_and_not_a_byte_more() {
    let (_folder, served) = unpaced();
    let start = "GET /small.txt HTTP/1.1\r\nHost: t\r\nConnection: close\r\nX-Filler: ";
    for (size, status) in [(32_767, "200"), (32_768, "200"), (32_769, "431")] {
        let filler = "x".repeat(size - start.len() - 4);
        let mut stream = served.connect();
        // A refusing server may close before it read all; its answer counts.
        let _ = stream.write_all(format!("{start}{filler}\r\n\r\n").as_bytes());
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer[9..12], status.as_bytes(), "{size} bytes");
    }
}

// Real time: what is tested is that the server lets go by itself. The bounds say only "not at once"
// and "not for ever".
#[test]
fn a_client_that_does_not_finish_a_head_is_let_go() {
    let settings = Settings {
        header_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(600),
        ..Settings::default()
    };
    let folder = folder();
    let served = Served::with(settings, vec![Route::files("/", folder.path()).unwrap()]);
    for sent in ["", "PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "G", "GET / HTTP/1.1\r\nHost:"] {
        let began = Instant::now();
        let mut stream = served.connect();
        stream.write_all(sent.as_bytes()).unwrap();
        // HTTP/2 says a few words before it goes.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(began.elapsed() >= Duration::from_millis(250), "{sent:?}: {:?}", began.elapsed());
    }
    let mut stream = served.connect();
    stream.write_all(b"GET /small.txt HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    Response::read(&mut stream).unwrap();
    let began = Instant::now();
    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0, "idle");
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
}

// Real time, against the vector of `docs/pacing.md`: 12 288 bytes at 0 and 200 ms, the rest at 400 ms. The bounds
// allow for a loaded machine, not for another pace.
#[test]
fn a_paced_file_leaves_chunk_by_chunk() {
    let (_folder, served) = paced(61_440);
    let response = served.get("/38400.bin", "");
    assert_eq!(response.body.len(), 38_400);
    let before = |millis: u64| {
        response.timeline.iter().filter(|(at, _)| *at < Duration::from_millis(millis)).map(|(_, n)| *n).max()
    };
    assert_eq!((before(150), before(350)), (Some(12_288), Some(24_576)), "{:?}", response.timeline);
    let (last, total) = *response.timeline.last().unwrap();
    assert_eq!(total, 38_400);
    assert!(last >= Duration::from_millis(380), "{:?}", response.timeline);
}

// Apache, nginx and lighttpd let such requests through at hundreds of times the limit.
#[test]
fn small_bodies_asked_one_after_another_do_not_escape() {
    let (_folder, served) = paced(61_440);
    let mut stream = served.connect();
    let began = Instant::now();
    let mut came = Vec::new();
    for _ in 0..5 {
        stream.write_all(b"GET /10240.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        assert_eq!(Response::read(&mut stream).unwrap().body.len(), 10_240);
        came.push(began.elapsed().as_millis() as u64);
    }
    for (came, due) in came.iter().zip([0, 0, 133, 300, 466]) {
        assert!(*came >= due && *came < due + 120, "{came:?} for {due}: {came:?}");
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_served_ends_in_a_reset() {
    for request in ["GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n", "GET /large.bin HTTP/1.0\r\n\r\n"] {
        let (folder, served) = paced(1_000_000);
        let mut stream = served.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut some = [0; 1000];
        stream.read_exact(&mut some).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(folder.path().join("large.bin")).unwrap();
        file.set_len(300_000).unwrap();
        let mut rest = Vec::new();
        let error = stream.read_to_end(&mut rest).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let text = String::from_utf8_lossy(&some);
        let head = text.find("\r\n\r\n").unwrap() + 4;
        assert_eq!(some.len() + rest.len() - head, 300_000, "what there was came first");
    }
}

#[test]
fn connections_above_the_bound_are_told_so_and_room_is_found_again() {
    let folder = folder();
    let settings = Settings { max_connections: 2, ..Settings::default() };
    let served = Served::with(
        settings,
        vec![Route::files("/", folder.path()).unwrap().rate(Rate::or_unlimited(61_440))],
    );
    let mut busy: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = served.connect();
            stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 100]).unwrap();
            stream
        })
        .collect();
    let answer = String::from_utf8(served.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n")).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.to_lowercase().contains("\r\nretry-after: "),
        "{answer}"
    );
    busy.pop();
    while served.handle.connections() == 2 {
        std::thread::yield_now();
    }
    assert_eq!(served.get("/small.txt", "").status(), 200);
}

#[test]
fn on_a_full_server_the_connection_that_was_idle_for_longest_makes_room() {
    let folder = folder();
    let settings = Settings { max_connections: 4, ..Settings::default() };
    let route = Route::files("/", folder.path()).unwrap().rate(Rate::or_unlimited(61_440));
    let served = Served::with(settings, vec![route]);
    let request = b"GET /small.txt HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut busy = served.connect();
    busy.write_all(b"GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    busy.read_exact(&mut [0; 100]).unwrap();
    let connect = |bytes: &[u8]| {
        let before = served.handle.telemetry().connections_accepted();
        let mut stream = served.connect();
        stream.write_all(bytes).unwrap();
        while served.handle.telemetry().connections_accepted() == before {
            std::thread::yield_now();
        }
        stream
    };
    // One that says nothing, one that sends a head bit by bit, one that is kept after its answer.
    let (mut silent, mut slow, mut kept) = (connect(b""), connect(b"GET /sm"), connect(request));
    assert_eq!(Response::read(&mut kept).unwrap().status(), 200);
    let mut more = Vec::new();
    for idle in [&mut silent, &mut slow] {
        let mut next = connect(request);
        assert_eq!(Response::read(&mut next).unwrap().status(), 200);
        let ended = idle.read(&mut [0; 1]);
        assert!(
            matches!(ended, Ok(0)) || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
        );
        more.push(next);
    }
    kept.write_all(request).unwrap();
    assert_eq!(Response::read(&mut kept).unwrap().status(), 200, "it is not its turn");
    for _ in 0..20 {
        let mut next = connect(request);
        assert_eq!(Response::read(&mut next).unwrap().status(), 200);
        more.push(next);
    }
    busy.read_exact(&mut [0; 100]).unwrap();
    assert_eq!(served.handle.telemetry().connections_refused(), 0);
}

/// A connection from `ip`, one of this machine's own.
fn connect_from(ip: [u8; 4], to: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((ip, 0))).unwrap();
    connect(&socket, &to).unwrap();
    socket.into()
}

#[test]
fn the_last_places_are_kept_for_clients_that_have_less_than_their_share() {
    let folder = folder();
    let settings = Settings { max_connections: 16, ..Settings::default() };
    let route = Route::files("/", folder.path()).unwrap().rate(Rate::or_unlimited(61_440));
    let served = Served::with(settings, vec![route]);
    // Asks for what lasts, and returns the answer's status.
    let ask = |ip: [u8; 4]| {
        let mut stream = connect_from(ip, served.addr);
        stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let mut line = [0; 12];
        stream.read_exact(&mut line).unwrap();
        (stream, String::from_utf8_lossy(&line[9..]).into_owned())
    };
    let (first, second) = ([127, 0, 0, 1], [127, 0, 0, 2]);
    let busy: Vec<_> = (0..14).map(|_| ask(first)).collect();
    assert!(busy.iter().all(|(_, status)| status == "200"));
    assert_eq!(ask(first).1, "429");
    let more = [ask(second), ask(second)];
    assert_eq!([&more[0].1, &more[1].1], ["200", "200"]);
    assert_eq!(ask(second).1, "503");
}

#[test]
fn draining_lets_transfers_finish_and_takes_no_more() {
    let (_folder, served) = paced(61_440);
    let mut idle = served.connect();
    idle.write_all(b"GET /small.txt HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    Response::read(&mut idle).unwrap();
    let mut busy = served.connect();
    busy.write_all(b"GET /38400.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let mut first = [0; 100];
    busy.read_exact(&mut first).unwrap();
    served.handle.drain();
    assert_eq!(idle.read(&mut [0; 9]).unwrap(), 0, "an idle connection is closed at once");
    let mut rest = Vec::new();
    busy.read_to_end(&mut rest).unwrap();
    let head = String::from_utf8_lossy(&first).len();
    assert!(head + rest.len() > 38_400, "the transfer came to its end");
    served.join();
}

#[test]
fn a_second_word_stops_at_once_and_a_cut_transfer_is_a_reset() {
    for request in ["GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n", "GET /large.bin HTTP/1.0\r\n\r\n"] {
        let (_folder, served) = paced(61_440);
        let mut stream = served.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut first = [0; 100];
        stream.read_exact(&mut first).unwrap();
        served.handle.drain();
        served.handle.stop();
        let mut rest = Vec::new();
        assert_eq!(stream.read_to_end(&mut rest).unwrap_err().kind(), ErrorKind::ConnectionReset);
        served.join();
    }
}

// Answers without content pass no gate. A flood of them must not be free.
#[test]
fn heads_are_charged_to_the_server_and_the_client() {
    let limits = SharedLimits { server: Budget::of(Rate::or_unlimited(1 << 20)), ..SharedLimits::default() };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("page"), vec![0; 10_000]).unwrap();
    let served = Served::with(
        Settings { limits, ..Settings::default() },
        vec![Route::files("/", folder.path()).unwrap()],
    );
    let mut stream = served.connect();
    let mut heads = 0;
    for _ in 0..50 {
        stream.write_all(b"HEAD /page HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        heads += Response::read_for(&mut stream, "HEAD").unwrap().head.len() as u64;
    }
    let passed = || served.handle.budgets().server().passed().bytes;
    // The last one's bytes are charged when the next answer ends.
    assert!((heads * 49 / 50..=heads).contains(&passed()), "{} of {heads}", passed());
    stream.write_all(b"GET /page HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(Response::read(&mut stream).unwrap().body.len(), 10_000);
    let due = heads * 49 / 50 + 10_000..=heads * 51 / 50 + 10_100;
    assert!(due.contains(&passed()), "{} of {due:?}", passed());
    let (_, client) = &served.handle.budgets().clients().known(10)[0];
    assert_eq!(client.passed().bytes, passed());
}
