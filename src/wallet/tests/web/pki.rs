//! Certificates of an authority that lives as long as a test.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};

/// An authority.
pub struct Pki {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate with its key, PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Pki {
    /// Founds an authority that writes to a folder.
    pub fn found(folder: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pki = Self {
            issuer,
            folder: folder.into(),
        };
        pki.revoke(&[]);
        pki
    }

    /// The authority's certificate, PEM.
    pub fn root(&self) -> String {
        self.issuer.pem()
    }

    /// The file of the revocation list.
    pub fn list(&self) -> PathBuf {
        self.folder.join("crl.pem")
    }

    /// A certificate of a serial number for a URI.
    pub fn client(&self, uri: &str, serial: u64) -> Issued {
        let mut params = CertificateParams::default();
        let uri = SanType::URI(uri.try_into().unwrap());
        params.subject_alt_names.push(uri);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from(serial));
        self.issue(params)
    }

    /// The server's certificate and key, as files.
    pub fn server(&self) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issued = self.issue(params);
        let files = (
            self.folder.join("server.pem"),
            self.folder.join("server.key"),
        );
        std::fs::write(&files.0, issued.certificate).unwrap();
        std::fs::write(&files.1, issued.key).unwrap();
        files
    }

    /// Writes the list of the certificates that are revoked.
    pub fn revoke(&self, serials: &[u64]) {
        let now = OffsetDateTime::now_utc();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now - Duration::minutes(1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now - Duration::minutes(1),
            next_update: now + Duration::days(1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).unwrap();
        std::fs::write(self.list(), list.pem().unwrap()).unwrap();
    }

    fn issue(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}
