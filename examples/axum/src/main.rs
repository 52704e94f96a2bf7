//! An axum program whose responses are paced: each by itself, each client's together, and all together.
//!
//! ```text
//! cargo run --manifest-path examples/axum/Cargo.toml
//! ```
//!
//! It asks itself for some downloads over real sockets, says what they took, and ends. Nothing here starts the
//! library's own runtime: the tasks are tokio's, and the clock has a thread.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use sluicegate::budget::{ClientKey, Clients, Each, Node};
use sluicegate::clock::SystemClock;
use sluicegate::limit::{Budget, Rate};
use sluicegate::throttle::PaceLayer;

const KIB: u64 = 1024;

/// What `/download` answers.
const DOWNLOAD: usize = 300 * 1024;

/// Each response: 200 KiB/s, and 100 KiB ahead of it.
fn response() -> Budget {
    Budget::of(Rate::or_unlimited(200 * KIB)).with_burst(100 * KIB)
}

/// All responses of one client: 300 KiB/s.
fn client() -> Budget {
    Budget::of(Rate::or_unlimited(300 * KIB)).with_burst(100 * KIB)
}

/// An API key tells a client, or else its address.
fn key(request: &axum::http::request::Parts) -> ClientKey {
    let key = request.headers.get("x-api-key").and_then(|key| ClientKey::header(key.as_bytes()));
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
    key.or(peer.map(|peer| ClientKey::address(peer.0.ip()))).unwrap_or(ClientKey::Local)
}

/// Downloads as the client `key`: how many bytes of body came, and in what time.
fn download(from: SocketAddr, key: &str) -> std::io::Result<(usize, Duration)> {
    let begin = Instant::now();
    let mut stream = TcpStream::connect(from)?;
    // Rather an error than for ever, should nobody be woken.
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET /download HTTP/1.1\r\nhost: here\r\nconnection: close\r\nx-api-key: {key}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let took = begin.elapsed();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("the head has an end");
    let head = String::from_utf8_lossy(&answer[..end]);
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains(&format!("content-length: {DOWNLOAD}")), "the size is still known: {head}");
    Ok((answer.len() - end - 4, took))
}

/// Downloads in threads, all at once.
async fn downloads<const N: usize>(from: SocketAddr, keys: [&'static str; N]) -> [Duration; N] {
    let running = keys.map(|key| tokio::task::spawn_blocking(move || download(from, key)));
    let mut took = [Duration::ZERO; N];
    for (running, took) in running.into_iter().zip(&mut took) {
        let (bytes, time) = running.await.expect("no panic").expect("no error");
        assert_eq!(bytes, DOWNLOAD);
        *took = time;
    }
    took
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Node::root("server", Budget::of(Rate::new(10 * 1024 * KIB)?), Arc::new(SystemClock::new()));
    let clients = Clients::new(server, "client", client());
    let each = Each::new("response", response());
    let layer = PaceLayer::by_client(&clients, key, each.clone());
    let sent = layer.meter().clone();

    let app = Router::new().route("/download", get(|| async { vec![b'x'; DOWNLOAD] })).layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });

    // 200 KiB are left after the burst. No wake-up is ever early, so the least times are sure.
    let [alone] = downloads(addr, ["anna"]).await;
    println!("one download of 300 KiB: {alone:.2?}");
    assert!(alone >= Duration::from_secs(1), "{alone:?}");

    // Two of one client share its 300 KiB/s and its burst of 100 KiB: 500 KiB are left. Another client has
    // its own.
    let [first, second, other] = downloads(addr, ["bert", "bert", "cleo"]).await;
    println!(
        "two at once by one client: {first:.2?} and {second:.2?}; another client meanwhile: {other:.2?}"
    );
    assert!(first.max(second) >= Duration::from_millis(1_666), "{first:?} and {second:?}");
    assert!(other >= Duration::from_secs(1), "{other:?}");

    // Limits are handles: 1 KiB/s, and after the first of it no limit, while the download waits.
    each.set(Budget::of(Rate::or_unlimited(KIB)));
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

    for task in std::fs::read_dir("/proc/self/task")? {
        let name = std::fs::read_to_string(task?.path().join("comm"))?;
        assert!(!name.starts_with("async-"), "a thread of the library's runtime: {name}");
    }

    println!("sent {} bytes, {} in the last second", sent.report().bytes, sent.report().rate);
    assert_eq!(sent.report().bytes, 5 * DOWNLOAD as u64);
    Ok(())
}
