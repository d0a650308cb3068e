//! What the kernel says of processes and of the machine.

use std::fs;

use rustix::{
    process::Pid,
    time::{ClockId, clock_gettime},
};

/// CPU time of a process and its threads so far, in microseconds (`/proc/PID/schedstat` counts
/// nanoseconds, `/proc/PID/stat` only hundredths of a second; threads that ended count in neither,
/// and the daemon's threads live as long as it does).
pub fn cpu_us(pid: Pid) -> f64 {
    let threads =
        fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).expect("a running process");
    let nanos = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanos.sum::<u64>() as f64 / 1000.0
}

/// CPU time of this thread so far, in microseconds.
pub fn own_cpu_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// The processor's name and how many of them, for the record of a run.
pub fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{cores} x {}", name.map_or("processor", |(_, name)| name))
}

/// Resident memory of this process.
pub fn resident_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("the kernel's word");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: f64 = kilobytes.expect("VmRSS").trim().parse().expect("a number");
    kilobytes * 1024.0 / 1e6
}
