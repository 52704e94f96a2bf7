//! `health`: whether a running server is ready, for health checks of containers.

use super::CliError;
use super::admin_args::Health;
use super::admin_client::AdminClient;

/// Returns what the probe of the admin listener says.
pub(super) fn run(typed: &Health) -> Result<String, CliError> {
    let (admin, token_file) = (typed.admin.as_deref(), typed.token_file.as_deref());
    let client = AdminClient::new(admin, token_file, typed.tls_ca.as_deref())?;
    client.page(if typed.live { "/healthz" } else { "/readyz" })
}
