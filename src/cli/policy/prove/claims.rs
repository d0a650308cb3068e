//! Claims, as people write them.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use tx::{Chain, EffectKind, Name};

use super::super::error::PolicyError;
use crate::files;

/// The largest file of claims.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    claim: Vec<Claim>,
}

/// Something that must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// What it is called.
    pub name: Name,
    /// The asset that leaves, where `at_most` does not name it.
    pub asset: Option<Name>,
    /// The chain whose fees are meant, instead of payments.
    pub fees: Option<Chain>,
    /// What all assets that have a price are worth together, instead of one of them.
    #[serde(default)]
    pub value: bool,
    /// `book:<name>`: only what leaves for others than it has.
    pub outside: Option<String>,
    /// In how long, as `24h`.
    pub within: Option<String>,
    /// As `5 eth`; of a value, as `50000 usd`.
    pub at_most: Option<String>,
    /// Who agrees to everything.
    #[serde(default)]
    pub people: Agreeing,
    /// The clients that ask; all of them unless given.
    pub client: Option<BTreeSet<Name>>,
    /// Kinds of effect that never pass without people.
    pub never: Option<BTreeSet<EffectKind>>,
}

/// Who agrees to everything.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Agreeing {
    /// So many people, whoever they are.
    Any(usize),
    /// These.
    These(BTreeSet<Name>),
}

impl Default for Agreeing {
    fn default() -> Self {
        Self::Any(0)
    }
}

/// A claim on the command line.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// One claim: at most this much leaves, as "5 eth".
    #[arg(long, value_name = "AMOUNT")]
    at_most: Option<String>,
    /// In how long, as 24h: `1m` to `90d`.
    #[arg(long, value_name = "TIME")]
    within: Option<String>,
    /// Of which asset, where --at-most does not say it.
    #[arg(long, value_name = "NAME")]
    asset: Option<Name>,
    /// Only what leaves for others than a book has: book:NAME.
    #[arg(long, value_name = "BOOK")]
    outside: Option<String>,
    /// The fees of a chain, instead of payments.
    #[arg(long, value_name = "CHAIN", conflicts_with_all = ["asset", "outside"])]
    fees: Option<Chain>,
    /// What all assets that have a price are worth together, instead of one of them.
    #[arg(long, conflicts_with_all = ["asset", "fees"])]
    value: bool,
    /// How many people agree to everything, whoever they are.
    #[arg(long, value_name = "COUNT")]
    people: Option<usize>,
    /// A person who agrees to everything. May be repeated.
    #[arg(long, value_name = "NAME", conflicts_with = "people")]
    person: Vec<Name>,
    /// A client that asks; all of them unless given. May be repeated.
    #[arg(long, value_name = "NAME")]
    client: Vec<Name>,
    /// A kind of effect that never passes without people, such as authority. May be repeated.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    never: Vec<EffectKind>,
}

fn kind(text: &str) -> Result<EffectKind, String> {
    let kind = serde_json::from_value(serde_json::Value::from(text));
    kind.map_err(|_| "no kind of effect".to_owned())
}

impl Flags {
    /// The claim, if anything of one was given.
    ///
    /// # Errors
    /// [`PolicyError::Claim`] where that is none.
    pub fn claim(&self) -> Result<Option<Claim>, PolicyError> {
        let is_none = self.at_most.is_none()
            && self.within.is_none()
            && self.asset.is_none()
            && self.outside.is_none()
            && self.fees.is_none()
            && !self.value
            && self.people.is_none()
            && self.person.is_empty()
            && self.client.is_empty()
            && self.never.is_empty();
        if is_none {
            return Ok(None);
        }
        let set = |names: &[Name]| names.iter().cloned().collect();
        let name = "command-line".parse();
        Ok(Some(Claim {
            name: name.map_err(|_| PolicyError::Claim {
                what: String::new(),
            })?,
            asset: self.asset.clone(),
            fees: self.fees,
            value: self.value,
            outside: self.outside.clone(),
            within: self.within.clone(),
            at_most: self.at_most.clone(),
            people: match self.person.as_slice() {
                [] => Agreeing::Any(self.people.unwrap_or(0)),
                people => Agreeing::These(set(people)),
            },
            client: (!self.client.is_empty()).then(|| set(&self.client)),
            never: (!self.never.is_empty()).then(|| self.never.iter().copied().collect()),
        }))
    }
}

/// The claims of a file.
///
/// # Errors
/// [`PolicyError::File`], [`PolicyError::Claims`].
pub fn read(path: &Path) -> Result<Vec<Claim>, PolicyError> {
    let wrong = |what: String| PolicyError::Claims {
        path: path.to_owned(),
        what,
    };
    let bytes = files::read(path, FILE_MAX_BYTES).map_err(PolicyError::File)?;
    let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    let contents: Contents = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let names: BTreeSet<&Name> = contents.claim.iter().map(|claim| &claim.name).collect();
    if names.len() < contents.claim.len() {
        return Err(wrong("two claims have one name".to_owned()));
    }
    Ok(contents.claim)
}
