//! The soak scenario of the harness, shortened: the real binary against pods and Envoys that change at random.

use std::path::Path;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_infertally-syncer");

#[tokio::test]
async fn soak_with_pods_and_envoys_that_start_stop_hang_and_serve_invalid_pages() {
    let summary = infertally_harness::soak::soak(Path::new(BINARY), Duration::from_secs(15))
        .await
        .unwrap();
    println!("{summary}");
}
