//! [`tls_failure`], the TLS error among the sources of a connection's error, in words for the log.

use std::error::Error;
use std::io;
use std::time::Duration;

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
        CertificateError::ExpiredContext { time, not_after } => {
            format!("the server's certificate expired {} ago", between(*not_after, *time))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!(
                "the server's certificate is not valid for another {}",
                between(*time, *not_before)
            )
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = match presented.as_slice() {
                [] => "no name".to_owned(),
                names => names.join(", "),
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

fn between(from: UnixTime, to: UnixTime) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(to.as_secs().saturating_sub(from.as_secs())))
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
