//! All subscribers, and the publisher, in one thread: each event's number tells when it was published, and each
//! subscriber is held to having every one in its order.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use testkit::message;
use testkit::poller::{EventFlags, Poller};
use testkit::process::Outcome;

use super::stream::{DIGITS, Stream};
use crate::server::Target;

/// Events on their way to some subscriber while as many as can be are counted.
const AHEAD: usize = 16;

/// Deliveries a second while delays are measured: a server that is far from busy.
const EASY: usize = 20_000;

/// A server that gives nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The most one read takes.
const READ: usize = 256 * 1024;

struct Subscriber {
    socket: TcpStream,
    stream: Stream,
    /// The number of its next event.
    next: usize,
}

struct Crowd {
    poller: Poller,
    subscribers: Vec<Subscriber>,
    publisher: TcpStream,
    head: String,
    padding: String,
    /// When each event was published, by its number.
    published: Vec<Instant>,
    /// Publications whose answers have not come.
    unanswered: usize,
    answers: Vec<u8>,
    /// How many subscribers have so many events of the last [`AHEAD`] published.
    have: Vec<usize>,
    /// Events that all have.
    complete: usize,
    /// Nanoseconds of each delivery, when they are wanted.
    took: Option<Vec<u64>>,
    buf: Vec<u8>,
}

/// Where the publisher is, among the numbers of subscribers.
const PUBLISHER: usize = usize::MAX;

/// Prints `delays P50 P99` (microseconds, from before its publication to an event's being read), then `begin`,
/// then `end EVENTS SECONDS`: events that all subscribers had, one after the other.
pub fn run(target: &Target, count: usize, size: usize, window: Duration) -> Outcome<()> {
    let mut crowd = Crowd::of(target, count, size)?;
    // Paths and buffers come to their size.
    crowd.publish_for(Duration::from_millis(500))?;

    let every = Duration::from_secs_f64(count as f64 / EASY as f64);
    crowd.took = Some(Vec::new());
    let begin = Instant::now();
    let mut events = 0;
    while begin.elapsed() < window {
        crowd.publish()?;
        crowd.read_until(crowd.published.len())?;
        events += 1;
        std::thread::sleep((every * events).saturating_sub(begin.elapsed()));
    }
    let mut took = crowd.took.take().unwrap_or_default();
    took.sort_unstable();
    let at =
        |part: f64| took.get((took.len() as f64 * part) as usize).map_or(0.0, |&nanos| nanos as f64 / 1e3);
    println!("delays {} {}", at(0.50), at(0.99));

    println!("begin");
    let (begin, before) = (Instant::now(), crowd.complete);
    crowd.publish_for(window)?;
    println!("end {} {}", crowd.complete - before, begin.elapsed().as_secs_f64());
    // The one who asked looks at the server's time before it is disturbed.
    std::thread::sleep(PATIENCE);
    Ok(())
}

impl Crowd {
    /// So many whose streams are open.
    fn of(target: &Target, count: usize, size: usize) -> Outcome<Self> {
        let server = (Ipv4Addr::LOCALHOST, target.port);
        let poller = Poller::new()?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAccept: text/event-stream\r\n\r\n",
            target.subscribe, target.port
        );
        let mut subscribers = Vec::with_capacity(count);
        let mut buf = vec![0; READ];
        for number in 0..count {
            let mut socket = TcpStream::connect(server)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.write_all(request.as_bytes())?;
            let mut stream = Stream::default();
            while !stream.is_open() {
                let len = socket.read(&mut buf)?;
                if len == 0 {
                    return Err("the server closed a connection".into());
                }
                stream.push(&buf[..len], |_| Err("an event before the first".into()))?;
            }
            socket.set_nonblocking(true)?;
            poller.add(&socket, number, EventFlags::IN)?;
            subscribers.push(Subscriber { socket, stream, next: 0 });
        }
        let publisher = TcpStream::connect((Ipv4Addr::LOCALHOST, target.publish_port))?;
        publisher.set_nodelay(true)?;
        publisher.set_nonblocking(true)?;
        poller.add(&publisher, PUBLISHER, EventFlags::IN)?;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n",
            target.publish, target.publish_port
        );
        Ok(Self {
            poller,
            subscribers,
            publisher,
            head,
            padding: "x".repeat(size - DIGITS),
            published: Vec::new(),
            unanswered: 0,
            answers: Vec::new(),
            have: Vec::new(),
            complete: 0,
            took: None,
            buf,
        })
    }

    /// Publishes as many as all subscribers take, and waits until all have them.
    fn publish_for(&mut self, window: Duration) -> Outcome<()> {
        let begin = Instant::now();
        while begin.elapsed() < window {
            while self.published.len() < self.complete + AHEAD && self.unanswered == 0 {
                self.publish()?;
            }
            self.read_some()?;
        }
        self.read_until(self.published.len())
    }

    /// Publishes one event. Its answer is waited for before the next.
    fn publish(&mut self) -> Outcome<()> {
        let number = self.published.len();
        let request = format!("{}{number:0DIGITS$}{}", self.head, self.padding);
        self.published.push(Instant::now());
        self.have.push(0);
        self.unanswered += 1;
        // A request of some hundred bytes always fits a socket that waits for an answer.
        Ok(self.publisher.write_all(request.as_bytes())?)
    }

    fn read_until(&mut self, complete: usize) -> Outcome<()> {
        while self.complete < complete || self.unanswered > 0 {
            self.read_some()?;
        }
        Ok(())
    }

    /// Waits until there is something, and reads it.
    fn read_some(&mut self) -> Outcome<()> {
        let ready: Vec<usize> = self.poller.wait(PATIENCE)?.collect();
        if ready.is_empty() {
            return Err(format!("no event {} for some", self.complete).into());
        }
        for at in ready {
            match at {
                PUBLISHER => self.read_answer()?,
                at => self.read(at)?,
            }
        }
        while self.have.get(self.complete) == Some(&self.subscribers.len()) {
            self.complete += 1;
        }
        Ok(())
    }

    fn read(&mut self, at: usize) -> Outcome<()> {
        let Self { subscribers, buf, have, took, published, .. } = self;
        let Subscriber { socket, stream, next } = &mut subscribers[at];
        let len = match recv(&*socket, &mut buf[..], RecvFlags::empty()) {
            Ok((_, 0)) => return Err("the server closed a connection".into()),
            Ok((_, len)) => len,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let now = Instant::now();
        stream.push(&buf[..len], |number| {
            if number != *next || number >= published.len() {
                return Err(format!("event {number} in the place of {next}").into());
            }
            *next += 1;
            have[number] += 1;
            if let Some(took) = took {
                took.push((now - published[number]).as_nanos() as u64);
            }
            Ok(())
        })
    }

    /// Reads the answer to the one publication that is under way.
    fn read_answer(&mut self) -> Outcome<()> {
        let mut piece = [0; 4096];
        match self.publisher.read(&mut piece) {
            Ok(0) => return Err("the server closed the publisher's connection".into()),
            Ok(len) => self.answers.extend_from_slice(&piece[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let Some(end) = message::end_of_head(&self.answers) else { return Ok(()) };
        if !message::status(&self.answers).is_some_and(|status| (200..300).contains(&status)) {
            return Err(format!("not published: {}", String::from_utf8_lossy(&self.answers)).into());
        }
        let head = String::from_utf8_lossy(&self.answers[..end]).to_lowercase();
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next());
        let length: usize = length.ok_or("an answer without a length")?.trim().parse()?;
        if self.answers.len() >= end + length {
            self.answers.clear();
            self.unanswered -= 1;
        }
        Ok(())
    }
}
