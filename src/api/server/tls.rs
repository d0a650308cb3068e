//! TLS 1.3 with client certificates and nothing else; the whole configuration is swapped at once.

use std::{
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    DistinguishedName, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime, pem::PemObject,
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use thiserror::Error;

/// The files of an API's TLS, PEM.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The server's certificate chain.
    pub certificate: &'a Path,
    /// Its private key.
    pub key: &'a Path,
    /// Revocation lists of the client authorities; a client whose authority has none here, or an
    /// expired one, is not let in.
    pub crls: &'a [PathBuf],
}

/// A configuration with its verifier, and a number that says which is newer.
#[derive(Debug)]
pub struct Tls {
    /// What new connections use.
    pub server: Arc<ServerConfig>,
    /// What certificates are checked with, again on connections older than this.
    pub verifier: Arc<dyn ClientCertVerifier>,
    /// Higher is newer.
    pub generation: u64,
}

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file cannot be read or holds nothing of its kind.
    #[error("{path} holds no {what}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// There is no usable authority for clients.
    #[error("the client roots cannot be used: {reason}")]
    Roots {
        /// Why.
        reason: String,
    },
    /// The revocation lists do not fit the roots.
    #[error("the client verifier cannot be built")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
    /// Certificate and key do not fit.
    #[error("the server's certificate and key cannot be used")]
    Server(#[source] rustls::Error),
}

impl Tls {
    /// Reads certificate, key and revocation lists; `roots` are the certificates, PEM, of the
    /// authorities that certify clients.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(files: Files<'_>, roots: &[String], generation: u64) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = verifier(files, roots, &provider)?;
        let chain = certificates(files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(files.key).map_err(|source| TlsError::Pem {
            path: files.key.into(),
            what: "private key",
            source,
        })?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Server)?
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_single_cert(chain, key)
            .map_err(TlsError::Server)?;
        // A resumed session would skip the revocation list of today.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.max_early_data_size = 0;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            server: Arc::new(server),
            verifier,
            generation,
        })
    }

    /// Whether a certificate chain that was accepted once would be accepted now.
    pub fn still_accepts(&self, chain: &[CertificateDer<'_>]) -> bool {
        chain.split_first().is_some_and(|(leaf, rest)| {
            self.verifier
                .verify_client_cert(leaf, rest, UnixTime::now())
                .is_ok()
        })
    }

    /// The subjects of the client roots, for the log.
    pub fn root_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }
}

fn verifier(
    files: Files<'_>,
    trusted: &[String],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for pem in trusted {
        for certificate in CertificateDer::pem_reader_iter(BufReader::new(pem.as_bytes())) {
            let unusable = |reason: String| TlsError::Roots { reason };
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| unusable(error.to_string()))?;
        }
    }
    let mut crls = Vec::new();
    for path in files.crls {
        crls.extend(revocation_lists(path)?);
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .with_crls(crls)
        .enforce_revocation_expiration()
        .build()
        .map_err(TlsError::Verifier)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem {
        path: path.into(),
        what: "certificate",
        source,
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(pem)?
        .collect::<Result<_, _>>()
        .map_err(pem)?;
    if chain.is_empty() {
        return Err(pem(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(chain)
}

fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem {
        path: path.into(),
        what: "revocation list",
        source,
    };
    let lists: Vec<_> = CertificateRevocationListDer::pem_file_iter(path)
        .map_err(pem)?
        .collect::<Result<_, _>>()
        .map_err(pem)?;
    if lists.is_empty() {
        return Err(pem(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(lists)
}
