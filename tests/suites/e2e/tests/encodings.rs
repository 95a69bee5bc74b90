//! Responses in a content coding: gzip and deflate are decoded for reading, the client's bytes stay encoded, and any other
//! coding is reported as the reason for missing tokens.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::io::Read;

use flate2::Compression;
use flate2::read::{GzEncoder, MultiGzDecoder, ZlibDecoder};
use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::stats::{Series, Stats};
use infertally_harness::upstream::Upstream;
use infertally_harness::{client, repository};
use infertally_sim::{Replay, ReplayConfig, Sim, SimConfig};

fn value(stats: &Stats, name: &str, more: &[(&str, &str)]) -> u64 {
    let labels = [&[("model_name", "tiny"), ("target_model_name", "tiny")], more].concat();
    stats.get(&Series::new(name, &labels)).copied().unwrap_or_default()
}

fn request(behaviour: &str, stream: bool) -> Vec<u8> {
    let stream = if stream {
        r#","stream":true,"stream_options":{"include_usage":true}"#
    } else {
        ""
    };
    let body = format!(r#"{{"model":"tiny","prompt":"a b c","max_tokens":40{stream}}}"#);
    client::request("POST", "/v1/completions", &[("x-sim", behaviour)], body.as_bytes())
}

#[tokio::test]
async fn tokens_in_gzip_and_deflate_are_counted_and_the_bytes_are_unchanged() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), sim.addr(), 1, Ok)
        .await
        .unwrap();
    let (mut count, mut bytes) = (0, 0);
    for coding in ["gzip", "deflate"] {
        for stream in [false, true] {
            for cut in ["chunk=1", "chunk=7", "chunk=all"] {
                let behaviour = format!("encoding={coding};{cut}");
                let response = client::exchange(envoy.listener(), &request(&behaviour, stream), usize::MAX)
                    .await
                    .unwrap()
                    .response;
                assert_eq!(response.header("content-encoding"), Some(coding));
                let mut plain = String::new();
                match coding {
                    "gzip" => MultiGzDecoder::new(&response.body[..])
                        .read_to_string(&mut plain)
                        .unwrap(),
                    _ => ZlibDecoder::new(&response.body[..]).read_to_string(&mut plain).unwrap(),
                };
                assert!(plain.contains("\"completion_tokens\":40"), "{plain}");
                count += 1;
                bytes += response.body.len() as u64;
                let check = |stats: &Stats| {
                    let seen = [
                        value(stats, "inference_model_input_tokens_sum", &[]),
                        value(stats, "inference_model_output_tokens_sum", &[]),
                        value(stats, "inference_model_usage_total", &[("source", "reported")]),
                        value(stats, "inference_model_response_sizes_sum", &[]),
                    ];
                    let wanted = [count * 3, count * 40, count, bytes];
                    if seen == wanted {
                        Ok(())
                    } else {
                        Err(format!("{behaviour}: {seen:?}, not {wanted:?}"))
                    }
                };
                envoy.scrape_until(check).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_coding_that_cannot_be_decoded_is_reported() {
    for coding in ["br", "zstd", "gzip"] {
        // Not even gzip: the header is wrong.
        let response = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {coding}\r\ncontent-length: 4\r\n\r\n\u{7f}oop"
        );
        let upstream = Upstream::replying(response).await.unwrap();
        let envoy = Envoy::start(&Binaries::from_env().unwrap(), upstream.addr(), 1, Ok)
            .await
            .unwrap();
        let response = client::exchange(envoy.listener(), &request("", false), usize::MAX)
            .await
            .unwrap()
            .response;
        assert_eq!((response.status, &response.body[..]), (200, &b"\x7foop"[..]));
        let check = |stats: &Stats| match value(stats, "inference_model_usage_total", &[("source", "missing_encoded")])
        {
            1 => Ok(()),
            _ => Err(format!("{coding}: {stats:?}")),
        };
        let stats = envoy.scrape_until(check).await.unwrap();
        assert!(
            stats
                .keys()
                .all(|series| !series.name.contains("tokens") && !series.name.contains("error_total"))
        );
    }
}

#[tokio::test]
async fn a_compressed_request_is_read_and_no_parse_failure() {
    let replay = Replay::start(ReplayConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        dir: repository("tests/fixtures/formats"),
    })
    .await
    .unwrap();
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), replay.addr(), 1, Ok)
        .await
        .unwrap();
    let mut compressed = Vec::new();
    GzEncoder::new(&br#"{"messages":[],"model":"requested"}"#[..], Compression::default())
        .read_to_end(&mut compressed)
        .unwrap();
    // One that can't be decoded names no model, and the response's stands in.
    for (coding, model) in [("gzip", "requested"), ("br", "org/m")] {
        let headers = [("x-sim-replay", "tgi_chat_stream"), ("content-encoding", coding)];
        let request = client::request("POST", "/v1/chat/completions", &headers, &compressed);
        client::exchange(envoy.listener(), &request, 7).await.unwrap();
        let labels = [("model_name", model), ("target_model_name", "org/m")];
        let requests = Series::new("inference_model_request_total", &labels);
        let failures = Series::new("infertally_filter_parse_failures_total", &[("source", "request")]);
        let check = |stats: &Stats| match (stats.get(&requests), stats.get(&failures)) {
            (Some(1), Some(0)) => Ok(()),
            seen => Err(format!("{coding}: {seen:?}")),
        };
        envoy.scrape_until(check).await.unwrap();
    }
}
