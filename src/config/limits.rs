//! The limits of a configuration by their addresses, as the admin API has them.

use super::document::Config;
use super::pace::Pace;
use crate::limit::{Budget, Burst, Rates};
use crate::live_limits::{Name, Part, Setting};
use crate::sink::SinkSettings;

/// Where a limit stands in a configuration.
enum Slot<'a> {
    Budget(&'a mut Budget),
    Upload(&'a mut Budget, &'a mut Rates),
    Response(&'a mut Pace, &'a mut bool),
    Connection(&'a mut SinkSettings),
}

impl Config {
    /// The addresses of all its limits.
    pub(super) fn limit_names(&self) -> Vec<Name> {
        let mut names =
            vec![Name::Server, Name::Client, Name::Connection, Name::UploadServer, Name::UploadClient];
        for class in &self.classes {
            names.extend(Part::OF_CLASS.map(|part| Name::Class(class.name.to_string(), part)));
        }
        for route in &self.routes {
            let parts = Part::OF_RESPONSES.into_iter().chain(Part::OF_UPLOADS);
            names.extend(parts.map(|part| Name::Route(route.name(), part)));
        }
        names
    }

    /// The values of a limit; `None` if there is none of this name, or it is a single client's.
    pub(super) fn limit(&mut self, name: &Name) -> Option<Setting> {
        Some(match self.slot(name)? {
            Slot::Budget(budget) => (*budget).into(),
            Slot::Upload(budget, rates) => Setting { budget: *budget, rates: rates.clone() },
            Slot::Response(pace, report_only) => {
                let budget = Budget::of(pace.rate.last()).with_burst(pace.burst.bytes());
                let budget = Budget { report_only: *report_only, ..budget };
                Setting { budget, rates: pace.rate.clone() }
            }
            Slot::Connection(sink) => sink.limit().budget().into(),
        })
    }

    /// Sets a limit, if it is there.
    pub(super) fn set_limit(&mut self, name: &Name, setting: &Setting) {
        let new = setting.budget;
        match self.slot(name) {
            None => {}
            Some(Slot::Budget(budget)) => *budget = new,
            Some(Slot::Upload(budget, rates)) => {
                *budget = new;
                rates.clone_from(&setting.rates);
            }
            Some(Slot::Response(pace, report_only)) => {
                pace.rate.clone_from(&setting.rates);
                pace.burst = Burst::new(new.burst);
                *report_only = new.report_only;
            }
            Some(Slot::Connection(sink)) => {
                sink.rate = new.rate;
                sink.burst = new.burst;
                sink.report_only = new.report_only;
            }
        }
    }

    fn slot(&mut self, name: &Name) -> Option<Slot<'_>> {
        let limits = &mut self.server.limits;
        Some(match name {
            Name::Server => Slot::Budget(&mut limits.server),
            Name::Client => Slot::Budget(&mut limits.client),
            Name::UploadServer => Slot::Budget(&mut limits.upload.server),
            Name::UploadClient => Slot::Budget(&mut limits.upload.client),
            Name::Connection => Slot::Connection(&mut self.server.sink),
            Name::Own(_) | Name::UploadOwn(_) => return None,
            Name::Class(name, part) => {
                let class = self.classes.iter_mut().find(|class| class.name.as_str() == name)?;
                let limits = &mut class.limits;
                Slot::Budget(match part {
                    Part::Total => &mut limits.total,
                    Part::Client => &mut limits.client,
                    Part::UploadTotal => &mut limits.upload_total,
                    Part::UploadClient => &mut limits.upload_client,
                    Part::Response | Part::Upload => return None,
                })
            }
            Name::Route(name, part) => {
                let route = self.routes.iter_mut().find(|route| route.is_called(name))?;
                let limits = &mut route.limits;
                match part {
                    Part::Response => Slot::Response(&mut route.pace, &mut limits.report_only),
                    Part::Total => Slot::Budget(&mut limits.total),
                    Part::Client => Slot::Budget(&mut limits.client),
                    Part::Upload => Slot::Upload(&mut route.upload, &mut route.upload_rates),
                    Part::UploadTotal => Slot::Budget(&mut limits.upload_total),
                    Part::UploadClient => Slot::Budget(&mut limits.upload_client),
                }
            }
        })
    }
}
