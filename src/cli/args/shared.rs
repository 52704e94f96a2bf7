//! Flags that several commands have. argh has no way to share them.

/// Makes the arguments of a command of flags, each with the key that it sets. `set_others` sets what has no key here.
macro_rules! command_of_flags {
    ($(#[$about:meta])* $name:ident {
        $($(#[$doc:meta])* $field:ident: $type:ident $(<$of:ident>)? $(=> $key:literal)?,)*
    }) => {
        #[derive(ArgsInfo, FromArgs, Debug, Default, PartialEq)]
        $(#[$about])*
        pub(in crate::cli) struct $name {
            $($(#[$doc])* $field: $type $(<$of>)?,)*
        }

        impl $name {
            /// Fields, and the keys that their flags set.
            pub(in crate::cli) const KEYS: &[(&str, &str)] = &[$($((stringify!($field), $key),)?)*];
        }

        impl Flags for $name {
            fn set(&self, draft: &mut Draft) {
                self.set_others(draft);
                $($(self.$field.set(draft, &flag(stringify!($field)), $key);)?)*
            }
        }
    };
}

/// Makes the arguments of a command that serves: its own, then those of all such commands.
macro_rules! serving_command {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        command_of_flags! {
            $(#[$about])*
            $name {
                $($own)*

                /// off, error, warn, info, debug or trace (default info)
                #[argh(option, arg_name = "level")]
                log_level: Option<String> => "log_level",

                /// auto (text on a terminal, else JSON), json or text; all of the log is on standard error (default auto)
                #[argh(option, arg_name = "form")]
                log_format: Option<String> => "log_format",

                /// where a line for each response or raw TCP stream goes: off, stderr or a file, which SIGUSR1 opens anew (default off)
                #[argh(option, arg_name = "file")]
                access_log: Option<String> => "access_log",

                /// the form of these lines: json or combined, that of nginx and Apache (default json)
                #[argh(option, arg_name = "form")]
                access_log_format: Option<String> => "access_log_format",

                /// how long transfers may go on after SIGTERM (default 30s)
                #[argh(option, arg_name = "time")]
                drain: Option<String> => "drain",

                /// connections served at a time; more get 503, raw TCP is closed (default 10000)
                #[argh(option, arg_name = "number")]
                max_connections: Option<String> => "max_connections",

                /// connections of one client address (IPv6: one /64) at a time, or behind a trusted proxy, those with a request of its under way; more get 429, raw TCP is closed (default none)
                #[argh(option, arg_name = "number")]
                client_connections: Option<String> => "client_connections",

                /// where /metrics, /healthz, /readyz and the API are served: an address as for --listen (default none)
                #[argh(option, arg_name = "addr")]
                admin: Option<String> => "admin",

                /// the file with the token that --admin requires; needed off loopback (default none)
                #[argh(option, arg_name = "file")]
                admin_token_file: Option<String> => "admin_token_file",

                /// the quota server whose limit this server shares: http://HOST:PORT; several on one store separated by commas (default none)
                #[argh(option, arg_name = "url")]
                quota: Option<String> => "quota.server",

                /// the resource of the quota server (default egress)
                #[argh(option, arg_name = "name")]
                quota_resource: Option<String> => "quota.resource",

                /// this server's name at the quota server, unlike any other; needed with --quota (default none)
                #[argh(option, arg_name = "name")]
                client_id: Option<String> => "quota.client_id",

                /// the file with the token that the quota server requires (default none)
                #[argh(option, arg_name = "file")]
                quota_token_file: Option<String> => "quota.token_file",

                /// pace of the whole server while the quota server is lost, spelt as for --rate (default the limit divided by the servers last known)
                #[argh(option, arg_name = "rate")]
                quota_safe_share: Option<String> => "quota.safe_share",

                /// limit of all responses together, shared fairly by clients, spelt as for --rate (default off)
                #[argh(option, arg_name = "rate")]
                server_rate: Option<String> => "limits.server.rate",

                /// limit of all responses to one client, whatever the connections, spelt as for --rate (default off)
                #[argh(option, arg_name = "rate")]
                client_rate: Option<String> => "limits.client.rate",

                /// what a client may get at once after a quiet time, spelt as for --burst; needs --client-rate (default one interval's worth)
                #[argh(option, arg_name = "burst")]
                client_burst: Option<String> => "limits.client.burst",

                /// most content of a request, else 413: 8m, 64k, 500B, or off (default off)
                #[argh(option, arg_name = "size")]
                max_body: Option<String> => "max_body",

                /// limit of each connection, heads and framing included, spelt as for --rate (default off)
                #[argh(option, arg_name = "rate")]
                connection_rate: Option<String> => "limits.connection.rate",

                /// what a connection may send at once after a quiet time; needs --connection-rate (default 64k)
                #[argh(option, arg_name = "burst")]
                connection_burst: Option<String> => "limits.connection.burst",

                /// bytes held for a reader whose socket is full: 1B to 64m (default 64k)
                #[argh(option, arg_name = "size")]
                egress_buffer: Option<String> => "sink.buffer",

                /// bytes held in memory for all readers together; above that new requests get 503, and raw TCP is closed (default a quarter of the memory)
                #[argh(option, arg_name = "size")]
                egress_total: Option<String> => "sink.total",

                /// what to do when the buffer is full: wait for the reader, or close (reset a connection whose buffer stays full for 200ms; needs a rate) (default wait)
                #[argh(option, arg_name = "rule")]
                on_full: Option<String> => "sink.on_full",

                /// longest time in which a reader may take nothing while bytes wait for it (default 1m)
                #[argh(option, arg_name = "time")]
                stall_timeout: Option<String> => "sink.stall_timeout",

                /// the least that a reader must take over each --stall-timeout while bytes wait for it, spelt as for --rate (default off)
                #[argh(option, arg_name = "rate")]
                min_drain_rate: Option<String> => "sink.min_drain_rate",

                /// unsent bytes that may wait in the kernel while a reader's window is shut: 1B to 1g; makes no distant reader slower (default 128k)
                #[argh(option, arg_name = "size")]
                unsent: Option<String> => "sink.unsent",

                /// bytes that the kernel may hold of a connection, also the most that reaches a reader in a round trip: 1B to 1g (default the kernel's choice)
                #[argh(option, arg_name = "size")]
                send_buffer: Option<String> => "sink.send_buffer",
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

                /// pace of each response: 60 (KiB/s), 500B, 64k, 1.5m, 1g (bytes/s), 8mbit (bits/s), off, or several by the bytes sent: "2m for 10m, 500k" (default off)
                #[argh(option, arg_name = "rate")]
                rate: Option<String> => "route[0].rate",

                /// bytes that leave ahead of the pace, once per response: 256 (KiB), 64k or 1.5m (default 0)
                #[argh(option, arg_name = "burst")]
                burst: Option<String> => "route[0].burst",

                /// how often a chunk of the pace leaves: 50ms (even) to 1s (cheap); needs a rate (default 200ms)
                #[argh(option, arg_name = "time")]
                interval: Option<String> => "route[0].interval",

                /// how much time that a slow source or reader did not use may be made up at once, up to 1m; needs a rate (default one interval)
                #[argh(option, arg_name = "time")]
                catch_up: Option<String> => "route[0].catch_up",

                /// have the kernel spread each chunk over its interval, so that none leaves as one burst (default no)
                #[argh(switch)]
                smooth: bool => "route[0].smooth",

                /// when the remainder of less than one chunk leaves: immediate (with the last full chunk) or paced (after its interval) (default immediate)
                #[argh(option, arg_name = "rule")]
                end_of_stream: Option<String> => "route[0].end_of_stream",

                /// a filter for each response: rate (the place of the pace), count (sums logged at the end) or gzip; repeatable, in order (default none, rate last if one is set)
                #[argh(option, arg_name = "name")]
                filter: Vec<String> => "route[0].filters",

                /// where to listen: 127.0.0.1:8080 or [::1]:8080 for TCP (0.0.0.0 or [::] for all interfaces of IPv4 or IPv6, port 0 for any free one, printed at the start), unix:PATH or unix:PATH?mode=660 for a Unix socket (created, and removed at the end); repeatable (default 127.0.0.1:8080)
                #[argh(option, arg_name = "addr")]
                listen: Vec<String> => "listen",

                /// the certificate chain in PEM with which every --listen speaks TLS; needs --tls-key (default none)
                #[argh(option, arg_name = "file")]
                tls_cert: Option<String> => "tls.default.cert",

                /// the private key of --tls-cert in PEM, which others must not be able to read
                #[argh(option, arg_name = "file")]
                tls_key: Option<String> => "tls.default.key",

                /// the authorities in PEM of which clients must show a certificate; needs a certificate of its own (default none)
                #[argh(option, arg_name = "file")]
                tls_client_ca: Option<String> => "tls.default.client_ca",

                /// speak TLS with a certificate made for this run, whose fingerprint is printed: for trying it out (default no)
                #[argh(switch)]
                tls_self_signed: bool => "tls.default.self_signed",

                /// what identifies a client: address (IPv6: one /64), header:NAME such as header:x-api-key, certificate or certificate_name (default address)
                #[argh(option, arg_name = "key")]
                client_key: Option<String> => "limits.client.key",

                /// timeout of a request's head (default 30s)
                #[argh(option, arg_name = "time")]
                header_timeout: Option<String> => "header_timeout",

                /// how long a connection may be idle (default 1m)
                #[argh(option, arg_name = "time")]
                idle_timeout: Option<String> => "idle_timeout",

                /// what an HTTP/1 client gets that closes its half while its response is under way: serve (the rest, while it is there) or abort (a reset) (default serve)
                #[argh(option, arg_name = "rule")]
                half_close: Option<String> => "half_close",
            }
        }
    };
}
