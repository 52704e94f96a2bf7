//! Help as a terminal of 80 columns shows it.

use std::fmt::Write;

use argh::{FlagInfo, FlagInfoKind};

use super::{Found, positionals};

const WIDTH: usize = 80;

/// The column at which descriptions begin.
const COLUMN: usize = 24;

/// The help of the command that `path` names.
pub(in crate::cli) fn text(path: &[&str]) -> String {
    let found = Found::new(path);
    let info = &found.info;
    let mut text = format!("Usage: {}\n\n{}\n", found.usage(), wrapped("", 0, info.description));
    if !info.positionals.is_empty() {
        text.push_str("\nArguments:\n");
        for positional in positionals(info) {
            item(&mut text, positional.name, positional.description);
        }
    }
    let groups = found.groups();
    let own = groups.iter().filter(|(title, _)| title.is_none()).flat_map(|(_, flags)| flags);
    text.push_str("\nOptions:\n");
    for flag in own {
        item(&mut text, &spelling(flag), flag.description);
    }
    item(&mut text, "-h, --help, help", "display this text");
    for (title, flags) in &groups {
        let Some(title) = title else { continue };
        let _ = write!(text, "\n{title}:\n");
        for flag in flags {
            item(&mut text, &spelling(flag), flag.description);
        }
    }
    if !info.commands.is_empty() {
        text.push_str("\nCommands:\n");
        for command in &info.commands {
            item(&mut text, command.name, command.command.description);
        }
    }
    for (title, lines) in [("Examples", info.examples), ("Notes", info.notes)] {
        if !lines.is_empty() {
            let _ = write!(text, "\n{title}:\n");
        }
        for line in lines.iter().flat_map(|line| line.lines()) {
            let _ = writeln!(text, "  {}", found.named(line.trim()));
        }
    }
    if !info.error_codes.is_empty() {
        text.push_str("\nExit codes:\n");
        for code in info.error_codes {
            let _ = writeln!(text, "  {} {}", code.code, code.description);
        }
    }
    text
}

/// A flag as it is typed, with the name of its value.
fn spelling(flag: &FlagInfo<'_>) -> String {
    let short = flag.short.map_or(String::new(), |short| format!("-{short}, "));
    match flag.kind {
        FlagInfoKind::Switch => format!("{short}{}", flag.long),
        FlagInfoKind::Option { arg_name } => format!("{short}{} {}", flag.long, arg_name.to_uppercase()),
    }
}

/// Appends a name and its description, beside it or below it.
fn item(text: &mut String, name: &str, description: &str) {
    let mut first = format!("  {name}");
    if first.chars().count() + 2 > COLUMN {
        let _ = writeln!(text, "{first}");
        first.clear();
    }
    let _ = writeln!(text, "{}", wrapped(&first, COLUMN, description));
}

/// `description` in lines behind `first`, each beginning at `column`.
fn wrapped(first: &str, column: usize, description: &str) -> String {
    let mut lines = format!("{first:column$}");
    let mut len = column;
    // A default is not torn from its word.
    let glued = description.replace("(default ", "(default\u{a0}");
    for word in glued.split([' ', '\n']).filter(|word| !word.is_empty()) {
        let width = word.chars().count();
        if len > column && len + 1 + width > WIDTH {
            let _ = write!(lines, "\n{:column$}", "");
            len = column;
        } else if len > column {
            lines.push(' ');
            len += 1;
        }
        lines.push_str(&word.replace('\u{a0}', " "));
        len += width;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_before_the_eighty_first_column() {
        let fits = "x".repeat(WIDTH - COLUMN - 2);
        for (description, expected) in [
            ("", format!("{:COLUMN$}", "  --a")),
            ("b", format!("{:COLUMN$}b", "  --a")),
            (&format!("b {fits}"), format!("{:COLUMN$}b {fits}", "  --a")),
            (
                &format!("{} (default no)", &fits[8..]),
                format!("{:COLUMN$}{}\n{:COLUMN$}(default no)", "  --a", &fits[8..], ""),
            ),
            (&format!("bb {fits}"), format!("{:COLUMN$}bb\n{:COLUMN$}{fits}", "  --a", "")),
        ] {
            assert_eq!(wrapped("  --a", COLUMN, description), expected);
        }
    }

    #[test]
    fn a_name_that_leaves_no_space_stands_on_a_line_of_its_own() {
        let mut text = String::new();
        item(&mut text, &"n".repeat(COLUMN - 4), "beside");
        item(&mut text, &"n".repeat(COLUMN - 3), "below");
        let [beside, below] = [COLUMN - 4, COLUMN - 3].map(|len| "n".repeat(len));
        assert_eq!(text, format!("  {beside}  beside\n  {below}\n{:COLUMN$}below\n", ""));
    }
}
