//! Arguments of the commands that call a running server's admin listener.

use argh::{ArgsInfo, FromArgs};

use super::CliError;
use super::admin_client::AdminClient;

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "is not a connection's number; `sluicegate connections list` has them".to_owned())
}

/// Declares the arguments of such a command: those of the listener, then its own.
macro_rules! admin_command {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        #[derive(ArgsInfo, FromArgs, Debug, Default, PartialEq)]
        $(#[$about])*
        pub(super) struct $name {
            /// the admin listener: 127.0.0.1:9180, [::1]:9180, unix:PATH, or with TLS https://HOST:PORT (default 127.0.0.1:9180)
            #[argh(option, arg_name = "addr")]
            pub(super) admin: Option<String>,

            /// the file with the token that it requires (default none)
            #[argh(option, arg_name = "file")]
            pub(super) token_file: Option<String>,

            /// the authorities in PEM to trust with https (default those of the machine)
            #[argh(option, arg_name = "file")]
            pub(super) tls_ca: Option<String>,

            $($own)*
        }

        impl $name {
            /// Creates a client of the listener that was typed.
            pub(super) fn client(&self) -> Result<AdminClient, CliError> {
                AdminClient::new(self.admin.as_deref(), self.token_file.as_deref(), self.tls_ca.as_deref())
            }
        }
    };
}

/// Show and change the limits of a running server.
#[derive(ArgsInfo, FromArgs, Debug, PartialEq)]
#[argh(subcommand, name = "limits", help_triggers("-h", "--help", "help"))]
pub(super) struct Limits {
    #[argh(subcommand)]
    pub(super) command: LimitsCommand,
}

#[derive(ArgsInfo, FromArgs, Debug, PartialEq)]
#[argh(subcommand)]
pub(super) enum LimitsCommand {
    List(ListLimits),
    Set(SetLimit),
    Reset(ResetLimit),
}

admin_command! {
    /// List the limits, the bytes that passed, and what had to wait.
    #[argh(subcommand, name = "list", usage = "[options]", help_triggers("-h", "--help", "help"))]
    ListLimits {
        /// print the admin API's JSON (default no)
        #[argh(switch)]
        pub(super) json: bool,
    }
}

admin_command! {
    /// Change a limit at once; with --save for good, else until the next reload.
    #[argh(
        subcommand,
        name = "set",
        usage = "[options] [--] LIMIT [OF]",
        example = "{command_name} server --rate 100m\n\
            {command_name} client --rate 2m --burst 1m\n\
            {command_name} client 192.0.2.1 --rate 10m --weight 3\n\
            {command_name} client 192.0.2.1 --default\n\
            {command_name} class vip --rate 64m --weight 5\n\
            {command_name} route /logs/ --rate 20m\n\
            {command_name} response /logs/ --rate off --save",
        help_triggers("-h", "--help", "help")
    )]
    SetLimit {
        /// which limit: server (all responses together), client (each one, or the one named), connection (each), class (all responses to a class of clients), class-client (those to each client in it), route (all responses of one route together), route-client (those to each client), response (each); of uploads: upload-server, upload-client, upload-class, upload-class-client, upload-route, upload-route-client, upload (each)
        #[argh(positional, arg_name = "LIMIT")]
        pub(super) limit: String,

        /// the client's address, the class's name, or the route's path
        #[argh(positional, arg_name = "OF")]
        pub(super) of: Option<String>,

        /// bytes per second: 60 (KiB/s), 500B, 64k, 1.5m, 8mbit (bits/s) or off; of response and upload also several: "2m for 10m, 500k" (default as it is)
        #[argh(option, arg_name = "rate")]
        pub(super) rate: Option<String>,

        /// what may leave at once after a quiet time: 256 (KiB), 64k or 1.5m (default as it is)
        #[argh(option, arg_name = "burst")]
        pub(super) burst: Option<String>,

        /// the weight among other clients: 1 to 65535 (default as it is)
        #[argh(option, arg_name = "number")]
        pub(super) weight: Option<String>,

        /// true: delay nothing and count what would have been delayed; false: delay (default as it is)
        #[argh(option, arg_name = "bool")]
        pub(super) report_only: Option<String>,

        /// write it to the overlay beside the configuration too: it is made and saved, or neither (default no)
        #[argh(switch)]
        pub(super) save: bool,

        /// remove a client's own limit; see limits reset (default no)
        #[argh(switch)]
        pub(super) default: bool,

        /// print the admin API's JSON (default no)
        #[argh(switch)]
        pub(super) json: bool,
    }
}

admin_command! {
    /// Take back what was set by hand: the configuration's value holds again.
    #[argh(
        subcommand,
        name = "reset",
        usage = "[options] [--] LIMIT [OF]",
        example = "{command_name} server\n\
            {command_name} client 192.0.2.1\n\
            {command_name} response /logs/ --save\n\
            {command_name} all --save",
        note = "Without --save a saved limit holds again after the next reload.",
        help_triggers("-h", "--help", "help")
    )]
    ResetLimit {
        /// which limit, as for limits set, or all
        #[argh(positional, arg_name = "LIMIT")]
        pub(super) limit: String,

        /// the client's address, the class's name, or the route's path
        #[argh(positional, arg_name = "OF")]
        pub(super) of: Option<String>,

        /// take it out of the overlay beside the configuration too (default no)
        #[argh(switch)]
        pub(super) save: bool,

        /// print the admin API's JSON (default no)
        #[argh(switch)]
        pub(super) json: bool,
    }
}

/// Show the live connections of a running server, and reset one.
#[derive(ArgsInfo, FromArgs, Debug, PartialEq)]
#[argh(subcommand, name = "connections", help_triggers("-h", "--help", "help"))]
pub(super) struct Connections {
    #[argh(subcommand)]
    pub(super) command: ConnectionsCommand,
}

#[derive(ArgsInfo, FromArgs, Debug, PartialEq)]
#[argh(subcommand)]
pub(super) enum ConnectionsCommand {
    List(ListConnections),
    Close(CloseConnection),
}

admin_command! {
    /// List the live connections and what holds each of their transfers.
    #[argh(
        subcommand,
        name = "list",
        usage = "[options]",
        example = "{command_name} --sort now\n\
            {command_name} --by-client --watch\n\
            {command_name} --watch --json | jq -c '.connections | length'",
        help_triggers("-h", "--help", "help")
    )]
    ListConnections {
        /// the order: id, or the most of now (the rate), sent or age first, or client (default id)
        #[argh(option, arg_name = "column")]
        pub(super) sort: Option<String>,

        /// a line for each client, with the sums of its transfers (default no)
        #[argh(switch)]
        pub(super) by_client: bool,

        /// all columns, however wide (default no)
        #[argh(switch)]
        pub(super) wide: bool,

        /// list again each second, until Ctrl-C; with --json a line each time (default no)
        #[argh(switch)]
        pub(super) watch: bool,

        /// print the admin API's JSON (default no)
        #[argh(switch)]
        pub(super) json: bool,
    }
}

admin_command! {
    /// Reset a connection: a client does not take a cut response for complete.
    #[argh(
        subcommand,
        name = "close",
        usage = "[options] [--] ID",
        help_triggers("-h", "--help", "help")
    )]
    CloseConnection {
        /// its number in the list and in the log
        #[argh(positional, arg_name = "ID", from_str_fn(number))]
        pub(super) id: u64,
    }
}

admin_command! {
    /// Ask a running server whether it is ready: exit code 0 if it is, else 1.
    #[argh(subcommand, name = "health", usage = "[options]", help_triggers("-h", "--help", "help"))]
    Health {
        /// ask whether the process answers, also while it drains or sheds load (default no)
        #[argh(switch)]
        pub(super) live: bool,
    }
}

admin_command! {
    /// Show in a terminal what flows in a running server, and what holds it, while it flows.
    #[argh(
        subcommand,
        name = "top",
        usage = "[options]",
        example = "{command_name}\n\
            {command_name} --order sent\n\
            {command_name} --admin unix:/run/sluicegate/admin.sock",
        note = "? lists the keys, q quits. Without a terminal: connections list --watch.",
        help_triggers("-h", "--help", "help")
    )]
    Top {
        /// the order at first: the most of now (the rate), set (the rate that is set) or sent first, or held (what holds them) or name (default now)
        #[argh(option, arg_name = "column")]
        pub(super) order: Option<String>,
    }
}
