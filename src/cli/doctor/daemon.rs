//! The daemon itself, as its health listener tells.

use std::str::FromStr;

use jiff::Timestamp;
use tokio::runtime::Runtime;

use super::check::Check;
use super::config::Config;
use crate::health::{self, HealthError};

/// An uncertainty above this takes room from limits that nobody used.
const UNCERTAINTY_GOOD_MILLIS: u64 = 10_000;
/// The metric that tells it.
const UNCERTAINTY: &str = "signerd_time_uncertainty_ms ";

/// The metric that tells when the whole journal had been read again.
const SCRUBBED: &str = "signerd_scrub_finished_timestamp_seconds ";
/// It is read every day; a very long journal takes longer.
const SCRUBBED_GOOD_SECS: i64 = 3 * 24 * 3600;

pub(super) fn checks(config: &Config, runtime: &Runtime, now: Timestamp) -> Vec<Check> {
    let name = "daemon";
    let address = config.health.listen.to_string();
    match health::ask(runtime, &address, "/readyz") {
        Ok(said) if said.ok => {
            let mut checks = vec![Check::ok(name, format!("{} at {address}", said.text))];
            if let Ok(metrics) = health::ask(runtime, &address, "/metrics") {
                checks.extend(uncertainty(&metrics.text));
                checks.extend(scrubbed(&metrics.text, now));
            }
            checks
        }
        Ok(said) => {
            let next = match said.sealed() {
                Some(seal) => format!("Do what docs/sealed.md says of {seal}."),
                None => "See the check that failed above, and the daemon's log.".to_owned(),
            };
            vec![Check::fail(name, said.text, next)]
        }
        Err(error @ HealthError::Unreachable { .. }) => {
            let next = "Start signerd, unless it is meant to be stopped.";
            vec![Check::warn(name, error.to_string(), next)]
        }
        Err(error) => {
            let next = "Find out what listens there; restart signerd if it is signerd.";
            vec![Check::fail(name, error.to_string(), next)]
        }
    }
}

fn metric<N: FromStr>(metrics: &str, name: &str) -> Option<N> {
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name))?;
    value.trim().parse().ok()
}

fn uncertainty(metrics: &str) -> Option<Check> {
    let millis: u64 = metric(metrics, UNCERTAINTY)?;
    let (name, detail) = (
        "daemon-time",
        format!("the daemon knows the time to {millis} ms"),
    );
    Some(if millis > UNCERTAINTY_GOOD_MILLIS {
        let next = "It grows when the clock jumps: look for clock-jump in the log, and at NTP.";
        Check::warn(name, detail, next)
    } else {
        Check::ok(name, detail)
    })
}

/// Damage in what was written long ago is found only by reading it.
fn scrubbed(metrics: &str, now: Timestamp) -> Option<Check> {
    let name = "journal-scrub";
    let next = "Let the daemon run: it reads 4 MiB a second at most, all of the journal once a day. If it has \
                been running, look for `cannot be read again` in its log.";
    let finished: i64 = metric(metrics, SCRUBBED)?;
    if finished == 0 {
        let detail = "the daemon has not read the whole journal again yet";
        return Some(Check::warn(name, detail, next));
    }
    let hours = now.as_second().saturating_sub(finished) / 3600;
    let detail = format!("the whole journal was read again {hours} h ago");
    Some(
        match now.as_second() > finished.saturating_add(SCRUBBED_GOOD_SECS) {
            true => Check::warn(name, detail, next),
            false => Check::ok(name, detail),
        },
    )
}
