//! A payment that nobody asked for yet.

use api::signing::SignRequest;

use super::{
    build::Plan,
    fees::{Caps, wei},
};
use crate::{
    attempt::AttemptNumber,
    lane::{LaneRow, Sender},
    withdrawal::Withdrawal,
};

/// What the signer would be asked for a payment over the lane's next nonce, with this gas limit and
/// the highest fee that its intent allows. It is for `evaluate` alone.
///
/// # Errors
/// Why there is no such transaction, for people.
pub fn trial(row: &LaneRow, payment: &Withdrawal, gas_limit: u64) -> Result<SignRequest, String> {
    let Sender::Address(sender) = &row.id.sender else {
        return Err(format!("the lane {} has no EVM address", row.id));
    };
    let intent = &payment.intent;
    let allowed = wei(intent.max_fee).unwrap_or(u128::MAX);
    let max_fee = allowed.checked_div(gas_limit.into()).unwrap_or_default();
    let plan = Plan {
        number: AttemptNumber(0),
        set: AttemptNumber(0),
        nonce: row.next_nonce,
        gas_limit,
        caps: Caps {
            max_fee,
            priority_fee: max_fee.min(1),
        },
        pays: Some((payment.number, intent.clone())),
        replaces: Vec::new(),
        at: payment.requested_at,
    };
    let attempt = plan.attempt(row, sender);
    let attempt = attempt.map_err(|refusal| refusal.to_string())?;
    Ok(SignRequest {
        // No attempt of a lane has this id.
        request_id: intent.id.id.to_string(),
        ..(*attempt.request).clone()
    })
}
