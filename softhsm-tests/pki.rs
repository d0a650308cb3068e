//! Certificates, made by the project's own authority.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use rustls::{ClientConfig, version::TLS13};

use crate::{
    program::{binary, run},
    tls::{self, Credentials},
};

/// A name of every daemon's, for clients that take no address.
pub const HOST: &str = "signerd.strongroom.test";

/// An authority and what it has issued.
#[derive(Debug)]
pub struct Pki {
    folder: PathBuf,
}

impl Pki {
    /// Founds an authority in a new folder.
    pub fn found(folder: PathBuf, name: &str) -> Self {
        let pki = Self { folder };
        pki.strongroom(&["init", "--name", name]);
        pki
    }

    /// Its certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Its revocation list.
    pub fn list(&self) -> PathBuf {
        self.folder.join("crl.pem")
    }

    /// A certificate for the daemon at this address; certificate and key.
    pub fn server(&self, ip: IpAddr) -> (PathBuf, PathBuf) {
        self.server_named("signerd", ip)
    }

    /// A certificate for a daemon of this name at this address; certificate and key.
    pub fn server_named(&self, name: &str, ip: IpAddr) -> (PathBuf, PathBuf) {
        self.issue("server", name, &["--ip", &ip.to_string(), "--dns", HOST]);
        self.files(name)
    }

    /// A certificate for a client.
    pub fn client(&self, name: &str) {
        self.client_with(name, &[]);
    }

    /// A certificate for a client, with further arguments, such as a date.
    pub fn client_with(&self, name: &str, arguments: &[&str]) {
        self.issue("client", name, arguments);
    }

    /// Revokes a client's certificate and writes a fresh list.
    pub fn revoke(&self, name: &str) {
        self.strongroom(&["revoke", "--name", name]);
    }

    /// What a client uses that trusts this authority and presents its certificate.
    pub fn config(&self, name: &str) -> Arc<ClientConfig> {
        tls::client(&self.authority(), Some(self.credentials(name)), &TLS13)
    }

    /// A client's certificate and key.
    pub fn credentials(&self, name: &str) -> Credentials {
        let (certificate, key) = self.files(name);
        Credentials::read(&certificate, &key)
    }

    /// Where the certificate and the key of a name are.
    pub fn files(&self, name: &str) -> (PathBuf, PathBuf) {
        let issued = self.folder.join("issued");
        (
            issued.join(format!("{name}.pem")),
            issued.join(format!("{name}.key")),
        )
    }

    fn issue(&self, kind: &str, name: &str, arguments: &[&str]) {
        let out = self.folder.join("issued");
        let out = out.to_str().expect("a path of UTF-8");
        self.strongroom(&[&["issue", kind, "--name", name, "--out", out], arguments].concat());
    }

    fn strongroom(&self, arguments: &[&str]) {
        let folder: &Path = &self.folder;
        run(Command::new(binary("strongroom"))
            .args(["pki", "--dir"])
            .arg(folder)
            .args(arguments));
    }
}
