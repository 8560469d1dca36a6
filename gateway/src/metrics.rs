//! Counters, and how Prometheus reads them.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! metrics {
    ($($(#[doc = $doc:literal])* $name:ident: $kind:literal,)*) => {
        /// What is counted.
        #[derive(Debug, Default)]
        pub(super) struct Metrics {
            $($(#[doc = $doc])* pub $name: AtomicU64,)*
        }

        impl Metrics {
            /// As Prometheus reads it.
            pub(super) fn text(&self, out: &mut String) {
                // writing to a string does not fail
                $(let _ = writeln!(
                    out,
                    "# HELP hypostyle_gateway_{0}{1}\n# TYPE hypostyle_gateway_{0} {2}\nhypostyle_gateway_{0} {3}",
                    stringify!($name),
                    concat!($($doc),*),
                    $kind,
                    self.$name.load(Ordering::Relaxed),
                );)*
            }
        }
    };
}

metrics! {
    /// Clients connected.
    clients: "gauge",
    /// Clients that were connected so far.
    clients_total: "counter",
    /// Connections refused for want of room, a wrong token, a foreign origin or host.
    refused_total: "counter",
    /// Clients cut off because they neither read nor acknowledged.
    slow_total: "counter",
    /// Clients cut off because they sent more messages or bytes a second than they may.
    too_much_total: "counter",
    /// Clients cut off because their token is none any more.
    revoked_total: "counter",
    /// Connections and requests refused as there were too many a second from their address.
    limited_total: "counter",
    /// Clients cut off because of what they sent.
    protocol_errors_total: "counter",
    /// Updates sent.
    updates_total: "counter",
    /// Updates sent that were full.
    full_updates_total: "counter",
    /// Bytes of updates sent.
    update_bytes_total: "counter",
    /// Inputs of clients that were sent on to the simulation.
    inputs_total: "counter",
    /// Inputs of clients that were refused.
    inputs_refused_total: "counter",
    /// Requests that steered the run.
    steered_total: "counter",
    /// Updates published on a broker.
    broker_updates_total: "counter",
    /// Bytes of them.
    broker_bytes_total: "counter",
    /// How often publishing began again after an error.
    broker_errors_total: "counter",
    /// Looks at the region.
    looks_total: "counter",
    /// Nanoseconds that looks took.
    look_nanoseconds_total: "counter",
    /// Bytes that looks compared or copied.
    look_bytes_total: "counter",
    /// Updates encoded.
    encoded_total: "counter",
    /// Updates that another client had been given before.
    shared_total: "counter",
    /// Nanoseconds that encoding took.
    encode_nanoseconds_total: "counter",
    /// The newest generation of the region.
    generation: "gauge",
    /// The frame of the last look.
    frame: "gauge",
    /// Whether the region has a live writer.
    writer_alive: "gauge",
}

/// One more.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
