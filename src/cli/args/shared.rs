//! Flags that several commands have. argh has no way to share them.

/// Makes the arguments of a command that serves: its own, then those of all such commands.
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
