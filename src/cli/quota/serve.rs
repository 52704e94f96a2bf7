//! `sluicegate quota serve`: runs a quota server until it is told to stop.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use futures_lite::{FutureExt, future};
use sluicegate::address::ListenAddr;
use sluicegate::admin::Figures;
use sluicegate::config::bind;
use sluicegate::config::words::parse_log_level;
use sluicegate::duration;
use sluicegate::logging;
use sluicegate::quota::NamedLimit;
use sluicegate::quota::server::{
    QuotaSchedule, QuotaServer, QuotaServerHandle, QuotaServerSettings, QuotaStore, permitted,
};
use sluicegate::rt::{self, Signals};
use sluicegate::schedule::{During, Timetable, Zone};
use sluicegate::tls::ServerTls;

use super::args::Serve;
use super::{CliError, DEFAULT_ADDRESS, StartLog, identity};
use crate::cli::reload::{self, End};
use crate::cli::upgrade::{self, Upgrade, feed_watchdog};
use crate::cli::{begin_log, listen_for_signals, token, value};

/// Descriptors needed besides those of connections.
const OWN_DESCRIPTORS: u64 = 64;

pub(super) fn run(typed: &Serve, start_log: StartLog) -> Result<(), CliError> {
    let log_level =
        value("--log-level", &typed.log_level, parse_log_level)?.unwrap_or(log::LevelFilter::Info);
    let log_format = value("--log-format", &typed.log_format, str::parse)?.unwrap_or_default();
    logging::set_format(log_format);
    let addresses = listen(typed)?;
    let settings = settings(typed)?;
    for addr in &addresses {
        if let ListenAddr::Tcp(addr) = addr {
            permitted(*addr, settings.token.as_ref(), settings.tls.as_ref()).map_err(CliError::failed)?;
        }
    }
    let mut upgrade = Upgrade::new()?;
    let descriptors = rt::raise_descriptor_limit();
    let mut signals = listen_for_signals()?;
    let listeners = addresses
        .iter()
        .map(|addr| bind(addr, &mut upgrade.listeners))
        .collect::<Result<_, _>>()
        .map_err(CliError::failed)?;
    let server = QuotaServer::new(settings.clone(), listeners).map_err(CliError::failed)?;
    let admin = admin(typed, &addresses, &server.handle(), &mut upgrade)?;
    let admin_at = admin.as_ref().map(|(admin, addr)| match admin.local_addrs().first() {
        Some(bound) => format!("http://{bound}"),
        None => addr.to_string(),
    });
    logging::announce(log::Level::Info, &started(&addresses, admin_at.as_deref(), &server, &settings));
    let program_log = begin_log(start_log, log_level)?;
    let needed = settings.max_connections as u64 + OWN_DESCRIPTORS;
    if let Some(limit) = descriptors.filter(|limit| *limit < needed) {
        log::warn!(limit, needed; "the limit of open files is too low for --max-clients: raise it (ulimit -n)");
    }

    upgrade.announce();

    let handle = server.handle();
    let controlling = controlled(&mut signals, &handle, &upgrade, settings.drain);
    let serving = async {
        let figures = async {
            if let Some((admin, _)) = admin {
                admin.run(handle.draining(), handle.stopped()).await;
            }
        };
        future::zip(server.run(), figures).await;
    };
    rt::block_on(serving.or(controlling));
    log::info!("stopped");
    program_log.finish();
    Ok(())
}

/// Does what signals ask for until the server has ended. Never ends itself.
async fn controlled(signals: &mut Signals, handle: &QuotaServerHandle, upgrade: &Upgrade, drain: Duration) {
    let no_reload: Option<fn() -> future::Pending<()>> = None;
    match reload::until_end(signals, no_reload, upgrade, None).or(feed_watchdog()).await {
        End::Told(signal) => {
            handle.drain();
            upgrade::tell_stopping(drain);
            log::info!(clients = handle.clients(), signal:?; "draining; a second signal stops at once");
            reload::ending(signals, None).await;
        }
        End::Replaced(new) => {
            let pid = new.id();
            let ended = upgrade.pass_on(new, || handle.drain());
            log::info!(clients = handle.clients(), pid; "draining: the new program serves; a signal stops this one at once");
            reload::ending(signals, None).or(ended).await;
        }
    }
    log::warn!("stopping: calls under way are cut");
    handle.stop();
    future::pending().await
}

/// The admin listener, if there is to be one, and its address.
fn admin(
    typed: &Serve,
    clients: &[ListenAddr],
    handle: &QuotaServerHandle,
    upgrade: &mut Upgrade,
) -> Result<Option<(Figures, ListenAddr)>, CliError> {
    let Some(addr) = value("--admin", &typed.admin, str::parse::<ListenAddr>)? else {
        return match typed.admin_token_file {
            Some(_) => Err(CliError::Usage("--admin-token-file needs --admin: give that too".to_owned())),
            None => Ok(None),
        };
    };
    if clients.iter().any(|other| other.clashes_with(&addr)) {
        let text = format!("{addr} is where clients are listened for; choose another port");
        return Err(CliError::flag("--admin", text));
    }
    let token = token(typed.admin_token_file.as_deref())?;
    let listener = bind(&addr, &mut upgrade.listeners).map_err(CliError::failed)?;
    let figures = Figures::new(vec![listener], token).map_err(CliError::failed)?;
    let ready = handle.clone();
    Ok(Some((
        figures
            .with_metrics(handle.metrics())
            .ready_when(move || ready.readiness().map_err(|error| error.to_string())),
        addr,
    )))
}

fn listen(typed: &Serve) -> Result<Vec<ListenAddr>, CliError> {
    let mut addresses: Vec<ListenAddr> = Vec::new();
    let default = [DEFAULT_ADDRESS.to_owned()];
    for text in if typed.listen.is_empty() { &default[..] } else { &typed.listen } {
        let addr: ListenAddr = text.parse().map_err(|error| CliError::flag("--listen", error))?;
        if addresses.iter().any(|other| other.clashes_with(&addr)) {
            return Err(CliError::flag("--listen", format_args!("{addr} is given twice")));
        }
        addresses.push(addr);
    }
    Ok(addresses)
}

fn settings(typed: &Serve) -> Result<QuotaServerSettings, CliError> {
    let mut settings = QuotaServerSettings::default();
    let positive = |text: &str| duration::parse(text).and_then(duration::positive);
    let timeout = value("--heartbeat-timeout", &typed.heartbeat_timeout, positive)?;
    settings.book.heartbeat_timeout = timeout.unwrap_or(settings.book.heartbeat_timeout);
    let learning = value("--learning", &typed.learning, duration::parse)?;
    settings.book.learning = learning.unwrap_or(settings.book.heartbeat_timeout);
    if let Some(most) = value("--max-clients", &typed.max_clients, count)? {
        settings.book.most_clients = most;
        settings.max_connections = most + most / 10 + 16;
    }
    let most = value("--max-resources", &typed.max_resources, count)?;
    settings.book.most_resources = most.unwrap_or(settings.book.most_resources);
    for text in &typed.limit {
        let named: NamedLimit = text.parse().map_err(|error| CliError::flag("--limit", error))?;
        if settings.limits.iter().any(|other| other.resource == named.resource) {
            return Err(CliError::flag("--limit", format_args!("{} is given twice", named.resource)));
        }
        settings.limits.push(named);
    }
    settings.schedules = schedules(typed, &settings.limits)?;
    settings.store = store(typed)?;
    settings.advertise = value("--advertise", &typed.advertise, str::parse)?;
    let is_shared = matches!(settings.store, QuotaStore::Redis(_));
    if !is_shared && typed.advertise.is_some() {
        return Err(CliError::Usage(
            "--advertise is of a shared --store: give that too, or leave it out".to_owned(),
        ));
    }
    if is_shared && settings.book.learning < settings.book.heartbeat_timeout {
        let text = "is shorter than --heartbeat-timeout: a new leader on a shared --store learns for one lease; leave it out";
        return Err(CliError::flag("--learning", text));
    }
    settings.drain = value("--drain", &typed.drain, duration::parse)?.unwrap_or(settings.drain);
    settings.token = token(typed.token_file.as_deref())?;
    let identity = identity(typed.tls_cert.as_deref(), typed.tls_key.as_deref())?;
    settings.tls = match (&identity, &typed.client_ca) {
        (Some(identity), authority) => {
            let tls = ServerTls::new(identity, authority.as_deref().map(Path::new));
            Some(tls.map_err(CliError::failed)?)
        }
        (None, Some(_)) => {
            return Err(CliError::Usage(
                "--client-ca needs --tls-cert and --tls-key: give them too".to_owned(),
            ));
        }
        (None, None) => None,
    };
    Ok(settings)
}

/// The store, with what belongs to a shared one.
fn store(typed: &Serve) -> Result<QuotaStore, CliError> {
    let mut store = value("--store", &typed.store, str::parse)?.unwrap_or_default();
    let belonging = [
        ("--store-password-file", &typed.store_password_file),
        ("--store-ca", &typed.store_ca),
        ("--store-prefix", &typed.store_prefix),
    ];
    if let QuotaStore::Redis(source) = &mut store {
        source.password_file = typed.store_password_file.as_ref().map(Into::into);
        source.authorities = typed.store_ca.as_ref().map(Into::into);
        if let Some(prefix) = &typed.store_prefix {
            let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
            if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(is_fine) {
                return Err(CliError::flag("--store-prefix", "write 1 to 64 letters, digits and -._:/"));
            }
            source.prefix.clone_from(prefix);
        }
        return Ok(store);
    }
    match belonging.into_iter().find(|(_, typed)| typed.is_some()) {
        Some((flag, _)) => {
            let text =
                format!("{flag} is of a shared --store, redis://HOST:PORT: give that too, or leave it out");
            Err(CliError::Usage(text))
        }
        None => Ok(store),
    }
}

/// The schedules of limits, in the order of the limits; each is of one of them.
fn schedules(typed: &Serve, limits: &[NamedLimit]) -> Result<Vec<QuotaSchedule>, CliError> {
    let wrong = |text: String| CliError::flag("--schedule", text);
    let zone: Option<Zone> = value("--time-zone", &typed.time_zone, str::parse)?;
    if zone.is_some() && typed.schedule.is_empty() {
        return Err(CliError::Usage(
            "--time-zone is of --schedule: give that too, or leave it out".to_owned(),
        ));
    }
    let zone = zone.unwrap_or_default();
    let mut times: Vec<(NamedLimit, During)> = Vec::new();
    for text in &typed.schedule {
        let Some((limit, during)) = text.split_once(" during ") else {
            return Err(wrong(format!("{text:?} has no time; write egress=40m during Mon-Fri 08:00-18:00")));
        };
        let named: NamedLimit = limit.trim().parse().map_err(|error| CliError::flag("--schedule", error))?;
        let during = During::parse([during], zone.clone()).map_err(|error| wrong(error.to_string()))?;
        let Some(own) = limits.iter().find(|own| own.resource == named.resource) else {
            let resource = &named.resource;
            return Err(wrong(format!(
                "{resource} has no limit at other times; give --limit {resource}=… too"
            )));
        };
        if own.limit.unit() != named.limit.unit() {
            return Err(wrong(format!("{named} does not count what --limit {own} does; write both alike")));
        }
        times.push((named, during));
    }
    let of = |own: &NamedLimit| {
        let own_times = times.iter().filter(|(named, _)| named.resource == own.resource);
        let own_times = own_times.map(|(named, during)| (during.clone(), named.limit)).collect();
        QuotaSchedule { resource: own.resource.clone(), own: own.limit, times: Timetable::new(own_times) }
    };
    Ok(limits.iter().map(of).filter(|schedule| !schedule.times.is_empty()).collect())
}

fn count(text: &str) -> Result<usize, String> {
    const MOST: usize = 1_000_000;
    let count = text.parse().ok().filter(|count| (1..=MOST).contains(count));
    count.ok_or_else(|| format!("{text:?} is not a whole number from 1 to {MOST}"))
}

/// The lines that the server prints when it starts.
fn started(
    addresses: &[ListenAddr],
    admin: Option<&str>,
    server: &QuotaServer,
    settings: &QuotaServerSettings,
) -> String {
    let mut text = String::new();
    let mut bound = server.local_addrs().into_iter();
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    for addr in addresses {
        // Writing to a string does not fail.
        let at = match addr {
            ListenAddr::Tcp(addr) => format!("{scheme}://{}", bound.next().unwrap_or(*addr)),
            ListenAddr::Unix { path, .. } => format!("unix:{}", path.display()),
        };
        let _ = writeln!(text, "quota server listening on {at}");
    }
    if let Some(at) = admin {
        let _ = writeln!(text, "admin on {at}");
    }
    for named in &settings.limits {
        let _ = writeln!(text, "  {named}");
    }
    for schedule in &settings.schedules {
        for (during, limit) in schedule.times.iter() {
            let _ = writeln!(text, "  {}={limit} during {during}", schedule.resource);
        }
    }
    for (resource, limit) in server.set_by_hand() {
        let _ = match limit {
            Some(limit) => writeln!(text, "  {resource}={limit}, set by hand"),
            None => writeln!(text, "  {resource} deleted by hand"),
        };
    }
    let _ = match &settings.store {
        QuotaStore::Memory => {
            writeln!(text, "what is set by hand holds until a restart; --store file:PATH keeps it")
        }
        QuotaStore::File(_) => writeln!(text, "what is set by hand is kept in {}", settings.store),
        QuotaStore::Redis(_) => {
            writeln!(text, "shares {} with other quota servers, of which one leads", settings.store)
        }
    };
    let timeout = duration::spell(settings.book.heartbeat_timeout);
    let learning = match settings.book.learning {
        time if time.is_zero() => String::new(),
        time => format!("; for {} only what clients hold already is granted", duration::spell(time)),
    };
    let _ = writeln!(text, "leases last {timeout}{learning}");
    let _ = writeln!(text, "Ctrl-C stops; calls under way then have {}", duration::spell(settings.drain));
    text
}
