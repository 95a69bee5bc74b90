//! The cluster's keys: its certificate authority, the API server's certificate, and the key that signs tokens.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use crate::Result;

/// Files and keys of a cluster.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The certificate of the authority.
    pub authority: PathBuf,
    /// The API server's certificate.
    pub certificate: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
    /// The key that signs the tokens of service accounts.
    pub signing: PathBuf,
    /// The public key that verifies them.
    pub verifying: PathBuf,
    signer: EcdsaKeyPair,
}

// === impl Keys ===

impl Keys {
    /// Generates keys into files of this directory.
    pub fn new(folder: &Path) -> Result<Self> {
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).map(|()| path)
        };
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(DnType::CommonName, "infertally-tests");
        let authority_key = KeyPair::generate()?;
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let server_key = KeyPair::generate()?;
        let mut server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        let server = server.signed_by(&server_key, &issuer)?;

        let tokens = KeyPair::generate()?;
        let random = SystemRandom::new();
        let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, tokens.serialized_der(), &random)
            .map_err(|error| format!("generate the token signing key: {error}"))?;
        Ok(Self {
            authority: write("ca.crt", &authority_pem)?,
            certificate: write("server.crt", &server.pem())?,
            key: write("server.key", &server_key.serialize_pem())?,
            signing: write("tokens.key", &tokens.serialize_pem())?,
            verifying: write("tokens.pub", &tokens.public_key_pem())?,
            signer,
        })
    }

    /// Signs a JSON Web Token with these claims (ES256).
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&json!({"alg": "ES256"})), part(claims));
        let signature = self
            .signer
            .sign(&SystemRandom::new(), text.as_bytes())
            .map_err(|error| format!("sign a token: {error}"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Generates an unguessable token.
pub(crate) fn random_token() -> Result<String> {
    let mut bytes = [0; 24];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|error| format!("generate a random token: {error}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
