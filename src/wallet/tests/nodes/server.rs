//! A node in this process that answers as a test tells it to.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use wallet::config;

/// What the node does with a call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A result, as JSON text.
    Result(String),
    /// A JSON-RPC error.
    Error(i64, &'static str),
    /// The whole body, whatever was asked.
    Body(&'static str),
    /// Nothing, for ever.
    Hang,
    /// The end of the connection.
    Close,
}

/// A node on a port of its own.
pub struct FakeNode {
    address: SocketAddr,
    methods: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Reply {
    pub fn result(text: impl Into<String>) -> Self {
        Self::Result(text.into())
    }
}

impl FakeNode {
    pub async fn start(answer: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let methods = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&methods), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                connections.spawn(async move {
                    let mut reply = |method: &str, params: &Value| {
                        seen.lock().unwrap().push(method.to_owned());
                        answer(method, params)
                    };
                    // It ends when the client goes.
                    drop(serve(stream, &mut reply).await);
                });
            }
        });
        Self {
            address,
            methods,
            task,
        }
    }

    /// Does the same with every call.
    pub async fn always(reply: Reply) -> Self {
        Self::start(move |_, _| reply.clone()).await
    }

    pub fn configured(&self) -> config::Node {
        config::Node {
            url: format!("http://{}", self.address),
            user: None,
            password_file: None,
            cookie_file: None,
            timeout_secs: 1,
        }
    }

    pub fn methods(&self) -> Vec<String> {
        self.methods.lock().unwrap().clone()
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    reply: &mut (dyn FnMut(&str, &Value) -> Reply + Send),
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let request: Value = serde_json::from_slice(&read(&mut stream).await?)?;
        let body = match &request {
            Value::Array(calls) => {
                let mut bodies = Vec::new();
                for call in calls {
                    bodies.push(one(call, reply).await?);
                }
                format!("[{}]", bodies.join(","))
            }
            call => one(call, reply).await?,
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
    }
}

async fn one(
    call: &Value,
    reply: &mut (dyn FnMut(&str, &Value) -> Reply + Send),
) -> io::Result<String> {
    let id = &call["id"];
    match reply(call["method"].as_str().unwrap(), &call["params"]) {
        Reply::Result(text) => Ok(format!(r#"{{"id":{id},"result":{text}}}"#)),
        Reply::Error(code, message) => Ok(format!(
            r#"{{"id":{id},"result":null,"error":{{"code":{code},"message":"{message}"}}}}"#
        )),
        Reply::Body(body) => Ok(body.to_owned()),
        Reply::Hang => std::future::pending().await,
        Reply::Close => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse::<usize>().unwrap());
        if bytes.len() >= end + 4 + length {
            return Ok(bytes.split_off(end + 4));
        }
    }
}
