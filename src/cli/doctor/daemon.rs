//! The daemon itself, as its health listener tells.

use tokio::runtime::Runtime;

use super::check::Check;
use super::config::Config;
use crate::health::{self, HealthError};

/// An uncertainty above this takes room from limits that nobody used.
const UNCERTAINTY_GOOD_MILLIS: u64 = 10_000;
/// The metric that tells it.
const UNCERTAINTY: &str = "signerd_time_uncertainty_ms ";

pub(super) fn checks(config: &Config, runtime: &Runtime) -> Vec<Check> {
    let name = "daemon";
    let address = config.health.listen.to_string();
    match health::ask(runtime, &address, "/readyz") {
        Ok(said) if said.ok => {
            let mut checks = vec![Check::ok(name, format!("{} at {address}", said.text))];
            checks.extend(uncertainty(runtime, &address));
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

fn uncertainty(runtime: &Runtime, address: &str) -> Option<Check> {
    let metrics = health::ask(runtime, address, "/metrics").ok()?;
    let millis = metrics
        .text
        .lines()
        .find_map(|line| line.strip_prefix(UNCERTAINTY))?;
    let millis: u64 = millis.trim().parse().ok()?;
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
