//! The real syncer against scripted pods: its page after each step.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests panic on failure"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use infertally_harness::page::{self, Load, full, small};
use infertally_harness::ports::Port;
use infertally_harness::{Behaviour, Fleet, Pod, Syncer};

const BINARY: &str = env!("CARGO_BIN_EXE_infertally-syncer");
/// Short, with slack for a busy machine: values become stale after ten intervals.
const PACE: [&str; 6] = [
    "--scrape-interval",
    "200ms",
    "--scrape-timeout",
    "150ms",
    "--stale-after",
    "2s",
];

fn load(waiting: f64, running: f64, kv_cache: f64) -> Load {
    Load {
        waiting,
        running,
        kv_cache,
    }
}

async fn syncer(arguments: &[&str]) -> Syncer {
    Syncer::pool(Path::new(BINARY), &[&PACE[..], arguments].concat())
        .await
        .unwrap()
}

fn gauge(name: &str, value: f64) -> String {
    format!("inference_pool_{name}{{name=\"default\"}} {value}")
}

fn of_pod(name: &str, pod: &str, value: f64) -> String {
    format!("inference_pool_{name}{{name=\"default\",model_server_pod=\"{pod}\"}} {value}")
}

fn state(state: &str, pods: usize) -> String {
    format!("inference_pool_pods{{name=\"default\",state=\"{state}\"}} {pods}")
}

#[tokio::test]
async fn every_gauge_follows_the_pods() {
    let ports = [(); 2].map(|()| Port::reserve().unwrap());
    let mut fleet = Fleet::default();
    for port in &ports {
        let page = Behaviour::Page(small(load(0.0, 0.0, 0.0)));
        fleet.pods.push(Pod::start_on(port, page).await.unwrap());
    }
    fleet.pods[0].set(Behaviour::Page(full(load(1.0, 2.0, 0.000733)).unwrap()));
    let [a, b] = [fleet.pods[0].target("a"), fleet.pods[1].target("b")];
    let syncer = syncer(&["--target", &a, "--target", &b]).await;
    let both = [
        gauge("average_queue_size", 0.5),
        gauge("average_kv_cache_utilization", 0.0003665),
        gauge("average_running_requests", 1.0),
        gauge("ready_pods", 2.0),
        of_pod("per_pod_queue_size", "a", 1.0),
        of_pod("per_pod_queue_size", "b", 0.0),
        state("ready", 2),
        "inference_extension_info{commit=\"unknown\",build_ref=\"unknown\"} 1".to_owned(),
    ];
    shows(&syncer, &both, &["envoy", "errors_total"]).await;
    assert!(syncer.is_ready().await);

    // Each of these gives no load. The other pod's load stays, and this one's returns when it recovers.
    let text = |text: &str| Behaviour::Page(text.to_owned().into());
    let page = full(load(1.0, 2.0, 0.5)).unwrap();
    for (behaviour, pod_state, reason) in [
        (Behaviour::Hang, "unreachable", "timeout"),
        (Behaviour::Drip, "unreachable", "timeout"),
        (
            Behaviour::Late(page.clone(), Duration::from_secs(2)),
            "unreachable",
            "timeout",
        ),
        (Behaviour::Status(500), "stale", "status"),
        (Behaviour::Status(404), "stale", "status"),
        (Behaviour::Cut(page.clone()), "stale", "body"),
        (text("<html>no metrics</html>"), "stale", "parse"),
        (text("vllm:num_requests_waiting{engine=\"0\"} x\n"), "stale", "parse"),
    ] {
        fleet.pods[0].set(behaviour.clone());
        let expected = [
            gauge("average_queue_size", 0.0),
            gauge("ready_pods", 1.0),
            state("ready", 1),
            state(pod_state, 1),
        ];
        let page = shows(
            &syncer,
            &expected,
            &["queue_size{name=\"default\",model_server_pod=\"a\""],
        )
        .await;
        let error = format!("scrape_errors_total{{name=\"default\",model_server_pod=\"a\",reason=\"{reason}\"}}");
        assert!(page.contains(&error), "{behaviour:?}: {page}");
        fleet.pods[0].set(Behaviour::Page(small(load(4.0, 2.0, 0.5))));
        let expected = [gauge("average_queue_size", 2.0), gauge("ready_pods", 2.0)];
        shows(&syncer, &expected, &[]).await;
    }

    // A missing or invalid value is not zero.
    for missing in [
        "vllm:num_requests_running 3\n",
        "vllm:num_requests_running 3\nvllm:num_requests_waiting NaN\n",
        "vllm:num_requests_running 3\nvllm:num_requests_waiting -1\n",
        "vllm:num_requests_running 3\nvllm:num_requests_waiting +Inf\n",
    ] {
        fleet.pods[0].set(text(missing));
        let expected = [
            gauge("average_queue_size", 0.0),
            of_pod("per_pod_running_requests", "a", 3.0),
            gauge("ready_pods", 2.0),
        ];
        shows(
            &syncer,
            &expected,
            &["queue_size{name=\"default\",model_server_pod=\"a\""],
        )
        .await;
    }
    // The pod runs another engine, with other names; ranks are summed.
    fleet.pods[0].set(text(
        "sglang:num_queue_reqs 6\nsglang:num_running_reqs 1\nsglang:token_usage 0.5\n",
    ));
    shows(&syncer, &[gauge("average_queue_size", 3.0)], &[]).await;
    fleet.pods[0].set(text(
        "vllm:num_requests_waiting{engine=\"0\"} 1\nvllm:num_requests_waiting{engine=\"1\"} 4\n",
    ));
    shows(&syncer, &[of_pod("per_pod_queue_size", "a", 5.0)], &[]).await;

    // One dies, then the other; then both return at their addresses.
    fleet.pods.remove(0);
    shows(&syncer, &[gauge("ready_pods", 1.0), state("unreachable", 1)], &[]).await;
    fleet.pods.clear();
    let none = [gauge("ready_pods", 0.0), state("unreachable", 2)];
    shows(&syncer, &none, &["average", "per_pod"]).await;
    for port in &ports {
        let page = Behaviour::Page(small(load(8.0, 1.0, 1.0)));
        fleet.pods.push(Pod::start_on(port, page).await.unwrap());
    }
    let expected = [gauge("ready_pods", 2.0), gauge("average_queue_size", 8.0)];
    shows(&syncer, &expected, &[]).await;
    assert!(syncer.terminate().await.unwrap().success());
}

#[tokio::test]
async fn adapters_of_a_real_server_are_reported_until_the_next_page() {
    let pod = Pod::start(Behaviour::Page(page::adapters().unwrap())).await.unwrap();
    let syncer = syncer(&["--target", &pod.target("a")]).await;
    let adapters = |state: &str, count: usize| {
        format!("inference_pool_per_pod_adapters{{name=\"default\",model_server_pod=\"a\",state=\"{state}\"}} {count}")
    };
    let info = |adapter: &str, state: &str| {
        format!(
            "inference_pool_per_pod_adapter_info{{name=\"default\",model_server_pod=\"a\",\
             adapter_name=\"{adapter}\",state=\"{state}\"}} 1"
        )
    };
    let expected = [
        adapters("running", 2),
        adapters("waiting", 2),
        of_pod("per_pod_max_adapters", "a", 2.0),
        info("lora-a", "running"),
        info("lora-b", "running"),
        info("lora-a", "waiting"),
        info("lora-b", "waiting"),
    ];
    shows(&syncer, &expected, &[]).await;
    // On a later page the newest series lists no adapter.
    pod.set(Behaviour::Page(full(load(0.0, 0.0, 0.0)).unwrap()));
    let expected = [
        adapters("running", 0),
        adapters("waiting", 0),
        of_pod("per_pod_max_adapters", "a", 2.0),
    ];
    shows(&syncer, &expected, &["adapter_name"]).await;
    pod.set(Behaviour::Page(small(load(0.0, 0.0, 0.0))));
    shows(&syncer, &[gauge("ready_pods", 1.0)], &["adapter"]).await;
}

#[tokio::test]
async fn a_slow_pod_delays_no_other() {
    let fleet = Fleet::start(20, |_| small(load(1.0, 1.0, 0.5))).await.unwrap();
    for pod in fleet.pods.iter().step_by(2) {
        pod.set(Behaviour::Hang);
    }
    let file = std::env::temp_dir().join(format!("infertally-slow-{}", std::process::id()));
    std::fs::write(&file, fleet.targets()).unwrap();
    let syncer = syncer(&["--targets-file", file.to_str().unwrap()]).await;
    shows(&syncer, &[gauge("ready_pods", 10.0), state("unreachable", 10)], &[]).await;
    let served = |first: usize| fleet.pods.iter().skip(first).step_by(2).map(Pod::served).min().unwrap();
    let before = served(1);
    infertally_harness::eventually(async || {
        let (hanging, healthy) = (served(0), served(1));
        if hanging >= 3 && healthy >= before + 10 {
            return Ok(());
        }
        Err(format!("{hanging} scrapes of hanging and {healthy} of healthy pods").into())
    })
    .await
    .unwrap();
    // The file becomes empty: the pods' series disappear.
    std::fs::write(&file, "").unwrap();
    shows(
        &syncer,
        &[gauge("ready_pods", 0.0), state("unreachable", 0)],
        &["pod-0001"],
    )
    .await;
    std::fs::remove_file(&file).unwrap();
}

/// The first scrape of the new pod lasts as long as the test.
#[tokio::test]
async fn a_new_pod_that_hangs_does_not_end_readiness() {
    let [ready, hangs] = [Behaviour::Page(small(load(1.0, 1.0, 0.5))), Behaviour::Hang].map(Pod::start);
    let (ready, hangs) = (ready.await.unwrap(), hangs.await.unwrap());
    let file = std::env::temp_dir().join(format!("infertally-hangs-{}", std::process::id()));
    std::fs::write(&file, ready.target("a")).unwrap();
    let pace = ["--scrape-interval", "300s", "--scrape-timeout", "290s"];
    let source = ["--targets-file", file.to_str().unwrap()];
    let syncer = Syncer::pool(
        Path::new(BINARY),
        &[pace, [source[0], source[1], "--queue-limit", "4"]].concat(),
    )
    .await
    .unwrap();
    let expected = [state("ready", 1), gauge("saturation", 0.5)];
    shows(&syncer, &expected, &[]).await;
    assert!(syncer.is_ready().await);
    std::fs::write(
        &file,
        format!("{}\n{} role=decode\n", ready.target("a"), hangs.target("b")),
    )
    .unwrap();
    let not_ready = "inference_pool_role_ready_pods{name=\"default\",role=\"decode\"} 0".to_owned();
    shows(&syncer, &[state("not_ready", 1), not_ready], &[]).await;
    assert!(syncer.is_ready().await);
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn an_endless_page_fails_at_the_size_limit() {
    let pod = Pod::start(Behaviour::Endless(1 << 30)).await.unwrap();
    let arguments = [
        "--target",
        &pod.target("a"),
        "--max-page-bytes",
        "1000000",
        "--scrape-interval",
        "20s",
        "--scrape-timeout",
        "15s",
        "--stale-after",
        "60s",
    ];
    let syncer = Syncer::pool(Path::new(BINARY), &arguments).await.unwrap();
    let error = "inference_pool_scrape_errors_total{name=\"default\",model_server_pod=\"a\",reason=\"too_large\"} 1";
    shows(&syncer, &[error.to_owned(), state("stale", 1)], &[]).await;
}

#[tokio::test]
async fn configured_metrics_pool_name_and_aliases_are_served() {
    let page = "my_queue{kind=\"a\"} 3\nmy_queue{kind=\"b\"} 9\nmy_running 2\nmy_cache 0.25\n";
    let pod = Pod::start(Behaviour::Page(page.into())).await.unwrap();
    let target = pod.target("a");
    let syncer = syncer(&[
        "--target",
        &target,
        "--pool",
        "my pool",
        "--waiting-metric",
        "my_queue{kind=b}",
        "--running-metric",
        "my_running",
        "--kv-cache-metric",
        "my_cache",
        "--alias",
        "llm_d_epp",
    ])
    .await;
    let expected = [
        "inference_pool_average_queue_size{name=\"my pool\"} 9",
        "inference_pool_average_running_requests{name=\"my pool\"} 2",
        "inference_pool_average_kv_cache_utilization{name=\"my pool\"} 0.25",
        "llm_d_epp_ready_endpoints{name=\"my pool\"} 1",
        "llm_d_epp_std_dev_queue_size{name=\"my pool\"} 0",
    ];
    shows(&syncer, &expected.map(str::to_owned), &[]).await;
}

#[test]
fn invalid_arguments_exit_with_64_and_are_reported() {
    for (arguments, message) in [
        (&[][..], "nothing to scrape"),
        (&["--target", "h:1"], "not an http:// or https:// URL"),
        (&["--target", "http://h:1", "--dns", "h:1"], "cannot be used with"),
        (
            &["--target", "a=http://h:1", "--target", "a=http://h:2"],
            "two targets have this name",
        ),
        (
            &["--target", "http://h:1", "--scrape-interval", "0s"],
            "must be longer than 0",
        ),
        (
            &["--target", "http://h:1", "--scrape-timeout", "1s"],
            "must be shorter than --scrape-interval",
        ),
        (
            &["--target", "http://h:1", "--stale-after", "1s"],
            "must be longer than --scrape-interval",
        ),
        (&["--target", "http://h:1", "--engine", "ollama"], "\"ollama\""),
        (&["--target", "http://h:1", "--queue-limit", "0"], "greater than 0"),
        (&["--target", "http://h:1", "--queue-limit", "NaN"], "greater than 0"),
        (&["--target", "http://h:1", "--role-label", ""], "--role-label"),
        (&["--target", "http://h:1 role=a/b"], "invalid role \"a/b\""),
        (&["--target", "http://h:1", "--alias", "x"], "\"x\""),
        (
            &["--target", "http://h:1", "--metrics-auth", "token"],
            "requires --token-file",
        ),
        (
            &["--target", "http://h:1", "--token-file", "f"],
            "requires --metrics-auth token",
        ),
        (&["--target", "http://h:1", "--tls-cert", "f"], "require each other"),
        (&["--target", "http://h:1", "--target-ca-file", "/nowhere"], "/nowhere"),
        (
            &[
                "--target",
                "http://h:1",
                "--tls-cert",
                "/nowhere",
                "--tls-key",
                "/nowhere",
            ],
            "/nowhere",
        ),
        (
            &[
                "--target",
                "http://h:1",
                "--metrics-auth",
                "token",
                "--token-file",
                "/nowhere",
            ],
            "/nowhere",
        ),
        (
            &["--envoy", "http://h:1", "--envoy", "http://h:1/stats"],
            "duplicate --envoy h:1",
        ),
        (
            &["--envoy", "http://h:1", "--envoy-timeout", "6s"],
            "--envoy-timeout 6s must not be longer than --envoy-interval 5s",
        ),
        (
            &["--envoy", "http://h:1", "--envoy-stale-after", "5s"],
            "--envoy-stale-after 5s must be longer than --envoy-interval 5s",
        ),
        (
            &["--envoy", "http://h:1", "--envoy-service", "envoy"],
            "cannot be used with",
        ),
        (
            &["--envoy-dns", "h:1", "--envoy-service", "envoy"],
            "cannot be used with",
        ),
        (&["--envoy-service", "envoy:0"], "invalid Service `envoy:0`"),
        (&["--envoy-dns", "envoy"], "expected HOST:PORT"),
        (&["--kubernetes", "A/b"], "`A`"),
        (&["--kubernetes", "*/*"], "`*`"),
        (
            &["--kubernetes", "a/b,a/c,a/b"],
            "--kubernetes a/b: another --kubernetes a/b covers it",
        ),
        (
            &["--kubernetes", "a/b", "--kubernetes", "a/*"],
            "--kubernetes a/b: another --kubernetes a/* covers it",
        ),
        (&["--kubernetes", "a,b", "--pool", "p"], "--pool names one pool"),
        (&["--kubernetes", "a/*", "--pool", "p"], "--pool names one pool"),
        (&["--kubernetes", "a", "--target", "http://h:1"], "cannot be used with"),
        (&["--no-such-flag"], "--no-such-flag"),
    ] {
        // Some are found after the default port would be bound, which may be in use.
        let done = run(arguments, &[("INFERTALLY_LISTEN", "127.0.0.1:0")]);
        assert_eq!(done.status.code(), Some(64), "{arguments:?}");
        let stderr = String::from_utf8(done.stderr).unwrap();
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
}

#[test]
fn an_address_in_use_exits_with_70() {
    let in_use = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = in_use.local_addr().unwrap().to_string();
    let done = run(&["--target", "http://h:1", "--listen", &address], &[]);
    assert_eq!(done.status.code(), Some(70));
    assert!(String::from_utf8(done.stderr).unwrap().contains(&address));
}

#[test]
fn environment_variables_set_flags_that_are_not_given() {
    let done = run(&[], &[("INFERTALLY_TARGET", "a=http://h:1,a=http://h:2")]);
    assert!(
        String::from_utf8(done.stderr)
            .unwrap()
            .contains("two targets have this name")
    );
    let done = run(
        &["--scrape-interval", "1s"],
        &[
            ("INFERTALLY_TARGET", "http://h:1"),
            ("INFERTALLY_SCRAPE_TIMEOUT", "2s"),
            ("INFERTALLY_SCRAPE_INTERVAL", "9s"),
        ],
    );
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(
        stderr.contains("--scrape-timeout 2s must be shorter than --scrape-interval 1s"),
        "{stderr}"
    );
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> std::process::Output {
    Command::new(BINARY)
        .arg("pool")
        .args(arguments)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

async fn shows(syncer: &Syncer, lines: &[String], parts: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    syncer.shows(&lines, parts).await.unwrap()
}
