//! A command as it is typed: what it prints, and its exit code.

use std::process::{Command, Output};

/// A command as words.
pub fn words(typed: &str) -> Vec<&str> {
    typed.split_whitespace().collect()
}

/// Runs it to its end.
pub fn sluicegate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sluicegate")).args(args).output().unwrap()
}

/// The output on standard output of a command that must go well and be quiet otherwise.
pub fn prints(args: &[&str]) -> String {
    let output = sluicegate(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The message of a command that must end with `code` and print nothing else.
pub fn fails(code: i32, args: &[&str]) -> String {
    let output = sluicegate(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}
