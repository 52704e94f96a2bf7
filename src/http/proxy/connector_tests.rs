use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::task::{Context, Waker};

use super::*;
use crate::clock::ManualClock;
use crate::http::peer::PeerAddr;

fn connector(url: &str, clock: &Arc<ManualClock>) -> Connector {
    let source = ProxySource::new(url.parse().unwrap());
    Connector::new(&source.upstream, &source, None, Buffers::from(None), Arc::clone(clock) as _)
}

fn client() -> Client {
    Client::new(PeerAddr::Unix, "http")
}

#[test]
fn a_connection_to_a_name_is_reused_for_a_minute_and_one_to_an_address_without_limit() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = upstream.local_addr().unwrap().port();
    for (host, is_named) in [("127.0.0.1", false), ("localhost", true)] {
        let clock = Arc::new(ManualClock::new());
        let connector = connector(&format!("http://{host}:{port}"), &clock);
        let connection = rt::block_on(connector.open(&client())).unwrap();
        let _other = upstream.accept().unwrap();
        assert!(connection.is_reusable(clock.now() + (MAX_AGE - Duration::from_nanos(1))), "{host}");
        assert_eq!(connection.is_reusable(clock.now() + MAX_AGE), !is_named, "{host}");
    }
}

#[test]
fn a_socket_whose_queue_is_full_is_tried_until_there_is_room_or_it_is_late() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let listener = UnixListener::from(std::os::fd::OwnedFd::from(listener));
    let mut queued = Vec::new();
    while let Ok(socket) = rt::block_on(rt::connect_unix(&path)) {
        queued.push(socket);
    }
    let clock = Arc::new(ManualClock::new());
    let connector = connector(&format!("unix:{}", path.display()), &clock);
    let mut cx = Context::from_waker(Waker::noop());
    let client = client();
    let mut opening = Box::pin(connector.open(&client));
    for pause in [2, 4, 8, 16, 32, 64, 64] {
        assert!(opening.as_mut().poll(&mut cx).is_pending());
        clock.advance(Duration::from_millis(pause) - Duration::from_nanos(1));
        assert!(opening.as_mut().poll(&mut cx).is_pending());
        assert_eq!(clock.next_deadline(), Some(clock.now() + Duration::from_nanos(1)), "{pause}");
        clock.advance(Duration::from_nanos(1));
    }
    let room = listener.accept().unwrap();
    assert!(rt::block_on(opening).is_ok());
    drop(room);

    let mut opening = Box::pin(connector.open(&client));
    assert!(opening.as_mut().poll(&mut cx).is_pending());
    clock.advance(Duration::from_secs(5));
    match rt::block_on(opening) {
        Err(Failure::Connect(error)) => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
        opened => panic!("{opened:?}"),
    }
}
