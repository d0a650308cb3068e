//! Metrics in the Prometheus text format (exposition format 0.0.4). No label carries what a client or
//! a node can choose freely.

use std::time::Duration;

use api::server::{Counter, Exposition, Histogram};

use crate::{lane::SendOutcome, signer::SignOutcome, store::StoreError};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_outcomes_and_durations() {
        let metrics = Metrics::default();
        metrics.committed(Duration::from_micros(1500), &Ok(()));
        metrics.sent(&SendOutcome::Taken);
        let mut text = Exposition::default();
        metrics.render(&mut text);
        let text = text.text();
        for line in [
            "walletd_commits_total{outcome=\"done\"} 1",
            "walletd_sends_total{outcome=\"taken\"} 1",
            "walletd_commit_seconds_count 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
