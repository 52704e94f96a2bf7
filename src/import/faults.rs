//! What `check` would refuse of an import: it is left out, and what it would have served is refused.

use sluicegate::config::{Absent, Loader};
use toml::Value;

use super::Notes;
use super::closed::Closed;
use super::known::Why;
use super::pattern::Place;
use super::servers::is_host;
use super::site::{Route, Site, Source, is_route_path, listen_plain};

impl Site {
    /// Leaves out what `check` would refuse: keys, listeners, hosts, and routes, which are closed.
    pub(super) fn leave_out_faults(&mut self, notes: &mut Notes) {
        self.leave_out_listeners(notes);
        for server in &mut self.servers {
            let at = &server.at;
            server.names.retain(|name| {
                if !is_host(name) {
                    notes.add(at, format!("warning: host {name}: left out: no route can be for it"));
                }
                is_host(name)
            });
        }
        for route in &mut self.routes {
            let Some(fault) = route.fault() else { continue };
            notes.add(&route.at, format!("warning: {}: left out: {fault}", route.path));
            let told = format!("left out: {fault}");
            if is_route_path(&route.path) {
                route.refuse(told);
                continue;
            }
            let place = Place::Prefix(route.path.clone());
            self.closed.push(Closed::new(route.server, place, Why::Unknown, &route.at, told));
        }
        self.routes.retain(|route| is_route_path(&route.path));
    }

    /// Redirects that lead back to routes that redirect are no routes.
    pub(super) fn leave_out_circles(&mut self, name: &str, notes: &mut Notes) {
        let Some(fault) = first_fault("imported", &self.text(name)) else { return };
        for route in self.routes.iter_mut().filter(|route| matches!(route.source, Source::Redirect(_))) {
            notes.add(&route.at, format!("warning: {}: left out: {fault}", route.path));
            route.refuse(format!("left out: {fault}"));
        }
    }

    /// Keys and listeners that have a fault by themselves.
    fn leave_out_listeners(&mut self, notes: &mut Notes) {
        let is_proxy =
            |proxy: &String| fault(&format!("trusted_proxies = {}", Value::from(proxy.as_str()))).is_none();
        self.proxies.retain(is_proxy);
        if !self.proxies.is_empty()
            && self.listen.iter().chain(&self.redirect).any(|listen| listen.proxy_protocol)
        {
            let proxies: Vec<Value> = self.proxies.iter().map(|proxy| proxy.as_str().into()).collect();
            self.top.set("trusted_proxies", proxies);
        }
        let trusted = self
            .top
            .get("trusted_proxies")
            .map_or(String::new(), |proxies| format!("trusted_proxies = {proxies}\n"));
        for key in self.top.0.keys().copied().collect::<Vec<_>>() {
            let line = format!("{key} = {}", self.top.0[key]);
            if let Some((fault, server)) = fault(&line).zip(self.servers.first()) {
                notes.add(&server.at, format!("{line}: left out: {fault}"));
                self.top.remove(key);
            }
        }
        for listens in [&mut self.listen, &mut self.redirect] {
            listens.retain(|listen| {
                let fault = fault(&format!("{trusted}listen = [{}]", listen_plain(listen)));
                if let Some(fault) = &fault {
                    notes.add(&listen.at, format!("warning: listener {}: left out: {fault}", listen.address));
                }
                fault.is_none()
            });
        }
    }
}

impl Route {
    /// The fault that `check` would find in it.
    fn fault(&self) -> Option<String> {
        first_fault("route", &self.toml(&[]))
    }
}

/// The fault that `check` would find in a line of the top level.
fn fault(line: &str) -> Option<String> {
    first_fault("listen", &format!("{line}\n[[route]]\npath = \"/\"\nrefuse = 403\n"))
}

/// The first fault of a configuration, which messages call `name`.
fn first_fault(name: &str, text: &str) -> Option<String> {
    let error = Loader::new().absent(Absent::Unchecked).parse(text, name, "").err()?;
    Some(error.to_string().lines().next().unwrap_or_default().to_owned())
}
