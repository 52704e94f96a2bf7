//! The values of flags, read one after the other: what is wrong with each is kept, and all of it is told.

use std::cell::RefCell;
use std::fmt::Display;

use super::CliError;

/// What was wrong so far.
#[derive(Default)]
pub(in crate::cli) struct Flags {
    /// Values that could not be read.
    values: RefCell<Vec<String>>,
    /// Values that do not go together. Told only if all could be read: what one that could not would have been is
    /// not known.
    together: RefCell<Vec<CliError>>,
}

impl Flags {
    /// The value of a flag, if it was typed and can be read.
    pub(in crate::cli) fn read<T, E: Display>(
        &self,
        name: &str,
        typed: &Option<String>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.all(name, typed.as_slice(), parse).pop()
    }

    /// The values of a flag that may be typed several times.
    pub(in crate::cli) fn all<T, E: Display>(
        &self,
        name: &str,
        typed: &[String],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let read = typed.iter().filter_map(|text| {
            parse(text).map_err(|error| self.values.borrow_mut().push(format!("--{name}: {error}"))).ok()
        });
        read.collect()
    }

    /// What several values mean together, if they do go together.
    pub(in crate::cli) fn together<T>(&self, result: Result<T, CliError>) -> Option<T> {
        result.map_err(|error| self.together.borrow_mut().push(error)).ok()
    }

    /// `value`, which all the flags made, if nothing was wrong with them.
    pub(in crate::cli) fn finish<T>(self, value: T) -> Result<T, CliError> {
        let values = self.values.into_inner();
        if !values.is_empty() {
            return Err(CliError::Usage(values.join("\n")));
        }
        let (mut typed_wrong, mut failed) = (Vec::new(), Vec::new());
        for error in self.together.into_inner() {
            match error {
                CliError::Usage(text) => typed_wrong.push(text),
                CliError::Failed(text) => failed.push(text),
            }
        }
        match (typed_wrong.is_empty(), failed.is_empty()) {
            (false, _) => Err(CliError::Usage(typed_wrong.join("\n"))),
            (true, false) => Err(CliError::Failed(failed.join("\n"))),
            (true, true) => Ok(value),
        }
    }
}
