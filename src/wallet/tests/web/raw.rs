//! HTTP/1.1 over TLS, written as a test wants it.

use std::{net::SocketAddr, sync::Arc};

use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http1::SendRequest, header::CONTENT_TYPE};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::pki::Issued;

/// A connection.
pub struct Connection(SendRequest<Full<Bytes>>);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub media_type: String,
    pub allow: Option<String>,
    pub body: Vec<u8>,
}

/// Connects with a client's certificate, or without any.
pub async fn connect(
    address: SocketAddr,
    root: &str,
    issued: Option<&Issued>,
) -> std::io::Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    let connector = TlsConnector::from(Arc::new(config(root, issued)));
    let name = ServerName::IpAddress(address.ip().into());
    let stream = connector.connect(name, stream).await?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, driver) = handshake.map_err(std::io::Error::other)?;
    // How it ends, the call that is on it learns.
    tokio::spawn(async { drop(driver.await) });
    Ok(Connection(sender))
}

fn config(root: &str, issued: Option<&Issued>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let Some(issued) = issued else {
        return builder.with_no_client_auth();
    };
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    builder
        .with_client_auth_cert(vec![certificate], key)
        .unwrap()
}

impl Connection {
    /// Asks, and reads the whole answer.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> hyper::Result<Answer> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", "walletd");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        self.0.ready().await?;
        let response = self.0.send_request(request).await?;
        let (head, body) = response.into_parts();
        let text = |name: hyper::header::HeaderName| {
            let value = head.headers.get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        Ok(Answer {
            status: head.status.as_u16(),
            media_type: text(CONTENT_TYPE).unwrap_or_default(),
            allow: text(hyper::header::ALLOW),
            body: body.collect().await?.to_bytes().to_vec(),
        })
    }
}
