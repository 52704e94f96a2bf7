//! Values of a limit, and changes of a part of them.

use std::fmt;

use crate::budget::{BudgetChange, ClientKey};
use crate::limit::{Budget, Burst, Limit, Rates, Weight};

/// The values of a limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Setting {
    pub(crate) budget: Budget,
    /// Of each stream; the last is the budget's.
    pub(crate) rates: Rates,
}

impl From<Budget> for Setting {
    fn from(budget: Budget) -> Self {
        Self { budget, rates: budget.rate.into() }
    }
}

impl From<&Limit> for Setting {
    fn from(limit: &Limit) -> Self {
        Self { budget: limit.budget(), rates: limit.rates() }
    }
}

/// `10m burst 1m weight 3 only reported`.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rates.fmt(f)?;
        // Of a connection there is one without a rate too.
        if self.budget.burst > 0 && self.budget.rate.is_some() {
            write!(f, " burst {}", Burst::new(self.budget.burst))?;
        }
        if self.budget.weight != Weight::default() {
            write!(f, " weight {}", self.budget.weight.get())?;
        }
        if self.budget.report_only { f.write_str(" only reported") } else { Ok(()) }
    }
}

/// A change of a limit; `None` leaves a value as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitChange {
    /// Its rate; of responses of a route and uploads to it also several, which follow one another.
    pub rate: Option<Rates>,
    /// Its burst in bytes.
    pub burst: Option<u64>,
    /// Its weight.
    pub weight: Option<Weight>,
    /// Whether it only reports.
    pub report_only: Option<bool>,
}

impl LimitChange {
    /// What it makes of a limit.
    pub(crate) fn over(&self, old: Setting) -> Setting {
        let rates = self.rate.clone().unwrap_or(old.rates);
        let budget = Budget {
            rate: rates.last(),
            burst: self.burst.unwrap_or(old.budget.burst),
            weight: self.weight.unwrap_or(old.budget.weight),
            report_only: self.report_only.unwrap_or(old.budget.report_only),
        };
        Setting { budget, rates }
    }

    /// The same of a limit that has one rate.
    pub(crate) fn of_budget(&self) -> BudgetChange {
        let Self { burst, weight, report_only, .. } = *self;
        BudgetChange { rate: self.rate.as_ref().map(Rates::last), burst, weight, report_only }
    }

    /// Which of rate, burst, weight and report_only it sets.
    pub(crate) fn sets(&self) -> [bool; 4] {
        [self.rate.is_some(), self.burst.is_some(), self.weight.is_some(), self.report_only.is_some()]
    }

    /// All values of `whole`; its weight only if it has one.
    pub(crate) fn whole(whole: &Setting, is_weighted: bool) -> Self {
        let Budget { burst, weight, report_only, .. } = whole.budget;
        Self {
            rate: Some(whole.rates.clone()),
            burst: Some(burst),
            weight: is_weighted.then_some(weight),
            report_only: Some(report_only),
        }
    }
}

/// A limit of one client, in place of that of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimit {
    /// The client.
    pub client: ClientKey,
    /// Whether it is of what the client sends.
    pub of_uploads: bool,
    /// In what it differs from that of each client, of each class too.
    pub change: LimitChange,
}

impl ClientLimit {
    /// The limits of the clients in `all`: those of what they send, or of responses.
    pub(crate) fn all_of(
        all: &[Self],
        of_uploads: bool,
    ) -> impl Iterator<Item = (ClientKey, BudgetChange)> + '_ {
        let of = all.iter().filter(move |own| own.of_uploads == of_uploads);
        of.map(|own| (own.client.clone(), own.change.of_budget()))
    }
}
