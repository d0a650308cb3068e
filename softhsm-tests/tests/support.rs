//! What several tests send.

use alloy_primitives::U256;
use api::signing::{SignAnswer, SignRequest};
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    anvil::Anvil,
    ask::{intent, request},
    coins::{self, Previous},
    evm::{Draft, token_call},
    program::repository,
    world::{Client, address_on},
};
use tx::{Asset, Chain, Network};

pub const EVM: Chain = Chain::Evm(Anvil::CHAIN_ID);
pub const LITECOIN: Chain = Chain::Litecoin(Network::Regtest);
pub const BITCOIN: Chain = Chain::Bitcoin(Network::Mainnet);
/// In the customers' book.
pub const CUSTOMER: &str = Anvil::ACCOUNTS[1];
/// In no book.
pub const STRANGER: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
/// Where anvil's account 0 deploys its first contract.
pub const TOKEN: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";

/// The sender of the EVM tests.
pub fn sender(client: &mut Client) -> String {
    client.address("eth-1", EVM)
}

pub fn eth() -> Asset {
    Asset::native(EVM)
}

pub fn usdx() -> Asset {
    format!("{EVM}/erc20:{TOKEN}").parse().unwrap()
}

/// A request for a native transfer, with its intent; both are named by `id`.
pub fn transfer(id: &str, sender: &str, draft: &Draft) -> SignRequest {
    let intents = vec![intent(id, &eth(), draft.value, &draft.to)];
    request(id, draft.from(sender), intents)
}

/// A PSBT that pays one destination, and its request.
pub fn payment(
    id: &str,
    chain: Chain,
    previous: &[Previous],
    outputs: &[(u64, bitcoin::ScriptBuf)],
) -> (bitcoin::Psbt, SignRequest) {
    let psbt = coins::psbt(previous, outputs);
    let (amount, script) = &outputs[0];
    let destination = coins::address_of(chain, script);
    let paid = intent(id, &Asset::native(chain), (*amount).into(), &destination);
    let asked = request(id, coins::on(chain, &psbt), vec![paid]);
    (psbt, asked)
}

/// The raw transaction of an answer.
pub fn raw(answer: &SignAnswer) -> String {
    answer.transaction.raw.trim_start_matches("0x").to_owned()
}

/// The addresses of the keys of account `coin-hot`.
pub fn coin_addresses(client: &mut Client, chain: Chain) -> Vec<String> {
    ["coin-1", "coin-2", "coin-3"]
        .map(|name| address_on(&client.key(name), chain))
        .to_vec()
}

/// Their scripts.
pub fn coin_scripts(client: &mut Client) -> Vec<bitcoin::ScriptBuf> {
    ["coin-1", "coin-2", "coin-3"]
        .map(|name| coins::script(&client.key(name).public_key))
        .to_vec()
}

/// A compiled contract, whose source is beside it.
pub fn artefact(name: &str) -> Value {
    let path = repository(&format!("softhsm-tests/contracts/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Deploys [`TOKEN`] from account 0, who then has all of it.
pub fn deploy_token(anvil: &Anvil) {
    let supply = format!("{:064x}", 1_000_000_000_000u64);
    let artefact = artefact("Token");
    let bytecode = artefact["bytecode"].as_str().unwrap();
    assert_eq!(anvil.deploy(&format!("{bytecode}{supply}")), TOKEN);
}

/// Gives an address some of account 0's tokens.
pub fn give_tokens(anvil: &Anvil, to: &str, amount: u128) {
    let call = hex::encode(token_call(to, amount));
    let call = json!([{ "from": Anvil::ACCOUNTS[0], "to": TOKEN, "data": format!("0x{call}") }]);
    let sent: Value = anvil.node().call("eth_sendTransaction", call);
    assert_eq!(anvil.receipt(&sent)["status"], "0x1");
}

/// How many tokens an address has.
pub fn token_balance(anvil: &Anvil, of: &str) -> U256 {
    let call = format!("0x70a08231{:0>64}", &of[2..].to_lowercase());
    anvil.view(TOKEN, &call)
}
