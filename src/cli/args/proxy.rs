//! `sluicegate proxy`: what was typed.

use argh::FromArgs;
use sluicegate::config::Draft;

one_route_command! {
    /// Forward requests to a backend, and pace its responses.
    #[argh(subcommand, name = "proxy", usage = "[options] [--] URL", help_triggers("-h", "--help", "help"))]
    Proxy {
        /// the backend: http://HOST:PORT, with a path to prepend to that of requests if wanted
        #[argh(positional, arg_name = "URL")]
        pub(in crate::cli) url: String,

        /// the Host the backend sees: upstream (its own), client (as it came) or a name (default upstream)
        #[argh(option, arg_name = "host")]
        pub(in crate::cli) host: Option<String>,

        /// a peer whose Forwarded and X-Forwarded-* fields are trusted: an address or network; repeatable (default none)
        #[argh(option, arg_name = "net")]
        pub(in crate::cli) trusted_proxy: Vec<String>,

        /// ignore the backend's X-Accel-Limit-Rate and X-Accel-Buffering (default no)
        #[argh(switch)]
        pub(in crate::cli) ignore_accel: bool,

        /// do not map the backend's own origin in Location, Content-Location and Refresh to paths here (default no)
        #[argh(switch)]
        pub(in crate::cli) keep_location: bool,

        /// do not name this hop in Via (default no)
        #[argh(switch)]
        pub(in crate::cli) no_via: bool,

        /// largest head of a response, with the interim responses before it: 1k to 1m (default 32k)
        #[argh(option, arg_name = "size")]
        pub(in crate::cli) max_response_head: Option<String>,

        /// most fields of a response's head, 1 to 4096 (default 128)
        #[argh(option, arg_name = "number")]
        pub(in crate::cli) max_response_fields: Option<String>,

        /// longest time without traffic in either direction of a WebSocket or another changed protocol (default 1h)
        #[argh(option, arg_name = "time")]
        pub(in crate::cli) tunnel_timeout: Option<String>,

        /// timeout of connecting to the backend (default 5s)
        #[argh(option, arg_name = "time")]
        pub(in crate::cli) connect_timeout: Option<String>,

        /// timeout of the head of a response, and of each next piece of a request's body (default 1m)
        #[argh(option, arg_name = "time")]
        pub(in crate::cli) response_timeout: Option<String>,

        /// timeout of each next piece of a response's body (default 1m)
        #[argh(option, arg_name = "time")]
        pub(in crate::cli) read_timeout: Option<String>,

        /// idle connections to the backend that are kept for later requests (default 64)
        #[argh(option, arg_name = "number")]
        pub(in crate::cli) idle_connections: Option<String>,

        /// how long a connection may be idle (default 4s)
        #[argh(option, arg_name = "time")]
        pub(in crate::cli) idle_connection_timeout: Option<String>,
    }
}

impl Proxy {
    /// Sets the keys of its flags.
    pub(in crate::cli) fn set(&self, draft: &mut Draft) {
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
