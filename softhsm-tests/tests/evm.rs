//! Transfers on a real EVM node, signed by keys in SoftHSM.

use std::process::Command;

use alloy_consensus::Transaction as _;
use alloy_primitives::U256;
use serde_json::Value;
use strongroom_softhsm_tests::{
    anvil::{Anvil, quantity},
    ask::{intent, request, units},
    evm::{Draft, ETHER, Envelope, GWEI, read_signed},
    program::{repository, run},
    world::World,
};

use crate::support::{
    CUSTOMER, TOKEN, artefact, deploy_token, give_tokens, raw, sender, token_balance, transfer,
    usdx,
};

#[test]
fn native_transfers_of_every_envelope_are_mined() {
    let world = World::new();
    let anvil = Anvil::start(world.folder());
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    anvil.fund(&from, U256::from(10 * ETHER));
    let before = anvil.balance(CUSTOMER);
    let envelopes = [Envelope::Eip1559, Envelope::Eip2930, Envelope::Legacy];
    for (nonce, envelope) in (0..).zip(envelopes) {
        let draft = Draft {
            envelope,
            ..Draft::transfer(nonce, CUSTOMER, ETHER)
        };
        let answer = client.sign(&transfer(&format!("pay-{nonce}"), &from, &draft));
        let (signer, signed) = read_signed(&raw(&answer));
        assert_eq!(signer, from);
        assert_eq!(signed.nonce(), nonce);
        let receipt = anvil.send(&raw(&answer)).unwrap();
        assert_eq!(receipt["status"], "0x1", "{envelope:?} {receipt}");
        assert_eq!(
            receipt["transactionHash"], answer.transaction.txid,
            "{envelope:?}"
        );
    }
    assert_eq!(anvil.balance(CUSTOMER) - before, U256::from(3 * ETHER));
    assert_eq!(client.used("eth-day"), units(3 * ETHER));
}

#[test]
fn a_token_is_deployed_and_paid_and_its_log_says_so() {
    let world = World::new();
    let anvil = Anvil::start(world.folder());
    deploy_token(&anvil);
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    anvil.fund(&from, U256::from(ETHER));
    give_tokens(&anvil, &from, 500_000_000);

    let draft = Draft::token_transfer(0, TOKEN, CUSTOMER, 123_456_789);
    let paid = intent("token-1", &usdx(), 123_456_789, CUSTOMER);
    let answer = client.sign(&request("token-1", draft.from(&from), vec![paid]));
    let receipt = anvil.send(&raw(&answer)).unwrap();
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    let log = &receipt["logs"][0];
    let topic = |address: &str| format!("0x{:0>64}", address[2..].to_lowercase());
    // Transfer(address,address,uint256)
    let transfer = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
    assert_eq!(
        log["topics"],
        serde_json::json!([transfer, topic(&from), topic(CUSTOMER)])
    );
    assert_eq!(quantity(&log["data"]), U256::from(123_456_789));
    assert_eq!(log["address"], TOKEN.to_lowercase());
    assert_eq!(token_balance(&anvil, CUSTOMER), U256::from(123_456_789));
}

#[test]
fn the_committed_bytecode_is_that_of_the_source() {
    let compile = repository("softhsm-tests/contracts/compile.cjs");
    for name in ["Token", "Calls"] {
        let compiled = run(Command::new("node").arg(&compile).arg(name));
        let compiled: Value = serde_json::from_slice(&compiled.stdout).unwrap();
        assert_eq!(compiled, artefact(name), "{name}");
    }
}

#[test]
fn a_replacement_takes_the_place_of_what_it_replaces_and_is_not_charged_again() {
    let world = World::new();
    let anvil = Anvil::start_with(world.folder(), &["--no-mining"]);
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    anvil.fund(&from, U256::from(10 * ETHER));
    let first = Draft::transfer(0, CUSTOMER, ETHER);
    let signed = client.sign(&transfer("pay", &from, &first));
    anvil.node().call::<Value>(
        "eth_sendRawTransaction",
        serde_json::json!([signed.transaction.raw]),
    );

    // Nodes would take +10 % and nothing less.
    let mut again = transfer(
        "pay",
        &from,
        &Draft {
            price: first.price * 11 / 10 - 1,
            ..first.clone()
        },
    );
    again.request_id = "pay-bumped".into();
    again.replaces = vec![signed.attempt];
    let problem = client.refused(&again);
    assert_eq!(problem.reasons[0].code, "replacement-fee", "{problem:?}");

    let bumped = Draft {
        price: first.price * 11 / 10,
        tip: first.tip * 11 / 10,
        ..first
    };
    again.transaction = bumped.from(&from);
    let replaced = client.sign(&again);
    anvil.node().call::<Value>(
        "eth_sendRawTransaction",
        serde_json::json!([replaced.transaction.raw]),
    );
    anvil
        .node()
        .call::<Value>("anvil_mine", serde_json::json!(["0x1"]));
    let receipt = anvil.receipt(&replaced.transaction.txid.clone().into());
    assert_eq!(receipt["status"], "0x1");
    let lost = anvil.node().call::<Value>(
        "eth_getTransactionReceipt",
        serde_json::json!([signed.transaction.txid]),
    );
    assert!(lost.is_null(), "{lost}");
    assert_eq!(client.used("eth-day"), units(ETHER));
}

#[test]
fn a_cancellation_needs_no_allow_and_frees_the_nonce() {
    let world = World::new();
    let anvil = Anvil::start_with(world.folder(), &["--no-mining"]);
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    anvil.fund(&from, U256::from(10 * ETHER));
    let before = anvil.balance(CUSTOMER);
    let first = Draft::transfer(0, CUSTOMER, ETHER);
    let signed = client.sign(&transfer("pay", &from, &first));
    anvil.node().call::<Value>(
        "eth_sendRawTransaction",
        serde_json::json!([signed.transaction.raw]),
    );
    let cancel = Draft {
        price: 4 * GWEI,
        tip: 2 * GWEI,
        ..Draft::transfer(0, &from, 0)
    };
    let mut cancel = request("cancel", cancel.from(&from), vec![]);
    cancel.replaces = vec![signed.attempt];
    let cancelled = client.sign(&cancel);
    anvil.node().call::<Value>(
        "eth_sendRawTransaction",
        serde_json::json!([cancelled.transaction.raw]),
    );
    anvil
        .node()
        .call::<Value>("anvil_mine", serde_json::json!(["0x1"]));
    let receipt = anvil.receipt(&cancelled.transaction.txid.clone().into());
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(anvil.balance(CUSTOMER), before);
    // The intent was paid by nobody; the next nonce goes on.
    let next = client.sign(&transfer("next", &from, &Draft::transfer(1, CUSTOMER, 1)));
    assert_eq!(next.request_id, "next");
}
