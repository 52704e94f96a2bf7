//! Arguments of `sluicegate probe`.

use argh::{ArgsInfo, FromArgs};

/// Measure the pace of any HTTP server, as its reader sees it.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "probe",
    usage = "[options] [--] URL",
    example = "{command_name} http://127.0.0.1:8080/file --rate 60\n\
        {command_name} http://127.0.0.1:8080/file --rate 60 --tolerance 1\n\
        {command_name} http://127.0.0.1:8080/a --compare http://127.0.0.1:8081/a\n\
        {command_name} http://127.0.0.1:8080/small --repeat --rate 60 --svg pace.svg",
    note = "The figures are of the wire: they include what kernels and proxies buffered.\n\
        Ctrl-C ends a run early and reports what came.\n\
        It exits with 1 if a connection fails or --tolerance is not met.",
    help_triggers("-h", "--help", "help")
)]
pub(in crate::cli) struct Probe {
    /// the URL to request: http://HOST:PORT/PATH or https://…
    #[argh(positional, arg_name = "URL")]
    pub(super) url: String,

    /// a second URL, requested at the same time; reports whether the two timelines agree (default none)
    #[argh(option, arg_name = "url")]
    pub(super) compare: Option<String>,

    /// the expected pace of each connection: 60 (KiB/s), 500B, 64k, 1.5m, 1g (bytes/s) or 8mbit (bits/s) (default none)
    #[argh(option, arg_name = "rate")]
    pub(super) rate: Option<String>,

    /// take --rate as that of all connections together (default no)
    #[argh(switch)]
    pub(super) shared: bool,

    /// exit with 1 unless each rate is within this percentage of --rate and compared timelines agree (default none)
    #[argh(option, arg_name = "percent")]
    pub(super) tolerance: Option<String>,

    /// how long to read: 0.1 to 86400 seconds (default 30)
    #[argh(option, arg_name = "number")]
    pub(super) seconds: Option<String>,

    /// connections to each URL, with all requests sent at the same instant: 1 to 1000 (default 1)
    #[argh(option, arg_name = "number")]
    pub(super) connections: Option<String>,

    /// repeat the request on the same connection when a response has ended, until --seconds are over (default no: a run ends with its responses)
    #[argh(switch)]
    pub(super) repeat: bool,

    /// read each connection no faster than this, spelt as for --rate, with a small receive buffer (default off)
    #[argh(option, arg_name = "rate")]
    pub(super) slow: Option<String>,

    /// a field to add: 'Name: value'; repeatable (default none)
    #[argh(option, arg_name = "field")]
    pub(super) header: Vec<String>,

    /// for https: a PEM file with the certificates of the authorities to trust (default those of the machine)
    #[argh(option, arg_name = "file")]
    pub(super) ca: Option<String>,

    /// print one JSON document and nothing else (default no)
    #[argh(switch)]
    pub(super) json: bool,

    /// a file for a plot of all timelines (default none)
    #[argh(option, arg_name = "file")]
    pub(super) svg: Option<String>,
}
