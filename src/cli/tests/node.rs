//! A node that answers as a test tells it to, and writes down what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

/// What the node does with a call.
pub enum Reply {
    Result(Value),
    /// A result to the letter: JSON values of ours have no decimal numbers.
    Text(String),
    Error(i64, &'static str),
    /// Closes the connection without a word.
    Close,
    /// Keeps the connection open and says nothing.
    Hang,
    /// Says something that is no JSON-RPC.
    Raw(Vec<u8>),
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub params: Value,
    pub authorization: Option<String>,
    id: Value,
}

/// A node on a port of its own.
pub struct FakeNode {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    stopped: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl FakeNode {
    pub fn start(answer: impl Fn(&str, &Value) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (seen, stop) = (calls.clone(), stopped.clone());
        let server = std::thread::spawn(move || {
            let mut hung = Vec::new();
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                let call = read(&stream);
                let reply = bytes(answer(&call.method, &call.params), &call.id);
                seen.lock().unwrap().push(call);
                match reply {
                    Some(bytes) => drop(stream.write_all(&bytes)),
                    None => hung.push(stream),
                }
            }
        });
        Self {
            address,
            calls,
            stopped,
            server: Some(server),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    pub fn methods(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.method).collect()
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the server, which then sees that it shall stop.
        drop(TcpStream::connect(self.address));
        if let Some(server) = self.server.take()
            && server.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the node failed");
        }
    }
}

fn read(stream: &TcpStream) -> Call {
    let mut reader = BufReader::new(stream);
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    Call {
        method: body["method"].as_str().unwrap().to_owned(),
        params: body["params"].take(),
        authorization,
        id: body["id"].take(),
    }
}

fn bytes(reply: Reply, id: &Value) -> Option<Vec<u8>> {
    match reply {
        Reply::Result(result) => Some(response(
            200,
            &json!({ "result": result, "error": null, "id": id }),
        )),
        Reply::Text(result) => {
            let body = format!(r#"{{"result":{result},"error":null,"id":{id}}}"#);
            Some(http(200, body.as_bytes()))
        }
        Reply::Error(code, message) => {
            let error = json!({ "code": code, "message": message });
            Some(response(
                500,
                &json!({ "result": null, "error": error, "id": id }),
            ))
        }
        Reply::Close => Some(Vec::new()),
        Reply::Raw(bytes) => Some(bytes),
        Reply::Hang => None,
    }
}

fn response(status: u16, body: &Value) -> Vec<u8> {
    http(status, body.to_string().as_bytes())
}

/// An HTTP response.
pub fn http(status: u16, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
