//! The daemon: database, signer, lanes and listeners, from start to stop.

mod families;

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::{
    client::{self, Protocol, SettingsError},
    known::{KnownLog, KnownLogError},
    server::{Files, Tls, TlsError, notify},
};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};
use tx::Chain;

use self::families::Families;
use crate::{
    config::Config,
    engine::{Engine, Owner, Settings, clock},
    health,
    signer::Remote,
    store::{SqliteStore, Store, StoreError},
    text::chain,
    web::{App, Client, Web},
};

/// The database, in the data folder.
const DATABASE: &str = "walletd.sqlite";
/// The signer's keys as they were told last, in the data folder.
const KEYS: &str = "signer-keys.json";
/// How long open connections may take at the end.
const DRAIN: Duration = Duration::from_secs(20);
/// The largest file of certificates or keys that is read.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// Why the daemon does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// Something of the operating system.
    #[error("{what} cannot be had")]
    System {
        /// What.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The database.
    #[error("the database cannot be used")]
    Store(#[source] StoreError),
    /// The API's certificates.
    #[error("the API's TLS cannot be set up")]
    Tls(#[source] TlsError),
    /// How the signer is reached.
    #[error("the signer cannot be reached as it is configured")]
    Signer(#[source] SettingsError),
    /// The pinned key of the signer's log.
    #[error("signer.log_key is not the key of a signer's log")]
    LogKey(#[source] KnownLogError),
    /// A chain.
    #[error("chain {chain} cannot be used as it is configured: {what}")]
    Chain {
        /// Which.
        chain: Chain,
        /// What is wrong, with the key.
        what: String,
    },
}

impl DaemonError {
    /// Whether starting again would not help: somebody must change something first.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::System { .. } => false,
            Self::Store(error) => matches!(error, StoreError::Corrupt { .. }),
            Self::Tls(_) | Self::Signer(_) | Self::LogKey(_) | Self::Chain { .. } => true,
        }
    }
}

/// Whether the daemon would start with this configuration: reads every file that it names, and makes
/// and connects nothing.
///
/// # Errors
/// [`DaemonError`].
pub fn check(config: &Config) -> Result<(), DaemonError> {
    let _tls = tls(config, 1)?;
    let _signer = signer(config)?;
    let _families = Families::new(config)?;
    Ok(())
}

/// Serves until it is told to stop by SIGTERM or SIGINT. SIGHUP reads certificates and revocation
/// lists anew.
///
/// # Errors
/// [`DaemonError`], when it cannot start.
pub async fn run(config: Config) -> Result<(), DaemonError> {
    let mut signals = Signals::new()?;
    let tls = tls(&config, 1)?;
    let signer = Arc::new(signer(&config)?);
    let families = Families::new(&config)?;
    let health = bind("the health listener's address", config.health.listen).await?;
    let api = bind("the API's address", config.api.listen).await?;
    let (store, owner) = open(&config).await?;
    let mut engine = Engine::new(Settings {
        store: Arc::clone(&store),
        signer,
        owner,
        lease: Duration::from_secs(config.lanes.lease_secs),
        signer_calls: count(config.lanes.signer_calls),
        node_calls: count(config.lanes.node_calls),
        keys_file: Some(config.data.join(KEYS)),
        metrics: Arc::default(),
    });
    families.add_to(&mut engine);
    let web = Web::new(app(&config, &engine, store), tls, config.bounds.clone());
    let daemon = Daemon::start(config, engine, web, api, health);
    daemon.watch(&mut signals).await;
    daemon.end().await;
    Ok(())
}

/// The data folder's database and the owner of its leases.
async fn open(config: &Config) -> Result<(Arc<dyn Store>, Owner), DaemonError> {
    // Who was paid what is nobody else's business.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data)
        .map_err(system("the data folder"))?;
    let owner = Owner::of(&config.data).map_err(system("the leases' owner"))?;
    let store = SqliteStore::open(&config.data.join(DATABASE)).await;
    let store = store.map_err(DaemonError::Store)?;
    let limits = store.set_limits(&config.limits, clock::now()).await;
    limits.map_err(DaemonError::Store)?;
    Ok((Arc::new(store), owner))
}

fn app(config: &Config, engine: &Engine, store: Arc<dyn Store>) -> App {
    let clients = config.clients.iter().map(|client| {
        let known = Client {
            uri: client.uri.clone(),
            source: client.source.clone(),
            grants: client.grants.clone(),
        };
        (client.name.clone(), known)
    });
    App {
        store,
        engine: Arc::new(engine.handle()),
        clients: clients.collect(),
        chains: config.chains.iter().map(|chain| chain.chain).collect(),
        clock: Arc::new(clock::now),
    }
}

fn tls(config: &Config, generation: u64) -> Result<Tls, DaemonError> {
    let files = Files {
        certificate: &config.api.certificate,
        key: &config.api.key,
        crls: &config.api.crls,
    };
    let text = |path: &PathBuf| {
        let bytes = read(path)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let roots: Vec<String> = config
        .api
        .roots
        .iter()
        .map(text)
        .collect::<Result<_, _>>()?;
    Tls::load(files, &roots, generation).map_err(DaemonError::Tls)
}

fn signer(config: &Config) -> Result<Remote, DaemonError> {
    let signer = &config.signer;
    let settings = client::Settings {
        server: &signer.connect,
        server_name: signer.server_name.as_deref(),
        roots: &read(&signer.ca)?,
        certificate: &read(&signer.certificate)?,
        key: &read(&signer.key)?,
        protocol: Protocol::Http2,
        timeout: Duration::from_secs(signer.timeout_secs),
    };
    let remote = Remote::new(&settings).map_err(DaemonError::Signer)?;
    match &signer.log_key {
        Some(key) => KnownLog::pinned(key)
            .map(|log| remote.proved_by(log))
            .map_err(DaemonError::LogKey),
        None => Ok(remote),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, DaemonError> {
    use std::io::Read;
    let what = || system(&path.display().to_string());
    let file = std::fs::File::open(path).map_err(what())?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(what())?;
    Ok(bytes)
}

async fn bind(what: &str, address: std::net::SocketAddr) -> Result<TcpListener, DaemonError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(system(&format!("{what} {address}")))
}

fn system(what: &str) -> impl FnOnce(io::Error) -> DaemonError + use<> {
    let what = what.to_owned();
    move |source| DaemonError::System { what, source }
}

fn count(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// What the daemon is told.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, DaemonError> {
        let on = |kind| signal(kind).map_err(system("the signal handlers"));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }
}

/// A daemon that serves.
struct Daemon {
    config: Config,
    engine: Engine,
    web: Arc<Web>,
    stop: watch::Sender<bool>,
    api: JoinHandle<()>,
    health: JoinHandle<()>,
}

impl Daemon {
    fn start(
        config: Config,
        engine: Engine,
        web: Arc<Web>,
        api: TcpListener,
        health: TcpListener,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let subject = Arc::new(health::Subject {
            engine: engine.handle(),
            web: Arc::clone(&web),
        });
        let health = tokio::spawn(health::serve(subject, health, stopped.clone()));
        let api = tokio::spawn(Arc::clone(&web).serve(api, stopped));
        tracing::info!(api = %config.api.listen, health = %config.health.listen, "serving");
        notify::ready();
        Self {
            config,
            engine,
            web,
            stop,
            api,
            health,
        }
    }

    /// Until it is told to stop.
    async fn watch(&self, signals: &mut Signals) {
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return,
                _ = signals.interrupt.recv() => return,
                _ = signals.hangup.recv() => self.reload(),
            }
        }
    }

    /// New certificates and revocation lists, if they are good.
    fn reload(&self) {
        match tls(&self.config, self.web.tls_generation().saturating_add(1)) {
            Ok(tls) => {
                self.web.set_tls(tls);
                tracing::info!("certificates and revocation lists are reloaded");
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "the running TLS configuration is kept");
            }
        }
    }

    /// Ends what was begun.
    async fn end(self) {
        tracing::info!("stopping");
        notify::stopping();
        self.web.stop();
        self.engine.stop().await;
        // Nobody listens when the listeners have ended by themselves.
        let _listening = self.stop.send(true);
        if tokio::time::timeout(DRAIN, self.api).await.is_err() {
            tracing::warn!("connections were still open and are cut");
        }
        self.health.abort();
        tracing::info!("stopped");
    }
}
