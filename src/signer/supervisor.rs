//! The supervisor: starts the server and a key child for each device, restarts these, and does nothing else.
//!
//! It holds no socket to the network, and it alone reads the PINs: the server gets sockets on which
//! the children have been greeted already. When the server ends, all end.

use std::{
    future::{Future, poll_fn},
    io,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitCode, ExitStatus, Stdio},
    task::Poll,
    time::Duration,
};

use api::server::notify;
use keys::MemberId;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal as Received, SignalKind, signal},
};

use crate::{
    config::Config,
    control::{self, Control, Message},
    device::StartError,
    keeper::{Keeper, Turn},
};

/// How long the server may take to end what it has begun.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The keeper of each device, in their order. Asks for the PINs that are typed.
///
/// # Errors
/// [`StartError::Pin`].
pub fn keepers(config: &Config) -> Result<Vec<Keeper<'_>>, StartError> {
    let members = config.device.members();
    members
        .map(|(member, device)| Keeper::new(member, device, &config.data))
        .collect()
}

/// Runs until the server ends.
///
/// # Errors
/// When a process or socket cannot be made.
pub async fn run(config_path: &Path, keepers: Vec<Keeper<'_>>) -> io::Result<ExitCode> {
    // Before the server: as soon as it answers anybody, this process may be told to stop.
    let mut signals = Signals::new()?;
    let (control, far) = control::pair()?;
    let server = Command::new("/proc/self/exe")
        .args(["--role", "server", "--config"])
        .arg(config_path)
        .stdin(Stdio::from(far))
        .kill_on_drop(true)
        .spawn()?;
    let mut supervisor = Supervisor {
        control,
        server,
        keepers,
    };
    supervisor.watch(&mut signals).await
}

/// What the process is told.
struct Signals {
    terminate: Received,
    interrupt: Received,
    hangup: Received,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

struct Supervisor<'a> {
    control: Control,
    server: Child,
    /// One for each device, in their order.
    keepers: Vec<Keeper<'a>>,
}

impl<'a> Supervisor<'a> {
    async fn watch(&mut self, signals: &mut Signals) -> io::Result<ExitCode> {
        loop {
            tokio::select! {
                ended = self.server.wait() => return Ok(self.server_ended(ended?).await),
                message = self.control.receive() => match unless_ended(message)?.flatten() {
                    Some(message) => self.told(message).await?,
                    // The server is ending; its exit follows.
                    None => { let ended = self.server.wait().await?; return Ok(self.server_ended(ended).await); }
                },
                (place, turn) = next_turn(&mut self.keepers) => self.take(place, turn).await?,
                _ = signals.terminate.recv() => return self.stop().await,
                _ = signals.interrupt.recv() => return self.stop().await,
                _ = signals.hangup.recv() => self.signal_server(Signal::HUP),
            }
        }
    }

    /// Tells the server, if it is still there to be told.
    async fn tell(&mut self, message: Message) -> io::Result<()> {
        unless_ended(self.control.send(message).await).map(|_told| ())
    }

    async fn told(&mut self, message: Message) -> io::Result<()> {
        match message {
            Message::Serving => notify::ready(),
            Message::DeviceReady { member, generation } => {
                if let Some(keeper) = self.keeper(member) {
                    keeper.ready(generation);
                }
            }
            Message::KillDevice { member, generation } => {
                if let Some(keeper) = self.keeper(member) {
                    keeper.kill(generation);
                }
            }
            Message::PinRejected { member, generation } => {
                if let Some(keeper) = self.keeper(member) {
                    keeper.pin_rejected(generation)?;
                }
            }
            // To the server.
            Message::Device { .. } | Message::PinRejectedBefore { .. } => {}
        }
        Ok(())
    }

    fn keeper(&mut self, member: MemberId) -> Option<&mut Keeper<'a>> {
        self.keepers.get_mut(member.index())
    }

    /// Does what is to be done for the device at this place.
    async fn take(&mut self, place: usize, turn: Turn) -> io::Result<()> {
        let message = match self.keepers.get_mut(place) {
            Some(keeper) => keeper.take(turn)?,
            None => None,
        };
        match message {
            Some(message) => self.tell(message).await,
            None => Ok(()),
        }
    }

    fn signal_server(&self, signal: Signal) {
        let pid = self
            .server
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid
            && let Err(errno) = kill_process(pid, signal)
        {
            tracing::warn!(error = %errno, "the server could not be signalled");
        }
    }

    /// Lets the server end what it has begun.
    async fn stop(&mut self) -> io::Result<ExitCode> {
        notify::stopping();
        self.signal_server(Signal::TERM);
        match tokio::time::timeout(STOP_TIMEOUT, self.server.wait()).await {
            Ok(ended) => Ok(self.server_ended(ended?).await),
            Err(_) => {
                tracing::error!("the server did not stop in time and is killed");
                self.server.kill().await?;
                Ok(ExitCode::FAILURE)
            }
        }
    }

    async fn server_ended(&mut self, status: ExitStatus) -> ExitCode {
        tell_of_violation("server", Some(status));
        for keeper in &mut self.keepers {
            keeper.end().await;
        }
        match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(code) => ExitCode::from(code),
            None => ExitCode::FAILURE,
        }
    }
}

/// Nothing where the other end is gone: how the server ended is seen by its exit, and nothing else is to be said of it.
fn unless_ended<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Ok(None),
            _ => Err(error),
        },
    }
}

/// What ends so was told to do what it never does: by a defect, or by somebody else.
pub fn tell_of_violation(process: &'static str, status: Option<ExitStatus>) {
    let signal = status.and_then(|status| status.signal());
    if signal == Some(Signal::SYS.as_raw()) {
        tracing::error!(process, "ended at a system call that it may not make");
    }
}

/// The first keeper that has something to do, by its place, and what.
async fn next_turn(keepers: &mut [Keeper<'_>]) -> (usize, Turn) {
    let mut turns: Vec<_> = (0..)
        .zip(keepers)
        .map(|(place, keeper)| (place, Box::pin(keeper.turn())))
        .collect();
    poll_fn(|context| {
        for (place, turn) in &mut turns {
            if let Poll::Ready(turn) = turn.as_mut().poll(context) {
                return Poll::Ready((*place, turn));
            }
        }
        Poll::Pending
    })
    .await
}
