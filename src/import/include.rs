//! Files that configurations include.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use sluicegate::config::MAX_FILE;

use super::Notes;
use super::glob;
use super::syntax::{self, Directive};

/// The most files that are read.
const MAX_FILES: usize = 2000;
/// The most bytes of all files together.
const MAX_BYTES: usize = 16 << 20;
/// The most directives of all files together: more are no configuration.
const MAX_DIRECTIVES: usize = 50_000;
/// Files that include one another in one another.
const MAX_DEPTH: usize = 32;

/// Where included files are looked for.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Where relative names start, or else from the folder around it; without it nothing is read.
    pub base: Option<PathBuf>,
}

impl Files {
    /// The files that `pattern` names, in order: relative to the base, to the folder around it (a site's file is in
    /// `sites-enabled` of the folder where names start), or to `root`.
    ///
    /// # Errors
    /// Why there are none.
    fn named(&self, pattern: &str, root: Option<&Path>) -> Result<Vec<PathBuf>, String> {
        let base = self.base.as_ref().ok_or("standard input has no folder to read from")?;
        let whole = base.canonicalize().unwrap_or_else(|_| base.clone());
        let bases = [root, Some(base.as_path()), whole.parent()];
        let mut why = Err(format!("{pattern} cannot be read"));
        for base in bases.into_iter().flatten() {
            let path = base.join(pattern);
            if glob::is_glob(pattern) {
                match glob::files(&path) {
                    Ok(paths) => return Ok(paths.into_iter().filter(|path| path.is_file()).collect()),
                    Err(error) => why = Err(error),
                }
            } else if path.is_dir() {
                return glob::files(&path.join("*"));
            } else if path.exists() {
                return Ok(vec![path]);
            }
        }
        why
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

/// The text of `source`, of at most [`MAX_FILE`] bytes. Comments may be in another encoding than UTF-8: what is not UTF-8
/// is replaced.
///
/// # Errors
/// The system's; it is longer.
pub fn read_text(source: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    source.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

type Parse = fn(&str, usize, &Rc<str>) -> Result<Vec<Directive>, String>;

/// What is being read, and how much was.
struct Including<'a> {
    files: &'a Files,
    notes: &'a mut Notes,
    parse: Parse,
    names: &'static [&'static str],
    read: usize,
    bytes: usize,
    directives: usize,
    /// The files that are being read, each included by the one before.
    open: Vec<PathBuf>,
    /// Apache's `ServerRoot`.
    root: Option<PathBuf>,
}

/// The directives of a file of nginx, with those of the files that it includes.
pub(super) fn nginx(
    name: &str,
    text: &str,
    files: &Files,
    notes: &mut Notes,
) -> Result<Vec<Directive>, String> {
    let names = &["include"];
    Including::new(files, notes, syntax::nginx, names, name).file(name, text)
}

/// The directives of a file of Apache, with those of the files that it includes.
pub(super) fn apache(
    name: &str,
    text: &str,
    files: &Files,
    notes: &mut Notes,
) -> Result<Vec<Directive>, String> {
    let names = &["include", "includeoptional"];
    Including::new(files, notes, syntax::apache, names, name).file(name, text)
}

impl<'a> Including<'a> {
    fn new(
        files: &'a Files,
        notes: &'a mut Notes,
        parse: Parse,
        names: &'static [&'static str],
        name: &str,
    ) -> Self {
        Self {
            files,
            notes,
            parse,
            names,
            read: 0,
            bytes: 0,
            directives: 0,
            open: vec![name.into()],
            root: None,
        }
    }

    fn file(mut self, name: &str, text: &str) -> Result<Vec<Directive>, String> {
        let directives = (self.parse)(text, 0, &name.into())?;
        self.expanded(directives)
    }

    /// The directives with included ones in the place of what includes them. What cannot be read stays.
    fn expanded(&mut self, directives: Vec<Directive>) -> Result<Vec<Directive>, String> {
        let mut all = Vec::new();
        for mut directive in directives {
            self.directives += 1;
            if self.directives > MAX_DIRECTIVES {
                return Err(format!(
                    "{}: {directive}: more than {MAX_DIRECTIVES} directives; import a part",
                    directive.at
                ));
            }
            if self.names.contains(&directive.name.as_str()) && directive.block.is_none() {
                self.include(directive, &mut all)?;
                continue;
            }
            if directive.name == "serverroot" {
                self.root = Some(directive.arg(0).into());
            }
            directive.block = directive.block.map(|block| self.expanded(block)).transpose()?;
            all.push(directive);
        }
        Ok(all)
    }

    fn include(&mut self, directive: Directive, all: &mut Vec<Directive>) -> Result<(), String> {
        let named = self.files.named(directive.arg(0), self.root.as_deref());
        let paths = match named {
            Ok(paths) => paths,
            // Apache goes on without it.
            Err(_) if directive.name == "includeoptional" && self.files.base.is_some() => return Ok(()),
            Err(why) => {
                self.notes.left_out_since(&directive, &why);
                all.push(directive);
                return Ok(());
            }
        };
        for path in paths {
            let at = &directive.at;
            let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
            if self.open.contains(&whole) || self.open.len() > MAX_DEPTH {
                return Err(format!("{at}: {directive}: the file includes itself"));
            }
            if self.read == MAX_FILES {
                return Err(format!("{at}: {directive}: more than {MAX_FILES} files are included"));
            }
            let text = match read_file(&path) {
                Ok(text) => text,
                Err(error) => {
                    self.notes
                        .left_out_since(&directive, &format!("{} cannot be read: {error}", path.display()));
                    all.push(directive.clone());
                    continue;
                }
            };
            self.read += 1;
            self.bytes += text.len();
            if self.bytes > MAX_BYTES {
                return Err(format!("{at}: {directive}: more than 16 MiB are included"));
            }
            let name: Rc<str> = path.display().to_string().into();
            let directives = (self.parse)(&text, self.read, &name)?;
            self.open.push(whole);
            let directives = self.expanded(directives);
            self.open.pop();
            all.extend(directives?);
        }
        Ok(())
    }
}
