//! Who asks for whose account, under which request and lane.

use std::collections::BTreeSet;

use tx::{ConflictKey, Name, ValidUntil};

use super::{Case, Findings};
use crate::{ReasonCode, RequestStatus, state::lane_of};

/// How far ahead a transaction that ends by itself may end, in milliseconds: five minutes, the
/// longest that is asked of chains whose transactions consume nothing.
const LIVES_MILLIS_MAX: u64 = 5 * 60 * 1000;

pub(super) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    accounts(case, findings);
    registry(case, findings);
    request(case, findings);
    lane(case, findings);
    lifetime(case, findings);
}

fn accounts(case: &Case<'_>, findings: &mut Findings<'_>) {
    let granted = case.policy.clients.get(&case.request.client);
    let debited = case.decoded.effects().iter().map(|effect| &effect.account);
    let debited: BTreeSet<&Name> = debited.chain([case.decoded.account()]).collect();
    let (client, chain) = (&case.request.client, case.decoded.chain());
    for account in debited {
        if !granted.is_some_and(|client| client.accounts.contains(account)) {
            findings.refuse_built_in(
                ReasonCode::AccountNotGranted,
                format!("client {client} may not use account {account}"),
                format!("list {account} among the accounts of client {client}"),
            );
        }
        let known = case.policy.accounts.get(account);
        if !known.is_some_and(|account| account.chains.contains(&chain)) {
            findings.refuse_built_in(
                ReasonCode::AccountNotGranted,
                format!("account {account} is not used on {chain}"),
                format!("list {chain} among the chains of account {account}"),
            );
        }
    }
}

/// The transaction was understood with one registry and is decided on with another when a bundle
/// or a key came in between: what was "ours" may not be.
fn registry(case: &Case<'_>, findings: &mut Findings<'_>) {
    let registry = &case.present.registry;
    let keys = case.decoded.signings().iter().all(|signing| {
        let key = registry.key_by_name(&signing.key);
        key.is_some_and(|key| key.account == *case.decoded.account())
    });
    let destinations = case
        .decoded
        .effects()
        .iter()
        .filter_map(|effect| effect.to.as_ref());
    let mut same = destinations.map(|to| registry.own(&to.address) == to.own.as_ref());
    if !keys || !same.all(|same| same) {
        findings.refuse_built_in(
            ReasonCode::Transaction,
            "registry-moved: the own keys and addresses are not those the transaction was read with",
            "send the request again",
        );
    }
}

fn request(case: &Case<'_>, findings: &mut Findings<'_>) {
    let Some(earlier) = case.earlier else {
        return;
    };
    let (id, attempt) = (&case.request.id, earlier.id);
    if !earlier.same {
        findings.refuse_built_in(
            ReasonCode::RequestReused,
            format!("request {id} is attempt {attempt}, of another content"),
            "use a new request id",
        );
    } else if let RequestStatus::Signed { index } = earlier.status {
        findings.refuse_built_in(
            ReasonCode::RequestReused,
            format!("request {id} is attempt {attempt}, signed in entry {index}"),
            "ask for its answer instead",
        );
    }
}

fn lane(case: &Case<'_>, findings: &mut Findings<'_>) {
    let lane = lane_of(case.decoded);
    let asked = case.request.lane_epoch;
    let present = case.state.lane_epoch(&lane).unwrap_or(0);
    let next = present.saturating_add(1);
    if asked < present {
        findings.refuse_built_in(
            ReasonCode::LaneEpoch,
            format!("lane {lane} is owned by epoch {present}; epoch {asked} is over"),
            format!("take a new lease: epoch {next}"),
        );
    } else if asked > next {
        findings.refuse_built_in(
            ReasonCode::LaneEpoch,
            format!("lane {lane} has epoch {present}; epoch {asked} skips {next}"),
            format!("use epoch {present} or {next}"),
        );
    }
}

/// What consumes a key ends when something else consumes it, and is in a conflict set until then.
/// What consumes nothing has to end by itself.
fn lifetime(case: &Case<'_>, findings: &mut Findings<'_>) {
    let longest = case.hi.after_millis(LIVES_MILLIS_MAX);
    let lives = match case.decoded.valid_until() {
        ValidUntil::Unbounded => case.keys().is_empty().then(|| "for ever".to_owned()),
        ValidUntil::Time(until) => (until > longest).then(|| format!("until {until}")),
        _ => Some("in a way that is not known".to_owned()),
    };
    if let Some(lives) = lives {
        findings.refuse_built_in(
            ReasonCode::LivesTooLong,
            format!("the transaction can be included {lives}"),
            format!("let it end by {longest}"),
        );
    }
}

/// The sending accounts' sequences that the transaction consumes.
pub(super) fn sequences<'a>(
    case: &Case<'a>,
) -> impl Iterator<Item = (&'a tx::Address, u64)> + use<'a> {
    case.keys().iter().filter_map(|key| match key {
        ConflictKey::Nonce { account, nonce } => Some((account, *nonce)),
        _ => None,
    })
}
