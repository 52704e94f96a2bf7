//! Where a hub that comes in another one's place reads its file.

use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::SystemTime;

use super::super::event::{Draft, StreamName};
use super::super::hub::Hub;
use crate::clock::{Clock, Instant, TimerKey};
use crate::events::{EventSettings, EventStore};
use crate::rt;

/// The process's clock; and whether a worker was the first to read its calendar, as is done to decode events.
struct Watched(OnceLock<bool>);

impl Clock for Watched {
    fn now(&self) -> Instant {
        rt::clock().now()
    }

    fn calendar(&self) -> SystemTime {
        self.0.get_or_init(|| rt::worker().is_some());
        rt::clock().calendar()
    }

    fn wake_at(&self, deadline: Instant, waker: Waker) -> TimerKey {
        rt::clock().wake_at(deadline, waker)
    }

    fn cancel(&self, key: TimerKey) {
        rt::clock().cancel(key);
    }
}

#[test]
fn a_file_that_another_hub_had_is_read_off_the_workers() {
    let folder = tempfile::tempdir().unwrap();
    let store = EventStore::File(folder.path().join("a.redb"));
    let settings = EventSettings { store, ..EventSettings::default() };
    let name = StreamName::new("s").unwrap();
    let old = Hub::open("/e/", settings.clone(), rt::clock()).unwrap();
    rt::block_on(old.publish(&name, vec![Draft::new("data", 100).unwrap()])).unwrap();
    let clock = Arc::new(Watched(OnceLock::new()));
    let new = Hub::open("/e/", settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    assert_eq!(clock.0.get(), None, "the other one has it");
    old.close();
    rt::block_on(new.opened(&name, None)).unwrap();
    assert_eq!(clock.0.get(), Some(&false));
    new.close();
    rt::block_on(new.closed());
}
