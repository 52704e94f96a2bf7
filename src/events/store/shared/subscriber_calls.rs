//! The scripts for records of subscribers, and what they are passed and answer.

use std::time::Duration;

use super::calls::{Calls, PATIENCE, odd};
use crate::events::stream::Change;
use crate::events::subscriber_record::SubscriberRecord;
use crate::shared_store::{LinkError, LogEntry, Script};

/// How long notices are kept for a server that reads none. One that reads again later finds out when it next writes.
const NOTICES: Duration = Duration::from_secs(300);

pub(super) struct SubscriberScripts {
    claim: Script,
    acknowledge: Script,
    keep: Script,
}

/// Where a server has a stream, and by what name the store knows that server.
pub(super) struct Place<'a> {
    pub(super) server: &'a str,
    pub(super) name: &'a str,
    pub(super) incarnation: String,
    pub(super) run: String,
    /// See [`Stream::generation`](crate::events::stream::Stream::generation).
    pub(super) generation: u64,
}

/// A subscriber that comes.
pub(super) struct Comes<'a> {
    pub(super) subscriber: &'a str,
    pub(super) tenure: u64,
    pub(super) polls: bool,
    pub(super) window: Option<usize>,
    pub(super) received: Option<u64>,
    /// How long its record is kept until it is written.
    pub(super) life: Duration,
}

/// What the store knows of a subscriber that comes.
pub(super) enum Found {
    /// The stream is to be joined anew.
    Lost,
    Unknown,
    Elsewhere,
    Known {
        former: Option<u64>,
        head: u64,
        /// `None` if no server wrote what is there.
        record: Option<SubscriberRecord>,
    },
}

/// What the store says to an acknowledgement.
pub(super) enum Acknowledged {
    /// The stream is to be joined anew.
    Lost,
    Unknown,
    Never,
    Kept,
}

/// What became of a record that was to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The subscriber is another server's.
    Taken,
    Forgotten,
    /// The number of the last event that it has acknowledged, wherever.
    Kept(u64),
}

/// What a server is told of a subscriber.
pub(super) struct Notice {
    /// The name of the stream, and that of the subscriber.
    pub(super) stream: String,
    pub(super) subscriber: String,
    pub(super) what: What,
}

pub(super) enum What {
    /// It is another server's since this tenure.
    Taken(u64),
    /// It has everything up to this number, of this run.
    Has(u64, String),
}

impl SubscriberScripts {
    pub(super) fn new() -> Self {
        let script =
            |of| Script::new(&[include_str!("process.lua"), include_str!("joined.lua"), of].concat());
        Self {
            claim: script(include_str!("claim.lua")),
            acknowledge: script(include_str!("acknowledge.lua")),
            keep: script(include_str!("keep.lua")),
        }
    }
}

fn text(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

impl Calls {
    /// The key of the log of what the server of this name is told of subscribers.
    pub(super) fn notices_key(&self, server: &str) -> String {
        format!("{}{server}", self.notices())
    }

    fn notices(&self) -> String {
        format!("{}notices:", self.begin)
    }

    fn about_and(&self, stream: &str, subscriber: &str) -> [String; 2] {
        let [about, ..] = self.keys(stream);
        [about, self.record_key(stream, subscriber)]
    }

    fn record_key(&self, stream: &str, subscriber: &str) -> String {
        format!("{}{stream}:sub:{subscriber}", self.begin)
    }

    /// Has a subscriber be this server's.
    pub(super) async fn claim(&self, place: &Place<'_>, comes: &Comes<'_>) -> Result<Found, LinkError> {
        let [about, record] = self.about_and(place.name, comes.subscriber);
        let args: [&str; 12] = [
            &place.incarnation,
            &place.run,
            place.server,
            &comes.tenure.to_string(),
            if comes.polls { "1" } else { "" },
            &text(comes.window.map(|window| window as u64)),
            &text(comes.received),
            &comes.life.as_millis().to_string(),
            &self.notices(),
            place.name,
            comes.subscriber,
            &NOTICES.as_millis().to_string(),
        ];
        let script = &self.subscribers.claim;
        let answer = self.link.run(script, &[&about, &record], &args, PATIENCE).await?;
        let words: Vec<&str> = answer.iter().map(String::as_str).collect();
        match words[..] {
            ["join"] => Ok(Found::Lost),
            ["none"] => Ok(Found::Unknown),
            ["elsewhere"] => Ok(Found::Elsewhere),
            ["known", former, head, ..] => Ok(Found::Known {
                former: former.parse().ok(),
                head: head.parse().map_err(|_| odd())?,
                record: SubscriberRecord::read(&answer[3..]),
            }),
            _ => Err(odd()),
        }
    }

    /// Notes that a subscriber has everything up to the number `seq`, which nobody knows if that is `None`.
    pub(super) async fn acknowledge(
        &self,
        place: &Place<'_>,
        subscriber: &str,
        seq: Option<u64>,
        is_own: bool,
    ) -> Result<Acknowledged, LinkError> {
        let [about, record] = self.about_and(place.name, subscriber);
        let args: [&str; 9] = [
            &place.incarnation,
            &place.run,
            place.server,
            &text(seq),
            if is_own { "1" } else { "" },
            &self.notices(),
            place.name,
            subscriber,
            &NOTICES.as_millis().to_string(),
        ];
        let script = &self.subscribers.acknowledge;
        let answer = self.link.run(script, &[&about, &record], &args, PATIENCE).await?;
        match answer.first().map(String::as_str) {
            Some("join") => Ok(Acknowledged::Lost),
            Some("none") => Ok(Acknowledged::Unknown),
            Some("never") => Ok(Acknowledged::Never),
            Some("ok") => Ok(Acknowledged::Kept),
            _ => Err(odd()),
        }
    }

    /// Writes records. Returns what became of each; `None` if the stream is to be joined anew.
    pub(super) async fn keep(
        &self,
        place: &Place<'_>,
        changes: &[Change],
    ) -> Result<Option<Vec<Written>>, LinkError> {
        let [about, ..] = self.keys(place.name);
        let records = changes.iter().map(|change| self.record_key(place.name, &change.name));
        let keys: Vec<String> = std::iter::once(about).chain(records).collect();
        let mut args = vec![place.incarnation.clone(), place.run.clone(), place.server.to_owned()];
        for change in changes {
            args.push(change.tenure.to_string());
            match &change.kept {
                Some((record, life)) => {
                    args.push(life.as_millis().max(1).to_string());
                    args.extend(record.write());
                }
                None => args.extend(std::array::from_fn::<_, 9, _>(|_| String::new())),
            }
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let answer = self.link.run(&self.subscribers.keep, &keys, &args, PATIENCE).await?;
        let written = |word: &String| match word.as_str() {
            "gone" => Ok(Written::Taken),
            "" => Ok(Written::Forgotten),
            acked => acked.parse().map(Written::Kept).map_err(|_| odd()),
        };
        match answer.split_first() {
            Some((word, [])) if word == "join" => Ok(None),
            Some((word, answers)) if word == "kept" && answers.len() == changes.len() => {
                answers.iter().map(written).collect::<Result<_, _>>().map(Some)
            }
            _ => Err(odd()),
        }
    }
}

/// The notice in an entry; `None` if no server of ours wrote it.
pub(super) fn notice(fields: Vec<String>) -> Option<Notice> {
    let (mut stream, mut subscriber) = (None, None);
    let (mut tenure, mut acked, mut run) = (None, None, None);
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match name.as_str() {
            "s" => stream = Some(value),
            "n" => subscriber = Some(value),
            "t" => tenure = value.parse().ok(),
            "a" => acked = value.parse().ok(),
            "r" => run = Some(value),
            _ => {}
        }
    }
    let what = match (tenure, acked, run) {
        (Some(tenure), None, None) => What::Taken(tenure),
        (None, Some(seq), Some(run)) => What::Has(seq, run),
        _ => return None,
    };
    Some(Notice { stream: stream?, subscriber: subscriber?, what })
}

/// The notices in `entries`, and the id of the last entry.
pub(super) fn notices(entries: Vec<LogEntry>) -> (Vec<Notice>, Option<String>) {
    let last = entries.last().map(|(id, _)| id.clone());
    (entries.into_iter().filter_map(|(_, fields)| notice(fields)).collect(), last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&str]) -> Option<Notice> {
        notice(fields.iter().map(|field| (*field).to_owned()).collect())
    }

    #[test]
    fn notices_are_read_and_what_is_none_is_passed_over() {
        let taken = read(&["s", "news", "n", "ab", "t", "7"]).unwrap();
        assert_eq!((&*taken.stream, &*taken.subscriber), ("news", "ab"));
        assert!(matches!(taken.what, What::Taken(7)));
        let has = read(&["s", "news", "n", "ab", "a", "9", "r", "run"]).unwrap();
        assert!(matches!(has.what, What::Has(9, run) if run == "run"));
        for bad in [
            &["s", "news", "t", "7"][..],
            &["s", "a", "n", "b", "t", "x"],
            &["s", "a", "n", "b", "a", "1"],
            &["t"],
            &[],
        ] {
            assert!(read(bad).is_none(), "{bad:?}");
        }
    }
}
