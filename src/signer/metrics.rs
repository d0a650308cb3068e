//! Counters, in the text format of Prometheus (exposition format 0.0.4). No label carries what a
//! client can choose freely.

use api::server::{Counter, Exposition, Histogram};

macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident = $name:literal, $help:literal;)*) => {
        /// Everything that is counted.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[$doc])* pub $field: Counter,)*
            /// How long `POST /v1/sign` took where it signed.
            pub sign_seconds: Histogram,
        }

        impl Metrics {
            fn counters(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$(($name, $help, self.$field.value()),)*]
            }
        }
    };
}

counters! {
    /// Connections whose handshake succeeded.
    connections = "signerd_connections_total", "TLS connections accepted";
    /// Connections that ended in the handshake.
    handshakes_failed = "signerd_handshakes_failed_total", "TLS handshakes that failed";
    /// Connections turned away at the bound.
    connections_refused = "signerd_connections_refused_total", "Connections turned away at the bound";
    /// Requests of any verb.
    requests = "signerd_requests_total", "Requests of any verb";
    /// Transactions signed.
    signed = "signerd_signed_total", "Transactions signed";
    /// Answers given again.
    replayed = "signerd_replayed_total", "Answers given again for the same request";
    /// Requests refused.
    refused = "signerd_refused_total", "Requests refused by codec or policy";
    /// Requests that wait for people.
    pending = "signerd_pending_total", "Requests that wait for people or attesters";
    /// Requests beyond a client's rate.
    throttled = "signerd_throttled_total", "Requests beyond a client's rate";
    /// Requests that found no device.
    no_device = "signerd_no_device_total", "Requests refused because no device answers";
    /// Attempts whose calls failed.
    calls_failed = "signerd_calls_failed_total", "Attempts whose device calls ended without a signature";
    /// Checkpoints signed.
    checkpoints = "signerd_checkpoints_total", "Checkpoints of the journal signed";
    /// Checkpoints that were not.
    checkpoints_failed = "signerd_checkpoints_failed_total", "Checkpoints of the journal that could not be made";
    /// Snapshots that a start did not believe.
    snapshots_refused = "signerd_snapshots_refused_total", "Snapshots that the start did not believe: the whole journal was read";
    /// Cosignatures counted.
    cosignatures = "signerd_cosignatures_total", "Cosignatures of checkpoints that were counted";
    /// Cosignatures that changed nothing.
    cosignatures_refused = "signerd_cosignatures_refused_total", "Requests with cosignatures that changed nothing";
    /// Answers that were held back.
    unwitnessed = "signerd_unwitnessed_total", "Answers that were held back for lack of cosignatures";
    /// Reloads that were taken.
    reloads = "signerd_reloads_total", "Reloads of certificates, revocation lists and policy";
    /// Reloads that were not.
    reloads_failed = "signerd_reloads_failed_total", "Reloads that were refused";
}

/// A value that is read when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Its value.
    pub value: u64,
}

impl Metrics {
    /// All metrics, and these gauges.
    pub fn exposition(&self, gauges: &[Gauge]) -> Exposition {
        let mut text = Exposition::default();
        for (name, help, value) in self.counters() {
            text.family(name, help, "counter");
            text.sample(name, &[], value);
        }
        for gauge in gauges {
            text.family(gauge.name, gauge.help, "gauge");
            text.sample(gauge.name, &[], gauge.value);
        }
        text.histogram("signerd_sign_seconds", "Time to sign", &self.sign_seconds);
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn renders_counters_gauges_and_durations() {
        let metrics = Metrics::default();
        metrics.signed.increment();
        metrics.sign_seconds.observe(Duration::from_micros(1500));
        let text = metrics.exposition(&[Gauge {
            name: "g",
            help: "h",
            value: 7,
        }]);
        let text = text.text();
        for line in [
            "signerd_signed_total 1",
            "g 7",
            "signerd_sign_seconds_count 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
