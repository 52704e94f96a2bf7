//! `sluicegate events`: what was typed.

use argh::{ArgsInfo, FromArgs};
use sluicegate::config::{Draft, EventSettings};

use super::{Flags, Key, flag};

one_route_command! {
    /// Serve event streams at /events/NAME: POST publishes, GET subscribes.
    #[argh(
        subcommand,
        name = "events",
        usage = "[options] [--] [NAME ...]",
        example = "{command_name} news\n\
            {command_name} news prices --event-rate 50 --rate 1m",
        help_triggers("-h", "--help", "help")
    )]
    Events {
        /// a stream that exists from the start; others begin with their first event
        #[argh(positional, arg_name = "NAME")]
        names: Vec<String>,

        /// the file with the token that publishers send; without it only this machine may publish (default none)
        #[argh(option, arg_name = "file")]
        publish_token_file: Option<String> => "route[0].events.publish_token_file",

        /// an origin whose pages may use the streams, such as https://app.example, or * for any; repeatable (default none)
        #[argh(option, arg_name = "origin")]
        origin: Vec<String> => "route[0].events.origins",

        /// a host name by which the streams may be requested; without one, a loopback address answers to loopback names only; repeatable
        /// (default none)
        #[argh(option, arg_name = "name")]
        server_name: Vec<String> => "route[0].events.server_names",

        /// events that may wait for one subscriber; above that it is moved to polling (default 1000)
        #[argh(option, arg_name = "number")]
        queue: Option<String> => "route[0].events.queue",

        /// how long an event waits for a subscriber, and how long a disconnected one is remembered (default 30s)
        #[argh(option, arg_name = "time")]
        ttl: Option<String> => "route[0].events.ttl",

        /// events that each stream keeps for subscribers that resume or poll (default 10000)
        #[argh(option, arg_name = "number")]
        log: Option<String> => "route[0].events.log",

        /// how long these are kept (default 5m)
        #[argh(option, arg_name = "time")]
        log_ttl: Option<String> => "route[0].events.log_ttl",

        /// where the streams are kept: memory; file:PATH, which survives a restart; or redis://HOST:PORT, which servers share (default memory)
        #[argh(option, arg_name = "store")]
        store: Option<String> => "route[0].events.store",

        /// the file with the password of a shared store; the user is in its address (default none)
        #[argh(option, arg_name = "file")]
        store_password_file: Option<String> => "route[0].events.store_password_file",

        /// what all keys in a shared store begin with (default sluicegate)
        #[argh(option, arg_name = "prefix")]
        store_prefix: Option<String> => "route[0].events.store_prefix",

        /// pace at which the content of each request is read, spelt as for --rate; TCP or the window of HTTP/2 holds the sender back (default off)
        #[argh(option, arg_name = "rate")]
        upload_rate: Option<String> => "route[0].upload.rate",

        /// content that is read ahead of that pace, once per request, spelt as for --burst; needs --upload-rate (default 0)
        #[argh(option, arg_name = "burst")]
        upload_burst: Option<String> => "route[0].upload.burst",

        /// events per second to one subscriber (default off)
        #[argh(option, arg_name = "number")]
        event_rate: Option<String> => "route[0].events.rate",

        /// events to one subscriber at once; needs --event-rate (default 100)
        #[argh(option, arg_name = "number")]
        event_burst: Option<String> => "route[0].events.burst",

        /// what a suspended subscriber gets: stream (200, a stream of one pause event) or 429 (default stream)
        #[argh(option, arg_name = "answer")]
        suspend: Option<String> => "route[0].events.suspend",

        /// the OTLP collector for spans of events whose traceparent is sampled: http://HOST:4318 (default none)
        #[argh(option, arg_name = "url")]
        otlp: Option<String> => "tracing.otlp",
    }
}

impl Events {
    fn set_others(&self, draft: &mut Draft) {
        draft.text("", "route[0].path", Some("/events/"));
        draft.table("", "route[0].events");
        draft.texts("NAME", "route[0].events.names", &self.names);
        if self.event_burst.is_some() && self.event_rate.is_none() {
            let text = "without a rate there is nothing to be ahead of; set --event-rate too";
            draft.reject("--event-burst", text);
        }
        // No flag says how large a batch is: it is no larger than the queue.
        let largest = EventSettings::default().batch;
        let queue = self.queue.as_deref();
        let is_small = |queue: &&str| queue.parse().is_ok_and(|queue| (1..largest).contains(&queue));
        draft.text("", "route[0].events.batch", queue.filter(is_small));
    }
}
