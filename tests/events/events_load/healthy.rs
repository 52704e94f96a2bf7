//! Those who read: all in one thread, each held to having every event in its order.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use testkit::served::connect;
use testkit::sse::Answer;
use testkit::wait::PATIENCE;

#[derive(Default)]
pub struct Crowd {
    poller: Option<OwnedFd>,
    readers: Vec<Reader>,
    /// How many have all that is waited for.
    up_to_date: usize,
    buf: Vec<u8>,
    /// Nanoseconds from an event's publication to its being read, of all readers.
    pub took: Vec<u64>,
}

struct Reader {
    socket: TcpStream,
    answer: Answer,
    /// The number of the next event.
    next: usize,
}

impl Crowd {
    /// So many that have been told that their streams are open.
    pub fn of(count: usize, addr: SocketAddr) -> Self {
        let poller = epoll::create(CreateFlags::CLOEXEC).unwrap();
        let readers = (0..count).map(|at| {
            let mut socket = connect(addr);
            write!(socket, "GET /events/s HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            epoll::add(&poller, &socket, EventData::new_u64(at as u64), EventFlags::IN).unwrap();
            Reader { socket, answer: Answer::default(), next: 0 }
        });
        let mut readers: Vec<Reader> = readers.collect();
        let mut buf = vec![0; 256 * 1024];
        for reader in &mut readers {
            let opened = loop {
                if let Some(event) = reader.answer.next() {
                    break event;
                }
                let (_, len) = recv(&reader.socket, &mut buf[..], RecvFlags::empty()).unwrap();
                assert!(len > 0, "{}", reader.answer.head);
                reader.answer.push(&buf[..len]);
            };
            assert_eq!(opened.kind, "sluicegate.open");
            reader.socket.set_nonblocking(true).unwrap();
        }
        Self { poller: Some(poller), readers, up_to_date: 0, buf, took: Vec::new() }
    }

    /// Reads until all have as many events as `count`, which were published at `published`.
    pub fn read_up_to(&mut self, count: usize, published: &[Instant]) {
        let mut ready: Vec<Event> = Vec::with_capacity(self.readers.len().max(1));
        let patience = Timespec::try_from(PATIENCE).unwrap();
        self.up_to_date = 0;
        while self.up_to_date < self.readers.len() {
            let poller = self.poller.as_ref().unwrap();
            match epoll::wait(poller, spare_capacity(&mut ready), Some(&patience)) {
                Ok(0) => panic!("{} of {} have all events", self.up_to_date, self.readers.len()),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => panic!("{error}"),
            }
            for event in ready.drain(..) {
                self.read(event.data.u64() as usize, count, published);
            }
        }
    }

    fn read(&mut self, at: usize, count: usize, published: &[Instant]) {
        let reader = &mut self.readers[at];
        match recv(&reader.socket, &mut self.buf[..], RecvFlags::empty()) {
            Ok((_, 0)) => panic!("the stream of {at} ended"),
            Ok((_, len)) => reader.answer.push(&self.buf[..len]),
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(error) => panic!("{at}: {error}"),
        }
        let now = Instant::now();
        let had = reader.next;
        for event in reader.answer.by_ref() {
            let number = event.data.split(' ').next().unwrap_or_default();
            assert_eq!((event.kind.as_str(), number), ("message", format!("{:08}", reader.next).as_str()));
            self.took.push((now - published[reader.next]).as_nanos() as u64);
            reader.next += 1;
        }
        assert!(!reader.answer.ended);
        self.up_to_date += usize::from(had < count && reader.next == count);
    }
}
