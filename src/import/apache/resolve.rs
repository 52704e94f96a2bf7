//! What Apache does as it reads: names of variables, and sections that hold or not.

use std::collections::{BTreeMap, BTreeSet};

use crate::import::Notes;
use crate::import::syntax::Directive;

/// Modules that are part of the program. Those of access are, where nothing loads them: without them it closes nothing.
const BUILT_IN: &[&str] = &[
    "core",
    "so",
    "http",
    "log_config",
    "logio",
    "version",
    "unixd",
    "watchdog",
    "authz_core",
    "authz_host",
    "authz_user",
    "authn_core",
    "auth_basic",
];

/// The version that is supposed.
const VERSION: [u32; 2] = [2, 4];

/// The longest word, as in Apache, and what names may come to in all: each name may have others in it.
const MAX_WORD: usize = 8192;
const MAX_WORDS: usize = 16 << 20;

struct Resolving<'a> {
    notes: &'a mut Notes,
    defines: BTreeMap<String, String>,
    /// All names that are defined anywhere.
    definable: BTreeSet<String>,
    /// The modules that are loaded; empty if none is, in a part of a configuration.
    modules: BTreeSet<String>,
    /// The bytes that names came to.
    grown: usize,
}

/// The directives with names of variables replaced, and what holds in the place of the sections that ask.
pub(super) fn resolve(directives: &[Directive], notes: &mut Notes) -> Vec<Directive> {
    let (mut definable, mut modules) = (BTreeSet::new(), BTreeSet::new());
    find(directives, &mut definable, &mut modules);
    Resolving { notes, defines: BTreeMap::new(), definable, modules, grown: 0 }.all(directives)
}

fn find(directives: &[Directive], definable: &mut BTreeSet<String>, modules: &mut BTreeSet<String>) {
    for directive in directives {
        match directive.name.as_str() {
            "define" => _ = definable.insert(directive.arg(0).to_owned()),
            "loadmodule" => _ = modules.insert(module(directive.arg(0))),
            _ => find(directive.inner(), definable, modules),
        }
    }
}

/// The bare name of a module: `ssl` of `mod_ssl.c` and `ssl_module`.
fn module(name: &str) -> String {
    let name = name.strip_prefix("mod_").unwrap_or(name);
    name.trim_end_matches(".c").trim_end_matches(".cpp").trim_end_matches("_module").to_owned()
}

impl Resolving<'_> {
    fn all(&mut self, directives: &[Directive]) -> Vec<Directive> {
        let mut all = Vec::new();
        for directive in directives {
            let mut directive = Directive { args: self.words(&directive.args), ..directive.clone() };
            match directive.name.as_str() {
                "define" => _ = self.defines.insert(directive.arg(0).to_owned(), directive.arg(1).to_owned()),
                "undefine" => _ = self.defines.remove(directive.arg(0)),
                "ifmodule" | "ifdefine" | "ifversion" => match self.holds(&directive) {
                    Some(true) => all.extend(self.all(directive.inner())),
                    Some(false) => self.notes.left_out_since(&directive, "its condition does not hold"),
                    None => all.push(directive),
                },
                _ => {
                    directive.block = directive.block.as_deref().map(|block| self.all(block));
                    all.push(directive);
                }
            }
        }
        all
    }

    fn words(&mut self, words: &[String]) -> Vec<String> {
        words.iter().map(|word| if word.contains("${") { self.word(word) } else { word.clone() }).collect()
    }

    /// A word with what is defined in the place of its names. One that is too long keeps them, and means nothing.
    fn word(&mut self, word: &str) -> String {
        let (mut text, mut rest) = (String::new(), word);
        while let Some((before, after)) = rest.split_once("${") {
            text.push_str(before);
            match after.split_once('}').and_then(|(name, after)| Some((self.defines.get(name)?, after))) {
                Some((value, _)) if text.len() + value.len() > MAX_WORD || self.grown > MAX_WORDS => {
                    return word.to_owned();
                }
                Some((value, after)) => {
                    self.grown += value.len();
                    text.push_str(value);
                    rest = after;
                }
                None => {
                    text.push_str("${");
                    rest = after;
                }
            }
        }
        text + rest
    }

    /// Whether what is in a section holds; `None` if that is not known.
    fn holds(&self, section: &Directive) -> Option<bool> {
        let arg = section.arg(0);
        let (is_not, name) = arg.strip_prefix('!').map_or((false, arg), |name| (true, name));
        let is_there = match section.name.as_str() {
            // Where none is loaded, all are supposed.
            "ifmodule" => {
                let name = module(name);
                self.modules.is_empty() || self.modules.contains(&name) || BUILT_IN.contains(&&*name)
            }
            "ifdefine" if self.defines.contains_key(name) => true,
            "ifdefine" if self.definable.contains(name) => false,
            "ifversion" => return holds_for_version(section),
            _ => return None,
        };
        Some(is_there != is_not)
    }
}

/// Whether an `<IfVersion>` holds for [`VERSION`].
fn holds_for_version(section: &Directive) -> Option<bool> {
    let (operator, version) = match &section.args[..] {
        [operator, version] => (operator.as_str(), version),
        [version] => ("=", version),
        _ => return None,
    };
    let numbers: Vec<u32> = version.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let [major, minor, ..] = numbers[..] else { return None };
    let order = VERSION.cmp(&[major, minor]);
    match operator {
        ">=" => Some(order.is_ge()),
        "<" => Some(order.is_lt()),
        // The last number decides.
        ">" if order.is_ne() => Some(order.is_gt()),
        "<=" if order.is_ne() => Some(order.is_lt()),
        _ => None,
    }
}
