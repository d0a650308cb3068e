//! TLS as a client speaks it who may have no certificate, a wrong one, or an old protocol.

use std::{
    fmt, io,
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{
    AlertDescription, ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use crate::http::{self, Answer};

/// Longer than any answer takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a client presents.
#[derive(Debug)]
pub struct Credentials {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// Reads a certificate and its key.
    ///
    /// # Panics
    /// When they cannot be read.
    pub fn read(certificate: &Path, key: &Path) -> Self {
        let chain = CertificateDer::pem_file_iter(certificate).expect("a certificate");
        Self {
            chain: chain.collect::<Result<_, _>>().expect("certificates"),
            key: PrivateKeyDer::from_pem_file(key).expect("a key"),
        }
    }

    /// The certificates, and the key.
    pub fn into_parts(self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain, self.key)
    }
}

/// A client's configuration that trusts one authority.
///
/// # Panics
/// When the parts do not fit.
pub fn client(
    authority: &Path,
    credentials: Option<Credentials>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(authority).expect("an authority");
    roots.add(authority).expect("a usable authority");
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots);
    Arc::new(match credentials {
        Some(Credentials { chain, key }) => builder
            .with_client_auth_cert(chain, key)
            .expect("a certificate of the key"),
        None => builder.with_no_client_auth(),
    })
}

/// A connection to the signing API.
pub struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// Connects. The handshake is made with the first bytes that are sent.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let name = ServerName::IpAddress(address.ip().into());
        let connection =
            ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(Self(StreamOwned::new(connection, stream)))
    }

    /// Sends bytes and reads an answer.
    ///
    /// # Errors
    /// Those of the stream; a TLS alert is a [`rustls::Error`] inside, see [`alert`].
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        http::exchange(&mut self.0, request)
    }

    /// `GET`.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.exchange(&http::request("GET", path, None))
    }

    /// `POST` of JSON, or of what pretends to be.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Answer> {
        self.exchange(&http::request("POST", path, Some(body)))
    }

    /// The stream, to write less than a request.
    pub fn stream(&mut self) -> &mut StreamOwned<ClientConnection, TcpStream> {
        &mut self.0
    }
}

/// The alert with which the peer ended the connection.
pub fn alert(error: &io::Error) -> Option<AlertDescription> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    match inner {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}
