//! Arguments of `sluicegate quota`.

use argh::{ArgsInfo, FromArgs};
use sluicegate::quota::client::Connector;

use super::CliError;

/// Share limits fairly among many servers.
#[derive(ArgsInfo, FromArgs, Debug, PartialEq)]
#[argh(
    subcommand,
    name = "quota",
    usage = "<command> [<args>]",
    example = "{command_name} serve --limit egress=100m --limit api=100/s\n\
        {command_name} list\n\
        {command_name} set egress=200m",
    note = "Limits: RESOURCE=LIMIT; 100/s is requests, 100m or 8mbit is bytes.\n\
        {command_name} serve --help lists the flags of a command.",
    help_triggers("-h", "--help", "help")
)]
pub(in crate::cli) struct Quota {
    #[argh(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(ArgsInfo, FromArgs, Debug, PartialEq)]
#[argh(subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, and argh takes no box")]
pub(super) enum Command {
    Serve(Serve),
    List(List),
    Get(Get),
    Set(Set),
    Delete(Delete),
    Reset(Reset),
    Clients(Clients),
    Watch(Watch),
}

/// Run a quota server.
#[derive(ArgsInfo, FromArgs, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "serve",
    usage = "[options]",
    example = "{command_name} --limit egress=100m\n\
        {command_name} --limit egress=8mbit --token-file token",
    help_triggers("-h", "--help", "help")
)]
pub(super) struct Serve {
    /// where to listen: 127.0.0.1:9190 or [::1]:9190 for TCP, unix:PATH for a Unix socket; repeatable (default 127.0.0.1:9190)
    #[argh(option, arg_name = "addr")]
    pub(super) listen: Vec<String>,

    /// a limit to start with: egress=100m (bytes/s) or api=100/s (requests); repeatable (default none)
    #[argh(option, arg_name = "limit")]
    pub(super) limit: Vec<String>,

    /// a limit at times of the week, egress=40m during Mon-Fri 08:00-18:00, in the place of its --limit; repeatable, the first whose time it is holds (default none)
    #[argh(option, arg_name = "limit")]
    pub(super) schedule: Vec<String>,

    /// the time zone of --schedule, such as Europe/Berlin (default UTC)
    #[argh(option, arg_name = "name")]
    pub(super) time_zone: Option<String>,

    /// where limits that are set by hand are kept: memory, until a restart; file:PATH; or redis://HOST:PORT/DB, rediss://…, redis+sentinel://HOST,HOST/NAME or unix:PATH, a Redis or Valkey server that several quota servers share, of which one leads (default memory)
    #[argh(option, arg_name = "store")]
    pub(super) store: Option<String>,

    /// the file with the password of a shared store; the user is in its address (default none)
    #[argh(option, arg_name = "file")]
    pub(super) store_password_file: Option<String>,

    /// certificates in PEM of the authorities to trust with rediss:// (default those of the machine)
    #[argh(option, arg_name = "file")]
    pub(super) store_ca: Option<String>,

    /// what all keys in a shared store begin with (default sluicegate)
    #[argh(option, arg_name = "text")]
    pub(super) store_prefix: Option<String>,

    /// where clients reach this server, which the others on a shared store tell them: http://HOST:PORT (default the first --listen)
    #[argh(option, arg_name = "url")]
    pub(super) advertise: Option<String>,

    /// where to serve metrics and probes: 127.0.0.1:9191 or unix:PATH (default nowhere)
    #[argh(option, arg_name = "addr")]
    pub(super) admin: Option<String>,

    /// the file with the token that requests for metrics must send; off loopback it is required (default none)
    #[argh(option, arg_name = "file")]
    pub(super) admin_token_file: Option<String>,

    /// how long a client lives, and a lease lasts, after a heartbeat (default 30s)
    #[argh(option, arg_name = "time")]
    pub(super) heartbeat_timeout: Option<String>,

    /// how long after its start the server grants only what clients say they hold; 0s if no lease of an earlier server can be left (default --heartbeat-timeout)
    #[argh(option, arg_name = "time")]
    pub(super) learning: Option<String>,

    /// live clients; more are refused (default 10000)
    #[argh(option, arg_name = "number")]
    pub(super) max_clients: Option<String>,

    /// limits; more are refused (default 1000)
    #[argh(option, arg_name = "number")]
    pub(super) max_resources: Option<String>,

    /// the file with the token that callers must send; off loopback this or --client-ca is required (default none)
    #[argh(option, arg_name = "file")]
    pub(super) token_file: Option<String>,

    /// the server's certificate chain in PEM, for TLS (default none)
    #[argh(option, arg_name = "file")]
    pub(super) tls_cert: Option<String>,

    /// its private key in PEM (default none)
    #[argh(option, arg_name = "file")]
    pub(super) tls_key: Option<String>,

    /// certificates in PEM of the authorities that sign clients' certificates; only such clients are served (default none)
    #[argh(option, arg_name = "file")]
    pub(super) client_ca: Option<String>,

    /// time calls under way have after SIGTERM (default 5s)
    #[argh(option, arg_name = "time")]
    pub(super) drain: Option<String>,

    /// off, error, warn, info, debug or trace (default info)
    #[argh(option, arg_name = "level")]
    pub(super) log_level: Option<String>,

    /// auto (text on a terminal, else JSON), json or text; all of the log is on standard error (default auto)
    #[argh(option, arg_name = "form")]
    pub(super) log_format: Option<String>,
}

/// Declares the arguments of a command that calls a quota server: its own, then those of all such commands.
macro_rules! asking_command {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        #[derive(ArgsInfo, FromArgs, Debug, Default, PartialEq)]
        $(#[$about])*
        pub(super) struct $name {
            $($own)*

            /// the quota server (default http://127.0.0.1:9190)
            #[argh(option, arg_name = "url")]
            pub(super) server: Option<String>,

            /// the file with the token that it requires (default none)
            #[argh(option, arg_name = "file")]
            pub(super) token_file: Option<String>,

            /// certificates in PEM of the authorities to trust; required for https (default none)
            #[argh(option, arg_name = "file")]
            pub(super) tls_ca: Option<String>,

            /// the certificate chain in PEM to present, if the server requires one (default none)
            #[argh(option, arg_name = "file")]
            pub(super) tls_cert: Option<String>,

            /// its private key in PEM (default none)
            #[argh(option, arg_name = "file")]
            pub(super) tls_key: Option<String>,

            /// print JSON, one object per line (default no)
            #[argh(switch)]
            pub(super) json: bool,
        }

        impl $name {
            pub(super) fn connector(&self) -> Result<Connector, CliError> {
                let tls = [&self.tls_ca, &self.tls_cert, &self.tls_key].map(Option::as_deref);
                super::connector(self.server.as_deref(), self.token_file.as_deref(), tls)
            }
        }
    };
}

asking_command! {
    /// List the limits, and how much of each is granted to how many clients.
    #[argh(subcommand, name = "list", usage = "[options]", help_triggers("-h", "--help", "help"))]
    List {}
}

asking_command! {
    /// Show one limit.
    #[argh(subcommand, name = "get", usage = "[options] [--] RESOURCE", help_triggers("-h", "--help", "help"))]
    Get {
        /// the resource
        #[argh(positional, arg_name = "RESOURCE")]
        pub(super) resource: String,
    }
}

asking_command! {
    /// Set a limit, or make one.
    #[argh(
        subcommand,
        name = "set",
        usage = "[options] [--] RESOURCE=LIMIT",
        note = "It holds until the quota server restarts; for good if that has\n\
            `quota serve --store file:PATH`. It goes over --limit and --schedule.",
        help_triggers("-h", "--help", "help")
    )]
    Set {
        /// the limit: egress=100m (bytes/s) or api=100/s (requests)
        #[argh(positional, arg_name = "RESOURCE=LIMIT")]
        pub(super) limit: String,
    }
}

asking_command! {
    /// Take back what was set or deleted by hand: what the flags of the quota server say holds again.
    #[argh(subcommand, name = "reset", usage = "[options] [--] RESOURCE", help_triggers("-h", "--help", "help"))]
    Reset {
        /// the resource
        #[argh(positional, arg_name = "RESOURCE")]
        pub(super) resource: String,
    }
}

asking_command! {
    /// Delete a limit, for as long as one that is set holds.
    #[argh(subcommand, name = "delete", usage = "[options] [--] RESOURCE", help_triggers("-h", "--help", "help"))]
    Delete {
        /// the resource
        #[argh(positional, arg_name = "RESOURCE")]
        pub(super) resource: String,
    }
}

asking_command! {
    /// List the live clients and their shares.
    #[argh(subcommand, name = "clients", usage = "[options]", help_triggers("-h", "--help", "help"))]
    Clients {}
}

asking_command! {
    /// Print all shares, then each change, until stopped.
    #[argh(subcommand, name = "watch", usage = "[options] [--] [RESOURCE]", help_triggers("-h", "--help", "help"))]
    Watch {
        /// the resource to look at (default all)
        #[argh(positional, arg_name = "RESOURCE")]
        pub(super) resource: Option<String>,
    }
}
