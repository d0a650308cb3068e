//! The supervisor: starts the server and the key child, restarts the child, and does nothing else.
//!
//! It holds no socket to the network, and it alone reads the PIN: the server gets a socket on which
//! the child has been greeted already. When the server ends, all end.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use api::server::notify;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal as Received, SignalKind, signal},
    time::{Instant, sleep_until},
};

use crate::{
    config::Config,
    control::{self, Control, Message},
    device::{self, KeyChild},
};

/// The first delay after a child that ended before it was ready.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// The longest delay.
const BACKOFF_MOST: Duration = Duration::from_secs(10);
/// How long the server may take to end what it has begun.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs until the server ends.
///
/// # Errors
/// When a process or socket cannot be made.
pub async fn run(config_path: &Path, config: &Config) -> io::Result<ExitCode> {
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
        config,
        control,
        server,
        device: None,
        generation: 0,
        backoff: BACKOFF_FIRST,
        restart_at: Some(Instant::now()),
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
    config: &'a Config,
    control: Control,
    server: Child,
    device: Option<KeyChild>,
    generation: u32,
    backoff: Duration,
    /// When the next child is started, while there is none.
    restart_at: Option<Instant>,
}

impl Supervisor<'_> {
    async fn watch(&mut self, signals: &mut Signals) -> io::Result<ExitCode> {
        loop {
            let due = self.restart_at;
            tokio::select! {
                ended = self.server.wait() => return Ok(self.server_ended(ended?).await),
                message = self.control.receive() => match unless_ended(message)?.flatten() {
                    Some(message) => self.told(message).await?,
                    // The server is ending; its exit follows.
                    None => { let ended = self.server.wait().await?; return Ok(self.server_ended(ended).await); }
                },
                status = device::ended(&mut self.device) => self.device_ended(status)?,
                () = at(due) => self.start_device().await?,
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
            Message::DeviceReady { generation } if generation == self.generation => {
                self.backoff = BACKOFF_FIRST;
                if let Some(child) = &mut self.device {
                    child.ready = true;
                }
            }
            Message::KillDevice { generation } if generation == self.generation => {
                if let Some(child) = &mut self.device {
                    child.kill();
                }
            }
            Message::PinRejected { generation } if generation == self.generation => {
                device::mark_pin_rejected(&self.config.data)?;
                self.restart_at = None;
                if let Some(child) = &mut self.device {
                    child.rejected = true;
                }
            }
            // Of a child that is gone already.
            _ => {}
        }
        Ok(())
    }

    fn device_ended(&mut self, status: Option<ExitStatus>) -> io::Result<()> {
        let Some(child) = self.device.take() else {
            return Ok(());
        };
        tell_of_violation("key child", status);
        if child.rejected {
            self.restart_at = None;
            device::mark_pin_rejected(&self.config.data)?;
            tracing::error!(
                "the device rejected the PIN: no key child is started before a person acts"
            );
            return Ok(());
        }
        tracing::warn!(
            generation = self.generation,
            ready = child.ready,
            "the key child ended"
        );
        if child.ready {
            self.restart_at = Some(Instant::now());
        } else {
            self.back_off();
        }
        Ok(())
    }

    fn back_off(&mut self) {
        self.restart_at = Instant::now().checked_add(self.backoff);
        self.backoff = self.backoff.saturating_mul(2).min(BACKOFF_MOST);
    }

    async fn start_device(&mut self) -> io::Result<()> {
        self.restart_at = None;
        if device::is_pin_rejected(&self.config.data) {
            tracing::error!(
                "the device rejected the PIN before; correct the PIN file, then remove the file {} \
                 in the data folder",
                device::PIN_REJECTED
            );
            return self.tell(Message::PinRejectedBefore).await;
        }
        self.generation = self.generation.saturating_add(1);
        match device::start(&self.config.device) {
            Ok((child, socket)) => {
                self.device = Some(child);
                let generation = self.generation;
                self.tell(Message::Device { generation, socket }).await
            }
            Err(error) => {
                tracing::error!(error = %error, "no key child could be started");
                self.back_off();
                Ok(())
            }
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
        if let Some(child) = self.device.take() {
            child.end().await;
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
fn tell_of_violation(process: &'static str, status: Option<ExitStatus>) {
    let signal = status.and_then(|status| status.signal());
    if signal == Some(Signal::SYS.as_raw()) {
        tracing::error!(process, "ended at a system call that it may not make");
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
