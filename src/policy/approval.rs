//! What people sign when they approve or reject an intent, or a transaction that pays none: one text, rendered by
//! one function.
//!
//! Whoever signs it has seen all that counts, and nothing in it comes from the coordinator: the intent is
//! fixed by its hash, names and units are those of the bundle. The signer renders the text itself and takes a
//! signature over exactly these bytes.

mod transaction;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tx::{Address, Amount, Asset, Intent, IntentPayload, Name, Time};

use crate::{
    Digest, Need, Passkeys, Policy,
    statement::{Answers, Header, Kind, StatementError, opened},
};

pub use self::transaction::TransactionApproval;

/// A statement by which a person approves or rejects an intent for a need.
///
/// ```text
/// strongroom-approval-v1
/// fleet main
/// answers intent <hash of the whole intent>
/// decision approve
/// source payouts
/// id w-17
/// epoch 1
/// asset eip155:1/native
/// amount 1500000000000000000
/// units 1.5 eth
/// destination 0x90 F79b f6EB 2c4f 8703 65E7 8598 2E1f 101E 93b9 06
/// in-book customers
/// no tag
/// max-fee 5000000000000000
/// intent-expires 2026-11-22T20:00:00Z
/// need <fingerprint>
/// people 2 of alice bob carol
/// delay-secs 0
/// valid-secs 86400
/// rejection blocks
/// rejected-before 0
/// expires 2026-11-21T20:00:00Z
/// ```
///
/// `rejected-before` is the last entry by which somebody rejected the intent, 0 where nobody did: whoever kept an
/// approval from before a rejection cannot bring it again.
///
/// `units` stands once for each asset of the bundle that it is, `in-book` and `own-account` for each that holds
/// the address, sorted; where there is none, `units unknown` and `known-as nobody` do. Behind `rejection` stands
/// `passkeys count` where they do, and nothing where they do not. The form is injective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval {
    /// What the person says.
    pub says: Says,
    /// The whole intent.
    pub intent: IntentPayload,
    /// The need that it is for, by its fingerprint.
    pub need: Digest,
    /// The last entry by which somebody rejected the intent, or 0.
    pub rejected_before: u64,
    /// When it holds no longer.
    pub expires: Time,
}

/// What a person says of an intent or a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// It may be paid.
    Approve,
    /// It may not.
    Reject,
}

/// The most bytes of a text: what people and books a bundle names is not bounded.
const BYTES_MAX: usize = 32 * 1024;

impl Approval {
    /// The namespace of the signatures.
    pub const NAMESPACE: &str = "strongroom-approval-v1";

    /// What a text says, as far as it has to be known to render it. It counts for nothing unless
    /// [`Approval::text`] is the very same.
    ///
    /// # Errors
    /// [`StatementError`] for a text that is none of an approval.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let (header, _) = opened(text, BYTES_MAX)?;
        let Header {
            kind: Kind::Approval,
            version: 1,
            answers: Answers::Intent(intent),
            ..
        } = header
        else {
            return Err(StatementError::Kind);
        };
        Ok(Self {
            says: field(text, "decision ", "`decision approve` or `decision reject`")?,
            intent,
            need: field(text, "need ", "`need <fingerprint>`")?,
            rejected_before: field(text, "rejected-before ", "`rejected-before <entry>`")?,
            expires: field(text, "expires ", "`expires <time>`")?,
        })
    }

    /// The text, of this intent under this policy; `None` where it is another intent or no statement has the
    /// need.
    pub fn text(&self, policy: &Policy, intent: &Intent) -> Option<String> {
        let mut needs = policy.needs();
        let need = needs.find(|need| need.fingerprint() == self.need)?;
        (intent.payload() == self.intent).then(|| self.rendered(policy, intent, need))
    }

    fn rendered(&self, policy: &Policy, intent: &Intent, need: &Need) -> String {
        let mut lines = Lines::of(&Header {
            kind: Kind::Approval,
            version: 1,
            fleet: policy.fleet.clone(),
            answers: Answers::Intent(self.intent),
        });
        lines.add("decision", self.says);
        lines.intent(&Known::of(policy, intent), intent);
        lines.add("need", self.need);
        lines.need(need);
        lines.add("rejected-before", self.rejected_before);
        lines.add("expires", self.expires);
        lines.0
    }
}

/// What the bundle says of an amount and a destination, and it alone: a name that somebody else gave is
/// none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known<'p> {
    /// The names of the asset, sorted, each with the decimal places of its unit.
    pub units: Vec<(&'p Name, u8)>,
    /// The books that hold the destination.
    pub books: Vec<&'p Name>,
    /// The own accounts that it is an address of.
    pub accounts: Vec<&'p Name>,
}

impl<'p> Known<'p> {
    /// What the policy says of the intent.
    pub fn of(policy: &'p Policy, intent: &Intent) -> Self {
        Self::of_parties(policy, &intent.asset, Some(&intent.destination))
    }

    /// What the policy says of an asset and an address.
    fn of_parties(policy: &'p Policy, asset: &Asset, to: Option<&Address>) -> Self {
        let units = policy.assets.iter();
        let units = units.filter(|(_, unit)| unit.asset == *asset);
        let books = policy.books.iter();
        let books = books.filter(|(_, book)| to.is_some_and(|to| book.addresses.contains(to)));
        let accounts = policy.accounts.iter();
        let accounts = accounts.filter(|(_, of)| to.is_some_and(|to| of.addresses.contains(to)));
        Self {
            units: units.map(|(name, unit)| (name, unit.decimals)).collect(),
            books: books.map(|(name, _)| name).collect(),
            accounts: accounts.map(|(name, _)| name).collect(),
        }
    }
}

/// The value of the line that begins so. A name below the header stands once.
fn field<T: FromStr + fmt::Display>(
    text: &str,
    key: &str,
    expected: &'static str,
) -> Result<T, StatementError> {
    let numbered = (1..).zip(text.lines());
    let mut found = numbered.filter_map(|(line, text)| Some((line, text.strip_prefix(key)?)));
    match (found.next(), found.next()) {
        (Some((line, value)), None) => {
            let value = crate::statement::canonical(value);
            value.ok_or(StatementError::Line { line, expected })
        }
        (_, twice) => {
            let line = twice.map_or(0, |(line, _)| line);
            Err(StatementError::Line { line, expected })
        }
    }
}

/// The lines of a text.
struct Lines(String);

impl Lines {
    fn of(header: &Header) -> Self {
        Self(header.to_string())
    }

    fn add(&mut self, name: &str, value: impl fmt::Display) {
        self.0.push_str(&format!("{name} {value}\n"));
    }

    fn intent(&mut self, known: &Known<'_>, intent: &Intent) {
        self.add("source", &intent.id.source);
        self.add("id", &intent.id.id);
        self.add("epoch", intent.epoch);
        self.add("asset", &intent.asset);
        self.add("amount", intent.amount);
        self.units(known, intent.amount);
        self.add("destination", in_fours(&intent.destination.to_string()));
        self.known_as(known);
        match &intent.tag {
            Some(tag) => self.add("tag", tag),
            None => self.add("no", "tag"),
        }
        self.add("max-fee", intent.max_fee);
        self.add("intent-expires", intent.expires);
    }

    fn units(&mut self, known: &Known<'_>, amount: Amount) {
        for (name, decimals) in &known.units {
            let amount = decimal(amount, *decimals);
            self.add("units", format_args!("{amount} {name}"));
        }
        if known.units.is_empty() {
            self.add("units", "unknown");
        }
    }

    fn known_as(&mut self, known: &Known<'_>) {
        for book in &known.books {
            self.add("in-book", book);
        }
        for account in &known.accounts {
            self.add("own-account", account);
        }
        if known.books.is_empty() && known.accounts.is_empty() {
            self.add("known-as", "nobody");
        }
    }

    fn need(&mut self, need: &Need) {
        let people: Vec<&str> = need.people.iter().map(Name::as_str).collect();
        let (threshold, people) = (need.threshold, people.join(" "));
        self.add("people", format_args!("{threshold} of {people}"));
        self.add("delay-secs", need.delay_millis / 1_000);
        self.add("valid-secs", need.valid_millis / 1_000);
        self.add("rejection", need.rejection.as_str());
        if need.passkeys == Passkeys::Count {
            self.add("passkeys", need.passkeys.as_str());
        }
    }
}

/// An address as people compare it.
fn in_fours(address: &str) -> String {
    let mut grouped = String::with_capacity(address.len().saturating_mul(2));
    for (place, character) in address.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            grouped.push(' ');
        }
        grouped.push(character);
    }
    grouped
}

/// Base units as a decimal number, exactly.
fn decimal(amount: Amount, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    let digits = amount.to_string();
    let least = decimals.saturating_add(1);
    let padded = format!("{digits:0>least$}");
    let (whole, fraction) = padded.split_at(padded.len().saturating_sub(decimals));
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

impl Says {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
        }
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Says {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "approve" => Ok(Self::Approve),
            "reject" => Ok(Self::Reject),
            _ => Err(()),
        }
    }
}
