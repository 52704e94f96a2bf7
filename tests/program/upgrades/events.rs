//! SIGUSR2 under streams of events: subscribers inside TLS and over HTTP/2 come to the new program, and miss nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::scope;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use sluicegate::rt::{self, Connect};
use sluicegate::tls::{ClientTls, Stream};
use testkit::certificates::Certificates;
use testkit::h2;
use testkit::served::connect;
use testkit::sse::Answer;
use testkit::tls::TlsClient;
use testkit::wait::{soon, until};
use testkit::wire::{self, status};

use super::clients::is_refused;
use super::{Done, New, Program, Signal, free, replaced, run};

/// How often a new program takes over.
const UPGRADES: usize = 4;

/// Events between two upgrades, of which each subscriber has got all but a few before the next.
const BETWEEN: usize = 50;

const LAST: &str = "the last";

/// What a subscriber has got, over all of its connections.
#[derive(Debug, Default)]
struct Got {
    data: Vec<String>,
    last_id: Option<String>,
    /// The id that the connection resumed after.
    resumed: Option<String>,
    /// The new program cannot know what came after an id of the old one, and says so.
    gaps: usize,
    connections: usize,
    /// The number of the last event of the connection.
    last: Option<usize>,
}

/// A subscriber's way to the stream.
#[derive(Clone, Copy, Debug)]
struct Way {
    addr: SocketAddr,
    is_secured: bool,
    is_multiplexed: bool,
}

struct Scene<'a> {
    made: &'a Certificates,
    got: [Mutex<Got>; 4],
    done: AtomicBool,
}

impl Got {
    /// Notes the events of one connection that have come.
    fn note(&mut self, answer: &mut Answer) {
        for event in answer.by_ref() {
            match &*event.kind {
                "sluicegate.open" => {}
                "sluicegate.gap" => {
                    let gap = event.json();
                    let told = [&gap["reason"], &gap["after"]].map(|value| value.as_str());
                    assert_eq!(told, [Some("unknown"), self.resumed.as_deref()], "{gap}");
                    self.gaps += 1;
                }
                "message" => {
                    let number = event.data.parse().ok();
                    assert!(number.is_none() || number > self.last, "{number:?} after {:?}", self.last);
                    self.last = number;
                    self.data.push(event.data);
                }
                other => panic!("{other}: {event:?}"),
            }
            self.last_id = event.id.or(self.last_id.take());
        }
    }

    fn is_over(&self) -> bool {
        self.data.last().is_some_and(|data| data == LAST)
    }
}

impl Scene<'_> {
    /// Subscribes again and again, each time after the last id, until the last event is there.
    fn subscribe(&self, way: Way, got: &Mutex<Got>) {
        loop {
            let last_id = {
                let mut got = got.lock().unwrap();
                if got.is_over() {
                    return;
                }
                (got.connections, got.last) = (got.connections + 1, None);
                got.resumed = got.last_id.clone();
                got.last_id.clone()
            };
            let mut answer = if way.is_multiplexed {
                rt::block_on(self.read_http2(way, last_id, got))
            } else if way.is_secured {
                let tls = TlsClient::new(self.made);
                Self::read_http1(tls.connect(way.addr, "127.0.0.1").unwrap(), last_id, got)
            } else {
                Self::read_http1(connect(way.addr), last_id, got)
            };
            let mut got = got.lock().unwrap();
            got.note(&mut answer);
            assert!(got.is_over() || answer.ended, "{way:?}: the stream was cut off");
            assert!(got.is_over() || answer.retry.is_some(), "{way:?}: told when to come again");
        }
    }

    /// Reads a stream to its end, or to the last event.
    fn read_http1(mut stream: impl Read + Write, last_id: Option<String>, got: &Mutex<Got>) -> Answer {
        let after = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        write!(stream, "GET /events/a HTTP/1.1\r\nHost: 127.0.0.1\r\n{after}\r\n").unwrap();
        let (mut answer, mut buf) = (Answer::default(), [0; 4096]);
        while !answer.ended && !got.lock().unwrap().is_over() {
            let n = stream.read(&mut buf).unwrap();
            assert_ne!(n, 0, "the connection ended before the stream");
            answer.push(&buf[..n]);
            got.lock().unwrap().note(&mut answer);
        }
        assert_eq!(status(&answer.head), 200, "{}", answer.head);
        answer
    }

    /// The same over HTTP/2.
    async fn read_http2(&self, way: Way, last_id: Option<String>, got: &Mutex<Got>) -> Answer {
        let to = Connect { host: way.addr.ip().to_string(), port: way.addr.port(), receive_buffer: None };
        let socket = rt::connect(&to).await.unwrap();
        let stream = if way.is_secured {
            let tls = ClientTls::new(&self.made.at("ca.pem"), None).unwrap();
            tls.connect("127.0.0.1", socket).await.unwrap()
        } else {
            Stream::Plain(socket)
        };
        let mut sender = h2::over::<Empty<Bytes>, _>(stream, h2::WIDE).await;
        let mut request = Request::get("https://127.0.0.1/events/a");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let mut answer = Answer::content();
        let response = match sender.send_request(request.body(Empty::new()).unwrap()).await {
            Err(error) if error.is_canceled() || is_refused(&error) => {
                // Nothing was begun: a client asks again.
                (answer.ended, answer.retry) = (true, Some(0));
                return answer;
            }
            response => response.unwrap(),
        };
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        while !answer.ended && !got.lock().unwrap().is_over() {
            match body.frame().await {
                None => answer.ended = true,
                Some(frame) => answer.push(frame.unwrap().data_ref().unwrap()),
            }
            got.lock().unwrap().note(&mut answer);
        }
        answer
    }

    /// The fewest events that a subscriber has got.
    fn fewest(&self) -> usize {
        self.got.iter().map(|got| got.lock().unwrap().data.len()).min().unwrap()
    }

    /// Publishes numbers, each when the subscribers have got all but a few of those before, until it is done. As
    /// publishers do, it says again what was not answered with 200.
    fn publish(&self, addr: SocketAddr, published: &AtomicUsize) {
        while !self.done.load(Ordering::Relaxed) {
            let number = published.load(Ordering::Relaxed);
            publish_once(addr, &number.to_string());
            published.fetch_add(1, Ordering::Relaxed);
            until("the subscribers have got what was published", || self.fewest() + 10 > number);
        }
        publish_once(addr, LAST);
    }
}

fn publish_once(addr: SocketAddr, data: &str) {
    let length = data.len();
    let request = format!(
        "POST /events/a HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{data}"
    );
    soon("an event that is taken", || {
        let mut stream: TcpStream = connect(addr);
        let mut answer = Vec::new();
        // The old program may close a connection that it has not heard of a request on.
        let heard = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut answer));
        let status = heard.ok().map(|_| status(&String::from_utf8_lossy(&answer)))?;
        assert!([0, 200, 503].contains(&status), "{}", String::from_utf8_lossy(&answer));
        (status == 200).then_some(())
    });
}

fn configure(made: &Certificates, [plain, secured]: [SocketAddr; 2]) -> std::path::PathBuf {
    let keys = format!(
        "listen = ['{plain}', {{ address = '{secured}', tls = 'main' }}]\ndrain = '1h'\n\
         [tls.main]\ncert = 'server.pem'\nkey = 'server.key'\n\
         [[route]]\npath = '/events/'\nevents = {{ names = 'a' }}\n"
    );
    made.write("site.toml", &keys);
    made.at("site.toml")
}

/// Has new programs take over while `scene` goes on; returns the last.
fn take_over(first: &mut Program, published: &AtomicUsize) -> New {
    let mut news: Vec<New> = Vec::new();
    for _ in 0..UPGRADES {
        let before = published.load(Ordering::Relaxed);
        until("more events", || published.load(Ordering::Relaxed) >= before + BETWEEN);
        match news.last() {
            None => first.signal(Signal::USR2),
            Some(last) => last.signal(Signal::USR2),
        }
        news.push(replaced(first).0);
    }
    let last = news.pop().unwrap();
    until("the old ones end", || !news.iter().any(New::runs));
    last
}

#[test]
fn subscribers_inside_tls_and_over_http2_come_to_the_new_program_and_miss_nothing() {
    let (made, addrs) = (Certificates::make(), free());
    let [plain, secured] = addrs;
    let mut first = run(&configure(&made, addrs));
    let scene = Scene { made: &made, got: Default::default(), done: AtomicBool::new(false) };
    let published = AtomicUsize::new(0);
    let ways = [(plain, false, false), (secured, true, false), (plain, false, true), (secured, true, true)]
        .map(|(addr, is_secured, is_multiplexed)| Way { addr, is_secured, is_multiplexed });
    let last = scope(|scope| {
        let (scene, published) = (&scene, &published);
        let _ending = Done(&scene.done);
        for (way, got) in ways.into_iter().zip(&scene.got) {
            scope.spawn(move || scene.subscribe(way, got));
        }
        until("subscribers", || scene.got.iter().all(|got| got.lock().unwrap().last_id.is_some()));
        scope.spawn(move || scene.publish(plain, published));
        take_over(&mut first, published)
    });
    let count = published.load(Ordering::Relaxed);
    let expected: Vec<String> = (0..count).map(|n| n.to_string()).chain([LAST.to_owned()]).collect();
    for (way, got) in ways.iter().zip(scene.got) {
        let got = got.into_inner().unwrap();
        println!("{way:?}: {} events, {} connections", got.data.len(), got.connections);
        // For a moment both programs take events, each in its own order.
        let mut data = got.data.clone();
        data.sort_by_key(|data| data.parse().unwrap_or(usize::MAX));
        assert!(data == expected, "{way:?}: each once: {got:?}");
        assert_eq!(got.gaps, UPGRADES, "{way:?}: told once by each new program");
        assert!(got.connections > UPGRADES, "{way:?}");
    }
    last.signal(Signal::TERM);
    let (status, log, error) = first.wait();
    assert_eq!((status.code(), error.as_str()), (Some(0), ""), "{log}");
    assert!(!log.contains("cut"), "{log}");
}

/// What connected before and publishes after: the event is the new program's, or nobody would get it.
#[test]
fn an_old_program_takes_no_event_that_nobody_would_get() {
    let (made, addrs) = (Certificates::make(), free());
    let mut old = run(&configure(&made, addrs));
    let waiting = [(); 2].map(|()| connect(addrs[0]));
    // They are the old one's: connections are accepted in their order.
    assert!(super::get(connect(addrs[0]), "/nothing", "").0.starts_with("HTTP/1.1 404 "));
    old.signal(Signal::USR2);
    let (new, _) = replaced(&mut old);
    for mut stream in waiting {
        let request = "POST /events/a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\none";
        stream.write_all(request.as_bytes()).unwrap();
        let answer = wire::answer(&mut stream);
        assert_eq!((answer.status(), answer.field("connection")), (503, Some("close")), "{answer:?}");
    }
    until("the old one ends", || !old.runs());
    new.signal(Signal::TERM);
    until("the new one ends", || !new.runs());
}
