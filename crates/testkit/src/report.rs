//! Readings of a benchmark as a table: medians, spreads and aligned columns that also read as Markdown.

/// The middle one of several readings, or the mean of the two in the middle; `None` if there are none.
pub fn median(readings: &[f64]) -> Option<f64> {
    let mut sorted = readings.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// "median (lowest–highest)", the median alone if all readings look the same, or a dash if there are none.
pub fn show(readings: &[f64], decimals: usize) -> String {
    let Some(median) = median(readings) else { return "–".to_owned() };
    let lowest = readings.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = readings.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let [median, lowest, highest] = [median, lowest, highest].map(|figure| format!("{figure:.decimals$}"));
    if lowest == highest { median } else { format!("{median} ({lowest}–{highest})") }
}

/// Jain's index of fairness: 1 if all shares are equal, 1/n if one has all.
pub fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|&share| share as f64).sum();
    let squares: f64 = shares.iter().map(|&share| (share as f64).powi(2)).sum();
    sum * sum / (shares.len() as f64 * squares)
}

/// Rows under headings.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows, its headings separated by ` | `.
    pub fn new(headings: &str) -> Self {
        Self { rows: vec![headings.split(" | ").map(str::to_owned).collect()] }
    }

    /// Adds a row. Cells that are missing at its end stay empty.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Prints to standard output.
    pub fn print(&self) {
        print!("{}", self.text());
    }

    /// The first column to the left, figures to the right.
    pub fn text(&self) -> String {
        let columns = self.rows[0].len();
        let cell = |row: &'_ [String], column: usize| row.get(column).cloned().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        let mut line = |cells: Vec<String>| text.extend(["| ", &cells.join(" | "), " |\n"]);
        for (at, row) in self.rows.iter().enumerate() {
            let cells = widths.iter().enumerate();
            line(
                cells
                    .map(|(column, &width)| match column {
                        0 => format!("{:<width$}", cell(row, column)),
                        _ => format!("{:>width$}", cell(row, column)),
                    })
                    .collect(),
            );
            if at == 0 {
                let rules = widths.iter().enumerate();
                line(
                    rules
                        .map(|(column, &width)| match column {
                            0 => "-".repeat(width),
                            _ => format!("{}:", "-".repeat(width.saturating_sub(1))),
                        })
                        .collect(),
                );
            }
        }
        text
    }
}
