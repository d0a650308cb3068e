//! From a PSBT to its effects.

use super::{
    CHANGE_OUTPUTS_MAX,
    assemble::Unsigned,
    refusal::Refusal,
    script::Spends,
    sighash::Shared,
    view::{View, ViewInput, ViewOutput, view},
};
use crate::{
    AccountClass, Address, Amount, Asset, Chain, ChainRules, ConflictKey, Decoded, Destination,
    Effect, EffectKind, FeeTerms, Own, OwnKey, Registry, Scheme, Signing, ValidUntil,
    decoded::Body,
};

/// Understands a PSBT that spends one own account.
pub(crate) fn decode(
    chain: Chain,
    psbt: &str,
    registry: &Registry,
    rules: ChainRules,
) -> Result<Decoded, Refusal> {
    let view = view(chain, psbt)?;
    check_lock_time(view.lock_time, rules)?;
    let keys = signing_keys(&view.inputs, registry)?;
    let source = source(&keys)?;
    let effects = effects(&view, &source, registry)?;
    let shared = Shared::new(&view);
    let inputs = view.inputs.iter().zip(&keys).enumerate();
    let signings = inputs.map(|(position, (input, key))| {
        let digest = shared.digest(position, input, &key.public);
        Ok(Signing {
            key: key.name.clone(),
            scheme: key.public.scheme(),
            digest: digest.ok_or(Refusal::InputScript { input: position })?,
        })
    });
    let signings = signings.collect::<Result<_, Refusal>>()?;
    let conflict_keys = view.inputs.iter().map(|input| ConflictKey::Outpoint {
        chain,
        txid: input.outpoint.txid,
        vout: input.outpoint.vout,
    });
    Ok(Decoded {
        chain,
        account: source.account,
        effects,
        conflict_keys: conflict_keys.collect(),
        valid_until: ValidUntil::Unbounded,
        fee_terms: FeeTerms::Utxo {
            fee: view.fee,
            vsize: view.vsize,
        },
        signings,
        body: Body::Utxo(Unsigned {
            public_keys: keys.iter().map(|key| key.public).collect(),
            view,
        }),
    })
}

/// A transaction that cannot be included yet is one to be kept until nobody remembers it.
fn check_lock_time(lock_time: u32, rules: ChainRules) -> Result<(), Refusal> {
    /// The least lock time that is a time and not a height.
    const TIMESTAMP_MIN: u32 = 500_000_000;

    let height_max = rules.locktime_height_max;
    match lock_time {
        TIMESTAMP_MIN.. => Err(Refusal::LockTimeTimestamp { lock_time }),
        height if height > height_max => Err(Refusal::LockTimeFar { height, height_max }),
        _ => Ok(()),
    }
}

fn signing_keys<'a>(
    inputs: &[ViewInput],
    registry: &'a Registry,
) -> Result<Vec<&'a OwnKey>, Refusal> {
    inputs
        .iter()
        .enumerate()
        .map(|(input, ViewInput { address, .. })| {
            registry
                .key(address)
                .ok_or_else(|| match registry.own(address) {
                    Some(own) => Refusal::InputKeyless {
                        input,
                        account: own.account.clone(),
                    },
                    None if is_taproot(address) && !registry.has_scheme(Scheme::Bip340) => {
                        Refusal::InputTaproot { input }
                    }
                    None => Refusal::InputForeign { input },
                })
        })
        .collect()
}

fn is_taproot(address: &Address) -> bool {
    Spends::of(address.as_bytes()) == Some(Spends::P2tr)
}

/// The one account that is debited.
fn source(keys: &[&OwnKey]) -> Result<Own, Refusal> {
    let own = |key: &OwnKey| Own {
        account: key.account.clone(),
        class: key.class,
    };
    let mut owns = keys.iter().map(|key| own(key)).enumerate();
    let (_, first) = owns.next().ok_or(Refusal::InputCount { count: 0 })?;
    match owns.find(|(_, other)| *other != first) {
        Some((input, other)) => Err(Refusal::SeveralAccounts {
            input,
            account: other.account,
            first: first.account,
        }),
        None => Ok(first),
    }
}

/// The effects in the order of the outputs, the fee last.
fn effects(view: &View, source: &Own, registry: &Registry) -> Result<Vec<Effect>, Refusal> {
    let effect = |kind, amount: u64, to| Effect {
        kind,
        account: source.account.clone(),
        asset: Asset::native(view.chain),
        amount: Amount::from(amount),
        to,
        tag: None,
        call: None,
    };
    let mut effects = Vec::new();
    for (output, ViewOutput { address, amount }) in view.outputs.iter().enumerate() {
        let to = Destination {
            address: address.clone(),
            own: registry.own(address).cloned(),
        };
        let kind = output_kind(output, &to, source, registry)?;
        effects.push(effect(kind, *amount, Some(to)));
    }
    check_change_count(&effects)?;
    effects.push(effect(EffectKind::Fee, view.fee, None));
    Ok(effects)
}

/// Change is what comes back to the same account and can be spent from here again: by the registry,
/// whatever the PSBT claims.
fn output_kind(
    output: usize,
    to: &Destination,
    source: &Own,
    registry: &Registry,
) -> Result<EffectKind, Refusal> {
    let account = |own: &Own| own.account.clone();
    match &to.own {
        None => Ok(EffectKind::Payment),
        Some(own) if own.class == AccountClass::Retired => Err(Refusal::OutputRetired {
            output,
            account: account(own),
        }),
        Some(own) if own != source => Ok(EffectKind::OwnTransfer),
        Some(_) if registry.key(&to.address).is_some() => Ok(EffectKind::Change),
        Some(own) => Err(Refusal::ChangeKeyless {
            output,
            account: account(own),
        }),
    }
}

fn check_change_count(effects: &[Effect]) -> Result<(), Refusal> {
    let is_change = |effect: &&Effect| effect.kind == EffectKind::Change;
    match effects.iter().filter(is_change).count() {
        count if count > CHANGE_OUTPUTS_MAX => Err(Refusal::ChangeCount { count }),
        _ => Ok(()),
    }
}
