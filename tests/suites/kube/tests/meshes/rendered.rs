//! Runs a translator, and an Envoy with the configuration that it renders.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use infertally_harness::client::get;
use infertally_harness::envoy::Binaries;
use infertally_harness::ports::Port;
use infertally_harness::process::{Process, folder};
use infertally_harness::stats::{Stats, parse};
use infertally_harness::{Result, eventually};
use infertally_manifests::yaml::text;
use serde_json::{Value, json};

pub(crate) const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// A translator's output.
pub(crate) struct Rendered {
    out: Value,
}

/// A running Envoy.
pub(crate) struct Running {
    pub(crate) listener: SocketAddr,
    /// The address that the mesh has Prometheus scrape.
    stats: SocketAddr,
    envoy: Process,
    /// Held until Envoy has ended.
    _ports: Vec<Port>,
}

// === impl Rendered ===

impl Rendered {
    /// Translates objects with the translator that an environment variable names.
    pub(crate) fn by(variable: &str, arguments: &[&str], objects: &[Value]) -> Result<Self> {
        let program = std::env::var_os(variable)
            .ok_or_else(|| format!("{variable} is not set: run these tests with `make test-kube`"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // JSON is YAML.
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        let mut stdin = child.stdin.take().ok_or("no stdin")?;
        stdin.write_all(documents.join("\n---\n").as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(format!("{variable}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(Self {
            out: serde_json::from_slice(&output.stdout)?,
        })
    }

    /// Envoy's bootstrap configuration.
    pub(crate) fn bootstrap(&self) -> &Value {
        &self.out["bootstrap"]
    }

    /// A list in the output.
    pub(crate) fn list(&self, name: &str) -> &[Value] {
        self.out[name].as_array().map_or(&[], Vec::as_slice)
    }

    /// The connection managers that contain the filter, each with its filter chain.
    pub(crate) fn managers(&self) -> Vec<(&Value, &Value)> {
        let chains = self.list("listeners").iter().flat_map(|listener| {
            let named = listener["filter_chains"].as_array().into_iter().flatten();
            named.chain(listener.get("default_filter_chain"))
        });
        chains
            .flat_map(|chain| {
                chain["filters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(move |filter| (chain, filter))
            })
            .map(|(chain, filter)| (chain, &filter["typed_config"]))
            .filter(|(_, manager)| manager["@type"] == MANAGER && self.filters(manager).iter().any(is_wasm))
            .collect()
    }

    /// The HTTP filters of a connection manager, with those of extension discovery inlined.
    pub(crate) fn filters(&self, manager: &Value) -> Vec<Value> {
        let named = |filter: &Value| {
            let found = self
                .list("extensions")
                .iter()
                .find(|extension| extension["name"] == filter["name"]);
            found.unwrap_or(filter).clone()
        };
        manager["http_filters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(named)
            .collect()
    }

    /// Starts Envoy in front of a model server. `stats` is the port that the mesh has Prometheus scrape.
    pub(crate) async fn run(&self, manager: &Value, stats: u16, upstream: SocketAddr) -> Result<Running> {
        let binaries = Binaries::from_env()?;
        let mut config = self.bootstrap().clone();
        for pointer in ["/dynamic_resources", "/cluster_manager", "/node"] {
            remove(&mut config, pointer);
        }
        let clusters = config["static_resources"]["clusters"]
            .as_array_mut()
            .ok_or("the bootstrap has no clusters")?;
        // Keep those of the stats; the others point to the control plane.
        clusters.retain(|cluster| ["prometheus_stats", "agent"].contains(&text(cluster, "/name")));

        let (listener, local_stats) = (Port::reserve()?, Port::reserve()?);
        let admin = config["admin"]["address"]["socket_address"]["port_value"]
            .as_u64()
            .ok_or("the bootstrap has no admin port")?;
        let local_admin = Port::reserve()?;
        let mut others = Vec::new();
        replace_ports(&mut config, &mut |port| match port {
            _ if port == admin => Ok(local_admin.number().into()),
            _ if port == u64::from(stats) => Ok(local_stats.number().into()),
            _ => {
                let other = Port::reserve()?;
                let number = other.number().into();
                others.push(other);
                Ok(number)
            }
        })?;

        let manager = self.localized(manager, &binaries.wasm)?;
        for name in clusters_of(&manager) {
            let endpoint = json!({"endpoint": {"address": address(upstream.port())}});
            let cluster = json!({"name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment":
                {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}});
            push(&mut config, "clusters", cluster)?;
        }
        let filter = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
        let chains = json!([{"filters": [filter]}]);
        push(
            &mut config,
            "listeners",
            json!({"name": "tested", "address": address(listener.number()), "filter_chains": chains}),
        )?;
        Running::start(&binaries, &config, [listener, local_stats, local_admin], others).await
    }

    /// The connection manager with its routes and filters inlined, and the module from a file.
    fn localized(&self, manager: &Value, wasm: &std::path::Path) -> Result<Value> {
        let mut local = manager.clone();
        let mut filters = self.filters(manager);
        // These exist only in Istio's build of Envoy.
        filters.retain(|filter| !text(filter, "/name").starts_with("istio."));
        let wasm_filter = filters.iter_mut().find(|filter| is_wasm(filter)).ok_or("no filter")?;
        wasm_filter["typed_config"]["config"]["vm_config"]["code"] = json!({"local": {"filename": wasm}});
        local["http_filters"] = filters.into();
        if let Some(name) = manager.pointer("/rds/route_config_name") {
            let routes = self.list("routes").iter().find(|routes| routes["name"] == *name);
            local["route_config"] = routes.ok_or_else(|| format!("no routes {name}"))?.clone();
            remove(&mut local, "/rds");
        }
        Ok(local)
    }
}

pub(crate) fn is_wasm(filter: &Value) -> bool {
    filter["typed_config"]["@type"] == WASM
}

fn push(config: &mut Value, list: &str, value: Value) -> Result<()> {
    let list = config["static_resources"][list]
        .as_array_mut()
        .ok_or("the bootstrap lacks a list")?;
    list.push(value);
    Ok(())
}

fn remove(value: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    if let Some(parent) = value.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.remove(key);
    }
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

/// Moves every address to loopback, and every port to a new one; equal ports stay equal.
fn replace_ports(value: &mut Value, new: &mut impl FnMut(u64) -> Result<u64>) -> Result<()> {
    fn each(
        value: &mut Value,
        known: &mut std::collections::BTreeMap<u64, u64>,
        new: &mut impl FnMut(u64) -> Result<u64>,
    ) -> Result<()> {
        match value {
            Value::Array(list) => list.iter_mut().try_for_each(|value| each(value, known, new)),
            Value::Object(map) => {
                if let Some(port) = map.get("port_value").and_then(Value::as_u64) {
                    let local = match known.get(&port) {
                        Some(local) => *local,
                        None => new(port)?,
                    };
                    known.insert(port, local);
                    map.insert("port_value".to_owned(), local.into());
                    map.insert("address".to_owned(), "127.0.0.1".into());
                }
                map.values_mut().try_for_each(|value| each(value, known, new))
            }
            _ => Ok(()),
        }
    }
    each(value, &mut std::collections::BTreeMap::new(), new)
}

/// The clusters of a connection manager's routes.
fn clusters_of(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(list) => list.iter().flat_map(clusters_of).collect(),
        Value::Object(map) => {
            let own = map.get("route").and_then(|route| route["cluster"].as_str());
            let inside = map.values().flat_map(clusters_of);
            inside.chain(own.map(str::to_owned)).collect()
        }
        _ => BTreeSet::new(),
    }
}

// === impl Running ===

impl Running {
    async fn start(
        binaries: &Binaries,
        config: &Value,
        [listener, stats, admin]: [Port; 3],
        others: Vec<Port>,
    ) -> Result<Self> {
        let folder = folder("mesh")?;
        let file = folder.join("envoy.json");
        std::fs::write(&file, config.to_string())?;
        let validated = command(binaries, &file).args(["--mode", "validate"]).output()?;
        if !validated.status.success() {
            return Err(format!(
                "Envoy rejects the configuration: {}",
                String::from_utf8_lossy(&validated.stderr)
            )
            .into());
        }
        let running = Self {
            listener: listener.address(),
            stats: stats.address(),
            envoy: Process::start(&command(binaries, &file), folder)?,
            _ports: [vec![listener, stats, admin.clone()], others].concat(),
        };
        eventually(async || get(admin.address(), "/ready").await.map(drop))
            .await
            .map_err(|error| format!("{error}\n{}", running.log()))?;
        Ok(running)
    }

    /// The filter's series, from the address that the mesh has Prometheus scrape.
    pub(crate) async fn scrape(&self) -> Result<Stats> {
        parse(&get(self.stats, "/stats/prometheus").await?)
    }

    pub(crate) fn log(&self) -> String {
        self.envoy.log()
    }
}

fn command(binaries: &Binaries, config: &PathBuf) -> Command {
    let mut command = Command::new(&binaries.envoy);
    command
        .arg("-c")
        .arg(config)
        .args(["--service-cluster", "tested", "--service-node", "tested"])
        .args(["--concurrency", "1", "-l", "warning", "--disable-hot-restart"]);
    command
}
