//! Whom we believe.

use std::sync::Arc;

use auth_challenge::settings::SettingsError;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Mozilla's roots, compiled in: to read the system's costs more than the whole rest of a cold start. Or those of a file.
///
/// ring rather than aws-lc, whose first use costs 25 ms of CPU for entropy that Lambda has already.
pub(crate) fn config(ca_bundle: Option<&str>) -> Result<Arc<ClientConfig>, SettingsError> {
    let unusable = || SettingsError::new("AWS_CA_BUNDLE", "a file with certificates in PEM");
    let mut roots = RootCertStore::empty();
    match ca_bundle {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            for certificate in CertificateDer::pem_file_iter(file).map_err(|_| unusable())? {
                let certificate = certificate.map_err(|_| unusable())?;
                roots.add(certificate).map_err(|_| unusable())?;
            }
        }
    }
    if roots.is_empty() {
        return Err(unusable());
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| unusable())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
