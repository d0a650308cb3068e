//! A payment that nobody asked for yet.

use std::{collections::BTreeSet, sync::Arc};

use api::signing::SignRequest;
use tx::utxo::{Outpoint, stripped};

use super::{
    build::{BuildError, Builder, unpayable},
    config::Config,
    keys::{OwnKey, OwnKeys},
};
use crate::{
    change::Coin,
    evidence::BlockRef,
    lane::{LaneRow, LaneView},
    view::BLOCKS_KEPT,
    withdrawal::Withdrawal,
};

/// What the signer would be asked for a payment, by a coin of the account's that nobody made: it is for
/// `evaluate` alone, and says nothing of what the account has.
///
/// # Errors
/// Why there is no such transaction, for people.
pub fn trial(
    (config, keys): (&Config, &OwnKeys),
    row: &LaneRow,
    payment: &Withdrawal,
    fee_rate_sat_vb: u64,
) -> Result<SignRequest, String> {
    let mut view = LaneView::new(row.clone());
    if let Some(detail) = unpayable(&view, keys, payment) {
        return Err(detail);
    }
    let no_coin = || "there is no such coin".to_owned();
    let key = keys.change(0).ok_or_else(no_coin)?;
    let coin = made_up(key, payment).ok_or_else(no_coin)?;
    view.blocks.push_back(BlockRef {
        height: u64::try_from(BLOCKS_KEPT).unwrap_or(u64::MAX),
        hash: "0".repeat(64),
    });
    view.coins.insert(coin.outpoint, coin);
    let builder = Builder {
        view: &view,
        keys,
        config,
        avoided: &BTreeSet::new(),
        fee_rate_sat_vb,
        at: payment.requested_at,
    };
    let attempt = builder.payout(&[payment]).map_err(said)?;
    Ok(SignRequest {
        // No attempt of a lane has this id.
        request_id: payment.intent.id.id.to_string(),
        ..(*attempt.request).clone()
    })
}

/// A coin that pays for it twice over, made by a transaction that is none.
fn made_up(key: &OwnKey, payment: &Withdrawal) -> Option<Coin> {
    let paid = payment.amount().to_u64()?;
    let fee = payment.intent.max_fee.to_u64()?;
    let amount = paid.checked_add(fee)?.checked_mul(2)?;
    let mut raw = Vec::new();
    raw.extend([2, 0, 0, 0, 1]);
    raw.extend([0x5a; 32]);
    raw.extend([0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1]);
    raw.extend(amount.to_le_bytes());
    raw.push(u8::try_from(key.script.len()).ok()?);
    raw.extend(key.script.iter());
    raw.extend([0; 4]);
    let txid = stripped(&raw)?.txid;
    Some(Coin {
        outpoint: Outpoint { txid, vout: 0 },
        amount,
        key: key.name.clone(),
        script: Arc::clone(&key.script),
        previous: raw.into(),
        height: 0,
        coinbase: false,
    })
}

fn said(error: BuildError) -> String {
    match error {
        BuildError::Funds { detail }
        | BuildError::Fee { detail }
        | BuildError::Unbuildable { detail } => detail,
        BuildError::Size => "the transaction is too large".into(),
    }
}
