//! What becomes of the configuration's file: swapped, half-written, wrong, not there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::time::Duration;

use tokio::time::sleep;

use crate::stage::{Config, calls, logged, passes, run, server, stands, start, yaml};

#[tokio::test]
async fn a_swapped_file_is_read_and_what_leaves_it_loses_its_series() {
    let server = server().await;
    let config = Config::new();
    config.says(&yaml(&server, "+a=/a +b=/b"));
    let syncer = start(&config, &[]).await;
    stands(&syncer, "b", 1, "loaded").await;
    config.says(&yaml(&server, "+b=/b -c"));
    syncer
        .shows(
            &[r#"lora_syncer_adapter_desired{adapter_name="c"} 0"#],
            &[r#"adapter_name="a""#],
        )
        .await
        .unwrap();
    passes(&server, 2).await;
    assert_eq!(calls(&server), ["load a /a", "load b /b"], "it stays loaded");
}

#[tokio::test]
async fn a_file_that_is_just_being_written_is_not_read() {
    let server = server().await;
    let config = Config::new();
    let text = yaml(&server, "+a=/a +b=/b");
    config.says(&text);
    let syncer = start(&config, &[]).await;
    stands(&syncer, "b", 1, "loaded").await;
    // In place, in pieces. An empty or a cut one would be a mistake, or adapters would leave.
    let new = yaml(&server, "+a=/a +b=/b +c=/c");
    for end in (0..new.len()).step_by(8) {
        std::fs::write(config.path(), &new[..end]).unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    std::fs::write(config.path(), &new).unwrap();
    stands(&syncer, "c", 1, "loaded").await;
    assert_eq!(logged(&syncer, "cannot be used"), 0, "{}", syncer.log());
    assert_eq!(logged(&syncer, "the configuration was read"), 2, "{}", syncer.log());
}

#[tokio::test]
async fn a_wrong_file_leaves_the_last_good_one_in_force_and_every_mistake_is_told() {
    let server = server().await;
    let config = Config::new();
    config.says(&yaml(&server, "+a=/a"));
    let syncer = start(&config, &[]).await;
    stands(&syncer, "a", 1, "loaded").await;
    config.says("vLLMLoRAConfig:\n  port: none\n  ensureExist:\n    models:\n    - id: a\n    - source: /b\n");
    let invalid = [
        "lora_syncer_config_valid 0",
        r#"lora_syncer_adapter_status{adapter_name="a"} 1"#,
    ];
    syncer.shows(&invalid, &[]).await.unwrap();
    let log = syncer.log();
    for mistake in [
        "line 2, column 9, vLLMLoRAConfig.port: is text, not a number",
        "line 5, column 7, vLLMLoRAConfig.ensureExist.models[0].source: is missing",
        "line 6, column 7, vLLMLoRAConfig.ensureExist.models[1].id: is missing",
    ] {
        assert_eq!(
            log.lines().filter(|line| line.contains(mistake)).count(),
            1,
            "{mistake}\n{log}"
        );
    }
    server.reset_adapters();
    syncer.shows(&invalid, &[]).await.unwrap();
    passes(&server, 3).await;
    assert_eq!(calls(&server), ["load a /a", "load a /a"], "it is still kept up");
    std::fs::remove_file(config.path()).unwrap();
    infertally_harness::eventually(async || match logged(&syncer, "cannot be read: No such file") {
        1 => Ok(()),
        lines => Err(format!("{lines} lines").into()),
    })
    .await
    .unwrap();
    config.says(&yaml(&server, "+a=/a +b=/b"));
    syncer.shows(&["lora_syncer_config_valid 1"], &[]).await.unwrap();
    stands(&syncer, "b", 1, "loaded").await;
}

#[tokio::test]
async fn a_start_without_a_good_file_waits_for_one() {
    let server = server().await;
    let config = Config::new();
    config.says("vLLMLoRAConfig: [");
    let syncer = start(&config, &[]).await;
    syncer
        .shows(&["lora_syncer_config_valid 0"], &["adapter"])
        .await
        .unwrap();
    assert!(!syncer.is_ready().await);
    config.says(&yaml(&server, "+a=/a"));
    stands(&syncer, "a", 1, "loaded").await;
    assert!(syncer.is_ready().await);
}

#[test]
fn a_start_whose_file_never_gets_good_ends_with_64() {
    let config = Config::new();
    let arguments = [
        "--health-check-timeout",
        "500ms",
        "--metrics-port",
        "0",
        "--metrics-address",
        "127.0.0.1",
    ];
    for (text, why) in [
        (None, "cannot be read: No such file"),
        (Some("vLLMLoRAConfig: {port: 0}"), "is not a port"),
    ] {
        if let Some(text) = text {
            config.says(text);
        }
        let output = run(&config, &arguments);
        assert_eq!(output.status.code(), Some(64));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.lines().last().unwrap().contains(why), "{errors}");
    }
}

#[tokio::test]
async fn an_adapter_that_is_given_twice_is_loaded_once_and_one_that_contradicts_itself_is_a_mistake() {
    let server = server().await;
    let config = Config::new();
    config.says(&yaml(&server, "+a=/a +a=/a"));
    let syncer = start(&config, &[]).await;
    stands(&syncer, "a", 1, "loaded").await;
    assert_eq!(logged(&syncer, "was given before, on line 6; once is enough"), 1);
    config.says(&yaml(&server, "+a=/a +a=/b"));
    let shown = ["lora_syncer_config_valid 0"];
    syncer.shows(&shown, &[]).await.unwrap();
    assert_eq!(logged(&syncer, "was given before, on line 6, with other values"), 1);
    passes(&server, 2).await;
    assert_eq!(calls(&server), ["load a /a"]);
}
