//! A change of a part of a budget.

use crate::limit::{Budget, Rate, Weight};

/// In what a budget differs from another; `None` leaves a value as it is there. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetChange {
    /// Bytes per second; `Some(None)` is unlimited.
    pub rate: Option<Option<Rate>>,
    /// The burst in bytes.
    pub burst: Option<u64>,
    /// The share beside others.
    pub weight: Option<Weight>,
    /// Whether it only counts what it would delay.
    pub report_only: Option<bool>,
}

impl BudgetChange {
    /// Returns what this makes of `budget`.
    #[must_use]
    pub fn over(self, budget: Budget) -> Budget {
        Budget {
            rate: self.rate.unwrap_or(budget.rate),
            burst: self.burst.unwrap_or(budget.burst),
            weight: self.weight.unwrap_or(budget.weight),
            report_only: self.report_only.unwrap_or(budget.report_only),
        }
    }

    /// Returns both changes as one, `later` over this.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            rate: later.rate.or(self.rate),
            burst: later.burst.or(self.burst),
            weight: later.weight.or(self.weight),
            report_only: later.report_only.or(self.report_only),
        }
    }

    /// The rate that it sets, if it sets one.
    pub(super) fn own_rate(self) -> Option<Rate> {
        self.rate.flatten()
    }
}

/// All values of a budget.
impl From<Budget> for BudgetChange {
    fn from(Budget { rate, burst, weight, report_only }: Budget) -> Self {
        Self { rate: Some(rate), burst: Some(burst), weight: Some(weight), report_only: Some(report_only) }
    }
}
