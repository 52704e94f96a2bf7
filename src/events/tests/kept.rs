//! Any sequence of publishing, time that passes, and restarts: a hub with a file has after each restart what a log that was in memory
//! all the time has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::super::event::{Draft, StreamName};
use super::super::hub::Hub;
use super::super::hub_error::HubError;
use crate::clock::{Clock, ManualClock};
use crate::events::{EventSettings, EventStore};
use crate::rt;

#[derive(Clone, Debug)]
enum Op {
    /// On one of the streams: data, and whether under an id of its own.
    Publish(usize, Vec<(u8, bool)>),
    Pass(u64),
    Sweep,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0usize..2, prop::collection::vec((0u8..6, any::<bool>()), 1..4))
            .prop_map(|(stream, batch)| Op::Publish(stream, batch)),
        2 => (1u64..4_000).prop_map(Op::Pass),
        1 => Just(Op::Sweep),
        2 => Just(Op::Restart),
    ]
}

/// What can be seen of a stream: its incarnation, first, head and evicted, and its events.
type Seen = BTreeMap<String, (u64, u64, u64, Vec<(String, Vec<u8>)>)>;

fn seen(hub: &Hub) -> Seen {
    let of = |channel: &Arc<super::super::channel::Channel>| {
        channel.with(|stream| {
            let (kept, first) = stream.kept();
            let events = stream.events_after(0);
            let events = events.iter().map(|event| (event.id.to_string(), event.wire.to_vec())).collect();
            (kept.name, (first, kept.head, kept.evicted, events))
        })
    };
    hub.channels().iter().map(of).collect()
}

/// What was published, whatever ids the servers gave.
fn plain(result: Result<super::super::Published, HubError>) -> Result<usize, HubError> {
    result.map(|published| published.ids.len())
}

/// The same without the ids: name, first, head, evicted, and the events.
type Data = Vec<(String, u64, u64, u64, Vec<Vec<u8>>)>;

fn data(seen: &Seen) -> Data {
    let without_id = |wire: &[u8]| wire[wire.iter().position(|byte| *byte == b'\n').unwrap()..].to_vec();
    seen.iter()
        .map(|(name, (first, head, evicted, events))| {
            let events = events.iter().map(|(_, wire)| without_id(wire)).collect();
            (name.clone(), *first, *head, *evicted, events)
        })
        .collect()
}

fn batch(of: &[(u8, bool)]) -> Vec<Draft> {
    let draft = |(n, own): &(u8, bool)| {
        let draft = Draft::new(format!("data\n{n}"), 100).unwrap();
        // Sometimes the id of another event.
        if *own { draft.id(format!("own-{}", n % 5)).unwrap() } else { draft }
    };
    of.iter().map(draft).collect()
}

/// Both have the same, once each has looked at the ages of its events. A stream that the writer looks at just now is not idle: it
/// leaves at a later look.
fn agree(hub: &Hub, model: &Hub) {
    for _ in 0..10_000 {
        _ = (model.sweep(), hub.sweep());
        if data(&seen(hub)) == data(&seen(model)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(data(&seen(hub)), data(&seen(model)));
}

fn run(ops: Vec<Op>) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new());
    clock.advance(Duration::from_secs(1));
    let settings = EventSettings {
        log: 4,
        queue: 4,
        batch: 4,
        log_ttl: Duration::from_secs(10),
        names: vec!["s0".to_owned()],
        ..EventSettings::default()
    };
    let kept = EventSettings { store: EventStore::File(folder.path().join("a")), ..settings.clone() };
    let model = Hub::new("/m/", settings, Arc::clone(&clock) as Arc<dyn Clock>);
    let open = || Hub::open("/k/", kept.clone(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let mut hub = open();
    for op in ops {
        match op {
            Op::Publish(stream, of) => {
                let name = StreamName::new(&format!("s{stream}")).unwrap();
                let expected = plain(rt::block_on(model.publish(&name, batch(&of))));
                assert_eq!(plain(rt::block_on(hub.publish(&name, batch(&of)))), expected);
            }
            Op::Pass(millis) => clock.advance(Duration::from_millis(millis)),
            Op::Sweep => _ = (model.sweep(), hub.sweep()),
            Op::Restart => {
                // Reading trims, as sweeping does.
                _ = (model.sweep(), hub.sweep());
                let before = seen(&hub);
                hub.close();
                rt::block_on(hub.closed());
                hub = open();
                assert_eq!(seen(&hub), before);
            }
        }
        agree(&hub, &model);
    }
    hub.close();
    rt::block_on(hub.closed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_file_has_what_memory_has(ops in prop::collection::vec(op(), 1..40)) {
        run(ops);
    }
}
