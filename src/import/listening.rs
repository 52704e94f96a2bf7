//! The addresses at which servers listen, as they are written here.

use std::collections::BTreeSet;

use super::syntax::Directive;

/// Those of a `listen` of nginx; none if they cannot be written.
pub(super) fn nginx(listen: &Directive) -> Vec<String> {
    let text = listen.arg(0);
    let text = text.strip_prefix("*:").map_or_else(|| text.to_owned(), |port| format!("0.0.0.0:{port}"));
    if let Ok(port) = text.parse::<u16>() {
        return vec![format!("0.0.0.0:{port}")];
    }
    let text = match text.strip_prefix("localhost") {
        Some(port) if port.is_empty() || port.starts_with(':') => format!("127.0.0.1{port}"),
        _ => text,
    };
    let with_port = text.parse::<std::net::IpAddr>().is_ok() || text.ends_with(']');
    let text = if with_port { format!("{text}:80") } else { text };
    let is_address =
        text.parse::<std::net::SocketAddr>().is_ok() || text.len() > 5 && text.starts_with("unix:");
    if !is_address {
        return Vec::new();
    }
    let is_dual = listen.args.iter().any(|arg| arg == "ipv6only=off");
    let text = plain(text);
    match text.strip_prefix("[::]:").filter(|_| is_dual) {
        Some(port) => dual(port),
        None => vec![text],
    }
}

/// Those of a `Listen` of Apache, or of a virtual host: a port alone is one of IPv4 and of IPv6.
pub(super) fn apache(text: &str) -> Vec<String> {
    let port = text.strip_prefix("*:").or_else(|| text.strip_prefix("_default_:")).unwrap_or(text);
    if let Ok(port) = port.parse::<u16>() {
        return dual(&port.to_string());
    }
    if text.parse::<std::net::SocketAddr>().is_ok() { vec![plain(text.to_owned())] } else { Vec::new() }
}

/// The one spelling of an address.
fn plain(address: String) -> String {
    address.parse::<std::net::SocketAddr>().map_or(address, |plain| plain.to_string())
}

/// A listener of IPv6 here takes no connections of IPv4.
fn dual(port: &str) -> Vec<String> {
    vec![format!("0.0.0.0:{port}"), format!("[::]:{port}")]
}

/// The address without its port.
fn ip(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(ip, _)| ip)
}

/// Whether a virtual host of Apache for `arg` is for all addresses that no other names.
fn is_any(arg: &str) -> bool {
    arg.starts_with('*') || arg.starts_with("_default_")
}

/// The addresses that the `args` of virtual hosts of Apache name: those for any are not reached there.
pub(super) fn named<'a>(args: impl Iterator<Item = &'a String>, all: &[String]) -> BTreeSet<String> {
    args.filter(|arg| !is_any(arg)).flat_map(|arg| at(arg, all)).collect()
}

/// At which of `all` a virtual host of Apache for `arg` is reached, or the narrower address that it names itself. Others name
/// those of `named`.
pub(super) fn of_host(arg: &str, all: &[String], named: &BTreeSet<String>) -> Vec<String> {
    let mut found = at(arg, all);
    found.retain(|address| !is_any(arg) || !named.contains(address));
    found
}

fn at(arg: &str, all: &[String]) -> Vec<String> {
    let port = arg.rsplit_once(':').map_or(arg, |(_, port)| port);
    let is_any_port = port.parse::<u16>().is_err();
    let is_any_ip = is_any(arg);
    let mut found: Vec<String> = Vec::new();
    for address in all {
        let has_port = is_any_port || address.ends_with(&format!(":{port}"));
        let is_open = matches!(ip(address), "0.0.0.0" | "[::]");
        if has_port && (is_any_ip || ip(address) == ip(arg)) {
            found.push(address.clone());
        } else if has_port && is_open && arg.parse::<std::net::SocketAddr>().is_ok() {
            found.push(plain(arg.to_owned()));
        }
    }
    found.dedup();
    found
}
