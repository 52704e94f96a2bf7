//! The commands and their flags, as argh lists them: help texts, completions and man pages are made of this list.

mod generated;
mod text;
mod values;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FromArgs, PositionalInfo};

use super::NAME;
use super::args::{self, Sluicegate};

pub(super) use generated::{completions, man_pages};
pub(super) use text::text;

/// The groups of a command's flags, by what the keys begin with that they set. The first that fits is the flag's.
const GROUPS: [(&str, &[&str]); 9] = [
    ("Pace", &PACE),
    ("Listening", &["listen", "http_redirect", "trusted_proxies", "proxy_protocol"]),
    ("TLS", &["tls."]),
    ("Limits that transfers share", &["limits."]),
    (
        "Connections and requests",
        &[
            "header_timeout",
            "idle_timeout",
            "half_close",
            "drain",
            "max_connections",
            "client_connections",
            "max_body",
        ],
    ),
    ("Slow readers", &["sink."]),
    ("Logs", &["log_", "access_log"]),
    ("Admin listener", &["admin"]),
    ("Fleet quota", &["quota."]),
];

/// The keys of a route, or of a port of raw TCP, that say how its bytes leave.
const PACE: [&str; 12] = [
    "route[0].rate",
    "route[0].burst",
    "route[0].interval",
    "route[0].catch_up",
    "route[0].smooth",
    "route[0].end_of_stream",
    "route[0].filters",
    "tcp[0].rate",
    "tcp[0].burst",
    "tcp[0].interval",
    "tcp[0].catch_up",
    "tcp[0].end_of_stream",
];

/// A command, found by its words.
struct Found {
    /// As it is typed: `sluicegate quota list`.
    name: String,
    info: CommandInfoWithArgs,
}

impl Found {
    /// The command that `path` names. Words that are none are left out.
    fn new(path: &[&str]) -> Self {
        let mut found = Self { name: NAME.to_owned(), info: Sluicegate::get_args_info() };
        for word in path {
            let Some(at) = found.info.commands.iter().position(|command| command.name == *word) else {
                break;
            };
            found.info = found.info.commands.swap_remove(at).command;
            found.name = format!("{} {word}", found.name);
        }
        found
    }

    /// How it is called, as argh says it.
    fn usage(&self) -> String {
        let words: Vec<&str> = self.name.split(' ').skip(1).chain(["--help"]).collect();
        let help = Sluicegate::from_args(&[NAME], &words).err().map(|early| early.output);
        let usage = help.as_deref().and_then(|help| help.lines().next()?.strip_prefix("Usage: "));
        usage.unwrap_or(&self.name).to_owned()
    }

    /// Its flags in groups: first those of its own, which have no title, then those of [`GROUPS`].
    fn groups(&self) -> Vec<(Option<&'static str>, Vec<&FlagInfo<'static>>)> {
        let keys = self.name.split(' ').nth(1).map_or(&[][..], args::keys);
        let of = |flag: &FlagInfo<'_>| {
            let key = keys.iter().find(|(name, _)| flag.long == args::flag(name))?.1;
            GROUPS.iter().position(|(_, begins)| begins.iter().any(|begin| key.starts_with(begin)))
        };
        let titles = std::iter::once(None).chain((0..GROUPS.len()).map(Some));
        let flags = |group| flags(&self.info).filter(|flag| of(flag) == group).collect();
        let groups = titles.map(|group: Option<usize>| (group.map(|at| GROUPS[at].0), flags(group)));
        groups.filter(|(_, flags): &(_, Vec<_>)| !flags.is_empty()).collect()
    }

    /// A text of its attributes, with the name in its place.
    fn named(&self, text: &str) -> String {
        text.replace("{command_name}", &self.name)
    }
}

/// A command's own flags: argh lists that for help as one.
fn flags(info: &CommandInfoWithArgs) -> impl Iterator<Item = &FlagInfo<'static>> {
    info.flags.iter().filter(|flag| !flag.hidden && flag.long != "--help")
}

/// A command's positional arguments. One without a description continues the one before it.
fn positionals(info: &CommandInfoWithArgs) -> impl Iterator<Item = &PositionalInfo<'static>> {
    info.positionals.iter().filter(|positional| !positional.hidden && !positional.description.is_empty())
}

/// The flags and the subcommands of the command that `path` names.
pub(super) fn known(path: &[&str]) -> Vec<String> {
    let found = Found::new(path);
    let shorts = flags(&found.info).filter_map(|flag| flag.short.map(|short| format!("-{short}")));
    let flags = flags(&found.info).map(|flag| flag.long.to_owned()).chain(shorts);
    let commands = found.info.commands.iter().map(|command| command.name.to_owned());
    flags.chain(["-h", "--help", "help"].map(str::to_owned)).chain(commands).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_in_the_group_of_its_key() {
        for (command, flag, expected) in [
            ("serve", "--list", None),
            ("serve", "--media-type", None),
            ("serve", "--rate", Some("Pace")),
            ("serve", "--tls-self-signed", Some("TLS")),
            ("serve", "--client-key", Some("Limits that transfers share")),
            ("serve", "--log-level", Some("Logs")),
            ("serve", "--access-log", Some("Logs")),
            ("serve", "--admin-token-file", Some("Admin listener")),
            ("serve", "--client-id", Some("Fleet quota")),
            ("serve", "--egress-buffer", Some("Slow readers")),
            ("serve", "--drain", Some("Connections and requests")),
            ("proxy", "--upstream-host", None),
            ("proxy", "--listen", Some("Listening")),
            ("tcp", "--rate", Some("Pace")),
            ("tcp", "--listen", None),
            ("events", "--rate", Some("Pace")),
            ("run", "--listen", None),
            ("probe", "--rate", None),
        ] {
            let found = Found::new(&[command]);
            let groups = found.groups();
            let group = groups.iter().find(|(_, flags)| flags.iter().any(|known| known.long == flag));
            assert_eq!(group.map(|(title, _)| *title), Some(expected), "{command} {flag}");
            let sum: usize = groups.iter().map(|(_, flags)| flags.len()).sum();
            assert_eq!(sum, flags(&found.info).count(), "{command}");
        }
    }
}
