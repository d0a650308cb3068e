//! JSON-RPC to a chain's node, with a new connection for each call.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http;

/// A node's JSON-RPC address.
#[derive(Clone, Debug)]
pub struct Node {
    address: SocketAddr,
    authorization: String,
}

impl Node {
    /// A node that asks for no password.
    pub fn open(address: SocketAddr) -> Self {
        Self {
            address,
            authorization: String::new(),
        }
    }

    /// A node with a user and a password.
    pub fn with_password(address: SocketAddr, user: &str, password: &str) -> Self {
        use base64ct::{Base64, Encoding};
        let login = Base64::encode_string(format!("{user}:{password}").as_bytes());
        Self {
            address,
            authorization: format!("authorization: Basic {login}\r\n"),
        }
    }

    /// Its address, for other programs.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The result of a method, or the node's error.
    ///
    /// # Errors
    /// The JSON-RPC error object, or the text of what went wrong with the connection.
    pub fn try_call(&self, method: &str, params: Value) -> Result<Value, Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut answer = self
            .ask(&body.to_string())
            .map_err(|error| json!(error.to_string()))?;
        match answer["error"].take() {
            Value::Null => Ok(answer["result"].take()),
            error => Err(error),
        }
    }

    /// The result of a method that must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> T {
        match self.try_call(method, params.clone()) {
            Ok(result) => serde_json::from_value(result).expect("a result of this form"),
            Err(error) => panic!("{method} {params}: {error}"),
        }
    }

    fn ask(&self, body: &str) -> io::Result<Value> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             {}content-length: {}\r\n\r\n{body}",
            self.address,
            self.authorization,
            body.len(),
        );
        let answer = http::exchange(&mut stream, request.as_bytes())?;
        serde_json::from_slice(&answer.body)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
