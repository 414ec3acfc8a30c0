//! Certificates of authorities that the system does not trust: those of a company or a test server.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use tollgate_base::error::{Error, Result};

/// The variable that the SDKs of other languages take them from.
const VARIABLE: &str = "AWS_CA_BUNDLE";

/// The certificates of the configuration (a file, or their text), or else those of the file that the environment names.
/// They are checked here, since the HTTP client would panic.
///
/// # Errors
/// Config, when the file cannot be read or holds anything that is not a certificate.
pub(super) fn read(configured: Option<&str>) -> Result<Option<Vec<u8>>> {
    let environment = || std::env::var(VARIABLE).ok().filter(|path| !path.trim().is_empty());
    let (text, source) = match configured {
        Some(pem) if pem.contains("-----BEGIN") => (pem.as_bytes().to_vec(), "ca_bundle".to_owned()),
        Some(path) => (file(path)?, path.to_owned()),
        None => match environment() {
            Some(path) => (file(&path)?, path),
            None => return Ok(None),
        },
    };
    match certificates(&text) {
        Ok(0) => Err(unusable(&source, "it holds no certificate")),
        Ok(_) => Ok(Some(text)),
        Err(reason) => Err(unusable(&source, &reason)),
    }
}

fn file(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path.trim()).map_err(|error| unusable(path, &format!("the file cannot be read: {error}")))
}

fn certificates(pem: &[u8]) -> std::result::Result<usize, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots.len())
}

fn unusable(source: &str, reason: &str) -> Error {
    Error::config(format!("the certificates of '{source}' are not usable: {reason}"))
        .hint(format!("set `ca_bundle` or {VARIABLE} to a file with certificates in PEM format"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_with_its_reason() {
        for (bundle, expected) in [
            ("/nonexistent/ca.pem", "the file cannot be read"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not usable"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "it holds no certificate"),
        ] {
            let error = read(Some(bundle)).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
            assert!(error.hint_text().is_some());
        }
    }
}
