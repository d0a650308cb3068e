//! The signer's keys: which lanes there are, and which addresses are own. They are remembered in a
//! file, so that lanes start without the signer; the file holds nothing that is secret or that a lane
//! decides by.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::signing::Key;
use tokio::sync::watch;
use tx::{Address, Name};

use crate::{signer::Signer, text::chain};

/// How often the signer is asked, also to know whether it answers.
const ASK_EVERY: Duration = Duration::from_secs(15);
/// How soon it is asked again where it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// What is known of the signer's keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    /// The keys, none while nothing is known.
    pub(super) keys: Vec<Key>,
    /// Whether the signer itself told them to this process.
    pub(super) fresh: bool,
    /// Why it did not tell them the last time.
    pub(super) trouble: Option<String>,
}

impl Keys {
    /// Whether an address belongs to one of the keys.
    pub(super) fn is_own(&self, address: &Address) -> bool {
        let text = address.to_string();
        self.keys
            .iter()
            .flat_map(|key| &key.addresses)
            .any(|own| own.chain == address.chain() && own.address == text)
    }

    /// Those of an account.
    pub(super) fn of(&self, account: &Name) -> Self {
        let theirs = self.keys.iter().filter(|key| key.account == *account);
        Self {
            keys: theirs.cloned().collect(),
            fresh: self.fresh,
            trouble: None,
        }
    }

    /// Whether the other holds the same keys, however far their lanes are.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let names = |keys: &Self| -> Vec<_> {
            let places = |key: &Key| -> Vec<_> {
                let addresses = key.addresses.iter();
                addresses
                    .map(|address| (address.chain, address.address.clone()))
                    .collect()
            };
            keys.keys
                .iter()
                .map(|key| {
                    let (name, account) = (key.name.clone(), key.account.clone());
                    (name, account, key.public_key.clone(), places(key))
                })
                .collect()
        };
        names(self) == names(other)
    }
}

/// Asks the signer for its keys.
pub(super) struct KeyBook {
    signer: Arc<dyn Signer>,
    file: Option<PathBuf>,
    keys: watch::Sender<Arc<Keys>>,
}

impl KeyBook {
    pub(super) fn new(
        signer: Arc<dyn Signer>,
        file: Option<PathBuf>,
    ) -> (Self, watch::Receiver<Arc<Keys>>) {
        let remembered = file.as_deref().and_then(remembered).unwrap_or_default();
        let known = Keys {
            keys: remembered,
            ..Keys::default()
        };
        let (keys, receiver) = watch::channel(Arc::new(known));
        let book = Self { signer, file, keys };
        (book, receiver)
    }

    /// Asks for ever.
    pub(super) async fn run(self) {
        loop {
            let pause = match self.signer.keys().await {
                Ok(answer) => {
                    self.learn(answer.keys);
                    ASK_EVERY
                }
                Err(detail) => {
                    self.note(Some(detail));
                    ASK_AGAIN
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn learn(&self, keys: Vec<Key>) {
        let told = Keys {
            keys,
            fresh: true,
            trouble: None,
        };
        let known = Arc::clone(&self.keys.borrow());
        if known.fresh && known.trouble.is_none() && known.is_same(&told) {
            return;
        }
        if !known.is_same(&told)
            && let Some(file) = &self.file
            && let Err(error) = remember(file, &told.keys)
        {
            tracing::warn!(error = %chain(&error), "the signer's keys cannot be remembered");
        }
        // There is a receiver as long as there is an engine.
        let _told = self.keys.send(Arc::new(told));
    }

    fn note(&self, trouble: Option<String>) {
        self.keys.send_if_modified(|known| {
            let changed = known.trouble != trouble;
            if changed {
                if let Some(detail) = &trouble {
                    tracing::warn!(error = %detail, "the signer does not tell its keys");
                }
                Arc::make_mut(known).trouble.clone_from(&trouble);
            }
            changed
        });
    }
}

fn remembered(file: &Path) -> Option<Vec<Key>> {
    let bytes = std::fs::read(file).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn remember(file: &Path, keys: &[Key]) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(keys)?;
    let beside = file.with_extension("new");
    let mut new = std::fs::File::create(&beside)?;
    new.write_all(&bytes)?;
    new.sync_all()?;
    std::fs::rename(beside, file)
}
