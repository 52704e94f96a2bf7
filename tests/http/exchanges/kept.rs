//! Connections that are kept: the pace does not begin anew with each response.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use sluicegate::http::route::Route;

use testkit::served::Served;
use testkit::wire::{CHUNK, Client, End, GUIDE, content};

fn folder(len: usize) -> tempfile::TempDir {
    testkit::folder::folder(&[("a.bin", &content(len))])
}

fn files(folder: &tempfile::TempDir) -> Route {
    testkit::served::files(folder, GUIDE)
}

/// Bytes out by `at` under a pace that began at zero, and what is less than a chunk at the end.
fn most(at: Duration, burst: usize) -> usize {
    burst + 2 * CHUNK + (GUIDE as f64 * at.as_secs_f64()) as usize
}

#[test]
fn pipelined_requests_keep_the_pace_and_their_order() {
    let folder = folder(10_240);
    let served = Served::new(vec![files(&folder)]);
    let mut client = Client::new(served.connect());
    let began = Instant::now();
    client.send("GET /a.bin HTTP/1.1\r\nHost: t\r\n\r\n".repeat(8).as_bytes());
    for n in 1..=8 {
        let answer = client.answer();
        assert!(answer.end == End::Complete && answer.body == content(10_240));
        assert!(n * 10_240 <= most(began.elapsed(), 0), "{n} after {:?}", began.elapsed());
    }
    // Rules 4, 6 and 8 of `docs/pacing.md`: 0, 0, 133.3, 300 ms, then one each 166.7 ms.
    assert!(began.elapsed() >= Duration::from_millis(966), "{:?}", began.elapsed());
}

#[test]
fn a_burst_is_given_once_to_a_connection_and_twice_to_a_client() {
    const BURST: usize = 30_000;
    let folder = folder(BURST + CHUNK);
    let served = Served::new(vec![files(&folder).burst(BURST as u64)]);
    let mut client = Client::new(served.connect());
    let began = Instant::now();
    for n in 1..=3 {
        let answer = client.get("/a.bin", "");
        assert!(answer.body == content(BURST + CHUNK));
        let came = n * (BURST + CHUNK);
        assert!(came <= most(began.elapsed(), BURST), "{came} bytes after {:?}", began.elapsed());
    }
    // The second and third have no burst: 84 576 bytes at 60 KiB/s less the chunks that may be owed.
    let least = (2 * (BURST + CHUNK) - 2 * CHUNK) as f64 / GUIDE as f64;
    assert!(began.elapsed().as_secs_f64() >= least, "{:?} of {least} s", began.elapsed());

    // A new connection is no new client: it may be ahead by a second burst, and by no third.
    let anew = || Client::new(served.connect()).get("/a.bin", "");
    (0..2).for_each(|_| _ = anew());
    let answer = anew();
    assert!(answer.body == content(BURST + CHUNK));
    let least = (BURST - 2 * CHUNK) as f64 / GUIDE as f64;
    assert!(answer.lasted().as_secs_f64() >= least, "{:?} of {least} s", answer.lasted());
}

#[test]
fn a_client_that_closed_its_half_still_gets_its_whole_answer() {
    let folder = folder(38_400);
    for request in ["GET /a.bin HTTP/1.1\r\nHost: t\r\n\r\n", "GET /a.bin HTTP/1.0\r\n\r\n"] {
        let served = Served::new(vec![files(&folder)]);
        let mut client = Client::new(served.connect());
        client.send(request.as_bytes());
        client.stream.shutdown(Shutdown::Write).unwrap();
        let answer = client.answer();
        assert_eq!(answer.end, End::Complete, "{request:?}");
        assert!(answer.body == content(38_400));
        answer.assert_paced(GUIDE, 0);
        assert!(answer.lasted() >= Duration::from_millis(400));
        assert!(client.is_closed(), "and then the server closes too");
    }
}
