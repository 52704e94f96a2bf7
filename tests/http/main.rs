//! The HTTP and TCP server on real sockets, its files, its proxy, its admin listener and reloads.
//!
//! Time is real where patience or a pace is what is tested: what must not come early is asserted without
//! tolerance, what must come is waited for. Pace itself is asserted on the manual clock in `core`.

mod admin;
mod admin_api;
mod boundary;
mod classes;
mod direct_and_proxied;
mod error_pages;
mod exchanges;
mod fields;
mod files;
mod hosts;
mod intervals;
mod proxy;
mod proxy_protocol;
mod reload;
mod sent_files;
mod server;
mod several_rates;
mod shared_rates;
mod shedding;
mod simulate;
mod sink;
mod spelling;
mod stalled;
mod streams;
mod tcp;
mod tls;
mod upload_limits;
mod upload_rates;
mod uploads;
