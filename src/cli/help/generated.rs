//! Completions for shells and man pages, which clap's generators make of the same list as the help.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use argh::{CommandInfoWithArgs, FlagInfoKind, Optionality};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::values::values;
use super::{Found, NAME, positionals};

/// When this version was released; `docs/releasing.md` says when to change it.
const RELEASED: &str = "2026-11-29";

/// Its first second, since 1970: dates end there.
const YEAR_9999: u64 = 253_370_764_800;

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
    match shell {
        Shell::Bash => Some(files_after_dashes(written)),
        Shell::Fish => Some([written, arguments_for_fish()].concat()),
        _ => Some(written),
    }
}

/// What clap_complete leaves out for fish: the values of the arguments of commands.
fn arguments_for_fish() -> Vec<u8> {
    let mut lines = Vec::new();
    for command in Found::new(&[]).info.commands {
        for positional in positionals(&command.command) {
            let (name, values) = (command.name, values(positional.name).join(" "));
            if !values.is_empty() {
                let line = format!(
                    "complete -c {NAME} -n \"__fish_{NAME}_using_subcommand {name}\" -f -a \"{values}\"\n"
                );
                lines.extend(line.into_bytes());
            }
        }
    }
    lines
}

/// The script for bash, which offers files behind `--` where clap_complete's goes on with flags.
fn files_after_dashes(script: Vec<u8>) -> Vec<u8> {
    const BEGIN: &str = "    for i in \"${COMP_WORDS[@]:0:COMP_CWORD}\"\n";
    const FILES: &str = "    for i in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do
        if [[ \"$i\" == -- ]]; then
            COMPREPLY=( $(compgen -f -- \"$cur\") )
            return 0
        fi
    done

";
    match String::from_utf8(script) {
        Ok(script) => script.replacen(BEGIN, &format!("{FILES}{BEGIN}"), 1).into_bytes(),
        Err(odd) => odd.into_bytes(),
    }
}

/// Writes a page for the program and one for each command into `folder`, and returns their paths. Their date is
/// `SOURCE_DATE_EPOCH` of the environment, else that of the release: pages of one version are the same wherever they are made.
///
/// # Errors
/// A file could not be written, or `SOURCE_DATE_EPOCH` is no time.
pub(in crate::cli) fn man_pages(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let date = date(std::env::var_os("SOURCE_DATE_EPOCH"))?;
    let mut written = Vec::new();
    let mut paths = vec![Vec::new()];
    while let Some(path) = paths.pop() {
        let found = Found::new(&path);
        paths.extend(found.info.commands.iter().rev().map(|command| [&path[..], &[command.name]].concat()));
        let file = folder.join(format!("{}.1", found.name.replace(' ', "-")));
        std::fs::write(&file, man_page(&found, &date)?)?;
        written.push(file);
    }
    Ok(written)
}

/// The day of a count of seconds since 1970, as reproducible-builds.org has it; that of the release without one.
fn date(epoch: Option<OsString>) -> io::Result<String> {
    let Some(epoch) = epoch.filter(|epoch| !epoch.is_empty()) else { return Ok(RELEASED.to_owned()) };
    let seconds = epoch.to_str().and_then(|text| text.parse().ok()).filter(|seconds| *seconds < YEAR_9999);
    let text = "SOURCE_DATE_EPOCH is not a number of seconds since 1970";
    let seconds = seconds.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, text))?;
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
    Ok(time.split('T').next().unwrap_or_default().to_owned())
}

fn man_page(found: &Found, date: &str) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command(found)).manual("Sluicegate").date(date);
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
                let arg = arg.action(ArgAction::Append).value_name(arg_name.to_uppercase());
                with_values(arg, arg_name, values(flag.long))
            }
        });
    }
    for (at, positional) in positionals(info).enumerate() {
        let several = matches!(positional.optionality, Optionality::Repeating | Optionality::Greedy);
        let action = if several { ArgAction::Append } else { ArgAction::Set };
        // Two of a command may have one name.
        let arg = Arg::new(format!("{} {at}", positional.name)).value_name(positional.name);
        let arg = with_values(arg, positional.name, values(positional.name));
        let arg = arg.help(positional.description).action(action);
        command = command.arg(arg.required(positional.optionality == Optionality::Required));
    }
    info.commands
        .iter()
        .fold(command, |command, inner| command.subcommand(converted(inner.name, &inner.command)))
}

/// Has shells offer `values`, or if there are none, what the name of the value says. Descriptions name the values already.
fn with_values(arg: Arg, name: &str, values: &'static [&'static str]) -> Arg {
    match values {
        [] => arg.value_hint(hint(name)),
        values => arg.value_parser(PossibleValuesParser::new(values)).hide_possible_values(true),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_page_is_the_environments_or_the_releases() {
        for (epoch, expected) in [
            (None, Some(RELEASED)),
            (Some(""), Some(RELEASED)),
            (Some("0"), Some("1970-01-01")),
            (Some("951782399"), Some("2000-02-28")),
            (Some("253370764799"), Some("9998-12-31")),
            (Some("253370764800"), None),
            (Some("-1"), None),
            (Some("today"), None),
        ] {
            assert_eq!(date(epoch.map(OsString::from)).ok().as_deref(), expected, "{epoch:?}");
        }
    }
}
