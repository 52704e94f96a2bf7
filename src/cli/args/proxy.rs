//! `sluicegate proxy`: what was typed.

use argh::{ArgsInfo, FromArgs};
use sluicegate::config::Draft;

use super::{Flags, Key, flag};

one_route_command! {
    /// Forward requests to a backend, and pace its responses.
    #[argh(
        subcommand,
        name = "proxy",
        usage = "[options] [--] URL...",
        example = "{command_name} http://127.0.0.1:9000 --rate 1.5m --burst 256\n\
            {command_name} unix:/run/app.sock --rate '2m for 10m, 500k'",
        help_triggers("-h", "--help", "help")
    )]
    Proxy {
        /// the backend: http://HOST:PORT, https://HOST:PORT or unix:SOCKET, with a path to prepend to that of requests if wanted; several share the requests
        #[argh(positional, arg_name = "URL")]
        url: String,

        #[argh(positional, arg_name = "URL")]
        further_urls: Vec<String>,

        /// a PEM file with the authorities that an https backend's certificate must be signed by (default those that the system trusts)
        #[argh(option, arg_name = "file")]
        backend_ca: Option<String> => "route[0].ca",

        /// a PEM file with the certificate that an https backend is shown if it asks for one (default none)
        #[argh(option, arg_name = "file")]
        backend_cert: Option<String> => "route[0].cert",

        /// the key of that certificate
        #[argh(option, arg_name = "file")]
        backend_key: Option<String> => "route[0].key",

        /// the name that an https backend is asked for and that its certificate must have (default the host of its URL)
        #[argh(option, arg_name = "name")]
        backend_tls_name: Option<String> => "route[0].tls_name",

        /// send the backend the client's address first, in a PROXY header: v1 or v2; each request has a connection of its own then (default no)
        #[argh(option, arg_name = "version")]
        send_proxy: Option<String> => "route[0].send_proxy",

        /// the Host the backend sees: upstream (its own), client (as it came) or a name (default upstream)
        #[argh(option, arg_name = "host")]
        upstream_host: Option<String> => "route[0].upstream_host",

        /// pace at which the content of each request is read, spelt as for --rate; TCP or the window of HTTP/2 holds the sender back (default off)
        #[argh(option, arg_name = "rate")]
        upload_rate: Option<String> => "route[0].upload.rate",

        /// content that is read ahead of that pace, once per request, spelt as for --burst; needs --upload-rate (default 0)
        #[argh(option, arg_name = "burst")]
        upload_burst: Option<String> => "route[0].upload.burst",

        /// a peer whose Forwarded and X-Forwarded-* fields are trusted: an address or network; repeatable (default none)
        #[argh(option, arg_name = "net")]
        trusted_proxy: Vec<String> => "trusted_proxies",

        /// ignore the backend's X-Accel-Limit-Rate and X-Accel-Buffering (default no)
        #[argh(switch)]
        ignore_accel: bool,

        /// do not map the backend's own origin in Location, Content-Location and Refresh to paths here (default no)
        #[argh(switch)]
        keep_location: bool,

        /// do not name this hop in Via (default no)
        #[argh(switch)]
        no_via: bool,

        /// largest head of a response, with the interim responses before it: 1k to 1m (default 32k)
        #[argh(option, arg_name = "size")]
        max_response_head: Option<String> => "route[0].max_response_head",

        /// most fields of a response's head, 1 to 4096 (default 128)
        #[argh(option, arg_name = "number")]
        max_response_fields: Option<String> => "route[0].max_response_fields",

        /// longest time without traffic in either direction of a WebSocket or another changed protocol (default 1h)
        #[argh(option, arg_name = "time")]
        tunnel_timeout: Option<String> => "route[0].tunnel_timeout",

        /// timeout of connecting to the backend (default 5s)
        #[argh(option, arg_name = "time")]
        connect_timeout: Option<String> => "route[0].connect_timeout",

        /// timeout of the head of a response, and of each next piece of a request's body (default 1m)
        #[argh(option, arg_name = "time")]
        response_timeout: Option<String> => "route[0].response_timeout",

        /// timeout of each next piece of a response's body (default 1m)
        #[argh(option, arg_name = "time")]
        read_timeout: Option<String> => "route[0].read_timeout",

        /// idle connections to the backend that are kept for later requests (default 64)
        #[argh(option, arg_name = "number")]
        idle_connections: Option<String> => "route[0].idle_connections",

        /// how long a connection may be idle (default 4s)
        #[argh(option, arg_name = "time")]
        idle_connection_timeout: Option<String> => "route[0].idle_connection_timeout",
    }
}

impl Proxy {
    fn set_others(&self, draft: &mut Draft) {
        draft.text("", "route[0].path", Some("/"));
        let urls: Vec<_> = std::iter::once(&self.url).chain(&self.further_urls).cloned().collect();
        draft.texts("URL", "route[0].proxy", &urls);
        draft.switch("--ignore-accel", "route[0].honour_accel", self.ignore_accel, false);
        draft.switch("--keep-location", "route[0].map_location", self.keep_location, false);
        draft.switch("--no-via", "route[0].via", self.no_via, false);
    }
}
