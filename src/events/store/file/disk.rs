//! Streams and their events in one file of the engine. Blocks.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Builder, Database, ReadableTable, TableDefinition, TableHandle};

use super::super::kept::{KeptEvent, KeptRead, KeptStream, Times, life};
use super::backend::LockedFile;
use super::disk_error::{DiskError, Kind};
use crate::clock::Clock;
use crate::events::event::Event;
use crate::events::place::{Fork, Forks};
use crate::rt;

/// Whole numbers of the file itself: `form`; `lags`, 1 while events may be answered that are not in it; `tag`, which is in ids that are
/// given, 0 until some of them may have been lost.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("sluicegate.about");

/// By the stream's number in the file: name, incarnation, head, evicted.
const STREAMS: TableDefinition<'_, u64, (&str, &str, u64, u64)> = TableDefinition::new("sluicegate.streams");

/// Born and expires, id, type, traceparent, data.
type Row = (u64, u64, &'static str, Option<&'static str>, Option<&'static str>, &'static str);

/// By the stream's number in the file, and the event's in the stream.
const EVENTS: TableDefinition<'_, (u64, u64), Row> = TableDefinition::new("sluicegate.events");

/// Where the end of a stream may have been lost: by the stream's number in the file, and that of the last event that is left; when, in milliseconds since
/// 1970, and the tag since then.
const FORKS: TableDefinition<'_, (u64, u64), (u64, u64)> = TableDefinition::new("sluicegate.forks");

/// The most forks of a stream that the file has.
const MAX_FORKS: usize = 64;

/// The form of these tables.
const FORM: u64 = 1;

/// The number of no stream: what is written to see whether there is room.
const TRIAL: u64 = u64::MAX;

/// Bytes of a row of it.
const TRIAL_ROW: usize = 64 << 10;

/// Room that the engine may need beside what is written.
const SLACK: usize = 256 << 10;

/// What the engine may hold of the file: 8 MiB. Events are read from memory.
const CACHE: usize = 8 << 20;

/// A file of streams.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    database: Database,
    /// By name.
    streams: HashMap<String, OnDisk>,
    next: u64,
    /// What is in the ids that are given.
    tag: String,
}

/// What the file has of a stream.
#[derive(Debug)]
struct OnDisk {
    number: u64,
    kept: KeptStream,
    /// Its first event; that behind the head if there is none.
    first: u64,
    forks: Forks,
}

/// What is to be written of a stream.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) stream: KeptStream,
    /// Events before this number leave.
    pub(super) first: u64,
    /// New ones, in order.
    pub(super) events: Vec<Arc<Event>>,
}

impl Disk {
    /// Opens the file at `path`, which is made if it is not there, and repairs it if it was not closed. If it `lags`, this process has what it
    /// lacks.
    pub(super) fn open(path: &Path, clock: &dyn Clock, lags: bool) -> Result<Self, DiskError> {
        let open = || -> Result<Self, Kind> {
            let file = LockedFile::open(path)?;
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE).create_with_file_format_v3(true);
            Self::of(path, builder.create_with_backend(file)?, clock, lags)
        };
        unpanicked(open).map_err(|kind| DiskError { path: path.to_owned(), kind })
    }

    fn of(path: &Path, database: Database, clock: &dyn Clock, lags: bool) -> Result<Self, Kind> {
        let reading = database.begin_read()?;
        let ours = [ABOUT.name(), STREAMS.name(), EVENTS.name(), FORKS.name()];
        if reading.list_tables()?.any(|table| !ours.contains(&table.name())) {
            return Err(Kind::Foreign);
        }
        drop(reading);
        let writing = database.begin_write()?;
        let mut disk = {
            let mut about = writing.open_table(ABOUT)?;
            let form = about.get("form")?.map(|form| form.value());
            if form.is_none() {
                about.insert("form", FORM)?;
            }
            if form.is_some_and(|form| form > FORM) {
                return Err(Kind::Form(form.unwrap_or_default()));
            }
            leave(&mut writing.open_table(EVENTS)?, TRIAL, 0, u64::MAX)?;
            let number = |about: &redb::Table<'_, &str, u64>, of| {
                Ok::<_, Kind>(about.get(of)?.map_or(0, |number| number.value()))
            };
            // Whoever had it before did not close it: ids that it gave may be of events that are lost, and are not to be given again.
            let is_cut = !lags && number(&about, "lags")? != 0;
            if is_cut {
                about.insert("tag", new_tag())?;
                about.insert("lags", 0)?;
            }
            let tag = number(&about, "tag")?;
            let streams = writing.open_table(STREAMS)?;
            let mut forks = writing.open_table(FORKS)?;
            let mut found = HashMap::new();
            let mut next = 0;
            for row in streams.iter()? {
                let (number, row) = row?;
                let (name, incarnation, head, evicted) = row.value();
                let kept = KeptStream { name: name.into(), incarnation: incarnation.into(), head, evicted };
                let number = number.value();
                next = number + 1;
                if is_cut {
                    forks.insert((number, head), (Times::of(clock).now_millis(), tag))?;
                }
                let forks = forks_of(&mut forks, number)?;
                found.insert(name.to_owned(), OnDisk { number, kept, first: 0, forks });
            }
            (found, next, tag)
        };
        writing.commit()?;
        let reading = database.begin_read()?;
        let events = reading.open_table(EVENTS)?;
        for stream in disk.0.values_mut() {
            let mut rows = events.range((stream.number, 0)..=(stream.number, u64::MAX))?;
            stream.first = match rows.next().transpose()? {
                Some((key, _)) => key.value().1,
                None => stream.kept.head + 1,
            };
        }
        drop((events, reading));
        Ok(Self { path: path.to_owned(), database, streams: disk.0, next: disk.1, tag: tag_text(disk.2) })
    }

    /// The streams that the file has.
    pub(super) fn streams(&self) -> Vec<KeptStream> {
        self.streams.values().map(|stream| stream.kept.clone()).collect()
    }

    /// What is in the ids that are given from now on; nothing if none of this file was ever lost.
    pub(super) fn tag(&self) -> &str {
        &self.tag
    }

    /// Notes whether events may be answered that the file does not have. It is on the disk when this returns. After an error the file
    /// must be opened anew.
    pub(super) fn set_lags(&mut self, lags: bool) -> Result<(), DiskError> {
        let set = || -> Result<(), Kind> {
            let writing = self.database.begin_write()?;
            writing.open_table(ABOUT)?.insert("lags", u64::from(lags))?;
            Ok(writing.commit()?)
        };
        unpanicked(set).map_err(|kind| self.failed(kind))
    }

    /// Fails if there is no room for as many bytes of events. After an error the file must be opened anew.
    pub(super) fn try_room(&mut self, bytes: usize) -> Result<(), DiskError> {
        let tried = || -> Result<(), Kind> {
            // What is written takes up to twice its bytes: the engine's pages are powers of two, and it splits a full one into halves. The engine uses what
            // leaves again after two more writes.
            let (rows, text) = (1 + (2 * bytes + SLACK) / TRIAL_ROW, "x".repeat(TRIAL_ROW));
            let writing = self.database.begin_write()?;
            for row in 0..rows as u64 {
                let row = (TRIAL, row);
                writing.open_table(EVENTS)?.insert(row, (0, 0, "", None, None, text.as_str()))?;
            }
            writing.commit()?;
            for _ in 0..2 {
                let writing = self.database.begin_write()?;
                leave(&mut writing.open_table(EVENTS)?, TRIAL, 0, u64::MAX)?;
                writing.commit()?;
            }
            Ok(())
        };
        unpanicked(tried).map_err(|kind| self.failed(kind))
    }

    /// Reads the events of `wanted`: streams of the file, and behind which number.
    pub(super) fn read(&self, wanted: &[(KeptStream, u64)]) -> Result<Vec<KeptRead>, DiskError> {
        let read = |(stream, after): &(KeptStream, u64)| {
            let held = self.streams.get(&stream.name);
            let forks = held.map(|held| held.forks.clone()).unwrap_or_default();
            Ok(KeptRead { stream: stream.clone(), forks, events: self.events(&stream.name, *after)? })
        };
        wanted.iter().map(read).collect()
    }

    /// The events of the stream `name` behind the number `after`.
    fn events(&self, name: &str, after: u64) -> Result<Vec<KeptEvent>, DiskError> {
        let read = || -> Result<Vec<KeptEvent>, Kind> {
            let Some(stream) = self.streams.get(name) else { return Ok(Vec::new()) };
            let events = self.database.begin_read()?.open_table(EVENTS)?;
            let rows = events.range((stream.number, after + 1)..=(stream.number, u64::MAX))?;
            rows.map(|row| {
                let (key, row) = row?;
                let (born, expires, id, kind, trace, data) = row.value();
                Ok(KeptEvent {
                    seq: key.value().1,
                    id: id.to_owned(),
                    kind: kind.map(str::to_owned),
                    trace: trace.and_then(|trace| trace.parse().ok()),
                    data: data.to_owned(),
                    life: (born, expires),
                })
            })
            .collect()
        };
        unpanicked(read).map_err(|kind| self.failed(kind))
    }

    /// Whether the file has `stream` with its events from `first` on, and nothing before.
    pub(super) fn has(&self, stream: &KeptStream, first: u64) -> bool {
        self.streams.get(&stream.name).is_some_and(|held| held.kept == *stream && held.first >= first)
    }

    /// The number of the last event of `stream` that the file has; 0 if it does not have this stream.
    pub(super) fn head_of(&self, stream: &KeptStream) -> u64 {
        let held = self.streams.get(&stream.name).filter(|held| held.kept.incarnation == stream.incarnation);
        held.map_or(0, |held| held.kept.head)
    }

    /// Writes `changes`, and takes the streams `gone` out: all of it or nothing. It is on the disk when this returns. After an error
    /// the file must be opened anew.
    pub(super) fn write(
        &mut self,
        changes: &[Change],
        gone: &[String],
        times: &Times,
    ) -> Result<(), DiskError> {
        self.written(changes, gone, times).map_err(|kind| self.failed(kind))
    }

    fn failed(&self, kind: Kind) -> DiskError {
        DiskError { path: self.path.clone(), kind }
    }

    fn written(&mut self, changes: &[Change], gone: &[String], times: &Times) -> Result<(), Kind> {
        let writing = self.database.begin_write()?;
        {
            let mut streams = writing.open_table(STREAMS)?;
            let mut events = writing.open_table(EVENTS)?;
            // A stream that began anew has another number.
            let begun_anew = changes.iter().map(|change| &change.stream).filter(|stream| {
                let held = self.streams.get(&stream.name);
                held.is_some_and(|held| held.kept.incarnation != stream.incarnation)
            });
            let leaving: Vec<&String> = gone.iter().chain(begun_anew.map(|stream| &stream.name)).collect();
            for name in leaving {
                if let Some(held) = self.streams.remove(name) {
                    streams.remove(held.number)?;
                    let of = (held.number, 0)..=(held.number, u64::MAX);
                    writing.open_table(FORKS)?.retain_in(of, |_, _| false)?;
                    leave(&mut events, held.number, 0, u64::MAX)?;
                }
            }
            for change in changes {
                let KeptStream { name, incarnation, head, evicted } = &change.stream;
                let held = self.streams.entry(name.clone()).or_insert_with(|| {
                    self.next += 1;
                    OnDisk {
                        number: self.next - 1,
                        kept: change.stream.clone(),
                        first: change.first,
                        forks: Forks::default(),
                    }
                });
                held.kept = change.stream.clone();
                streams.insert(held.number, (name.as_str(), incarnation.as_str(), *head, *evicted))?;
                if held.first < change.first {
                    leave(&mut events, held.number, held.first, change.first)?;
                    held.first = change.first;
                }
            }
            for change in changes {
                let number = self.streams[&change.stream.name].number;
                for event in &change.events {
                    insert(&mut events, number, event, times)?;
                }
            }
        }
        Ok(writing.commit()?)
    }
}

/// A number for ids that no earlier one had, but once in four thousand million times.
fn new_tag() -> u64 {
    let mut bytes = [0; 4];
    rt::random(&mut bytes);
    u64::from(u32::from_ne_bytes(bytes).max(1))
}

fn tag_text(tag: u64) -> String {
    if tag == 0 { String::new() } else { format!("{tag:08x}") }
}

/// The forks of the stream with this number in the file. If they are too many, the first one stands for the next, too: whoever resumes by an id that is in doubt
/// is sent more than it lacks.
fn forks_of(table: &mut redb::Table<'_, (u64, u64), (u64, u64)>, number: u64) -> Result<Forks, Kind> {
    let mut forks = Vec::new();
    for row in table.range((number, 0)..=(number, u64::MAX))? {
        let (key, row) = row?;
        forks.push((key.value().1, row.value()));
    }
    while forks.len() > MAX_FORKS {
        let (next, of) = forks.remove(1);
        table.remove((number, next))?;
        table.insert((number, forks[0].0), of)?;
        forks[0].1 = of;
    }
    let fork = |(number, (time, tag))| (Fork { number, time }, tag_text(tag).into());
    Ok(Forks(forks.into_iter().map(fork).collect()))
}

/// What `uses` returns. The engine asserts what a damaged file does not hold to: a panic is that.
fn unpanicked<T>(uses: impl FnOnce() -> Result<T, Kind>) -> Result<T, Kind> {
    let used = catch_unwind(AssertUnwindSafe(uses));
    used.unwrap_or_else(|_| Err(Kind::Damaged("the engine cannot read it".to_owned())))
}

type Events<'a> = redb::Table<'a, (u64, u64), Row>;

/// Takes the events `from` up to `to` out.
fn leave(events: &mut Events<'_>, number: u64, from: u64, to: u64) -> Result<(), Kind> {
    Ok(events.retain_in((number, from)..(number, to), |_, _| false)?)
}

fn insert(events: &mut Events<'_>, number: u64, event: &Event, times: &Times) -> Result<(), Kind> {
    let (born, expires) = life(event, times);
    let trace = event.trace.map(|trace| trace.to_string());
    // It was made of a text.
    let data = std::str::from_utf8(&event.data).unwrap_or_default();
    let row = (born, expires, &*event.id, event.kind.as_deref(), trace.as_deref(), data);
    events.insert((number, event.seq), row)?;
    Ok(())
}
