//! What the server logged.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use log::Level;
use log::kv::{self, Key, Value, VisitSource};

/// One line of the log, its fields as text.
#[derive(Clone, Debug)]
pub struct Record {
    pub level: Level,
    pub text: String,
    pub fields: BTreeMap<String, String>,
}

static RECORDS: Mutex<Vec<Record>> = Mutex::new(Vec::new());

fn records() -> MutexGuard<'static, Vec<Record>> {
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes down what is logged, from now on.
pub fn begin() {
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| {
        log::set_logger(&Recorder).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
}

/// What was logged of one client so far, at one level.
pub fn of(client: &str, level: Level) -> Vec<Record> {
    let is_it = |record: &&Record| {
        record.level == level && record.fields.get("client").is_some_and(|found| found == client)
    };
    records().iter().filter(is_it).cloned().collect()
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
        records().push(record);
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
