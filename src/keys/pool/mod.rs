//! The server's side of key children: calls, deadlines, and what becomes of them.
//!
//! A pool has one token, or several that hold the same keys, each with a child of its own ([`member`]). An
//! authorisation goes to the one with the fewest calls of those whose breaker ([`breaker`]) is closed.

mod attach;
mod breaker;
mod error;
mod event;
mod link;
mod member;
mod report;
mod sign;

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

pub use attach::{Expected, greeting};
pub use breaker::BreakerState;
pub use error::{AttachError, CallError, Lost, RegisterError, SignError};
pub use event::{PoolCounters, PoolEvent, Told};
pub use member::{MemberId, MemberStatus};

use crate::{
    key::{KeyAlgorithm, KeyId, PublicKey},
    protocol::{Answer, KeyDescription, Request, Residence},
    sentinel::SentinelCounters,
    verify::{Differs, Familiar, RRepeated, RSeen, SameSeen},
};
use link::{Closing, Link, NotSent};
use member::{Member, Offer};
use report::Report;

/// How many events wait for the pool's owner. A child causes at most five.
const EVENTS: usize = 64;

/// The most tokens of a pool.
pub const MEMBERS_MAX: u8 = 8;

/// How a pool treats its children.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolConfig {
    /// How many tokens it has, up to [`MEMBERS_MAX`].
    pub members: u8,
    /// How long the child may take for one call, from when it was sent. A child that takes longer
    /// counts as hung.
    pub deadline: Duration,
    /// How long the child may take to log in and for a key generation.
    pub slow_deadline: Duration,
    /// How long the child may be idle before it is asked whether it is well.
    pub keepalive: Duration,
    /// How many calls are sent to the child before the first is answered, for each session.
    pub in_flight_per_session: u16,
    /// How many calls wait in the pool before further ones are refused.
    pub queue: u16,
    /// Of how many signatures the `r` is remembered, at least.
    pub r_memory: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            members: 1,
            deadline: Duration::from_secs(2),
            slow_deadline: Duration::from_secs(30),
            keepalive: Duration::from_secs(5),
            in_flight_per_session: 32,
            queue: 4096,
            r_memory: 1 << 18,
        }
    }
}

/// Signs by way of key children. Cheap to clone; all clones are one pool.
#[derive(Clone, Debug)]
pub struct KeyPool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: PoolConfig,
    report: Arc<Report>,
    members: Vec<Arc<Member>>,
    queue: Semaphore,
    /// The serial numbers of the tokens that may be used; `None`: any.
    named: RwLock<Option<BTreeSet<String>>>,
    keys: RwLock<HashMap<KeyId, PublicKey>>,
    r_seen: Mutex<RSeen>,
    same_seen: Mutex<SameSeen>,
    familiar: Familiar,
}

impl KeyPool {
    /// A pool without a child, and where its events arrive.
    pub fn new(config: PoolConfig) -> (Self, mpsc::Receiver<Told>) {
        let (events, arriving) = mpsc::channel(EVENTS);
        let report = Arc::new(Report::new(events));
        let members = (0..config.members.clamp(1, MEMBERS_MAX))
            .map(|id| Arc::new(Member::new(MemberId(id), Arc::clone(&report))))
            .collect();
        let inner = Inner {
            report,
            members,
            queue: Semaphore::new(usize::from(config.queue)),
            named: RwLock::default(),
            keys: RwLock::default(),
            r_seen: Mutex::new(RSeen::new(config.r_memory)),
            same_seen: Mutex::default(),
            familiar: Familiar::default(),
            config,
        };
        (Self(Arc::new(inner)), arriving)
    }

    /// Whether any token is attached, logged in, answering and to be asked. Costs one load: for use
    /// before each commit.
    pub fn healthy(&self) -> bool {
        self.0.report.is_healthy()
    }

    /// Whether one token is.
    pub fn is_healthy(&self, member: MemberId) -> bool {
        self.0.report.is_usable(member)
    }

    /// Whether one token's child is logged in and answers.
    pub fn is_attached(&self, member: MemberId) -> bool {
        self.member(member).is_some_and(|one| one.status().attached)
    }

    /// How each token is.
    pub fn status(&self) -> Vec<MemberStatus> {
        let members = self.0.members.iter();
        members.map(|member| member.status()).collect()
    }

    /// Waits until a token is to be asked, for `patience` at most; whether there is one.
    pub async fn ready_within(&self, patience: Duration) -> bool {
        let back = self.0.report.until_healthy();
        tokio::time::timeout(patience, back).await.is_ok()
    }

    /// Uses tokens with these serial numbers alone from here on, or any. The child of another one is lost
    /// ([`PoolEvent::Unnamed`]). Costs next to nothing where they are as before.
    pub fn name_tokens(&self, serials: Option<&BTreeSet<String>>) {
        if read(&self.0.named).as_ref() == serials {
            return;
        }
        *write(&self.0.named) = serials.cloned();
        // One that is attached meanwhile is held against these by that.
        for member in &self.0.members {
            if let Some((link, serial)) = member.installed()
                && self.check_named(&serial).is_err()
            {
                link.close(Closing::Unnamed);
            }
        }
    }

    /// Gives a token's child up, as its owner does before killing it. Calls in flight end with an unknown
    /// outcome.
    pub fn detach(&self, member: MemberId) {
        let link = self.member(member).and_then(|member| member.remove());
        if let Some(link) = link {
            link.close(Closing::Detached);
        }
    }

    /// Pins a key to its public half, from the journal's registry or the policy. Every signature is
    /// held against it, whatever the device says of the key.
    ///
    /// # Errors
    /// [`RegisterError`] when the key is pinned to another one.
    pub fn register(&self, key: KeyId, public: PublicKey) -> Result<(), RegisterError> {
        let mut keys = write(&self.0.keys);
        match keys.get(&key) {
            Some(pinned) if *pinned != public => Err(RegisterError { key }),
            Some(_) => Ok(()),
            None => {
                keys.insert(key, public);
                Ok(())
            }
        }
    }

    /// The public half that a key is pinned to.
    pub fn registered(&self, key: &KeyId) -> Option<PublicKey> {
        read(&self.0.keys).get(key).copied()
    }

    /// How many keys are pinned.
    pub fn key_count(&self) -> usize {
        read(&self.0.keys).len()
    }

    /// Takes note of an `r`. What is older than this memory, or than this process, the journal has.
    fn remember_r(
        &self,
        r: [u8; 32],
        key: &KeyId,
        digest: &[u8; 32],
    ) -> Result<(), Box<RRepeated>> {
        let mut seen = self.0.r_seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(r, key, digest)
    }

    /// Takes note of an Ed25519 signature, with the SHA-256 of its message.
    fn remember_same(
        &self,
        key: &KeyId,
        message: [u8; 32],
        signature: [u8; 64],
    ) -> Result<(), Box<Differs>> {
        let seen = self.0.same_seen.lock();
        let mut seen = seen.unwrap_or_else(PoisonError::into_inner);
        seen.insert(key, message, signature)
    }

    /// Lets the nonces of all ECDSA signatures be looked at from here on, on a thread for each token that
    /// no signature waits for. What it finds is told as [`PoolEvent::Alarm`].
    ///
    /// # Errors
    /// As the operating system reports them.
    pub fn watch_nonces(&self) -> io::Result<()> {
        for member in &self.0.members {
            let (id, report) = (member.id, Arc::clone(&member.report));
            let tell = move |alarm| {
                report.tell_waiting(Told {
                    member: id,
                    generation: 0,
                    event: PoolEvent::Alarm(alarm),
                });
            };
            member.sentinel.start(tell)?;
        }
        Ok(())
    }

    /// What the sentinels counted since the pool was made.
    pub fn sentinel_counters(&self) -> SentinelCounters {
        let members = self.0.members.iter();
        members
            .map(|member| member.sentinel.counters())
            .fold(SentinelCounters::default(), SentinelCounters::and)
    }

    /// What was counted since the pool was made.
    pub fn counters(&self) -> PoolCounters {
        self.0.report.counters.read()
    }

    /// Finds a key on a token and checks its attributes. It is not registered by that.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn find(&self, member: MemberId, key: &KeyId) -> Result<KeyDescription, CallError> {
        let offer = self.member(member).and_then(Member::offer);
        let request = Request::Find { key: key.clone() };
        self.describe(offer, request, key).await
    }

    /// Reads a key's public half from the device.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn public(&self, key: &KeyId) -> Result<PublicKey, CallError> {
        let request = Request::Public { key: key.clone() };
        self.describe(self.offer(), request, key)
            .await
            .map(|found| found.public)
    }

    /// Generates a key on the first token. It is not registered by that: first it must be in the
    /// journal.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn generate(
        &self,
        key: &KeyId,
        algorithm: KeyAlgorithm,
    ) -> Result<KeyDescription, CallError> {
        let request = Request::Generate {
            key: key.clone(),
            algorithm,
            residence: Residence::Token,
        };
        let first = self.member(MemberId::FIRST).and_then(Member::offer);
        let made = self.describe(first, request, key).await?;
        if made.public.algorithm() != algorithm {
            return Err(CallError::Misanswered);
        }
        Ok(made)
    }

    /// Asks the device whether a session works.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn health(&self) -> Result<(), CallError> {
        match self.call(self.offer(), Request::Health).await? {
            Answer::Healthy { .. } => Ok(()),
            _ => Err(self.misanswered()),
        }
    }

    async fn describe(
        &self,
        offer: Option<Offer>,
        request: Request,
        key: &KeyId,
    ) -> Result<KeyDescription, CallError> {
        match self.call(offer, request).await? {
            Answer::Key(found) if found.key == *key => Ok(found),
            _ => Err(self.misanswered()),
        }
    }

    /// One call that is not a signature.
    async fn call(&self, offer: Option<Offer>, request: Request) -> Result<Answer, CallError> {
        let Offer { member, link, .. } = offer.ok_or(CallError::NoDevice)?;
        let _place = self.place(1).ok_or(CallError::Busy)?;
        let _load = member.load(1);
        self.call_on(&link, request).await
    }

    async fn call_on(&self, link: &Link, request: Request) -> Result<Answer, CallError> {
        let awaited = link
            .call(self.0.report.correlation(), request)
            .await
            .map_err(|NotSent| CallError::NoDevice)?;
        match awaited.taken().await {
            Ok(Answer::Failed(failure)) => Err(CallError::Failed(failure)),
            Ok(answer) => Ok(answer),
            Err(lost) => Err(CallError::Lost(lost)),
        }
    }

    /// The token to ask: of those that can be, the one with the fewest calls of those that did not fail
    /// lately.
    fn offer(&self) -> Option<Offer> {
        let offers = self.0.members.iter().filter_map(Member::offer);
        offers.min_by_key(|offer| offer.against)
    }

    fn member(&self, member: MemberId) -> Option<&Arc<Member>> {
        self.0.members.get(member.index())
    }

    /// Places in the queue, given back when dropped.
    fn place(&self, calls: usize) -> Option<SemaphorePermit<'_>> {
        let calls = u32::try_from(calls).ok()?;
        self.0.queue.try_acquire_many(calls).ok()
    }

    fn misanswered(&self) -> CallError {
        self.0.report.counters.misanswered();
        CallError::Misanswered
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Member, link and its tasks keep one another alive otherwise.
        for link in self.members.iter().filter_map(|member| member.remove()) {
            link.close(Closing::Detached);
        }
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
