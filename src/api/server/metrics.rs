//! Metrics in the Prometheus text format (exposition format 0.0.4).

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets of durations, in microseconds.
const BUCKETS_US: [u64; 12] = [
    250, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 100_000, 250_000, 500_000, 2_000_000, 10_000_000,
];

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

/// A text of metrics that is being written.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// What a metric means.
    pub fn family(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One value of it.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.0.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let open = if place == 0 { '{' } else { ',' };
            let value = value.replace(['\\', '"', '\n'], "_");
            let _ = write!(self.0, "{open}{label}=\"{value}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// How often durations were seen.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let (count, sum) = (load(&histogram.count), load(&histogram.sum_us));
        self.family(name, help, "histogram");
        let bucket = format!("{name}_bucket");
        for (bound, seen) in BUCKETS_US.iter().zip(&histogram.buckets) {
            self.sample(&bucket, &[("le", &seconds(*bound))], load(seen));
        }
        self.sample(&bucket, &[("le", "+Inf")], count);
        let _ = writeln!(self.0, "{name}_sum {}", seconds(sum));
        self.sample(&format!("{name}_count"), &[], count);
    }

    /// The whole text.
    pub fn text(self) -> String {
        self.0
    }
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
    fn labels_are_written_and_buckets_are_cumulative() {
        let (counter, durations) = (Counter::default(), Histogram::default());
        counter.increment();
        durations.observe(Duration::from_micros(1500));
        let mut text = Exposition::default();
        text.family("c", "what it counts", "counter");
        text.sample("c", &[("of", "a\"b"), ("and", "d")], counter.value());
        text.histogram("d", "how long", &durations);
        let text = text.text();
        for line in [
            "# HELP c what it counts",
            "# TYPE c counter",
            "c{of=\"a_b\",and=\"d\"} 1",
            "# TYPE d histogram",
            "d_bucket{le=\"0.001000\"} 0",
            "d_bucket{le=\"0.002000\"} 1",
            "d_bucket{le=\"10.000000\"} 1",
            "d_bucket{le=\"+Inf\"} 1",
            "d_sum 0.001500",
            "d_count 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
