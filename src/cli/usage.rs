//! Explains usage errors: the nearest known word, and whose `--help` to read.

use sluicegate::words::nearest;

use super::NAME;
use super::help::{commands, known};

/// Returns argh's error about `typed`, with the nearest known word for an unknown one.
pub(super) fn explain(typed: &[String], error: &str) -> String {
    let error = error.trim_end();
    let Some(word) = error.strip_prefix("Unrecognized argument: ") else { return error.to_owned() };
    let known = known(&command(typed)[1..]);
    let is_flag = word.starts_with('-');
    let alike: Vec<&str> =
        known.iter().map(String::as_str).filter(|known| known.starts_with('-') == is_flag).collect();
    match nearest(word, &alike) {
        // `limits set server -- --rate 1m`
        Some(name) if name == word => format!("{error}: flags stand before \"--\""),
        Some(name) => format!("{error}; did you mean {name}?"),
        // `sluicegate version`
        None if known.contains(&format!("--{word}")) => format!("{error}; did you mean --{word}?"),
        None => error.to_owned(),
    }
}

/// Returns what is said where no command was typed.
pub(super) fn missing_command() -> String {
    match &commands()[..] {
        [first @ .., last] => format!("a command is missing: {} or {last}", first.join(", ")),
        [] => "a command is missing".to_owned(),
    }
}

/// Returns the line that says which command's help to read.
pub(super) fn hint(typed: &[String]) -> String {
    format!("Run `{} --help` for usage.", command(typed).join(" "))
}

/// Returns the program's name and the commands that `typed` begins with, such as `sluicegate quota list`.
pub(super) fn command(typed: &[String]) -> Vec<&str> {
    let mut words = vec![NAME];
    for word in typed.iter().take_while(|word| !word.starts_with('-')) {
        if !known(&words[1..]).contains(word) {
            break;
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_slip_gets_the_nearest_flag_or_command_of_its_own_command() {
        for (text, word, expected) in [
            ("serve . --rats 60", "--rats", "; did you mean --rate?"),
            ("serve . --min_drain_rate 1k", "--min_drain_rate", "; did you mean --min-drain-rate?"),
            ("quota list --josn", "--josn", "; did you mean --json?"),
            (
                "quota serve --heartbeat-timeot 1s",
                "--heartbeat-timeot",
                "; did you mean --heartbeat-timeout?",
            ),
            ("quota lits", "lits", "; did you mean list?"),
            ("sreve .", "sreve", "; did you mean serve?"),
            ("version", "version", "; did you mean --version?"),
            ("serve . rate 60", "rate", "; did you mean --rate?"),
            ("-v", "-v", "; did you mean -V?"),
            ("serve -- . --rate", "--rate", ": flags stand before \"--\""),
            ("serve . --colour red", "--colour", ""),
            ("check a.toml b.toml", "b.toml", ""),
        ] {
            let error = format!("Unrecognized argument: {word}");
            assert_eq!(explain(&typed(text), &format!("{error}\n")), error + expected, "{text}");
        }
    }

    #[test]
    fn the_hint_names_the_command_that_was_typed() {
        for (text, expected) in [
            ("", "sluicegate"),
            ("sreve .", "sluicegate"),
            ("serve serve --rate", "sluicegate serve"),
            ("quota", "sluicegate quota"),
            ("quota set --server u list", "sluicegate quota set"),
            ("limits set route-client --rate 1m", "sluicegate limits set"),
        ] {
            assert_eq!(hint(&typed(text)), format!("Run `{expected} --help` for usage."));
        }
    }
}
