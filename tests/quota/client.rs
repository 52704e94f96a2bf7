//! The client library against a real server: shares converge, and hold when the server is lost.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sluicegate::quota::client::{QuotaClient, QuotaClientSettings, ResourceUse, ShareState};
use sluicegate::quota::server::QuotaServerSettings;
use sluicegate::quota::{Endpoint, MICRO, Unit, wire};
use sluicegate::rt;

use crate::fixture::{Served, settings};
use testkit::wait::until;

fn timeout(millis: u64) -> QuotaServerSettings {
    let mut settings = settings();
    settings.book.heartbeat_timeout = Duration::from_millis(millis);
    settings
}

fn uses(endpoint: Endpoint, client: &str) -> QuotaClientSettings {
    QuotaClientSettings::new(endpoint, client.parse().unwrap())
        .using(ResourceUse::new("api".parse().unwrap()))
}

fn start(served: &Served, client: &str) -> QuotaClient {
    QuotaClient::start(uses(served.endpoint(), client)).unwrap()
}

fn share(client: &QuotaClient) -> (u64, ShareState) {
    let share = client.allocation("api").unwrap().share();
    (share.per_second(), share.state)
}

#[test]
fn clients_come_and_go_and_the_others_have_their_shares_long_before_a_heartbeat() {
    // With heartbeats each 10 s, what takes less is told by streams and acknowledged at once.
    let served = Served::new(settings());
    let began = Instant::now();
    let a = start(&served, "a");
    until("a has all", || share(&a) == (100, ShareState::Leased));
    let b = start(&served, "b");
    until("halves", || [share(&a), share(&b)] == [(50, ShareState::Leased); 2]);
    let c = start(&served, "c");
    until("thirds", || [&a, &b, &c].map(share) == [(33, ShareState::Leased); 3]);
    rt::block_on(c.close());
    until("halves again", || [share(&a), share(&b)] == [(50, ShareState::Leased); 2]);
    drop(b);
    until("all again", || share(&a) == (100, ShareState::Leased));
    assert!(began.elapsed() < Duration::from_secs(9), "it took {:?}", began.elapsed());
    assert_eq!(served.handle.clients(), 1);
}

#[test]
fn a_share_that_one_does_not_use_goes_to_the_other() {
    let served = Served::new(settings());
    let (a, b) = (start(&served, "a"), start(&served, "b"));
    until("halves", || [share(&a), share(&b)] == [(50, ShareState::Leased); 2]);
    a.allocation("api").unwrap().set_wants(Some(10 * MICRO));
    until("one lends", || [share(&a).0, share(&b).0] == [10, 90]);
    a.allocation("api").unwrap().set_wants(None);
    until("halves again", || [share(&a).0, share(&b).0] == [50, 50]);
}

#[test]
fn tokens_come_at_the_share_and_a_closed_client_gives_none() {
    let served = Served::new(settings());
    let client = start(&served, "a");
    let api = client.allocation("api").unwrap();
    rt::block_on(async {
        // The first one waits for the share itself; then there is a second's worth.
        api.acquire(1).await.unwrap();
        assert!(api.try_acquire(90));
        let began = Instant::now();
        for _ in 0..30 {
            api.acquire(1).await.unwrap();
        }
        // 9 and what came meanwhile are there, the rest comes each 10 ms. Later than that is the machine's.
        assert!(began.elapsed() > Duration::from_millis(100), "{:?}", began.elapsed());
        let waiting = api.acquire(1000);
        client.close().await;
        assert!(waiting.await.is_err() && !api.try_acquire(1));
    });
    until("farewell was heard", || served.handle.clients() == 0);
}

#[test]
fn a_lost_server_leaves_the_share_until_the_lease_ends_and_then_the_safe_share() {
    // Long enough that no lease ends because the machine is busy.
    let served = Served::new(timeout(2_500));
    let (a, b) = (start(&served, "a"), start(&served, "b"));
    until("halves", || [share(&a), share(&b)] == [(50, ShareState::Leased); 2]);
    let b_api = b.allocation("api").unwrap();
    b_api.set_wants(Some(20 * MICRO));
    until("one lends", || [share(&a).0, share(&b).0] == [80, 20]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    a.allocation("api")
        .unwrap()
        .on_change(move |share| heard.lock().unwrap().push((share.per_second(), share.state)));
    let mut changes = b_api.changes();
    assert_eq!(rt::block_on(changes.next()).per_second(), 20);

    drop(served);
    let lost = Instant::now();
    assert_eq!(rt::block_on(changes.next()).state, ShareState::SafeShare);
    assert!(lost.elapsed() < Duration::from_secs(8), "{:?}", lost.elapsed());
    until("both are on the safe share", || [share(&a), share(&b)] == [(50, ShareState::SafeShare); 2]);
    let expected = [(80, ShareState::Leased), (50, ShareState::SafeShare)];
    until("it was told so", || *told.lock().unwrap() == expected);
    assert!(!a.is_connected());
    assert!(a.allocation("api").unwrap().try_acquire(1), "and it may be spent");
}

#[test]
fn a_restarted_server_is_found_again_and_learns_the_held_shares() {
    let served = Served::new(timeout(3_000));
    let addr = served.addr;
    let (a, b) = (start(&served, "a"), start(&served, "b"));
    b.allocation("api").unwrap().set_wants(Some(20 * MICRO));
    until("shares", || [share(&a), share(&b)] == [(80, ShareState::Leased), (20, ShareState::Leased)]);
    drop(served);
    let mut settings = timeout(3_000);
    settings.book.learning = Duration::from_secs(3);
    let served = Served::at(addr, settings);
    let began = Instant::now();
    until("both are back", || served.handle.clients() == 2 && a.is_connected() && b.is_connected());
    let c = start(&served, "c");
    until("c is known", || served.handle.clients() == 3);
    if began.elapsed() < Duration::from_secs(2) {
        assert_eq!([share(&a), share(&b)], [(80, ShareState::Leased), (20, ShareState::Leased)]);
        assert_eq!(share(&c), (0, ShareState::Learning));
    }
    until("and then all is divided", || [&a, &b, &c].map(|client| share(client).0) == [40, 20, 40]);
}

#[test]
fn a_client_may_start_before_its_server_and_live_on_a_configured_safe_share() {
    let reserved = Served::new(settings());
    let addr = reserved.addr;
    let endpoint = reserved.endpoint();
    drop(reserved);
    let mut settings_of_client = uses(endpoint, "a");
    settings_of_client.resources[0].safe_share_micros = Some(7 * MICRO);
    let a = QuotaClient::start(settings_of_client).unwrap();
    assert_eq!(share(&a), (7, ShareState::Learning));
    let served = Served::at(addr, settings());
    until("the share is there", || share(&a) == (100, ShareState::Leased));
    drop(served);
}

#[test]
fn a_limit_of_the_other_unit_is_left_to_its_own_clients() {
    let served = Served::new(settings());
    let mut spends_bytes = uses(served.endpoint(), "a");
    spends_bytes.resources[0].unit = Some(Unit::Bytes);
    spends_bytes.resources[0].safe_share_micros = Some(7 * MICRO);
    let a = QuotaClient::start(spends_bytes).unwrap();
    until("it is refused", || share(&a) == (7, ShareState::SafeShare));
    let b = start(&served, "b");
    until("the other has all", || share(&b) == (100, ShareState::Leased));
    assert_eq!(share(&a), (7, ShareState::SafeShare), "no share of requests is taken for one of bytes");
    rt::block_on(async {
        let mut calls = served.calls().await;
        let message = wire::DeleteResourceLimitRequest { resource_id: "api".into() };
        calls.delete_resource_limit(message).await.unwrap();
        let rate_limit = Some(wire::RateLimit { per_second: 4096, unit: wire::Unit::Bytes.into() });
        let message = wire::SetResourceLimitRequest { resource_id: "api".into(), rate_limit };
        calls.set_resource_limit(message).await.unwrap();
    });
    rt::block_on(b.close());
    a.allocation("api").unwrap().set_wants(Some(4096 * MICRO));
    until("bytes are what it spends", || share(&a) == (4096, ShareState::Leased));
}

#[test]
fn the_second_of_two_clients_with_one_id_waits_and_the_first_is_not_disturbed() {
    let served = Served::new(settings());
    let first = start(&served, "same");
    until("the first has all", || share(&first) == (100, ShareState::Leased));
    let second = start(&served, "same");
    let refused = "registered by another instance";
    until("the second is refused", || second.trouble().is_some_and(|why| why.contains(refused)));
    assert_eq!((share(&first), share(&second).0), ((100, ShareState::Leased), 0));
    rt::block_on(first.close());
    until("the second has all", || share(&second) == (100, ShareState::Leased));
}

#[test]
fn the_metrics_say_which_share_holds() {
    use prometheus_client::registry::Registry;
    let served = Served::new(settings());
    let a = start(&served, "a");
    until("a has all", || share(&a) == (100, ShareState::Leased));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(a.metrics()));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "quota_connected 1",
        "quota_share{resource=\"api\"} 100.0",
        "quota_share_state{resource=\"api\",state=\"leased\"} 1",
        "quota_share_state{resource=\"api\",state=\"safe_share\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}
