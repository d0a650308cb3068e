//! What attesters said last, and what follows from enough of them.

use serde::{Deserialize, Serialize};
use tx::{Address, Asset, Interval, Name, Time};

use super::{FateSaid, HeadState, ReconciledState, State, StateError, TimeState};
use crate::{
    AttestationKind, Attested, Attester, Digest, Policy, Price,
    statement::{Attestation, Seen, Signatures, StatementError, bare},
};

/// What an attester said last of an asset's price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceState {
    /// The statement's number.
    pub number: u64,
    /// Its hash.
    pub hash: Digest,
    /// When it was seen.
    pub at: Time,
    /// The currency.
    pub currency: Name,
    /// What one unit was worth.
    #[serde(with = "text")]
    pub price: Price,
    /// The key that it was signed with.
    pub key: String,
}

/// What an attester said last of an account's final sequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalState {
    /// The statement's number.
    pub number: u64,
    /// Its hash.
    pub hash: Digest,
    /// All sequences below are final.
    pub next: u64,
    /// The key that it was signed with.
    pub key: String,
}

/// An asset has no price now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpriced {
    /// How many attesters' prices hold.
    pub holding: usize,
    /// How many are needed; 0 where the policy asks nobody.
    pub needed: u32,
}

mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::Price;

    pub fn serialize<S: Serializer>(price: &Price, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(price)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Price, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Attester {
    /// The line of its key of this name, without what is asked of signatures.
    pub(super) fn line(&self, key: &str) -> Option<&String> {
        self.keys.iter().find(|line| bare(line) == key)
    }
}

impl State {
    /// What an asset is worth at `hi`: the median of the attesters' prices that hold, the higher one of two.
    ///
    /// # Errors
    /// [`Unpriced`]: too few of them hold.
    pub fn price(&self, asset: &Asset, hi: Time) -> Result<Price, Unpriced> {
        let Some(policy) = self.policy() else {
            return Err(Unpriced {
                holding: 0,
                needed: 0,
            });
        };
        let needed = policy.attestations.needed(AttestationKind::Price);
        let mut holding = self.prices_holding(policy, asset, hi);
        holding.sort_unstable();
        let enough = usize::try_from(needed).is_ok_and(|needed| holding.len() >= needed);
        let middle = holding.len().checked_div(2).unwrap_or(0);
        match holding.get(middle).filter(|_| enough && needed > 0) {
            Some(price) => Ok(*price),
            None => Err(Unpriced {
                holding: holding.len(),
                needed,
            }),
        }
    }

    /// The prices of different attesters that count at `hi`, in any order.
    fn prices_holding(&self, policy: &Policy, asset: &Asset, hi: Time) -> Vec<Price> {
        let Some(rule) = policy.attestations.prices.get(asset) else {
            return Vec::new();
        };
        let attesters = policy.attestations.attesters.iter();
        let says = attesters.filter(|(_, one)| one.says.contains(&AttestationKind::Price));
        let holding = says.filter_map(|(name, attester)| {
            let said = self.prices.get(&(asset.clone(), name.clone()))?;
            let counts = policy.attestations.currency.as_ref() == Some(&said.currency)
                && attester.line(&said.key).is_some()
                && said.at.after_millis(rule.max_age_millis) >= hi;
            counts.then_some(said.price)
        });
        holding.collect()
    }

    /// The sequence of an account below which all are final, as enough attesters say: each of them says as much
    /// or more. `None` where too few say anything.
    pub fn attested_final(&self, account: &Address) -> Option<u64> {
        let policy = self.policy()?;
        let needed = policy.attestations.needed(AttestationKind::Final);
        let attesters = policy.attestations.attesters.iter();
        let says = attesters.filter(|(_, one)| one.says.contains(&AttestationKind::Final));
        let said = says.filter_map(|(name, attester)| {
            let said = self.finals.get(&(account.clone(), name.clone()))?;
            attester.line(&said.key).map(|_| said.next)
        });
        let mut said: Vec<u64> = said.collect();
        said.sort_unstable_by(|one, other| other.cmp(one));
        let last = usize::try_from(needed).ok()?.checked_sub(1)?;
        said.get(last).copied()
    }

    /// What each attester said last of each account.
    pub fn finals(&self) -> impl Iterator<Item = (&Address, &Name, &FinalState)> {
        let finals = self.finals.iter();
        finals.map(|((account, attester), said)| (account, attester, said))
    }

    /// What each attester said last of each asset.
    pub fn prices(&self) -> impl Iterator<Item = (&Asset, &Name, &PriceState)> {
        let prices = self.prices.iter();
        prices.map(|((asset, attester), said)| (asset, attester, said))
    }

    /// What is to be journalled of a statement with these signatures: with the key of the attester that
    /// signed it.
    ///
    /// # Errors
    /// [`StateError`]; that it is new is for the writer to say.
    pub fn attesting(&self, text: &str, signatures: &str) -> Result<Attested, StateError> {
        let statement = Attestation::parse(text).map_err(StateError::Unseal)?;
        // Whoever uses up all numbers at once could say nothing for ever after. No entry hangs on it: older
        // ones may have others.
        if statement.number > statement.at.millis() {
            return Err(StateError::NumberAhead { at: statement.at });
        }
        let policy = self.policy().ok_or(StateError::Statement)?;
        let attester = attester(policy, &statement)?;
        let parsed = Signatures::parse(signatures);
        let parsed =
            parsed.map_err(|error| StateError::Unseal(StatementError::Signatures(error)))?;
        let mut keys = attester.keys.iter();
        let key = keys.find(|key| statement.is_signed_by(key, &parsed));
        let key = key.ok_or_else(|| unsigned(&statement))?;
        Ok(Attested {
            hash: statement.hash(),
            attester: statement.attester,
            key: bare(key).to_owned(),
            statement: text.to_owned(),
            signature: signatures.to_owned(),
        })
    }

    /// By what it says, that it is new, and that an attester that the bundle names for it signed it.
    pub(super) fn validate_attested(
        &self,
        now: Interval,
        said: &Attested,
    ) -> Result<(), StateError> {
        let statement = Attestation::parse(&said.statement).map_err(StateError::Unseal)?;
        if statement.hash() != said.hash || statement.attester != said.attester {
            return Err(StateError::Statement);
        }
        if self.fleet.as_ref() != Some(&statement.fleet) {
            return Err(StateError::Unseal(StatementError::Fleet));
        }
        self.is_newer(&statement)?;
        self.is_seen(now, &statement)?;
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let attester = attester(policy, &statement)?;
        self.is_asked_for(policy, &statement, now.hi)?;
        let signatures = Signatures::parse(&said.signature);
        let signatures =
            signatures.map_err(|error| StateError::Unseal(StatementError::Signatures(error)))?;
        match attester.line(&said.key) {
            Some(line) if statement.is_signed_by(line, &signatures) => Ok(()),
            _ => Err(unsigned(&statement)),
        }
    }

    /// Whoever kept an old statement cannot bring it again: its number is not above the last.
    fn is_newer(&self, statement: &Attestation) -> Result<(), StateError> {
        let attester = statement.attester.clone();
        let last = match &statement.seen {
            Seen::Price { asset, .. } => {
                let last = self.prices.get(&(asset.clone(), attester));
                last.map(|last| (last.number, last.hash))
            }
            Seen::Final { account, .. } => {
                let last = self.finals.get(&(account.clone(), attester));
                last.map(|last| (last.number, last.hash))
            }
            Seen::Fate { attempt, .. } => {
                let last = self.fate_said(*attempt, &attester)?;
                last.map(|last| (last.number, last.hash))
            }
            Seen::Head { chain, .. } => {
                let last = self.heads.get(&(*chain, attester));
                last.map(|last| (last.number, last.hash))
            }
            Seen::Reconciled { .. } => {
                let last = self.reconciled.get(&attester);
                last.map(|last| (last.number, last.hash))
            }
            Seen::Time => {
                let last = self.times.get(&attester);
                last.map(|last| (last.number, last.hash))
            }
        };
        match last {
            Some((_, hash)) if hash == statement.hash() => Err(StateError::SaidAlready),
            Some((last, _)) if last >= statement.number => Err(StateError::NotNewer { last }),
            _ => Ok(()),
        }
    }

    /// Whether the policy asks for such a thing, and it holds at `hi`.
    fn is_asked_for(
        &self,
        policy: &Policy,
        statement: &Attestation,
        hi: Time,
    ) -> Result<(), StateError> {
        match &statement.seen {
            Seen::Price {
                asset, currency, ..
            } => is_priced(policy, (asset, currency), (statement.at, hi)),
            Seen::Final { account, next } => {
                let registry = self.registry();
                let key = registry.key(account);
                let start = key.and_then(|key| {
                    let which = (key.name.clone(), account.chain());
                    policy.sequences.get(&which)
                });
                let start = start.ok_or_else(|| StateError::NotOurs {
                    account: account.clone(),
                })?;
                // What was never signed is in no block.
                let signed = self.next_sequence(account).unwrap_or(0).max(start.next);
                match *next <= signed {
                    true => Ok(()),
                    false => Err(StateError::NeverSigned {
                        account: account.clone(),
                        next: signed,
                    }),
                }
            }
            Seen::Fate {
                attempt,
                request,
                transaction: _,
                fate,
            } => self.is_fate(policy, &statement.attester, (*attempt, *request, *fate)),
            Seen::Head { chain, height } => self.is_head(&statement.attester, (*chain, *height)),
            Seen::Reconciled { size, root } => {
                self.is_reconciled(&statement.attester, (*size, *root))
            }
            Seen::Time => Ok(()),
        }
    }

    pub(super) fn attest(&mut self, said: &Attested) {
        // What is applied was validated: it parses.
        let Ok(statement) = Attestation::parse(&said.statement) else {
            return;
        };
        let (number, hash, key) = (statement.number, said.hash, said.key.clone());
        let at = statement.at;
        match statement.seen {
            Seen::Fate { attempt, fate, .. } => {
                self.take_fate(attempt, FateSaid::of(&statement, said, fate));
            }
            Seen::Head { chain, height } => {
                let state = HeadState {
                    number,
                    hash,
                    at,
                    height,
                    key,
                };
                self.heads.insert((chain, statement.attester), state);
            }
            Seen::Reconciled { size, root } => {
                let state = ReconciledState {
                    number,
                    hash,
                    at,
                    size,
                    root,
                    key,
                };
                self.reconciled.insert(statement.attester, state);
            }
            Seen::Time => {
                let state = TimeState {
                    number,
                    hash,
                    at,
                    key,
                };
                self.times.insert(statement.attester, state);
            }
            Seen::Price {
                asset,
                currency,
                price,
            } => {
                let state = PriceState {
                    number,
                    hash,
                    at,
                    currency,
                    price,
                    key,
                };
                self.prices.insert((asset, statement.attester), state);
            }
            Seen::Final { account, next } => {
                let state = FinalState {
                    number,
                    hash,
                    next,
                    key,
                };
                self.finals.insert((account, statement.attester), state);
            }
        }
    }
}

/// The attester who says it, where the policy names that one for statements of its kind.
fn attester<'p>(policy: &'p Policy, statement: &Attestation) -> Result<&'p Attester, StateError> {
    let attester = policy.attestations.attesters.get(&statement.attester);
    let attester = attester.filter(|one| one.says.contains(&statement.kind()));
    attester.ok_or_else(|| StateError::NoAttester {
        attester: statement.attester.clone(),
    })
}

/// Whether the policy asks for such a price, and one that was seen then holds at `hi`.
fn is_priced(
    policy: &Policy,
    (asset, currency): (&Asset, &Name),
    (at, hi): (Time, Time),
) -> Result<(), StateError> {
    let rule = policy.attestations.prices.get(asset);
    let is_ours = policy.attestations.currency.as_ref() == Some(currency);
    let rule = rule
        .filter(|_| is_ours)
        .ok_or_else(|| StateError::NotPriced {
            asset: asset.clone(),
            currency: currency.clone(),
        })?;
    let expires = at.after_millis(rule.max_age_millis);
    match expires >= hi {
        true => Ok(()),
        false => Err(StateError::Unseal(StatementError::Expired(expires))),
    }
}

fn unsigned(statement: &Attestation) -> StateError {
    StateError::Unseal(StatementError::Attester(statement.attester.clone()))
}
