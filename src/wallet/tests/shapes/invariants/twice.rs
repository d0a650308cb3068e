//! A second payment of what is being paid.

use std::{collections::BTreeSet, sync::Arc};

use api::signing::SignRequest;
use tx::{Address, ConflictKey, Transaction};
use wallet::{
    attempt::{Attempt, AttemptStage},
    lane::LaneView,
};

use crate::simulation::{
    families::{Coin, Evm},
    family::Family,
};

/// The same payment once more, over something else.
pub(super) trait Twice: Family {
    fn twice(attempt: &Attempt, view: &LaneView) -> Attempt;
}

fn again(
    attempt: &Attempt,
    view: &LaneView,
    transaction: Transaction,
    key: ConflictKey,
) -> Attempt {
    let number = view.row.next_attempt;
    let mut request = SignRequest::clone(&attempt.request);
    request.request_id = view.row.id.request_id(number);
    request.transaction = transaction;
    Attempt {
        number,
        set: number,
        keys: BTreeSet::from([key.clone()]),
        anchor: key,
        request: Arc::new(request),
        stage: AttemptStage::Reserved,
        signed: None,
        ..attempt.clone()
    }
}

impl Twice for Evm {
    fn twice(attempt: &Attempt, view: &LaneView) -> Attempt {
        let Transaction::Eip2718 {
            chain,
            from,
            payload,
        } = &attempt.request.transaction
        else {
            panic!("{attempt:?}");
        };
        let first = tx::evm::Unsigned::parse(*chain, payload).unwrap();
        let nonce = view.row.next_nonce;
        let terms = tx::evm::Terms {
            nonce,
            ..first.terms()
        };
        let second = tx::evm::Unsigned::new(*chain, terms, first.action().clone()).unwrap();
        let transaction = Transaction::Eip2718 {
            chain: *chain,
            from: from.clone(),
            payload: second.payload(),
        };
        let account = Evm::sender();
        again(
            attempt,
            view,
            transaction,
            ConflictKey::Nonce { account, nonce },
        )
    }
}

impl Twice for Coin {
    fn twice(attempt: &Attempt, view: &LaneView) -> Attempt {
        let key = |coin: &wallet::change::Coin| ConflictKey::Outpoint {
            chain: Coin::CHAIN,
            txid: coin.outpoint.txid,
            vout: coin.outpoint.vout,
        };
        let free = |coin: &&wallet::change::Coin| !attempt.keys.contains(&key(coin));
        let coin = view.coins.values().find(free).unwrap();
        let intent = &attempt.request.intents[0].intent;
        let amount = intent.amount.to_u64().unwrap();
        let output = |address: Address, amount| tx::utxo::DraftOutput { address, amount };
        let own = Address::from_script(Coin::CHAIN, &coin.script).unwrap();
        let draft = tx::utxo::Draft {
            chain: Coin::CHAIN,
            lock_time: 0,
            inputs: vec![tx::utxo::DraftInput {
                outpoint: coin.outpoint,
                previous: coin.previous.to_vec(),
                sequence: 0xffff_fffd,
            }],
            outputs: vec![
                output(intent.destination.clone(), amount),
                output(own, coin.amount - amount - 10_000),
            ],
        };
        let transaction = Transaction::Psbt {
            chain: Coin::CHAIN,
            psbt: draft.psbt().unwrap(),
        };
        again(attempt, view, transaction, key(coin))
    }
}
