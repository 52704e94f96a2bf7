//! Clients on tokio: reqwest's downloads and uploads, and tokio's own readers and writers, at a pace that is one line each.
//!
//! ```text
//! cargo run --manifest-path examples/tokio/Cargo.toml --bin clients
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use futures_util::StreamExt;
use http_body_util::Full;
use sluicegate::limit::{Budget, Rate};
use sluicegate::throttle::{pace, pace_body, pace_stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader};

const FILE: usize = 150 * 1024;

/// 100 KiB/s, and 50 KiB ahead of it: so much takes a second.
fn budget() -> Budget {
    Budget::of(Rate::kib_per_second(100)).with_burst(50 << 10)
}

/// Says what it took; never less than a second.
fn took(what: &str, begin: Instant) {
    let took = begin.elapsed();
    println!("{what}: {took:.2?}");
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(60), "{what}: {took:?}");
}

async fn http() -> Result<(), Box<dyn Error>> {
    let file = get(|| async { vec![b'x'; FILE] }).put(|body: Bytes| async move { body.len().to_string() });
    let app = Router::new().route("/", file).layer(DefaultBodyLimit::disable());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;

    let begin = Instant::now();
    let mut download = pace_stream(client.get(&url).send().await?.bytes_stream(), budget());
    let mut bytes = 0;
    while let Some(piece) = download.next().await {
        bytes += piece?.len();
    }
    assert_eq!((bytes, download.reads().report().bytes), (FILE, FILE as u64));
    took("reqwest, download", begin);

    let begin = Instant::now();
    let body = pace_body(Full::new(Bytes::from(vec![b'x'; FILE])), budget());
    let answer = client.put(&url).body(reqwest::Body::wrap(body)).send().await?;
    assert_eq!(answer.text().await?, FILE.to_string());
    took("reqwest, upload of a body", begin);

    let begin = Instant::now();
    let pieces = (0..10).map(|_| std::io::Result::Ok(Bytes::from(vec![b'x'; FILE / 10])));
    let pieces = futures_util::stream::iter(pieces);
    let body = reqwest::Body::wrap_stream(pace_stream(pieces, budget()));
    assert_eq!(client.put(&url).body(body).send().await?.text().await?, FILE.to_string());
    took("reqwest, upload of a stream", begin);
    Ok(())
}

async fn sockets() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let begin = Instant::now();
    let sending = tokio::spawn(async move {
        let mut socket = pace(tokio::net::TcpStream::connect(address).await?, budget());
        socket.write_all(&vec![b'x'; FILE]).await?;
        socket.shutdown().await
    });
    let mut received = Vec::new();
    listener.accept().await?.0.read_to_end(&mut received).await?;
    sending.await??;
    assert_eq!(received.len(), FILE);
    took("tokio, writing to a socket", begin);

    let begin = Instant::now();
    let sending = tokio::spawn(async move {
        tokio::net::TcpStream::connect(address).await?.write_all(&vec![b'x'; FILE]).await
    });
    let (mut socket, mut sink) = (pace(listener.accept().await?.0, budget()), tokio::io::sink());
    assert_eq!(tokio::io::copy(&mut socket, &mut sink).await?, FILE as u64);
    sending.await??;
    took("tokio, reading from a socket", begin);
    Ok(())
}

async fn buffered() -> Result<(), Box<dyn Error>> {
    let text = "first\nsecond\n".as_bytes();
    let mut lines = pace(BufReader::new(std::io::Cursor::new(text)), Rate::mib_per_second(1));
    let mut line = String::new();
    lines.read_line(&mut line).await?;
    assert_eq!(line, "first\n");
    assert_eq!(lines.seek(std::io::SeekFrom::Start(3)).await?, 3);
    line.clear();
    lines.read_line(&mut line).await?;
    assert_eq!(line, "st\n");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (http, sockets, buffered) = tokio::join!(http(), sockets(), buffered());
    http.and(sockets).and(buffered)?;
    paced_tokio::assert_no_other_runtime()
}
