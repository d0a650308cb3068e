//! Keeps the key child of one device running: starts it, restarts it, and never again after a rejected PIN.

use std::{io, path::Path, process::ExitStatus, time::Duration};

use keys::{MemberId, protocol::Pin};
use tokio::time::{Instant, sleep_until};

use crate::{
    config::Device,
    control::Message,
    device::{self, KeyChild, StartError},
    supervisor::tell_of_violation,
};

/// The first delay after a child that ended before it was ready.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// The longest delay.
const BACKOFF_MOST: Duration = Duration::from_secs(10);

/// The keeper of one device's key child.
pub struct Keeper<'a> {
    member: MemberId,
    device: &'a Device,
    data: &'a Path,
    /// The PIN that somebody typed.
    typed: Option<Pin>,
    child: Option<KeyChild>,
    generation: u32,
    backoff: Duration,
    /// When the next child is started, while there is none.
    restart_at: Option<Instant>,
}

/// What a keeper has to do.
#[derive(Debug)]
pub enum Turn {
    /// Its child ended.
    Ended(Option<ExitStatus>),
    /// A child is to be started.
    Start,
}

impl<'a> Keeper<'a> {
    /// The keeper of a device without a child yet. Asks for its PIN, where it is typed and may still be tried.
    ///
    /// # Errors
    /// [`StartError::Pin`].
    pub fn new(member: MemberId, device: &'a Device, data: &'a Path) -> Result<Self, StartError> {
        let typed = match device::is_pin_rejected(data, &device.name) {
            true => None,
            false => device::ask(device)?,
        };
        Ok(Self {
            member,
            device,
            data,
            typed,
            child: None,
            generation: 0,
            backoff: BACKOFF_FIRST,
            restart_at: Some(Instant::now()),
        })
    }

    /// Waits until there is something to do.
    pub async fn turn(&mut self) -> Turn {
        let due = self.restart_at;
        tokio::select! {
            status = device::ended(&mut self.child) => Turn::Ended(status),
            () = at(due) => Turn::Start,
        }
    }

    /// Does it; what is to be told to the server.
    ///
    /// # Errors
    /// When a mark cannot be made: then nothing may be started again.
    pub fn take(&mut self, turn: Turn) -> io::Result<Option<Message>> {
        match turn {
            Turn::Ended(status) => self.ended(status).map(|()| None),
            Turn::Start => Ok(self.start()),
        }
    }

    /// The server says that the child is logged in.
    pub fn ready(&mut self, generation: u32) {
        if let Some(child) = self.child_of(generation) {
            child.ready = true;
            self.backoff = BACKOFF_FIRST;
        }
    }

    /// The server says that the child hangs or lies.
    pub fn kill(&mut self, generation: u32) {
        if let Some(child) = self.child_of(generation) {
            child.kill();
        }
    }

    /// The server says that the device rejected the PIN.
    ///
    /// # Errors
    /// As the operating system reports them.
    pub fn pin_rejected(&mut self, generation: u32) -> io::Result<()> {
        if generation != self.generation {
            return Ok(());
        }
        device::mark_pin_rejected(self.data, &self.device.name)?;
        self.restart_at = None;
        if let Some(child) = &mut self.child {
            child.rejected = true;
        }
        Ok(())
    }

    /// Waits until the child has ended, as it does when the server has.
    pub async fn end(&mut self) {
        if let Some(child) = self.child.take() {
            child.end().await;
        }
    }

    /// The child, unless the message is about one that is gone already.
    fn child_of(&mut self, generation: u32) -> Option<&mut KeyChild> {
        let present = generation == self.generation;
        self.child.as_mut().filter(|_| present)
    }

    fn ended(&mut self, status: Option<ExitStatus>) -> io::Result<()> {
        let Some(child) = self.child.take() else {
            return Ok(());
        };
        let device = self.device.name.as_str();
        tell_of_violation("key child", status);
        if child.rejected {
            self.restart_at = None;
            device::mark_pin_rejected(self.data, &self.device.name)?;
            tracing::error!(
                device,
                "the device rejected the PIN: no key child is started before a person acts"
            );
            return Ok(());
        }
        tracing::warn!(
            device,
            generation = self.generation,
            ready = child.ready,
            status = status.map(tracing::field::display),
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

    fn start(&mut self) -> Option<Message> {
        self.restart_at = None;
        let (member, device) = (self.member, self.device.name.as_str());
        if device::is_pin_rejected(self.data, &self.device.name) {
            tracing::error!(
                device,
                "the device rejected the PIN before; correct the PIN file, then remove the file {} \
                 in the data folder",
                device::mark_of(&self.device.name)
            );
            return Some(Message::PinRejectedBefore { member });
        }
        self.generation = self.generation.saturating_add(1);
        match device::start(self.device, self.typed.as_ref()) {
            Ok((child, socket)) => {
                self.child = Some(child);
                Some(Message::Device {
                    member,
                    generation: self.generation,
                    socket,
                })
            }
            Err(error) => {
                tracing::error!(device, error = %crate::log::chain(&error), "no key child could be started");
                self.back_off();
                None
            }
        }
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
