//! `sluicegate tcp`: what was typed.

use argh::{ArgsInfo, FromArgs};
use sluicegate::config::Draft;

use super::{Flags, Key, flag};

serving_command! {
    /// Serve raw TCP: a file for whoever connects, or a relay to a peer.
    #[argh(
        subcommand,
        name = "tcp",
        usage = "[options] --file FILE | --to HOST:PORT",
        example = "{command_name} --file app.log --follow --rate 60\n\
            {command_name} --to 127.0.0.1:5432 --rate 2m --upload-rate 1m",
        help_triggers("-h", "--help", "help")
    )]
    Tcp {
        /// the file that each client gets from its start (this or --to)
        #[argh(option, arg_name = "file")]
        file: Option<String> => "tcp[0].file",

        /// with --file: continue as it grows, is truncated or replaced, like tail -F (default no)
        #[argh(switch)]
        follow: bool => "tcp[0].follow",

        /// the peer that each client is connected to: 127.0.0.1:5432, [::1]:5432 or NAME:5432 (this or --file)
        #[argh(option, arg_name = "peer")]
        to: Option<String> => "tcp[0].to",

        /// with --to: pace of what each client sends, spelt as for --rate, enforced by TCP flow control (default off)
        #[argh(option, arg_name = "rate")]
        upload_rate: Option<String> => "tcp[0].upload_rate",

        /// with --to: timeout of connecting to the peer (default 5s)
        #[argh(option, arg_name = "time")]
        connect_timeout: Option<String> => "tcp[0].connect_timeout",

        /// with --to: send the peer the client's address first, in a PROXY header: v1 or v2 (default none is sent)
        #[argh(option, arg_name = "version")]
        send_proxy: Option<String> => "tcp[0].send_proxy",

        /// pace of what each client gets: 60 (KiB/s), 500B, 64k, 1.5m, 1g (bytes/s), 8mbit (bits/s), off, or several by the bytes sent: "2m for 10m, 500k" (default off)
        #[argh(option, arg_name = "rate")]
        rate: Option<String> => "tcp[0].rate",

        /// bytes that leave ahead of the pace, once per stream: 256 (KiB), 64k or 1.5m (default 0)
        #[argh(option, arg_name = "burst")]
        burst: Option<String> => "tcp[0].burst",

        /// how often a chunk of the pace leaves: 50ms (even) to 1s (cheap); needs a rate (default 200ms)
        #[argh(option, arg_name = "time")]
        interval: Option<String> => "tcp[0].interval",

        /// how much time that a slow source or reader did not use may be made up at once, up to 1m; needs a rate (default one interval)
        #[argh(option, arg_name = "time")]
        catch_up: Option<String> => "tcp[0].catch_up",

        /// when the remainder of less than one chunk leaves: immediate (with the last full chunk) or paced (after its interval) (default immediate)
        #[argh(option, arg_name = "rule")]
        end_of_stream: Option<String> => "tcp[0].end_of_stream",

        /// where to listen: 127.0.0.1:7070 or [::1]:7070 (0.0.0.0 or [::] for all interfaces of IPv4 or IPv6, port 0 for any free one, printed at the start) (default 127.0.0.1:7070)
        #[argh(option, arg_name = "addr")]
        listen: Option<String>,

        /// with --to: longest time without traffic in either direction (default 1m)
        #[argh(option, arg_name = "time")]
        idle_timeout: Option<String> => "idle_timeout",
    }
}

impl Tcp {
    fn set_others(&self, draft: &mut Draft) {
        match (&self.file, &self.to) {
            (Some(_), Some(_)) => draft.reject("--file and --to", "give one of them, not both"),
            (None, None) => draft.reject("nothing to serve", "give --file FILE or --to HOST:PORT"),
            (Some(_), None) if self.idle_timeout.is_some() => {
                draft.reject("--idle-timeout", "does something with --to only; leave it out");
            }
            _ => {}
        }
        draft.text("--listen", "tcp[0].listen", Some(self.listen.as_deref().unwrap_or("127.0.0.1:7070")));
    }
}
