//! Arguments of `sluicegate simulate`.

use argh::{ArgsInfo, FromArgs};

/// Try a configuration on synthetic clients: an hour in seconds, no network.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "simulate",
    usage = "--clients FILE [options] [--] FILE",
    example = "{command_name} site.toml --clients people.toml\n\
        {command_name} site.toml --clients people.toml --svg rates.svg\n\
        {command_name} site.toml --clients people.toml --at '2026-12-24 23:30'",
    note = "The limits, classes, rules and filters are the server's own; its files and\n\
        backends are not opened. The same seed gives the same figures.",
    help_triggers("-h", "--help", "help")
)]
pub(in crate::cli) struct Simulate {
    /// the configuration file
    #[argh(positional, arg_name = "FILE")]
    pub(super) file: String,

    /// the file that describes the clients
    #[argh(option, arg_name = "file")]
    pub(super) clients: String,

    /// simulated time: 1 to 604800 seconds (default 3600)
    #[argh(option, arg_name = "number")]
    pub(super) seconds: Option<String>,

    /// what random numbers begin with: 0 to 18446744073709551615 (default 1)
    #[argh(option, arg_name = "number")]
    pub(super) seed: Option<String>,

    /// what the server's clock shows at the start, in time_zone: "2026-12-24 23:30" (default "2026-01-05 12:00", a Monday)
    #[argh(option, arg_name = "time")]
    pub(super) at: Option<String>,

    /// print one JSON document and nothing else (default no)
    #[argh(switch)]
    pub(super) json: bool,

    /// a file for a plot of the rates (default none)
    #[argh(option, arg_name = "file")]
    pub(super) svg: Option<String>,
}
