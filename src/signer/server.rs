//! The server process: journal, policy, device and listeners, from start to stop.

use std::{
    os::{fd::AsFd, unix::net::UnixStream},
    process::ExitCode,
    sync::{Arc, Mutex, OnceLock, RwLock, atomic::Ordering},
    time::Duration,
};

use api::server::{Rates, Tls, TlsError};
use journal::{BundleStore, Journal, Opening, SnapshotUse, SystemClock};
use keys::{KeyPool, PoolConfig, Told, pool::MEMBERS_MAX};
use policy::Policy;
use thiserror::Error;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
};

use crate::{
    books,
    checkpointer::{self, CheckpointError},
    checkpoints::Checkpoints,
    config::Config,
    control::{Control, Message},
    devices::{DeviceTrouble, Devices},
    governance,
    hardening::system_calls::{self, Process, SystemCallsError},
    health::{self, Subject},
    heartbeat::Heartbeats,
    http::Officers,
    registration::{self, NewChild, Registration},
    seal::Seal,
    self_test::{self, SelfTests},
    service::{Service, ask},
    witnesses::Witnesses,
};

/// Why the server does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The machine's clocks or sockets.
    #[error("{what}")]
    System {
        /// What was wanted.
        what: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No bundle governs.
    #[error("no policy governs")]
    Policy(#[source] governance::GovernanceError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] TlsError),
    /// The process cannot give up what it must.
    #[error("the process cannot be restricted")]
    Restriction(#[from] SystemCallsError),
}

/// Runs until told to stop.
///
/// # Errors
/// [`ServerError`], before anything is served.
pub async fn run(config: Config) -> Result<ExitCode, ServerError> {
    let control = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .and_then(Control::new)
        .map_err(system("the supervisor's socket"))?;
    let (stop, stopped) = watch::channel(false);
    let health = TcpListener::bind(config.health.listen)
        .await
        .map_err(system("the health listener's address"))?;
    let clock = Arc::new(SystemClock::new().map_err(system("the clocks"))?);
    let bundles = BundleStore::of(&config.data).pinned(config.genesis.0);
    let version = env!("CARGO_PKG_VERSION");
    let opening = match journal::open(&config.data, &bundles, clock, version) {
        Ok(opening) => opening,
        Err(error) => return sealed(Seal::of(&error), health, stopped).await,
    };
    tell_of(&opening);
    let scrubbing = opening.journal.scrubber().start();
    let _scrubbing = scrubbing.map_err(system("a thread"))?;
    let metrics = crate::metrics::Metrics::default();
    if let SnapshotUse::Refused { .. } = opening.snapshot {
        metrics.snapshots_refused.increment();
    }
    let Opening {
        journal,
        remembered,
        ..
    } = opening;
    let checkpoints = Checkpoints::new(&config.data, remembered);
    checkpoints.watch(&journal);
    let policy = governing(&journal, &config).await?;
    books::adopt(&journal, &config).await;
    let tls = Tls::load(config.api.files(), &policy.client_roots, 1).map_err(ServerError::Tls)?;
    let listeners = Listeners::bind(&config, health).await?;
    let (pool, events) = KeyPool::new(pool_config(&config));
    pool.watch_nonces().map_err(system("a thread"))?;
    let service = Arc::new(Service {
        journal,
        pool,
        tls: RwLock::new(Arc::new(tls)),
        rates: Rates::new(config.bounds.requests_per_second),
        in_flight: Semaphore::new(config.bounds.in_flight),
        metrics,
        bounds: config.bounds.clone(),
        stopping: false.into(),
        keys_registered: false.into(),
        device: Mutex::default(),
        device_trouble: DeviceTrouble::starting(&config.device),
        checkpoints,
        self_tests: SelfTests::default(),
        heartbeats: Heartbeats::default(),
        bundles,
        witnesses: Witnesses::new(),
        relay_rates: Rates::new(RELAY_REQUESTS_PER_SECOND),
        relay_in_flight: Semaphore::new(RELAY_IN_FLIGHT),
        officer_rates: Rates::new(config.bounds.requests_per_second),
        officer_in_flight: Semaphore::new(OFFICERS_IN_FLIGHT),
        attester_rates: Rates::new(ATTESTED_PER_SECOND),
        sealed: OnceLock::new(),
    });
    let devices = Devices::new(&service, &config.device, control);
    let server = Server {
        config,
        service,
        devices,
        stop,
    };
    server.serve(listeners, stopped, events).await
}

/// What the daemon listens on.
struct Listeners {
    api: TcpListener,
    officers: Option<TcpListener>,
    health: TcpListener,
}

impl Listeners {
    async fn bind(config: &Config, health: TcpListener) -> Result<Self, ServerError> {
        let api = TcpListener::bind(config.api.listen).await;
        let officers = match &config.officers {
            Some(officers) => {
                let bound = TcpListener::bind(officers.listen).await;
                Some(bound.map_err(system("the officers' address"))?)
            }
            None => None,
        };
        Ok(Self {
            api: api.map_err(system("the API's address"))?,
            officers,
            health,
        })
    }
}

/// Says what was found when the journal was opened; of a refused snapshot it has said so itself.
fn tell_of(opening: &Opening) {
    let Opening {
        entries, cut_bytes, ..
    } = opening;
    if *cut_bytes > 0 {
        let bytes = cut_bytes;
        tracing::warn!(bytes, "a torn last group was cut off the journal");
    }
    match opening.snapshot {
        SnapshotUse::Used { covers, .. } => {
            tracing::info!(entries, covers, "the journal is open, from a snapshot");
        }
        _ => tracing::info!(entries, "the journal is open"),
    }
}

/// The policy to start with: the configured bundle, or the one that governed before.
async fn governing(journal: &Journal, config: &Config) -> Result<Arc<Policy>, ServerError> {
    match governance::adopt(journal, config).await {
        Ok(policy) => Ok(policy),
        Err(error) => {
            tracing::error!(error = %crate::log::chain(&error), "the configured bundle is refused");
            let running = journal.state().policy().cloned();
            running.ok_or(ServerError::Policy(error))
        }
    }
}

struct Server {
    config: Config,
    service: Arc<Service>,
    devices: Arc<Devices>,
    /// Told to all listeners at the end.
    stop: watch::Sender<bool>,
}

impl Server {
    async fn serve(
        self,
        listeners: Listeners,
        stopped: watch::Receiver<bool>,
        events: mpsc::Receiver<Told>,
    ) -> Result<ExitCode, ServerError> {
        let mut terminate =
            signal(SignalKind::terminate()).map_err(system("the signal handlers"))?;
        let mut hangup = signal(SignalKind::hangup()).map_err(system("the signal handlers"))?;
        system_calls::restrict(Process::Server)?;
        let subject = Subject::Running(Arc::clone(&self.service));
        let Listeners {
            api,
            officers,
            health,
        } = listeners;
        let health = tokio::spawn(health::serve(subject, health, stopped.clone()));
        if let Some(officers) = officers {
            let host = Arc::new(Officers(Arc::clone(&self.service)));
            tokio::spawn(api::server::serve(host, officers, stopped.clone()));
        }
        let api = tokio::spawn(api::server::serve(Arc::clone(&self.service), api, stopped));
        tracing::info!(api = %self.config.api.listen, health = %self.config.health.listen, "serving");
        self.devices.tell(Message::Serving).await;
        let checkpointer = tokio::spawn(checkpointer::run(Arc::clone(&self.service)));
        let self_tests = tokio::spawn(self_test::run(Arc::clone(&self.service)));
        self.watch(&mut terminate, &mut hangup, events).await;
        checkpointer.abort();
        self_tests.abort();
        self.end(api, health).await
    }

    /// Devices, reloads and signals, until told to stop or the supervisor is gone.
    async fn watch(
        &self,
        terminate: &mut Signal,
        hangup: &mut Signal,
        mut events: mpsc::Receiver<Told>,
    ) {
        let mut due = tokio::time::interval(DUE);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut unfit = None;
        // A login that hangs keeps neither another device waiting nor anybody from stopping.
        let mut attaching = JoinSet::new();
        loop {
            tokio::select! {
                message = self.devices.told() => match message {
                    Some(Message::Device { member, generation, socket }) => {
                        let child = NewChild { member, generation, socket: UnixStream::from(socket) };
                        attaching.spawn(Arc::clone(&self.devices).attach(child));
                    }
                    Some(Message::PinRejectedBefore { member }) => self.devices.rejected_before(member),
                    Some(_) => {}
                    None => return,
                },
                Some(_attached) = attaching.join_next() => {}
                Some(told) = events.recv() => self.devices.hear(told).await,
                _ = hangup.recv() => self.reload().await,
                _ = due.tick() => self.turn(&mut unfit).await,
                _ = terminate.recv() => return,
            }
        }
    }

    /// New certificates, revocation lists and policy, each only if it is good.
    async fn reload(&self) {
        let outcome = governance::adopt(&self.service.journal, &self.config).await;
        let books = books::adopt(&self.service.journal, &self.config).await;
        if let Err(error) = &outcome {
            tracing::error!(error = %crate::log::chain(error), "the running policy is kept");
        }
        let adopted = outcome.is_ok();
        // Revocation does not wait for a policy to be mended.
        let certificates = self.reload_tls();
        let keys = registration::register_keys(&self.service, &self.config.device).await;
        if adopted && books && certificates && keys == Registration::Complete {
            self.service.metrics.reloads.increment();
        } else {
            self.service.metrics.reloads_failed.increment();
        }
    }

    /// Lets the bundle govern that has waited long enough. One that does not fit is not tried again by this
    /// process: nothing of it changes while it runs but what is registered.
    async fn turn(&self, unfit: &mut Option<policy::BundleHash>) {
        self.service.heartbeats.warn(&self.service.journal);
        books::cool(&self.service.journal).await;
        let Some(due) = governance::due(&self.service.journal) else {
            return;
        };
        if *unfit == Some(due) {
            return;
        }
        match governance::turn_to(&self.service.journal, &self.service.bundles, due).await {
            Ok(()) => {
                books::adopt(&self.service.journal, &self.config).await;
                self.reload_tls();
                let device = &self.config.device;
                let _keys = registration::register_keys(&self.service, device).await;
            }
            Err(error) => {
                let why = crate::log::chain(&error);
                tracing::error!(bundle = %due, error = %why, "the bundle that waited does not govern");
                *unfit = Some(due);
            }
        }
    }

    fn reload_tls(&self) -> bool {
        let generation = self.service.tls().generation.saturating_add(1);
        let files = self.config.api.files();
        let loaded = self
            .service
            .policy()
            .ok()
            .map(|policy| Tls::load(files, &policy.client_roots, generation));
        match loaded {
            Some(Ok(tls)) => {
                self.service.set_tls(tls);
                tracing::info!(generation, "certificates and revocation lists are reloaded");
                true
            }
            Some(Err(error)) => {
                tracing::error!(error = %crate::log::chain(&error), "the running TLS configuration is kept");
                false
            }
            None => false,
        }
    }

    /// A last checkpoint, so that nothing that was answered waits for the next start to be proved.
    async fn cover_the_last(&self) {
        let service = &self.service;
        if service.checkpoints.uncovered(&service.journal) == 0 {
            return;
        }
        let made = tokio::time::timeout(LAST, checkpointer::make(service)).await;
        match made {
            Ok(Ok(())) | Ok(Err(CheckpointError::NoKey)) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %crate::log::chain(&error), "the last entries have no checkpoint");
            }
            Err(_) => tracing::warn!("the last entries have no checkpoint: the device is slow"),
        }
    }

    /// Ends what was begun, then the journal.
    async fn end(
        self,
        api: tokio::task::JoinHandle<()>,
        health: tokio::task::JoinHandle<()>,
    ) -> Result<ExitCode, ServerError> {
        tracing::info!("stopping");
        self.service.stopping.store(true, Ordering::Release);
        // Nobody listens when the listeners have ended by themselves.
        let _listening = self.stop.send(true);
        if tokio::time::timeout(DRAIN, api).await.is_err() {
            tracing::warn!("connections were still open and are cut");
        }
        health.abort();
        if self.service.sealed().is_some() {
            return Ok(ExitCode::from(EXIT_SEALED));
        }
        self.cover_the_last().await;
        let journal = &self.service.journal;
        let stopped = ask(|reply| {
            journal.stop("told to stop".into(), reply);
            Ok(())
        });
        let clean = stopped.await.is_ok();
        tracing::info!(clean, "stopped");
        Ok(if clean {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Requests a second of a client that brings cosignatures.
const RELAY_REQUESTS_PER_SECOND: u32 = 2_000;
/// What is taken of one attester: its statements stay in the log for ever.
const ATTESTED_PER_SECOND: u32 = 10;
/// Requests of such clients at the same time.
const RELAY_IN_FLIGHT: usize = 64;
/// Requests by the officers' listener at the same time.
const OFFICERS_IN_FLIGHT: usize = 16;
/// How often is looked whether a bundle has waited long enough.
const DUE: Duration = Duration::from_millis(500);
/// How long the last checkpoint may take.
const LAST: Duration = Duration::from_secs(2);
/// How long open connections may take at the end.
const DRAIN: Duration = Duration::from_secs(20);
/// Signs nothing, and says why, until told to stop.
async fn sealed(
    seal: Seal,
    health: TcpListener,
    stopped: watch::Receiver<bool>,
) -> Result<ExitCode, ServerError> {
    seal.log();
    let subject = Subject::Sealed(seal);
    let terminate = signal(SignalKind::terminate());
    system_calls::restrict(Process::Server)?;
    let serving = health::serve(subject, health, stopped);
    match terminate {
        Ok(mut terminate) => tokio::select! {
            () = serving => {}
            _ = terminate.recv() => {}
        },
        Err(_) => serving.await,
    }
    Ok(ExitCode::from(EXIT_SEALED))
}

/// The exit code of a daemon that was sealed (`EX_CONFIG` of `sysexits.h`: a restart does not help).
const EXIT_SEALED: u8 = 78;

fn pool_config(config: &Config) -> PoolConfig {
    let mut pool = PoolConfig::default();
    let members = u8::try_from(config.device.members().count());
    pool.members = members.unwrap_or(MEMBERS_MAX);
    pool.deadline = Duration::from_millis(config.device.call_timeout_ms);
    pool
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> ServerError {
    move |source| ServerError::System {
        what: format!("{what} cannot be had"),
        source,
    }
}
