//! The values of flags and arguments that take one of a few words.

/// Flags and arguments, and all words that each can be. A flag that can be something else too is not here.
const VALUES: [(&str, &[&str]); 14] = [
    ("--log-level", &["off", "error", "warn", "info", "debug", "trace"]),
    ("--log-format", &["auto", "json", "text"]),
    ("--access-log-format", &["json", "combined"]),
    ("--end-of-stream", &["immediate", "paced"]),
    ("--on-full", &["wait", "close"]),
    ("--half-close", &["serve", "abort"]),
    ("--follow-links", &["inside", "anywhere"]),
    ("--suspend", &["stream", "429"]),
    ("--send-proxy", &["v1", "v2"]),
    ("--report-only", &["true", "false"]),
    ("--sort", &["id", "now", "sent", "age", "client"]),
    ("--order", &["now", "set", "sent", "held", "name"]),
    ("SERVER", &["nginx", "apache"]),
    ("SHELL", &["bash", "zsh", "fish"]),
];

/// The words that the value of `name`, a flag or an argument, can be. Empty if it can be anything.
pub(super) fn values(name: &str) -> &'static [&'static str] {
    VALUES.iter().find(|(known, _)| *known == name).map_or(&[], |(_, values)| values)
}

#[cfg(test)]
mod tests {
    use argh::ArgsInfo;
    use sluicegate::config::{Absent, Draft, Loader};

    use super::super::{Found, flags};
    use super::*;
    use crate::cli::args::{self, Sluicegate};

    /// What the configuration says of `value` for the key that `flag` of `command` sets.
    fn told(command: &str, flag: &str, value: &str) -> Option<String> {
        let (_, key) = args::keys(command).iter().find(|(field, _)| args::flag(field) == flag)?;
        let mut draft = Draft::default();
        draft.text(flag, key, Some(value));
        let told = Loader::new().absent(Absent::Unchecked).finish(draft).unwrap_err().to_string();
        Some(told.lines().find(|line| line.starts_with(&format!("{flag}: "))).unwrap_or_default().to_owned())
    }

    #[test]
    fn the_values_of_a_flag_are_those_that_its_key_takes_and_no_others() {
        let mut tried = 0;
        for (flag, values) in VALUES {
            for command in ["serve", "proxy", "tcp", "events"] {
                let Some(unknown) = told(command, flag, "qqqqqqqqqqqqqqqqq") else { continue };
                let all = format!("known here: {}", values.join(", "));
                let is_all = unknown.ends_with(&all)
                    || values.iter().all(|value| unknown.contains(&format!("{value:?}")));
                assert!(is_all, "{command} {flag}: {unknown}");
                for value in values {
                    let told = told(command, flag, value).unwrap();
                    assert!(!told.contains("is not"), "{told}");
                }
                tried += 1;
            }
        }
        assert!(tried > 20, "{tried}");
    }

    #[test]
    fn each_value_is_in_the_flags_description() {
        let commands = Sluicegate::get_args_info().commands;
        let mut described = std::collections::BTreeSet::new();
        for command in &commands {
            let inner = command.command.commands.iter().map(|inner| vec![command.name, inner.name]);
            for path in inner.chain([vec![command.name]]) {
                let found = Found::new(&path);
                let flags = flags(&found.info).map(|flag| (flag.long, flag.description));
                let arguments = super::super::positionals(&found.info).map(|at| (at.name, at.description));
                for (name, description) in flags.chain(arguments) {
                    for value in values(name) {
                        assert!(description.contains(value), "{path:?} {name}: {value}");
                        described.insert(name);
                    }
                }
            }
        }
        assert_eq!(described.len(), VALUES.len(), "{described:?}");
    }
}
