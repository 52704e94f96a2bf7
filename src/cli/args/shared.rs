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

            /// how long transfers may go on after SIGTERM (default 30s)
            #[argh(option, arg_name = "time")]
            pub(in crate::cli) drain: Option<String>,

            /// connections served at a time; more get 503, raw TCP is closed (default 10000)
            #[argh(option, arg_name = "number")]
            pub(in crate::cli) max_connections: Option<String>,

            /// connections of one client address (IPv6: one /64) at a time, or behind a trusted proxy, those with a request of its under way; more get 429, raw TCP is closed (default none)
            #[argh(option, arg_name = "number")]
            pub(in crate::cli) client_connections: Option<String>,

            /// where /metrics, /healthz, /readyz and the API are served: an address as for --listen (default none)
            #[argh(option, arg_name = "addr")]
            pub(in crate::cli) admin: Option<String>,

            /// the file with the token that --admin requires; needed off loopback (default none)
            #[argh(option, arg_name = "file")]
            pub(in crate::cli) admin_token_file: Option<String>,

            /// the quota server whose limit this server shares: http://HOST:PORT (default none)
            #[argh(option, arg_name = "url")]
            pub(in crate::cli) quota: Option<String>,

            /// the resource of the quota server (default egress)
            #[argh(option, arg_name = "name")]
            pub(in crate::cli) quota_resource: Option<String>,

            /// this server's name at the quota server, unlike any other; needed with --quota (default none)
            #[argh(option, arg_name = "name")]
            pub(in crate::cli) client_id: Option<String>,

            /// the file with the token that the quota server requires (default none)
            #[argh(option, arg_name = "file")]
            pub(in crate::cli) quota_token_file: Option<String>,

            /// pace of the whole server while the quota server is lost, spelt as for --rate (default the limit divided by the servers last known)
            #[argh(option, arg_name = "rate")]
            pub(in crate::cli) quota_safe_share: Option<String>,

            /// limit of all responses together, shared fairly by clients, spelt as for --rate (default off)
            #[argh(option, arg_name = "rate")]
            pub(in crate::cli) server_rate: Option<String>,

            /// limit of all responses to one client, whatever the connections, spelt as for --rate (default off)
            #[argh(option, arg_name = "rate")]
            pub(in crate::cli) client_rate: Option<String>,

            /// what a client may get at once after a quiet time, spelt as for --burst; needs --client-rate (default one interval's worth)
            #[argh(option, arg_name = "burst")]
            pub(in crate::cli) client_burst: Option<String>,

            /// limit of each connection, heads and framing included, spelt as for --rate (default off)
            #[argh(option, arg_name = "rate")]
            pub(in crate::cli) connection_rate: Option<String>,

            /// what a connection may send at once after a quiet time; needs --connection-rate (default 64k)
            #[argh(option, arg_name = "burst")]
            pub(in crate::cli) connection_burst: Option<String>,

            /// bytes held for a reader whose socket is full: 1B to 64m (default 64k)
            #[argh(option, arg_name = "size")]
            pub(in crate::cli) egress_buffer: Option<String>,

            /// bytes held in memory for all readers together; above that new requests get 503, and raw TCP is closed (default a quarter of the memory)
            #[argh(option, arg_name = "size")]
            pub(in crate::cli) egress_total: Option<String>,

            /// what to do when the buffer is full: wait for the reader, or close (reset a connection whose buffer stays full for 200ms; needs a rate) (default wait)
            #[argh(option, arg_name = "rule")]
            pub(in crate::cli) on_full: Option<String>,

            /// longest time in which a reader may take nothing while bytes wait for it (default 1m)
            #[argh(option, arg_name = "time")]
            pub(in crate::cli) stall_timeout: Option<String>,

            /// the least that a reader must take over each --stall-timeout while bytes wait for it, spelt as for --rate (default off)
            #[argh(option, arg_name = "rate")]
            pub(in crate::cli) min_drain_rate: Option<String>,

            /// unsent bytes that may wait in the kernel while a reader's window is shut: 1B to 1g; makes no distant reader slower (default 128k)
            #[argh(option, arg_name = "size")]
            pub(in crate::cli) unsent: Option<String>,

            /// bytes that the kernel may hold of a connection, also the most that reaches a reader in a round trip: 1B to 1g (default the kernel's choice)
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

                /// bytes that leave ahead of the pace, once per response: 256 (KiB), 64k or 1.5m (default 0)
                #[argh(option, arg_name = "burst")]
                pub(in crate::cli) burst: Option<String>,

                /// how often a chunk of the pace leaves: 50ms (even) to 1s (cheap); needs a rate (default 200ms)
                #[argh(option, arg_name = "time")]
                pub(in crate::cli) interval: Option<String>,

                /// when the remainder of less than one chunk leaves: immediate (with the last full chunk) or paced (after its interval) (default immediate)
                #[argh(option, arg_name = "rule")]
                pub(in crate::cli) end_of_stream: Option<String>,

                /// a filter for each response: rate (the place of the pace), count (sums logged at the end) or gzip; repeatable, in order (default none, rate last if one is set)
                #[argh(option, arg_name = "name")]
                pub(in crate::cli) filter: Vec<String>,

                /// where to listen: 127.0.0.1:8080 or [::1]:8080 for TCP (0.0.0.0 or [::] for all interfaces of IPv4 or IPv6, port 0 for any free one, printed at the start), unix:PATH or unix:PATH?mode=660 for a Unix socket (created, and removed at the end); repeatable (default 127.0.0.1:8080)
                #[argh(option, arg_name = "addr")]
                pub(in crate::cli) listen: Vec<String>,

                /// the certificate chain in PEM with which every --listen speaks TLS; needs --tls-key (default none)
                #[argh(option, arg_name = "file")]
                pub(in crate::cli) tls_cert: Option<String>,

                /// the private key of --tls-cert in PEM, which others must not be able to read
                #[argh(option, arg_name = "file")]
                pub(in crate::cli) tls_key: Option<String>,

                /// speak TLS with a certificate made for this run, whose fingerprint is printed: for trying it out (default no)
                #[argh(switch)]
                pub(in crate::cli) tls_self_signed: bool,

                /// what identifies a client: address (IPv6: one /64), or header:NAME such as header:x-api-key (default address)
                #[argh(option, arg_name = "key")]
                pub(in crate::cli) client_key: Option<String>,

                /// timeout of a request's head (default 30s)
                #[argh(option, arg_name = "time")]
                pub(in crate::cli) header_timeout: Option<String>,

                /// how long a connection may be idle (default 1m)
                #[argh(option, arg_name = "time")]
                pub(in crate::cli) idle_timeout: Option<String>,

                /// what an HTTP/1 client gets that closes its half while its response is under way: serve (the rest, while it is there) or abort (a reset) (default serve)
                #[argh(option, arg_name = "rule")]
                pub(in crate::cli) half_close: Option<String>,
            }
        }

        impl $name {
            /// Sets the keys of the route, and of all servers.
            pub(in crate::cli) fn set_route(&self, draft: &mut Draft) {
                draft.text("--rate", "route[0].rate", self.rate.as_deref());
                draft.text("--burst", "route[0].burst", self.burst.as_deref());
                draft.text("--interval", "route[0].interval", self.interval.as_deref());
                draft.text("--end-of-stream", "route[0].end_of_stream", self.end_of_stream.as_deref());
                draft.texts("--filter", "route[0].filters", &self.filter);
                draft.texts("--listen", "listen", &self.listen);
                draft.text("--tls-cert", "tls.default.cert", self.tls_cert.as_deref());
                draft.text("--tls-key", "tls.default.key", self.tls_key.as_deref());
                draft.switch("--tls-self-signed", "tls.default.self_signed", self.tls_self_signed, true);
                self.set_server(draft);
                draft.text("--client-key", "limits.client.key", self.client_key.as_deref());
                draft.text("--half-close", "half_close", self.half_close.as_deref());
                draft.text("--header-timeout", "header_timeout", self.header_timeout.as_deref());
            }
        }
    };
}
