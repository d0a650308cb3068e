//! Random commits, legal and not: the store and the view agree on each, and afterwards what is loaded
//! is what was applied.

use std::{cell::Cell, collections::BTreeSet};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tx::{Chain, ConflictKey};
use wallet::{
    attempt::{Attempt, AttemptNumber},
    change::{Adopt, BlockRead, Change, Coin, Gate, Spend},
    evidence::VoidCertificate,
    lane::LaneView,
    settlement::Outcome,
    store::{Store, StoreError},
    withdrawal::{Waiting, WaitingReason, Withdrawal},
};

use super::{
    Kind,
    fixture::{
        Worker, answer, asked_on, at, block, coin, dead, evm, finally, id, included, inclusion,
        intent, outpoint_key, prepare, refused, signed, utxo,
    },
    ledger::check,
};

/// How many runs, of how many commits each: 3,000 commits.
const RUNS: u32 = 60;
const COMMITS: usize = 50;

/// What chooses a commit.
type Choice = (u8, u8, u8);

pub async fn loaded_is_applied<K: Kind>() {
    let runs = prop::collection::vec(any::<Choice>(), COMMITS);
    for chain in [evm(), utxo()] {
        let config = Config {
            cases: RUNS / 2,
            failure_persistence: None,
            ..Config::default()
        };
        let runtime = tokio::runtime::Handle::current();
        let legal = Cell::new(0);
        let ran = tokio::task::block_in_place(|| {
            TestRunner::new(config).run(&runs, |choices| {
                legal.set(legal.get() + runtime.block_on(run::<K>(chain, &choices)));
                Ok(())
            })
        });
        ran.unwrap();
        // Of a run by itself few may be.
        let all = RUNS / 2 * COMMITS as u32;
        let legal = legal.get();
        eprintln!("LEGAL {legal} of {all}");
        assert!(
            legal > all / 4,
            "much that is chosen is legal: {legal} of {all}"
        );
    }
}

/// How many commits were legal.
async fn run<K: Kind>(chain: Chain, choices: &[Choice]) -> u32 {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let many =
        (0..8).map(|number| asked_on(chain, &format!("r-{number}"), super::fixture::ann(), 100));
    drop(store.accept(many.collect(), at(0)).await.unwrap());
    let mut lane = Worker::take(&store, chain).await;
    let mut done = 0;
    for choice in choices {
        let queued = store
            .approved(chain, at(u64::MAX >> 20), None, 100)
            .await
            .unwrap();
        let mut changes = vec![change(&lane, &queued, *choice)];
        if choice.1.is_multiple_of(4) {
            // Two in a commit: the second by what the first would make.
            if let Ok(view) = lane.apply(&changes, &queued) {
                let ahead = Worker {
                    store: &store,
                    view,
                    now: lane.now,
                };
                changes.push(change(&ahead, &queued, (choice.2, choice.0, choice.1)));
            }
        }
        done += u32::from(step(&mut lane, changes, &queued).await);
    }
    check(&store).await;
    done
}

/// Commits; whether it was legal.
async fn step<S: Store>(
    lane: &mut Worker<'_, S>,
    changes: Vec<Change>,
    queued: &[Withdrawal],
) -> bool {
    let applied = lane.apply(&changes, queued);
    let adopts = changes
        .iter()
        .any(|change| matches!(change, Change::Adopt(_)));
    let committed = lane.store.commit(lane.commit_of(changes.clone())).await;
    let loaded = lane.store.load(&lane.view.row.id).await.unwrap();
    lane.now += 1;
    match committed {
        Ok(()) if adopts => {
            if let Some(Change::Adopt(adopt)) = changes.last() {
                let number = adopt.attempt.number;
                assert!(loaded.attempts.contains_key(&number), "of {changes:?}");
            }
            lane.view = loaded;
        }
        Ok(()) => {
            lane.view = applied.unwrap();
            assert_eq!(loaded, lane.view, "after {changes:?}");
        }
        Err(StoreError::Conflict { what }) => {
            assert!(applied.is_err(), "{what}: {changes:?}");
            assert_eq!(loaded, lane.view, "after a refusal of {changes:?}");
            return false;
        }
        Err(error) => panic!("{error}: {changes:?}"),
    }
    true
}

fn pick<T: Clone>(from: impl IntoIterator<Item = T>, by: u8) -> Option<T> {
    let from: Vec<T> = from.into_iter().collect();
    let index = usize::from(by).checked_rem(from.len())?;
    from.get(index).cloned()
}

fn change<S: Store>(lane: &Worker<'_, S>, queued: &[Withdrawal], (what, a, b): Choice) -> Change {
    let view = &lane.view;
    let stage = |stage: &str, by: u8| -> AttemptNumber {
        let wanted = view
            .attempts
            .values()
            .filter(|had| had.stage.name() == stage);
        let any = view.attempts.keys().copied();
        let wanted: Vec<_> = wanted.map(|had| had.number).collect();
        pick(wanted, by)
            .or(pick(any, by))
            .unwrap_or(AttemptNumber(0))
    };
    match what % 24 {
        0..=3 => assign(lane, queued, a, b).map_or(Change::Gate(Gate::Open), boxed_assign),
        4..=8 => view
            .attempts
            .get(&stage("reserved", a))
            .map_or(Change::Compared { to: u64::from(a) }, signed),
        9 => refused(stage("reserved", a)),
        10 => Change::Void {
            attempt: stage("reserved", a),
            certificate: VoidCertificate::Fenced {
                epoch: view.row.epoch + 1,
                attempt: 9,
            },
        },
        11 | 12 => Change::Broadcast {
            attempt: stage("signed", a),
            at: at(u64::from(b)),
        },
        13 | 14 => included(stage("broadcast", a), u64::from(b)),
        15 => Change::Excluded {
            attempt: stage("included", a),
        },
        16 if b.is_multiple_of(3) => Change::Unproven {
            attempt: stage("included", a),
            inclusion: inclusion(stage("included", a), u64::from(b)),
            tip: block(9),
        },
        16 => finally(stage("included", a), u64::from(b)),
        17 if b.is_multiple_of(2) => Change::Settled {
            attempt: stage("unproven", a),
            outcome: Outcome::ALL[usize::from(a % 3)],
        },
        17 => Change::Failed {
            attempt: stage("included", a),
            inclusion: inclusion(stage("included", a), 3),
            tip: block(9),
        },
        18 => death(view, stage("broadcast", a)),
        19 => replace(lane, stage("broadcast", a), b),
        20 => waiting(view, queued, a, b),
        21 => adopt(lane, queued, a, b),
        22 => match a % 4 {
            0 => Change::EpochSeen {
                epoch: u64::from(b % 8),
            },
            1 => Change::Gate(Gate::Closed {
                detail: format!("{b}"),
            }),
            _ => Change::Gate(Gate::Open),
        },
        _ => blocks(lane, a, b),
    }
}

fn boxed_assign(attempt: Attempt) -> Change {
    Change::Assign(Box::new(attempt))
}

fn keys<S: Store>(lane: &Worker<'_, S>, a: u8) -> BTreeSet<ConflictKey> {
    let view = &lane.view;
    if view.row.id.chain == utxo() {
        let free = view.spendable_coins().map(outpoint_key);
        let keys: BTreeSet<_> = free.take(1 + usize::from(a % 2)).collect();
        if keys.is_empty() || a % 16 == 15 {
            return BTreeSet::from([outpoint_key(&coin(a % 8, 0, false))]);
        }
        return keys;
    }
    // Now and then a nonce that is not the next.
    let ahead = u64::from(a % 16 == 15);
    BTreeSet::from([lane.nonce(view.row.next_nonce + ahead)])
}

fn assign<S: Store>(lane: &Worker<'_, S>, queued: &[Withdrawal], a: u8, b: u8) -> Option<Attempt> {
    let first = pick(queued.iter(), b)?;
    let mut pays = vec![first];
    if lane.view.row.id.chain == utxo() {
        pays.extend(pick(queued.iter(), b.wrapping_mul(7)));
    }
    Some(lane.payout(keys(lane, a), &pays))
}

fn replace<S: Store>(lane: &Worker<'_, S>, of: AttemptNumber, b: u8) -> Change {
    let view = &lane.view;
    let Some(older) = view.attempts.get(&of) else {
        return Change::Gate(Gate::Open);
    };
    let set = (older.set, older.anchor.clone());
    let mut keys = older.keys.clone();
    if b.is_multiple_of(3) && view.row.id.chain == utxo() {
        keys.extend(view.spendable_coins().take(1).map(outpoint_key));
    }
    let members = older.pays.iter();
    let members: Vec<_> = members
        .filter_map(|number| view.withdrawals.get(number))
        .skip(usize::from(b % 2))
        .collect();
    Change::Replace(Box::new(lane.attempt(set, keys, &members)))
}

fn death(view: &LaneView, attempt: AttemptNumber) -> Change {
    let anchor = view.attempts.get(&attempt).map(|had| had.anchor.clone());
    let anchor = anchor.unwrap_or_else(|| outpoint_key(&coin(9, 0, false)));
    dead(attempt, anchor)
}

fn waiting(view: &LaneView, queued: &[Withdrawal], a: u8, b: u8) -> Change {
    let known = view.withdrawals.keys().copied();
    let known = known.chain(queued.iter().map(|queued| queued.number));
    let waiting = Waiting {
        reason: WaitingReason::SignerUnknown,
        detail: format!("{b}"),
        reasons: Vec::new(),
        needs: Vec::new(),
        since: at(1),
    };
    Change::Wait {
        withdrawals: pick(known, a).into_iter().collect(),
        waiting: (!b.is_multiple_of(3)).then_some(waiting),
        not_before: at(u64::from(b)),
    }
}

fn adopt<S: Store>(lane: &Worker<'_, S>, queued: &[Withdrawal], a: u8, b: u8) -> Change {
    let known = pick(queued.iter(), b).filter(|_| a.is_multiple_of(2));
    let stranger = intent(&format!("s-{a}-{b}"), lane.view.row.id.chain, 5);
    let intent = known.map_or(stranger, |known| known.intent.clone());
    assert_eq!(intent.id.source, id("x").source);
    let mut attempt = lane.payout(keys(lane, b), &[]);
    attempt.signed = (!a.is_multiple_of(3)).then(|| answer(&attempt));
    Change::Adopt(Box::new(Adopt {
        attempt,
        intents: vec![intent],
    }))
}

fn known(view: &LaneView, coin: &Coin) -> bool {
    view.coins.contains_key(&coin.outpoint) || view.spent.contains_key(&coin.outpoint)
}

fn blocks<S: Store>(lane: &Worker<'_, S>, a: u8, b: u8) -> Change {
    let view = &lane.view;
    let tip = view.tip().map_or(100, |tip| tip.height);
    if a.is_multiple_of(5) && view.blocks.len() > 2 {
        let back = 1 + usize::from(b % 2);
        return Change::Rewind {
            to: view.blocks[view.blocks.len() - 1 - back].clone(),
        };
    }
    let made = (0..3).map(|n| a.wrapping_mul(3).wrapping_add(n) % 40);
    let made = made.map(|number| coin(number, tip + 1, number % 7 == 0));
    // Now and then one that is there already.
    let made = made.filter(|coin| a > 250 || !known(view, coin));
    let spent = view.coins.keys().take(usize::from(b % 2));
    let spent = spent.map(|outpoint| Spend {
        outpoint: *outpoint,
        txid: "cd".repeat(32),
    });
    Change::Block(Box::new(BlockRead {
        block: block(tip + 1),
        previous: block(tip).hash,
        made: made.collect(),
        spent: spent.collect(),
    }))
}
