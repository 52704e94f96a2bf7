//! The filters that a route names, and the place of its pace among them.

use std::collections::BTreeMap;

use crate::config::filters::{FilterKind, RATE};
use crate::http::route;
use crate::keys::{Keys, Place};
use crate::words::{shorten, suggestion};

/// A filter on a route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteFilter {
    /// Name of its table, or of a kind that needs none.
    pub name: String,
    /// Kind and settings.
    pub kind: FilterKind,
}

/// The filters `names` in their order. The pace is last, unless it is named elsewhere.
pub(super) fn read(
    keys: &Keys<'_>,
    names: Vec<(Place, String)>,
    named: &BTreeMap<String, FilterKind>,
    can_have_rate: bool,
) -> Vec<RouteFilter> {
    let mut filters: Vec<RouteFilter> = Vec::new();
    for (at, name) in names {
        let text = match named.get(&name).cloned().or_else(|| FilterKind::built_in(&name)) {
            Some(FilterKind::RoutePace) if filters.iter().any(RouteFilter::is_route_pace) => {
                "\"rate\" stands here twice; leave one out".to_owned()
            }
            Some(FilterKind::RoutePace) if !can_have_rate => {
                format!("\"rate\" has no rate to keep; set {} too", keys.flag_or("rate", "a rate"))
            }
            Some(kind) => {
                filters.push(RouteFilter { name, kind });
                continue;
            }
            None => {
                let known: Vec<&str> = named.keys().map(String::as_str).chain(FilterKind::BUILT_IN).collect();
                format!("no filter is called {:?}; {}", shorten(&name), suggestion(&name, &known))
            }
        };
        keys.fault_at(at, "filters", text);
    }
    if can_have_rate {
        let pace = RouteFilter { name: RATE.to_owned(), kind: FilterKind::RoutePace };
        route::place_pace(&mut filters, pace, RouteFilter::is_route_pace);
    }
    filters
}

impl RouteFilter {
    fn is_route_pace(&self) -> bool {
        self.kind == FilterKind::RoutePace
    }
}
