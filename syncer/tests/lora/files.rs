//! The configuration file: swapped, half-written, invalid, missing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::time::Duration;

use tokio::time::sleep;

use crate::support::{Config, lines_with, run, server, start, take_operations, wait_for_polls, wait_for_status, yaml};

#[tokio::test]
async fn swapped_file_takes_effect_and_removed_adapters_lose_their_series() {
    let server = server().await;
    let config = Config::new();
    config.write(&yaml(&server, "+a=/a +b=/b"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "b", 1, "loaded").await;
    config.write(&yaml(&server, "+b=/b -c"));
    syncer
        .shows(
            &[r#"lora_syncer_adapter_desired{adapter_name="c"} 0"#],
            &[r#"adapter_name="a""#],
        )
        .await
        .unwrap();
    wait_for_polls(&server, 2).await;
    assert_eq!(
        take_operations(&server),
        ["load a /a", "load b /b"],
        "a removed adapter stays loaded"
    );
}

#[tokio::test]
async fn half_written_file_is_not_read() {
    let server = server().await;
    let config = Config::new();
    let text = yaml(&server, "+a=/a +b=/b");
    config.write(&text);
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "b", 1, "loaded").await;
    // In place, in pieces: a truncated file would be invalid, or drop adapters.
    let new = yaml(&server, "+a=/a +b=/b +c=/c");
    for end in (0..new.len()).step_by(8) {
        std::fs::write(config.path(), &new[..end]).unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    std::fs::write(config.path(), &new).unwrap();
    wait_for_status(&syncer, "c", 1, "loaded").await;
    assert_eq!(lines_with(&syncer, "configuration rejected"), 0, "{}", syncer.log());
    assert_eq!(lines_with(&syncer, "configuration read"), 2, "{}", syncer.log());
}

#[tokio::test]
async fn invalid_file_leaves_the_last_valid_one_in_effect_and_every_error_is_logged() {
    let server = server().await;
    let config = Config::new();
    config.write(&yaml(&server, "+a=/a"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    config.write("vLLMLoRAConfig:\n  port: none\n  ensureExist:\n    models:\n    - id: a\n    - source: /b\n");
    let invalid = [
        "lora_syncer_config_valid 0",
        r#"lora_syncer_adapter_status{adapter_name="a"} 1"#,
    ];
    syncer.shows(&invalid, &[]).await.unwrap();
    let log = syncer.log();
    for error in [
        "line 2, column 9, vLLMLoRAConfig.port: expected a number, found a string",
        "line 5, column 7, vLLMLoRAConfig.ensureExist.models[0].source: required, but missing",
        "line 6, column 7, vLLMLoRAConfig.ensureExist.models[1].id: required, but missing",
    ] {
        assert_eq!(
            log.lines().filter(|line| line.contains(error)).count(),
            1,
            "{error}\n{log}"
        );
    }
    server.reset_adapters();
    syncer.shows(&invalid, &[]).await.unwrap();
    wait_for_polls(&server, 3).await;
    assert_eq!(
        take_operations(&server),
        ["load a /a", "load a /a"],
        "the last valid configuration must stay in effect"
    );
    std::fs::remove_file(config.path()).unwrap();
    infertally_harness::eventually(async || match lines_with(&syncer, "cannot be read: No such file") {
        1 => Ok(()),
        lines => Err(format!("{lines} lines").into()),
    })
    .await
    .unwrap();
    config.write(&yaml(&server, "+a=/a +b=/b"));
    syncer.shows(&["lora_syncer_config_valid 1"], &[]).await.unwrap();
    wait_for_status(&syncer, "b", 1, "loaded").await;
}

#[tokio::test]
async fn start_waits_for_a_valid_file() {
    let server = server().await;
    let config = Config::new();
    config.write("vLLMLoRAConfig: [");
    let syncer = start(&config, &[]).await;
    syncer
        .shows(&["lora_syncer_config_valid 0"], &["adapter"])
        .await
        .unwrap();
    assert!(!syncer.is_ready().await);
    config.write(&yaml(&server, "+a=/a"));
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert!(syncer.is_ready().await);
}

/// `lora_syncer_config_valid` is 0 until then, so that an alert can fire.
#[tokio::test]
async fn invalid_file_is_served_as_such_until_the_timeout_ends_the_role_with_64() {
    let config = Config::new();
    config.write("vLLMLoRAConfig: [");
    let syncer = start(&config, &["--health-check-timeout", "3s"]).await;
    let begin = tokio::time::Instant::now();
    syncer
        .shows(&["lora_syncer_config_valid 0"], &["adapter"])
        .await
        .unwrap();
    // Another invalid file does not begin the wait again.
    config.write("vLLMLoRAConfig: {port: 0}");
    let status = infertally_harness::eventually(async || syncer.exit_status().ok_or("it runs".into())).await;
    assert_eq!(status.unwrap().code(), Some(64), "{}", syncer.log());
    assert!(begin.elapsed() > Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(
        syncer.log().lines().last().unwrap().contains("is not a port"),
        "{}",
        syncer.log()
    );
}

#[test]
fn start_without_a_valid_file_exits_with_64() {
    let config = Config::new();
    let arguments = [
        "--health-check-timeout",
        "500ms",
        "--metrics-port",
        "0",
        "--metrics-address",
        "127.0.0.1",
    ];
    for (text, message) in [
        (None, "cannot be read: No such file"),
        (Some("vLLMLoRAConfig: {port: 0}"), "is not a port"),
    ] {
        if let Some(text) = text {
            config.write(text);
        }
        let output = run(&config, &arguments);
        assert_eq!(output.status.code(), Some(64));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.lines().last().unwrap().contains(message), "{errors}");
    }
}

#[tokio::test]
async fn duplicate_adapter_is_loaded_once_and_a_contradictory_one_is_an_error() {
    let server = server().await;
    let config = Config::new();
    config.write(&yaml(&server, "+a=/a +a=/a"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert_eq!(lines_with(&syncer, "duplicate of \"a\" on line 6, ignored"), 1);
    config.write(&yaml(&server, "+a=/a +a=/b"));
    let shown = ["lora_syncer_config_valid 0"];
    syncer.shows(&shown, &[]).await.unwrap();
    assert_eq!(
        lines_with(&syncer, "is already listed on line 6, with another source"),
        1
    );
    wait_for_polls(&server, 2).await;
    assert_eq!(take_operations(&server), ["load a /a"]);
}
