//! Explains usage errors: what is missing, the nearest known word, and whose `--help` to read.

use sluicegate::words::nearest;

use super::NAME;
use super::help::known;

/// Has `help COMMAND` be what `COMMAND help` is.
pub(super) fn help_first(mut typed: Vec<String>) -> Vec<String> {
    if typed.len() > 1 && typed[0] == "help" {
        typed.rotate_left(1);
    }
    typed
}

/// Returns what is wrong with `typed`, of which argh says `error`.
pub(super) fn explain(typed: &[String], error: &str) -> String {
    let error = error.trim_end();
    if let Some(word) = error.strip_prefix("Unrecognized argument: ") {
        return unknown(typed, word);
    }
    let quoted: Vec<&str> = error.split('\'').collect();
    match quoted[..] {
        ["No value provided for option ", flag, "."] => format!("{flag} needs a value"),
        ["Error parsing option ", flag, " with value ", value, ": duplicate values provided"] => {
            format!("{flag} is given twice, the second time as {value:?}: give it once")
        }
        ["Error parsing positional argument ", name, " with value ", value, ref why @ ..] => {
            let why = why.join("'");
            format!("{}: {value:?}{}", name.to_uppercase(), why.strip_prefix(':').unwrap_or(&why))
        }
        _ => missing(typed, error).unwrap_or_else(|| error.to_owned()),
    }
}

/// Returns what is said of an unknown word, with the nearest known one.
fn unknown(typed: &[String], word: &str) -> String {
    let command = command(typed);
    let known = known(&command[1..]);
    let is_flag = word.starts_with('-') && word != "-";
    let alike: Vec<&str> =
        known.iter().map(String::as_str).filter(|known| known.starts_with('-') == is_flag).collect();
    let what = if is_flag {
        "unknown flag"
    } else if commands_below(&command).is_empty() {
        "unexpected argument"
    } else {
        "unknown command"
    };
    let unknown = format!("{what} {word}");
    if let Some(name) = elsewhere(word).filter(|name| alike.contains(name)) {
        return format!("{unknown}; did you mean {name}?");
    }
    match nearest(word, &alike) {
        // `limits set server -- --rate 1m`
        Some(name) if name == word => format!("{unknown}: flags stand before \"--\""),
        Some(name) if !is_other_letter(word, name) => format!("{unknown}; did you mean {name}?"),
        // `sluicegate serve version`
        _ if known.contains(&format!("--{word}")) => format!("{unknown}; did you mean --{word}?"),
        _ => unknown,
    }
}

/// Whether both are flags of one letter, and not of the same: then one is no slip for the other.
fn is_other_letter(word: &str, name: &str) -> bool {
    word.len() == 2 && name.len() == 2 && !word.eq_ignore_ascii_case(name)
}

/// The flag here for what other servers and tools call otherwise.
fn elsewhere(word: &str) -> Option<&'static str> {
    match word {
        "--port" | "-p" | "--bind" | "-b" | "--address" | "--addr" | "--host" | "-l" => Some("--listen"),
        "--limit" | "--limit-rate" | "--bandwidth" | "--bwlimit" | "--speed" | "-r" => Some("--rate"),
        _ => None,
    }
}

/// Returns which arguments, flags and commands argh misses in a list for each kind.
fn missing(typed: &[String], error: &str) -> Option<String> {
    let (mut names, mut is_command) = (Vec::new(), false);
    for line in error.lines() {
        match line {
            "Required positional arguments not provided:" | "Required options not provided:" => {}
            "One of the following subcommands must be present:" => is_command = true,
            _ => names.push(line.strip_prefix("    ")?),
        }
    }
    if is_command {
        return Some(missing_command(&command(typed)));
    }
    let (last, first) = names.split_last()?;
    match first {
        [] => Some(format!("{last} is missing")),
        _ => Some(format!("{} and {last} are missing", first.join(", "))),
    }
}

/// Returns the commands that may stand behind those of `command`, which begins with the program's name.
fn commands_below(command: &[&str]) -> Vec<String> {
    let words = known(&command[1..]).into_iter();
    words.filter(|word| !word.starts_with('-') && word != "help").collect()
}

/// Returns what is said where no command was typed behind those of `command`.
pub(super) fn missing_command(command: &[&str]) -> String {
    let behind = match &command[1..] {
        [] => String::new(),
        words => format!(" after {}", words.join(" ")),
    };
    match &commands_below(command)[..] {
        [first @ .., last] => format!("a command is missing{behind}: {} or {last}", first.join(", ")),
        [] => format!("a command is missing{behind}"),
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
            ("serve . --rats 60", "--rats", "unknown flag --rats; did you mean --rate?"),
            (
                "serve . --min_drain_rate 1k",
                "--min_drain_rate",
                "unknown flag --min_drain_rate; did you mean --min-drain-rate?",
            ),
            ("quota list --josn", "--josn", "unknown flag --josn; did you mean --json?"),
            (
                "quota serve --heartbeat-timeot 1s",
                "--heartbeat-timeot",
                "unknown flag --heartbeat-timeot; did you mean --heartbeat-timeout?",
            ),
            ("quota lits", "lits", "unknown command lits; did you mean list?"),
            ("sreve .", "sreve", "unknown command sreve; did you mean serve?"),
            ("version", "version", "unknown command version; did you mean --version?"),
            ("serve . rate 60", "rate", "unexpected argument rate; did you mean --rate?"),
            ("-v", "-v", "unknown flag -v; did you mean -V?"),
            ("serve -- . --rate", "--rate", "unknown flag --rate: flags stand before \"--\""),
            ("serve . --colour red", "--colour", "unknown flag --colour"),
            ("serve . --port 80", "--port", "unknown flag --port; did you mean --listen?"),
            ("serve . -p 80", "-p", "unknown flag -p; did you mean --listen?"),
            ("serve . --limit-rate 1m", "--limit-rate", "unknown flag --limit-rate; did you mean --rate?"),
            ("check -p a.toml", "-p", "unknown flag -p"),
            ("check a.toml b.toml", "b.toml", "unexpected argument b.toml"),
            ("health -", "-", "unexpected argument -"),
        ] {
            assert_eq!(
                explain(&typed(text), &format!("Unrecognized argument: {word}\n")),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_argh_says_is_said_as_all_else_is() {
        for (text, error, expected) in [
            ("run", "Required positional arguments not provided:\n    FILE\n", "FILE is missing"),
            (
                "simulate",
                "Required positional arguments not provided:\n    FILE\nRequired options not provided:\n    --clients\n",
                "FILE and --clients are missing",
            ),
            (
                "limits",
                "One of the following subcommands must be present:\n    help\n    list\n    set\n    reset\n",
                "a command is missing after limits: list, set or reset",
            ),
            ("serve . --rate", "No value provided for option '--rate'.\n", "--rate needs a value"),
            (
                "serve . --rate 60 --rate 61",
                "Error parsing option '--rate' with value '61': duplicate values provided\n",
                "--rate is given twice, the second time as \"61\": give it once",
            ),
            (
                "connections close x",
                "Error parsing positional argument 'id' with value 'x': isn't a number\n",
                "ID: \"x\" isn't a number",
            ),
            ("serve", "Something that argh does not say today.\n", "Something that argh does not say today."),
        ] {
            assert_eq!(explain(&typed(text), error), expected, "{text}");
        }
    }

    #[test]
    fn help_may_stand_before_its_command() {
        for (text, expected) in [
            ("help serve", "serve help"),
            ("help quota list", "quota list help"),
            ("help", "help"),
            ("serve help", "serve help"),
        ] {
            assert_eq!(help_first(typed(text)).join(" "), expected);
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
