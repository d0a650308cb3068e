//! The clock: what expires and what gives room again depends on it.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use super::check::Check;
use super::config::Config;

/// Nobody runs this before it was written.
const WRITTEN: &str = "2026-01-01T00:00:00Z";
/// What file systems and clocks may differ by.
const SLACK: Duration = Duration::from_secs(5);
/// What systemd-timesyncd makes once it has set the clock.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";

pub(super) fn checks(config: &Config, now: Timestamp) -> Vec<Check> {
    vec![wall(config, now), synchronised()]
}

fn wall(config: &Config, now: Timestamp) -> Check {
    let name = "clock";
    let next = "Set the clock, and keep it set with NTP, before signerd is started.";
    if WRITTEN
        .parse()
        .is_ok_and(|written: Timestamp| now < written)
    {
        return Check::fail(
            name,
            format!("it says {now}, before this program was written"),
            next,
        );
    }
    if let Some(ahead) = newest(&config.data).and_then(|newest| ahead(newest, SystemTime::now())) {
        let detail = format!(
            "it says {now}, and the data folder was written {} s after that",
            ahead.as_secs()
        );
        return Check::fail(name, detail, next);
    }
    let up_secs = clock_gettime(ClockId::Boottime).tv_sec;
    Check::ok(
        name,
        format!("{now}, {up_secs} s after the start of the machine"),
    )
}

/// How much later than the clock a file was written, where that is more than a difference of clocks.
fn ahead(written: SystemTime, now: SystemTime) -> Option<Duration> {
    written
        .duration_since(now)
        .ok()
        .filter(|ahead| *ahead > SLACK)
}

fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    entries
        .filter_map(|entry| entry.metadata().ok()?.modified().ok())
        .max()
}

/// Only a privileged call tells what the kernel knows of it (`adjtimex`), so that this one asks
/// for traces.
fn synchronised() -> Check {
    let name = "clock-sync";
    if Path::new(TIMESYNCD).exists() {
        return Check::ok(name, "systemd-timesyncd has set the clock");
    }
    let detail =
        "no trace of systemd-timesyncd; whether something else sets the clock is not known";
    Check::warn(name, detail, "See `timedatectl` or `chronyc tracking`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_behind_its_own_files_is_seen() {
        let now = SystemTime::now();
        assert_eq!(ahead(now - SLACK, now), None);
        assert_eq!(ahead(now + SLACK, now), None);
        let hour = Duration::from_secs(3600);
        assert_eq!(ahead(now + hour, now), Some(hour));
    }
}
