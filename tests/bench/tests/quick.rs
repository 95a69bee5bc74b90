//! One short round: every Envoy starts, responds and counts what was sent.

use infertally_bench::report::tables;
use infertally_bench::run::{Options, run};
use infertally_bench::variant::Variant;
use infertally_bench::workload::Workload;
use infertally_harness::envoy::Binaries;

#[tokio::test]
async fn a_short_round_measures_every_envoy_and_checks_its_metrics() {
    let Binaries { envoy, wasm } = Binaries::from_env().unwrap();
    let options = Options {
        envoy,
        wasm: wasm.clone(),
        variants: vec![
            Variant::Plain,
            Variant::Infertally,
            Variant::OtherBuild(wasm.clone()),
            Variant::OtherBuild(wasm),
            Variant::Cpp,
            Variant::ExtProc(env!("CARGO_BIN_EXE_ext-proc").into()),
        ],
        workers: 1,
        rounds: 1,
        held_streams: 0,
    };
    let figures = run(&options, Workload::all(10)).await.unwrap();
    assert_eq!((figures.variants.len(), figures.workloads.len()), (6, 4));
    for workload in &figures.workloads {
        for slices in &workload.variants {
            assert!(
                slices.cpu_us.iter().chain(&slices.p50_us).all(|value| *value > 0.0),
                "{workload:?}"
            );
        }
    }
    assert!(tables(&figures).contains("CPU, µs"));
}
