//! The table's way into a page such as the README: between two marks, so that the next run replaces it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::Outcome;

const BEGIN: &str = "<!-- peers: begin -->";
const END: &str = "<!-- peers: end -->";

/// Replaces what is between the marks in `file`; makes a file that is not there. A file without marks is left
/// alone, and that is an error.
pub fn write(file: &Path, text: &str) -> Outcome<()> {
    let page = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => format!("{BEGIN}\n{END}\n"),
        page => page?,
    };
    let replaced = replace(&page, text).ok_or_else(|| {
        format!("{} has no \"{BEGIN}\" with \"{END}\" after it; it is left as it was", file.display())
    })?;
    Ok(fs::write(file, replaced)?)
}

fn replace(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{text}{END}{after}"))
}
