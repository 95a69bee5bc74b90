//! [`tls_failure`], the TLS error among the sources of a connection's error, in words for the log.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

/// What failed in TLS, if that is why the connection failed.
pub fn tls_failure(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(explain(error));
        }
        // The source of an `io::Error` is that of the error inside it.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => explain_certificate(error),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server requires a client certificate".to_owned()
        }
        rustls::Error::AlertReceived(alert) if concerns_certificate(*alert) => format!(
            "the server rejected the client certificate, or requires one: alert {}",
            alert.as_str().unwrap_or_default()
        ),
        rustls::Error::InvalidMessage(_) => format!("the server does not speak TLS: {error}"),
        other => other.to_string(),
    }
}

fn explain_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "the server's certificate is signed by an unknown authority".to_owned(),
        CertificateError::BadSignature => {
            "the server's certificate is signed by another authority of the same name, such as one before its rotation"
                .to_owned()
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the server's certificate expired at {}", date(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the server's certificate is not valid before {}", date(*not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            let names = if names.is_empty() {
                "no name".to_owned()
            } else {
                names.join(", ")
            };
            format!(
                "the server's certificate is valid for {names}, not for {}",
                expected.to_str()
            )
        }
        // webpki accepts no such certificate from a server, although OpenSSL creates self-signed ones so.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the server's certificate is that of a certificate authority (CA:TRUE); a server needs one with CA:FALSE"
                .to_owned()
        }
        other => format!("invalid server certificate: {other}"),
    }
}

/// The name in webpki's `DnsName("localhost")` or `IpAddress(127.0.0.1)`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

/// As certificates have it; unlike the time that has passed since then, it is the same in each attempt's message.
fn date(time: UnixTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}

/// Servers send these alerts when they do not accept a client's certificate; with TLS 1.2, when there is none, too.
fn concerns_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}
