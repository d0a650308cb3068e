//! A signer that answers what a test wants, behind the TLS of the real one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Barrier;
use tokio_rustls::TlsAcceptor;

use crate::program::Place;

pub const JSON: &str = "application/json";
pub const PROBLEM: &str = "application/problem+json";

/// What a request is answered with.
pub enum Reply {
    /// Status, media type, body.
    Answer(u16, &'static str, String),
    /// The same, once as many requests wait as the barrier counts.
    Together(Arc<Barrier>, String),
    /// Nothing, for ever.
    Silence,
    /// The connection ends.
    Hangup,
    /// The answer, after which the connection ends.
    Last(String),
}

impl Reply {
    pub fn ok(body: &Value) -> Self {
        Self::Answer(200, JSON, body.to_string())
    }

    /// A problem of this kind and status.
    pub fn problem(kind: &str, status: u16) -> Self {
        let body = json!({
            "type": format!("urn:strongroom:problem:{kind}"), "title": "A title", "status": status,
            "detail": "A detail.",
        });
        Self::Answer(status, PROBLEM, body.to_string())
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// Null where there was none.
    pub body: Value,
}

/// It runs until it is dropped.
pub struct Signer {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    _runtime: Runtime,
}

type Script = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// An authority, a server certificate, and a client `operator`, with what reaches a signer in
/// `client.toml`.
pub fn founded() -> Place {
    let place = Place::new();
    place.answer("pki init --name Test");
    place.answer("pki issue server --name signerd --dns localhost --ip 127.0.0.1 --out server");
    place.answer("pki issue client --name operator --out client");
    place
}

impl Signer {
    /// A signer with the certificates of a place.
    pub fn start(place: &Place, script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let signer = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
            _runtime: runtime,
        };
        let acceptor = TlsAcceptor::from(Arc::new(config(place)));
        let (script, seen): (Script, _) = (Arc::new(script), Arc::clone(&signer.seen));
        let connections = Arc::clone(&signer.connections);
        signer._runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, script, seen) =
                    (acceptor.clone(), Arc::clone(&script), Arc::clone(&seen));
                tokio::spawn(serve(acceptor, stream, script, seen));
            }
        });
        signer
    }

    /// One that answers everything with the same.
    pub fn answering(place: &Place, body: Value) -> Self {
        Self::start(place, move |_| Reply::ok(&body))
    }

    /// The requests that came.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The options that reach it from the place it was started with.
    pub fn options(&self) -> String {
        format!(
            "--connect {} --ca pki/ca.pem --certificate client/operator.pem --key client/operator.key",
            self.address
        )
    }
}

fn config(place: &Place) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&place.read("pki/ca.pem")).unwrap())
        .unwrap();
    let list = CertificateRevocationListDer::from_pem_slice(&place.read("pki/crl.pem")).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .with_crls([list])
            .build()
            .unwrap();
    let chain = CertificateDer::from_pem_slice(&place.read("server/signerd.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&place.read("server/signerd.key")).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![chain], key)
        .unwrap();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    // A client that is refused is one of the cases.
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(move |request| {
        let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
        async move { answer(request, script, seen).await }
    });
    // So is a client that goes away.
    let _ended = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let request = Seen {
        method: head.method.to_string(),
        path: head.uri.path_and_query().unwrap().to_string(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let reply = script(&request);
    seen.lock().unwrap().push(request);
    let response = |status: u16, media_type: &str, body: String| {
        let response = Response::builder()
            .status(status)
            .header(CONTENT_TYPE, media_type);
        response.body(Full::new(Bytes::from(body))).unwrap()
    };
    Ok(match reply {
        Reply::Answer(status, media_type, body) => response(status, media_type, body),
        Reply::Together(barrier, body) => {
            barrier.wait().await;
            response(200, JSON, body)
        }
        Reply::Silence => match std::future::pending::<Infallible>().await {},
        Reply::Hangup => return Err(std::io::Error::other("the script says so")),
        Reply::Last(body) => {
            let mut response = response(200, JSON, body);
            let close = hyper::header::HeaderValue::from_static("close");
            response
                .headers_mut()
                .insert(hyper::header::CONNECTION, close);
            response
        }
    })
}
