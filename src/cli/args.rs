//! What was typed: the commands and their flags, as texts.
//!
//! What they mean is decided in `resolve.rs`, so that a bad value gets the same message as in a file.
//! Defaults are the configuration's; they are spelt here for `--help`, and a test compares them.

use std::ffi::OsString;

use argh::FromArgs;

/// Lets bytes out at a set pace: serves files and backends through filters.
#[derive(FromArgs, Debug, PartialEq)]
#[argh(
    example = "{command_name} serve site --rate 60\n\
        {command_name} proxy http://127.0.0.1:9000 --rate 1.5m --burst 256\n\
        {command_name} check sluicegate.toml",
    note = "Rates: 60 (KiB/s), 500B, 64k, 1.5m, 1g (bytes/s, multiples of 1024),\n\
        8mbit (bits/s) or off. Bursts: 256 (KiB), 64k, 1.5m.\n\
        Durations: 500ms, 30s, 2m, 1h.\n\
        {command_name} serve --help tells the flags of a command.",
    error_code(1, "The command ran and failed."),
    error_code(2, "The command was typed wrong."),
    help_triggers("-h", "--help", "help")
)]
pub(super) struct Sluicegate {
    /// print the version and end
    #[argh(switch, short = 'V')]
    pub(super) version: bool,

    #[argh(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(FromArgs, Debug, PartialEq)]
#[argh(subcommand)]
pub(super) enum Command {
    Serve(Serve),
    Proxy(Proxy),
    Run(Run),
    Check(Check),
}

/// Makes the arguments of a command that serves one route: its own, then those of all such commands.
/// argh has no way to share them.
macro_rules! one_route_command {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        #[derive(FromArgs, Debug, Default, PartialEq)]
        $(#[$about])*
        pub(super) struct $name {
            $($own)*

            /// pace of each response: 60 (KiB/s), 500B, 64k, 1.5m, 1g (bytes/s), 8mbit (bits/s) or off (default off)
            #[argh(option, arg_name = "rate")]
            pub(super) rate: Option<String>,

            /// what leaves ahead of the pace, once per response: 256 (KiB), 64k or 1.5m (default 0)
            #[argh(option, arg_name = "burst")]
            pub(super) burst: Option<String>,

            /// the last bytes of a response, less than one interval's: immediate (leave with those before them) or paced (wait their interval too) (default immediate)
            #[argh(option, arg_name = "rule")]
            pub(super) end_of_stream: Option<String>,

            /// a filter for each response: rate (the place of the pace), count (sums logged at the end) or gzip; repeatable, in order (default none, rate last if one is set)
            #[argh(option, arg_name = "name")]
            pub(super) filter: Vec<String>,

            /// where to listen: 127.0.0.1:8080 or [::1]:8080 for TCP (0.0.0.0 or [::] for all interfaces of IPv4 or IPv6, port 0 for any free one, told at the start), unix:PATH for a Unix socket (its file is made, and removed at the end); repeatable (default 127.0.0.1:8080)
            #[argh(option, arg_name = "addr")]
            pub(super) listen: Vec<String>,

            /// off, error, warn, info, debug or trace (default info)
            #[argh(option, arg_name = "level")]
            pub(super) log_level: Option<String>,

            /// log a line for each response (default no)
            #[argh(switch)]
            pub(super) access_log: bool,

            /// time transfers under way have after SIGTERM (default 30s)
            #[argh(option, arg_name = "time")]
            pub(super) drain: Option<String>,

            /// connections served at a time; more get 503 (default 10000)
            #[argh(option, arg_name = "number")]
            pub(super) max_connections: Option<String>,

            /// connections of one client address (of IPv6, one /64) at a time; more get 429 (default none)
            #[argh(option, arg_name = "number")]
            pub(super) client_connections: Option<String>,

            /// where /metrics, /healthz and /readyz are shown: an address as for --listen (default none)
            #[argh(option, arg_name = "addr")]
            pub(super) admin: Option<String>,

            /// the file with the token that --admin asks for; needed off loopback (default none)
            #[argh(option, arg_name = "file")]
            pub(super) admin_token_file: Option<String>,

            /// pace of the whole server, all its responses together, shared fairly by clients, spelt as for --rate (default off)
            #[argh(option, arg_name = "rate")]
            pub(super) server_rate: Option<String>,

            /// pace of each client, all its responses together, whatever the connections, spelt as for --rate (default off)
            #[argh(option, arg_name = "rate")]
            pub(super) client_rate: Option<String>,

            /// what a client may get at once after a quiet time, again as time earns it, spelt as for --burst; needs --client-rate (default one interval's worth)
            #[argh(option, arg_name = "burst")]
            pub(super) client_burst: Option<String>,

            /// by what clients are told apart: address (of IPv6, one /64), or header:NAME such as header:x-api-key (default address)
            #[argh(option, arg_name = "key")]
            pub(super) client_key: Option<String>,

            /// pace of each connection, all its responses together with their heads, spelt as for --rate (default off)
            #[argh(option, arg_name = "rate")]
            pub(super) connection_rate: Option<String>,

            /// what a connection may send at once, again as time earns it; needs --connection-rate (default 64k)
            #[argh(option, arg_name = "burst")]
            pub(super) connection_burst: Option<String>,

            /// bytes held for a reader whose socket is full: 1B to 64m (default 64k)
            #[argh(option, arg_name = "size")]
            pub(super) egress_buffer: Option<String>,

            /// bytes held for all readers together above which new requests get 503 (default a quarter of the memory there is)
            #[argh(option, arg_name = "size")]
            pub(super) egress_total: Option<String>,

            /// a buffer that is full: wait for the reader, or close (reset a connection that stays full for 200ms; needs a rate) (default wait)
            #[argh(option, arg_name = "rule")]
            pub(super) on_full: Option<String>,

            /// longest time a reader may take nothing of what waits for it (default 1m)
            #[argh(option, arg_name = "time")]
            pub(super) stall_timeout: Option<String>,

            /// the least a reader must take over each --stall-timeout while something waits for it, spelt as for --rate (default off)
            #[argh(option, arg_name = "rate")]
            pub(super) min_drain_rate: Option<String>,

            /// bytes that may wait in the kernel, before ours, while a reader's window is shut: 1B to 1g; no distant reader is slower for it (default 128k)
            #[argh(option, arg_name = "size")]
            pub(super) unsent: Option<String>,

            /// all the kernel may hold of a connection, so also the most that reaches a reader in a round trip: 1B to 1g (default the kernel's choice)
            #[argh(option, arg_name = "size")]
            pub(super) send_buffer: Option<String>,

            /// longest time for a request's head to arrive (default 30s)
            #[argh(option, arg_name = "time")]
            pub(super) header_timeout: Option<String>,

            /// longest time a connection stays without request (default 1m)
            #[argh(option, arg_name = "time")]
            pub(super) idle_timeout: Option<String>,
        }
    };
}

one_route_command! {
    /// Serve the files of a folder.
    #[argh(subcommand, name = "serve", usage = "[options] [--] DIR", help_triggers("-h", "--help", "help"))]
    Serve {
        /// the folder that is served at /
        #[argh(positional, arg_name = "DIR")]
        pub(super) dir: String,

        /// list folders that have no index file (default no)
        #[argh(switch)]
        pub(super) list: bool,

        /// the file that answers for a folder (default index.html)
        #[argh(option, arg_name = "name")]
        pub(super) index: Option<String>,
    }
}

one_route_command! {
    /// Pass requests on to a backend, and its responses back at a pace.
    #[argh(subcommand, name = "proxy", usage = "[options] [--] URL", help_triggers("-h", "--help", "help"))]
    Proxy {
        /// the backend: http://HOST:PORT, and maybe a path to put before that of requests
        #[argh(positional, arg_name = "URL")]
        pub(super) url: String,

        /// the Host the backend sees: upstream (its own), client (as it came) or a name (default upstream)
        #[argh(option, arg_name = "host")]
        pub(super) host: Option<String>,

        /// a peer whose Forwarded and X-Forwarded-* fields are believed: an address or network; repeatable (default none)
        #[argh(option, arg_name = "net")]
        pub(super) trusted_proxy: Vec<String>,

        /// do not let the backend set the pace by X-Accel-Limit-Rate and X-Accel-Buffering (default no)
        #[argh(switch)]
        pub(super) ignore_accel: bool,

        /// longest wait for a connection to the backend (default 5s)
        #[argh(option, arg_name = "time")]
        pub(super) connect_timeout: Option<String>,

        /// longest wait for the head of a response, and for the next piece of a request's body (default 1m)
        #[argh(option, arg_name = "time")]
        pub(super) response_timeout: Option<String>,

        /// longest silence within the body of a response (default 1m)
        #[argh(option, arg_name = "time")]
        pub(super) read_timeout: Option<String>,

        /// unused connections to the backend that are kept for later requests (default 64)
        #[argh(option, arg_name = "number")]
        pub(super) idle_connections: Option<String>,

        /// how long an unused connection is kept (default 4s)
        #[argh(option, arg_name = "time")]
        pub(super) idle_connection_timeout: Option<String>,
    }
}

/// Serve what a configuration file says.
#[derive(FromArgs, Debug, Default, PartialEq)]
#[argh(subcommand, name = "run", usage = "[options] [--] FILE", help_triggers("-h", "--help", "help"))]
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
}

/// Tell what a configuration file means, or what is wrong with it.
#[derive(FromArgs, Debug, Default, PartialEq)]
#[argh(subcommand, name = "check", usage = "[--] FILE", help_triggers("-h", "--help", "help"))]
pub(super) struct Check {
    /// the configuration file
    #[argh(positional, arg_name = "FILE")]
    pub(super) file: String,
}

/// The arguments as texts, each `--flag=value` as two, which argh does not do.
///
/// An argument that is not UTF-8 is given back as the error.
pub(super) fn split_equals(typed: impl Iterator<Item = OsString>) -> Result<Vec<String>, OsString> {
    let mut split = Vec::new();
    let mut flags_ended = false;
    for arg in typed {
        let arg = arg.into_string()?;
        flags_ended |= arg == "--";
        match arg.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") && !flags_ended => {
                split.extend([flag.to_owned(), value.to_owned()]);
            }
            _ => split.push(arg),
        }
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use sluicegate::config::duration::spell;
    use sluicegate::config::words::{spell_end_of_stream, spell_log_level, spell_on_full};
    use sluicegate::config::{Config, FilesSource, Pace, ProxySource};
    use sluicegate::limit::{Burst, RateOrOff, Size};

    use super::*;

    /// The help of a command, with single spaces.
    fn help(command: &str) -> String {
        let early = Sluicegate::from_args(&["sluicegate"], &[command, "--help"]).unwrap_err();
        assert_eq!(early.status, Ok(()));
        early.output.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// `flag` and its explanation, up to the end of what is said about its default.
    fn default_of<'a>(help: &'a str, flag: &str) -> &'a str {
        let (_, explanation) =
            help.split_once(&format!(" {flag} ")).unwrap_or_else(|| panic!("{flag} in {help}"));
        let (_, default) = explanation.split_once("(default ").unwrap();
        default.split_once(')').unwrap().0
    }

    #[test]
    fn the_defaults_in_the_help_are_those_of_the_configuration() {
        let config = Config::default();
        let pace = Pace::default();
        for command in ["serve", "proxy"] {
            let help = help(command);
            for (flag, default) in [
                ("--rate", RateOrOff(pace.rate).to_string()),
                ("--burst", pace.burst.bytes().to_string()),
                ("--end-of-stream", spell_end_of_stream(pace.end_of_stream).to_owned()),
                ("--listen", config.listen[0].to_string()),
                ("--log-level", spell_log_level(config.log_level).to_owned()),
                ("--drain", spell(config.drain)),
                ("--max-connections", config.max_connections.to_string()),
                (
                    "--client-connections",
                    config.client_connections.map_or("none".to_owned(), |n| n.to_string()),
                ),
                ("--connection-rate", RateOrOff(config.sink.rate).to_string()),
                ("--connection-burst", Burst::new(config.sink.burst).to_string()),
                ("--egress-buffer", Size::new(config.sink.buffer as u64).to_string()),
                ("--on-full", spell_on_full(config.sink.on_full).to_owned()),
                ("--stall-timeout", spell(config.sink.stall_timeout)),
                ("--min-drain-rate", RateOrOff(config.sink.min_drain_rate).to_string()),
                ("--unsent", Size::new(config.sink.unsent as u64).to_string()),
                ("--header-timeout", spell(config.header_timeout)),
                ("--idle-timeout", spell(config.idle_timeout)),
            ] {
                assert_eq!(default_of(&help, flag), default, "{command} {flag}");
            }
            assert_eq!((config.admin.clone(), default_of(&help, "--admin")), (None, "none"));
            assert_eq!(default_of(&help, "--admin-token-file"), "none");
            assert_eq!((config.egress_total, config.sink.send_buffer), (None, None));
            assert_eq!(default_of(&help, "--egress-total"), "a quarter of the memory there is");
            assert_eq!(default_of(&help, "--send-buffer"), "the kernel's choice");
            assert_eq!(default_of(&help, "--access-log"), if config.access_log { "yes" } else { "no" });
        }
        let files = FilesSource::new(".");
        assert_eq!(default_of(&help("serve"), "--index"), files.index);
        assert_eq!(default_of(&help("serve"), "--list"), if files.list { "yes" } else { "no" });

        let proxy = ProxySource::new("http://h".parse().unwrap());
        let help = help("proxy");
        for (flag, default) in [
            ("--host", proxy.host.to_string()),
            ("--connect-timeout", spell(proxy.connect_timeout)),
            ("--response-timeout", spell(proxy.response_timeout)),
            ("--read-timeout", spell(proxy.read_timeout)),
            ("--idle-connections", proxy.idle_connections.to_string()),
            ("--idle-connection-timeout", spell(proxy.idle_connection_timeout)),
            ("--ignore-accel", if proxy.honour_accel { "no" } else { "yes" }.to_owned()),
        ] {
            assert_eq!(default_of(&help, flag), default, "{flag}");
        }
    }

    #[test]
    fn a_flag_and_its_value_may_be_joined_by_an_equals_sign() {
        let split = |args: &[&str]| split_equals(args.iter().map(OsString::from)).unwrap();
        assert_eq!(split(&["serve", "--rate=60", "a=b"]), ["serve", "--rate", "60", "a=b"]);
        assert_eq!(split(&["--x=a=b", "--", "--y=c"]), ["--x", "a=b", "--", "--y=c"]);
    }
}
