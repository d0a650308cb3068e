//! One child, from its attachment to its loss.

use std::{
    collections::HashMap,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::net::Shutdown;
use tokio::{
    io::AsyncReadExt,
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
    sync::{Notify, Semaphore, oneshot},
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    PoolConfig, breaker::Probe, error::Lost, event::PoolEvent, member::Member, report::Report,
};
use crate::protocol::{Answer, Failure, Frame, Inbox, Outgoing, Request};

/// How often is looked at least.
const LOOK_MOST: Duration = Duration::from_millis(250);

/// One child. Its pending calls belong to it, so that no answer of an old child can meet a call to
/// a new one.
#[derive(Debug)]
pub(super) struct Link {
    member: Arc<Member>,
    /// Which child of it, as the pool's owner numbers them.
    generation: u32,
    times: Times,
    socket: OwnedWriteHalf,
    outgoing: Outgoing,
    /// What the socket did not take at once, and what wakes the task that writes it.
    left_over: Mutex<Vec<u8>>,
    blocked: Notify,
    state: Mutex<State>,
    /// How many more calls the child may be given.
    window: Semaphore,
    tasks: OnceLock<[AbortHandle; 2]>,
    told_bad_signature: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    deadline: Duration,
    slow_deadline: Duration,
    keepalive: Duration,
}

#[derive(Debug)]
struct State {
    open: bool,
    pending: HashMap<u64, Pending>,
    heard: Instant,
}

/// A call that the child has.
#[derive(Debug)]
struct Pending {
    deadline: Instant,
    caller: Caller,
}

/// Who waits for an answer.
#[derive(Debug)]
enum Caller {
    Call(oneshot::Sender<Result<Answer, Lost>>),
    /// The pool itself, which asks an idle child whether it is well.
    KeepAlive,
    /// The breaker, which asks so whether the token is to be asked again.
    Breaker,
}

/// The answer to come, counted as late where it is let go of before it is taken.
#[derive(Debug)]
pub(super) struct Awaited {
    answer: oneshot::Receiver<Result<Answer, Lost>>,
    report: Arc<Report>,
}

impl Awaited {
    /// The answer, or why there is none.
    pub(super) async fn taken(mut self) -> Result<Answer, Lost> {
        (&mut self.answer).await.unwrap_or(Err(Lost::Gone))
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        // From here on who delivers counts it; what was delivered is counted here.
        self.answer.close();
        if matches!(self.answer.try_recv(), Ok(Ok(_))) {
            self.report.counters.late();
        }
    }
}

/// Why a link ends.
#[derive(Debug)]
pub(super) enum Closing {
    Hung,
    Gone,
    PinRejected(Failure),
    Detached,
    /// Its token is none of those that are to be used.
    Unnamed,
}

/// The link was closed before the call was sent.
#[derive(Debug)]
pub(super) struct NotSent;

/// Writes what waits when it is dropped: also when the task that added it is.
struct Flush<'a>(&'a Link);

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        self.0.flush();
    }
}

impl Link {
    /// Starts the two tasks of a link whose child is ready to sign.
    pub(super) fn start(
        (answers, socket): (OwnedReadHalf, OwnedWriteHalf),
        inbox: Inbox,
        sessions: u16,
        config: &PoolConfig,
        (member, generation): (Arc<Member>, u32),
    ) -> Arc<Self> {
        let window = usize::from(sessions.max(1))
            .saturating_mul(usize::from(config.in_flight_per_session.max(1)));
        let link = Arc::new(Self {
            member,
            generation,
            times: Times {
                deadline: config.deadline,
                slow_deadline: config.slow_deadline,
                keepalive: config.keepalive,
            },
            socket,
            outgoing: Outgoing::default(),
            left_over: Mutex::default(),
            blocked: Notify::new(),
            state: Mutex::new(State {
                open: true,
                pending: HashMap::new(),
                heard: Instant::now(),
            }),
            window: Semaphore::new(window),
            tasks: OnceLock::new(),
            told_bad_signature: AtomicBool::new(false),
        });
        let reader = tokio::spawn(Arc::clone(&link).read(answers, inbox)).abort_handle();
        let writer = tokio::spawn(Arc::clone(&link).write_left_over()).abort_handle();
        let _ = link.tasks.set([reader, writer]);
        if !link.is_open() {
            link.abort_tasks();
        }
        link
    }

    /// Sends a request when the child may have one more.
    pub(super) async fn call(
        &self,
        correlation: u64,
        request: Request,
    ) -> Result<Awaited, NotSent> {
        // Given back when the answer is there.
        self.window.acquire().await.map_err(|_| NotSent)?.forget();
        let (caller, answer) = oneshot::channel();
        let report = Arc::clone(&self.member.report);
        let awaited = Awaited { answer, report };
        self.send(correlation, request, Caller::Call(caller))?;
        // Other calls that are ready now, such as those of one flush of the journal, go out in the
        // same write.
        let flush = Flush(self);
        tokio::task::yield_now().await;
        drop(flush);
        Ok(awaited)
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().open
    }

    /// Ends the link, once. Every call in flight ends with an unknown outcome.
    pub(super) fn close(&self, closing: Closing) {
        let pending = {
            let mut state = self.lock();
            if !mem::replace(&mut state.open, false) {
                return;
            }
            mem::take(&mut state.pending)
        };
        // A child that is killed for a bad signature has failed by that already.
        let told = self.told_bad_signature.load(Ordering::Relaxed);
        self.member.closed(closing.is_failure() && !told);
        self.window.close();
        let lost = closing.lost();
        for call in pending.into_values() {
            if let Caller::Call(caller) = call.caller {
                // A caller that went away needs no answer.
                let _ = caller.send(Err(lost));
            }
        }
        self.abort_tasks();
        let _ = rustix::net::shutdown(self.socket.as_ref(), Shutdown::Both);
        if let Some(event) = closing.event() {
            self.member.tell_of(self.generation, event);
        }
    }

    /// Tells the owner of a bad signature, once for each child.
    pub(super) fn tell_bad_signature(&self, event: PoolEvent) {
        if !self.told_bad_signature.swap(true, Ordering::Relaxed) {
            self.member.tell_of(self.generation, event);
        }
    }

    fn send(&self, correlation: u64, message: Request, caller: Caller) -> Result<(), NotSent> {
        let allowed = match message {
            Request::Generate { .. } => self.times.slow_deadline,
            _ => self.times.deadline,
        };
        let now = Instant::now();
        let deadline = now.checked_add(allowed).unwrap_or(now);
        {
            let mut state = self.lock();
            if !state.open {
                return Err(NotSent);
            }
            state
                .pending
                .insert(correlation, Pending { deadline, caller });
        }
        self.outgoing.push(&Frame {
            correlation,
            message,
        });
        Ok(())
    }

    /// Writes what waits, from a caller's own task: a task for it alone would cost a wake-up for
    /// each call.
    fn flush(&self) {
        let mut batch = self.outgoing.take();
        while let Some(mut bytes) = batch {
            let written = match self.socket.try_write(&bytes) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) => return self.close(Closing::Gone),
            };
            if written < bytes.len() {
                bytes.drain(..written);
                *lock(&self.left_over) = bytes;
                return self.blocked.notify_one();
            }
            batch = self.outgoing.more(bytes);
        }
    }

    /// Writes what the socket did not take at once.
    async fn write_left_over(self: Arc<Self>) {
        loop {
            self.blocked.notified().await;
            let mut batch = Some(mem::take(&mut *lock(&self.left_over)));
            while let Some(bytes) = batch {
                if self.write_all(&bytes).await.is_err() {
                    return self.close(Closing::Gone);
                }
                batch = self.outgoing.more(bytes);
            }
        }
    }

    async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.socket.writable().await?;
            match self.socket.try_write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes answers, and looks at least four times in a deadline whether one is overdue: so a hung child
    /// is found at most a quarter late, and no call needs a timer. The breaker's probes wait for a look too.
    async fn read(self: Arc<Self>, mut answers: OwnedReadHalf, mut inbox: Inbox) {
        let quarter = self.times.deadline.checked_div(4).unwrap_or_default();
        let mut check = interval(quarter.clamp(Duration::from_millis(1), LOOK_MOST));
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let outcome = tokio::select! {
                // It looks for more only where the buffer was filled.
                read = answers.read(inbox.spare()) => match read {
                    Ok(0) | Err(_) => Err(Closing::Gone),
                    Ok(length) => self.receive(length, &mut inbox),
                },
                now = check.tick() => self.check(now),
            };
            if let Err(closing) = outcome {
                return self.close(closing);
            }
        }
    }

    fn receive(&self, length: usize, inbox: &mut Inbox) -> Result<(), Closing> {
        inbox.received(length);
        // A frame that cannot be read is as good as no child.
        while let Some(frame) = inbox.frame::<Answer>().map_err(|_| Closing::Gone)? {
            self.deliver(frame)?;
        }
        Ok(())
    }

    fn deliver(&self, frame: Frame<Answer>) -> Result<(), Closing> {
        let call = {
            let mut state = self.lock();
            state.heard = Instant::now();
            state.pending.remove(&frame.correlation)
        };
        let Some(call) = call else {
            self.member.report.counters.unknown();
            return Ok(());
        };
        let rejected = match &frame.message {
            Answer::Failed(failure) if failure.is_of_pin() => Some(failure.clone()),
            _ => None,
        };
        let well = matches!(frame.message, Answer::Healthy { .. });
        match call.caller {
            Caller::Call(caller) => {
                self.window.add_permits(1);
                if caller.send(Ok(frame.message)).is_err() {
                    self.member.report.counters.late();
                }
            }
            Caller::KeepAlive if well => {}
            Caller::KeepAlive => self.member.failed(),
            Caller::Breaker if well => self.member.probed(Probe::Answered),
            Caller::Breaker => self.member.probed(Probe::Failed),
        }
        rejected.map_or(Ok(()), |failure| Err(Closing::PinRejected(failure)))
    }

    /// Whether the child is overdue; if it was idle for long, or the breaker wants to know, asks whether
    /// it is well.
    fn check(&self, now: Instant) -> Result<(), Closing> {
        let idle = {
            let state = self.lock();
            if state.pending.values().any(|call| call.deadline <= now) {
                return Err(Closing::Hung);
            }
            state.pending.is_empty()
                && now.saturating_duration_since(state.heard) >= self.times.keepalive
        };
        if self.member.take_probe(now) {
            self.ask_whether_well(Caller::Breaker);
        } else if idle {
            self.ask_whether_well(Caller::KeepAlive);
        }
        Ok(())
    }

    fn ask_whether_well(&self, caller: Caller) {
        let correlation = self.member.report.correlation();
        // Only a closed link refuses, and its end is a failed probe.
        let _ = self.send(correlation, Request::Health, caller);
        self.flush();
    }

    fn abort_tasks(&self) {
        for task in self.tasks.get().into_iter().flatten() {
            task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Closing {
    /// Whether it is the child's own doing.
    fn is_failure(&self) -> bool {
        matches!(self, Self::Hung | Self::Gone)
    }

    fn lost(&self) -> Lost {
        match self {
            Self::Hung => Lost::Hung,
            Self::Gone => Lost::Gone,
            Self::PinRejected(_) => Lost::PinRejected,
            Self::Detached | Self::Unnamed => Lost::Detached,
        }
    }

    fn event(self) -> Option<PoolEvent> {
        match self {
            Self::Hung => Some(PoolEvent::Hung),
            Self::Gone => Some(PoolEvent::Gone),
            Self::PinRejected(failure) => Some(PoolEvent::PinRejected(failure)),
            Self::Detached => None,
            Self::Unnamed => Some(PoolEvent::Unnamed),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
