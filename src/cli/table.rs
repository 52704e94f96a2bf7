//! Tables of text: aligned columns, sizes and times with units.

use std::time::Duration;

/// Rows of text below headings.
pub(super) struct Table<const N: usize> {
    is_right: [bool; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Creates a table with these headings. A column whose heading begins with `>` is aligned to the right.
    pub(super) fn new(headings: [&str; N]) -> Self {
        let is_right = headings.map(|text| text.starts_with('>'));
        Self { is_right, rows: vec![headings.map(|text| text.trim_start_matches('>').to_owned())] }
    }

    pub(super) fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// Formats the table, each column as wide as needed, two spaces apart.
    pub(super) fn text(&self) -> String {
        self.text_without(&[])
    }

    /// The same without the columns of these headings.
    pub(super) fn text_without(&self, headings: &[&str]) -> String {
        let is_shown = self.rows[0].each_ref().map(|name| !headings.contains(&name.as_str()));
        let widths = self.widths();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            let cells = row.iter().zip(widths).zip(self.is_right).zip(is_shown);
            for ((cell, width), is_right) in cells.filter(|(_, shown)| *shown).map(|(cell, _)| cell) {
                // Text of a client must not control the terminal.
                let cell = cell.replace(char::is_control, "?");
                line += &if is_right { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

impl<const N: usize> Table<N> {
    /// Shortens the cells of the column `heading`, though to no fewer than `least` characters, so that lines without the columns
    /// `hidden` have at most `most`.
    pub(super) fn fit(&mut self, heading: &str, hidden: &[&str], most: usize, least: usize) {
        let Some(at) = self.rows[0].iter().position(|name| name == heading) else { return };
        let others = self.rows[0].iter().zip(self.widths()).filter(|(name, _)| *name != heading);
        let others = others.filter(|(name, _)| !hidden.contains(&name.as_str()));
        let width = most.saturating_sub(others.map(|(_, width)| width + 2).sum()).max(least);
        for row in self.rows.iter_mut().filter(|row| row[at].chars().count() > width) {
            row[at] = row[at].chars().take(width - 1).chain(['…']).collect();
        }
    }

    fn widths(&self) -> [usize; N] {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

/// Formats bytes in the largest unit they fill, with one decimal: `12.0 KiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would round to 1024.0 is 1.0 of the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Formats a time in its largest unit: `250 ms`, `1.5 s`, `3 min`, `2 h`, `4 d`.
pub(super) fn time(millis: u64) -> String {
    let seconds = Duration::from_millis(millis).as_secs();
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{}.{} s", seconds, millis % 1000 / 100),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut table = Table::new(["NAME", ">SIZE"]);
        table.row(["é\u{1b}[2J".to_owned(), "1 B".to_owned()]);
        table.row(["long one".to_owned(), "12.0 KiB".to_owned()]);
        assert_eq!(table.text(), "NAME          SIZE\né?[2J          1 B\nlong one  12.0 KiB\n");
    }

    #[test]
    fn a_column_is_cut_so_that_lines_fit() {
        for (most, expected) in [
            (12, "NAME    SIZE\nabcdef     1\n"),
            (11, "NAME   SIZE\nabcd…     1\n"),
            (4, "NAME  SIZE\nabc…     1\n"),
        ] {
            let mut table = Table::new(["NAME", "HIDDEN", ">SIZE"]);
            table.row(["abcdef", "x", "1"].map(str::to_owned));
            table.fit("NAME", &["HIDDEN"], most, 4);
            assert_eq!(table.text_without(&["HIDDEN"]), expected, "{most}");
        }
    }

    #[test]
    fn sizes_and_times_are_read_at_a_glance() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (12_288, "12.0 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        for (millis, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_590, "1.5 s"),
            (60_000, "1 min"),
            (7_300_000, "2 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(time(millis), expected);
        }
    }
}
