use std::path::Path;

use proptest::prelude::*;

use super::*;

const AUTO: EngineOptions = EngineOptions {
    engine: None,
    waiting: None,
    running: None,
    kv_cache: None,
};

/// A page of `tests/fixtures`, or the body of a captured response.
fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures")
        .join(name);
    let bytes = std::fs::read(path).unwrap();
    match bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
        Some(head) => bytes[head + 4..].to_vec(),
        None => bytes,
    }
}

fn read_text(page: impl AsRef<[u8]>, options: &EngineOptions) -> Result<ServerLoad, ReadError> {
    read([page.as_ref()], Format::Text, options)
}

fn load(page: impl AsRef<[u8]>) -> ServerLoad {
    read_text(page, &AUTO).unwrap()
}

/// Waiting, running and KV cache utilization.
fn numbers(load: &ServerLoad) -> [Option<f64>; 3] {
    [load.waiting, load.running, load.kv_cache]
}

fn adapters(running: &[&str], waiting: &[&str]) -> Option<Adapters> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Some(Adapters {
        max: Some(2),
        running: names(running),
        waiting: names(waiting),
    })
}

#[test]
fn pages_of_a_real_vllm_are_read() {
    for (page, expected, lora) in [
        ("metrics_idle_first", [0.0, 0.0, 0.0], None),
        (
            "metrics_queued",
            [6.0, 2.0, 0.000_732_511_292_882_431_8],
            adapters(&[], &[]),
        ),
        (
            "metrics_lora_running",
            [0.0, 2.0, 0.000_244_170_430_960_810_6],
            adapters(&["lora-a"], &["lora-a"]),
        ),
        (
            "metrics_lora_waiting",
            [6.0, 2.0, 0.000_244_170_430_960_810_6],
            adapters(&["lora-a", "lora-b"], &["lora-a", "lora-b"]),
        ),
        ("metrics_lora_after", [0.0, 0.0, 0.0], adapters(&[], &[])),
        ("metrics_idle_last", [0.0, 0.0, 0.0], adapters(&[], &[])),
    ] {
        let load = load(fixture(&format!("vllm-0.32.0/{page}.resp")));
        assert_eq!(numbers(&load), expected.map(Some), "{page}");
        assert_eq!(load.adapters, lora, "{page}");
        assert_eq!(load.engine, Some(Engine::Vllm), "{page}");
    }
    let load = load(fixture("vllm-0.32.0-embed/metrics.resp"));
    assert_eq!(numbers(&load), [Some(0.0); 3]);
}

#[test]
fn a_page_of_a_real_llama_cpp_is_read() {
    let load = load(fixture("llama.cpp-0.5.0/metrics.resp"));
    assert_eq!(
        (load.engine, numbers(&load)),
        (Some(Engine::LlamaCpp), [Some(0.0), Some(0.0), None])
    );
}

#[test]
fn all_queues_of_a_disaggregated_server_are_summed() {
    let queue = |name: &str, labels: &str, value: &str| format!("sglang:num_{name}_reqs{labels} {value}\n");
    let waiting = |queues: &[String]| load(queues.concat()).waiting;
    let usual = queue("queue", "{tp_rank=\"0\"}", "1");
    let bootstrap = queue("prefill_bootstrap_queue", "{tp_rank=\"0\"}", "2");
    let older = queue("prefill_prealloc_queue", "{tp_rank=\"0\"}", "4");
    let decode = queue("decode_prealloc_queue", "{tp_rank=\"0\"}", "8");
    assert_eq!(waiting(&[usual.clone(), bootstrap.clone(), decode.clone()]), Some(11.0));
    assert_eq!(waiting(&[usual.clone(), older.clone()]), Some(5.0));
    // One of them under both names.
    assert_eq!(waiting(&[usual.clone(), older, bootstrap.clone()]), Some(3.0));
    // Requests that are being transferred do not wait.
    for name in ["prefill_inflight_queue", "decode_transfer_queue", "grammar_queue"] {
        assert_eq!(waiting(&[usual.clone(), queue(name, "", "16")]), Some(1.0), "{name}");
    }
    // Ranks that report the same requests, and priorities, as in the usual queue.
    let again = queue("prefill_bootstrap_queue", "{tp_rank=\"1\"}", "3");
    let part = queue("prefill_bootstrap_queue", "{priority=\"5\",tp_rank=\"0\"}", "1");
    assert_eq!(waiting(&[usual.clone(), bootstrap, again, part]), Some(4.0));
    // Part of a sum would be wrong.
    assert_eq!(waiting(&[usual, queue("decode_prealloc_queue", "", "NaN")]), None);
    assert_eq!(waiting(&[decode]), None);
}

#[test]
fn every_engine_is_detected_and_read() {
    for (page, engine, expected) in [
        ("vllm-0.9", Engine::Vllm, [Some(3.0), Some(5.0), Some(0.4375)]),
        (
            "vllm-data-parallel",
            Engine::Vllm,
            [Some(5.0), Some(15.0), Some(1.25 / 3.0)],
        ),
        ("sglang", Engine::Sglang, [Some(2826.0), Some(162.0), Some(0.28)]),
        ("sglang-ranks", Engine::Sglang, [Some(7.0), Some(13.0), Some(0.375)]),
        ("sglang-prefill", Engine::Sglang, [Some(11.0), Some(3.0), Some(0.5)]),
        ("sglang-decode", Engine::Sglang, [Some(9.0), Some(12.0), Some(0.75)]),
        ("trtllm", Engine::TensorRtLlm, [Some(1.0), Some(3.0), Some(0.62)]),
        (
            "triton-trtllm",
            Engine::TritonTensorRtLlm,
            [Some(2.0), Some(4.0), Some(0.4875)],
        ),
        ("triton", Engine::Triton, [Some(7.0), None, None]),
        ("llamacpp-older", Engine::LlamaCpp, [Some(4.0), Some(2.0), Some(0.375)]),
        ("tgi", Engine::Tgi, [Some(5.0), Some(8.0), None]),
        // Triton passes requests to vLLM at once, so its pending requests are not the queue.
        ("triton-vllm", Engine::Vllm, [None, None, None]),
    ] {
        let load = load(fixture(&format!("engines/{page}.txt")));
        assert_eq!((load.engine, numbers(&load)), (Some(engine), expected), "{page}");
        assert_eq!(load.adapters, None, "{page}");
    }
}

#[test]
fn of_several_engines_the_first_of_the_table_counts_in_any_order() {
    let lines = [
        "llamacpp:requests_deferred 1\n",
        "sglang:num_queue_reqs 2\nsglang:num_running_reqs 3\n",
        "nv_inference_pending_request_count 4\n",
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let load = load(order.map(|line| lines[line]).concat());
        assert_eq!(
            (load.engine, numbers(&load)),
            (Some(Engine::Sglang), [Some(2.0), Some(3.0), None]),
            "{order:?}"
        );
    }
}

#[test]
fn a_configured_engine_skips_detection() {
    let page = fixture("engines/triton-trtllm.txt");
    let configured = |engine| {
        read_text(
            &page,
            &EngineOptions {
                engine: Some(engine),
                ..AUTO
            },
        )
        .unwrap()
    };
    let triton = configured(Engine::Triton);
    assert_eq!(
        (triton.engine, numbers(&triton)),
        (Some(Engine::Triton), [Some(9.0), None, None])
    );
    let vllm = configured(Engine::Vllm);
    assert_eq!((vllm.engine, numbers(&vllm)), (Some(Engine::Vllm), [None; 3]));
    let sglang = EngineOptions {
        engine: Some(Engine::Sglang),
        ..AUTO
    };
    let load = read_text(fixture("vllm-0.32.0/metrics_idle_last.resp"), &sglang).unwrap();
    assert_eq!(load.adapters, None);
}

#[test]
fn a_page_without_a_known_engine_has_no_load() {
    let page = "# HELP vllm:num_requests_waiting x\nprocess_open_fds 34\nvllm_num_requests_waiting 3\n";
    assert_eq!(load(page), ServerLoad::default());
    assert_eq!(load(""), ServerLoad::default());
}

#[test]
fn configured_metrics_take_precedence_over_the_engines() {
    let selector = |text: &str| Some(text.parse().unwrap());
    let options = EngineOptions {
        waiting: selector("my_queue{tier=\"gold, \",pool=}"),
        kv_cache: selector("my_cache"),
        ..AUTO
    };
    let page = concat!(
        "vllm:num_requests_waiting 1\nvllm:num_requests_running 2\nvllm:kv_cache_usage_perc 0.5\n",
        "my_queue{tier=\"gold, \"} 10\nmy_queue{tier=\"gold, \",shard=\"2\"} 20\n",
        "my_queue{tier=\"gold, \",pool=\"a\"} 40\nmy_queue{tier=\"tin\"} 80\nmy_cache_total 0.25\n",
    );
    let load = read_text(page, &options).unwrap();
    assert_eq!(
        (load.engine, numbers(&load)),
        (Some(Engine::Vllm), [Some(30.0), Some(2.0), None])
    );
    let load = read_text("my_queue{tier=\"gold, \"} 1\nmy_cache 1\n", &options).unwrap();
    assert_eq!((load.engine, numbers(&load)), (None, [Some(1.0), None, Some(1.0)]));
    // The configured name is matched verbatim in OpenMetrics, too.
    let page = b"my_cache_total 0.25\n# EOF\n";
    assert_eq!(
        read([&page[..]], Format::OpenMetrics, &options).unwrap(),
        ServerLoad::default()
    );
}

#[test]
fn an_older_name_is_read_only_if_the_newer_is_absent() {
    assert_eq!(load("vllm:gpu_cache_usage_perc 0.5\n").kv_cache, Some(0.5));
    assert_eq!(
        load("vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.25\n").kv_cache,
        Some(0.25)
    );
    assert_eq!(
        load("vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc NaN\n").kv_cache,
        None
    );
}

#[test]
fn counters_in_openmetrics_are_read_with_their_suffix() {
    let page = concat!(
        "# TYPE vllm:num_requests_waiting counter\nvllm:num_requests_waiting_total{engine=\"0\"} 3\n",
        "vllm:num_requests_waiting_created{engine=\"0\"} 1.7e9\nvllm:num_requests_running 2\n",
        "vllm:kv_cache_usage_perc_total 0.5\nvllm:kv_cache_usage_perc 0.25\n# EOF\n",
    );
    let load = read([page.as_bytes()], Format::OpenMetrics, &AUTO).unwrap();
    assert_eq!(numbers(&load), [Some(3.0), Some(2.0), Some(0.25)]);
    assert_eq!(
        read_text("vllm:num_requests_waiting_total 3\n", &AUTO).unwrap().waiting,
        None
    );
}

#[test]
fn an_invalid_value_is_missing() {
    for value in ["NaN", "+Inf", "-Inf", "-1", "-0.5", "1e300", "1795491067"] {
        let load = load(format!(
            "vllm:num_requests_waiting {value}\nvllm:num_requests_running 1\n"
        ));
        assert_eq!(numbers(&load), [None, Some(1.0), None], "{value}");
    }
    for value in ["NaN", "+Inf", "-0.1", "1.01", "50"] {
        assert_eq!(
            load(format!("vllm:kv_cache_usage_perc {value}\n")).kv_cache,
            None,
            "{value}"
        );
    }
    for value in ["0", "-0", "1", "1.0"] {
        assert!(
            load(format!("vllm:kv_cache_usage_perc {value}\n")).kv_cache.is_some(),
            "{value}"
        );
    }
}

#[test]
fn one_invalid_rank_makes_the_metric_missing() {
    let page = concat!(
        "vllm:num_requests_waiting{engine=\"0\"} 3\nvllm:num_requests_waiting{engine=\"1\"} NaN\n",
        "vllm:num_requests_running{engine=\"0\"} 6e8\nvllm:num_requests_running{engine=\"1\"} 6e8\n",
        "vllm:kv_cache_usage_perc{engine=\"0\"} 0.5\nvllm:kv_cache_usage_perc{engine=\"1\"} -1\n",
    );
    assert_eq!(numbers(&load(page)), [None; 3]);
}

#[test]
fn a_duplicate_series_makes_the_metric_missing() {
    let page = concat!(
        "vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 3\n",
        "vllm:num_requests_waiting{model_name=\"m\",engine=\"0\"} 3\n",
        "vllm:num_requests_running 1\n",
        // An empty label is an absent one.
        "vllm:kv_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc{engine=\"\"} 0.5\n",
    );
    assert_eq!(numbers(&load(page)), [None, Some(1.0), None]);
}

#[test]
fn the_latest_series_lists_the_adapters() {
    let series = |running: &str, waiting: &str, value: &str| {
        format!(
            "vllm:lora_requests_info{{max_lora=\"2\",running_lora_adapters=\"{running}\",\
             waiting_lora_adapters=\"{waiting}\"}} {value}\n"
        )
    };
    let read = |pages: &[String]| load(pages.concat()).adapters;
    let (old, new) = (series("a", "", "1"), series("b, c,,b", " d ", "2"));
    assert_eq!(read(&[old.clone(), new.clone()]), adapters(&["b", "c"], &["d"]));
    assert_eq!(read(&[new.clone(), old.clone()]), adapters(&["b", "c"], &["d"]));
    for invalid in ["NaN", "+Inf", "-Inf"] {
        assert_eq!(
            read(&[series("x", "", invalid), old.clone()]),
            adapters(&["a"], &[]),
            "{invalid}"
        );
        assert_eq!(read(&[series("x", "", invalid)]), None, "{invalid}");
    }
    let max = |max: &str| {
        load(format!("vllm:lora_requests_info{{max_lora=\"{max}\"}} 1\n"))
            .adapters
            .unwrap()
            .max
    };
    assert_eq!([max("8"), max(""), max("-1"), max("many")], [Some(8), None, None, None]);
}

#[test]
fn a_list_of_adapters_over_the_limit_is_missing() {
    let list = |count: usize| {
        (0..count)
            .map(|index| format!("lora-{index}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let page = |list: &str| format!("vllm:lora_requests_info{{running_lora_adapters=\"{list}\"}} 1\n");
    assert_eq!(load(page(&list(1024))).adapters.unwrap().running.len(), 1024);
    assert_eq!(load(page(&list(1025))).adapters, None);
    assert!(load(page(&"x".repeat(256))).adapters.is_some());
    assert_eq!(load(page(&"x".repeat(257))).adapters, None);
}

#[test]
fn series_and_labels_over_the_limits_are_an_error() {
    let page = |count: usize| -> String {
        (0..count)
            .map(|engine| format!("vllm:num_requests_waiting{{engine=\"{engine}\"}} 1\n"))
            .collect()
    };
    assert_eq!(load(page(1024)).waiting, Some(1024.0));
    let error = read_text(page(1025), &AUTO).unwrap_err();
    assert_eq!(
        error.to_string(),
        "metric vllm:num_requests_waiting: more than 1024 series"
    );

    let page = |count: usize| {
        let labels: Vec<_> = (0..count).map(|label| format!("l{label}=\"\"")).collect();
        format!("vllm:num_requests_waiting{{{}}} 1\n", labels.join(","))
    };
    assert_eq!(load(page(64)).waiting, Some(1.0));
    let error = read_text(page(65), &AUTO).unwrap_err();
    assert_eq!(
        error.to_string(),
        "metric vllm:num_requests_waiting: a series with more than 64 labels"
    );
}

#[test]
fn an_invalid_page_is_an_error() {
    for (page, format, message) in [
        (
            &b"vllm:num_requests_waiting{engine=\"0\"\n"[..],
            Format::Text,
            "line 1: expected a label's name, found the end of the line",
        ),
        (
            b"x 1\nvllm:num_requests_waiting \xff\n",
            Format::Text,
            "line 2: expected UTF-8, found `\u{fffd}`",
        ),
        (b"[]", Format::Text, "line 1: expected a metric's name, found `[]`"),
        (
            b"<html>",
            Format::Text,
            "line 1: expected a metric's name, found `<html>`",
        ),
        (
            b"vllm:num_requests_waiting 1\n",
            Format::OpenMetrics,
            "line 2: expected `# EOF`, found the end of the line",
        ),
    ] {
        assert_eq!(read([page], format, &AUTO).unwrap_err().to_string(), message);
    }
}

#[test]
fn every_engine_parses_from_its_name() {
    for row in &table::ROWS {
        assert_eq!(row.engine.as_str().parse(), Ok(row.engine));
    }
    assert!(table::ROWS.is_sorted_by_key(|row| row.engine));
    let error = "vLLM".parse::<Engine>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown engine \"vLLM\": expected vllm, sglang, trtllm, triton-trtllm, triton, llamacpp or tgi"
    );
}

proptest! {
    #[test]
    fn no_page_gives_an_invalid_load(
        format in prop_oneof![Just(Format::Text), Just(Format::OpenMetrics)],
        lines in prop::collection::vec((
            prop::sample::select(vec![
                "vllm:num_requests_waiting", "vllm:num_requests_running", "vllm:kv_cache_usage_perc",
                "vllm:num_requests_waiting_total", "sglang:num_queue_reqs", "sglang:token_usage", "vllm:lora_requests_info",
            ]),
            prop::sample::select(vec!["", "{engine=\"0\"}", "{tp_rank=\"1\"}", "{max_lora=\"x\",running_lora_adapters=\",,\"}"]),
            prop_oneof![any::<f64>().prop_map(|value| value.to_string()), "[0-9.eEnNaIif+-]{0,5}"],
        ), 0..12),
    ) {
        let mut page: String = lines.iter().map(|(name, labels, value)| format!("{name}{labels} {value}\n")).collect();
        page.push_str("# EOF\n");
        if let Ok(load) = read([page.as_bytes()], format, &AUTO) {
            let requests = load.waiting.into_iter().chain(load.running);
            prop_assert!(requests.into_iter().all(|value| (0.0..=1e9).contains(&value)), "{}", page);
            prop_assert!(load.kv_cache.is_none_or(|value| (0.0..=1.0).contains(&value)), "{}", page);
        }
    }
}
