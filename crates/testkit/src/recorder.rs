//! Records the log of this process, for tests that compare its lines.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, ThreadId};

use log::kv::{self, Key, Value, VisitSource};
use log::{Level, LevelFilter};

/// One line of the log, its fields as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its level.
    pub level: Level,
    /// Its message.
    pub text: String,
    /// Its fields, as text.
    pub fields: BTreeMap<String, String>,
}

impl Record {
    /// The value of a field.
    ///
    /// # Panics
    /// There is no such field.
    #[track_caller]
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// The value of a field that is a number.
    ///
    /// # Panics
    /// There is no such field, or it is not a number.
    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        self.field(name).parse().unwrap()
    }
}

static RECORDS: Mutex<Vec<(ThreadId, Record)>> = Mutex::new(Vec::new());

fn records() -> MutexGuard<'static, Vec<(ThreadId, Record)>> {
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records lines up to `level` from now on, and forgets those of this thread so far. The first call decides the level.
pub fn begin(level: LevelFilter) {
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| {
        log::set_logger(&Recorder).unwrap();
        log::set_max_level(level);
    });
    taken();
}

/// Returns what was logged on this thread since the last call.
pub fn taken() -> Vec<Record> {
    let thread = thread::current().id();
    records().extract_if(.., |(of, _)| *of == thread).map(|(_, record)| record).collect()
}

/// Returns what was logged on any thread about the client at `client`, at one level.
pub fn of(client: &str, level: Level) -> Vec<Record> {
    let is_it = |record: &&Record| {
        record.level == level && record.fields.get("client").is_some_and(|found| found == client)
    };
    records().iter().map(|(_, record)| record).filter(is_it).cloned().collect()
}

struct Recorder;

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut fields = Fields::default();
        record.key_values().visit(&mut fields).unwrap();
        let record = Record { level: record.level(), text: record.args().to_string(), fields: fields.0 };
        records().push((thread::current().id(), record));
    }

    fn flush(&self) {}
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl<'a> VisitSource<'a> for Fields {
    fn visit_pair(&mut self, key: Key<'a>, value: Value<'a>) -> Result<(), kv::Error> {
        self.0.insert(key.to_string(), value.to_string());
        Ok(())
    }
}
