//! The boot clock of a running process, which only the kernel moves: by what it runs when it asks for the time.
//!
//! Programs read the clock through code that the kernel maps into them (vdso(7)). With other code there, one process sees a machine that was asleep.

use std::time::Duration;

use rustix::process::Pid;

use crate::injected::{Function, Stopped};

/// In the place of `clock_gettime`, on x86-64: asks the kernel itself, and adds seconds to the answer of
/// `CLOCK_BOOTTIME` (7). The seconds follow.
const BEGIN: [u8; 15] = [
    0xb8, 0xe4, 0, 0, 0, // mov eax, SYS_clock_gettime
    0x0f, 0x05, // syscall
    0x83, 0xff, 0x07, // cmp edi, CLOCK_BOOTTIME
    0x75, 0x07, // jne the end
    0x48, 0x81, 0x06, // add qword [rsi], the seconds
];
const END: u8 = 0xc3; // ret

/// A process that was put to sleep.
#[derive(Debug)]
pub struct Asleep(Stopped);

impl Asleep {
    /// Stops a process.
    ///
    /// # Panics
    /// When there is none.
    pub fn stop(process: Pid) -> Self {
        Self(Stopped::outside(Function::ClockGettime, process))
    }

    /// Moves its boot clock so far ahead of the kernel's, and lets it go on.
    ///
    /// # Panics
    /// When its code cannot be changed: only the superuser may.
    pub fn wake_after(self, slept: Duration) {
        let seconds = u32::try_from(slept.as_secs()).expect("less than a century");
        let code = [&BEGIN[..], &seconds.to_le_bytes(), &[END]].concat();
        self.0.go_on_with(&code);
    }
}
