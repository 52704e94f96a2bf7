//! Content of requests: read at a pace, within bounds, in time, and as long as its head says.

mod bounds;
mod rules;
mod shares;
mod window_paces;
mod windows;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use proptest::prelude::*;

use super::pipe::{Client, Road};
use super::{From, World};
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::limits::{SharedLimits, UploadLimits};
use crate::http::route::{Answer, Handler, Route};
use crate::http::server::Settings;
use crate::limit::{Budget, Interval, Rate};
use testkit::recorder::{self, Record};

const SECOND: Duration = Duration::from_secs(1);

/// What the process may hold of one upload before it is due, as the documentation states it.
const MAX_AHEAD: u64 = 80 * 1024;

/// Takes all of a request's content, counts it, and says how it ended.
#[derive(Clone, Default)]
struct Taking(Arc<AtomicU64>);

impl Taking {
    fn taken(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Handler for Taking {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        Box::pin(async move {
            let mut body = request.into_body();
            loop {
                match std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                    Some(Ok(frame)) => {
                        let len = frame.data_ref().map_or(0, Bytes::len);
                        self.0.fetch_add(len as u64, Ordering::SeqCst);
                    }
                    Some(Err(error)) => return answer(400, &error.to_string()),
                    None => return answer(200, "all"),
                }
            }
        })
    }
}

fn answer(status: u16, text: &str) -> Response<Content> {
    let answer = Response::builder().status(status).header("content-length", text.len());
    answer.body(Content::text(text.to_owned())).unwrap()
}

fn rate(bytes_per_second: u64) -> Budget {
    Budget::of(Rate::or_unlimited(bytes_per_second))
}

/// A server whose route takes content, as `settle` has the route.
fn taking(settings: Settings, settle: impl FnOnce(Route) -> Route) -> (World, Taking) {
    let taking = Taking::default();
    (World::on(settings, settle(Route::handler("/", taking.clone()))), taking)
}

/// Content that the head of a request frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framed {
    Length,
    Chunked,
}

fn request(len: usize, framed: Framed, fields: &str) -> Vec<u8> {
    let head = format!("POST /page HTTP/1.1\r\nHost: t\r\n{fields}");
    let content = vec![b'x'; len];
    match framed {
        Framed::Length => [format!("{head}Content-Length: {len}\r\n\r\n").as_bytes(), &content].concat(),
        Framed::Chunked => {
            let mut text = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            for chunk in content.chunks(10_000) {
                text.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                text.extend(chunk);
                text.extend(b"\r\n");
            }
            text.extend(b"0\r\n\r\n");
            text
        }
    }
}

fn text(client: &Client) -> String {
    String::from_utf8_lossy(&client.read(usize::MAX)).into_owned()
}

fn statuses(text: &str) -> Vec<u16> {
    text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..at + 12].parse().unwrap()).collect()
}

fn lines() -> Vec<Record> {
    recorder::taken().into_iter().filter(|record| record.text == "response").collect()
}

#[test]
fn an_upload_is_read_chunk_by_chunk_at_the_pace_of_its_route() {
    for framed in [Framed::Length, Framed::Chunked] {
        let (mut world, taking) =
            taking(Settings::default(), |route| route.upload(rate(100_000).with_burst(50_000)));
        let client = world.connect(Road::WIDE);
        client.send(&request(1_000_000, framed, ""));
        world.settle();
        // The burst and the first chunk at once, then a chunk of 20 000 each 200 ms.
        for nth in 0..46 {
            assert_eq!(taking.taken(), 70_000 + nth * 20_000, "{framed:?} {nth}");
            world.pass(Duration::from_millis(200) - Duration::from_nanos(1));
            assert_eq!(taking.taken(), 70_000 + nth * 20_000, "{framed:?} {nth}");
            world.pass(Duration::from_nanos(1));
        }
        // The end leaves with the last whole chunk, as that of a response.
        assert_eq!((taking.taken(), statuses(&text(&client))), (1_000_000, vec![200]), "{framed:?}");
        assert_eq!(client.end(), None, "the connection goes on");
    }
}

#[test]
fn an_upload_is_read_at_the_rates_of_its_route_by_the_bytes_that_were_read() {
    for framed in [Framed::Length, Framed::Chunked] {
        let rates = "100000B for 50000B, 10000B".parse().unwrap();
        let (mut world, taking) = taking(Settings::default(), |route| route.upload_rates(rates));
        let client = world.connect(Road::WIDE);
        client.send(&request(60_000, framed, ""));
        world.settle();
        // The third chunk reaches the edge after half its interval; the other half gives 1 000 bytes.
        for (nth, taken) in [20_000, 40_000, 51_000, 53_000, 55_000, 57_000].into_iter().enumerate() {
            assert_eq!(taking.taken(), taken, "{framed:?} {nth}");
            world.pass(Duration::from_millis(200) - Duration::from_nanos(1));
            assert_eq!(taking.taken(), taken, "{framed:?} {nth}");
            world.pass(Duration::from_nanos(1));
        }
        world.pass(Duration::from_millis(200));
        assert_eq!((taking.taken(), statuses(&text(&client))), (60_000, vec![200]), "{framed:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_no_window_more_is_read_than_the_pace_and_what_may_be_ahead_of_it(
        per_second in 1_000u64..2_000_000,
        burst in prop_oneof![Just(0), 1u64..300_000],
        step in prop_oneof![Just(usize::MAX), 1usize..30_000],
        is_chunked in any::<bool>(),
        shared in prop_oneof![Just(None), (1_000u64..2_000_000).prop_map(Some)],
        pauses in prop::collection::vec(1u64..700, 1..20),
    ) {
        let limits = SharedLimits {
            upload: UploadLimits { server: rate(shared.unwrap_or_default()), ..UploadLimits::default() },
            ..SharedLimits::default()
        };
        let settings = Settings { limits, ..Settings::default() };
        let (mut world, taking) = taking(settings, |route| route.upload(rate(per_second).with_burst(burst)));
        let client = world.connect(Road { capacity: usize::MAX, step });
        let framed = if is_chunked { Framed::Chunked } else { Framed::Length };
        let all = request(4_000_000, framed, "");
        client.send(&all);
        world.settle();
        let chunk = Rate::new(per_second).unwrap().chunk(Interval::DEFAULT);
        let read = |client: &Client| (all.len() - client.untaken()) as u64;
        let mut seen = vec![(0, 0, 0), (0, read(&client), taking.taken())];
        for pause in pauses {
            world.pass(Duration::from_millis(pause));
            let now = (world.millis(), read(&client), taking.taken());
            for (since, read, taken) in &seen {
                let earned = per_second * (now.0 - since) / 1_000 + 1;
                let bound = burst + 2 * chunk + earned;
                prop_assert!(now.2 - taken <= bound, "{} bytes in {} ms", now.2 - taken, now.0 - since);
                // The framing around chunks is a small part.
                let framing = (now.1 - read) / 1_000 + 200;
                prop_assert!(now.1 - read <= bound + MAX_AHEAD + framing, "{} bytes read", now.1 - read);
            }
            prop_assert!(now.1 - now.2 <= MAX_AHEAD + now.1 / 1_000 + 200, "{} bytes ahead", now.1 - now.2);
            let slowest = per_second.min(shared.unwrap_or(u64::MAX));
            let least = (slowest * now.0 / 1_000).saturating_sub(2 * chunk + slowest / 5);
            prop_assert!(now.2 >= least.min(4_000_000), "{} bytes in {} ms, of {least}", now.2, now.0);
            seen.push(now);
        }
        client.reset();
        world.settle();
    }
}
