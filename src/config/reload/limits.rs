//! What a reload changes of limits.

use std::collections::BTreeMap;

use crate::budget::{ClientKey, Clients};
use crate::http::budgets::{CLIENT, SERVER};
use crate::http::server::Handle;
use crate::live_limits::{LimitSource, LimitSources, Name, Part, Setting};

/// A limit in force: what it is of, its address if it has one, and its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct InForce {
    pub(super) of: String,
    pub(super) name: Option<Name>,
    pub(super) setting: Setting,
}

/// Lists all limits in force but those of single clients.
pub(super) fn in_force(server: &Handle) -> Vec<InForce> {
    let budgets = server.budgets();
    let of = |text, name, setting: Setting| InForce { of: text, name, setting };
    let named = |text, name, setting: Setting| InForce { of: text, name: Some(name), setting };
    let mut limits = vec![
        named(format!("the {SERVER}"), Name::Server, budgets.server().budget().into()),
        named(format!("each {CLIENT}"), Name::Client, budgets.clients().budget().into()),
        named("each connection".to_owned(), Name::Connection, budgets.connection().into()),
        named("all uploads".to_owned(), Name::UploadServer, budgets.uploads().parent().budget().into()),
        named(format!("uploads of each {CLIENT}"), Name::UploadClient, budgets.uploads().budget().into()),
    ];
    limits.extend(super::classes::limits(budgets));
    for route in server.routes() {
        let path = route.name();
        let name = |part| Name::Route(path.to_owned(), part);
        let (clients, uploads) = (route.clients(), route.upload_clients());
        limits.extend([
            named(format!("each response of {path}"), name(Part::Response), route.limit().into()),
            named(format!("route {path}"), name(Part::Total), clients.parent().budget().into()),
            named(format!("each client of {path}"), name(Part::Client), clients.budget().into()),
            named(format!("each upload to {path}"), name(Part::Upload), route.upload_limit().into()),
            named(
                format!("all uploads to {path}"),
                name(Part::UploadTotal),
                uploads.parent().budget().into(),
            ),
            named(
                format!("uploads of each client to {path}"),
                name(Part::UploadClient),
                uploads.budget().into(),
            ),
        ]);
        for (filter, limit) in route.named_paces() {
            limits.push(of(format!("filter {filter} on {path}"), None, limit.into()));
        }
    }
    for port in server.ports() {
        let (name, service) = (port.name(), port.service());
        let (clients, uploads) = (service.clients(), service.upload_clients());
        limits.extend([
            of(format!("each stream of {name}"), None, service.limit().into()),
            of(format!("each upload to {name}"), None, service.upload().into()),
            of(name.to_owned(), None, clients.parent().budget().into()),
            of(format!("each client of {name}"), None, clients.budget().into()),
            of(format!("all uploads to {name}"), None, uploads.parent().budget().into()),
            of(format!("uploads of each client to {name}"), None, uploads.budget().into()),
        ]);
    }
    limits
}

/// Describes limits that exist before and after and differ. One that the overlay sets is followed by the place there.
pub(super) fn changes(before: &[InForce], after: &[InForce], sources: &LimitSources) -> Vec<String> {
    let changed = |new: &InForce| {
        let old = before.iter().find(|old| old.of == new.of)?;
        let place = || new.name.as_ref().map(|name| overlaid(name, sources)).unwrap_or_default();
        let differs = old.setting != new.setting;
        differs.then(|| format!("limit of {}: {} → {}{}", new.of, old.setting, new.setting, place()))
    };
    after.iter().filter_map(changed).collect()
}

/// The place in the overlay that sets a value of the limit.
fn overlaid(name: &Name, sources: &LimitSources) -> String {
    let sources = sources.of(&name.to_string());
    let all = [&sources.rate, &sources.burst, &sources.weight, &sources.report_only];
    let overlay = all.into_iter().find(|source| matches!(source, LimitSource::Overlay(_)));
    overlay.map(|source| format!(" ({source})")).unwrap_or_default()
}

/// The limits of single clients, in the order of their names.
pub(super) type Own = BTreeMap<String, (Name, Setting)>;

pub(super) fn own(server: &Handle) -> Own {
    let of = |clients: &Clients, name: fn(ClientKey) -> Name, of: &'static str| {
        let own = clients.overrides().into_iter();
        let entry = move |(client, budget): (ClientKey, _)| {
            (format!("limit of {of}client {client}"), (name(client), Setting::from(budget)))
        };
        own.map(entry)
    };
    let budgets = server.budgets();
    let responses = of(budgets.clients(), Name::Own, "");
    responses.chain(of(budgets.uploads(), Name::UploadOwn, "uploads of ")).collect()
}

/// Describes limits of single clients that end, come or change.
pub(super) fn own_changes(before: Own, after: Own, sources: &LimitSources) -> Vec<String> {
    let each = || format!("that of each {CLIENT}");
    let mut texts = BTreeMap::new();
    for (of, (_, old)) in &before {
        if !after.contains_key(of) {
            texts.insert(of.clone(), format!("{of}: {old} → {}", each()));
        }
    }
    for (of, (name, new)) in &after {
        let old = before.get(of).map(|(_, old)| old);
        if old != Some(new) {
            let old = old.map_or_else(each, ToString::to_string);
            texts.insert(of.clone(), format!("{of}: {old} → {new}{}", overlaid(name, sources)));
        }
    }
    texts.into_values().collect()
}
