//! `sluicegate events`: what was typed.

use argh::FromArgs;
use sluicegate::config::{Draft, EventSettings};

one_route_command! {
    /// Serve event streams at /events/NAME: POST publishes, GET subscribes.
    #[argh(subcommand, name = "events", usage = "[options] [--] [NAME ...]", help_triggers("-h", "--help", "help"))]
    Events {
        /// a stream that exists from the start; others begin with their first event
        #[argh(positional, arg_name = "NAME")]
        pub(in crate::cli) names: Vec<String>,

        /// the file with the token that publishers send; without it only this machine may publish (default none)
        #[argh(option, arg_name = "file")]
        pub(in crate::cli) publish_token_file: Option<String>,

        /// an origin whose pages may use the streams, such as https://app.example, or * for any; repeatable (default none)
        #[argh(option, arg_name = "origin")]
        pub(in crate::cli) origin: Vec<String>,

        /// a host name by which the streams may be requested; without one, a loopback address answers to loopback names only; repeatable
        /// (default none)
        #[argh(option, arg_name = "name")]
        pub(in crate::cli) server_name: Vec<String>,

        /// events that may wait for one subscriber; above that it is moved to polling (default 1000)
        #[argh(option, arg_name = "number")]
        pub(in crate::cli) queue: Option<String>,

        /// how long an event waits for a subscriber, and how long a disconnected one is remembered (default 30s)
        #[argh(option, arg_name = "time")]
        pub(in crate::cli) ttl: Option<String>,

        /// events that each stream keeps for subscribers that resume or poll (default 10000)
        #[argh(option, arg_name = "number")]
        pub(in crate::cli) log: Option<String>,

        /// how long these are kept (default 5m)
        #[argh(option, arg_name = "time")]
        pub(in crate::cli) log_ttl: Option<String>,

        /// events per second to one subscriber (default off)
        #[argh(option, arg_name = "number")]
        pub(in crate::cli) event_rate: Option<String>,

        /// events to one subscriber at once; needs --event-rate (default 100)
        #[argh(option, arg_name = "number")]
        pub(in crate::cli) event_burst: Option<String>,

        /// what a suspended subscriber gets: stream (200, a stream of one pause event) or 429 (default stream)
        #[argh(option, arg_name = "answer")]
        pub(in crate::cli) suspend: Option<String>,

        /// the OTLP collector for spans of events whose traceparent is sampled: http://HOST:4318 (default none)
        #[argh(option, arg_name = "url")]
        pub(in crate::cli) otlp: Option<String>,
    }
}

impl Events {
    /// Sets the keys of its flags.
    pub(in crate::cli) fn set(&self, draft: &mut Draft) {
        draft.text("", "route[0].path", Some("/events/"));
        draft.table("", "route[0].events");
        draft.texts("NAME", "route[0].events.names", &self.names);
        let token_file = self.publish_token_file.as_deref();
        draft.text("--publish-token-file", "route[0].events.publish_token_file", token_file);
        draft.texts("--origin", "route[0].events.origins", &self.origin);
        draft.texts("--server-name", "route[0].events.server_names", &self.server_name);
        draft.text("--queue", "route[0].events.queue", self.queue.as_deref());
        draft.text("--ttl", "route[0].events.ttl", self.ttl.as_deref());
        draft.text("--log", "route[0].events.log", self.log.as_deref());
        draft.text("--log-ttl", "route[0].events.log_ttl", self.log_ttl.as_deref());
        draft.text("--event-rate", "route[0].events.rate", self.event_rate.as_deref());
        draft.text("--event-burst", "route[0].events.burst", self.event_burst.as_deref());
        draft.text("--suspend", "route[0].events.suspend", self.suspend.as_deref());
        draft.text("--otlp", "tracing.otlp", self.otlp.as_deref());
        if self.event_burst.is_some() && self.event_rate.is_none() {
            let text = "without a rate there is nothing to be ahead of; set --event-rate too";
            draft.reject("--event-burst", text);
        }
        // No flag says how large a batch is: it is no larger than the queue.
        let largest = EventSettings::default().batch;
        let queue = self.queue.as_deref();
        let is_small = |queue: &&str| queue.parse().is_ok_and(|queue| (1..largest).contains(&queue));
        draft.text("", "route[0].events.batch", queue.filter(is_small));
        self.set_route(draft);
    }
}
