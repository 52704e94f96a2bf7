//! What was typed: the commands and their flags, as texts.
//!
//! A flag is another way to write a key of a configuration file, which stands beside the flag's field. Defaults are the configuration's; they are spelt here for `--help`, and a test compares them.

use std::ffi::OsString;

use argh::{ArgsInfo, FromArgs};
use sluicegate::config::Draft;

use super::admin_args::{Connections, Health, Limits, Top};

/// Lets bytes out at a set pace: files, backends and events, through filters.
#[derive(ArgsInfo, FromArgs, Debug, PartialEq)]
#[argh(
    example = "{command_name} serve site --rate 60\n\
        {command_name} proxy http://127.0.0.1:9000 --rate 1.5m --burst 256\n\
        {command_name} tcp --file app.log --follow --rate 60\n\
        {command_name} check sluicegate.toml\n\
        {command_name} probe http://127.0.0.1:8080/file --rate 60",
    note = "Rates: 60 (KiB/s), 500B, 64k, 1.5m, 1g (bytes/s, multiples of 1024),\n\
        8mbit (bits/s) or off. Bursts: 256 (KiB), 64k, 1.5m.\n\
        Durations: 500ms, 30s, 2m, 1h.\n\
        {command_name} serve --help lists the flags of a command.",
    error_code(1, "The command ran and failed."),
    error_code(2, "Usage error."),
    help_triggers("-h", "--help", "help")
)]
pub(super) struct Sluicegate {
    /// print the version and exit
    #[argh(switch, short = 'V')]
    pub(super) version: bool,

    #[argh(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(ArgsInfo, FromArgs, Debug, PartialEq)]
#[argh(subcommand)]
pub(super) enum Command {
    Serve(Serve),
    Proxy(Proxy),
    Tcp(Tcp),
    Events(Events),
    Run(Run),
    Check(Check),
    Config(Config),
    Import(super::import::Import),
    Simulate(super::simulate::Simulate),
    Probe(super::probe::Probe),
    Quota(super::quota::Quota),
    Health(Health),
    Limits(Limits),
    Connections(Connections),
    Top(Top),
    Completions(Completions),
    Man(Man),
}

/// The fields of a command that serves, each with the key that its flag sets. Empty for other commands.
pub(super) fn keys(command: &str) -> &'static [(&'static str, &'static str)] {
    match command {
        "serve" => Serve::KEYS,
        "proxy" => Proxy::KEYS,
        "tcp" => Tcp::KEYS,
        "events" => Events::KEYS,
        _ => &[],
    }
}

/// The flags of a command that serves.
pub(super) trait Flags {
    /// Sets the keys of the flags that were typed, in the place of a file's.
    fn set(&self, draft: &mut Draft);
}

/// A flag's value as argh reads it.
trait Key {
    /// Sets `key` if `flag` was typed.
    fn set(&self, draft: &mut Draft, flag: &str, key: &'static str);
}

impl Key for Option<String> {
    fn set(&self, draft: &mut Draft, flag: &str, key: &'static str) {
        draft.text(flag, key, self.as_deref());
    }
}

impl Key for Vec<String> {
    fn set(&self, draft: &mut Draft, flag: &str, key: &'static str) {
        draft.texts(flag, key, self);
    }
}

impl Key for bool {
    fn set(&self, draft: &mut Draft, flag: &str, key: &'static str) {
        draft.switch(flag, key, *self, true);
    }
}

/// The flag that argh makes of a field.
pub(super) fn flag(field: &str) -> String {
    format!("--{}", field.replace('_', "-"))
}

#[macro_use]
mod shared;
mod events;
mod proxy;
mod serve;
mod tcp;

pub(super) use events::Events;
pub(super) use proxy::Proxy;
pub(super) use serve::Serve;
pub(super) use tcp::Tcp;

/// Serve what a configuration file says.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "run",
    usage = "[options] [--] FILE",
    example = "{command_name} sluicegate.toml\n\
        {command_name} sluicegate.toml --listen 127.0.0.1:8081 --log-level debug",
    note = "SIGHUP reloads the file: limits change for transfers under way,\n\
        the rest for new requests. Flags given here stay in force.",
    help_triggers("-h", "--help", "help")
)]
pub(super) struct Run {
    /// the configuration file
    #[argh(positional, arg_name = "FILE")]
    pub(super) file: String,

    /// where to listen instead of where the file says: 127.0.0.1:8080, [::1]:8080 or unix:PATH, as for serve; repeatable (default what the file says, else 127.0.0.1:8080)
    #[argh(option, arg_name = "addr")]
    pub(super) listen: Vec<String>,

    /// off, error, warn, info, debug or trace (default what the file says, else info)
    #[argh(option, arg_name = "level")]
    pub(super) log_level: Option<String>,

    /// auto (text on a terminal, JSON elsewhere), json or text (default what the file says, else auto)
    #[argh(option, arg_name = "form")]
    pub(super) log_format: Option<String>,
}

impl Flags for Run {
    fn set(&self, draft: &mut Draft) {
        draft.texts("--listen", "listen", &self.listen);
        draft.text("--log-level", "log_level", self.log_level.as_deref());
        draft.text("--log-format", "log_format", self.log_format.as_deref());
    }
}

/// Check a configuration file: explain it, or list its errors.
#[derive(ArgsInfo, FromArgs, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "check",
    usage = "[options] [--] FILE",
    example = "{command_name} sluicegate.toml\n\
        {command_name} --at '2026-12-24 23:30' sluicegate.toml\n\
        sluicegate config --example | {command_name} --offline -",
    note = "Missing files and folders are warnings here, and errors at the start.",
    help_triggers("-h", "--help", "help")
)]
pub(super) struct Check {
    /// read no file but FILE: those that it names may be on another machine
    #[argh(switch)]
    pub(super) offline: bool,

    /// show which rules hold at this time, by the clock of time_zone: "2026-12-24 23:30" (default now)
    #[argh(option, arg_name = "time")]
    pub(super) at: Option<String>,

    /// the configuration file; - is standard input
    #[argh(positional, arg_name = "FILE")]
    pub(super) file: String,
}

/// Print an example of a configuration file, or the schema by which editors complete its keys.
#[derive(ArgsInfo, FromArgs, Debug, PartialEq)]
#[argh(
    subcommand,
    name = "config",
    usage = "--example | --schema",
    example = "{command_name} --example > sluicegate.toml\n\
        {command_name} --schema > sluicegate.schema.json",
    note = "With `#:schema ./sluicegate.schema.json` at its top, a file is completed and\n\
        checked by editors that use Taplo.",
    help_triggers("-h", "--help", "help")
)]
pub(super) struct Config {
    /// print a file with a comment on each key, most of them left out
    #[argh(switch)]
    pub(super) example: bool,

    /// print the JSON Schema of configuration files
    #[argh(switch)]
    pub(super) schema: bool,
}

/// Print what a shell needs to complete commands and flags.
#[derive(ArgsInfo, FromArgs, Debug, PartialEq)]
#[argh(
    subcommand,
    name = "completions",
    usage = "SHELL",
    example = "{command_name} bash > /etc/bash_completion.d/sluicegate\n\
        {command_name} zsh > /usr/local/share/zsh/site-functions/_sluicegate\n\
        {command_name} fish > ~/.config/fish/completions/sluicegate.fish",
    help_triggers("-h", "--help", "help")
)]
pub(super) struct Completions {
    /// bash, zsh or fish
    #[argh(positional, arg_name = "SHELL")]
    pub(super) shell: String,
}

/// Write man pages of the program and of each command into a folder, and print their paths.
#[derive(ArgsInfo, FromArgs, Debug, PartialEq)]
#[argh(
    subcommand,
    name = "man",
    usage = "DIR",
    example = "{command_name} /usr/local/share/man/man1",
    note = "SOURCE_DATE_EPOCH in the environment sets the date of the pages.",
    help_triggers("-h", "--help", "help")
)]
pub(super) struct Man {
    /// the folder, which must be there
    #[argh(positional, arg_name = "DIR")]
    pub(super) dir: String,
}

/// The commands whose file can be `-`.
const READ_STANDARD_INPUT: [&str; 2] = ["check", "import"];

/// The arguments as texts, each `--flag=value` as two, which argh does not do. The file `-` of a command goes behind a `--`, since
/// argh takes it for a flag.
///
/// An argument that is not UTF-8 is given back as the error.
pub(super) fn split_equals(typed: impl Iterator<Item = OsString>) -> Result<Vec<String>, OsString> {
    let mut split = Vec::new();
    let mut flags_ended = false;
    let mut has_dash = false;
    for arg in typed {
        let arg = arg.into_string()?;
        if arg == "-"
            && !flags_ended
            && READ_STANDARD_INPUT.contains(&split.first().map_or("", String::as_str))
        {
            has_dash = true;
            continue;
        }
        flags_ended |= arg == "--";
        match arg.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") && !flags_ended => {
                split.extend([flag.to_owned(), value.to_owned()]);
            }
            _ => split.push(arg),
        }
    }
    if has_dash {
        let end = (!flags_ended).then(|| "--".to_owned());
        split.extend(end.into_iter().chain(["-".to_owned()]));
    }
    Ok(split)
}

#[cfg(test)]
mod tests;
