//! anvil: a real EVM node.

use std::{path::Path, process::Command};

use alloy_primitives::{Address, U256};
use serde_json::{Value, json};

use crate::{
    address,
    node::Node,
    program::{Running, repository, until},
};

/// A node of its own, which mines a block for each transaction.
#[derive(Debug)]
pub struct Anvil {
    node: Node,
    _process: Running,
}

impl Anvil {
    /// anvil's chain id.
    pub const CHAIN_ID: u64 = 31337;

    /// Its accounts 0 to 3, which have 10,000 ETH each and sign for themselves.
    pub const ACCOUNTS: [&str; 4] = [
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
        "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
    ];

    /// The recovery phrase that they are derived from (BIP-39).
    pub const PHRASE: &str = "test test test test test test test test test test test junk";
    /// The path of account 0.
    pub const PATH: &str = "m/44'/60'/0'/0/0";

    /// Starts one, and waits until it answers.
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// Starts one with further arguments.
    ///
    /// # Panics
    /// When it is not installed or does not answer.
    pub fn start_with(folder: &Path, arguments: &[&str]) -> Self {
        let path = "softhsm-tests/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil";
        let address = address::free();
        let mut command = Command::new(repository(path));
        command
            .args(["--chain-id", "31337", "--threads", "1", "--quiet"])
            .args(["--host", &address.ip().to_string()])
            .args(["--port", &address.port().to_string()])
            .args(arguments)
            .env("HOME", folder);
        let process = Running::start(&mut command, &folder.join("anvil.log"));
        let node = Node::open(address);
        until("an answer of anvil", || {
            node.try_call("eth_chainId", json!([])).ok()
        });
        Self {
            node,
            _process: process,
        }
    }

    /// Its JSON-RPC.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Gives an address this much.
    pub fn fund(&self, address: &str, wei: U256) {
        let wei = format!("{wei:#x}");
        let _: Value = self.node.call("anvil_setBalance", json!([address, wei]));
    }

    /// What an address has.
    pub fn balance(&self, address: &str) -> U256 {
        quantity(&self.node.call("eth_getBalance", json!([address, "latest"])))
    }

    /// Sends a signed transaction; its receipt, once it is in a block.
    ///
    /// # Errors
    /// The node's.
    pub fn send(&self, raw: &str) -> Result<Value, Value> {
        let raw = if raw.starts_with("0x") {
            raw.to_owned()
        } else {
            format!("0x{raw}")
        };
        let hash = self.node.try_call("eth_sendRawTransaction", json!([raw]))?;
        Ok(self.receipt(&hash))
    }

    /// The receipt of a transaction, once it is in a block.
    pub fn receipt(&self, hash: &Value) -> Value {
        until("the transaction's receipt", || {
            let found = self
                .node
                .try_call("eth_getTransactionReceipt", json!([hash]))
                .ok()?;
            (!found.is_null()).then_some(found)
        })
    }

    /// Deploys a contract from account 0 and returns its address.
    pub fn deploy(&self, bytecode: &str) -> String {
        let from = Self::ACCOUNTS[0];
        let hash: Value = self.node.call(
            "eth_sendTransaction",
            json!([{ "from": from, "data": bytecode, "gas": "0x200000" }]),
        );
        let receipt = self.receipt(&hash);
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        let address = receipt["contractAddress"].as_str().expect("an address");
        let address: Address = address.parse().expect("an address");
        address.to_checksum(None)
    }

    /// Calls a contract without a transaction.
    pub fn view(&self, contract: &str, data: &str) -> U256 {
        quantity(&self.node.call(
            "eth_call",
            json!([{ "to": contract, "data": data }, "latest"]),
        ))
    }
}

/// A number as nodes write it.
///
/// # Panics
/// When it is none.
pub fn quantity(value: &Value) -> U256 {
    let digits = value
        .as_str()
        .and_then(|text| text.strip_prefix("0x"))
        .expect("a number");
    U256::from_str_radix(digits, 16).expect("a number")
}
