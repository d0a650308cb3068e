//! Connections: TLS 1.3, the server verified, the client with its certificate.

use std::sync::Arc;

use hyper::http::uri::Authority;
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Obstacle, Protocol, Settings, link::Link, watched::Watched};

/// Where a signer is, and how it is recognised.
#[derive(Debug)]
pub(super) struct Endpoint {
    authority: Authority,
    port: u16,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

/// Why settings cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The server is not `host:port`.
    #[error("{server:?} is not host:port")]
    Server {
        /// The text.
        server: String,
    },
    /// The name cannot stand in a certificate.
    #[error("{name:?} is no name of a server")]
    ServerName {
        /// The text.
        name: String,
    },
    /// A text is not the PEM that it should be.
    #[error("there is no PEM of {what}")]
    Pem {
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A root certificate, or the client's certificate with its key, cannot be used.
    #[error("{what} cannot be used")]
    Tls {
        /// Which.
        what: &'static str,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
}

impl Endpoint {
    pub(super) fn new(settings: &Settings<'_>) -> Result<Self, SettingsError> {
        let not_a_server = || SettingsError::Server {
            server: settings.server.to_owned(),
        };
        let authority: Authority = settings.server.parse().map_err(|_| not_a_server())?;
        let port = authority.port_u16().ok_or_else(not_a_server)?;
        if authority.as_str().contains('@') {
            return Err(not_a_server());
        }
        let name = settings.server_name.unwrap_or(authority.host());
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let name =
            ServerName::try_from(name.to_owned()).map_err(|_| SettingsError::ServerName {
                name: name.to_owned(),
            })?;
        Ok(Self {
            authority,
            port,
            name,
            config: Arc::new(tls(settings)?),
        })
    }

    /// `host:port`, as it was given.
    pub(super) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// The same, for an error.
    pub(super) fn server(&self) -> String {
        self.authority.to_string()
    }

    pub(super) async fn connect(&self, protocol: Protocol) -> Result<Link, Obstacle> {
        let host = self
            .authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let stream = TcpStream::connect((host, self.port))
            .await
            .map_err(Obstacle::Connection)?;
        // Without it a small request waits 40 ms for the peer's delayed acknowledgement.
        stream.set_nodelay(true).map_err(Obstacle::Connection)?;
        let connecting =
            TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), stream);
        let stream = connecting.await.map_err(Obstacle::Handshake)?;
        if protocol == Protocol::Http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(Obstacle::Protocol { protocol: "HTTP/2" });
        }
        Link::open(Watched::new(stream), protocol)
            .await
            .map_err(Obstacle::Http)
    }
}

fn tls(settings: &Settings<'_>) -> Result<ClientConfig, SettingsError> {
    let mut roots = RootCertStore::empty();
    for root in certificates(settings.roots, "the server's authority")? {
        let what = "the server's authority";
        roots
            .add(root)
            .map_err(|source| SettingsError::Tls { what, source })?;
    }
    let chain = certificates(settings.certificate, "the client's certificate")?;
    let what = "the client's private key";
    let key = PrivateKeyDer::from_pem_slice(settings.key)
        .map_err(|source| SettingsError::Pem { what, source })?;
    let what = "the client's certificate with its key";
    let unusable = |source| SettingsError::Tls { what, source };
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(unusable)?;
    // The signer gives no tickets: whom it let in yesterday it may refuse today.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = match settings.protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
    };
    Ok(config)
}

fn certificates(
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let unreadable = |source| SettingsError::Pem { what, source };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(unreadable(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(certificates)
}
