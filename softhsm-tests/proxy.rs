//! A signer that lies: it stands before the real one and changes what that answers.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs, version::TLS13};

use crate::{http::Answer, pki::Pki, world::Client};

type Change = Box<dyn FnMut(Vec<u8>) -> Vec<u8> + Send>;

/// It, with the real one's certificate. It ends when it is dropped.
pub struct Liar {
    address: SocketAddr,
    change: Arc<Mutex<Change>>,
    asked: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
}

impl fmt::Debug for Liar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Liar({})", self.address)
    }
}

impl Liar {
    /// One that asks the real signer by this client, and answers as that does.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn before(pki: &Pki, mut client: Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        pki.server_named("liar", address.ip());
        let config = config(pki);
        let liar = Self {
            address,
            change: Arc::new(Mutex::new(Box::new(|body| body))),
            asked: Arc::default(),
            ended: Arc::default(),
        };
        let (change, asked) = (Arc::clone(&liar.change), Arc::clone(&liar.asked));
        let ended = Arc::clone(&liar.ended);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                // Whoever goes away in between has read enough.
                let _served = stream.and_then(|stream| {
                    serve(stream, &config, |head, body| {
                        asked.lock().expect("asked").push(head.to_owned());
                        let mut answer = forward(&mut client, head, body);
                        answer.body = change.lock().expect("a change")(answer.body);
                        answer
                    })
                });
            }
        });
        liar
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every answer's body is changed so from now on.
    ///
    /// # Panics
    /// When it has panicked before.
    pub fn answers(&self, change: impl FnMut(Vec<u8>) -> Vec<u8> + Send + 'static) {
        *self.change.lock().expect("a change") = Box::new(change);
    }

    /// The first words of what it was asked so far: method and path.
    ///
    /// # Panics
    /// When it has panicked before.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("asked").clone()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // It looks once it has somebody to serve.
        let _ = TcpStream::connect(self.address);
    }
}

fn config(pki: &Pki) -> Arc<ServerConfig> {
    let (chain, key) = pki.credentials("liar").into_parts();
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("a version")
        .with_no_client_auth();
    let config = builder.with_single_cert(chain, key);
    Arc::new(config.expect("a certificate of the key"))
}

/// One request, and the end of the connection.
fn serve(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
    mut answer: impl FnMut(&str, &[u8]) -> Answer,
) -> io::Result<()> {
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let (head, body) = read_request(&mut stream)?;
    let answer = answer(&head, &body);
    let kind = answer.header("content-type").unwrap_or("application/json");
    write!(
        stream,
        "HTTP/1.1 {} it\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.status,
        answer.body.len()
    )?;
    stream.write_all(&answer.body)?;
    stream.flush()?;
    stream.conn.send_close_notify();
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(())
}

/// The request line without its version, and the body.
fn read_request(stream: &mut impl Read) -> io::Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let first = head.lines().next().unwrap_or_default();
    let line = first.trim_end_matches(" http/1.1");
    Ok((line.to_owned(), body))
}

fn forward(client: &mut Client, line: &str, body: &[u8]) -> Answer {
    client.reconnect();
    match line.split_once(' ') {
        Some(("post", path)) => client.post(path, body),
        Some((_, path)) => client.get(path),
        None => panic!("{line}"),
    }
}
