//! Counters, in the text format of Prometheus (exposition format 0.0.4). No label carries what a
//! client can choose freely.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets of request durations, in microseconds.
const BUCKETS_US: [u64; 10] = [
    500, 1_000, 2_000, 5_000, 10_000, 25_000, 100_000, 500_000, 2_000_000, 10_000_000,
];

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

/// A count that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often each duration was seen.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS_US.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        for (bound, bucket) in BUCKETS_US.iter().zip(&self.buckets) {
            if micros <= *bound {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }
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
    /// The text of all metrics, and of these gauges.
    pub fn render(&self, gauges: &[Gauge]) -> String {
        let mut text = String::new();
        for (name, help, value) in self.counters() {
            sample(&mut text, name, help, "counter", value);
        }
        for gauge in gauges {
            sample(&mut text, gauge.name, gauge.help, "gauge", gauge.value);
        }
        self.render_durations(&mut text);
        text
    }

    fn render_durations(&self, text: &mut String) {
        const NAME: &str = "signerd_sign_seconds";
        let histogram = &self.sign_seconds;
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let (count, sum) = (load(&histogram.count), load(&histogram.sum_us));
        // Writing to a String does not fail.
        let _ = writeln!(text, "# HELP {NAME} Time to sign\n# TYPE {NAME} histogram");
        for (bound, bucket) in BUCKETS_US.iter().zip(&histogram.buckets) {
            let _ = writeln!(
                text,
                "{NAME}_bucket{{le=\"{}\"}} {}",
                seconds(*bound),
                load(bucket)
            );
        }
        let _ = writeln!(text, "{NAME}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "{NAME}_sum {}\n{NAME}_count {count}", seconds(sum));
    }
}

fn sample(text: &mut String, name: &str, help: &str, kind: &str, value: u64) {
    let _ = writeln!(
        text,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
    );
}

/// Microseconds as decimal seconds.
fn seconds(micros: u64) -> String {
    let duration = Duration::from_micros(micros);
    format!("{}.{:06}", duration.as_secs(), duration.subsec_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_counters_gauges_and_cumulative_buckets() {
        let metrics = Metrics::default();
        metrics.signed.increment();
        metrics.sign_seconds.observe(Duration::from_micros(1500));
        let text = metrics.render(&[Gauge {
            name: "g",
            help: "h",
            value: 7,
        }]);
        for line in [
            "signerd_signed_total 1",
            "g 7",
            "signerd_sign_seconds_bucket{le=\"0.001000\"} 0",
            "signerd_sign_seconds_bucket{le=\"0.002000\"} 1",
            "signerd_sign_seconds_bucket{le=\"10.000000\"} 1",
            "signerd_sign_seconds_bucket{le=\"+Inf\"} 1",
            "signerd_sign_seconds_sum 0.001500",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
