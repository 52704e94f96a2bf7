//! What was typed: the commands and their flags, as texts.
//!
//! A flag is another way to write a key of a configuration file: beside each struct stands which key each of its
//! flags sets. Defaults are the configuration's; they are spelt here for `--help`, and a test compares them.

use std::ffi::OsString;

use argh::FromArgs;

use sluicegate::config::Draft;

use super::admin_args::{Connections, Limits};

/// Lets bytes out at a set pace: files, backends and events, through filters.
#[derive(FromArgs, Debug, PartialEq)]
#[argh(
    example = "{command_name} serve site --rate 60\n\
        {command_name} proxy http://127.0.0.1:9000 --rate 1.5m --burst 256\n\
        {command_name} tcp --file app.log --follow --rate 60\n\
        {command_name} check sluicegate.toml\n\
        {command_name} probe http://127.0.0.1:8080/file --rate 60",
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
    Tcp(Tcp),
    Events(Events),
    Run(Run),
    Check(Check),
    Probe(super::probe::Probe),
    Quota(super::quota::Quota),
    Limits(Limits),
    Connections(Connections),
}

/// Makes the arguments of a command that serves: its own, then those of all such commands. argh has no way
/// to share them.
macro_rules! serving_command {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        #[derive(FromArgs, Debug, Default, PartialEq)]
        $(#[$about])*
        pub(in crate::cli) struct $name {
            $($own)*

            /// off, error, warn, info, debug or trace (default info)
            #[argh(option, arg_name = "level")]
            pub(in crate::cli) log_level: Option<String>,

            /// log a line for each response or raw TCP stream (default no)
            #[argh(switch)]
            pub(in crate::cli) access_log: bool,

            /// time transfers under way have after SIGTERM (default 30s)
            #[argh(option, arg_name = "time")]
            pub(in crate::cli) drain: Option<String>,

            /// connections served at a time; more get 503, raw TCP is closed (default 10000)
            #[argh(option, arg_name = "number")]
            pub(in crate::cli) max_connections: Option<String>,

            /// connections of one client address (of IPv6, one /64) at a time, behind a trusted proxy those on which it has a request under way; more get 429, raw TCP is closed (default none)
            #[argh(option, arg_name = "number")]
            pub(in crate::cli) client_connections: Option<String>,

            /// where /metrics, /healthz and /readyz are shown: an address as for --listen (default none)
            #[argh(option, arg_name = "addr")]
            pub(in crate::cli) admin: Option<String>,

            /// the file with the token that --admin asks for; needed off loopback (default none)
            #[argh(option, arg_name = "file")]
            pub(in crate::cli) admin_token_file: Option<String>,

            /// the quota server of a fleet, of whose limit this server sends its share at most: http://HOST:PORT (default none)
            #[argh(option, arg_name = "url")]
            pub(in crate::cli) quota: Option<String>,

            /// the resource there (default egress)
            #[argh(option, arg_name = "name")]
            pub(in crate::cli) quota_resource: Option<String>,

            /// what this server is called there, unlike any other; needed with --quota (default none)
            #[argh(option, arg_name = "name")]
            pub(in crate::cli) client_id: Option<String>,

            /// the file with the token that the quota server asks for (default none)
            #[argh(option, arg_name = "file")]
            pub(in crate::cli) quota_token_file: Option<String>,

            /// pace of the whole server while the quota server is lost, spelt as for --rate (default the limit divided by the servers last known)
            #[argh(option, arg_name = "rate")]
            pub(in crate::cli) quota_safe_share: Option<String>,

            /// pace of the whole server, all that it sends together, shared fairly by clients, spelt as for --rate (default off)
            #[argh(option, arg_name = "rate")]
            pub(in crate::cli) server_rate: Option<String>,

            /// pace of each client, all that it is sent together, whatever the connections, spelt as for --rate (default off)
            #[argh(option, arg_name = "rate")]
            pub(in crate::cli) client_rate: Option<String>,

            /// what a client may get at once after a quiet time, again as time earns it, spelt as for --burst; needs --client-rate (default one interval's worth)
            #[argh(option, arg_name = "burst")]
            pub(in crate::cli) client_burst: Option<String>,

            /// pace of each connection, all that is sent on it, heads and framing included, spelt as for --rate (default off)
            #[argh(option, arg_name = "rate")]
            pub(in crate::cli) connection_rate: Option<String>,

            /// what a connection may send at once, again as time earns it; needs --connection-rate (default 64k)
            #[argh(option, arg_name = "burst")]
            pub(in crate::cli) connection_burst: Option<String>,

            /// bytes held for a reader whose socket is full: 1B to 64m (default 64k)
            #[argh(option, arg_name = "size")]
            pub(in crate::cli) egress_buffer: Option<String>,

            /// bytes held in memory for all readers together above which new requests get 503, and raw TCP is closed (default a quarter of the memory there is)
            #[argh(option, arg_name = "size")]
            pub(in crate::cli) egress_total: Option<String>,

            /// a buffer that is full: wait for the reader, or close (reset a connection that stays full for 200ms; needs a rate) (default wait)
            #[argh(option, arg_name = "rule")]
            pub(in crate::cli) on_full: Option<String>,

            /// longest time a reader may take nothing of what waits for it (default 1m)
            #[argh(option, arg_name = "time")]
            pub(in crate::cli) stall_timeout: Option<String>,

            /// the least a reader must take over each --stall-timeout while something waits for it, spelt as for --rate (default off)
            #[argh(option, arg_name = "rate")]
            pub(in crate::cli) min_drain_rate: Option<String>,

            /// bytes that may wait in the kernel, before ours, while a reader's window is shut: 1B to 1g; no distant reader is slower for it (default 128k)
            #[argh(option, arg_name = "size")]
            pub(in crate::cli) unsent: Option<String>,

            /// all the kernel may hold of a connection, so also the most that reaches a reader in a round trip: 1B to 1g (default the kernel's choice)
            #[argh(option, arg_name = "size")]
            pub(in crate::cli) send_buffer: Option<String>,
        }

        impl $name {
            /// Sets the keys of all servers.
            pub(in crate::cli) fn set_server(&self, draft: &mut Draft) {
                draft.text("--log-level", "log_level", self.log_level.as_deref());
                draft.switch("--access-log", "access_log", self.access_log, true);
                draft.text("--drain", "drain", self.drain.as_deref());
                draft.text("--max-connections", "max_connections", self.max_connections.as_deref());
                draft.text("--client-connections", "client_connections", self.client_connections.as_deref());
                draft.text("--admin", "admin", self.admin.as_deref());
                draft.text("--admin-token-file", "admin_token_file", self.admin_token_file.as_deref());
                draft.text("--quota", "quota.server", self.quota.as_deref());
                draft.text("--quota-resource", "quota.resource", self.quota_resource.as_deref());
                draft.text("--client-id", "quota.client_id", self.client_id.as_deref());
                draft.text("--quota-token-file", "quota.token_file", self.quota_token_file.as_deref());
                draft.text("--quota-safe-share", "quota.safe_share", self.quota_safe_share.as_deref());
                draft.text("--server-rate", "limits.server.rate", self.server_rate.as_deref());
                draft.text("--client-rate", "limits.client.rate", self.client_rate.as_deref());
                draft.text("--client-burst", "limits.client.burst", self.client_burst.as_deref());
                draft.text("--connection-rate", "limits.connection.rate", self.connection_rate.as_deref());
                draft.text("--connection-burst", "limits.connection.burst", self.connection_burst.as_deref());
                draft.text("--egress-buffer", "sink.buffer", self.egress_buffer.as_deref());
                draft.text("--egress-total", "sink.total", self.egress_total.as_deref());
                draft.text("--on-full", "sink.on_full", self.on_full.as_deref());
                draft.text("--stall-timeout", "sink.stall_timeout", self.stall_timeout.as_deref());
                draft.text("--min-drain-rate", "sink.min_drain_rate", self.min_drain_rate.as_deref());
                draft.text("--unsent", "sink.unsent", self.unsent.as_deref());
                draft.text("--send-buffer", "sink.send_buffer", self.send_buffer.as_deref());
                draft.text("--idle-timeout", "idle_timeout", self.idle_timeout.as_deref());
            }
        }
    };
}

/// The same for a command that serves one route over HTTP.
macro_rules! one_route_command {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        serving_command! {
            $(#[$about])*
            $name {
                $($own)*

                /// pace of each response: 60 (KiB/s), 500B, 64k, 1.5m, 1g (bytes/s), 8mbit (bits/s) or off (default off)
                #[argh(option, arg_name = "rate")]
                pub(in crate::cli) rate: Option<String>,

                /// what leaves ahead of the pace, once per response: 256 (KiB), 64k or 1.5m (default 0)
                #[argh(option, arg_name = "burst")]
                pub(in crate::cli) burst: Option<String>,

                /// the last bytes of a response, less than one interval's: immediate (leave with those before them) or paced (wait their interval too) (default immediate)
                #[argh(option, arg_name = "rule")]
                pub(in crate::cli) end_of_stream: Option<String>,

                /// a filter for each response: rate (the place of the pace), count (sums logged at the end) or gzip; repeatable, in order (default none, rate last if one is set)
                #[argh(option, arg_name = "name")]
                pub(in crate::cli) filter: Vec<String>,

                /// where to listen: 127.0.0.1:8080 or [::1]:8080 for TCP (0.0.0.0 or [::] for all interfaces of IPv4 or IPv6, port 0 for any free one, told at the start), unix:PATH or unix:PATH?mode=660 for a Unix socket (its file is made, and removed at the end); repeatable (default 127.0.0.1:8080)
                #[argh(option, arg_name = "addr")]
                pub(in crate::cli) listen: Vec<String>,

                /// by what clients are told apart: address (of IPv6, one /64), or header:NAME such as header:x-api-key (default address)
                #[argh(option, arg_name = "key")]
                pub(in crate::cli) client_key: Option<String>,

                /// longest time for a request's head to arrive (default 30s)
                #[argh(option, arg_name = "time")]
                pub(in crate::cli) header_timeout: Option<String>,

                /// longest time a connection stays without request (default 1m)
                #[argh(option, arg_name = "time")]
                pub(in crate::cli) idle_timeout: Option<String>,

                /// what a client that closes its half of an HTTP/1 connection gets of an answer under way: serve (all of it, while it is there) or abort (nothing more) (default serve)
                #[argh(option, arg_name = "rule")]
                pub(in crate::cli) half_close: Option<String>,
            }
        }

        impl $name {
            /// Sets the keys of the route, and of all servers.
            pub(in crate::cli) fn set_route(&self, draft: &mut Draft) {
                draft.text("--rate", "route[0].rate", self.rate.as_deref());
                draft.text("--burst", "route[0].burst", self.burst.as_deref());
                draft.text("--end-of-stream", "route[0].end_of_stream", self.end_of_stream.as_deref());
                draft.texts("--filter", "route[0].filters", &self.filter);
                draft.texts("--listen", "listen", &self.listen);
                self.set_server(draft);
                draft.text("--client-key", "limits.client.key", self.client_key.as_deref());
                draft.text("--half-close", "half_close", self.half_close.as_deref());
                draft.text("--header-timeout", "header_timeout", self.header_timeout.as_deref());
            }
        }
    };
}

mod events;
mod tcp;

pub(super) use events::Events;
pub(super) use tcp::Tcp;

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

        /// serve names that begin with a dot (default no, only /.well-known)
        #[argh(switch)]
        pub(super) dot_files: bool,

        /// how far symbolic links lead: inside (the folder) or anywhere (default inside)
        #[argh(option, arg_name = "where")]
        pub(super) follow_links: Option<String>,

        /// the media type of an extension: ts=video/mp2t; repeatable (default by a table)
        #[argh(option, arg_name = "ext=type")]
        pub(super) media_type: Vec<String>,
    }
}

impl Serve {
    /// Sets the keys of its flags.
    pub(super) fn set(&self, draft: &mut Draft) {
        draft.text("", "route[0].path", Some("/"));
        draft.text("DIR", "route[0].files", Some(&self.dir));
        draft.switch("--list", "route[0].list", self.list, true);
        draft.text("--index", "route[0].index", self.index.as_deref());
        draft.switch("--dot-files", "route[0].dot_files", self.dot_files, true);
        draft.text("--follow-links", "route[0].follow_links", self.follow_links.as_deref());
        let form = "gives no type: write EXTENSION=TYPE, as in ts=video/mp2t";
        draft.pairs("--media-type", "route[0].types", &self.media_type, form);
        self.set_route(draft);
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

        /// pass the backend's own origin in Location, Content-Location and Refresh on as it is, not as a path here (default no)
        #[argh(switch)]
        pub(super) keep_location: bool,

        /// do not name this hop in Via (default no)
        #[argh(switch)]
        pub(super) no_via: bool,

        /// largest head of a response, with the interim responses before it: 1k to 1m (default 32k)
        #[argh(option, arg_name = "size")]
        pub(super) max_response_head: Option<String>,

        /// most fields of a response's head, 1 to 4096 (default 128)
        #[argh(option, arg_name = "number")]
        pub(super) max_response_fields: Option<String>,

        /// longest silence in both directions of a WebSocket or another changed protocol (default 1h)
        #[argh(option, arg_name = "time")]
        pub(super) tunnel_timeout: Option<String>,

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

impl Proxy {
    /// Sets the keys of its flags.
    pub(super) fn set(&self, draft: &mut Draft) {
        draft.text("", "route[0].path", Some("/"));
        draft.text("URL", "route[0].proxy", Some(&self.url));
        draft.text("--host", "route[0].host", self.host.as_deref());
        draft.texts("--trusted-proxy", "trusted_proxies", &self.trusted_proxy);
        draft.switch("--ignore-accel", "route[0].honour_accel", self.ignore_accel, false);
        draft.switch("--keep-location", "route[0].map_location", self.keep_location, false);
        draft.switch("--no-via", "route[0].via", self.no_via, false);
        draft.text("--max-response-head", "route[0].max_response_head", self.max_response_head.as_deref());
        draft.text(
            "--max-response-fields",
            "route[0].max_response_fields",
            self.max_response_fields.as_deref(),
        );
        draft.text("--tunnel-timeout", "route[0].tunnel_timeout", self.tunnel_timeout.as_deref());
        draft.text("--connect-timeout", "route[0].connect_timeout", self.connect_timeout.as_deref());
        draft.text("--response-timeout", "route[0].response_timeout", self.response_timeout.as_deref());
        draft.text("--read-timeout", "route[0].read_timeout", self.read_timeout.as_deref());
        draft.text("--idle-connections", "route[0].idle_connections", self.idle_connections.as_deref());
        let key = "route[0].idle_connection_timeout";
        draft.text("--idle-connection-timeout", key, self.idle_connection_timeout.as_deref());
        self.set_route(draft);
    }
}

/// Serve what a configuration file says.
#[derive(FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "run",
    usage = "[options] [--] FILE",
    note = "SIGHUP has the file read again: limits change for transfers under way,\n\
        the rest for new requests. Flags typed here stay in force.",
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
}

impl Run {
    /// Sets the keys of its flags, in the place of the file's.
    pub(super) fn set(&self, draft: &mut Draft) {
        draft.texts("--listen", "listen", &self.listen);
        draft.text("--log-level", "log_level", self.log_level.as_deref());
    }
}

/// Tell what a configuration file means, or what is wrong with it.
#[derive(FromArgs, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "check",
    usage = "[options] [--] FILE",
    note = "Files and folders that it names and that are not there are warnings here;\n\
        a start does not go without them.",
    help_triggers("-h", "--help", "help")
)]
pub(super) struct Check {
    /// look at no file but FILE: what it names may be on another machine
    #[argh(switch)]
    pub(super) offline: bool,

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
mod tests;
