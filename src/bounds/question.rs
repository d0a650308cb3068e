//! What is asked, and what comes of it.

use std::collections::{BTreeMap, BTreeSet};

use num_bigint::BigInt;
use policy::Policy;
use tx::{Address, Amount, Asset, Chain, Name, Registry, Time};

use crate::forms::Forms;

/// A policy with what is ours under it.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Own keys and addresses.
    pub registry: &'a Registry,
    /// What transactions there can be.
    pub forms: Forms,
    /// When a sequence of requests may begin, where the hours matter: up to a week later.
    pub from: Time,
}

/// What is asked: the most that leaves in a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What leaves.
    pub leaves: Leaves,
    /// In how many milliseconds: of requests one that much after the first is outside.
    pub span_millis: u64,
    /// The people who agree to whatever needs them.
    pub people: BTreeSet<Name>,
    /// The clients that ask; all of them where there is none.
    pub clients: Option<BTreeSet<Name>>,
}

/// What leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// What is paid of an asset to others than ourselves, and what others may take of it by approvals.
    Payments {
        /// The asset.
        asset: Asset,
        /// A book: only what is paid to others than it has, and all that others may take.
        outside: Option<Name>,
    },
    /// What transactions cost at most, on a chain.
    Fees {
        /// The chain.
        chain: Chain,
    },
}

/// What a question comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Nothing that is asked lets more leave; `None` where no limit bounds it.
    pub most: Option<BigInt>,
    /// How much the steps let leave: as much, unless the procedure gave up before it knew.
    pub reached: BigInt,
    /// Requests that let so much leave.
    pub steps: Vec<Step>,
}

/// A request of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it is asked.
    pub at: Time,
    /// Who asks.
    pub client: Name,
    /// The account that pays.
    pub account: Name,
    /// The chain.
    pub chain: Chain,
    /// What it pays; nothing but a fee where that is none.
    pub payments: Vec<Payment>,
    /// What it costs at most.
    pub fee: Amount,
}

/// A payment of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Whom.
    pub to: Address,
    /// In what.
    pub asset: Asset,
    /// How much.
    pub amount: Amount,
    /// Whose intent it is.
    pub source: Name,
}

impl Question {
    /// The chain that it is about.
    pub(crate) fn chain(&self) -> Chain {
        match &self.leaves {
            Leaves::Payments { asset, .. } => asset.chain,
            Leaves::Fees { chain } => *chain,
        }
    }

    /// The asset that leaves.
    pub fn asset(&self) -> Asset {
        match &self.leaves {
            Leaves::Payments { asset, .. } => asset.clone(),
            Leaves::Fees { chain } => Asset::native(*chain),
        }
    }
}

impl Bound {
    /// Whether no smaller bound holds.
    pub fn is_exact(&self) -> bool {
        self.most.as_ref() == Some(&self.reached)
    }
}

impl Ground<'_> {
    /// The names of hours that are open at a time, as far as the time is known exactly: what is open or
    /// shut for sure. Where a rule does not say, less is allowed than either way.
    pub(crate) fn open_at(&self, at: Time) -> BTreeSet<Name> {
        let at = tx::Interval { lo: at, hi: at };
        let hours = self.policy.hours.iter();
        let open = hours.filter(|(_, hours)| hours.surely(at));
        open.map(|(name, _)| name.clone()).collect()
    }

    /// Where each key stands that signs on a chain: which accounts pay there.
    pub(crate) fn payers(&self, chain: Chain) -> BTreeSet<&Name> {
        let can_sign = |account: &policy::Account| {
            account.keys.iter().any(|key| {
                let known = self.registry.key_by_name(key);
                let signs = known.is_some_and(|key| key.chains.contains(&chain));
                signs && self.has_sequence(key, chain)
            })
        };
        let accounts = self.policy.accounts.iter();
        let paying =
            accounts.filter(|(_, account)| account.chains.contains(&chain) && can_sign(account));
        paying.map(|(name, _)| name).collect()
    }

    /// Whether the key can sign anything, where what was signed is final at once.
    fn has_sequence(&self, key: &Name, chain: Chain) -> bool {
        let Chain::Evm(_) = chain else {
            return true;
        };
        let ahead = self
            .policy
            .chains
            .get(&chain)
            .map_or(0, |set| set.max_ahead);
        ahead > 0 && self.policy.sequences.contains_key(&(key.clone(), chain))
    }
}

/// The number behind an amount.
pub(crate) fn number(amount: Amount) -> BigInt {
    BigInt::from_bytes_be(num_bigint::Sign::Plus, &amount.to_be_bytes())
}

/// The amount of a number; the highest one where there is none.
pub(crate) fn amount(number: &BigInt) -> Amount {
    let (_, bytes) = number.to_bytes_be();
    let mut wide = [0; 32];
    let Some(from) = wide.len().checked_sub(bytes.len()) else {
        return Amount::MAX;
    };
    if let Some(low) = wide.get_mut(from..) {
        low.copy_from_slice(&bytes);
    }
    Amount::from_be_bytes(wide)
}

/// Numbers that are told apart by their places.
#[derive(Clone, Debug)]
pub(crate) struct Places<T>(BTreeMap<T, usize>);

impl<T: Ord> Places<T> {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn of(&mut self, item: T) -> usize {
        let next = self.0.len();
        *self.0.entry(item).or_insert(next)
    }
}
