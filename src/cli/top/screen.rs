//! The screen: what is known, drawn into as many lines and columns as there are.

use ratatui::Frame;
use ratatui::style::{Color, Style};

use super::columns::{Column, View};
use super::kind::Kind;
use super::pen::{BOLD, HEADING, Look, Pen};
use super::rows::Row;
use super::state::{Link, Top};
use super::way;
use crate::cli::table::size;

/// Columns from which rows have a graph, and how wide it is at most.
const WIDE: u16 = 100;
const MAX_GRAPH: u16 = 60;

/// Columns that are left to the name of a row beside a graph.
const NAME: u16 = 24;

/// Lines from which the server's graph is three lines high.
const HIGH: u16 = 30;

/// Draws what `top` shows at `now`.
pub(super) fn draw(frame: &mut Frame<'_>, top: &mut Top, look: Look, now: u64) {
    let area = frame.area();
    let mut pen = Pen { buffer: frame.buffer_mut(), look, next: area.y, area };
    if top.is_help {
        return pen.help();
    }
    pen.status(top);
    if area.height >= 4 {
        pen.totals(top, now);
    }
    if area.height >= 12 {
        pen.graph(top, if area.height >= HIGH { 3 } else { 1 });
        pen.held(top);
        pen.alerts(top, if area.height >= HIGH { 3 } else { 1 });
    }
    if area.height >= 8 {
        pen.views(top);
    }
    let has_keys = area.height >= 6;
    let way = top.way.clone();
    let below = u16::from(has_keys) + way.as_ref().map_or(0, |_| way_height(area.height));
    pen.rows(top, now, area.height.saturating_sub(below));
    if let Some(id) = way {
        pen.way(top, &id, area.height - below);
    }
    if has_keys {
        pen.keys(top);
    }
}

/// Lines of the way of a transfer on a screen that is so high.
fn way_height(height: u16) -> u16 {
    if height < 12 { 0 } else { (height / 2).min(11) }
}

impl Pen<'_> {
    fn status(&mut self, top: &Top) {
        let (place, version) = (format!(" at {}", top.place), format!(" {}", top.live.server.version));
        let server = &top.live.server;
        let held = format!("  {} connections, {} held", server.connections, size(server.held_bytes));
        let (word, style) = match &top.link {
            Link::Lost(why) => (why.as_str(), self.look.of(Color::Red).patch(BOLD)),
            Link::Live if top.is_paused => ("paused", self.look.of(Color::Yellow).patch(BOLD)),
            Link::Live if server.draining => ("the server drains", self.look.of(Color::Yellow)),
            Link::Live if server.shedding => ("the server sheds load", self.look.of(Color::Red)),
            Link::Live => ("live", self.look.of(Color::Green)),
        };
        self.line(&[
            ("sluicegate", BOLD),
            (&version, Style::new()),
            (&place, Style::new()),
            ("  ", Style::new()),
            (word, style),
            (&held, Style::new()),
        ]);
    }

    fn totals(&mut self, top: &Top, now: u64) {
        let server = &top.live.server;
        let pace = |key| format!("{}/s", size(top.paces.of(key, top.shown_at(now))));
        let limit = super::rows::of_all(&top.live, "/v1/limits/server");
        let set = limit.map_or_else(String::new, |rate| format!(" of {}/s", size(rate)));
        let text = format!("{set}  in {}  {} transfers", pace("in"), server.transfers);
        let out = pace("server");
        self.line(&[("out ", Style::new()), (&out, BOLD), (&text, Style::new())]);
    }

    /// The pace of the server over the last two minutes.
    fn graph(&mut self, top: &Top, height: u16) {
        let set = super::rows::of_all(&top.live, "/v1/limits/server");
        self.bars(top, ("server", set), (self.area.x, self.next), (self.area.width, height));
        self.next += height;
    }

    /// How many transfers are held by what.
    fn held(&mut self, top: &Top) {
        let held_by = &top.live.server.held_by;
        let mut parts: Vec<(&str, u64)> = held_by.iter().map(|(word, n)| (&**word, *n)).collect();
        parts.sort_by_key(|(word, number)| (std::cmp::Reverse(*number), *word));
        let texts: Vec<(String, Style)> = parts
            .iter()
            .map(|(word, number)| {
                let shown = if *word == "nothing" { "free".to_owned() } else { word.replace('_', " ") };
                (format!("  {shown} {number}"), self.look.kind(Kind::of(word)))
            })
            .collect();
        let mut line = vec![("held by", Style::new())];
        if texts.is_empty() {
            line.push(("  nothing is under way", Style::new()));
        }
        line.extend(texts.iter().map(|(text, style)| (&**text, *style)));
        self.line(&line);
    }

    fn alerts(&mut self, top: &Top, most: usize) {
        let alerts = &top.live.alerts;
        for (at, (name, alert)) in alerts.iter().take(most).enumerate() {
            let colour = if alert.severity == "info" { Color::Yellow } else { Color::Red };
            let style = self.look.of(colour);
            let more = alerts.len().saturating_sub(most);
            let more = if at + 1 == most && more > 0 { format!(" (and {more} more)") } else { String::new() };
            let text = format!("! {}{more}: {}", name.trim_start_matches("Sluicegate"), alert.text);
            self.line(&[(&text, style)]);
        }
    }

    fn views(&mut self, top: &Top) {
        if let Some(only) = &top.only {
            return self.line(&[(&format!(" Transfers of {only} "), HEADING)]);
        }
        let mut x = self.area.x;
        for (at, view) in View::ALL.into_iter().enumerate() {
            let style = if view == top.view { HEADING } else { Style::new() };
            x = self.put((x, self.next), u16::MAX, &format!(" {} {} ", at + 1, view.title()), style);
        }
        self.next += 1;
    }

    /// The rows of the view, down to the line `end`.
    fn rows(&mut self, top: &mut Top, now: u64, end: u16) {
        let view = top.view;
        let graph = self.graph_width(view);
        self.headings(top, graph);
        let rows = top.rows(now);
        let mut page = usize::from(end.saturating_sub(self.next));
        let others = top.live.rest.transfers;
        let has_others = view == View::Transfers && top.only.is_none() && others > 0 && page > 2;
        page -= usize::from(has_others);
        let (first, chosen) = top.fit(&rows, page);
        if rows.is_empty() && page > 0 {
            self.line(&[("nothing to list", Style::new())]);
        }
        for (at, row) in rows.iter().enumerate().skip(first).take(page) {
            self.row(top, row, (view, graph), chosen == Some(at));
        }
        if has_others {
            self.next = end - 1;
            let pace = size(top.paces.of("rest", top.shown_at(now)));
            self.line(&[(&format!("{pace:>10}/s  {others} others, which are smaller"), Style::new())]);
        }
    }

    fn headings(&mut self, top: &Top, graph: u16) {
        let (view, y) = (top.view, self.next);
        self.highlight(y);
        let sorted = top.sort.heading(view);
        let mark = match (top.is_reversed, self.look.has_unicode) {
            (false, true) => "↓",
            (true, true) => "↑",
            (false, false) => "v",
            (true, false) => "^",
        };
        let title = |title: &str| match sorted == Some(title) {
            true => format!("{title}{mark}"),
            false => title.to_owned(),
        };
        let mut x = self.area.x;
        for column in view.columns() {
            x = self.cell((x, y), column, &title(column.title), HEADING);
        }
        if graph > 0 {
            self.put((x, y), graph, &format!("LAST {graph} s"), HEADING);
            x += graph + 1;
        }
        self.put((x, y), u16::MAX, &title(view.name()), HEADING);
        self.next += 1;
    }

    /// Writes into a column that begins at `x`. Returns where the next one begins.
    fn cell(&mut self, (x, y): (u16, u16), column: &Column, text: &str, style: Style) -> u16 {
        if column.is_right {
            self.right((x, y), column.width, text, style);
        } else {
            self.put((x, y), column.width, text, style);
        }
        x + column.width + 1
    }

    fn graph_width(&self, view: View) -> u16 {
        let columns: u16 = view.columns().iter().map(|column| column.width + 1).sum();
        let left = self.area.width.saturating_sub(columns + NAME + 1);
        if view.has_graph() && self.area.width >= WIDE { left.min(MAX_GRAPH) } else { 0 }
    }

    fn row(&mut self, top: &Top, row: &Row, (view, graph): (View, u16), is_chosen: bool) {
        let (mut x, y) = (self.area.x, self.next);
        let name = if is_chosen { BOLD } else { Style::new() };
        for (column, cell) in view.columns().iter().zip(&row.cells) {
            let style = if column.title == "HELD BY" { self.look.kind(row.kind) } else { Style::new() };
            x = self.cell((x, y), column, cell, style);
        }
        if graph > 0 {
            self.bars(top, (&row.key, row.set), (x, y), (graph, 1));
            x += graph + 1;
        }
        self.put((x, y), u16::MAX, &row.name, name);
        if is_chosen {
            self.highlight(y);
        }
        self.next += 1;
    }

    /// The way of a transfer, from the line `y`.
    fn way(&mut self, top: &Top, id: &str, y: u16) {
        self.next = y;
        let name = top.live.transfers.get(id).map(|row| format!("{} {}", row.method, row.target));
        self.highlight(y);
        let heading = format!("Its way: {}", name.as_deref().unwrap_or("it has ended"));
        self.line(&[(&heading, HEADING)]);
        for stage in way::of(&top.live, id).unwrap_or_default() {
            if self.next + 1 >= self.area.bottom() {
                break;
            }
            let style = if stage.holds {
                self.look.kind(Kind::of(held_by(top, id))).patch(BOLD)
            } else {
                Style::new()
            };
            let mark = if stage.holds { "> " } else { "  " };
            let held = if stage.holds { ": holds it" } else { "" };
            self.line(&[(&format!("{mark}{:<11}{}{held}", stage.word, stage.text), style)]);
        }
    }

    fn keys(&mut self, top: &Top) {
        let y = self.area.bottom() - 1;
        let back = if top.way.is_some() || top.only.is_some() { "esc back  " } else { "" };
        let pause = if top.is_paused { "go on" } else { "pause" };
        let text = format!("{back}q quit  space {pause}  tab view  < > sort  r reverse  enter open  ? help");
        self.put((self.area.x, y), u16::MAX, &text, self.look.of(Color::DarkGray));
    }

    fn help(&mut self) {
        for (keys, does) in HELP {
            self.line(&[(&format!("  {keys:<16}"), BOLD), (does, Style::new())]);
        }
    }
}

const HELP: [(&str, &str); 17] = [
    ("q, Ctrl-C", "quit"),
    ("space, p", "pause, and go on"),
    ("1 to 6", "transfers, clients, routes, classes, limits, event streams"),
    ("tab, shift-tab", "the next of these, and the one before"),
    ("n", "sort by the pace now"),
    ("l", "sort by the rate that is set"),
    ("s", "sort by what was sent; limits by waits, streams by losses"),
    ("h", "sort by what holds them"),
    ("a", "sort by name"),
    ("<, >", "sort by the column before, and the next"),
    ("r", "reverse the order"),
    ("up, down, k, j", "choose a row"),
    ("page up, down", "choose a row further away"),
    ("home, end, g, G", "the first row, and the last"),
    ("enter", "a transfer's way; the transfers of a client, route or class"),
    ("esc", "back"),
    ("Ctrl-L", "draw the screen anew"),
];

fn held_by<'a>(top: &'a Top, id: &str) -> &'a str {
    top.live.transfers.get(id).map_or("nothing", |row| row.held())
}
