//! Proxied upstreams.
