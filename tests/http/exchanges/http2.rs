//! HTTP/2 by prior knowledge: many paced streams on one connection, each with its own end.

use std::io::Write;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures_lite::future;
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sluicegate::http::route::Route;
use sluicegate::limit::Rate;
use sluicegate::rt;

use testkit::backend::{Backend, routed};
use testkit::h2::{Content, WIDE, ask, connect, get, read};
use testkit::served::Served;
use testkit::wire::{CHUNK, GUIDE, content};

fn assert_paced(body: &Content) {
    for (at, bytes) in &body.arrivals {
        let most = 2 * CHUNK + (GUIDE as f64 * at.as_secs_f64()) as usize;
        assert!(*bytes <= most, "{bytes} bytes at {at:?}");
    }
}

fn folder() -> tempfile::TempDir {
    testkit::folder::folder(&[("a.bin", &content(38_400))])
}

fn files(folder: &tempfile::TempDir, path: &str) -> Route {
    Route::files(path, folder.path()).unwrap().rate(Rate::or_unlimited(GUIDE))
}

#[test]
fn streams_run_side_by_side_each_at_its_own_pace() {
    let folder = folder();
    let served = Served::new(vec![files(&folder, "/")]);
    rt::block_on(async {
        let mut sender = connect(served.addr, WIDE).await;
        let began = Instant::now();
        let mut reading = Vec::new();
        for _ in 0..6 {
            let response = get(&mut sender, "/a.bin").await;
            assert_eq!(
                (response.status().as_u16(), response.headers()["content-length"].as_bytes()),
                (200, &b"38400"[..])
            );
            reading.push(async_reading(response, began));
        }
        for body in reading {
            let body = body.recv().unwrap();
            assert!(body.whole && body.bytes == content(38_400));
            assert_paced(&body);
            assert!(body.arrivals.last().unwrap().0 >= Duration::from_millis(400));
        }
        // Six one after another would be 2.4 s.
        assert!(began.elapsed() < Duration::from_millis(2_000), "{:?}", began.elapsed());
        assert_eq!(served.handle.connections(), 1);
    });
}

/// Reads a body in a task of its own.
fn async_reading(response: Response<Incoming>, began: Instant) -> mpsc::Receiver<Content> {
    let (done, body) = mpsc::channel();
    rt::spawn(async move {
        let _ = done.send(read(response, began).await);
    });
    body
}

#[test]
fn a_failed_source_resets_its_stream_alone() {
    let folder = folder();
    let dying =
        Backend::saying([b"HTTP/1.1 200 OK\r\ncontent-length: 40000\r\n\r\n", &content(20_000)[..]].concat());
    let served =
        Served::new(vec![files(&folder, "/"), routed("/dying/", dying.source(), Rate::or_unlimited(GUIDE))]);
    rt::block_on(async {
        let mut sender = connect(served.addr, WIDE).await;
        let began = Instant::now();
        let mut reading = Vec::new();
        for target in ["/a.bin", "/dying/", "/a.bin"] {
            reading.push(async_reading(get(&mut sender, target).await, began));
        }
        let bodies: Vec<Content> = reading.into_iter().map(|body| body.recv().unwrap()).collect();
        assert!(!bodies[1].whole && bodies[1].bytes == content(20_000), "{} bytes", bodies[1].bytes.len());
        assert_paced(&bodies[1]);
        for neighbour in [&bodies[0], &bodies[2]] {
            assert!(neighbour.whole && neighbour.bytes == content(38_400));
        }
        let again = get(&mut sender, "/a.bin").await;
        assert!(read(again, began).await.whole, "the connection lives");
    });
}

// The bytes before the failure are with the client already, and no other stream has anything to write: it
// must not take one for the reset to go out.
#[test]
fn a_stream_whose_source_fails_long_after_its_last_bytes_is_reset_at_once() {
    let (die, told) = mpsc::sync_channel::<()>(0);
    let told = std::sync::Mutex::new(told);
    let backend = Backend::new(move |stream, head| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n").unwrap();
        if head.starts_with("GET") {
            stream.write_all(b"12345").unwrap();
            told.lock().unwrap().recv().unwrap();
        }
    });
    let served = Served::new(vec![backend.route(GUIDE)]);
    rt::block_on(async {
        let mut sender = connect(served.addr, WIDE).await;
        let response = get(&mut sender, "/").await;
        let mut body = response.into_body();
        let mut came = Vec::new();
        while came.len() < 5 {
            came.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        assert_eq!(came, b"12345");
        // What else there was to write is out when another answer is there.
        ask(&mut sender, Method::HEAD, "/").await;
        die.send(()).unwrap();
        let failed = async { body.frame().await.map(|frame| frame.is_err()) };
        let late = async {
            let clock = rt::clock();
            sluicegate::clock::Sleep::lasting(clock, Duration::from_secs(5)).await;
            panic!("the stream was never reset");
        };
        let mut seen = future::or(failed, late).await;
        while seen == Some(false) {
            // An empty frame is not the end.
            seen = body.frame().await.map(|frame| frame.is_err());
        }
        assert_eq!(seen, Some(true));
    });
}

#[test]
fn no_answer_to_head_has_content() {
    let folder = folder();
    let served = Served::new(vec![files(&folder, "/files/")]);
    rt::block_on(async {
        let mut sender = connect(served.addr, WIDE).await;
        for (target, status) in [("/files/a.bin", 200), ("/files/none", 404), ("/none", 404), ("/files", 301)]
        {
            let response = ask(&mut sender, Method::HEAD, target).await;
            assert_eq!(response.status().as_u16(), status, "{target}");
            assert_ne!(response.headers()["content-length"], "0", "{target}");
            let body = read(response, Instant::now()).await;
            assert!(body.whole && body.bytes.is_empty(), "{target}: {} bytes", body.bytes.len());
        }
    });
}

#[test]
fn a_client_that_cancels_one_stream_keeps_the_others() {
    let folder = folder();
    let served = Served::new(vec![files(&folder, "/")]);
    rt::block_on(async {
        let mut sender = connect(served.addr, WIDE).await;
        let began = Instant::now();
        let cancelled = get(&mut sender, "/a.bin").await;
        let kept = get(&mut sender, "/a.bin").await;
        drop(cancelled);
        let body = read(kept, began).await;
        assert!(body.whole && body.bytes == content(38_400));
    });
}

#[test]
fn a_drain_lets_streams_finish() {
    let folder = folder();
    let served = Served::new(vec![files(&folder, "/")]);
    rt::block_on(async {
        let mut sender = connect(served.addr, WIDE).await;
        let began = Instant::now();
        let response = get(&mut sender, "/a.bin").await;
        served.handle.drain();
        let body = read(response, began).await;
        assert!(body.whole && body.bytes == content(38_400));
    });
    served.join();
}
