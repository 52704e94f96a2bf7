//! Streams and their events in one file of the engine. Blocks.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Builder, CommitError, Database, DatabaseError, ReadableTable, StorageError, TableDefinition, TableError,
    TableHandle, TransactionError,
};

use super::super::kept::{KeptEvent, KeptStream, Times, life};
use super::backend::{LockError, LockedFile};
use crate::events::event::Event;

/// Whole numbers of the file itself.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("sluicegate.about");

/// By the stream's number in the file: name, incarnation, head, evicted.
const STREAMS: TableDefinition<'_, u64, (&str, &str, u64, u64)> = TableDefinition::new("sluicegate.streams");

/// Born and expires, id, type, traceparent, data.
type Row = (u64, u64, &'static str, Option<&'static str>, Option<&'static str>, &'static str);

/// By the stream's number in the file, and the event's in the stream.
const EVENTS: TableDefinition<'_, (u64, u64), Row> = TableDefinition::new("sluicegate.events");

/// The form of these tables.
const FORM: u64 = 1;

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
}

/// What the file has of a stream.
#[derive(Debug)]
struct OnDisk {
    number: u64,
    kept: KeptStream,
    /// Its first event; that behind the head if there is none.
    first: u64,
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

/// Why a file cannot be used.
#[derive(Debug)]
pub(super) struct DiskError {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Taken { here: bool },
    Foreign,
    Form(u64),
    Damaged(String),
    Io(io::Error),
}

impl DiskError {
    /// The engine gave up.
    pub(super) fn closed(path: &Path) -> Self {
        Self { path: path.to_owned(), kind: Kind::Io(io::Error::other("the engine failed")) }
    }

    /// Whether the file is open elsewhere; `Some(true)` in this process.
    pub(super) fn is_taken(&self) -> Option<bool> {
        match self.kind {
            Kind::Taken { here } => Some(here),
            _ => None,
        }
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store file {} ", self.path.display())?;
        match &self.kind {
            Kind::Taken { .. } => {
                f.write_str("is in use by another server; give each a file of its own, or stop the other one")
            }
            Kind::Foreign => {
                f.write_str("is not a store of event streams; name another file, or move it away")
            }
            Kind::Form(form) => write!(
                f,
                "has form {form}, which a later version wrote; use that version, or name another file"
            ),
            Kind::Damaged(how) => {
                write!(f, "is damaged ({how}); move it away: the streams then begin anew")
            }
            Kind::Io(error) => {
                let remedy = match error.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on its disk",
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                        "let the server's user write it and its folder (with systemd also by ReadWritePaths=)"
                    }
                    ErrorKind::NotFound => "make its folder, or name another file",
                    _ => "look at it and at its disk, or name another file",
                };
                write!(f, "cannot be used: {error}; {remedy}")
            }
        }
    }
}

impl From<StorageError> for Kind {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io(error) => Self::Io(error),
            StorageError::Corrupted(how) => Self::Damaged(how),
            other => Self::Io(io::Error::other(other.to_string())),
        }
    }
}

impl From<TransactionError> for Kind {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            other => Self::Io(io::Error::other(other.to_string())),
        }
    }
}

impl From<TableError> for Kind {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<CommitError> for Kind {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            other => Self::Io(io::Error::other(other.to_string())),
        }
    }
}

impl From<DatabaseError> for Kind {
    fn from(error: DatabaseError) -> Self {
        match error {
            // What does not begin as a file of the engine.
            DatabaseError::Storage(StorageError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                Self::Foreign
            }
            DatabaseError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<LockError> for Kind {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Taken { here } => Self::Taken { here },
            LockError::Io(error) => Self::Io(error),
        }
    }
}

impl Disk {
    /// Opens the file at `path`, which is made if it is not there. Repairs it if it was not closed.
    pub(super) fn open(path: &Path) -> Result<Self, DiskError> {
        let open = || -> Result<Self, Kind> {
            let file = LockedFile::open(path)?;
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE).create_with_file_format_v3(true);
            Self::of(path, builder.create_with_backend(file)?)
        };
        unpanicked(open).map_err(|kind| DiskError { path: path.to_owned(), kind })
    }

    fn of(path: &Path, database: Database) -> Result<Self, Kind> {
        let reading = database.begin_read()?;
        let ours = [ABOUT.name(), STREAMS.name(), EVENTS.name()];
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
            writing.open_table(EVENTS)?;
            let streams = writing.open_table(STREAMS)?;
            let mut found = HashMap::new();
            let mut next = 0;
            for row in streams.iter()? {
                let (number, row) = row?;
                let (name, incarnation, head, evicted) = row.value();
                let kept = KeptStream { name: name.into(), incarnation: incarnation.into(), head, evicted };
                next = number.value() + 1;
                found.insert(name.to_owned(), OnDisk { number: number.value(), kept, first: 0 });
            }
            (found, next)
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
        Ok(Self { path: path.to_owned(), database, streams: disk.0, next: disk.1 })
    }

    /// The streams that the file has.
    pub(super) fn streams(&self) -> Vec<KeptStream> {
        self.streams.values().map(|stream| stream.kept.clone()).collect()
    }

    /// The events of the stream `name` behind the number `after`.
    pub(super) fn events(&self, name: &str, after: u64) -> Result<Vec<KeptEvent>, DiskError> {
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
                    leave(&mut events, held.number, 0, u64::MAX)?;
                }
            }
            for change in changes {
                let KeptStream { name, incarnation, head, evicted } = &change.stream;
                let held = self.streams.entry(name.clone()).or_insert_with(|| {
                    self.next += 1;
                    OnDisk { number: self.next - 1, kept: change.stream.clone(), first: change.first }
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

/// What `reads` returns. The engine asserts what a damaged file does not hold to: a panic is that.
fn unpanicked<T>(reads: impl FnOnce() -> Result<T, Kind>) -> Result<T, Kind> {
    let read = catch_unwind(AssertUnwindSafe(reads));
    read.unwrap_or_else(|_| Err(Kind::Damaged("the engine cannot read it".to_owned())))
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
