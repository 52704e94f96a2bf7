//! Bytes passed on between a client and a server, on connections that can be cut, kept from being made anew, and led to another server.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Passes on until its process ends.
pub struct Relay {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// Both ends of what is passed on, unless new connections have to wait.
    streams: Mutex<Option<Vec<TcpStream>>>,
    opened: Condvar,
    server: Mutex<SocketAddr>,
}

impl Relay {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let streams = Mutex::new(Some(Vec::new()));
        let shared = Arc::new(Shared { streams, opened: Condvar::new(), server: Mutex::new(server) });
        let relay = Self { addr, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let streams = shared.streams.lock().unwrap();
                let mut streams = shared.opened.wait_while(streams, |streams| streams.is_none()).unwrap();
                // A server that is gone is what its client sees.
                let Ok(server) = TcpStream::connect(shared.leads()) else { continue };
                pass_on(&client, &server);
                pass_on(&server, &client);
                streams.as_mut().unwrap().extend([client, server]);
            }
        });
        relay
    }

    /// Ends all connections in the middle of what they carry. New ones are made and wait.
    pub fn cut(&self) {
        for stream in self.shared.streams.lock().unwrap().take().unwrap_or_default() {
            // One that has ended by itself is cut too.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends all connections, and makes those that come to another server, as a virtual address that moves does.
    pub fn lead_to(&self, server: SocketAddr) {
        self.cut();
        *self.shared.server.lock().unwrap() = server;
        self.open();
    }

    /// Lets those that wait go on.
    pub fn open(&self) {
        *self.shared.streams.lock().unwrap() = Some(Vec::new());
        self.shared.opened.notify_all();
    }
}

impl Shared {
    fn leads(&self) -> SocketAddr {
        *self.server.lock().unwrap()
    }
}

fn pass_on(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        // An end of either is an end of both.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
