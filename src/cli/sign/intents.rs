//! Intents: read from files, or made of what the transaction pays.

use std::collections::BTreeSet;
use std::path::Path;

use api::signing::{KeysAnswer, SignedIntent};
use serde::Deserialize;
use tx::evm::Action;
use tx::{Address, Amount, Asset, Intent, IntentId, IntentKey, Name, Time, Transaction};

use super::error::SignError;
use crate::client::{Signer, SignerError, is_not_granted};
use crate::files;
use crate::transaction::base_units;
use crate::transaction::parcel::Parcel;

/// The largest file of intents: as much as a request can hold.
const INTENTS_MAX_BYTES: u64 = 1 << 20;

/// What a file may hold.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Many(Vec<Written>),
    Signed(SignedIntent),
    Bare(Intent),
}

impl Written {
    fn flatten(self, into: &mut Vec<SignedIntent>) {
        match self {
            Self::Many(written) => written.into_iter().for_each(|one| one.flatten(into)),
            Self::Signed(signed) => into.push(signed),
            Self::Bare(intent) => into.push(unsigned(intent)),
        }
    }
}

fn unsigned(intent: Intent) -> SignedIntent {
    SignedIntent {
        intent,
        signatures: Vec::new(),
    }
}

/// Reads one intent or a list.
///
/// # Errors
/// [`SignError::File`], [`SignError::Intent`].
pub fn read(path: &Path) -> Result<Vec<SignedIntent>, SignError> {
    let bytes = files::read(path, INTENTS_MAX_BYTES).map_err(SignError::File)?;
    let refused = |source| SignError::Intent {
        path: path.to_owned(),
        source,
    };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(refused)?;
    let written = match Written::deserialize(&value) {
        Ok(written) => written,
        // "No variant matches" helps nobody: say what is wrong with it as an intent.
        Err(error) => return Err(refused(Intent::deserialize(&value).err().unwrap_or(error))),
    };
    let mut intents = Vec::new();
    written.flatten(&mut intents);
    Ok(intents)
}

/// What the signer tells of itself: nothing to a client that may not ask for keys.
pub struct Told(Option<KeysAnswer>);

impl Told {
    /// Asks it.
    ///
    /// # Errors
    /// When the signer does not answer.
    pub fn of(signer: &Signer) -> Result<Self, SignerError> {
        match signer.keys() {
            Ok(answer) => Ok(Self(Some(answer))),
            Err(error) if is_not_granted(&error) => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }

    /// Its epoch.
    pub fn epoch(&self) -> Option<u64> {
        self.0.as_ref().map(|answer| answer.epoch)
    }

    /// The addresses to which no payment goes: what the signer says is ours, and where it comes from.
    pub fn own_addresses(&self, transaction: &Transaction, parcel: &Parcel) -> BTreeSet<Address> {
        let chain = transaction.chain();
        let mut own = BTreeSet::new();
        match (transaction, parcel) {
            (Transaction::Eip2718 { from, .. }, _) => own.extend(Address::parse(chain, from)),
            (_, Parcel::Utxo(view)) => {
                own.extend(view.inputs.iter().map(|input| input.address.clone()));
            }
            _ => {}
        }
        let keys = self.0.iter().flat_map(|answer| &answer.keys);
        let addresses = keys.flat_map(|key| &key.addresses);
        let here = addresses.filter(|address| address.chain == chain);
        own.extend(here.filter_map(|address| Address::parse(chain, &address.address).ok()));
        own
    }
}

/// What unsigned intents are made of.
#[derive(Clone, Copy, Debug)]
pub struct Derivation<'a> {
    /// Their source.
    pub source: &'a Name,
    /// Their ids, one for each payment.
    pub ids: &'a [IntentKey],
    /// The signer's epoch.
    pub epoch: u64,
    /// The highest fee, as it was written.
    pub max_fee: Option<&'a str>,
    /// When they end.
    pub expires: Time,
}

struct Payment {
    asset: Asset,
    amount: Amount,
    to: Address,
}

impl Derivation<'_> {
    /// One intent for each payment.
    ///
    /// # Errors
    /// [`SignError::Payments`] when there are not as many ids, [`SignError::MaxFee`].
    pub fn intents(
        &self,
        transaction: &Transaction,
        parcel: &Parcel,
        own: &BTreeSet<Address>,
    ) -> Result<Vec<SignedIntent>, SignError> {
        let units = base_units::native_units(transaction.chain());
        let max_fee = match self.max_fee {
            Some(text) => base_units::parse(text, units).map_err(SignError::MaxFee)?,
            None => fee(parcel),
        };
        let payments = payments(parcel, own);
        if payments.len() != self.ids.len() {
            let shown = |paid: &Payment| format!("{} {} to {}", paid.amount, paid.asset, paid.to);
            return Err(SignError::Payments {
                ids: self.ids.len(),
                payments: payments.iter().map(shown).collect(),
            });
        }
        let intents = payments
            .into_iter()
            .zip(self.ids)
            .map(|(payment, id)| Intent {
                id: IntentId {
                    source: self.source.clone(),
                    id: id.clone(),
                },
                epoch: self.epoch,
                asset: payment.asset,
                amount: payment.amount,
                destination: payment.to,
                tag: None,
                max_fee,
                expires: self.expires,
            });
        Ok(intents.map(unsigned).collect())
    }
}

fn fee(parcel: &Parcel) -> Amount {
    match parcel {
        Parcel::Evm { unsigned, .. } => unsigned.fee_max(),
        Parcel::Utxo(view) => view.fee.into(),
        Parcel::Signed(_) => Amount::ZERO,
    }
}

fn payments(parcel: &Parcel, own: &BTreeSet<Address>) -> Vec<Payment> {
    let payments = match parcel {
        Parcel::Evm { unsigned, .. } => {
            let (asset, amount, to) = match unsigned.action() {
                // Nobody's intent is paid by a call, or by an approval.
                Action::Approve { .. } | Action::Call { .. } => return Vec::new(),
                Action::Native { to, value } => (Asset::native(unsigned.chain()), *value, to),
                Action::Erc20 { token, to, amount } => (Asset::erc20(token.clone()), *amount, to),
            };
            vec![Payment {
                asset,
                amount,
                to: to.clone(),
            }]
        }
        Parcel::Utxo(view) => {
            let payment = |output: &tx::utxo::ViewOutput| Payment {
                asset: Asset::native(view.chain),
                amount: output.amount.into(),
                to: output.address.clone(),
            };
            view.outputs.iter().map(payment).collect()
        }
        Parcel::Signed(_) => Vec::new(),
    };
    payments
        .into_iter()
        .filter(|payment| !own.contains(&payment.to))
        .collect()
}
