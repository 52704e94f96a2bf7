//! Settings that take one of a few words, and the known name nearest to one that is not known.

use std::fmt;

use crate::excerpt::excerpt;

/// Why a text is none of the words that a setting takes. Displays the nearest word, or all of them.
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

/// Returns the value that `text` stands for in `words`; `what` completes "… is not" in the error.
pub(crate) fn parse<T: Copy>(text: &str, what: &'static str, words: &[(&str, T)]) -> Result<T, WordError> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        WordError { what, text: shorten(text), suggestion: suggestion(text, &known) }
    })
}

/// Returns the word for `value` in `words`.
pub(crate) fn spell<T: Copy + PartialEq>(value: T, words: &[(&'static str, T)]) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| *word)
}

/// Declares an error that is its text: what is wrong, and what to do.
macro_rules! text_error {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(pub(crate) String);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::error::Error for $name {}
    };
}

/// Declares an error that is its text, with a predicate for each cause that a program may treat otherwise: `is_…: …` are the
/// predicate and what makes an error of that cause; `other` makes one of any other.
macro_rules! caused_error {
    ($(#[$about:meta])* $name:ident { $($(#[$when:meta])* $is:ident: $make:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            text: String,
            $($is: bool,)+
        }

        impl $name {
            fn other(text: impl Into<String>) -> Self {
                Self { text: text.into(), $($is: false,)+ }
            }

            $(
                $(#[$when])*
                pub fn $is(&self) -> bool {
                    self.$is
                }

                fn $make(text: impl Into<String>) -> Self {
                    Self { $is: true, ..Self::other(text) }
                }
            )+
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl std::error::Error for $name {}
    };
}

/// Implements `Debug` for a type whose parts say nothing to others, or have none: its name alone.
macro_rules! opaque {
    ($name:ident $(<$lifetime:lifetime>)?) => {
        impl std::fmt::Debug for $name $(<$lifetime>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

/// Implements `FromStr` and `Display` for an enum whose variants are words.
macro_rules! spelt {
    ($name:ident, $what:literal, $words:expr) => {
        impl std::str::FromStr for $name {
            type Err = $crate::words::WordError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::words::parse(text, $what, &$words)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::words::spell(*self, &$words))
            }
        }
    };
}

/// The first 60 characters of a value that a message quotes.
pub(crate) fn shorten(text: &str) -> String {
    excerpt(text, 60)
}

/// Returns "did you mean …?" if one of `known` is near to `given`, else a list of all of them.
pub(crate) fn suggestion(given: &str, known: &[&str]) -> String {
    match nearest(given, known) {
        Some(name) => format!("did you mean {name:?}?"),
        None if known.is_empty() => "nothing can be set here".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// Returns the known name that `given` is probably a slip of: at most a third of its characters differ.
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    const MAX_LEN: usize = 64;
    if given.len() > MAX_LEN {
        return None;
    }
    let given = given.to_lowercase().replace('-', "_");
    let near_enough = (given.chars().count() / 3).max(1);
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&given, &name.to_lowercase().replace('-', "_")), *name))
        .filter(|(distance, _)| *distance <= near_enough)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Level {
        Warn,
        Info,
    }

    spelt!(Level, "a level", [("warn", Level::Warn), ("info", Level::Info)]);

    #[test]
    fn every_word_reads_back_and_others_name_the_nearest() {
        for level in [Level::Warn, Level::Info] {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        let error = |text: &str| text.parse::<Level>().unwrap_err().to_string();
        assert_eq!(error("wran"), "\"wran\" is not a level; did you mean \"warn\"?");
        assert_eq!(error("later"), "\"later\" is not a level; known here: warn, info");
    }

    #[test]
    fn the_nearest_name_is_found_or_none() {
        let known = ["path", "rate", "end_of_stream", "files"];
        for (given, expected) in [
            ("rats", Some("rate")),
            ("Rate", Some("rate")),
            ("end-of-stream", Some("end_of_stream")),
            ("endofstream", Some("end_of_stream")),
            ("file", Some("files")),
            ("flies", Some("files")),
            ("x", None),
            ("colour", None),
        ] {
            assert_eq!(nearest(given, &known), expected, "{given}");
        }
        assert_eq!(nearest(&"r".repeat(1_000_000), &known), None);
    }
}
