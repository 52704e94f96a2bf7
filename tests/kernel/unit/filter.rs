//! The unit's filters of system calls, as systemd makes them, on a process that turns into the program.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use testkit::program::path;

const UNIT: &str = include_str!("../../../contrib/systemd/sluicegate.service");

/// The numbers of the calls that are allowed, what becomes of others, and the arguments of the program.
const ALLOWED: &str = "SLUICEGATE_TEST_ALLOWED";
const OTHERS: &str = "SLUICEGATE_TEST_OTHERS";
const ARGUMENTS: &str = "SLUICEGATE_TEST_ARGUMENTS";

/// What becomes of a call that the unit does not allow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Others {
    /// It fails with EPERM: what the unit says.
    Refused,
    /// It ends the process, which shows that there is none.
    Deadly,
}

/// The values of a key of the unit, one a line.
fn values(key: &str) -> impl Iterator<Item = &str> {
    UNIT.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='))
}

/// systemd's sets of system calls, by their names: calls, and other sets.
fn sets() -> Option<BTreeMap<String, Vec<String>>> {
    let output = Command::new("systemd-analyze").arg("syscall-filter").output().ok()?;
    let (mut sets, mut name) = (BTreeMap::<String, Vec<String>>::new(), None);
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let word = line.trim();
        if word.is_empty() || word.starts_with('#') {
            // Behind the sets are those calls that are in none.
            name = name.filter(|_| line.starts_with(' '));
        } else if line.starts_with('@') {
            name = Some(word.to_owned());
        } else if let Some(name) = &name {
            sets.entry(name.clone()).or_default().push(word.to_owned());
        }
    }
    (!sets.is_empty()).then_some(sets)
}

/// The calls of a set, those of its sets too, or a call.
fn calls(name: &str, sets: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    if !name.starts_with('@') {
        return vec![name.to_owned()];
    }
    let set = sets.get(name).unwrap_or_else(|| panic!("systemd has no set {name}"));
    set.iter().flat_map(|name| calls(name, sets)).collect()
}

/// The calls that the unit allows: the first line says which, each further one adds to them or, with a tilde, takes away.
/// systemd.exec(5): those of `@default` are always allowed.
fn allowed(sets: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let mut allowed: BTreeSet<String> = calls("@default", sets).into_iter().collect();
    let lines: Vec<&str> = values("SystemCallFilter").collect();
    assert!(!lines[0].starts_with('~'), "a list of what is allowed: {lines:?}");
    for line in lines {
        let (names, is_taken) = line.strip_prefix('~').map_or((line, false), |names| (names, true));
        for call in names.split_whitespace().flat_map(|name| calls(name, sets)) {
            if is_taken {
                allowed.remove(&call);
            } else {
                allowed.insert(call);
            }
        }
    }
    allowed
}

/// The numbers that this machine's kernel has for calls, by the C compiler that linked this test.
fn numbers() -> Option<BTreeMap<String, i64>> {
    let mut command = Command::new("cc");
    command.args(["-E", "-dM", "-x", "c", "-include", "asm/unistd.h", "/dev/null"]);
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).unwrap();
    let defined: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' ')).collect();
    let calls = defined
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("__NR_")?, number(value, &defined)?)));
    Some(calls.map(|(name, number)| (name.to_owned(), number)).collect())
}

/// What `value` stands for. Some are another's: `__NR3264_fcntl`.
fn number<'a>(mut value: &'a str, defined: &BTreeMap<&'a str, &'a str>) -> Option<i64> {
    while let Some(other) = defined.get(value) {
        value = other;
    }
    value.parse().ok()
}

/// The program with these arguments, within the unit's filters; or why it cannot be had.
pub fn within(arguments: &[&str], others: Others) -> Result<Command, &'static str> {
    let sets = sets().ok_or("no systemd-analyze here, which knows what a unit's filter allows")?;
    let numbers =
        numbers().ok_or("no cc with the kernel's headers here, which have the numbers of system calls")?;
    let allowed: Vec<String> =
        allowed(&sets).iter().filter_map(|name| numbers.get(name)).map(i64::to_string).collect();
    // As much as any program needs: otherwise names were not understood.
    assert!(allowed.len() > 150, "{allowed:?}");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["unit::filter::turn_into_the_program", "--exact", "--ignored", "--nocapture"])
        .env(ALLOWED, allowed.join(" "))
        .env(OTHERS, if others == Others::Deadly { "deadly" } else { "refused" })
        .env(ARGUMENTS, arguments.join("\n"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    Ok(command)
}

fn apply(rules: BTreeMap<i64, Vec<SeccompRule>>, mismatch: SeccompAction, matched: SeccompAction) {
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, mismatch, matched, arch).unwrap();
    seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}

/// A rule that all of these arguments match: their places, and how they are compared.
fn rule(arguments: impl IntoIterator<Item = (u8, SeccompCmpOp, u64)>) -> SeccompRule {
    let condition =
        |(place, op, value)| SeccompCondition::new(place, SeccompCmpArgLen::Dword, op, value).unwrap();
    SeccompRule::new(arguments.into_iter().map(condition).collect()).unwrap()
}

/// `RestrictAddressFamilies`.
fn restrict_address_families() {
    let line = values("RestrictAddressFamilies").next().unwrap();
    let families = line.split_whitespace().map(|family| match family {
        "AF_UNIX" => libc::AF_UNIX,
        "AF_INET" => libc::AF_INET,
        "AF_INET6" => libc::AF_INET6,
        other => panic!("{other}: tell this test its number"),
    });
    let none = rule(families.map(|family| (0, SeccompCmpOp::Ne, family as u64)));
    let refused = SeccompAction::Errno(libc::EAFNOSUPPORT as u32);
    apply([(libc::SYS_socket, vec![none])].into(), SeccompAction::Allow, refused);
}

/// `MemoryDenyWriteExecute`, but for the memory that the linker of programs makes executable after `execve`.
fn deny_memory_to_write_and_execute() {
    assert_eq!(values("MemoryDenyWriteExecute").next(), Some("yes"));
    let both = (libc::PROT_WRITE | libc::PROT_EXEC) as u64;
    let mapped = rule([(2, SeccompCmpOp::MaskedEq(both), both)]);
    let changed = rule([(2, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), libc::PROT_EXEC as u64)]);
    let rules = [(libc::SYS_mmap, vec![mapped]), (libc::SYS_mprotect, vec![changed])];
    apply(rules.into(), SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32));
}

/// Turns this process into the program, within the filters. No test of its own: others start it.
#[test]
#[ignore = "started by other tests, as a process"]
fn turn_into_the_program() {
    let (Ok(allowed), Ok(others), Ok(arguments)) =
        (std::env::var(ALLOWED), std::env::var(OTHERS), std::env::var(ARGUMENTS))
    else {
        return;
    };
    restrict_address_families();
    deny_memory_to_write_and_execute();
    assert_eq!(values("SystemCallErrorNumber").next(), Some("EPERM"));
    let others = match &*others {
        "deadly" => SeccompAction::KillProcess,
        _ => SeccompAction::Errno(libc::EPERM as u32),
    };
    let rules = allowed.split(' ').map(|number| (number.parse().unwrap(), Vec::new())).collect();
    apply(rules, others, SeccompAction::Allow);
    let mut command = Command::new(path());
    command.args(arguments.split('\n'));
    for name in [ALLOWED, OTHERS, ARGUMENTS] {
        command.env_remove(name);
    }
    let error = command.exec();
    panic!("{}: {error}", path().display());
}
