//! What all clients share is not one client's.

use std::sync::Arc;

use super::super::event::StreamName;
use super::super::hub::Hub;
use super::super::hub_error::HubError;
use super::super::source::{Subscribing, Subscription};
use super::super::stream::SubscribeRequest;
use crate::budget::ClientKey;
use crate::clock::ManualClock;
use crate::events::EventSettings;

fn hub(settings: EventSettings) -> Arc<Hub> {
    let names = vec!["s".to_owned(), "t".to_owned()];
    Hub::new("/events/", EventSettings { names, ..settings }, Arc::new(ManualClock::new()))
}

fn client(n: u8) -> ClientKey {
    ClientKey::address([192, 0, 2, n].into())
}

fn begin(hub: &Arc<Hub>, stream: &str, n: u8, token: Option<&str>) -> Result<Box<Subscription>, HubError> {
    let visit = SubscribeRequest {
        client: client(n),
        token: token.map(str::to_owned),
        last_id: None,
        window: None,
        path: format!("/events/{stream}"),
    };
    match Subscription::begin(hub, &StreamName::new(stream).unwrap(), visit, None)? {
        Subscribing::Stream(stream) => Ok(stream),
        Subscribing::Suspended(pause) => panic!("{pause:?}"),
    }
}

fn held(hub: &Hub) -> (u64, u64) {
    let gauges = hub.gauges();
    (gauges.subscribers, gauges.away)
}

#[test]
fn a_client_that_comes_and_goes_holds_no_more_places_than_it_may() {
    let hub = hub(EventSettings { subscribers: 6, client_streams: 2, ..EventSettings::default() });
    let gone = begin(&hub, "t", 9, Some("a token of the ninth client")).unwrap();
    drop(gone);
    for stream in ["s", "t"].repeat(50) {
        // What it leaves behind is away until the ttl is over, and makes room for it alone.
        drop(begin(&hub, stream, 1, None).unwrap());
    }
    assert_eq!(held(&hub), (0, 3));
    let others: Vec<_> = (2..5).map(|n| begin(&hub, "s", n, None).unwrap()).collect();
    let back = begin(&hub, "t", 9, Some("a token of the ninth client")).unwrap();
    assert_eq!(held(&hub), (4, 2), "it was not forgotten: it takes no other place");
    // Now all are taken: those that are away make room, first the newcomer's own.
    let first = begin(&hub, "t", 1, None).unwrap();
    let another = begin(&hub, "s", 5, None).unwrap();
    assert_eq!(held(&hub), (6, 0));
    assert_eq!(begin(&hub, "s", 6, None).err(), Some(HubError::Full));
    assert_eq!(begin(&hub, "s", 1, None).err(), Some(HubError::Full));
    drop(another);
    let second = begin(&hub, "s", 1, None).unwrap();
    assert_eq!(begin(&hub, "s", 1, None).err(), Some(HubError::ClientFull));
    drop((first, second, others, back));
    assert_eq!(held(&hub), (0, 6));
}

#[test]
fn the_oldest_makes_room_and_one_that_polls_only_for_its_own_client() {
    let settings =
        EventSettings { subscribers: 3, client_streams: 2, queue: 2, batch: 2, ..Default::default() };
    let clock = Arc::new(ManualClock::new());
    let names = vec!["s".to_owned()];
    let hub = Hub::new("/events/", EventSettings { names, ..settings }, Arc::clone(&clock) as _);
    let slow = begin(&hub, "s", 1, Some("slow")).unwrap();
    for _ in 0..3 {
        let draft = super::super::event::Draft::new("x", 10).unwrap();
        hub.publish_at_once(&StreamName::new("s").unwrap(), vec![draft.clone(), draft]).unwrap();
        clock.advance(std::time::Duration::from_millis(200));
        hub.sweep();
    }
    assert_eq!(hub.gauges().suspended, 1);
    drop(slow);
    for (n, token) in [(2, "earlier"), (3, "later")] {
        clock.advance(std::time::Duration::from_millis(1));
        drop(begin(&hub, "s", n, Some(token)).unwrap());
    }
    let fourth = begin(&hub, "s", 4, None).unwrap();
    assert_eq!((held(&hub), hub.gauges().suspended), ((1, 1), 1), "the earlier one was forgotten");
    drop(begin(&hub, "s", 3, Some("later")).unwrap());
    let fifth = begin(&hub, "s", 5, None).unwrap();
    assert_eq!(
        begin(&hub, "s", 6, None).err(),
        Some(HubError::Full),
        "one that polls is not idle for others"
    );
    let own = begin(&hub, "s", 1, None).unwrap();
    assert_eq!((held(&hub), hub.gauges().suspended), ((3, 0), 0));
    drop((fourth, fifth, own));
}
