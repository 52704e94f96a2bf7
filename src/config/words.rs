//! Spellings of settings whose types belong to other crates.

use log::LevelFilter;

use crate::filter::EndOfStream;
use crate::words::{self, WordError};

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

/// Parses `off`, `error`, `warn`, `info`, `debug` or `trace`.
///
/// # Errors
/// `text` is another word.
pub fn parse_log_level(text: &str) -> Result<LevelFilter, WordError> {
    words::parse(text, "a log level", LOG_LEVELS)
}

/// Parses `immediate` or `paced`.
///
/// # Errors
/// `text` is another word.
pub fn parse_end_of_stream(text: &str) -> Result<EndOfStream, WordError> {
    words::parse(text, "an end of stream", ENDS_OF_STREAM)
}

/// Formats a rule as [`parse_end_of_stream`] reads it.
pub fn spell_end_of_stream(rule: EndOfStream) -> &'static str {
    words::spell(rule, ENDS_OF_STREAM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for (word, level) in LOG_LEVELS {
            assert_eq!(
                (parse_log_level(word), level.as_str().to_lowercase()),
                (Ok(*level), (*word).to_owned())
            );
        }
        for (word, rule) in ENDS_OF_STREAM {
            assert_eq!((parse_end_of_stream(word), spell_end_of_stream(*rule)), (Ok(*rule), *word));
        }
        let error = parse_log_level("wran").unwrap_err().to_string();
        assert_eq!(error, "\"wran\" is not a log level; did you mean \"warn\"?");
    }
}
