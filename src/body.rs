//! The pull driver: a chain as an HTTP body.
