//! Several backends of one route: which gets a request, and which gets it next if one cannot answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use sluicegate::config::ProxySource;
use testkit::wait::until;

use super::fixture::{Backend, Front, accept, answer, field, read_exact, read_head, status};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A route to these, in their order.
fn route(addrs: &[SocketAddr]) -> ProxySource {
    let mut urls = addrs.iter().map(|addr| format!("http://{addr}").parse().unwrap());
    let source = ProxySource::new(urls.next().unwrap());
    ProxySource { others: urls.collect(), ..source }
}

/// An address where nobody listens.
fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A backend that does `script` with each connection after the head of its first request, and tells that head.
fn each(mut script: impl FnMut(&mut TcpStream) + Send + 'static) -> (SocketAddr, Receiver<String>) {
    let (told, heads) = channel();
    let backend = Backend::new(move |listener: &TcpListener| {
        // Ends with the test process.
        loop {
            let mut stream = accept(listener);
            let head = read_head(&mut stream);
            script(&mut stream);
            if told.send(head).is_err() {
                return;
            }
        }
    });
    (backend.addr, heads)
}

fn answering() -> (SocketAddr, Receiver<String>) {
    each(|stream| stream.write_all(OK).unwrap())
}

fn post(front: &Front, body: &str) -> (String, String) {
    let length = body.len();
    front.ask(&format!(
        "POST / HTTP/1.1\r\nhost: f\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

#[test]
fn a_request_that_was_not_sent_goes_to_the_next_whatever_it_is() {
    let (addr, heads) = answering();
    let front = Front::new(route(&[closed(), addr]));
    let (head, body) = post(&front, "body");
    assert_eq!((status(&head), body.as_str()), ("200", "ok"));
    let seen = heads.recv().unwrap();
    assert_eq!(field(&seen, "host"), Some(addr.to_string().as_str()), "it is asked by its own name");
    let statuses: Vec<_> = front.proxy.upstreams().collect();
    let [first, second] = &statuses[..] else { panic!() };
    assert!(first.is_out && first.out_for.is_some() && !second.is_out);
    assert_eq!((first.requests, first.failed_connects, first.retries), (1, 1, 1));
    assert_eq!((second.requests, second.failed_connects, second.retries), (1, 0, 0));
    until("both are over", || front.proxy.upstreams().all(|upstream| upstream.active == 0));
}

#[test]
fn an_idempotent_request_without_an_answer_goes_to_the_next_and_post_does_not() {
    // It takes the request and hangs up.
    let (silent, asked) = each(|_| {});
    let (addr, heads) = answering();
    for (method, expected) in
        [("GET", "200"), ("HEAD", "200"), ("DELETE", "200"), ("POST", "502"), ("PATCH", "502")]
    {
        let front = Front::new(route(&[silent, addr]));
        let (head, _) = front.ask(&format!("{method} / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n"));
        assert_eq!(status(&head), expected, "{method}");
        assert!(asked.recv().unwrap().starts_with(method));
        let other = if expected == "200" { heads.recv().ok() } else { heads.try_recv().ok() };
        assert_eq!(other.is_some_and(|head| head.starts_with(method)), expected == "200", "{method}");
    }
}

#[test]
fn a_body_that_nobody_began_to_read_goes_to_the_next() {
    let (silent, _asked) = each(|_| {});
    let (addr, _heads) = each(|stream| {
        assert_eq!(read_exact(stream, 4), "body");
        stream.write_all(OK).unwrap();
    });
    let front = Front::new(route(&[silent, addr]));
    let mut client = front.connect();
    let head =
        "PUT / HTTP/1.1\r\nhost: f\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    assert_eq!(status(&read_head(&mut client)), "100");
    until("it went on to the second", || {
        front.proxy.upstreams().nth(1).is_some_and(|second| second.requests == 1)
    });
    client.write_all(b"body").unwrap();
    let (head, body) = answer(&mut client);
    assert_eq!((status(&head), body.as_str()), ("200", "ok"));
}

#[test]
fn a_body_that_was_sent_is_not_sent_again() {
    let (taking, _asked) = each(|stream| {
        read_exact(stream, 4);
    });
    let (addr, heads) = answering();
    let front = Front::new(route(&[taking, addr]));
    let head = "PUT / HTTP/1.1\r\nhost: f\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbody";
    assert_eq!(status(&front.ask(head).0), "502");
    assert!(heads.try_recv().is_err());
}

#[test]
fn nothing_is_sent_again_once_a_byte_of_an_answer_came() {
    for said in
        [&b"H"[..], b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no"]
    {
        let (cut, _asked) = each(|stream| stream.write_all(said).unwrap());
        let (addr, heads) = answering();
        let front = Front::new(route(&[cut, addr]));
        let (_, body) = front.get();
        assert_ne!(body, "ok");
        assert!(heads.try_recv().is_err(), "{said:?}");
    }
}

#[test]
fn each_is_asked_once_and_the_last_failure_is_the_answer() {
    let hung_up: Vec<_> = (0..3).map(|_| each(|_| {})).collect();
    let addrs: Vec<_> = hung_up.iter().map(|(addr, _)| *addr).collect();
    let front = Front::new(route(&addrs));
    let (head, body) = front.get();
    assert_eq!((status(&head), body.as_str()), ("502", "The upstream server sent an invalid response.\n"));
    for (_, heads) in &hung_up {
        assert!(heads.recv().unwrap().starts_with("GET"));
        assert!(heads.try_recv().is_err());
    }
    assert_eq!(status(&Front::new(route(&[closed(), closed()])).get().0), "502");
}

#[test]
fn the_one_with_fewer_requests_under_way_is_asked() {
    // The first holds its answers until it is told.
    let (go, gone) = channel::<()>();
    let (slow, slow_heads) = each(move |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no").unwrap();
        gone.recv().unwrap();
        stream.write_all(b"k").unwrap();
    });
    let (quick, quick_heads) = answering();
    let front = Front::new(route(&[slow, quick]));
    let mut waiting = front.connect();
    waiting.write_all(b"GET /slow HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n").unwrap();
    assert_eq!(status(&read_head(&mut waiting)), "200");
    for _ in 0..4 {
        assert_eq!(front.get().1, "ok");
        assert!(quick_heads.recv().unwrap().starts_with("GET / "));
        until("it is over", || front.proxy.upstreams().nth(1).is_some_and(|quick| quick.active == 0));
    }
    go.send(()).unwrap();
    let mut rest = String::new();
    waiting.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "ok");
    assert!(slow_heads.recv().unwrap().starts_with("GET /slow"));
}

#[test]
fn a_tunnel_counts_as_under_way_until_it_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let backend = std::thread::spawn(move || {
        let mut stream = accept(&listener);
        read_head(&mut stream);
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
            .unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let front = Front::new(route(&[addr, closed()]));
    let mut client = front.connect();
    client.write_all(b"GET / HTTP/1.1\r\nhost: f\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").unwrap();
    assert_eq!(status(&read_head(&mut client)), "101");
    let active = || front.proxy.upstreams().next().unwrap().active;
    assert_eq!(active(), 1);
    drop(client);
    backend.join().unwrap();
    until("it ended", || active() == 0);
}
