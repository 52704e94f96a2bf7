//! Writes tables into pages of documentation, between two marks, so that the next run replaces them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use testkit::process::Outcome;

/// Replaces what is between `<!-- NAME: begin -->` and `<!-- NAME: end -->` in `file`, or creates it.
///
/// # Errors
/// The file has no such marks (it is left unchanged), or cannot be read or written.
pub fn write(file: &Path, name: &str, text: &str) -> Outcome<()> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let page = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => format!("{begin}\n{end}\n"),
        page => page?,
    };
    let replaced = replace(&page, &begin, &end, text).ok_or_else(|| {
        format!("{} has no \"{begin}\" with \"{end}\" after it; it is left as it was", file.display())
    })?;
    Ok(fs::write(file, replaced)?)
}

fn replace(page: &str, begin: &str, end: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{text}{end}{after}"))
}
