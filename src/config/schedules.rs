//! `schedule` of limits that are shared: what they are at times of the week.

use super::pace::RouteLimits;
use super::route::during;
use crate::http::{ClassLimits, LimitName, LimitOf, LimitPart, LimitSchedule, SharedLimits};
use crate::keys::{Keys, LIMIT_EXAMPLE, NOTHING_AHEAD, UPLOAD_EXAMPLE};
use crate::limit::{Budget, Burst, Rates, Weight};
use crate::live_limits::LimitChange;
use crate::schedule::{During, Timetable, Zone};

/// The schedules of the limits of one table.
#[derive(Clone, Default)]
pub(super) struct Schedules([Vec<(During, LimitChange)>; 4]);

impl Schedules {
    /// Reads those of `[limits]`, whose first limit is called server.
    pub(super) fn of_server(limits: &Keys<'_>, zone: &Zone) -> Self {
        Self::read(limits, "server", false, zone)
    }

    /// Reads those of `limits` of a class, in which they may have weights.
    pub(super) fn of_class(limits: &Keys<'_>, zone: &Zone) -> Self {
        Self::read(limits, "total", true, zone)
    }

    /// Reads those of `limits` of a route or a port of raw TCP.
    pub(super) fn of_route(limits: &Keys<'_>, zone: &Zone) -> Self {
        Self::read(limits, "total", false, zone)
    }

    fn read(limits: &Keys<'_>, total: &'static str, is_weighted: bool, zone: &Zone) -> Self {
        let upload = limits.table("upload", UPLOAD_EXAMPLE);
        let of = |table: &Keys<'_>, key| schedule(&table.table(key, LIMIT_EXAMPLE), is_weighted, zone);
        Self([of(limits, total), of(limits, "client"), of(&upload, total), of(&upload, "client")])
    }

    /// Where the limits of a class say nothing of each client, those of `shared` hold for each.
    pub(super) fn inheriting(mut self, class: &Keys<'_>, shared: &Self) -> Self {
        let upload = class.table("upload", UPLOAD_EXAMPLE);
        for (table, nth) in [(class, 1), (&upload, 3)] {
            if !table.has("client") {
                self.0[nth].clone_from(&shared.0[nth]);
            }
        }
        self
    }

    /// The schedules that there are, of the limits `of`, which are `own` at other times.
    pub(super) fn named(self, of: &LimitOf, own: [Budget; 4]) -> impl Iterator<Item = LimitSchedule> {
        let of = of.clone();
        self.0.into_iter().zip(own).zip(LimitPart::ALL).filter(|((times, _), _)| !times.is_empty()).map(
            move |((times, own), part)| {
                let times = times.into_iter().map(|(during, change)| (during, change.of_budget().over(own)));
                let limit = LimitName { of: of.clone(), part };
                LimitSchedule { limit, own, times: Timetable::new(times.collect()), is_by_hand: false }
            },
        )
    }
}

/// Reads the `schedule` of a limit.
fn schedule(limit: &Keys<'_>, is_weighted: bool, zone: &Zone) -> Vec<(During, LimitChange)> {
    let tables = limit.tables("schedule");
    let most = Timetable::<LimitChange>::MAX;
    if tables.len() > most {
        limit.fault("schedule", format!("there are more than {most} times; leave some out"));
    }
    let name = limit.name().to_owned();
    let named = |table: Keys<'_>| one(&table.named(format!("a schedule of {name}")), is_weighted, zone);
    tables.into_iter().filter_map(named).collect()
}

fn one(keys: &Keys<'_>, is_weighted: bool, zone: &Zone) -> Option<(During, LimitChange)> {
    keys.require("during");
    let during = during(keys, zone);
    let rate = keys.rate("rate");
    let burst = keys.amount("burst", str::parse::<Burst>).map(Burst::bytes);
    if rate == Some(None) {
        keys.needs_rate("burst", false, NOTHING_AHEAD);
    }
    let report_only = keys.switch("report_only");
    let weight = if is_weighted { keys.number("weight", 1..=u16::MAX.into()) } else { None };
    let weight = weight.and_then(|weight| Weight::new(weight as u16));
    let says = ["rate", "burst", "report_only", "weight"].iter().any(|key| keys.has(key));
    if !says {
        keys.table_fault(None, format!("{} changes nothing; write a rate, or leave it out", keys.name()));
    }
    Some((during?, LimitChange { rate: rate.map(Rates::from), burst, weight, report_only }))
}

impl SharedLimits {
    /// Its limits in the order of [`LimitPart::ALL`].
    pub(super) fn in_order(&self) -> [Budget; 4] {
        [self.server, self.client, self.upload.server, self.upload.client]
    }
}

impl ClassLimits {
    /// Its limits in the order of [`LimitPart::ALL`].
    pub(super) fn in_order(&self) -> [Budget; 4] {
        [self.total, self.client, self.upload_total, self.upload_client]
    }
}

impl RouteLimits {
    /// Its limits in the order of [`LimitPart::ALL`].
    pub(super) fn in_order(&self) -> [Budget; 4] {
        [self.total, self.client, self.upload_total, self.upload_client]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Loader};

    fn read(text: &str) -> Result<Config, String> {
        let text = format!("{text}\n[[route]]\npath='/'\nfiles='src'");
        let folder = env!("CARGO_MANIFEST_DIR");
        Loader::new().parse(&text, "f", folder).map_err(|error| error.to_string())
    }

    /// Each schedule: its limit, what it is at other times, and what it is when.
    fn shown(config: &Config) -> Vec<String> {
        let all = config.schedules.iter().map(|schedule| {
            let times = schedule.times.iter().map(|(during, budget)| format!("{during} {budget:?}"));
            format!("{}: {:?}; {}", schedule.limit, schedule.own, times.collect::<Vec<_>>().join("; "))
        });
        all.collect()
    }

    #[test]
    fn every_shared_limit_may_have_a_schedule_and_keeps_what_that_leaves_out() {
        let at = "schedule=[{during='Mon 08:00-09:00', rate='1k'}]";
        let text = format!(
            "time_zone='Europe/Berlin'
            [limits]
            server={{rate='2k', burst='1m', {at}}}
            client={{{at}}}
            upload={{server={{{at}}}, client={{{at}}}}}
            [[class]]
            name='vip'
            match={{network='10.0.0.0/8'}}
            [class.limits]
            total={{rate='3k', schedule=[{{during='Tue', time_zone='UTC', weight=7}}, {{during='Wed', burst='5k'}}]}}
            [[tcp]]
            listen='127.0.0.1:7070'
            to='127.0.0.1:7071'
            limits={{total={{{at}}}, upload={{client={{{at}}}}}}}
            [[route]]
            path='/a/'
            files='src'
            limits={{total={{{at}}}, client={{rate='off', {at}}}}}"
        );
        let config = read(&text).unwrap();
        let names: Vec<_> = config.schedules.iter().map(|schedule| schedule.limit.to_string()).collect();
        assert_eq!(
            names,
            [
                "server",
                "each client of server",
                "uploads of server",
                "uploads of each client of server",
                "class vip",
                "each client of class vip",
                "uploads of each client of class vip",
                "route /a/",
                "each client of route /a/",
                "tcp:127.0.0.1:7070",
                "uploads of each client of tcp:127.0.0.1:7070",
            ]
        );
        let all = shown(&config);
        let budget = |rate: &str, burst: u64, weight: u16| {
            format!("Budget {{ rate: {rate}, burst: {burst}, weight: Weight({weight}), report_only: false }}")
        };
        let rate = |rate: u64| format!("Some(PerSecond({rate}))");
        assert_eq!(
            all[0],
            format!(
                "server: {}; Mon 08:00-09:00 Europe/Berlin {}",
                budget(&rate(2048), 1 << 20, 1),
                budget(&rate(1024), 1 << 20, 1)
            )
        );
        assert_eq!(
            all[4],
            format!(
                "class vip: {}; Tue 00:00-24:00 UTC {}; Wed 00:00-24:00 Europe/Berlin {}",
                budget(&rate(3072), 0, 1),
                budget(&rate(3072), 0, 7),
                budget(&rate(3072), 5120, 1)
            )
        );
        // A class that says nothing of its clients has what holds for every client.
        assert_eq!(all[5].split_once(": ").unwrap().1, all[1].split_once(": ").unwrap().1);
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_reason_and_the_place() {
        for (text, expected) in [
            (
                "[limits]\nserver={schedule=[{rate='1k'}]}",
                "\"during\" is missing in a schedule of [limits.server]",
            ),
            ("[limits]\nserver={schedule=[{during='Mon'}]}", "a schedule of [limits.server] changes nothing"),
            (
                "[limits]\nserver={schedule=[{during='Moon', rate='1k'}]}",
                "during in a schedule of [limits.server]: \"Moon\"",
            ),
            (
                "[limits]\nserver={schedule=[{during='Mon', rate='off', burst='1k'}]}",
                "there is nothing to be ahead of",
            ),
            ("[limits]\nserver={schedule=[{during='Mon', weight=2}]}", "unknown key \"weight\""),
            ("[limits]\nserver={schedule=['Mon']}", "expected a table"),
            ("[limits]\nconnection={rate='1m', schedule=[]}", "unknown key \"schedule\""),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}\n{error}");
        }
    }
}
