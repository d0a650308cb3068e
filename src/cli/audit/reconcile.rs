//! A verified log beside what the device and the chains say: whatever stands on one side only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use policy::{Digest as CallDigest, Entry, NumberedDigest};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tlog::{
    Hash, TreeHead,
    checkpoint::{Checkpoint, Origin},
};
use tx::Chain;

use super::error::AuditError;
use super::folder::CHECKPOINT;
use super::signed::LogKeys;
use super::verify::{Seen, verify};
use crate::client::plain;
use crate::files;

/// The largest log or export that is read.
const EXPORT_MAX_BYTES: u64 = 1 << 30;

/// What a log is held against.
#[derive(Clone, Copy, Debug)]
pub struct Others<'a> {
    /// What the device signed.
    pub hsm_log: Option<&'a Path>,
    /// What is on the chains.
    pub chain: Option<&'a Path>,
}

/// A line of a device's log: one signature that it made.
#[derive(Debug, Deserialize)]
struct DeviceLine {
    /// The key's name, where the device tells it.
    #[serde(default)]
    key: Option<String>,
    /// What was signed: a digest of 32 bytes, or the SHA-256 of anything else.
    #[serde(default)]
    digest: Option<CallDigest>,
}

/// A line of a chain's export: one transaction of an own address.
#[derive(Debug, Deserialize)]
struct ChainLine {
    chain: Chain,
    txid: String,
}

/// The answer of `audit reconcile`.
#[derive(Debug, Serialize)]
pub struct Reconciled {
    origin: String,
    size: u64,
    /// How many entries were withheld by a freeze: what they say is in no comparison.
    withheld: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    hsm: Option<Side>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<Side>,
}

/// One comparison.
#[derive(Debug, Default, Serialize)]
struct Side {
    /// How many stand on both sides.
    matched: u64,
    /// What the journal does not explain.
    unexplained: Vec<String>,
    /// What the journal says, and the other side does not.
    journal_only: Vec<String>,
    /// How many of the journal's come after the last that the other side has, or are excluded on chain
    /// by one that it has.
    passed_over: u64,
}

/// Holds a verified folder against what others say.
///
/// # Errors
/// [`AuditError::Unverified`] when anything is wrong with the folder; those of files.
pub fn reconcile(
    folder: &Path,
    keys: &LogKeys,
    others: Others<'_>,
) -> Result<Reconciled, AuditError> {
    let mut said = Said::default();
    let report = verify(folder, keys, &mut |seen| {
        said.take(keys.origin(), seen);
        Ok(())
    })?;
    if let Some(first) = report.findings.first() {
        return Err(AuditError::Unverified {
            folder: folder.to_owned(),
            first: first.to_string(),
        });
    }
    // The call of the copy's own checkpoint stands behind what the copy holds.
    let own = keys.read(&folder.join(CHECKPOINT))?;
    said.calls.push(Call {
        name: "the call of the copy's own checkpoint".to_owned(),
        key: None,
        digest: digest_of(own.checkpoint()),
    });
    let device = others.hsm_log.map(lines).transpose()?;
    let chain = others.chain.map(lines).transpose()?;
    Ok(Reconciled {
        origin: report.origin,
        size: report.size,
        withheld: report.withheld,
        hsm: device.map(|lines| said.device(lines)),
        chain: chain.map(|lines| said.chain(&lines)),
    })
}

impl Reconciled {
    /// Whether nothing stands on one side only.
    pub fn agrees(&self) -> bool {
        let mut sides = self.hsm.iter().chain(&self.chain);
        sides.all(|side| side.unexplained.is_empty() && side.journal_only.is_empty())
    }
}

/// The objects of a file, one a line.
fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, AuditError> {
    let bytes = files::read(path, EXPORT_MAX_BYTES)?;
    let texts = bytes.split(|byte| *byte == b'\n');
    let texts = texts.enumerate().filter(|(_, text)| !text.is_empty());
    texts
        .map(|(number, text)| {
            serde_json::from_slice(text).map_err(|error| AuditError::NoExport {
                path: path.to_owned(),
                line: number + 1,
                reason: error.to_string(),
            })
        })
        .collect()
}

/// What the journal says of the device and the chains.
#[derive(Default)]
struct Said {
    /// The calls of the device, in the journal's order.
    calls: Vec<Call>,
    /// The chain and the conflict set of each attempt.
    attempts: BTreeMap<u64, (Chain, u64)>,
    /// What was signed: its attempt, its id.
    signed: Vec<(u64, String)>,
}

struct Call {
    name: String,
    key: Option<String>,
    digest: CallDigest,
}

impl Said {
    fn take(&mut self, origin: &Origin, seen: &Seen<'_>) {
        let Some(record) = seen.record else { return };
        match &record.entry {
            Entry::Attempt(attempt) => {
                let set = attempt.set.map_or(seen.index, |set| set.0);
                self.attempts.insert(seen.index, (attempt.chain, set));
                self.calls(seen.index, &attempt.calls);
            }
            Entry::Call { calls, .. } | Entry::SelfTest { calls } => self.calls(seen.index, calls),
            Entry::Signed(signed) => self.signed.push((signed.attempt.0, signed.txid.clone())),
            Entry::Checkpoint(said) => {
                let head = TreeHead {
                    size: said.size,
                    root: Hash::new(said.root.0),
                };
                let checkpoint = Checkpoint::new(origin.clone(), head);
                self.calls.extend(checkpoint.ok().map(|checkpoint| Call {
                    name: format!("call {} of entry {}, a checkpoint", said.call, seen.index),
                    key: Some(said.key.to_string()),
                    digest: digest_of(&checkpoint),
                }));
            }
            _ => {}
        }
    }

    fn calls(&mut self, entry: u64, calls: &[NumberedDigest]) {
        let calls = calls.iter().map(|call| Call {
            name: format!("call {} of entry {entry}", call.call),
            key: Some(call.key.to_string()),
            digest: call.digest,
        });
        self.calls.extend(calls);
    }

    /// Finds for each signature of the device a call that nothing else answers.
    fn device(&self, lines: Vec<DeviceLine>) -> Side {
        let mut side = Side::default();
        let mut open = Open::of(&self.calls);
        let mut last = None;
        for (number, line) in (1..).zip(lines) {
            let Some(place) = open.take(&line) else {
                let what = format!("signature {number} of the device: {line}");
                side.unexplained.push(what);
                continue;
            };
            last = last.max(Some(place));
            side.matched += 1;
        }
        for (place, call) in open.rest() {
            if Some(place) > last {
                side.passed_over += 1;
            } else {
                side.journal_only.push(call.to_string());
            }
        }
        side
    }

    /// Compares transactions by chain and id.
    fn chain(&self, lines: &[ChainLine]) -> Side {
        let mut side = Side::default();
        let found: BTreeSet<(Chain, String)> = lines
            .iter()
            .map(|line| (line.chain, line.txid.to_lowercase()))
            .collect();
        let signed = self.signed.iter().filter_map(|(attempt, txid)| {
            let (chain, set) = self.attempts.get(attempt)?;
            Some(((*chain, txid.to_lowercase()), *attempt, *set))
        });
        let signed: Vec<_> = signed.collect();
        let known: BTreeSet<_> = signed.iter().map(|(id, ..)| id.clone()).collect();
        let there = signed.iter().filter(|(id, ..)| found.contains(id));
        let settled: BTreeSet<u64> = there.map(|(.., set)| *set).collect();
        side.matched = known.intersection(&found).count() as u64;
        for ((chain, txid), attempt, set) in signed.iter().filter(|(id, ..)| !found.contains(id)) {
            if settled.contains(set) {
                side.passed_over += 1;
            } else {
                side.journal_only
                    .push(format!("attempt {attempt}: {txid} on {chain}"));
            }
        }
        let unexplained = found
            .difference(&known)
            .map(|(chain, txid)| format!("{txid} on {chain}"));
        side.unexplained = unexplained.collect();
        side
    }
}

/// Calls that no signature answers yet.
struct Open<'a> {
    calls: Vec<Option<&'a Call>>,
    /// Their places, the last one first.
    by_digest: HashMap<CallDigest, Vec<usize>>,
    by_key: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Open<'a> {
    fn of(calls: &'a [Call]) -> Self {
        let mut open = Self {
            calls: calls.iter().map(Some).collect(),
            by_digest: HashMap::new(),
            by_key: HashMap::new(),
        };
        for (place, call) in calls.iter().enumerate().rev() {
            open.by_digest.entry(call.digest).or_default().push(place);
            if let Some(key) = &call.key {
                open.by_key.entry(key).or_default().push(place);
            }
        }
        open
    }

    /// The first call that a signature can answer, by all that the device tells of it.
    fn take(&mut self, line: &DeviceLine) -> Option<usize> {
        let places = match (&line.digest, &line.key) {
            (Some(digest), _) => self.by_digest.get_mut(digest)?,
            (None, Some(key)) => self.by_key.get_mut(key.as_str())?,
            (None, None) => return None,
        };
        let fits = |place: &usize| {
            let call = self.calls.get(*place).copied().flatten();
            call.is_some_and(|call| {
                let keys = line.key.as_ref().zip(call.key.as_ref());
                keys.is_none_or(|(said, called)| said == called)
            })
        };
        let at = places.iter().rposition(fits)?;
        let place = places.remove(at);
        *self.calls.get_mut(place)? = None;
        Some(place)
    }

    /// What nothing answered, with its place.
    fn rest(self) -> impl Iterator<Item = (usize, &'a Call)> {
        let places = self.calls.into_iter().enumerate();
        places.filter_map(|(place, call)| Some((place, call?)))
    }
}

/// What a device is given of a checkpoint is a text; logs tell its SHA-256.
fn digest_of(checkpoint: &Checkpoint) -> CallDigest {
    CallDigest(Sha256::digest(checkpoint.to_string()).into())
}

impl fmt::Display for DeviceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_deref().unwrap_or("a key");
        match self.digest {
            Some(digest) => write!(f, "{key} over {digest}"),
            None => f.write_str(key),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_deref().unwrap_or("a key");
        write!(f, "{}: {key} over {}", self.name, self.digest)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  on both sides  {}", self.matched)?;
        writeln!(f, "  passed over    {}", self.passed_over)?;
        for (name, items) in [
            ("NOT EXPLAINED by the journal", &self.unexplained),
            ("in the journal only", &self.journal_only),
        ] {
            for item in items {
                writeln!(f, "  {name}: {}", plain(item))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Reconciled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "log {} of {} entries, verified", self.origin, self.size)?;
        if self.withheld > 0 {
            writeln!(
                f,
                "{} entries are withheld by a freeze and not compared",
                self.withheld
            )?;
        }
        for (name, side) in [("device", &self.hsm), ("chains", &self.chain)] {
            if let Some(side) = side {
                write!(f, "{name}\n{side}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: u8, key: &str) -> Call {
        Call {
            name: format!("call {name}"),
            key: Some(key.to_owned()),
            digest: CallDigest([name; 32]),
        }
    }

    fn line(key: Option<&str>, digest: Option<u8>) -> DeviceLine {
        DeviceLine {
            key: key.map(str::to_owned),
            digest: digest.map(|byte| CallDigest([byte; 32])),
        }
    }

    #[test]
    fn each_signature_answers_one_call_and_no_more() {
        let said = Said {
            calls: vec![call(1, "a"), call(2, "a"), call(3, "b"), call(4, "a")],
            ..Said::default()
        };
        let side = said.device(vec![
            line(Some("a"), Some(1)),
            line(None, Some(3)),
            line(Some("a"), Some(1)),
            line(Some("b"), Some(4)),
            line(None, None),
        ]);
        assert_eq!(side.matched, 2);
        assert_eq!(side.unexplained.len(), 3, "{side}");
        assert_eq!(side.journal_only.len(), 1, "{side}");
        assert!(side.journal_only[0].starts_with("call 2"));
        assert_eq!(side.passed_over, 1);
        // Without digests keys are counted.
        let counted = said.device(vec![
            line(Some("a"), None),
            line(Some("a"), None),
            line(Some("c"), None),
        ]);
        assert_eq!((counted.matched, counted.unexplained.len()), (2, 1));
    }

    #[test]
    fn of_what_excludes_itself_one_is_on_the_chain() {
        let chain: Chain = "eip155:1".parse().unwrap();
        let said = Said {
            attempts: BTreeMap::from([(1, (chain, 1)), (2, (chain, 1)), (3, (chain, 3))]),
            signed: vec![(1, "0xaa".into()), (2, "0xbb".into()), (3, "0xcc".into())],
            ..Said::default()
        };
        let on = |txid: &str| ChainLine {
            chain,
            txid: txid.into(),
        };
        let side = said.chain(&[on("0xBB"), on("0xdd")]);
        assert_eq!((side.matched, side.passed_over), (1, 1));
        assert_eq!(side.journal_only, ["attempt 3: 0xcc on eip155:1"]);
        assert_eq!(side.unexplained, ["0xdd on eip155:1"]);
    }
}
