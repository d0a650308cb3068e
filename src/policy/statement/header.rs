//! The three lines that every signed statement begins with, for ever.

use std::{fmt, str::FromStr};

use thiserror::Error;
use tx::{IntentPayload, Name};

use crate::Digest;

/// What a statement is, whom it is for and what it answers.
///
/// ```text
/// strongroom-bundle-v1
/// fleet main
/// answers sequence 4
/// ```
///
/// The form is injective: a header has one text, and a text that parses is that header's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// The version of its kind's body, from 1.
    pub version: u32,
    /// The fleet it is for.
    pub fleet: Name,
    /// What it answers.
    pub answers: Answers,
}

/// The kinds of statement. A new one is one line in [`Kind::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// A bundle's manifest.
    Bundle,
    /// An intent of a source that signs them.
    Intent,
    /// That a sealed signer goes on.
    Unseal,
    /// That a sealed signer begins a new epoch.
    Epoch,
    /// That old bodies are kept elsewhere and go.
    Prune,
    /// That a bundle which waits does not govern.
    Veto,
    /// That nothing in a scope is signed or released.
    Freeze,
    /// That what is in a scope may be signed again.
    Unfreeze,
    /// That an intent may be paid, or may not.
    Approval,
    /// What an asset is worth.
    Price,
    /// What a book has that is loaded apart from the bundle.
    Book,
    /// That a book's content which is cooling does not count as cooled.
    BookVeto,
    /// Which sequences of an account are final, or that an attempt is.
    Final,
    /// That people are there, and have seen the journal.
    Heartbeat,
    /// That an attempt can never be included.
    Dead,
    /// Which height a chain has.
    Head,
    /// Up to which entry the journal agrees with the chains.
    Reconciled,
    /// That a transaction may be signed which pays no intent, or may not.
    TransactionApproval,
    /// What time it is at least.
    Time,
}

/// What a statement answers: it counts for nothing anywhere else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answers {
    /// A journal entry, by its index.
    Entry(u64),
    /// The bundle, book or list of this sequence, which it replaces; 0 for none. Of an attester's statement,
    /// its own number.
    Sequence(u64),
    /// The journal with this root.
    Checkpoint(Digest),
    /// An intent with this content.
    Intent(IntentPayload),
}

/// Why a text does not begin with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The first line names no kind and version of statement.
    #[error("line 1 is no kind of statement, such as strongroom-bundle-v1")]
    Kind,
    /// The second line names no fleet.
    #[error("line 2 is not `fleet <name>`")]
    Fleet,
    /// The third line does not say what is answered.
    #[error(
        "line 3 is not `answers` and one of `entry <index>`, `sequence <n>`, \
         `checkpoint <root>`, `intent <hash>`"
    )]
    Answers,
}

impl Kind {
    const ALL: [Self; 19] = [
        Self::Bundle,
        Self::Intent,
        Self::Unseal,
        Self::Epoch,
        Self::Prune,
        Self::Veto,
        Self::Freeze,
        Self::Unfreeze,
        Self::Approval,
        Self::Price,
        Self::Book,
        Self::BookVeto,
        Self::Final,
        Self::Heartbeat,
        Self::Dead,
        Self::Head,
        Self::Reconciled,
        Self::TransactionApproval,
        Self::Time,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::Intent => "intent",
            Self::Unseal => "unseal",
            Self::Epoch => "epoch",
            Self::Prune => "prune",
            Self::Veto => "veto",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::Approval => "approval",
            Self::Price => "price",
            Self::Book => "book",
            Self::BookVeto => "book-veto",
            Self::Final => "final",
            Self::Heartbeat => "heartbeat",
            Self::Dead => "dead",
            Self::Head => "head",
            Self::Reconciled => "reconciled",
            Self::TransactionApproval => "transaction-approval",
            Self::Time => "time",
        }
    }
}

impl Header {
    /// The first line, which is also the namespace of the SSH signatures.
    pub fn namespace(&self) -> String {
        format!("strongroom-{}-v{}", self.kind.as_str(), self.version)
    }

    /// Reads the header, and returns what stands below it.
    ///
    /// # Errors
    /// [`HeaderError`] by the first line that is not to the letter what `Display` writes.
    pub fn parse(text: &str) -> Result<(Self, &str), HeaderError> {
        let (first, rest) = text.split_once('\n').ok_or(HeaderError::Kind)?;
        let (kind, version) = kind(first).ok_or(HeaderError::Kind)?;
        let (second, rest) = rest.split_once('\n').ok_or(HeaderError::Fleet)?;
        let fleet = second.strip_prefix("fleet ").ok_or(HeaderError::Fleet)?;
        let fleet = fleet.parse().map_err(|_| HeaderError::Fleet)?;
        let (third, rest) = rest.split_once('\n').ok_or(HeaderError::Answers)?;
        let answers = third
            .strip_prefix("answers ")
            .and_then(answers)
            .ok_or(HeaderError::Answers)?;
        let header = Self {
            kind,
            version,
            fleet,
            answers,
        };
        Ok((header, rest))
    }
}

fn kind(line: &str) -> Option<(Kind, u32)> {
    let (kind, version) = line.strip_prefix("strongroom-")?.rsplit_once("-v")?;
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    let version = canonical(version).filter(|version| *version > 0)?;
    Some((kind, version))
}

fn answers(text: &str) -> Option<Answers> {
    let (what, which) = text.split_once(' ')?;
    match what {
        "entry" => canonical(which).map(Answers::Entry),
        "sequence" => canonical(which).map(Answers::Sequence),
        "checkpoint" => canonical(which).map(Answers::Checkpoint),
        "intent" => canonical(which).map(Answers::Intent),
        _ => None,
    }
}

/// A value from its only spelling: `+1`, `01` and upper-case hexadecimal are none.
pub(crate) fn canonical<T: FromStr + fmt::Display>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.namespace())?;
        writeln!(f, "fleet {}", self.fleet)?;
        writeln!(f, "answers {}", self.answers)
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(index) => write!(f, "entry {index}"),
            Self::Sequence(sequence) => write!(f, "sequence {sequence}"),
            Self::Checkpoint(root) => write!(f, "checkpoint {root}"),
            Self::Intent(payload) => write!(f, "intent {payload}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers() -> impl Strategy<Value = Header> {
        let kind = prop::sample::select(Kind::ALL.to_vec());
        let digest = any::<[u8; 32]>().prop_map(hex::encode);
        let answers = prop_oneof![
            any::<u64>().prop_map(Answers::Entry),
            any::<u64>().prop_map(Answers::Sequence),
            digest
                .clone()
                .prop_map(|d| Answers::Checkpoint(d.parse().unwrap())),
            digest.prop_map(|d| Answers::Intent(d.parse().unwrap())),
        ];
        (kind, 1..=u32::MAX, "[a-z0-9._-]{1,64}", answers).prop_map(
            |(kind, version, fleet, answers)| Header {
                kind,
                version,
                fleet: fleet.parse().unwrap(),
                answers,
            },
        )
    }

    proptest! {
        #[test]
        fn text_round_trips(header in headers(), body in "[ -~\n]{0,40}") {
            let text = format!("{header}{body}");
            prop_assert_eq!(Header::parse(&text), Ok((header, body.as_str())));
        }

        #[test]
        fn one_changed_byte_is_never_the_same_header(header in headers(), at: prop::sample::Index, byte: u8) {
            let mut bytes = header.to_string().into_bytes();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes)
                && let Ok((other, rest)) = Header::parse(&text)
            {
                prop_assert_ne!(&other, &header);
                prop_assert_eq!(format!("{other}{rest}"), text);
            }
        }

        #[test]
        fn what_parses_is_what_is_printed(text in "(strongroom-(bundle|intent|x)-v[0-9]{1,2}\r?\n)?fleet [a-zA-Z]{0,3}\r?\nanswers (sequence|entry|intent|x) [0-9+]{0,3}\r?\n") {
            if let Ok((header, rest)) = Header::parse(&text) {
                prop_assert_eq!(format!("{header}{rest}"), text);
            }
        }
    }

    #[test]
    fn refuses_every_other_spelling() {
        for text in [
            "",
            "strongroom-bundle-v1",
            "strongroom-bundle-v1\r\nfleet a\r\nanswers sequence 0\r\n",
            "strongroom-bundle-v01\nfleet a\nanswers sequence 0\n",
            "strongroom-bundle-v0\nfleet a\nanswers sequence 0\n",
            "strongroom-bundles-v1\nfleet a\nanswers sequence 0\n",
            "strongroom-bundle-v1\nfleet A\nanswers sequence 0\n",
            "strongroom-bundle-v1\nfleet  a\nanswers sequence 0\n",
            "strongroom-bundle-v1\nfleet a\nanswers sequence +0\n",
            "strongroom-bundle-v1\nfleet a\nanswers sequence 00\n",
            "strongroom-bundle-v1\nfleet a\nanswers sequence 0",
            "strongroom-bundle-v1\nfleet a\nanswers sequence 18446744073709551616\n",
            "strongroom-bundle-v1\nfleet a\nanswers checkpoint 00\n",
            "strongroom-bundle-v1\nanswers sequence 0\nfleet a\n",
        ] {
            assert!(Header::parse(text).is_err(), "{text:?}");
        }
    }
}
