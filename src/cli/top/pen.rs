//! Writes text and bars into the cells of a screen, as the terminal can show them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use super::kind::Kind;
use super::state::Top;

/// Bars of a graph: an eighth, two eighths and so on, and what terminals without Unicode have for that.
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const PLAIN: [&str; 8] = [".", ".", ":", ":", "|", "|", "#", "#"];

/// What the terminal can show.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) has_colour: bool,
    pub(super) has_unicode: bool,
}

impl Look {
    pub(super) fn of(self, colour: Color) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn kind(self, kind: Kind) -> Style {
        self.of(kind.colour())
    }
}

pub(super) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
pub(super) const HEADING: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Writes into the lines and columns that there are.
pub(super) struct Pen<'a> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) look: Look,
    pub(super) area: Rect,
    /// The next line.
    pub(super) next: u16,
}

impl Pen<'_> {
    /// Writes `text` from the column `x` of the line `y`, in at most `width` columns. Returns the column behind it.
    pub(super) fn put(&mut self, (x, y): (u16, u16), width: u16, text: &str, style: Style) -> u16 {
        let (end, last) = (self.area.right(), self.area.bottom());
        if y >= last || x >= end {
            return x;
        }
        let width = width.min(end - x);
        let text = self.cut(&shown(text), width);
        self.buffer.set_stringn(x, y, text, usize::from(width), style).0
    }

    /// As much of `text` as there is room for, and a mark if that is not all.
    fn cut(&self, text: &str, width: u16) -> String {
        if Span::raw(text).width() <= usize::from(width) {
            return text.to_owned();
        }
        let mark = if self.look.has_unicode { "…" } else { "~" };
        let mut cut = String::new();
        for c in text.chars() {
            cut.push(c);
            if Span::raw(&*cut).width() >= usize::from(width) {
                cut.pop();
                break;
            }
        }
        cut + mark
    }

    pub(super) fn right(&mut self, (x, y): (u16, u16), width: u16, text: &str, style: Style) {
        let len = u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX).min(width);
        self.put((x + width - len, y), len, text, style);
    }

    /// Has the whole line `y` look like a heading.
    pub(super) fn highlight(&mut self, y: u16) {
        let line = Rect { x: self.area.x, y, width: self.area.width, height: 1 }.intersection(self.area);
        self.buffer.set_style(line, HEADING);
    }

    /// Writes parts of a line, one behind the other.
    pub(super) fn line(&mut self, parts: &[(&str, Style)]) {
        let mut x = self.area.x;
        for (text, style) in parts {
            x = self.put((x, self.next), u16::MAX, text, *style);
        }
        self.next += 1;
    }

    /// Bars of the last seconds of a row, the latest at the right, up to the highest or what is set.
    pub(super) fn bars(
        &mut self,
        top: &Top,
        (key, set): (&str, Option<u64>),
        (x, y): (u16, u16),
        (width, height): (u16, u16),
    ) {
        let seconds: Vec<(u64, Kind)> = top.paces.graph(key).take(usize::from(width)).collect();
        let most = seconds.iter().map(|(pace, _)| *pace).max().unwrap_or(0).max(1);
        // A rate far above what flows would press that flat.
        let most = set.filter(|set| *set / 4 < most).map_or(most, |set| most.max(set));
        let bars = if self.look.has_unicode { BARS } else { PLAIN };
        for (at, (pace, kind)) in seconds.iter().enumerate() {
            // In eighths of a line, and at least one if anything moved.
            let eighths = u128::from(*pace) * u128::from(height) * 8 / u128::from(most);
            let mut left = (eighths as u16).max(u16::from(*pace > 0));
            let x = x + width - 1 - at as u16;
            for line in 0..height {
                let now = left.min(8);
                left -= now;
                if now > 0 {
                    let style = self.look.kind(*kind);
                    self.put((x, y + height - 1 - line), 1, bars[usize::from(now - 1)], style);
                }
            }
        }
    }
}

/// Text of a client must not control the terminal, nor turn its lines around.
fn shown(text: &str) -> String {
    let is_foreign = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.replace(is_foreign, "?")
}
