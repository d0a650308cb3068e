//! What a run is made of: wishes, what happens to the world, and what must come of it.

use std::collections::BTreeMap;

use tx::{Amount, Asset, Intent, IntentId, Time};
use wallet::{
    ledger::Account,
    withdrawal::{NewWithdrawal, Stage},
};

use super::{
    super::{family::Family, signer::name},
    BEGINNING, World,
};

/// What people want.
#[derive(Clone, Debug)]
pub enum Wish {
    Withdraw(Box<NewWithdrawal>),
    Approve(IntentId),
    Release(IntentId),
    /// A person looks at what is halted, says what came of it, and has the lane opened.
    Settle,
}

/// What a withdrawal must come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Paid,
    /// Is neither paid nor released, whoever says why.
    Stays(Stage),
    /// The same, and says why.
    Waits(Stage),
    /// Paid or released, whoever came first.
    PaidOrReleased,
    Any,
}

/// Something that happens to the world once its time has come: true when it is done.
pub type Nudge<F> = Box<dyn FnMut(&World<F>) -> bool>;

pub struct Scenario<F: Family> {
    /// Milliseconds from the beginning, and the wish.
    pub wishes: Vec<(u64, Wish)>,
    pub nudges: Vec<Nudge<F>>,
    pub expected: BTreeMap<IntentId, Expected>,
}

impl<F: Family> Scenario<F> {
    pub fn new() -> Self {
        Self {
            wishes: Vec::new(),
            nudges: Vec::new(),
            expected: BTreeMap::new(),
        }
    }

    /// A withdrawal that must be paid.
    pub fn pays(mut self, after: u64, withdrawal: NewWithdrawal) -> Self {
        let id = withdrawal.intent.id.clone();
        self.expected.insert(id, Expected::Paid);
        self.wishes
            .push((after, Wish::Withdraw(Box::new(withdrawal))));
        self
    }

    pub fn expects(mut self, id: &IntentId, expected: Expected) -> Self {
        self.expected.insert(id.clone(), expected);
        self
    }

    pub fn wishes(mut self, after: u64, wish: Wish) -> Self {
        self.wishes.push((after, wish));
        self
    }

    pub fn nudge(mut self, nudge: impl FnMut(&World<F>) -> bool + 'static) -> Self {
        self.nudges.push(Box::new(nudge));
        self
    }
}

/// A withdrawal of a customer.
pub fn withdrawal(
    id: &str,
    customer: &str,
    asset: Asset,
    amount: u64,
    to: tx::Address,
) -> NewWithdrawal {
    NewWithdrawal {
        client: name("shop"),
        account: Account::Customer(name(customer)),
        intent: Intent {
            id: IntentId {
                source: name("shop"),
                id: id.parse().unwrap(),
            },
            epoch: 1,
            destination: to,
            asset,
            amount: amount.into(),
            tag: None,
            max_fee: Amount::from(u64::MAX),
            expires: Time::from_millis(BEGINNING + 400 * 86_400_000),
        },
    }
}

pub fn intent_id(id: &str) -> IntentId {
    IntentId {
        source: name("shop"),
        id: id.parse().unwrap(),
    }
}
