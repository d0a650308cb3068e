//! Who is let in: certificates, revocation, protocol versions, names and grants.

use std::sync::Arc;

use api::problem::ProblemKind;
use rustix::process::Signal;
use rustls::{
    AlertDescription, ClientConfig, HandshakeKind,
    version::{TLS12, TLS13},
};
use strongroom_softhsm_tests::{
    evm::Draft,
    pki::Pki,
    tls::{self, Connection, alert},
    world::{World, problem},
};

use crate::support::{CUSTOMER, EVM, sender, transfer};

/// The alert that ends a connection with this configuration.
fn turned_away(world: &World, config: &Arc<ClientConfig>) -> AlertDescription {
    let mut connection = Connection::open(world.api(), config).unwrap();
    let error = connection.get("/v1/keys").expect_err("nobody is let in");
    alert(&error).unwrap_or_else(|| panic!("no alert: {error:?}"))
}

#[test]
fn without_a_good_certificate_nobody_is_let_in() {
    let world = World::new();
    let _daemon = world.start();
    let authority = world.pki.authority();
    let none = tls::client(&authority, None, &TLS13);
    assert_eq!(
        turned_away(&world, &none),
        AlertDescription::CertificateRequired
    );

    let other = Pki::found(world.folder().join("other"), "other");
    other.client("walletd");
    let stranger = tls::client(&authority, Some(other.credentials("walletd")), &TLS13);
    assert_eq!(turned_away(&world, &stranger), AlertDescription::UnknownCA);
    // One that has taken the authority's name.
    let namesake = Pki::found(world.folder().join("namesake"), "test");
    namesake.client("walletd");
    let stranger = tls::client(&authority, Some(namesake.credentials("walletd")), &TLS13);
    assert_eq!(
        turned_away(&world, &stranger),
        AlertDescription::DecryptError
    );

    world.pki.client_with(
        "late",
        &["--days", "-1", "--not-before", "2020-01-01T00:00:00Z"],
    );
    let expired = world.pki.config("late");
    assert_eq!(
        turned_away(&world, &expired),
        AlertDescription::CertificateExpired
    );

    world.pki.client_with(
        "early",
        &["--not-before", "2035-01-01T00:00:00Z", "--days", "3600"],
    );
    let early = world.pki.config("early");
    assert_eq!(
        turned_away(&world, &early),
        AlertDescription::CertificateExpired
    );

    // A server's certificate is no client's.
    let server = tls::client(&authority, Some(world.pki.credentials("signerd")), &TLS13);
    let alert = turned_away(&world, &server);
    assert!(
        matches!(
            alert,
            AlertDescription::UnsupportedCertificate | AlertDescription::BadCertificate
        ),
        "{alert:?}"
    );

    let old = tls::client(&authority, Some(world.pki.credentials("walletd")), &TLS12);
    assert_eq!(turned_away(&world, &old), AlertDescription::ProtocolVersion);
    assert_eq!(world.walletd().get("/v1/keys").status, 200);
}

#[test]
fn a_revoked_client_is_let_in_no_more_not_even_on_an_open_connection() {
    let world = World::new();
    let daemon = world.start();
    let mut open = world.walletd();
    assert_eq!(open.get("/v1/keys").status, 200);
    world.pki.client("other");
    world.pki.revoke("walletd");
    daemon.signal(Signal::HUP);
    daemon.metric_is("signerd_reloads_total", |reloads| reloads > 0);
    let refused = problem(&open.get("/v1/keys"));
    assert_eq!(refused.kind, ProblemKind::UnknownClient);
    let config = world.pki.config("walletd");
    assert_eq!(
        turned_away(&world, &config),
        AlertDescription::CertificateRevoked
    );
}

#[test]
fn no_session_is_resumed() {
    let world = World::new();
    let _daemon = world.start();
    let config = world.pki.config("walletd");
    for _ in 0..3 {
        let mut connection = Connection::open(world.api(), &config).unwrap();
        assert_eq!(connection.get("/v1/keys").unwrap().status, 200);
        let kind = connection.stream().conn.handshake_kind();
        assert_eq!(kind, Some(HandshakeKind::Full));
    }
}

#[test]
fn a_certificate_of_ours_is_not_yet_a_client() {
    let world = World::new();
    let _daemon = world.start();
    world.pki.client("somebody");
    let answer = world.client("somebody").get("/v1/keys");
    assert_eq!(problem(&answer).kind, ProblemKind::UnknownClient);
}

#[test]
fn what_is_not_granted_is_denied() {
    let world = World::new();
    let _daemon = world.start();
    let mut walletd = world.walletd();
    let from = sender(&mut walletd);
    // A verb.
    world.pki.client("auditor");
    let mut auditor = world.client("auditor");
    assert_eq!(auditor.get("/v1/keys").status, 200);
    let request = transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1));
    assert_eq!(auditor.refused(&request).kind, ProblemKind::NotGranted);
    assert_eq!(
        problem(&auditor.get("/v1/requests/pay")).kind,
        ProblemKind::NotGranted
    );
    // An account: its keys are not shown, and it is not signed for.
    assert_eq!(
        problem(&walletd.get("/v1/keys/vault-1")).kind,
        ProblemKind::NotFound
    );
    let vault = vault_address(&world);
    let request = transfer("vault", &vault, &Draft::transfer(0, CUSTOMER, 1));
    let refused = walletd.refused(&request);
    assert_eq!(refused.kind, ProblemKind::Refused);
    assert!(
        refused
            .reasons
            .iter()
            .any(|reason| reason.code == "account-not-granted"),
        "{refused:?}"
    );
    assert_eq!(
        walletd
            .sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)))
            .request_id,
        "pay"
    );
}

/// What no client is told: read from the token itself.
fn vault_address(world: &World) -> String {
    let shown = world.token.tool(
        "pkcs11-tool",
        &[
            "--module",
            strongroom_softhsm_tests::module::Module::SoftHsm.path(),
            "--token-label",
            strongroom_softhsm_tests::token::LABEL,
            "--list-objects",
            "--type",
            "pubkey",
        ],
    );
    let object = shown
        .split("Public Key Object")
        .find(|object| object.contains("spend:vault-1"));
    let point = object.and_then(|object| object.split("EC_POINT:").nth(1));
    let digits = point
        .unwrap_or_else(|| panic!("{shown}"))
        .split_whitespace()
        .next()
        .unwrap();
    // A DER octet string of an uncompressed point.
    let point = hex::decode(&digits[4..]).unwrap();
    let key = bitcoin::PublicKey::from_slice(&point)
        .unwrap()
        .inner
        .serialize();
    tx::PublicKey::from_bytes(key)
        .unwrap()
        .address(EVM)
        .unwrap()
        .to_string()
}
