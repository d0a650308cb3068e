//! A server that does what a test tells it to, byte by byte.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use strongroom_rpc::{Credentials, Node, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// How long calls may take where the test waits for the end of the time.
pub const SHORT: Duration = Duration::from_millis(200);

/// How long they may take elsewhere: longer than any test.
pub const LONG: Duration = Duration::from_secs(60);

/// One step of what a connection does after it has read a request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes these bytes; `ID` in them becomes the request's id.
    Write(Vec<u8>),
    /// Writes these bytes again and again.
    Repeat(Vec<u8>),
    /// Writes one byte every few milliseconds, for ever.
    Drip,
    /// Says nothing and keeps the connection.
    Hang,
    /// Closes it.
    Close,
    /// Reads the next request.
    Next,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub head: String,
    pub body: Value,
    /// On which connection, from 0.
    pub connection: usize,
}

/// A server on a port of its own. Every connection goes through the same steps.
pub struct Server {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// One permit for each connection that has ended.
    ended: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(steps: impl Into<Vec<Step>>) -> Self {
        let steps = steps.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(Semaphore::new(0));
        let (seen, over) = (Arc::clone(&asked), Arc::clone(&ended));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, over) = (Arc::clone(&seen), Arc::clone(&over));
                let steps = steps.clone();
                connections.spawn(async move {
                    // It ends when the client goes.
                    drop(serve(stream, &steps, connection, &seen).await);
                    over.add_permits(1);
                });
            }
        });
        Self {
            address,
            asked,
            ended,
            task,
        }
    }

    /// Answers every request so; `ID` becomes the request's id.
    pub async fn answering(body: &str) -> Self {
        let steps = [Step::Write(http(200, body.as_bytes())), Step::Next];
        Self::start(vec![steps; 200].concat()).await
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until one more connection has ended, and until this process has heard of it.
    pub async fn ended(&self) {
        self.ended.acquire().await.unwrap().forget();
        tokio::task::yield_now().await;
    }

    pub fn node(&self) -> Node {
        self.node_within(LONG)
    }

    pub fn node_within(&self, timeout: Duration) -> Node {
        let url = format!("http://{}", self.address);
        Node::new(settings(&url, timeout)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn settings(url: &str, timeout: Duration) -> Settings<'_> {
    Settings {
        url,
        credentials: None,
        timeout,
        answer_max_bytes: 1 << 20,
        calls_max: 4,
        idle_max: 4,
    }
}

pub fn with_password(url: &str) -> Settings<'_> {
    Settings {
        credentials: Some(Credentials::password("u", b"hunter2").unwrap()),
        ..settings(url, LONG)
    }
}

/// An HTTP response.
pub fn http(status: u16, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// The JSON of a result, to the letter.
pub fn result(text: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":ID,"result":{text}}}"#)
}

async fn serve(
    mut stream: TcpStream,
    steps: &[Step],
    connection: usize,
    seen: &Mutex<Vec<Asked>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut id = note(&mut stream, connection, seen).await?;
    for step in steps {
        match step {
            Step::Write(bytes) => stream.write_all(&with_id(bytes, &id)).await?,
            Step::Repeat(bytes) => loop {
                stream.write_all(bytes).await?;
            },
            Step::Drip => loop {
                stream.write_all(b" ").await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            },
            Step::Hang => std::future::pending().await,
            Step::Close => return Ok(()),
            Step::Next => id = note(&mut stream, connection, seen).await?,
        }
    }
    Ok(())
}

async fn note(
    stream: &mut TcpStream,
    connection: usize,
    seen: &Mutex<Vec<Asked>>,
) -> io::Result<String> {
    let (head, body) = read(stream).await?;
    let body: Value = serde_json::from_slice(&body)?;
    let id = body["id"].to_string();
    seen.lock().unwrap().push(Asked {
        head,
        body,
        connection,
    });
    Ok(id)
}

async fn read(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
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
            return Ok((head, bytes.split_off(end + 4)));
        }
    }
}

/// The bytes with the id in them, and a length that fits.
fn with_id(bytes: &[u8], id: &str) -> Vec<u8> {
    let Some(at) = bytes.windows(2).position(|two| two == b"ID") else {
        return bytes.to_vec();
    };
    let text = [&bytes[..at], id.as_bytes(), &bytes[at + 2..]].concat();
    let text = String::from_utf8(text).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return text.into_bytes();
    };
    let lines = head
        .lines()
        .filter(|line| !line.starts_with("content-length"));
    let head = lines.collect::<Vec<_>>().join("\r\n");
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
