//! Subscribers that go from one server to another: two streams with the same log, and records between them as a store has them.

use std::collections::HashMap;
use std::time::Duration;

use super::super::hub_error::HubError;
use super::super::log::Log;
use super::super::stream::{Adopted, After, Change, Claimed, SubscribeRequest, Take};
use super::super::subscriber_record::SubscriberRecord;
use super::rules::small;
use super::scene::{Connection, Scene, json};
use crate::budget::ClientKey;
use crate::events::EventSettings;

pub(super) const TOKEN: &str = "a token of its own";

/// Servers, and what a store that they share has: owners (server and tenure) and records.
pub(super) struct Fleet {
    pub(super) servers: Vec<Scene>,
    pub(super) records: HashMap<Box<str>, ((usize, u64), SubscriberRecord)>,
    tenures: u64,
    /// Who was told that a subscriber is another server's and has not heard it yet.
    notices: Vec<(usize, Box<str>, u64)>,
}

impl Fleet {
    pub(super) fn new(servers: usize, settings: EventSettings) -> Self {
        let servers = (0..servers).map(|_| Scene::shared(settings.clone())).collect();
        Self { servers, records: HashMap::new(), tenures: 0, notices: Vec::new() }
    }

    pub(super) fn publish(&mut self, data: &[&str]) {
        self.servers.iter_mut().for_each(|server| server.publish(data));
    }

    fn pass(&mut self, millis: u64) {
        self.servers.iter_mut().for_each(|server| server.pass(millis));
    }

    fn changes(&mut self, at: usize) -> Vec<Change> {
        self.servers[at].with(|stream, context| stream.take_changes(100, context))
    }

    /// Writes what a server has to write.
    pub(super) fn write(&mut self, at: usize) {
        let changes = self.changes(at);
        for change in changes {
            let stored = self.records.get(&change.name).map(|(owner, record)| (*owner, record.acked));
            match (stored, change.kept) {
                (Some((owner, _)), _) if owner != (at, change.tenure) => {
                    self.hear(at, &change.name, change.tenure)
                }
                (_, None) => _ = self.records.remove(&change.name),
                (stored, Some((mut record, _))) => {
                    let acked = stored.map_or(0, |(_, acked)| acked);
                    if acked > record.acked {
                        self.servers[at].with(|stream, context| {
                            let generation = stream.generation();
                            stream.acknowledged_elsewhere(&change.name, acked, generation, context)
                        });
                        record.acked = acked;
                    }
                    self.records.insert(change.name, ((at, change.tenure), record));
                }
            }
        }
    }

    fn hear(&mut self, at: usize, name: &str, tenure: u64) {
        self.servers[at].with(|stream, context| stream.taken(name, tenure, context));
    }

    /// All hear what they were told.
    pub(super) fn hear_all(&mut self) {
        for (at, name, tenure) in std::mem::take(&mut self.notices) {
            self.hear(at, &name, tenure);
        }
    }

    /// The claim of a subscriber that comes to the server `at`.
    fn claim(&mut self, at: usize, token: &str) -> Option<Claimed> {
        let name: Box<str> = format!("name of {token}").into();
        let (owner, record) = self.records.get_mut(&name)?;
        self.tenures += 1;
        let tenure = self.tenures;
        let (server, former) = std::mem::replace(owner, (at, tenure));
        if server != at {
            self.notices.push((server, name, former));
        }
        let former = (server == at).then_some(former);
        Some(Claimed {
            record: record.clone(),
            tenure,
            former,
            generation: self.servers[at].stream.generation(),
        })
    }

    fn arrives(&mut self, at: usize, token: &str, last_id: Option<&str>) -> Option<Adopted> {
        let claimed = self.claim(at, token)?;
        let client = ClientKey::Local;
        Some(self.servers[at].with(|stream, context| stream.adopt(claimed, token, &client, last_id, context)))
    }

    pub(super) fn comes(&mut self, at: usize, visit: &SubscribeRequest) -> Connection {
        self.arrives(at, visit.token.as_ref().unwrap(), visit.last_id.as_deref());
        let connection = self.servers[at].open(visit);
        self.write(at);
        connection
    }
}

pub(super) fn visit(window: Option<usize>) -> SubscribeRequest {
    let (token, path) = (Some(TOKEN.to_owned()), "/events/s".to_owned());
    SubscribeRequest { client: ClientKey::Local, token, last_id: None, window, path }
}

#[test]
fn a_window_and_what_is_acknowledged_go_with_a_subscriber_and_its_old_connection_ends() {
    let mut fleet = Fleet::new(2, EventSettings { queue: 40, ..small() });
    let visit = visit(Some(3));
    let mut one = fleet.comes(0, &visit);
    let id = json(&one.opened)["subscriber"].clone();
    fleet.publish(&["a", "b", "c", "d", "e"]);
    assert_eq!(fleet.servers[0].take(&mut one, 9).said(), ["a", "b", "c"]);
    fleet.servers[0].ack(TOKEN, "x-1").unwrap();
    let change = fleet.servers[0].with(|stream, context| stream.change_of(TOKEN, context)).unwrap();
    fleet.records.get_mut(&change.name).unwrap().1 = change.kept.unwrap().0;

    let mut two = fleet.comes(1, &visit);
    let opened = json(&two.opened);
    assert_eq!((opened["known"].as_bool(), opened["last_id"].as_str()), (Some(true), Some("x-1")));
    assert_eq!(opened["subscriber"], id);
    let came = fleet.servers[1].take(&mut two, 9);
    assert_eq!((came.said(), matches!(came.then, Some(Take::Window))), (vec!["b", "c", "d"], true));
    fleet.hear_all();
    assert!(fleet.servers[0].take(&mut one, 9).then.is_none(), "the old connection ends");
    assert_eq!(fleet.servers[0].ack(TOKEN, "x-2"), Err(HubError::UnknownToken));
    // What the first server sent last can be acknowledged, too.
    fleet.publish(&["f"]);
    assert!(fleet.servers[1].ack(TOKEN, "x-5").is_ok());
    assert_eq!(
        fleet.servers[1].ack(TOKEN, "x-6"),
        Err(HubError::NeverSent),
        "it is behind all that anybody sent"
    );
    assert_eq!(fleet.servers[1].take(&mut two, 9).said(), ["f"]);
}

#[test]
fn a_server_that_was_slow_to_hear_of_it_writes_nothing_and_forgets() {
    let mut fleet = Fleet::new(2, EventSettings { queue: 40, ..small() });
    let visit = visit(Some(3));
    let one = fleet.comes(0, &visit);
    let _two = fleet.comes(1, &visit);
    let owner = |fleet: &Fleet| fleet.records.values().next().unwrap().0.0;
    fleet.servers[0].leave(&one);
    fleet.write(0);
    assert_eq!(owner(&fleet), 1, "its write was refused");
    assert_eq!(fleet.servers[0].stream.subscribers().count(), 0);
    // And back, before the second one heard of anything: its notice is of an earlier time.
    let mut back = fleet.comes(0, &visit);
    let _third = fleet.comes(1, &visit);
    let mut again = fleet.comes(0, &visit);
    fleet.hear_all();
    fleet.publish(&["a"]);
    assert!(fleet.servers[0].take(&mut back, 9).then.is_none());
    assert_eq!(fleet.servers[0].take(&mut again, 9).said(), ["a"]);
    assert_eq!((owner(&fleet), fleet.servers[1].stream.subscribers().count()), (0, 0));
}

#[test]
fn what_is_acknowledged_elsewhere_opens_the_window() {
    let mut fleet = Fleet::new(1, EventSettings { queue: 40, ..small() });
    let mut one = fleet.comes(0, &visit(Some(2)));
    fleet.publish(&["a", "b", "c", "d", "e"]);
    assert_eq!(fleet.servers[0].take(&mut one, 9).said(), ["a", "b"]);
    let name = format!("name of {TOKEN}");
    let mut has = |seq, generation| {
        fleet.servers[0]
            .with(|stream, context| stream.acknowledged_elsewhere(&name, seq, generation, context))
    };
    assert_eq!(has(2, 1), None, "of a log that is no more");
    assert_eq!(has(2, 0), Some(one.at.0));
    assert_eq!(has(1, 0), Some(one.at.0), "late, and nothing new");
    assert_eq!(fleet.servers[0].take(&mut one, 9).said(), ["c", "d"]);
    // It had it from another server before: it is not sent again.
    fleet.servers[0].with(|stream, context| stream.acknowledged_elsewhere(&name, u64::MAX, 0, context));
    assert!(matches!(fleet.servers[0].take(&mut one, 9).then, Some(Take::Idle)));
    fleet.publish(&["f"]);
    assert_eq!(fleet.servers[0].take(&mut one, 9).said(), ["f"]);
}

#[test]
fn a_suspended_subscriber_is_suspended_everywhere_polls_anywhere_and_resumes_where_it_comes() {
    let settings = EventSettings { queue: 2, batch: 2, log: 4, ..small() };
    let mut fleet = Fleet::new(3, settings);
    let mut slow = fleet.comes(0, &visit(None));
    for batch in [["a", "b"], ["c", "d"], ["e", "f"]] {
        fleet.publish(&batch);
        fleet.pass(200);
    }
    assert_eq!(fleet.servers[0].counts.suspensions(), 1);
    fleet.write(0);
    assert_eq!(fleet.servers[0].take(&mut slow, 9).said(), ["sluicegate.pause"]);

    fleet.arrives(1, TOKEN, None);
    let pause = fleet.servers[1].subscribe(&visit(None)).err().expect("suspended there, too");
    assert_eq!(
        (pause.kind.as_str(), json(&pause)["reason"].as_str()),
        ("sluicegate.pause", Some("queue_full"))
    );
    fleet.write(1);
    fleet.hear_all();
    assert!(fleet.servers[0].poll(TOKEN, After::Known, 9).is_err(), "it is not the first one's any more");

    let poll = |fleet: &mut Fleet, at: usize, after: After, max| {
        fleet.arrives(at, TOKEN, None);
        let polled = fleet.servers[at].poll(TOKEN, after, max).unwrap();
        fleet.write(at);
        let gap = polled.gap.and_then(|gap| gap.missing);
        (gap, polled.events.len(), polled.suspended, polled.may_resume)
    };
    assert_eq!(poll(&mut fleet, 1, After::Known, 2), (Some(2), 2, true, false));
    assert_eq!(
        poll(&mut fleet, 2, After::Known, 1),
        (Some(2), 1, true, false),
        "nothing was said to have come"
    );
    let dropped = |fleet: &Fleet| fleet.servers.iter().map(|server| server.counts.dropped()).sum::<u64>();
    assert_eq!(dropped(&fleet), 2, "counted once, wherever it polls");
    assert_eq!(poll(&mut fleet, 0, After::Id("x-4".into()), 9), (None, 2, true, true));
    fleet.arrives(2, TOKEN, None);
    fleet.publish(&["g"]);
    let mut back = fleet.servers[2].open(&SubscribeRequest { last_id: Some("x-6".into()), ..visit(None) });
    assert_eq!(
        (back.opened.kind.as_str(), json(&back.opened)["known"].as_bool()),
        ("sluicegate.resume", Some(true))
    );
    assert_eq!(fleet.servers[2].take(&mut back, 9).said(), ["g"]);
    fleet.write(2);
    assert_eq!(fleet.records.values().next().unwrap().1.suspended, None);
}

#[test]
fn one_without_token_and_window_is_not_written_before_it_leaves_and_no_longer_than_it_is_known() {
    let mut fleet = Fleet::new(1, small());
    let plain = SubscribeRequest { token: None, ..visit(None) };
    let one = fleet.servers[0].open(&plain);
    assert!(!fleet.servers[0].stream.has_changes());
    fleet.servers[0].leave(&one);
    fleet.pass(10_000);
    let changes = fleet.changes(0);
    assert_eq!(changes[0].kept.as_ref().unwrap().1, Duration::from_secs(20), "as long as it is known here");
    fleet.servers[0].sweep();
    assert!(!fleet.servers[0].stream.has_changes());
    fleet.pass(20_000);
    assert_eq!(fleet.servers[0].sweep().len(), 1);
    assert!(!fleet.servers[0].stream.has_changes(), "its record is over by itself");

    let two = fleet.servers[0].open(&visit(Some(1)));
    assert_eq!(fleet.changes(0)[0].kept.as_ref().unwrap().1, Duration::from_secs(60));
    fleet.pass(14_999);
    fleet.servers[0].sweep();
    assert!(!fleet.servers[0].stream.has_changes());
    fleet.pass(1);
    fleet.servers[0].sweep();
    assert_eq!(fleet.changes(0).len(), 1, "each half ttl");
    fleet.servers[0].leave(&two);
    assert_eq!(fleet.changes(0)[0].kept.as_ref().unwrap().1, Duration::from_secs(30));
    fleet.servers[0].with(|stream, context| stream.forget_one(None, context)).unwrap();
    let changes = fleet.changes(0);
    assert_eq!((changes.len(), &changes[0].kept), (1, &None), "it made room for another one");
    fleet.servers[0].with(|stream, _| stream.return_changes(changes));
    assert_eq!(fleet.changes(0).len(), 1, "what could not be written is written later");
}

#[test]
fn a_log_that_began_anew_says_nothing_of_numbers_before_it() {
    let mut fleet = Fleet::new(2, EventSettings { queue: 40, ..small() });
    fleet.publish(&["a", "b", "c"]);
    let one = fleet.comes(0, &visit(Some(2)));
    fleet.servers[0].leave(&one);
    fleet.write(0);
    let claimed = fleet.claim(1, TOKEN).unwrap();
    let log = Log::restored("x", 0, 0).with_tag(Some("0000000a"));
    let adopted = fleet.servers[1].with(|stream, context| {
        stream.stand(log, 0, context);
        stream.adopt(claimed, TOKEN, &ClientKey::Local, None, context)
    });
    assert_eq!(adopted, Adopted::Again);
    // Asked again, and its client had what was lost.
    let adopted = fleet.arrives(1, TOKEN, Some("x-3"));
    assert_eq!(adopted, Some(Adopted::Inserted { gone: None }));
    let mut two = fleet.servers[1].open(&SubscribeRequest { last_id: Some("x-3".into()), ..visit(Some(2)) });
    fleet.servers[1].publish(&["d"]);
    let came = fleet.servers[1].take(&mut two, 9);
    assert_eq!(came.said(), ["sluicegate.gap", "d"]);
    let gap = json(&came.events[0]);
    assert_eq!((&gap["after"], &gap["reason"]), (&"x-3".into(), &"unknown".into()));
}
