//! Officers let a sealed signer begin a new epoch: nothing is assumed of what it signed and lost.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
    str::FromStr,
};

use tx::{Address, Chain, Name, Time};

use super::{Found, Head, Header, Kind, StatementError, decision};
use crate::{BundleHash, Digest, Policy};

/// A statement by which a sealed signer begins a new epoch, in the journal that is there or, with none
/// there, in a new one.
///
/// ```text
/// strongroom-epoch-v1
/// fleet main
/// answers checkpoint <root of what is there>
/// log <id of the log that goes on, or of the new one>
/// found journal-missing
/// size 0
/// bundle <hash of the bundle that governs, whose officers sign>
/// sequence 3
/// after <id of a log that is gone>
/// lost 140 <root>
/// nonce <64 hexadecimal digits of the report>
/// epoch 2
/// begins 2026-11-20T20:00:00Z
/// lanes 7
/// next <key> eip155:1 41
/// drain <key> bitcoin:mainnet <address>
/// expires 2026-11-21T20:00:00Z
/// new-epoch
/// ```
///
/// `after`, `lost`, `next` and `drain` stand as often as there is something to say, sorted. The form is
/// injective: a statement has one text and no other text is that statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEpoch {
    /// The fleet.
    pub fleet: Name,
    /// The id of the log that goes on, or of the new one.
    pub log: Digest,
    /// The name of what seals the signer.
    pub found: Name,
    /// What is there: of size 0 where the log is new.
    pub head: Head,
    /// The bundle that governs when the epoch begins, whose officers sign.
    pub bundle: BundleHash,
    /// Its sequence.
    pub sequence: u64,
    /// The ids of logs that are gone.
    pub after: BTreeSet<Digest>,
    /// The heads that are known and not contained.
    pub lost: BTreeSet<Head>,
    /// From the report that the statement answers.
    pub nonce: Digest,
    /// The epoch: higher than any before it.
    pub epoch: u64,
    /// When it begins: nothing that was lost was signed later. Windows are full from then on.
    pub begins: Time,
    /// No lane's epoch is lower.
    pub lanes: u64,
    /// The next sequence of every key that has one.
    pub next: BTreeSet<NextSequence>,
    /// Where every key whose coins have no sequence is drained to.
    pub drains: BTreeSet<Drain>,
    /// When the statement holds no longer.
    pub expires: Time,
}

/// The next sequence of a key's address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextSequence {
    /// The key.
    pub key: Name,
    /// The chain.
    pub chain: Chain,
    /// The lowest that may be signed.
    pub next: u64,
}

/// The one address to which a key of an older epoch pays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drain {
    /// The key.
    pub key: Name,
    /// The address, on the chain on which the key is drained.
    pub to: Address,
}

/// What is found, which a statement must be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochFound {
    /// As for a statement that goes on: `lost` are the heads that are known and not contained.
    pub found: Found,
    /// The sequence of its bundle.
    pub sequence: u64,
    /// The last epoch that is known.
    pub epoch: u64,
    /// When the journal's last entry was written.
    pub last: Time,
}

impl NewEpoch {
    /// The most bytes that are read: thousands of keys.
    pub const BYTES_MAX: usize = 512 * 1024;

    /// A statement of exactly what was found, which says nothing yet of sequences, lanes and drains.
    pub fn of(found: &EpochFound, begins: Time, expires: Time) -> Self {
        let Found {
            fleet,
            log,
            name,
            head,
            bundle,
            lost,
            nonce,
        } = found.found.clone();
        Self {
            fleet,
            log,
            found: name,
            head,
            bundle,
            sequence: found.sequence,
            after: BTreeSet::new(),
            lost,
            nonce,
            epoch: found.epoch.saturating_add(1),
            begins,
            lanes: 0,
            next: BTreeSet::new(),
            drains: BTreeSet::new(),
            expires,
        }
    }

    /// Reads a statement.
    ///
    /// # Errors
    /// [`StatementError`] for every text that `Display` would not have written.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let (fleet, root, mut lines) = decision::begun(text, Kind::Epoch, Self::BYTES_MAX)?;
        let log = lines.field("log ", "`log <id>`")?;
        let found = lines.field("found ", "`found <name>`")?;
        let size = lines.field("size ", "`size <entries>`")?;
        let statement = Self {
            fleet,
            log,
            found,
            head: Head { size, root },
            bundle: lines.field("bundle ", "`bundle <hash>`")?,
            sequence: lines.field("sequence ", "`sequence <number>`")?,
            after: lines.set("after ", "`after <id>`, sorted")?,
            lost: lines.set("lost ", "`lost <size> <root>`, sorted")?,
            nonce: lines.field("nonce ", "`nonce <64 hexadecimal digits>`")?,
            epoch: lines.field("epoch ", "`epoch <number>`")?,
            begins: lines.field("begins ", "`begins <time>`")?,
            lanes: lines.field("lanes ", "`lanes <number>`")?,
            next: lines.set("next ", "`next <key> <chain> <number>`, sorted")?,
            drains: lines.set("drain ", "`drain <key> <chain> <address>`, sorted")?,
            expires: lines.field("expires ", "`expires <time>`")?,
        };
        lines.end("new-epoch\n", "`new-epoch`, the last line")?;
        Ok(statement)
    }

    /// SHA-256 of the text.
    pub fn hash(&self) -> Digest {
        decision::hash(self)
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        decision::header(Kind::Epoch, &self.fleet, self.head.root)
    }

    /// Whether it is about what was found, and holds now.
    ///
    /// # Errors
    /// [`StatementError`] by the first thing that differs.
    pub fn check(&self, found: &EpochFound, now: Time) -> Result<(), StatementError> {
        super::unseal::check_found(
            &Found {
                fleet: self.fleet.clone(),
                log: self.log,
                name: self.found.clone(),
                head: self.head,
                bundle: self.bundle,
                lost: self.lost.clone(),
                nonce: self.nonce,
            },
            &found.found,
        )?;
        if self.sequence != found.sequence {
            let (said, found) = (self.bundle, found.found.bundle);
            return Err(StatementError::Bundle { said, found });
        }
        if self.epoch <= found.epoch {
            let (said, seen) = (self.epoch, found.epoch);
            return Err(StatementError::Epoch { said, seen });
        }
        // What the journal says of the time is never later than it was, whatever the clock says now.
        if self.begins < found.last || self.begins > now.max(found.last) {
            return Err(StatementError::Begins(self.begins));
        }
        decision::check_life(self.expires, now)
    }

    /// Whether it says all that must be said under `policy`: the next sequence of every key that has
    /// one, and where every other key is drained to.
    ///
    /// # Errors
    /// [`StatementError::Next`] and [`StatementError::Drain`].
    pub fn check_whole(&self, policy: &Policy) -> Result<(), StatementError> {
        let keys = policy.accounts.values().flat_map(|account| {
            let of_key = |key| account.chains.iter().map(move |chain| (key, *chain));
            account.keys.iter().flat_map(of_key)
        });
        for (key, chain) in keys {
            let has_sequence = matches!(chain, Chain::Evm(_));
            let is_next = |next: &NextSequence| next.key == *key && next.chain == chain;
            let is_drain = |drain: &Drain| drain.key == *key && drain.to.chain() == chain;
            let (nexts, drains) = (
                self.next.iter().filter(|next| is_next(next)).count(),
                self.drains.iter().filter(|drain| is_drain(drain)).count(),
            );
            if nexts != usize::from(has_sequence) {
                let key = key.clone();
                return Err(StatementError::Next { key, chain });
            }
            if drains != usize::from(!has_sequence) {
                let key = key.clone();
                return Err(StatementError::Drain { key, chain });
            }
        }
        Ok(())
    }

    /// The officers of `policy` who signed it, if they are enough.
    ///
    /// # Errors
    /// [`StatementError::Signatures`] and [`StatementError::Quorum`].
    pub fn signed_by(
        &self,
        signatures: &str,
        policy: &Policy,
    ) -> Result<BTreeSet<Name>, StatementError> {
        decision::signed_by((self, &self.header()), signatures, policy)
    }
}

impl FromStr for NextSequence {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (key, rest) = text.split_once(' ').ok_or(())?;
        let (chain, next) = rest.split_once(' ').ok_or(())?;
        Ok(Self {
            key: key.parse().map_err(|_| ())?,
            chain: chain.parse().map_err(|_| ())?,
            next: next.parse().map_err(|_| ())?,
        })
    }
}

impl Display for NextSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.key, self.chain, self.next)
    }
}

impl FromStr for Drain {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (key, rest) = text.split_once(' ').ok_or(())?;
        let (chain, to) = rest.split_once(' ').ok_or(())?;
        let chain = chain.parse().map_err(|_| ())?;
        Ok(Self {
            key: key.parse().map_err(|_| ())?,
            to: Address::parse(chain, to).map_err(|_| ())?,
        })
    }
}

impl Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.key, self.to.chain(), self.to)
    }
}

impl Display for NewEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header())?;
        writeln!(f, "log {}", self.log)?;
        writeln!(f, "found {}", self.found)?;
        writeln!(f, "size {}", self.head.size)?;
        writeln!(f, "bundle {}", self.bundle)?;
        writeln!(f, "sequence {}", self.sequence)?;
        for log in &self.after {
            writeln!(f, "after {log}")?;
        }
        for head in &self.lost {
            writeln!(f, "lost {head}")?;
        }
        writeln!(f, "nonce {}", self.nonce)?;
        writeln!(f, "epoch {}", self.epoch)?;
        writeln!(f, "begins {}", self.begins)?;
        writeln!(f, "lanes {}", self.lanes)?;
        for next in &self.next {
            writeln!(f, "next {next}")?;
        }
        for drain in &self.drains {
            writeln!(f, "drain {drain}")?;
        }
        writeln!(f, "expires {}", self.expires)?;
        writeln!(f, "new-epoch")
    }
}
