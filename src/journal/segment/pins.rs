//! Heads that a log must contain: its anchor's, and those known from elsewhere.

use tlog::{CompactTree, Hash, TreeHead};

use super::anchor::Anchor;
use super::error::Sealed;
use super::scan::Fault;

/// Heads that the log must contain.
pub(super) struct Pins {
    /// Those that it has not come to yet, the next one last.
    ahead: Vec<Pin>,
    unmet: Unmet,
}

/// What becomes of a head that the log does not contain.
pub(super) enum Unmet {
    /// The log is refused.
    Seals,
    /// It is told, with the others.
    Told(Vec<(Option<TreeHead>, Sealed)>),
}

/// A head, and who knows of it.
#[derive(Clone, Copy)]
pub(super) enum Pin {
    Anchor(TreeHead),
    Caller(TreeHead),
}

impl Pins {
    pub(super) fn new(heads: &[TreeHead], anchor: Option<Anchor>, unmet: Unmet) -> Self {
        let known = heads.iter().copied().map(Pin::Caller);
        let anchor = anchor.map(|anchor| Pin::Anchor(anchor.head));
        let mut ahead: Vec<Pin> = known.chain(anchor).collect();
        ahead.sort_by_key(|pin| std::cmp::Reverse(pin.head().size));
        Self { ahead, unmet }
    }

    /// Takes out those of trees smaller than this, whose sizes are not come to.
    pub(super) fn take_before(&mut self, entries: u64) -> Vec<Pin> {
        let is_before = |pin: &mut Pin| pin.head().size < entries;
        let passed = self.ahead.extract_if(.., is_before);
        passed.collect()
    }

    /// Compares the tree with the pins of its size. To be called at every size.
    pub(super) fn check(&mut self, tree: &CompactTree) -> Result<(), Fault> {
        while let Some(pin) = self.ahead.pop_if(|pin| pin.head().size <= tree.size()) {
            if *pin.head() != tree.head() {
                self.unmet(pin, pin.forked())?;
            }
        }
        Ok(())
    }

    pub(super) fn check_none_ahead(&mut self, entries: u64) -> Result<(), Fault> {
        while let Some(pin) = self.ahead.pop() {
            self.unmet(pin, pin.beyond(entries))?;
        }
        Ok(())
    }

    fn unmet(&mut self, pin: Pin, sealed: Sealed) -> Result<(), Fault> {
        match &mut self.unmet {
            Unmet::Seals => Err(sealed.into()),
            Unmet::Told(told) => {
                told.push((Some(*pin.head()), sealed));
                Ok(())
            }
        }
    }

    pub(super) fn told(&mut self) -> Vec<(Option<TreeHead>, Sealed)> {
        match &mut self.unmet {
            Unmet::Seals => Vec::new(),
            Unmet::Told(told) => std::mem::take(told),
        }
    }
}

impl Pin {
    /// Holds it against the root that the log has at its size, as far as that is known.
    pub(super) fn check(self, found: Option<Hash>) -> Result<(), Fault> {
        match found == Some(self.head().root) {
            true => Ok(()),
            false => Err(self.forked().into()),
        }
    }

    /// As [`Pin::check`], told.
    pub(super) fn told(self, found: Option<Hash>) -> Option<(Option<TreeHead>, Sealed)> {
        let holds = found == Some(self.head().root);
        (!holds).then(|| (Some(*self.head()), self.forked()))
    }

    pub(super) const fn head(&self) -> &TreeHead {
        let (Self::Anchor(head) | Self::Caller(head)) = self;
        head
    }

    fn forked(self) -> Sealed {
        match self {
            Self::Anchor(head) => Sealed::ForkedFromAnchor {
                anchored: head.size,
            },
            Self::Caller(known) => Sealed::ForkedFromHead { known },
        }
    }

    fn beyond(self, found: u64) -> Sealed {
        match self {
            Self::Anchor(head) => Sealed::ShorterThanAnchor {
                anchored: head.size,
                found,
            },
            Self::Caller(known) => Sealed::ShorterThanHead { known, found },
        }
    }
}
