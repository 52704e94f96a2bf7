//! Readings into a printed table: medians, spreads and aligned columns that also read as Markdown.
//!
//! Shared by the benchmarks; knows nothing of what they measure.

/// Several readings of one figure.
#[derive(Clone, Debug, Default)]
pub struct Readings(Vec<f64>);

impl Readings {
    /// The middle reading, or the mean of the two in the middle; `None` if nothing was read.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(sorted[middle]),
            _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
        }
    }

    /// The same readings in another unit.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        self.0.iter().map(|&reading| f(reading)).collect()
    }

    pub fn lowest(&self) -> Option<f64> {
        self.0.iter().copied().min_by(f64::total_cmp)
    }

    pub fn highest(&self) -> Option<f64> {
        self.0.iter().copied().max_by(f64::total_cmp)
    }

    /// "median (lowest–highest)", or a dash if nothing was read.
    pub fn show(&self, decimals: usize) -> String {
        match (self.median(), self.lowest(), self.highest()) {
            (Some(median), Some(lowest), Some(highest)) => {
                format!("{median:.decimals$} ({lowest:.decimals$}–{highest:.decimals$})")
            }
            _ => "–".to_owned(),
        }
    }
}

impl FromIterator<f64> for Readings {
    fn from_iter<I: IntoIterator<Item = f64>>(readings: I) -> Self {
        Self(readings.into_iter().collect())
    }
}

/// Rows under headings.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    /// Adds a row. Cells that are missing at its end stay empty.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Prints to standard output: the first column to the left, figures to the right.
    pub fn print(&self) {
        let columns = self.rows[0].len();
        let cell = |row: &'_ [String], column: usize| row.get(column).cloned().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0))
            .collect();
        for (at, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = widths
                .iter()
                .enumerate()
                .map(|(column, &width)| match column {
                    0 => format!("{:<width$}", cell(row, column)),
                    _ => format!("{:>width$}", cell(row, column)),
                })
                .collect();
            println!("| {} |", cells.join(" | "));
            if at == 0 {
                let rules: Vec<String> = widths
                    .iter()
                    .enumerate()
                    .map(|(column, &width)| match column {
                        0 => "-".repeat(width),
                        _ => format!("{}:", "-".repeat(width.saturating_sub(1))),
                    })
                    .collect();
                println!("| {} |", rules.join(" | "));
            }
        }
    }
}
