//! One short round: every Envoy starts, responds and counts what was sent.

use infertally_bench::report::tables;
use infertally_bench::run::{Options, run};
use infertally_harness::envoy::Binaries;

#[tokio::test]
async fn a_short_round_measures_every_envoy_and_checks_its_metrics() {
    let Binaries { envoy, wasm } = Binaries::from_env().unwrap();
    let options = Options {
        envoy,
        other: vec![wasm.clone(); 2],
        wasm,
        noop: None,
        only: Vec::new(),
        rounds: 1,
        percent: 10,
    };
    let figures = run(&options).await.unwrap();
    assert_eq!((figures.variants.len(), figures.workloads.len()), (5, 4));
    for workload in &figures.workloads {
        for slices in &workload.variants {
            assert!(
                slices.cpu_us.iter().chain(&slices.p50_us).all(|value| *value > 0.0),
                "{workload:?}"
            );
        }
    }
    assert!(tables(&figures).contains("Envoy's CPU"));
}
