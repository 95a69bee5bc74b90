//! [`watch_service`], which watches the EndpointSlices of a Service and sends the targets that they list. Through failures
//! the last targets stay, and each failure is reported once.

use futures::future::OptionFuture;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::DEBOUNCE;
use super::endpoints::{EndpointsError, Slice, targets};
use super::error::ApiError;
use super::reflector::Reflector;
use super::service_ref::ServiceRef;
use super::status::{DiscoveryStatus, Publisher};
use crate::target::Discovered;

/// The label of a slice with the name of its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Watches the slices of a Service and sends the targets whenever they change, until the receiver is dropped. A Service that
/// does not exist is an empty set and a failure.
pub async fn watch_service(client: Client, service: ServiceRef, out: mpsc::Sender<Discovered>) {
    let namespace = service
        .namespace
        .clone()
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let config = watcher::Config::default().labels(&format!("{SERVICE_NAME}={}", service.name));
    let api: Api<EndpointSlice> = Api::namespaced(client, &namespace);
    let mut slices = Reflector::new(api, config, |slice| Slice::from(slice));
    let mut publisher = Publisher::default();
    let mut publish_at = None;
    loop {
        tokio::select! {
            () = out.closed() => return,
            () = slices.changed() => {
                publish_at.get_or_insert_with(|| Instant::now() + DEBOUNCE);
            }
            Some(()) = OptionFuture::from(publish_at.map(sleep_until)) => {
                publish_at = None;
                for update in publisher.updates(status(&slices, &service, &namespace)) {
                    if out.send(update).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

fn status(slices: &Reflector<EndpointSlice, Slice>, service: &ServiceRef, namespace: &str) -> DiscoveryStatus {
    let about = |why: &dyn std::fmt::Display| format!("Service {namespace}/{}: {why}", service.name);
    let error = slices.error().map(|error| match error {
        ApiError::Forbidden(_) => about(&format!(
            "{}; k8s/base/envoy-service has the Role",
            error.about("EndpointSlices")
        )),
        error => about(&error.about("EndpointSlices")),
    });
    match slices.objects().map(|slices| targets(slices, service.port.as_ref())) {
        None => DiscoveryStatus { targets: None, error },
        Some(Ok(targets)) => DiscoveryStatus {
            targets: Some(targets),
            error,
        },
        Some(Err(why @ EndpointsError::NoSlices)) => DiscoveryStatus {
            targets: Some(Vec::new()),
            error: error.or_else(|| Some(about(&why))),
        },
        // The last known endpoints stay until the port is clear.
        Some(Err(why)) => DiscoveryStatus {
            targets: None,
            error: error.or_else(|| Some(about(&why))),
        },
    }
}
