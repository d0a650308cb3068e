//! litecoind on a regtest of its own.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    address,
    node::Node,
    program::{Running, until},
};

/// A node with a wallet that has mature coins.
#[derive(Debug)]
pub struct Litecoind {
    node: Node,
    miner: String,
    /// Blocks still to be mined upon the last one that had transactions.
    behind: std::cell::Cell<u32>,
    _process: Running,
}

/// An output that pays one of our addresses.
#[derive(Clone, Debug)]
pub struct Coin {
    /// The whole transaction, in hexadecimal.
    pub transaction: String,
    /// Which of its outputs.
    pub vout: u32,
}

impl Litecoind {
    /// Starts one, waits until it answers, and mines until coins can be spent.
    pub fn start(folder: &Path) -> Self {
        let data = folder.join("litecoin");
        std::fs::create_dir(&data).expect("a folder");
        let address = address::free();
        let mut command = Command::new("litecoind");
        command
            .arg(format!("-datadir={}", data.display()))
            .arg(format!("-rpcbind={}", address.ip()))
            .arg(format!("-rpcport={}", address.port()))
            .args([
                "-regtest",
                "-server=1",
                "-listen=0",
                "-rpcallowip=127.0.0.0/8",
            ])
            .args([
                "-rpcuser=u",
                "-rpcpassword=p",
                "-mempoolreplacement=1",
                "-txindex=1",
            ])
            .args(["-fallbackfee=0.0002", "-printtoconsole=0", "-dbcache=16"]);
        let process = Running::start(&mut command, &folder.join("litecoind.log"));
        let node = Node::with_password(address, "u", "p");
        until("an answer of litecoind", || {
            node.try_call("getblockcount", json!([])).ok()
        });
        let _: Value = node.call("createwallet", json!(["miner"]));
        let miner: String = node.call("getnewaddress", json!([]));
        let node = Self {
            node,
            miner,
            behind: std::cell::Cell::new(0),
            _process: process,
        };
        node.mine(101);
        node
    }

    /// Its JSON-RPC.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The node as the coordinator's configuration names it, with its password in a file there.
    pub fn configured(&self, folder: &Path) -> String {
        let password = folder.join("litecoind-password");
        std::fs::write(&password, "p").expect("the password");
        format!(
            "{{ url = {:?}, user = \"u\", password_file = {password:?}, timeout_secs = 5 }}",
            self.node.url()
        )
    }

    /// Mines a block if a transaction waits for one, or the last that did is not three deep. Not
    /// more: block 432 of a regtest begins MWEB, and the node cannot make it without a peg-in.
    pub fn mine_if_needed(&self) {
        let waiting: Vec<String> = self.node.call("getrawmempool", json!([]));
        let behind = self.behind.get();
        if !waiting.is_empty() {
            self.behind.set(2);
        } else if behind > 0 {
            self.behind.set(behind - 1);
        } else {
            return;
        }
        self.mine(1);
    }

    /// Mines blocks.
    pub fn mine(&self, blocks: u32) {
        let _: Value = self
            .node
            .call("generatetoaddress", json!([blocks, self.miner]));
    }

    /// An address of its own wallet.
    pub fn address(&self) -> String {
        self.node.call("getnewaddress", json!(["", "bech32"]))
    }

    /// Pays addresses from its own wallet, in one confirmed transaction; one coin for each address.
    pub fn pay(&self, payments: &[(&str, f64)]) -> Vec<Coin> {
        let outputs: serde_json::Map<String, Value> = payments
            .iter()
            .map(|(to, coins)| ((*to).to_owned(), json!(coins)))
            .collect();
        let txid: String = self.node.call("sendmany", json!(["", outputs]));
        self.mine(1);
        let found: Value = self.node.call("getrawtransaction", json!([txid, true]));
        let paid = |to: &str| {
            let outputs = found["vout"].as_array().expect("outputs").iter();
            let addresses = |output: &Value| output["scriptPubKey"]["addresses"].clone();
            let mut outputs = outputs.filter(|output| addresses(output) == json!([to]));
            let output = outputs.next().expect("an output that pays it");
            Coin {
                transaction: found["hex"].as_str().expect("bytes").to_owned(),
                vout: output["n"]
                    .as_u64()
                    .and_then(|n| n.try_into().ok())
                    .expect("a number"),
            }
        };
        payments.iter().map(|(to, _)| paid(to)).collect()
    }

    /// Sends a signed transaction, mines it, and returns it as the node shows it.
    ///
    /// # Errors
    /// The node's.
    pub fn confirm(&self, raw: &str) -> Result<Value, Value> {
        let txid = self.node.try_call("sendrawtransaction", json!([raw]))?;
        self.mine(1);
        self.node.try_call("getrawtransaction", json!([txid, true]))
    }
}
