//! The metrics of event streams.

use sluicegate::config::EventSettings;
use sluicegate::events::{Draft, Events, StreamName};
use sluicegate::http::route::Route;
use sluicegate::rt;

use testkit::watched::Watched;

fn watched() -> (Watched, std::sync::Arc<sluicegate::events::Hub>) {
    let settings = EventSettings {
        names: vec!["s".to_owned()],
        server_names: vec!["t".to_owned()],
        ..EventSettings::default()
    };
    let events = Events::new("/events/", settings, None, rt::clock());
    let hub = std::sync::Arc::clone(events.hub());
    (Watched::new(vec![Route::events("/events/", events)]), hub)
}

#[test]
fn streams_are_counted_by_route() {
    let (watched, hub) = watched();
    let name = StreamName::new("s").unwrap();
    let batch = ["a", "b"].map(|data| Draft::new(data, 10).unwrap());
    rt::block_on(hub.publish(&name, batch.into())).unwrap();
    assert_eq!(watched.served.get("/events/s/poll?after=unknown", "").status(), 200);
    let metrics = watched.metrics();
    for (sample, value) in [
        ("sluicegate_events_published_total", 2.0),
        ("sluicegate_events_polls_total", 1.0),
        ("sluicegate_events_logged", 2.0),
        ("sluicegate_events_subscribers", 0.0),
        ("sluicegate_events_queue_saturation", 0.0),
        ("sluicegate_events_write_delay_seconds_count", 0.0),
    ] {
        assert_eq!(metrics.value(&format!("{sample}{{route=\"/events/\"}}")), value, "{sample}");
    }
}
