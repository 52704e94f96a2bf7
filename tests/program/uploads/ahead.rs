//! How much the process itself holds of what is not due: what a sender got rid of, without what waits in the kernel's queues.

use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use testkit::message::read_head;
use testkit::process::procfs::queues;
use testkit::wait::LIMIT;

use super::*;

/// What the process may hold of a transfer before it is due (docs/limits.md).
const AHEAD: u64 = 80 * 1024;

const RATE: u64 = 20_000;

/// What the rate gives in one interval.
const CHUNK: u64 = RATE / 5;

/// Chunks that arrive while it is looked at.
const CHUNKS: u64 = 10;

/// Reads `stream` to its end, counting.
fn take(mut stream: impl Read, taken: &AtomicU64) {
    let mut buf = vec![0; 65_536];
    while let Ok(n @ 1..) = stream.read(&mut buf) {
        taken.fetch_add(n as u64, Ordering::SeqCst);
    }
}

/// Writes what `stream` takes without waiting.
fn push(stream: &mut TcpStream, pushed: &mut u64) {
    let piece = [b'x'; 16_384];
    loop {
        match stream.write(&piece) {
            Ok(n) => *pushed += n as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// What `stream` has sent and the server has not read, when nothing moves. What has come and is not acknowledged yet is in both
/// queues: for some milliseconds this is too much.
fn in_the_kernel(stream: &TcpStream) -> u64 {
    let (local, remote) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    let look = || (queues(local, remote).unwrap().0, queues(remote, local).unwrap().1);
    soon("queues in which nothing moves", || {
        let (before, after) = (look(), look());
        (before == after).then_some(before.0 + before.1)
    })
}

/// Pushes all that is taken through the server to where `taken` counts, and returns the most that the server held meanwhile.
fn held(mut stream: TcpStream, taken: &AtomicU64) -> u64 {
    stream.set_nonblocking(true).unwrap();
    let (mut pushed, mut most) = (0, 0);
    let (mut seen, began) = (0, Instant::now());
    while seen < CHUNKS * CHUNK {
        push(&mut stream, &mut pushed);
        // What arrives between the two looks is counted as held: never too little.
        seen = taken.load(Ordering::SeqCst);
        most = most.max(pushed.saturating_sub(in_the_kernel(&stream)).saturating_sub(seen));
        assert!(began.elapsed() < LIMIT, "{seen} bytes arrived within {LIMIT:?}");
    }
    most
}

/// A port of a backend that hands on the heads of its connections' requests, if they have any, and the connections.
fn backend(has_head: bool, answer: &'static [u8], accepted: Sender<TcpStream>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            if has_head {
                read_head(&mut stream).unwrap();
            }
            stream.write_all(answer).unwrap();
            if accepted.send(stream).is_err() {
                break;
            }
        }
    });
    addr
}

const SWITCHES: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: x\r\n\r\n";
const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000000\r\n\r\n";

/// A kind of transfer: what the client says first, what the backend answers, and whether raw TCP is relayed.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Relay,
    Tunnel,
    Body,
}

/// The most that the process held of what a client sends, and of what a backend sends.
fn held_of(kind: Kind) -> (u64, Option<u64>) {
    let (accepted, accepts) = channel();
    let (first, answer): (&[u8], &'static [u8]) = match kind {
        Kind::Relay => (b"", b""),
        Kind::Tunnel => (UPGRADE, SWITCHES),
        Kind::Body => (POST, b""),
    };
    let backend = backend(!matches!(kind, Kind::Relay), answer, accepted);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.toml");
    let keys = format!(
        "listen = '127.0.0.1:0'\n[[route]]\npath = '/'\nproxy = 'http://{backend}'\nrate = '{RATE}B'\n\
         upload = {{ rate = '{RATE}B' }}\n\
         [[tcp]]\nlisten = '127.0.0.1:0'\nto = '{backend}'\nrate = '{RATE}B'\nupload_rate = '{RATE}B'\n"
    );
    std::fs::write(&file, keys).unwrap();
    let program = Program::start(&["run", text(&file)]);
    let port = program.started.iter().find_map(|line| line.strip_prefix("listening on tcp:"));
    let port: SocketAddr = port.unwrap().split(' ').next().unwrap().parse().unwrap();
    let open = || {
        let mut client = connect(if matches!(kind, Kind::Relay) { port } else { program.addr() });
        client.write_all(first).unwrap();
        if matches!(kind, Kind::Tunnel) {
            assert!(read_head(&mut client).unwrap().starts_with("HTTP/1.1 101 "));
        }
        (client, accepts.recv_timeout(PATIENCE).unwrap())
    };
    let counted = |sender: TcpStream, taker: TcpStream| {
        let taken = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&taken);
        std::thread::spawn(move || take(taker, &counts));
        held(sender, &taken)
    };
    let (client, taker) = open();
    let up = counted(client, taker);
    let down = (!matches!(kind, Kind::Body)).then(|| {
        let (taker, sender) = open();
        counted(sender, taker)
    });
    (up, down)
}

#[test]
fn of_a_transfer_that_is_not_due_the_process_holds_no_more_than_it_may() {
    for kind in [Kind::Relay, Kind::Tunnel, Kind::Body] {
        let (up, down) = held_of(kind);
        println!("{kind:?}: {up} bytes of what a client sends, {down:?} of what a backend sends");
        for held in [Some(up), down].into_iter().flatten() {
            assert!(held <= AHEAD + 2 * CHUNK, "{kind:?}: {held}");
        }
        assert!(up > 0, "{kind:?}: nothing was seen");
    }
}
