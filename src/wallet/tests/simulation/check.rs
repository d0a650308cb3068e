//! What must hold at the end of a run, by the content of the best chain and of the store alone.

use std::collections::BTreeMap;

use tx::{Amount, Asset};
use wallet::{attempt::AttemptStage, ledger::Account, withdrawal::Stage};

use super::{
    family::{Family, SimChain},
    world::{World, customers},
};

/// One of our transactions on the best chain.
#[derive(Clone, Debug)]
pub struct Confirmed {
    pub txid: String,
    /// Whether it paid: not if it failed there.
    pub paid: bool,
    pub fee: u64,
}

impl<F: Family> World<F> {
    /// Checks everything, floods the chain with all that was ever signed, and checks again what
    /// the chain says.
    pub async fn check(&mut self) {
        for breach in self.chain.breaches() {
            self.breach(breach);
        }
        let breaches = self.sim.lock().breaches.clone();
        self.breaches.extend(breaches);
        self.check_payments().await;
        self.check_ledger().await;
        self.check_events().await;
        self.check_voids().await;
        let newest_first = self.random.once_in(2);
        self.chain.flood(newest_first);
        self.check_payments().await;
    }

    /// Each final withdrawal is paid exactly once, and no other at all.
    async fn check_payments(&mut self) {
        let confirmed = self.chain.confirmed();
        let mut times: BTreeMap<_, u64> = BTreeMap::new();
        let mut sums: BTreeMap<_, Amount> = BTreeMap::new();
        for own in confirmed.iter().filter(|own| own.paid) {
            let Some(made) = self.sim.book.by_txid(&own.txid) else {
                continue;
            };
            for intent in &made.intents {
                *times.entry(intent.id.clone()).or_default() += 1;
            }
            for (asset, to, amount) in &made.payments {
                let sum = sums
                    .entry((asset.clone(), to.clone()))
                    .or_insert(Amount::ZERO);
                *sum = sum.checked_add(*amount).unwrap();
            }
        }
        let mut wanted: BTreeMap<_, Amount> = BTreeMap::new();
        for withdrawal in self.withdrawals().await {
            let intent = &withdrawal.intent;
            let paid = times.remove(&intent.id).unwrap_or(0);
            let should = u64::from(withdrawal.stage == Stage::Final);
            // What is still under way may be paid, once.
            let open = matches!(
                withdrawal.stage,
                Stage::Assigned
                    | Stage::Signed
                    | Stage::Broadcast
                    | Stage::Included
                    | Stage::FailedOnChain
                    | Stage::Halted
            );
            if paid > 1 || (!open && paid != should) {
                let (id, stage) = (&intent.id, withdrawal.stage);
                self.breach(format!("{id} is {stage:?} and was paid {paid} times"));
            }
            if paid > 0 || should > 0 {
                let key = (intent.asset.clone(), intent.destination.clone());
                let sum = wanted.entry(key).or_insert(Amount::ZERO);
                *sum = sum.checked_add(intent.amount).unwrap();
            }
        }
        for (id, paid) in times {
            self.breach(format!("{id} is not known and was paid {paid} times"));
        }
        if sums != wanted {
            self.breach(format!("paid {sums:?}, wanted {wanted:?}"));
        }
    }

    /// Every hold is settled or released, and every account says what the chain says.
    async fn check_ledger(&mut self) {
        for asset in F::assets() {
            let is_native = asset == Asset::native(F::CHAIN);
            let (mut paid, mut frozen) = (Amount::ZERO, Amount::ZERO);
            // What was found at the signer after a restore is nobody's, until a person assigns it.
            let mut found = Amount::ZERO;
            for withdrawal in self.withdrawals().await {
                if withdrawal.intent.asset != asset {
                    continue;
                }
                let sum = match withdrawal.stage {
                    _ if withdrawal.account == Account::Suspense => &mut found,
                    Stage::Final => &mut paid,
                    Stage::Released => continue,
                    _ => &mut frozen,
                };
                *sum = sum.checked_add(withdrawal.intent.amount).unwrap();
            }
            let (mut free, mut held) = (Amount::ZERO, Amount::ZERO);
            for customer in customers() {
                let account = Account::Customer(customer);
                free = free.checked_add(self.owed(&account, &asset).await).unwrap();
                held = held
                    .checked_add(self.owed(&account.held(), &asset).await)
                    .unwrap();
            }
            let deposits = Amount::from(F::DEPOSIT * customers().len() as u64);
            let left = deposits
                .checked_sub(paid)
                .and_then(|left| left.checked_sub(frozen));
            if Some(free) != left {
                self.breach(format!("{asset}: customers have {free} free, not {left:?}"));
            }
            if held != frozen {
                self.breach(format!("{asset}: {held} is held, not {frozen}"));
            }
            let fees = if is_native { self.fees() } else { Amount::ZERO };
            let posted = self.net(&Account::Fees(F::CHAIN), &asset).await;
            if posted != Some(fees) {
                self.breach(format!(
                    "{asset}: fees of {posted:?} are posted, {fees} was paid"
                ));
            }
            let out = paid
                .checked_add(fees)
                .and_then(|out| out.checked_add(found))
                .unwrap();
            let wallet = self.net(&Account::Wallet(F::CHAIN), &asset).await;
            let should = deposits.checked_sub(out);
            if wallet != should {
                self.breach(format!(
                    "{asset}: the wallet has {wallet:?}, not {should:?}"
                ));
            }
        }
    }

    fn fees(&self) -> Amount {
        let fees = self
            .chain
            .confirmed()
            .into_iter()
            .map(|own| Amount::from(own.fee));
        fees.fold(Amount::ZERO, |sum, fee| sum.checked_add(fee).unwrap())
    }

    async fn owed(&mut self, account: &Account, asset: &Asset) -> Amount {
        let balances = self.store().balances(account).await.unwrap();
        let found = balances.into_iter().find(|(of, _)| of == asset);
        let owed = found.map_or(Some(Amount::ZERO), |(_, balance)| balance.owed());
        owed.unwrap_or_else(|| {
            self.breach(format!("{account} is below zero"));
            Amount::ZERO
        })
    }

    /// Debits less credits.
    async fn net(&self, account: &Account, asset: &Asset) -> Option<Amount> {
        let balances = self.store().balances(account).await.unwrap();
        let found = balances.into_iter().find(|(of, _)| of == asset);
        found.map_or(Some(Amount::ZERO), |(_, balance)| {
            balance.debits.checked_sub(balance.credits)
        })
    }

    /// What was certified never to be signed was never signed, not even by a call that came late.
    async fn check_voids(&mut self) {
        let made = self.sim.book.all();
        for withdrawal in self.withdrawals().await {
            let attempts = self.store().attempts(withdrawal.number).await.unwrap();
            for (lane, attempt) in attempts {
                let id = lane.request_id(attempt.number);
                let is_void = matches!(attempt.stage, AttemptStage::Void(_));
                if is_void && made.iter().any(|made| made.request_id == id) {
                    self.breach(format!("{id} is void and was signed"));
                }
            }
        }
    }

    /// Every withdrawal's history stands in the outbox, its end exactly once.
    pub async fn check_events(&mut self) {
        for withdrawal in self.withdrawals().await {
            let number = withdrawal.number;
            let events = self
                .store()
                .events(Some(number), None, 1_000)
                .await
                .unwrap();
            let last = format!("withdrawal.{}", withdrawal.stage.name());
            let times = events.iter().filter(|event| event.topic == last).count();
            let over = withdrawal.stage.is_over();
            if times == 0 || (over && times != 1) {
                let topics: Vec<_> = events.iter().map(|event| &event.topic).collect();
                self.breach(format!("{number:?}: {times} events say {last}: {topics:?}"));
            }
        }
    }

    /// Ends the test if anything was broken.
    pub fn assert_sound(&self, what: &str) {
        assert!(
            self.breaches.is_empty(),
            "{what}: {:#?}\nrefused commits: {:?}\npoints passed: {}, kills at {:?}",
            self.breaches,
            self.refused_commits,
            self.points.passed,
            self.points.kill_at
        );
    }
}
