//! The log of a program, lines of JSON or readable text on standard error; and the access log, a line for each response.
//!
//! The logger is [`log`]'s, and the program's is femme. femme prints JSON on standard output, with levels as numbers and
//! times in milliseconds; and nothing else can be asked of it. [`ProgramLog`] reads those lines through a pipe, and
//! writes each as RFC 3339 and the level's name have it, or as text, to standard error, by a thread of its own.

mod access;
mod program_log;
mod render;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU8, Ordering};

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

/// Sets the form of lines that are written to standard error from now on. Before the first call it is JSON.
pub fn set_format(format: LogFormat) {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    let style = Style::of(format, std::io::stderr().is_terminal(), !is_set("NO_COLOR") && !is_dumb);
    STYLE.store(style as u8, Ordering::Relaxed);
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
/// they are; JSON has a record of each. Errors are ignored: standard error may be closed or full.
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
    let _ = std::io::stderr().lock().write_all(&out);
}

#[cfg(test)]
mod tests {
    use super::*;

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
