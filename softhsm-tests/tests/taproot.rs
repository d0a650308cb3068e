//! Keys that sign as BIP-340 has it: P2TR coins, confirmed by litecoind and verified by Bitcoin's script engine.

use bitcoin::ScriptBuf;
use serde_json::json;
use strongroom_softhsm_tests::{
    coins::{self, Previous, foreign_script, script_of},
    evm::Draft,
    litecoind::{Coin, Litecoind},
    program::output,
    signerd::log_of,
    token::Token,
    world::{World, address_on},
};
use tx::Chain;

use crate::support::{BITCOIN, CUSTOMER, LITECOIN, coin_addresses, payment, raw, transfer};

/// A keystore in which the first and the last of three coin keys are of BIP-340.
pub fn world() -> World {
    let world = World::on_keystore(&["coin-2"]);
    for name in ["coin-1", "coin-3"] {
        world.keystore().generate_bip340(name);
    }
    world
}

fn scripts(world: &World, chain: Chain) -> Vec<ScriptBuf> {
    let addresses = coin_addresses(&mut world.walletd(), chain);
    let scripts = addresses.iter().map(|address| script_of(chain, address));
    scripts.collect()
}

#[test]
fn a_payment_from_coins_of_both_schemes_is_confirmed_by_litecoind() {
    let world = world();
    let litecoind = Litecoind::start(world.folder());
    let _daemon = world.start();
    let mut client = world.walletd();
    let addresses = coin_addresses(&mut client, LITECOIN);
    assert!(addresses[0].starts_with("rltc1p"), "{addresses:?}");
    assert!(addresses[1].starts_with("rltc1q"), "{addresses:?}");
    let scripts = scripts(&world, LITECOIN);
    let funding: Vec<(&str, f64)> = addresses.iter().map(|to| (to.as_str(), 1.0)).collect();
    let previous: Vec<_> = litecoind.pay(&funding).iter().map(Previous::of).collect();
    let destination = litecoind.address();
    let theirs = script_of(LITECOIN, &destination);

    let outputs = [(250_000_000, theirs), (49_990_000, scripts[2].clone())];
    let (_, request) = payment("pay", LITECOIN, &previous, &outputs);
    let answer = client.sign(&request);
    let found = litecoind.confirm(&raw(&answer)).unwrap();
    assert_eq!(found["confirmations"], 1, "{found}");
    assert_eq!(found["txid"], answer.transaction.txid);
    let received = litecoind
        .node()
        .call::<f64>("getreceivedbyaddress", json!([destination]));
    assert_eq!(received, 2.5);

    // The change, on a P2TR address, is spent in turn.
    let coin = Coin {
        transaction: raw(&answer),
        vout: 1,
    };
    let outputs = [(49_980_000, foreign_script(7))];
    let (_, request) = payment("pay-change", LITECOIN, &[Previous::of(&coin)], &outputs);
    let found = litecoind.confirm(&raw(&client.sign(&request))).unwrap();
    assert_eq!(found["confirmations"], 1);
}

#[test]
fn bitcoin_verifies_every_input_of_a_mainnet_payment_of_both_schemes() {
    let world = world();
    let daemon = world.start();
    let mut client = world.walletd();
    let scripts = scripts(&world, BITCOIN);
    let previous: Vec<_> = (0..12)
        .map(|salt| Previous::invented(salt, 10_000_000, &scripts[salt as usize % 3]))
        .collect();
    let outputs = [
        (100_000_000, foreign_script(1)),
        (19_900_000, scripts[0].clone()),
    ];
    let (psbt, request) = payment("pay", BITCOIN, &previous, &outputs);
    let answer = client.sign(&request);
    coins::verify(&psbt, &raw(&answer)).unwrap();
    assert_eq!(
        answer.transaction.txid,
        psbt.unsigned_tx.compute_txid().to_string()
    );
    // After a restart the keys are those that were registered, and the answer is the same.
    assert!(daemon.stop().success());
    let _daemon = world.start();
    let again = world.walletd().sign(&request);
    assert_eq!(again.transaction.raw, answer.transaction.raw);
}

#[test]
fn a_key_for_a_chain_that_has_no_address_of_it_is_not_used() {
    let world = World::on_keystore(&["coin-1", "coin-2", "coin-3"]);
    world.keystore().generate_bip340("eth-1");
    let _daemon = world.start();
    let mut client = world.walletd();
    let named = client.keys().keys;
    assert!(named.iter().all(|key| key.name.as_str() != "eth-1"));
    let log = std::fs::read_to_string(log_of(&world.config())).unwrap();
    assert!(log.contains("signs as BIP-340 has it"), "{log}");
    // The other accounts go on.
    let coin = address_on(&client.key("coin-1"), BITCOIN);
    assert!(coin.starts_with("bc1q"), "{coin}");
    let from = "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b";
    let _ = client.refused(&transfer("pay", from, &Draft::transfer(0, CUSTOMER, 1)));
}

#[test]
fn a_token_of_pkcs11_makes_no_such_key() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::init(folder.path().join("token"), &[]);
    let mut command = token.command("generate", &["--algorithm", "bip340", "--name", "coin-1"]);
    let refused = output(&mut command);
    assert!(!refused.status.success(), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("not supported"), "{said}");
}
