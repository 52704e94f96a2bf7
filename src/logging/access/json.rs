//! Access log lines as JSON.

use std::fmt::{Display, Write as _};
use std::io::Write;

use log::Level;
use log::kv::{Error, Key, Source, Value, VisitSource, VisitValue};

use super::AccessLine;
use crate::logging::render;

/// Appends the line without its end.
pub(super) fn write(line: &AccessLine<'_>, out: &mut Vec<u8>) {
    render::record(Level::Info, line.time, line.message(), out);
    // The brace at its end.
    out.pop();
    // Neither a field nor a vector fails.
    let _ = line.visit(&mut Fields(out));
    out.push(b'}');
}

struct Fields<'a>(&'a mut Vec<u8>);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        // Names are ours, and need no escaping.
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(key.as_str().as_bytes());
        self.0.extend_from_slice(b"\":");
        value.visit(self)
    }
}

impl<'v> VisitValue<'v> for Fields<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.0.push(b'"');
        let written = Escaping(self.0).write_fmt(format_args!("{}", &value as &dyn Display));
        self.0.push(b'"');
        Ok(written?)
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        Ok(write!(self.0, "{value}")?)
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        serde_json::to_writer(&mut *self.0, value).map_err(Error::boxed)
    }
}

/// Escapes what goes into a string.
struct Escaping<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let start = self.0.len();
        serde_json::to_writer(&mut *self.0, text).map_err(|_| std::fmt::Error)?;
        // The quotes around it.
        self.0.pop();
        self.0.remove(start);
        Ok(())
    }
}
