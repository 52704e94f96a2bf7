//! What the kernel is asked for while it spreads a smooth response.

use std::time::Duration;

use super::pipe::Road;
use super::windows::{Endless, frame, get, hello, window_update};
use super::{GET, Page, World, content};
use crate::filter::EndOfStream;
use crate::http::route::Route;
use crate::http::server::Settings;
use crate::limit::{Budget, Interval, Limit, Rate, Rates};

const PLAIN: &[u8] = b"GET /plain HTTP/1.1\r\nHost: t\r\n\r\n";

/// A smooth route at `rate` for `/page`, and one without a pace for all else.
fn world(rate: u64, burst: u64) -> World {
    let world = World::new(Settings::default(), 0, 0);
    let page = || Page { status: 200, bytes: content(1_000_000), sized: true };
    let smooth = Route::handler("/page", page()).rate(Rate::or_unlimited(rate)).burst(burst).smooth(true);
    let routes = vec![smooth, Route::handler("/", page())];
    world.handle.replace(Settings::default(), routes, Default::default(), None);
    world
}

#[test]
fn the_kernel_is_asked_when_the_pace_changes_and_not_for_each_chunk() {
    let mut world = world(409_600, 0);
    let client = world.connect(Road::WIDE);
    client.send(GET);
    world.pass(Duration::from_secs(1));
    assert_eq!(client.pacing_rates(), [Some(512_000)], "five quarters, for five chunks");
    world.handle.routes()[0].limit().set_rate(Rate::or_unlimited(819_200));
    world.pass(Duration::from_secs(2));
    assert_eq!(client.pacing_rates(), [Some(512_000), Some(1_024_000)]);
    client.send(PLAIN);
    world.settle();
    assert_eq!(client.pacing_rates(), [Some(512_000), Some(1_024_000), None], "the next response is free");
    client.send(PLAIN);
    world.settle();
    assert_eq!(client.pacing_rates().len(), 3);
}

#[test]
fn a_shared_limit_below_the_pace_counts_while_it_is_there() {
    let mut world = world(819_200, 0);
    let server = world.handle.budgets().server().clone();
    server.set(Budget::of(Rate::or_unlimited(409_600)));
    let client = world.connect(Road::WIDE);
    client.send(GET);
    world.pass(Duration::from_secs(1));
    assert_eq!(client.pacing_rates().last(), Some(&Some(512_000)));
    server.set(Budget::default());
    world.pass(Duration::from_secs(1));
    assert_eq!(client.pacing_rates().last(), Some(&Some(1_024_000)));
}

#[test]
fn a_burst_leaves_at_once_and_a_slow_pace_is_not_spread_too_thin() {
    let mut world = world(1, 300_000);
    let client = world.connect(Road::WIDE);
    client.send(GET);
    world.settle();
    assert!(client.unread() > 300_000, "{}", client.unread());
    world.pass(Duration::from_secs(2));
    assert_eq!(client.pacing_rates(), [Some(128 * 1024)]);
}

// It was the second: whether a response has waited was asked before its wait was over.
#[test]
fn the_first_chunk_behind_a_burst_is_spread() {
    let mut world = world(409_600, 100_000);
    let client = world.connect(Road::WIDE);
    client.send(GET);
    world.settle();
    assert_eq!(client.pacing_rates(), []);
    world.pass(Duration::from_millis(200));
    assert_eq!(client.pacing_rates(), [Some(512_000)]);
}

#[test]
fn a_pace_that_only_reports_is_none_and_a_named_filter_has_one() {
    let mut world = world(409_600, 0);
    let client = world.connect(Road::WIDE);
    world.handle.routes()[0].limit().set_report_only(true);
    client.send(GET);
    world.settle();
    assert_eq!((client.pacing_rates(), client.unread() > 1_000_000), (vec![], true));

    let slow = Limit::new(Rate::or_unlimited(204_800));
    let page = Page { status: 200, bytes: content(1_000_000), sized: true };
    let route = Route::handler("/page", page).rate(Rate::or_unlimited(409_600)).pace(
        slow.clone(),
        Interval::DEFAULT,
        EndOfStream::default(),
    );
    world.handle.replace(Settings::default(), vec![route.smooth(true)], Default::default(), None);
    client.send(GET);
    world.pass(Duration::from_secs(1));
    assert_eq!(client.pacing_rates(), [Some(256_000)]);
    slow.set_rate(None);
    world.pass(Duration::from_secs(1));
    assert_eq!(client.pacing_rates(), [Some(256_000), Some(512_000)]);
}

#[test]
fn of_several_rates_the_one_that_holds_counts() {
    let mut world = world(409_600, 0);
    let several = Rates::from_texts(["off for 100k", "800k for 300k", "400k"]).unwrap();
    world.handle.routes()[0].limit().set_rates(several);
    let client = world.connect(Road::WIDE);
    client.send(GET);
    world.pass(Duration::from_secs(1));
    assert_eq!(client.pacing_rates(), [Some(1_024_000), Some(512_000)]);
}

#[test]
fn streams_that_share_a_socket_get_the_sum_of_their_paces_and_none_beside_one_without() {
    let mut world = world(409_600, 0);
    // However long it takes until the others are there, none of these has ended.
    let endless = Route::handler("/page", Endless::default()).rate(Rate::or_unlimited(409_600)).smooth(true);
    let page = Page { status: 200, bytes: content(400_000), sized: true };
    let routes = vec![endless, Route::handler("/", page)];
    world.handle.replace(Settings::default(), routes, Default::default(), None);
    let client = world.connect(Road::WIDE);
    let last = |world: &mut World, what: &str, expected: Option<u64>| {
        world.until(what, |_| client.pacing_rates().last() == Some(&expected));
    };
    client.send(&[hello(1 << 30), window_update(0, 1 << 30), get(1, "/page")].concat());
    last(&mut world, "one stream", Some(512_000));
    client.send(&get(3, "/page"));
    last(&mut world, "both", Some(1_024_000));
    client.send(&get(5, "/plain"));
    world.until("one without a pace", |_| client.pacing_rates().contains(&None));
    last(&mut world, "its end", Some(1_024_000));
    world.handle.routes()[0].limit().set_rate(Rate::or_unlimited(819_200));
    last(&mut world, "a changed rate", Some(2_048_000));
    client.send(&frame(3, 0, 3, &[0, 0, 0, 8]));
    last(&mut world, "one alone, as the other was reset", Some(1_024_000));
    world.cut(1);
    world.until("the end of its streams", |world| world.handle.connections() == 0);
}
