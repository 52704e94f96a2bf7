//! The scripts of a shared store, and what they are passed and answer.

use std::time::Duration;

use crate::events::event::{Draft, Event};
use crate::events::hub_error::HubError;
use crate::events::settings::EventSettings;
use crate::events::store::kept::{KeptEvent, Times, life};
use crate::shared_store::{Link, LinkError, LogEntry, RedisSource, Script};

/// How long the numbers of a stream are kept behind its last event.
const REST: Duration = Duration::from_secs(24 * 3600);

/// How long a call may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What an entry costs beside its texts: about what Redis needs for it.
const OVERHEAD: usize = 200;

pub(super) struct Calls {
    pub(super) link: Link,
    /// What the keys of the route's streams begin with. The part in braces has them on one node of a cluster.
    begin: String,
    publish: Script,
    open: Script,
    probe: Script,
    look: Script,
    restore: Script,
}

/// Where a stream stands in the store.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) incarnation: String,
    pub(super) head: u64,
    pub(super) evicted: u64,
    /// The first event in its log, if there is one.
    pub(super) first: Option<u64>,
}

/// What a server has of a stream, for the store to be compared with.
pub(super) struct Held {
    pub(super) name: String,
    pub(super) incarnation: String,
    pub(super) head: u64,
    /// Type and data of the event at the head, if they are to be compared.
    pub(super) last: Option<(String, String)>,
}

/// What the store has in comparison.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Same,
    /// Less, up to this number; 0 if it does not have the stream.
    Less(u64),
    /// Another stream of this name, or other events under the same numbers.
    Other,
}

/// Why a batch is not published.
pub(super) enum Unpublished {
    Refused(HubError),
    Failed(LinkError),
}

fn odd() -> LinkError {
    LinkError::odd("it answers what no script of ours does")
}

impl Calls {
    pub(super) fn new(source: RedisSource, route: &str) -> Result<Self, LinkError> {
        let begin = format!("{{{}:events:{route}}}:", source.prefix);
        Ok(Self {
            link: Link::new(source)?,
            begin,
            publish: Script::new(include_str!("publish.lua")),
            open: Script::new(include_str!("open.lua")),
            probe: Script::new("return {redis.call('SET', KEYS[1], '1', 'PX', 1000) and 'ok'}"),
            look: Script::new(include_str!("look.lua")),
            restore: Script::new(include_str!("restore.lua")),
        })
    }

    pub(super) fn log_key(&self, name: &str) -> String {
        format!("{}{name}:log", self.begin)
    }

    /// The stream whose log has this key.
    pub(super) fn name_of<'a>(&self, log: &'a str) -> Option<&'a str> {
        log.strip_prefix(&*self.begin)?.strip_suffix(":log")
    }

    fn keys(&self, name: &str) -> [String; 3] {
        ["about", "log", "ids"].map(|of| format!("{}{name}:{of}", self.begin))
    }

    /// Publishes a batch. Returns the ids.
    pub(super) async fn publish(
        &self,
        name: &str,
        batch: &[Draft],
        incarnation: &str,
        settings: &EventSettings,
    ) -> Result<Vec<Box<str>>, Unpublished> {
        let [about, log, ids] = self.keys(name);
        let mut args = vec![
            incarnation.to_owned(),
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

    /// Where the stream `name` stands; `None` if there is none, and `incarnation`, that of a new one, is empty.
    pub(super) async fn open(&self, name: &str, incarnation: &str) -> Result<Option<Standing>, LinkError> {
        let [about, log, _] = self.keys(name);
        let rest = REST.as_millis().to_string();
        let answer = self.link.run(&self.open, &[&about, &log], &[incarnation, &rest], PATIENCE).await?;
        let [incarnation, head, evicted, first] = &answer[..] else {
            return if answer.is_empty() { Ok(None) } else { Err(odd()) };
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| odd());
        Ok(Some(Standing {
            incarnation: incarnation.clone(),
            head: number(head)?,
            evicted: number(evicted)?,
            first: if first.is_empty() { None } else { Some(number(first)?) },
        }))
    }

    /// Compares what the store has with what this server has.
    pub(super) async fn look(&self, held: &[Held], keeps: bool) -> Result<Vec<Found>, LinkError> {
        let keys: Vec<String> = held
            .iter()
            .flat_map(|held| {
                let [about, log, _] = self.keys(&held.name);
                [about, log]
            })
            .collect();
        let mut args = vec![if keeps { REST.as_millis().to_string() } else { String::new() }];
        for held in held {
            match &held.last {
                Some((kind, data)) => args.extend([held.head.to_string(), kind.clone(), data.clone()]),
                None => args.extend([String::new(), String::new(), String::new()]),
            }
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let answer = self.link.run(&self.look, &keys, &args, PATIENCE).await?;
        if answer.len() != held.len() * 3 {
            return Err(odd());
        }
        let found = held.iter().zip(answer.chunks_exact(3)).map(|(held, answer)| {
            let head: u64 = answer[1].parse().map_err(|_| odd())?;
            Ok(match (answer[0].as_str(), answer[2].as_str()) {
                ("", _) if held.head == 0 => Found::Other,
                ("", _) => Found::Less(0),
                (incarnation, _) if incarnation != held.incarnation => Found::Other,
                (_, "0") => Found::Other,
                _ if head < held.head => Found::Less(head),
                _ => Found::Same,
            })
        });
        found.collect()
    }

    /// Gives a store that lost the end of a stream these events back. Returns false if the stream went on meanwhile.
    pub(super) async fn restore(
        &self,
        held: &Held,
        after: u64,
        events: &[std::sync::Arc<Event>],
        times: &Times,
    ) -> Result<bool, LinkError> {
        let [about, log, ids] = self.keys(&held.name);
        let mut args = vec![
            held.incarnation.clone(),
            after.to_string(),
            REST.as_millis().to_string(),
            held.head.to_string(),
            events.len().to_string(),
        ];
        for event in events {
            let own = format!("{}-{}", held.incarnation, event.seq);
            let id = if *event.id == *own { String::new() } else { event.id.to_string() };
            let data = String::from_utf8_lossy(&event.data).into_owned();
            let kind = event.kind.as_deref().unwrap_or_default().to_owned();
            let cost = data.len() + kind.len() + id.len() + OVERHEAD;
            let (born, expires) = life(event, times);
            let trace = event.trace.map(|trace| trace.to_string()).unwrap_or_default();
            args.extend([event.seq.to_string(), id, kind, trace, data]);
            args.extend([born.to_string(), expires.to_string(), cost.to_string()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let answer = self.link.run(&self.restore, &[&about, &log, &ids], &args, PATIENCE).await?;
        Ok(answer.first().is_some_and(|answer| answer == "ok"))
    }
}

/// The event of an entry of the log of this incarnation; `None` if the log is that of another one.
pub(super) fn event(incarnation: &str, (id, fields): LogEntry) -> Result<Option<KeptEvent>, LinkError> {
    let seq: u64 = id.split('-').next().and_then(|seq| seq.parse().ok()).ok_or_else(odd)?;
    let (mut own, mut kind, mut trace, mut data) =
        (String::new(), String::new(), String::new(), String::new());
    let (mut born, mut expires, mut of) = (String::new(), String::new(), String::new());
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match name.as_str() {
            "i" => own = value,
            "k" => kind = value,
            "t" => trace = value,
            "d" => data = value,
            "b" => born = value,
            "e" => expires = value,
            "a" => of = value,
            _ => {}
        }
    }
    let millis = |text: String| text.parse::<u64>().map_err(|_| odd());
    if of != incarnation {
        return Ok(None);
    }
    Ok(Some(KeptEvent {
        seq,
        id: if own.is_empty() { format!("{incarnation}-{seq}") } else { own },
        kind: Some(kind).filter(|kind: &String| !kind.is_empty()),
        trace: trace.parse().ok(),
        data,
        life: (millis(born)?, millis(expires)?),
    }))
}
