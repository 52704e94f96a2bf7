//! What a shared store has of a subscriber, by which another server goes on with it. Pure: passed the time.

use std::time::Duration;

use super::log::Log;
use super::queue::Queue;
use super::settings::EventSettings;
use super::subscriber::{Pause, Phase, Subscriber, Suspension, suspended_ttl};
use crate::budget::ClientKey;
use crate::clock::Instant;

/// Texts of a record.
pub(super) const FIELDS: usize = 8;

/// Characters of the longest name that a subscriber has in logs; servers give shorter ones.
const MAX_ID: usize = 64;

/// A subscriber as a shared store has it. Numbers are of events of the log that the store has with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SubscriberRecord {
    /// Its name in logs.
    pub(super) id: String,
    pub(super) window: Option<usize>,
    /// The last event that it acknowledged, or without a window that its connection took.
    pub(super) acked: u64,
    pub(super) suspended: Option<SuspendedRecord>,
}

/// What a suspended subscriber has, and how far it polled. See [`Suspension`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SuspendedRecord {
    why: Pause,
    pub(super) position: u64,
    sent: u64,
    told: u64,
    may_resume: bool,
}

impl SubscriberRecord {
    /// The record of `subscriber`.
    pub(super) fn of(subscriber: &Subscriber) -> Self {
        let suspended = match &subscriber.phase {
            Phase::Live | Phase::Away { .. } => None,
            Phase::Suspended(of) => Some(SuspendedRecord {
                why: of.why,
                position: of.position,
                sent: of.sent,
                told: of.told,
                may_resume: of.may_resume,
            }),
        };
        let queue = &subscriber.queue;
        Self { id: subscriber.id.clone(), window: queue.window(), acked: queue.acked(), suspended }
    }

    /// As texts, in the order in which [`read`](Self::read) has them.
    pub(super) fn write(&self) -> [String; FIELDS] {
        let window = self.window.map(|window| window.to_string()).unwrap_or_default();
        let [why, position, sent, told, may_resume] = match &self.suspended {
            None => Default::default(),
            Some(of) => [
                of.why.word().to_owned(),
                of.position.to_string(),
                of.sent.to_string(),
                of.told.to_string(),
                u8::from(of.may_resume).to_string(),
            ],
        };
        [self.id.clone(), window, self.acked.to_string(), why, position, sent, told, may_resume]
    }

    /// The record of these texts; `None` if no server has written them.
    pub(super) fn read(texts: &[String]) -> Option<Self> {
        let texts: [&str; FIELDS] = texts.iter().map(String::as_str).collect::<Vec<_>>().try_into().ok()?;
        let [id, window, acked, why, position, sent, told, may_resume] = texts;
        let is_id = id.bytes().all(|byte| byte.is_ascii_alphanumeric()) && (1..=MAX_ID).contains(&id.len());
        let window = match window {
            "" => None,
            window => Some(window.parse::<u32>().ok().filter(|window| *window > 0)? as usize),
        };
        let suspended = match why {
            "" => None,
            why => Some(SuspendedRecord {
                why: Pause::of(why)?,
                position: position.parse().ok()?,
                sent: sent.parse().ok()?,
                told: told.parse().ok()?,
                may_resume: may_resume == "1",
            }),
        };
        is_id.then_some(Self { id: id.to_owned(), window, acked: acked.parse().ok()?, suspended })
    }

    /// The subscriber without a connection, in whose place in the log `log` stands at least as far as in the store.
    pub(super) fn into_subscriber(
        self,
        token: String,
        client: ClientKey,
        log: &Log,
        now: Instant,
    ) -> Subscriber {
        let at = |seq: u64| seq.min(log.head());
        let mut queue = Queue::new(at(self.acked), self.window, log);
        queue.sent_elsewhere(log.head());
        let mut subscriber = Subscriber::new(self.id, token, client, queue);
        subscriber.phase = match self.suspended {
            None => Phase::Away { since: now },
            Some(of) => Phase::Suspended(Suspension {
                why: of.why,
                since: now,
                position: at(of.position),
                sent: at(of.sent),
                told: at(of.told),
                may_resume: of.may_resume,
                untold: false,
            }),
        };
        subscriber
    }
}

/// How long the record of `subscriber` is kept if it is not written again: as long as the subscriber is remembered here.
/// While it is connected it is written again each half `ttl`, and outlives this server by one `ttl` at least.
pub(super) fn life(subscriber: &Subscriber, settings: &EventSettings, now: Instant) -> Duration {
    let left = match &subscriber.phase {
        Phase::Live => settings.ttl * 2,
        Phase::Away { since } => settings.ttl.saturating_sub(now - *since),
        Phase::Suspended(of) => {
            let all = suspended_ttl(settings);
            if of.untold { all } else { all.saturating_sub(now - of.since) }
        }
    };
    left.max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(of: &[&str]) -> Vec<String> {
        of.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let suspended =
            SuspendedRecord { why: Pause::QueueBytesFull, position: 3, sent: 5, told: 4, may_resume: true };
        let plain = SubscriberRecord { id: "9f0c1d2e".into(), window: None, acked: 7, suspended: None };
        let windowed = SubscriberRecord { window: Some(2), suspended: Some(suspended), ..plain.clone() };
        assert_eq!(plain.write(), ["9f0c1d2e", "", "7", "", "", "", "", ""]);
        assert_eq!(windowed.write(), ["9f0c1d2e", "2", "7", "queue_bytes_full", "3", "5", "4", "1"]);
        for record in [plain, windowed] {
            assert_eq!(SubscriberRecord::read(&record.write()), Some(record));
        }
    }

    #[test]
    fn what_no_server_writes_is_no_record() {
        let good = ["a", "2", "7", "queue_full", "3", "5", "4", "0"];
        assert!(SubscriberRecord::read(&texts(&good)).is_some());
        for (at, bad) in [
            (0, ""),
            (0, "a\nb"),
            (0, &*"a".repeat(65)),
            (1, "0"),
            (1, "99999999999"),
            (2, ""),
            (2, "-1"),
            (2, "inf"),
            (2, "18446744073709551616"),
            (3, "other"),
            (4, "1e3"),
            (5, ""),
            (6, "nan"),
        ] {
            let mut fields = texts(&good);
            fields[at] = bad.to_owned();
            assert_eq!(SubscriberRecord::read(&fields), None, "{at}: {bad:?}");
        }
        assert_eq!(SubscriberRecord::read(&texts(&good[1..])), None);
    }

    #[test]
    fn numbers_that_the_log_does_not_have_are_taken_for_its_end() {
        let far = u64::MAX.to_string();
        let fields = ["a", "2", &far, "queue_full", &far, &far, &far, "0"];
        let record = SubscriberRecord::read(&texts(&fields)).unwrap();
        let log = Log::restored("x", 4, 4);
        let subscriber = record.into_subscriber("t".into(), ClientKey::Local, &log, Instant::ZERO);
        let written = SubscriberRecord::of(&subscriber).write();
        assert_eq!(written, ["a", "2", "4", "queue_full", "4", "4", "4", "0"]);
    }
}
