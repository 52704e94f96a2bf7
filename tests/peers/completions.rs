//! Completions in the shells that they are for, and man pages read by mandoc.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::program::program;

fn sluicegate(args: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_sluicegate")).args(args).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    output.stdout
}

fn script(folder: &Path, shell: &str) -> String {
    let file = folder.join(shell);
    fs::write(&file, sluicegate(&["completions", shell])).unwrap();
    file.to_str().unwrap().to_owned()
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    // fish adds descriptions behind a tab.
    text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

/// What was typed, and what may follow.
const TYPED: [(&str, &[&str]); 9] = [
    ("sluicegate conn", &["connections"]),
    ("sluicegate limits l", &["list"]),
    // Three commands have one that is called list.
    ("sluicegate limits list --j", &["--json"]),
    ("sluicegate quota list --se", &["--server"]),
    ("sluicegate serve --media", &["--media-type"]),
    ("sluicegate serve --tls-s", &["--tls-self-signed"]),
    ("sluicegate serve --on-full w", &["wait"]),
    ("sluicegate limits set server --report-only t", &["true"]),
    ("sluicegate completions z", &["zsh"]),
];

#[test]
fn bash_completes_commands_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let file = script(folder.path(), "bash");
    let ask = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
               _sluicegate sluicegate \"${COMP_WORDS[-1]}\" \"${COMP_WORDS[-2]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    for (typed, expected) in TYPED {
        let mut bash = Command::new(program("bash"));
        let output = bash.args(["--norc", "-c", ask, "bash", &file]).args(typed.split(' ')).output().unwrap();
        assert_eq!(lines(&output), expected, "{typed}");
    }
}

#[test]
fn bash_offers_files_and_no_flags_behind_two_dashes() {
    let folder = tempfile::tempdir().unwrap();
    let file = script(folder.path(), "bash");
    fs::write(folder.path().join("--media.txt"), "").unwrap();
    fs::write(folder.path().join("site.toml"), "").unwrap();
    let ask = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
               _sluicegate sluicegate \"${COMP_WORDS[-1]}\" \"${COMP_WORDS[-2]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    for (typed, expected) in [
        ("sluicegate serve -- --med", "--media.txt"),
        ("sluicegate run --log-level info -- si", "site.toml"),
        ("sluicegate serve -- --tls-s", ""),
    ] {
        let mut bash = Command::new(program("bash"));
        bash.args(["--norc", "-c", ask, "bash", &file]).args(typed.split(' ')).current_dir(folder.path());
        assert_eq!(lines(&bash.output().unwrap()), [expected], "{typed}");
    }
}

#[test]
fn fish_completes_commands_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let file = script(folder.path(), "fish");
    for (typed, expected) in TYPED {
        let mut fish = Command::new(program("fish"));
        let ask = format!("source {file}; complete -C '{typed}'");
        let output = fish.args(["--no-config", "-c", &ask]).env("HOME", folder.path()).output().unwrap();
        assert_eq!(lines(&output), expected, "{typed}");
    }
}

/// Types each of [`TYPED`] and a tab into an interactive shell, on a terminal that script(1) makes. Ctrl-T, which `setup` binds, must
/// add the line as it then is to the file `shown` and empty it. Nothing is waited for: the terminal keeps what is typed ahead.
fn complete_at_the_prompt(shell: &str, setup: &str, command: &str) {
    let folder = tempfile::tempdir().unwrap();
    script(folder.path(), shell);
    // zsh looks for a file of this name.
    fs::write(folder.path().join(".zshrc"), setup).unwrap();
    let mut keys: String = TYPED.iter().map(|(typed, _)| format!("{typed}\t\u{14}")).collect();
    keys += "exit\n";
    fs::write(folder.path().join("keys"), keys).unwrap();
    let mut terminal = Command::new(program("timeout"));
    terminal.args(["60", "script", "-qec", command, "/dev/null"]).current_dir(folder.path());
    terminal.env("ZDOTDIR", folder.path()).env("HOME", folder.path()).env("SHELL", "/bin/sh");
    terminal.env("TERM", "dumb").env("INPUTRC", "/dev/null");
    let output = terminal.stdin(fs::File::open(folder.path().join("keys")).unwrap()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown = fs::read_to_string(folder.path().join("shown")).unwrap();
    let shown: Vec<&str> = shown.lines().map(|line| line.trim_end_matches([' ', '='])).collect();
    let expected: Vec<String> = TYPED
        .iter()
        .map(|(typed, words)| {
            let (before, _) = typed.rsplit_once(' ').unwrap();
            format!("{before} {}", words[0])
        })
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn a_tab_in_bash_completes_what_was_typed() {
    let setup = "source ./bash; PS1=
                 bind -x '\"\\C-t\": printf \"%s\\n\" \"$READLINE_LINE\" >>shown; READLINE_LINE='";
    complete_at_the_prompt("bash", setup, "bash --noprofile --rcfile .zshrc -i");
}

#[test]
fn a_tab_in_zsh_completes_what_was_typed() {
    let setup = "autoload -Uz compinit; compinit -u -d ./dump; source ./zsh; PROMPT=
                 show() { print -r -- $BUFFER >>shown; BUFFER= }
                 zle -N show; bindkey -e; bindkey '^T' show";
    complete_at_the_prompt("zsh", setup, "zsh -d -i");
}

#[test]
fn mandoc_finds_nothing_in_the_man_pages() {
    let folder = tempfile::tempdir().unwrap();
    let written = String::from_utf8(sluicegate(&["man", folder.path().to_str().unwrap()])).unwrap();
    let pages: Vec<&str> = written.lines().collect();
    let names: Vec<&str> = pages.iter().filter_map(|page| page.rsplit('/').next()).collect();
    for name in ["sluicegate.1", "sluicegate-serve.1", "sluicegate-limits-set.1", "sluicegate-quota.1"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let output =
        Command::new(program("mandoc")).args(["-T", "lint", "-W", "error"]).args(&pages).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let page = folder.path().join("sluicegate.1");
    let title = |text: String| text.lines().find(|line| line.starts_with(".TH")).unwrap().to_owned();
    let dated = title(fs::read_to_string(&page).unwrap());
    let mut again = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    again.arg("man").arg(folder.path()).env("SOURCE_DATE_EPOCH", "86400").output().unwrap();
    let then = title(fs::read_to_string(&page).unwrap());
    assert!(then.contains("1970-01-02") && !dated.contains("1970") && dated.contains("20"), "{dated} {then}");
    let output = Command::new(program("mandoc"))
        .args(["-T", "utf8", &format!("{}/sluicegate-serve.1", folder.path().display())])
        .output();
    let shown = String::from_utf8(output.unwrap().stdout).unwrap();
    // Bold is a character, a step back, and the character again.
    let mut text = String::new();
    for character in shown.chars() {
        if character == '\u{8}' {
            text.pop();
        } else {
            text.push(character);
        }
    }
    for part in ["--interval", "FLEET QUOTA", "Serve the files of a folder."] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
