//! `health`: whether a running server is ready, for health checks of containers.

use super::CliError;
use super::admin_args::Health;

/// Returns what the probe of the admin listener says.
pub(super) fn run(typed: &Health) -> Result<String, CliError> {
    typed.client()?.page(if typed.live { "/healthz" } else { "/readyz" })
}
