//! Settings that are one of a few words.

use std::fmt;

use log::LevelFilter;

use super::error::{shorten, suggestion};
use super::{OnFull, Suspend};
use crate::filter::EndOfStream;

const LOG_LEVELS: &[(&str, LevelFilter)] = &[
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

const ENDS_OF_STREAM: &[(&str, EndOfStream)] =
    &[("immediate", EndOfStream::Immediate), ("paced", EndOfStream::Paced)];

const SUSPENDS: &[(&str, Suspend)] = &[("stream", Suspend::Stream), ("429", Suspend::TooManyRequests)];

const ON_FULL: &[(&str, OnFull)] = &[("wait", OnFull::Wait), ("close", OnFull::Close)];

const HALF_CLOSES: &[(&str, HalfClose)] = &[("serve", HalfClose::Serve), ("abort", HalfClose::Abort)];

/// What is done for a client of HTTP/1 that closes its half of the connection while its answer is under way.
/// It may be one that has said all it will and still reads, or one that has gone: a browser whose user left
/// closes both halves, and only what is sent to it then finds that out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HalfClose {
    /// The answer goes on, until a write finds nobody, or for `idle_timeout` without a byte for the client.
    #[default]
    Serve,
    /// The answer is given up at once and the connection reset, as nginx does for clients of its backends.
    Abort,
}

/// A word that is none of the few. Says which was meant, or which there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordError {
    what: &'static str,
    text: String,
    suggestion: String,
}

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not {}; {}", self.text, self.what, self.suggestion)
    }
}

impl std::error::Error for WordError {}

/// Reads `off`, `error`, `warn`, `info`, `debug` or `trace`.
///
/// # Errors
/// Another word.
pub fn parse_log_level(text: &str) -> Result<LevelFilter, WordError> {
    parse(text, "a log level", LOG_LEVELS)
}

/// The level as [`parse_log_level`] reads it.
pub fn spell_log_level(level: LevelFilter) -> &'static str {
    spell(level, LOG_LEVELS)
}

/// Reads `immediate` or `paced`.
///
/// # Errors
/// Another word.
pub fn parse_end_of_stream(text: &str) -> Result<EndOfStream, WordError> {
    parse(text, "an end of stream", ENDS_OF_STREAM)
}

/// The rule as [`parse_end_of_stream`] reads it.
pub fn spell_end_of_stream(rule: EndOfStream) -> &'static str {
    spell(rule, ENDS_OF_STREAM)
}

/// Reads `serve` or `abort`.
///
/// # Errors
/// Another word.
pub fn parse_half_close(text: &str) -> Result<HalfClose, WordError> {
    parse(text, "a rule for clients that close their half", HALF_CLOSES)
}

/// The rule as [`parse_half_close`] reads it.
pub fn spell_half_close(rule: HalfClose) -> &'static str {
    spell(rule, HALF_CLOSES)
}

/// Reads `wait` or `close`.
///
/// # Errors
/// Another word.
pub fn parse_on_full(text: &str) -> Result<OnFull, WordError> {
    parse(text, "a rule for a full buffer", ON_FULL)
}

/// The rule as [`parse_on_full`] reads it.
pub fn spell_on_full(rule: OnFull) -> &'static str {
    spell(rule, ON_FULL)
}

/// Reads `stream` or `429`.
///
/// # Errors
/// Another word.
pub fn parse_suspend(text: &str) -> Result<Suspend, WordError> {
    parse(text, "what a suspended subscriber can get", SUSPENDS)
}

/// The answer as [`parse_suspend`] reads it.
pub fn spell_suspend(answer: Suspend) -> &'static str {
    spell(answer, SUSPENDS)
}

fn parse<T: Copy>(text: &str, what: &'static str, words: &[(&str, T)]) -> Result<T, WordError> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        WordError { what, text: shorten(text), suggestion: suggestion(text, &known) }
    })
}

fn spell<T: Copy + PartialEq>(value: T, words: &[(&'static str, T)]) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_and_others_name_the_nearest() {
        for (word, level) in LOG_LEVELS {
            assert_eq!(parse_log_level(word), Ok(*level));
            assert_eq!(spell_log_level(*level), *word);
        }
        for (word, rule) in ENDS_OF_STREAM {
            assert_eq!(parse_end_of_stream(word), Ok(*rule));
            assert_eq!(spell_end_of_stream(*rule), *word);
        }
        for (word, rule) in HALF_CLOSES {
            assert_eq!(parse_half_close(word), Ok(*rule));
            assert_eq!(spell_half_close(*rule), *word);
        }
        for (word, answer) in SUSPENDS {
            assert_eq!(parse_suspend(word), Ok(*answer));
            assert_eq!(spell_suspend(*answer), *word);
        }
        for (word, rule) in ON_FULL {
            assert_eq!(parse_on_full(word), Ok(*rule));
            assert_eq!(spell_on_full(*rule), *word);
        }
        assert_eq!(
            parse_log_level("wran").unwrap_err().to_string(),
            "\"wran\" is not a log level; did you mean \"warn\"?"
        );
        assert_eq!(
            parse_end_of_stream("later").unwrap_err().to_string(),
            "\"later\" is not an end of stream; known here: immediate, paced"
        );
    }
}
