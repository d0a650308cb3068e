//! What the kernel says of processes and of the machine.

use std::fs;

use rustix::process::Pid;

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

/// The processor's name and how many of them, for the record of a run.
pub fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{cores} x {}", name.map_or("processor", |(_, name)| name))
}
