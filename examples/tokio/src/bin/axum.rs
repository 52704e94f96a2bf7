//! An axum program whose downloads and uploads are paced: each by itself, each client's together, and all together.
//!
//! ```text
//! cargo run --manifest-path examples/tokio/Cargo.toml --bin axum
//! ```
//!
//! It asks itself for some transfers over real sockets, says what they took, and ends. Nothing here starts the
//! library's own runtime: the tasks are tokio's, and the clock has a thread.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit};
use axum::routing::get;
use sluicegate::budget::{ClientKey, Clients, Each, Node};
use sluicegate::limit::{Budget, Rate};
use sluicegate::throttle::{PaceLayer, PaceRequestLayer};

/// What `GET /file` answers, and what is uploaded.
const FILE: usize = 300 * 1024;

/// Each transfer: 200 KiB/s, and 100 KiB ahead of it.
fn transfer() -> Budget {
    Budget::of(Rate::kib_per_second(200)).with_burst(100 << 10)
}

/// All that one client gets: 300 KiB/s. What it sends has as much beside that.
fn client() -> Budget {
    Budget::of(Rate::kib_per_second(300)).with_burst(100 << 10)
}

/// An API key tells a client, or else its address.
fn key(request: &axum::http::request::Parts) -> ClientKey {
    let key = request.headers.get("x-api-key").and_then(|key| ClientKey::header(key.as_bytes()));
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
    key.or(peer.map(|peer| ClientKey::address(peer.0.ip()))).unwrap_or(ClientKey::Local)
}

/// Sends a request as the client `key`: the body that came, and in what time.
fn ask(from: SocketAddr, method: &str, key: &str, body: &[u8]) -> std::io::Result<(Vec<u8>, Duration)> {
    let begin = Instant::now();
    let mut stream = TcpStream::connect(from)?;
    // Rather an error than for ever, should nobody be woken.
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "{method} /file HTTP/1.1\r\nhost: here\r\nconnection: close\r\nx-api-key: {key}\r\n")?;
    write!(stream, "content-length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let took = begin.elapsed();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("the head has an end") + 4;
    let head = String::from_utf8_lossy(&answer[..end]);
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(
        head.contains(&format!("content-length: {}", answer.len() - end)),
        "the size is still known: {head}"
    );
    Ok((answer.split_off(end), took))
}

/// Downloads in threads, all at once.
async fn downloads<const N: usize>(from: SocketAddr, keys: [&'static str; N]) -> [Duration; N] {
    let running = keys.map(|key| tokio::task::spawn_blocking(move || ask(from, "GET", key, b"")));
    let mut took = [Duration::ZERO; N];
    for (running, took) in running.into_iter().zip(&mut took) {
        let (body, time) = running.await.expect("no panic").expect("no error");
        assert_eq!(body.len(), FILE);
        *took = time;
    }
    took
}

async fn upload(to: SocketAddr, key: &'static str) -> Duration {
    let sent = tokio::task::spawn_blocking(move || ask(to, "PUT", key, &[b'x'; FILE]));
    let (body, took) = sent.await.expect("no panic").expect("no error");
    assert_eq!(body, FILE.to_string().into_bytes());
    took
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Node::at(Rate::mib_per_second(10));
    let clients = Clients::new(server.clone(), "client", client());
    let each = Each::new("response", transfer());
    let downloading = PaceLayer::by_client(&clients, key, each.clone());
    let senders = Clients::new(server, "sender", client());
    let uploading = PaceRequestLayer::by_client(&senders, key, Each::new("upload", transfer()));
    let (sent, received) = (downloading.meter().clone(), uploading.meter().clone());

    let file = get(|| async { vec![b'x'; FILE] }).put(|body: Bytes| async move { body.len().to_string() });
    let app = Router::new().route("/file", file).layer(DefaultBodyLimit::disable());
    let app = app.layer(uploading).layer(downloading);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });

    // 200 KiB are left after the burst. No wake-up is ever early, so the least times are sure.
    let [alone] = downloads(addr, ["anna"]).await;
    println!("one download of 300 KiB: {alone:.2?}");
    assert!(alone >= Duration::from_secs(1), "{alone:?}");

    // Two of one client share its 300 KiB/s and its burst of 100 KiB: 500 KiB are left. Another client has
    // its own, and what a client sends does not wait for what it gets.
    let (took, uploaded) = tokio::join!(downloads(addr, ["bert", "bert", "cleo"]), upload(addr, "bert"));
    let [first, second, other] = took;
    println!(
        "two at once by one client: {first:.2?} and {second:.2?}; another client: {other:.2?}; an upload: {uploaded:.2?}"
    );
    assert!(first.max(second) >= Duration::from_millis(1_666), "{first:?} and {second:?}");
    assert!(other >= Duration::from_secs(1), "{other:?}");
    assert!(uploaded >= Duration::from_secs(1), "{uploaded:?}");
    assert_eq!(received.report().bytes, FILE as u64);

    // Limits are handles: 1 KiB/s, and after the first of it no limit, while the download waits.
    each.set(Rate::kib_per_second(1));
    let before = sent.report();
    let running = tokio::spawn(downloads(addr, ["dora"]));
    while sent.report().waits == before.waits {
        tokio::task::yield_now().await;
    }
    each.set(Budget::default());
    clients.set(Budget::default());
    let [freed] = running.await?;
    println!("one that would have taken five minutes, set free: {freed:.2?}");
    assert!(freed < Duration::from_secs(60), "{freed:?}");

    println!("sent {} bytes, {} in the last second", sent.report().bytes, sent.report().rate);
    let answer = FILE.to_string().len(); // to the upload
    assert_eq!(sent.report().bytes, (5 * FILE + answer) as u64);
    paced_tokio::assert_no_other_runtime()
}
