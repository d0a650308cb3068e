//! Clocks: the seam through which time comes in.

use std::{
    io,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};

/// What the machine's clocks say.
pub trait Clock: Send + Sync {
    /// Reads both clocks, as close to one another as possible.
    fn read(&self) -> Reading;

    /// Names this boot of the machine: boot-clock readings compare only within one.
    fn boot_id(&self) -> &str;
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Milliseconds since the epoch by the wall clock, which anyone with time service can move.
    pub wall_millis: u64,
    /// Milliseconds since boot, suspension included, which only the kernel moves.
    pub boot_millis: u64,
}

/// The kernel's clocks.
#[derive(Debug)]
pub struct SystemClock {
    boot_id: String,
}

impl SystemClock {
    /// Reads the boot id.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub fn new() -> io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(Self {
            boot_id: text.trim().to_owned(),
        })
    }
}

impl Clock for SystemClock {
    fn read(&self) -> Reading {
        Reading {
            wall_millis: wall_millis(),
            boot_millis: boot_millis(),
        }
    }

    fn boot_id(&self) -> &str {
        &self.boot_id
    }
}

/// A clock before its epoch reads 0: it then gives nothing. Read through libc, in whose place the
/// tests put a clock that steps.
fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

fn boot_millis() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1000)
        .saturating_add(nanos.checked_div(1_000_000).unwrap_or(0))
}
