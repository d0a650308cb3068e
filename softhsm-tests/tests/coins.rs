//! Payments of P2WPKH coins, confirmed by litecoind and verified by Bitcoin's script engine.

use bitcoin::ScriptBuf;
use strongroom_softhsm_tests::{
    coins::{self, Previous, foreign_script},
    litecoind::Litecoind,
    world::World,
};

use crate::support::{BITCOIN, LITECOIN, coin_addresses, coin_scripts, payment, raw};

#[test]
fn a_payment_from_several_keys_with_change_is_confirmed_by_litecoind() {
    let world = World::new();
    let litecoind = Litecoind::start(world.folder());
    let _daemon = world.start();
    let mut client = world.walletd();
    let addresses = coin_addresses(&mut client, LITECOIN);
    let scripts = coin_scripts(&mut client);
    let funding: Vec<(&str, f64)> = addresses.iter().map(|to| (to.as_str(), 1.0)).collect();
    let previous: Vec<_> = litecoind.pay(&funding).iter().map(Previous::of).collect();
    let destination = litecoind.address();
    let info = litecoind
        .node()
        .call::<serde_json::Value>("getaddressinfo", serde_json::json!([destination]));
    let theirs = ScriptBuf::from_hex(info["scriptPubKey"].as_str().unwrap()).unwrap();

    let outputs = [(250_000_000, theirs), (49_990_000, scripts[2].clone())];
    let (_, request) = payment("pay", LITECOIN, &previous, &outputs);
    let answer = client.sign(&request);
    let found = litecoind.confirm(&raw(&answer)).unwrap();
    assert_eq!(found["confirmations"], 1, "{found}");
    assert_eq!(found["txid"], answer.transaction.txid);
    let received = litecoind
        .node()
        .call::<f64>("getreceivedbyaddress", serde_json::json!([destination]));
    assert_eq!(received, 2.5);

    // The change is spent in turn.
    let coin = strongroom_softhsm_tests::litecoind::Coin {
        transaction: raw(&answer),
        vout: 1,
    };
    let outputs = [(49_980_000, foreign_script(7))];
    let (_, request) = payment("pay-change", LITECOIN, &[Previous::of(&coin)], &outputs);
    let found = litecoind.confirm(&raw(&client.sign(&request))).unwrap();
    assert_eq!(found["confirmations"], 1);
}

#[test]
fn bitcoin_verifies_every_input_of_a_mainnet_payment() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let scripts = coin_scripts(&mut client);
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
}
