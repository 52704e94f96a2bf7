//! A backend by script, a server in front of the proxy, and a client.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use sluicegate::body::PacedBody;
use sluicegate::clock::Clock;
use sluicegate::config::ProxySource;
use sluicegate::filter::{Chain, RateFilter};
use sluicegate::http::body::RequestBody;
use sluicegate::http::content::Content;
use sluicegate::http::peer::PeerAddr;
use sluicegate::http::proxy::{Client, Proxy, Tunnel, relay};
use sluicegate::limit::{Limit, Rate};
use sluicegate::rt::{self, Executor, Listener, Socket};

const PATIENCE: Duration = Duration::from_secs(10);

/// A backend: a listening socket, and a thread that does with it what the script says.
pub struct Backend<T> {
    pub addr: SocketAddr,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Backend<T> {
    pub fn new(script: impl FnOnce(&TcpListener) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        Self { addr, thread: std::thread::spawn(move || script(&listener)) }
    }

    /// What the script returned.
    pub fn join(self) -> T {
        self.thread.join().unwrap()
    }

    /// The backend as a proxy's source, all by default.
    pub fn source(&self) -> ProxySource {
        source(self.addr)
    }
}

/// A backend for one request: reads its head, does the rest, and tells the head.
pub fn answering(rest: impl FnOnce(&mut TcpStream) + Send + 'static) -> Backend<String> {
    Backend::new(move |listener| {
        let mut stream = accept(listener);
        let head = read_head(&mut stream);
        rest(&mut stream);
        head
    })
}

pub fn source(addr: SocketAddr) -> ProxySource {
    ProxySource::new(format!("http://{addr}").parse().unwrap())
}

pub fn accept(listener: &TcpListener) -> TcpStream {
    patient(listener.accept().unwrap().0)
}

pub fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads to the empty line that ends a head; less at the end of the stream.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

pub fn read_exact(stream: &mut TcpStream, len: usize) -> String {
    let mut text = vec![0; len];
    stream.read_exact(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The value of a field in a head as text.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// A server whose every answer is the proxy's, unpaced or paced.
pub struct Front {
    pub addr: SocketAddr,
    pub proxy: Arc<Proxy>,
}

impl Front {
    pub fn new(source: ProxySource) -> Self {
        Self::paced(source, None)
    }

    pub fn paced(source: ProxySource, pace: Option<Rate>) -> Self {
        let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let proxy = Arc::new(Proxy::new(source, pace, rt::clock()));
        let serving = Arc::clone(&proxy);
        rt::spawn(async move {
            while let Ok(socket) = listener.accept().await {
                rt::spawn(serve(socket, Arc::clone(&serving), pace));
            }
        });
        Self { addr, proxy }
    }

    pub fn connect(&self) -> TcpStream {
        patient(TcpStream::connect(self.addr).unwrap())
    }

    /// Sends a request on a connection of its own, and gives head and body of all that comes back.
    /// The body is as it is on the wire; a connection that is reset ends it.
    pub fn ask(&self, request: &str) -> (String, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        answer(&mut stream)
    }

    /// Why the last connection to each upstream that failed did.
    pub fn errors(&self) -> Vec<Option<String>> {
        self.proxy.upstreams().map(|upstream| upstream.last_error).collect()
    }

    pub fn get(&self) -> (String, String) {
        self.ask("GET / HTTP/1.1\r\nhost: front\r\nconnection: close\r\n\r\n")
    }
}

/// Head and body of an answer that ends with its connection.
pub fn answer(stream: &mut TcpStream) -> (String, String) {
    let head = read_head(stream);
    let mut body = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(len @ 1..) = stream.read(&mut piece) {
        body.extend_from_slice(&piece[..len]);
    }
    (head, String::from_utf8_lossy(&body).into_owned())
}

pub fn status(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or("none")
}

type AnswerBody = Either<Empty<Bytes>, PacedBody<Content>>;

async fn serve(socket: Socket, proxy: Arc<Proxy>, pace: Option<Rate>) {
    let from = Client { local: socket.local(), ..Client::new(socket.peer().unwrap(), "http") };
    assert!(matches!(from.peer, PeerAddr::Tcp(_)));
    let service = service_fn(|request| async {
        Ok::<_, Infallible>(respond(request, Arc::clone(&proxy), from.clone(), pace).await)
    });
    // The tests look at what clients see, and a broken connection is one of these things.
    let _ =
        hyper::server::conn::http1::Builder::new().serve_connection(socket, service).with_upgrades().await;
}

async fn respond(
    request: Request<Incoming>,
    proxy: Arc<Proxy>,
    from: Client,
    pace: Option<Rate>,
) -> Response<AnswerBody> {
    let chain = || Chain::new().then(RateFilter::new(Limit::new(pace)));
    let clock: Arc<dyn Clock> = rt::clock();
    let rest = request.uri().path().trim_start_matches('/').to_owned();
    let mut response = proxy.respond(request.map(RequestBody::from), &rest, &from).await;
    if let Some(tunnel) = response.extensions_mut().remove::<Tunnel>() {
        let chain = chain();
        let paced = |content, clock| PacedBody::new(content, chain, clock);
        let relaying = relay(tunnel, paced, Arc::clone(&clock));
        rt::spawn(async { drop(relaying.await) });
    }
    response.map(|content| match content {
        Content::Empty => Either::Left(Empty::new()),
        content => Either::Right(PacedBody::new(content, chain(), clock)),
    })
}

/// The same over HTTP/2, for one connection; and a client of it.
pub async fn http2(proxy: Proxy) -> hyper::client::conn::http2::SendRequest<super::bodies::Pieces> {
    let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = Arc::new(proxy);
    rt::spawn(async move {
        let socket = listener.accept().await.unwrap();
        let from = Client { local: socket.local(), ..Client::new(socket.peer().unwrap(), "http") };
        let service = service_fn(move |request| {
            let (proxy, from) = (Arc::clone(&proxy), from.clone());
            async { Ok::<_, Infallible>(respond(request, proxy, from, None).await) }
        });
        let _ = hyper::server::conn::http2::Builder::new(Executor).serve_connection(socket, service).await;
    });
    let to = rt::Connect { host: "127.0.0.1".into(), port, receive_buffer: None };
    let socket = rt::connect(&to).await.unwrap();
    let (sender, connection) = hyper::client::conn::http2::handshake(Executor, socket).await.unwrap();
    rt::spawn(async {
        let _ = connection.await;
    });
    sender
}
