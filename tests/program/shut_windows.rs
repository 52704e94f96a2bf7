//! What clients of HTTP/2 cost the whole process that ask much and open no window for any of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use testkit::program::{Program, get, text};
use testkit::served::{connect, post};
use testkit::wait::{soon, until};

const CONNECTIONS: usize = 100;

/// As many as the server takes on one connection.
const STREAMS: usize = 100;

/// `total` in `[sink]`.
const TOTAL: u64 = 8 << 20;

/// What a connection of HTTP/2 may cost whose streams wait for their windows: "What a connection may hold" in
/// `docs/slow-readers.md`. (Measured: 0.5 to 0.6 MiB.)
const WAITING_CONNECTION: u64 = 1 << 20;

/// What any may cost.
const CONNECTION: u64 = 6 << 20;

const ATTACKS: [&str; 3] = ["/large.txt", "/gz/large.txt", "/events/news/poll?after=x&max=1000"];

/// `SETTINGS_INITIAL_WINDOW_SIZE` behind the preface.
fn preface(window: u8) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend_from_slice(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, window]);
    bytes
}

/// A GET on a new stream.
fn get_frame(stream: u32, path: &str) -> Vec<u8> {
    // HPACK (RFC 7541): `:method: GET`, `:scheme: http`; then `:path`, `:authority` and `accept-encoding` by the
    // numbers of their names in the static table, literal and not indexed.
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x01\x09localhost\x0f\x01\x04gzip");
    let mut frame = (block.len() as u32).to_be_bytes()[1..].to_vec();
    // HEADERS, with END_STREAM and END_HEADERS.
    frame.extend_from_slice(&[1, 5]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(&block);
    frame
}

/// Asks for `path` on all streams of a connection, each with `window`, and opens none of them wider. Comes back
/// when the heads of all answers are there, with how many of them are 200.
fn stalled(addr: SocketAddr, path: &str, window: u8) -> (TcpStream, usize) {
    let mut stream = connect(addr);
    let mut asked = preface(window);
    (0..STREAMS as u32).for_each(|at| asked.extend_from_slice(&get_frame(2 * at + 1, path)));
    stream.write_all(&asked).unwrap();
    let (mut heads, mut served) = (0, 0);
    while heads < STREAMS {
        let mut header = [0; 9];
        stream.read_exact(&mut header).unwrap();
        let len = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; len as usize];
        stream.read_exact(&mut payload).unwrap();
        let kind = header[3];
        assert!(kind != 0 || payload.len() <= window.into(), "content without a window for it");
        assert!(matches!(kind, 0 | 1 | 4 | 8), "neither content, a head nor of the connection: {header:?}");
        heads += usize::from(kind == 1);
        // Indexed in the static table: `:status: 200`.
        served += usize::from(kind == 1 && payload[0] == 0x88);
    }
    (stream, served)
}

fn program(site: &std::path::Path) -> Program {
    let file = site.join("site.toml");
    let filters = "filters = ['gzip']\n";
    let routes =
        [("/", "files = '.'\n"), ("/gz/", &format!("files = '.'\n{filters}")), ("/events/", "events = {}\n")];
    let routes: String =
        routes.iter().map(|(path, rest)| format!("[[route]]\npath = '{path}'\n{rest}")).collect();
    std::fs::write(
        &file,
        format!("log_level = 'warn'\nadmin = '127.0.0.1:0'\n[sink]\ntotal = '{TOTAL}B'\n{routes}"),
    )
    .unwrap();
    Program::start(&["run", text(&file)])
}

/// Events of about 1.2 MB in all.
fn publish(addr: SocketAddr) {
    let event = format!("{{\"data\":\"{}\"}}", "e".repeat(2400));
    let batch = format!("[{}]", vec![event; 100].join(","));
    for _ in 0..5 {
        let answer = post(addr, "/events/news", "Content-Type: application/json\r\n", &batch);
        assert_eq!(answer.status(), 200, "{answer:?}");
    }
}

/// A program under one attack.
struct Attacked {
    program: Program,
    _site: tempfile::TempDir,
    connections: Vec<TcpStream>,
    /// Streams that were served.
    served: usize,
    /// Bytes by which the process grew, once it has come to rest.
    grown: u64,
}

fn attacked(path: &str, window: u8) -> Attacked {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("page"), [b'x'; 1000]).unwrap();
    std::fs::write(site.path().join("large.txt"), "some text\n".repeat(100_000)).unwrap();
    let program = program(site.path());
    publish(program.addr());
    // The first has code and data brought in.
    let first = stalled(program.addr(), path, window);
    let before = program.memory();
    let mut attacked = Attacked { program, _site: site, connections: vec![first.0], served: 0, grown: 0 };
    for _ in 0..CONNECTIONS {
        let (connection, served) = stalled(attacked.program.addr(), path, window);
        attacked.connections.push(connection);
        attacked.served += served;
    }
    // The heads may be out a moment before the rest is done. Real time: it is another process.
    let mut seen = 0;
    attacked.grown = soon("the process comes to rest", || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let now = attacked.program.memory();
        (std::mem::replace(&mut seen, now) == now).then(|| now.saturating_sub(before))
    });
    println!("{path} {window}: {} KiB for each connection", attacked.grown / 1024 / CONNECTIONS as u64);
    attacked
}

/// What the program says it holds, by where it is.
fn held(program: &Program) -> [u64; 6] {
    ["sink", "framing", "http2", "content", "filter", "request"]
        .map(|what| program.metric(&format!("sluicegate_held_bytes{{what=\"{what}\"}}")))
}

#[test]
fn streams_without_a_window_take_neither_what_they_would_send_nor_a_coder() {
    for path in ATTACKS {
        let attacked = attacked(path, 0);
        let most = TOTAL + CONNECTIONS as u64 * WAITING_CONNECTION;
        assert!(attacked.grown <= most, "{path}: grown by {}, expected at most {most}", attacked.grown);
        let program = attacked.program;
        assert_eq!(attacked.served, CONNECTIONS * STREAMS, "{path}: {:?}", held(&program));
        assert_eq!(program.metric("sluicegate_shedding"), 0, "{path}");
        assert_eq!(get(program.connect(), "/page", "").1.len(), 1000, "{path}: others are served");
        drop(attacked.connections);
        program.end();
    }
}

#[test]
fn streams_whose_windows_are_too_small_hold_what_a_connection_may_and_what_all_may() {
    for path in ATTACKS {
        let attacked = attacked(path, 20);
        let most = TOTAL + CONNECTIONS as u64 * CONNECTION;
        assert!(attacked.grown <= most, "{path}: grown by {}, expected at most {most}", attacked.grown);
        let program = attacked.program;
        let sum = || held(&program).iter().sum::<u64>();
        // While coders work more is held than when they are done: what came meanwhile was refused, and comes again.
        let mut later = Vec::new();
        let held = soon("more is held than may be, and requests are turned away", || {
            later.push(stalled(program.addr(), path, 20));
            let (held, sheds) = (sum(), program.metric("sluicegate_shedding"));
            let (head, _) = get(program.connect(), "/page", "");
            (held > TOTAL && sheds == 1 && head.starts_with("HTTP/1.1 503")).then_some(held)
        });
        assert!(held < attacked.grown, "{path}: {held} of {}", attacked.grown);
        drop((attacked.connections, later));
        until("others are served", || get(program.connect(), "/page", "").0.starts_with("HTTP/1.1 200"));
        program.end();
    }
}
