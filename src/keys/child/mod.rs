//! The key child: the only process that loads a vendor's module or opens a keystore, and the only
//! one that has the PIN.
//!
//! It has no configuration and no journal: everything comes over one socket, and its first message
//! says which kind of device it is to be. Each session has a thread of its own, since a PKCS#11 session is for
//! one thread at a time and a call may take long; the calling thread waits for the end. The first are
//! opened at the start, further ones when all are busy, up to the bound that it was told.
//! What differs from one kind of device to the next is behind [`Device`] and [`Session`].

mod device;
mod queue;
mod shared;
mod worker;

use std::{
    io::Write,
    os::unix::net::UnixStream,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use crate::{
    device::Backend,
    keystore::Keystore,
    protocol::{Answer, Failure, Frame, Hello, Inbox, Request},
    token::{self, Token, TokenDevice},
};
pub(crate) use device::{Device, Session};
use queue::Source;
use shared::Shared;
use worker::Which;

/// How long a child may take from its start until it is logged in.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long the session threads may take to come back from the module at the end.
const JOIN_LIMIT: Duration = Duration::from_secs(5);

/// The most sessions that a child opens, the anchor not counted.
const SESSIONS_MAX: u16 = 64;

/// The sessions that are opened before there are requests.
const SESSIONS_FIRST: u16 = 2;

/// What made a key child end, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum End {
    /// The server closed the socket.
    Closed = 0,
    /// The server spoke out of turn, or the socket failed.
    Protocol = 64,
    /// The device could not be used, or is gone.
    Device = 69,
    /// The PIN was rejected, whatever came after.
    Pin = 77,
}

/// The exit code that says that the device rejected the PIN.
pub const EXIT_PIN_REJECTED: i32 = End::Pin as i32;

/// Runs a key child until `socket` is closed or the device is gone.
///
/// `logged_in` is called once the device is in use. Until then nobody should kill the child but for
/// taking too long, which it sees to itself: some modules write to the token when they log in, and
/// SoftHSM 2.6 does so in place (`ObjectFile::writeAttributes` empties the token's file and fills
/// it again), so that a token whose user is killed in between is gone.
///
/// Blocking; starts threads. The exit code is 0 when the server closed the socket, 64 when it broke
/// the protocol, 69 when the device cannot be used (a new child may help) and 77 when it rejected
/// the PIN (a new child must not try before a person acted). When a call into the module never
/// comes back, the process kills itself: to exit normally while a thread is inside the module
/// crashes it.
pub fn run(socket: UnixStream, logged_in: impl FnOnce()) -> ExitCode {
    ExitCode::from(serve(socket, logged_in) as u8)
}

/// [`run`], with the reason for the end.
pub(crate) fn serve(socket: UnixStream, logged_in: impl FnOnce()) -> End {
    let Ok(reading) = socket.try_clone() else {
        return End::Protocol;
    };
    let mut source = Source::new(reading, Inbox::default());
    let first = match source.first() {
        Ok(first) => first,
        Err(end) => return end,
    };
    source.wipe_read();
    let correlation = first.correlation;
    let Request::Hello(hello) = first.message else {
        say(&socket, correlation, Failure::OutOfOrder);
        return End::Protocol;
    };
    let (starting, started) = mpsc::channel();
    thread::spawn(move || end_unless_started(&started));
    let start = start(hello, &socket);
    drop(starting);
    match start {
        Ok(shared) => {
            logged_in();
            let (identity, sessions) = (shared.device.identity().clone(), shared.sessions);
            shared.answer(Frame {
                correlation,
                message: Answer::Ready { identity, sessions },
            });
            shared.queue.open(source);
            queue::until_closed(&socket);
            let end = shared.end_of(shared.queue.end());
            finish(shared);
            end
        }
        Err(failure) if failure.is_of_pin() => {
            say(&socket, correlation, failure.clone());
            refuse_all(&socket, source, &failure)
        }
        Err(failure) => {
            say(&socket, correlation, failure);
            End::Device
        }
    }
}

/// Answers every request with the PIN's failure, without touching the device again.
fn refuse_all(socket: &UnixStream, mut source: Source, failure: &Failure) -> End {
    while let Ok(frame) = source.first() {
        say(socket, frame.correlation, failure.clone());
    }
    End::Pin
}

/// Answers when there are no session threads yet.
fn say(mut socket: &UnixStream, correlation: u64, failure: Failure) {
    let mut out = Vec::new();
    Frame {
        correlation,
        message: Answer::Failed(failure),
    }
    .append_to(&mut out);
    // A server that is gone needs no answer; the next read ends the process.
    let _ = socket.write_all(&out);
}

/// Logs in, and opens the first sessions.
fn start(hello: Hello, socket: &UnixStream) -> Result<Arc<Shared>, Failure> {
    let sessions = hello.sessions.clamp(1, SESSIONS_MAX);
    let device = open(hello, sessions)?;
    let output = socket.try_clone().map_err(|_| Failure::OutOfOrder)?;
    let shared = Arc::new(Shared::new(device, output, sessions));
    for _ in 0..sessions.min(SESSIONS_FIRST) {
        worker::start(&shared, Which::First);
    }
    if !shared.has_threads() {
        return Err(Failure::SessionLost);
    }
    Ok(shared)
}

/// Opens the device and hands it the PIN.
fn open(hello: Hello, sessions: u16) -> Result<Arc<dyn Device>, Failure> {
    if sessions >= hello.profile.sessions_max {
        return Err(Failure::Unsupported);
    }
    let (selector, profile) = (&hello.token, hello.profile);
    Ok(match hello.backend {
        Backend::Module(path) => {
            let module = token::load(Path::new(path.as_str()))?;
            let token = Token::select(module, selector, profile)?;
            Arc::new(TokenDevice::log_in(token, hello.pin)?)
        }
        Backend::Keystore(path) => {
            let path = Path::new(path.as_str());
            Arc::new(Keystore::open(path, selector, &hello.pin, profile)?)
        }
    })
}

/// Waits until no thread is inside the device's code, then closes the device.
fn finish(shared: Arc<Shared>) {
    if !shared.wait_until_idle(JOIN_LIMIT) {
        kill_self();
    }
    for thread in shared.take_threads() {
        // A panicked one has left the device's code as well.
        let _ = thread.join();
    }
    if let Some(shared) = Arc::into_inner(shared) {
        shared.device.close();
    }
}

/// Ends the process when the module has not come back in time: nobody else may be left to do so.
fn end_unless_started(started: &mpsc::Receiver<()>) {
    if started.recv_timeout(START_LIMIT) == Err(RecvTimeoutError::Timeout) {
        kill_self();
    }
}

/// Ends the process at once, running nothing: the module's destructors would free what the thread
/// inside it uses.
fn kill_self() {
    let own = rustix::process::getpid();
    let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    // SIGKILL cannot be blocked; this line is only reached if the call itself was refused.
    loop {
        thread::park();
    }
}
