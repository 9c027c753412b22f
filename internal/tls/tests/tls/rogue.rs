//! A peer that looks at nothing: it shows whatever it has, and believes anybody.

use std::sync::Arc;

use pubsub_testkit::certs::Issued;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs::default_provider};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

/// Versions of TLS.
type Versions<'a> = &'a [&'static SupportedProtocolVersion];

/// Shows this chain, with the key of its first certificate.
pub(crate) fn dialer(chain: &[&Issued]) -> ClientConfig {
    dialer_of(chain, rustls::ALL_VERSIONS)
}

/// The same, and speaks these versions only.
pub(crate) fn dialer_of(chain: &[&Issued], versions: Versions<'_>) -> ClientConfig {
    base(versions).with_client_cert_resolver(shown(chain))
}

/// Shows nothing.
pub(crate) fn dialer_without_certificate() -> ClientConfig {
    base(rustls::ALL_VERSIONS).with_no_client_auth()
}

/// Shows this chain, with the key of its first certificate, and asks for none.
pub(crate) fn listener(chain: &[&Issued]) -> ServerConfig {
    listener_of(chain, rustls::ALL_VERSIONS)
}

/// The same, and speaks these versions only.
pub(crate) fn listener_of(chain: &[&Issued], versions: Versions<'_>) -> ServerConfig {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(shown(chain))
}

fn base(
    versions: Versions<'_>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

fn shown(chain: &[&Issued]) -> Arc<SingleCertAndKey> {
    let ders = chain.iter().map(|issued| CertificateDer::from(issued.der.clone())).collect();
    let key = PrivateKeyDer::from_pem_file(&chain[0].key).unwrap();
    let key = provider().key_provider.load_private_key(key).unwrap();
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(ders, key)))
}

#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
