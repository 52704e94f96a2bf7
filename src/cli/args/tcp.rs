//! `sluicegate tcp`: what was typed.

use argh::FromArgs;
use sluicegate::config::Draft;

serving_command! {
    /// Serve raw TCP: a file for whoever connects, or a relay to a peer.
    #[argh(
        subcommand,
        name = "tcp",
        usage = "[options] --file FILE | --to HOST:PORT",
        help_triggers("-h", "--help", "help")
    )]
    Tcp {
        /// the file that each client gets from its start (this or --to)
        #[argh(option, arg_name = "file")]
        pub(in crate::cli) file: Option<String>,

        /// with --file: continue as it grows, is truncated or replaced, like tail -F (default no)
        #[argh(switch)]
        pub(in crate::cli) follow: bool,

        /// the peer that each client is connected to: 127.0.0.1:5432, [::1]:5432 or NAME:5432 (this or --file)
        #[argh(option, arg_name = "peer")]
        pub(in crate::cli) to: Option<String>,

        /// with --to: pace of what each client sends, spelt as for --rate, enforced by TCP flow control (default off)
        #[argh(option, arg_name = "rate")]
        pub(in crate::cli) upload_rate: Option<String>,

        /// with --to: timeout of connecting to the peer (default 5s)
        #[argh(option, arg_name = "time")]
        pub(in crate::cli) connect_timeout: Option<String>,

        /// pace of what each client gets: 60 (KiB/s), 500B, 64k, 1.5m, 1g (bytes/s), 8mbit (bits/s) or off (default off)
        #[argh(option, arg_name = "rate")]
        pub(in crate::cli) rate: Option<String>,

        /// bytes that leave ahead of the pace, once per stream: 256 (KiB), 64k or 1.5m (default 0)
        #[argh(option, arg_name = "burst")]
        pub(in crate::cli) burst: Option<String>,

        /// how often a chunk of the pace leaves: 50ms (even) to 1s (cheap); needs a rate (default 200ms)
        #[argh(option, arg_name = "time")]
        pub(in crate::cli) interval: Option<String>,

        /// when the remainder of less than one chunk leaves: immediate (with the last full chunk) or paced (after its interval) (default immediate)
        #[argh(option, arg_name = "rule")]
        pub(in crate::cli) end_of_stream: Option<String>,

        /// where to listen: 127.0.0.1:7070 or [::1]:7070 (0.0.0.0 or [::] for all interfaces of IPv4 or IPv6, port 0 for any free one, printed at the start) (default 127.0.0.1:7070)
        #[argh(option, arg_name = "addr")]
        pub(in crate::cli) listen: Option<String>,

        /// with --to: longest time without traffic in either direction (default 1m)
        #[argh(option, arg_name = "time")]
        pub(in crate::cli) idle_timeout: Option<String>,
    }
}

impl Tcp {
    /// Sets the keys of its flags.
    pub(in crate::cli) fn set(&self, draft: &mut Draft) {
        match (&self.file, &self.to) {
            (Some(_), Some(_)) => draft.reject("--file and --to", "give one of them, not both"),
            (None, None) => draft.reject("nothing to serve", "give --file FILE or --to HOST:PORT"),
            (Some(_), None) if self.idle_timeout.is_some() => {
                draft.reject("--idle-timeout", "does something with --to only; leave it out");
            }
            _ => {}
        }
        draft.text("--listen", "tcp[0].listen", Some(self.listen.as_deref().unwrap_or("127.0.0.1:7070")));
        draft.text("--file", "tcp[0].file", self.file.as_deref());
        draft.switch("--follow", "tcp[0].follow", self.follow, true);
        draft.text("--to", "tcp[0].to", self.to.as_deref());
        draft.text("--upload-rate", "tcp[0].upload_rate", self.upload_rate.as_deref());
        draft.text("--connect-timeout", "tcp[0].connect_timeout", self.connect_timeout.as_deref());
        draft.text("--rate", "tcp[0].rate", self.rate.as_deref());
        draft.text("--burst", "tcp[0].burst", self.burst.as_deref());
        draft.text("--interval", "tcp[0].interval", self.interval.as_deref());
        draft.text("--end-of-stream", "tcp[0].end_of_stream", self.end_of_stream.as_deref());
        self.set_server(draft);
    }
}
