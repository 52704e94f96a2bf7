//! What Apache's rules of rewriting close, or lead to https.

use super::{Host, Import};
use crate::import::known::Why;
use crate::import::pattern::{self, Place};
use crate::import::syntax::Directive;

impl Import<'_> {
    /// Takes a rule or its condition, and returns whether `directive` is one. Within a folder, patterns are of what is below.
    pub(super) fn rewrite(&mut self, directive: &Directive, host: &mut Host, is_in_section: bool) -> bool {
        match directive.name.as_str() {
            "rewritecond" => {
                host.conditions.push(directive.clone());
                self.notes.left_out(directive);
            }
            "rewriterule" => {
                let conditions = std::mem::take(&mut host.conditions);
                self.rule(directive, &conditions, host, is_in_section);
            }
            _ => return false,
        }
        true
    }

    fn rule(&mut self, rule: &Directive, conditions: &[Directive], host: &mut Host, is_in_section: bool) {
        let has = |text: &str, test: &str| {
            conditions.iter().any(|condition| {
                condition.arg(0).eq_ignore_ascii_case(text) && condition.arg(1).eq_ignore_ascii_case(test)
            })
        };
        // It is for what is not there.
        let is_any = conditions.iter().any(|condition| {
            let flags = condition.arg(2).to_ascii_lowercase();
            flags.trim_matches(['[', ']']).split(',').any(|flag| ["or", "ornext"].contains(&flag.trim()))
        });
        // Outside of folders it is not known yet which file it is.
        let is_for_missing = !is_any
            && (is_in_section && has("%{REQUEST_FILENAME}", "!-f")
                || has("%{DOCUMENT_ROOT}%{REQUEST_URI}", "!-f"));
        let is_for_plain = !is_any
            && (has("%{HTTPS}", "off")
                || has("%{HTTPS}", "!=on")
                || has("%{HTTPS}", "!on")
                || has("%{SERVER_PORT}", "80"));
        // Folders are not there as files.
        let is_for_folders = is_for_missing
            && !has("%{REQUEST_FILENAME}", "!-d")
            && !has("%{DOCUMENT_ROOT}%{REQUEST_URI}", "!-d");
        if is_for_folders && rule.arg(1) != "-" {
            host.unlists.push(rule.at.clone());
        }
        if !(host.rewrites || is_in_section && self.rewrites) {
            return self.notes.left_out_since(rule, "RewriteEngine is not on");
        }
        // One in a section is for what is there only, and of the main server for all hosts.
        if leads_to_https(rule) && !host.is_secure && !is_in_section {
            host.leads_to_https = true;
            return self.notes.differs(rule, "a virtual host without TLS sends everyone to https");
        }
        let Some(why) = closes(rule)
            .filter(|why| *why == Why::Access || !(is_for_missing || is_for_plain && host.is_secure))
        else {
            return self.notes.left_out(rule);
        };
        let place = match flags(rule).iter().any(|flag| flag == "nc" || flag == "nocase") || is_in_section {
            true => Place::Anywhere,
            false => pattern::of_regex(rule.arg(0)),
        };
        self.notes.differs(rule, "warning: left out: what it is for is refused here");
        host.close(rule, place, why);
    }
}

fn flags(rule: &Directive) -> Vec<String> {
    let flags = rule.arg(2).trim_matches(['[', ']']).to_ascii_lowercase();
    let short = |flag: &str| match flag.strip_prefix("redirect") {
        Some(status) => format!("r{status}"),
        None => flag.to_owned(),
    };
    flags.split(',').map(|flag| short(flag.trim())).collect()
}

/// What a rule closes, if it holds.
pub(super) fn closes(rule: &Directive) -> Option<Why> {
    let refuses = |flag: &String| {
        ["f", "forbidden", "g", "gone"].contains(&flag.as_str())
            || flag.starts_with("r=4")
            || flag.starts_with("r=5")
    };
    let flags = flags(rule);
    match flags.iter().any(refuses) {
        true => Some(Why::Access),
        false if flags.iter().any(|flag| flag.starts_with("h=") || flag.starts_with("handler=")) => {
            Some(Why::Script)
        }
        false => (rule.arg(1) != "-").then_some(Why::Elsewhere),
    }
}

/// Whether a rule sends everyone to https.
fn leads_to_https(rule: &Directive) -> bool {
    let is_all = ["^", ".*", "(.*)", "^(.*)", "^(.*)$", "^.*$", "^/?(.*)", "^/?(.*)$", "^/(.*)$"];
    is_all.contains(&rule.arg(0)) && rule.arg(1).starts_with("https://") && !rule.arg(2).contains('P')
}
