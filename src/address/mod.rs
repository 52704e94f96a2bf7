//! Addresses as people write them: where to listen, hosts with ports, URLs and networks.
//!
//! Pure, and imports nothing else of the crate but [`excerpt`](crate::excerpt). The URLs of backends, collectors, quota
//! servers and probed servers are each an `HttpUrl` with rules of their own.

mod host_port;
mod listen;
mod network;
mod url;

pub(crate) use host_port::{AuthorityError, AuthorityParts};
pub use host_port::{HostPort, HostPortError};
pub(crate) use listen::MAX_UNIX_PATH_LEN;
pub use listen::{ListenAddr, ListenError};
pub use network::{Network, NetworkError};
pub(crate) use url::{HttpUrl, UrlError};

/// Characters of a text that is refused, in the message that refuses it.
const SHOWN: usize = 60;
