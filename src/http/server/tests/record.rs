//! What was logged on this thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Once;

use log::kv::{self, Key, Value, VisitSource};

thread_local! {
    static RECORDS: RefCell<Vec<Record>> = const { RefCell::new(Vec::new()) };
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) level: log::Level,
    pub(super) text: String,
    /// Its fields, as text.
    pub(super) fields: BTreeMap<String, String>,
}

impl Record {
    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        self.field(name).parse().unwrap()
    }
}

/// Takes down what is logged, from now on.
pub(super) fn begin() {
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| {
        log::set_logger(&Recorder).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
    RECORDS.take();
}

/// What was logged on this thread since it was last asked.
pub(super) fn taken() -> Vec<Record> {
    RECORDS.take()
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
        RECORDS.with_borrow_mut(|records| records.push(record));
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
