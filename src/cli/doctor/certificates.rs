//! Certificates and revocation lists: what is expired keeps every client out.

use std::path::Path;

use ::policy::Policy;
use jiff::{SignedDuration, Timestamp};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{ASN1Time, CertificateRevocationList, FromDer, X509Certificate};

use super::check::{Check, chain};
use super::config::Config;
use crate::files;

/// Long enough to renew a certificate.
const CERTIFICATE_NOTICE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Long enough to bring a revocation list.
const LIST_NOTICE: SignedDuration = SignedDuration::from_hours(3 * 24);

pub(super) fn checks(config: &Config, policy: Option<&Policy>, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![server_certificate(config, now), server_key(config)];
    let issuers = lists(config, now, &mut checks);
    if let Some(policy) = policy {
        checks.push(client_roots(policy, &issuers, now));
    }
    checks
}

/// Until when something holds.
enum Term {
    Holds(Timestamp),
    Ends(Timestamp),
    Ended(Timestamp),
    Begins(Timestamp),
}

fn term(begins: ASN1Time, ends: ASN1Time, now: Timestamp, notice: SignedDuration) -> Option<Term> {
    let begins = Timestamp::from_second(begins.timestamp()).ok()?;
    let ends = Timestamp::from_second(ends.timestamp()).ok()?;
    Some(if now < begins {
        Term::Begins(begins)
    } else if ends <= now {
        Term::Ended(ends)
    } else if ends.duration_since(now) < notice {
        Term::Ends(ends)
    } else {
        Term::Holds(ends)
    })
}

fn judged(name: &'static str, what: &str, term: Option<Term>, next: &str) -> Check {
    match term {
        Some(Term::Holds(ends)) => Check::ok(name, format!("{what} is valid until {ends}")),
        Some(Term::Ends(ends)) => Check::warn(name, format!("{what} ends at {ends}"), next),
        Some(Term::Ended(ends)) => Check::fail(name, format!("{what} ended at {ends}"), next),
        Some(Term::Begins(begins)) => {
            let detail = format!("{what} is not valid before {begins}");
            Check::fail(
                name,
                detail,
                "Check the clock of this machine and of the authority.",
            )
        }
        None => Check::fail(name, format!("{what} cannot be read"), next),
    }
}

fn certificate_term(der: &[u8], now: Timestamp) -> Option<Term> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    term(
        validity.not_before,
        validity.not_after,
        now,
        CERTIFICATE_NOTICE,
    )
}

fn server_certificate(config: &Config, now: Timestamp) -> Check {
    let name = "server-certificate";
    let path = &config.api.certificate;
    let next = "Run `strongroom pki renew`, install the new one, and reload signerd with SIGHUP.";
    match CertificateDer::from_pem_file(path) {
        Ok(der) => judged(
            name,
            &path.display().to_string(),
            certificate_term(&der, now),
            next,
        ),
        Err(error) => Check::fail(
            name,
            format!("{} holds no certificate: {error}", path.display()),
            "Run `strongroom pki issue server` and name what it wrote in [api] of the configuration.",
        ),
    }
}

fn server_key(config: &Config) -> Check {
    let name = "server-key";
    let path = &config.api.key;
    let next = "Install the key that was made with the certificate, with mode 0600.";
    if let Err(error) = files::check_private(path) {
        return Check::fail(name, chain(&error), next);
    }
    match fits(&config.api.certificate, path) {
        Ok(()) => Check::ok(name, format!("{} fits the certificate", path.display())),
        Err(reason) => Check::fail(name, format!("{}: {reason}", path.display()), next),
    }
}

fn fits(certificate: &Path, key: &Path) -> Result<(), String> {
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| error.to_string())?;
    let certificates = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| error.to_string())?;
    CertifiedKey::from_der(certificates, key, &aws_lc_rs::default_provider())
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Checks the lists; returns their issuers' names, as they are encoded.
fn lists(config: &Config, now: Timestamp, checks: &mut Vec<Check>) -> Vec<Vec<u8>> {
    let name = "revocation-list";
    let next = "Run `strongroom pki crl` where the authority is, install the list, and reload signerd with SIGHUP.";
    let mut issuers = Vec::new();
    if config.api.crls.is_empty() {
        checks.push(Check::fail(
            name,
            "the configuration names none: no client is let in",
            next,
        ));
    }
    for path in &config.api.crls {
        let shown = path.display().to_string();
        let found: Vec<_> = CertificateRevocationListDer::pem_file_iter(path)
            .map(|found| found.filter_map(Result::ok).collect())
            .unwrap_or_default();
        if found.is_empty() {
            checks.push(Check::fail(name, format!("{shown} holds no list"), next));
        }
        for der in found {
            let Ok((_, list)) = CertificateRevocationList::from_der(&der) else {
                checks.push(Check::fail(name, format!("{shown} cannot be read"), next));
                continue;
            };
            let until = list.next_update();
            let term = until.and_then(|until| term(list.last_update(), until, now, LIST_NOTICE));
            checks.push(judged(name, &shown, term, next));
            issuers.push(list.issuer().as_raw().to_vec());
        }
    }
    issuers
}

fn client_roots(policy: &Policy, issuers: &[Vec<u8>], now: Timestamp) -> Check {
    let name = "client-roots";
    let next =
        "Put the authority's certificate into roots/ of the bundle, and its list into [api] crls.";
    let mut roots = 0;
    for pem in &policy.client_roots {
        for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let unreadable = || Check::fail(name, "a root of the policy cannot be read", next);
            let Ok(der) = der else { return unreadable() };
            let Ok((_, root)) = X509Certificate::from_der(&der) else {
                return unreadable();
            };
            let subject = root.subject();
            let shown = format!("the root {subject}");
            match certificate_term(&der, now) {
                Some(Term::Holds(_)) => {}
                other => return judged(name, &shown, other, next),
            }
            if !issuers.iter().any(|issuer| issuer == subject.as_raw()) {
                let detail =
                    format!("{shown} has no revocation list: none of its clients is let in");
                return Check::fail(name, detail, next);
            }
            roots += 1;
        }
    }
    if roots == 0 {
        return Check::fail(name, "the policy has none: no client is let in", next);
    }
    Check::ok(
        name,
        format!("{roots} in the policy, each with a revocation list"),
    )
}
