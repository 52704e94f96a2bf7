//! The commands that serve: run a server until it is told to stop.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{FutureExt, future};
use sluicegate::address::ListenAddr;
use sluicegate::admin::Admin;
use sluicegate::clock::{Clock, Sleep};
use sluicegate::config::{Config, FilterKinds, QuotaSource};
use sluicegate::duration;
use sluicegate::http::server::{Handle, Server};
use sluicegate::logging;
use sluicegate::quota::egress::Egress;
use sluicegate::rt::{self, Signals};
use sluicegate::tls::NamedTls;
use sluicegate::tracing::Tracer;

use super::args::Run;
use super::reload::End;
use super::upgrade::{Upgrade, feed_watchdog};
use super::{CliError, StartLog, begin_log, listen_for_signals, reload, summary, upgrade};

/// Descriptors needed besides those of connections: logs, listeners, folders, the reactor.
const OWN_DESCRIPTORS: u64 = 64;

/// How long stores of event streams have at the end.
const KEEPING: Duration = Duration::from_secs(10);

/// Time at the end for the export of waiting spans.
const SPANS_LEFT: Duration = Duration::from_secs(2);

/// Serves `config` until SIGTERM, SIGQUIT or SIGINT, and then until transfers under way have ended. SIGHUP reloads
/// the file of `typed`, if there is one.
pub(super) fn run(config: &Config, typed: Option<Run>, start_log: StartLog) -> Result<(), CliError> {
    let mut upgrade = Upgrade::new()?;
    let descriptors = rt::raise_descriptor_limit();
    let mut signals = listen_for_signals()?;
    let server = Server::from_config_on(config, &FilterKinds::default(), &mut upgrade.listeners)
        .map_err(CliError::failed)?;
    let admin =
        Admin::from_config_on(config, server.handle(), &mut upgrade.listeners).map_err(CliError::failed)?;
    let bind = |source| {
        let (handle, of) = (server.handle(), server.handle());
        let class = move |name: &str| Some(of.budgets().class(name)?.clients().parent().clone());
        Egress::bind(source, handle.budgets().server().clone(), Arc::new(class))
    };
    let egress = config.quota.as_ref().map(bind);
    let egress = egress.transpose().map_err(CliError::failed)?;
    let admin = match (admin, &egress) {
        (Some(admin), Some(egress)) => Some(admin.with_metrics(egress.metrics()).with_fleet(egress.fleet())),
        (admin, _) => admin,
    };
    logging::announce(log::Level::Info, &started(config, &server, admin.as_ref()));
    let program_log = begin_log(start_log, config.log_level)?;
    // One for the client, one for its file or upstream.
    let needed = (config.server.max_connections as u64).saturating_mul(2).saturating_add(OWN_DESCRIPTORS);
    if let Some(limit) = descriptors.filter(|limit| *limit < needed) {
        log::warn!(
            limit, needed;
            "the limit of open files is too low for --max-connections: raise it (ulimit -n), or connections may fail"
        );
    }
    for (_, tls) in server.handle().extension::<NamedTls>().unwrap_or_default().iter() {
        let tls = tls.clone();
        rt::spawn(async move { tls.watch(&(rt::clock() as Arc<dyn Clock>)).await });
    }
    upgrade.announce();

    let handle = server.handle();
    let serving = async {
        match admin {
            Some(admin) => _ = future::zip(server.run(), admin.run()).await,
            None => server.run().await,
        }
    };
    let telling = async {
        match &egress {
            Some(egress) => egress.tell_demand().await,
            None => future::pending().await,
        }
    };
    let controlling = controlled(&mut signals, typed, &handle, &upgrade);
    rt::block_on(serving.or(telling).or(controlling));
    if let Some(egress) = egress {
        rt::block_on(egress.close());
    }
    rt::block_on(keep_events(&handle));
    end_tracing(&handle);
    log::info!("stopped");
    program_log.finish();
    Ok(())
}

/// Does what signals ask for until the server has ended. Never ends itself.
async fn controlled(signals: &mut Signals, typed: Option<Run>, handle: &Handle, upgrade: &Upgrade) {
    let reload = typed.map(|typed| move || reload::reload(typed.clone(), handle.clone()));
    match reload::until_end(signals, reload, upgrade, Some(handle)).or(feed_watchdog()).await {
        End::Told(signal) => {
            // Before it is logged: whoever reads that may start the next server.
            handle.drain();
            upgrade::tell_stopping(handle.drain_time());
            log::info!(connections = handle.connections(), signal:?; "draining: no new connections; a second signal stops at once");
            reload::ending(signals, Some(handle)).or(feed_watchdog()).await;
        }
        End::Replaced(new) => {
            let pid = new.id();
            let ended = upgrade.pass_on(new, || handle.hand_over());
            log::info!(connections = handle.connections(), pid; "draining: the new program serves; a signal stops this one at once");
            reload::ending(signals, Some(handle)).or(ended).await;
        }
    }
    log::warn!(connections = handle.connections(); "stopping: transfers under way are cut");
    handle.stop();
    future::pending().await
}

/// Completes when the stores of event streams have all that was published, or take too long.
async fn keep_events(handle: &Handle) {
    let late = async {
        Sleep::lasting(rt::clock(), KEEPING).await;
        false
    };
    let kept = async {
        for hub in handle.routes().iter().filter_map(|route| route.hub()) {
            hub.close();
            hub.closed().await;
        }
        true
    };
    if !kept.or(late).await {
        log::warn!("a store of event streams did not take in time what it has to keep");
    }
}

/// Exports the spans of open deliveries, and drops those that take too long. Blocks the thread.
fn end_tracing(handle: &Handle) {
    let Some(tracer) = handle.extension::<Arc<Tracer>>() else { return };
    handle.routes().iter().filter_map(|route| route.hub()).for_each(|hub| hub.end_traces());
    let dropped = tracer.close(SPANS_LEFT);
    if dropped > 0 {
        log::warn!(dropped; "spans were not exported in time");
    }
}

/// The lines that a server prints when it starts: where it listens, what it serves, how fast.
fn started(config: &Config, server: &Server, admin: Option<&Admin>) -> String {
    let mut text = String::new();
    let mut bound = server.local_addrs().into_iter();
    for listen in &config.listen {
        // Writing to a string does not fail.
        let _ = match &listen.address {
            ListenAddr::Tcp(addr) => {
                let addr = bound.next().unwrap_or(*addr);
                writeln!(text, "listening on {}://{addr}", scheme(listen.tls.as_deref()))
            }
            ListenAddr::Unix { path, .. } => writeln!(text, "listening on unix:{}", path.display()),
        };
    }
    for addr in server.redirect_addrs() {
        let _ = writeln!(text, "redirecting http://{addr} to https");
    }
    let tls = server.handle().extension::<NamedTls>().unwrap_or_default();
    for (name, tls) in tls.iter().filter(|(name, _)| config.tls.get(*name).is_some_and(|tls| tls.self_signed))
    {
        for certificate in tls.certificates() {
            let fingerprint = certificate.fingerprint;
            let _ = writeln!(text, "certificate of {name}, made for this run: SHA-256 {fingerprint}");
        }
    }
    match (&config.admin, admin.and_then(|admin| admin.local_addrs().pop())) {
        (Some(source), Some(addr)) => _ = writeln!(text, "admin on {}://{addr}", scheme(source.tls())),
        (None, Some(addr)) => _ = writeln!(text, "admin on http://{addr}"),
        (Some(source), None) => _ = writeln!(text, "admin on {}", source.listen()),
        (None, None) => {}
    }
    for (port, given) in server.handle().ports().iter().zip(&config.tcp) {
        let _ = writeln!(text, "listening on {}  {}", port.name(), summary::tcp_source(&given.source));
        let _ = writeln!(text, "  each client: {}", summary::tcp_pace(given));
    }
    if let Some(QuotaSource { resource, servers, client, classes, .. }) = &config.quota {
        let _ = writeln!(text, "quota: at most its share of {resource} from {servers}, as client {client}");
        for (class, resource) in classes {
            let _ = writeln!(text, "  class {class}: at most its share of {resource}");
        }
    }
    if let Some(tracer) = server.handle().extension::<Arc<Tracer>>() {
        let _ = writeln!(text, "spans of traced events go to {}", tracer.endpoint());
    }
    if let Some(pace) = summary::shared(config.server.limits.server) {
        let _ = writeln!(text, "all responses together: {pace}");
    }
    if let Some(pace) = summary::shared(config.server.limits.client) {
        let _ = writeln!(text, "each client (by {}): {pace}", config.server.limits.key);
    }
    for class in &config.classes {
        let _ = writeln!(text, "class {}: {}", class.name, summary::class_limits(class));
    }
    if let Some(pace) = summary::connection_pace(&config.server.sink) {
        let _ = writeln!(text, "each connection: {pace}");
    }
    for route in &config.routes {
        let name = route.name();
        let width = name.len();
        let _ = writeln!(text, "  {name}  {}", summary::source(&route.source));
        let _ = writeln!(text, "  {:width$}  each response: {}", "", summary::pace_of(route));
        let label = "hosts: ";
        if let Some(hosts) = summary::hosts(route, 4 + width + label.len()) {
            let _ = writeln!(text, "  {:width$}  {label}{hosts}", "");
        }
    }
    let drain = duration::spell(config.server.drain);
    let _ = writeln!(text, "Ctrl-C stops; transfers under way then have {drain}");
    text
}

fn scheme(tls: Option<&str>) -> &'static str {
    if tls.is_some() { "https" } else { "http" }
}
