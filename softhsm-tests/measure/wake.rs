//! What it costs a busy thread to wake another process with an answer: one write to a socket that somebody waits
//! on. On a virtual processor that sleeps this is mostly the way through the hypervisor.

use std::{
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::raw::percentile;

/// The first argument of the process that is woken.
pub const ROLE: &str = "woken";

/// How often it is woken.
const WAKES: usize = 2_000;
/// For how long the writer computes before each: as long as a signature takes.
const COMPUTES: Duration = Duration::from_micros(450);
/// An answer's length.
const ANSWER: [u8; 96] = [0x5a; 96];

/// The median of one write, in microseconds.
///
/// # Panics
/// When there is no process to wake.
pub fn measure() -> f64 {
    let (mut near, far) = UnixStream::pair().expect("a socket");
    let mut woken = Command::new(std::env::current_exe().expect("this program"))
        .arg(ROLE)
        .stdin(Stdio::from(OwnedFd::from(far)))
        .spawn()
        .expect("a process to wake");
    let mut micros: Vec<f64> = (0..WAKES)
        .map(|_| {
            let until = Instant::now() + COMPUTES;
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            let began = Instant::now();
            near.write_all(&ANSWER).expect("a process to wake");
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    drop(near);
    let ended = woken.wait().expect("a process");
    assert!(ended.success(), "{ended}");
    micros.sort_by(f64::total_cmp);
    percentile(&micros, 50)
}

/// The process that is woken: reads until nobody writes any more.
pub fn run() {
    let mut input = std::io::stdin().lock();
    let mut read = 0;
    let mut answer = ANSWER;
    while input.read_exact(&mut answer).is_ok() {
        read += 1;
    }
    assert_eq!(read, WAKES, "answers");
}
