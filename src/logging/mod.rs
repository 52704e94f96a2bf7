//! The log of a program, lines of JSON or readable text on standard error; and the access log, a line for each response.
//!
//! The logger is [`log`]'s, and the program's is femme. femme prints JSON on standard output, with levels as numbers and
//! times in milliseconds; and nothing else can be asked of it. [`ProgramLog`] reads those lines through a pipe, and
//! writes each as RFC 3339 and the level's name have it, or as text, to standard error, by a thread of its own.

mod access;
mod program_log;
mod render;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use log::Level;

use crate::clock::Clock;
use crate::rt;

pub use access::{AccessFormat, AccessLog, AccessLogSettings, AccessTo};
pub(crate) use access::{AccessLine, Answered, Subject};
pub use program_log::ProgramLog;

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text if standard error is a terminal, JSON otherwise. The default.
    #[default]
    Auto,
    /// A JSON object on each line.
    Json,
    /// Text, coloured on a terminal unless `NO_COLOR` is set or `TERM` is `dumb`.
    Text,
}

spelt!(
    LogFormat,
    "a log format",
    [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)]
);

/// The form of lines on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Json = 0,
    Text = 1,
    Coloured = 2,
}

impl Style {
    fn of(format: LogFormat, is_terminal: bool, wants_colours: bool) -> Self {
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Auto if !is_terminal => Self::Json,
            LogFormat::Auto | LogFormat::Text if is_terminal && wants_colours => Self::Coloured,
            LogFormat::Auto | LogFormat::Text => Self::Text,
        }
    }
}

/// The process has one standard error.
static STYLE: AtomicU8 = AtomicU8::new(Style::Json as u8);

/// JSON was asked for, and is not what `auto` came to.
static JSON_ASKED: AtomicBool = AtomicBool::new(false);

/// Sets the form of lines that are written to standard error from now on. Before the first call it is JSON.
pub fn set_format(format: LogFormat) {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    let style = Style::of(format, std::io::stderr().is_terminal(), !is_set("NO_COLOR") && !is_dumb);
    STYLE.store(style as u8, Ordering::Relaxed);
    JSON_ASKED.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// The form of lines on standard error.
pub(crate) fn style() -> Style {
    match STYLE.load(Ordering::Relaxed) {
        0 => Style::Json,
        1 => Style::Text,
        _ => Style::Coloured,
    }
}

/// Writes lines to standard error that do not depend on the log's level: what a server says when it starts. Text has them as
/// they are; JSON has a record of each. Errors are ignored: standard error may be closed. Blocks for at most a second if it is
/// full; what is left then is written when it can be.
pub fn announce(level: Level, lines: &str) {
    let mut out = Vec::new();
    for line in lines.lines() {
        if style() == Style::Json {
            render::record(level, rt::clock().calendar(), line, &mut out);
        } else {
            let mark = if level <= Level::Warn { "warning: " } else { "" };
            out.extend_from_slice(mark.as_bytes());
            out.extend_from_slice(line.as_bytes());
        }
        out.push(b'\n');
    }
    program_log::write_now(&out);
}

/// Writes why the program ends: a record if `log_format` is `json`, and otherwise `text` as it is. Blocks.
pub fn announce_end(text: &str) {
    let mut out = Vec::new();
    if JSON_ASKED.load(Ordering::Relaxed) {
        render::record(Level::Error, rt::clock().calendar(), text, &mut out);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'\n');
    // In one piece: a program that this one was to replace writes its log there too. It may be closed.
    let _ = std::io::stderr().write_all(&out);
}

/// Has each panic of the process be a record, if `log_format` is `json`. Otherwise it is printed as before.
pub fn record_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !JSON_ASKED.load(Ordering::Relaxed) {
            return before(panic);
        }
        // Not by the logger, in which the panic may be.
        let _ = std::io::stderr().write_all(&panic_record(panic));
    }));
}

/// The record of a panic, with its end.
fn panic_record(panic: &PanicHookInfo<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    render::record(Level::Error, rt::clock().calendar(), "panicked", &mut out);
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    render::field("error", text.unwrap_or("a value that is no text"), &mut out);
    if let Some(location) = panic.location() {
        render::field("at", location.to_string(), &mut out);
    }
    render::field("thread", std::thread::current().name(), &mut out);
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        render::field("backtrace", backtrace.to_string(), &mut out);
    }
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_one_record_that_says_where_it_was() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match std::thread::current().name() {
            Some("panics") => sender.send(panic_record(panic)).unwrap(),
            _ => before(panic),
        }));
        let panics = std::thread::Builder::new().name("panics".into());
        assert!(panics.spawn(|| panic!("two\nlines")).unwrap().join().is_err());
        drop(std::panic::take_hook());
        let record = String::from_utf8(receiver.recv().unwrap()).unwrap();
        let record: serde_json::Value = serde_json::from_str(record.strip_suffix('\n').unwrap()).unwrap();
        for (name, expected) in
            [("level", "error"), ("msg", "panicked"), ("error", "two\nlines"), ("thread", "panics")]
        {
            assert_eq!(record[name], expected);
        }
        assert!(record["at"].as_str().unwrap().starts_with(file!()), "{record}");
    }

    #[test]
    fn auto_is_text_on_a_terminal_and_only_a_terminal_has_colours() {
        use LogFormat::{Auto, Json, Text};
        for (format, is_terminal, wants_colours, expected) in [
            (Auto, true, true, Style::Coloured),
            (Auto, true, false, Style::Text),
            (Auto, false, true, Style::Json),
            (Json, true, true, Style::Json),
            (Text, false, true, Style::Text),
            (Text, true, true, Style::Coloured),
            (Text, true, false, Style::Text),
        ] {
            let style = Style::of(format, is_terminal, wants_colours);
            assert_eq!(style, expected, "{format} {is_terminal} {wants_colours}");
        }
    }
}
