//! Files that configurations include.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use sluicegate::config::MAX_FILE;

use super::Notes;
use super::syntax::{self, Directive};

/// The most files that are read, so that one that includes itself ends.
const MAX_FILES: usize = 100;

/// Where included files are looked for.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Where relative names start; without it nothing is read.
    pub base: Option<PathBuf>,
}

impl Files {
    /// The files that `pattern` names, in order: one, or those of a folder if it ends in `*` with or without an extension.
    ///
    /// # Errors
    /// Why there are none.
    fn named(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        const FORM: &str = "only a file, or *.conf in a folder, is read";
        let base = self.base.as_ref().ok_or("standard input has no folder to read from")?;
        let path = base.join(pattern);
        let name = path.file_name().and_then(|name| name.to_str());
        let (folder, name) = path.parent().zip(name).ok_or(FORM)?;
        let Some((before, after)) = name.split_once('*') else { return Ok(vec![path]) };
        if after.contains(['*', '?', '[']) || folder.to_string_lossy().contains(['*', '?', '[']) {
            return Err(FORM.to_owned());
        }
        let entries = std::fs::read_dir(folder)
            .map_err(|error| format!("the folder {} cannot be read: {error}", folder.display()))?;
        let entries = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> =
            entries.filter(|name| name.starts_with(before) && name.ends_with(after)).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        Ok(names.iter().map(|name| folder.join(name)).collect())
    }
}

/// The text of the regular file at `path`, of at most [`MAX_FILE`] bytes.
///
/// # Errors
/// The system's, of another kind of file, and those of [`read_text`].
pub fn read_file(path: &Path) -> io::Result<String> {
    // Opening a FIFO would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    read_text(File::open(path)?)
}

/// The text of `source`, of at most [`MAX_FILE`] bytes.
///
/// # Errors
/// The system's; it is not UTF-8, or longer.
pub fn read_text(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}

type Parse = fn(&str, usize, &Rc<str>) -> Result<Vec<Directive>, String>;

/// What is being read, and how much was.
struct Including<'a> {
    files: &'a Files,
    notes: &'a mut Notes,
    parse: Parse,
    names: &'static [&'static str],
    read: usize,
}

/// The directives of a file of nginx, with those of the files that it includes.
pub(super) fn nginx(
    name: &str,
    text: &str,
    files: &Files,
    notes: &mut Notes,
) -> Result<Vec<Directive>, String> {
    let including = Including { files, notes, parse: syntax::nginx, names: &["include"], read: 0 };
    including.file(name, text)
}

/// The directives of a file of Apache, with those of the files that it includes.
pub(super) fn apache(
    name: &str,
    text: &str,
    files: &Files,
    notes: &mut Notes,
) -> Result<Vec<Directive>, String> {
    let names = &["include", "includeoptional"];
    let including = Including { files, notes, parse: syntax::apache, names, read: 0 };
    including.file(name, text)
}

impl Including<'_> {
    fn file(mut self, name: &str, text: &str) -> Result<Vec<Directive>, String> {
        let directives = (self.parse)(text, 0, &name.into())?;
        self.expanded(directives)
    }

    /// The directives with included ones in the place of what includes them.
    fn expanded(&mut self, directives: Vec<Directive>) -> Result<Vec<Directive>, String> {
        let mut all = Vec::new();
        for mut directive in directives {
            if self.names.contains(&directive.name.as_str()) && directive.block.is_none() {
                self.include(&directive, &mut all)?;
                continue;
            }
            directive.block = directive.block.map(|block| self.expanded(block)).transpose()?;
            all.push(directive);
        }
        Ok(all)
    }

    fn include(&mut self, directive: &Directive, all: &mut Vec<Directive>) -> Result<(), String> {
        let paths = match self.files.named(directive.arg(0)) {
            Ok(paths) => paths,
            Err(why) => {
                self.notes.left_out_since(directive, &why);
                return Ok(());
            }
        };
        for path in paths {
            let text = if self.read < MAX_FILES { read_file(&path).ok() } else { None };
            let Some(text) = text else {
                let why = format!("{} cannot be read", path.display());
                self.notes.left_out_since(directive, &why);
                continue;
            };
            self.read += 1;
            let name: Rc<str> = path.display().to_string().into();
            let directives = (self.parse)(&text, self.read, &name)?;
            all.extend(self.expanded(directives)?);
        }
        Ok(())
    }
}
