//! Bounds of a request's content: how much, for how long, and as long as its head says.

use std::pin::Pin;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;

use super::{Framed, SECOND, lines, rate, request, statuses, taking, text};
use crate::generator::Generator;
use crate::http::MaxBody;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::route::{Answer, Handler, Route};
use crate::http::server::Settings;
use crate::http::server::tests::pipe::{End, Road};
use crate::http::server::tests::{From, World};
use crate::limit::Size;

#[test]
fn content_is_refused_from_the_first_byte_above_its_bound() {
    use Framed::{Chunked, Length};
    const CONTINUE: &str = "Expect: 100-continue\r\n";
    for (max, len, framed, fields, expected, taken) in [
        (10_000, 9_999, Length, "", &[200][..], 9_999),
        (10_000, 10_000, Length, "", &[200], 10_000),
        (10_000, 10_001, Length, "", &[413], 0),
        (10_000, 9_999, Chunked, "", &[200], 9_999),
        (10_000, 10_000, Chunked, "", &[200], 10_000),
        (10_000, 10_001, Chunked, "", &[413], 10_000),
        (0, 1, Length, "", &[413], 0),
        (0, 1, Chunked, "", &[413], 0),
        (0, 0, Length, "", &[200], 0),
        (0, 0, Chunked, "", &[200], 0),
        // No byte of it is asked for.
        (10_000, 10_001, Length, CONTINUE, &[413], 0),
    ] {
        let what = format!("{len} of {max}, {framed:?} {fields}");
        // The server's bound, and the route's before it.
        for is_routes in [false, true] {
            let bound = MaxBody::new(Size::new(max));
            let max_body = if is_routes { MaxBody::new(Size::new(5)) } else { bound };
            let settings = Settings { max_body, access_log: true, ..Settings::default() };
            let (mut world, taking) =
                taking(settings, |route| if is_routes { route.max_body(bound) } else { route });
            let client = world.connect(Road::WIDE);
            let all = request(len, framed, fields);
            let head = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            client.send(&all[..head]);
            world.settle();
            if fields.is_empty() {
                client.send(&all[head..]);
                world.settle();
            }
            assert_eq!(statuses(&text(&client)), expected, "{what}");
            assert_eq!(taking.taken(), taken, "{what}");
            let statuses: Vec<u64> = lines().iter().map(|line| line.number("status")).collect();
            assert_eq!(statuses, [u64::from(expected[0])], "{what}");
            // Little enough was left to go on behind it, unless the client was not told to continue.
            let goes_on = expected == [200] || fields.is_empty() && framed == Length;
            assert_eq!(client.end().is_none(), goes_on, "{what}");
            world.pass(10 * SECOND);
        }
    }
}

#[test]
fn without_a_bound_on_the_route_the_servers_holds_and_off_lifts_it() {
    let settings = Settings { max_body: MaxBody::new(Size::new(10)), ..Settings::default() };
    let (mut world, _) = taking(settings, |route| route.max_body(MaxBody::OFF));
    let client = world.connect(Road::WIDE);
    client.send(&request(1_000_000, Framed::Length, ""));
    world.settle();
    assert_eq!(statuses(&text(&client)), [200]);
}

#[test]
fn a_large_refusal_is_not_lost_to_a_reset() {
    let settings = Settings { max_body: MaxBody::new(Size::new(10)), ..Settings::default() };
    let (mut world, _) = taking(settings, |route| route);
    let client = world.connect(Road::WIDE);
    client.send(&request(5_000_000, Framed::Length, ""));
    world.settle();
    let answer = text(&client);
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    // All of it is taken, so that the kernel resets nothing.
    assert_eq!((statuses(&answer), client.end(), client.untaken()), (vec![413], Some(End::Clean), 0));
    world.pass(5 * SECOND);
    assert!(!world.lives(1));
}

/// Echoes content as it comes.
struct Echo;

struct Echoed(RequestBody);

impl Generator for Echoed {
    fn poll_fill(
        &mut self,
        cx: &mut std::task::Context<'_>,
        brigade: &mut crate::brigade::Brigade,
    ) -> std::task::Poll<()> {
        use crate::brigade::Bucket;
        brigade.push(match std::task::ready!(Pin::new(&mut self.0).poll_frame(cx)) {
            Some(Ok(frame)) => Bucket::Data(frame.into_data().unwrap()),
            // Does not care, and goes on.
            Some(Err(_)) => return std::task::Poll::Pending,
            None => Bucket::Eos,
        });
        std::task::Poll::Ready(())
    }

    fn min_remaining(&self) -> u64 {
        0
    }
}

impl Handler for Echo {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        Box::pin(async move { Response::new(Content::Stream(Box::new(Echoed(request.into_body())))) })
    }
}

#[test]
fn too_much_behind_the_head_of_the_response_cuts_that() {
    let route = Route::handler("/", Echo).max_body(MaxBody::new(Size::new(100)));
    let mut world = World::on(Settings { access_log: true, ..Settings::default() }, route);
    let client = world.connect(Road::WIDE);
    client.send(b"POST /page HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n");
    client.send(&[b'x'; 100]);
    world.settle();
    let answer = text(&client);
    assert!(answer.contains(&"x".repeat(100)) && client.end().is_none(), "{answer}");
    client.send(b"\r\n1\r\nx\r\n");
    world.settle();
    assert_eq!((text(&client).as_str(), client.end()), ("", Some(End::Reset)));
    let [line] = &lines()[..] else { panic!() };
    assert_eq!((line.number("status"), line.field("outcome")), (200, "aborted"));
}

#[test]
fn a_client_that_sends_nothing_has_its_time_and_a_wait_for_a_limit_is_not_its() {
    let settings = || Settings { body_timeout: 5 * SECOND, ..Settings::default() };
    // Silent from the start, and in the middle.
    for sent in [0, 500] {
        let (mut world, taking) = taking(settings(), |route| route);
        let client = world.connect(Road::WIDE);
        let all = request(1_000, Framed::Length, "");
        client.send(&all[..all.len() - 1_000 + sent]);
        world.pass(5 * SECOND - Duration::from_nanos(1));
        assert_eq!((text(&client).as_str(), taking.taken()), ("", sent as u64));
        world.pass(Duration::from_nanos(1));
        let answer = text(&client);
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("connection: close"), "{answer}");
        assert_eq!(client.end(), Some(End::Clean));
        world.pass(5 * SECOND);
    }
    // One byte a second is slow and no fault; then it is the client's turn.
    let (mut world, taking) = taking(settings(), |route| route.upload(rate(1)));
    let client = world.connect(Road::WIDE);
    client.send(b"POST /page HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n");
    client.send(&[b'x'; 100]);
    world.pass(99 * SECOND);
    assert_eq!((text(&client).as_str(), taking.taken()), ("", 100));
    world.pass(5 * SECOND - Duration::from_nanos(1));
    assert_eq!(text(&client), "");
    world.pass(Duration::from_nanos(1));
    assert_eq!(statuses(&text(&client)), [408]);
    world.pass(5 * SECOND);
}

#[test]
fn content_that_ends_before_its_length_is_an_error_and_what_is_behind_it_is_the_next_request() {
    for (framed, cut) in [(Framed::Length, 1), (Framed::Chunked, 5)] {
        let (mut world, taking) = taking(Settings::default(), |route| route);
        let client = world.connect(Road::WIDE);
        let all = request(1_000, framed, "");
        client.send(&all[..all.len() - cut]);
        client.half_close();
        world.settle();
        assert_eq!(statuses(&text(&client)), [400], "{framed:?}");
        assert!(taking.taken() <= 1_000);
        world.pass(5 * SECOND);
    }
    for framed in [Framed::Length, Framed::Chunked] {
        let (mut world, taking) = taking(Settings::default(), |route| route);
        let client = world.connect(Road::WIDE);
        let next = request(7, framed, "");
        client.send(&[request(1_000, framed, ""), next].concat());
        world.settle();
        assert_eq!((statuses(&text(&client)), taking.taken()), (vec![200, 200], 1_007), "{framed:?}");
        client.send(&[request(10, framed, ""), b"more than it said\r\n\r\n".to_vec()].concat());
        world.settle();
        assert_eq!((statuses(&text(&client)), taking.taken()), (vec![200, 400], 1_017), "{framed:?}");
        world.pass(5 * SECOND);
    }
}
