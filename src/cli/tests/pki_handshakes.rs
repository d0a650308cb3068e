//! Certificates and lists as `signerd` will meet them: TLS 1.3 handshakes with a client certificate
//! required and the revocation list checked, in memory.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, Error, RootCertStore,
    ServerConfig, ServerConnection,
};

use crate::program::Place;

/// An authority, a server and a client `walletd`.
fn founded() -> Place {
    let place = Place::new();
    place.answer("pki init --name Test");
    place.answer("pki issue server --name signerd --dns localhost --ip 127.0.0.1 --out server");
    place.answer("pki issue client --name walletd --out client");
    place
}

fn roots(place: &Place) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&place.read("pki/ca.pem")).unwrap())
        .unwrap();
    Arc::new(roots)
}

fn list(place: &Place) -> CertificateRevocationListDer<'static> {
    CertificateRevocationListDer::from_pem_slice(&place.read("pki/crl.pem")).unwrap()
}

fn identity(place: &Place, stem: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_slice(&place.read(&format!("{stem}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&place.read(&format!("{stem}.key"))).unwrap();
    (vec![certificate], key)
}

fn server(place: &Place, stem: &str) -> ServerConnection {
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(place), provider.clone())
        .with_crls([list(place)])
        .enforce_revocation_expiration()
        .build()
        .unwrap();
    let (chain, key) = identity(place, stem);
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    ServerConnection::new(Arc::new(config)).unwrap()
}

fn client(
    trusts: &Place,
    identity: (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    to: &str,
) -> ClientConnection {
    let provider = Arc::new(default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(trusts), provider.clone())
        .with_crls([list(trusts)])
        .enforce_revocation_expiration()
        .build()
        .unwrap();
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(identity.0, identity.1)
        .unwrap();
    ClientConnection::new(
        Arc::new(config),
        ServerName::try_from(to.to_owned()).unwrap(),
    )
    .unwrap()
}

/// Carries bytes until both ends are done, or one refuses.
fn shake(client: ClientConnection, server: ServerConnection) -> Result<(), Error> {
    let (mut client, mut server) = (Connection::from(client), Connection::from(server));
    loop {
        let carried = carry(&mut client, &mut server)? + carry(&mut server, &mut client)?;
        if carried == 0 {
            assert!(
                !client.is_handshaking() && !server.is_handshaking(),
                "the handshake is stuck"
            );
            return Ok(());
        }
    }
}

fn carry(from: &mut Connection, to: &mut Connection) -> Result<usize, Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(bytes.len())
}

/// A client of this authority against its server.
fn connect(place: &Place, client_stem: &str) -> Result<(), Error> {
    shake(
        client(place, identity(place, client_stem), "localhost"),
        server(place, "server/signerd"),
    )
}

/// The certificate error of a handshake, with its details left out.
fn refusal(outcome: Result<(), Error>) -> CertificateError {
    match outcome {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { .. })) => {
            CertificateError::Expired
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { .. })) => {
            CertificateError::NotValidYet
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) => {
            CertificateError::NotValidForName
        }
        Err(Error::InvalidCertificate(CertificateError::ExpiredRevocationListContext {
            ..
        })) => CertificateError::ExpiredRevocationList,
        Err(Error::InvalidCertificate(CertificateError::InvalidPurposeContext { .. })) => {
            CertificateError::InvalidPurpose
        }
        Err(Error::InvalidCertificate(error)) => error,
        other => panic!("not a refused certificate: {other:?}"),
    }
}

#[test]
fn a_good_client_is_let_in_by_name_and_address() {
    let place = founded();
    connect(&place, "client/walletd").unwrap();
    shake(
        client(&place, identity(&place, "client/walletd"), "127.0.0.1"),
        server(&place, "server/signerd"),
    )
    .unwrap();
}

#[test]
fn a_server_is_only_what_it_was_issued_for() {
    let place = founded();
    let elsewhere = client(
        &place,
        identity(&place, "client/walletd"),
        "signer.example.org",
    );
    assert_eq!(
        refusal(shake(elsewhere, server(&place, "server/signerd"))),
        CertificateError::NotValidForName
    );
}

#[test]
fn expired_certificates_are_refused_at_both_ends() {
    let place = founded();
    place.answer("pki issue client --name late --days -1 --out client");
    assert_eq!(
        refusal(connect(&place, "client/late")),
        CertificateError::Expired
    );
    place.answer("pki issue server --name late-server --dns localhost --days -1 --out server");
    let client = client(&place, identity(&place, "client/walletd"), "localhost");
    assert_eq!(
        refusal(shake(client, server(&place, "server/late-server"))),
        CertificateError::Expired
    );
}

#[test]
fn a_certificate_of_the_future_is_refused() {
    let place = founded();
    place.answer(
        "pki issue client --name early --not-before 2035-01-01T00:00:00Z --not-after 2035-02-01T00:00:00Z --out client",
    );
    assert_eq!(
        refusal(connect(&place, "client/early")),
        CertificateError::NotValidYet
    );
}

#[test]
fn another_authority_of_the_same_name_is_refused() {
    let (place, other) = (founded(), founded());
    let stranger = client(&place, identity(&other, "client/walletd"), "localhost");
    let outcome = refusal(shake(stranger, server(&place, "server/signerd")));
    assert!(
        matches!(
            outcome,
            CertificateError::BadSignature | CertificateError::UnknownIssuer
        ),
        "{outcome:?}"
    );
}

#[test]
fn a_revoked_client_is_refused_and_others_are_not() {
    let place = founded();
    place.answer("pki issue client --name monitor --out client");
    place.answer("pki revoke --name walletd --reason key-compromise");
    assert_eq!(
        refusal(connect(&place, "client/walletd")),
        CertificateError::Revoked
    );
    connect(&place, "client/monitor").unwrap();
}

#[test]
fn a_revoked_server_is_refused() {
    let place = founded();
    place.answer("pki revoke --name signerd");
    let client = client(&place, identity(&place, "client/walletd"), "localhost");
    assert_eq!(
        refusal(shake(client, server(&place, "server/signerd"))),
        CertificateError::Revoked
    );
}

#[test]
fn a_renewed_client_has_two_keys_until_the_old_is_revoked() {
    let place = founded();
    place.answer("pki renew --name walletd --out renewed");
    connect(&place, "client/walletd").unwrap();
    connect(&place, "renewed/walletd").unwrap();
    place.answer("pki renew --name walletd --out again --revoke-old");
    assert_eq!(
        refusal(connect(&place, "client/walletd")),
        CertificateError::Revoked
    );
    assert_eq!(
        refusal(connect(&place, "renewed/walletd")),
        CertificateError::Revoked
    );
    connect(&place, "again/walletd").unwrap();
}

#[test]
fn revoked_stays_revoked_in_every_later_list() {
    let place = founded();
    place.answer("pki revoke --name walletd");
    place.answer("pki issue client --name monitor --out client");
    place.answer("pki revoke --name monitor");
    place.answer("pki crl");
    assert_eq!(
        refusal(connect(&place, "client/walletd")),
        CertificateError::Revoked
    );
    assert_eq!(
        refusal(connect(&place, "client/monitor")),
        CertificateError::Revoked
    );
}

#[test]
fn an_old_list_is_refused() {
    let place = founded();
    place.answer("pki crl --days -1");
    assert_eq!(
        refusal(connect(&place, "client/walletd")),
        CertificateError::ExpiredRevocationList
    );
    place.answer("pki crl");
    connect(&place, "client/walletd").unwrap();
}

#[test]
fn a_certificate_is_good_for_one_end_only() {
    let place = founded();
    let server_as_client = client(&place, identity(&place, "server/signerd"), "localhost");
    let outcome = shake(server_as_client, server(&place, "server/signerd"));
    assert_eq!(refusal(outcome), CertificateError::InvalidPurpose);
}
