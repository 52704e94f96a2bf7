//! Completions for shells and man pages, which clap's generators make of the same list as the help.

use std::io;
use std::path::{Path, PathBuf};

use argh::{CommandInfoWithArgs, FlagInfoKind, Optionality};
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{Found, NAME, positionals};

/// Returns what the shell has to read. `shell` is `bash`, `zsh` or `fish`; `None` if it is none of them.
pub(in crate::cli) fn completions(shell: &str) -> Option<Vec<u8>> {
    let shell = match shell {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => return None,
    };
    let mut written = Vec::new();
    clap_complete::generate(shell, &mut command(&Found::new(&[])), NAME, &mut written);
    Some(written)
}

/// Writes a page for the program and one for each command into `folder`, and returns their paths.
///
/// # Errors
/// A file could not be written.
pub(in crate::cli) fn man_pages(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    let mut paths = vec![Vec::new()];
    while let Some(path) = paths.pop() {
        let found = Found::new(&path);
        paths.extend(found.info.commands.iter().rev().map(|command| [&path[..], &[command.name]].concat()));
        let file = folder.join(format!("{}.1", found.name.replace(' ', "-")));
        std::fs::write(&file, man_page(&found)?)?;
        written.push(file);
    }
    Ok(written)
}

fn man_page(found: &Found) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command(found)).manual("Sluicegate");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if !found.info.commands.is_empty() {
        man.render_subcommands_section(&mut page)?;
    }
    let codes = found.info.error_codes.iter().map(|code| format!("{}: {}", code.code, code.description));
    let named =
        |lines: &[&str]| lines.iter().flat_map(|line| line.lines()).map(|line| found.named(line)).collect();
    let sections: [(&str, Vec<String>); 3] = [
        ("EXAMPLES", named(found.info.examples)),
        ("NOTES", named(found.info.notes)),
        ("EXIT STATUS", codes.collect()),
    ];
    for (title, lines) in sections {
        if lines.is_empty() {
            continue;
        }
        let mut roff = Roff::new();
        roff.control("SH", [title]).control("nf", []);
        for line in lines {
            roff.text([roman(line)]);
        }
        roff.control("fi", []).to_writer(&mut page)?;
    }
    Ok(page)
}

/// The command in clap's words. On a man page its name is joined by dashes, as the page's is.
fn command(found: &Found) -> Command {
    let mut command = converted(&found.name.replace(' ', "-"), &found.info);
    for (title, flags) in found.groups() {
        for flag in flags {
            let name = flag.long.trim_start_matches('-').to_owned();
            command = command.mut_arg(name, |arg| arg.help_heading(title));
        }
    }
    command.override_usage(found.usage())
}

fn converted(name: &str, info: &CommandInfoWithArgs) -> Command {
    let mut command = Command::new(name.to_owned())
        .about(info.description)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .disable_help_subcommand(true);
    for flag in super::flags(info) {
        let long = flag.long.trim_start_matches('-');
        let mut arg = Arg::new(long).long(long).help(flag.description);
        if let Some(short) = flag.short {
            arg = arg.short(short);
        }
        command = command.arg(match flag.kind {
            FlagInfoKind::Switch => arg.action(ArgAction::SetTrue),
            FlagInfoKind::Option { arg_name } => {
                arg.action(ArgAction::Append).value_name(arg_name.to_uppercase()).value_hint(hint(arg_name))
            }
        });
    }
    for (at, positional) in positionals(info).enumerate() {
        let several = matches!(positional.optionality, Optionality::Repeating | Optionality::Greedy);
        let action = if several { ArgAction::Append } else { ArgAction::Set };
        // Two of a command may have one name.
        let arg = Arg::new(format!("{} {at}", positional.name)).value_name(positional.name);
        let arg = arg.help(positional.description).value_hint(hint(positional.name)).action(action);
        command = command.arg(arg.required(positional.optionality == Optionality::Required));
    }
    info.commands
        .iter()
        .fold(command, |command, inner| command.subcommand(converted(inner.name, &inner.command)))
}

/// What a shell offers for a value of this name.
fn hint(name: &str) -> ValueHint {
    match name.to_lowercase().as_str() {
        "file" => ValueHint::FilePath,
        "dir" => ValueHint::DirPath,
        "url" => ValueHint::Url,
        _ => ValueHint::Other,
    }
}
