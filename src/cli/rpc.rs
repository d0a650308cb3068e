//! Nodes, as the command line names them: one call after the other, each on a connection of its own.

mod error;
mod login;

use std::time::Duration;

use clap::Args;
use hyper::Uri;
use rpc::Settings;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

pub use self::error::RpcError;
use self::login::LoginArgs;

/// The largest answer that is read: a block's largest transaction in hexadecimal, and then some.
const ANSWER_MAX_BYTES: usize = 16 << 20;

/// How many times longer a slow method may take: half a minute becomes ten.
const SLOW_FACTOR: u32 = 20;

/// How to reach a node.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The node's JSON-RPC address, as http://127.0.0.1:8545.
    #[arg(long, value_name = "URL")]
    rpc: Uri,
    #[command(flatten)]
    login: LoginArgs,
    /// How long to wait for each answer.
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout_secs: u64,
}

/// A node.
pub struct Node {
    node: rpc::Node,
    timeout: Duration,
    runtime: Runtime,
}

impl NodeArgs {
    /// Checks the address and reads the credentials. Nothing is connected yet.
    ///
    /// # Errors
    /// [`RpcError::Settings`], [`RpcError::Credentials`], and those of files.
    pub fn node(&self) -> Result<Node, RpcError> {
        let timeout = Duration::from_secs(self.timeout_secs);
        let settings = Settings {
            url: &self.rpc.to_string(),
            credentials: self.login.credentials()?,
            timeout,
            answer_max_bytes: ANSWER_MAX_BYTES,
            calls_max: 1,
            // What a node closes while a request is on its way leaves open what became of it.
            idle_max: 0,
        };
        let node = rpc::Node::new(settings).map_err(RpcError::Settings)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(RpcError::Runtime)?;
        Ok(Node {
            node,
            timeout,
            runtime,
        })
    }
}

impl Node {
    /// Calls a method and reads its result.
    ///
    /// # Errors
    /// [`RpcError::Call`].
    pub fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        self.call_within(self.timeout, method, params)
    }

    /// Calls a method for which the node has to read through all it has.
    ///
    /// # Errors
    /// As [`Node::call`].
    pub fn call_slow<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        self.call_within(self.timeout.saturating_mul(SLOW_FACTOR), method, params)
    }

    fn call_within<T: DeserializeOwned>(
        &self,
        timeout: Duration,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        self.runtime
            .block_on(self.node.call_within(timeout, method, params))
            .map_err(RpcError::Call)
    }
}
