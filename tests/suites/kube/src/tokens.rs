//! Tokens of service accounts: short-lived ones from the API server, and the long-lived one in a Secret, which Kubernetes'
//! token controller would create.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::{Cluster, Result};

/// The annotation with the service account of a Secret.
const ACCOUNT: &str = "kubernetes.io/service-account.name";

impl Cluster {
    /// Requests a token of a service account that is valid for an hour, like `kubectl create token`.
    ///
    /// # Errors
    /// If the account does not exist.
    pub async fn token(&self, namespace: &str, account: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec::default()),
            ..TokenRequest::default()
        };
        let response = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await?;
        let token = response.status.and_then(|status| status.token);
        token.ok_or_else(|| "the TokenRequest has no token".into())
    }

    /// Fills a Secret of type `kubernetes.io/service-account-token`, like the token controller.
    ///
    /// # Errors
    /// If the Secret or its account does not exist.
    pub async fn fill_token_secret(&self, namespace: &str, name: &str) -> Result<()> {
        let client = self.client().await?;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let secret = secrets.get(name).await?;
        let annotations = secret.metadata.annotations.unwrap_or_default();
        let account = annotations.get(ACCOUNT).ok_or("the Secret names no service account")?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client, namespace);
        let uid = accounts.get(account).await?.metadata.uid;
        let token = self.keys.sign(&json!({
            "iss": "kubernetes/serviceaccount",
            "sub": format!("system:serviceaccount:{namespace}:{account}"),
            "kubernetes.io/serviceaccount/namespace": namespace,
            "kubernetes.io/serviceaccount/secret.name": name,
            "kubernetes.io/serviceaccount/service-account.name": account,
            "kubernetes.io/serviceaccount/service-account.uid": uid,
        }))?;
        let data = json!({
            "token": STANDARD.encode(token),
            "ca.crt": STANDARD.encode(std::fs::read(&self.keys.authority)?),
            "namespace": STANDARD.encode(namespace),
        });
        let patch = json!({"metadata": {"annotations": {"kubernetes.io/service-account.uid": uid}}, "data": data});
        secrets
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        Ok(())
    }

    /// Reads the token in a Secret, like the guide's `kubectl get secret`.
    ///
    /// # Errors
    /// If it has none.
    pub async fn token_in_secret(&self, namespace: &str, name: &str) -> Result<String> {
        let secrets: Api<Secret> = Api::namespaced(self.client().await?, namespace);
        let data = secrets.get(name).await?.data.unwrap_or_default();
        let token = data.get("token").ok_or("the Secret has no token")?;
        Ok(String::from_utf8(token.0.clone())?)
    }
}
