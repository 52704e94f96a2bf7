//! The scripts of a shared store, and what they are passed and answer.

use std::sync::Arc;
use std::time::Duration;

use super::subscriber_calls::SubscriberScripts;
use crate::events::event::{Draft, Event};
use crate::events::event_id::{assigned, server_id};
use crate::events::hub_error::HubError;
use crate::events::place::{Fork, Place};
use crate::events::settings::EventSettings;
use crate::events::store::kept::{KeptEvent, Times, life};
use crate::shared_store::{Link, LinkError, LogEntry, RedisSource, Script, Tail};

/// How long the numbers of a stream are kept behind its last event.
const REST: Duration = Duration::from_secs(24 * 3600);

/// How long a call may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What an entry costs beside its texts: about what Redis needs for it.
const OVERHEAD: usize = 200;

pub(super) struct Calls {
    pub(super) link: Link,
    /// What the keys of the route's streams begin with. The part in braces has them on one node of a cluster.
    pub(super) begin: String,
    publish: Script,
    join: Script,
    probe: Script,
    look: Script,
    pub(super) subscribers: SubscriberScripts,
}

/// Where a stream stands in the store.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Whether the store goes on from all that the server has of it.
    pub(super) is_same: bool,
    pub(super) incarnation: String,
    pub(super) head: u64,
    pub(super) evicted: u64,
    pub(super) run: Run,
    /// The first event in its log, if there is one.
    pub(super) first: Option<u64>,
    /// The tag in the id of its last event.
    pub(super) end: String,
}

/// The part of a stream's life in which the store cannot have lost any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) name: String,
    /// What is in the ids that are given in it; nothing in the first one.
    pub(super) tag: String,
    /// The number of the last event before the first that was published in it.
    pub(super) base: u64,
    /// Where runs before it ended, the newest first; times are of the store's clock.
    pub(super) forks: Vec<Fork>,
}

/// What a server has of a stream.
pub(super) struct Held {
    pub(super) name: String,
    pub(super) incarnation: String,
    pub(super) head: u64,
    pub(super) evicted: u64,
    /// The names of the runs that it had the stream in, the newest first, and the base of each.
    pub(super) runs: Vec<(String, u64)>,
}

/// Events that the store may have lost.
pub(super) struct Given<'a> {
    /// The number that they follow.
    pub(super) after: u64,
    /// With the tags that are in their ids, or would be if these were not publishers' own.
    pub(super) events: &'a [(Arc<Event>, String)],
    pub(super) times: Times,
}

/// What the store says of a stream that a server has.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// It does not have it.
    Nothing,
    /// It is to be given what follows this number.
    Give(u64),
    Stands(Standing),
}

/// Where the streams stand that a server has, and in which process of the store.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) process: String,
    /// Incarnation, run and head of each; the run is empty if it is not one of this process.
    pub(super) streams: Vec<(String, String, u64)>,
}

/// Why a batch is not published.
pub(super) enum Unpublished {
    /// The store may have lost some of the stream: the server has to join it again.
    Lost,
    Refused(HubError),
    Failed(LinkError),
}

pub(super) fn odd() -> LinkError {
    LinkError::odd("it answers what no script of ours does")
}

impl Calls {
    pub(super) fn new(source: RedisSource, route: &str) -> Result<Self, LinkError> {
        let begin = format!("{{{}:events:{route}}}:", source.prefix);
        Ok(Self {
            link: Link::new(source)?,
            begin,
            publish: Script::new(concat!(include_str!("process.lua"), include_str!("publish.lua"))),
            join: Script::new(concat!(include_str!("process.lua"), include_str!("join.lua"))),
            probe: Script::new("return {redis.call('SET', KEYS[1], '1', 'PX', 1000) and 'ok'}"),
            look: Script::new(concat!(include_str!("process.lua"), include_str!("look.lua"))),
            subscribers: SubscriberScripts::new(),
        })
    }

    pub(super) fn log_key(&self, name: &str) -> String {
        format!("{}{name}:log", self.begin)
    }

    /// The stream whose log has this key.
    pub(super) fn name_of<'a>(&self, log: &'a str) -> Option<&'a str> {
        log.strip_prefix(&*self.begin)?.strip_suffix(":log")
    }

    pub(super) fn keys(&self, name: &str) -> [String; 3] {
        ["about", "log", "ids"].map(|of| format!("{}{name}:{of}", self.begin))
    }

    /// Publishes a batch. Returns the ids.
    pub(super) async fn publish(
        &self,
        name: &str,
        batch: &[Draft],
        incarnation: &str,
        run: &str,
        settings: &EventSettings,
    ) -> Result<Vec<Box<str>>, Unpublished> {
        let [about, log, ids] = self.keys(name);
        let mut args = vec![
            incarnation.to_owned(),
            run.to_owned(),
            settings.log.to_string(),
            settings.log_bytes.to_string(),
            REST.as_millis().to_string(),
            batch.len().to_string(),
        ];
        for draft in batch {
            let (kind, data, trace) = draft.texts();
            let ttl = draft.ttl_or(settings.log_ttl).as_millis().max(1);
            let cost = draft.size() + OVERHEAD;
            args.extend([draft.given_id().unwrap_or_default(), kind.unwrap_or_default()].map(str::to_owned));
            args.extend([trace.unwrap_or_default(), data.to_owned(), ttl.to_string(), cost.to_string()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let answer = self.link.run(&self.publish, &[&about, &log, &ids], &args, PATIENCE).await;
        let answer = answer.map_err(Unpublished::Failed)?;
        let at = || answer.get(1).and_then(|at| at.parse().ok()).unwrap_or(0);
        match answer.first().map(String::as_str) {
            Some("ok") if answer.len() == batch.len() + 3 => {
                Ok(answer[3..].iter().map(|id| id.as_str().into()).collect())
            }
            Some("join") => Err(Unpublished::Lost),
            Some("conflict") => Err(Unpublished::Refused(HubError::Conflict(at()))),
            Some("reserved") => Err(Unpublished::Refused(HubError::ReservedId(at()))),
            _ => Err(Unpublished::Failed(odd())),
        }
    }

    /// Writes as publishing does.
    pub(super) async fn probe(&self) -> Result<(), LinkError> {
        let key = format!("{}probe", self.begin);
        self.link.run(&self.probe, &[&key], &[], PATIENCE).await.map(drop)
    }

    /// Compares what the store has of a stream with what this server has, and gives it what it lost. A stream that it does not have is
    /// made if it `begins`. `nonce` is a number that nobody else passes.
    pub(super) async fn join(
        &self,
        held: &Held,
        begins: bool,
        nonce: u64,
        given: Option<Given<'_>>,
    ) -> Result<Joined, LinkError> {
        let [about, log, ids] = self.keys(&held.name);
        let mut args = vec![held.incarnation.clone(), held.head.to_string(), REST.as_millis().to_string()];
        args.extend([format!("{nonce:016x}"), u8::from(begins).to_string()]);
        let runs = held.runs.iter().map(|(name, base)| format!("{name}={base}"));
        args.push(runs.collect::<Vec<_>>().join(" "));
        args.push(held.evicted.to_string());
        match given {
            Some(given) => given.write(&mut args),
            None => args.extend([String::new(), "0".to_owned()]),
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let answer = self.link.run(&self.join, &[&about, &log, &ids], &args, PATIENCE).await?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| odd());
        let words: Vec<&str> = answer.iter().map(String::as_str).collect();
        match words[..] {
            ["none"] => Ok(Joined::Nothing),
            ["give", after] => Ok(Joined::Give(number(after)?)),
            [same @ ("same" | "other"), incarnation, head, evicted, run, tag, first, end, past, base] => {
                let forks = past.split_ascii_whitespace().map(fork).collect::<Result<_, _>>()?;
                Ok(Joined::Stands(Standing {
                    is_same: same == "same",
                    incarnation: incarnation.to_owned(),
                    head: number(head)?,
                    evicted: number(evicted)?,
                    run: Run { name: run.to_owned(), tag: tag.to_owned(), base: number(base)?, forks },
                    first: if first.is_empty() { None } else { Some(number(first)?) },
                    end: end.to_owned(),
                }))
            }
            _ => Err(odd()),
        }
    }

    /// Where the streams of these names stand. With `keeps`, what is known of them is kept for longer.
    pub(super) async fn look(&self, names: &[&str], keeps: bool) -> Result<Look, LinkError> {
        let keys: Vec<String> = names
            .iter()
            .map(|name| {
                let [about, ..] = self.keys(name);
                about
            })
            .collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let rest = if keeps { REST.as_millis().to_string() } else { String::new() };
        let answer = self.link.run(&self.look, &keys, &[&rest], PATIENCE).await?;
        let Some((process, streams)) = answer.split_first() else { return Err(odd()) };
        if streams.len() != names.len() * 3 {
            return Err(odd());
        }
        let streams = streams.chunks_exact(3).map(|of| {
            let head = of[2].parse().map_err(|_| odd())?;
            Ok((of[0].clone(), of[1].clone(), head))
        });
        Ok(Look { process: process.clone(), streams: streams.collect::<Result<_, LinkError>>()? })
    }

    /// Which process `tail` reads.
    pub(super) async fn process(&self, tail: &mut Tail) -> Result<String, LinkError> {
        let answer = tail.run(&self.look, &[""], PATIENCE).await?;
        answer.into_iter().next().ok_or_else(odd)
    }
}

impl Given<'_> {
    fn write(&self, args: &mut Vec<String>) {
        args.extend([self.after.to_string(), self.events.len().to_string()]);
        for (event, tag) in self.events {
            let own = event.place.as_ref().map_or_else(String::new, |_| event.id.to_string());
            let data = String::from_utf8_lossy(&event.data).into_owned();
            let kind = event.kind.as_deref().unwrap_or_default().to_owned();
            let cost = data.len() + kind.len() + own.len() + OVERHEAD;
            let (born, expires) = life(event, &self.times);
            let trace = event.trace.map(|trace| trace.to_string()).unwrap_or_default();
            args.extend([event.seq.to_string(), own, kind, trace, data]);
            args.extend([born.to_string(), expires.to_string(), cost.to_string()]);
            args.push(tag.clone());
        }
    }
}

/// Reads `RUN=NUMBER@TIME`.
fn fork(text: &str) -> Result<Fork, LinkError> {
    let (number, time) = text.split_once('=').and_then(|(_, of)| of.split_once('@')).ok_or_else(odd)?;
    let number_of = |text: &str| text.parse().map_err(|_| odd());
    Ok(Fork { number: number_of(number)?, time: number_of(time)? })
}

impl Run {
    /// The event as it is sent to subscribers, if it was published with `tag`.
    pub(super) fn event(&self, kept: KeptEvent, tag: &str, incarnation: &str, times: &Times) -> Event {
        if assigned(incarnation, &kept.id).is_some() {
            return kept.event(times);
        }
        let place = Place { tag: tag.into(), fork: Fork::before(&self.forks, kept.seq, kept.life) };
        let position = server_id(incarnation, kept.seq, tag);
        kept.event(times).placed(place, &position)
    }
}

/// The event of an entry of the log of this incarnation, and the tag of the run in which it was published.
pub(super) fn event(incarnation: &str, (id, fields): LogEntry) -> Result<(KeptEvent, String), LinkError> {
    let seq: u64 = id.split('-').next().and_then(|seq| seq.parse().ok()).ok_or_else(odd)?;
    let (mut own, mut kind, mut trace, mut data) =
        (String::new(), String::new(), String::new(), String::new());
    let (mut born, mut expires, mut tag) = (String::new(), String::new(), String::new());
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match name.as_str() {
            "i" => own = value,
            "k" => kind = value,
            "t" => trace = value,
            "d" => data = value,
            "b" => born = value,
            "e" => expires = value,
            "g" => tag = value,
            _ => {}
        }
    }
    let millis = |text: String| text.parse::<u64>().map_err(|_| odd());
    let event = KeptEvent {
        seq,
        id: if own.is_empty() { server_id(incarnation, seq, &tag) } else { own },
        kind: Some(kind).filter(|kind: &String| !kind.is_empty()),
        trace: trace.parse().ok(),
        data,
        life: (millis(born)?, millis(expires)?),
    };
    Ok((event, tag))
}
