//! Schedules of shared limits through a reload.

use super::{differences, is_same};
use crate::config::{Config, Tcp};
use crate::http::{LimitName, LimitOf, LimitSchedule};

/// The schedules of `config`, with the places that its ports have among the running ones, `ports`. Those of ports that do not
/// run are left out.
pub(super) fn of_running(config: &Config, ports: &[Tcp]) -> Vec<LimitSchedule> {
    let of_running = |schedule: &LimitSchedule| {
        let LimitOf::Port(nth, name) = &schedule.limit.of else { return Some(schedule.clone()) };
        let new = config.tcp.get(*nth)?;
        let place = ports.iter().position(|old| is_same(old, new))?;
        let limit = LimitName { of: LimitOf::Port(place, name.clone()), ..schedule.limit.clone() };
        Some(LimitSchedule { limit, ..schedule.clone() })
    };
    config.schedules.iter().filter_map(of_running).collect()
}

/// Lists schedules that come, go or have other times or values.
pub(super) fn changes(old: &[LimitSchedule], new: &[LimitSchedule]) -> Vec<String> {
    // By their names: ports may be in another order.
    let name = |schedule: &LimitSchedule| format!("schedule of {}", schedule.limit);
    differences(old, new, name, |was, schedule| was.times != schedule.times)
}
