//! The signer's keys: which lanes there are, and which addresses are own. They are remembered in a
//! file, so that lanes start without the signer; the file holds nothing that is secret or that a lane
//! decides by.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::signing::{Key, KeysAnswer};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tx::{Address, Name};

use crate::{signer::Signer, text::chain};

/// How often the signer is asked, also to know whether it answers.
const ASK_EVERY: Duration = Duration::from_secs(15);
/// How soon it is asked again where it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// The epoch of a signer that was never un-sealed by a new one.
const EPOCH_FIRST: u64 = 1;

/// What is known of the signer's keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// The signer's epoch, the first while nothing is known.
    pub(super) epoch: u64,
    /// The keys, none while nothing is known.
    pub(super) keys: Vec<Key>,
    /// Whether the signer itself told them to this process.
    pub(super) fresh: bool,
    /// Why it did not tell them the last time.
    pub(super) trouble: Option<String>,
}

/// What is remembered.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    epoch: u64,
    keys: Vec<Key>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            epoch: EPOCH_FIRST,
            keys: Vec::new(),
            fresh: false,
            trouble: None,
        }
    }
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
            epoch: self.epoch,
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
    /// Somebody knows that what was told is old.
    old: Arc<Notify>,
    keys: watch::Sender<Arc<Keys>>,
}

impl KeyBook {
    pub(super) fn new(
        signer: Arc<dyn Signer>,
        file: Option<PathBuf>,
        old: Arc<Notify>,
    ) -> (Self, watch::Receiver<Arc<Keys>>) {
        let known = match file.as_deref().and_then(remembered) {
            Some(Remembered { epoch, keys }) => Keys {
                epoch,
                keys,
                ..Keys::default()
            },
            None => Keys::default(),
        };
        let (keys, receiver) = watch::channel(Arc::new(known));
        let book = Self {
            signer,
            file,
            old,
            keys,
        };
        (book, receiver)
    }

    /// Asks for ever.
    pub(super) async fn run(self) {
        loop {
            let pause = match self.signer.keys().await {
                Ok(answer) => {
                    self.learn(answer);
                    ASK_EVERY
                }
                Err(detail) => {
                    self.note(Some(detail));
                    ASK_AGAIN
                }
            };
            // Either way it is asked again.
            let _told = tokio::time::timeout(pause, self.old.notified()).await;
        }
    }

    fn learn(&self, answer: KeysAnswer) {
        let told = Keys {
            epoch: answer.epoch,
            keys: answer.keys,
            fresh: true,
            trouble: None,
        };
        let known = Arc::clone(&self.keys.borrow());
        // An older copy of its journal, from before the epoch: nothing that it says is the last word.
        if told.epoch < known.epoch {
            let (is, was) = (told.epoch, known.epoch);
            return self.note(Some(format!(
                "the signer is in epoch {is} and was in {was}: it runs on an older journal"
            )));
        }
        let is_same = known.epoch == told.epoch && known.is_same(&told);
        if known.fresh && known.trouble.is_none() && is_same {
            return;
        }
        if known.fresh && known.epoch != told.epoch {
            tracing::warn!(
                was = known.epoch,
                is = told.epoch,
                "the signer has another epoch"
            );
        }
        if !is_same
            && let Some(file) = &self.file
            && let Err(error) = remember(file, &told)
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

fn remembered(file: &Path) -> Option<Remembered> {
    let bytes = std::fs::read(file).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn remember(file: &Path, keys: &Keys) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(&Remembered {
        epoch: keys.epoch,
        keys: keys.keys.clone(),
    })?;
    let beside = file.with_extension("new");
    let mut new = std::fs::File::create(&beside)?;
    new.write_all(&bytes)?;
    new.sync_all()?;
    std::fs::rename(beside, file)
}
