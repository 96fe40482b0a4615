//! A door with TLS before a service that speaks none, and certificates that are good or not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certificate {
    Good,
    OfAnotherName,
    Expired,
    VouchedForByNobody,
}

/// One certificate of each kind.
pub(crate) struct Certificates {
    good: Arc<ServerConfig>,
    of_another_name: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
    vouched_for_by_nobody: Arc<ServerConfig>,
    /// A file with those that are vouched for.
    pub(crate) bundle: PathBuf,
}

impl Certificates {
    /// Makes them, and writes the bundle into a folder.
    ///
    /// # Errors
    ///
    /// When they cannot be made, or the file not be written.
    pub(crate) fn make(folder: &Path) -> io::Result<Certificates> {
        let (good, good_text) = certificate("localhost", 4_096)?;
        let (of_another_name, another_text) = certificate("another.example", 4_096)?;
        let (expired, expired_text) = certificate("localhost", 2_001)?;
        let (vouched_for_by_nobody, _) = certificate("localhost", 4_096)?;
        let bundle = folder.join("vouched-for.pem");
        fs::write(&bundle, [good_text, another_text, expired_text].concat())?;
        Ok(Certificates { good, of_another_name, expired, vouched_for_by_nobody, bundle })
    }

    fn of(&self, kind: Certificate) -> &Arc<ServerConfig> {
        match kind {
            Certificate::Good => &self.good,
            Certificate::OfAnotherName => &self.of_another_name,
            Certificate::Expired => &self.expired,
            Certificate::VouchedForByNobody => &self.vouched_for_by_nobody,
        }
    }
}

/// A certificate for a name until a year, as a server has it and as text.
fn certificate(name: &str, until: i32) -> io::Result<(Arc<ServerConfig>, String)> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut parameters = CertificateParams::new([name.to_owned()]).map_err(io::Error::other)?;
    (parameters.not_before, parameters.not_after) = (date_time_ymd(2_000, 1, 1), date_time_ymd(until, 1, 1));
    let certificate = parameters.self_signed(&key).map_err(io::Error::other)?;
    let secret = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], secret))
        .map_err(io::Error::other)?;
    Ok((Arc::new(config), certificate.pem()))
}

/// The door.
pub(crate) struct Door {
    pub(crate) url: String,
    shows: Arc<Mutex<Arc<ServerConfig>>>,
    open: JoinHandle<()>,
}

impl Door {
    /// Opens a door before the service at an `http` URL.
    ///
    /// # Errors
    ///
    /// When there is no port for it.
    pub(crate) async fn open(url: &str, certificates: &Certificates) -> io::Result<Door> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shows = Arc::new(Mutex::new(Arc::clone(certificates.of(Certificate::Good))));
        let (behind, shown) = (url.trim_start_matches("http://").to_owned(), Arc::clone(&shows));
        let open = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let config = Arc::clone(&shown.lock().unwrap_or_else(PoisonError::into_inner));
                let behind = behind.clone();
                tokio::spawn(async move {
                    let mut outside = TlsAcceptor::from(config).accept(stream).await?;
                    let mut inside = TcpStream::connect(behind).await?;
                    copy_bidirectional(&mut outside, &mut inside).await
                });
            }
        });
        Ok(Door { url: format!("https://localhost:{port}"), shows, open })
    }

    /// The certificate that is shown from now on.
    pub(crate) fn show(&self, certificates: &Certificates, kind: Certificate) {
        *self.shows.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(certificates.of(kind));
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.open.abort();
    }
}
