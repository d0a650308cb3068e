//! TLS 1.3 at both ends: who listens shows a certificate, who puts bodies another one.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use super::config::TlsConfig;
use super::error::WitnessError;
use crate::files;

/// The largest PEM file that is read.
const PEM_MAX_BYTES: u64 = 1 << 20;

/// A client's certificate chain and private key, PEM.
#[derive(Clone, Copy)]
pub struct ClientPem<'a> {
    /// The chain.
    pub certificate: &'a [u8],
    /// The key.
    pub key: &'a [u8],
}

/// What takes connections. A client's certificate is asked for where relays are certified by somebody, and
/// one that is shown must be good; who shows none may do what everybody may.
///
/// # Errors
/// [`WitnessError::File`], [`WitnessError::Tls`].
pub fn acceptor(tls: &TlsConfig) -> Result<TlsAcceptor, WitnessError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let what = "the witness's certificate";
    let chain = certificates(&read(&tls.certificate)?, what)?;
    files::check_private(&tls.key).map_err(WitnessError::File)?;
    let key = key(
        &zeroize::Zeroizing::new(read(&tls.key)?),
        "the witness's key",
    )?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(wrong(what))?;
    let builder = match &tls.client_roots {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let what = "client_roots";
            let roots = Arc::new(roots(&read(path)?, what)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .allow_unauthenticated()
                .build()
                .map_err(wrong(what))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(wrong(what))?;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

/// How a witness is reached that these roots certify, with a certificate for those that ask for one.
///
/// # Errors
/// [`WitnessError::Tls`].
pub fn client(
    pinned: &[u8],
    own: Option<ClientPem<'_>>,
) -> Result<Arc<ClientConfig>, WitnessError> {
    let what = "ca of a witness";
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(wrong(what))?
        .with_root_certificates(roots(pinned, what)?);
    let mut client = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let what = "the relay's certificate";
            let chain = certificates(own.certificate, what)?;
            let key = key(own.key, "the relay's key")?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(wrong(what))?
        }
    };
    client.resumption = Resumption::disabled();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(client))
}

/// The URIs of a certificate's subject, by which relays are known.
pub fn uris(certificate: &CertificateDer<'_>) -> Vec<String> {
    let parsed = x509_parser::parse_x509_certificate(certificate).ok();
    let extensions = parsed
        .iter()
        .flat_map(|(_, certificate)| certificate.extensions());
    let names = extensions.filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    names.flatten().filter_map(uri).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, WitnessError> {
    files::read(path, PEM_MAX_BYTES).map_err(WitnessError::File)
}

fn roots(pem: &[u8], what: &'static str) -> Result<RootCertStore, WitnessError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, what)? {
        roots.add(certificate).map_err(wrong(what))?;
    }
    Ok(roots)
}

fn certificates(
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, WitnessError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(wrong(what))?;
    if read.is_empty() {
        return Err(wrong(what)("there is none in the file"));
    }
    Ok(read)
}

fn key(pem: &[u8], what: &'static str) -> Result<PrivateKeyDer<'static>, WitnessError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(wrong(what))
}

fn wrong<E: ToString>(what: &'static str) -> impl FnOnce(E) -> WitnessError {
    move |error| WitnessError::Tls {
        what,
        reason: error.to_string(),
    }
}
