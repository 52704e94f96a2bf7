//! A backend by script that tells how each of its connections ended, and leaves nothing behind itself.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use sluicegate::config::ProxySource;
use sluicegate::http::proxy::Proxy;
use sluicegate::http::route::Route;
use sluicegate::limit::Rate;
use sluicegate::rt;

use testkit::message::read_head;
use testkit::wait::PATIENCE;

/// What is done with a connection once the head of its request came.
pub type Script = dyn Fn(&mut TcpStream, &str) -> io::Result<()> + Send + Sync;

/// A listening backend. Dropping it waits for its connections' ends.
pub struct Backend {
    pub addr: SocketAddr,
    stopped: Arc<AtomicBool>,
    begins: Receiver<()>,
    ends: Receiver<Result<(), ErrorKind>>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    pub fn new(script: impl Fn(&mut TcpStream, &str) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let ((began, begins), (ended, ends)) = (channel(), channel());
        let script = move |stream: &mut TcpStream, head: &str| {
            let _ = began.send(());
            script(stream, head)
        };
        let thread = std::thread::spawn({
            let (stopped, script) = (Arc::clone(&stopped), Arc::new(script));
            move || accept(&listener, &stopped, &(script as Arc<Script>), &ended)
        });
        Self { addr, stopped, begins, ends, thread: Some(thread) }
    }

    /// Waits for the head of the next request.
    pub fn began(&self) {
        self.begins.recv_timeout(PATIENCE).expect("the upstream is asked");
    }

    /// How the next connection to end did: with the script, or by an error of the socket.
    pub fn ended(&self) -> Result<(), ErrorKind> {
        self.ends.recv_timeout(PATIENCE).expect("the upstream's connection ends")
    }

    /// Forgets how connections so far began and ended.
    pub fn forget(&self) {
        self.begins.try_iter().count();
        self.ends.try_iter().count();
    }

    pub fn source(&self) -> ProxySource {
        ProxySource::new(format!("http://{}", self.addr).parse().unwrap())
    }

    /// A route to this backend for paths below `/proxied/`, at `rate`; 0 is unlimited.
    pub fn route(&self, rate: u64) -> Route {
        routed(self.source(), rate)
    }
}

/// A route to the backend of `source` for paths below `/proxied/`.
pub fn routed(source: ProxySource, rate: u64) -> Route {
    let pace = Rate::or_unlimited(rate);
    Route::proxy("/proxied/", Proxy::new(source, pace, rt::clock())).rate(pace)
}

fn accept(
    listener: &TcpListener,
    stopped: &AtomicBool,
    script: &Arc<Script>,
    ends: &Sender<Result<(), ErrorKind>>,
) {
    let mut connections = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if stopped.load(Ordering::SeqCst) {
            break;
        }
        let (script, ends) = (Arc::clone(script), ends.clone());
        // A thread that is not joined keeps its stack.
        connections.retain(|connection: &JoinHandle<()>| !connection.is_finished());
        connections.push(std::thread::spawn(move || {
            let _ = ends.send(serve(stream, &*script).map_err(|error| error.kind()));
        }));
    }
    for connection in connections {
        let _ = connection.join();
    }
}

fn serve(mut stream: TcpStream, script: &Script) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let head = read_head(&mut stream)?;
    if head.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    script(&mut stream, &head)
}

/// Gives bytes until nobody takes them.
pub fn endless(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")?;
    loop {
        stream.write_all(&[b'x'; 10_000])?;
    }
}

/// Reads until the other side ends the connection; an end is an error, too.
pub fn until_closed(stream: &mut TcpStream) -> io::Result<()> {
    loop {
        if stream.read(&mut [0; 1000])? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Makes the coming close a reset.
pub fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // It waits for a connection: this one tells it to look.
        let _ = TcpStream::connect(self.addr);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the backend panicked");
        }
    }
}
