//! What a transfer, an approval or a call does to our own accounts.

use super::{Action, Refusal, Unsigned};
use crate::{Address, Amount, Asset, Call, Destination, Effect, EffectKind, OwnKey, Registry};

/// The effects of a transaction sent from `from`, whose key is `key`: what it moves, then the fee.
pub(super) fn effects(
    unsigned: &Unsigned,
    from: &Address,
    key: &OwnKey,
    registry: &Registry,
) -> Result<Vec<Effect>, Refusal> {
    let native = Asset::native(unsigned.chain());
    let moved = match unsigned.action() {
        Action::Native { to, value } => Movement {
            kind: native_kind(from, to, *value, registry)?,
            asset: native.clone(),
            amount: *value,
            to,
            call: None,
        },
        Action::Erc20 { token, to, amount } => Movement {
            kind: token_kind(from, token, to, registry)?,
            asset: Asset::erc20(token.clone()),
            amount: *amount,
            to,
            call: None,
        },
        Action::Approve {
            token,
            spender,
            amount,
        } => Movement {
            kind: approval_kind(token, spender, registry)?,
            asset: Asset::erc20(token.clone()),
            amount: *amount,
            to: spender,
            call: None,
        },
        Action::Call {
            contract,
            value,
            call,
        } => Movement {
            kind: call_kind(contract, registry)?,
            asset: native.clone(),
            amount: *value,
            to: contract,
            call: Some(call.described(unsigned.chain(), registry)),
        },
    };
    let fee = Effect {
        kind: EffectKind::Fee,
        account: key.account.clone(),
        asset: native,
        amount: unsigned.fee_max(),
        to: None,
        tag: None,
        call: None,
    };
    Ok(vec![moved.effect(key, registry), fee])
}

struct Movement<'a> {
    kind: EffectKind,
    asset: Asset,
    amount: Amount,
    to: &'a Address,
    call: Option<Call>,
}

impl Movement<'_> {
    fn effect(self, key: &OwnKey, registry: &Registry) -> Effect {
        Effect {
            kind: self.kind,
            account: key.account.clone(),
            asset: self.asset,
            amount: self.amount,
            to: Some(Destination {
                address: self.to.clone(),
                own: registry.own(self.to).cloned(),
            }),
            tag: None,
            call: self.call.map(Box::new),
        }
    }
}

fn native_kind(
    from: &Address,
    to: &Address,
    value: Amount,
    registry: &Registry,
) -> Result<EffectKind, Refusal> {
    match (to == from, value.is_zero()) {
        (true, true) => Ok(EffectKind::Cancellation),
        (true, false) => Err(Refusal::DestinationSelf),
        // Nobody asks for it; it spends a nonce and a fee, and poisons address histories.
        (false, true) => Err(Refusal::ValueZero),
        (false, false) => Ok(kind_by_owner(to, registry)),
    }
}

fn token_kind(
    from: &Address,
    token: &Address,
    to: &Address,
    registry: &Registry,
) -> Result<EffectKind, Refusal> {
    call_kind(token, registry)?;
    if to == from {
        return Err(Refusal::DestinationSelf);
    }
    Ok(kind_by_owner(to, registry))
}

/// A right over tokens is given away, whatever its amount. What an own account could take by one is moved by a
/// transfer, along an edge.
fn approval_kind(
    token: &Address,
    spender: &Address,
    registry: &Registry,
) -> Result<EffectKind, Refusal> {
    call_kind(token, registry)?;
    match registry.own(spender) {
        None => Ok(EffectKind::Approval),
        Some(_) => Err(Refusal::SpenderOwn {
            address: spender.clone(),
        }),
    }
}

fn call_kind(contract: &Address, registry: &Registry) -> Result<EffectKind, Refusal> {
    match registry.own(contract) {
        None => Ok(EffectKind::Call),
        Some(_) => Err(Refusal::CallOfOwn {
            address: contract.clone(),
        }),
    }
}

/// An EVM account has no change: what goes to another address of ours is a transfer, also within
/// one account.
fn kind_by_owner(to: &Address, registry: &Registry) -> EffectKind {
    match registry.own(to) {
        Some(_) => EffectKind::OwnTransfer,
        None => EffectKind::Payment,
    }
}
