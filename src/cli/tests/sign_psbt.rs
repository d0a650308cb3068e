//! `sign` with PSBTs: what is a payment and what is ours, and what a signature may add.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::serialize;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use serde_json::json;
use tx::utxo::{Draft, DraftInput, DraftOutput, Outpoint};
use tx::{Address, Chain, PublicKey};

use crate::program::Place;
use crate::sign::{keys, signed_as};
use crate::signer::{Reply, Signer, founded};

/// The generator of secp256k1 and its double: valid keys whose secrets everybody knows.
const OWN: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const CHANGE: &str = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";
const CUSTOMER: &str = "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9";
const REQUEST: &str =
    "--transaction tx.psbt --chain litecoin:regtest --request-id ltc-1 --lane-epoch 0";
const INTENT: &str = "--source payouts --id p-1 --expires 2030-01-01T00:00:00Z";

fn chain() -> Chain {
    "litecoin:regtest".parse().unwrap()
}

fn address(key: &str) -> Address {
    key.parse::<PublicKey>().unwrap().address(chain()).unwrap()
}

/// A transaction that pays a customer, with change to another key of ours, unsigned.
fn unsigned() -> (Transaction, Transaction) {
    let script = |key: &str| ScriptBuf::from_bytes(address(key).as_bytes().to_vec());
    let input = |previous_output| TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence(0xffff_fffd),
        witness: Witness::new(),
    };
    let output = |sat, key: &str| TxOut {
        value: Amount::from_sat(sat),
        script_pubkey: script(key),
    };
    let transaction = |input, output| Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input,
        output,
    };
    let somewhere = OutPoint {
        txid: "11".repeat(32).parse().unwrap(),
        vout: 0,
    };
    let previous = transaction(vec![input(somewhere)], vec![output(5_000_000, OWN)]);
    let coin = OutPoint {
        txid: previous.compute_txid(),
        vout: 0,
    };
    let paying = vec![output(1_000_000, CUSTOMER), output(3_990_000, CHANGE)];
    (transaction(vec![input(coin)], paying), previous)
}

fn psbt() -> String {
    let (unsigned, previous) = unsigned();
    let txid: &[u8; 32] = unsigned.input[0].previous_output.txid.as_ref();
    let input = DraftInput {
        outpoint: Outpoint {
            txid: *txid,
            vout: 0,
        },
        previous: serialize(&previous),
        sequence: 0xffff_fffd,
    };
    let output = |address: Address, amount| DraftOutput { address, amount };
    let draft = Draft {
        chain: chain(),
        lock_time: 0,
        inputs: vec![input],
        outputs: vec![
            output(address(CUSTOMER), 1_000_000),
            output(address(CHANGE), 3_990_000),
        ],
    };
    draft.psbt().unwrap()
}

/// Some witness: whether it is a signature, the node says.
fn signed(mut transaction: Transaction) -> (String, String) {
    transaction.input[0].witness = Witness::from_slice(&[[7; 71].as_slice(), &[2; 33]]);
    (
        hex::encode(serialize(&transaction)),
        transaction.compute_txid().to_string(),
    )
}

fn place() -> Place {
    let place = founded();
    place.write("tx.psbt", &psbt());
    place
}

/// A signer that says that the change is ours.
fn signer(place: &Place, (raw, txid): (String, String)) -> Signer {
    let mut keys = keys();
    keys["keys"] = json!([{
        "name": "ltc-hot-2", "account": "ltc-hot", "class": "hot", "public_key": CHANGE,
        "assurance": "software",
        "addresses": [{ "chain": "litecoin:regtest", "address": address(CHANGE).to_string(), "lane_epoch": 0 }],
    }]);
    Signer::start(place, move |seen| {
        Reply::ok(&if seen.method == "GET" {
            keys.clone()
        } else {
            signed_as(seen, &raw, &txid)
        })
    })
}

#[test]
fn change_is_no_payment() {
    let place = place();
    let signer = signer(&place, signed(unsigned().0));
    let answer = place.answer(&format!("sign {} {REQUEST} {INTENT}", signer.options()));
    assert_eq!(
        answer["transaction"]["txid"],
        unsigned().0.compute_txid().to_string()
    );
    let seen = signer.seen();
    let sent = &seen
        .iter()
        .find(|seen| seen.path == "/v1/sign")
        .unwrap()
        .body;
    assert_eq!(sent["transaction"]["psbt"], psbt());
    let intent = json!({
        "source": "payouts", "id": "p-1", "epoch": 3, "asset": "litecoin:regtest/native", "amount": "1000000",
        "destination": address(CUSTOMER).to_string(), "max_fee": "10000",
        "expires": "2030-01-01T00:00:00Z",
    });
    assert_eq!(sent["intents"], json!([{ "intent": intent }]));
}

#[test]
fn another_transaction_than_the_one_sent_is_not_believed() {
    let place = place();
    let mut other = unsigned().0;
    other.output[0].value = Amount::from_sat(999_999);
    let signer = signer(&place, signed(other));
    let error = place.fails(
        &format!("sign {} {REQUEST} {INTENT}", signer.options()),
        1,
        "sign-answer",
    );
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("another transaction"),
        "{error}"
    );
}

#[test]
fn a_bare_psbt_needs_its_chain() {
    let place = place();
    let signer = signer(&place, signed(unsigned().0));
    let line = format!(
        "sign {} --transaction tx.psbt --request-id a --lane-epoch 0",
        signer.options()
    );
    place.fails(&line, 2, "tx-chain");
    assert!(signer.seen().is_empty());
}
