//! The two forms of configuration files, read into directives.

use std::fmt;
use std::iter::Peekable;
use std::rc::Rc;
use std::str::Chars;

use super::At;

/// Blocks in one another that are read: more are no configuration.
const MAX_DEPTH: usize = 32;

/// A directive, or a block with directives in it.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    /// Of Apache's in lower case.
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) at: At,
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    /// The argument at `nth`, or an empty text.
    pub(super) fn arg(&self, nth: usize) -> &str {
        self.args.get(nth).map_or("", String::as_str)
    }

    pub(super) fn inner(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// The beginning of it, for messages.
impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = std::iter::once(&self.name).chain(&self.args).map(String::as_str).collect();
        f.write_str(&shorten(&words.join(" ")))
    }
}

/// The beginning of a text, in one line.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let begin: String = chars.by_ref().take(SHOWN).collect();
    if chars.next().is_some() { format!("{begin}…") } else { begin }
}

/// A file as it is read.
struct Source<'a> {
    chars: Peekable<Chars<'a>>,
    at: At,
}

enum Token {
    Word(String),
    End,
    Open,
    Close,
}

impl Source<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.chars.next();
        self.at.line += usize::from(next == Some('\n'));
        next
    }

    fn fault<T>(&self, text: &str) -> Result<T, String> {
        Err(format!("{}: {text}", self.at))
    }

    /// The next token of nginx's form.
    fn token(&mut self) -> Result<Option<Token>, String> {
        while let Some(next) = self.chars.peek().copied() {
            match next {
                '#' => while self.next().is_some_and(|next| next != '\n') {},
                ';' | '{' | '}' => {
                    self.next();
                    return Ok(Some(match next {
                        ';' => Token::End,
                        '{' => Token::Open,
                        _ => Token::Close,
                    }));
                }
                next if next.is_whitespace() => _ = self.next(),
                '"' | '\'' => return self.quoted().map(|word| Some(Token::Word(word))),
                _ => return Ok(Some(Token::Word(self.word()))),
            }
        }
        Ok(None)
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(next) = self.chars.peek().copied() {
            // `${name}` is part of a word.
            let is_name = next == '{' && word.ends_with('$');
            if next.is_whitespace() || next == ';' || next == '{' && !is_name {
                break;
            }
            self.next();
            word.push(next);
            if is_name {
                while let Some(next) = self.chars.peek().copied().filter(|next| *next != '\n') {
                    self.next();
                    word.push(next);
                    if next == '}' {
                        break;
                    }
                }
            } else if next == '\\' {
                word.pop();
                self.escaped(&mut word);
            }
        }
        word
    }

    /// What follows a backslash: nginx takes it off quotation marks, itself, and the letters of some controls.
    fn escaped(&mut self, word: &mut String) {
        match self.next() {
            Some(next @ ('"' | '\'' | '\\')) => word.push(next),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            next => {
                word.push('\\');
                word.extend(next);
            }
        }
    }

    /// Reads on behind the block that was opened, whose content is a program's.
    fn skip_block(&mut self) -> Result<(), String> {
        let begin = self.at.clone();
        let mut depth = 1;
        while let Some(next) = self.next() {
            match next {
                '{' => depth += 1,
                '}' => depth -= 1,
                '"' | '\'' => {
                    while let Some(inner) = self.next().filter(|inner| *inner != next && *inner != '\n') {
                        if inner == '\\' {
                            self.next();
                        }
                    }
                }
                '-' if self.chars.peek() == Some(&'-') => {
                    while self.next().is_some_and(|next| next != '\n') {}
                }
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
        Err(format!("{begin}: its block is not closed"))
    }

    fn quoted(&mut self) -> Result<String, String> {
        let begin = self.at.clone();
        let quote = self.next();
        let mut word = String::new();
        while let Some(next) = self.next() {
            match next {
                next if Some(next) == quote => return Ok(word),
                '\\' => self.escaped(&mut word),
                next => word.push(next),
            }
        }
        Err(format!("{begin}: a quotation mark is not closed"))
    }
}

/// Reads nginx's form: words, `;` and `{ }`.
///
/// # Errors
/// A quotation mark or a block is not closed, or closed twice, a directive has no end, or blocks are too deep.
pub(super) fn nginx(text: &str, order: usize, name: &Rc<str>) -> Result<Vec<Directive>, String> {
    let text = plain(text, order, name)?;
    let at = At { order, line: 1, file: name.clone() };
    let mut source = Source { chars: text.chars().peekable(), at };
    // The blocks that are open, each with its directive.
    let mut open: Vec<(Directive, Vec<Directive>)> = Vec::new();
    let (mut all, mut current): (Vec<Directive>, Option<Directive>) = (Vec::new(), None);
    while let Some(token) = source.token()? {
        match (token, current.take()) {
            (Token::Word(word), Some(mut directive)) => {
                directive.args.push(word);
                current = Some(directive);
            }
            (Token::Word(word), None) => {
                let line = source.at.line - word.matches('\n').count();
                let at = At { line, ..source.at.clone() };
                current = Some(Directive { name: word, args: Vec::new(), at, block: None });
            }
            (Token::End, Some(directive)) => all.push(directive),
            (Token::Open, Some(_)) if open.len() == MAX_DEPTH => {
                return source.fault("there are too many blocks in one another");
            }
            (Token::Open, Some(directive)) if directive.name.ends_with("_by_lua_block") => {
                source.skip_block()?;
                all.push(Directive { block: Some(Vec::new()), ..directive });
            }
            (Token::Open, Some(directive)) => open.push((directive, std::mem::take(&mut all))),
            (Token::Close, None) => {
                let Some((directive, before)) = open.pop() else {
                    return source.fault("\"}\" closes no block");
                };
                let block = Some(std::mem::replace(&mut all, before));
                all.push(Directive { block, ..directive });
            }
            (Token::End, None) => {}
            (Token::Open, None) => return source.fault("\"{\" opens a block without a name"),
            (Token::Close, Some(directive)) => return no_end(&directive),
        }
    }
    match (current, open.pop()) {
        (Some(directive), _) => no_end(&directive),
        (None, Some((directive, _))) => {
            Err(format!("{}: {directive}: its block is not closed", directive.at))
        }
        (None, None) => Ok(all),
    }
}

/// The text without a byte order mark.
///
/// # Errors
/// It is no text.
fn plain<'t>(text: &'t str, order: usize, name: &Rc<str>) -> Result<&'t str, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.find('\0') {
        None => Ok(text),
        Some(end) => {
            let line = 1 + text[..end].matches('\n').count();
            Err(format!("{}: a NUL byte: it is no text", At { order, line, file: name.clone() }))
        }
    }
}

fn no_end<T>(directive: &Directive) -> Result<T, String> {
    Err(format!("{}: {directive}: there is no \";\" behind it", directive.at))
}

/// Reads Apache's form: lines, and `<Section>` with `</Section>`.
///
/// # Errors
/// A section is not closed, or closed twice, or sections are too deep.
pub(super) fn apache(text: &str, order: usize, name: &Rc<str>) -> Result<Vec<Directive>, String> {
    let mut open: Vec<(Directive, Vec<Directive>)> = Vec::new();
    let mut all: Vec<Directive> = Vec::new();
    let mut lines = plain(text, order, name)?.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let at = At { order, line: number + 1, file: name.clone() };
        let mut line = line.to_owned();
        // Comments go on too.
        while line.ends_with('\\') {
            line.pop();
            let Some((_, next)) = lines.next() else { break };
            line.push_str(next);
        }
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(section) = line.strip_prefix("</") {
            let section = section.trim_end_matches('>').trim().to_lowercase();
            match open.pop() {
                Some((directive, before)) if directive.name == section => {
                    let block = Some(std::mem::replace(&mut all, before));
                    all.push(Directive { block, ..directive });
                }
                _ => return Err(format!("{at}: </{}> closes no section that is open", shorten(&section))),
            }
        } else if let Some(section) = line.strip_prefix('<') {
            if open.len() == MAX_DEPTH {
                return Err(format!("{at}: there are too many sections in one another"));
            }
            let Some(section) = section.strip_suffix('>') else {
                return Err(format!("{at}: <{}: there is no \">\" at its end", shorten(section)));
            };
            open.push((directive(section, at), std::mem::take(&mut all)));
        } else {
            all.push(directive(line, at));
        }
    }
    match open.pop() {
        Some((directive, _)) => Err(format!("{}: <{directive}> is not closed", directive.at)),
        None => Ok(all),
    }
}

/// A line's words; quotation marks hold several together. A backslash comes off a quotation mark and off another one.
fn directive(line: &str, at: At) -> Directive {
    let mut words: Vec<String> = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(next) = chars.peek().copied() {
        if next.is_whitespace() {
            chars.next();
            continue;
        }
        let quote = chars.next_if(|next| ['"', '\''].contains(next));
        let mut word = String::new();
        while let Some(inner) = chars.next() {
            if inner == '\\' && chars.peek().is_some_and(|next| *next == '\\' || Some(*next) == quote) {
                word.extend(chars.next());
            } else if Some(inner) == quote {
                break;
            } else {
                word.push(inner);
            }
            if quote.is_none() && chars.peek().is_some_and(|next| next.is_whitespace()) {
                break;
            }
        }
        words.push(word);
    }
    let mut words = words.into_iter();
    let name = words.next().unwrap_or_default().to_lowercase();
    Directive { name, args: words.collect(), at, block: None }
}
