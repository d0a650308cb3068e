//! A signer in miniature, with transactions that no codec made.

use std::collections::BTreeSet;
use std::sync::Arc;

use policy::{
    Blob, Entry, KeyAlgorithm, KeyPurpose, KeyRegistration, Permit, Policy, Record, Request,
    RequestHash, SignedIntent, State, Verdict, evaluate,
};
use tx::{
    Address, Amount, Asset, Chain, ConflictKey, Destination, Effect, EffectKind, FeeTerms, Intent,
    IntentId, Interval, Name, Registry, Signing, Time, ValidUntil, testing::Synthetic,
};

use super::bundles::{CALLER, Case, FORMS, KEYS, SPENDER, START, name};
use super::wide;
use crate::{Ground, Step};

/// What is asked of the signer.
#[derive(Clone, Debug)]
pub struct Ask {
    pub at: Time,
    pub client: Name,
    pub account: Name,
    pub chain: Chain,
    pub payments: Vec<(Address, Asset, u64, Name)>,
    pub fee: u64,
}

impl Ask {
    /// How much of the asset that was asked about it pays to anyone but ourselves.
    pub fn paid(&self, case: &Case) -> u64 {
        let asset = case.question.asset();
        let paid = self.payments.iter();
        let paid = paid.filter(|(to, of, _, source)| {
            *of == asset && !case.is_own(to) && source.as_str() != CALLER
        });
        paid.map(|(_, _, amount, _)| amount).sum()
    }

    /// How much a call of it sends.
    pub fn called(&self) -> u64 {
        let sent = self.payments.iter();
        let sent = sent.filter(|(.., source)| source.as_str() == CALLER);
        sent.map(|(_, _, amount, _)| amount).sum()
    }
}

#[derive(Clone)]
pub struct Signer {
    state: State,
    registry: Arc<Registry>,
    /// How much was signed: what makes ids and outpoints new.
    signed: u32,
}

impl Signer {
    pub fn new(policy: &Policy) -> Self {
        let mut signer = Self {
            state: State::new(),
            registry: Arc::default(),
            signed: 0,
        };
        let at = Time::from_millis(START);
        let fleet = policy.fleet.clone();
        signer.push(at, Entry::Genesis { fleet });
        for (key, public) in KEYS {
            signer.push(
                at,
                Entry::KeyRegistered(KeyRegistration {
                    name: name(key),
                    purpose: KeyPurpose::Spend,
                    algorithm: KeyAlgorithm::Secp256k1,
                    public: public.into(),
                    device: String::new(),
                    assurance: String::new(),
                }),
            );
        }
        signer.push(
            at,
            Entry::PolicyActivated {
                hash: policy.hash,
                sequence: policy.sequence,
                signed_by: BTreeSet::new(),
            },
        );
        signer.state.activate(Arc::new(policy.clone())).unwrap();
        signer.registry = signer.state.registry();
        for said in wide::prices(policy) {
            signer.push(at, Entry::Attested(Box::new(said)));
        }
        signer
    }

    pub fn ground<'a>(&'a self, case: &'a Case) -> Ground<'a> {
        Ground {
            policy: &case.policy,
            registry: &self.registry,
            forms: FORMS,
            from: Time::from_millis(START),
        }
    }

    fn push(&mut self, at: Time, entry: Entry) {
        let time = Interval { lo: at, hi: at };
        let record = Record { v: 1, time, entry };
        self.state.apply(self.state.entries(), &record).unwrap();
    }

    /// Signs a step; how much of what was asked about leaves by it, where it is permitted.
    pub fn sign(&mut self, case: &Case, step: &Step) -> Option<u64> {
        let payments = step.payments.iter().map(|payment| {
            let amount = payment.amount.to_u64().unwrap();
            (
                payment.to.clone(),
                payment.asset.clone(),
                amount,
                payment.source.clone(),
            )
        });
        let ask = Ask {
            at: step.at,
            client: step.client.clone(),
            account: step.account.clone(),
            chain: step.chain,
            payments: payments.collect(),
            fee: step.fee.to_u64().unwrap(),
        };
        let Verdict::Permit(permit) = self.verdict(&ask) else {
            return None;
        };
        self.charge(ask.at, *permit);
        Some(case.leaves(&ask))
    }

    /// Charges what was permitted.
    pub fn charge(&mut self, at: Time, permit: Permit) {
        self.push(at, Entry::Attempt(Box::new(permit.into_attempt())));
        self.signed += 1;
    }

    pub fn verdict(&self, ask: &Ask) -> Verdict {
        self.decided(ask, self.transaction(ask))
    }

    /// The verdict on a transaction that has one effect and costs nothing.
    pub fn verdict_on(&self, ask: &Ask, effect: Effect) -> Verdict {
        let effects = vec![effect];
        let transaction = Synthetic {
            effects,
            ..self.transaction(ask)
        };
        self.decided(ask, transaction)
    }

    fn decided(&self, ask: &Ask, transaction: Synthetic) -> Verdict {
        let now = Interval {
            lo: ask.at,
            hi: ask.at,
        };
        evaluate(&self.state, now, &transaction.decoded(), &self.request(ask)).unwrap()
    }

    fn request(&self, ask: &Ask) -> Request {
        let intents = ask.payments.iter().enumerate();
        let intent = |(number, (to, asset, amount, source)): (usize, &(_, Asset, _, Name))| {
            let to: &Address = to;
            let asks_nobody =
                self.registry.own(to).is_some() || [SPENDER, CALLER].contains(&source.as_str());
            (!asks_nobody).then(|| SignedIntent {
                intent: Intent {
                    id: IntentId {
                        source: source.clone(),
                        id: format!("{}.{number}", self.signed).parse().unwrap(),
                    },
                    epoch: 1,
                    asset: asset.clone(),
                    amount: Amount::from(*amount),
                    destination: to.clone(),
                    tag: None,
                    max_fee: Amount::from(1_000_u64),
                    expires: Time::from_millis(START + 30 * 86_400_000),
                },
                signatures: Vec::new(),
            })
        };
        Request {
            client: ask.client.clone(),
            id: format!("r{}", self.signed).parse().unwrap(),
            hash: RequestHash([0; 32]),
            lane_epoch: 0,
            intents: intents.filter_map(intent).collect(),
            replaces: Vec::new(),
            transaction: Blob::Inline(String::new()),
            proofs: Vec::new(),
        }
    }

    fn transaction(&self, ask: &Ask) -> Synthetic {
        let effect = |(to, asset, amount, source): &(Address, Asset, u64, Name)| {
            let own = self.registry.own(to).cloned();
            Effect {
                kind: match own {
                    Some(_) => EffectKind::OwnTransfer,
                    None if source.as_str() == SPENDER => EffectKind::Approval,
                    None if source.as_str() == CALLER => EffectKind::Call,
                    None => EffectKind::Payment,
                },
                account: ask.account.clone(),
                asset: asset.clone(),
                amount: Amount::from(*amount),
                to: Some(Destination {
                    address: to.clone(),
                    own,
                }),
                tag: None,
                call: (source.as_str() == CALLER).then(|| Box::new(wide::call())),
            }
        };
        let mut effects: Vec<Effect> = ask.payments.iter().map(effect).collect();
        effects.push(Effect {
            kind: EffectKind::Fee,
            account: ask.account.clone(),
            asset: Asset::native(ask.chain),
            amount: Amount::from(ask.fee),
            to: None,
            tag: None,
            call: None,
        });
        let mut keys = self.registry.keys();
        let key = keys.find(|key| key.account == ask.account).unwrap();
        let conflict = match ask.chain {
            Chain::Evm(_) => {
                let account = key.public.address(ask.chain).unwrap();
                let nonce = self.state.next_sequence(&account).unwrap_or(0);
                ConflictKey::Nonce { account, nonce }
            }
            chain => ConflictKey::Outpoint {
                chain,
                txid: [9; 32],
                vout: self.signed,
            },
        };
        let key = key.name.clone();
        Synthetic {
            chain: ask.chain,
            account: ask.account.clone(),
            effects,
            conflict_keys: [conflict].into(),
            valid_until: ValidUntil::Unbounded,
            fee_terms: match ask.chain {
                Chain::Evm(_) => FeeTerms::Evm {
                    max_fee_per_gas: Amount::from(ask.fee),
                    max_priority_fee_per_gas: Amount::ZERO,
                    gas_limit: 1,
                },
                _ => FeeTerms::Utxo {
                    fee: ask.fee,
                    vsize: 1,
                },
            },
            signings: vec![Signing {
                key,
                scheme: tx::Scheme::Ecdsa,
                digest: [7; 32],
            }],
        }
    }
}
