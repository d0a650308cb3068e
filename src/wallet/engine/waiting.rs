//! Why approved withdrawals wait that no lane has: nobody else could say it of them.

use tx::{Chain, Time};

use super::{Shared, clock::now, queue::Queue, status::LaneStatus};
use crate::{
    store::StoreError,
    text::shown,
    withdrawal::{Waiting, WaitingReason, Withdrawal},
};

/// The most withdrawals that are told at once; the others wait behind them.
const TOLD_MAX: u32 = 200;

/// Tells the first of those who wait what stands in the way of a chain's lanes, if anything does.
pub(super) async fn explain(
    shared: &Shared,
    chain: Chain,
    queue: &Queue,
) -> Result<(), StoreError> {
    let lanes = shared.statuses.all();
    let Some((reason, detail)) = obstacle(shared.signer.trouble(), chain, &lanes) else {
        return Ok(());
    };
    let at = now();
    let approved = shared.store.approved(chain, at, None, TOLD_MAX).await?;
    let untold: Vec<_> = approved
        .iter()
        .filter(|had| !queue.is_with_a_lane(had.number) && is_news(had, reason, &detail))
        .map(|had| had.number)
        .collect();
    if untold.is_empty() {
        return Ok(());
    }
    let waiting = Waiting {
        reason,
        detail,
        reasons: Vec::new(),
        needs: Vec::new(),
        since: at,
    };
    // They are looked at as soon as a lane wants them.
    let wait = shared
        .store
        .wait(&untold, Some(&waiting), Time::default(), at);
    wait.await
}

/// What stands in the way of all lanes of a chain.
fn obstacle(
    signer: Option<String>,
    chain: Chain,
    lanes: &[LaneStatus],
) -> Option<(WaitingReason, String)> {
    let mut ours = lanes
        .iter()
        .filter(|lane| lane.id.chain == chain)
        .peekable();
    let has_lanes = ours.peek().is_some();
    let obstacles: Vec<_> = ours.map(LaneStatus::obstacle).collect();
    if has_lanes && obstacles.iter().any(Option::is_none) {
        return None;
    }
    if let Some(trouble) = signer {
        return Some((WaitingReason::SignerUnavailable, shown(&trouble)));
    }
    let first = obstacles.into_iter().flatten().next();
    let detail = first.unwrap_or_else(|| "there is no lane yet".into());
    Some((WaitingReason::LaneClosed, shown(&detail)))
}

/// Whether somebody who waits has not heard it; what a lane said of the withdrawal itself stays.
fn is_news(withdrawal: &Withdrawal, reason: WaitingReason, detail: &str) -> bool {
    match &withdrawal.waiting {
        None => true,
        Some(had) => {
            let ours = [WaitingReason::LaneClosed, WaitingReason::SignerUnavailable];
            ours.contains(&had.reason) && (had.reason != reason || had.detail != detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{change::Gate, engine::LaneState, lane::LaneId};

    fn lane(gate: Gate) -> LaneStatus {
        let id: LaneId = "litecoin:regtest:ltc-hot".parse().unwrap();
        LaneStatus {
            id,
            account: "ltc-hot".parse().unwrap(),
            state: LaneState::Running { gate },
        }
    }

    fn closed() -> LaneStatus {
        lane(Gate::Closed {
            detail: "comparing".into(),
        })
    }

    #[test]
    fn one_open_lane_is_enough() {
        let chain = "litecoin:regtest".parse().unwrap();
        let gone = || Some("gone".to_owned());
        assert_eq!(obstacle(None, chain, &[closed(), lane(Gate::Open)]), None);
        let (reason, detail) = obstacle(None, chain, &[closed()]).unwrap();
        assert_eq!(reason, WaitingReason::LaneClosed);
        assert!(detail.contains("comparing"), "{detail}");
        let (reason, _) = obstacle(gone(), chain, &[closed()]).unwrap();
        assert_eq!(reason, WaitingReason::SignerUnavailable);
        let (reason, _) = obstacle(None, chain, &[]).unwrap();
        assert_eq!(reason, WaitingReason::LaneClosed);
        let other = "eip155:1".parse().unwrap();
        assert!(obstacle(None, other, &[lane(Gate::Open)]).is_some());
    }
}
