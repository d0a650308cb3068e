//! A file of cases, as people write it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use policy::{AttestationKind, FreezeScope};
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;
use tx::{Name, Time, Transaction};

use super::super::decided::Expected;
use super::super::error::PolicyError;
use crate::files;

/// The largest file of cases.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// What a file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    /// Public keys, where it matters which they are; the others are made up.
    #[serde(default)]
    keys: BTreeMap<Name, String>,
    /// What is in the books that are loaded apart from the bundle, and has cooled.
    #[serde(default)]
    books: BTreeMap<Name, Vec<String>>,
    case: Vec<Spanned<Case>>,
}

/// One case: a request, what was signed before it, and what is to be decided.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is called.
    pub name: Name,
    /// When it is asked; noon of 1 January 2026 unless given.
    pub time: Option<Time>,
    /// What attesters say that assets are worth, by the names of the assets: `3050.25 usd`.
    #[serde(default)]
    pub prices: Prices,
    /// What enough attesters said just now: `head`, of every chain, `reconciled` and `time`.
    #[serde(default)]
    pub attested: BTreeSet<AttestationKind>,
    /// Whether its intents were attempted before elsewhere, so that it is a re-issue, and what became of that.
    pub reissue: Option<Before>,
    /// What is frozen: `true` for everything, or the scope as `policy freeze` takes it.
    #[serde(default, deserialize_with = "frozen")]
    pub frozen: Option<FreezeScope>,
    /// Who asks.
    pub client: Name,
    /// The account that pays.
    pub account: Name,
    /// The key that pays on an EVM chain, where the account has several.
    pub key: Option<Name>,
    /// What is paid; several on a Bitcoin-like chain. Nothing on an EVM chain: a cancellation.
    #[serde(default)]
    pub pay: Vec<Payment>,
    /// What is called instead; on an EVM chain, where nothing is paid.
    pub call: Option<Called>,
    /// Who is approved as a spender instead, of a token that the bundle declares.
    pub approve: Option<Approved>,
    /// The very transaction that is asked about, in place of one that is made: `pay` is what its intents ask for.
    pub transaction: Option<Transaction>,
    /// The one of `earlier` that it replaces, by its name: it consumes the same, at a higher fee, for the same
    /// intents.
    pub replaces: Option<Name>,
    /// The chain, where nothing is paid or called that says it.
    pub chain: Option<tx::Chain>,
    /// The fee's rate: `20 gwei` or `10 sat/vb`, which it is unless given.
    pub fee_rate: Option<String>,
    /// What was signed before, in any order.
    #[serde(default)]
    pub earlier: Vec<Earlier>,
    /// What is to be decided.
    pub expect: Expected,
    /// The statements that allow it, all of them.
    pub allowed_by: Option<BTreeSet<Name>>,
    /// The statements that refuse it, all of them; of a refusal without a statement its code.
    pub refused_by: Option<BTreeSet<Name>>,
    /// The statements that want people, all of them.
    pub needs: Option<BTreeSet<Name>>,
}

/// What became of an attempt that was made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    /// It can never be included.
    Dead,
    /// It may be.
    Alive,
}

/// What attesters say that assets are worth.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Prices {
    /// These, and nothing of other assets.
    Said(BTreeMap<Name, String>),
    /// Of every asset that has a price the floor, which no file can say.
    #[serde(skip)]
    Floors,
}

impl Default for Prices {
    fn default() -> Self {
        Self::Said(BTreeMap::new())
    }
}

/// A payment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// An address, or `own-account:<name>`.
    pub to: String,
    /// As `1.5 eth`.
    pub amount: String,
    /// Whose intent it is; without one it is nobody's.
    pub source: Option<Name>,
    /// The destination tag.
    pub tag: Option<String>,
}

/// A call of a declared function.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Called {
    /// The function, as the bundle calls it.
    pub function: Name,
    /// The contract, `<chain>:<address>`, where several have the function.
    pub contract: Option<String>,
    /// The arguments by their names, `order.owner` of a field of a tuple: each the text that it has, an
    /// address also as `own-account:<name>`, a number also as `1.5 eth`.
    #[serde(default)]
    pub args: BTreeMap<String, String>,
    /// What is sent with it, as `1.5 eth`; nothing unless given.
    pub value: Option<String>,
}

/// A spender of a token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// Their address.
    pub spender: String,
    /// What they may take from then on, as `100 usdx`, which also says of which token.
    pub amount: String,
}

/// What was signed before.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Earlier {
    /// What it is called, for what replaces it.
    pub name: Option<Name>,
    /// How long before, as `90m`.
    pub ago: String,
    /// How often.
    #[serde(default = "once")]
    pub times: u32,
    /// Who asked; who asks now, unless given.
    pub client: Option<Name>,
    /// The account that paid; the one that pays now, unless given.
    pub account: Option<Name>,
    /// The key that paid.
    pub key: Option<Name>,
    /// What was paid.
    #[serde(default)]
    pub pay: Vec<Payment>,
    /// What was called.
    pub call: Option<Called>,
    /// Who was approved as a spender.
    pub approve: Option<Approved>,
    /// The very transaction.
    pub transaction: Option<Transaction>,
    /// The one that it replaced.
    pub replaces: Option<Name>,
    /// The chain, where nothing is paid or called that says it.
    pub chain: Option<tx::Chain>,
    /// The fee's rate.
    pub fee_rate: Option<String>,
    /// Whether attesters say that it is final.
    #[serde(default, rename = "final")]
    pub is_final: bool,
}

impl Earlier {
    /// Nothing yet, so long before, once.
    pub const fn ago(ago: String) -> Self {
        Self {
            ago,
            times: 1,
            name: None,
            client: None,
            account: None,
            key: None,
            pay: Vec::new(),
            call: None,
            approve: None,
            transaction: None,
            replaces: None,
            chain: None,
            fee_rate: None,
            is_final: false,
        }
    }
}

fn frozen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FreezeScope>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Frozen {
        Everything(bool),
        Scope(String),
    }
    match Frozen::deserialize(deserializer)? {
        Frozen::Everything(is) => Ok(is.then_some(FreezeScope::All)),
        Frozen::Scope(text) => {
            let scope = text.parse();
            let scope = scope.map_err(|()| de::Error::custom(format!("{text:?} is no scope")));
            scope.map(Some)
        }
    }
}

fn once() -> u32 {
    1
}

/// Where a case stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

/// The cases of a file with their places, and the public keys that it names.
pub struct CaseFile {
    /// Public keys by name.
    pub keys: BTreeMap<Name, String>,
    /// The addresses of books that are loaded apart.
    pub books: BTreeMap<Name, Vec<String>>,
    /// The cases, in their order.
    pub cases: Vec<(Place, Case)>,
}

impl CaseFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`PolicyError::File`]; [`PolicyError::Cases`] where it is none of cases.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let wrong = |what: String| PolicyError::Cases {
            path: path.to_owned(),
            what,
        };
        let bytes = files::read(path, FILE_MAX_BYTES).map_err(PolicyError::File)?;
        let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        let contents: Contents = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let mut names = BTreeSet::new();
        let mut cases = Vec::new();
        for case in contents.case {
            let before = text.get(..case.span().start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let case = case.into_inner();
            if !names.insert(case.name.clone()) {
                return Err(wrong(format!(
                    "line {line}: a second case {:?}",
                    case.name.as_str()
                )));
            }
            let path = path.to_owned();
            cases.push((Place { path, line }, case));
        }
        let (keys, books) = (contents.keys, contents.books);
        Ok(Self { keys, books, cases })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}
