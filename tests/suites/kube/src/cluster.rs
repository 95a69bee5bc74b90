//! etcd and kube-apiserver as child processes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use infertally_harness::ports::Port;
use infertally_harness::process::{Process, folder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::time::{Instant, sleep};

use crate::Result;
use crate::keys::{Keys, random_token};

/// The limit on a start, for busy machines.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// The limit on a graceful shutdown.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running API server and its etcd, which are killed when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order.
    api_server: Option<Process>,
    _etcd: Process,
    folder: Folder,
    binary: PathBuf,
    ports: Ports,
    pub(crate) keys: Keys,
    admin: String,
}

#[derive(Debug)]
struct Ports {
    api_server: Port,
    etcd: Port,
    etcd_peers: Port,
}

/// A directory that is removed when this is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

// === impl Cluster ===

impl Cluster {
    /// Starts an empty cluster.
    ///
    /// # Errors
    /// If `KUBE_APISERVER` or `ETCD` is not set, or a program does not start; includes its output.
    pub async fn start() -> Result<Self> {
        let (etcd, api_server) = (program("ETCD")?, program("KUBE_APISERVER")?);
        let ports = Ports {
            api_server: Port::reserve()?,
            etcd: Port::reserve()?,
            etcd_peers: Port::reserve()?,
        };
        let folder = Folder(folder("kube")?);
        let keys = Keys::new(&folder.0)?;
        let admin = random_token()?;
        std::fs::write(
            folder.0.join("tokens.csv"),
            format!("{admin},admin,admin,system:masters\n"),
        )?;
        let mut cluster = Self {
            api_server: None,
            _etcd: start_etcd(&etcd, &ports)?,
            folder,
            binary: api_server,
            ports,
            keys,
            admin,
        };
        cluster.start_api_server().await?;
        Ok(cluster)
    }

    /// Starts the API server on its port and waits until it is ready.
    ///
    /// # Errors
    /// If it does not become ready; includes its output.
    pub async fn start_api_server(&mut self) -> Result<()> {
        let process = Process::start(&self.api_server_command(), folder("kube-apiserver")?)?;
        let client = self.client().await?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            let Err(error) = client.request_text(request).await else {
                self.api_server = Some(process);
                return Ok(());
            };
            if let Some(status) = process.exit_status() {
                return Err(format!("kube-apiserver exited ({status}):\n{}", process.log()).into());
            }
            if Instant::now() > deadline {
                return Err(format!("kube-apiserver is not ready: {error}\n{}", process.log()).into());
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Shuts the API server down gracefully, like a rolling update.
    ///
    /// # Errors
    /// If it does not exit in time.
    pub async fn stop_api_server(&mut self) -> Result<()> {
        let Some(process) = self.api_server.take() else {
            return Ok(());
        };
        process.terminate(STOP_TIMEOUT).await?;
        Ok(())
    }

    /// Kills the API server, like the failure of its machine.
    pub fn kill_api_server(&mut self) {
        self.api_server = None;
    }

    /// Returns a client for the administrator.
    ///
    /// # Errors
    /// If the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.admin_config().await?)?)
    }

    /// Returns the client configuration of the administrator.
    ///
    /// # Errors
    /// If the kubeconfig cannot be read.
    pub async fn admin_config(&self) -> Result<Config> {
        self.config(&self.admin).await
    }

    /// Returns the client configuration for a token.
    ///
    /// # Errors
    /// If the kubeconfig cannot be read.
    pub async fn config(&self, token: &str) -> Result<Config> {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig_text(token))?;
        Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }

    /// Writes a kubeconfig file for a token.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn kubeconfig(&self, token: &str) -> Result<PathBuf> {
        let path = self.folder.0.join(format!("kubeconfig-{}", random_token()?));
        std::fs::write(&path, self.kubeconfig_text(token))?;
        Ok(path)
    }

    /// Writes a kubeconfig file for the administrator.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn admin_kubeconfig(&self) -> Result<PathBuf> {
        self.kubeconfig(&self.admin)
    }

    fn kubeconfig_text(&self, token: &str) -> String {
        let (port, authority) = (self.ports.api_server.number(), self.keys.authority.display());
        format!(
            "apiVersion: v1
kind: Config
clusters:
- name: tests
  cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: '{authority}'}}
users:
- name: bearer
  user: {{token: '{token}'}}
contexts:
- name: tests
  context: {{cluster: tests, user: bearer, namespace: default}}
current-context: tests
"
        )
    }

    fn api_server_command(&self) -> Command {
        let Self {
            folder, keys, ports, ..
        } = self;
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let mut command = Command::new(&self.binary);
        command
            .arg(format!("--etcd-servers=http://{}", ports.etcd.address()))
            .arg(format!("--secure-port={}", ports.api_server.number()))
            .args([
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                "--endpoint-reconciler-type=none",
            ])
            .arg(flag("cert-dir", &folder.0))
            .arg(flag("tls-cert-file", &keys.certificate))
            .arg(flag("tls-private-key-file", &keys.key))
            .arg("--authorization-mode=RBAC")
            .arg(flag("token-auth-file", &folder.0.join("tokens.csv")))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(flag("service-account-signing-key-file", &keys.signing))
            .arg(flag("service-account-key-file", &keys.verifying))
            .arg("--service-cluster-ip-range=10.96.0.0/24")
            // A graceful shutdown waits this long for watches over HTTP/1; the default is a minute.
            .arg("--request-timeout=5s");
        command
    }
}

fn start_etcd(binary: &Path, ports: &Ports) -> Result<Process> {
    let folder = folder("etcd")?;
    let url = |port: &Port| format!("http://{}", port.address());
    let mut command = Command::new(binary);
    command
        .arg(format!("--data-dir={}", folder.join("data").display()))
        .arg(format!("--listen-client-urls={}", url(&ports.etcd)))
        .arg(format!("--advertise-client-urls={}", url(&ports.etcd)))
        .arg(format!("--listen-peer-urls={}", url(&ports.etcd_peers)))
        .arg(format!("--initial-advertise-peer-urls={}", url(&ports.etcd_peers)))
        .arg(format!("--initial-cluster=default={}", url(&ports.etcd_peers)))
        .args(["--unsafe-no-fsync", "--log-level=error"]);
    Process::start(&command, folder)
}

fn program(name: &str) -> Result<PathBuf> {
    std::env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{name} is not set: run these tests with `make test-kube`").into())
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}
