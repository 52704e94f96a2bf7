//! Shared limits of a running server that follow the calendar.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Handle, Server, Shared};
use crate::budget::{Clients, Node};
use crate::http::budgets::Budgets;
use crate::http::limit_schedules::{LimitHeld, LimitName, LimitOf, LimitPart, LimitSchedule};
use crate::limit::{Budget, RateOrOff};
use crate::sync::Mutex;

/// The limits that follow the calendar.
#[derive(Default)]
pub(super) struct Schedules(Mutex<Vec<Followed>>);

/// A limit and its schedule.
struct Followed {
    schedule: Arc<LimitSchedule>,
    live: Live,
    /// Which of its times it was set to, or its own values, last; `None` before the first time.
    set_to: Option<Option<usize>>,
    /// Somebody set it by hand: it stays so.
    is_by_hand: bool,
}

/// What is set.
enum Live {
    Node(Node),
    Clients(Clients),
}

impl Live {
    fn set(&self, budget: Budget) {
        match self {
            Self::Node(node) => node.set(budget),
            Self::Clients(clients) => clients.set(budget),
        }
    }

    /// One of the limits of a pair of nodes of clients: of what they are sent, and of what they send.
    fn of([down, up]: [&Clients; 2], part: LimitPart) -> Self {
        match part {
            LimitPart::Total => Self::Node(down.parent().clone()),
            LimitPart::Client => Self::Clients(down.clone()),
            LimitPart::UploadTotal => Self::Node(up.parent().clone()),
            LimitPart::UploadClient => Self::Clients(up.clone()),
        }
    }
}

impl Schedules {
    /// Sets the limits that are not set by hand to what holds at `now`. Returns when the next of them changes.
    pub(super) fn apply(&self, now: SystemTime) -> Option<SystemTime> {
        let mut next: Option<SystemTime> = None;
        for followed in self.0.lock().iter_mut() {
            let LimitHeld { budget, nth, until } = followed.schedule.at(now);
            next = [next, until].into_iter().flatten().min();
            if followed.is_by_hand || followed.set_to == Some(nth) {
                continue;
            }
            followed.live.set(budget);
            if followed.set_to.replace(nth).is_some() {
                let limit = &followed.schedule.limit;
                log::info!(limit:%, rate:% = RateOrOff(budget.rate), burst = budget.burst; "limit changed by its schedule");
            }
        }
        next
    }
}

/// The schedule of a limit in force.
pub(crate) struct ScheduleInForce {
    pub(crate) schedule: Arc<LimitSchedule>,
    /// The limit was set by hand, and does not follow it until the next reload.
    pub(crate) is_by_hand: bool,
}

impl Server {
    /// Has shared limits follow `schedules`, each in the place of what was set for it.
    ///
    /// A limit that is not there is left out.
    #[must_use]
    pub fn with_schedules(self, schedules: &[LimitSchedule]) -> Self {
        self.shared.set_schedules(schedules);
        self
    }
}

impl Handle {
    /// Has shared limits follow `schedules` in the place of those that they followed, also limits that were set by hand, if that is
    /// not saved. A limit that follows none any more stays as it is.
    pub fn set_schedules(&self, schedules: &[LimitSchedule]) {
        self.0.set_schedules(schedules);
        self.0.follow_if_any();
    }

    /// The schedule of a limit, if it has one.
    pub(crate) fn schedule_of(&self, limit: &LimitName) -> Option<ScheduleInForce> {
        let all = self.0.calendar.schedules.0.lock();
        let followed = all.iter().find(|followed| followed.schedule.limit == *limit)?;
        Some(ScheduleInForce { schedule: Arc::clone(&followed.schedule), is_by_hand: followed.is_by_hand })
    }

    /// Notes that a limit is set by hand, and follows its schedule no more; or that it follows it again.
    pub(crate) fn set_by_hand(&self, limit: &LimitName, is_by_hand: bool) {
        let mut all = self.0.calendar.schedules.0.lock();
        for followed in all.iter_mut().filter(|followed| followed.schedule.limit == *limit) {
            (followed.is_by_hand, followed.set_to) = (is_by_hand, None);
        }
        drop(all);
        self.0.calendar.schedules.apply(self.0.clock.calendar());
    }
}

impl Shared {
    fn set_schedules(&self, schedules: &[LimitSchedule]) {
        let follow = |schedule: &LimitSchedule| {
            let live = self.live(&schedule.limit)?;
            let schedule = Arc::new(schedule.clone());
            let is_by_hand = schedule.is_by_hand;
            Some(Followed { schedule, live, set_to: None, is_by_hand })
        };
        *self.calendar.schedules.0.lock() = schedules.iter().filter_map(follow).collect();
        self.calendar.schedules.apply(self.clock.calendar());
    }

    fn live(&self, LimitName { of, part }: &LimitName) -> Option<Live> {
        let of_server = |budgets: &Budgets| Live::of([budgets.clients(), budgets.uploads()], *part);
        Some(match of {
            LimitOf::Server => of_server(&self.budgets),
            LimitOf::Class(name) => {
                let class = self.budgets.class(name)?;
                Live::of([class.clients(), class.uploads()], *part)
            }
            LimitOf::Route(name) => {
                let setup = self.setup();
                let route = setup.routes.iter().find(|route| route.name() == name)?;
                Live::of([route.clients(), route.upload_clients()], *part)
            }
            LimitOf::Port(nth, _) => {
                let ports = self.ports.read();
                let service = ports.get(*nth)?.service();
                Live::of([service.clients(), service.upload_clients()], *part)
            }
        })
    }
}
