//! Metrics in the Prometheus text format (exposition format 0.0.4). No label carries what a client or
//! a node can choose freely.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{lane::SendOutcome, signer::SignOutcome, store::StoreError};

/// Upper bounds of the buckets of durations, in microseconds.
const BUCKETS_US: [u64; 12] = [
    250, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 100_000, 250_000, 500_000, 2_000_000, 10_000_000,
];

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Answers of the signer, by what they came to.
    pub signer: SignerCounters,
    /// Transactions given to nodes, by what that came to.
    pub sends: SendCounters,
    /// Database transactions of lanes, by what they came to.
    pub commits: CommitCounters,
    /// How long they took.
    pub commit_seconds: Histogram,
    /// Views that were loaded again because the store held something else.
    pub reloads: Counter,
}

macro_rules! outcomes {
    ($(#[$doc:meta])* $name:ident { $($field:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name {
            $(#[doc = concat!("Outcome `", $label, "`.")] pub $field: Counter,)*
        }

        impl $name {
            fn values(&self) -> Vec<(&'static str, u64)> {
                vec![$(($label, self.$field.value()),)*]
            }
        }
    };
}

outcomes! {
    /// Answers of the signer.
    SignerCounters {
        signed = "signed",
        refused = "refused",
        pending = "pending",
        not_now = "not-now",
        sealed = "sealed",
        unknown = "unknown",
        contradiction = "contradiction",
    }
}

outcomes! {
    /// Transactions given to nodes.
    SendCounters {
        taken = "taken",
        rejected = "rejected",
        unknown = "unknown",
    }
}

outcomes! {
    /// Database transactions of lanes.
    CommitCounters {
        done = "done",
        fenced = "fenced",
        conflict = "conflict",
        unavailable = "unavailable",
        corrupt = "corrupt",
    }
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

impl Metrics {
    /// Counts an answer of the signer.
    pub fn signed(&self, outcome: &SignOutcome) {
        let counter = match outcome {
            SignOutcome::Signed(_) => &self.signer.signed,
            SignOutcome::Refused { .. } => &self.signer.refused,
            SignOutcome::Pending { .. } => &self.signer.pending,
            SignOutcome::NotNow { sealed: false, .. } => &self.signer.not_now,
            SignOutcome::NotNow { sealed: true, .. } => &self.signer.sealed,
            SignOutcome::Unknown { .. } => &self.signer.unknown,
            SignOutcome::Contradiction { .. } => &self.signer.contradiction,
        };
        counter.increment();
    }

    /// Counts a transaction that was given to nodes.
    pub fn sent(&self, outcome: &SendOutcome) {
        let counter = match outcome {
            SendOutcome::Taken => &self.sends.taken,
            SendOutcome::Rejected { .. } => &self.sends.rejected,
            SendOutcome::Unknown { .. } => &self.sends.unknown,
        };
        counter.increment();
    }

    /// Counts a lane's database transaction.
    pub fn committed(&self, took: Duration, result: &Result<(), StoreError>) {
        self.commit_seconds.observe(took);
        let counter = match result {
            Ok(()) => &self.commits.done,
            Err(StoreError::Fenced { .. }) => &self.commits.fenced,
            Err(StoreError::Conflict { .. }) => &self.commits.conflict,
            Err(StoreError::Unavailable { .. }) => &self.commits.unavailable,
            Err(StoreError::Corrupt { .. }) => &self.commits.corrupt,
        };
        counter.increment();
    }

    /// The text of everything that is counted.
    pub fn render(&self, text: &mut Exposition) {
        let outcomes = [
            (
                "walletd_signer_answers_total",
                "Answers of the signer to requests to sign",
                self.signer.values(),
            ),
            (
                "walletd_sends_total",
                "Transactions given to nodes",
                self.sends.values(),
            ),
            (
                "walletd_commits_total",
                "Database transactions of lanes",
                self.commits.values(),
            ),
        ];
        for (name, help, values) in outcomes {
            text.family(name, help, "counter");
            for (label, value) in values {
                text.sample(name, &[("outcome", label)], value);
            }
        }
        let reloads = "walletd_reloads_total";
        text.family(reloads, "Views that were loaded again", "counter");
        text.sample(reloads, &[], self.reloads.value());
        text.histogram(
            "walletd_commit_seconds",
            "Time of a lane's database transaction",
            &self.commit_seconds,
        );
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

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
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
    fn renders_outcomes_and_cumulative_buckets() {
        let metrics = Metrics::default();
        metrics.committed(Duration::from_micros(1500), &Ok(()));
        metrics.sent(&SendOutcome::Taken);
        let mut text = Exposition::default();
        metrics.render(&mut text);
        let text = text.text();
        for line in [
            "walletd_commits_total{outcome=\"done\"} 1",
            "walletd_sends_total{outcome=\"taken\"} 1",
            "walletd_commit_seconds_bucket{le=\"0.001000\"} 0",
            "walletd_commit_seconds_bucket{le=\"0.002000\"} 1",
            "walletd_commit_seconds_bucket{le=\"+Inf\"} 1",
            "walletd_commit_seconds_sum 0.001500",
            "walletd_commit_seconds_count 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
