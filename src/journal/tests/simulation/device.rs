//! The device: it signs what a durable order authorises that was cleared, and nothing else can be asked of it.

use policy::{AttemptId, Digest, NumberedDigest, SignatureRecord};

use super::random::Random;
use crate::Cleared;

/// What comes back from the device, and when.
pub struct Call {
    pub attempt: AttemptId,
    /// The entry that the order says it is durable by.
    pub entry: u64,
    pub calls: Vec<NumberedDigest>,
    /// `None` where the answer was lost, whether or not it signed.
    pub signatures: Option<Vec<SignatureRecord>>,
    pub millis: u64,
}

/// Asks the device. The order is used up.
pub fn call(order: Cleared, random: &mut Random) -> Call {
    let entry = order.index();
    let order = order.into_order();
    let calls = order.calls().to_vec();
    let signatures = (!random.once_in(8)).then(|| calls.iter().map(signature).collect());
    let millis = match random.below(40) {
        0 => random.between(55_000, 70_000),
        1..=3 => random.between(200, 3_000),
        _ => random.between(1, 30),
    };
    Call {
        attempt: order.attempt(),
        entry,
        calls,
        signatures,
        millis,
    }
}

/// A signature is another one at each call.
fn signature(call: &NumberedDigest) -> SignatureRecord {
    let mut r = call.digest.0;
    r[24..].copy_from_slice(&call.call.to_be_bytes());
    SignatureRecord {
        call: call.call,
        r: Digest(r),
        s: Digest([2; 32]),
        recovery_id: Some(0),
    }
}
